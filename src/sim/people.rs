//! People at the console: what somebody does by hand to instances, images, snapshots and tags, in one word each.
//!
//! Only what EC2 allows anybody to do: each is one or two plain actions, and ends as they do.

use chrono::{DateTime, Utc};

use super::action::Action;
use super::answer::Answer;
use super::error::ApiError;
use super::keyring::MANAGED;
use super::world::{Caller, World};
use crate::domain::naming::TAG_PREFIX;
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;

/// Something that a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Copies an image, all of its tags included, under another name into a region of the same account.
    Copy {
        /// `ami-...`
        image: String,
        /// Where to.
        region: String,
        /// The copy's name.
        name: String,
    },
    /// Registers another image over the snapshots of one, so that both need them.
    RegisterOver {
        /// `ami-...`
        image: String,
        /// The other one's name.
        name: String,
    },
    /// Sets a tag of anything.
    Tag {
        /// Its id.
        resource: String,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Removes a tag of anything.
    Untag {
        /// Its id.
        resource: String,
        /// The key.
        key: String,
    },
    /// Puts an image on hold (the tag `stillframe:hold`).
    Hold(String),
    /// Deregisters an image and leaves its snapshots where they are.
    Deregister(String),
    /// Deregisters an image together with its snapshots.
    DeregisterWhole(String),
    /// Disables an image (DisableImage; not served to clients).
    Disable(String),
    /// Enables a disabled image (EnableImage; not served to clients).
    Enable(String),
    /// Deletes a snapshot.
    DeleteSnapshot(String),
    /// Starts an instance.
    Start(String),
    /// Stops an instance.
    Stop(String),
    /// Reboots an instance.
    Reboot(String),
    /// Terminates an instance.
    Terminate(String),
    /// Launches one instance from an image.
    Launch(String),
    /// Shares an image with an account.
    ShareImage {
        /// `ami-...`
        image: String,
        /// Twelve digits.
        account: String,
    },
    /// Takes that back, whoever gave it.
    UnshareImage {
        /// `ami-...`
        image: String,
        /// Twelve digits.
        account: String,
    },
    /// Shares a snapshot with an account.
    ShareSnapshot {
        /// `snap-...`
        snapshot: String,
        /// Twelve digits.
        account: String,
    },
    /// Takes that back, whoever gave it.
    UnshareSnapshot {
        /// `snap-...`
        snapshot: String,
        /// Twelve digits.
        account: String,
    },
    /// Disables a key: an id, an ARN or an alias (DisableKey; not served to clients).
    DisableKey(String),
    /// Enables a disabled key (EnableKey; not served to clients).
    EnableKey(String),
}

