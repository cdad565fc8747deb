//! The durable record of decisions and steps: the port, SQLite behind it, and memory for simulations.
//!
//! Writes are compare-and-set (a repeated insert answers what is stored, the same key with other data is an
//! error) and carry a fence number, so that a store shared by several daemons fits without change.

pub mod format;
pub mod memory;
pub mod sqlite;
mod standing;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use self::format::Wish;
use crate::domain::event::Occurrence;
use crate::domain::fact::{Draft, Event, Kind, Scope, StepId};
use crate::domain::place::Subject;

/// Why the journal did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store failed (disk full, read-only, not permitted).
    #[error("cannot {what} the journal {path}: {why}")]
    Store {
        /// Verb, such as "write to".
        what: &'static str,
        /// The file.
        path: String,
        /// What the store said, and what to do about it.
        why: String,
    },
    /// What the file holds is no journal, or not a whole one.
    #[error(
        "the journal {path} is damaged ({why}); start the stillframe daemon (again): it keeps the file aside and \
         rebuilds the journal from the tags of the images in AWS"
    )]
    Corrupt {
        /// The file.
        path: String,
        /// What the store said.
        why: String,
    },
    /// Another process took the journal over.
    #[error(
        "the journal {path} was taken over by another process (fence {theirs}, ours is {ours}); this one writes nothing more"
    )]
    Fenced {
        /// The file.
        path: String,
        /// Our number.
        ours: i64,
        /// The newer number.
        theirs: i64,
    },
    /// The same event is there with other data.
    #[error("the journal holds {key} with other data: {stored}, not {offered}; this is a defect, please report it")]
    Conflict {
        /// Run, subject, step, attempt and kind.
        key: String,
        /// What is stored.
        stored: String,
        /// What was to be written.
        offered: String,
    },
    /// Written by a newer version.
    #[error(
        "the journal {path} is of version {found}, this stillframe understands up to {known}; install the newer stillframe again, or move the file aside"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
}

/// An answer of the journal.
pub type Answer<T> = Result<T, JournalError>;

/// What was written, or had been before.
#[derive(Debug, Clone, PartialEq)]
pub enum Written<T> {
    /// Now.
    New(T),
    /// Before; this is what is stored.
    Before(T),
}

impl<T> Written<T> {
    /// What is stored.
    pub fn into_inner(self) -> T {
        match self {
            Self::New(value) | Self::Before(value) => value,
        }
    }
}

/// A person's wish, written by a command and taken up by whoever runs the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its number.
    pub id: i64,
    /// The verb: `backup`.
    pub verb: String,
    /// What is asked for.
    pub wish: Wish,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The run that it led to, once taken up.
    pub run: Option<String>,
}

/// The journal as the engine writes it.
#[async_trait(?Send)]
pub trait Journal {
    /// Takes the lease, under a fence number greater than all before; every later write carries it.
    async fn acquire(&self, now: DateTime<Utc>) -> Answer<i64>;
    /// Writes what was decided of an occurrence, once; and in the same transaction that it answers `request`.
    async fn decide(&self, occurrence: &Occurrence, request: Option<i64>) -> Answer<Written<Occurrence>>;
    /// Stores a plan revision under its hash.
    async fn store_revision(&self, hash: &str, plan: &str) -> Answer<()>;
    /// Writes events in one transaction, all or none, in their order.
    async fn append(&self, now: DateTime<Utc>, drafts: &[Draft]) -> Answer<Vec<Written<Event>>>;
    /// Forgets the details of runs that ended before `before`. What is still open, and how each run ended, stays.
    async fn prune(&self, before: DateTime<Utc>) -> Answer<usize>;
    /// Read access.
    fn reader(&self) -> &dyn Reader;
}

/// Which fact is looked for.
#[derive(Debug, Clone)]
pub struct Find<'a> {
    /// About this subject, or none.
    pub subject: Option<Subject>,
    /// Of one of these kinds.
    pub kinds: &'a [Kind],
    /// Of this topic, as it is written down.
    pub step: Option<String>,
    /// In this scope.
    pub scope: Option<Scope>,
    /// After this `seq`.
    pub after: i64,
    /// Before this one.
    pub before: i64,
}

