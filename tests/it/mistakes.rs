//! What a person reads after a mistake in the configuration: golden files, and that no bytes make it panic.

mod distribution;
mod many;
mod mutated;
mod odd;
pub mod plans;

use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use stillframe::config::{Problems, Severity, load};

use self::plans::PLAN;
use crate::support::child;
use crate::support::site::{OLDER_ZONES, Site};

/// A user who owns nothing.
const NOBODY: u32 = 65_534;

const SETTINGS: &str = "[daemon]
name = \"prod\"
[accounts.dr]
id = \"222222222222\"
role_arn = \"arn:aws:iam::222222222222:role/stillframe\"
[accounts.cn]
id = \"444444444444\"
role_arn = \"arn:aws-cn:iam::444444444444:role/stillframe\"
";

/// All that is said about these files, with the directory's name taken out; "ok" and the warnings if it loads.
fn said(files: &[(&str, &[u8])], env: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("plans.d")).unwrap();
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    said_of(dir.path(), env)
}

fn said_of(dir: &Path, env: &[(&str, &str)]) -> String {
    let shown = |problems: &Problems| problems.to_string().replace(&format!("{}", dir.display()), "DIR");
    let zones = [("TZDIR", OLDER_ZONES)];
    match load(dir, env.iter().chain(&zones).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))) {
        Ok(loaded) => format!("ok\n\n{}", shown(&loaded.warnings)),
        Err(problems) => {
            assert!(problems.errors() > 0, "refused without an error");
            shown(&problems)
        }
    }
}

/// The plan with `from` replaced, which must be there, and how it reads.
fn of_plan(from: &str, to: &str) -> String {
    assert!(PLAN.contains(from), "the plan does not hold {from:?}");
    of_text(&PLAN.replacen(from, to, 1))
}

fn of_text(text: &str) -> String {
    said(&[("stillframe.toml", SETTINGS.as_bytes()), ("plans.d/web.toml", text.as_bytes())], &[])
}

pub fn problems_of(plan: &str) -> Problems {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("plans.d")).unwrap();
    std::fs::write(dir.path().join("stillframe.toml"), SETTINGS).unwrap();
    std::fs::write(dir.path().join("plans.d/web.toml"), plan).unwrap();
    match load(dir.path(), [("TZDIR".to_owned(), OLDER_ZONES.to_owned())].into_iter()) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems,
    }
}

fn of_settings(text: &str) -> String {
    said(&[("stillframe.toml", text.as_bytes()), ("plans.d/web.toml", PLAN.as_bytes())], &[])
}

fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

/// One document of many mistakes: each under its title.
fn table(rows: &[(&str, String)]) -> String {
    let mut all = String::new();
    for (title, text) in rows {
        writeln!(all, "## {title}\n{}\n", text.trim_end()).unwrap();
    }
    all
}

/// At least so many mistakes are told with their place, a caret and a hint.
const TOLD_WELL: usize = 90;

#[test]
fn mistakes_in_plans() {
    let mut told_well = 0;
    for (name, mistakes) in plans::groups() {
        let rows: Vec<(&str, String)> = mistakes.iter().map(|m| (m.title, of_text(&m.text()))).collect();
        golden(name, &table(&rows));
        for mistake in mistakes {
            let problems = problems_of(&mistake.text());
            assert!(problems.errors() > 0, "{name}: {} is no mistake", mistake.title);
            for problem in problems.iter().filter(|p| p.severity == Severity::Error) {
                assert!(problem.expected.is_some() || problem.hint.is_some(), "{name}: what to do?\n{problem}");
            }
            told_well += usize::from(problems.iter().all(|p| p.source.is_some() && p.hint.is_some()));
        }
    }
    assert!(told_well >= TOLD_WELL, "only {told_well} mistakes have a caret and a hint");
}

#[test]
fn the_plan_itself_is_good() {
    assert_eq!(of_plan("web", "web"), "ok\n\n");
}

