//! The keys of stillframe.toml.

use super::plan::TRUE_FALSE;
use super::{DURATION, Table, field, like, required, section, with};
use crate::config::check;
use crate::config::kind::Kind;
use crate::domain::plan::Seconds;

/// systemd and people alike want a service to end.
const DRAIN_MAX: Seconds = 3600;
/// EC2 guide, "Eventual consistency": "up to a few minutes".
const VISIBLE_MAX: Seconds = 3600;
/// Status checks and shutdowns that take longer are no lag.
const LAG_MAX: Seconds = 3600;

/// stillframe.toml.
pub static SETTINGS: Table = Table {
    some: &[],
    fields: &[
        section("daemon", &DAEMON, "this installation"),
        section("cloud", &CLOUD, "where the instances are"),
        section("log", &LOG, "what is written to stderr"),
        section("http", &HTTP, "the status page"),
        field("accounts", Kind::Named(&ACCOUNT), "tables such as [accounts.dr]", "other accounts, by name"),
    ],
};

static DAEMON: Table = Table {
    some: &[],
    fields: &[
        like(
            "^[a-z0-9-]{1,20}$",
            required(
                "name",
                Kind::Text(check::daemon_name),
                "1 to 20 of a-z, 0-9 and `-`, such as \"prod\"",
                "the ownership boundary: only images that bear it are ever touched",
            ),
        ),
        with(
            "/var/lib/stillframe",
            like(
                "^[^~]",
                field(
                    "state_dir",
                    Kind::Text(check::directory),
                    "a directory such as \"/var/lib/stillframe\"",
                    "holds the journal; if relative, beside this file",
                ),
            ),
        ),
        with(
            "60s",
            field(
                "drain_deadline",
                Kind::Duration { max: DRAIN_MAX, off: false },
                DURATION,
                "how long a stop waits for the calls to AWS that are under way; not for instances to come back, nor for images",
            ),
        ),
        like(
            "^(none|i-([0-9a-f]{8}|[0-9a-f]{17}))$",
            field(
                "instance",
                Kind::Text(check::own_instance),
                "the id of an instance, or \"none\"",
                "which machine this is, where it cannot find out",
            ),
        ),
    ],
};

static CLOUD: Table = Table {
    some: &[],
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
        with(
            "5m",
            field(
                "visible_within",
                Kind::Duration { max: VISIBLE_MAX, off: false },
                DURATION,
                "how long AWS may take to list what was just made",
            ),
        ),
        with(
            "6m",
            field(
                "status_lag",
                Kind::Duration { max: LAG_MAX, off: false },
                DURATION,
                "how far status checks may lag the truth",
            ),
        ),
        with(
            "4m",
            field(
                "shutdown_limit",
                Kind::Duration { max: LAG_MAX, off: false },
                DURATION,
                "when AWS resets a guest that does not shut down",
            ),
        ),
        with(
            "false",
            field(
                "trust_snapshot_time",
                Kind::Flag,
                TRUE_FALSE,
                "whether snapshots that were begun prove that the guest was down",
            ),
        ),
    ],
};

static LOG: Table = Table {
    some: &[],
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
    some: &[],
    fields: &[with(
        "127.0.0.1:8484",
        like(
            "^[0-9.]+:[0-9]{1,5}$|^\\[[0-9A-Fa-f:.%]+\\]:[0-9]{1,5}$",
            field(
                "listen",
                Kind::Text(check::listen),
                "an IP address and a port, such as \"127.0.0.1:8484\"",
                "where the status page is served",
            ),
        ),
    )],
};

/// `[accounts.NAME]`.
pub static ACCOUNT: Table = Table {
    some: &[],
    fields: &[
        like(
            "^[0-9]{12}$",
            required(
                "id",
                Kind::Text(check::account_id),
                "twelve digits in quotes, such as \"222222222222\"",
                "the account",
            ),
        ),
        like(
            "^arn:aws(-cn|-us-gov)?:iam::[0-9]{12}:role/",
            required(
                "role_arn",
                Kind::Text(check::role_arn),
                "a role's ARN, such as \"arn:aws:iam::222222222222:role/stillframe\"",
                "the role to assume there",
            ),
        ),
        like(
            "^[A-Za-z0-9_+=,.@:/-]{2,1224}$",
            field(
                "external_id",
                Kind::Secret(check::external_id),
                "2 to 1224 of A-Z, a-z, 0-9 and _+=,.@:/-",
                "what the role asks for; never shown",
            ),
        ),
    ],
};
