//! Damaged and odd files, plans in great number, zones of the system.

use super::*;

/// However the lines around a secret are damaged.
#[test]
fn a_secret_reaches_no_message_of_a_damaged_file() {
    let whole = "[daemon]\nname = \"a\"\n[accounts.dr]\nid = \"222222222222\"\n\
                 role_arn = \"arn:aws:iam::222222222222:role/x\"\nexternal_id = \"hunter2\"\n[log]\nlevel = \"info\"\n";
    let line = "external_id = \"hunter2\"";
    let damage = [
        (line, "external_id = \"\"\"\nhunter2 \n\"\"\""),
        (line, "external_id = \"\"\"\nhunter2\n"),
        (line, "external_id = '''\nhunter2\n"),
        (line, "external_id = \"hunter2"),
        (line, "external_id = \"\nhunter2\""),
        (line, "external_id = \"\"hunter2\"\""),
        (line, "external_id\n= \"hunter2\""),
        (line, "external_id =\n\"hunter2\""),
        (line, "external_id : \"hunter2\""),
        (line, "ext\u{1}rnal_id = \"hunter2\""),
        (line, "exteral_i = \"hunter2"),
        (line, "= \"hunter2\""),
        (line, "\"hunter2\""),
        (line, "x = [\"hunter2\",\n\"hunter2\""),
        (line, "external_id = [\n\"hunter2\"\n]"),
        (line, "external_id = {\n a = \"hunter2\"\n}"),
        (line, "external_id = \"\u{1b}hunter2\""),
        (line, "external_id = \u{201c}hunter2\u{201d}"),
        (line, "password = \"hunter2\""),
        (line, "token = \"hunter2"),
        ("[accounts.dr]", "[accounts.dr"),
        ("[accounts.dr]", "accounts.dr]"),
        ("[accounts.dr]", "[[accounts.dr]]"),
        ("[accounts.dr]", "[acounts.dr]"),
        ("[accounts.dr]", "[log]"),
        ("role/x\"", "role/x"),
        ("name = \"a\"", "name = '''a"),
        ("id = \"222222222222\"", "id = \"\"\"2"),
        ("id = \"222222222222\"", "id = '2\", external_id = \"hunter2'"),
        ("[log]\nlevel = \"info\"", "[http]\ntoken = \"hunter2"),
        ("[log]\nlevel = \"info\"", "[http]\napi-key: hunter2"),
    ];
    for (from, to) in damage {
        assert!(whole.contains(from));
        let mut texts = vec![whole.replacen(from, to, 1)];
        // And with a damaged head of its section as well.
        texts.push(texts[0].replacen("[accounts.dr]", "[accounts.dr", 1));
        texts.push(texts[0].replacen("[accounts.dr]", "[accomnts.dr]", 1));
        texts.push(texts[0].replacen("id = \"2222", "id = \"\u{fffd}2222", 1));
        for text in texts {
            let dir = dir(&[("stillframe.toml", &text), ("plans.d/a.toml", PLAN)]);
            let said = match with_env(dir.path(), &[]) {
                Ok(loaded) => loaded.warnings,
                Err(problems) => problems,
            };
            let json = serde_json::to_string(&said).unwrap();
            assert!(!said.to_string().contains("hunter2") && !json.contains("hunter2"), "{text}\n----\n{said}");
        }
    }
    let plan = format!("{PLAN}password = \"hunter2\"\ntoken: hunter2\n");
    let dir = dir(&[("stillframe.toml", "daemon.name = \"a\""), ("plans.d/a.toml", &plan)]);
    let said = with_env(dir.path(), &[]).unwrap_err().to_string();
    assert!(said.contains("password: unknown key") && said.contains("not TOML"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

/// What has no end, or is no file, is refused at once.
#[test]
fn what_is_no_file_is_not_waited_for() {
    let dir = dir(&[("stillframe.toml", "daemon.name = \"a\"")]);
    for (name, target) in [("null", "/dev/null"), ("zero", "/dev/zero"), ("dir", "/"), ("tty", "/dev/tty")] {
        std::os::unix::fs::symlink(target, dir.path().join(format!("plans.d/{name}.toml"))).unwrap();
    }
    let fifo = dir.path().join("plans.d/fifo.toml");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let problems = with_env(dir.path(), &[]).unwrap_err();
    assert_eq!(problems.errors(), 5, "{problems}");
    assert!(problems.iter().all(|p| p.what == "is not a file" && p.hint.is_some()), "{problems}");
    // Each looks like a file of no size. The first never ends, and only root may open it.
    let read = file::read(Path::new("/proc/kmsg"), 16);
    assert!(!matches!(read, Ok(bytes) if !bytes.is_empty()));
    assert!(matches!(file::read(Path::new("/proc/self/status"), 16), Err(file::Unread::TooLarge)));
}

#[test]
fn characters_that_nobody_sees() {
    let settings = ("stillframe.toml", "daemon.name = \"a\"");
    let said = |lines: &str| {
        let plan = format!("{PLAN}{lines}");
        let dir = dir(&[settings, ("plans.d/a.toml", &plan)]);
        match with_env(dir.path(), &[]) {
            Ok(loaded) => (0, loaded.warnings),
            Err(problems) => (problems.errors(), problems),
        }
    };
    // What EC2 has no way to answer with is refused in what we make; the rest is said.
    for refused in ["tags.Team = \"a\\u0000b\"", "tags.Team = \"\\u001b[31mred\"", "tags.\"a\\u0007\" = \"b\""] {
        let (errors, problems) = said(refused);
        assert!(errors == 1 && problems.iter().all(|p| p.hint.is_some()), "{refused}: {problems}");
        assert!(!problems.to_string().contains('\u{1b}'), "{problems:?}");
    }
    for odd in ["tags.Team = \"a\\tb\"", "tags.Team = \"a\\u202eb\"", "select.exclude_tags.\"a\\u001b\" = \"x\""] {
        let (errors, problems) = said(odd);
        assert!(errors == 0 && problems.len() == 1, "{odd}: {problems}");
    }
    assert!(said("tags.Team = \"服务器 ü\"").1.is_empty());
}

#[test]
fn regions_of_two_partitions() {
    let settings = ("stillframe.toml", "daemon.name = \"a\"");
    let china = PLAN.replace("eu-central-1", "cn-north-1").replace("nightly", "china");
    let third = PLAN.replace("nightly", "third");
    let dir = dir(&[settings, ("plans.d/a.toml", PLAN), ("plans.d/b.toml", &china), ("plans.d/c.toml", &third)]);
    let warnings = with_env(dir.path(), &[]).unwrap().warnings;
    let [warning] = &warnings.iter().collect::<Vec<_>>()[..] else { panic!("{warnings}") };
    assert!(warning.file.ends_with("b.toml") && warning.what.contains("aws-cn"), "{warning}");
}

/// Each later plan is told once, of an earlier one that it meets; who meets nobody is not told.
#[test]
fn many_plans_of_one_selection() {
    let plans = [
        ("a", "30 2 * * *", "UTC"),
        ("b", "30 3 * * *", "UTC"),
        ("c", "30 2 1 * *", "UTC"),
        ("d", "30 2 * * SUN", "UTC"),
        ("e", "30 3 29 2 *", "UTC"),
        ("f", "0 */6 * * *", "UTC"),
        ("g", "30 4 * * *", "Europe/Berlin"), // 02:30 UTC in summer, 03:30 in winter
        ("h", "45 4 * * *", "Europe/Berlin"),
        ("i", "45 4 * * SUN", "Europe/Berlin"),
    ];
    let dir = dir(&[("stillframe.toml", "daemon.name = \"a\"")]);
    for (name, cron, zone) in plans {
        let plan = format!("schedule.timezone = \"{zone}\"\n{}", PLAN.replace("30 2 * * *", cron));
        std::fs::write(dir.path().join(format!("plans.d/{name}.toml")), plan).unwrap();
    }
    let zones = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/zoneinfo");
    let warnings = with_env(dir.path(), &[("TZDIR", zones)]).unwrap().warnings;
    let told = warnings.iter().map(|p| {
        let file = Path::new(&p.file).file_stem().unwrap().to_string_lossy().into_owned();
        format!("{file} {}", p.what.split('`').nth(1).unwrap_or_default())
    });
    assert_eq!(told.collect::<Vec<_>>(), ["c a", "d a", "e b", "g b", "i h"], "{warnings}");
}

/// The newer rules come into force through a plan file, and a zone that only they know is a zone.
#[test]
fn zones_of_the_system() {
    let plan = format!("schedule.timezone = \"America/Vancouver\"\n{PLAN}");
    let settings = ("stillframe.toml", "daemon.name = \"a\"");
    let of = |zones: &str| {
        let dir = dir(&[settings, ("plans.d/a.toml", &plan)]);
        with_env(dir.path(), &[("TZDIR", zones)]).unwrap()
    };
    let after: chrono::DateTime<chrono::Utc> = "2026-12-01T00:00:00Z".parse().unwrap();
    let due = |loaded: &Loaded| {
        let table = crate::domain::schedule::Timetable::new(&loaded.plans[0].schedule).unwrap();
        table.next_after(after).unwrap().to_rfc3339()
    };
    let newer = of(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/zoneinfo"));
    assert_eq!((newer.zones.source, due(&newer).as_str()), ("system", "2026-12-01T09:30:00+00:00"));
    assert!(newer.warnings.is_empty(), "{}", newer.warnings);
    let compiled = of("/nowhere");
    assert_eq!((compiled.zones.source, due(&compiled).as_str()), ("compiled", "2026-12-01T10:30:00+00:00"));
    assert!(compiled.warnings.to_string().contains("/nowhere:1:1: warning: holds no zone files"));
    // The same plan, whatever the rules.
    assert_eq!(newer.plans, compiled.plans);
}
