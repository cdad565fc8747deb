//! A run that is going on: the fold of its events, and one bell per target.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::fact::{Draft, Event, Kind};
use crate::domain::place::Subject;
use crate::domain::plan::Seconds;
use crate::domain::saga::RunState;

/// A run that is going on.
pub struct ActiveRun {
    /// The plan's name.
    pub plan: String,
    /// The fold of its events.
    pub state: RefCell<RunState>,
    /// One bell per target, rung at each of its events.
    bells: RefCell<BTreeMap<Subject, Rc<Notify>>>,
    /// How long it may lie still, as far as its own plan says.
    pub(crate) patience: Seconds,
    /// That the machine slept for longer, once it is known.
    pub(crate) overslept: RefCell<Option<String>>,
    /// Rung when a target ends, and when all have.
    pub(crate) progress: Notify,
    /// Targets that have ended, until somebody takes them.
    pub(crate) ended: RefCell<Vec<Subject>>,
    /// What is settled of earlier runs, to be told with its end.
    pub(crate) settled: RefCell<Vec<Draft>>,
    /// Whether all targets have ended.
    pub(crate) rolled_out: Cell<bool>,
    /// When this process took it up, by both clocks.
    taken_up: (DateTime<Utc>, Instant),
}

impl ActiveRun {
    /// A run with what is known of it.
    #[must_use]
    pub fn new(plan: &str, patience: Seconds, state: RunState, clock: Clock) -> Self {
        let ended = state.targets.iter().filter(|(_, t)| t.finished.is_some()).map(|(s, _)| s.clone()).collect();
        Self {
            plan: plan.to_owned(),
            ended: RefCell::new(ended),
            state: RefCell::new(state),
            bells: RefCell::default(),
            patience,
            overslept: RefCell::default(),
            progress: Notify::new(),
            settled: RefCell::default(),
            rolled_out: Cell::new(false),
            taken_up: (clock.now(), clock.instant()),
        }
    }

    /// How much further the wall clock went than this process: the machine slept, or the clock was set forward.
    #[must_use]
    pub fn slept(&self, clock: Clock) -> TimeDelta {
        let (wall, own) = self.taken_up;
        let awake = TimeDelta::from_std(clock.instant() - own).unwrap_or(TimeDelta::MAX);
        clock.now() - wall - awake
    }

    /// The bell of one target. Whoever waits for it takes hold of it before looking at the state.
    pub fn bell(&self, subject: &Subject) -> Rc<Notify> {
        Rc::clone(self.bells.borrow_mut().entry(subject.clone()).or_default())
    }

    /// Folds an event in, and rings the bell of its subject.
    pub(crate) fn apply(&self, event: &Event) {
        self.state.borrow_mut().apply(event);
        if event.kind() == Kind::TargetFinished {
            self.ended.borrow_mut().extend(event.draft.subject.clone());
            self.progress.notify_waiters();
        }
        if let Some(bell) = event.draft.subject.as_ref().and_then(|s| self.bells.borrow().get(s).cloned()) {
            bell.notify_waiters();
        }
    }
}
