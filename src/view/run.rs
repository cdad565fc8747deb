//! One run as a document, derived from its events: what `backup` and `history` tell.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::copies::{CopyDocument, Distributed, distributed};
use crate::domain::event::{Decision, Occurrence, Outcome};
use crate::domain::fact::{Event, Fact, Kind, Removing, StepId};
use crate::domain::naming::rfc3339;
use crate::domain::place::{Place, Subject};
use crate::domain::prevented::Prevented;
use crate::domain::saga::{RunState, StepState};

/// One target of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetDocument {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `i-...`
    pub instance: String,
    /// done, failed, skipped or unfinished.
    pub outcome: &'static str,
    /// What prevented it, in one word; left out where nothing did, or somebody chose that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prevented: Option<&'static str>,
    /// Why, where it is not plainly done.
    pub reason: String,
    /// `ami-...`, once known.
    pub image: Option<String>,
    /// Its copies; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<CopyDocument>,
    /// Whom the image is shared with; left out where with nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
    /// Why it is not shared as the plan wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_shared: Option<String>,
}

/// Copies of an image that an earlier run made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResumedDocument {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The image.
    pub image: String,
    /// Its copies that this run worked on.
    pub copies: Vec<CopyDocument>,
}

/// What retention decided of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictDocument {
    /// `ami-...`
    pub image: String,
    /// keep or delete.
    pub verdict: String,
    /// In an operator's words.
    pub reasons: Vec<String>,
}

/// A snapshot of a deleted image that could not be deleted with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftDocument {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `snap-...`
    pub snapshot: String,
    /// The image that it belonged to, where the run knows it.
    pub image: Option<String>,
    /// failed: it is still there; done: a later run has ended the matter.
    pub outcome: &'static str,
    /// Why.
    pub reason: String,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunDocument {
    /// `plan@due`.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// RFC 3339, UTC.
    pub due: String,
    /// schedule or manual.
    pub trigger: &'static str,
    /// done, failed, skipped, missed or unfinished.
    pub outcome: &'static str,
    /// Why, where it is not plainly done.
    pub reason: String,
    /// When it began; left out where it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
    /// When it ended; left out while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Seconds from one to the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_s: Option<i64>,
    /// Every instance that the plan named.
    pub targets: Vec<TargetDocument>,
    /// Copies of older images that were still owed; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<ResumedDocument>,
    /// Every image of the series that the run looked at.
    pub retention: Vec<VerdictDocument>,
    /// Snapshots of deleted images that AWS would not delete.
    pub snapshots: Vec<LeftDocument>,
    /// The images that are gone.
    #[serde(skip)]
    pub removed: BTreeSet<String>,
    /// Why images stay that a verdict deleted.
    #[serde(skip)]
    pub kept: BTreeMap<String, String>,
}

impl RunDocument {
    /// The document of an occurrence with the events of its run.
    #[must_use]
    pub fn of(occurrence: &Occurrence, events: &[Event]) -> Self {
        let state = RunState::fold(events);
        let at = |kind: Kind| events.iter().rfind(|e| e.kind() == kind).map(|e| e.at);
        let (began, ended) = (at(Kind::RunStarted), at(Kind::RunFinished));
        let (outcome, reason) = match occurrence.decision {
            Decision::Skip => (Outcome::Skipped, occurrence.reason.clone()),
            Decision::Miss => (Outcome::Missed, occurrence.reason.clone()),
            Decision::Run if state.finished.is_some() => {
                let reason = events.iter().rfind(|e| e.kind() == Kind::RunFinished).and_then(Event::reason);
                (state.finished.unwrap_or(Outcome::Failed), reason.unwrap_or_default().to_owned())
            }
            Decision::Run => (Outcome::Unfinished, String::new()),
        };
        Self {
            run: occurrence.run(),
            plan: occurrence.plan.clone(),
            due: rfc3339(occurrence.due),
            trigger: occurrence.trigger.as_str(),
            outcome: outcome.as_str(),
            reason,
            began: began.map(rfc3339),
            ended: ended.map(rfc3339),
            elapsed_s: began.zip(ended).map(|(began, ended)| (ended - began).num_seconds()),
            resumed: resumed(&state),
            targets: targets(&state),
            retention: verdicts(events),
            snapshots: left(events),
            removed: removed(&state),
            kept: kept(events),
        }
    }

    /// The newest verdict on each image that these events tell of.
    #[must_use]
    pub fn verdicts_of(events: &[Event]) -> Vec<VerdictDocument> {
        verdicts(events)
    }

    /// Whether the command that asked for it succeeded.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.outcome == Outcome::Done.as_str()
    }

    /// Marks the snapshots that are not among those `open` now: a later run has ended the matter.
    #[must_use]
    pub fn as_of(mut self, open: &BTreeSet<Subject>) -> Self {
        for left in &mut self.snapshots {
            if !open.contains(&Place::new(&*left.account, &*left.region).subject(&left.snapshot)) {
                left.outcome = Outcome::Done.as_str();
            }
        }
        self
    }

    /// How it ended for one instance, if it named that.
    #[must_use]
    pub fn outcome_of(&self, instance: &str) -> Option<&'static str> {
        self.targets.iter().find(|t| t.instance == instance).map(|t| t.outcome)
    }
}

