//! The shape of a file: each key known, each value of its kind. Whatever is not becomes a problem; nothing stops
//! at the first.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check;
use super::fields::{Field, Table};
use super::kind::{Item, Kind, Mishap, TagEntry, Value, type_of};
use super::problem::Problem;
use super::source::Source;
use super::suggest::nearest;
use crate::domain::plan::Seconds;

/// A value and where it stands; no place for a default.
#[derive(Debug, Clone)]
struct Found {
    value: Value,
    span: Option<Range<usize>>,
    plain: Option<String>,
}

/// What a file says, by dotted path, defaults filled in.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    found: BTreeMap<String, Found>,
    /// Paths with a problem of their own: what depends on them is not judged.
    bad: BTreeSet<String>,
    sections: BTreeMap<String, Range<usize>>,
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

    /// Whether nothing is known to be wrong with any of these paths, or below them.
    pub fn sound(&self, paths: &[&str]) -> bool {
        let touches =
            |bad: &str, path: &str| bad.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        !self.broken && !paths.iter().any(|path| self.bad.iter().any(|bad| touches(bad, path)))
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

/// Reads the shape of `source` by `spec`. With `complete`, keys that must be there are missed.
pub fn read(source: &Source, spec: &'static Table, complete: bool, problems: &mut Vec<Problem>) -> Sheet {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    let mut walker =
        Walker { source, root: spec, complete, sheet: Sheet::default(), problems: Vec::new(), meant: BTreeSet::new() };
    let mut broken_lines = BTreeSet::new();
    for error in &errors {
        let span = error.span();
        let line = span.as_ref().map(|span| source.line_of(span));
        // One slip makes several errors in its line; the first says it best.
        if broken_lines.insert(line) {
            problems.push(syntax(source, span, error.message()));
        }
    }
    walker.sheet.broken = !errors.is_empty();
    walker.table(spec, "", None, document.get_ref());
    problems.extend(walker.problems.into_iter().filter(|p| !broken_lines.contains(&Some(p.line))));
    walker.sheet
}

fn syntax(source: &Source, span: Option<Range<usize>>, message: &str) -> Problem {
    let (what, expected) = match message.split_once(", expected ") {
        Some((what, expected)) => (what, Some(expected.to_owned())),
        None => (message, None),
    };
    let hint = match what {
        "duplicate key" => Some("keep one of the two".to_owned()),
        _ => None,
    };
    Problem { expected, hint, ..source.problem(span.or(Some(0..0)), "", format!("not TOML: {what}")) }
}

struct Walker<'s> {
    source: &'s Source,
    root: &'static Table,
    complete: bool,
    sheet: Sheet,
    problems: Vec<Problem>,
    /// Keys that an unknown one was probably meant to be: they are not missed as well.
    meant: BTreeSet<String>,
}

