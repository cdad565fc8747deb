//! Which copies the newest runs of a plan could not make, and no run has made since: by the journal alone.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::OwedStatus;
use crate::domain::event::Outcome;
use crate::domain::fact::{Event, Fact, Kind, Scope, StepId};
use crate::domain::naming::rfc3339;
use crate::domain::place::Subject;
use crate::domain::plan::Plan;
use crate::domain::saga::RunState;
use crate::journal::{Answer, Reader};
use crate::view::copies::{self, Distributed};

/// One copy that failed.
struct Missing {
    destination: String,
    image: Subject,
    at: DateTime<Utc>,
    reason: String,
}

/// Of the plan's newest `look_back` occurrences, by destination.
pub(super) async fn owed(journal: &dyn Reader, plan: &Plan, look_back: u32) -> Answer<Vec<OwedStatus>> {
    let mut missing: BTreeMap<(String, Subject), Missing> = BTreeMap::new();
    for occurrence in journal.occurrences(Some(&plan.name), look_back).await? {
        let run = occurrence.run();
        // Runs whose copies were made need not be read whole.
        let ended = journal.newest_in(&Scope::Run(run.clone()), &Kind::RunFinished).await?;
        let failed = ended.is_some_and(|e| match e.fact() {
            Fact::RunFinished(end) => end.counts.and_then(|counts| counts.copies_failed) > Some(0),
            _ => false,
        });
        if failed {
            for found in of_run(&journal.events_of(&run).await?) {
                // The newest comes first; the oldest tells since when.
                let since = found.at;
                let of = (found.destination.clone(), found.image.clone());
                missing.entry(of).and_modify(|known| known.at = known.at.min(since)).or_insert(found);
            }
        }
    }
    let mut owed: BTreeMap<String, OwedStatus> = BTreeMap::new();
    for missing in missing.into_values().filter(|m| plan.copies.iter().any(|copy| copy.label() == m.destination)) {
        if settled(&journal.events_about(&missing.image).await?, &missing.destination) {
            continue;
        }
        let since = rfc3339(missing.at);
        let entry = owed.entry(missing.destination.clone()).or_insert(OwedStatus {
            destination: missing.destination,
            images: 0,
            since: since.clone(),
            reason: missing.reason,
        });
        entry.images += 1;
        entry.since = since.min(entry.since.clone());
    }
    Ok(owed.into_values().collect())
}

/// The copies of a run that failed.
fn of_run(events: &[Event]) -> Vec<Missing> {
    let state = RunState::fold(events);
    let mut all = Vec::new();
    for image in copies::distributed(&state) {
        for copy in Distributed::of(&state, image).copies.into_iter().filter(|c| c.outcome == Outcome::Failed.as_str())
        {
            let about = |e: &&Event| {
                e.draft.subject.as_ref() == Some(image)
                    && e.step().and_then(StepId::destination) == Some(copy.destination.as_str())
            };
            let Some(at) = events.iter().rfind(about).map(|e| e.at) else { continue };
            all.push(Missing { destination: copy.destination, image: image.clone(), at, reason: copy.reason });
        }
    }
    all
}

/// Whether the copy was made since, or the image itself has gone.
fn settled(events: &[Event], destination: &str) -> bool {
    let copy = StepId::Copy(destination.to_owned());
    let made = |e: &&Event| {
        e.step() == Some(&copy) && matches!(e.fact(), Fact::StepObserved(seen) if seen.outcome == Outcome::Done)
    };
    let gone = |e: &&Event| e.step() == Some(&StepId::Retain) && e.kind() == Kind::StepDone;
    events.iter().any(|e| made(&e) || gone(&e))
}
