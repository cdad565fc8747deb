//! The one list of all keys: what each holds, its default, and what it is for.

use super::check;
use super::kind::Kind;
use crate::domain::plan::Seconds;

/// A table of TOML and the keys that it may hold.
#[derive(Debug)]
pub struct Table {
    /// Every key, in the order in which people should write them.
    pub fields: &'static [Field],
}

/// One key.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub key: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What holds if it is absent, as plain text.
    pub default: Option<&'static str>,
    /// What a good value looks like, with an example.
    pub form: &'static str,
    /// What it is for.
    pub doc: &'static str,
}

impl Table {
    /// The key called `key`.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }
}

const DAY: Seconds = 86_400;
/// Schedules are missed, and reboots wait, for days at most.
const LATE_MAX: Seconds = 31 * DAY;
/// No rule looks back further than ten years.
const WITHIN_MAX: Seconds = 3660 * DAY;
/// An instance that needs longer to settle is better watched than waited for.
const SETTLE_MAX: Seconds = DAY;
/// systemd and people alike want a service to end.
const DRAIN_MAX: Seconds = 3600;
/// More images than this in a series is a slip: EC2 holds 50,000 in a region.
const KEEP_MAX: u32 = 10_000;
/// As many at once as CreateImage's token bucket holds many times over.
const IN_FLIGHT_MAX: u32 = 1_000;
/// A list in a file that people write.
const LIST_MAX: usize = 1_000;
/// Cron lines of one plan.
const CRON_MAX: usize = 100;

const fn field(key: &'static str, kind: Kind, form: &'static str, doc: &'static str) -> Field {
    Field { key, kind, required: false, default: None, form, doc }
}

const fn required(key: &'static str, kind: Kind, form: &'static str, doc: &'static str) -> Field {
    Field { required: true, ..field(key, kind, form, doc) }
}

const fn with(default: &'static str, plain: Field) -> Field {
    Field { default: Some(default), ..plain }
}

const fn section(key: &'static str, table: &'static Table, doc: &'static str) -> Field {
    field(key, Kind::Section(table), "a table", doc)
}

const fn not_yet(key: &'static str) -> Field {
    field(key, Kind::NotYet, "nothing yet", "not supported by this version")
}

const DURATION: &str = "a duration such as \"90s\", \"15m\", \"2h\" or \"7d\"";
const DURATION_OR_OFF: &str = "a duration such as \"90s\", \"15m\", \"2h\" or \"7d\", or \"off\"";
const NUMBER: &str = "a whole number, 0 or more";
const NUMBER_1: &str = "a whole number, 1 or more";
const TRUE_FALSE: &str = "true or false";
const SELECTOR: &str = "tag keys with a value or a list of values, such as { Backup = \"nightly\" }";

/// stillframe.toml.
pub static SETTINGS: Table = Table {
    fields: &[
        section("daemon", &DAEMON, "this installation"),
        section("cloud", &CLOUD, "where the instances are"),
        section("log", &LOG, "what is written to stderr"),
        section("http", &HTTP, "the status page"),
        field("accounts", Kind::Named(&ACCOUNT), "tables such as [accounts.dr]", "other accounts, by name"),
    ],
};

static DAEMON: Table = Table {
    fields: &[
        required(
            "name",
            Kind::Text(check::daemon_name),
            "1 to 20 of a-z, 0-9 and `-`, such as \"prod\"",
            "the ownership boundary: only images that bear it are ever touched",
        ),
        with(
            "/var/lib/stillframe",
            field(
                "state_dir",
                Kind::Text(check::directory),
                "a directory such as \"/var/lib/stillframe\"",
                "holds the journal; if relative, beside this file",
            ),
        ),
        with(
            "60s",
            field(
                "drain_deadline",
                Kind::Duration { max: DRAIN_MAX, off: false },
                DURATION,
                "how long a stop waits for what is under way",
            ),
        ),
        field(
            "instance",
            Kind::Text(check::own_instance),
            "the id of an instance, or \"none\"",
            "which machine this is, where it cannot find out",
        ),
    ],
};

