//! Facts: what happened, typed. State is a fold over them; logs, tables and documents are derived from them. How they are
//! written down, `codec` alone knows.

pub mod codec;
mod effect;
mod kind;
mod run;
mod step;

use chrono::{DateTime, Utc};

use self::codec::Unread;
pub use self::effect::{
    CopyEnd, Copying, Done, Granted, Imaging, Intent, Made, Need, Observed, Overdue, Permitting, Refusal, Removing,
    Unknown,
};
pub use self::kind::Kind;
pub use self::run::{
    Applied, Chosen, Counts, Decided, Difference, Loan, Rebuilt, RunEnd, RunStart, Skipped, Started, TargetEnd, Verdict,
};
pub use self::step::{StepId, UnknownStep};
use super::event::Outcome;
use super::hold::Cause;
use super::naming::Role;
use super::place::Subject;
use super::prevented::Prevented;

/// The version of the facts that this code writes and understands.
pub const VERSION: u32 = 1;

/// What a fact belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The process.
    Daemon,
    /// A plan, whatever its runs.
    Plan(String),
    /// A run, by its name: `plan@20261120T023000Z`.
    Run(String),
    /// The keys that may be lent: they outlive runs.
    KeyGrants,
    /// What others have made or may use, said once.
    Foreign,
}

impl Scope {
    /// The run's name, if it is one.
    #[must_use]
    pub fn run(&self) -> Option<&str> {
        match self {
            Self::Run(name) => Some(name),
            Self::Daemon | Self::Plan(_) | Self::KeyGrants | Self::Foreign => None,
        }
    }

    /// Whether it is this run.
    #[must_use]
    pub fn is_run(&self, name: &str) -> bool {
        self.run() == Some(name)
    }
}

/// What of its subject a fact is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// All of it.
    Whole,
    /// A step.
    Step(StepId),
    /// That what a step made is pending for too long; the step goes on.
    Pending(StepId),
    /// That an instance cannot be selected.
    Selection,
    /// The series of its images, or of its copies.
    Series(Role),
    /// That a key may be used for a plan by somebody.
    Grant {
        /// The plan.
        plan: String,
        /// The ARN of who may.
        to: String,
    },
    /// That somebody may use it, and not through us.
    Guest(String),
    /// What holds back, and which plan, if it is not all of them.
    Hold {
        /// Why.
        cause: Cause,
        /// The plan.
        plan: Option<String>,
    },
    /// The so-manieth new configuration of this process.
    Reload(u32),
    /// What went wrong with the run as a whole: `account`, `region`, `retain:eu-central-1`, `copy:dr/eu-west-1`.
    Trouble(String),
}

impl Topic {
    /// The step, if it is one.
    #[must_use]
    pub fn step(&self) -> Option<&StepId> {
        if let Self::Step(step) = self { Some(step) } else { None }
    }
}

/// A fact to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What it belongs to.
    pub scope: Scope,
    /// The instance, image, snapshot or key; nothing for the scope itself.
    pub subject: Option<Subject>,
    /// What of it.
    pub topic: Topic,
    /// Counts from 1 within the same scope, subject, topic and kind: tries, processes, decisions.
    pub attempt: u32,
    /// What happened.
    pub fact: Fact,
}

impl Draft {
    /// Of a scope as a whole.
    #[must_use]
    pub fn of_scope(scope: Scope, fact: Fact) -> Self {
        Self { scope, subject: None, topic: Topic::Whole, attempt: 1, fact }
    }

    /// Of a run as a whole.
    #[must_use]
    pub fn of_run(run: &str, fact: Fact) -> Self {
        Self::of_scope(Scope::Run(run.to_owned()), fact)
    }

    /// Of one subject of a run.
    #[must_use]
    pub fn of(run: &str, subject: &Subject, fact: Fact) -> Self {
        Self { subject: Some(subject.clone()), ..Self::of_run(run, fact) }
    }

    /// The same, of `step` in its `attempt`.
    #[must_use]
    pub fn at_step(self, step: &StepId, attempt: u32) -> Self {
        Self { topic: Topic::Step(step.clone()), attempt, ..self }
    }

