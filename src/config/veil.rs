//! Which lines of a file may hold a secret: they are never shown. It errs on the side of hiding, since a damaged line is
//! just what is shown to a person, and a damaged file says nowhere for sure where a secret begins.

use std::collections::BTreeSet;
use std::ops::Range;

use super::fields::{SETTINGS, Table};
use super::kind::Kind;

/// What of a line may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Veil {
    /// All of it.
    Open,
    /// Its keys, not its values.
    Values,
    /// Nothing: it goes on with what an earlier line began.
    Whole,
}

/// A word that is part of such names, whatever else they hold.
const WORDS: [&str; 10] = [
    "external",
    "secret",
    "token",
    "password",
    "passphrase",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
    "bearer",
];
/// Names as alike as this (Jaro-Winkler) to one of those, or to `external_id`, are that one misspelled.
const ALIKE: f64 = 0.88;

/// Until when lines go on with a secret.
enum Until {
    /// These three quotes.
    Quotes(&'static str),
    /// The next section or plain key, since nobody can tell where the value ends.
    Next,
}

/// Of each line of `text`, what may be shown. In the settings that is what stands under one of their plain keys; a plan
/// has no secrets, so that only what is called one is hidden.
pub(super) fn veils(text: &str, settings: bool) -> Vec<Veil> {
    let known = if settings { plain_keys(&SETTINGS) } else { BTreeSet::new() };
    let mut until: Option<Until> = None;
    let one = |line: &str| {
        let trimmed = line.trim();
        if let Some(Until::Quotes(quotes)) = until {
            if let Some((_, rest)) = line.split_once(quotes) {
                until = if ends(rest) { None } else { Some(Until::Next) };
            }
            return Veil::Whole;
        }
        let named = names_secret(trimmed, settings);
        let head = is_section(trimmed);
        let plain = !named && settings && is_plain(trimmed, &known);
        if until.is_some() && !head && !plain {
            return Veil::Whole;
        }
        until = None;
        let comment = trimmed.starts_with('#');
        if head || plain || !named && (!settings || comment || trimmed.is_empty()) {
            return Veil::Open;
        }
        if !comment && !trimmed.starts_with('[') {
            until = goes_on(trimmed);
        }
        if named || trimmed.contains('=') { Veil::Values } else { Veil::Whole }
    };
    text.split('\n').map(one).collect()
}

/// The keys and sections below which nothing is a secret.
fn plain_keys(table: &'static Table) -> BTreeSet<&'static str> {
    let mut keys = BTreeSet::new();
    for field in table.fields {
        keys.extend(field.kind.table().into_iter().flat_map(plain_keys));
        if !matches!(field.kind, Kind::Secret(_) | Kind::Named(_)) {
            keys.insert(field.key);
        }
    }
    keys
}

/// `id = "222222222222"`, `level` or `daemon.name = "prod"`: one of these keys, and no other on the line.
fn is_plain(line: &str, known: &BTreeSet<&'static str>) -> bool {
    let (path, value) = line.split_once('=').unwrap_or_else(|| line.split_once(' ').unwrap_or((line, "")));
    let key = path.rsplit('.').next().unwrap_or(path).trim().trim_matches(['"', '\'']);
    known.contains(key) && !value.contains('=')
}

/// Whether a line is the whole head of a section: `[accounts.dr] # there`.
fn is_section(line: &str) -> bool {
    let inner = line.strip_prefix('[').and_then(|inner| inner.rsplit_once(']'));
    let Some((inner, _)) = inner.filter(|(_, rest)| ends(rest)) else { return false };
    let name = inner.trim_start_matches('[').trim_end_matches(']');
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '"');
    !name.is_empty() && name.chars().all(good)
}

/// Whether nothing but a comment or the end of a table follows.
fn ends(rest: &str) -> bool {
    let rest = rest.trim_start().trim_start_matches([',', '}', ']']).trim_start();
    rest.is_empty() || rest.starts_with('#')
}

fn bare(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a line names something secret: anywhere in the settings, as a key elsewhere, where a tag may have any value.
pub(super) fn names_secret(line: &str, settings: bool) -> bool {
    let says = |text: &str| WORDS.iter().any(|word| text.contains(word));
    let near = |key: &str| {
        let words = WORDS.iter().copied().chain(["externalid"]);
        (4..=14).contains(&key.len()) && words.into_iter().any(|word| strsim::jaro_winkler(key, word) >= ALIKE)
    };
    settings && says(&bare(line)) || keys(line).map(bare).any(|key| says(&key) || near(&key))
}

/// What stands before each `=`, or `:` as in another language, and the first word.
fn keys(line: &str) -> impl Iterator<Item = &str> {
    let first = line.split_whitespace().next();
    let ends = line.match_indices(['=', ':']).map(|(at, _)| at);
    let before = move |at: usize| {
        let head = line[..at].trim_end();
        head.rsplit(|c: char| matches!(c, ',' | '{' | '[' | '=' | ':') || c.is_whitespace()).next().unwrap_or(head)
    };
    ends.map(before).chain(first)
}

/// Whether the value on this line goes on in the next ones, as far as it can be told.
fn goes_on(line: &str) -> Option<Until> {
    let Some((_, value)) = line.split_once('=') else { return Some(Until::Next) };
    let value = value.trim();
    for quotes in ["\"\"\"", "'''"] {
        if let Some(rest) = value.strip_prefix(quotes) {
            return match rest.split_once(quotes) {
                Some((_, rest)) if ends(rest) => None,
                Some(_) => Some(Until::Next),
                None => Some(Until::Quotes(quotes)),
            };
        }
    }
    let closed = match value.chars().next() {
        None => false,
        Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).is_some_and(|(_, rest)| ends(rest)),
        Some('{') => value.trim_end().ends_with('}'),
        Some('[') => value.trim_end().ends_with(']'),
        Some(_) => true,
    };
    if closed { None } else { Some(Until::Next) }
}

/// What may be shown of `shown`, the line that `marked` lies in.
pub(super) fn through(veil: Veil, shown: &str, marked: &Range<usize>) -> Option<String> {
    match veil {
        Veil::Open => Some(shown.to_owned()),
        // A key that is marked, with nothing before it but keys.
        Veil::Values => {
            let head = shown.get(..marked.end)?;
            let key = !head.contains(['=', ':', '"', '\'']) && !bare(head).contains("external");
            (key && marked.end > marked.start).then(|| format!("{head} ..."))
        }
        Veil::Whole => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Veil::{Open, Values, Whole};
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_hidden() {
        let table: [(&str, &[Veil]); 19] = [
            ("[accounts.dr]\nid = \"2\"\nexternal_id = \"hunter2\"\nrole_arn = \"x\"", &[Open, Open, Values, Open]),
            ("external_id = \"\"\"\nhunter2\n\"\"\"\nid = 1", &[Values, Whole, Whole, Open]),
            ("external_id = \"\"\"hunter2\"\"\"\nid = 1", &[Values, Open]),
            ("external_id = \"\"\"\nhunter2\nid = 1", &[Values, Whole, Whole]),
            ("external_id = \"hunter2\nmore\n[log]\nlevel", &[Values, Whole, Open, Open]),
            ("external_id = \"hunter2\nmore=\nid = 1", &[Values, Whole, Open]),
            ("external_id = \"\"hunter2\nmore\"", &[Values, Whole]),
            ("external_id\n= \"hunter2\"", &[Values, Whole]),
            ("[accounts.dr]\nextrnal_id = \"hunter2\"", &[Open, Values]),
            ("[accounts.dr]\nx_i = \"hunter2", &[Open, Values]),
            ("[accounts.dr]\nhunter2", &[Open, Whole]),
            ("[acc\u{1}unts.dr\nid = \"2\"\nx = \"hunter2\"", &[Whole, Open, Values]),
            ("accounts.dr = { id = \"1\", x = \"hunter2\" }\nlog.level = \"x\"", &[Values, Open]),
            ("id = \"1\", x = \"hunter2\"", &[Values]),
            ("[http]\ntoken = \"hunter2\"\nlisten = \"x\"", &[Open, Values, Open]),
            ("[http]\ntoke$ = \"hunter2\"", &[Open, Values]),
            ("# external_id = \"hunter2\"\nname = \"x\"\n# more", &[Values, Open, Open]),
            ("[daemon]\nname = \"prod\"\nstatedir = \"x\"", &[Open, Open, Values]),
            ("daemon = \"prod\"\n\nlog.level = 3 # x", &[Open, Open, Open]),
        ];
        for (text, expected) in table {
            assert_eq!(veils(text, true), expected, "{text}");
        }
        let plan = "[tags]\nZone = \"external\"\npassword = \"hunter2\"\nTeam = \"web\"\n  password: hunter2\n";
        assert_eq!(veils(plan, false), [Open, Open, Values, Open, Values, Whole], "in plans only what is called so");
    }
}
