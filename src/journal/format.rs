//! What of the journal is JSON beside facts: plan revisions, and what people ask for.

use serde::{Deserialize, Serialize};

use crate::domain::plan::Plan;

/// What a person asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wish {
    // As the keys of all data: sorted.
    /// Only this instance, if one is named.
    pub instance: Option<String>,
    /// Of which plan.
    pub plan: String,
}

/// The text of a plan, or of a part of it: a revision is stored under its hash.
#[must_use]
pub fn revision_text(value: &impl Serialize) -> String {
    // Plans and schedules are plain data: maps with text keys, which always have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

/// The plan of a revision.
///
/// # Errors
/// It is none, in words for people.
pub fn plan_of(revision: &str) -> Result<Plan, String> {
    serde_json::from_str(revision).map_err(|e| e.to_string())
}
