//! Which instances the plans take, as AWS was last seen to have them: what `status` judges protection by.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::protection::Seen;

/// The last listing of each plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// By name.
    pub plans: BTreeMap<String, PlanCensus>,
}

/// The last listing of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanCensus {
    /// When.
    pub at: DateTime<Utc>,
    /// What could not be listed: of that the listing before still stands.
    #[serde(default)]
    pub faults: Vec<String>,
    /// Each instance that it takes, or has images of.
    #[serde(default)]
    pub members: Vec<Member>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `i-...`
    pub instance: String,
    /// Its tag `Name`.
    #[serde(default)]
    pub name: Option<String>,
    /// What the plan does with it.
    pub seen: Seen,
    /// Why it is left out, or where it is.
    #[serde(default)]
    pub reason: String,
    /// Since when it is seen so.
    pub since: DateTime<Utc>,
}

impl PlanCensus {
    /// The member of this id in this place.
    #[must_use]
    pub fn member(&self, account: &str, region: &str, instance: &str) -> Option<&Member> {
        self.members.iter().find(|m| (&*m.account, &*m.region, &*m.instance) == (account, region, instance))
    }
}
