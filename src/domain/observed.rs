//! What AWS says exists, in domain words: instances, images, snapshots, status checks.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Tags of anything, in key order.
pub type Tags = BTreeMap<String, String>;

/// Tags of an image: its copies share them, since retention reads every image of every series in every run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Tags", into = "Tags")]
pub struct SharedTags(Arc<Tags>);

impl From<Tags> for SharedTags {
    fn from(tags: Tags) -> Self {
        Self(Arc::new(tags))
    }
}

impl From<SharedTags> for Tags {
    fn from(shared: SharedTags) -> Self {
        Arc::unwrap_or_clone(shared.0)
    }
}

impl Deref for SharedTags {
    type Target = Tags;

    fn deref(&self) -> &Tags {
        &self.0
    }
}

/// What is changed is shared no longer.
impl DerefMut for SharedTags {
    fn deref_mut(&mut self) -> &mut Tags {
        Arc::make_mut(&mut self.0)
    }
}

impl PartialEq<Tags> for SharedTags {
    fn eq(&self, tags: &Tags) -> bool {
        **self == *tags
    }
}

impl PartialEq<SharedTags> for Tags {
    fn eq(&self, shared: &SharedTags) -> bool {
        *self == **shared
    }
}

/// The life of an instance (`Instance.State.Name` of the EC2 API).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // EC2's own words
pub enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl InstanceState {
    /// EC2's own word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// An instance as DescribeInstances shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `i-...`
    pub id: String,
    /// Where in its life it is.
    pub state: InstanceState,
    /// Whether its root device is an EBS volume; only such can be imaged.
    pub ebs_root: bool,
    /// Whether hibernation is configured (`HibernationOptions.Configured`).
    pub hibernation: bool,
    /// Its EBS volumes, as mapped.
    pub volumes: Vec<String>,
    /// The image it was launched from.
    pub image: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// Both EC2 status checks of an instance (DescribeInstanceStatus).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceStatus {
    /// `i-...`
    pub instance: String,
    /// Where in its life it is.
    pub state: InstanceState,
    /// `SystemStatus.Status`: ok, impaired, initializing, insufficient-data, not-applicable.
    pub system: String,
    /// `InstanceStatus.Status`: the same words.
    pub reachability: String,
}

impl InstanceStatus {
    /// Whether both checks read ok on a running instance.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.state == InstanceState::Running && self.system == "ok" && self.reachability == "ok"
    }
}

/// The life of an image (`Image.State` of the EC2 API).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // EC2's own words
pub enum ImageState {
    Pending,
    Available,
    Invalid,
    Deregistered,
    Transient,
    Failed,
    Error,
    Disabled,
}

impl ImageState {
    /// EC2's own word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Invalid => "invalid",
            Self::Deregistered => "deregistered",
            Self::Transient => "transient",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Disabled => "disabled",
        }
    }

    /// Whether it can never become available.
    #[must_use]
    pub fn dead(self) -> bool {
        matches!(self, Self::Failed | Self::Error | Self::Invalid | Self::Deregistered)
    }
}

/// An image as DescribeImages shows it to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `ami-...`
    pub id: String,
    /// Unique per account and region.
    pub name: String,
    /// The account that owns it.
    pub owner: String,
    /// Where in its life it is.
    pub state: ImageState,
    /// Why, if EC2 says so (`StateReason`: code and message).
    pub state_reason: Option<String>,
    /// `CreationDate`.
    pub created: DateTime<Utc>,
    /// The instance it was made from (CreateImage).
    pub source_instance: Option<String>,
    /// The image it was copied from (CopyImage).
    pub source_image: Option<String>,
    /// The snapshots of its block device mapping.
    pub snapshots: Vec<String>,
    /// Its tags.
    pub tags: SharedTags,
}

/// A snapshot as DescribeSnapshots shows it to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// `snap-...`
    pub id: String,
    /// The volume it was made from.
    pub volume: Option<String>,
    /// pending, completed, error, recoverable, recovering.
    pub state: String,
    /// Its tags.
    pub tags: Tags,
}
