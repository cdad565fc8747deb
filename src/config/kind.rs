//! The kinds of values that a key can have, and how each is read: from TOML (strictly) and from plain text.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::check::{self, Check, Complaint, complain};
use super::fields::Table;
use super::lists::{tag_sets, tags, texts};
use crate::domain::plan::Seconds;

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// One text.
    Text(Check),
    /// One text that is never shown.
    Secret(Check),
    /// A list of texts, at most this many; with `alone`, one text may stand for a list of one.
    Texts {
        /// For each of them.
        check: Check,
        /// Whether a single text will do.
        alone: bool,
        /// The longest list.
        max: usize,
    },
    /// One of `words`; those in `later` are of the contract but not built yet.
    Word {
        /// What may be said.
        words: &'static [&'static str],
        /// What may be said one day.
        later: &'static [&'static str],
    },
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// More than 0, at most 1.
    Share,
    /// A duration of at most `max` seconds.
    Duration {
        /// The longest.
        max: Seconds,
        /// Whether "off" will do.
        off: bool,
    },
    /// Tag keys, each with one value or several.
    TagSets {
        /// Whether the table may be empty.
        may_be_empty: bool,
    },
    /// Tag keys, each with one value.
    Tags,
    /// A table of its own.
    Section(&'static Table),
    /// Tables of its own, each under a free name.
    Named(&'static Table),
    /// A table of its own that may be left out, even where there is something that must be in it.
    Optional(&'static Table),
    /// Any number of tables, in double brackets.
    Tables(&'static Table),
    /// Of the contract, but not built yet.
    NotYet,
}

/// A text and where it stands.
#[derive(Debug, Clone)]
pub struct Item {
    /// The text.
    pub text: String,
    /// Its bytes.
    pub span: Range<usize>,
}

/// A tag key, where it stands, and its values.
pub type TagEntry = (Item, Vec<Item>);

/// A value that was read.
#[derive(Debug, Clone)]
pub enum Value {
    /// Of a text, a secret, a word.
    Text(String),
    /// Of a list.
    Texts(Vec<Item>),
    /// Of a flag.
    Flag(bool),
    /// Of a count.
    Count(u32),
    /// Of a share.
    Share(f64),
    /// Of a duration; nothing is "off".
    Span(Option<Seconds>),
    /// Of tag keys.
    Tags(Vec<TagEntry>),
}

/// What is wrong with a part of a value.
#[derive(Debug)]
pub struct Mishap {
    /// Where.
    pub span: Range<usize>,
    /// The key inside the value, for tags.
    pub within: Option<String>,
    /// What.
    pub complaint: Complaint,
}

impl Kind {
    /// Reads plain text: an environment value, or a default. Only for single values.
    pub fn read_text(self, text: &str) -> Result<Value, Complaint> {
        let number = || text.parse::<i128>().ok();
        match self {
            Self::Text(check) | Self::Secret(check) => check(text).map(|()| Value::Text(text.to_owned())),
            Self::Word { words, later } => word(text, words, later),
            Self::Flag => match text {
                "true" => Ok(Value::Flag(true)),
                "false" => Ok(Value::Flag(false)),
                _ => complain(format!("{text:?} is neither true nor false"), None),
            },
            Self::Count { min, max } => match number() {
                Some(n) => count(n, min, max),
                None => complain(format!("{text:?} is not a whole number"), None),
            },
            Self::Share => match text.parse::<f64>() {
                Ok(n) => share(n),
                Err(_) => complain(format!("{text:?} is not a number"), None),
            },
            Self::Duration { max, off } => span(text, max, off),
            _ => complain("cannot be written as one value", None),
        }
    }

    /// Reads TOML: nothing is converted, `"7"` is no number and `7.9` no whole one.
    pub fn read(self, value: &Spanned<DeValue<'_>>, mishaps: &mut Vec<Mishap>) -> Option<Value> {
        let result = match (self, value.get_ref()) {
            (Self::Texts { check, alone, max }, v) => return texts(value.span(), v, check, alone, max, mishaps),
            (Self::Tags, DeValue::Table(table)) => return tags(table, mishaps),
            (Self::TagSets { may_be_empty }, DeValue::Table(table)) => {
                return tag_sets(value.span(), table, may_be_empty, mishaps);
            }
            (Self::Text(_) | Self::Secret(_) | Self::Word { .. } | Self::Duration { .. }, DeValue::String(s)) => {
                self.read_text(s)
            }
            (Self::Flag, DeValue::Boolean(b)) => Ok(Value::Flag(*b)),
            (Self::Count { min, max }, DeValue::Integer(n)) => match i128::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => count(n, min, max),
                Err(_) => complain(format!("{n} is too large"), Some(format!("write at most {max}"))),
            },
            (Self::Share, DeValue::Float(n)) => self.read_text(n.as_str()),
            (Self::Share, DeValue::Integer(n)) => self.read_text(n.as_str()),
            (_, other) => self.wrong_type(other),
        };
        match result {
            Ok(value) => Some(value),
            Err(complaint) => {
                mishaps.push(Mishap { span: value.span(), within: None, complaint });
                None
            }
        }
    }

    /// The table that it holds, or holds some of.
    #[must_use]
    pub fn table(self) -> Option<&'static Table> {
        match self {
            Self::Section(table) | Self::Named(table) | Self::Optional(table) | Self::Tables(table) => Some(table),
            _ => None,
        }
    }

    /// What a value of this kind is called.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Text(_) | Self::Secret(_) | Self::Word { .. } | Self::Duration { .. } => "a string",
            Self::Texts { alone: true, .. } => "a string or a list of strings",
            Self::Texts { .. } => "a list of strings",
            Self::Flag => "true or false",
            Self::Count { .. } => "a whole number",
            Self::Share => "a number",
            Self::Tables(_) => "a list of tables",
            Self::TagSets { .. }
            | Self::Tags
            | Self::Section(_)
            | Self::Named(_)
            | Self::Optional(_)
            | Self::NotYet => "a table",
        }
    }

    fn wrong_type(self, found: &DeValue<'_>) -> Result<Value, Complaint> {
        let hint = match (self, found) {
            (Self::Duration { .. }, DeValue::Integer(n)) if n.radix() == 10 && !n.as_str().starts_with(['-', '+']) => {
                Some(format!("write \"{n}s\" if seconds are meant"))
            }
            (Self::Duration { off: true, .. }, DeValue::Boolean(false)) => Some("write \"off\"".into()),
            (Self::Text(check), DeValue::Integer(n)) => match check(n.as_str()) {
                Ok(()) => Some(format!("put it in quotes: \"{n}\"")),
                Err(complaint) => complaint.hint,
            },
            (Self::Secret(_), DeValue::Integer(_)) => Some("put it in quotes".into()),
            (Self::Text(check), DeValue::Boolean(b)) if check(&b.to_string()).is_ok() => {
                Some(format!("put it in quotes: \"{b}\""))
            }
            (Self::Text(check), DeValue::Array(list)) => list.iter().find_map(|entry| {
                let text = entry.get_ref().as_str()?;
                check(text).is_ok().then(|| format!("write one text: {text:?}"))
            }),
            (Self::Count { .. }, DeValue::Float(n)) => n.as_str().parse::<f64>().ok().and_then(whole),
            (Self::Count { .. }, DeValue::Boolean(_)) => Some("write how many, such as 7".into()),
            (Self::Tags | Self::TagSets { .. }, DeValue::Array(list)) => list.iter().find_map(|entry| {
                let text = entry.get_ref().as_str()?;
                let (key, value) =
                    text.split_once('=').unwrap_or((text, if matches!(self, Self::Tags) { "" } else { "*" }));
                Some(format!("write {{ {} = {value:?} }}", show_key(key)))
            }),
            (Self::Tags | Self::TagSets { .. }, DeValue::String(s)) => {
                s.split_once('=').map(|(key, value)| format!("write {{ {} = {value:?} }}", show_key(key)))
            }
            (Self::Flag | Self::Count { .. } | Self::Share, DeValue::String(s)) if self.read_text(s).is_ok() => {
                Some(format!("write it without quotes: {s}"))
            }
            _ => None,
        };
        complain(format!("is {}, not {}", type_of(found), self.noun()), hint)
    }
}

