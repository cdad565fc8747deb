//! One simulated EBS volume.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::observed::Tags;
use crate::domain::place::Place;

/// A volume of the world, attached to one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimVolume {
    /// `vol-...`
    pub id: String,
    /// Where it is.
    pub place: Place,
    /// Its tags.
    pub tags: Tags,
    /// `CreateTime`.
    pub created: DateTime<Utc>,
    /// GiB.
    pub size: u32,
    /// `MultiAttachEnabled`.
    pub multi_attach: bool,
    /// The instance it is attached to.
    pub instance: String,
    /// Under this name.
    pub device: String,
    /// The snapshots that were being made of it lately: the pending ones count against a quota.
    pub recent: Vec<String>,
    /// The ARN of the key that it is encrypted under.
    #[serde(default)]
    pub key: Option<String>,
}
