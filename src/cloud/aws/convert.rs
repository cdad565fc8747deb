//! From the SDK's types to the domain's: never a guess about a word that this version does not know.

use aws_sdk_ec2::types::{self as sdk, DeviceType};
use chrono::{DateTime, Utc};

use super::error::unknown_word;
use crate::cloud::port::{AllowedImages, Read};
use crate::domain::observed::{
    Image, ImageState, Instance, InstanceState, InstanceStatus, Snapshot, Tags, Volume, unknown_state, unreadable_date,
};
use crate::domain::sharing::Grantee;

/// What stands for the key of what is encrypted without a `KmsKeyId` (the API reserves that): KMS knows none of this
/// name, so that nothing is copied or lent on a guess.
const UNNAMED_KEY: &str = "unnamed";

/// An instance of DescribeInstances; nothing if the answer does not name it. What cannot be read is said of it alone.
pub(super) fn instance(from: &sdk::Instance) -> Option<Instance> {
    let word = state_word(from.state());
    let state = instance_state(word);
    let mappings = from.block_device_mappings().iter();
    Some(Instance {
        id: some(from.instance_id())?,
        state: state.unwrap_or(InstanceState::Unknown),
        ebs_root: from.root_device_type() == Some(&DeviceType::Ebs),
        hibernation: from.hibernation_options().and_then(sdk::HibernationOptions::configured).unwrap_or(false),
        volumes: mappings.filter_map(|mapping| mapping.ebs()?.volume_id()).map(str::to_owned).collect(),
        image: from.image_id().map(str::to_owned),
        product_codes: !from.product_codes().is_empty(),
        managed_by: from.operator().and_then(operator),
        tags: tags(from.tags()),
        odd: state.is_none().then(|| unknown_state(word)),
    })
}

/// Who manages it, where somebody does.
fn operator(from: &sdk::OperatorResponse) -> Option<String> {
    let by = || from.principal().unwrap_or("a service of AWS").to_owned();
    from.managed().unwrap_or(false).then(by)
}

/// A status of DescribeInstanceStatus; nothing if the answer does not say whose.
pub(super) fn status(from: &sdk::InstanceStatus) -> Option<InstanceStatus> {
    // No word at all is as good as EC2's own word for it.
    let word = |summary: Option<&sdk::InstanceStatusSummary>| {
        summary.and_then(|summary| summary.status()).map_or("insufficient-data", sdk::SummaryStatus::as_str).to_owned()
    };
    Some(InstanceStatus {
        instance: some(from.instance_id())?,
        state: instance_state(state_word(from.instance_state())).unwrap_or(InstanceState::Unknown),
        system: word(from.system_status()),
        reachability: word(from.instance_status()),
        attached_ebs: from.attached_ebs_status().and_then(|s| s.status()).map(|status| status.as_str().to_owned()),
    })
}

/// An image of DescribeImages; nothing if the answer does not name it. What cannot be read is said of it alone.
pub(super) fn image(from: &sdk::Image) -> Option<Image> {
    let reason = from.state_reason().map(|reason| {
        let words: Vec<&str> = [reason.code(), reason.message()].into_iter().flatten().collect();
        words.join(": ")
    });
    let mut odd = Vec::new();
    let word = from.state().map_or("", sdk::ImageState::as_str);
    let state = image_state(word);
    if state.is_none() {
        odd.push(unknown_state(word));
    }
    let created = date(from.creation_date());
    if created.is_none() {
        odd.push(unreadable_date("CreationDate", from.creation_date().unwrap_or_default()));
    }
    let deprecated = some(from.deprecation_time());
    let deprecated_at = date(deprecated.as_deref());
    if let (Some(text), None) = (&deprecated, deprecated_at) {
        odd.push(unreadable_date("DeprecationTime", text));
    }
    let mappings = from.block_device_mappings().iter();
    let snapshots: Vec<String> = mappings.filter_map(|m| m.ebs()?.snapshot_id()).map(str::to_owned).collect();
    if state == Some(ImageState::Available) && snapshots.is_empty() && from.root_device_type() == Some(&DeviceType::Ebs)
    {
        odd.push("it is available and names no snapshot of its disk".into());
    }
    Some(Image {
        id: some(from.image_id())?,
        name: from.name().unwrap_or_default().to_owned(),
        owner: from.owner_id().unwrap_or_default().to_owned(),
        state: state.unwrap_or(ImageState::Unknown),
        state_reason: reason.filter(|words| !words.is_empty()),
        created,
        source_instance: some(from.source_instance_id()),
        source_image: some(from.source_image_id()),
        snapshots,
        product_codes: !from.product_codes().is_empty(),
        deprecated: deprecated_at,
        tags: tags(from.tags()).into(),
        odd: (!odd.is_empty()).then(|| odd.join("; ")),
    })
}

