//! Mistakes in a plan, as people make them: a title, and what in a good plan is replaced by what.

use std::fmt::Write as _;

use super::distribution;

/// A good plan; each mistake replaces a part of it.
pub const PLAN: &str = r#"description = "Web tier"

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

/// A mistake.
#[derive(Debug)]
pub struct Mistake {
    /// What a person would call it.
    pub title: &'static str,
    pub(super) from: &'static str,
    pub(super) to: String,
}

impl Mistake {
    /// The plan with this mistake.
    ///
    /// # Panics
    /// If what is replaced is not there: such a mistake would be none.
    pub fn text(&self) -> String {
        assert!(PLAN.contains(self.from), "{}: the plan does not hold {:?}", self.title, self.from);
        PLAN.replacen(self.from, &self.to, 1)
    }
}

fn rows<const N: usize>(rows: [(&'static str, &'static str, &str); N]) -> Vec<Mistake> {
    rows.into_iter().map(|(title, from, to)| Mistake { title, from, to: to.to_owned() }).collect()
}

/// All of them, by the name of the golden file that shows what is said about them.
pub fn groups() -> Vec<(&'static str, Vec<Mistake>)> {
    vec![
        ("keys", keys()),
        ("not_built_yet", not_built_yet()),
        ("toml_itself", toml_itself()),
        ("schedules", schedules()),
        ("selections", selections()),
        ("numbers_and_words", numbers_and_words()),
        ("tags", tags()),
        ("copies", distribution::copies()),
        ("shares", distribution::shares()),
    ]
}

fn keys() -> Vec<Mistake> {
    let as_number = "keep = 7\n[schedule]\ncron = \"30 2 * * *\"\n[select]\ntags = { Backup = \"nightly\" }\n";
    rows([
        ("a misspelled key", "timezone =", "timzone ="),
        ("a misspelled required key", "cron =", "corn ="),
        ("a misspelled section", "[schedule]", "[shedule]"),
        ("an unknown key", "cron =", "quux = 1\ncron ="),
        ("a key in the wrong section", "[select]\n", "[select]\nlast = 3\n"),
        ("a key without its section", "description = \"Web tier\"", "timezone = \"UTC\""),
        ("a section that is not a table", "[keep]\nlast = 3\nwithin = \"14d\"\ndaily = 7\n", "[[keep]]\nlast = 3\n"),
        ("a section given as a number", PLAN, as_number),
        ("a section given as a number below another", "[keep]\nlast = 3\nwithin = \"14d\"\ndaily = 7\n", "keep = 7\n"),
        ("a section inside another", "[tags]", "[keep.tags]"),
        ("a required key is missing", "cron = \"30 2 * * *\"\n", ""),
        ("everything is missing", PLAN, ""),
        ("no keep section", "[keep]\nlast = 3\nwithin = \"14d\"\ndaily = 7\n", ""),
    ])
}

fn not_built_yet() -> Vec<Mistake> {
    rows([
        ("stop", "mode = \"reboot\"", "mode = \"stop\""),
        ("halt-group", "\"halt-plan\"", "\"halt-group\""),
        ("groups", "max_in_flight = 1", "max_in_flight = 1\ngroup_by = \"tag:Cluster\"\nmax_per_group = 1"),
    ])
}

fn toml_itself() -> Vec<Mistake> {
    rows([
        ("an unclosed string", "\"30 2 * * *\"", "\"30 2 * * *"),
        ("a bare word", "\"halt-plan\"", "halt-plan"),
        ("no value", "last = 3", "last ="),
        ("an unclosed table header", "[keep]", "[keep"),
        ("an unclosed list", "[\"eu-central-1\"]", "[\"eu-central-1\""),
        ("a duplicate key", "last = 3", "last = 3\nlast = 4"),
        ("a duplicate section", "[tags]\n", "[keep]\nweekly = 1\n[tags]\n"),
        ("a duplicate tag", "Team = \"web\"", "Team = \"web\"\nTeam = \"db\""),
        ("YAML", "last = 3", "last: 3"),
        ("curly quotes", "\"30 2 * * *\"", "\u{201c}30 2 * * *\u{201d}"),
        ("yes", "allow_auto_scaling = false", "allow_auto_scaling = yes"),
        ("True", "allow_auto_scaling = false", "allow_auto_scaling = True"),
        ("a leading zero", "daily = 7", "daily = 07"),
        ("a duration without quotes", "\"14d\"", "14d"),
        ("a comment of another language", "last = 3", "// three\nlast = 3"),
        ("two keys in a line", "last = 3\n", "last = 3, "),
        ("a broken line and a mistake elsewhere", "mode = \"reboot\"", "mode = reboot\"\nresend_unknown = 1"),
    ])
}

