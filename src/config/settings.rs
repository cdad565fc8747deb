//! The daemon's own settings, layered: defaults, stillframe.toml, `STILLFRAME_<SECTION>__<KEY>`.
//!
//! The `config` crate merges the layers and knows where each value came from. It is handed only what the strict
//! walk has already read, since alone it drops line numbers and converts what should be refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Environment, Source as Layer, Value as Carried};
use serde::Serialize;

use super::check;
use super::fields::{Field, SETTINGS, Table};
use super::kind::Kind;
use super::problem::Problem;
use super::secret::Secret;
use super::shape::{self, Sheet};
use super::source::Source;
use crate::domain::plan::Seconds;

/// Before each variable.
const PREFIX: &str = "STILLFRAME_";
/// Between section and key, since keys hold single underscores.
const SEPARATOR: &str = "__";
/// The layers' names, which the merged values carry.
const FROM_FILE: &str = "stillframe.toml";

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
}

/// `cloud.backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// AWS, through the SDK's own chain.
    Aws,
    /// The simulated world, saved in the state directory.
    Sim,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Nothing: text at a terminal, JSON otherwise.
    pub format: Option<LogFormat>,
    /// The least that is written.
    pub level: LogLevel,
}

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON document per line.
    Json,
    /// For people.
    Text,
}

/// `log.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // the words of `tracing`
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The word of the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
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

