//! The reading half of the journal: beside a running daemon, and after it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};

use super::open_debts;
use super::rows::{instant, json, read_event, read_occurrence};
use super::{COLUMNS, SqliteJournal};
use crate::domain::event::Occurrence;
use crate::domain::fact::{Event, Kind, Scope, codec};
use crate::domain::place::Subject;
use crate::journal::{Answer, Find, Reader, Request};

/// The tail of the query for the newest of each subject and plan.
pub(super) const NEWEST_EACH: &str = "WHERE seq IN (SELECT max(seq) FROM event WHERE kind = ?1 AND step = ?2
    GROUP BY subject, substr(run, 1, length(run) - 17)) ORDER BY seq";

/// The tail of the query for one of these, with those of its conditions that are asked for.
pub(super) fn newest(find: &Find<'_>) -> String {
    let kinds: Vec<String> = find.kinds.iter().map(|kind| format!("'{}'", kind.as_str())).collect();
    let step = if find.step.is_some() { "AND step = ?4" } else { "AND ?4 IS NULL" };
    let scope = if find.scope.is_some() { "AND run = ?5" } else { "AND ?5 IS NULL" };
    format!(
        "WHERE subject = ?1 AND seq > ?2 AND seq < ?3 {step} {scope} AND kind IN ({}) ORDER BY seq DESC LIMIT 1",
        kinds.join(", ")
    )
}

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
                        wish: serde_json::from_value(json(r, 2)?).unwrap_or_default(),
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
    async fn events_in(&self, scope: &Scope) -> Answer<Vec<Event>> {
        self.select("WHERE run = ?1 ORDER BY seq", params![codec::scope_text(scope)])
    }

    async fn events_of_kind(&self, kind: &Kind) -> Answer<Vec<Event>> {
        self.select("WHERE kind = ?1 ORDER BY seq", params![kind.as_str()])
    }

    async fn newest_in(&self, scope: &Scope, kind: &Kind) -> Answer<Option<Event>> {
        let tail = "WHERE run = ?1 AND kind = ?2 ORDER BY seq DESC LIMIT 1";
        Ok(self.select(tail, params![codec::scope_text(scope), kind.as_str()])?.pop())
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

    async fn occurrences_between(
        &self,
        plan: Option<&str>,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u32,
        skip: u32,
    ) -> Answer<Vec<Occurrence>> {
        let (since, until) = (since.timestamp(), until.timestamp());
        match plan {
            Some(plan) => self.rows(
                "WHERE plan = ?1 AND due BETWEEN ?2 AND ?3 ORDER BY due DESC LIMIT ?4 OFFSET ?5",
                params![plan, since, until, limit, skip],
            ),
            None => self.rows(
                "WHERE due BETWEEN ?1 AND ?2 ORDER BY due DESC, plan LIMIT ?3 OFFSET ?4",
                params![since, until, limit, skip],
            ),
        }
    }

    async fn unfinished(&self) -> Answer<Vec<Occurrence>> {
        self.rows(
            "WHERE decision = 'run' AND NOT EXISTS (SELECT 1 FROM event e WHERE e.kind = 'run.finished' AND e.run =
             plan || '@' || strftime('%Y%m%dT%H%M%SZ', due, 'unixepoch')) ORDER BY due, plan",
            [],
        )
    }

    async fn open_debts(&self) -> Answer<Vec<Event>> {
        self.select(&format!("AS o WHERE {} ORDER BY seq", open_debts()), [])
    }

    async fn newest(&self, find: &Find<'_>) -> Answer<Option<Event>> {
        let subject = find.subject.as_ref().map(ToString::to_string).unwrap_or_default();
        let scope = find.scope.as_ref().map(codec::scope_text);
        Ok(self.select(&newest(find), params![subject, find.after, find.before, find.step, scope])?.pop())
    }

    async fn newest_each(&self, kind: &Kind, step: &str) -> Answer<Vec<Event>> {
        self.select(NEWEST_EACH, params![kind.as_str(), step])
    }

    async fn events_about_id(&self, id: &str) -> Answer<Vec<Event>> {
        let tail = "WHERE subject IN (SELECT DISTINCT subject FROM event WHERE subject LIKE ?1) ORDER BY seq";
        self.select(tail, params![format!("%/{id}")])
    }

    async fn events_naming(&self, kind: &Kind, what: &str) -> Answer<Vec<Event>> {
        let db = self.db.borrow();
        let sql = format!("SELECT {COLUMNS} FROM event WHERE kind = ?1 ORDER BY seq");
        // Most are passed over unread: there may be millions.
        let names = |row: &rusqlite::Row<'_>| -> rusqlite::Result<bool> {
            Ok(row.get_ref(8)?.as_str().is_ok_and(|data| data.contains(what)))
        };
        let work = || -> rusqlite::Result<Vec<Event>> {
            let mut query = db.prepare_cached(&sql)?;
            let mut rows = query.query(params![kind.as_str()])?;
            let mut events = Vec::new();
            while let Some(row) = rows.next()? {
                if names(row)? {
                    events.push(read_event(row)?);
                }
            }
            Ok(events)
        };
        work().map_err(|e| self.oops("read", &e))
    }

    async fn events_about(&self, subject: &Subject) -> Answer<Vec<Event>> {
        self.select("WHERE subject = ?1 ORDER BY seq", params![subject.to_string()])
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
