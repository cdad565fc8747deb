//! The plans in force: how a set of them comes into force, whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use crate::defect::{Defect, planted};
use crate::domain::fact::{Applied, Difference, Draft, Event, Fact, Kind, Scope, Topic};
use crate::domain::naming::DUE_TOLERANCE;
use crate::domain::plan::{Plan, Seconds};
use crate::domain::schedule::Timetable;
use crate::engine::lifecycle::daemon::Engine;
use crate::journal::Answer;
use crate::journal::format::revision_text;

/// A plan in force.
pub(crate) struct Scheduled {
    pub(crate) plan: Rc<Plan>,
    pub(crate) timetable: Timetable,
    pub(crate) hash: String,
    /// When its schedule was first seen.
    seen: DateTime<Utc>,
    /// The latest decided scheduled occurrence, or the first sight of the schedule: nothing earlier is owed.
    pub(crate) settled: DateTime<Utc>,
    /// The first occurrence after `settled`: until then there is nothing to decide.
    pub(crate) next: Option<DateTime<Utc>>,
}

impl Scheduled {
    /// Its schedule was first seen then, and what was decided last was due at `last`: nothing earlier is owed.
    fn see(&mut self, seen: DateTime<Utc>, last: Option<DateTime<Utc>>) {
        self.seen = seen;
        self.settled = last.map_or(seen, |last| last.max(seen));
        self.next = self.timetable.next_after(self.settled);
    }

    /// Everything up to and with `due` is decided.
    pub(crate) fn settle(&mut self, due: DateTime<Utc>) {
        self.settled = self.settled.max(due);
        self.next = self.timetable.next_after(self.settled);
    }
}

/// A new configuration, as the command line read it.
pub struct Change {
    /// All plans of it, or why it is refused.
    pub plans: Result<Vec<Plan>, String>,
    /// Told when it is in force, or why the old one stays.
    pub done: oneshot::Sender<Result<(), String>>,
}

/// A plan on its way into force.
struct Prepared {
    plan: Plan,
    hash: String,
    /// When its schedule was first seen; nothing: now, by the event to write.
    seen: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
}

impl Engine {
    /// Puts `plans` into force in place of those before. Runs that have begun go on under their own revision.
    ///
    /// # Errors
    /// The journal's; then nothing has changed.
    pub(crate) async fn apply(&mut self, plans: Vec<Plan>) -> Answer<()> {
        let sh = Rc::clone(&self.shared);
        let before = sh.journal.reader().newest_in(&Scope::Daemon, &Kind::ConfigApplied).await?;
        let known: Option<BTreeSet<String>> = before.map(|event| match event.draft.fact {
            Fact::ConfigApplied(applied) => applied.plans.into_iter().collect(),
            _ => BTreeSet::new(),
        });
        let (mut prepared, mut drafts) = (Vec::new(), Vec::new());
        for plan in plans {
            // A plan that was away is seen for the first time again: what was due meanwhile is not owed.
            let away = known.as_ref().is_some_and(|known| !known.contains(&plan.name));
            let (plan, draft) = self.prepare(plan, away).await?;
            drafts.extend(draft);
            prepared.push(plan);
        }
        let applied = Fact::ConfigApplied(self.difference(&prepared));
        drafts.push(self.of_configuration(applied));
        let now = sh.record(&drafts).await?.last().map_or_else(|| sh.clock.now(), |event| event.at);
        for added in prepared.iter().filter(|p| !self.scheduled.contains_key(&p.plan.name)) {
            sh.unproven.borrow_mut().added(&added.plan.name);
        }
        self.scheduled = prepared.into_iter().map(|p| (p.plan.name.clone(), p.scheduled(now))).collect();
        *sh.plans.borrow_mut() = self.scheduled.iter().map(|(name, s)| (name.clone(), Rc::clone(&s.plan))).collect();
        Ok(())
    }

    async fn prepare(&self, plan: Plan, away: bool) -> Answer<(Prepared, Option<Draft>)> {
        let journal = &self.shared.journal;
        let (hash, text) = hash_of(&plan);
        journal.store_revision(&hash, &text).await?;
        let (schedule, _) = hash_of(&plan.schedule);
        let newest = journal.reader().newest_in(&Scope::Plan(plan.name.clone()), &Kind::PlanFirstSeen).await?;
        let last = journal.reader().last_decided(&plan.name).await?;
        let (seen, draft) = match newest {
            Some(event) if is_of(&event, &schedule) && !away => (Some(event.at), None),
            _ if planted(Defect::FirstSightForgotten) => (None, None),
            other => (None, Some(first_seen(&plan.name, &schedule, other.as_ref()))),
        };
        Ok((Prepared { plan, hash, seen, last }, draft))
    }

