//! What holds back now, and since when: each is a fact with a beginning and an end, so that whoever reads the journal knows
//! of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::fact::{Draft, Fact, Kind, Scope, Topic};
use crate::domain::hold::{Act, Cause, Hold};
use crate::domain::machine::OwnMachine;
use crate::engine::context::Context;
use crate::journal::Answer;

/// What comes and goes is told once in so long.
const FLAPS: Duration = Duration::from_secs(600);

/// Which hold: why, and of which plan, if it is not all of them.
type Key = (Cause, Option<String>);

/// What the journal knows of one hold.
struct Told {
    /// Which time it is.
    episode: u32,
    /// Whether it is not cleared.
    raised: bool,
    /// When this process raised it last.
    at: Option<Instant>,
}

/// What the journal knows of all holds.
#[derive(Default)]
struct Holds(RefCell<BTreeMap<Key, Told>>);

fn draft((cause, plan): &Key, episode: u32, fact: Fact) -> Draft {
    let topic = Topic::Hold { cause: *cause, plan: plan.clone() };
    Draft { topic, attempt: episode, ..Draft::of_scope(Scope::Daemon, fact) }
}

impl Context {
    /// All that holds back now; what concerns all plans before what concerns one.
    #[must_use]
    pub fn holds(&self) -> Vec<Hold> {
        let mut holds = Vec::new();
        let mut hold = |cause, plan: Option<&String>, reason: Option<String>| {
            holds.extend(reason.map(|reason| Hold { cause, plan: plan.cloned(), reason }));
        };
        hold(Cause::NotOurs, None, self.barred.borrow().clone());
        hold(Cause::OtherAccount, None, self.another_account());
        let unproven = self.unproven.borrow();
        hold(Cause::Rebuilding, None, unproven.all.clone());
        for (plan, why) in &unproven.plans {
            hold(Cause::Rebuilding, Some(plan), Some(why.clone()));
        }
        for (plan, why) in unproven.waiting(self.clock.instant()) {
            hold(Cause::Rebuilding, Some(plan), Some(why.to_owned()));
        }
        hold(Cause::ClockOff, None, self.cloud.clock_off());
        if let OwnMachine::Unknown(why) = &*self.own_machine.borrow() {
            hold(Cause::MachineUnknown, None, Some(why.clone()));
        }
        let sick = self.sick().then(|| "the journal cannot be written".to_owned());
        hold(Cause::JournalSick, None, sick);
        holds
    }

    /// Why this must not be done now, for `plan` if it is one's. What the journal holds back waits by itself, since an intent
    /// is written first; and which instance may be the daemon's own is asked of each.
    #[must_use]
    pub fn held(&self, act: Act, plan: Option<&str>) -> Option<String> {
        self.holding(act, plan).map(|hold| hold.reason)
    }

    /// The same, with what holds back.
    #[must_use]
    pub fn holding(&self, act: Act, plan: Option<&str>) -> Option<Hold> {
        let elsewhere = |cause| matches!(cause, Cause::JournalSick | Cause::MachineUnknown);
        let held = |hold: &Hold| !elsewhere(hold.cause) && hold.holds(act, plan);
        self.holds().into_iter().find(held)
    }

    /// Whether what is not there now is known not to be: not while it is asked for, or nobody has answered.
    fn is_over(&self, cause: Cause) -> bool {
        match cause {
            Cause::ClockOff => self.cloud.clock_seen(),
            Cause::MachineUnknown => !self.asking_machine(),
            // Told by the first answer of a process.
            Cause::OtherAccount => self.cloud.clock_seen(),
            Cause::NotOurs | Cause::Rebuilding | Cause::JournalSick => true,
        }
    }

    /// Reads what the journal knows of holds.
    ///
    /// # Errors
    /// The journal's.
    pub(crate) async fn know_holds(&self) -> Answer<()> {
        let reader = self.journal.reader();
        let mut known: BTreeMap<Key, Told> = BTreeMap::new();
        for (kind, raises) in [(Kind::HoldRaised, true), (Kind::HoldCleared, false)] {
            for event in reader.events_of_kind(&kind).await? {
                let Topic::Hold { cause, plan } = event.draft.topic else { continue };
                let told = known.entry((cause, plan)).or_insert(Told { episode: 0, raised: false, at: None });
                if raises && event.draft.attempt > told.episode {
                    (told.episode, told.raised) = (event.draft.attempt, true);
                } else if !raises && event.draft.attempt == told.episode {
                    told.raised = false;
                }
            }
        }
        *self.of::<Holds>().0.borrow_mut() = known;
        Ok(())
    }

    /// Journals what holds back since it was asked last, and what does no more. What cannot be written now is told later.
    pub(crate) async fn tell_holds(&self) {
        let (holds, known) = (self.holds(), self.of::<Holds>());
        let now = self.clock.instant();
        let mut drafts = Vec::new();
        {
            let known = known.0.borrow();
            for Hold { cause, plan, reason } in holds.iter().filter(|hold| hold.cause != Cause::JournalSick) {
                let key = (*cause, plan.clone());
                let told = known.get(&key);
                let flaps = told.and_then(|told| told.at).is_some_and(|at| now - at < FLAPS);
                if !flaps && told.is_none_or(|told| !told.raised) {
                    let fact = Fact::HoldRaised { reason: reason.clone() };
                    drafts.push(draft(&key, told.map_or(0, |told| told.episode) + 1, fact));
                }
            }
            for (key, told) in known.iter().filter(|(_, told)| told.raised) {
                let holds = holds.iter().any(|hold| (hold.cause, &hold.plan) == (key.0, &key.1));
                if !holds && self.is_over(key.0) {
                    drafts.push(draft(key, told.episode, Fact::HoldCleared));
                }
            }
        }
        if drafts.is_empty() || self.record_aside(&drafts).await.is_err() {
            return;
        }
        let mut known = known.0.borrow_mut();
        for Draft { topic, attempt: episode, fact, .. } in drafts {
            let Topic::Hold { cause, plan } = topic else { continue };
            let before = known.get(&(cause, plan.clone())).and_then(|told| told.at);
            let raised = matches!(fact, Fact::HoldRaised { .. });
            let at = if raised { Some(now) } else { before };
            known.insert((cause, plan), Told { episode, raised, at });
        }
    }
}
