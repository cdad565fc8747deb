//! Ends removals that were begun before: by an earlier run, or by this one before a restart.

use std::collections::{BTreeMap, BTreeSet};

use crate::cloud::port::ImageQuery;
use crate::defect::{Defect, planted};
use crate::domain::event::Outcome;
use crate::domain::fact::{Draft, Fact, Need, Observed, StepId};
use crate::domain::naming::{self, parse_run_name};
use crate::domain::observed::{ImageState, Tags};
use crate::domain::place::{Place, Subject};
use crate::domain::saga::{Phase, RunState, StepState};
use crate::engine::context::Stop;
use crate::engine::context::run::Run;
use crate::engine::images::removal::{begun, delete_snapshots, drive, end_snapshot, step_of};
use crate::engine::images::snapshots::Known;

/// Finishes what an earlier run of the plan began and could not end: snapshots whose deletion needed a person, images
/// of which it is not known whether they are gone.
pub(crate) async fn finish_leftovers(run: &Run) -> Result<(), Stop> {
    if planted(Defect::LeftoversForgotten) {
        return Ok(());
    }
    let Ok(open) = run.shared.journal.reader().open_needs(&StepId::Retain).await else {
        return Ok(()); // the journal's own alarm says it
    };
    let mut snapshots: BTreeMap<Place, Vec<Subject>> = BTreeMap::new();
    let account = run.shared.caller.borrow().as_ref().map(|c| c.account.clone());
    for event in open {
        if run.shared.draining() {
            return Err(Stop::Drained);
        }
        let Some(of) = event.draft.scope.run() else { continue };
        let of_this_plan = parse_run_name(of).is_some_and(|(plan, _)| plan == run.plan.name);
        let Some(subject) = event.draft.subject.clone().filter(|_| of_this_plan && of != &*run.name) else {
            continue;
        };
        let known = run.shared.role_of(&subject.place.account).is_some();
        if !known && Some(&subject.place.account) != account.as_ref() {
            continue; // these credentials would find nothing, which proves nothing
        }
        if step_of(run, &subject).is_some_and(|s| s.ended()) {
            continue; // tried in this run already, before a restart
        }
        if subject.id.starts_with("snap-") {
            snapshots.entry(subject.place.clone()).or_default().push(subject);
        } else {
            let reader = run.shared.journal.reader();
            let events = run.shared.known(async || reader.events_of(of).await).await?;
            let earlier =
                RunState::fold(&events).others.remove(&subject).and_then(|mut steps| steps.remove(&StepId::Retain));
            // The run of the newest alarm need not be the one that wrote the intent.
            let told = if let Fact::StepNeedsPerson(need) = event.fact() { need.intent.clone() } else { None };
            if let Some(intent) = told.or_else(|| earlier.and_then(|step| step.intent)) {
                finish_one(run, &subject, StepState::left_over(intent, event.at)).await?;
            }
        }
    }
    let owns = |tags: &Tags| naming::is_snapshot_of_daemon(tags, &run.shared.daemon);
    for (place, open) in snapshots {
        for (snapshot, fate) in delete_snapshots(&run.shared, &place, open, &Known::default(), owns).await? {
            end_snapshot(&run.shared, &run.name, &snapshot, fate).await?;
        }
    }
    Ok(())
}

/// Ends removals that were begun before a restart and of which the new verdict (`confirmed`) says nothing.
pub(crate) async fn finish_begun(run: &Run, place: &Place, confirmed: &BTreeSet<String>) -> Result<(), Stop> {
    let begun: Vec<(Subject, StepState)> = {
        let state = run.active.state.borrow();
        let images = state.others.iter().filter(|(s, _)| s.place == *place && s.id.starts_with("ami-"));
        let steps = images.filter_map(|(s, steps)| Some((s.clone(), steps.get(&StepId::Retain)?.clone())));
        steps.filter(|(s, step)| !step.ended() && !confirmed.contains(&s.id)).collect()
    };
    for (subject, step) in begun.into_iter().filter(|_| !planted(Defect::LeftoversForgotten)) {
        finish_one(run, &subject, step).await?;
    }
    Ok(())
}

/// Ends one removal that was begun: where the image is gone, its snapshots are finished; where it is still there, it
/// stays, since no verdict of today says that it goes.
async fn finish_one(run: &Run, subject: &Subject, step: StepState) -> Result<(), Stop> {
    if step.phase == Phase::Done {
        return drive(run, subject, begun(&step, subject), Some(step)).await;
    }
    let query = ImageQuery::Ids(vec![subject.id.clone()]);
    let read = run.patiently("cannot look for an image", || run.shared.cloud.images(&subject.place, &query)).await?;
    let fact = match read {
        Ok(list) if list.iter().all(|i| i.state == ImageState::Deregistered) => {
            // Given up in an earlier run: begun anew in this one.
            return drive(run, subject, begun(&step, subject), Some(step).filter(|s| !s.ended())).await;
        }
        Ok(_) => {
            let reason = Some("kept after all: the verdict changed".to_owned());
            Fact::StepObserved(Observed { reason, ..Observed::of(Outcome::Done) })
        }
        Err(fault) => {
            let why = format!(
                "whether {} is deregistered is not known, and it cannot be looked for: {fault}. Its snapshots may be \
                 left; it is looked for again in the plan's next run",
                subject.id
            );
            if step.alarmed {
                return Ok(()); // in this run already; the next one tries again
            }
            Fact::StepNeedsPerson(Need { intent: step.intent.clone(), ..Need::failed(why) })
        }
    };
    run.record(Draft::of(&run.name, subject, fact).at_step(&StepId::Retain, step.attempt)).await
}
