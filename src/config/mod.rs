//! Settings and plans from TOML: shape, merged, checked; all problems at once.
//!
//! `fields` lists every key; `shape` walks a file by that list and fills a `sheet`; `settings` merges the layers;
//! `plan` and `installation` check what no single key can tell and build the types that cannot hold nonsense; `lint`
//! warns of what is legal but will surprise.

mod arns;
mod aws;
mod broken;
mod check;
mod distribution;
mod duration;
pub mod fields;
mod file;
mod installation;
pub mod kind;
mod lint;
mod lists;
pub mod pace;
mod plan;
mod problem;
mod restart;
pub mod schema;
mod secret;
mod settings;
mod shape;
mod sheet;
mod source;
mod suggest;
#[cfg(test)]
mod tests;
mod variables;
mod veil;
mod zones;

use std::collections::BTreeMap;
use std::path::Path;

pub use aws::REGIONS;
pub use duration::{read_duration, show_duration};
pub use installation::{Account, Backend, Cloud, Daemon, DaemonInstance, Http, Log, LogFormat, LogLevel, Settings};
pub use problem::{Problem, Problems, Severity, SourceLine};
pub use secret::Secret;
pub use zones::old_zones;

use crate::domain::plan::Plan;
use crate::domain::zone::ZoneSource;
use distribution::Accounts;
use plan::Checked;
use source::Source;
use zones::Zones;

/// A configuration without errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// stillframe.toml, with the environment over it.
    pub settings: Settings,
    /// plans.d/*.toml, sorted by name.
    pub plans: Vec<Plan>,
    /// Whose rules the time zones of the plans follow.
    pub zones: ZoneSource,
    /// What is allowed but will surprise.
    pub warnings: Problems,
}

/// The variables of this process; what is not UTF-8 in a value reads U+FFFD.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.to_string_lossy().into_owned())))
}

/// Reads and checks the whole configuration in `dir`, with `env` over its settings.
///
/// # Errors
/// All problems of all files, sorted by place, if any of them is an error.
pub fn load(dir: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, Problems> {
    load_what_is_good(dir, env).and_then(|loaded| match loaded.warnings.errors() {
        0 => Ok(loaded),
        _ => Err(loaded.warnings),
    })
}

/// The same for those who only look: a plan that is wrong is left out, and what is wrong with it is among the warnings.
///
/// # Errors
/// All problems of all files, sorted by place, if the settings are wrong.
pub fn load_what_is_good(dir: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let env: BTreeMap<String, String> = env.collect();
    if !dir.is_dir() {
        let what = if dir.exists() { "is not a directory" } else { "does not exist" };
        let missing = Problem::of_file(dir.display().to_string(), what);
        return Err(Problems::new(vec![
            missing.hint("name the directory that holds stillframe.toml and plans.d with --config DIR"),
        ]));
    }
    let zones = Zones::look(&env);
    let settings = settings::load(dir, &env, &mut problems);
    let accounts = settings.as_ref().map(|settings| &settings.accounts);
    let checked = load_plans(&dir.join("plans.d"), accounts, &zones, &mut problems);
    variables::warn(&env, &mut problems);
    lint::warn(&checked, settings.as_ref(), &env, &mut problems);
    let plans: Vec<Plan> = checked.into_iter().map(|checked| checked.plan).collect();
    zones.warn(plans.iter(), &mut problems);
    let problems = Problems::new(problems);
    match settings {
        Some(settings) => Ok(Loaded { settings, plans, zones: zones.source(), warnings: problems }),
        None => Err(problems),
    }
}

fn load_plans(dir: &Path, accounts: Accounts<'_>, zones: &Zones, problems: &mut Vec<Problem>) -> Vec<Checked> {
    let shown = dir.display().to_string();
    let entries = match std::fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(e) => {
            problems.push(match e.kind() {
                std::io::ErrorKind::NotFound => Problem::of_file(shown, "does not exist: there are no plans")
                    .hint("make the directory and put plans into it, such as web-nightly.toml")
                    .warning(),
                std::io::ErrorKind::PermissionDenied => Problem::of_file(shown, "cannot be read: permission denied")
                    .hint("let the user that stillframe runs as read it"),
                _ => Problem::of_file(shown, format!("cannot be read: {e}")),
            });
            return Vec::new();
        }
    };
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let mut plans = Vec::new();
    let mut seen = 0;
    for path in &paths {
        let toml = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"));
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !toml {
            problems.extend(beside(path));
            continue;
        }
        if hidden || path.extension().is_some_and(|e| e != "toml") {
            let what = if hidden { "is hidden: it is not read" } else { "does not end in .toml: it is not read" };
            let hint = "rename it if it is a plan; move it elsewhere if not";
            problems.push(Problem::of_file(path.display().to_string(), what).hint(hint).warning());
            continue;
        }
        seen += 1;
        plans.extend(load_plan(path, accounts, zones, problems));
    }
    if seen == 0 {
        let none = Problem::of_file(shown, "holds no plan: nothing will be imaged");
        problems.push(none.hint("put a plan into it, such as web-nightly.toml").warning());
    }
    plans.sort_by(|a: &Checked, b| a.plan.name.cmp(&b.plan.name));
    plans
}

/// A warning of a file that may be taken for a plan, but is none: of another language, or an old one that was put aside.
/// What says that it is put aside (`.disabled`) is left alone.
fn beside(path: &Path) -> Option<Problem> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let (stem, last) = name.rsplit_once('.').unwrap_or((&name, ""));
    let other = matches!(last, "yml" | "yaml" | "json" | "json5" | "ini" | "conf" | "tml");
    let aside = name.contains(".toml") && !matches!(last, "disabled" | "off" | "example" | "sample");
    // What an editor keeps while a file is open.
    let open = name.starts_with('.') || name.starts_with('#');
    if stem.is_empty() || open || !(other || aside) || !path.is_file() {
        return None;
    }
    let hint = if other {
        "plans are TOML: write it as one, with a name that ends in .toml; or move it elsewhere"
    } else {
        "rename it if it is a plan; move it elsewhere if not"
    };
    Some(Problem::of_file(path.display().to_string(), "does not end in .toml: it is not read").hint(hint).warning())
}

/// "write `web-nightly`" in terms of a file.
fn rename(hint: &str) -> String {
    match hint.strip_prefix("write `").and_then(|rest| rest.strip_suffix('`')) {
        Some(stem) => format!("rename the file to `{stem}.toml`"),
        None => hint.to_owned(),
    }
}

fn load_plan(path: &Path, accounts: Accounts<'_>, zones: &Zones, problems: &mut Vec<Problem>) -> Option<Checked> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let named = check::plan_name(&stem);
    if let Err(complaint) = &named {
        problems.push(Problem {
            key: "name".into(),
            expected: Some("a file name of 1 to 40 of a-z, 0-9, `.`, `_` and `-` before .toml".into()),
            hint: complaint.hint.as_deref().map(rename),
            ..Problem::of_file(path.display().to_string(), complaint.what.clone())
        });
    }
    match Source::read(path) {
        Ok(source) => plan::check(&stem, source, accounts, zones, problems).filter(|_| named.is_ok()),
        Err(problem) => {
            problems.push(*problem);
            None
        }
    }
}