/// Reads stillframe.toml in `dir` and lays `env` over it. Nothing if there is an error.
pub fn load(dir: &Path, env: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> Option<Settings> {
    let before = problems.len();
    let source = match Source::read(&dir.join("stillframe.toml")) {
        Ok(source) => source,
        Err(problem) => {
            let hint = "it needs at least: daemon.name = \"prod\"; name another directory with --config DIR";
            problems.push(if problem.hint.is_none() { problem.hint(hint) } else { problem });
            return None;
        }
    };
    // A key that must be there may come from the environment, so it is missed only after merging.
    let file = shape::read(&source, &SETTINGS, false, problems);
    let variables = read_env(env, problems);
    let mut sheet = merge(&file, &variables, &source, problems)?;
    missing(&mut sheet, &source, problems);
    same_account(&sheet, &source, &variables, problems);
    if problems.len() > before {
        return None;
    }
    build(dir, &sheet)
}

/// The key that a variable names, if there is such a key: `STILLFRAME_LOG__LEVEL` is `log.level`.
fn key_of(variable: &str) -> Option<(String, &'static Field)> {
    let parts: Vec<String> = variable.strip_prefix(PREFIX)?.split(SEPARATOR).map(str::to_lowercase).collect();
    let section = SETTINGS.field(parts.first()?)?;
    let field = match (section.kind, &parts[1..]) {
        (Kind::Section(table), [key]) => table.field(key)?,
        (Kind::Named(table), [name, key]) if check::account_name(name).is_ok() => table.field(key)?,
        _ => return None,
    };
    Some((parts.join("."), field))
}

/// The variables that name a key, by its path: (variable, value). Bad values are reported and left out.
fn read_env(env: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> BTreeMap<String, (String, String)> {
    let mut good = BTreeMap::new();
    for (variable, text) in env {
        let Some((path, field)) = key_of(variable) else { continue };
        match field.kind.read_text(text) {
            Ok(_) => {
                good.insert(path, (variable.clone(), text.clone()));
            }
            Err(complaint) => problems.push(Problem {
                expected: Some(field.form.to_owned()),
                hint: complaint.hint,
                ..of_variable(variable, &path, complaint.what)
            }),
        }
    }
    good
}

fn of_variable(variable: &str, key: &str, what: impl Into<String>) -> Problem {
    Problem { line: 0, col: 0, key: key.to_owned(), ..Problem::of_file(variable, what) }
}

/// The file's own values as a layer.
#[derive(Debug, Clone)]
struct Walked(BTreeMap<String, String>);

impl Layer for Walked {
    fn clone_into_box(&self) -> Box<dyn Layer + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, Carried>, ConfigError> {
        let origin = FROM_FILE.to_owned();
        Ok(self.0.iter().map(|(path, text)| (path.clone(), Carried::new(Some(&origin), text.as_str()))).collect())
    }
}

fn merge(
    file: &Sheet,
    variables: &BTreeMap<String, (String, String)>,
    source: &Source,
    problems: &mut Vec<Problem>,
) -> Option<Sheet> {
    let walked = Walked(file.plain().map(|(path, text)| (path.to_owned(), text.to_owned())).collect());
    let environment = Environment::with_prefix(PREFIX.trim_end_matches('_'))
        .prefix_separator("_")
        .separator(SEPARATOR)
        .source(Some(variables.values().cloned().collect()));
    let layers = defaults(&SETTINGS, "", Config::builder().add_source(walked).add_source(environment));
    let merged = match layers.and_then(|layers| layers.build()) {
        Ok(merged) => merged,
        Err(e) => {
            problems.push(source.problem(None, "", format!("cannot be merged with the environment: {e}")));
            return None;
        }
    };
    let mut sheet = file.clone();
    let mut names: Vec<String> = file.names("accounts");
    names.extend(
        variables.keys().filter_map(|path| Some(path.strip_prefix("accounts.")?.split('.').next()?.to_owned())),
    );
    names.sort();
    names.dedup();
    for (path, field) in paths(&names) {
        if let Ok(text) = merged.get_string(&path)
            && let Ok(value) = field.kind.read_text(&text)
        {
            sheet.put(&path, value);
        }
    }
    Some(sheet)
}

type Layers = config::builder::ConfigBuilder<config::builder::DefaultState>;

/// Sets each default of `table` in the lowest layer.
fn defaults(table: &'static Table, path: &str, mut layers: Layers) -> Result<Layers, ConfigError> {
    for field in table.fields {
        let here = if path.is_empty() { field.key.to_owned() } else { format!("{path}.{}", field.key) };
        if let Kind::Section(inner) = field.kind {
            layers = defaults(inner, &here, layers)?;
        } else if let Some(default) = field.default {
            layers = layers.set_default(here, default)?;
        }
    }
    Ok(layers)
}

/// Each key of the settings that holds one value, with these accounts.
fn paths(accounts: &[String]) -> Vec<(String, &'static Field)> {
    let mut all = Vec::new();
    for section in SETTINGS.fields {
        match section.kind {
            Kind::Section(table) => all.extend(table.fields.iter().map(|f| (format!("{}.{}", section.key, f.key), f))),
            Kind::Named(table) => {
                for name in accounts {
                    all.extend(table.fields.iter().map(|f| (format!("{}.{name}.{}", section.key, f.key), f)));
                }
            }
            _ => {}
        }
    }
    all
}

fn missing(sheet: &mut Sheet, source: &Source, problems: &mut Vec<Problem>) {
    for (path, field) in paths(&sheet.names("accounts")) {
        if !field.required || sheet.text(&path).is_some() || !sheet.sound(&[&path]) {
            continue;
        }
        let (section, key) = path.rsplit_once('.').unwrap_or(("", &path));
        let variable = format!("{PREFIX}{}", path.to_uppercase().replace('.', SEPARATOR));
        let anchor = sheet.span(section);
        let hint = match &anchor {
            Some(_) => format!("add `{key} = ...` here"),
            None => format!("add a section [{section}] with `{key} = ...`, or set {variable}"),
        };
        let expected = Some(field.form.to_owned());
        problems.push(Problem { expected, ..source.problem(anchor, path.clone(), "is missing").hint(hint) });
    }
}

/// A role is assumed in its own account only.
fn same_account(
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

fn build(dir: &Path, sheet: &Sheet) -> Option<Settings> {
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
            backend: match sheet.text("cloud.backend")? {
                "sim" => Backend::Sim,
                _ => Backend::Aws,
            },
            api_share: sheet.share("cloud.api_share"),
        },
        log: Log {
            format: sheet.text("log.format").map(|word| match word {
                "text" => LogFormat::Text,
                _ => LogFormat::Json,
            }),
            level: match sheet.text("log.level")? {
                "error" => LogLevel::Error,
                "warn" => LogLevel::Warn,
                "debug" => LogLevel::Debug,
                "trace" => LogLevel::Trace,
                _ => LogLevel::Info,
            },
        },
        http: Http { listen: sheet.text("http.listen")?.parse().ok()? },
        accounts: sheet.names("accounts").into_iter().map(account).collect::<Option<_>>()?,
    })
}
