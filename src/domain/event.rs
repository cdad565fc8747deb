//! Occurrences: what is decided of them, and how things end.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::observed::InstanceState;
use super::words::words;

words! {
    /// How a target, or a run, ended.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Outcome {
        /// As intended.
        Done = "done",
        /// Not as intended.
        Failed = "failed",
        /// Left out, for a reason.
        Skipped = "skipped",
        /// Too late to run.
        Missed = "missed",
        /// Still going on, or cut off.
        Unfinished = "unfinished",
    }
}

words! {
    /// What was decided of an occurrence.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Decision {
        /// It runs.
        Run = "run",
        /// It does not, for a reason of ours.
        Skip = "skip",
        /// It was too late.
        Miss = "miss",
    }
}

words! {
    /// Why an occurrence exists.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Trigger {
        /// Its schedule.
        Schedule = "schedule",
        /// A person.
        Manual = "manual",
    }
}

/// One row of the table of occurrences: decided once, never changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// The plan's name.
    pub plan: String,
    /// Its instant, in UTC to the second.
    pub due: DateTime<Utc>,
    /// Why it exists.
    pub trigger: Trigger,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// When.
    pub decided_at: DateTime<Utc>,
    /// The revision of the plan under which it runs.
    pub plan_hash: String,
}

impl Occurrence {
    /// The name of its run.
    #[must_use]
    pub fn run(&self) -> String {
        super::naming::run_name(&self.plan, self.due)
    }
}

/// Whether an instance in this state can never be rebooted by us again.
#[must_use]
pub fn gone(state: InstanceState) -> bool {
    matches!(state, InstanceState::Terminated | InstanceState::ShuttingDown)
}
