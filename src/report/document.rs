//! What a document is to whoever prints it.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::table::Paint;

/// The version of the documents' shape.
pub const SCHEMA: u32 = 1;

/// A document, for people and for programs.
pub trait Document: Serialize {
    /// The key under which it stands in JSON; empty: its own keys stand beside `schema`.
    const KEY: &'static str = "";

    /// Lines for people.
    fn text(&self, paint: Paint) -> String;

    /// One line of JSON, its keys in the order of the contract.
    fn json(&self) -> String {
        // Text keys and plain values only: this always has a JSON form.
        serde_json::to_string(&Line(self)).unwrap_or_default() + "\n"
    }
}

/// A document under its key, or its keys beside `schema`.
struct Line<'a, D: ?Sized>(&'a D);

impl<D: Document + ?Sized> Serialize for Line<'_, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Beside<'a, D: ?Sized> {
            schema: u32,
            #[serde(flatten)]
            document: &'a D,
        }
        if D::KEY.is_empty() {
            return Beside { schema: SCHEMA, document: self.0 }.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("schema", &SCHEMA)?;
        map.serialize_entry(D::KEY, self.0)?;
        map.end()
    }
}
