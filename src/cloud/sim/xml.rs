//! Writing answers as the EC2 and STS Query protocols do. Element names: the `xmlName`s of the EC2 API model.

use std::fmt::{Display, Write as _};

use chrono::{DateTime, Utc};

use super::action::Action;
use super::answer::{Answer, Change, Checks, Page, Seen};
use super::error::ApiError;
use super::image::SimImage;
use super::instance::SimInstance;
use super::snapshot::SimSnapshot;
use super::volume::SimVolume;
use crate::domain::observed::{ImageState, InstanceState, Tags};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const EC2: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// A document under construction.
struct Xml(String);

impl Xml {
    fn leaf(&mut self, name: &str, value: impl Display) {
        self.node(name, |xml| xml.text(&value.to_string()));
    }

    fn node(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
        inside(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    fn root(&mut self, name: &str, namespace: &str, inside: impl FnOnce(&mut Self)) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{HEAD}<{name} xmlns=\"{namespace}\">");
        inside(self);
        let _ = write!(self.0, "</{name}>");
    }

    fn set<T>(&mut self, name: &str, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        self.node(name, |xml| {
            for one in items {
                xml.node("item", |xml| item(xml, one));
            }
        });
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\r' => self.0.push_str("&#13;"),
                // XML 1.0 has no other control characters.
                c if c.is_control() && c != '\n' && c != '\t' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }

    fn tags(&mut self, tags: &Tags) {
        self.set("tagSet", tags, |xml, (key, value)| {
            xml.leaf("key", key);
            xml.leaf("value", value);
        });
    }

    fn page<T>(&mut self, name: &str, page: &Page<T>, item: impl FnMut(&mut Self, &T)) {
        self.set(name, &page.items, item);
        if let Some(token) = &page.next {
            self.leaf("nextToken", token);
        }
    }

    fn state(&mut self, name: &str, state: InstanceState) {
        self.node(name, |xml| {
            xml.leaf("code", state_code(state));
            xml.leaf("name", state.as_str());
        });
    }
}

/// The document for `answer` to `action`.
#[must_use]
pub fn answer(action: &Action, answer: &Answer, request_id: &str) -> String {
    let mut xml = Xml(String::new());
    let root = format!("{}Response", action.api());
    if let Answer::Identity { account, arn } = answer {
        xml.root(&root, STS, |xml| {
            xml.node("GetCallerIdentityResult", |xml| {
                xml.leaf("Arn", arn);
                xml.leaf("UserId", format!("AIDA{account}SIMULATED"));
                xml.leaf("Account", account);
            });
            xml.node("ResponseMetadata", |xml| xml.leaf("RequestId", request_id));
        });
        return xml.0;
    }
    xml.root(&root, EC2, |xml| {
        xml.leaf("requestId", request_id);
        match answer {
            Answer::Instances(page) => xml.page("reservationSet", page, |xml, seen| {
                reservation(xml, &seen.it.place.account, std::slice::from_ref(seen));
            }),
            Answer::Statuses(page) => xml.page("instanceStatusSet", page, status),
            Answer::Volumes(page) => xml.page("volumeSet", page, volume),
            Answer::Images(page) => xml.page("imagesSet", page, image),
            Answer::Snapshots(page) => xml.page("snapshotSet", page, snapshot),
            Answer::Image(id) => xml.leaf("imageId", id),
            Answer::Deregistered(ends) => {
                xml.leaf("return", true);
                xml.set("deleteSnapshotResultSet", ends, |xml, (id, code)| {
                    xml.leaf("snapshotId", id);
                    xml.leaf("returnCode", code);
                });
            }
            Answer::Changes(changes) => xml.set("instancesSet", changes, change),
            Answer::Launched(instances) => {
                let account = instances.first().map_or("", |seen| seen.it.place.account.as_str());
                reservation(xml, account, instances);
            }
            Answer::Done => xml.leaf("return", true),
            Answer::Identity { .. } => {}
        }
    });
    xml.0
}

/// The error document: EC2's own shape, or that of STS.
#[must_use]
pub fn error(error: &ApiError, request_id: &str, sts: bool) -> String {
    let mut xml = Xml(String::new());
    if sts {
        xml.root("ErrorResponse", STS, |xml| {
            xml.node("Error", |xml| {
                xml.leaf("Type", if error.status < 500 { "Sender" } else { "Receiver" });
                xml.leaf("Code", &error.code);
                xml.leaf("Message", &error.message);
            });
            xml.leaf("RequestId", request_id);
        });
        return xml.0;
    }
    xml.0.push_str(HEAD);
    xml.node("Response", |xml| {
        xml.node("Errors", |xml| {
            xml.node("Error", |xml| {
                xml.leaf("Code", &error.code);
                xml.leaf("Message", &error.message);
            });
        });
        xml.leaf("RequestID", request_id);
    });
    xml.0
}

