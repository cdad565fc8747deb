//! What a kind of step must be able to say and do; the executor knows no more of it.

use std::time::Duration;

use async_trait::async_trait;

use crate::cloud::port::{Effect, Fault};
use crate::domain::fact::{Intent, Made, StepId};
use crate::domain::place::Place;
use crate::domain::prevented::Hindrance;
use crate::engine::context::Stop;

/// How long refusals that may pass, and look-ups that fail, are borne before a step that has had no effect ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(900);

/// What looking for a step's effect found.
#[derive(Debug)]
pub enum Look {
    /// The effect is there, with this result.
    Found(Made),
    /// There is nothing of it.
    Absent,
    /// What is there in its place is not ours, for this reason.
    Foreign(String),
    /// The effect is not wanted any more, for this reason: the step ends well without it.
    Moot(String),
    /// The effect must not be made now, for this reason: the step is left out.
    NotNow(Hindrance),
    /// The look-up failed: nothing is known.
    Unclear(Fault),
}

/// What to do after a look that found nothing, when the effect's answer was lost.
#[derive(Debug, PartialEq, Eq)]
pub enum Resend {
    /// Look again.
    LookAgain,
    /// The effect certainly was not made: make it, once more.
    Send,
    /// What was asked for can never be made so, for this reason: it is begun anew, with another intent.
    Anew(String),
    /// Neither: the step ends for this reason.
    GiveUp(String),
}

/// How a search for a lost effect has gone so far.
#[derive(Debug, Clone)]
pub struct Search {
    /// The attempt whose answer was lost.
    pub attempt: u32,
    /// How long it was looked for, by tokio's time.
    pub waited: Duration,
    /// Looks that certainly found nothing.
    pub empty: u32,
    /// Whether AWS said that the name, or the token, is taken: then it was not made by this attempt.
    pub name_taken: bool,
    /// Whether an attempt before this one may have been made as well.
    pub resent: bool,
    /// That this attempt was refused: the one before it is what is looked for.
    pub refused: Option<Fault>,
}

impl Search {
    /// A search that begins.
    pub(crate) fn new(attempt: u32, name_taken: bool, resent: bool) -> Self {
        Self { attempt, waited: Duration::ZERO, empty: 0, name_taken, resent, refused: None }
    }
}

/// One kind of step for one subject. The executor, and nothing else, calls it.
#[async_trait(?Send)]
pub trait Step {
    /// Which one it is.
    fn id(&self) -> &StepId;
    /// The parameters of the effect, journaled before it is made.
    fn intent(&self) -> Intent;
    /// Why the effect must not be made now, if it must not.
    fn forbidden(&self) -> Option<Hindrance>;
    /// Whether the effect takes the subject down: a slot is journaled with the intent.
    fn takes_down(&self) -> bool {
        false
    }
    /// By which step what it takes is given back, if it takes something: the debt is journaled with the intent.
    fn owes(&self) -> Option<StepId> {
        None
    }
    /// Which step's debt it settles, if it gives something back.
    fn settles(&self) -> Option<StepId> {
        None
    }
    /// Where its effect is made, if not where its subject is.
    fn place(&self) -> Option<&Place> {
        None
    }
    /// Whether it waits for its turn to call. What calls nothing never waits behind what does.
    fn calls(&self) -> bool {
        true
    }
    /// Whether the effect is already there. `lost`: an attempt was made and its answer lost, so look everywhere.
    async fn look(&self, intent: &Intent, lost: bool) -> Look;
    /// Whether the subject may be down because of an effect that the look before it found there already.
    fn is_down(&self) -> bool {
        false
    }
    /// The intent with what the look before it has shown, as it is journaled.
    fn completed(&self, intent: Intent) -> Intent {
        intent
    }
    /// Makes the effect.
    async fn act(&self, intent: &Intent) -> Effect<Made>;
    /// Whether a refusal may pass by itself, so that the effect is tried again.
    fn passes(&self, fault: &Fault) -> bool {
        fault.class.passes()
    }
    /// How long refusals that may pass are borne.
    fn patience(&self, _fault: &Fault) -> Duration {
        PATIENCE
    }
    /// Whether an attempt that is refused proves that the one before it, whose answer was lost, was looked for long enough.
    fn is_searched(&self, _search: &Search) -> bool {
        true
    }
    /// What to do while its answer is unknown.
    fn resend(&self, search: &Search) -> Resend;
    /// Waits for what the effect brought about to end, and journals that.
    async fn settle(&self) -> Result<(), Stop>;
    /// Called when it is certain that the effect was not made.
    fn not_made(&self) {}
}
