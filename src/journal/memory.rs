//! The journal of a simulation: in memory, for one process, gone with it. A property holds it to the answers of the one
//! that lasts; a year of simulated time writes half a million events, which SQLite would take most of the time for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use async_trait::async_trait;
use chrono::{DateTime, DurationRound as _, SubsecRound as _, TimeDelta, Utc};

use super::{Answer, Find, Journal, JournalError, Reader, Request, Written};
use crate::domain::debt;
use crate::domain::event::{Decision, Occurrence, Trigger};
use crate::domain::fact::codec;
use crate::domain::fact::{Draft, Event, Kind, Scope};
use crate::domain::place::Subject;

/// The end of a run's name: `@20261120T023000Z`.
const DUE_LENGTH: usize = 17;

/// What makes a fact one of its scope: subject, topic, attempt and kind.
type Key = (Option<Subject>, String, u32, Kind);

#[derive(Default)]
struct Store {
    fence: i64,
    newest: i64,
    events: BTreeMap<i64, Rc<Event>>,
    scopes: BTreeMap<Scope, BTreeMap<Key, i64>>,
    subjects: BTreeMap<Option<Subject>, BTreeSet<i64>>,
    kinds: BTreeMap<Kind, BTreeSet<i64>>,
    occurrences: BTreeMap<(String, DateTime<Utc>), Occurrence>,
    revisions: BTreeMap<String, String>,
}

/// The journal of one process.
#[derive(Default)]
pub struct MemoryJournal(RefCell<Store>);

fn key(draft: &Draft) -> Key {
    (draft.subject.clone(), codec::step_text(draft), draft.attempt, draft.kind())
}

/// As exactly as SQLite stores it.
fn millis(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(at)
}

impl Store {
    fn all<'a>(&'a self, seqs: impl IntoIterator<Item = &'a i64>) -> impl Iterator<Item = &'a Rc<Event>> {
        seqs.into_iter().filter_map(|seq| self.events.get(seq))
    }

    fn of_kind(&self, kind: &Kind) -> impl Iterator<Item = &Rc<Event>> {
        self.all(self.kinds.get(kind).into_iter().flatten())
    }

    fn of_scope(&self, scope: &Scope) -> Vec<&Rc<Event>> {
        let mut events: Vec<_> = self.all(self.scopes.get(scope).into_iter().flat_map(BTreeMap::values)).collect();
        events.sort_by_key(|event| event.seq);
        events
    }

    /// Whether it opened a debt that is not settled.
    fn owes(&self, event: &Event) -> bool {
        let about = || self.all(self.subjects.get(&event.draft.subject).into_iter().flatten());
        debt::opens(event) && !about().any(|later| debt::settles(event, later))
    }

    fn finished(&self, run: &str) -> bool {
        let scope = Scope::Run(run.to_owned());
        self.scopes.get(&scope).is_some_and(|keys| keys.keys().any(|(.., kind)| *kind == Kind::RunFinished))
    }

    fn insert(&mut self, now: DateTime<Utc>, draft: &Draft) -> Event {
        self.newest += 1;
        let (seq, at) = (self.newest, millis(now));
        match self.scopes.get_mut(&draft.scope) {
            Some(scope) => drop(scope.insert(key(draft), seq)),
            None => drop(self.scopes.insert(draft.scope.clone(), BTreeMap::from([(key(draft), seq)]))),
        }
        match self.subjects.get_mut(&draft.subject) {
            Some(about) => drop(about.insert(seq)),
            None => drop(self.subjects.insert(draft.subject.clone(), BTreeSet::from([seq]))),
        }
        let kind = draft.kind();
        match self.kinds.get_mut(&kind) {
            Some(alike) => drop(alike.insert(seq)),
            None => drop(self.kinds.insert(kind, BTreeSet::from([seq]))),
        }
        let event = Event { seq, at, draft: draft.clone() };
        self.events.insert(seq, Rc::new(event.clone()));
        event
    }

    fn remove(&mut self, event: &Event) {
        let draft = &event.draft;
        self.events.remove(&event.seq);
        if let Some(scope) = self.scopes.get_mut(&draft.scope) {
            scope.remove(&key(draft));
        }
        if let Some(about) = self.subjects.get_mut(&draft.subject) {
            about.remove(&event.seq);
            if about.is_empty() {
                self.subjects.remove(&draft.subject);
            }
        }
        if let Some(of_kind) = self.kinds.get_mut(&draft.kind()) {
            of_kind.remove(&event.seq);
        }
    }

    fn stored(&self, draft: &Draft) -> Option<&Rc<Event>> {
        self.scopes.get(&draft.scope)?.get(&key(draft)).and_then(|seq| self.events.get(seq))
    }
}

