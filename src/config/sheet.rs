//! What a file says, by dotted path, with defaults filled in: between the shape and the checked types.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::kind::{Item, TagEntry, Value};
use crate::domain::plan::Seconds;

/// A value and where it stands; no place for a default.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) value: Value,
    pub(super) span: Option<Range<usize>>,
    /// The text of a single value that the file itself gives.
    pub(super) plain: Option<String>,
}

/// What a file says, by dotted path, defaults filled in.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    pub(super) found: BTreeMap<String, Found>,
    /// Paths with a problem of their own: what depends on them is not judged.
    pub(super) bad: BTreeSet<String>,
    pub(super) sections: BTreeMap<String, Range<usize>>,
    /// Whether TOML itself could not read all of it.
    pub broken: bool,
}

impl Sheet {
    fn value(&self, path: &str) -> Option<&Value> {
        self.found.get(path).map(|found| &found.value)
    }

    /// A text, its default, or nothing.
    pub fn text(&self, path: &str) -> Option<&str> {
        match self.value(path) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A list; empty if absent.
    pub fn texts(&self, path: &str) -> &[Item] {
        match self.value(path) {
            Some(Value::Texts(items)) => items,
            _ => &[],
        }
    }

    /// Tag keys with their values; empty if absent.
    pub fn tags(&self, path: &str) -> &[TagEntry] {
        match self.value(path) {
            Some(Value::Tags(entries)) => entries,
            _ => &[],
        }
    }

    /// A whole number, or its default.
    pub fn count(&self, path: &str) -> u32 {
        match self.value(path) {
            Some(Value::Count(n)) => *n,
            _ => 0,
        }
    }

    /// A flag, or its default.
    pub fn flag(&self, path: &str) -> bool {
        matches!(self.value(path), Some(Value::Flag(true)))
    }

    /// A share, or its default.
    pub fn share(&self, path: &str) -> f64 {
        match self.value(path) {
            Some(Value::Share(n)) => *n,
            _ => 0.0,
        }
    }

    /// A duration, or its default; nothing if "off" or absent.
    pub fn seconds(&self, path: &str) -> Option<Seconds> {
        match self.value(path) {
            Some(Value::Span(seconds)) => *seconds,
            _ => None,
        }
    }

    /// Whether something is there that is neither 0 nor empty.
    pub fn says(&self, path: &str) -> bool {
        match self.value(path) {
            Some(Value::Texts(items)) => !items.is_empty(),
            Some(Value::Tags(entries)) => !entries.is_empty(),
            Some(Value::Count(n)) => *n > 0,
            Some(Value::Span(seconds)) => seconds.is_some(),
            Some(_) => true,
            None => false,
        }
    }

    /// Where the value, the section or the nearest section around it stands.
    pub fn span(&self, path: &str) -> Option<Range<usize>> {
        if let Some(span) = self.found.get(path).and_then(|found| found.span.clone()) {
            return Some(span);
        }
        let mut path = path;
        loop {
            if let Some(span) = self.sections.get(path) {
                return Some(span.clone());
            }
            path = path.rsplit_once('.')?.0;
        }
    }

    /// Whether nothing is known to be wrong with any of these paths, below them, or around them.
    pub fn sound(&self, paths: &[&str]) -> bool {
        let touched = |path: &&str| {
            let below = format!("{path}.");
            let around = path.match_indices('.').map(|(at, _)| &path[..at]);
            around.chain([*path]).any(|path| self.bad.contains(path))
                || self.bad.range(below.clone()..).next().is_some_and(|bad| bad.starts_with(&below))
        };
        !self.broken && !paths.iter().any(touched)
    }

    /// All single values that the file itself gives, as plain text by path.
    pub fn plain(&self) -> impl Iterator<Item = (&str, &str)> {
        self.found.iter().filter_map(|(path, found)| Some((path.as_str(), found.plain.as_deref()?)))
    }

    /// Adds a value that has no place in a file.
    pub fn put(&mut self, path: &str, value: Value) {
        let span = self.found.get(path).and_then(|found| found.span.clone());
        self.found.insert(path.to_owned(), Found { value, span, plain: None });
    }

    /// The paths of the tables in double brackets called `path`, in the order of the file.
    pub fn tables(&self, path: &str) -> Vec<String> {
        let nth = |n: usize| Some(format!("{path}.{n}")).filter(|path| self.sections.contains_key(path));
        (1..).map_while(nth).collect()
    }

    /// Whether the file has this section.
    pub fn has(&self, path: &str) -> bool {
        self.sections.contains_key(path)
    }

    /// The free names below `path` (`accounts`), sorted.
    pub fn names(&self, path: &str) -> Vec<String> {
        let mut names = BTreeSet::new();
        for known in self.found.keys().chain(self.sections.keys()) {
            if let Some(rest) = known.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')) {
                names.insert(rest.split('.').next().unwrap_or_default().to_owned());
            }
        }
        names.into_iter().collect()
    }
}
