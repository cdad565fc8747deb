//! What `status` tells: a fold over the journal, so that it needs nobody's answer.

mod active;
mod gather;
mod owed;
mod protection;

use serde::Serialize;

pub use self::gather::gather;
pub use self::protection::judge_all;
use crate::domain::zone::ZoneSource;

/// Who runs the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DaemonStatus {
    /// The daemon's name.
    pub daemon: String,
    /// Whether somebody holds the lock: a daemon, or a `backup` without one. Nothing: it cannot be told.
    pub running: Option<bool>,
    /// The version that ran last.
    pub version: Option<String>,
    /// Since when it runs, or ran.
    pub since: Option<String>,
    /// When it stopped in order.
    pub stopped: Option<String>,
}

/// How many instances are protected, as far as they were listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProtectionStatus {
    /// When the plan that was listed longest ago was.
    pub listed_at: Option<String>,
    /// Whether that is too long ago for a daemon that runs.
    pub stale: bool,
    /// Their newest good image is as young as the schedule promises.
    pub protected: u64,
    /// They could not have an image yet.
    pub new: u64,
    /// Their newest good image is older than the schedule promises.
    pub late: u64,
    /// It is so old that more than one occurrence has passed them by.
    pub critical: u64,
    /// They have no image, and should have had one long ago.
    pub never: u64,
    /// They are terminated, or not there.
    pub gone: u64,
    /// Their plan does not take them.
    pub unprotected: u64,
    /// What could not be listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// What holds back, and was not cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HoldStatus {
    /// not_ours, other_account, rebuilding, clock_off or machine_unknown.
    pub cause: &'static str,
    /// Only this plan; nothing: all of them.
    pub plan: Option<String>,
    /// Since when.
    pub since: String,
    /// Why.
    pub reason: String,
}

/// What was taken and is to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DebtStatus {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance, image or key.
    pub subject: String,
    /// The run that took it, where one did.
    pub run: Option<String>,
    /// Since when.
    pub since: String,
    /// What was taken.
    pub what: String,
}

/// What one target of a run that goes on does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetStatus {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `i-...`
    pub instance: String,
    /// The step: slot, image, return or end.
    pub step: &'static str,
    /// When it was last heard of.
    pub since: String,
    /// What it waits for.
    pub reason: String,
    /// `ami-...`, once known.
    pub image: Option<String>,
}

/// A copy that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyStatus {
    /// The account of the image that is copied.
    pub account: String,
    /// Its region.
    pub region: String,
    /// The image that is copied.
    pub image: String,
    /// `dr/eu-west-1`, or `eu-west-1` for the own account.
    pub destination: String,
    /// When it was last heard of.
    pub since: String,
    /// failed, or unfinished.
    pub outcome: &'static str,
    /// What it waits for, or why it failed.
    pub reason: String,
    /// The copy, once known.
    pub copy: Option<String>,
}

/// One run that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStatus {
    /// `plan@due`.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// RFC 3339, UTC.
    pub due: String,
    /// schedule or manual.
    pub trigger: &'static str,
    /// When it was last heard of.
    pub since: String,
    /// How many of its targets have ended.
    pub ended: usize,
    /// What it does as a whole.
    pub reason: String,
    /// Its targets that have not ended.
    pub targets: Vec<TargetStatus>,
    /// Copies that are not there yet; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<CopyStatus>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastRun {
    /// `plan@due`.
    pub run: String,
    /// done, failed, skipped, missed or unfinished.
    pub outcome: &'static str,
    /// Why, where it is not plainly done.
    pub reason: String,
}

/// Copies that the newest runs of a plan could not make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwedStatus {
    /// `dr/eu-west-1`, or `eu-west-1` for the own account.
    pub destination: String,
    /// How many images have no copy there.
    pub images: usize,
    /// Since the oldest of them failed.
    pub since: String,
    /// Why the newest did.
    pub reason: String,
}

/// One plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanStatus {
    /// Its name.
    pub plan: String,
    /// Its zone.
    pub timezone: String,
    /// Its next occurrence.
    pub next: Option<String>,
    /// The same on the clocks of its zone.
    pub local: Option<String>,
    /// Its newest occurrence.
    pub last: Option<LastRun>,
    /// Copies of its images that are missing; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<OwedStatus>,
}

/// The newest good image that a plan made of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceStatus {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `i-...`
    pub instance: String,
    /// The plan.
    pub plan: String,
    /// Its tag `Name`; left out where nobody has listed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// protected, new, late, critical, never, gone or unprotected; left out where nobody has listed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<&'static str>,
    /// Why it is unprotected, or gone; left out where there is nothing to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// `ami-...`; nothing: no good one is in the journal.
    pub image: Option<String>,
    /// The occurrence that made it.
    pub due: Option<String>,
    /// Seconds since then.
    pub age_s: Option<i64>,
}

/// What a person must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeedsPerson {
    /// Since when.
    pub since: String,
    /// The run, where it is about one.
    pub run: Option<String>,
    /// The instance, image or snapshot, where it is about one.
    pub subject: Option<String>,
    /// What happened, and what to do.
    pub reason: String,
}

impl NeedsPerson {
    /// About no single run or subject.
    #[must_use]
    pub fn of_all(since: String, reason: String) -> Self {
        Self { since, run: None, subject: None, reason }
    }
}

/// The document of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusDocument {
    /// When it was made.
    pub at: String,
    /// Who runs the engine.
    pub daemon: DaemonStatus,
    /// How many instances are protected; left out where nobody has listed them yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<ProtectionStatus>,
    /// Whose rules the zones of the plans follow on this host; left out where nobody has looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones: Option<ZoneSource>,
    /// The journal that was read; nothing: there is none yet.
    pub journal: Option<String>,
    /// What needs a person.
    pub needs_person: Vec<NeedsPerson>,
    /// What holds back; left out where nothing does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HoldStatus>,
    /// What is to be given back; left out where nothing is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub debts: Vec<DebtStatus>,
    /// Runs that go on.
    pub runs: Vec<RunStatus>,
    /// All plans.
    pub plans: Vec<PlanStatus>,
    /// The newest good images, the oldest first.
    pub instances: Vec<InstanceStatus>,
}

impl StatusDocument {
    /// Whether nothing needs a person.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.needs_person.is_empty()
    }
}