fn schedules() -> Vec<Mistake> {
    rows([
        ("not cron", "\"30 2 * * *\"", "\"nightly\""),
        ("four fields", "\"30 2 * * *\"", "\"30 2 * *\""),
        ("seven fields", "\"30 2 * * *\"", "\"0 30 2 * * * 2026\""),
        ("an hour that does not exist", "\"30 2 * * *\"", "\"30 25 * * *\""),
        ("a date that never comes", "\"30 2 * * *\"", "\"0 0 30 2 *\""),
        ("one of a list", "\"30 2 * * *\"", "[\"30 2 * * *\", \"61 2 * * *\"]"),
        ("the same twice", "\"30 2 * * *\"", "[\"30 2 * * *\", \"30 2 * * *\"]"),
        ("an hour that is 24", "\"30 2 * * *\"", "\"0 24 * * *\""),
        ("a minute that does not exist", "\"30 2 * * *\"", "\"0,60 2 * * *\""),
        ("a day that does not exist", "\"30 2 * * *\"", "\"30 2 32 * *\""),
        ("a month that does not exist", "\"30 2 * * *\"", "\"30 2 1 13 *\""),
        ("a weekday that does not exist", "\"30 2 * * *\"", "\"30 2 * * 8\""),
        ("a weekday in full", "\"30 2 * * *\"", "\"30 2 * * Monday\""),
        ("a weekday in the wrong field", "\"30 2 * * *\"", "\"30 2 * MON *\""),
        ("a time with a colon", "\"30 2 * * *\"", "\"2:30 * * * *\""),
        ("a range that runs backwards", "\"30 2 * * *\"", "\"30 22-4 * * *\""),
        ("weekdays that run backwards", "\"30 2 * * *\"", "\"30 2 * * FRI-MON\""),
        ("a step of nothing", "\"30 2 * * *\"", "\"*/0 2 * * *\""),
        ("a step longer than an hour", "\"30 2 * * *\"", "\"*/90 * * * *\""),
        ("a step without a range", "\"30 2 * * *\"", "\"5/15 * * * *\""),
        ("a comma too many", "\"30 2 * * *\"", "\"30 2,,14 * * *\""),
        ("the last days of a month", "\"30 2 * * *\"", "\"30 2 31 4,6 *\""),
        ("a nickname", "\"30 2 * * *\"", "\"@daily\""),
        ("a line of EventBridge", "\"30 2 * * *\"", "\"cron(30 2 * * ? *)\""),
        ("the fields of EventBridge", "\"30 2 * * *\"", "\"30 2 * * ? *\""),
        ("a rate of EventBridge", "\"30 2 * * *\"", "\"rate(1 day)\""),
        ("an empty line", "\"30 2 * * *\"", "\"\""),
        ("an empty list", "\"30 2 * * *\"", "[]"),
        ("a number", "\"30 2 * * *\"", "30"),
        ("a misspelled zone", "Europe/Berlin", "Europe/Berln"),
        ("half a zone", "Europe/Berlin", "berlin"),
        ("an unknown zone", "Europe/Berlin", "Moonbase"),
        ("an abbreviation", "Europe/Berlin", "PST"),
        ("an abbreviation of the summer", "Europe/Berlin", "CEST"),
        ("an offset", "Europe/Berlin", "UTC+1"),
        ("a duration without a unit", "catch_up = \"1h\"", "catch_up = \"90\""),
        ("a duration as a number", "catch_up = \"1h\"", "catch_up = 3600"),
        ("a compound duration", "catch_up = \"1h\"", "catch_up = \"1h30m\""),
        ("a duration in words", "catch_up = \"1h\"", "catch_up = \"2 hours\""),
        ("weeks", "catch_up = \"1h\"", "catch_up = \"1w\""),
        ("none instead of off", "window = \"3h\"", "window = \"none\""),
        ("false instead of off", "window = \"3h\"", "window = false"),
        ("zero", "window = \"3h\"", "window = \"0s\""),
        ("far too long", "window = \"3h\"", "window = \"400d\""),
    ])
}

fn selections() -> Vec<Mistake> {
    let both = "tags = { Backup = \"nightly\" }\nexclude_tags = { \"stillframe:skip\" = \"*\" }\n\
                instances = [\"i-0123456789abcdef0\"]\n";
    rows([
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
        ("an id with a slip", "i-0123456789abcdef0", "i-0123456789abcdefg"),
        ("a wildcard", "i-0123456789abcdef0", "i-0123*"),
        ("ids that are numbers", "\"i-0123456789abcdef0\"", "123"),
        ("an id twice", "\"i-0123456789abcdef0\"", "\"i-00000001\", \"i-00000001\""),
        ("ids as a text", "[\"i-0123456789abcdef0\"]", "\"i-0123456789abcdef0\""),
        ("a region in capitals", "eu-central-1", "EU-CENTRAL-1"),
        ("a city", "eu-central-1", "Frankfurt"),
        ("an availability zone", "eu-central-1", "eu-central-1a"),
        ("a misspelled region", "eu-central-1", "eu-central1"),
        ("a text instead of a flag", "allow_auto_scaling = false", "allow_auto_scaling = \"false\""),
    ])
}

fn numbers_and_words() -> Vec<Mistake> {
    rows([
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
        ("settled after healthy", "settle = \"3m\"", "settle = \"20m\""),
        ("a misspelled word", "\"halt-plan\"", "\"haltplan\""),
        ("an unknown mode", "\"reboot\"", "\"snapshot\""),
    ])
}

fn tags() -> Vec<Mistake> {
    let many = (0..40).fold(String::from("[tags]\n"), |mut all, n| {
        writeln!(all, "T{n} = \"x\"").unwrap();
        all
    });
    rows([
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
    ])
}
