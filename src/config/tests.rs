//! The directories that are shipped, the layers, and what a directory may look like.

mod hostile;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::domain::plan::Mode;

fn shipped(dir: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(dir)
}

fn with_env(dir: &Path, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    load(dir, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("plans.d")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

const PLAN: &str = "schedule.cron = \"30 2 * * *\"\nselect.tags.Backup = \"nightly\"\nselect.regions = [\"eu-central-1\"]\nkeep.last = 3\n";

fn defaults() -> Settings {
    Settings {
        daemon: Daemon {
            name: "prod".into(),
            state_dir: "/var/lib/stillframe".into(),
            drain_deadline: 60,
            instance: None,
        },
        cloud: Cloud {
            backend: Backend::Aws,
            api_share: 0.5,
            visible_within: 300,
            status_lag: 360,
            shutdown_limit: 240,
            trust_snapshot_time: false,
        },
        log: Log { format: None, level: LogLevel::Info },
        http: Http { listen: "127.0.0.1:8484".parse().unwrap() },
        accounts: BTreeMap::new(),
    }
}

#[test]
fn the_shipped_settings_are_the_defaults() {
    let loaded = with_env(&shipped(""), &[]).unwrap();
    assert_eq!(loaded.settings, defaults());
    assert_eq!(loaded.plans, []);
    assert_eq!(loaded.warnings.len(), 1, "{}", loaded.warnings);
}

/// The text of the shipped settings with every key in force, as if a person had taken the `# ` away.
fn uncommented(text: &str) -> String {
    let is_toml =
        |line: &str| line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let lines: Vec<&str> =
        text.lines().map(|line| line.strip_prefix("# ").filter(|l| is_toml(l)).unwrap_or(line)).collect();
    lines.join("\n")
}

/// What is wrong with the settings that show every key: unknown keys, keys not shown, other values than the defaults.
fn differences(text: &str) -> Vec<String> {
    let source = source::Source::new("stillframe.toml", text);
    let mut problems = Vec::new();
    let sheet = shape::read(&source, &fields::SETTINGS, true, &mut problems);
    let mut wrong: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let shown: BTreeMap<&str, &str> = sheet.plain().collect();
    for section in fields::SETTINGS.fields {
        let (table, path) = match section.kind {
            kind::Kind::Section(table) => (table, section.key.to_owned()),
            kind::Kind::Named(table) => (table, format!("{}.dr", section.key)),
            other => panic!("{}: a kind of section that is not looked at here: {other:?}", section.key),
        };
        for field in table.fields {
            let path = format!("{path}.{}", field.key);
            match (shown.get(path.as_str()), field.default) {
                (None, _) => wrong.push(format!("{path} is not shown")),
                (Some(shown), Some(default)) if *shown != default => {
                    wrong.push(format!("{path} is shown as {shown}, but its default is {default}"));
                }
                _ => {}
            }
        }
    }
    wrong
}

#[test]
fn the_shipped_settings_show_every_key_at_its_default() {
    let text = uncommented(&std::fs::read_to_string(shipped("stillframe.toml")).unwrap());
    assert_eq!(differences(&text), Vec::<String>::new());
    // In both directions: a key or a default that only one of the two has is seen.
    for (from, to, seen) in [
        ("level = \"info\"", "level = \"warn\"", "log.level is shown as warn"),
        ("drain_deadline = \"60s\"", "", "daemon.drain_deadline is not shown"),
        ("external_id = ", "# external_id = ", "accounts.dr.external_id is not shown"),
        ("backend = \"aws\"", "backend = \"aws\"\ncolour = true", "unknown key"),
    ] {
        assert!(text.contains(from), "{from}");
        let wrong = differences(&text.replace(from, to));
        assert!(wrong.iter().any(|line| line.contains(seen)), "{from} -> {to}: {wrong:?}");
    }
    let dir = dir(&[("stillframe.toml", &text)]);
    assert_eq!(with_env(dir.path(), &[]).unwrap().settings.accounts["dr"].id, "222222222222");
}

#[test]
fn the_example_loads() {
    let loaded = with_env(&shipped("example"), &[]).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let names: Vec<&str> = loaded.plans.iter().map(|plan| plan.name.as_str()).collect();
    assert_eq!(names, ["databases", "web-nightly"]);
    assert_eq!(loaded.plans[0].consistency.mode, Mode::None);
    assert_eq!(loaded.plans[0].select.tags["Role"].len(), 2);
    assert_eq!(loaded.plans[1].keep.within, Some(14 * 86400));
    assert_eq!(loaded.plans[1].schedule.timezone, chrono_tz::Europe::Berlin.into());
    let dr = &loaded.settings.accounts["dr"];
    assert_eq!(dr.external_id.as_ref().unwrap().reveal(), "change-me-to-a-long-random-text");
    assert!(!format!("{loaded:?}").contains("change-me"));
}

#[test]
fn the_demo_loads() {
    let loaded = with_env(&shipped("demo"), &[]).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.settings.cloud.backend, Backend::Sim);
    assert_eq!(loaded.settings.daemon.state_dir, shipped("demo").join("state"));
    let plan = &loaded.plans[0];
    assert_eq!((plan.rollout.max_in_flight, plan.rollout.settle, plan.rollout.healthy_within), (4, 1, 15));
}

#[test]
fn the_environment_goes_over_the_file() {
    let dir = dir(&[("stillframe.toml", "daemon.name = \"file\"\nlog.level = \"warn\"\n"), ("plans.d/web.toml", PLAN)]);
    let env = [
        ("STILLFRAME_LOG__LEVEL", "debug"),
        ("STILLFRAME_CLOUD__API_SHARE", "0.25"),
        ("STILLFRAME_DAEMON__DRAIN_DEADLINE", "2m"),
        ("STILLFRAME_DAEMON__INSTANCE", "i-0123456789abcdef0"),
        ("STILLFRAME_ACCOUNTS__DR__ID", "222222222222"),
        ("STILLFRAME_ACCOUNTS__DR__ROLE_ARN", "arn:aws:iam::222222222222:role/x"),
        ("STILLFRAME_ACCOUNTS__DR__EXTERNAL_ID", "s3cret"),
        ("STILLFRAME_VERSION", "7"),
        ("STILLFRAME_LOG_LEVEL", "loud"),
        ("STILLFRAME_LOG__LEVL", "loud"),
        ("LOG__LEVEL", "loud"),
        ("STILLFRAME_", ""),
    ];
    let loaded = with_env(dir.path(), &env).unwrap();
    let odd: Vec<&str> = loaded.warnings.iter().map(|p| p.file.as_str()).collect();
    assert_eq!(odd, ["STILLFRAME_LOG_LEVEL", "STILLFRAME_LOG__LEVL"], "{}", loaded.warnings);
    assert!(!loaded.warnings.to_string().contains("loud"));
    let settings = loaded.settings;
    assert_eq!(settings.daemon.name, "file");
    assert_eq!(settings.log.level, LogLevel::Debug);
    assert!((settings.cloud.api_share - 0.25).abs() < f64::EPSILON);
    assert_eq!(settings.daemon.drain_deadline, 120);
    assert_eq!(settings.daemon.instance, Some(DaemonInstance::Id("i-0123456789abcdef0".into())));
    assert_eq!(settings.accounts["dr"].external_id, Some(Secret::new("s3cret")));
}

#[test]
fn a_required_key_may_come_from_the_environment() {
    let dir = dir(&[("stillframe.toml", ""), ("plans.d/web.toml", PLAN)]);
    assert_eq!(with_env(dir.path(), &[("STILLFRAME_DAEMON__NAME", "env")]).unwrap().settings.daemon.name, "env");
    assert!(with_env(dir.path(), &[]).is_err());
}

#[test]
fn only_toml_files_are_plans() {
    let files = [
        ("stillframe.toml", "daemon.name = \"a\""),
        ("plans.d/b.toml", PLAN),
        ("plans.d/a.toml", &PLAN.replace("nightly", "weekly")),
        ("plans.d/README.md", "# no plan"),
        ("plans.d/c.toml.bak", "nonsense"),
    ];
    let dir = dir(&files);
    let loaded = with_env(dir.path(), &[]).unwrap();
    let names: Vec<&str> = loaded.plans.iter().map(|plan| plan.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(loaded.warnings.len(), 1, "{}", loaded.warnings);
    let odd = [
        ".c.toml",
        "d.TOML",
        "e.yml",
        "e.yaml",
        "e.json",
        "e.toml~",
        "e.toml.rpmnew",
        "e.toml.txt",
        "e.toml.bak.2",
        "E.YML",
    ];
    let plain = ["e.toml.disabled", ".e.toml.swp", "#e.toml#", "e.md", "e", ".yml", "e.toml.example"];
    for name in odd.iter().chain(&plain) {
        std::fs::write(dir.path().join("plans.d").join(name), PLAN).unwrap();
    }
    std::fs::create_dir(dir.path().join("plans.d/old.json")).unwrap();
    let loaded = with_env(dir.path(), &[]).unwrap();
    assert_eq!(loaded.plans.len(), 2);
    let told = |name: &&&str| loaded.warnings.iter().any(|p| p.file.ends_with(&format!("/{name}")) && p.hint.is_some());
    assert_eq!(odd.iter().filter(told).count(), odd.len(), "{}", loaded.warnings);
    assert_eq!(loaded.warnings.len(), odd.len() + 1, "{}", loaded.warnings);
}

#[test]
fn a_secret_reaches_no_message() {
    let text = "[daemon]\nname = \"a\"\n[accounts.dr]\nid = 1\nrole_arn = \"x\"\nexternal_id = \"hunter2 \"\n\
                external-id = \"hunter2\"\n";
    let dir = dir(&[("stillframe.toml", text), ("plans.d/a.toml", PLAN)]);
    let env = [("STILLFRAME_ACCOUNTS__B__EXTERNAL_ID", "hunter2 ")];
    let problems = with_env(dir.path(), &env).unwrap_err().to_string();
    assert!(problems.contains("accounts.dr.external_id") && problems.contains("STILLFRAME_ACCOUNTS__B__EXTERNAL_ID"));
    assert!(!problems.contains("hunter2"), "{problems}");
}
