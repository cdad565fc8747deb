//! From the SDK's types to the domain's: never a guess about a word that this version does not know.

use aws_sdk_ec2::types::{self as sdk, DeviceType};
use chrono::{DateTime, Utc};

use super::error::{answer_fault, unknown_word};
use crate::cloud::port::{Fault, Read};
use crate::domain::observed::{Image, ImageState, Instance, InstanceState, InstanceStatus, Snapshot, Tags};

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
        created: date(&id, from.creation_date())?,
        source_instance: some(from.source_instance_id()),
        source_image: some(from.source_image_id()),
        snapshots: mappings.filter_map(|mapping| mapping.ebs()?.snapshot_id()).map(str::to_owned).collect(),
        product_codes: !from.product_codes().is_empty(),
        deprecated: some(from.deprecation_time()).map(|text| date(&id, Some(&text))).transpose()?,
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
    let key = some(from.kms_key_id()).filter(|_| from.encrypted() == Some(true));
    Ok(Snapshot { volume, state: state.as_str().to_owned(), key, tags: tags(from.tags()), id })
}

/// Our tags as the SDK's.
pub(super) fn sdk_tags(tags: &Tags) -> Vec<sdk::Tag> {
    tags.iter().map(|(key, value)| sdk::Tag::builder().key(key).value(value).build()).collect()
}

fn tags(from: &[sdk::Tag]) -> Tags {
    let pair = |tag: &sdk::Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    from.iter().filter_map(pair).collect()
}

fn some(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn id(id: Option<&str>, what: &str) -> Read<String> {
    some(id).ok_or_else(|| answer_fault(format!("the answer holds {what} without an id")))
}

fn date(id: &str, text: Option<&str>) -> Read<DateTime<Utc>> {
    let text = text.unwrap_or_default();
    match DateTime::parse_from_rfc3339(text) {
        Ok(date) => Ok(date.to_utc()),
        Err(_) => Err(unknown_word(format!("{id}: its CreationDate `{text}` is not an instant"))),
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