fn targets(state: &RunState) -> Vec<TargetDocument> {
    let mut list: Vec<TargetDocument> = Vec::new();
    for (subject, target) in &state.targets {
        let (outcome, reason) = target.finished.clone().unwrap_or((Outcome::Unfinished, String::new()));
        let image = target.image().map(|id| subject.place.subject(id));
        let distributed = image.as_ref().map(|image| Distributed::of(state, image)).unwrap_or_default();
        list.push(TargetDocument {
            account: subject.place.account.clone(),
            region: subject.place.region.clone(),
            instance: subject.id.clone(),
            outcome: outcome.as_str(),
            prevented: target.prevented.map(Prevented::as_str),
            reason,
            image: image.map(|image| image.id),
            copies: distributed.copies,
            shared: distributed.shared,
            not_shared: distributed.not_shared,
        });
    }
    for (subject, skipped) in &state.skipped {
        list.push(TargetDocument {
            account: subject.place.account.clone(),
            region: subject.place.region.clone(),
            instance: subject.id.clone(),
            outcome: Outcome::Skipped.as_str(),
            prevented: skipped.prevented.map(Prevented::as_str),
            reason: skipped.reason.clone(),
            image: None,
            copies: Vec::new(),
            shared: Vec::new(),
            not_shared: None,
        });
    }
    list.sort_by(|a, b| (&a.account, &a.region, &a.instance).cmp(&(&b.account, &b.region, &b.instance)));
    list
}

/// Copies of images that no target of this run made.
fn resumed(state: &RunState) -> Vec<ResumedDocument> {
    let made: BTreeSet<&str> = state.targets.values().filter_map(|target| target.image()).collect();
    let older = distributed(state).filter(|image| !made.contains(image.id.as_str()));
    let document = |image: &Subject| ResumedDocument {
        account: image.place.account.clone(),
        region: image.place.region.clone(),
        image: image.id.clone(),
        copies: Distributed::of(state, image).copies,
    };
    older.map(document).collect()
}

/// Snapshots that this run could not delete.
fn left(events: &[Event]) -> Vec<LeftDocument> {
    let mut newest: BTreeMap<&Subject, &Event> = BTreeMap::new();
    for event in events.iter().filter(|e| e.step() == Some(&StepId::Retain)) {
        if let Some(subject) = event.draft.subject.as_ref().filter(|s| s.id.starts_with("snap-")) {
            newest.insert(subject, event);
        }
    }
    let needs = newest.into_iter().filter(|(_, event)| event.kind() == Kind::StepNeedsPerson);
    let of_image = |snapshot: &str| {
        let intents = events.iter().filter_map(|e| removing(e));
        let mut holds = intents.filter(|removing| removing.snapshots.iter().any(|s| s == snapshot));
        holds.next().map(|removing| removing.image.clone())
    };
    needs
        .map(|(subject, event)| LeftDocument {
            account: subject.place.account.clone(),
            region: subject.place.region.clone(),
            snapshot: subject.id.clone(),
            image: of_image(&subject.id),
            outcome: Outcome::Failed.as_str(),
            reason: event.reason().unwrap_or_default().to_owned(),
        })
        .collect()
}

/// What a removal was to remove.
fn removing(event: &Event) -> Option<&Removing> {
    match event.fact() {
        Fact::StepIntent(intent) => intent.removing(),
        Fact::StepNeedsPerson(need) => need.intent.as_ref()?.removing(),
        _ => None,
    }
}

/// The images whose deregistration is certain.
fn removed(state: &RunState) -> BTreeSet<String> {
    let gone = |steps: &BTreeMap<StepId, StepState>| steps.get(&StepId::Retain).is_some_and(|s| s.result.is_some());
    state
        .others
        .iter()
        .filter(|(s, steps)| s.id.starts_with("ami-") && gone(steps))
        .map(|(s, _)| s.id.clone())
        .collect()
}

/// The images that stay, whatever the verdict was: something changed since.
fn kept(events: &[Event]) -> BTreeMap<String, String> {
    let observed = events.iter().filter(|e| e.step() == Some(&StepId::Retain));
    let why = |e: &Event| {
        let image = e.draft.subject.as_ref().filter(|s| s.id.starts_with("ami-"))?;
        match e.fact() {
            Fact::StepObserved(seen) if seen.outcome == Outcome::Done => Some((image.id.clone(), seen.reason.clone()?)),
            _ => None,
        }
    };
    observed.filter_map(why).collect()
}

/// The newest verdict on each image, in the order in which they were first decided.
fn verdicts(events: &[Event]) -> Vec<VerdictDocument> {
    let mut newest: Vec<VerdictDocument> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let lists = events.iter().filter_map(|e| if let Fact::RetainDecided(list) = e.fact() { Some(list) } else { None });
    let all = lists.flatten().map(|v| VerdictDocument {
        image: v.image.clone(),
        verdict: if v.delete { "delete" } else { "keep" }.to_owned(),
        reasons: v.reasons.clone(),
    });
    for verdict in all {
        match places.get(&verdict.image) {
            Some(place) => newest[*place] = verdict,
            None => {
                places.insert(verdict.image.clone(), newest.len());
                newest.push(verdict);
            }
        }
    }
    newest
}
