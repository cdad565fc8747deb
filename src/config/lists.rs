//! Values of several parts: lists of texts, and tables of tags. Each part is judged alone.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::check::{self, Check, Complaint, complain};
use super::kind::{Item, Kind, Mishap, Value, type_of};
use crate::domain::text::is_not_xml;

/// EC2 takes at most 200 values in one filter (API reference, "Filters").
pub(super) const TAG_VALUES_MAX: usize = 200;
/// EC2 takes at most 50 tags per resource; no instance can match more keys.
pub(super) const TAG_KEYS_MAX: usize = 50;

/// A plan is copied to each region of an account once; AWS has some forty.
pub(super) const TABLES_MAX: usize = 200;

/// A list of texts without repetitions.
pub(super) fn texts(
    whole: Range<usize>,
    value: &DeValue<'_>,
    check: Check,
    alone: bool,
    max: usize,
    mishaps: &mut Vec<Mishap>,
) -> Option<Value> {
    let before = mishaps.len();
    let mut items: Vec<Item> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut bad = |span: Range<usize>, complaint| mishaps.push(Mishap { span, within: None, complaint });
    let mut one = |span: Range<usize>, found: &DeValue<'_>, items: &mut Vec<Item>| match found {
        DeValue::String(s) => match check(s) {
            Err(complaint) => Some(complaint),
            Ok(()) if !seen.insert(s.to_string()) => {
                Some(Complaint::new(format!("{s:?} is listed twice"), Some("remove one of them".into())))
            }
            Ok(()) => {
                items.push(Item { text: s.to_string(), span });
                None
            }
        },
        other => {
            Some(Complaint::new(format!("lists {}, not a string", type_of(other)), Some("put each in quotes".into())))
        }
    };
    match value {
        DeValue::Array(list) if list.len() > max => {
            bad(whole, Complaint::new(format!("lists {} items", list.len()), Some(format!("list at most {max}"))));
        }
        DeValue::Array(list) => {
            for entry in list {
                if let Some(complaint) = one(entry.span(), entry.get_ref(), &mut items) {
                    bad(entry.span(), complaint);
                }
            }
        }
        DeValue::String(_) if alone => {
            if let Some(complaint) = one(whole.clone(), value, &mut items) {
                bad(whole, complaint);
            }
        }
        other => {
            let noun = Kind::Texts { check, alone, max }.noun();
            let hint = match other {
                DeValue::String(s) => Some(format!("put it in brackets: [{s:?}]")),
                DeValue::Integer(n) if alone => match check(n.as_str()) {
                    Ok(()) => Some(format!("put it in quotes: \"{n}\"")),
                    Err(complaint) => complaint.hint,
                },
                DeValue::Boolean(b) if alone && check(&b.to_string()).is_ok() => {
                    Some(format!("put it in quotes: \"{b}\""))
                }
                _ => None,
            };
            bad(whole, Complaint::new(format!("is {}, not {noun}", type_of(other)), hint));
        }
    }
    (mishaps.len() == before).then_some(Value::Texts(items))
}

fn tag_key(key: &str) -> Result<(), Complaint> {
    match key.chars().count() {
        0 => complain("the key of a tag is empty", Some("name it, such as Team".into())),
        n if n > check::TAG_KEY_MAX => complain(
            format!("the key of this tag has {n} characters"),
            Some(format!("EC2 allows {}", check::TAG_KEY_MAX)),
        ),
        _ => Ok(()),
    }
}

fn tag_value(value: &str) -> Result<(), Complaint> {
    match value.chars().count() {
        n if n > check::TAG_VALUE_MAX => complain(
            format!("has {n} characters"),
            Some(format!("EC2 allows {} in the value of a tag", check::TAG_VALUE_MAX)),
        ),
        _ => Ok(()),
    }
}

/// The value of a tag that we make.
fn own_value(value: &str) -> Result<(), Complaint> {
    tag_value(value).and_then(|()| writable(value))
}

/// EC2 takes any character in tags (user guide, "Tag restrictions"), but answers in XML 1.0, which has no way to write
/// some. UNVERIFIED: whether it refuses them, or makes an image that no answer can show.
fn writable(text: &str) -> Result<(), Complaint> {
    match text.chars().find(|c| is_not_xml(*c)) {
        Some(c) => complain(
            format!("{text:?} holds the character {c:?}, which EC2 cannot answer with"),
            Some("take it out: type the text anew".into()),
        ),
        None => Ok(()),
    }
}

