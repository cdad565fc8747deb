//! The JSON Schema (2020-12) of a plan and of the settings, from the one list of keys: for editors.
//!
//! It is a little kinder than `check`: what only several keys together tell, and what a pattern cannot say (zones,
//! dates that never come), it does not see. What it refuses, `check` refuses too.

use serde_json::{Map, Value as Json, json};

use super::check::{TAG_KEY_MAX, TAG_VALUE_MAX};
use super::fields::{Field, PLAN, SETTINGS, Table};
use super::kind::{Kind, Value};
use super::lists::{TABLES_MAX, TAG_KEYS_MAX, TAG_VALUES_MAX};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// A key that begins like AWS's own or ours, in any case.
const RESERVED: &str = "^([Aa][Ww][Ss]|[Ss][Tt][Ii][Ll][Ll][Ff][Rr][Aa][Mm][Ee]):";

/// Of plans.d/*.toml.
#[must_use]
pub fn plan() -> Json {
    document("A plan of stillframe: what to image, when, how, and what stays", &PLAN, true)
}

/// Of stillframe.toml. Nothing in it is required, since any key may come from the environment.
#[must_use]
pub fn settings() -> Json {
    document("The settings of stillframe", &SETTINGS, false)
}

fn document(title: &str, table: &'static Table, complete: bool) -> Json {
    let mut schema = object(table, complete);
    schema.insert("$schema".into(), json!(DIALECT));
    schema.insert("title".into(), json!(title));
    Json::Object(schema)
}

fn object(table: &'static Table, complete: bool) -> Map<String, Json> {
    let built = || table.fields.iter().filter(|field| !matches!(field.kind, Kind::NotYet));
    let properties: Map<String, Json> =
        built().map(|field| (field.key.to_owned(), property(field, complete))).collect();
    let mut schema = Map::new();
    schema.insert("type".into(), json!("object"));
    schema.insert("properties".into(), Json::Object(properties));
    schema.insert("additionalProperties".into(), json!(false));
    if complete {
        let required: Vec<&str> = built().filter(|field| needed(field)).map(|field| field.key).collect();
        if !required.is_empty() {
            schema.insert("required".into(), json!(required));
        }
        let some: Vec<Json> = table.some.iter().filter_map(|key| table.field(key)).map(says_something).collect();
        if !some.is_empty() {
            schema.insert("anyOf".into(), json!(some));
        }
    }
    schema
}

/// Whether a plan without this key is refused.
fn needed(field: &Field) -> bool {
    match field.kind {
        Kind::Section(inner) => !inner.some.is_empty() || inner.fields.iter().any(needed),
        _ => field.required,
    }
}

/// That a key is there, and is neither 0 nor empty.
fn says_something(field: &Field) -> Json {
    let least = match field.kind {
        Kind::Count { .. } => json!({ "minimum": 1 }),
        Kind::Texts { .. } => json!({ "minItems": 1 }),
        _ => json!({}),
    };
    json!({ "required": [field.key], "properties": { field.key: least } })
}

fn property(field: &'static Field, complete: bool) -> Json {
    let mut schema = match field.kind {
        Kind::Section(inner) | Kind::Optional(inner) => object(inner, complete),
        kind => of_kind(kind, field, complete),
    };
    let plain = matches!(field.kind, Kind::Section(_) | Kind::Optional(_) | Kind::Tables(_) | Kind::Flag);
    let description = if plain { field.doc.to_owned() } else { format!("{} ({})", field.doc, field.form) };
    schema.insert("description".into(), json!(description));
    if let Some(default) = field.default {
        let typed = match field.kind.read_text(default) {
            Ok(Value::Count(n)) => json!(n),
            Ok(Value::Flag(flag)) => json!(flag),
            Ok(Value::Share(share)) => json!(share),
            _ => json!(default),
        };
        schema.insert("default".into(), typed);
    }
    Json::Object(schema)
}

fn of_kind(kind: Kind, field: &Field, complete: bool) -> Map<String, Json> {
    let schema = match kind {
        Kind::Text(_) | Kind::Secret(_) => text(field),
        Kind::Texts { alone, max, .. } => {
            let least = usize::from(field.required);
            let list = json!({
                "type": "array", "items": text(field), "uniqueItems": true, "minItems": least, "maxItems": max,
            });
            if alone { json!({ "anyOf": [text(field), list] }) } else { list }
        }
        Kind::Word { words, .. } => json!({ "enum": words }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Share => json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }),
        Kind::Duration { off, .. } => {
            let or_off = if off { "|off" } else { "" };
            json!({ "type": "string", "pattern": format!("^(0*[1-9][0-9]*[smhd]{or_off})$") })
        }
        Kind::TagSets { may_be_empty } => {
            let value = json!({ "type": "string", "minLength": 1, "maxLength": TAG_VALUE_MAX });
            let list = json!({
                "type": "array", "items": value, "uniqueItems": true, "minItems": 1, "maxItems": TAG_VALUES_MAX,
            });
            json!({
                "type": "object",
                "minProperties": usize::from(!may_be_empty),
                "maxProperties": TAG_KEYS_MAX,
                "propertyNames": { "minLength": 1, "maxLength": TAG_KEY_MAX },
                "additionalProperties": { "anyOf": [value, list] },
            })
        }
        Kind::Tags => json!({
            "type": "object",
            "propertyNames": { "minLength": 1, "maxLength": TAG_KEY_MAX, "not": { "pattern": RESERVED } },
            "additionalProperties": { "type": "string", "maxLength": TAG_VALUE_MAX },
        }),
        Kind::Named(inner) => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[a-z0-9_-]{1,40}$" },
            "additionalProperties": object(inner, complete),
        }),
        Kind::Tables(inner) => json!({ "type": "array", "items": object(inner, complete), "maxItems": TABLES_MAX }),
        Kind::Section(_) | Kind::Optional(_) | Kind::NotYet => json!({}),
    };
    match schema {
        Json::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn text(field: &Field) -> Json {
    let mut schema = Map::new();
    schema.insert("type".into(), json!("string"));
    if let Some(pattern) = field.pattern {
        schema.insert("pattern".into(), json!(pattern));
    }
    Json::Object(schema)
}
