//! A journal that counts its writes, fails on demand, at a chosen write takes the whole process with it, can be taken
//! over by another process, and can forget what it had acknowledged.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use stillframe::clock::Clock;
use stillframe::defect::{Defect, planted};
use stillframe::domain::event::Occurrence;
use stillframe::domain::fact::codec::{decode, encode};
use stillframe::domain::fact::{Draft, Event, Kind};

use stillframe::journal::sqlite::SqliteJournal;
use stillframe::journal::{Answer, Journal, JournalError, Reader, Written};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::rows::Rows;

/// When the process dies, as seen by its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The write with this number (from 1) is stored; nobody hears of it.
    After(u32),
    /// The write with this number never happens.
    Before(u32),
}

/// Tells which write is the last one, by its number and its words.
pub type Cut = Box<dyn Fn(u32, &str) -> Option<Death>>;

/// One transaction, so that it can be written again.
#[derive(Clone)]
pub enum Op {
    Acquire(DateTime<Utc>),
    Decide(Occurrence, Option<i64>),
    Revision(String, String),
    Append(DateTime<Utc>, Vec<Draft>),
    Prune(DateTime<Utc>),
    Ask(DateTime<Utc>, Value),
}

impl Op {
    /// Whether it only raises or clears what holds back: such writes are counted apart.
    fn is_apart(&self) -> bool {
        let apart = |kind: Kind| matches!(kind, Kind::HoldRaised | Kind::HoldCleared | Kind::RunStopped);
        matches!(self, Self::Append(_, drafts) if drafts.iter().all(|draft| apart(draft.kind())))
    }
}

/// The disk: it survives the process.
struct Store {
    inner: SqliteJournal,
    /// Writes so far, over all lives.
    written: Cell<u32>,
    /// Writes that only raise or clear what holds back.
    apart: Cell<u32>,
    /// Whether a full disk refuses these, too: it would be noticed earlier than in the lives that were recorded.
    apart_fail: Cell<bool>,
    /// What each write was, for messages.
    words: RefCell<Vec<String>>,
    /// From this write on every one fails.
    fails_from: Cell<Option<u32>>,
    failed: Cell<bool>,
    /// Writes that did not fit what was stored: defects of the engine.
    conflicts: RefCell<Vec<String>>,
    /// When each occurrence was decided: its event may be told later.
    decided: RefCell<BTreeMap<String, Instant>>,
    /// Processes that took it, so far.
    lease: Cell<i64>,
    /// Every transaction with the number of its write, where it may have to forget some.
    ops: RefCell<Option<Vec<(u32, Op)>>>,
    /// Where the whole life ends, and whether it has.
    cut: RefCell<Option<Cut>>,
    is_cut: Cell<bool>,
}

