//! `Distribution` on the SDK: each method puts exactly one request on the wire.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::primitives::DateTime as SdkDateTime;
use aws_sdk_ec2::types::{
    CreateVolumePermissionModifications, ImageAttributeName, LaunchPermission, LaunchPermissionModifications,
    SnapshotAttributeName, Tag,
};
use chrono::{DateTime, TimeDelta, Utc};

use super::convert::{
    allowed_images, launch_permission, sdk_launch_permission, sdk_tags, sdk_volume_permission, some, volume,
    volume_permission,
};
use super::ec2::{VOLUME_PAGE_SIZE, filter, tag_specifications, token};
use super::error::{answer_fault, end, unknown_word};
use super::{AwsCloud, plain, send};
use crate::clock::Clock;
use crate::cloud::port::{AllowedImages, Change, CopyImage, Distribution, DryRun, Effect, Page, Read};
use crate::domain::observed::{Tags, Volume};
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;

/// What a request that is only tried bears as its name or tag.
const TRIED: &str = "stillframe/dry-run";

#[async_trait(?Send)]
impl Distribution for AwsCloud {
    async fn copy_image(&self, place: &Place, request: &CopyImage) -> Effect<String> {
        // A key without Encrypted is an error, Encrypted without a key a guess of EC2's.
        let key = request.kms_key.clone().filter(|_| request.encrypted);
        let sent = send!(self, place, ec2 => {
            ec2.copy_image()
                .source_image_id(&request.source_image)
                .source_region(&request.source_region)
                .name(&request.name)
                .description(&request.description)
                .client_token(&request.client_token)
                .set_encrypted(request.encrypted.then_some(true))
                .set_kms_key_id(key)
                .set_tag_specifications(tag_specifications(&request.tags))
        });
        match sent {
            Ok(answer) => {
                let request_id = answer.request_id().map(str::to_owned);
                match answer.image_id {
                    Some(value) => Effect::Done { value, request_id },
                    None => Effect::Unknown(answer_fault("CopyImage: the answer names no image")),
                }
            }
            Err(fault) => end(fault),
        }
    }

    async fn image_permissions(&self, place: &Place, image: &str) -> Read<BTreeSet<Grantee>> {
        let attribute = ImageAttributeName::LaunchPermission;
        let answer = send!(self, place, ec2 => ec2.describe_image_attribute().image_id(image).attribute(attribute))?;
        answer.launch_permissions().iter().map(|entry| launch_permission(image, entry)).collect()
    }

    async fn change_image_permissions(&self, place: &Place, image: &str, change: &Change) -> Effect<()> {
        let list = |of: &BTreeSet<Grantee>| Some(of.iter().map(sdk_launch_permission).collect());
        let builder = LaunchPermissionModifications::builder();
        let change = match change {
            Change::Add(who) => builder.set_add(list(who)),
            Change::Remove(who) => builder.set_remove(list(who)),
        };
        let change = change.build();
        plain!(send!(self, place, ec2 => ec2.modify_image_attribute().image_id(image).launch_permission(change)))
    }

    async fn snapshot_permissions(&self, place: &Place, snapshot: &str) -> Read<BTreeSet<Grantee>> {
        let attribute = SnapshotAttributeName::CreateVolumePermission;
        let answer = send!(self, place, ec2 => {
            ec2.describe_snapshot_attribute().snapshot_id(snapshot).attribute(attribute)
        })?;
        answer.create_volume_permissions().iter().map(|entry| volume_permission(snapshot, entry)).collect()
    }

    async fn change_snapshot_permissions(&self, place: &Place, snapshot: &str, change: &Change) -> Effect<()> {
        let (Change::Add(who) | Change::Remove(who)) = change;
        let list = match who.iter().map(|to| sdk_volume_permission(snapshot, to)).collect::<Read<Vec<_>>>() {
            Ok(list) => Some(list),
            Err(fault) => return Effect::Refused(fault),
        };
        let builder = CreateVolumePermissionModifications::builder();
        let change = match change {
            Change::Add(_) => builder.set_add(list),
            Change::Remove(_) => builder.set_remove(list),
        };
        let change = change.build();
        plain!(send!(self, place, ec2 => {
            let attribute = SnapshotAttributeName::CreateVolumePermission;
            ec2.modify_snapshot_attribute().snapshot_id(snapshot).attribute(attribute).create_volume_permission(change)
        }))
    }

    async fn tag(&self, place: &Place, resources: &[String], tags: &Tags) -> Effect<()> {
        plain!(send!(self, place, ec2 => {
            ec2.create_tags().set_resources(Some(resources.to_vec())).set_tags(Some(sdk_tags(tags)))
        }))
    }

    async fn untag(&self, place: &Place, resources: &[String], keys: &[String]) -> Effect<()> {
        // Without a value a tag goes whatever its value is (API reference, DeleteTags).
        let tags = keys.iter().map(|key| Tag::builder().key(key).build()).collect();
        plain!(send!(self, place, ec2 => {
            ec2.delete_tags().set_resources(Some(resources.to_vec())).set_tags(Some(tags))
        }))
    }

    async fn deprecate_image(&self, place: &Place, image: &str, at: DateTime<Utc>) -> Effect<()> {
        plain!(send!(self, place, ec2 => ec2.enable_image_deprecation().image_id(image).deprecate_at(instant(at))))
    }