    /// The same, about `topic`.
    #[must_use]
    pub fn about(self, topic: Topic) -> Self {
        Self { topic, ..self }
    }

    /// The kind of fact.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.fact.kind()
    }

    /// The step that it is of.
    #[must_use]
    pub fn step(&self) -> Option<&StepId> {
        self.topic.step()
    }
}

/// A fact as the journal holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Order of all facts.
    pub seq: i64,
    /// When it was written, by the wall clock: for people, never for order.
    pub at: DateTime<Utc>,
    /// What was written.
    pub draft: Draft,
}

impl Event {
    /// The kind of fact.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.draft.kind()
    }

    /// The step that it is of.
    #[must_use]
    pub fn step(&self) -> Option<&StepId> {
        self.draft.step()
    }

    /// What happened.
    #[must_use]
    pub fn fact(&self) -> &Fact {
        &self.draft.fact
    }

    /// Why, in words for people.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.draft.fact.reason()
    }
}

/// The class of an instance that is left out since its image of an earlier occurrence is not finished.
pub const STILL_IMAGING: &str = "still_imaging";

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The engine began, under a new fence number.
    DaemonStarted(Started),
    /// The engine ended in order, and these runs were going on.
    DaemonStopped {
        /// Their names.
        runs: Vec<String>,
        /// What was taken and is not given back: `deregister of i-1`.
        owed: Vec<String>,
    },
    /// A lost journal was made anew from the tags of our images.
    JournalRebuilt(Rebuilt),
    /// A configuration is in force.
    ConfigApplied(Applied),
    /// A new configuration was refused; the old one stays in force.
    ConfigRefused {
        /// Why.
        reason: String,
    },
    /// Something holds back from now on.
    HoldRaised {
        /// Why.
        reason: String,
    },
    /// It does no more.
    HoldCleared,
    /// A plan, or its changed schedule, was seen for the first time: nothing earlier is owed.
    PlanFirstSeen {
        /// The schedule's hash.
        schedule: String,
    },
    /// An occurrence will run.
    OccurrenceDecided(Decided),
    /// An occurrence will not run, for a reason of ours.
    OccurrenceSkipped(Decided),
    /// An occurrence was too late to run.
    OccurrenceMissed(Decided),
    /// A request of a person was taken up.
    RequestAccepted {
        /// Its number.
        request: i64,
        /// Only these instances, if some were named.
        only: Vec<String>,
    },
    /// A run began.
    RunStarted(RunStart),
    /// A run lay still for too long, or its machine slept: nothing more is rebooted in it.
    RunLate {
        /// Why.
        reason: String,
        /// Whether nothing more is imaged either: the journal was older than the images of a later occurrence.
        older: bool,
    },
    /// A run that has not ended cannot go on.
    RunStopped {
        /// Why.
        reason: String,
    },
    /// A run ended.
    RunFinished(RunEnd),
    /// The targets of a run were chosen: so many.
    Selected(Chosen),
    /// An instance was chosen.
    TargetSelected {
        /// Whether imaging it restarts it.
        reboots: bool,
    },
    /// An instance was named by the plan but left out.
    TargetSkipped(Skipped),
    /// A target ended.
    TargetFinished(TargetEnd),
    /// An effect is about to be made.
    StepIntent(Intent),
    /// An effect was made.
    StepDone(Done),
    /// An effect was certainly not made, and will not be; or something went wrong with a run as a whole.
    StepRefused(Refusal),
    /// Whether an effect was made is not known yet.
    StepUnknown(Unknown),
    /// What an effect brought about was seen to end.
    StepObserved(Observed),
    /// A step was given up.
    StepAbandoned {
        /// Why.
        reason: String,
    },
    /// Something cannot go on without a person.
    StepNeedsPerson(Need),
    /// An instance counts as down.
    SlotTaken {
        /// Why.
        reason: String,
    },
    /// An instance counts as back (or can never be).
    SlotFreed {
        /// Why.
        reason: String,
    },
    /// What this step takes from now on must be given back.
    DebtOpened {
        /// By this step.
        back: StepId,
    },
    /// It was given back, or need not be any more.
    DebtSettled {
        /// Why.
        reason: String,
    },
    /// Another account was let in, for a copy that it makes.
    LoanGiven(Loan),
    /// What was lent was taken back.
    LoanReturned(Loan),
    /// Somebody may hold a grant of ours on a key from now on.
    KeyLent,
    /// No grant of ours is left on a key for somebody.
    KeyReturned,
    /// Somebody else may use an image of ours, and not through us: said once, left alone.
    LoanForeign {
        /// Who, and what.
        reason: String,
    },
    /// What retention decided for a series.
    RetainDecided(Vec<Verdict>),
    /// An image bears our name and is not ours: said once, never counted, never deleted.
    ForeignImage {
        /// Why it is not.
        reason: String,
    },
    /// Retention left a place alone.
    RetainStopped {
        /// Why.
        reason: String,
    },
    /// What this version cannot read, as it stands in the journal: its run is stopped with an alarm.
    Unread(Box<Unread>),
}

