//! What a run's events tell of the copies and shares of one image: the same in every document.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::event::Outcome;
use crate::domain::fact::{Intent, Permitting, StepId};
use crate::domain::place::Subject;
use crate::domain::saga::{Phase, RunState, StepState};

/// One copy of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyDocument {
    /// Twelve digits, once known.
    pub account: Option<String>,
    /// The region.
    pub region: String,
    /// `dr/eu-west-1`, or `eu-west-1` for the own account.
    pub destination: String,
    /// The copy, once known.
    pub image: Option<String>,
    /// done, failed, skipped or unfinished.
    pub outcome: &'static str,
    /// Why, where it is not plainly done.
    pub reason: String,
    /// Whom it is shared with; left out where with nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
    /// Why it is not shared as the plan wants; left out where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_shared: Option<String>,
}

/// What became of the distribution of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distributed {
    /// By destination.
    pub copies: Vec<CopyDocument>,
    /// Whom it is shared with.
    pub shared: Vec<String>,
    /// What went wrong with the share.
    pub not_shared: Option<String>,
}

impl Distributed {
    /// Of the image `subject`, in a run.
    #[must_use]
    pub fn of(state: &RunState, subject: &Subject) -> Self {
        let Some(steps) = state.others.get(subject) else { return Self::default() };
        // Shared by way of another key: the copy under that is what others may use.
        let ways = steps.iter().filter(|(id, _)| matches!(id, StepId::Via(_))).filter_map(|(_, step)| step.image());
        let mut of_ways =
            ways.filter_map(|id| state.others.iter().find(|(subject, _)| subject.id == id)?.1.get(&StepId::Share));
        let share = steps.get(&StepId::Share).or_else(|| of_ways.next());
        Self {
            copies: destinations(steps).into_iter().map(|label| copy(state, subject, steps, label)).collect(),
            shared: share.map(shared).unwrap_or_default(),
            not_shared: share.and_then(not_shared),
        }
    }
}

fn not_shared(step: &StepState) -> Option<String> {
    if let Phase::Bad(why) = &step.phase { Some(why.clone()) } else { None }
}

/// The images of a run that are copied or shared, whether it made them or an earlier one did.
pub fn distributed(state: &RunState) -> impl Iterator<Item = &Subject> {
    let of_ours = |(_, steps): &(&Subject, &BTreeMap<StepId, StepState>)| !destinations(steps).is_empty();
    state.others.iter().filter(of_ours).map(|(subject, _)| subject)
}

fn destinations(steps: &BTreeMap<StepId, StepState>) -> BTreeSet<&str> {
    steps.keys().filter_map(StepId::destination).collect()
}

/// Something of a step's answer, or of its parameters.
fn told<T>(step: &StepState, what: impl Fn(&Permitting) -> Option<T>) -> Option<T> {
    let made = step.permitted().and_then(&what);
    made.or_else(|| step.intent.as_ref().and_then(Intent::permitting).and_then(what))
}

fn copy(state: &RunState, source: &Subject, steps: &BTreeMap<StepId, StepState>, label: &str) -> CopyDocument {
    let made = steps.get(&StepId::Copy(label.to_owned()));
    let (outcome, reason) = outcome(steps, label);
    let (name, region) = label.rsplit_once('/').map_or((None, label), |(name, region)| (Some(name), region));
    let lend = steps.get(&StepId::Lend(label.to_owned()));
    let account = lend.and_then(|lend| told(lend, |told| told.account.clone()));
    let account = account.or_else(|| name.is_none().then(|| source.place.account.clone()));
    let image = made.and_then(StepState::image).map(str::to_owned);
    let there = image.as_ref().and_then(|id| state.others.iter().find(|(subject, _)| subject.id == *id));
    let share = there.and_then(|(_, steps)| steps.get(&StepId::Share));
    CopyDocument {
        account: account.or_else(|| there.map(|(subject, _)| subject.place.account.clone())),
        region: region.to_owned(),
        destination: label.to_owned(),
        image,
        outcome: outcome.as_str(),
        reason,
        shared: share.map(shared).unwrap_or_default(),
        not_shared: share.and_then(not_shared),
    }
}

/// How far a copy has come, by all steps on its way.
fn outcome(steps: &BTreeMap<StepId, StepState>, label: &str) -> (Outcome, String) {
    let bad = |step: Option<&StepState>| match step.map(|s| &s.phase) {
        Some(Phase::Bad(why)) => Some(why.clone()),
        _ => None,
    };
    if let Some(copy) = steps.get(&StepId::Copy(label.to_owned())) {
        return match &copy.phase {
            Phase::Good => match bad(steps.get(&StepId::Reclaim(label.to_owned()))) {
                Some(why) => (Outcome::Done, format!("what was lent for it is not taken back yet: {why}")),
                None => (Outcome::Done, String::new()),
            },
            Phase::Bad(why) => (Outcome::Failed, why.clone()),
            Phase::Left(why) => (Outcome::Skipped, why.clone()),
            Phase::Intended | Phase::NotMade => (Outcome::Unfinished, "CopyImage is being called".into()),
            Phase::Unknown => {
                (Outcome::Unfinished, "the answer to CopyImage was lost: what became of it is looked for".into())
            }
            Phase::Done => (Outcome::Unfinished, "waits until the copy and its snapshots are finished".into()),
        };
    }
    let before = steps.iter().filter(|(id, _)| match id {
        StepId::Via(_) => true,
        StepId::Lend(to) => to == label,
        _ => false,
    });
    for (id, step) in before {
        if let Some(why) = bad(Some(step)) {
            return (Outcome::Failed, format!("{id}: {why}"));
        }
    }
    (Outcome::Unfinished, "the destination is being let in".into())
}

/// Whom an image was shared with by a share step.
fn shared(step: &StepState) -> Vec<String> {
    if !step.ended() || matches!(step.phase, Phase::Bad(_) | Phase::Left(_)) {
        return Vec::new();
    }
    told(step, |told| told.with.clone()).unwrap_or_default()
}