/// A snapshot of DescribeSnapshots; nothing if the answer does not name it.
pub(super) fn snapshot(from: &sdk::Snapshot) -> Option<Snapshot> {
    // `vol-ffffffff` stands for "no volume that could be named" (copied snapshots; EC2 user guide).
    let volume = some(from.volume_id()).filter(|volume| volume != "vol-ffffffff");
    Some(Snapshot {
        id: some(from.snapshot_id())?,
        volume,
        description: some(from.description()),
        state: from.state().map_or("unknown", sdk::SnapshotState::as_str).to_owned(),
        started: from.start_time().and_then(|at| DateTime::from_timestamp(at.secs(), at.subsec_nanos())),
        key: key(from.encrypted(), from.kms_key_id()),
        tags: tags(from.tags()),
    })
}

/// A volume of DescribeVolumes; nothing if the answer does not name it.
pub(super) fn volume(from: &sdk::Volume) -> Option<Volume> {
    Some(Volume { id: some(from.volume_id())?, key: key(from.encrypted(), from.kms_key_id()) })
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

fn date(text: Option<&str>) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text?).ok().map(|date| date.to_utc())
}

fn state_word(state: Option<&sdk::InstanceState>) -> &str {
    state.and_then(sdk::InstanceState::name).map_or("", sdk::InstanceStateName::as_str)
}

fn instance_state(word: &str) -> Option<InstanceState> {
    Some(match word {
        "pending" => InstanceState::Pending,
        "running" => InstanceState::Running,
        "shutting-down" => InstanceState::ShuttingDown,
        "terminated" => InstanceState::Terminated,
        "stopping" => InstanceState::Stopping,
        "stopped" => InstanceState::Stopped,
        _ => return None,
    })
}

fn image_state(word: &str) -> Option<ImageState> {
    Some(match word {
        "pending" => ImageState::Pending,
        "available" => ImageState::Available,
        "invalid" => ImageState::Invalid,
        "deregistered" => ImageState::Deregistered,
        "transient" => ImageState::Transient,
        "failed" => ImageState::Failed,
        "error" => ImageState::Error,
        "disabled" => ImageState::Disabled,
        _ => return None,
    })
}

/// The Allowed AMIs setting, of these criteria.
pub(super) fn allowed_images(enabled: bool, criteria: &[sdk::ImageCriterion]) -> AllowedImages {
    AllowedImages {
        enabled,
        providers: criteria.iter().flat_map(|criterion| criterion.image_providers()).cloned().collect(),
        by_other_means: criteria.iter().any(|criterion| criterion.image_providers().is_empty()),
    }
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
        assert_eq!(image.created.map(|at| at.to_rfc3339()).as_deref(), Some("2026-11-20T02:31:04+00:00"));
        assert_eq!(image.odd, None);
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
            assert_eq!(instance_state(word).map(InstanceState::as_str), Some(word));
        }
    }

    /// One thing that cannot be read stands for itself alone.
    #[test]
    fn what_cannot_be_read_is_said_of_that_thing() {
        let frozen = image(&sdk_image("frozen", "2026-11-20T02:31:04Z")).expect("an image");
        assert_eq!(frozen.state, ImageState::Unknown);
        let what = "its state is `frozen`, which this version does not know: update stillframe";
        assert_eq!(frozen.odd.as_deref(), Some(what));
        for (date, what) in
            [("yesterday", "its CreationDate `yesterday` is not an instant"), ("", "AWS tells no CreationDate")]
        {
            let undated = image(&sdk_image("available", date)).expect("an image");
            assert_eq!((undated.state, undated.created), (ImageState::Available, None));
            assert_eq!(undated.odd.as_deref(), Some(what));
        }
        let bare = sdk::Image::builder().image_id("ami-1").state(sdk::ImageState::Available);
        let bare = bare.creation_date("2026-11-20T02:31:04Z");
        let without = image(&bare.clone().root_device_type(DeviceType::Ebs).build()).expect("an image");
        assert!(without.odd.is_some_and(|odd| odd.contains("no snapshot")), "nothing could be restored from it");
        assert_eq!(image(&bare.root_device_type(DeviceType::InstanceStore).build()).expect("an image").odd, None);
        let state = sdk::InstanceState::builder().name("hibernating".into()).build();
        let strange = instance(&sdk::Instance::builder().instance_id("i-1").state(state).build()).expect("an instance");
        assert_eq!(strange.state, InstanceState::Unknown);
        assert!(strange.odd.is_some_and(|odd| odd.contains("`hibernating`")));
        assert_eq!(instance(&sdk::Instance::builder().build()), None);
        assert_eq!(image(&sdk::Image::builder().build()), None);
    }
}