fn at(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// API reference, InstanceState: the low byte of the code.
fn state_code(state: InstanceState) -> u8 {
    match state {
        InstanceState::Pending => 0,
        InstanceState::Running => 16,
        InstanceState::ShuttingDown => 32,
        InstanceState::Terminated => 48,
        InstanceState::Stopping => 64,
        InstanceState::Stopped => 80,
    }
}

fn reservation(xml: &mut Xml, account: &str, instances: &[Seen<SimInstance, InstanceState>]) {
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
    xml.state("instanceState", seen.state);
    xml.leaf("amiLaunchIndex", 0);
    xml.leaf("instanceType", "t3.micro");
    xml.leaf("launchTime", at(it.launched));
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
    xml.node("hibernationOptions", |xml| xml.leaf("configured", it.hibernation));
}

fn status(xml: &mut Xml, checks: &Checks) {
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
    xml.state("instanceState", checks.state);
    summary(xml, "systemStatus", checks.system);
    summary(xml, "instanceStatus", checks.reachability);
}

fn volume(xml: &mut Xml, it: &SimVolume) {
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
    xml.leaf("encrypted", false);
    xml.tags(&it.tags);
    // Multi-Attach is for io1 and io2 only (user guide).
    xml.leaf("volumeType", if it.multi_attach { "io2" } else { "gp3" });
    xml.leaf("multiAttachEnabled", it.multi_attach);
}

fn image(xml: &mut Xml, seen: &Seen<SimImage, ImageState>) {
    let it = &seen.it;
    xml.leaf("imageId", &it.id);
    xml.leaf("imageLocation", format!("{}/{}", it.place.account, it.name));
    xml.leaf("imageState", seen.state.as_str());
    xml.leaf("imageOwnerId", &it.place.account);
    xml.leaf("creationDate", at(it.created));
    xml.leaf("isPublic", false);
    xml.leaf("architecture", "x86_64");
    xml.leaf("imageType", "machine");
    xml.leaf("name", &it.name);
    xml.leaf("description", &it.description);
    xml.leaf("rootDeviceType", "ebs");
    xml.leaf("rootDeviceName", it.mappings.first().map_or("/dev/xvda", |(device, ..)| device));
    xml.set("blockDeviceMapping", &it.mappings, |xml, (device, snapshot, size)| {
        xml.leaf("deviceName", device);
        xml.node("ebs", |xml| {
            xml.leaf("snapshotId", snapshot);
            xml.leaf("volumeSize", size);
            xml.leaf("deleteOnTermination", true);
            xml.leaf("volumeType", "gp3");
            xml.leaf("encrypted", false);
        });
    });
    xml.leaf("virtualizationType", "hvm");
    xml.leaf("hypervisor", "xen");
    xml.leaf("enaSupport", true);
    xml.tags(&it.tags);
    if let Some((code, message)) = SimImage::state_reason(seen.state) {
        xml.node("stateReason", |xml| {
            xml.leaf("code", code);
            xml.leaf("message", message);
        });
    }
    let sources = [
        ("sourceInstanceId", &it.source_instance),
        ("sourceImageId", &it.source_image),
        ("sourceImageRegion", &it.source_region),
    ];
    for (name, value) in sources {
        if let Some(value) = value {
            xml.leaf(name, value);
        }
    }
}

fn snapshot(xml: &mut Xml, seen: &Seen<SimSnapshot, &'static str>) {
    let it = &seen.it;
    xml.leaf("snapshotId", &it.id);
    xml.leaf("volumeId", &it.volume);
    xml.leaf("status", seen.state);
    xml.leaf("startTime", at(it.created));
    xml.leaf("progress", if seen.state == "completed" { "100%" } else { "0%" });
    xml.leaf("ownerId", &it.place.account);
    xml.leaf("volumeSize", it.size);
    xml.leaf("description", &it.description);
    xml.leaf("encrypted", false);
    xml.tags(&it.tags);
    xml.leaf("storageTier", "standard");
}

fn change(xml: &mut Xml, change: &Change) {
    xml.leaf("instanceId", &change.instance);
    xml.state("currentState", change.current);
    xml.state("previousState", change.previous);
}
