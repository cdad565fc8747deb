//! Facts as they are written down: the tests read the journal's columns and data, not the engine's types, so that a slip of
//! those does not excuse itself.

use chrono::{DateTime, Utc};
use stillframe::domain::event::Occurrence;
use stillframe::domain::fact::codec::{self, Row};
use stillframe::domain::fact::{self, Kind, Scope};
use stillframe::domain::place::Subject;
use stillframe::domain::saga::RunState;
use stillframe::journal::{Answer, Reader, Request};

/// A fact to be written.
pub type Draft = Row;

/// A fact as the journal holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub seq: i64,
    pub at: DateTime<Utc>,
    pub draft: Row,
}

impl Event {
    pub fn text(&self, key: &str) -> Option<&str> {
        self.draft.text(key)
    }
}

impl From<&fact::Event> for Event {
    fn from(event: &fact::Event) -> Self {
        Self { seq: event.seq, at: event.at, draft: codec::encode(&event.draft) }
    }
}

impl From<&Event> for fact::Event {
    fn from(event: &Event) -> Self {
        Self { seq: event.seq, at: event.at, draft: codec::decode(event.draft.clone()) }
    }
}

/// As the engine takes them.
pub fn drafts(rows: &[Row]) -> Vec<fact::Draft> {
    rows.iter().cloned().map(codec::decode).collect()
}

/// The journal, read so.
#[derive(Clone, Copy)]
pub struct Rows<'a>(pub &'a dyn Reader);

fn rows(events: Answer<Vec<fact::Event>>) -> Answer<Vec<Event>> {
    Ok(events?.iter().map(Event::from).collect())
}

impl Rows<'_> {
    pub async fn events_of(self, run: &str) -> Answer<Vec<Event>> {
        rows(self.0.events_of(run).await)
    }

    pub async fn events_in(self, scope: &Scope) -> Answer<Vec<Event>> {
        rows(self.0.events_in(scope).await)
    }

    pub async fn events_of_kind(self, kind: &str) -> Answer<Vec<Event>> {
        rows(self.0.events_of_kind(&Kind::parse(kind)).await)
    }

    pub async fn events_about(self, subject: &Subject) -> Answer<Vec<Event>> {
        rows(self.0.events_about(subject).await)
    }

    pub async fn open_slots(self) -> Answer<Vec<Event>> {
        let of_slots = |rows: Vec<Event>| rows.into_iter().filter(|e| e.draft.kind == Kind::SlotTaken).collect();
        rows(self.0.open_debts().await).map(of_slots)
    }

    pub async fn open_needs(self, step: &str) -> Answer<Vec<Event>> {
        rows(self.0.open_needs(&step.parse().expect("a step")).await)
    }

    pub async fn alarms(self) -> Answer<Vec<Event>> {
        rows(self.0.alarms().await)
    }

    pub async fn newest_in(self, scope: &Scope, kind: &Kind) -> Answer<Option<Event>> {
        Ok(self.0.newest_in(scope, kind).await?.as_ref().map(Event::from))
    }

    pub async fn revision(self, hash: &str) -> Answer<Option<String>> {
        self.0.revision(hash).await
    }

    /// A run, as the engine folds it.
    pub async fn run(self, name: &str) -> Answer<RunState> {
        Ok(RunState::fold(&self.0.events_of(name).await?))
    }

    pub async fn occurrences(self, plan: Option<&str>, limit: u32) -> Answer<Vec<Occurrence>> {
        self.0.occurrences(plan, limit).await
    }

    pub async fn occurrence(self, plan: &str, due: DateTime<Utc>) -> Answer<Option<Occurrence>> {
        self.0.occurrence(plan, due).await
    }

    pub async fn unfinished(self) -> Answer<Vec<Occurrence>> {
        self.0.unfinished().await
    }

    pub async fn open_requests(self) -> Answer<Vec<Request>> {
        self.0.open_requests().await
    }

    pub async fn request(self, id: i64) -> Answer<Option<Request>> {
        self.0.request(id).await
    }
}
