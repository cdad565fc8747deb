//! The kinds of step, and the chain that every target goes through.

use std::rc::Rc;

use crate::domain::downtime::Take;
use crate::domain::event::Occurrence;
use crate::domain::fact::{Intent, StepId};
use crate::domain::place::Subject;
use crate::domain::plan::Plan;
use crate::domain::saga::TargetState;
use crate::engine::context::{ActiveRun, Context};
use crate::engine::drive::executor::Step;
use crate::engine::rollout::{image, return_to_service};

/// What a plan takes from an instance before its image is made.
pub(crate) fn takes(_plan: &Plan) -> Vec<Take> {
    Vec::new()
}

/// The step that gives back what was taken with this intent. It reads no plan: that may be gone.
pub(crate) fn giving(
    _shared: &Rc<Context>,
    _run: &str,
    _subject: &Subject,
    back: &StepId,
    _intent: &Intent,
) -> Option<Box<dyn Step>> {
    match back {
        StepId::Copy(_)
        | StepId::Deprecate
        | StepId::Image
        | StepId::Lend(_)
        | StepId::Reclaim(_)
        | StepId::Retain
        | StepId::Return
        | StepId::Share
        | StepId::Via(_) => None,
    }
}

/// One target of one run, as its steps see it.
#[derive(Clone)]
pub struct Target {
    /// The engine.
    pub shared: Rc<Context>,
    /// The run.
    pub active: Rc<ActiveRun>,
    /// The plan, in the revision that the run began with.
    pub plan: Rc<Plan>,
    /// The occurrence.
    pub occurrence: Rc<Occurrence>,
    /// The run's name.
    pub run: Rc<str>,
    /// The instance.
    pub subject: Subject,
}

impl Target {
    /// Something of what is known of it.
    pub fn known<T>(&self, what: impl FnOnce(&TargetState) -> T) -> Option<T> {
        self.active.state.borrow().targets.get(&self.subject).map(what)
    }

    /// A step of the chain.
    #[must_use]
    pub fn step(&self, step: &StepId) -> Option<Box<dyn Step>> {
        match step {
            StepId::Image => Some(Box::new(image::MakeImage::of(self.clone()))),
            StepId::Return => Some(Box::new(return_to_service::Return(self.clone()))),
            StepId::Copy(_)
            | StepId::Deprecate
            | StepId::Lend(_)
            | StepId::Reclaim(_)
            | StepId::Retain
            | StepId::Share
            | StepId::Via(_) => None,
        }
    }
}