fn copies<'a>(events: impl IntoIterator<Item = &'a Rc<Event>>) -> Vec<Event> {
    events.into_iter().map(|event| (**event).clone()).collect()
}

impl MemoryJournal {
    /// Occurrences that `fits`, the newest first.
    fn rows(&self, plan: Option<&str>, fits: impl Fn(&Occurrence) -> bool) -> Vec<Occurrence> {
        let store = self.0.borrow();
        let of_plan = |o: &&Occurrence| plan.is_none_or(|plan| o.plan == plan) && fits(o);
        let mut rows: Vec<Occurrence> = store.occurrences.values().filter(of_plan).cloned().collect();
        rows.sort_by(|a, b| b.due.cmp(&a.due).then_with(|| a.plan.cmp(&b.plan)));
        rows
    }
}

#[async_trait(?Send)]
impl Journal for MemoryJournal {
    async fn acquire(&self, _now: DateTime<Utc>) -> Answer<i64> {
        let mut store = self.0.borrow_mut();
        store.fence += 1;
        Ok(store.fence)
    }

    async fn decide(&self, o: &Occurrence, _request: Option<i64>) -> Answer<Written<Occurrence>> {
        let mut store = self.0.borrow_mut();
        let o = Occurrence { due: o.due.trunc_subsecs(0), decided_at: millis(o.decided_at), ..o.clone() };
        let key = (o.plan.clone(), o.due);
        if let Some(stored) = store.occurrences.get(&key) {
            return Ok(Written::Before(stored.clone()));
        }
        store.occurrences.insert(key, o.clone());
        Ok(Written::New(o))
    }

    async fn store_revision(&self, hash: &str, plan: &str) -> Answer<()> {
        self.0.borrow_mut().revisions.entry(hash.to_owned()).or_insert_with(|| plan.to_owned());
        Ok(())
    }

    async fn append(&self, now: DateTime<Utc>, drafts: &[Draft]) -> Answer<Vec<Written<Event>>> {
        let mut store = self.0.borrow_mut();
        let (mut written, newest) = (Vec::with_capacity(drafts.len()), store.newest);
        for draft in drafts {
            let stored = store.stored(draft).map(Rc::clone);
            match stored {
                None => written.push(Written::New(store.insert(now, draft))),
                Some(event) if event.draft == *draft => written.push(Written::Before((*event).clone())),
                Some(event) => {
                    // All or none.
                    let begun: Vec<Rc<Event>> = store.events.range(newest + 1..).map(|(_, e)| Rc::clone(e)).collect();
                    begun.iter().for_each(|event| store.remove(event));
                    let (stored, offered) = (codec::encode(&event.draft), codec::encode(draft));
                    let subject = offered.subject.as_ref().map(ToString::to_string).unwrap_or_default();
                    let codec::Row { run, step, attempt, kind, data, .. } = offered;
                    return Err(JournalError::Conflict {
                        key: format!("{run} {subject} {step} {attempt} {}", kind.as_str()),
                        stored: stored.data.to_string(),
                        offered: data.to_string(),
                    });
                }
            }
        }
        Ok(written)
    }

    async fn prune(&self, before: DateTime<Utc>) -> Answer<usize> {
        let open = super::standing::open_scopes(self).await?;
        let mut store = self.0.borrow_mut();
        let before = millis(before);
        let ended = store.of_kind(&Kind::RunFinished).filter(|e| e.at < before).map(|e| &e.draft.scope);
        let closed: BTreeSet<&Scope> = ended.filter(|scope| !open.contains(*scope)).collect();
        let goes = |e: &&Rc<Event>| e.kind() != Kind::RunFinished && e.at < before;
        let of = closed.into_iter().flat_map(|scope| store.of_scope(scope));
        let gone: Vec<Rc<Event>> = of.filter(goes).cloned().collect();
        gone.iter().for_each(|event| store.remove(event));
        Ok(gone.len())
    }

    fn reader(&self) -> &dyn Reader {
        self
    }
}

#[async_trait(?Send)]
impl Reader for MemoryJournal {
    async fn events_in(&self, scope: &Scope) -> Answer<Vec<Event>> {
        Ok(copies(self.0.borrow().of_scope(scope)))
    }

    async fn events_of_kind(&self, kind: &Kind) -> Answer<Vec<Event>> {
        Ok(copies(self.0.borrow().of_kind(kind)))
    }

