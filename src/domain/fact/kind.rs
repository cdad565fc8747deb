//! The kind of a fact: the word of the journal, and the log's `event`.

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
    /// Something holds back from now on.
    HoldRaised = "hold.raised",
    /// It does no more.
    HoldCleared = "hold.cleared",
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
    /// A run that has not ended cannot go on.
    RunStopped = "run.stopped",
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
    /// What a step takes from now on must be given back.
    DebtOpened = "debt.opened",
    /// It was given back, or its subject is gone.
    DebtSettled = "debt.settled",
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