static CLOUD: Table = Table {
    fields: &[
        with(
            "aws",
            field(
                "backend",
                Kind::Word { words: &["aws", "sim"], later: &[] },
                "\"aws\" or \"sim\"",
                "aws, or a simulated world",
            ),
        ),
        with(
            "0.5",
            field(
                "api_share",
                Kind::Share,
                "a number above 0, at most 1, such as 0.5",
                "the share of each API's rate limit that is used",
            ),
        ),
    ],
};

static LOG: Table = Table {
    fields: &[
        field(
            "format",
            Kind::Word { words: &["json", "text"], later: &[] },
            "\"json\" or \"text\"",
            "default: text at a terminal, json otherwise",
        ),
        with(
            "info",
            field(
                "level",
                Kind::Word { words: &["error", "warn", "info", "debug", "trace"], later: &[] },
                "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
                "the least that is written",
            ),
        ),
    ],
};

static HTTP: Table = Table {
    fields: &[with(
        "127.0.0.1:8484",
        field(
            "listen",
            Kind::Text(check::listen),
            "an IP address and a port, such as \"127.0.0.1:8484\"",
            "where the status page is served",
        ),
    )],
};

/// `[accounts.NAME]`.
pub static ACCOUNT: Table = Table {
    fields: &[
        required(
            "id",
            Kind::Text(check::account_id),
            "twelve digits in quotes, such as \"222222222222\"",
            "the account",
        ),
        required(
            "role_arn",
            Kind::Text(check::role_arn),
            "a role's ARN, such as \"arn:aws:iam::222222222222:role/stillframe\"",
            "the role to assume there",
        ),
        field(
            "external_id",
            Kind::Secret(check::external_id),
            "2 to 1224 of A-Z, a-z, 0-9 and _+=,.@:/-",
            "what the role asks for; never shown",
        ),
    ],
};

/// plans.d/*.toml.
pub static PLAN: Table = Table {
    fields: &[
        field("description", Kind::Text(check::description), "one line of text", "for people"),
        section("schedule", &SCHEDULE, "when"),
        section("select", &SELECT, "which instances"),
        section("consistency", &CONSISTENCY, "how an image becomes consistent"),
        section("rollout", &ROLLOUT, "at what pace"),
        section("keep", &KEEP, "which images stay"),
        not_yet("copy"),
        not_yet("share"),
        field("tags", Kind::Tags, "keys with a value each, such as Team = \"web\"", "tags for images and snapshots"),
    ],
};

static SCHEDULE: Table = Table {
    fields: &[
        required(
            "cron",
            Kind::Texts { check: check::cron, alone: true, max: CRON_MAX },
            "five or six fields, such as \"30 2 * * *\", or a list of such",
            "when the plan is due",
        ),
        with(
            "UTC",
            field(
                "timezone",
                Kind::Text(check::timezone),
                "an IANA name such as \"Europe/Berlin\"",
                "whose wall clock `cron` speaks of",
            ),
        ),
        with(
            "1h",
            field(
                "catch_up",
                Kind::Duration { max: LATE_MAX, off: true },
                DURATION_OR_OFF,
                "run a missed occurrence if at most this late",
            ),
        ),
        with(
            "off",
            field(
                "window",
                Kind::Duration { max: LATE_MAX, off: true },
                DURATION_OR_OFF,
                "no new reboot starts later than this after due",
            ),
        ),
    ],
};

