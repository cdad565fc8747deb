//! What AWS says exists, in domain words: instances, images, snapshots, status checks.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Tags of anything, in key order.
pub type Tags = BTreeMap<String, String>;

/// A value whose copies share it until one is changed: retention reads every image of every series in every run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared<T>(Arc<T>);

/// Tags of an image.
pub type SharedTags = Shared<Tags>;

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// What is changed is shared no longer.
impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T: PartialEq> PartialEq<T> for Shared<T> {
    fn eq(&self, value: &T) -> bool {
        **self == *value
    }
}

impl PartialEq<SharedTags> for Tags {
    fn eq(&self, shared: &SharedTags) -> bool {
        *self == **shared
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
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
    /// A word that this version does not know.
    Unknown,
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
            Self::Unknown => "unknown",
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
    /// Whether it bears product codes (AWS Marketplace): what is made of it cannot be copied by another account.
    pub product_codes: bool,
    /// The service of AWS that manages it (`Operator`, where `Managed` is true): "you can't modify it" (API reference).
    pub managed_by: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// What of it cannot be read, in words: it is set aside, and nothing is done with it.
    pub odd: Option<String>,
}

/// What the status checks of an instance say, taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// All that apply read ok on a running instance.
    Ok,
    /// The instance check reads `impaired` or `initializing`: it alone tells of a restart.
    Failing,
    /// Neither: no data yet, not running, another check fails, or a word that this version does not know.
    Silent,
}

/// The EC2 status checks of an instance (DescribeInstanceStatus).
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
    /// `AttachedEbsStatus.Status`: the same words; not on every type of instance.
    pub attached_ebs: Option<String>,
}

impl InstanceStatus {
    /// Whether all checks read ok on a running instance.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.checks() == Checks::Ok
    }

    /// Which of the checks of the instance or its host reads impaired, if one does.
    #[must_use]
    pub fn impaired(&self) -> Option<&'static str> {
        let checks = [("instance", &self.reachability), ("system", &self.system)];
        checks.into_iter().find(|(_, told)| *told == "impaired").map(|(check, _)| check)
    }

    /// What they say together.
    #[must_use]
    pub fn checks(&self) -> Checks {
        let ebs = self.attached_ebs.as_deref();
        // Volumes stall while snapshots begin, and hosts fail by themselves: neither is a restart.
        if matches!(self.reachability.as_str(), "impaired" | "initializing") {
            return Checks::Failing;
        }
        let fine = self.system == "ok"
            && self.reachability == "ok"
            && ebs.is_none_or(|w| matches!(w, "ok" | "not-applicable"));
        if fine && self.state == InstanceState::Running { Checks::Ok } else { Checks::Silent }
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
    /// A word that this version does not know.
    Unknown,
}

/// In words: the state of something reads `word`, which this version does not know.
#[must_use]
pub fn unknown_state(word: &str) -> String {
    if word.is_empty() {
        return "AWS does not tell its state".into();
    }
    format!("its state is `{word}`, which this version does not know: update stillframe")
}

/// In words: a date cannot be read.
#[must_use]
pub fn unreadable_date(field: &str, text: &str) -> String {
    if text.is_empty() { format!("AWS tells no {field}") } else { format!("its {field} `{text}` is not an instant") }
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
            Self::Unknown => "unknown",
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
    /// `CreationDate`, where it can be read: AWS's model does not require it.
    pub created: Option<DateTime<Utc>>,
    /// The instance it was made from (CreateImage).
    pub source_instance: Option<String>,
    /// The image it was copied from (CopyImage).
    pub source_image: Option<String>,
    /// The snapshots of its block device mapping.
    pub snapshots: Vec<String>,
    /// Whether it bears product codes (AWS Marketplace).
    pub product_codes: bool,
    /// From when on it is hidden from other accounts (`DeprecationTime`).
    pub deprecated: Option<DateTime<Utc>>,
    /// Its tags.
    pub tags: SharedTags,
    /// What of it cannot be read, in words: it is kept, not counted, and nothing is done with it.
    pub odd: Option<String>,
}

/// A snapshot as DescribeSnapshots shows it to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// `snap-...`
    pub id: String,
    /// The volume it was made from.
    pub volume: Option<String>,
    /// What made it: EC2 names the image for which CreateImage and CopyImage make one (seen in many posted answers;
    /// UNVERIFIED by its documents).
    pub description: Option<String>,
    /// pending, completed, error, recoverable, recovering.
    pub state: String,
    /// When it was begun (`StartTime`), if that is told.
    pub started: Option<DateTime<Utc>>,
    /// The key that it is encrypted under (`KmsKeyId`), if it is.
    pub key: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// A volume as DescribeVolumes shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// `vol-...`
    pub id: String,
    /// The key that it is encrypted under (`KmsKeyId`), if it is.
    pub key: Option<String>,
}
