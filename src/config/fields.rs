//! The one list of all keys: what each holds, its default, and what it is for.

mod distribution;
mod plan;
mod settings;

pub use plan::PLAN;
pub use settings::SETTINGS;

use super::kind::Kind;

/// A table of TOML and the keys that it may hold.
#[derive(Debug)]
pub struct Table {
    /// Every key, in the order in which people should write them.
    pub fields: &'static [Field],
    /// At least one of these must be there, and say something: a count above 0, a list or table with entries.
    pub some: &'static [&'static str],
}

/// One key.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub key: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What holds if it is absent, as plain text.
    pub default: Option<&'static str>,
    /// What a good value looks like, with an example.
    pub form: &'static str,
    /// A pattern that each good text matches, as JSON Schema writes it; texts that match may still be refused.
    pub pattern: Option<&'static str>,
    /// What it is for.
    pub doc: &'static str,
}

impl Table {
    /// The key called `key`.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }
}

/// What a duration looks like.
const DURATION: &str = "a duration such as \"90s\", \"15m\", \"2h\" or \"7d\"";

/// A key without a default.
const fn field(key: &'static str, kind: Kind, form: &'static str, doc: &'static str) -> Field {
    Field { key, kind, required: false, default: None, form, pattern: None, doc }
}

/// A key that must be there.
const fn required(key: &'static str, kind: Kind, form: &'static str, doc: &'static str) -> Field {
    Field { required: true, ..field(key, kind, form, doc) }
}

/// The same key with a default.
const fn with(default: &'static str, plain: Field) -> Field {
    Field { default: Some(default), ..plain }
}

/// The same key, whose texts match `pattern`.
const fn like(pattern: &'static str, plain: Field) -> Field {
    Field { pattern: Some(pattern), ..plain }
}

/// A table of its own.
const fn section(key: &'static str, table: &'static Table, doc: &'static str) -> Field {
    field(key, Kind::Section(table), "a table", doc)
}

/// A table that may be left out, whatever must be in it where it is there.
const fn optional(key: &'static str, table: &'static Table, doc: &'static str) -> Field {
    field(key, Kind::Optional(table), "a table", doc)
}

/// Tables of one name, in double brackets.
const fn tables(key: &'static str, table: &'static Table, doc: &'static str) -> Field {
    field(key, Kind::Tables(table), "tables in double brackets", doc)
}

/// A key of the contract that is not built yet.
const fn not_yet(key: &'static str) -> Field {
    field(key, Kind::NotYet, "nothing yet", "not supported by this version")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(table: &'static Table, see: &mut impl FnMut(&'static Field)) {
        for field in table.fields {
            see(field);
            if let Some(inner) = field.kind.table() {
                walk(inner, see);
            }
        }
    }

    #[test]
    fn every_default_is_a_good_value_and_every_key_is_explained() {
        let mut seen = 0;
        for table in [&SETTINGS, &PLAN] {
            walk(table, &mut |field| {
                seen += 1;
                assert!(!field.form.is_empty() && !field.doc.is_empty(), "{}", field.key);
                assert!(!(field.required && field.default.is_some()), "{}", field.key);
                let texts = matches!(field.kind, Kind::Text(_) | Kind::Secret(_) | Kind::Texts { .. });
                assert_eq!(texts, field.pattern.is_some(), "the schema needs a pattern of {}", field.key);
                if let Some(default) = field.default {
                    assert!(field.kind.read_text(default).is_ok(), "{} = {default}", field.key);
                }
            });
        }
        assert!(seen > 40, "{seen}");
    }
}
