//! One step of one subject, as its events tell.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::event::Outcome;
use crate::domain::fact::{Done, Event, Fact, Intent, Permitting, StepId};
use crate::domain::prevented::Prevented;

/// How far a step has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// The intent is written; whether the effect was made is not.
    Intended,
    /// The effect was certainly not made yet; it may be made in another attempt.
    NotMade,
    /// The effect's answer was lost.
    Unknown,
    /// The effect was made; what it brought about has not ended yet.
    Done,
    /// Ended well.
    Good,
    /// Ended without its effect, for a reason of ours.
    Left(String),
    /// Ended badly, for this reason.
    Bad(String),
}

/// One step of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    /// The newest attempt, from 1.
    pub attempt: u32,
    /// How far.
    pub phase: Phase,
    /// When the newest intent was written (the call is made right after).
    pub intended_at: DateTime<Utc>,
    /// When the newest answer, or the lack of one, was written: the call was made before that.
    pub called_at: DateTime<Utc>,
    /// The parameters of the newest intent.
    pub intent: Option<Intent>,
    /// What the effect answered.
    pub result: Option<Done>,
    /// Whether a person was called.
    pub alarmed: bool,
    /// Whether a person was called because what it made is pending for too long; it goes on.
    pub pending_alarmed: bool,
    /// What it took is owed, since this attempt: it was not given back.
    pub owed: Option<u32>,
    /// By which step it is given back.
    pub back: Option<StepId>,
    /// Whether it was certainly not made, in no attempt.
    pub unmade: bool,
    /// What prevented it, where it ended without its effect and nobody chose that.
    pub prevented: Option<Prevented>,
    /// Attempts of which it was not certain at once that nothing was made.
    pub sent: u32,
}

impl StepState {
    fn new(attempt: u32, phase: Phase, at: DateTime<Utc>) -> Self {
        let (intent, result) = (None, None);
        Self {
            attempt,
            phase,
            intended_at: at,
            called_at: at,
            intent,
            result,
            alarmed: false,
            pending_alarmed: false,
            owed: None,
            back: None,
            unmade: false,
            prevented: None,
            sent: 0,
        }
    }

    /// A step that was left open in an earlier run, with the parameters of its intent.
    #[must_use]
    pub fn left_over(intent: Intent, at: DateTime<Utc>) -> Self {
        Self { intent: Some(intent), sent: 1, ..Self::new(1, Phase::Unknown, at) }
    }

    /// The image that it made.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.result.as_ref()?.made.image()
    }

    /// What came of changing who may use an image.
    #[must_use]
    pub fn permitted(&self) -> Option<&Permitting> {
        self.result.as_ref()?.made.permitting()
    }

    /// Whether what it works on is still needed: it goes on, or a person was called to look at what it made.
    #[must_use]
    pub fn works(&self) -> bool {
        !self.ended() || self.pending_alarmed
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn ended(&self) -> bool {
        matches!(self.phase, Phase::Good | Phase::Left(_) | Phase::Bad(_))
    }
}

/// Applies a fact of a step to the steps of its subject.
pub(super) fn apply_step(steps: &mut BTreeMap<StepId, StepState>, id: &StepId, event: &Event) {
    let attempt = event.draft.attempt;
    let step = steps.entry(id.clone()).or_insert_with(|| StepState::new(attempt, Phase::Intended, event.at));
    if let Fact::StepDone(_) | Fact::StepUnknown(_) | Fact::StepRefused(_) | Fact::StepAbandoned { .. } = event.fact() {
        step.called_at = event.at;
    }
    match event.fact() {
        Fact::StepIntent(intent) => {
            step.attempt = attempt;
            step.phase = Phase::Intended;
            step.sent += 1;
            step.intended_at = event.at;
            step.intent = Some(intent.clone());
        }
        Fact::StepUnknown(_) => {
            step.phase = Phase::Unknown;
            // Of an answer that named something else: an attempt that was not sent, and none is sent after it.
            if attempt > step.attempt {
                step.attempt = attempt;
                step.sent += 1;
            }
        }
        Fact::StepDone(done) => {
            step.phase = Phase::Done;
            step.result = Some(done.clone());
        }
        Fact::StepObserved(observed) => {
            let reason = || observed.reason.clone().unwrap_or_default();
            step.phase = if observed.outcome == Outcome::Done { Phase::Good } else { Phase::Bad(reason()) };
        }
        Fact::StepRefused(refusal) if refusal.again => {
            step.phase = Phase::NotMade;
            step.sent = step.sent.saturating_sub(1);
        }
        Fact::StepRefused(refusal) => {
            step.unmade = !refusal.uncertain;
            step.prevented = refusal.prevented;
            let end = if refusal.skipped { Phase::Left } else { Phase::Bad };
            step.phase = end(refusal.reason.clone());
        }
        Fact::StepAbandoned { reason } => step.phase = Phase::Bad(reason.clone()),
        Fact::DebtOpened { back } => {
            step.owed = Some(attempt);
            step.back = Some(back.clone());
        }
        Fact::DebtSettled { .. } => step.owed = step.owed.filter(|owed| *owed > attempt),
        Fact::StepNeedsPerson(need) => {
            step.alarmed = true;
            if need.failed {
                step.phase = Phase::Bad(need.reason.clone());
            }
        }
        _ => {}
    }
}
