//! Occurrences: what is decided of them, and how things end.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::observed::InstanceState;

/// How a target, or a run, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As intended.
    Done,
    /// Not as intended.
    Failed,
    /// Left out, for a reason.
    Skipped,
    /// Too late to run.
    Missed,
    /// Still going on, or cut off.
    Unfinished,
}

impl Outcome {
    /// The word of the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
            Self::Unfinished => "unfinished",
        }
    }

    /// The outcome of a word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Done, Self::Failed, Self::Skipped, Self::Missed, Self::Unfinished]
            .into_iter()
            .find(|o| o.as_str() == text)
    }
}

/// What was decided of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It runs.
    Run,
    /// It does not, for a reason of ours.
    Skip,
    /// It was too late.
    Miss,
}

impl Decision {
    /// The word in the journal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Skip => "skip",
            Self::Miss => "miss",
        }
    }

    /// The decision of a word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Run, Self::Skip, Self::Miss].into_iter().find(|d| d.as_str() == text)
    }
}

/// Why an occurrence exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// Its schedule.
    Schedule,
    /// A person.
    Manual,
}

impl Trigger {
    /// The word in the journal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Manual => "manual",
        }
    }

    /// The trigger of a word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Schedule, Self::Manual].into_iter().find(|t| t.as_str() == text)
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
