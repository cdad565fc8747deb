//! Rows of the journal's tables, read back into values.

use chrono::{DateTime, TimeZone as _, Utc};
use rusqlite::ffi::SQLITE_CANTOPEN_SYMLINK;
use rusqlite::{ErrorCode, Row};

use crate::domain::event::{Decision, Occurrence, Trigger};
use crate::domain::fact::codec::{self, Row as Written};
use crate::domain::fact::{Event, Kind};
use crate::journal::JournalError;

/// What SQLite's refusal means, and what to do about it.
pub fn store(what: &'static str, path: &str, e: &rusqlite::Error) -> JournalError {
    let (path, why) = (path.to_owned(), e.to_string());
    let advice = match e.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) if e.sqlite_extended_error_code() == Some(SQLITE_CANTOPEN_SYMLINK) => {
            "it is a symbolic link, which is not followed; put the file itself there"
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => return JournalError::Corrupt { path, why },
        Some(ErrorCode::DiskFull) => "free space in its file system",
        Some(ErrorCode::SystemIoFailure) => "look at the disk and its space: `df`, `dmesg`",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "the user that runs stillframe must be able to write to the file and its directory, and the file system \
             must not be read-only"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds it; close what has it open, such as `sqlite3`"
        }
        _ => return JournalError::Store { what, path, why },
    };
    JournalError::Store { what, path, why: format!("{why}; {advice}") }
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

/// A fact as it is stored, with its number and its time.
pub fn read_row(row: &Row<'_>) -> rusqlite::Result<(i64, DateTime<Utc>, Written)> {
    let subject: String = row.get(2)?;
    let kind: String = row.get(5)?;
    let written = Written {
        run: row.get(1)?,
        subject: if subject.is_empty() { None } else { Some(word(row, 2, |t| t.parse().ok())?) },
        step: row.get(3)?,
        attempt: row.get(4)?,
        kind: Kind::parse(&kind),
        v: row.get(7)?,
        data: json(row, 8)?,
    };
    Ok((row.get(0)?, instant(row.get(6)?), written))
}

pub fn read_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let (seq, at, written) = read_row(row)?;
    Ok(Event { seq, at, draft: codec::decode(written) })
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