#[test]
fn settings() {
    let account = "[daemon]\nname = \"prod\"\n[accounts.dr]\nid = \"222222222222\"\nrole_arn = \"arn:aws:iam::222222222222:role/x\"\n";
    let rows = [
        ("an empty file", of_settings("")),
        ("no name", of_settings("[daemon]\nstate_dir = \"x\"\n")),
        ("a name in capitals", of_settings("daemon.name = \"Prod_EU\"")),
        ("a long name", of_settings("daemon.name = \"production-of-the-whole-group\"")),
        ("a section given as a value", of_settings("daemon = \"prod\"\n")),
        ("a secret without quotes", of_settings(&format!("{account}external_id = hunter2\n"))),
        ("an unknown section", of_settings("[deamon]\nname = \"prod\"\n")),
        ("an unknown key", of_settings("[daemon]\nname = \"prod\"\nstatedir = \"x\"\n")),
        ("a home directory", of_settings("daemon.name = \"prod\"\ndaemon.state_dir = \"~/state\"\n")),
        ("an unknown backend", of_settings("daemon.name = \"prod\"\ncloud.backend = \"azure\"\n")),
        ("a share in per cent", of_settings("daemon.name = \"prod\"\ncloud.api_share = 50\n")),
        ("a share as a text", of_settings("daemon.name = \"prod\"\ncloud.api_share = \"0.5\"\n")),
        ("an unknown level", of_settings("daemon.name = \"prod\"\nlog.level = \"warning\"\n")),
        ("localhost", of_settings("daemon.name = \"prod\"\nhttp.listen = \"localhost:8484\"\n")),
        ("only a port", of_settings("daemon.name = \"prod\"\nhttp.listen = 8484\n")),
        ("an account id as a number", of_settings(&account.replace("\"222222222222\"", "222222222222"))),
        ("an account id with dashes", of_settings(&account.replace("\"222222222222\"", "\"2222-2222-2222\""))),
        ("a role of another account", of_settings(&account.replace("::222222222222:", "::333333333333:"))),
        (
            "a session instead of a role",
            of_settings(&account.replace("iam::222222222222:role", "sts::222222222222:assumed-role")),
        ),
        ("an account without a role", of_settings("daemon.name = \"prod\"\naccounts.dr.id = \"222222222222\"\n")),
        ("a misspelled secret", of_settings(&format!("{account}extrenal_id = \"hunter2\"\n"))),
        ("an account without a name", of_settings("daemon.name = \"prod\"\n[accounts]\nid = \"222222222222\"\n")),
        ("an external id as a number", of_settings(&format!("{account}external_id = 12345\n"))),
    ];
    golden("settings", &table(&rows));
}

#[test]
fn the_environment() {
    let files: [(&str, &[u8]); 2] = [("stillframe.toml", SETTINGS.as_bytes()), ("plans.d/web.toml", PLAN.as_bytes())];
    let rows = [
        ("an unknown level", said(&files, &[("STILLFRAME_LOG__LEVEL", "loud")])),
        ("an empty value", said(&files, &[("STILLFRAME_DAEMON__NAME", "")])),
        ("not a number", said(&files, &[("STILLFRAME_CLOUD__API_SHARE", "half")])),
        (
            "a role of another account",
            said(
                &files,
                &[
                    ("STILLFRAME_ACCOUNTS__DR__ID", "222222222222"),
                    ("STILLFRAME_ACCOUNTS__DR__ROLE_ARN", "arn:aws:iam::333333333333:role/x"),
                ],
            ),
        ),
        ("half an account", said(&files, &[("STILLFRAME_ACCOUNTS__BACKUP__ID", "222222222222")])),
    ];
    golden("environment", &table(&rows));
}

#[test]
fn files() {
    let settings = ("stillframe.toml", SETTINGS.as_bytes());
    let plan = PLAN.as_bytes();
    let latin1 = PLAN.replace("Web tier", "B\u{1}cher").replace('\u{1}', "\u{fffd}");
    let latin1: Vec<u8> = latin1.split('\u{fffd}').map(str::as_bytes).collect::<Vec<_>>().join(&0xfc);
    let empty = tempfile::tempdir().unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("stillframe.toml"), SETTINGS).unwrap();
    std::fs::create_dir_all(directory.path().join("plans.d/web.toml")).unwrap();
    let dangling = tempfile::tempdir().unwrap();
    std::fs::write(dangling.path().join("stillframe.toml"), SETTINGS).unwrap();
    std::fs::create_dir(dangling.path().join("plans.d")).unwrap();
    std::os::unix::fs::symlink("/nowhere/web.toml", dangling.path().join("plans.d/web.toml")).unwrap();
    let no_plans = tempfile::tempdir().unwrap();
    std::fs::write(no_plans.path().join("stillframe.toml"), SETTINGS).unwrap();
    let rows = [
        (
            "no such directory",
            said_of(&empty.path().join("nowhere"), &[]).replace(&empty.path().display().to_string(), ""),
        ),
        ("an empty directory", said_of(empty.path(), &[])),
        ("no plans.d", said_of(no_plans.path(), &[])),
        ("no plans", said(&[settings], &[])),
        ("a plan's name in capitals", said(&[settings, ("plans.d/Web Nightly.toml", plan)], &[])),
        (
            "a plan's name too long",
            said(&[settings, ("plans.d/a-very-long-name-for-a-plan-of-the-web-tier.toml", plan)], &[]),
        ),
        ("another encoding", said(&[settings, ("plans.d/web.toml", &latin1)], &[])),
        ("a directory", said_of(directory.path(), &[])),
        ("a link to nowhere", said_of(dangling.path(), &[])),
        (
            "hidden files and other endings",
            said(&[settings, ("plans.d/.web.toml", plan), ("plans.d/web.TOML", plan)], &[]),
        ),
    ];
    golden("files", &table(&rows));
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_fine() {
    let text = format!("\u{feff}{}", PLAN.replace('\n', "\r\n"));
    let files: [(&str, &[u8]); 2] = [("stillframe.toml", SETTINGS.as_bytes()), ("plans.d/web.toml", text.as_bytes())];
    assert_eq!(said(&files, &[]), "ok\n\n");
}

