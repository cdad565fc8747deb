//! The keys of a plan.

use super::distribution::{COPY, SHARE};
use super::{DURATION, Field, Table, field, like, not_yet, optional, required, section, tables, with};
use crate::config::check;
use crate::config::kind::Kind;
use crate::domain::plan::Seconds;

const DAY: Seconds = 86_400;
/// Schedules are missed, and reboots wait, for days at most.
const LATE_MAX: Seconds = 31 * DAY;
/// No rule looks back further than ten years.
pub(super) const WITHIN_MAX: Seconds = 3660 * DAY;
/// An instance that needs longer to settle is better watched than waited for.
const SETTLE_MAX: Seconds = DAY;
/// More images than this in a series is a slip: EC2 holds 50,000 in a region.
const KEEP_MAX: u32 = 10_000;
/// As many at once as CreateImage's token bucket holds many times over.
const IN_FLIGHT_MAX: u32 = 100_000;
/// A list in a file that people write.
pub(super) const LIST_MAX: usize = 1_000;
/// Cron lines of one plan.
const CRON_MAX: usize = 100;

const DURATION_OR_OFF: &str = "a duration such as \"90s\", \"15m\", \"2h\" or \"7d\", or \"off\"";
const NUMBER: &str = "a whole number, 0 or more";
const NUMBER_1: &str = "a whole number, 1 or more";
pub(super) const TRUE_FALSE: &str = "true or false";
const SELECTOR: &str = "tag keys with a value or a list of values, such as { Backup = \"nightly\" }";

/// One line, without control characters.
const DESCRIPTION: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]{0,255}$";
const CRON: &str = "^\\s*[^\\s@(]+(\\s+\\S+){4,5}\\s*$";
const TIMEZONE: &str = "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$";
pub(super) const REGION: &str = "^[a-z]{2,}(-[a-z]{2,}){1,2}-[0-9]{1,2}$";
const INSTANCE: &str = "^i-([0-9a-f]{8}|[0-9a-f]{17})$";

/// plans.d/*.toml.
pub static PLAN: Table = Table {
    some: &[],
    fields: &[
        like(DESCRIPTION, field("description", Kind::Text(check::description), "one line of text", "for people")),
        section("schedule", &SCHEDULE, "when"),
        section("select", &SELECT, "which instances"),
        section("consistency", &CONSISTENCY, "how an image becomes consistent"),
        section("rollout", &ROLLOUT, "at what pace"),
        section("keep", &KEEP, "which images stay"),
        tables("copy", &COPY, "where each image is copied to"),
        optional("share", &SHARE, "who may use the images and their copies"),
        field("tags", Kind::Tags, "keys with a value each, such as Team = \"web\"", "tags for images and snapshots"),
    ],
};

static SCHEDULE: Table = Table {
    some: &[],
    fields: &[
        like(
            CRON,
            required(
                "cron",
                Kind::Texts { check: check::cron, alone: true, max: CRON_MAX },
                "five or six fields, such as \"30 2 * * *\", or a list of such",
                "when the plan is due",
            ),
        ),
        with(
            "UTC",
            like(
                TIMEZONE,
                field(
                    "timezone",
                    Kind::Text(check::timezone),
                    "an IANA name such as \"Europe/Berlin\"",
                    "whose wall clock `cron` speaks of",
                ),
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
    some: &["tags", "instances"],
    fields: &[
        like(
            REGION,
            field(
                "regions",
                Kind::Texts { check: check::region, alone: false, max: LIST_MAX },
                "a list of regions such as [\"eu-central-1\"]",
                "default: the SDK's own region",
            ),
        ),
        field("tags", Kind::TagSets { may_be_empty: false }, SELECTOR, "all must match"),
        field("exclude_tags", Kind::TagSets { may_be_empty: true }, SELECTOR, "any leaves an instance out"),
        like(
            INSTANCE,
            field(
                "instances",
                Kind::Texts { check: check::instance_id, alone: false, max: LIST_MAX },
                "a list of ids such as [\"i-0123456789abcdef0\"]",
                "as well as, or instead of, tags",
            ),
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
    some: &[],
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
    some: &[],
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
            "30m",
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

pub(super) static KEEP: Table = Table {
    some: &["last", "within", "hourly", "daily", "weekly", "monthly", "yearly"],
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
