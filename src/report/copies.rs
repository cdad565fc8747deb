//! What a run's events tell of the copies and shares of one image: the same in every document.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::domain::event::Outcome;
use crate::domain::place::Subject;
use crate::domain::saga::{Phase, RunState, StepState};

/// The step that shares an image.
const SHARE: &str = "share";

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
        let image = |step: &StepState| Some(step.result.get("image")?.as_str()?.to_owned());
        let ways = steps.iter().filter(|(name, _)| name.starts_with("via:")).filter_map(|(_, step)| image(step));
        let mut of_ways = ways.filter_map(|id| state.others.iter().find(|(subject, _)| subject.id == id)?.1.get(SHARE));
        let share = steps.get(SHARE).or_else(|| of_ways.next());
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
    let of_ours = |(_, steps): &(&Subject, &BTreeMap<String, StepState>)| !destinations(steps).is_empty();
    state.others.iter().filter(of_ours).map(|(subject, _)| subject)
}

/// The destination of a step of distribution; nothing for other steps, also for that of an alarm that a copy takes long.
#[must_use]
pub fn destination(step: &str) -> Option<&str> {
    let label = ["lend:", "copy:", "reclaim:"].iter().find_map(|kind| step.strip_prefix(kind))?;
    (!label.ends_with(".pending")).then_some(label)
}

fn destinations(steps: &BTreeMap<String, StepState>) -> BTreeSet<&str> {
    steps.keys().filter_map(|step| destination(step)).collect()
}

/// The part of a step's parameters or answer, as text.
fn text<'a>(step: &'a StepState, key: &str) -> Option<&'a str> {
    [&step.result, &step.intent].into_iter().find_map(|data| data.get(key).and_then(Value::as_str))
}

fn copy(state: &RunState, source: &Subject, steps: &BTreeMap<String, StepState>, label: &str) -> CopyDocument {
    let step = |kind: &str| steps.get(&format!("{kind}:{label}"));
    let made = step("copy");
    let (outcome, reason) = outcome(steps, label);
    let (name, region) = label.rsplit_once('/').map_or((None, label), |(name, region)| (Some(name), region));
    let account = step("lend").and_then(|lend| text(lend, "account")).map(str::to_owned);
    let account = account.or_else(|| name.is_none().then(|| source.place.account.clone()));
    let image = made.and_then(|copy| copy.result.get("image")).and_then(Value::as_str).map(str::to_owned);
    let there = image.as_ref().and_then(|id| state.others.iter().find(|(subject, _)| subject.id == *id));
    let share = there.and_then(|(_, steps)| steps.get(SHARE));
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
fn outcome(steps: &BTreeMap<String, StepState>, label: &str) -> (Outcome, String) {
    let step = |kind: &str| steps.get(&format!("{kind}:{label}"));
    let bad = |step: Option<&StepState>| match step.map(|s| &s.phase) {
        Some(Phase::Bad(why)) => Some(why.clone()),
        _ => None,
    };
    if let Some(copy) = step("copy") {
        return match &copy.phase {
            Phase::Good => match bad(step("reclaim")) {
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
    let before = steps.iter().filter(|(name, _)| name.starts_with("via:") || **name == format!("lend:{label}"));
    for (name, step) in before {
        if let Some(why) = bad(Some(step)) {
            return (Outcome::Failed, format!("{name}: {why}"));
        }
    }
    (Outcome::Unfinished, "the destination is being let in".into())
}

/// Whom an image was shared with by a share step.
fn shared(step: &StepState) -> Vec<String> {
    if !step.ended() || matches!(step.phase, Phase::Bad(_) | Phase::Left(_)) {
        return Vec::new();
    }
    let list = [&step.result, &step.intent].into_iter().find_map(|data| data.get("with").and_then(Value::as_array));
    list.into_iter().flatten().filter_map(|who| who.as_str().map(str::to_owned)).collect()
}
