//! What a person reads after a mistake in the configuration: golden files, and that no bytes make it panic.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use stillframe::config::{Problems, load};

const SETTINGS: &str = "[daemon]\nname = \"prod\"\n";

/// A good plan; each mistake replaces a part of it.
const PLAN: &str = r#"description = "Web tier"

[schedule]
cron = "30 2 * * *"
timezone = "Europe/Berlin"
catch_up = "1h"
window = "3h"

[select]
regions = ["eu-central-1"]
tags = { Backup = "nightly" }
exclude_tags = { "stillframe:skip" = "*" }
instances = ["i-0123456789abcdef0"]
allow_auto_scaling = false

[consistency]
mode = "reboot"

[rollout]
max_in_flight = 1
settle = "3m"
healthy_within = "15m"
on_unhealthy = "halt-plan"

[keep]
last = 3
within = "14d"
daily = 7

[tags]
Team = "web"
"#;

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
    match load(dir, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))) {
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
    let text = PLAN.replacen(from, to, 1);
    said(&[("stillframe.toml", SETTINGS.as_bytes()), ("plans.d/web.toml", text.as_bytes())], &[])
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

macro_rules! plans {
    ($name:literal, $(($title:literal, $from:expr, $to:expr)),* $(,)?) => {
        golden($name, &table(&[$(($title, of_plan($from, $to))),*]))
    };
}

#[test]
fn the_plan_itself_is_good() {
    assert_eq!(of_plan("web", "web"), "ok\n\n");
}

#[test]
fn keys() {
    plans!(
        "keys",
        ("a misspelled key", "timezone =", "timzone ="),
        ("a misspelled required key", "cron =", "corn ="),
        ("a misspelled section", "[schedule]", "[shedule]"),
        ("an unknown key", "cron =", "quux = 1\ncron ="),
        ("a key in the wrong section", "[select]\n", "[select]\nlast = 3\n"),
        ("a key without its section", "description = \"Web tier\"", "timezone = \"UTC\""),
        ("a section that is not a table", "[keep]\nlast = 3\nwithin = \"14d\"\ndaily = 7\n", "[[keep]]\nlast = 3\n"),
        ("a section inside another", "[tags]", "[keep.tags]"),
        ("a required key is missing", "cron = \"30 2 * * *\"\n", ""),
        ("everything is missing", PLAN, ""),
        ("no keep section", "[keep]\nlast = 3\nwithin = \"14d\"\ndaily = 7\n", ""),
    );
}

#[test]
fn not_built_yet() {
    plans!(
        "not_built_yet",
        ("copy", "[tags]\n", "[[copy]]\nregion = \"eu-west-1\"\n[tags]\n"),
        ("share", "[tags]\n", "[share]\naccounts = [\"333333333333\"]\n[tags]\n"),
        ("stop", "mode = \"reboot\"", "mode = \"stop\""),
        ("halt-group", "\"halt-plan\"", "\"halt-group\""),
        ("groups", "max_in_flight = 1", "max_in_flight = 1\ngroup_by = \"tag:Cluster\"\nmax_per_group = 1"),
    );
}

#[test]
fn toml_itself() {
    plans!(
        "toml_itself",
        ("an unclosed string", "\"30 2 * * *\"", "\"30 2 * * *"),
        ("a bare word", "\"halt-plan\"", "halt-plan"),
        ("no value", "last = 3", "last ="),
        ("an unclosed table header", "[keep]", "[keep"),
        ("an unclosed list", "[\"eu-central-1\"]", "[\"eu-central-1\""),
        ("a duplicate key", "last = 3", "last = 3\nlast = 4"),
        ("a duplicate section", "[tags]\n", "[keep]\nweekly = 1\n[tags]\n"),
        ("a duplicate tag", "Team = \"web\"", "Team = \"web\"\nTeam = \"db\""),
        ("YAML", "last = 3", "last: 3"),
        ("a broken line and a mistake elsewhere", "mode = \"reboot\"", "mode = reboot\"\nresend_unknown = 1"),
    );
}

#[test]
fn schedules() {
    plans!(
        "schedules",
        ("not cron", "\"30 2 * * *\"", "\"nightly\""),
        ("four fields", "\"30 2 * * *\"", "\"30 2 * *\""),
        ("seven fields", "\"30 2 * * *\"", "\"0 30 2 * * * 2026\""),
        ("an hour that does not exist", "\"30 2 * * *\"", "\"30 25 * * *\""),
        ("a date that never comes", "\"30 2 * * *\"", "\"0 0 30 2 *\""),
        ("one of a list", "\"30 2 * * *\"", "[\"30 2 * * *\", \"61 2 * * *\"]"),
        ("the same twice", "\"30 2 * * *\"", "[\"30 2 * * *\", \"30 2 * * *\"]"),
        ("an empty list", "\"30 2 * * *\"", "[]"),
        ("a number", "\"30 2 * * *\"", "30"),
        ("a misspelled zone", "Europe/Berlin", "Europe/Berln"),
        ("half a zone", "Europe/Berlin", "berlin"),
        ("an unknown zone", "Europe/Berlin", "Moonbase"),
        ("a duration without a unit", "catch_up = \"1h\"", "catch_up = \"90\""),
        ("a duration as a number", "catch_up = \"1h\"", "catch_up = 3600"),
        ("a compound duration", "catch_up = \"1h\"", "catch_up = \"1h30m\""),
        ("a duration in words", "catch_up = \"1h\"", "catch_up = \"2 hours\""),
        ("weeks", "catch_up = \"1h\"", "catch_up = \"1w\""),
        ("none instead of off", "window = \"3h\"", "window = \"none\""),
        ("false instead of off", "window = \"3h\"", "window = false"),
        ("zero", "window = \"3h\"", "window = \"0s\""),
        ("far too long", "window = \"3h\"", "window = \"400d\""),
    );
}

#[test]
fn selections() {
    let both = "tags = { Backup = \"nightly\" }\nexclude_tags = { \"stillframe:skip\" = \"*\" }\n\
                instances = [\"i-0123456789abcdef0\"]\n";
    plans!(
        "selections",
        ("nothing", both, ""),
        ("an empty tags table", "{ Backup = \"nightly\" }", "{}"),
        ("an empty value", "\"nightly\" }", "\"\" }"),
        ("an empty list of values", "\"nightly\" }", "[] }"),
        ("a number as a value", "\"nightly\" }", "7 }"),
        ("a tag's key with dots", "Backup = ", "acme.backup = "),
        ("tags as a list", "{ Backup = \"nightly\" }", "[\"Backup\"]"),
        ("tags as a text", "{ Backup = \"nightly\" }", "\"Backup=nightly\""),
        ("a short instance id", "i-0123456789abcdef0", "i-0123"),
        ("an image's id", "i-0123456789abcdef0", "ami-0123456789abcdef0"),
        ("an id in capitals", "i-0123456789abcdef0", "i-0123456789ABCDEF0"),
        ("ids as a text", "[\"i-0123456789abcdef0\"]", "\"i-0123456789abcdef0\""),
        ("an availability zone", "eu-central-1", "eu-central-1a"),
        ("a misspelled region", "eu-central-1", "eu-central1"),
        ("a text instead of a flag", "allow_auto_scaling = false", "allow_auto_scaling = \"false\""),
    );
}

#[test]
fn numbers_and_words() {
    plans!(
        "numbers_and_words",
        ("a fraction", "last = 3", "last = 7.9"),
        ("a number in quotes", "last = 3", "last = \"7\""),
        ("a truth", "last = 3", "last = true"),
        ("a negative number", "last = 3", "last = -1"),
        ("far too many", "last = 3", "last = 99999999999999999999999"),
        ("no rule", "last = 3\nwithin = \"14d\"\ndaily = 7", "last = 0"),
        ("min below one", "last = 3", "min = 0\nlast = 3"),
        ("no deletions", "last = 3", "max_deletions = 0\nlast = 3"),
        ("nothing in flight", "max_in_flight = 1", "max_in_flight = 0"),
        ("healthy before settled", "healthy_within = \"15m\"", "healthy_within = \"2m\""),
        ("a misspelled word", "\"halt-plan\"", "\"haltplan\""),
        ("an unknown mode", "\"reboot\"", "\"snapshot\""),
    );
}

#[test]
fn tags() {
    let many = (0..40).fold(String::from("[tags]\n"), |mut all, n| {
        writeln!(all, "T{n} = \"x\"").unwrap();
        all
    });
    plans!(
        "tags",
        ("a reserved key", "Team = \"web\"", "\"aws:Team\" = \"web\""),
        ("our own prefix", "Team = \"web\"", "\"Stillframe:plan\" = \"web\""),
        ("a list as a value", "Team = \"web\"", "Team = [\"web\", \"db\"]"),
        ("a key with dots", "Team = \"web\"", "example.com/team = \"web\""),
        ("a bare key with dots", "Team = \"web\"", "example.com.team = \"web\""),
        ("an empty key", "Team = \"web\"", "\"\" = \"web\""),
        ("a long key", "Team", &"K".repeat(129)),
        ("a long value", "\"web\"", &format!("\"{}\"", "v".repeat(257))),
        ("too many", "[tags]\n", &many),
        ("wide characters before the caret", "Team = \"web\"", "\"équipe 日本\" = 7"),
    );
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
        ("half an account", said(&files, &[("STILLFRAME_ACCOUNTS__DR__ID", "222222222222")])),
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

#[test]
fn warnings() {
    let ids = "instances = [\"i-00000001\", \"i-00000002\", \"i-00000003\", \"i-00000004\"]";
    let four = PLAN.replace("instances = [\"i-0123456789abcdef0\"]", ids).replace("\"3m\"", "\"10m\"");
    let four = four.replace("\"1h\"", "\"5m\"").replace("\"3h\"", "\"20m\"");
    let files: [(&str, &[u8]); 2] = [("stillframe.toml", SETTINGS.as_bytes()), ("plans.d/web.toml", four.as_bytes())];
    let rows = [
        ("a window too short for the reboots", said(&files, &[])),
        ("a window shorter than catch_up", of_plan("window = \"3h\"", "window = \"30m\"")),
    ];
    golden("warnings", &table(&rows));
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
