//! Copies, permissions and keys, governed.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Api, Governed, batches, distinct};
use crate::cloud::port::{
    AllowedImages, Ask, Caller, Change, CopyImage, CreateGrant, DryRun, Effect, FILTER_VALUES_MAX, Grant, Read,
};
use crate::domain::copying::Key;
use crate::domain::observed::{Tags, Volume};
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;

impl Governed {
    /// Who we are in `place`: the role that is assumed there, or ourselves.
    ///
    /// # Errors
    /// The request failed for good.
    pub async fn whoami_in(&self, place: &Place) -> Read<Caller> {
        self.read(place, Api::GetCallerIdentity, async || self.inner.whoami_in(place).await).await
    }

    /// CopyImage, called in the destination `place`: the copy's id.
    pub async fn copy_image(&self, place: &Place, request: &CopyImage) -> Effect<String> {
        self.effect(place, Api::CopyImage, async || self.inner.copy_image(place, request).await).await
    }

    /// Who may launch an image.
    ///
    /// # Errors
    /// The request failed for good.
    pub async fn image_permissions(&self, place: &Place, image: &str) -> Read<BTreeSet<Grantee>> {
        self.read(place, Api::DescribeImageAttribute, async || self.inner.image_permissions(place, image).await).await
    }

    /// Changes who may launch an image.
    pub async fn change_image_permissions(&self, place: &Place, image: &str, change: &Change) -> Effect<()> {
        let act = async || self.inner.change_image_permissions(place, image, change).await;
        self.effect(place, Api::ModifyImageAttribute, act).await
    }

    /// Who may make volumes of a snapshot.
    ///
    /// # Errors
    /// The request failed for good.
    pub async fn snapshot_permissions(&self, place: &Place, snapshot: &str) -> Read<BTreeSet<Grantee>> {
        let ask = async || self.inner.snapshot_permissions(place, snapshot).await;
        self.read(place, Api::DescribeSnapshotAttribute, ask).await
    }

    /// Changes who may make volumes of a snapshot.
    pub async fn change_snapshot_permissions(&self, place: &Place, snapshot: &str, change: &Change) -> Effect<()> {
        let act = async || self.inner.change_snapshot_permissions(place, snapshot, change).await;
        self.effect(place, Api::ModifySnapshotAttribute, act).await
    }

    /// Adds tags.
    pub async fn tag(&self, place: &Place, resources: &[String], tags: &Tags) -> Effect<()> {
        self.effect(place, Api::CreateTags, async || self.inner.tag(place, resources, tags).await).await
    }

    /// Takes tags away.
    pub async fn untag(&self, place: &Place, resources: &[String], keys: &[String]) -> Effect<()> {
        self.effect(place, Api::DeleteTags, async || self.inner.untag(place, resources, keys).await).await
    }

    /// Hides an image from other accounts, from `at` on.
    pub async fn deprecate_image(&self, place: &Place, image: &str, at: DateTime<Utc>) -> Effect<()> {
        let act = async || self.inner.deprecate_image(place, image, at).await;
        self.effect(place, Api::EnableImageDeprecation, act).await
    }

    /// Those of the volumes `ids` that exist, by id.
    ///
    /// # Errors
    /// The first request that failed for good: never a part of the list.
    pub async fn volumes(&self, place: &Place, ids: &[String]) -> Read<Vec<Volume>> {
        let mut found = Vec::new();
        for batch in batches(ids, FILTER_VALUES_MAX) {
            let ask = async |page: Ask<'_>| self.inner.volumes(place, &batch, page).await;
            found.append(&mut self.list(place, Api::DescribeVolumes, ask).await?);
        }
        Ok(distinct(found, |volume| &volume.id))
    }

    /// The key that EBS uses where none is named.
    ///
    /// # Errors
    /// The request failed for good.
    pub async fn default_key(&self, place: &Place) -> Read<String> {
        self.read(place, Api::GetEbsDefaultKmsKeyId, async || self.inner.default_key(place).await).await
    }

    /// Whether EBS encrypts whatever is made there.
    ///
    /// # Errors
    /// The request failed for good.
    pub async fn encrypts_by_default(&self, place: &Place) -> Read<bool> {
        self.read(place, Api::GetEbsEncryptionByDefault, async || self.inner.encrypts_by_default(place).await).await
    }

    /// Which images of others the account sees there.
    ///
    /// # Errors
    /// The request failed for good.
    pub async fn allowed_images(&self, place: &Place) -> Read<AllowedImages> {
        self.read(place, Api::GetAllowedImagesSettings, async || self.inner.allowed_images(place).await).await
    }

    /// Whether a request would be allowed.
    ///
    /// # Errors
    /// It would not, or nobody knows.
    pub async fn try_out(&self, place: &Place, request: &DryRun) -> Read<()> {
        self.read(place, Api::DryRun, async || self.inner.try_out(place, request).await).await
    }

    /// A key.
    ///
    /// # Errors
    /// The request failed for good.
    pub async fn key(&self, place: &Place, key: &str) -> Read<Key> {
        self.read(place, Api::DescribeKey, async || self.inner.key(place, key).await).await
    }

    /// A key's policy, as JSON.
    ///
    /// # Errors
    /// The request failed for good.
    pub async fn key_policy(&self, place: &Place, key: &str) -> Read<String> {
        self.read(place, Api::GetKeyPolicy, async || self.inner.key_policy(place, key).await).await
    }

    /// All grants of a key.
    ///
    /// # Errors
    /// The first request that failed for good: never a part of the list.
    pub async fn grants(&self, place: &Place, key: &str) -> Read<Vec<Grant>> {
        let ask = async |page: Ask<'_>| self.inner.grants(place, key, page).await;
        self.list(place, Api::ListGrants, ask).await
    }

    /// CreateGrant: the grant's id.
    pub async fn create_grant(&self, place: &Place, request: &CreateGrant) -> Effect<String> {
        self.effect(place, Api::CreateGrant, async || self.inner.create_grant(place, request).await).await
    }

    /// RevokeGrant.
    pub async fn revoke_grant(&self, place: &Place, key: &str, grant: &str) -> Effect<()> {
        self.effect(place, Api::RevokeGrant, async || self.inner.revoke_grant(place, key, grant).await).await
    }
}
