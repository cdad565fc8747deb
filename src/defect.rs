//! Deliberate faults, so that the tests can be tested: each breaks the engine at one place, as a careless change would.
//!
//! Only this crate's own tests turn the feature `defects` on. Without it [`planted`] is `false` for the compiler, and
//! nothing of a fault is left in the binary; with it a test plants one in its own thread, by code: no environment and
//! no setting reaches it.

use crate::domain::keep::Keep;
use crate::domain::naming::{HOLD_TAG, TAG_PREFIX, image_name, parse_rfc3339};
use crate::domain::observed::{Image, ImageState};

/// One deliberate fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// The image's name carries the number of the attempt, so that a later attempt finds nothing of the one before.
    NameWithAttempt,
    /// An image counts as good while it is pending.
    PendingIsGood,
    /// A target ends, and retention runs, before its image is available.
    RetainEarly,
    /// The intent is written when the answer is there.
    IntentAfterEffect,
    /// An effect whose answer was lost counts as not made.
    UnknownIsFailure,
    /// An effect whose answer was lost is made again at once.
    UnknownIsRepeated,
    /// A list that cannot be read is empty.
    SilenceIsEmpty,
    /// The newest image of a series counts as its newest good one, also when it failed.
    NewestUnguarded,
    /// Nothing is looked at before an effect.
    NoLook,
    /// The client sends an effect again by itself when the answer was lost.
    ClientRetries,
    /// What bears all our tags is ours.
    TagsAreOwnership,
    /// Retention judges the images of all instances of a plan together.
    RetentionPerPlan,
    /// An instance counts as back as soon as CreateImage is answered.
    SlotFreedAtOnce,
    /// A process whose journal was taken over goes on writing.
    FenceIgnored,
    /// A status check counts however soon after the reboot it was read.
    SettleIgnored,
    /// A missed occurrence is run however late it is.
    CatchUpUnbounded,
    /// The first sight of a schedule is not journaled: at each start nothing earlier is owed.
    FirstSightForgotten,
    /// An image from which an instance runs is not in use.
    InUseUnguarded,
    /// `stillframe:hold` keeps nothing.
    HoldIgnored,
    /// `keep.min` keeps nothing.
    MinIgnored,
    /// `keep.max_deletions` limits nothing.
    MaxDeletionsIgnored,
    /// Reboots start after the window is over.
    WindowIgnored,
    /// An effect whose answer was lost is sent again after the first look that finds nothing.
    ResentAtOnce,
    /// The snapshots of an image are not journaled before it is deregistered.
    SnapshotsForgotten,
    /// The machine that the daemon runs on is a target like any other.
    OwnMachineTaken,
    /// A refused configuration takes away the plan whose file is wrong.
    ReloadInHalf,
    /// Who was down before a restart is not known after it.
    SlotsForgotten,
    /// Slots are counted for each plan alone.
    SlotsPerPlan,
    /// What one look does not find is gone.
    GoneAtOnce,
    /// A plan that halts goes on.
    HaltIgnored,
    /// What a run before left half removed is not finished.
    LeftoversForgotten,
    /// Runs that a crash cut off do not go on.
    RunsForgotten,
    /// A result that cannot be written is dropped.
    ResultDropped,
    /// A wrong clock decides.
    ClockTrusted,
    /// A run that lay still for hours goes on rebooting.
    LateRunGoesOn,
    /// A lost journal is not rebuilt.
    RebuildSkipped,
    /// Images of another installation under our name bar nothing.
    TwinIgnored,
}

#[cfg(feature = "defects")]
std::thread_local! {
    static PLANTED: std::cell::Cell<Option<Defect>> = const { std::cell::Cell::new(None) };
}

/// Breaks the engine of this thread in this way from now on, or mends it.
#[cfg(feature = "defects")]
pub fn plant(defect: Option<Defect>) {
    PLANTED.set(defect);
}

/// Whether the engine is broken in this way.
#[cfg(feature = "defects")]
#[must_use]
pub fn planted(defect: Defect) -> bool {
    PLANTED.get() == Some(defect)
}

/// Whether the engine is broken in this way: never, in what is shipped.
#[cfg(not(feature = "defects"))]
#[must_use]
pub const fn planted(_: Defect) -> bool {
    false
}

/// An image as a broken retention sees it.
#[must_use]
pub fn seen(mut image: Image) -> Image {
    if planted(Defect::PendingIsGood) && image.state == ImageState::Pending
        || planted(Defect::NewestUnguarded) && image.state == ImageState::Failed
    {
        image.state = ImageState::Available;
    }
    if planted(Defect::HoldIgnored) {
        image.tags.remove(HOLD_TAG);
    }
    if planted(Defect::TagsAreOwnership) {
        let tag = |key: &str| image.tags.get(&format!("{TAG_PREFIX}{key}")).cloned();
        let due = tag("due").and_then(|due| parse_rfc3339(&due));
        if let (Some(daemon), Some(plan), Some(instance), Some(due)) = (tag("daemon"), tag("plan"), tag("instance"), due)
        {
            image.name = image_name(&daemon, &plan, &instance, due);
            image.source_instance = Some(instance);
        }
    }
    image
}

/// The keep rules as a broken retention reads them.
#[must_use]
pub fn keep(rules: &Keep) -> Keep {
    let mut rules = rules.clone();
    if planted(Defect::MinIgnored) {
        rules.min = 0;
    }
    if planted(Defect::MaxDeletionsIgnored) {
        rules.max_deletions = u32::MAX;
    }
    rules
}