/// A key as TOML writes it, quoted where it must be.
#[must_use]
pub fn show_key(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { key.to_owned() } else { format!("{key:?}") }
}

/// What a TOML value is called.
#[must_use]
pub fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn word(text: &str, words: &[&str], later: &[&str]) -> Result<Value, Complaint> {
    if words.contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    let all = match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    };
    if later.contains(&text) {
        return complain(format!("{text:?} is not supported by this version"), Some(format!("write {all}")));
    }
    let hint = check::near_word(text, words).unwrap_or_else(|| format!("write {all}"));
    complain(format!("{text:?} is unknown"), Some(hint))
}

/// What a fraction may have meant as a number of things.
fn whole(n: f64) -> Option<String> {
    let fits = (0.0..1e9).contains(&n);
    fits.then(|| {
        if n.fract() == 0.0 { format!("write {n:.0}") } else { format!("write {:.0} or {:.0}", n.floor(), n.ceil()) }
    })
}

fn count(n: i128, min: u32, max: u32) -> Result<Value, Complaint> {
    match u32::try_from(n) {
        Ok(n) if n < min => complain(format!("{n} is too small"), Some(format!("write at least {min}"))),
        Ok(n) if n <= max => Ok(Value::Count(n)),
        _ if n < 0 => complain(format!("{n} is negative"), Some(format!("write {min} or more"))),
        _ => complain(format!("{n} is too large"), Some(format!("write at most {max}"))),
    }
}

fn share(n: f64) -> Result<Value, Complaint> {
    if n > 0.0 && n <= 1.0 {
        return Ok(Value::Share(n));
    }
    let hint = (n > 1.0 && n <= 100.0).then(|| format!("for {n} % write {}", n / 100.0));
    complain(format!("{n} is no share"), hint)
}

fn span(text: &str, max: Seconds, off: bool) -> Result<Value, Complaint> {
    if off && text == "off" {
        return Ok(Value::Span(None));
    }
    if off && matches!(text.to_lowercase().as_str(), "off" | "none" | "never" | "no" | "false" | "disabled") {
        return complain(format!("{text:?} is not a duration"), Some("write \"off\"".into()));
    }
    let seconds = match check::duration(text) {
        Err(Complaint { what, hint: None, .. }) if off && text.trim_start_matches('0').len() == 1 => {
            return complain(what, Some("write \"off\" if there should be none".into()));
        }
        other => other?,
    };
    if seconds > max {
        let most = check::show_duration(max);
        return complain(format!("{text:?} is too long"), Some(format!("write at most \"{most}\"")));
    }
    Ok(Value::Span(Some(seconds)))
}
