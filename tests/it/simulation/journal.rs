//! A journal that counts its writes, fails on demand, and at a chosen write takes the whole process with it.

use std::cell::{Cell, RefCell};
use std::path::Path;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use stillframe::domain::event::{Draft, Event, Occurrence};
use stillframe::journal::sqlite::SqliteJournal;
use stillframe::journal::{Answer, Journal, JournalError, Reader, Written};
use tokio::sync::Notify;

/// When the process dies, as seen by its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The write with this number (from 1) is stored; nobody hears of it.
    After(u32),
    /// The write with this number never happens.
    Before(u32),
}

/// Delegates to SQLite in memory, which survives the process.
pub struct Mortal {
    inner: SqliteJournal,
    /// Writes so far, over all lives.
    written: Cell<u32>,
    /// What each write was, for messages.
    words: RefCell<Vec<String>>,
    death: Cell<Option<Death>>,
    dead: Cell<bool>,
    died: Notify,
    /// From this write on every one fails.
    fails_from: Cell<Option<u32>>,
    failed: Cell<bool>,
    /// Writes that did not fit what was stored: defects of the engine.
    conflicts: RefCell<Vec<String>>,
}

impl Mortal {
    pub fn new() -> Self {
        Self::of(SqliteJournal::in_memory().expect("SQLite in memory"))
    }

    /// One in a directory, which several processes can open.
    pub fn open(dir: &Path) -> Self {
        Self::of(SqliteJournal::open(dir).expect("a journal"))
    }

    fn of(inner: SqliteJournal) -> Self {
        Self {
            inner,
            written: Cell::new(0),
            words: RefCell::default(),
            death: Cell::new(None),
            dead: Cell::new(false),
            died: Notify::new(),
            fails_from: Cell::new(None),
            failed: Cell::new(false),
            conflicts: RefCell::default(),
        }
    }

    /// The journal itself, for those who only read, and for requests.
    pub fn inner(&self) -> &SqliteJournal {
        &self.inner
    }

    pub fn written(&self) -> u32 {
        self.written.get()
    }

    /// What the write with this number (from 1) was.
    pub fn words(&self, number: u32) -> String {
        self.words.borrow().get(number as usize - 1).cloned().unwrap_or_default()
    }

    pub fn dies(&self, death: Death) {
        self.death.set(Some(death));
    }

    /// From the write with this number (from 1) on every write fails.
    pub fn fails_from(&self, number: u32) {
        self.fails_from.set(Some(number));
    }

    /// Whether a write failed so far.
    pub fn failed(&self) -> bool {
        self.failed.get()
    }

    /// Writes that did not fit what was stored.
    pub fn conflicts(&self) -> Vec<String> {
        self.conflicts.borrow().clone()
    }

    /// Writes succeed again.
    pub fn recovers(&self) {
        self.fails_from.set(None);
    }

    /// The next process finds the journal as the last one left it.
    pub fn revive(&self) {
        self.dead.set(false);
    }

    /// Waits for the end of the process.
    pub async fn death(&self) {
        while !self.dead.get() {
            self.died.notified().await;
        }
    }

    async fn die(&self) -> ! {
        self.death.set(None);
        self.dead.set(true);
        self.died.notify_one();
        std::future::pending().await
    }

    /// One write: counted, refused, or the last one.
    async fn write<T>(&self, words: String, write: impl AsyncFnOnce() -> Answer<T>) -> Answer<T> {
        if self.dead.get() {
            return std::future::pending().await; // a dead process writes nothing
        }
        let number = self.written.get() + 1;
        if self.fails_from.get().is_some_and(|from| number >= from) {
            self.failed.set(true);
            let why = "database or disk is full".to_owned();
            return Err(JournalError::Store { what: "write to", path: "memory".into(), why });
        }
        self.written.set(number);
        self.words.borrow_mut().push(words);
        if self.death.get() == Some(Death::Before(number)) {
            self.die().await
        }
        let answer = write().await;
        if let Err(e @ JournalError::Conflict { .. }) = &answer {
            self.conflicts.borrow_mut().push(e.to_string());
        }
        if self.death.get() == Some(Death::After(number)) {
            self.die().await
        }
        answer
    }
}

fn words(drafts: &[Draft]) -> String {
    let one = |d: &Draft| {
        let subject = d.subject.as_ref().map_or("", |s| &s.id);
        format!("{} {} {subject} {}#{}", d.kind.as_str(), d.run, d.step, d.attempt)
    };
    drafts.iter().map(one).collect::<Vec<_>>().join(" + ")
}

#[async_trait(?Send)]
impl Journal for Mortal {
    async fn acquire(&self, now: DateTime<Utc>) -> Answer<i64> {
        self.write("acquire".into(), async || self.inner.acquire(now).await).await
    }

    async fn decide(&self, occurrence: &Occurrence, request: Option<i64>) -> Answer<Written<Occurrence>> {
        let words = format!("decide {} {}", occurrence.run(), occurrence.decision.as_str());
        self.write(words, async || self.inner.decide(occurrence, request).await).await
    }

    async fn store_revision(&self, hash: &str, plan: &str) -> Answer<()> {
        self.write("revision".into(), async || self.inner.store_revision(hash, plan).await).await
    }

    async fn append(&self, now: DateTime<Utc>, drafts: &[Draft]) -> Answer<Vec<Written<Event>>> {
        self.write(words(drafts), async || self.inner.append(now, drafts).await).await
    }

    async fn prune(&self, before: DateTime<Utc>) -> Answer<usize> {
        self.inner.prune(before).await
    }

    fn reader(&self) -> &dyn Reader {
        self.inner.reader()
    }
}
