//! The journal in one SQLite file: WAL, `synchronous=FULL`, migrations by `user_version`.

mod damage;
mod read;
mod rows;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, params};

use self::rows::{instant, read_occurrence, read_row, store};
use super::{Answer, Journal, JournalError, Reader, Written};
use crate::defect::{Defect, planted};
use crate::domain::debt;
use crate::domain::event::Occurrence;
use crate::domain::fact::codec;
use crate::domain::fact::{Draft, Event, Kind};
use crate::statedir;

/// The journal's file in the state directory.
pub const FILE: &str = "journal.sqlite";
/// The newest migration.
const SCHEMA_VERSION: i64 = 1;
/// No link is followed; and no mutex, as one thread uses the connection. SQLite itself opens what it makes beside the
/// file with O_NOFOLLOW, and with the file's mode and owner.
const CAREFULLY: OpenFlags = OpenFlags::SQLITE_OPEN_NOFOLLOW.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
/// How long a statement waits for another process's write: commands write only single rows.
const BUSY: std::time::Duration = std::time::Duration::from_secs(5);

const MIGRATION_1: &str = "
CREATE TABLE lease (one INTEGER PRIMARY KEY CHECK (one = 1), fence INTEGER NOT NULL, at TEXT NOT NULL);
INSERT INTO lease VALUES (1, 0, '');
CREATE TABLE occurrence (
    plan TEXT NOT NULL, due INTEGER NOT NULL, trigger TEXT NOT NULL, decision TEXT NOT NULL, reason TEXT NOT NULL,
    decided_at INTEGER NOT NULL, plan_hash TEXT NOT NULL, PRIMARY KEY (plan, due)) WITHOUT ROWID;
CREATE TABLE plan_revision (hash TEXT PRIMARY KEY, checked_plan TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, run TEXT NOT NULL, subject TEXT NOT NULL, step TEXT NOT NULL, attempt INTEGER NOT NULL,
    kind TEXT NOT NULL, at INTEGER NOT NULL, v INTEGER NOT NULL, data TEXT NOT NULL,
    UNIQUE (run, subject, step, attempt, kind));
CREATE INDEX event_kind ON event (kind, run, subject, step);
CREATE INDEX event_subject ON event (subject, step, kind, seq);
CREATE TABLE request (
    id INTEGER PRIMARY KEY AUTOINCREMENT, verb TEXT NOT NULL, data TEXT NOT NULL, at INTEGER NOT NULL, run TEXT);
";

/// The fence number of who only reads: no lease ever has it.
const READER: i64 = -1;

/// The columns of an event, in the order in which `rows` reads them.
const COLUMNS: &str = "seq, run, subject, step, attempt, kind, at, v, data";

/// Whether an event `o` opened a debt that is not settled: `domain::debt` says by what.
fn open_debts() -> String {
    let opens: Vec<String> = debt::KINDS.iter().map(|(opens, _)| format!("'{}'", opens.as_str())).collect();
    let ends: Vec<String> =
        debt::KINDS.iter().map(|(opens, ends)| format!("WHEN '{}' THEN '{}'", opens.as_str(), ends.as_str())).collect();
    format!(
        "o.kind IN ({}) AND NOT EXISTS (SELECT 1 FROM event s WHERE s.kind = CASE o.kind {} END AND s.run = o.run
         AND s.subject = o.subject AND s.step = o.step
         AND (s.attempt >= o.attempt OR (o.kind = '{}' AND o.attempt <= {})))",
        opens.join(", "),
        ends.join(" "),
        Kind::SlotTaken.as_str(),
        debt::SLOTS_ALIKE
    )
}

/// Old details of runs that ended. `run.finished` stays: without it the run would read as unfinished, and be run
/// again. What is open stays whole.
const PRUNE: &str = "DELETE FROM event WHERE kind <> 'run.finished' AND at < ?1
    AND EXISTS (SELECT 1 FROM event f WHERE f.kind = 'run.finished' AND f.run = event.run AND f.at < ?1)
    AND run NOT IN (SELECT value FROM json_each(?2))";