impl Fact {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::DaemonStarted(_) => Kind::DaemonStarted,
            Self::DaemonStopped { .. } => Kind::DaemonStopped,
            Self::JournalRebuilt(_) => Kind::JournalRebuilt,
            Self::ConfigApplied(_) => Kind::ConfigApplied,
            Self::ConfigRefused { .. } => Kind::ConfigRefused,
            Self::HoldRaised { .. } => Kind::HoldRaised,
            Self::HoldCleared => Kind::HoldCleared,
            Self::PlanFirstSeen { .. } => Kind::PlanFirstSeen,
            Self::OccurrenceDecided(_) => Kind::OccurrenceDecided,
            Self::OccurrenceSkipped(_) => Kind::OccurrenceSkipped,
            Self::OccurrenceMissed(_) => Kind::OccurrenceMissed,
            Self::RequestAccepted { .. } => Kind::RequestAccepted,
            Self::RunStarted(_) => Kind::RunStarted,
            Self::RunLate { .. } => Kind::RunLate,
            Self::RunStopped { .. } => Kind::RunStopped,
            Self::RunFinished(_) => Kind::RunFinished,
            Self::Selected(_) | Self::TargetSelected { .. } => Kind::TargetSelected,
            Self::TargetSkipped(_) => Kind::TargetSkipped,
            Self::TargetFinished(_) => Kind::TargetFinished,
            Self::StepIntent(_) => Kind::StepIntent,
            Self::StepDone(_) => Kind::StepDone,
            Self::StepRefused(_) => Kind::StepRefused,
            Self::StepUnknown(_) => Kind::StepUnknown,
            Self::StepObserved(_) => Kind::StepObserved,
            Self::StepAbandoned { .. } => Kind::StepAbandoned,
            Self::StepNeedsPerson(_) => Kind::StepNeedsPerson,
            Self::SlotTaken { .. } => Kind::SlotTaken,
            Self::SlotFreed { .. } => Kind::SlotFreed,
            Self::DebtOpened { .. } => Kind::DebtOpened,
            Self::DebtSettled { .. } => Kind::DebtSettled,
            Self::LoanGiven(_) => Kind::LoanGiven,
            Self::LoanReturned(_) => Kind::LoanReturned,
            Self::KeyLent => Kind::KeyLent,
            Self::KeyReturned => Kind::KeyReturned,
            Self::LoanForeign { .. } => Kind::LoanForeign,
            Self::RetainDecided(_) | Self::ForeignImage { .. } => Kind::RetainDecided,
            Self::RetainStopped { .. } => Kind::RetainStopped,
            Self::Unread(unread) => unread.kind.clone(),
        }
    }

    /// What kept an instance from being imaged, where nobody chose that.
    #[must_use]
    pub fn prevented(&self) -> Option<Prevented> {
        match self {
            Self::TargetSkipped(skipped) => skipped.prevented,
            Self::TargetFinished(end) => end.prevented,
            _ => None,
        }
    }

    /// Whether it says that an instance was not imaged although nobody chose that, or was being imaged still.
    #[must_use]
    pub fn left_out_unwanted(&self) -> bool {
        match self {
            Self::TargetSkipped(skipped) if skipped.class.as_deref() == Some(STILL_IMAGING) => true,
            fact => fact.prevented().is_some(),
        }
    }

    /// Why, in words for people.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::JournalRebuilt(rebuilt) => Some(&rebuilt.reason),
            Self::OccurrenceDecided(told) | Self::OccurrenceSkipped(told) | Self::OccurrenceMissed(told) => {
                told.reason.as_deref()
            }
            Self::RunFinished(end) => end.reason.as_deref(),
            Self::TargetSkipped(skipped) => Some(&skipped.reason),
            Self::TargetFinished(end) => Some(&end.reason),
            Self::StepIntent(Intent::Remove(removing)) => Some(&removing.reason),
            Self::StepDone(Done { made: Made::Settled(reason), .. })
            | Self::ConfigRefused { reason }
            | Self::HoldRaised { reason }
            | Self::RunStopped { reason }
            | Self::RunLate { reason, .. }
            | Self::StepAbandoned { reason }
            | Self::SlotTaken { reason }
            | Self::SlotFreed { reason }
            | Self::DebtSettled { reason }
            | Self::LoanForeign { reason }
            | Self::ForeignImage { reason }
            | Self::RetainStopped { reason } => Some(reason),
            Self::StepRefused(refusal) => Some(&refusal.reason),
            Self::StepUnknown(unknown) => Some(&unknown.reason),
            Self::StepObserved(observed) => observed.reason.as_deref(),
            Self::StepNeedsPerson(need) => Some(&need.reason),
            Self::Unread(unread) => unread.reason(),
            Self::DaemonStarted(_)
            | Self::DaemonStopped { .. }
            | Self::ConfigApplied(_)
            | Self::HoldCleared
            | Self::PlanFirstSeen { .. }
            | Self::RequestAccepted { .. }
            | Self::RunStarted(_)
            | Self::Selected(_)
            | Self::TargetSelected { .. }
            | Self::StepIntent(_)
            | Self::StepDone(_)
            | Self::DebtOpened { .. }
            | Self::LoanGiven(_)
            | Self::LoanReturned(_)
            | Self::KeyLent
            | Self::KeyReturned
            | Self::RetainDecided(_) => None,
        }
    }

    /// How something ended.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::RunFinished(end) => Some(end.outcome),
            Self::TargetFinished(end) => Some(end.outcome),
            Self::StepObserved(observed) => Some(observed.outcome),
            Self::TargetSkipped(_) => Some(Outcome::Skipped),
            Self::StepRefused(refusal) => refusal.skipped.then_some(Outcome::Skipped),
            Self::StepNeedsPerson(need) => need.failed.then_some(Outcome::Failed),
            _ => None,
        }
    }

    /// The image that it names beside its subject.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        match self {
            Self::TargetFinished(end) => end.image.as_deref(),
            Self::StepIntent(intent) => intent.image(),
            Self::StepDone(done) => done.made.image(),
            Self::StepRefused(refusal) => refusal.copy.as_ref().map(|copy| copy.image.as_str()),
            Self::StepObserved(observed) => observed.image.as_deref(),
            Self::StepNeedsPerson(need) => need.image.as_deref(),
            Self::LoanGiven(loan) | Self::LoanReturned(loan) => Some(&loan.image),
            _ => None,
        }
    }

    /// The snapshots that it names.
    #[must_use]
    pub fn snapshots(&self) -> &[String] {
        fn of(intent: &Intent) -> &[String] {
            match intent {
                Intent::Remove(removing) => removing.snapshots.as_slice(),
                Intent::Permit(permitting) => permitting.snapshots.as_deref().unwrap_or_default(),
                Intent::Image(_) | Intent::Return | Intent::Copy(_) => &[],
            }
        }
        match self {
            Self::StepIntent(intent) => of(intent),
            Self::StepDone(Done { made: Made::Permit(permitting), .. }) => {
                permitting.snapshots.as_deref().unwrap_or_default()
            }
            _ => &[],
        }
    }
}
