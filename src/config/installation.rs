//! The settings, checked: types that cannot hold nonsense, and what no single key can tell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::check;
use super::problem::Problem;
use super::secret::Secret;
use super::settings::of_variable;
use super::sheet::Sheet;
use super::source::Source;
use crate::domain::evidence::Lags;
use crate::domain::plan::Seconds;
use crate::domain::words::words;

/// stillframe.toml, checked, with the environment over it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// `[daemon]`.
    pub daemon: Daemon,
    /// `[cloud]`.
    pub cloud: Cloud,
    /// `[log]`.
    pub log: Log,
    /// `[http]`.
    pub http: Http,
    /// `[accounts.NAME]`.
    pub accounts: BTreeMap<String, Account>,
}

/// `[daemon]`: this installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Daemon {
    /// The ownership boundary: `[a-z0-9-]{1,20}`.
    pub name: String,
    /// Where the journal is; resolved against the configuration directory.
    pub state_dir: PathBuf,
    /// How long a stop waits, in seconds.
    pub drain_deadline: Seconds,
    /// Which machine this is, if a person said so.
    pub instance: Option<DaemonInstance>,
}

/// `daemon.instance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DaemonInstance {
    /// This instance.
    Id(String),
    /// No EC2 instance at all.
    None,
}

/// `[cloud]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cloud {
    /// Where the instances are.
    pub backend: Backend,
    /// The share of each API's documented rate that is used: above 0, at most 1.
    pub api_share: f64,
    /// How long AWS may take to list what was just made.
    pub visible_within: Seconds,
    /// How far status checks may lag the truth.
    pub status_lag: Seconds,
    /// When AWS resets a guest that does not shut down.
    pub shutdown_limit: Seconds,
    /// Whether the StartTime of snapshots proves that the guest was down.
    pub trust_snapshot_time: bool,
}

impl Cloud {
    /// The same, as what proves a return takes it.
    #[must_use]
    pub fn lags(&self) -> Lags {
        Lags {
            status: Duration::from_secs(self.status_lag),
            shutdown: Duration::from_secs(self.shutdown_limit),
            trust_snapshot_time: self.trust_snapshot_time,
        }
    }
}

words! {
    /// `cloud.backend`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Backend {
        /// AWS, through the SDK's own chain.
        Aws = "aws",
        /// The simulated world, saved in the state directory.
        Sim = "sim",
    }
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Nothing: text at a terminal, JSON otherwise.
    pub format: Option<LogFormat>,
    /// The least that is written.
    pub level: LogLevel,
}

words! {
    /// `log.format`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum LogFormat {
        /// One JSON document per line.
        Json = "json",
        /// For people.
        Text = "text",
    }
}

words! {
    /// `log.level`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
    #[serde(rename_all = "lowercase")]
    #[allow(missing_docs)] // the words of `tracing`
    pub enum LogLevel {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
        Trace = "trace",
    }
}

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Http {
    /// Where the status page is served.
    pub listen: SocketAddr,
}

/// `[accounts.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// The role to assume there; of the same account.
    pub role_arn: String,
    /// What the role asks for, if it does.
    pub external_id: Option<Secret>,
}

/// A role is assumed in its own account only.
pub(super) fn same_account(
    sheet: &Sheet,
    source: &Source,
    variables: &BTreeMap<String, (String, String)>,
    problems: &mut Vec<Problem>,
) {
    for name in sheet.names("accounts") {
        let (id, arn) = (format!("accounts.{name}.id"), format!("accounts.{name}.role_arn"));
        if let (Some(account), Some(role)) = (sheet.text(&id), sheet.text(&arn))
            && let Some(other) = check::role_account(role)
            && other != account
        {
            let what = format!("is a role of account {other}, but {id} is {account}");
            let problem = match variables.get(&arn) {
                Some((variable, _)) => of_variable(variable, &arn, what),
                None => source.problem(sheet.span(&arn), &arn, what),
            };
            problems.push(problem.hint("make both name the same account"));
        }
    }
}

/// The settings of a sheet without problems; a relative `state_dir` is relative to `dir`.
pub(super) fn build(dir: &Path, sheet: &Sheet) -> Option<Settings> {
    let account = |name: String| -> Option<(String, Account)> {
        let text = |key: &str| sheet.text(&format!("accounts.{name}.{key}")).map(str::to_owned);
        let account =
            Account { id: text("id")?, role_arn: text("role_arn")?, external_id: text("external_id").map(Secret::new) };
        Some((name, account))
    };
    Some(Settings {
        daemon: Daemon {
            name: sheet.text("daemon.name")?.to_owned(),
            state_dir: dir.join(sheet.text("daemon.state_dir")?),
            drain_deadline: sheet.seconds("daemon.drain_deadline")?,
            instance: sheet.text("daemon.instance").map(|id| match id {
                "none" => DaemonInstance::None,
                id => DaemonInstance::Id(id.to_owned()),
            }),
        },
        cloud: Cloud {
            backend: Backend::parse(sheet.text("cloud.backend")?)?,
            api_share: sheet.share("cloud.api_share"),
            visible_within: sheet.seconds("cloud.visible_within")?,
            status_lag: sheet.seconds("cloud.status_lag")?,
            shutdown_limit: sheet.seconds("cloud.shutdown_limit")?,
            trust_snapshot_time: sheet.flag("cloud.trust_snapshot_time"),
        },
        log: Log {
            format: sheet.text("log.format").and_then(LogFormat::parse),
            level: LogLevel::parse(sheet.text("log.level")?)?,
        },
        http: Http { listen: sheet.text("http.listen")?.parse().ok()? },
        accounts: sheet.names("accounts").into_iter().map(account).collect::<Option<_>>()?,
    })
}
