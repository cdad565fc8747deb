//! In which order the targets of a run go down.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use crate::domain::event::Outcome;
use crate::domain::fact::codec::topic_text;
use crate::domain::fact::{Event, Kind, StepId, Topic};
use crate::domain::naming::parse_run_name;
use crate::domain::place::Subject;
use crate::domain::rollout::Turn;
use crate::engine::context::run::Run;
use crate::journal::Find;

/// So many facts of other plans are looked past, at most: what lies beyond says little.
const PASSED_MAX: usize = 100;

/// Those that wait, in the order in which they go.
pub(super) async fn in_order(run: &Run, waiting: VecDeque<Subject>) -> VecDeque<Subject> {
    if waiting.len() < 2 {
        return waiting;
    }
    let mut turns = Vec::with_capacity(waiting.len());
    for subject in waiting {
        turns.push((turn(run, &subject).await, subject));
    }
    turns.sort();
    turns.into_iter().map(|(_, subject)| subject).collect()
}

async fn turn(run: &Run, subject: &Subject) -> Turn {
    let good = |event: &Event| event.fact().outcome() == Some(Outcome::Done);
    let observed = newest(run, subject, Kind::StepObserved, &Topic::Step(StepId::Image), good).await;
    let tried = |event: &Event| event.fact().prevented().is_none();
    let ended = newest(run, subject, Kind::TargetFinished, &Topic::Whole, tried).await;
    Turn {
        failed: ended.is_some_and(|(event, _)| event.fact().outcome() == Some(Outcome::Failed)),
        newest_good: observed.map(|(_, due)| due),
    }
}

/// The newest such fact of the plan about an instance, and the occurrence that it is of. What the journal cannot tell now is
/// not known: nobody waits for it.
async fn newest(
    run: &Run,
    subject: &Subject,
    kind: Kind,
    topic: &Topic,
    fits: impl Fn(&Event) -> bool,
) -> Option<(Event, DateTime<Utc>)> {
    let (kinds, step) = ([kind], Some(topic_text(topic)));
    let mut find =
        Find { subject: Some(subject.clone()), kinds: &kinds, step, scope: None, after: 0, before: i64::MAX };
    for _ in 0..PASSED_MAX {
        let event = run.shared.journal.reader().newest(&find).await.ok()??;
        let of = event.draft.scope.run().and_then(parse_run_name);
        match of.filter(|(plan, _)| *plan == run.plan.name).map(|(_, due)| due) {
            Some(due) if fits(&event) => return Some((event, due)),
            _ => find.before = event.seq,
        }
    }
    None
}