/// A damaged journal that a new one has taken the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Where it is kept.
    pub aside: std::path::PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// The journal in a file, or in memory for tests and simulation.
pub struct SqliteJournal {
    db: RefCell<Connection>,
    path: String,
    fence: Cell<i64>,
}

impl SqliteJournal {
    /// Opens, or makes, the journal in `state_dir`.
    ///
    /// # Errors
    /// The file cannot be opened or migrated, or a newer version wrote it.
    pub fn open(state_dir: &Path) -> Answer<Self> {
        let shown = state_dir.join(FILE).display().to_string();
        let open = || {
            let path = real(state_dir);
            // A failure is SQLite's to tell, in its own words: it meets the same.
            let _ = statedir::make_file(&path, statedir::GROUP_READS);
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
            Connection::open_with_flags(path, flags | CAREFULLY)
        };
        let db = open().map_err(|e| store("open", &shown, &e))?;
        Self::prepare(db, shown)
    }

    /// Opens the journal for whoever holds the lock: looks for damage where that is due, keeps a damaged file aside,
    /// and makes a new one in its place. The damaged one's path and what is wrong with it, if there was one.
    ///
    /// # Errors
    /// As [`SqliteJournal::open`]; or a damaged file cannot be moved.
    pub fn open_or_replace(state_dir: &Path, now: DateTime<Utc>) -> Answer<(Self, Option<Replaced>)> {
        damage::mend(state_dir);
        damage::keep_remains(state_dir, now)?;
        let due = damage::check_due(state_dir);
        let opened = Self::open(state_dir).and_then(|journal| match due {
            Some(pragma) => damage::check(&journal, pragma).map(|()| journal),
            None => Ok(journal),
        });
        match opened {
            Err(JournalError::Corrupt { why, .. }) => {
                let aside = damage::set_aside(state_dir, now)?;
                damage::forget(state_dir);
                Ok((Self::open(state_dir)?, Some(Replaced { aside, why })))
            }
            Err(e) => Err(e),
            Ok(journal) => {
                damage::forget(state_dir);
                Ok((journal, None))
            }
        }
    }

    /// Opens the journal for reading, beside whoever writes it and after. Changes nothing of it.
    ///
    /// # Errors
    /// The file cannot be opened, or a newer version wrote it.
    pub fn read_only(state_dir: &Path) -> Answer<Self> {
        let shown = state_dir.join(FILE).display().to_string();
        let path = real(state_dir);
        let open = || {
            // Without its log nobody has it open, and it is read as it lies there: as a WAL it would get files beside
            // it, perhaps of another owner than the daemon.
            let at_rest = !state_dir.join(format!("{FILE}-wal")).exists();
            let db = Connection::open_with_flags(
                format!("file:{}?immutable={}", uri(&path), u8::from(at_rest)),
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | CAREFULLY,
            )?;
            // What a crash has left in the log is for the next daemon to write back.
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            Ok(db)
        };
        let db = open().map_err(|e: rusqlite::Error| store("open", &shown, &e))?;
        db.busy_timeout(BUSY).map_err(|e| store("open", &shown, &e))?;
        let found: i64 =
            db.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(|e| store("read", &shown, &e))?;
        if found > SCHEMA_VERSION {
            return Err(JournalError::Newer { path: shown, found, known: SCHEMA_VERSION });
        }
        Ok(Self { db: RefCell::new(db), path: shown, fence: Cell::new(READER) })
    }

    /// A journal that is gone with the process.
    ///
    /// # Errors
    /// SQLite cannot be used at all.
    pub fn in_memory() -> Answer<Self> {
        let db = Connection::open_in_memory().map_err(|e| store("open", ":memory:", &e))?;
        Self::prepare(db, ":memory:".into())
    }

