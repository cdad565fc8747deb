//! What needs a person, and what ends that: the rules, without a store. A store finds facts by kind, scope and subject, and
//! knows none of this.

use super::fact::codec::{step_text, topic_text};
use super::fact::{Event, Kind, StepId, Topic};

/// What ends an alarm: any later fact about its subject of one of these kinds.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The kinds.
    pub kinds: &'static [Kind],
    /// Only about this topic, as it is written down.
    pub topic: Option<String>,
    /// Only in the same scope.
    pub same_scope: bool,
}

/// The step, or whatever an alarm is about, has come to its end.
#[must_use]
pub fn done(need: &Event) -> End {
    End { kinds: &[Kind::StepDone, Kind::StepObserved], topic: Some(step_text(&need.draft)), same_scope: false }
}

/// The same was said again.
#[must_use]
pub fn again(need: &Event) -> End {
    End { kinds: &[Kind::StepNeedsPerson], topic: Some(step_text(&need.draft)), same_scope: false }
}

/// What ends an alarm: the step itself, the same one raised anew, or the end of what it was about. Trying a removal again and
/// failing again is no end.
#[must_use]
pub fn ends(need: &Event) -> Vec<End> {
    let mut ends = vec![again(need), done(need)];
    match &need.draft.topic {
        Topic::Step(StepId::Retain) => {}
        Topic::Step(StepId::Return) => ends.push(End { kinds: &[Kind::SlotFreed], topic: None, same_scope: true }),
        Topic::Selection => ends.push(End {
            kinds: &[Kind::TargetSelected, Kind::TargetFinished],
            topic: Some(topic_text(&Topic::Whole)),
            same_scope: false,
        }),
        _ => ends.push(End { kinds: &[Kind::TargetFinished], topic: None, same_scope: true }),
    }
    ends
}