impl World {
    /// Does `deed` at `now` in `place`: no faults, no buckets, no log.
    ///
    /// # Errors
    /// What EC2 answers, for one where nothing changed.
    pub fn person(&mut self, now: DateTime<Utc>, place: &Place, deed: &Deed) -> Result<Answer, ApiError> {
        let one = |id: &String| vec![id.clone()];
        let action = match deed {
            Deed::Copy { image, region, name } => {
                // The console proposes the default key of the region for what is encrypted.
                let snapshots = self.images.get(image).into_iter().flat_map(|i| i.snapshots());
                let sealed = snapshots.filter_map(|id| self.snapshots.get(id)).any(|s| s.key.is_some());
                let copy = Action::CopyImage {
                    source_image: image.clone(),
                    source_region: place.region.clone(),
                    name: name.clone(),
                    description: None,
                    encrypted: sealed.then_some(true),
                    kms_key: sealed.then(|| MANAGED.to_owned()),
                    copy_tags: Some(true),
                    client_token: None,
                    tags: Vec::new(),
                };
                return self.call(now, &Caller::new(&place.account), region, &copy);
            }
            Deed::RegisterOver { image, name } => {
                let its = self.images.get(image).filter(|i| i.place == *place && i.registered());
                let its = its.ok_or_else(|| ApiError::no_image(&[image]))?;
                Action::RegisterImage {
                    name: name.clone(),
                    description: None,
                    root_device: None,
                    mappings: its
                        .mappings
                        .iter()
                        .map(|(device, snapshot, _)| (device.clone(), snapshot.clone()))
                        .collect(),
                    tags: Vec::new(),
                }
            }
            Deed::Tag { resource, key, value } => {
                Action::CreateTags { resources: one(resource), tags: vec![(key.clone(), value.clone())] }
            }
            Deed::Untag { resource, key } => {
                Action::DeleteTags { resources: one(resource), tags: vec![(key.clone(), None)] }
            }
            Deed::Hold(image) => {
                let tags = vec![(format!("{TAG_PREFIX}hold"), String::new())];
                Action::CreateTags { resources: one(image), tags }
            }
            Deed::Deregister(image) => Action::DeregisterImage { image: image.clone(), delete_snapshots: Some(false) },
            Deed::DeregisterWhole(image) => {
                Action::DeregisterImage { image: image.clone(), delete_snapshots: Some(true) }
            }
            Deed::Disable(image) => return self.able(now, place, image, true),
            Deed::Enable(image) => return self.able(now, place, image, false),
            Deed::DeleteSnapshot(snapshot) => Action::DeleteSnapshot { snapshot: snapshot.clone() },
            Deed::Start(id) => Action::StartInstances { instances: one(id) },
            Deed::Stop(id) => Action::StopInstances { instances: one(id) },
            Deed::Reboot(id) => Action::RebootInstances { instances: one(id) },
            Deed::Terminate(id) => Action::TerminateInstances { instances: one(id) },
            Deed::Launch(image) => Action::RunInstances { image: image.clone(), min: 1, max: 1, tags: Vec::new() },
            Deed::ShareImage { image, account } => {
                let (add, remove) = (vec![Grantee::Account(account.clone())], Vec::new());
                Action::ModifyImageAttribute { image: image.clone(), add, remove }
            }
            Deed::UnshareImage { image, account } => {
                let (add, remove) = (Vec::new(), vec![Grantee::Account(account.clone())]);
                Action::ModifyImageAttribute { image: image.clone(), add, remove }
            }
            Deed::ShareSnapshot { snapshot, account } => {
                let (add, remove) = (vec![Grantee::Account(account.clone())], Vec::new());
                Action::ModifySnapshotAttribute { snapshot: snapshot.clone(), add, remove }
            }
            Deed::UnshareSnapshot { snapshot, account } => {
                let (add, remove) = (Vec::new(), vec![Grantee::Account(account.clone())]);
                Action::ModifySnapshotAttribute { snapshot: snapshot.clone(), add, remove }
            }
            Deed::DisableKey(key) => return self.switch(now, place, key, "Disabled"),
            Deed::EnableKey(key) => return self.switch(now, place, key, "Enabled"),
        };
        self.call(now, &Caller::new(&place.account), &place.region, &action)
    }

    /// Lets all that takes time be done at `now`: images, snapshots, boots. What nobody can do, for tests.
    pub fn complete(&mut self, now: DateTime<Utc>) {
        self.images.values_mut().for_each(|image| image.ready = image.ready.min(now));
        self.snapshots.values_mut().for_each(|snapshot| snapshot.ready = snapshot.ready.min(now));
        for instance in self.instances.values_mut() {
            instance.life.at = instance.life.at.min(now);
            instance.boot.until = instance.boot.until.min(now);
            instance.boot.shown = instance.boot.shown.map(|at| at.min(now));
        }
        self.touch();
    }

    /// KMS API reference, DisableKey and EnableKey; AWS-managed keys cannot be changed.
    fn switch(&mut self, now: DateTime<Utc>, place: &Place, name: &str, state: &str) -> Result<Answer, ApiError> {
        let arn = self.find_key(place, name).filter(|key| key.place == *place).map(|key| key.arn);
        let key = arn.and_then(|arn| self.keys.get_mut(&arn));
        let key = key.ok_or_else(|| ApiError::client("NotFoundException", format!("Key '{name}' does not exist")))?;
        key.state = state.into();
        self.stop_copies(now);
        self.touch();
        Ok(Answer::Done)
    }

