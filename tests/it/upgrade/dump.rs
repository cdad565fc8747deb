//! A journal as SQL text: its schema, and its rows exactly as they are stored.

use std::fmt::Write as _;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use stillframe::journal::sqlite::FILE;

/// The columns of an event that tell what its data mean, and its data.
pub struct Row {
    pub kind: String,
    pub run: String,
    pub subject: String,
    pub step: String,
    pub data: String,
}

fn open(dir: &Path) -> Connection {
    Connection::open(dir.join(FILE)).expect("a journal")
}

/// The journal in `dir`, as text.
pub fn dump(dir: &Path) -> String {
    let db = open(dir);
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("readable");
    let mut text = format!("PRAGMA user_version = {version};\n");
    let mut schema = db
        .prepare("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid")
        .expect("readable");
    let objects: Vec<(String, String, String)> = schema
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("readable")
        .collect::<Result<_, _>>()
        .expect("readable");
    for (_, _, sql) in &objects {
        let _ = writeln!(text, "{sql};");
    }
    for (_, table, _) in objects.iter().filter(|(kind, ..)| kind == "table") {
        rows(&db, table, &mut text);
    }
    text
}

fn rows(db: &Connection, table: &str, text: &mut String) {
    let mut all = db.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).expect("readable");
    let columns = all.column_count();
    let mut rows = all.query([]).expect("readable");
    while let Some(row) = rows.next().expect("readable") {
        let values: Vec<String> = (0..columns).map(|n| literal(row.get_ref(n).expect("there"))).collect();
        let _ = writeln!(text, "INSERT INTO {table} VALUES ({});", values.join(", "));
    }
}

fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).expect("text");
            assert!(!text.contains('\0'), "{text}");
            format!("'{}'", text.replace('\'', "''"))
        }
        ValueRef::Real(_) | ValueRef::Blob(_) => unreachable!("a journal holds numbers and texts"),
    }
}

/// The journal that `text` tells of, made in `dir`.
pub fn load(text: &str, dir: &Path) {
    let db = open(dir);
    // It is thrown away.
    db.execute_batch("PRAGMA synchronous = OFF; BEGIN").expect("a journal");
    db.execute_batch(text).expect("a journal");
    db.execute_batch("COMMIT").expect("a journal");
}

/// Every event of the journal in `dir`, by `seq`.
pub fn events(dir: &Path) -> Vec<Row> {
    let db = open(dir);
    let mut all = db.prepare("SELECT kind, run, subject, step, data FROM event ORDER BY seq").expect("readable");
    let row = |row: &rusqlite::Row<'_>| {
        Ok(Row { kind: row.get(0)?, run: row.get(1)?, subject: row.get(2)?, step: row.get(3)?, data: row.get(4)? })
    };
    all.query_map([], row).expect("readable").collect::<Result<_, _>>().expect("readable")
}
