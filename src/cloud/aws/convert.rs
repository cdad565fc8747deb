//! From the SDK's types to the domain's: never a guess about a word that this version does not know.

use aws_sdk_ec2::types::{self as sdk, DeviceType};
use chrono::{DateTime, Utc};

use super::error::{answer_fault, unknown_word};
use crate::cloud::port::{AllowedImages, Fault, Read};
use crate::domain::observed::{Image, ImageState, Instance, InstanceState, InstanceStatus, Snapshot, Tags, Volume};
use crate::domain::sharing::Grantee;

/// What stands for the key of what is encrypted without a `KmsKeyId` (the API reserves that): KMS knows none of this
/// name, so that nothing is copied or lent on a guess.
const UNNAMED_KEY: &str = "unnamed";

/// An instance of DescribeInstances.
pub(super) fn instance(from: &sdk::Instance) -> Read<Instance> {
    let id = id(from.instance_id(), "an instance")?;
    let mappings = from.block_device_mappings().iter();
    Ok(Instance {
        state: instance_state(&id, from.state())?,
        ebs_root: from.root_device_type() == Some(&DeviceType::Ebs),
        hibernation: from.hibernation_options().and_then(sdk::HibernationOptions::configured).unwrap_or(false),
        volumes: mappings.filter_map(|mapping| mapping.ebs()?.volume_id()).map(str::to_owned).collect(),
        image: from.image_id().map(str::to_owned),
        product_codes: !from.product_codes().is_empty(),
        tags: tags(from.tags()),
        id,
    })
}

/// A status of DescribeInstanceStatus.
pub(super) fn status(from: &sdk::InstanceStatus) -> Read<InstanceStatus> {
    let id = id(from.instance_id(), "an instance status")?;
    // No word at all is as good as EC2's own word for it.
    let word = |summary: Option<&sdk::InstanceStatusSummary>| {
        summary.and_then(|summary| summary.status()).map_or("insufficient-data", sdk::SummaryStatus::as_str).to_owned()
    };
    Ok(InstanceStatus {
        state: instance_state(&id, from.instance_state())?,
        system: word(from.system_status()),
        reachability: word(from.instance_status()),
        attached_ebs: from.attached_ebs_status().and_then(|s| s.status()).map(|status| status.as_str().to_owned()),
        instance: id,
    })
}

/// An image of DescribeImages.
pub(super) fn image(from: &sdk::Image) -> Read<Image> {
    let id = id(from.image_id(), "an image")?;
    let reason = from.state_reason().map(|reason| {
        let words: Vec<&str> = [reason.code(), reason.message()].into_iter().flatten().collect();
        words.join(": ")
    });
    let mappings = from.block_device_mappings().iter();
    Ok(Image {
        name: from.name().unwrap_or_default().to_owned(),
        owner: from.owner_id().unwrap_or_default().to_owned(),
        state: image_state(&id, from.state())?,
        state_reason: reason.filter(|words| !words.is_empty()),
        created: date(&id, "CreationDate", from.creation_date())?,
        source_instance: some(from.source_instance_id()),
        source_image: some(from.source_image_id()),
        snapshots: mappings.filter_map(|mapping| mapping.ebs()?.snapshot_id()).map(str::to_owned).collect(),
        product_codes: !from.product_codes().is_empty(),
        deprecated: some(from.deprecation_time()).map(|text| date(&id, "DeprecationTime", Some(&text))).transpose()?,
        tags: tags(from.tags()).into(),
        id,
    })
}

/// A snapshot of DescribeSnapshots.
pub(super) fn snapshot(from: &sdk::Snapshot) -> Read<Snapshot> {
    let id = id(from.snapshot_id(), "a snapshot")?;
    let state = from.state().ok_or_else(|| answer_fault(format!("{id}: the answer holds no state")))?;
    // `vol-ffffffff` stands for "no volume that could be named" (copied snapshots; EC2 user guide).
    let volume = some(from.volume_id()).filter(|volume| volume != "vol-ffffffff");
    let key = key(from.encrypted(), from.kms_key_id());
    let started = from.start_time().and_then(|at| DateTime::from_timestamp(at.secs(), at.subsec_nanos()));
    Ok(Snapshot { volume, state: state.as_str().to_owned(), started, key, tags: tags(from.tags()), id })
}

