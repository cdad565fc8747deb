//! What was taken and must be given back, beyond its run and the process: instances that count as down, permissions that
//! were lent, and whatever a bracket takes. Each is opened in the transaction of its take's intent, and settled in that of
//! the end of what gives it back.

use chrono::{DateTime, Utc};

use super::fact::codec::step_text;
use super::fact::{Event, Fact, Kind, Scope, StepId, Topic};
use super::place::Subject;

/// What opens a debt, and what settles it: of the same scope, subject and topic, by an attempt that is not before it.
pub const KINDS: [(Kind, Kind); 3] =
    [(Kind::SlotTaken, Kind::SlotFreed), (Kind::DebtOpened, Kind::DebtSettled), (Kind::KeyLent, Kind::KeyReturned)];

/// Slots up to this attempt are settled by any end: earlier versions took one a second time in a rebuild, and each end bears
/// the attempt 1.
pub const SLOTS_ALIKE: u32 = 2;

/// One debt.
#[derive(Debug, Clone, PartialEq)]
pub struct Debt {
    /// What it belongs to.
    pub scope: Scope,
    /// The instance, image or key.
    pub subject: Subject,
    /// What is owed.
    pub owed: Owed,
    /// Which one, of its kind in its scope.
    pub attempt: u32,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// What is owed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owed {
    /// The instance counts as down.
    Slot,
    /// A step took something.
    Taken {
        /// Which step did.
        by: StepId,
        /// Which one gives it back.
        back: StepId,
    },
    /// A key may be used for a plan.
    Grant {
        /// The plan.
        plan: String,
        /// The ARN of who may.
        to: String,
    },
}

impl Debt {
    /// The debt that a fact opens.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let owed = match (event.fact(), &event.draft.topic) {
            // Also one that a newer version wrote in its own way.
            _ if event.kind() == Kind::SlotTaken => Owed::Slot,
            (Fact::DebtOpened { back }, Topic::Step(by)) => Owed::Taken { by: by.clone(), back: back.clone() },
            (Fact::KeyLent, Topic::Grant { plan, to }) => Owed::Grant { plan: plan.clone(), to: to.clone() },
            _ => return None,
        };
        let (scope, subject) = (event.draft.scope.clone(), event.draft.subject.clone()?);
        Some(Self { scope, subject, owed, attempt: event.draft.attempt, since: event.at })
    }

    /// Whether a bracket has to see to it: what is lent belongs to the copy that it is lent for.
    #[must_use]
    pub fn of_bracket(&self) -> bool {
        match &self.owed {
            Owed::Slot => true,
            Owed::Taken { by, .. } => !by.distributes(),
            Owed::Grant { .. } => false,
        }
    }
}

/// Whether it opens a debt, whatever this version can read of it.
#[must_use]
pub fn opens(event: &Event) -> bool {
    KINDS.iter().any(|(opens, _)| *opens == event.kind())
}

/// Whether `later` settles what `opened` opened.
#[must_use]
pub fn settles(opened: &Event, later: &Event) -> bool {
    let (open, end) = (&opened.draft, &later.draft);
    let pair = KINDS.iter().any(|(opens, ends)| *opens == open.kind() && *ends == end.kind());
    let alike = open.kind() == Kind::SlotTaken && open.attempt <= SLOTS_ALIKE;
    pair && (&open.scope, &open.subject) == (&end.scope, &end.subject)
        && step_text(open) == step_text(end)
        && (alike || end.attempt >= open.attempt)
}

/// The attempt of the next slot of an instance in a run in which `newest` was the last one.
#[must_use]
pub fn next_slot(newest: u32) -> u32 {
    if newest == 0 { 1 } else { newest.max(SLOTS_ALIKE) + 1 }
}

/// The attempt under which a slot is freed that was taken as `taken`.
#[must_use]
pub fn slot_end(taken: u32) -> u32 {
    if taken <= SLOTS_ALIKE { 1 } else { taken }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fact::Draft;
    use crate::domain::place::Place;

    fn event(fact: Fact, attempt: u32) -> Event {
        let subject = Place::new("111111111111", "eu-central-1").subject("i-1");
        let draft = Draft { attempt, ..Draft::of("web@x", &subject, fact) };
        Event { seq: 1, at: DateTime::UNIX_EPOCH, draft }
    }

    #[test]
    fn a_slot_is_settled_by_its_own_end() {
        let taken = |attempt| event(Fact::SlotTaken { reason: String::new() }, attempt);
        let freed = |attempt| event(Fact::SlotFreed { reason: String::new() }, attempt);
        for (open, end, settled) in
            [(1, 1, true), (2, 1, true), (3, 1, false), (3, 3, true), (4, 3, false), (1, 3, true)]
        {
            assert_eq!(settles(&taken(open), &freed(end)), settled, "{open} {end}");
        }
        let chain: Vec<u32> = std::iter::successors(Some(next_slot(0)), |n| Some(next_slot(*n))).take(4).collect();
        assert_eq!(chain, [1, 3, 4, 5]);
        for attempt in chain.iter().copied().chain([2]) {
            assert!(settles(&taken(attempt), &freed(slot_end(attempt))), "{attempt}");
            assert!(!settles(&taken(next_slot(attempt)), &freed(slot_end(attempt))), "after {attempt}");
        }
        assert_eq!(next_slot(2), 3, "the second one of a rebuild");
    }

    #[test]
    fn what_is_of_another_kind_settles_nothing() {
        let opened = event(Fact::DebtOpened { back: StepId::Return }, 1);
        assert!(!settles(&opened, &event(Fact::SlotFreed { reason: String::new() }, 1)));
        let mut settled = event(Fact::DebtSettled { reason: String::new() }, 1);
        assert!(settles(&opened, &settled));
        settled.draft.scope = Scope::Run("web@y".into());
        assert!(!settles(&opened, &settled));
    }
}
