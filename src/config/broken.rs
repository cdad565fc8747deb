//! What TOML itself cannot read, in our words: what is there, and what to type instead.

use std::ops::Range;

use super::problem::Problem;
use super::source::Source;

/// A mistake of the language, from the parser's own message about `span`.
pub(super) fn problem(source: &Source, span: Option<Range<usize>>, message: &str) -> Problem {
    let (what, expected) = match message.split_once(", expected ") {
        Some((what, expected)) => (what, Some(expected.to_owned())),
        None => (message, None),
    };
    let at = span.unwrap_or(0..0);
    let shown = source.problem(Some(at.clone()), "", "");
    // What is not shown may be a secret: it must not come back in a hint.
    let written = source.text.get(at).filter(|_| shown.source.is_some()).unwrap_or_default().trim();
    let line = shown.source.as_ref().map(|line| line.text.trim()).unwrap_or_default();
    let (what, expected, hint) = match what {
        "duplicate key" => ("this key is there twice", None, Some("keep one of the two, or merge them".to_owned())),
        "string values must be quoted" if written.starts_with('\u{201c}') => (
            "these are curly quotes",
            Some("straight ones: \"".to_owned()),
            Some("type the quotes anew: \"...\"".to_owned()),
        ),
        "string values must be quoted" if truth(written).is_some() => {
            ("this is no value", Some("true or false".to_owned()), truth(written).map(|word| format!("write {word}")))
        }
        "string values must be quoted" if written.is_empty() => {
            ("the value is missing, or a text without quotes", None, Some("write one after the `=`".to_owned()))
        }
        "string values must be quoted" => ("a text needs quotes", None, Some(format!("write {written:?}"))),
        "invalid basic string" => {
            ("this text does not end", expected, Some("close it with a quotation mark".to_owned()))
        }
        "missing comma between array elements" => (what, expected, Some("or close the list before it: `]`".to_owned())),
        "invalid unquoted key" => (what, expected, Some("or put the key in quotes: \"example.com/team\"".to_owned())),
        "unclosed table" => ("the header of this section does not end", expected, Some("close it with `]`".to_owned())),
        "missing opening quote" => (what, expected, Some("put the text in quotes, at both ends".to_owned())),
        "invalid boolean" if truth(written).is_some() => {
            ("this is no value", Some("true or false".to_owned()), truth(written).map(|word| format!("write {word}")))
        }
        "unexpected leading zero" => ("this number begins with a zero", None, Some("take the zero out".to_owned())),
        "unexpected key or value" => (
            "the line goes on after its value",
            None,
            Some("write each key on a line of its own, texts in quotes".to_owned()),
        ),
        "key with no value" if line.starts_with("//") || line.starts_with(';') => {
            ("this is no key", expected, Some("a comment begins with `#`".to_owned()))
        }
        "key with no value" => (what, expected, Some("write it as `key = value`".to_owned())),
        _ => (what, expected, None),
    };
    Problem { what: format!("not TOML: {what}"), expected, hint, ..shown }
}

/// What other languages call true and false.
fn truth(written: &str) -> Option<bool> {
    match written.to_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}