/// A service account may read one file and not the other; the same is said by whichever command is asked.
#[test]
fn every_command_says_all_of_it() {
    let site = Site::new(Vec::new());
    site.settings("[daemon]\nname = \"prod\"\nstate_dir = \"state\"\n[log]\nlevel = \"loud\"\n");
    site.plan("db", &PLAN.replace("Europe/Berlin", "Europe/Berln"));
    site.plan("locked", PLAN);
    let plans = site.config().join("plans.d");
    std::fs::write(plans.join("latin.toml"), b"description = \"B\xfccher\"\n").unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(&plans.join("locked.toml"), 0o000);
    // A directory of another user is not open to all by itself.
    for dir in [site.path(""), site.config(), plans.clone()] {
        mode(&dir, 0o755);
    }
    let program = site.path("stillframe");
    // Not by this process: a child that another test starts meanwhile would hold it open for writing ("text file busy").
    let copied = Command::new("cp").arg(child::binary()).arg(&program).status().unwrap();
    assert!(copied.success(), "{copied}");
    let asked = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.args(args).arg("--config").arg(site.config()).env_clear().env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("TZDIR", OLDER_ZONES);
        if std::fs::read(plans.join("locked.toml")).is_ok() {
            command.uid(NOBODY); // root may read everything
        }
        let output = command.output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap().replace(&site.config().display().to_string(), "DIR")
    };
    let check = asked(&["check"]);
    golden("every_command", &check);
    for args in [&["run"][..], &["backup", "web"], &["history"]] {
        assert_eq!(asked(args), check, "{args:?}");
    }
}

#[test]
fn many_at_once() {
    let settings = "[daemon]\nname = \"Prod\"\n[log]\nlevel = \"loud\"\ncolour = true\n";
    let web =
        PLAN.replace("last = 3", "last = 7.9").replace("Europe/Berlin", "Europe/Berln").replace("settle", "setle");
    let db = PLAN.replace("\"reboot\"", "\"stop\"").replace("eu-central-1", "eu-central-1b");
    let files: [(&str, &[u8]); 3] = [
        ("stillframe.toml", settings.as_bytes()),
        ("plans.d/web.toml", web.as_bytes()),
        ("plans.d/db.toml", db.as_bytes()),
    ];
    golden("many_at_once", &said(&files, &[("STILLFRAME_HTTP__LISTEN", "8484")]));
}

/// One change of a file's bytes.
#[derive(Debug, Clone)]
enum Change {
    Put(prop::sample::Index, u8),
    Insert(prop::sample::Index, String),
    Cut(prop::sample::Index, prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let piece =
        prop_oneof!["[\\[\\]{}\"'=.#,0-9a-z \n-]{1,4}", "\\PC{1,3}", Just("\r\n".to_owned()), Just("\0".to_owned())];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(i, b)| Change::Put(i, b)),
        (at(), piece).prop_map(|(i, s)| Change::Insert(i, s)),
        (at(), at()).prop_map(|(i, j)| Change::Cut(i, j)),
        (at(), at()).prop_map(|(i, j)| Change::Repeat(i, j)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let n = bytes.len() + 1;
    let range = |i: &prop::sample::Index, j: &prop::sample::Index| {
        let (i, j) = (i.index(n), j.index(n));
        i.min(j)..i.max(j)
    };
    match change {
        Change::Put(i, b) if n > 1 => bytes[i.index(n - 1)] = *b,
        Change::Put(..) => {}
        Change::Insert(i, s) => drop(bytes.splice(i.index(n)..i.index(n), s.bytes())),
        Change::Cut(i, j) => drop(bytes.drain(range(i, j))),
        Change::Repeat(i, j) => {
            let copy = bytes[range(i, j)].to_vec();
            let at = i.index(n);
            drop(bytes.splice(at..at, copy));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a file holds, it is read or refused with words.
    #[test]
    fn no_bytes_make_it_panic(changes in prop::collection::vec(change(), 1..6), settings in any::<bool>()) {
        let (mut first, mut second) = (SETTINGS.as_bytes().to_vec(), PLAN.as_bytes().to_vec());
        for change in &changes {
            apply(if settings { &mut first } else { &mut second }, change);
        }
        let text = said(&[("stillframe.toml", &first), ("plans.d/web.toml", &second)], &[]);
        prop_assert!(!text.is_empty());
    }
}
