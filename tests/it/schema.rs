//! The JSON Schema and `check` agree: both take what is good, and what the schema refuses `check` refuses as well.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use stillframe::cli::schema::{SchemaArgs, text};
use stillframe::config::REGIONS;

use crate::mistakes::plans::{self, PLAN};
use crate::support::python;

/// Mistakes that only `check` sees: what several keys together tell, what a pattern cannot say, and what is the same
/// number to JSON.
const UNSEEN: &[&str] = &[
    // schedules: the numbers of a cron line, and names of zones
    "an hour that does not exist",
    "a date that never comes",
    "one of a list",
    "an hour that is 24",
    "a minute that does not exist",
    "a day that does not exist",
    "a month that does not exist",
    "a weekday that does not exist",
    "a weekday in full",
    "a weekday in the wrong field",
    "a time with a colon",
    "a range that runs backwards",
    "weekdays that run backwards",
    "a step of nothing",
    "a step longer than an hour",
    "a step without a range",
    "a comma too many",
    "the last days of a month",
    "the fields of EventBridge",
    "a misspelled zone",
    "half a zone",
    "an unknown zone",
    "an abbreviation",
    "an abbreviation of the summer",
    "an offset",
    // how long at most
    "far too long",
    // two keys together
    "healthy before settled",
    "settled after healthy",
    "too many",
    // accounts of stillframe.toml, regions and partitions that do not go together
    "copy: an unknown account",
    "copy: a misspelled account",
    "copy: the id of a known account",
    "copy: the id of an unknown account",
    "copy: a second time",
    "copy: to where the images are",
    "copy: another partition",
    "copy: an account of another partition",
    "copy: a key of another service",
    "copy: a key of another region",
    "copy: via_key in the same account",
    "copy: via_key of AWS",
    "copy: via_key of another region",
    "copy: a key of another partition",
    "share: an organization of another partition",
    "share: via_key of AWS",
    "share: via_key of another region",
    "share: copies under AWS's own key",
    "share: too many, with a copy's account",
    "share: units with long ids",
];

fn schema(settings: bool) -> Value {
    serde_json::from_str(&text(&SchemaArgs { settings })).expect("JSON")
}

/// What the schema says of each text: nothing if it is good.
fn verdicts(schema: &Value, texts: &[String]) -> Vec<Option<String>> {
    let mut child = python::script("schema_check.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tests' Python starts");
    let asked = json!({ "schema": schema, "texts": texts }).to_string();
    child.stdin.take().expect("piped").write_all(asked.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "schema_check.py failed: {}", output.status);
    serde_json::from_slice(&output.stdout).expect("a list of verdicts")
}

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

/// The shipped plans, each with its path.
fn shipped_plans() -> Vec<(std::path::PathBuf, String)> {
    let mut plans = Vec::new();
    for dir in ["example/plans.d", "demo/plans.d", "two-accounts/plans.d"] {
        for entry in fs::read_dir(shipped().join(dir)).expect("a directory") {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).expect("readable");
            plans.push((path, text));
        }
    }
    plans
}

#[test]
fn the_kept_copy_is_what_the_command_prints() {
    let kept = shipped().join("plan.schema.json");
    let printed = text(&SchemaArgs { settings: false });
    let same = fs::read_to_string(&kept).is_ok_and(|kept| kept == printed);
    assert!(same, "renew it: cargo run -- schema > {}", kept.display());
}

#[test]
fn shipped_plans_name_the_schema() {
    let plans = shipped_plans();
    assert!(plans.len() >= 4);
    let kept = shipped().join("plan.schema.json").canonicalize().expect("there");
    for (path, text) in plans {
        let named = text.lines().next().and_then(|line| line.strip_prefix("#:schema ")).unwrap_or_default();
        let named = path.parent().expect("in a directory").join(named).canonicalize();
        assert!(named.is_ok_and(|named| named == kept), "{} does not begin with its schema", path.display());
    }
}