    async fn newest_in(&self, scope: &Scope, kind: &Kind) -> Answer<Option<Event>> {
        let store = self.0.borrow();
        let newest = store.of_scope(scope).into_iter().rfind(|event| event.kind() == *kind);
        Ok(newest.map(|event| (**event).clone()))
    }

    async fn last_decided(&self, plan: &str) -> Answer<Option<DateTime<Utc>>> {
        let rows = self.rows(Some(plan), |o| o.trigger == Trigger::Schedule);
        Ok(rows.first().map(|o| o.due))
    }

    async fn occurrence(&self, plan: &str, due: DateTime<Utc>) -> Answer<Option<Occurrence>> {
        Ok(self.0.borrow().occurrences.get(&(plan.to_owned(), due.trunc_subsecs(0))).cloned())
    }

    async fn occurrences(&self, plan: Option<&str>, limit: u32) -> Answer<Vec<Occurrence>> {
        let mut rows = self.rows(plan, |_| true);
        rows.truncate(limit as usize);
        Ok(rows)
    }

    async fn occurrences_between(
        &self,
        plan: Option<&str>,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: u32,
        skip: u32,
    ) -> Answer<Vec<Occurrence>> {
        let (since, until) = (since.trunc_subsecs(0), until.trunc_subsecs(0));
        let rows = self.rows(plan, |o| (since..=until).contains(&o.due));
        Ok(rows.into_iter().skip(skip as usize).take(limit as usize).collect())
    }

    async fn unfinished(&self) -> Answer<Vec<Occurrence>> {
        let store = self.0.borrow();
        let open = |o: &Occurrence| o.decision == Decision::Run && !store.finished(&o.run());
        let mut rows = self.rows(None, open);
        rows.sort_by(|a, b| a.due.cmp(&b.due).then_with(|| a.plan.cmp(&b.plan)));
        Ok(rows)
    }

    async fn open_debts(&self) -> Answer<Vec<Event>> {
        let store = self.0.borrow();
        let opened = debt::KINDS.iter().flat_map(|(opens, _)| store.of_kind(opens)).filter(|event| store.owes(event));
        let seqs: BTreeSet<i64> = opened.map(|event| event.seq).collect();
        Ok(copies(store.all(&seqs)))
    }

    async fn newest(&self, find: &Find<'_>) -> Answer<Option<Event>> {
        let store = self.0.borrow();
        let fits = |event: &&Rc<Event>| {
            find.kinds.contains(&event.kind())
                && find.scope.as_ref().is_none_or(|scope| event.draft.scope == *scope)
                && find.step.as_ref().is_none_or(|step| codec::step_text(&event.draft) == *step)
        };
        let about = store.subjects.get(&find.subject);
        let seqs = about.into_iter().flat_map(|seqs| seqs.range(find.after + 1..find.before).rev());
        Ok(store.all(seqs).find(fits).map(|event| (**event).clone()))
    }

    async fn newest_each(&self, kind: &Kind, step: &str) -> Answer<Vec<Event>> {
        let store = self.0.borrow();
        let mut newest = BTreeMap::new();
        for event in store.of_kind(kind).filter(|e| codec::step_text(&e.draft) == step) {
            let run = codec::scope_text(&event.draft.scope);
            let plan = run.get(..run.len().saturating_sub(DUE_LENGTH)).unwrap_or_default();
            newest.insert((&event.draft.subject, plan.to_owned()), event.seq);
        }
        let seqs: BTreeSet<i64> = newest.into_values().collect();
        Ok(copies(store.all(&seqs)))
    }

    async fn events_about_id(&self, id: &str) -> Answer<Vec<Event>> {
        let about = |event: &&Rc<Event>| event.draft.subject.as_ref().is_some_and(|subject| subject.id == id);
        Ok(copies(self.0.borrow().events.values().filter(about)))
    }

    async fn events_naming(&self, kind: &Kind, what: &str) -> Answer<Vec<Event>> {
        let names = |event: &&Rc<Event>| codec::encode(&event.draft).data.to_string().contains(what);
        Ok(copies(self.0.borrow().of_kind(kind).filter(names)))
    }

    async fn events_about(&self, subject: &Subject) -> Answer<Vec<Event>> {
        let store = self.0.borrow();
        Ok(copies(store.all(store.subjects.get(&Some(subject.clone())).into_iter().flatten())))
    }

    async fn revision(&self, hash: &str) -> Answer<Option<String>> {
        Ok(self.0.borrow().revisions.get(hash).cloned())
    }

    /// Requests come from other processes, which this one has none of.
    async fn open_requests(&self) -> Answer<Vec<Request>> {
        Ok(Vec::new())
    }

    async fn request(&self, _id: i64) -> Answer<Option<Request>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