/// The journal as everybody reads it, beside a running daemon too.
#[async_trait(?Send)]
pub trait Reader {
    /// All facts of a scope, by `seq`.
    async fn events_in(&self, scope: &Scope) -> Answer<Vec<Event>>;
    /// All facts of a run, by `seq`.
    async fn events_of(&self, run: &str) -> Answer<Vec<Event>> {
        self.events_in(&Scope::Run(run.to_owned())).await
    }
    /// Facts of a kind over all scopes, by `seq`.
    async fn events_of_kind(&self, kind: &Kind) -> Answer<Vec<Event>>;
    /// The newest fact of this kind in a scope.
    async fn newest_in(&self, scope: &Scope, kind: &Kind) -> Answer<Option<Event>>;
    /// The newest scheduled occurrence decided for a plan.
    async fn last_decided(&self, plan: &str) -> Answer<Option<DateTime<Utc>>>;
    /// What was decided of one occurrence.
    async fn occurrence(&self, plan: &str, due: DateTime<Utc>) -> Answer<Option<Occurrence>>;
    /// The newest occurrences, newest first, at most `limit`.
    async fn occurrences(&self, plan: Option<&str>, limit: u32) -> Answer<Vec<Occurrence>>;
    /// The next `limit` occurrences due from `since` to `until`, newest first, after the first `skip` of them.
    async fn occurrences_between(
        &self,
        plan: Option<&str>,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u32,
        skip: u32,
    ) -> Answer<Vec<Occurrence>>;
    /// Occurrences that were to run and have no `run.finished`, oldest first.
    async fn unfinished(&self) -> Answer<Vec<Occurrence>>;
    /// What was taken and not given back: the facts that opened each debt, by `seq`.
    async fn open_debts(&self) -> Answer<Vec<Event>>;
    /// The newest fact of these.
    async fn newest(&self, find: &Find<'_>) -> Answer<Option<Event>>;
    /// Of each subject and plan the newest fact of this kind and topic.
    async fn newest_each(&self, kind: &Kind, step: &str) -> Answer<Vec<Event>>;
    /// All facts about the subjects of this id, wherever they are, by `seq`.
    async fn events_about_id(&self, id: &str) -> Answer<Vec<Event>>;
    /// Facts of a kind that name this in what they say, by `seq`.
    async fn events_naming(&self, kind: &Kind, what: &str) -> Answer<Vec<Event>>;
    /// Subjects that needed a person in `step` and are not done since: the newest such fact of each.
    async fn open_needs(&self, step: &StepId) -> Answer<Vec<Event>> {
        standing::open_needs(self, step).await
    }
    /// Alarms that nothing has ended since: the newest of each subject and topic.
    async fn alarms(&self) -> Answer<Vec<Event>> {
        standing::alarms(self).await
    }
    /// What holds back and was not cleared: the facts that raised it, by `seq`.
    async fn holds(&self) -> Answer<Vec<Event>> {
        standing::holds(self).await
    }
    /// Of each instance and plan the fact that told of its newest image that became available.
    async fn newest_good(&self) -> Answer<Vec<Event>> {
        standing::newest_good(self).await
    }
    /// What is known of an image whose place need not be known: facts about it, and the one that told of its making.
    async fn about_image(&self, image: &str) -> Answer<Vec<Event>> {
        standing::about_image(self, image).await
    }
    /// All events about a subject, by `seq`.
    async fn events_about(&self, subject: &Subject) -> Answer<Vec<Event>>;
    /// A plan revision.
    async fn revision(&self, hash: &str) -> Answer<Option<String>>;
    /// Requests not taken up yet.
    async fn open_requests(&self) -> Answer<Vec<Request>>;
    /// One request.
    async fn request(&self, id: i64) -> Answer<Option<Request>>;
}
