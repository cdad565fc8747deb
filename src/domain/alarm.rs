//! What needs a person, and what ends that: the rules, without a store. A store finds facts by kind, scope and subject, and
//! knows none of this.

use super::fact::codec::{step_text, topic_text};
use super::fact::{Event, Fact, Kind, StepId, Topic};
use super::naming::parse_run_name;
use super::place::Subject;

/// What ends an alarm: any later fact about its subject of one of these kinds.
#[derive(Debug, Clone)]
pub struct End {
    /// The kinds.
    pub kinds: &'static [Kind],
    /// Only about this topic, as it is written down.
    pub topic: Option<String>,
    /// Where it must be told.
    pub within: Within,
    /// What of these ends it.
    pub by: fn(&Fact) -> bool,
}

/// Where the end of an alarm must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// Anywhere.
    Any,
    /// In the same scope.
    Scope,
    /// In any run of the same plan.
    Plan,
}

impl End {
    /// Any later fact of one of these kinds.
    fn of(kinds: &'static [Kind], topic: Option<String>, within: Within) -> Self {
        Self { kinds, topic, within, by: |_| true }
    }

    /// Whether a fact of one of these kinds ends `need`.
    #[must_use]
    pub fn is(&self, need: &Event, later: &Event) -> bool {
        let plan = |event: &Event| event.draft.scope.run().and_then(parse_run_name).map(|(plan, _)| plan.to_owned());
        (self.within != Within::Plan || plan(need) == plan(later)) && (self.by)(later.fact())
    }
}

/// Which alarm it is: of two alike the newest stands.
#[must_use]
pub fn which(need: &Event) -> (Option<Subject>, String, Option<String>) {
    // Each plan leaves an instance out by itself.
    let plan = || need.draft.scope.run().and_then(parse_run_name).map(|(plan, _)| plan.to_owned());
    let plan = (need.draft.topic == Topic::Selection).then(plan).flatten();
    (need.draft.subject.clone(), step_text(&need.draft), plan)
}

/// The step, or whatever an alarm is about, has come to its end.
#[must_use]
pub fn done(need: &Event) -> End {
    End::of(&[Kind::StepDone, Kind::StepObserved], Some(step_text(&need.draft)), Within::Any)
}

/// The same was said again.
#[must_use]
pub fn again(need: &Event) -> End {
    let within = if need.draft.topic == Topic::Selection { Within::Plan } else { Within::Any };
    End::of(&[Kind::StepNeedsPerson], Some(step_text(&need.draft)), within)
}

/// What ends an alarm: the step itself, the same one raised anew, or the end of what it was about. Trying a removal again and
/// failing again is no end.
#[must_use]
pub fn ends(need: &Event) -> Vec<End> {
    let mut ends = vec![again(need), done(need)];
    match &need.draft.topic {
        Topic::Step(StepId::Retain) => {}
        Topic::Step(StepId::Return) => ends.push(End::of(&[Kind::SlotFreed], None, Within::Scope)),
        // Imaged, or failed, which calls a person by itself, or left out on purpose.
        Topic::Selection => ends.push(End {
            by: |fact| !fact.left_out_unwanted(),
            ..End::of(&[Kind::TargetFinished, Kind::TargetSkipped], Some(topic_text(&Topic::Whole)), Within::Plan)
        }),
        _ => ends.push(End::of(&[Kind::TargetFinished], None, Within::Scope)),
    }
    ends
}