    async fn volumes(&self, place: &Place, ids: &[String], page: Option<&str>) -> Read<Page<Volume>> {
        let (filters, page) = (filter("volume-id", ids), page.map(str::to_owned));
        let answer = send!(self, place, ec2 => {
            ec2.describe_volumes().filters(filters).max_results(VOLUME_PAGE_SIZE).set_next_token(page)
        })?;
        let items = answer.volumes().iter().filter_map(volume).collect();
        Ok(Page { items, next: token(answer.next_token()) })
    }

    async fn default_key(&self, place: &Place) -> Read<String> {
        let answer = send!(self, place, ec2 => ec2.get_ebs_default_kms_key_id())?;
        some(answer.kms_key_id()).ok_or_else(|| answer_fault("GetEbsDefaultKmsKeyId: the answer names no key"))
    }

    async fn encrypts_by_default(&self, place: &Place) -> Read<bool> {
        let answer = send!(self, place, ec2 => ec2.get_ebs_encryption_by_default())?;
        let word = answer.ebs_encryption_by_default();
        word.ok_or_else(|| answer_fault("GetEbsEncryptionByDefault: the answer does not say"))
    }

    async fn allowed_images(&self, place: &Place) -> Read<AllowedImages> {
        let answer = send!(self, place, ec2 => ec2.get_allowed_images_settings())?;
        let enabled = match answer.state().unwrap_or_default() {
            "enabled" => true,
            "disabled" | "audit-mode" => false,
            other => {
                let what = "which this version does not know; update stillframe";
                return Err(unknown_word(format!("Allowed AMIs of {place} is `{other}`, {what}")));
            }
        };
        Ok(allowed_images(enabled, answer.image_criteria()))
    }

    async fn try_out(&self, place: &Place, request: &DryRun) -> Read<()> {
        let api = request.api();
        let end = match request {
            DryRun::CopyImage { source_image, source_region } => send!(self, place, ec2 => {
                let call = ec2.copy_image().source_image_id(source_image).source_region(source_region);
                call.name(TRIED).dry_run(true)
            })
            .map(drop),
            // Without a reboot, should anything in between not know DryRun.
            DryRun::CreateImage { instance } => send!(self, place, ec2 => {
                ec2.create_image().instance_id(instance).name(TRIED).no_reboot(true).dry_run(true)
            })
            .map(drop),
            DryRun::CreateTags { resource } => send!(self, place, ec2 => {
                let tag = Tag::builder().key(TRIED).value("").build();
                ec2.create_tags().resources(resource).tags(tag).dry_run(true)
            })
            .map(drop),
            DryRun::DeleteTags { resource } => send!(self, place, ec2 => {
                ec2.delete_tags().resources(resource).tags(Tag::builder().key(TRIED).build()).dry_run(true)
            })
            .map(drop),
            DryRun::DeregisterImage { image } => {
                send!(self, place, ec2 => ec2.deregister_image().image_id(image).dry_run(true)).map(drop)
            }
            DryRun::DeleteSnapshot { snapshot } => {
                send!(self, place, ec2 => ec2.delete_snapshot().snapshot_id(snapshot).dry_run(true)).map(drop)
            }
            DryRun::DescribeImages => {
                send!(self, place, ec2 => ec2.describe_images().owners("self").dry_run(true)).map(drop)
            }
            DryRun::EnableImageDeprecation { image } => send!(self, place, ec2 => {
                // EC2 refuses what is past.
                let at = instant(Clock::Wall.now() + TimeDelta::days(1));
                ec2.enable_image_deprecation().image_id(image).deprecate_at(at).dry_run(true)
            })
            .map(drop),
            DryRun::ModifyImageAttribute { image } => send!(self, place, ec2 => {
                // To remove what cannot be there: an owner's account is on no list of its own image.
                let entry = LaunchPermission::builder().user_id(&place.account).build();
                let change = LaunchPermissionModifications::builder().remove(entry).build();
                ec2.modify_image_attribute().image_id(image).launch_permission(change).dry_run(true)
            })
            .map(drop),
            DryRun::ModifySnapshotAttribute { snapshot } => {
                let own = BTreeSet::from([Grantee::Account(place.account.clone())]);
                let entries = own.iter().map(|to| sdk_volume_permission(snapshot, to)).collect::<Read<_>>()?;
                let change = CreateVolumePermissionModifications::builder().set_remove(Some(entries)).build();
                send!(self, place, ec2 => {
                    let attribute = SnapshotAttributeName::CreateVolumePermission;
                    let call = ec2.modify_snapshot_attribute().snapshot_id(snapshot).attribute(attribute);
                    call.create_volume_permission(change).dry_run(true)
                })
                .map(drop)
            }
        };
        match end {
            Err(fault) if fault.code == "DryRunOperation" => Ok(()),
            Err(fault) => Err(fault),
            Ok(()) => Err(unknown_word(format!(
                "{api} in {place} was asked with DryRun and answered as if it was done: this is not EC2"
            ))),
        }
    }
}

fn instant(at: DateTime<Utc>) -> SdkDateTime {
    SdkDateTime::from_secs(at.timestamp())
}
