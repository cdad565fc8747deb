//! What `preview` foresees. It is derived from what the engine would decide, and changes nothing.

mod coming;
mod copies;
mod foresee;

use serde::Serialize;

pub use self::foresee::{Ask, foresee};

/// An occurrence to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coming {
    /// RFC 3339, UTC.
    pub due: String,
    /// The same on the clocks of the plan's zone.
    pub local: String,
}

/// One instance that the plan names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetPreview {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `i-...`
    pub instance: String,
    /// Its tag `Name`.
    pub name: Option<String>,
    /// selected or skipped.
    pub outcome: &'static str,
    /// Whether it would be restarted.
    pub reboots: bool,
    /// Why it is skipped.
    pub reason: String,
    /// Of each copy and share of its image; left out where the plan wants none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub distribution: Vec<DistributionPreview>,
}

/// Whether an image can be copied or shared as the plan wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DistributionPreview {
    /// `copy` or `share`.
    pub what: &'static str,
    /// Of a copy: `dr/eu-west-1`, or `eu-west-1` for the own account.
    pub destination: Option<String>,
    /// go, needless, not_now or never.
    pub verdict: &'static str,
    /// Why not, or in which way.
    pub reasons: Vec<String>,
    /// Statements that the policy of the key needs, since nobody can be given a grant for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
}

/// What retention would decide of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImagePreview {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance that it was made of.
    pub instance: String,
    /// image or copy.
    pub role: &'static str,
    /// `ami-...`; nothing for the image that the occurrence itself would add.
    pub image: Option<String>,
    /// The occurrence that made it.
    pub due: String,
    /// keep or delete.
    pub verdict: &'static str,
    /// In an operator's words.
    pub reasons: Vec<String>,
}

/// A destination of a plan's copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DestinationPreview {
    /// `dr/eu-west-1`, or `eu-west-1` for the own account.
    pub destination: String,
    /// Twelve digits, where it is another account.
    pub account: Option<String>,
    /// The region.
    pub region: String,
    /// The key there; nothing: none, or the default one.
    pub kms_key: Option<String>,
    /// The key under which an image is copied first.
    pub via_key: Option<String>,
}

/// An older image whose copy is not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwedPreview {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance that it was made of.
    pub instance: String,
    /// `ami-...`
    pub image: String,
    /// The occurrence that made it.
    pub due: String,
    /// `dr/eu-west-1`, or `eu-west-1` for the own account.
    pub destination: String,
    /// go, needless, not_now or never.
    pub verdict: &'static str,
    /// Why not, or in which way.
    pub reasons: Vec<String>,
}

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultPreview {
    /// The region, where it is about one.
    pub region: Option<String>,
    /// What, why, and what it means.
    pub reason: String,
}

/// One plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanPreview {
    /// Its name.
    pub plan: String,
    /// Its zone.
    pub timezone: String,
    /// Where it looks.
    pub regions: Vec<String>,
    /// When it is due next.
    pub occurrences: Vec<Coming>,
    /// How many more there are in the time asked for.
    pub more: usize,
    /// The occurrence of which the rest speaks.
    pub due: Option<String>,
    /// What the next occurrence would meet: another run that holds the plan, an instance that is not back.
    pub notes: Vec<String>,
    /// Each instance that it names, as it is now.
    pub targets: Vec<TargetPreview>,
    /// Each image of its series, if the occurrence ran.
    pub retention: Vec<ImagePreview>,
    /// Where its images are copied to; left out where nowhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<DestinationPreview>,
    /// Whom they are shared with; left out where with nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
    /// Copies that are missing, and that the occurrence would make or try to; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<OwedPreview>,
    /// What could not be read.
    pub faults: Vec<FaultPreview>,
}

/// The document of `preview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewDocument {
    /// When it was made.
    pub at: String,
    /// The daemon's name.
    pub daemon: String,
    /// Which machine this is, in words.
    pub machine: String,
    /// Why nothing at all would be begun.
    pub barred: Option<String>,
    /// What is not known, and what that means.
    pub unknown: Vec<String>,
    /// Until when occurrences are listed.
    pub until: String,
    /// The plans asked for.
    pub plans: Vec<PlanPreview>,
}

impl PreviewDocument {
    /// Whether all could be read, something would be begun, and each plan selects something.
    #[must_use]
    pub fn ok(&self) -> bool {
        let well = |p: &PlanPreview| p.faults.is_empty() && p.targets.iter().any(|t| t.outcome == "selected");
        self.barred.is_none() && self.plans.iter().all(well)
    }
}
