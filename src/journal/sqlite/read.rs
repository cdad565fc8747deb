//! The reading half of the journal: beside a running daemon, and after it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};

use super::open_debts;
use super::rows::{instant, json, read_event, read_occurrence};
use super::{COLUMNS, OPEN_NEEDS, SqliteJournal};
use crate::domain::event::Occurrence;
use crate::domain::fact::{Event, Kind, Scope, StepId, codec};
use crate::domain::place::Subject;
use crate::journal::{Answer, Reader, Request};

/// The tail of the query for alarms that nothing has ended: neither the step itself, nor what it was about. Trying a
/// removal again and failing again is no end.
pub(super) const ALARMS: &str = "AS n WHERE kind = 'step.needs_person' AND NOT EXISTS (SELECT 1 FROM event m WHERE
    m.subject = n.subject AND m.step = n.step AND m.kind = 'step.needs_person' AND m.seq > n.seq)
    AND NOT EXISTS (SELECT 1 FROM event d WHERE d.subject = n.subject AND d.step = n.step AND d.seq > n.seq
    AND d.kind IN ('step.done', 'step.observed'))
    AND NOT (n.step NOT IN ('retain', 'return', 'select') AND EXISTS (SELECT 1 FROM event t WHERE t.run = n.run
    AND t.subject = n.subject AND t.kind = 'target.finished' AND t.seq > n.seq))
    AND NOT (n.step = 'return' AND EXISTS (SELECT 1 FROM event f WHERE f.run = n.run AND f.subject = n.subject
    AND f.kind = 'slot.freed' AND f.seq > n.seq))
    AND NOT (n.step = 'select' AND EXISTS (SELECT 1 FROM event s WHERE s.subject = n.subject AND s.step = ''
    AND s.kind IN ('target.selected', 'target.finished') AND s.seq > n.seq)) ORDER BY seq";

/// The tail of the query for the newest good image of each instance and plan.
const NEWEST_GOOD: &str = "WHERE seq IN (SELECT max(seq) FROM event WHERE kind = 'step.observed' AND step = 'image'
    AND data ->> 'outcome' = 'done' GROUP BY subject, substr(run, 1, length(run) - 17)) ORDER BY seq";

/// The tail of the query for all that is known of an image: `?1` is what its subject ends with, `?2` what the event of
/// its making holds.
const ABOUT_IMAGE: &str = "WHERE subject IN (SELECT DISTINCT subject FROM event WHERE subject LIKE ?1)
    OR (kind = 'step.done' AND (step = 'image' OR step LIKE 'copy:%' OR step LIKE 'via:%') AND data LIKE ?2)
    ORDER BY seq";

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

    async fn open_needs(&self, step: &StepId) -> Answer<Vec<Event>> {
        self.select(OPEN_NEEDS, params![step.to_string()])
    }

    async fn alarms(&self) -> Answer<Vec<Event>> {
        self.select(ALARMS, [])
    }

    async fn newest_good(&self) -> Answer<Vec<Event>> {
        self.select(NEWEST_GOOD, [])
    }

    async fn about_image(&self, image: &str) -> Answer<Vec<Event>> {
        self.select(ABOUT_IMAGE, params![format!("%/{image}"), format!("%\"{image}\"%")])
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
