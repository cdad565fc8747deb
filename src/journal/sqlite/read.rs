//! The reading half of the journal: beside a running daemon, and after it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};

use super::rows::{instant, json, read_event, read_occurrence};
use super::{COLUMNS, OPEN_NEEDS, OPEN_SLOTS, SqliteJournal};
use crate::domain::event::{Event, Occurrence};
use crate::journal::{Answer, Reader, Request};

impl SqliteJournal {
    pub(super) fn select(&self, tail: &str, params: impl rusqlite::Params) -> Answer<Vec<Event>> {
        let db = self.db.borrow();
        let sql = format!("SELECT {COLUMNS} FROM event {tail}");
        let work =
            || -> rusqlite::Result<Vec<Event>> { db.prepare_cached(&sql)?.query_map(params, read_event)?.collect() };
        work().map_err(|e| self.oops("read", &e))
    }

    pub(super) fn rows(&self, tail: &str, params: impl rusqlite::Params) -> Answer<Vec<Occurrence>> {
        let db = self.db.borrow();
        let sql = format!("SELECT plan, due, trigger, decision, reason, decided_at, plan_hash FROM occurrence {tail}");
        let work = || -> rusqlite::Result<Vec<Occurrence>> {
            db.prepare_cached(&sql)?.query_map(params, read_occurrence)?.collect()
        };
        work().map_err(|e| self.oops("read", &e))
    }

    pub(super) fn requests(&self, tail: &str, params: impl rusqlite::Params) -> Answer<Vec<Request>> {
        let db = self.db.borrow();
        let sql = format!("SELECT id, verb, data, at, run FROM request {tail}");
        let work = || -> rusqlite::Result<Vec<Request>> {
            db.prepare_cached(&sql)?
                .query_map(params, |r| {
                    Ok(Request {
                        id: r.get(0)?,
                        verb: r.get(1)?,
                        data: json(r, 2)?,
                        at: instant(r.get(3)?),
                        run: r.get(4)?,
                    })
                })?
                .collect()
        };
        work().map_err(|e| self.oops("read", &e))
    }
}

#[async_trait(?Send)]
impl Reader for SqliteJournal {
    async fn events_of(&self, run: &str) -> Answer<Vec<Event>> {
        self.select("WHERE run = ?1 ORDER BY seq", params![run])
    }

    async fn events_of_kind(&self, kind: &str) -> Answer<Vec<Event>> {
        self.select("WHERE kind = ?1 ORDER BY seq", params![kind])
    }

    async fn newest_of(&self, run: &str, kind: &str) -> Answer<Option<Event>> {
        Ok(self.select("WHERE run = ?1 AND kind = ?2 ORDER BY seq DESC LIMIT 1", params![run, kind])?.pop())
    }

    async fn last_decided(&self, plan: &str) -> Answer<Option<DateTime<Utc>>> {
        let rows = self.rows("WHERE plan = ?1 AND trigger = 'schedule' ORDER BY due DESC LIMIT 1", params![plan])?;
        Ok(rows.first().map(|o| o.due))
    }

    async fn occurrence(&self, plan: &str, due: DateTime<Utc>) -> Answer<Option<Occurrence>> {
        Ok(self.rows("WHERE plan = ?1 AND due = ?2", params![plan, due.timestamp()])?.pop())
    }

    async fn occurrences(&self, plan: Option<&str>, limit: u32) -> Answer<Vec<Occurrence>> {
        match plan {
            Some(plan) => self.rows("WHERE plan = ?1 ORDER BY due DESC LIMIT ?2", params![plan, limit]),
            None => self.rows("ORDER BY due DESC, plan LIMIT ?1", params![limit]),
        }
    }

    async fn unfinished(&self) -> Answer<Vec<Occurrence>> {
        self.rows(
            "WHERE decision = 'run' AND NOT EXISTS (SELECT 1 FROM event e WHERE e.kind = 'run.finished' AND e.run =
             plan || '@' || strftime('%Y%m%dT%H%M%SZ', due, 'unixepoch')) ORDER BY due, plan",
            [],
        )
    }

    async fn open_slots(&self) -> Answer<Vec<Event>> {
        self.select(OPEN_SLOTS, [])
    }

    async fn open_needs(&self, step: &str) -> Answer<Vec<Event>> {
        self.select(OPEN_NEEDS, params![step])
    }

    async fn revision(&self, hash: &str) -> Answer<Option<String>> {
        let db = self.db.borrow();
        db.query_row("SELECT checked_plan FROM plan_revision WHERE hash = ?1", [hash], |r| r.get(0))
            .optional()
            .map_err(|e| self.oops("read", &e))
    }

    async fn open_requests(&self) -> Answer<Vec<Request>> {
        self.requests("WHERE run IS NULL ORDER BY id", [])
    }

    async fn request(&self, id: i64) -> Answer<Option<Request>> {
        Ok(self.requests("WHERE id = ?1", params![id])?.pop())
    }
}
