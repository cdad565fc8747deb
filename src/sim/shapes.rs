//! The objects in answers, element by element. Element names: the `xmlName`s of the EC2 API model.

use chrono::{DateTime, Utc};

use super::answer::{Change, Checks, Seen};
use super::image::{Odd, SimImage};
use super::instance::SimInstance;
use super::snapshot::SimSnapshot;
use super::volume::SimVolume;
use super::xml::Xml;
use crate::domain::observed::{ImageState, InstanceState, Shared};
use crate::domain::sharing::Grantee;

fn at(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// API reference, InstanceState: the low byte of the code.
pub(super) fn state_code(state: InstanceState) -> u8 {
    match state {
        InstanceState::Pending => 0,
        InstanceState::Running => 16,
        InstanceState::ShuttingDown => 32,
        InstanceState::Terminated => 48,
        InstanceState::Stopping => 64,
        InstanceState::Stopped => 80,
        InstanceState::Unknown => 96, // none of this world's is
    }
}

pub(super) fn reservation(xml: &mut Xml, account: &str, instances: &[Seen<SimInstance, InstanceState>]) {
    // Each instance here has a reservation of its own, named like it.
    let id = instances.first().map_or("", |seen| seen.it.id.trim_start_matches("i-"));
    xml.leaf("reservationId", format!("r-{id}"));
    xml.leaf("ownerId", account);
    xml.node("groupSet", |_| {});
    xml.set("instancesSet", instances, instance);
}

fn instance(xml: &mut Xml, seen: &Seen<SimInstance, InstanceState>) {
    let it = &seen.it;
    xml.leaf("instanceId", &it.id);
    if let Some(image) = &it.image {
        xml.leaf("imageId", image);
    }
    let word = it.traits.state_word.as_deref().unwrap_or(seen.state.as_str());
    xml.state_word("instanceState", seen.state, word);
    if it.traits.unreadable {
        xml.leaf("amiLaunchIndex", "first");
    } else {
        xml.leaf("amiLaunchIndex", 0);
    }
    if it.traits.product_codes {
        product_codes(xml);
    }
    xml.leaf("instanceType", "t3.micro");
    xml.leaf("launchTime", if it.traits.unreadable { "yesterday".to_owned() } else { at(it.launched) });
    xml.node("placement", |xml| {
        xml.leaf("availabilityZone", format!("{}a", it.place.region));
        xml.leaf("tenancy", "default");
    });
    xml.node("monitoring", |xml| xml.leaf("state", "disabled"));
    xml.leaf("architecture", "x86_64");
    xml.leaf("rootDeviceType", if it.ebs_root { "ebs" } else { "instance-store" });
    xml.leaf("rootDeviceName", "/dev/xvda");
    xml.set("blockDeviceMapping", &it.volumes, |xml, (device, volume)| {
        xml.leaf("deviceName", device);
        xml.node("ebs", |xml| {
            xml.leaf("volumeId", volume);
            xml.leaf("status", "attached");
            xml.leaf("attachTime", at(it.launched));
            xml.leaf("deleteOnTermination", true);
        });
    });
    xml.leaf("virtualizationType", "hvm");
    xml.leaf("hypervisor", "xen");
    xml.tags(&it.tags);
    if let Some(by) = &it.traits.managed_by {
        xml.node("operator", |xml| {
            xml.leaf("managed", true);
            xml.leaf("principal", by);
        });
    }
    xml.node("hibernationOptions", |xml| xml.leaf("configured", it.hibernation));
}

pub(super) fn status(xml: &mut Xml, checks: &Checks) {
    let summary = |xml: &mut Xml, name: &str, status: &str| {
        xml.node(name, |xml| {
            xml.leaf("status", status);
            if status != "not-applicable" {
                let word = match status {
                    "ok" => "passed",
                    "impaired" => "failed",
                    other => other,
                };
                xml.set("details", [word], |xml, word| {
                    xml.leaf("name", "reachability");
                    xml.leaf("status", word);
                });
            }
        });
    };
    xml.leaf("instanceId", &checks.instance);
    xml.leaf("availabilityZone", format!("{}a", checks.region));
    xml.state_word("instanceState", checks.state, &checks.state_word);
    summary(xml, "systemStatus", checks.system);
    summary(xml, "instanceStatus", checks.reachability);
    if let Some(word) = checks.attached_ebs {
        summary(xml, "attachedEbsStatus", word);
    }
}

pub(super) fn volume(xml: &mut Xml, it: &SimVolume) {
    xml.leaf("volumeId", &it.id);
    xml.leaf("size", it.size);
    xml.leaf("availabilityZone", format!("{}a", it.place.region));
    xml.leaf("status", "in-use");
    xml.leaf("createTime", at(it.created));
    xml.set("attachmentSet", [it], |xml, it| {
        xml.leaf("volumeId", &it.id);
        xml.leaf("instanceId", &it.instance);
        xml.leaf("device", &it.device);
        xml.leaf("status", "attached");
        xml.leaf("attachTime", at(it.created));
        xml.leaf("deleteOnTermination", true);
    });
    encryption(xml, it.key.as_deref());
    xml.tags(&it.tags);
    // Multi-Attach is for io1 and io2 only (user guide).
    xml.leaf("volumeType", if it.multi_attach { "io2" } else { "gp3" });
    xml.leaf("multiAttachEnabled", it.multi_attach);
}

pub(super) fn image(xml: &mut Xml, seen: &Seen<Shared<SimImage>, ImageState>) {
    let it = &seen.it;
    xml.leaf("imageId", &it.id);
    xml.leaf("imageLocation", format!("{}/{}", it.place.account, it.name));
    match &it.odd {
        Some(Odd::State(word)) => xml.leaf("imageState", word),
        _ => xml.leaf("imageState", seen.state.as_str()),
    }
    xml.leaf("imageOwnerId", &it.place.account);
    if it.odd != Some(Odd::Undated) {
        xml.leaf("creationDate", at(it.created));
    }
    xml.leaf("isPublic", it.lent.contains(&Grantee::Everyone));
    if it.product_codes {
        product_codes(xml);
    }
    xml.leaf("architecture", "x86_64");
    xml.leaf("imageType", "machine");
    xml.leaf("name", &it.name);
    xml.leaf("description", &it.description);
    xml.leaf("rootDeviceType", "ebs");
    xml.leaf("rootDeviceName", it.mappings.first().map_or("/dev/xvda", |(device, ..)| device));
    xml.set("blockDeviceMapping", it.shown(seen.state), |xml, (device, snapshot, size)| {
        xml.leaf("deviceName", device);
        xml.node("ebs", |xml| {
            if let Some(snapshot) = snapshot {
                xml.leaf("snapshotId", snapshot);
            }
            match it.odd {
                Some(Odd::Number) => xml.leaf("volumeSize", "many"),
                _ => xml.leaf("volumeSize", size),
            }
            xml.leaf("deleteOnTermination", true);
            xml.leaf("volumeType", "gp3");
        });
    });
    xml.leaf("virtualizationType", "hvm");
    xml.leaf("hypervisor", "xen");
    xml.leaf("enaSupport", true);
    xml.tags(&it.tags);
    if let Some((code, message)) = it.state_reason(seen.state) {
        xml.node("stateReason", |xml| {
            xml.leaf("code", code);
            xml.leaf("message", message);
        });
    }
    if let Some(time) = it.deprecated {
        xml.leaf("deprecationTime", at(time));
    }
    let sources = [
        ("sourceInstanceId", it.sources(seen.state).0),
        ("sourceImageId", it.sources(seen.state).1),
        ("sourceImageRegion", it.source_region.as_deref()),
    ];
    for (name, value) in sources {
        if let Some(value) = value {
            xml.leaf(name, value);
        }
    }
}

pub(super) fn snapshot(xml: &mut Xml, seen: &Seen<SimSnapshot, &'static str>) {
    let it = &seen.it;
    xml.leaf("snapshotId", &it.id);
    xml.leaf("volumeId", &it.volume);
    xml.leaf("status", seen.state);
    xml.leaf("startTime", at(it.start_time()));
    xml.leaf("progress", if seen.state == "completed" { "100%" } else { "0%" });
    xml.leaf("ownerId", &it.place.account);
    xml.leaf("volumeSize", it.size);
    xml.leaf("description", &it.description);
    encryption(xml, it.key.as_deref());
    xml.tags(&it.tags);
    xml.leaf("storageTier", "standard");
}

fn encryption(xml: &mut Xml, key: Option<&str>) {
    xml.leaf("encrypted", key.is_some());
    if let Some(key) = key {
        xml.leaf("kmsKeyId", key);
    }
}

/// What a product of the AWS Marketplace bears.
fn product_codes(xml: &mut Xml) {
    xml.set("productCodes", ["simulated"], |xml, code| {
        xml.leaf("productCode", code);
        xml.leaf("type", "marketplace");
    });
}

pub(super) fn grantee(xml: &mut Xml, to: &Grantee) {
    match to {
        Grantee::Account(user) => xml.leaf("userId", user),
        Grantee::Organization(arn) => xml.leaf("organizationArn", arn),
        Grantee::Unit(arn) => xml.leaf("organizationalUnitArn", arn),
        Grantee::Everyone => xml.leaf("group", "all"),
    }
}

pub(super) fn change(xml: &mut Xml, change: &Change) {
    xml.leaf("instanceId", &change.instance);
    xml.state("currentState", change.current);
    xml.state("previousState", change.previous);
}