/// One process's handle on it. Delegates to SQLite, in memory mostly.
pub struct Mortal {
    store: Rc<Store>,
    /// Its fence number.
    fence: Cell<i64>,
    death: Cell<Option<Death>>,
    dead: Cell<bool>,
    died: Notify,
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
        Self::on(Rc::new(Store {
            inner,
            written: Cell::new(0),
            apart: Cell::default(),
            apart_fail: Cell::default(),
            words: RefCell::default(),
            fails_from: Cell::new(None),
            failed: Cell::new(false),
            conflicts: RefCell::default(),
            decided: RefCell::default(),
            lease: Cell::new(0),
            ops: RefCell::default(),
            cut: RefCell::default(),
            is_cut: Cell::new(false),
        }))
    }

    fn on(store: Rc<Store>) -> Self {
        Self { store, fence: Cell::new(0), death: Cell::new(None), dead: Cell::new(false), died: Notify::new() }
    }

    /// The same journal, as another process opens it.
    pub fn twin(&self) -> Self {
        Self::on(Rc::clone(&self.store))
    }

    /// When an occurrence was decided, if it was.
    pub fn decided(&self, run: &str) -> Option<Instant> {
        self.store.decided.borrow().get(run).copied()
    }

    /// Remembers every transaction from now on, so that it can forget the last ones.
    pub fn remembers(&self) {
        self.store.ops.borrow_mut().get_or_insert_default();
    }

    /// The journal as it was before its last `lost` transactions: a disk that acknowledges what it has not stored.
    /// Whether there were so many.
    pub async fn forgets(&self, lost: usize) -> Option<Self> {
        let ops = self.store.ops.borrow().clone()?;
        let counted = ops.iter().enumerate().rev().filter(|(_, (_, op))| !op.is_apart());
        let kept = counted.map(|(at, _)| at).nth(lost.checked_sub(1)?)?;
        let earlier = Self::new();
        earlier.remembers();
        for (_, op) in ops.into_iter().take(kept) {
            earlier.again(op).await.expect("it was written before");
        }
        Some(earlier)
    }

    /// The same journal, written once more into `dir`.
    pub async fn write_again(&self, dir: &Path) {
        let again = Self::open(dir);
        for (_, op) in self.ops() {
            again.again(op).await.expect("it was written before");
        }
    }

    /// Every transaction that it remembers, with the number of its write.
    pub fn ops(&self) -> Vec<(u32, Op)> {
        self.store.ops.borrow().clone().unwrap_or_default()
    }

    /// The process dies at the first write that `cut` names, and so the life ends.
    pub fn cuts(&self, cut: Cut) {
        *self.store.cut.borrow_mut() = Some(cut);
    }

    /// Whether the life ended there.
    pub fn is_cut(&self) -> bool {
        self.store.is_cut.get()
    }

    async fn again(&self, op: Op) -> Answer<()> {
        match op {
            Op::Acquire(now) => self.acquire(now).await.map(|_| ()),
            Op::Decide(occurrence, request) => self.decide(&occurrence, request).await.map(|_| ()),
            Op::Revision(hash, plan) => self.store_revision(&hash, &plan).await,
            Op::Append(now, drafts) => self.append(now, &drafts).await.map(|_| ()),
            Op::Prune(before) => self.prune(before).await.map(|_| ()),
            Op::Ask(now, data) => self.ask(now, &data).map(|_| ()),
        }
    }

    /// The journal as the tests read it.
    pub fn rows(&self) -> Rows<'_> {
        Rows(self.store.inner.reader())
    }

    /// The journal itself, for those who only read, and for requests.
    pub fn inner(&self) -> &SqliteJournal {
        &self.store.inner
    }

    /// A person's request for a backup.
    pub fn ask(&self, now: DateTime<Utc>, data: &Value) -> Answer<i64> {
        let id = self.store.inner.put_request(now, "backup", data)?;
        self.done(|| Op::Ask(now, data.clone()));
        Ok(id)
    }

    pub fn written(&self) -> u32 {
        self.store.written.get()
    }

    /// What the write with this number (from 1) was.
    pub fn words(&self, number: u32) -> String {
        self.store.words.borrow().get(number as usize - 1).cloned().unwrap_or_default()
    }

    pub fn dies(&self, death: Death) {
        self.death.set(Some(death));
    }

    /// From the write with this number (from 1) on every write fails.
    pub fn fails_from(&self, number: u32) {
        self.store.fails_from.set(Some(number));
    }

    /// What only raises or clears what holds back fails with the others.
    pub fn fails_apart(&self) {
        self.store.apart_fail.set(true);
    }

    /// Whether a write failed so far.
    pub fn failed(&self) -> bool {
        self.store.failed.get()
    }

    /// Writes that did not fit what was stored.
    pub fn conflicts(&self) -> Vec<String> {
        self.store.conflicts.borrow().clone()
    }

    /// Writes succeed again.
    pub fn recovers(&self) {
        self.store.fails_from.set(None);
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

    fn done(&self, op: impl FnOnce() -> Op) {
        if let Some(ops) = self.store.ops.borrow_mut().as_mut() {
            ops.push((self.store.written.get(), op()));
        }
    }

    fn fenced(&self) -> Answer<()> {
        let (ours, theirs) = (self.fence.get(), self.store.lease.get());
        if ours == theirs || planted(Defect::FenceIgnored) {
            Ok(())
        } else {
            Err(JournalError::Fenced { path: "memory".into(), ours, theirs })
        }
    }

    /// One write: counted, refused, or the last one.
    async fn write<T>(
        &self,
        words: String,
        write: impl AsyncFnOnce() -> Answer<T>,
        op: impl FnOnce() -> Op,
    ) -> Answer<T> {
        if self.dead.get() {
            return std::future::pending().await; // a dead process writes nothing
        }
        let store = &self.store;
        // What comes and goes by itself is no step of anybody's way: the others keep their numbers.
        let op = op();
        if op.is_apart() {
            let full = store.fails_from.get().is_some_and(|from| store.written.get() + 1 >= from);
            if full && store.apart_fail.get() {
                let why = "database or disk is full".to_owned();
                return Err(JournalError::Store { what: "write to", path: "memory".into(), why });
            }
            let answer = write().await;
            if answer.is_ok() {
                store.apart.set(store.apart.get() + 1);
                self.done(|| op);
            }
            return answer;
        }
        let number = store.written.get() + 1;
        if store.fails_from.get().is_some_and(|from| number >= from) {
            store.failed.set(true);
            let why = "database or disk is full".to_owned();
            return Err(JournalError::Store { what: "write to", path: "memory".into(), why });
        }
        store.written.set(number);
        let cut = store.cut.borrow().as_ref().and_then(|cut| cut(number, &words));
        store.words.borrow_mut().push(words);
        if let Some(cut) = cut {
            store.is_cut.set(true);
            self.death.set(Some(cut));
        }
        if self.death.get() == Some(Death::Before(number)) {
            self.die().await
        }
        let answer = write().await;
        if answer.is_ok() {
            self.done(|| op);
        }
        if let Err(e @ JournalError::Conflict { .. }) = &answer {
            store.conflicts.borrow_mut().push(e.to_string());
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
        let row = encode(d);
        format!("{} {} {subject} {}#{}", row.kind.as_str(), row.run, row.step, row.attempt)
    };
    drafts.iter().map(one).collect::<Vec<_>>().join(" + ")
}

#[async_trait(?Send)]
impl Journal for Mortal {
    async fn acquire(&self, now: DateTime<Utc>) -> Answer<i64> {
        let store = &self.store;
        let acquire = async || {
            let fence = store.inner.acquire(now).await?;
            store.lease.set(fence);
            self.fence.set(fence);
            Ok(fence)
        };
        self.write("acquire".into(), acquire, || Op::Acquire(now)).await
    }

    async fn decide(&self, occurrence: &Occurrence, request: Option<i64>) -> Answer<Written<Occurrence>> {
        self.fenced()?;
        let words = format!("decide {} {}", occurrence.run(), occurrence.decision.as_str());
        let op = || Op::Decide(occurrence.clone(), request);
        let written = self.write(words, async || self.store.inner.decide(occurrence, request).await, op).await;
        if let Ok(Written::New(_)) = &written {
            self.store.decided.borrow_mut().insert(occurrence.run(), Clock::Wall.instant());
        }
        written
    }

    async fn store_revision(&self, hash: &str, plan: &str) -> Answer<()> {
        self.fenced()?;
        let op = || Op::Revision(hash.to_owned(), plan.to_owned());
        self.write("revision".into(), async || self.store.inner.store_revision(hash, plan).await, op).await
    }

    async fn append(&self, now: DateTime<Utc>, drafts: &[Draft]) -> Answer<Vec<Written<Event>>> {
        self.fenced()?;
        // What is written is read and written again byte for byte, whatever it is.
        for draft in drafts {
            let row = encode(draft);
            let again = encode(&decode(row.clone()));
            assert!(again == row && decode(row.clone()) == *draft, "{row:?} is read as {again:?}");
        }
        let op = || Op::Append(now, drafts.to_vec());
        self.write(words(drafts), async || self.store.inner.append(now, drafts).await, op).await
    }

    async fn prune(&self, before: DateTime<Utc>) -> Answer<usize> {
        self.fenced()?;
        let pruned = self.store.inner.prune(before).await?;
        self.done(|| Op::Prune(before));
        Ok(pruned)
    }

    fn reader(&self) -> &dyn Reader {
        self.store.inner.reader()
    }
}
