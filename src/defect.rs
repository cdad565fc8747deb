//! Deliberate faults, so that the tests can be tested: each breaks the engine at one place, as a careless change would.
//!
//! Only this crate's own tests turn the feature `defects` on. Without it [`planted`] is `false` for the compiler, and
//! nothing of a fault is left in the binary; with it a test plants one in its own thread, by code: no environment and
//! no setting reaches it.

use std::borrow::Cow;

use crate::domain::keep::Keep;
use crate::domain::naming::{HOLD_TAG, TAG_PREFIX, image_name, parse_rfc3339};
use crate::domain::observed::{Image, ImageState};
use crate::domain::plan::Plan;

macro_rules! defects {
    ($($name:ident: $does:literal,)*) => {
        /// One deliberate fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Defect {
            $(#[doc = $does] $name,)*
        }

        /// All of them, each with what it does.
        #[cfg(feature = "defects")]
        pub const ALL: &[(Defect, &str)] = &[$((Defect::$name, $does)),*];
    };
}

defects! {
    NameWithAttempt: "the image's name carries the number of the attempt, so that a later attempt finds nothing of the one before",
    PendingIsGood: "an image counts as good while it is pending",
    RetainEarly: "a target ends, and retention runs, before its image is available",
    IntentAfterEffect: "the intent is written when the answer is there",
    UnknownIsFailure: "an effect whose answer was lost counts as not made",
    UnknownIsRepeated: "an effect whose answer was lost is made again at once",
    SilenceIsEmpty: "a list that cannot be read is empty",
    NewestUnguarded: "the newest image of a series counts as its newest good one, also when it failed",
    NoLook: "nothing is looked at before an effect",
    ClientRetries: "the client sends an effect again by itself when the answer was lost",
    TagsAreOwnership: "what bears all our tags is ours",
    RetentionPerPlan: "retention judges the images of all instances of a plan together",
    SlotFreedAtOnce: "an instance counts as back as soon as CreateImage is answered",
    FenceIgnored: "a process whose journal was taken over goes on writing",
    ChecksUnread: "the status checks are not read before the first reboot of a run",
    OddIsFault: "one thing that cannot be read fails the whole list",
    AnyOkCounts: "an ok of the status checks counts whatever they have shown since the reboot",
    SettleIgnored: "a status check counts however soon after the reboot it was read",
    CatchUpUnbounded: "a missed occurrence is run however late it is",
    FirstSightForgotten: "the first sight of a schedule is not journaled: at each start nothing earlier is owed",
    InUseUnguarded: "an image from which an instance runs is not in use",
    HoldIgnored: "`stillframe:hold` keeps nothing",
    MinIgnored: "`keep.min` keeps nothing",
    MaxDeletionsIgnored: "`keep.max_deletions` limits nothing",
    WindowIgnored: "reboots start after the window is over",
    ResentAtOnce: "an effect whose answer was lost is sent again after the first look that finds nothing",
    SnapshotsForgotten: "the snapshots of an image are not journaled before it is deregistered",
    SnapshotsUnseen: "the snapshots that an image names are deleted whatever their tags say",
    JournalUncompared: "a journal that is older than what AWS shows is believed",
    AdoptedIsBack: "an instance whose image was there before the first call counts as back",
    ImpairedTaken: "an instance that is impaired already is rebooted all the same",
    TraceIgnored: "CreateImage is sent again although snapshots of the first call are there",
    OwnMachineTaken: "the machine that the daemon runs on is a target like any other",
    ReloadInHalf: "a refused configuration takes away the plan whose file is wrong",
    SlotsForgotten: "who was down before a restart is not known after it",
    SlotsPerPlan: "slots are counted for each plan alone",
    GoneAtOnce: "what one look does not find is gone",
    HaltIgnored: "a plan that halts goes on",
    LeftoversForgotten: "what a run before left half removed is not finished",
    RunsForgotten: "runs that a crash cut off do not go on",
    ResultDropped: "a result that cannot be written is dropped",
    ClockTrusted: "a wrong clock decides",
    LateRunGoesOn: "a run that lay still for hours goes on rebooting",
    RebuildSkipped: "a lost journal is not rebuilt",
    TwinIgnored: "images of another installation under our name bar nothing",
    LentUntagged: "no tag says what is lent before it is",
    ReclaimBlind: "what was lent for a copy is taken back although `[share]` wants it",
    ForeignTakenBack: "everything that nobody wants is taken back, also what a person gave",
    ReclaimForgotten: "what was lent is never taken back",
    GrantsForgotten: "grants are never revoked",
    ImageBeforeSnapshots: "an image is opened before its snapshots are",
    KeyWithoutEncrypted: "a copy names a key and does not ask for encryption",
    TokenPerSend: "a copy that is sent again bears another token and another name",
    RetiredWhileOwed: "an image is retired while a copy of it is owed",
    CopiesByPlanKeep: "copies are judged by the rules of the images, not by their own",
    WitnessUnseen: "the good image that stays is not looked at again before another one goes",
    CopiesHold: "a run that copies holds its plan's next occurrence",
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
        if let (Some(daemon), Some(plan), Some(instance), Some(due)) =
            (tag("daemon"), tag("plan"), tag("instance"), due)
        {
            image.name = image_name(&daemon, &plan, &instance, due);
            image.source_instance = Some(instance);
        }
    }
    image
}

/// A plan as a broken retention reads it.
#[must_use]
pub fn rules(plan: &Plan) -> Cow<'_, Plan> {
    let mut plan = Cow::Borrowed(plan);
    let mut change = |change: fn(&mut Keep)| {
        let plan = plan.to_mut();
        std::iter::once(&mut plan.keep).chain(plan.copies.iter_mut().map(|copy| &mut copy.keep)).for_each(change);
    };
    if planted(Defect::MinIgnored) {
        change(|keep| keep.min = 0);
    }
    if planted(Defect::MaxDeletionsIgnored) {
        change(|keep| keep.max_deletions = u32::MAX);
    }
    if planted(Defect::CopiesByPlanKeep) {
        let keep = plan.keep.clone();
        plan.to_mut().copies.iter_mut().for_each(|copy| copy.keep = keep.clone());
    }
    plan
}