static SELECT: Table = Table {
    fields: &[
        field(
            "regions",
            Kind::Texts { check: check::region, alone: false, max: LIST_MAX },
            "a list of regions such as [\"eu-central-1\"]",
            "default: the SDK's own region",
        ),
        field("tags", Kind::TagSets { may_be_empty: false }, SELECTOR, "all must match"),
        field("exclude_tags", Kind::TagSets { may_be_empty: true }, SELECTOR, "any leaves an instance out"),
        field(
            "instances",
            Kind::Texts { check: check::instance_id, alone: false, max: LIST_MAX },
            "a list of ids such as [\"i-0123456789abcdef0\"]",
            "as well as, or instead of, tags",
        ),
        with(
            "false",
            field(
                "allow_auto_scaling",
                Kind::Flag,
                TRUE_FALSE,
                "whether members of an Auto Scaling group may be rebooted",
            ),
        ),
    ],
};

static CONSISTENCY: Table = Table {
    fields: &[
        with(
            "reboot",
            field(
                "mode",
                Kind::Word { words: &["reboot", "none"], later: &["stop"] },
                "\"reboot\" or \"none\"",
                "reboot: file systems at rest; none: as after a power cut",
            ),
        ),
        with(
            "true",
            field(
                "resend_unknown",
                Kind::Flag,
                TRUE_FALSE,
                "whether a request whose answer was lost may be sent once more",
            ),
        ),
    ],
};

static ROLLOUT: Table = Table {
    fields: &[
        with(
            "1",
            field(
                "max_in_flight",
                Kind::Count { min: 1, max: IN_FLIGHT_MAX },
                NUMBER_1,
                "a reboot starts only while fewer than this many are down, over all plans",
            ),
        ),
        with(
            "3m",
            field(
                "settle",
                Kind::Duration { max: SETTLE_MAX, off: false },
                DURATION,
                "a status check counts only if it was seen this long after the call",
            ),
        ),
        with(
            "15m",
            field(
                "healthy_within",
                Kind::Duration { max: LATE_MAX, off: false },
                DURATION,
                "an instance that is not back by then is unhealthy",
            ),
        ),
        with(
            "halt-plan",
            field(
                "on_unhealthy",
                Kind::Word { words: &["halt-plan", "continue"], later: &["halt-group"] },
                "\"halt-plan\" or \"continue\"",
                "what becomes of the rest of the plan then",
            ),
        ),
        not_yet("group_by"),
        not_yet("max_per_group"),
    ],
};

const fn keep(key: &'static str, doc: &'static str) -> Field {
    with("0", field(key, Kind::Count { min: 0, max: KEEP_MAX }, NUMBER, doc))
}

static KEEP: Table = Table {
    fields: &[
        keep("last", "the newest this many"),
        field(
            "within",
            Kind::Duration { max: WITHIN_MAX, off: false },
            DURATION,
            "all newer than this, counted back from the newest good image",
        ),
        keep("hourly", "the newest of each of this many hours"),
        keep("daily", "the newest of each of this many days"),
        keep("weekly", "the newest of each of this many weeks"),
        keep("monthly", "the newest of each of this many months"),
        keep("yearly", "the newest of each of this many years"),
        with("1", field("min", Kind::Count { min: 1, max: KEEP_MAX }, NUMBER_1, "never fewer good images than this")),
        with(
            "3",
            field(
                "max_deletions",
                Kind::Count { min: 1, max: KEEP_MAX },
                NUMBER_1,
                "at most this many deletions per series and run",
            ),
        ),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(table: &'static Table, see: &mut impl FnMut(&'static Field)) {
        for field in table.fields {
            see(field);
            if let Kind::Section(inner) | Kind::Named(inner) = field.kind {
                walk(inner, see);
            }
        }
    }

    #[test]
    fn every_default_is_a_good_value_and_every_key_is_explained() {
        let mut seen = 0;
        for table in [&SETTINGS, &PLAN] {
            walk(table, &mut |field| {
                seen += 1;
                assert!(!field.form.is_empty() && !field.doc.is_empty(), "{}", field.key);
                assert!(!(field.required && field.default.is_some()), "{}", field.key);
                if let Some(default) = field.default {
                    assert!(field.kind.read_text(default).is_ok(), "{} = {default}", field.key);
                }
            });
        }
        assert!(seen > 40, "{seen}");
    }
}
