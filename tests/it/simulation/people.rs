//! What people do at the console, to images and instances of ours.

mod afar;

use std::fmt;

use stillframe::domain::event::gone;
use stillframe::sim::action::{Action, TagSpec};
use stillframe::sim::image::SimImage;

use super::rig::Rig;
use super::truth;
pub use afar::ACTS_AFAR;

/// One kind of deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    CopyWithTags,
    EditTag,
    DropTag,
    DropTags,
    Hold,
    Release,
    Stop,
    Start,
    Terminate,
    Heal,
    Spoil,
    Launch,
    Register,
    Deregister,
    Destroy,
    Share,
    Unshare,
    EditLent,
    HoldCopy,
    ReleaseCopy,
    DestroyCopy,
    UntagCopy,
}

/// Those that need no copies, with their names in the figures.
pub const ACTS: [(Act, &str); 15] = [
    (Act::CopyWithTags, "copy an image with its tags"),
    (Act::EditTag, "edit a tag"),
    (Act::DropTag, "remove a tag"),
    (Act::DropTags, "remove all tags"),
    (Act::Hold, "hold an image"),
    (Act::Release, "release a hold"),
    (Act::Stop, "stop an instance"),
    (Act::Start, "start an instance"),
    (Act::Terminate, "terminate an instance"),
    (Act::Heal, "heal an instance"),
    (Act::Spoil, "let images fail, or no more"),
    (Act::Launch, "launch an image"),
    (Act::Register, "register an image over our snapshots"),
    (Act::Deregister, "deregister an image"),
    (Act::Destroy, "deregister an image with its snapshots"),
];

/// One deed, to the so-manieth image or instance that there is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    pub act: Act,
    pub nth: usize,
}

impl Deed {
    pub fn name(self) -> &'static str {
        ACTS.iter().chain(&ACTS_AFAR).find(|(act, _)| *act == self.act).map_or("?", |(_, name)| name)
    }

    /// Whether the world let it happen.
    pub fn carry_out(self, rig: &mut Rig) -> bool {
        let done = match self.act {
            Act::Stop | Act::Start | Act::Terminate | Act::Heal | Act::Spoil => self.to_instance(rig),
            act if ACTS_AFAR.iter().any(|(afar, _)| *afar == act) => self.carry_out_afar(rig),
            _ => self.to_image(rig),
        };
        if done {
            *rig.watch.figures.borrow_mut().people.entry(self.name()).or_default() += 1;
        }
        done
    }

    fn to_instance(self, rig: &mut Rig) -> bool {
        let now = rig.clock.now();
        let found = {
            let world = rig.world();
            let there: Vec<_> = world.instances.values().filter(|i| !gone(i.state(now))).collect();
            let nth = self.nth.checked_rem(there.len()).unwrap_or(0);
            there.get(nth).map(|i| (i.id.clone(), i.place.region.clone()))
        };
        let Some((id, region)) = found else { return false };
        rig.watch.note(|| format!("person: {} {id}", self.name()));
        let instances = vec![id.clone()];
        match self.act {
            Act::Stop => rig.act_in(&region, &Action::StopInstances { instances }).is_ok(),
            Act::Start => rig.act_in(&region, &Action::StartInstances { instances }).is_ok(),
            Act::Heal => {
                rig.heal(&id);
                true
            }
            Act::Spoil => {
                let mut world = rig.world();
                let instance = world.instances.get_mut(&id).expect("it is there");
                instance.traits.image_fails = !instance.traits.image_fails;
                true
            }
            _ => {
                rig.terminate(&id);
                true
            }
        }
    }

    fn to_image(self, rig: &Rig) -> bool {
        let now = rig.clock.now();
        let found = {
            let world = rig.world();
            let of_us = |i: &SimImage| i.registered() && i.visible(now) && truth::made_by_us(i).is_some();
            let there: Vec<_> = world.images.values().filter(|i| of_us(i)).collect();
            let nth = self.nth.checked_rem(there.len()).unwrap_or(0);
            there.get(nth).map(|i| (*i).clone())
        };
        let Some(image) = found else { return false };
        rig.watch.note(|| format!("person: {} {} ({})", self.name(), image.id, image.name));
        let (id, region) = (image.id.clone(), image.place.region.clone());
        let free = format!("{} of {} at {}", self.nth, id, now.timestamp());
        let put = |key: &str, value: &str| Action::CreateTags {
            resources: vec![id.clone()],
            tags: vec![(key.to_owned(), value.to_owned())],
        };
        let drop = |keys: &[&str]| Action::DeleteTags {
            resources: vec![id.clone()],
            tags: keys.iter().map(|key| ((*key).to_owned(), None)).collect(),
        };
        let edits = [
            ("Name", "my best image"),
            ("stillframe:due", "2031-01-01T00:00:00Z"),
            ("stillframe:plan", "another"),
            ("stillframe:daemon", "another"),
        ];
        let action = match self.act {
            Act::CopyWithTags => Action::CopyImage {
                source_image: id.clone(),
                source_region: region.clone(),
                name: format!("copy {free}"),
                description: None,
                encrypted: None,
                kms_key: None,
                copy_tags: Some(true),
                client_token: None,
                tags: Vec::new(),
            },
            Act::EditTag => {
                let (key, value) = edits[self.nth % edits.len()];
                put(key, value)
            }
            Act::DropTag => drop(&[["stillframe:run", "stillframe:schema", "Name"][self.nth % 3]]),
            Act::DropTags => drop(&[]),
            Act::Hold => put("stillframe:hold", "mine"),
            Act::Release => drop(&["stillframe:hold"]),
            Act::Launch => Action::RunInstances {
                image: id.clone(),
                min: 1,
                max: 1,
                tags: vec![TagSpec { resource: "instance".into(), tags: vec![("Name".into(), "a test".into())] }],
            },
            Act::Register => Action::RegisterImage {
                name: format!("register {free}"),
                description: None,
                root_device: None,
                mappings: image
                    .mappings
                    .iter()
                    .map(|(device, snapshot, _)| (device.clone(), snapshot.clone()))
                    .collect(),
                tags: Vec::new(),
            },
            Act::Deregister => Action::DeregisterImage { image: id.clone(), delete_snapshots: None },
            _ => Action::DeregisterImage { image: id.clone(), delete_snapshots: Some(true) },
        };
        rig.act_in(&region, &action).is_ok()
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a person: {} (number {})", self.name(), self.nth)
    }
}
