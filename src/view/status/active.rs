//! What a run that goes on does, and what each of its targets waits for.

use super::{CopyStatus, RunStatus, TargetStatus};
use crate::domain::event::Occurrence;
use crate::domain::fact::{Event, StepId};
use crate::domain::naming::rfc3339;
use crate::domain::saga::{Phase, RunState, Slot, StepState, TargetState};
use crate::view::copies::{self, Distributed};

impl RunStatus {
    /// A run that goes on, from its events.
    #[must_use]
    pub fn of(occurrence: &Occurrence, events: &[Event]) -> Self {
        let state = RunState::fold(events);
        let open = state.targets.iter().filter(|(_, target)| target.finished.is_none());
        let targets: Vec<TargetStatus> = open
            .map(|(subject, target)| {
                let (step, reason) = waits(target);
                let heard = events.iter().rfind(|e| e.draft.subject.as_ref() == Some(subject));
                TargetStatus {
                    account: subject.place.account.clone(),
                    region: subject.place.region.clone(),
                    instance: subject.id.clone(),
                    step,
                    since: rfc3339(heard.map_or(occurrence.decided_at, |e| e.at)),
                    reason,
                    image: target.image().map(str::to_owned),
                }
            })
            .collect();
        let ended = state.targets.len() - targets.len();
        Self {
            run: occurrence.run(),
            plan: occurrence.plan.clone(),
            due: rfc3339(occurrence.due),
            trigger: occurrence.trigger.as_str(),
            since: rfc3339(events.last().map_or(occurrence.decided_at, |e| e.at)),
            ended,
            reason: stage(&state, ended),
            targets,
            copies: pending(&state, events),
        }
    }
}

/// The copies of a run that are not there yet.
fn pending(state: &RunState, events: &[Event]) -> Vec<CopyStatus> {
    let of_image = |image| Distributed::of(state, image).copies.into_iter().map(move |copy| (image, copy));
    let open = copies::distributed(state).flat_map(of_image);
    let open = open.filter(|(_, copy)| matches!(copy.outcome, "failed" | "unfinished"));
    open.map(|(image, copy)| {
        let about = |e: &&Event| {
            let of = e.draft.subject.as_ref() == Some(image);
            of && e.step().and_then(StepId::destination) == Some(copy.destination.as_str())
        };
        CopyStatus {
            account: image.place.account.clone(),
            region: image.place.region.clone(),
            image: image.id.clone(),
            since: events.iter().rfind(about).map(|e| rfc3339(e.at)).unwrap_or_default(),
            destination: copy.destination,
            outcome: copy.outcome,
            reason: copy.reason,
            copy: copy.image,
        }
    })
    .collect()
}

/// What a run does as a whole.
fn stage(state: &RunState, ended: usize) -> String {
    if let Some(what) = &state.not_understood {
        return format!("stopped: its journal holds {what}, which this version does not understand");
    }
    if !state.selected {
        return "selecting its targets".into();
    }
    if ended < state.targets.len() {
        return format!("{ended} of {} targets ended", state.targets.len());
    }
    let count = |of: fn(&StepId) -> bool| {
        let steps = state.others.iter().filter(|(s, _)| s.id.starts_with("ami-")).flat_map(|(_, steps)| steps);
        steps
            .filter(|(id, _)| of(id))
            .fold((0, 0), |(ended, open), (_, step)| if step.ended() { (ended + 1, open) } else { (ended, open + 1) })
    };
    let (removed, removing) = count(|step| *step == StepId::Retain);
    let (copied, copying) = count(|step| matches!(step, StepId::Copy(_)));
    let copies = match copied + copying {
        0 => String::new(),
        all => format!("; {copied} of {all} copies ended"),
    };
    format!("{ended} targets ended{copies}; retention: {removed} images removed, {removing} being removed")
}

/// The step that a target is in, and what it waits for.
fn waits(target: &TargetState) -> (&'static str, String) {
    let Some(image) = target.steps.get(&StepId::Image) else {
        return if target.reboots {
            ("slot", "waits for its turn: as many are down as may be at once".into())
        } else {
            ("image", "CreateImage is about to be called, without a reboot".into())
        };
    };
    let down =
        matches!(target.slot, Slot::Taken(_)) && !target.steps.get(&StepId::Return).is_some_and(StepState::ended);
    let id = target.image().unwrap_or("its image");
    match &image.phase {
        Phase::Intended => ("image", "CreateImage is being called".into()),
        Phase::Unknown => ("image", "the answer to CreateImage was lost: what became of it is looked for".into()),
        Phase::NotMade => ("image", "CreateImage was refused for now: it is tried again".into()),
        Phase::Done if down => (
            "return",
            format!("rebooted: waits until its status checks prove that it is back, and until {id} is available"),
        ),
        Phase::Done => ("image", format!("waits until {id} is available")),
        _ if down => ("return", "rebooted: waits until its status checks prove that it is back".into()),
        _ => ("end", "is about to end".into()),
    }
}
