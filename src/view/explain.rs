//! What `explain` tells of one image.

mod copies;
mod tell;

use serde::Serialize;

pub use self::tell::{Ask, tell};
use super::copies::CopyDocument;
use super::preview::FaultPreview;

/// Who made it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The plan.
    pub plan: Option<String>,
    /// The occurrence.
    pub due: Option<String>,
    /// The run.
    pub run: Option<String>,
    /// schedule or manual; nothing: the journal does not know the run.
    pub trigger: Option<&'static str>,
    /// The instance that it was made of.
    pub instance: Option<String>,
    /// How the run ended for that instance.
    pub outcome: Option<&'static str>,
    /// Why, where it is not plainly done.
    pub reason: String,
}

/// One condition of ownership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckDocument {
    /// What is looked at.
    pub check: &'static str,
    /// Whether it fits.
    pub ok: bool,
    /// What was found.
    pub found: String,
}

/// Whether it is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnershipDocument {
    /// ours, foreign or unrelated.
    pub verdict: &'static str,
    /// Why it is not ours.
    pub reason: String,
    /// Each condition.
    pub checks: Vec<CheckDocument>,
}

/// One reason for which it stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// In an operator's words.
    pub reason: String,
    /// What would end it.
    pub until: Option<String>,
}

/// What retention would decide of it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetentionDocument {
    /// keep or delete.
    pub verdict: &'static str,
    /// Why.
    pub reasons: Vec<Hold>,
    /// The occurrence after which nothing holds it, if every one until then makes a good image.
    pub leaves: Option<String>,
    /// The run that decided about it last.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<String>,
}

/// What became of one of its snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotDocument {
    /// `snap-...`
    pub snapshot: String,
    /// done: it is gone, or another image needs it; failed: it is still there; unfinished: nothing is known yet.
    pub outcome: &'static str,
    /// In an operator's words.
    pub reason: String,
}

/// Its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeletedDocument {
    /// When.
    pub at: String,
    /// By which run.
    pub run: String,
    /// Why.
    pub reason: String,
    /// Its snapshots.
    pub snapshots: Vec<SnapshotDocument>,
}

/// The image that a copy was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceDocument {
    /// Twelve digits, where the journal knows it.
    pub account: Option<String>,
    /// The region, where the journal knows it.
    pub region: Option<String>,
    /// `ami-...`
    pub image: String,
}

/// The document of `explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainDocument {
    /// When it was made.
    pub at: String,
    /// `ami-...`
    pub image: String,
    /// Where it was found: aws, journal (only there) or nowhere.
    pub found: &'static str,
    /// Twelve digits.
    pub account: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// EC2's word for its state.
    pub state: Option<&'static str>,
    /// Its name.
    pub name: Option<String>,
    /// When EC2 says it was made.
    pub created: Option<String>,
    /// Who made it.
    pub origin: Origin,
    /// Whether it is ours; nothing: AWS could not be asked.
    pub ownership: Option<OwnershipDocument>,
    /// Whether a person's tag keeps it.
    pub hold: Option<bool>,
    /// The instance that runs from it.
    pub in_use_by: Option<String>,
    /// Why it stays, or goes; nothing: it is gone, not ours, or not known.
    pub retention: Option<RetentionDocument>,
    /// Its end, if we made it.
    pub deleted: Option<DeletedDocument>,
    /// Of a copy: what it was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<SourceDocument>,
    /// Its copies, by the journal; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<CopyDocument>,
    /// Whom it is lent to or shared with, by its tags where it is there, else by the journal; left out where with nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
    /// Where it was looked for.
    pub searched: Vec<String>,
    /// What could not be read.
    pub faults: Vec<FaultPreview>,
}

impl ExplainDocument {
    /// Whether it is known, and all about it could be read.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.found != "nowhere" && self.faults.is_empty()
    }
}