/// A volume of DescribeVolumes.
pub(super) fn volume(from: &sdk::Volume) -> Read<Volume> {
    Ok(Volume { id: id(from.volume_id(), "a volume")?, key: key(from.encrypted(), from.kms_key_id()) })
}

/// The key of what is encrypted. Without a name it is no key that KMS knows, but not unencrypted either.
fn key(encrypted: Option<bool>, key: Option<&str>) -> Option<String> {
    (encrypted == Some(true)).then(|| some(key).unwrap_or_else(|| UNNAMED_KEY.to_owned()))
}

/// A launch permission.
pub(super) fn launch_permission(of: &str, from: &sdk::LaunchPermission) -> Read<Grantee> {
    let named = [
        from.user_id().map(|user| Grantee::Account(user.to_owned())),
        from.organization_arn().map(|arn| Grantee::Organization(arn.to_owned())),
        from.organizational_unit_arn().map(|arn| Grantee::Unit(arn.to_owned())),
    ];
    grantee(of, named, from.group())
}

/// A permission to make volumes of a snapshot.
pub(super) fn volume_permission(of: &str, from: &sdk::CreateVolumePermission) -> Read<Grantee> {
    grantee(of, [from.user_id().map(|user| Grantee::Account(user.to_owned()))], from.group())
}

fn grantee<const N: usize>(
    of: &str,
    named: [Option<Grantee>; N],
    group: Option<&sdk::PermissionGroup>,
) -> Read<Grantee> {
    match (named.into_iter().flatten().next(), group.map(sdk::PermissionGroup::as_str)) {
        (Some(grantee), None) => Ok(grantee),
        (None, Some("all")) => Ok(Grantee::Everyone),
        (_, group) => Err(unknown_word(format!(
            "{of} is shared with {}, which this version does not know; update stillframe",
            group.map_or_else(|| "nobody that has a name".to_owned(), |group| format!("the group `{group}`"))
        ))),
    }
}

/// One entry to add to the launch permissions of an image, or to remove.
pub(super) fn sdk_launch_permission(to: &Grantee) -> sdk::LaunchPermission {
    let entry = sdk::LaunchPermission::builder();
    match to {
        Grantee::Account(user) => entry.user_id(user),
        Grantee::Organization(arn) => entry.organization_arn(arn),
        Grantee::Unit(arn) => entry.organizational_unit_arn(arn),
        Grantee::Everyone => entry.group(sdk::PermissionGroup::All),
    }
    .build()
}

/// The same of a snapshot, which takes accounts and everyone only.
pub(super) fn sdk_volume_permission(of: &str, to: &Grantee) -> Read<sdk::CreateVolumePermission> {
    let entry = sdk::CreateVolumePermission::builder();
    Ok(match to {
        Grantee::Account(user) => entry.user_id(user),
        Grantee::Everyone => entry.group(sdk::PermissionGroup::All),
        Grantee::Organization(arn) | Grantee::Unit(arn) => {
            return Err(unknown_word(format!("{of}: a snapshot cannot be shared with {arn}, only with accounts")));
        }
    }
    .build())
}

/// Our tags as the SDK's.
pub(super) fn sdk_tags(tags: &Tags) -> Vec<sdk::Tag> {
    tags.iter().map(|(key, value)| sdk::Tag::builder().key(key).value(value).build()).collect()
}

fn tags(from: &[sdk::Tag]) -> Tags {
    let pair = |tag: &sdk::Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    from.iter().filter_map(pair).collect()
}

