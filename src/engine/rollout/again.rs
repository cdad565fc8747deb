//! What was not imaged twice in a row although nobody chose that needs a person: once is a bad night, twice is no backup.

use std::collections::BTreeSet;

use crate::domain::event::Decision;
use crate::domain::fact::{Draft, Fact, Need, Topic};
use crate::domain::place::Subject;
use crate::domain::prevented::Prevented;
use crate::engine::context::run::Run;

/// Occurrences that did not run say nothing of a target: look this far back for two that did.
const LOOK_BACK: u32 = 20;

/// Whom the run before did not image although nobody chose that, and whom the one before that.
pub(crate) struct Before([BTreeSet<Subject>; 2]);

impl Before {
    /// What the journal knows; what it cannot tell now is not known.
    pub(crate) async fn of(run: &Run) -> Self {
        let reader = run.shared.journal.reader();
        let earlier = reader.occurrences(Some(&run.plan.name), LOOK_BACK).await.unwrap_or_default();
        let ran = earlier.iter().filter(|o| o.due < run.occurrence.due && o.decision == Decision::Run);
        let mut before: [BTreeSet<Subject>; 2] = Default::default();
        for (subjects, occurrence) in before.iter_mut().zip(ran) {
            let events = reader.events_of(&occurrence.run()).await.unwrap_or_default();
            let left = events.into_iter().filter(|event| event.fact().left_out_unwanted());
            subjects.extend(left.filter_map(|event| event.draft.subject));
        }
        Self(before)
    }

    /// Whether it was so in the run before, too.
    pub(crate) fn twice(&self, subject: &Subject) -> bool {
        self.0[0].contains(subject)
    }

    /// The alarm for an instance that is left out again: the second time is the news, not each that follows; nor where
    /// somebody is called for the instance already.
    pub(crate) fn alarm(&self, run: &Run, subject: &Subject, prevented: Prevented, reason: &str) -> Option<Draft> {
        let called = run.shared.slots.borrow().get(subject).is_some_and(|down| down.overdue);
        (self.twice(subject) && !self.0[1].contains(subject) && !called).then(|| {
            let advice = prevented.advice();
            let why = format!("{} was skipped twice in a row ({reason}){advice}", subject.id);
            Draft::of(&run.name, subject, Fact::StepNeedsPerson(Need::of(why))).about(Topic::Selection)
        })
    }
}
