//! Events: the only durable facts. State is a fold over them; logs, tables and documents are derived from them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::observed::InstanceState;
use super::place::Subject;

/// The version of `data` that this code writes and understands.
pub const VERSION: u32 = 1;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// What happened. The log's `event` is this word.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
            /// A word of a newer version: the run that bears it is stopped with an alarm.
            Other(String),
        }

        impl Kind {
            /// The word in journal and log.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }

            /// The kind of a word.
            #[must_use]
            pub fn parse(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

kinds! {
    /// The engine began, under a new fence number.
    DaemonStarted = "daemon.started",
    /// The engine ended in order.
    DaemonStopped = "daemon.stopped",
    /// A lost journal was made anew from the tags of our images.
    JournalRebuilt = "journal.rebuilt",
    /// A configuration is in force.
    ConfigApplied = "config.applied",
    /// A new configuration was refused; the old one stays in force.
    ConfigRefused = "config.refused",
    /// A plan, or its changed schedule, was seen for the first time: nothing earlier is owed.
    PlanFirstSeen = "plan.first_seen",
    /// An occurrence will run.
    OccurrenceDecided = "occurrence.decided",
    /// An occurrence will not run, for a reason of ours.
    OccurrenceSkipped = "occurrence.skipped",
    /// An occurrence was too late to run.
    OccurrenceMissed = "occurrence.missed",
    /// A request of a person was taken up.
    RequestAccepted = "request.accepted",
    /// A run began.
    RunStarted = "run.started",
    /// A run lay still for too long, or its machine slept: nothing more is rebooted in it.
    RunLate = "run.late",
    /// A run ended.
    RunFinished = "run.finished",
    /// An instance was chosen.
    TargetSelected = "target.selected",
    /// An instance was named by the plan but left out.
    TargetSkipped = "target.skipped",
    /// A target ended, with its outcome.
    TargetFinished = "target.finished",
    /// An effect is about to be made.
    StepIntent = "step.intent",
    /// An effect was made.
    StepDone = "step.done",
    /// An effect was certainly not made, and will not be.
    StepRefused = "step.refused",
    /// Whether an effect was made is not known yet.
    StepUnknown = "step.unknown",
    /// What an effect brought about was seen to end.
    StepObserved = "step.observed",
    /// A step was given up.
    StepAbandoned = "step.abandoned",
    /// A step cannot go on without a person.
    StepNeedsPerson = "step.needs_person",
    /// An instance counts as down.
    SlotTaken = "slot.taken",
    /// An instance counts as back (or can never be).
    SlotFreed = "slot.freed",
    /// Another account was let in, for a copy that it makes or by `[share]`.
    LoanGiven = "loan.given",
    /// What was lent was taken back.
    LoanReturned = "loan.returned",
    /// Somebody may hold a grant of ours on a key from now on.
    KeyLent = "key.lent",
    /// No grant of ours is left on a key for somebody.
    KeyReturned = "key.returned",
    /// Somebody else may use an image of ours, and not through us: said once, left alone.
    LoanForeign = "loan.foreign",
    /// What retention decided for a series.
    RetainDecided = "retain.decided",
    /// Retention left a place alone.
    RetainStopped = "retain.stopped",
}

/// An event to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The run (`plan@due`), or what else it belongs to: a plan's name, or empty for the daemon.
    pub run: String,
    /// The instance, image or snapshot, or nothing for the run itself.
    pub subject: Option<Subject>,
    /// The step, or empty.
    pub step: String,
    /// Counts from 1 within the same run, subject, step and kind.
    pub attempt: u32,
    /// What happened.
    pub kind: Kind,
    /// More about it.
    pub data: Value,
}

impl Draft {
    /// An event of a run as a whole.
    #[must_use]
    pub fn of_run(run: &str, kind: Kind, data: Value) -> Self {
        Self { run: run.to_owned(), subject: None, step: String::new(), attempt: 1, kind, data }
    }

    /// An event of one subject of a run.
    #[must_use]
    pub fn of(run: &str, subject: &Subject, kind: Kind, data: Value) -> Self {
        Self { subject: Some(subject.clone()), ..Self::of_run(run, kind, data) }
    }

    /// The same event, of `step` in its `attempt`.
    #[must_use]
    pub fn at_step(mut self, step: &str, attempt: u32) -> Self {
        step.clone_into(&mut self.step);
        self.attempt = attempt;
        self
    }
}

/// An event as the journal holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Order of all events.
    pub seq: i64,
    /// When it was written, by the wall clock: for people, never for order.
    pub at: DateTime<Utc>,
    /// The version of `data`.
    pub v: u32,
    /// What was written.
    pub draft: Draft,
}

impl Event {
    /// The text under `key` in the data.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.draft.data.get(key).and_then(Value::as_str)
    }

    /// Whether this code understands it.
    #[must_use]
    pub fn understood(&self) -> bool {
        self.v <= VERSION && !matches!(self.draft.kind, Kind::Other(_))
    }
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