    /// Sees those plans for the first time again that were first seen by a clock that was ahead, now that it is known to
    /// be right: they would be silent until that time comes.
    pub(crate) async fn see_again(&mut self) -> Answer<()> {
        let sh = Rc::clone(&self.shared);
        let limit = sh.clock.now() + DUE_TOLERANCE;
        for (name, entry) in self.scheduled.iter_mut().filter(|(_, s)| s.seen > limit) {
            let before = sh.journal.reader().newest_in(&Scope::Plan(name.clone()), &Kind::PlanFirstSeen).await?;
            let last = sh.journal.reader().last_decided(name).await?;
            let (schedule, _) = hash_of(&entry.plan.schedule);
            let event = sh.record(&[first_seen(name, &schedule, before.as_ref())]).await?;
            entry.see(event.last().map_or_else(|| sh.clock.now(), |event| event.at), last);
        }
        Ok(())
    }

    /// What the new plans change, for the log.
    fn difference(&self, prepared: &[Prepared]) -> Applied {
        let names: BTreeMap<&str, &str> = prepared.iter().map(|p| (p.plan.name.as_str(), p.hash.as_str())).collect();
        let owned = |name: &str| name.to_owned();
        let plans = names.keys().map(|name| owned(name)).collect();
        let difference = (self.configurations > 0).then(|| {
            let before = |name: &str| self.scheduled.get(name).map(|s| s.hash.as_str());
            let changed = |(name, hash): &(&&str, &&str)| before(name).is_some_and(|before| before != **hash);
            Difference {
                added: names.keys().filter(|name| before(name).is_none()).map(|name| owned(name)).collect(),
                changed: names.iter().filter(changed).map(|(name, _)| owned(name)).collect(),
                removed: self.scheduled.keys().filter(|name| !names.contains_key(name.as_str())).cloned().collect(),
            }
        });
        Applied { plans, difference }
    }

    /// A fact about the configuration: the first of this process, or one of its reloads.
    fn of_configuration(&mut self, fact: Fact) -> Draft {
        let draft = self.of_this_life(fact);
        let reload = self.configurations;
        self.configurations += 1;
        if reload == 0 { draft } else { draft.about(Topic::Reload(reload)) }
    }

    /// Takes up a new configuration, or keeps the old one and says why.
    pub(crate) async fn change(&mut self, change: Change) {
        self.shared.forget_denials();
        let result = match change.plans {
            Ok(plans) => {
                // What the old plans owe up to now is decided first; requests are for the new ones.
                self.decide_all().await;
                let applied = self.apply(plans).await.map_err(|e| format!("{e}; the old configuration stays in force"));
                applied.inspect_err(|why| unwritten(why))
            }
            Err(why) => {
                if planted(Defect::ReloadInHalf)
                    && let Some((plan, _)) = self.scheduled.pop_last()
                {
                    self.shared.plans.borrow_mut().remove(&plan);
                }
                let refused = self.of_configuration(Fact::ConfigRefused { reason: why.clone() });
                if self.shared.record(&[refused]).await.is_err() {
                    unwritten(&why);
                }
                Err(why)
            }
        };
        self.refused = result.is_err();
        let _ = change.done.send(result); // whoever asked may have gone
    }
}

/// The first sight of a schedule, after the one `before`.
fn first_seen(plan: &str, schedule: &str, before: Option<&Event>) -> Draft {
    let fact = Fact::PlanFirstSeen { schedule: schedule.to_owned() };
    let draft = Draft::of_scope(Scope::Plan(plan.to_owned()), fact);
    Draft { attempt: before.map_or(1, |event| event.draft.attempt + 1), ..draft }
}

/// Whether it is the first sight of this schedule.
fn is_of(event: &Event, hash: &str) -> bool {
    matches!(event.fact(), Fact::PlanFirstSeen { schedule } if schedule == hash)
}

/// Says what the journal cannot hold.
fn unwritten(why: &str) {
    tracing::error!(event = Kind::ConfigRefused.as_str(), reason = why);
}

impl Prepared {
    fn scheduled(self, now: DateTime<Utc>) -> Scheduled {
        // `config` has compiled the same lines when it checked the plan.
        let mut schedule = self.plan.schedule.clone();
        if planted(Defect::CatchUpUnbounded) {
            schedule.catch_up = Some(Seconds::MAX);
        }
        let timetable = Timetable::new(&schedule).unwrap_or_else(|e| unreachable!("a checked schedule: {e}"));
        let mut scheduled =
            Scheduled { plan: Rc::new(self.plan), timetable, hash: self.hash, seen: now, settled: now, next: None };
        scheduled.see(self.seen.unwrap_or(now), self.last);
        scheduled
    }
}

/// The hash under which a value is journaled: the first 16 hex digits of SHA-256 over its JSON.
pub(crate) fn hash_of(value: &impl serde::Serialize) -> (String, String) {
    let text = revision_text(value);
    let digest = Sha256::digest(text.as_bytes());
    let hash = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
    (hash, text)
}
