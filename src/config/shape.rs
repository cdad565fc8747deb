//! The shape of a file: each key known, each value of its kind. Whatever is not becomes a problem; nothing stops
//! at the first.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::broken;
use super::check::{self, Complaint};
use super::fields::{Field, Table};
use super::kind::{Kind, Mishap, Value, show_key, type_of};
use super::lists::TABLES_MAX;
use super::problem::Problem;
use super::sheet::{Found, Sheet};
use super::source::Source;
use super::suggest::nearest;

/// Reads the shape of `source` by `spec`. With `complete`, keys that must be there are missed.
pub fn read(source: &Source, spec: &'static Table, complete: bool, problems: &mut Vec<Problem>) -> Sheet {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    let mut walker =
        Walker { source, root: spec, complete, sheet: Sheet::default(), problems: Vec::new(), meant: BTreeSet::new() };
    let mut broken_lines = BTreeSet::new();
    let mut last = "";
    for error in &errors {
        let span = error.span();
        let line = span.as_ref().map(|span| source.line_of(span));
        // One slip makes several errors in its line, an unclosed list one in each that follows; the first says it best.
        let follows = error.message() == last && last.starts_with("missing comma");
        if broken_lines.insert(line) && !follows {
            problems.push(broken::problem(source, span, error.message()));
            last = error.message();
        }
    }
    walker.sheet.broken = !errors.is_empty();
    walker.table(spec, "", None, document.get_ref());
    problems.extend(walker.problems.into_iter().filter(|p| !broken_lines.contains(&Some(p.line))));
    walker.sheet
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
            (Kind::Section(inner) | Kind::Optional(inner), DeValue::Table(table)) => {
                self.sheet.sections.insert(path.to_owned(), key.clone());
                self.table(inner, path, Some(key), table);
            }
            (Kind::Named(inner), DeValue::Table(table)) => self.named(inner, path, table),
            (Kind::Tables(inner), DeValue::Array(list)) => self.tables(inner, path, key, list),
            (Kind::Tables(_), other) => {
                let mut p =
                    self.source.problem(Some(key), path, format!("is {}, not a list of tables", type_of(other)));
                p.hint = Some(format!("double brackets: [[{path}]]"));
                self.bad(path, p);
            }
            (Kind::Section(_) | Kind::Optional(_) | Kind::Named(_), other) => {
                let mut p = self.source.problem(Some(key), path, format!("is {}, not a table", type_of(other)));
                let double = matches!(other, DeValue::Array(list) if list.iter().all(|v| v.get_ref().is_table()));
                let name = if matches!(field.kind, Kind::Named(_)) { format!("{path}.NAME") } else { path.to_owned() };
                p.hint = Some(match (field.kind, other) {
                    _ if double => format!("single brackets: [{name}]"),
                    // `keep = 7`: the first of the keys that it cannot do without.
                    (Kind::Section(Table { some: [first, ..], .. }), DeValue::Integer(n)) => {
                        format!("write it as [{name}] with `{first} = {n}` below it")
                    }
                    (Kind::Optional(Table { some: [first, ..], .. }), _) if path.contains('.') => {
                        format!("write it as `{} = {{ {first} = ... }}`", field.key)
                    }
                    _ => format!("write it as [{name}]"),
                });
                self.bad(path, p);
            }
            (kind, _) => {
                let mut mishaps = Vec::new();
                let read = kind.read(value, &mut mishaps);
                if field.required && matches!(&read, Some(Value::Texts(items)) if items.is_empty()) {
                    let complaint = Complaint::new("is an empty list", Some(format!("write {}", field.form)));
                    mishaps.push(Mishap { span: value.span(), within: None, complaint });
                }
                if let Some(read) = read {
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

    /// `[[copy]]`: the n-th stands below `copy.n`, counted from 1.
    fn tables(&mut self, inner: &'static Table, path: &str, key: Range<usize>, list: &DeArray<'_>) {
        if list.len() > TABLES_MAX {
            let mut p = self.source.problem(Some(key), path, format!("are {}", list.len()));
            p.hint = Some(format!("write at most {TABLES_MAX}"));
            return self.bad(path, p);
        }
        for (nth, entry) in list.iter().enumerate() {
            let here = format!("{path}.{}", nth + 1);
            match entry.get_ref() {
                DeValue::Table(table) => {
                    self.sheet.sections.insert(here.clone(), entry.span());
                    self.table(inner, &here, Some(entry.span()), table);
                }
                other => {
                    let what = format!("is {}, not a table", type_of(other));
                    let mut p = self.source.problem(Some(entry.span()), &here, what);
                    p.hint = Some(format!("double brackets: [[{path}]], with its keys below"));
                    self.bad(&here, p);
                }
            }
        }
    }

    fn mishap(&mut self, field: &'static Field, path: &str, mishap: Mishap) {
        let key = mishap.within.as_deref().map_or_else(|| path.to_owned(), |within| join(path, within));
        let span = self.narrow(mishap.span, mishap.complaint.part);
        let mut p = self.source.problem(Some(span), key, mishap.complaint.what);
        p.expected = Some(field.form.to_owned());
        p.hint = mishap.complaint.hint;
        self.bad(path, p);
    }

    /// The part of a string that is wrong, where its bytes stand in the file as they are.
    fn narrow(&self, span: Range<usize>, part: Option<Range<usize>>) -> Range<usize> {
        let written = self.source.text.get(span.clone()).unwrap_or_default();
        let plain = ['"', '\''].into_iter().any(|quote| {
            let inner = written.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
            inner.is_some_and(|inner| !inner.contains(['\\', '"', '\'', '\n']))
        });
        match part {
            Some(part) if plain && !part.is_empty() => span.start + 1 + part.start..span.start + 1 + part.end,
            _ => span,
        }
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
        let on_top = self.root.field(given).filter(|_| !path.is_empty());
        let inside = spec
            .fields
            .iter()
            .find(|field| !path.is_empty() && field.kind.table().is_some_and(|inner| inner.field(given).is_some()));
        // `regions` in [[copy]], `account` in [share]: one letter is nearer than the same word elsewhere.
        let plural = near.filter(|near| near.trim_end_matches('s') == given.trim_end_matches('s'));
        p.hint = match (near, &homes[..]) {
            _ if inside.is_some() => {
                inside.map(|field| format!("it belongs in a table: `{} = {{ {given} = ... }}`", field.key))
            }
            _ if plural.is_some() => plural.map(|near| format!("did you mean `{near}`?")),
            (None, _) if on_top.is_some_and(|field| !matches!(field.kind, Kind::Text(_))) => {
                on_top.map(|field| format!("it stands on its own: {}", header(field)))
            }
            // The right word in the wrong place is surer than a word that is merely alike.
            (_, [home]) => Some(format!("it belongs in {}", header(home))),
            (Some(near), _) => Some(format!("did you mean `{near}`?")),
            (None, [_, ..]) => Some(format!(
                "it belongs in {}",
                homes.iter().map(|home| header(home)).collect::<Vec<_>>().join(" or ")
            )),
            (None, []) => Some("take it out, or write one of those".into()),
        };
        p.expected = Some(format!("one of {}", list(spec)));
        if on_top.is_some() {
            self.meant.insert(given.to_string());
            self.sheet.bad.insert(given.to_string());
        }
        for home in &homes {
            self.meant.insert(join(home.key, given));
            self.sheet.bad.insert(join(home.key, given));
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
    let key = show_key(key);
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
fn homes(root: &'static Table, key: &str) -> Vec<&'static Field> {
    let has = |field: &&Field| {
        !matches!(field.kind, Kind::Named(_)) && field.kind.table().is_some_and(|inner| inner.field(key).is_some())
    };
    root.fields.iter().filter(has).collect()
}

/// The line above the keys of a section.
fn header(field: &Field) -> String {
    if matches!(field.kind, Kind::Tables(_)) { format!("[[{}]]", field.key) } else { format!("[{}]", field.key) }
}

fn list(spec: &Table) -> String {
    let keys: Vec<&str> = spec.fields.iter().filter(|f| !matches!(f.kind, Kind::NotYet)).map(|f| f.key).collect();
    keys.join(", ")
}
