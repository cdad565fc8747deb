//! The layers of the settings: defaults, stillframe.toml, `STILLFRAME_<SECTION>__<KEY>`.
//!
//! The `config` crate merges them. It is handed only what the strict walk has already read, since alone it drops
//! line numbers and converts what should be refused.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Config, ConfigError, Environment, Source as Layer, Value as Carried};

use super::check;
use super::fields::{Field, SETTINGS, Table};
use super::installation::{Settings, build, same_account};
use super::kind::Kind;
use super::problem::Problem;
use super::shape;
use super::sheet::Sheet;
use super::source::Source;

/// Before each variable.
pub(super) const PREFIX: &str = "STILLFRAME_";
/// Between section and key, since keys hold single underscores.
pub(super) const SEPARATOR: &str = "__";
/// The layers' names, which the merged values carry.
const FROM_FILE: &str = "stillframe.toml";

/// Reads stillframe.toml in `dir` and lays `env` over it. Nothing if there is an error.
pub fn load(dir: &Path, env: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> Option<Settings> {
    let before = problems.len();
    let source = match Source::read(&dir.join("stillframe.toml")) {
        Ok(source) => source,
        Err(problem) => {
            let hint = "write it, with at least daemon.name = \"prod\", or name another directory with --config DIR";
            problems.push(if problem.hint.is_none() { problem.hint(hint) } else { *problem });
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

/// The key that a variable names, if there is such a key: `STILLFRAME_LOG__LEVEL` is `log.level`.
pub(super) fn key_of(variable: &str) -> Option<(String, &'static Field)> {
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

/// A problem of an environment variable.
pub(super) fn of_variable(variable: &str, key: &str, what: impl Into<String>) -> Problem {
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
