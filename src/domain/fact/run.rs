//! What is told of processes, occurrences, runs and targets.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::event::{Outcome, Trigger};
use crate::domain::prevented::Prevented;

fn is_false(flag: &bool) -> bool {
    !*flag
}

#[allow(clippy::trivially_copy_pass_by_ref)] // what serde calls it with
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The engine began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Started {
    /// The program's.
    pub version: String,
    /// The installation's id.
    pub installation: String,
    /// Whether the journal was lost, and is to be rebuilt.
    #[serde(skip_serializing_if = "is_false")]
    pub rebuild: bool,
}

/// A lost journal was made anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rebuilt {
    /// All of it in words.
    pub reason: String,
    /// From so many images.
    pub images: usize,
    /// Occurrences that were found.
    pub occurrences: usize,
    /// Of these going on.
    pub going_on: usize,
    /// Instances that count as down.
    pub down: usize,
    /// Later occurrences recorded as missed.
    pub missed: usize,
    /// Snapshots that belong to no image: `account/region/snap-...`.
    pub orphans: Vec<String>,
}

/// A configuration is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Applied {
    /// Its plans.
    pub plans: Vec<String>,
    /// What of them is new, at a reload.
    #[serde(flatten)]
    pub difference: Option<Difference>,
}

/// What a reload has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Plans that are new.
    pub added: Vec<String>,
    /// Plans that are other than before.
    pub changed: Vec<String>,
    /// Plans that are there no more.
    pub removed: Vec<String>,
}

/// What was decided of an occurrence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Decided {
    /// Why it exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// Why it was decided so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it is the second in a row: then somebody must act.
    #[serde(skip_serializing_if = "is_false")]
    pub again: bool,
}

/// A run began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunStart {
    /// Why it exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// The plan revision.
    pub plan_hash: String,
    /// Only these instances, if a person named some.
    pub only: Vec<String>,
    /// Whether it began under a journal that was lost.
    #[serde(skip_serializing_if = "is_false")]
    pub rebuilt: bool,
}

/// What a run did, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Targets that ended as intended.
    pub done: u64,
    /// Targets that did not.
    pub failed: u64,
    /// Instances that were left out.
    pub skipped: u64,
    /// Of these, those that nobody chose to leave out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub prevented: u64,
    /// Images that were deleted.
    pub deleted: u64,
    /// Copies made; nothing where nobody counted them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copied: Option<u64>,
    /// Copies that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies_failed: Option<u64>,
}

/// What does not say how it ended did not end well.
fn failed() -> Outcome {
    Outcome::Failed
}

/// A run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// How.
    #[serde(default = "failed")]
    pub outcome: Outcome,
    /// Why, where it is not plainly done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long after its decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<i64>,
    /// Whether all that it was to image was prevented.
    #[serde(default, skip_serializing_if = "is_false")]
    pub barred: bool,
    /// What it did; nothing if it never began.
    #[serde(flatten)]
    pub counts: Option<Counts>,
}

/// The targets of a run were chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chosen {
    /// So many.
    pub targets: u64,
    /// So many were left out.
    pub skipped: u64,
}

/// An instance was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Why, in words for people.
    pub reason: String,
    /// Why, in one word for machines.
    pub class: Option<String>,
    /// What prevented it; nothing where it was left out on purpose.
    pub prevented: Option<Prevented>,
}

/// A target ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetEnd {
    /// How.
    #[serde(default = "failed")]
    pub outcome: Outcome,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// What was made of it.
    pub image: Option<String>,
    /// Whether a person was called for all that failed.
    #[serde(default)]
    pub alarmed: bool,
    /// What prevented it, where nothing was tried and nobody chose that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prevented: Option<Prevented>,
}

/// Another account was let in to an image, or no longer is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Loan {
    /// The image.
    pub image: String,
    /// The account.
    pub account: String,
    /// The keys that it needs.
    pub keys: BTreeSet<String>,
}

/// What is to become of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The image.
    pub image: String,
    /// Whether it goes.
    pub delete: bool,
    /// Why.
    pub reasons: Vec<String>,
}
