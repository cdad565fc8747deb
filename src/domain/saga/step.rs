//! One step of one subject, as its events tell.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::event::{Event, Kind};

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
    pub intent: Value,
    /// What the effect answered.
    pub result: Value,
    /// Whether a person was called.
    pub alarmed: bool,
    /// Attempts of which it was not certain at once that nothing was made.
    pub sent: u32,
}

impl StepState {
    /// A step that was left open in an earlier run, with the parameters of its intent.
    #[must_use]
    pub fn left_over(intent: Value, at: DateTime<Utc>) -> Self {
        let phase = Phase::Unknown;
        Self { attempt: 1, phase, intended_at: at, called_at: at, intent, result: Value::Null, alarmed: false, sent: 1 }
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn ended(&self) -> bool {
        matches!(self.phase, Phase::Good | Phase::Left(_) | Phase::Bad(_))
    }
}

/// Applies a `step.*` event to the steps of its subject.
pub(super) fn apply_step(steps: &mut BTreeMap<String, StepState>, event: &Event) {
    let draft = &event.draft;
    let reason = || event.text("reason").unwrap_or_default().to_owned();
    let step = steps.entry(draft.step.clone()).or_insert_with(|| StepState {
        attempt: draft.attempt,
        phase: Phase::Intended,
        intended_at: event.at,
        called_at: event.at,
        intent: Value::Null,
        result: Value::Null,
        alarmed: false,
        sent: 0,
    });
    if matches!(draft.kind, Kind::StepDone | Kind::StepUnknown | Kind::StepRefused | Kind::StepAbandoned) {
        step.called_at = event.at;
    }
    match draft.kind {
        Kind::StepIntent => {
            step.attempt = draft.attempt;
            step.phase = Phase::Intended;
            step.sent += 1;
            step.intended_at = event.at;
            step.intent = draft.data.clone();
        }
        Kind::StepUnknown => {
            step.phase = Phase::Unknown;
            // Of an answer that named something else: an attempt that was not sent, and none is sent after it.
            if draft.attempt > step.attempt {
                step.attempt = draft.attempt;
                step.sent += 1;
            }
        }
        Kind::StepDone => {
            step.phase = Phase::Done;
            step.result = draft.data.clone();
        }
        Kind::StepObserved => {
            step.phase = if event.text("outcome") == Some("done") { Phase::Good } else { Phase::Bad(reason()) };
        }
        Kind::StepRefused if draft.data.get("again") == Some(&Value::Bool(true)) => {
            step.phase = Phase::NotMade;
            step.sent = step.sent.saturating_sub(1);
        }
        Kind::StepRefused if event.text("outcome") == Some("skipped") => step.phase = Phase::Left(reason()),
        Kind::StepRefused | Kind::StepAbandoned => step.phase = Phase::Bad(reason()),
        Kind::StepNeedsPerson => {
            step.alarmed = true;
            if event.text("outcome") == Some("failed") {
                step.phase = Phase::Bad(reason());
            }
        }
        _ => {}
    }
}