    fn prepare(mut db: Connection, path: String) -> Answer<Self> {
        let oops = |e: &rusqlite::Error| store("open", &path, e);
        damage::untouched(&db, true);
        db.busy_timeout(BUSY).map_err(|e| oops(&e))?;
        db.pragma_update(None, "journal_mode", "WAL").map_err(|e| oops(&e))?;
        db.pragma_update(None, "synchronous", "FULL").map_err(|e| oops(&e))?;
        let found: i64 = db.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(|e| oops(&e))?;
        if found > SCHEMA_VERSION {
            return Err(JournalError::Newer { path, found, known: SCHEMA_VERSION });
        }
        if found < SCHEMA_VERSION {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| oops(&e))?;
            // Another process may have migrated while we waited for the lock.
            let now: i64 = tx.query_row("PRAGMA user_version", [], |r| r.get(0)).map_err(|e| oops(&e))?;
            if now < 1 {
                tx.execute_batch(MIGRATION_1).map_err(|e| oops(&e))?;
            }
            tx.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(|e| oops(&e))?;
            tx.commit().map_err(|e| oops(&e))?;
        }
        damage::untouched(&db, false);
        Ok(Self { db: RefCell::new(db), path, fence: Cell::new(0) })
    }

    /// Writes a person's request for whoever runs the engine. Needs no lease.
    ///
    /// # Errors
    /// The store failed.
    pub fn put_request(&self, now: DateTime<Utc>, verb: &str, wish: &impl serde::Serialize) -> Answer<i64> {
        let db = self.db.borrow();
        let data = super::format::revision_text(wish);
        db.execute(
            "INSERT INTO request (verb, data, at) VALUES (?1, ?2, ?3)",
            params![verb, data, now.timestamp_millis()],
        )
        .map_err(|e| self.oops("write to", &e))?;
        Ok(db.last_insert_rowid())
    }

    /// Takes a request back, unless it was taken up; whether it was taken back.
    ///
    /// # Errors
    /// The store failed.
    pub fn withdraw(&self, request: i64) -> Answer<bool> {
        let changed = self.db.borrow().execute("DELETE FROM request WHERE id = ?1 AND run IS NULL", [request]);
        changed.map(|n| n == 1).map_err(|e| self.oops("write to", &e))
    }

    /// The events of a run after `seq`, for followers.
    ///
    /// # Errors
    /// The store failed.
    pub fn events_after(&self, run: &str, seq: i64) -> Answer<Vec<Event>> {
        self.select("WHERE run = ?1 AND seq > ?2 ORDER BY seq", params![run, seq])
    }

    fn oops(&self, what: &'static str, e: &rusqlite::Error) -> JournalError {
        let failure = store(what, &self.path, e);
        if matches!(failure, JournalError::Corrupt { .. }) && self.fence.get() != READER {
            damage::remember(Path::new(&self.path));
        }
        failure
    }

    /// One write transaction under our fence.
    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, WriteError>) -> Answer<T> {
        let mut db = self.db.borrow_mut();
        let result = (|| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let theirs: i64 = tx.query_row("SELECT fence FROM lease", [], |r| r.get(0))?;
            let ours = self.fence.get();
            if theirs != ours && !planted(Defect::FenceIgnored) {
                return Err(WriteError::Other(JournalError::Fenced { path: self.path.clone(), ours, theirs }));
            }
            let value = work(&tx)?;
            tx.commit()?;
            Ok(value)
        })();
        result.map_err(|e| match e {
            WriteError::Sql(e) => self.oops("write to", &e),
            WriteError::Other(e) => e,
        })
    }
}

/// The journal's path without a link on the way to its directory, which may well be one; the file itself may not.
fn real(state_dir: &Path) -> PathBuf {
    state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned()).join(FILE)
}

/// A path in an SQLite URI.
fn uri(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02x}");
        }
        text
    })
}

enum WriteError {
    Sql(rusqlite::Error),
    Other(JournalError),
}

impl From<rusqlite::Error> for WriteError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