impl Walker<'_> {
    fn table(&mut self, spec: &'static Table, path: &str, anchor: Option<Range<usize>>, table: &DeTable<'_>) {
        for (key, value) in table {
            if spec.field(key.get_ref()).is_none() {
                self.unknown(spec, path, key, value.get_ref());
            }
        }
        for field in spec.fields {
            let here = join(path, field.key);
            match table.get_key_value(field.key) {
                Some((key, value)) => self.field(field, &here, key.span(), value),
                None => self.absent(field, &here, anchor.clone()),
            }
        }
    }

    fn field(&mut self, field: &'static Field, path: &str, key: Range<usize>, value: &Spanned<DeValue<'_>>) {
        match (field.kind, value.get_ref()) {
            (Kind::NotYet, _) => {
                let mut p = self.source.problem(Some(key), path, "is not supported by this version");
                p.hint = Some("take it out; without it the plan does the rest".into());
                self.bad(path, p);
            }
            (Kind::Section(inner), DeValue::Table(table)) => {
                self.sheet.sections.insert(path.to_owned(), key.clone());
                self.table(inner, path, Some(key), table);
            }
            (Kind::Named(inner), DeValue::Table(table)) => self.named(inner, path, table),
            (Kind::Section(_) | Kind::Named(_), other) => {
                let mut p = self.source.problem(Some(key), path, format!("is {}, not a table", type_of(other)));
                let double = matches!(other, DeValue::Array(list) if list.iter().all(|v| v.get_ref().is_table()));
                let name = if matches!(field.kind, Kind::Named(_)) { format!("{path}.NAME") } else { path.to_owned() };
                p.hint =
                    Some(if double { format!("single brackets: [{name}]") } else { format!("write it as [{name}]") });
                self.bad(path, p);
            }
            (kind, _) => {
                let mut mishaps = Vec::new();
                if let Some(read) = kind.read(value, &mut mishaps) {
                    let plain = plain(value.get_ref());
                    let found = Found { value: read, span: Some(value.span()), plain };
                    self.sheet.found.insert(path.to_owned(), found);
                }
                for mishap in mishaps {
                    self.mishap(field, path, mishap);
                }
            }
        }
    }

    fn named(&mut self, inner: &'static Table, path: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let here = join(path, name.get_ref());
            if let Err(complaint) = check::account_name(name.get_ref()) {
                let mut p = self.source.problem(Some(name.span()), &here, complaint.what);
                p.expected = Some("1 to 40 of a-z, 0-9, `_` and `-`".into());
                p.hint = complaint.hint;
                self.bad(&here, p);
                continue;
            }
            match value.get_ref() {
                DeValue::Table(table) => {
                    self.sheet.sections.insert(here.clone(), name.span());
                    self.table(inner, &here, Some(name.span()), table);
                }
                other => {
                    let mut p =
                        self.source.problem(Some(name.span()), &here, format!("is {}, not a table", type_of(other)));
                    let known = inner.field(name.get_ref()).is_some();
                    p.hint = Some(if known {
                        format!("name the account first: [{path}.NAME]")
                    } else {
                        format!("write it as [{here}]")
                    });
                    self.bad(&here, p);
                }
            }
        }
    }

    fn mishap(&mut self, field: &'static Field, path: &str, mishap: Mishap) {
        let key = mishap.within.as_deref().map_or_else(|| path.to_owned(), |within| join(path, within));
        let mut p = self.source.problem(Some(mishap.span), key, mishap.complaint.what);
        p.expected = Some(field.form.to_owned());
        p.hint = mishap.complaint.hint;
        self.bad(path, p);
    }

    fn unknown(
        &mut self,
        spec: &'static Table,
        path: &str,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &DeValue<'_>,
    ) {
        let given = key.get_ref();
        let here = join(path, given);
        let what = if value.is_table() { "unknown section" } else { "unknown key" };
        let mut p = self.source.problem(Some(key.span()), &here, what);
        let near = nearest(given, spec.fields.iter().map(|field| field.key));
        let homes = homes(self.root, given);
        p.hint = match (near, &homes[..]) {
            // The right word in the wrong place is surer than a word that is merely alike.
            (_, [home]) => Some(format!("it belongs in [{home}]")),
            (Some(near), _) => Some(format!("did you mean `{near}`?")),
            (None, [_, ..]) => Some(format!("it belongs in [{}]", homes.join("] or ["))),
            (None, []) => None,
        };
        p.expected = Some(format!("one of {}", list(spec)));
        for home in &homes {
            self.meant.insert(join(home, given));
            self.sheet.bad.insert(join(home, given));
        }
        if let Some(near) = near {
            self.meant.insert(join(path, near));
            self.sheet.bad.insert(join(path, near));
        }
        self.bad(&here, p);
    }

    fn absent(&mut self, field: &'static Field, path: &str, anchor: Option<Range<usize>>) {
        if let Some(value) = field.default.and_then(|default| field.kind.read_text(default).ok()) {
            self.sheet.found.insert(path.to_owned(), Found { value, span: None, plain: None });
        }
        if let Kind::Section(inner) = field.kind {
            let meant = self.meant.contains(path);
            for field in inner.fields {
                let inner_path = join(path, field.key);
                if meant {
                    self.meant.insert(inner_path.clone());
                }
                self.absent(field, &inner_path, None);
            }
        }
        if field.required && self.complete && !self.sheet.broken && !self.meant.contains(path) {
            let mut p = self.source.problem(anchor.clone(), path, "is missing");
            p.expected = Some(field.form.to_owned());
            p.hint = Some(match (anchor, path.split_once('.')) {
                (None, Some((section, _))) => format!("add a section [{section}] with `{} = ...`", field.key),
                _ => format!("add `{} = ...` here", field.key),
            });
            self.bad(path, p);
        }
    }

    fn bad(&mut self, path: &str, problem: Problem) {
        self.sheet.bad.insert(path.to_owned());
        self.problems.push(problem);
    }
}

/// A dotted path, its last part quoted where TOML needs it.
fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// A single value as the settings' layers carry it.
fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(s) => Some(s.to_string()),
        DeValue::Integer(n) => Some(n.as_str().to_owned()),
        DeValue::Float(n) => Some(n.as_str().to_owned()),
        DeValue::Boolean(b) => Some(b.to_string()),
        _ => None,
    }
}

/// The sections of `root` that have a key called `key`.
fn homes(root: &'static Table, key: &str) -> Vec<&'static str> {
    let has = |field: &&Field| matches!(field.kind, Kind::Section(inner) if inner.field(key).is_some());
    root.fields.iter().filter(has).map(|field| field.key).collect()
}

fn list(spec: &Table) -> String {
    let keys: Vec<&str> = spec.fields.iter().filter(|f| !matches!(f.kind, Kind::NotYet)).map(|f| f.key).collect();
    keys.join(", ")
}
