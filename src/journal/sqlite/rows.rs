//! Rows of the journal's tables, read back into values.

use chrono::{DateTime, TimeZone as _, Utc};
use rusqlite::Row;

use crate::domain::event::{Decision, Draft, Event, Kind, Occurrence, Trigger};
use crate::journal::JournalError;

pub fn store(what: &'static str, path: &str, e: &rusqlite::Error) -> JournalError {
    JournalError::Store { what, path: path.to_owned(), why: e.to_string() }
}

pub fn instant(millis: i64) -> DateTime<Utc> {
    // Written by us from a DateTime; anything out of range reads as the epoch rather than as now.
    Utc.timestamp_millis_opt(millis).single().unwrap_or(DateTime::UNIX_EPOCH)
}

pub fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<serde_json::Value> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e)))
}

fn word<T>(row: &Row<'_>, column: usize, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| {
        let why = format!("`{text}` is unknown to this version");
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, why.into())
    })
}

pub fn read_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let subject: String = row.get(2)?;
    let kind: String = row.get(5)?;
    Ok(Event {
        seq: row.get(0)?,
        at: instant(row.get(6)?),
        v: row.get(7)?,
        draft: Draft {
            run: row.get(1)?,
            subject: if subject.is_empty() { None } else { Some(word(row, 2, |t| t.parse().ok())?) },
            step: row.get(3)?,
            attempt: row.get(4)?,
            kind: Kind::parse(&kind),
            data: json(row, 8)?,
        },
    })
}

pub fn read_occurrence(row: &Row<'_>) -> rusqlite::Result<Occurrence> {
    Ok(Occurrence {
        plan: row.get(0)?,
        due: instant(row.get::<_, i64>(1)? * 1000),
        trigger: word(row, 2, Trigger::parse)?,
        decision: word(row, 3, Decision::parse)?,
        reason: row.get(4)?,
        decided_at: instant(row.get(5)?),
        plan_hash: row.get(6)?,
    })
}