#[test]
fn what_is_good_is_good_to_both() {
    let variants = [
        ("\"30 2 * * *\"", "[\"30 2 * * *\", \"0 30 14 L * MON#1\"]"),
        ("{ Backup = \"nightly\" }", "{ Backup = [\"nightly\", \"weekly\"], \"a.b/c\" = \"*\" }"),
        ("exclude_tags = { \"stillframe:skip\" = \"*\" }", "exclude_tags = {}"),
        ("tags = { Backup = \"nightly\" }\n", ""),
        ("window = \"3h\"", "window = \"off\""),
        ("last = 3\nwithin = \"14d\"\ndaily = 7", "yearly = 1"),
        ("last = 3\nwithin = \"14d\"\ndaily = 7", "last = 0\nwithin = \"14d\""),
        ("Europe/Berlin", "America/Argentina/Buenos_Aires"),
        ("Europe/Berlin", "Etc/GMT+5"),
        ("\"eu-central-1\"", "\"us-gov-west-1\", \"eusc-de-east-1\", \"ap-southeast-12\""),
        ("[tags]\nTeam = \"web\"\n", ""),
        ("\"web\"", "\"\""),
    ];
    let mut texts: Vec<String> = shipped_plans().into_iter().map(|(_, text)| text).collect();
    texts.push(PLAN.to_owned());
    for (from, to) in variants {
        assert!(PLAN.contains(from), "{from}");
        texts.push(PLAN.replacen(from, to, 1));
    }
    for text in &texts {
        let problems = crate::mistakes::problems_of(text);
        assert_eq!(problems.errors(), 0, "check refuses:\n{text}\n{problems}");
    }
    for (text, verdict) in texts.iter().zip(verdicts(&schema(false), &texts)) {
        assert_eq!(verdict, None, "the schema refuses:\n{text}");
    }
}

#[test]
fn what_is_wrong_is_wrong_to_both() {
    let mistakes: Vec<_> = plans::groups().into_iter().flat_map(|(_, group)| group).collect();
    let texts: Vec<String> = mistakes.iter().map(plans::Mistake::text).collect();
    let mut by_schema = 0;
    for (mistake, verdict) in mistakes.iter().zip(verdicts(&schema(false), &texts)) {
        // `check` refuses them all: see `mistakes`.
        let unseen = UNSEEN.contains(&mistake.title);
        assert_eq!(verdict.is_none(), unseen, "{}: {verdict:?}\n{}", mistake.title, mistake.text());
        by_schema += usize::from(verdict.is_some_and(|why| !why.starts_with("not TOML")));
    }
    assert!(by_schema >= 60, "only {by_schema} mistakes were looked at by the schema");
    for title in UNSEEN {
        assert!(mistakes.iter().any(|mistake| mistake.title == *title), "no such mistake: {title}");
    }
}

#[test]
fn the_shipped_settings_fit_theirs() {
    let mut texts: Vec<String> = ["stillframe.toml", "example/stillframe.toml", "demo/stillframe.toml"]
        .map(|name| fs::read_to_string(shipped().join(name)).expect("readable"))
        .into();
    let good = texts.len();
    texts.extend(
        ["[deamon]\n", "daemon.name = \"Prod\"\n", "cloud.api_share = 50\n", "accounts.dr.id = 222222222222\n"]
            .map(str::to_owned),
    );
    let verdicts = verdicts(&schema(true), &texts);
    assert!(verdicts[..good].iter().all(Option::is_none), "{verdicts:?}");
    assert!(verdicts[good..].iter().all(Option::is_some), "{verdicts:?}");
}

#[test]
fn the_list_of_regions_is_botocores() {
    let output = python::script("regions.py").output().expect("the tests' Python starts");
    assert!(output.status.success(), "regions.py failed: {output:?}");
    let known = String::from_utf8(output.stdout).expect("text");
    assert_eq!(REGIONS, known.lines().collect::<Vec<_>>(), "renew REGIONS in src/config/aws.rs");
}
