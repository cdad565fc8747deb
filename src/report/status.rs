//! What `status` tells, as a document and as text: a fold over the journal, so that it needs nobody's answer.

mod text;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::copies::{self, Distributed};
use super::document::{SCHEMA, line};
use crate::domain::event::Occurrence;
use crate::domain::fact::{Event, StepId};
use crate::domain::naming::rfc3339;
use crate::domain::saga::{Phase, RunState, Slot, StepState, TargetState};
use crate::domain::zone::ZoneSource;

/// Who runs the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DaemonStatus {
    /// The daemon's name.
    pub daemon: String,
    /// Whether somebody holds the lock: a daemon, or a `backup` without one. Nothing: it cannot be told.
    pub running: Option<bool>,
    /// The version that ran last.
    pub version: Option<String>,
    /// Since when it runs, or ran.
    pub since: Option<String>,
    /// When it stopped in order.
    pub stopped: Option<String>,
}

/// How many instances are protected, as far as they were listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProtectionStatus {
    /// When the plan that was listed longest ago was.
    pub listed_at: Option<String>,
    /// Whether that is too long ago for a daemon that runs.
    pub stale: bool,
    /// Their newest good image is as young as the schedule promises.
    pub protected: u64,
    /// They could not have an image yet.
    pub new: u64,
    /// Their newest good image is older than the schedule promises.
    pub late: u64,
    /// It is so old that more than one occurrence has passed them by.
    pub critical: u64,
    /// They have no image, and should have had one long ago.
    pub never: u64,
    /// They are terminated, or not there.
    pub gone: u64,
    /// Their plan does not take them.
    pub unprotected: u64,
    /// What could not be listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// What holds back, and was not cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HoldStatus {
    /// not_ours, other_account, rebuilding, clock_off or machine_unknown.
    pub cause: &'static str,
    /// Only this plan; nothing: all of them.
    pub plan: Option<String>,
    /// Since when.
    pub since: String,
    /// Why.
    pub reason: String,
}

/// What was taken and is to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DebtStatus {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance, image or key.
    pub subject: String,
    /// The run that took it, where one did.
    pub run: Option<String>,
    /// Since when.
    pub since: String,
    /// What was taken.
    pub what: String,
}

/// What one target of a run that goes on does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetStatus {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `i-...`
    pub instance: String,
    /// The step: slot, image, return or end.
    pub step: &'static str,
    /// When it was last heard of.
    pub since: String,
    /// What it waits for.
    pub reason: String,
    /// `ami-...`, once known.
    pub image: Option<String>,
}

/// A copy that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyStatus {
    /// The account of the image that is copied.
    pub account: String,
    /// Its region.
    pub region: String,
    /// The image that is copied.
    pub image: String,
    /// `dr/eu-west-1`, or `eu-west-1` for the own account.
    pub destination: String,
    /// When it was last heard of.
    pub since: String,
    /// failed, or unfinished.
    pub outcome: &'static str,
    /// What it waits for, or why it failed.
    pub reason: String,
    /// The copy, once known.
    pub copy: Option<String>,
}

/// One run that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStatus {
    /// `plan@due`.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// RFC 3339, UTC.
    pub due: String,
    /// schedule or manual.
    pub trigger: &'static str,
    /// When it was last heard of.
    pub since: String,
    /// How many of its targets have ended.
    pub ended: usize,
    /// What it does as a whole.
    pub reason: String,
    /// Its targets that have not ended.
    pub targets: Vec<TargetStatus>,
    /// Copies that are not there yet; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<CopyStatus>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastRun {
    /// `plan@due`.
    pub run: String,
    /// done, failed, skipped, missed or unfinished.
    pub outcome: &'static str,
    /// Why, where it is not plainly done.
    pub reason: String,
}

/// Copies that the newest runs of a plan could not make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwedStatus {
    /// `dr/eu-west-1`, or `eu-west-1` for the own account.
    pub destination: String,
    /// How many images have no copy there.
    pub images: usize,
    /// Since the oldest of them failed.
    pub since: String,
    /// Why the newest did.
    pub reason: String,
}

/// One plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanStatus {
    /// Its name.
    pub plan: String,
    /// Its zone.
    pub timezone: String,
    /// Its next occurrence.
    pub next: Option<String>,
    /// The same on the clocks of its zone.
    pub local: Option<String>,
    /// Its newest occurrence.
    pub last: Option<LastRun>,
    /// Copies of its images that are missing; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<OwedStatus>,
}

/// The newest good image that a plan made of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceStatus {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `i-...`
    pub instance: String,
    /// The plan.
    pub plan: String,
    /// Its tag `Name`; left out where nobody has listed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// protected, new, late, critical, never, gone or unprotected; left out where nobody has listed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<&'static str>,
    /// Why it is unprotected, or gone; left out where there is nothing to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// `ami-...`; nothing: no good one is in the journal.
    pub image: Option<String>,
    /// The occurrence that made it.
    pub due: Option<String>,
    /// Seconds since then.
    pub age_s: Option<i64>,
}

/// What a person must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeedsPerson {
    /// Since when.
    pub since: String,
    /// The run, where it is about one.
    pub run: Option<String>,
    /// The instance, image or snapshot, where it is about one.
    pub subject: Option<String>,
    /// What happened, and what to do.
    pub reason: String,
}

/// The document of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusDocument {
    /// When it was made.
    pub at: String,
    /// Who runs the engine.
    pub daemon: DaemonStatus,
    /// How many instances are protected; left out where nobody has listed them yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<ProtectionStatus>,
    /// Whose rules the zones of the plans follow on this host; left out where nobody has looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones: Option<ZoneSource>,
    /// The journal that was read; nothing: there is none yet.
    pub journal: Option<String>,
    /// What needs a person.
    pub needs_person: Vec<NeedsPerson>,
    /// What holds back; left out where nothing does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HoldStatus>,
    /// What is to be given back; left out where nothing is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub debts: Vec<DebtStatus>,
    /// Runs that go on.
    pub runs: Vec<RunStatus>,
    /// All plans.
    pub plans: Vec<PlanStatus>,
    /// The newest good images, the oldest first.
    pub instances: Vec<InstanceStatus>,
}

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

/// Seconds from an instant to now.
#[must_use]
pub fn seconds_since(then: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (now - then).num_seconds()
}

impl StatusDocument {
    /// One line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            status: &'a StatusDocument,
        }
        line(&Document { schema: SCHEMA, status: self })
    }

    /// Whether nothing needs a person.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.needs_person.is_empty()
    }
}
