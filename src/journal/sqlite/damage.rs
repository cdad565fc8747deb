//! A damaged journal: when it is looked for, and how the file is kept aside. Nothing here deletes or overwrites one.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::{Answer, FILE, JournalError, SqliteJournal};
use crate::domain::naming::compact;
use crate::statedir::{self, taken};

/// After an unclean stop a journal up to this size is checked whole at start: some 50 ms. A larger one is read where
/// it is needed; damage that shows then is noted for the next start.
const CHECKED_MAX_BYTES: u64 = 16 << 20;
/// Damage was met while running: the next start looks at all of the file, however large.
const SUSPECT: &str = "journal.sqlite.suspect";
/// What belongs to the file while it is open, and after an unclean stop.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

/// The check that a start owes the file, if any. A clean stop leaves no write-ahead log behind.
pub(super) fn check_due(state_dir: &Path) -> Option<&'static str> {
    if state_dir.join(SUSPECT).exists() {
        return Some("integrity_check(1)");
    }
    let bytes = |suffix: &str| fs::metadata(state_dir.join(format!("{FILE}{suffix}"))).map_or(0, |m| m.len());
    (bytes("-wal") > 0 && bytes("") + bytes("-wal") <= CHECKED_MAX_BYTES).then_some("quick_check(1)")
}

/// Gives the files their modes and owners, before they are opened: SQLite makes those beside the journal like it.
pub(super) fn mend(state_dir: &Path) {
    for suffix in BESIDE {
        statedir::mend(&state_dir.join(format!("{FILE}{suffix}")), statedir::GROUP_READS);
    }
}

/// Whether the log stays as it is when the connection closes: what turns out to be damaged is kept as it was found.
pub(super) fn untouched(db: &Connection, untouched: bool) {
    // SQLite knows the option since 3.16; without it, closing writes the log back, as always.
    let _ = db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, untouched);
}

/// Looks at all of the file.
pub(super) fn check(journal: &SqliteJournal, pragma: &str) -> Answer<()> {
    let db = journal.db.borrow();
    untouched(&db, true);
    let found: String =
        db.query_row(&format!("PRAGMA {pragma}"), [], |r| r.get(0)).map_err(|e| journal.oops("check", &e))?;
    if found == "ok" {
        untouched(&db, false);
        return Ok(());
    }
    let why = found.lines().map(str::trim).filter(|line| !line.starts_with("***")).collect::<Vec<_>>().join(" ");
    Err(JournalError::Corrupt { path: journal.path.clone(), why })
}

/// Notes that damage was met, for the next start. What cannot be noted is met again.
pub(super) fn remember(journal: &Path) {
    if journal.is_file() {
        let _ = statedir::make_file(&journal.with_file_name(SUSPECT), statedir::PRIVATE);
    }
}

/// The file was looked at.
pub(super) fn forget(state_dir: &Path) {
    let _ = fs::remove_file(state_dir.join(SUSPECT)); // it is not there, mostly
}

/// Without the journal's file, the log that was beside it is kept too: SQLite would delete it.
pub(super) fn keep_remains(state_dir: &Path, now: DateTime<Utc>) -> Answer<()> {
    let lost = !state_dir.join(FILE).exists() && state_dir.join(format!("{FILE}-wal")).exists();
    if lost { set_aside(state_dir, now).map(|_| ()) } else { Ok(()) }
}

/// Moves the journal, and what is beside it, to a name that nothing has yet.
pub(super) fn set_aside(state_dir: &Path, now: DateTime<Utc>) -> Answer<PathBuf> {
    let name = |base: &str, suffix: &str| state_dir.join(format!("{base}{suffix}"));
    let mut base = format!("{FILE}.corrupt-{}", compact(now));
    for n in 2.. {
        if BESIDE.iter().all(|suffix| !taken(&name(&base, suffix))) {
            break;
        }
        base = format!("{FILE}.corrupt-{}.{n}", compact(now));
    }
    for suffix in BESIDE.iter().filter(|suffix| taken(&name(FILE, suffix))) {
        fs::rename(name(FILE, suffix), name(&base, suffix)).map_err(|e| JournalError::Store {
            what: "move aside",
            path: name(FILE, suffix).display().to_string(),
            why: format!("{e}; it is damaged: move it out of the state directory yourself"),
        })?;
    }
    // The moves last as soon as the new journal does, which flushes the same directory.
    Ok(name(&base, ""))
}