fn append_one(tx: &Transaction<'_>, now: DateTime<Utc>, draft: &Draft) -> Result<Written<Event>, WriteError> {
    let row = codec::encode(draft);
    let subject = row.subject.as_ref().map(ToString::to_string).unwrap_or_default();
    let key = params![row.run, subject, row.step, row.attempt, row.kind.as_str()];
    let stored = tx
        .prepare_cached(
            "SELECT seq, run, subject, step, attempt, kind, at, v, data FROM event
             WHERE run = ?1 AND subject = ?2 AND step = ?3 AND attempt = ?4 AND kind = ?5",
        )?
        .query_row(key, read_row)
        .optional()?;
    if let Some((seq, at, stored)) = stored {
        if stored.data == row.data {
            return Ok(Written::Before(Event { seq, at, draft: codec::decode(stored) }));
        }
        return Err(WriteError::Other(JournalError::Conflict {
            key: format!("{} {} {} {} {}", row.run, subject, row.step, row.attempt, row.kind.as_str()),
            stored: stored.data.to_string(),
            offered: row.data.to_string(),
        }));
    }
    tx.prepare_cached(
        "INSERT INTO event (run, subject, step, attempt, kind, at, v, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        row.run,
        subject,
        row.step,
        row.attempt,
        row.kind.as_str(),
        now.timestamp_millis(),
        row.v,
        row.data.to_string()
    ])?;
    Ok(Written::New(Event { seq: tx.last_insert_rowid(), at: instant(now.timestamp_millis()), draft: draft.clone() }))
}

#[async_trait(?Send)]
impl Journal for SqliteJournal {
    async fn acquire(&self, now: DateTime<Utc>) -> Answer<i64> {
        let mut db = self.db.borrow_mut();
        let mut take = || -> rusqlite::Result<i64> {
            // In a transaction of its own: without one the commit is the end of the statement, and nobody is told that
            // it failed, such as for a full disk.
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let sql = "UPDATE lease SET fence = fence + 1, at = ?1 RETURNING fence";
            let fence: i64 = tx.query_row(sql, [now.to_rfc3339()], |r| r.get(0))?;
            tx.commit()?;
            Ok(fence)
        };
        let fence = take().map_err(|e| self.oops("write to", &e))?;
        self.fence.set(fence);
        Ok(fence)
    }

    async fn decide(&self, o: &Occurrence, request: Option<i64>) -> Answer<Written<Occurrence>> {
        self.write(|tx| {
            let new = tx.execute(
                "INSERT INTO occurrence (plan, due, trigger, decision, reason, decided_at, plan_hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
                params![
                    o.plan,
                    o.due.timestamp(),
                    o.trigger.as_str(),
                    o.decision.as_str(),
                    o.reason,
                    o.decided_at.timestamp_millis(),
                    o.plan_hash
                ],
            )?;
            let stored = tx.query_row(
                "SELECT plan, due, trigger, decision, reason, decided_at, plan_hash FROM occurrence
                 WHERE plan = ?1 AND due = ?2",
                params![o.plan, o.due.timestamp()],
                read_occurrence,
            )?;
            if let Some(request) = request {
                tx.execute("UPDATE request SET run = ?2 WHERE id = ?1 AND run IS NULL", params![request, o.run()])?;
            }
            Ok(if new == 1 { Written::New(stored) } else { Written::Before(stored) })
        })
    }

    async fn store_revision(&self, hash: &str, plan: &str) -> Answer<()> {
        self.write(|tx| {
            tx.execute("INSERT INTO plan_revision VALUES (?1, ?2) ON CONFLICT DO NOTHING", params![hash, plan])?;
            Ok(())
        })
    }

    async fn append(&self, now: DateTime<Utc>, drafts: &[Draft]) -> Answer<Vec<Written<Event>>> {
        self.write(|tx| drafts.iter().map(|draft| append_one(tx, now, draft)).collect())
    }

    async fn prune(&self, before: DateTime<Utc>) -> Answer<usize> {
        let open = super::standing::open_scopes(self).await?;
        let open: Vec<&str> = open.iter().map(codec::scope_text).collect();
        let open = serde_json::to_string(&open).unwrap_or_default(); // a list of texts always has a JSON form
        self.write(|tx| Ok(tx.execute(PRUNE, params![before.timestamp_millis(), open])?))
    }

    fn reader(&self) -> &dyn Reader {
        self
    }
}

#[cfg(test)]
mod tests;
