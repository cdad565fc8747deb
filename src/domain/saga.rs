//! The way of one target: a fold over its events, and the pure decision of what comes next.

mod step;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::event::Outcome;
use super::fact::{Event, Fact, RunEnd, Skipped, StepId, Topic, Verdict};
use super::place::Subject;
use super::prevented::Prevented;
use step::apply_step;
pub use step::{Phase, StepState};

/// Whether the target counts as down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Nothing took it down.
    None,
    /// Down since then.
    Taken(DateTime<Utc>),
    /// Back, or gone for good.
    Freed,
}

/// One target, as its events tell.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetState {
    /// Whether imaging it restarts it.
    pub reboots: bool,
    /// Its steps.
    pub steps: BTreeMap<StepId, StepState>,
    /// Its slot.
    pub slot: Slot,
    /// The attempt of its newest slot.
    pub slots: u32,
    /// Why its slot was freed.
    pub freed: Option<String>,
    /// Its end: outcome and reason.
    pub finished: Option<(Outcome, String)>,
    /// What prevented it, where nobody chose that.
    pub prevented: Option<Prevented>,
}

impl TargetState {
    fn new(reboots: bool) -> Self {
        let (steps, slot, freed, finished, prevented) = (BTreeMap::new(), Slot::None, None, None, None);
        Self { reboots, steps, slot, slots: 0, freed, finished, prevented }
    }

    /// The image that was made of it, once known.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.steps.get(&StepId::Image)?.image()
    }

    /// Whether it keeps its plan from starting the next occurrence: it is not back in service, and has not ended.
    #[must_use]
    pub fn holds(&self) -> bool {
        if self.finished.is_some() {
            return false;
        }
        let called = self.steps.get(&StepId::Image).is_some_and(|s| s.ended() || s.phase == Phase::Done);
        match self.slot {
            // Overdue: its plan halts, or goes on without it, but does not wait for it.
            Slot::Taken(_) => !(called && self.steps.get(&StepId::Return).is_some_and(StepState::ended)),
            Slot::None | Slot::Freed => !called,
        }
    }

    /// Whether it waits for its turn to go down: nothing was called for, and it does not count as down.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.reboots && !self.steps.contains_key(&StepId::Image) && !matches!(self.slot, Slot::Taken(_))
    }

    fn apply(&mut self, event: &Event) {
        match event.fact() {
            Fact::TargetFinished(end) => {
                self.finished = Some((end.outcome, end.reason.clone()));
                self.prevented = end.prevented;
            }
            Fact::SlotTaken { .. } => {
                self.slot = Slot::Taken(event.at);
                self.slots = self.slots.max(event.draft.attempt);
            }
            Fact::SlotFreed { reason } => {
                self.slot = Slot::Freed;
                self.freed = Some(reason.clone());
            }
            _ => apply_to(&mut self.steps, event),
        }
    }
}

/// Applies a fact to the steps of its subject, if it is of one.
fn apply_to(steps: &mut BTreeMap<StepId, StepState>, event: &Event) {
    match &event.draft.topic {
        Topic::Step(step) => apply_step(steps, step, event),
        Topic::Pending(step) => {
            if let Some(step) = steps.get_mut(step) {
                step.pending_alarmed = true;
            }
        }
        _ => {}
    }
}

/// The images that go.
fn deletions(verdicts: &[Verdict]) -> BTreeSet<String> {
    verdicts.iter().filter(|v| v.delete).map(|v| v.image.clone()).collect()
}

/// One run, as its events tell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunState {
    /// Whether it began.
    pub started: bool,
    /// Whether it began under a journal that was lost, and goes on from what the tags of its images prove.
    pub rebuilt: bool,
    /// Only these instances, if a person named some.
    pub only: Vec<String>,
    /// Whether its targets were selected (in one transaction, so all or none).
    pub selected: bool,
    /// Targets by subject.
    pub targets: BTreeMap<Subject, TargetState>,
    /// Skipped when selecting, with reasons.
    pub skipped: BTreeMap<Subject, Skipped>,
    /// Steps of other subjects: images and snapshots that retention handles.
    pub others: BTreeMap<Subject, BTreeMap<StepId, StepState>>,
    /// For the series of an instance: how often retention was decided, and what was to be deleted at first.
    pub decided: BTreeMap<Subject, (u32, BTreeSet<String>)>,
    /// What went wrong with the run as a whole (a region that could not be listed, ...), by step.
    pub mishaps: BTreeMap<String, String>,
    /// Why nothing more may be rebooted in it: it lay still for too long.
    pub late: Option<String>,
    /// Whether nothing more may be imaged in it either: the journal was older than the images of a later occurrence.
    pub older: bool,
    /// Its end.
    pub finished: Option<Outcome>,
    /// The first event that this version does not understand.
    pub not_understood: Option<String>,
}

impl RunState {
    /// The copies under another key that it has made or found.
    pub fn vias(&self) -> impl Iterator<Item = &str> {
        let steps = self.others.values().flatten().filter(|(id, _)| matches!(id, StepId::Via(_)));
        steps.filter_map(|(_, step)| step.image())
    }