fn wanted_value(value: &str) -> Result<(), Complaint> {
    if value.is_empty() {
        return complain("the value is empty", Some("write \"*\" for any value".into()));
    }
    tag_value(value)
}

/// A dot in a key that is not quoted makes a table of it.
fn hint_at_dots(key: &str, value: &DeValue<'_>, mishaps: &mut [Mishap]) {
    let mut full = key.to_owned();
    let mut inner = value;
    while let DeValue::Table(table) = inner
        && let Some((next, value)) = table.iter().next()
    {
        full = format!("{full}.{}", next.get_ref());
        inner = value.get_ref();
    }
    if let (DeValue::Table(_), Some(mishap)) = (value, mishaps.last_mut()) {
        mishap.complaint.hint = Some(format!("put a key with dots in quotes: {full:?}"));
    }
}

pub(super) fn tag_sets(
    whole: Range<usize>,
    table: &DeTable<'_>,
    may_be_empty: bool,
    mishaps: &mut Vec<Mishap>,
) -> Option<Value> {
    let before = mishaps.len();
    let mut entries = Vec::new();
    if table.is_empty() && !may_be_empty {
        let hint = "name at least one tag; { Name = \"*\" } takes every instance that has a Name";
        let complaint = Complaint::new("is empty", Some(hint.into()));
        mishaps.push(Mishap { span: whole.clone(), within: None, complaint });
    }
    if table.len() > TAG_KEYS_MAX {
        let what = format!("names {} tags, but no instance has more than {TAG_KEYS_MAX}", table.len());
        mishaps.push(Mishap { span: whole, within: None, complaint: Complaint::new(what, None) });
    }
    for (key, value) in table {
        let start = mishaps.len();
        if let Err(complaint) = tag_key(key.get_ref()) {
            mishaps.push(Mishap { span: key.span(), within: None, complaint });
        }
        let kind = Kind::Texts { check: wanted_value, alone: true, max: TAG_VALUES_MAX };
        match kind.read(value, mishaps) {
            Some(Value::Texts(values)) if values.is_empty() => {
                let complaint = Complaint::new("lists no value", Some("write \"*\" for any value".into()));
                mishaps.push(Mishap { span: value.span(), within: None, complaint });
            }
            Some(Value::Texts(values)) => {
                entries.push((Item { text: key.get_ref().to_string(), span: key.span() }, values));
            }
            _ => {}
        }
        hint_at_dots(key.get_ref(), value.get_ref(), &mut mishaps[start..]);
        for mishap in &mut mishaps[start..] {
            mishap.within = Some(key.get_ref().to_string());
        }
    }
    (mishaps.len() == before).then_some(Value::Tags(entries))
}

pub(super) fn tags(table: &DeTable<'_>, mishaps: &mut Vec<Mishap>) -> Option<Value> {
    let before = mishaps.len();
    let mut entries = Vec::new();
    for (key, value) in table {
        let within = Some(key.get_ref().to_string());
        let lower = key.get_ref().to_lowercase();
        let reserved = ["aws:", "stillframe:"].into_iter().find(|prefix| lower.starts_with(prefix));
        let named = match reserved {
            Some(prefix) => complain(format!("the prefix `{prefix}` is reserved"), Some("choose another key".into())),
            None => tag_key(key.get_ref()).and_then(|()| writable(key.get_ref())),
        };
        if let Err(complaint) = named {
            mishaps.push(Mishap { span: key.span(), within: within.clone(), complaint });
        }
        let mut inner = Vec::new();
        if let Some(Value::Text(text)) = Kind::Text(own_value).read(value, &mut inner) {
            let values = vec![Item { text, span: value.span() }];
            entries.push((Item { text: key.get_ref().to_string(), span: key.span() }, values));
        }
        hint_at_dots(key.get_ref(), value.get_ref(), &mut inner);
        mishaps.extend(inner.into_iter().map(|m| Mishap { within: within.clone(), ..m }));
    }
    (mishaps.len() == before).then_some(Value::Tags(entries))
}