    /// API reference, DisableImage: "the AMI state must be `available`"; EnableImage makes it `available` again.
    fn able(&mut self, now: DateTime<Utc>, place: &Place, id: &str, disabled: bool) -> Result<Answer, ApiError> {
        use crate::domain::observed::ImageState::{Available, Disabled};
        let image = self.images.get_mut(id).filter(|i| i.place == *place && i.visible(now));
        let image = image.ok_or_else(|| ApiError::no_image(&[id]))?;
        if !matches!(image.state(now), Available | Disabled) {
            return Err(ApiError::client(
                "IncorrectState",
                format!("The image {id} is {} and cannot be disabled or enabled", image.state(now).as_str()),
            ));
        }
        image.disabled = disabled;
        if disabled {
            // DisableImage: "all launch permissions are removed", and EnableImage does not bring them back.
            image.lent.clear();
        }
        self.touch();
        Ok(Answer::Done)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;
    use crate::domain::observed::{ImageState, InstanceState};
    use crate::sim::Fleet;

    #[test]
    fn a_person_does_what_ec2_allows() {
        let t0 = Utc.with_ymd_and_hms(2026, 11, 20, 2, 30, 0).unwrap();
        let mut fleet = Fleet::demo();
        fleet.regions.push("eu-west-1".into());
        let mut world = fleet.world(t0).unwrap();
        let home = Place::new("111111111111", "eu-central-1");
        let instance = world.instances.keys().next().unwrap().clone();
        let create = Action::CreateImage {
            instance: instance.clone(),
            name: "first".into(),
            description: None,
            no_reboot: None,
            tags: vec![super::super::action::TagSpec {
                resource: "image".into(),
                tags: vec![("A".into(), "1".into())],
            }],
        };
        let Ok(Answer::Image(first)) = world.call(t0, &Caller::new("111111111111"), "eu-central-1", &create) else {
            panic!()
        };
        let mut now = t0;
        let mut does = |seconds: i64, deed: Deed| {
            now += chrono::Duration::seconds(seconds);
            match world.person(now, &home, &deed) {
                Ok(Answer::Image(id)) => id,
                Ok(_) => "ok".into(),
                Err(error) => error.code,
            }
        };
        let image = |id: &str| id.to_owned();
        assert_eq!(does(0, Deed::Disable(image(&first))), "IncorrectState", "it is pending");
        let copy = does(60, Deed::Copy { image: image(&first), region: "eu-west-1".into(), name: "copy".into() });
        assert!(copy.starts_with("ami-"), "{copy}");
        let over = does(0, Deed::RegisterOver { image: image(&first), name: "over".into() });
        assert!(over.starts_with("ami-"), "{over}");
        assert_eq!(does(0, Deed::Hold(image(&first))), "ok");
        assert_eq!(does(0, Deed::Untag { resource: image(&first), key: "A".into() }), "ok");
        assert_eq!(does(0, Deed::Tag { resource: image(&first), key: "B".into(), value: "2".into() }), "ok");
        assert_eq!(does(0, Deed::Disable(image(&over))), "ok");
        assert_eq!(does(0, Deed::Stop(instance.clone())), "ok");
        assert_eq!(does(60, Deed::Start(instance.clone())), "ok");
        assert_eq!(does(60, Deed::Reboot(instance.clone())), "ok");
        assert_eq!(does(0, Deed::Terminate(instance.clone())), "ok");
        assert_eq!(does(60, Deed::Start(instance.clone())), "IncorrectInstanceState");
        assert_eq!(does(0, Deed::Launch(image(&over))), "InvalidAMIID.Unavailable", "it is disabled");
        assert_eq!(does(0, Deed::Enable(image(&over))), "ok");
        assert_eq!(does(0, Deed::Launch(image(&over))), "ok");
        assert_eq!(does(0, Deed::DeregisterWhole(image(&first))), "ok");
        assert_eq!(does(0, Deed::RegisterOver { image: image(&first), name: "late".into() }), "InvalidAMIID.NotFound");
        assert_eq!(world.images[&copy].tags["A"], "1", "with its tags");
        assert_eq!(world.images[&copy].place.region, "eu-west-1");
        assert_eq!(world.images[&first].tags.keys().collect::<Vec<_>>(), ["B", "stillframe:hold"]);
        assert_eq!(world.images[&over].state(now), ImageState::Available);
        assert!(world.images[&over].snapshots().all(|s| world.snapshots.contains_key(s)), "the other image needs them");
        assert_eq!(world.instances[&instance].state(now), InstanceState::Terminated);
    }
}