    /// The state after `events`, which are all of one run, by `seq`.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.apply(event);
        }
        state
    }

    /// The state after one more event.
    pub fn apply(&mut self, event: &Event) {
        if let Fact::Unread(unread) = event.fact() {
            self.not_understood.get_or_insert_with(|| format!("{} (v{})", event.kind().as_str(), unread.v));
            return;
        }
        let Some(subject) = &event.draft.subject else {
            match event.fact() {
                Fact::RunStarted(start) => {
                    self.started = true;
                    self.rebuilt = start.rebuilt;
                    self.only.clone_from(&start.only);
                }
                Fact::Selected(_) => self.selected = true,
                Fact::RunLate { reason, older } => {
                    self.late = Some(reason.clone());
                    self.older |= older;
                }
                Fact::StepRefused(_) | Fact::RetainStopped { .. } => {
                    if let Topic::Trouble(what) = &event.draft.topic {
                        self.mishaps.insert(what.clone(), event.reason().unwrap_or_default().to_owned());
                    }
                }
                Fact::RunFinished(end) => self.finished = Some(end.outcome),
                _ => {}
            }
            return;
        };
        match event.fact() {
            Fact::TargetSelected { reboots } => {
                self.targets.insert(subject.clone(), TargetState::new(*reboots));
            }
            Fact::TargetSkipped(skipped) => {
                self.skipped.insert(subject.clone(), skipped.clone());
            }
            Fact::RetainDecided(verdicts) => {
                let (times, images) = self.decided.entry(subject.clone()).or_default();
                *times += 1;
                if *times == 1 {
                    *images = deletions(verdicts);
                }
            }
            _ => match self.targets.get_mut(subject) {
                Some(target) => target.apply(event),
                None => {
                    if let Topic::Step(_) = event.draft.topic {
                        apply_to(self.others.entry(subject.clone()).or_default(), event);
                    } else if let Some(steps) = self.others.get_mut(subject) {
                        apply_to(steps, event);
                    }
                }
            },
        }
    }

    /// Whether the run keeps its plan from starting the next occurrence.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.finished.is_none() && (!self.selected || self.targets.values().any(TargetState::holds))
    }

    /// The instances that it is still imaging, each with its own name, `run`.
    #[must_use]
    pub fn imaging(&self, run: &str) -> Vec<(String, String)> {
        let open = |t: &TargetState| t.finished.is_none() && t.steps.get(&StepId::Image).is_some_and(|s| !s.ended());
        self.targets.iter().filter(|(_, t)| open(t)).map(|(s, _)| (s.id.clone(), run.to_owned())).collect()
    }

    /// Instances that were not imaged although nobody chose that: each with what prevented it, and why.
    pub fn prevented(&self) -> impl Iterator<Item = (&Subject, Prevented, &str)> {
        let targets = self.targets.iter().filter_map(|(subject, target)| {
            let (_, why) = target.finished.as_ref()?;
            Some((subject, target.prevented?, why.as_str()))
        });
        let skipped =
            self.skipped.iter().filter_map(|(subject, skip)| Some((subject, skip.prevented?, skip.reason.as_str())));
        targets.chain(skipped)
    }

    /// How the run ends, with a reason where it is not plainly done.
    #[must_use]
    pub fn end(&self) -> RunEnd {
        let (outcome, reason) = self.outcome();
        let imaged = self.targets.values().any(|t| t.prevented.is_none());
        let barred = self.mishaps.is_empty() && !imaged && self.prevented().next().is_some();
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        RunEnd { outcome, reason, barred, elapsed_ms: None, counts: None }
    }

    fn outcome(&self) -> (Outcome, String) {
        let mut mishaps = self.mishaps.iter();
        if let Some((step, why)) = mishaps.next() {
            // Each was said by itself; whoever reads only this must know that there are more.
            let others: Vec<&str> = mishaps.map(|(step, _)| step.as_str()).collect();
            let also = if others.is_empty() { String::new() } else { format!("; also failed: {}", others.join(", ")) };
            return (Outcome::Failed, format!("{step}: {why}{also}"));
        }
        let ended = |wanted: Outcome| {
            let end = move |(subject, t): (&'_ Subject, &'_ TargetState)| {
                let (outcome, why) = t.finished.clone()?;
                (outcome == wanted).then(|| (subject.id.clone(), why))
            };
            self.targets.iter().filter_map(end).collect::<Vec<_>>()
        };
        let (done, failed) = (ended(Outcome::Done).len(), ended(Outcome::Failed));
        let prevented: Vec<_> =
            self.prevented().map(|(subject, _, why)| (subject.id.clone(), why.to_owned())).collect();
        let bad = |retains: bool| {
            let steps = self.others.values().flatten();
            steps.filter(|(name, s)| (**name == StepId::Retain) == retains && matches!(s.phase, Phase::Bad(_))).count()
        };
        let (left, undistributed) = (bad(true), bad(false));
        let all = self.targets.len() + self.skipped.len();
        if let Some(why) = first_of(&failed, all, "failed") {
            (Outcome::Failed, why)
        } else if let Some(why) = first_of(&prevented, all, "were not imaged") {
            (Outcome::Failed, why)
        } else if left > 0 {
            (Outcome::Failed, format!("retention: {left} images or snapshots could not be removed"))
        } else if undistributed > 0 {
            (Outcome::Failed, format!("{undistributed} steps of copying and sharing failed"))
        } else if self.targets.is_empty() && self.skipped.is_empty() {
            (Outcome::Skipped, "the plan selects no instance".into())
        } else if done == 0 {
            (Outcome::Done, "every instance was skipped".into())
        } else {
            (Outcome::Done, String::new())
        }
    }
}

/// The first of these instances by name, with its cause, and how many more there are.
fn first_of(instances: &[(String, String)], all: usize, what: &str) -> Option<String> {
    let (id, why) = instances.first()?;
    let why = if why.is_empty() { "for a reason that is not known" } else { why };
    Some(match instances.len() - 1 {
        0 => format!("{id}: {why}"),
        more => format!("{id}: {why}; {more} more of {all} instances {what}"),
    })
}

#[cfg(test)]
pub(crate) mod tests;
