//! Variables that were probably meant for us, but name no key: they are not read, and that is said.

use std::collections::BTreeMap;

use super::fields::SETTINGS;
use super::kind::Kind;
use super::problem::Problem;
use super::settings::{PREFIX, SEPARATOR, key_of, of_variable};

/// Names that differ in so many letters are the same one misspelled; of short ones, in one.
const SLIPS: usize = 2;
/// A name without its underscores is short up to here.
const SHORT: usize = 8;

/// Warns of each variable that is nearly one of ours.
pub(super) fn warn(env: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
    let known: Vec<(String, String)> = names().into_iter().map(|name| (bare(&name), name)).collect();
    for variable in env.keys().filter(|variable| key_of(variable).is_none()) {
        if let Some(meant) = meant(variable, &known) {
            let problem = of_variable(variable, "", "is not read: no setting has this name");
            problems.push(problem.hint(format!("did you mean `{meant}`?")).warning());
        }
    }
}

/// Every variable that is read, those of accounts left out.
fn names() -> Vec<String> {
    let mut all = Vec::new();
    for section in SETTINGS.fields {
        if let Kind::Section(table) = section.kind {
            all.extend(table.fields.iter().map(|field| name(&[section.key, field.key])));
        }
    }
    all
}

fn name(parts: &[&str]) -> String {
    format!("{PREFIX}{}", parts.join(SEPARATOR).to_uppercase())
}

fn bare(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

fn meant(variable: &str, known: &[(String, String)]) -> Option<String> {
    let given = bare(variable);
    // Far too long or too short to be one of ours: most variables are not looked at closely.
    let prefix = bare(PREFIX);
    let near_prefix = given.get(..prefix.len().min(given.len())).map(|head| strsim::osa_distance(head, &prefix));
    if near_prefix.is_none_or(|slips| slips > SLIPS) {
        return None;
    }
    if let Some(rest) = given.strip_prefix(&prefix)
        && let Some(account) = account(variable, rest)
    {
        return Some(account);
    }
    let close = |(bare, name): &(String, String)| {
        let slips = strsim::osa_distance(&given, bare);
        let most = if bare.len() <= prefix.len() + SHORT { 1 } else { SLIPS };
        (slips <= most).then(|| (slips, name.clone()))
    };
    known.iter().filter_map(close).min_by_key(|(slips, _)| *slips).map(|(_, name)| name)
}

/// `STILLFRAME_ACCOUNTS_DR_ROLE_ARN`: which part is the account's name only a person knows, mostly all between.
fn account(variable: &str, rest: &str) -> Option<String> {
    let accounts = SETTINGS.fields.iter().find_map(|section| match section.kind {
        Kind::Named(table) => Some((section.key, table)),
        _ => None,
    });
    let (section, table) = accounts?;
    let inner = rest.strip_prefix(&bare(section)).or_else(|| rest.strip_prefix(bare(section).trim_end_matches('S')))?;
    let key = table.fields.iter().filter(|field| inner.ends_with(&bare(field.key))).max_by_key(|f| f.key.len())?;
    let upper = variable.to_uppercase();
    let words: Vec<&str> = upper.split('_').filter(|word| !word.is_empty()).collect();
    let of_key = key.key.split('_').count();
    let account = words.get(2..words.len().checked_sub(of_key)?)?.join("_");
    (!account.is_empty()).then(|| name(&[section, &account, key.key]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses() {
        let table = [
            ("STILLFRAME_LOG_LEVEL", Some("STILLFRAME_LOG__LEVEL")),
            ("STILLFRAME__LOG__LEVEL", Some("STILLFRAME_LOG__LEVEL")),
            ("STILLFRAME_LOGLEVEL", Some("STILLFRAME_LOG__LEVEL")),
            ("STILLFRAME_LOG__LEVL", Some("STILLFRAME_LOG__LEVEL")),
            ("STILLFRAM_LOG__LEVEL", Some("STILLFRAME_LOG__LEVEL")),
            ("stillframe_log__level", Some("STILLFRAME_LOG__LEVEL")),
            ("STILLFRAME_DAEMON_STATE_DIR", Some("STILLFRAME_DAEMON__STATE_DIR")),
            ("STILLFRAME_STATE_DIR", None),
            ("STILLFRAME_CLOUD.BACKEND", Some("STILLFRAME_CLOUD__BACKEND")),
            ("STILLFRAME_ACCOUNTS_DR_ROLE_ARN", Some("STILLFRAME_ACCOUNTS__DR__ROLE_ARN")),
            ("STILLFRAME_ACCOUNTS__DR_EXTERNAL_ID", Some("STILLFRAME_ACCOUNTS__DR__EXTERNAL_ID")),
            ("STILLFRAME_VERSION", None),
            ("STILLFRAME_KILLS", None),
            ("STILLFRAME_", None),
            ("LOG_LEVEL", None),
            ("PATH", None),
            ("\u{e4}\u{e4}\u{e4}", None),
        ];
        for (variable, meant) in table {
            let mut problems = Vec::new();
            warn(&[(variable.to_owned(), "hunter2".to_owned())].into(), &mut problems);
            let hint = problems.first().and_then(|p| p.hint.clone());
            assert_eq!(hint, meant.map(|meant| format!("did you mean `{meant}`?")), "{variable}");
            assert!(problems.iter().all(|p| !p.to_string().contains("hunter2")));
        }
        let mut problems = Vec::new();
        warn(&[("STILLFRAME_LOG__LEVEL".to_owned(), "debug".to_owned())].into(), &mut problems);
        assert!(problems.is_empty());
    }
}
