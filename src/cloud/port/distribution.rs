//! The port `Distribution`: the part of the EC2 API that copies images, and lends them to other accounts.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Ask, Effect, Page, Read};
use crate::domain::observed::{Tags, Volume};
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;

/// All that a CopyImage carries. It is called in the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyImage {
    /// `ami-...`
    pub source_image: String,
    /// The region that it is in.
    pub source_region: String,
    /// The deterministic name.
    pub name: String,
    /// At most 255 characters.
    pub description: String,
    /// At most 64 characters (EC2 guide, "Ensuring idempotency").
    pub client_token: String,
    /// Whether the copy is encrypted whatever the source is: sent with `kms_key`, never without.
    pub encrypted: bool,
    /// The key of the destination, as an id, an ARN or an alias.
    pub kms_key: Option<String>,
    /// For the copy and each of its snapshots, in this same call. CopyImageTags is never sent.
    pub tags: Tags,
}

/// A change of the permissions of an image or a snapshot. API reference, ModifySnapshotAttribute: "You may add or remove
/// specified AWS account IDs", "but you cannot do both in a single operation."
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Who may from now on.
    Add(BTreeSet<Grantee>),
    /// Who may no more.
    Remove(BTreeSet<Grantee>),
}

/// The Allowed AMIs setting of an account in a region (GetAllowedImagesSettings).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedImages {
    /// Whether it hides images (`enabled`; in `audit-mode` and `disabled` it does not).
    pub enabled: bool,
    /// The providers that it allows (`ImageProviders` of all criteria): account ids, `amazon`, ...
    pub providers: BTreeSet<String>,
    /// Whether one of its criteria names no providers. An image need meet only one of them (EC2 guide, "Allowed AMIs"),
    /// so that anybody's may be allowed: only a look can tell.
    pub by_other_means: bool,
}

impl AllowedImages {
    /// Whether only a look can tell what it hides.
    #[must_use]
    pub fn is_vague(&self) -> bool {
        self.enabled && (self.by_other_means || self.providers.is_empty())
    }

    /// Whether it certainly hides the images of `account` from others. What it does without any criteria is documented
    /// nowhere.
    #[must_use]
    pub fn hides(&self, account: &str) -> bool {
        self.enabled && !self.is_vague() && !self.providers.contains(account)
    }
}

/// A request that is only tried (DryRun).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // EC2's own words
pub enum DryRun {
    CopyImage { source_image: String, source_region: String },
    CreateImage { instance: String },
    CreateTags { resource: String },
    DeleteTags { resource: String },
    DeregisterImage { image: String },
    DeleteSnapshot { snapshot: String },
    DescribeImages,
    EnableImageDeprecation { image: String },
    ModifyImageAttribute { image: String },
    ModifySnapshotAttribute { snapshot: String },
}

impl DryRun {
    /// The API's name.
    #[must_use]
    pub fn api(&self) -> &'static str {
        match self {
            Self::CopyImage { .. } => "CopyImage",
            Self::CreateImage { .. } => "CreateImage",
            Self::CreateTags { .. } => "CreateTags",
            Self::DeleteTags { .. } => "DeleteTags",
            Self::DeregisterImage { .. } => "DeregisterImage",
            Self::DeleteSnapshot { .. } => "DeleteSnapshot",
            Self::DescribeImages => "DescribeImages",
            Self::EnableImageDeprecation { .. } => "EnableImageDeprecation",
            Self::ModifyImageAttribute { .. } => "ModifyImageAttribute",
            Self::ModifySnapshotAttribute { .. } => "ModifySnapshotAttribute",
        }
    }
}

/// Copies, permissions, and what decides about encryption.
#[async_trait(?Send)]
pub trait Distribution {
    /// CopyImage: answers the copy's id.
    async fn copy_image(&self, place: &Place, request: &CopyImage) -> Effect<String>;
    /// DescribeImageAttribute, `launchPermission`.
    async fn image_permissions(&self, place: &Place, image: &str) -> Read<BTreeSet<Grantee>>;
    /// ModifyImageAttribute, `LaunchPermission`.
    async fn change_image_permissions(&self, place: &Place, image: &str, change: &Change) -> Effect<()>;
    /// DescribeSnapshotAttribute, `createVolumePermission`.
    async fn snapshot_permissions(&self, place: &Place, snapshot: &str) -> Read<BTreeSet<Grantee>>;
    /// ModifySnapshotAttribute, `CreateVolumePermission`: both lists in one request; accounts only.
    async fn change_snapshot_permissions(&self, place: &Place, snapshot: &str, change: &Change) -> Effect<()>;
    /// CreateTags.
    async fn tag(&self, place: &Place, resources: &[String], tags: &Tags) -> Effect<()>;
    /// DeleteTags, whatever their values are.
    async fn untag(&self, place: &Place, resources: &[String], keys: &[String]) -> Effect<()>;
    /// EnableImageDeprecation. EC2 rounds to the minute and refuses what is past.
    async fn deprecate_image(&self, place: &Place, image: &str, at: DateTime<Utc>) -> Effect<()>;
    /// DescribeVolumes, filtered by `volume-id`.
    async fn volumes(&self, place: &Place, ids: &[String], page: Ask<'_>) -> Read<Page<Volume>>;
    /// GetEbsDefaultKmsKeyId: `alias/aws/ebs`, or the ARN of a key that somebody set.
    async fn default_key(&self, place: &Place) -> Read<String>;
    /// GetEbsEncryptionByDefault.
    async fn encrypts_by_default(&self, place: &Place) -> Read<bool>;
    /// GetAllowedImagesSettings.
    async fn allowed_images(&self, place: &Place) -> Read<AllowedImages>;
    /// Tries a request with DryRun: fine, or why it would be refused.
    async fn try_out(&self, place: &Place, request: &DryRun) -> Read<()>;
}