pub(super) fn some(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn id(id: Option<&str>, what: &str) -> Read<String> {
    some(id).ok_or_else(|| answer_fault(format!("the answer holds {what} without an id")))
}

fn date(id: &str, what: &str, text: Option<&str>) -> Read<DateTime<Utc>> {
    let text = text.unwrap_or_default();
    match DateTime::parse_from_rfc3339(text) {
        Ok(date) => Ok(date.to_utc()),
        Err(_) => Err(unknown_word(format!("{id}: its {what} `{text}` is not an instant"))),
    }
}

fn instance_state(id: &str, state: Option<&sdk::InstanceState>) -> Read<InstanceState> {
    match state.and_then(sdk::InstanceState::name).map_or("", sdk::InstanceStateName::as_str) {
        "pending" => Ok(InstanceState::Pending),
        "running" => Ok(InstanceState::Running),
        "shutting-down" => Ok(InstanceState::ShuttingDown),
        "terminated" => Ok(InstanceState::Terminated),
        "stopping" => Ok(InstanceState::Stopping),
        "stopped" => Ok(InstanceState::Stopped),
        other => Err(unknown_state(id, other)),
    }
}

fn image_state(id: &str, state: Option<&sdk::ImageState>) -> Read<ImageState> {
    match state.map_or("", sdk::ImageState::as_str) {
        "pending" => Ok(ImageState::Pending),
        "available" => Ok(ImageState::Available),
        "invalid" => Ok(ImageState::Invalid),
        "deregistered" => Ok(ImageState::Deregistered),
        "transient" => Ok(ImageState::Transient),
        "failed" => Ok(ImageState::Failed),
        "error" => Ok(ImageState::Error),
        "disabled" => Ok(ImageState::Disabled),
        other => Err(unknown_state(id, other)),
    }
}

/// The Allowed AMIs setting, of these criteria.
pub(super) fn allowed_images(enabled: bool, criteria: &[sdk::ImageCriterion]) -> AllowedImages {
    AllowedImages {
        enabled,
        providers: criteria.iter().flat_map(|criterion| criterion.image_providers()).cloned().collect(),
        by_other_means: criteria.iter().any(|criterion| criterion.image_providers().is_empty()),
    }
}

fn unknown_state(id: &str, word: &str) -> Fault {
    unknown_word(format!("{id} is in the state `{word}`, which this version does not know; update stillframe"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::classify::Class;

    fn sdk_image(state: &str, created: &str) -> sdk::Image {
        let ebs = |snapshot: &str| sdk::EbsBlockDevice::builder().snapshot_id(snapshot).build();
        sdk::Image::builder()
            .image_id("ami-1")
            .name("n")
            .owner_id("111111111111")
            .state(state.into())
            .creation_date(created)
            .source_instance_id("i-1")
            .state_reason(sdk::StateReason::builder().code("Client.X").message("why").build())
            .block_device_mappings(sdk::BlockDeviceMapping::builder().device_name("/dev/a").ebs(ebs("snap-1")).build())
            .block_device_mappings(sdk::BlockDeviceMapping::builder().device_name("/dev/b").virtual_name("e0").build())
            .block_device_mappings(sdk::BlockDeviceMapping::builder().device_name("/dev/c").ebs(ebs("snap-2")).build())
            .tags(sdk::Tag::builder().key("k").value("v").build())
            .build()
    }

    #[test]
    fn an_image_keeps_all_that_ownership_needs() {
        let image = image(&sdk_image("available", "2026-11-20T02:31:04.000Z")).expect("known words");
        assert_eq!(image.created.to_rfc3339(), "2026-11-20T02:31:04+00:00");
        assert_eq!(image.snapshots, ["snap-1", "snap-2"]);
        assert_eq!(image.state_reason.as_deref(), Some("Client.X: why"));
        assert_eq!((image.source_instance.as_deref(), image.source_image), (Some("i-1"), None));
        assert_eq!(image.tags.get("k").map(String::as_str), Some("v"));
    }

    #[test]
    fn what_is_encrypted_is_never_read_as_unencrypted() {
        let volume_of = |encrypted: Option<bool>, key: &str| {
            let from = sdk::Volume::builder().volume_id("vol-1").set_encrypted(encrypted).kms_key_id(key).build();
            volume(&from).expect("a volume").key
        };
        assert_eq!(volume_of(Some(true), "arn:k").as_deref(), Some("arn:k"));
        assert_eq!(volume_of(Some(true), "").as_deref(), Some(UNNAMED_KEY));
        assert_eq!((volume_of(Some(false), "arn:k"), volume_of(None, "")), (None, None));
    }

    #[test]
    fn who_an_image_is_shared_with_is_read_as_it_is_written() {
        let arn = "arn:aws:organizations::111111111111:organization/o-1".to_owned();
        let unit = "arn:aws:organizations::111111111111:ou/o-1/ou-1".to_owned();
        let all = [Grantee::Account("222222222222".into()), Grantee::Organization(arn), Grantee::Unit(unit.clone())];
        for grantee in all.into_iter().chain([Grantee::Everyone]) {
            assert_eq!(launch_permission("ami-1", &sdk_launch_permission(&grantee)), Ok(grantee.clone()));
            match sdk_volume_permission("snap-1", &grantee) {
                Ok(entry) => assert_eq!(volume_permission("snap-1", &entry), Ok(grantee)),
                Err(fault) => assert!(fault.message.contains("only with accounts"), "{fault}"),
            }
        }
        assert!(sdk_volume_permission("snap-1", &Grantee::Unit(unit)).is_err());
        for entry in [
            sdk::LaunchPermission::builder().group("some".into()).build(),
            sdk::LaunchPermission::builder().build(),
            sdk::LaunchPermission::builder().user_id("1").group("some".into()).build(),
        ] {
            assert_eq!(launch_permission("ami-1", &entry).map_err(|fault| fault.class), Err(Class::Final));
        }
    }

    #[test]
    fn providers_tell_only_where_each_criterion_names_some() {
        let of = |providers: &[&str]| {
            let providers = providers.iter().map(|provider| (*provider).to_owned()).collect();
            sdk::ImageCriterion::builder().set_image_providers(Some(providers)).build()
        };
        let names = || sdk::ImageCriterion::builder().image_names("stillframe/*").build();
        let named_of = sdk::ImageCriterion::builder().image_names("a*").image_providers("amazon").build();
        for (criteria, hidden, seen) in [
            // What the setting does without any criteria is documented nowhere: certain is nothing.
            (vec![], vec![], vec!["amazon", "222222222222"]),
            (vec![of(&["amazon"])], vec!["222222222222"], vec!["amazon"]),
            (vec![of(&["amazon"]), of(&["111111111111"])], vec!["222222222222"], vec!["amazon", "111111111111"]),
            (vec![named_of], vec!["222222222222"], vec!["amazon"]),
            (vec![of(&["amazon"]), names()], vec![], vec!["amazon", "222222222222"]),
            (vec![of(&[]), of(&["amazon"])], vec![], vec!["amazon", "222222222222"]),
        ] {
            let (on, off) = (allowed_images(true, &criteria), allowed_images(false, &criteria));
            assert!(hidden.iter().all(|account| on.hides(account) && !off.hides(account)), "{on:?}");
            assert!(!seen.iter().any(|account| on.hides(account) || off.hides(account)), "{on:?}");
        }
    }

    #[test]
    fn every_state_goes_there_and_back_and_an_unknown_one_is_named() {
        for word in ["pending", "available", "invalid", "deregistered", "transient", "failed", "error", "disabled"] {
            let state = image(&sdk_image(word, "2026-11-20T02:31:04Z")).expect(word).state;
            assert_eq!(state.as_str(), word);
        }
        for word in ["pending", "running", "shutting-down", "terminated", "stopping", "stopped"] {
            let name = sdk::InstanceState::builder().name(word.into()).build();
            assert_eq!(instance_state("i-1", Some(&name)).map(InstanceState::as_str), Ok(word));
        }
        let fault = image(&sdk_image("frozen", "2026-11-20T02:31:04Z")).expect_err("not a word of EC2's");
        assert_eq!(fault.class, Class::Final);
        assert_eq!(
            fault.message,
            "ami-1 is in the state `frozen`, which this version does not know; update stillframe"
        );
        let fault = image(&sdk_image("available", "yesterday")).expect_err("no instant");
        assert_eq!(fault.message, "ami-1: its CreationDate `yesterday` is not an instant");
    }
}
