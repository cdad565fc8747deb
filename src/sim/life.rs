//! The life of instances: reboot, stop, start, terminate, run.

use chrono::{DateTime, Utc};

use super::action::TagSpec;
use super::answer::{Answer, Change, Seen};
use super::boot::{Boot, Word};
use super::error::ApiError;
use super::instance::{Life, SimInstance, Traits};
use super::rules;
use super::volume::SimVolume;
use super::world::World;
use crate::domain::observed::{ImageState, InstanceState, Tags};
use crate::domain::place::Place;

/// The device names of volumes, the root first.
const DEVICES: [&str; 12] = [
    "/dev/xvda",
    "/dev/sdf",
    "/dev/sdg",
    "/dev/sdh",
    "/dev/sdi",
    "/dev/sdj",
    "/dev/sdk",
    "/dev/sdl",
    "/dev/sdm",
    "/dev/sdn",
    "/dev/sdo",
    "/dev/sdp",
];
/// How many volumes an instance of this world may have.
pub(super) const VOLUMES_MAX: u32 = 12;
/// The share of a boot that an instance spends `pending` when it starts, or `stopping` when it stops.
const TRANSIT: f64 = 0.5;

/// What a new instance is made of.
pub(super) struct NewInstance {
    pub(super) id: Option<String>,
    pub(super) place: Place,
    pub(super) tags: Tags,
    pub(super) image: Option<String>,
    pub(super) volumes: u32,
    pub(super) multi_attach: bool,
    pub(super) ebs_root: bool,
    pub(super) hibernation: bool,
    /// The ARN of the key that all volumes are encrypted under.
    pub(super) key: Option<String>,
    pub(super) traits: Traits,
}

impl World {
    /// Adds a running instance, booted long ago, with its volumes; answers its id.
    pub(super) fn add_instance(&mut self, now: DateTime<Utc>, new: NewInstance) -> String {
        let id = new.id.unwrap_or_else(|| self.new_id("i"));
        let mut volumes = Vec::new();
        // An instance-store root is no volume.
        let devices = DEVICES.iter().take(new.volumes as usize).skip(usize::from(!new.ebs_root));
        for (n, device) in devices.enumerate() {
            let volume = self.new_id("vol");
            volumes.push(((*device).to_owned(), volume.clone()));
            let made = SimVolume {
                id: volume.clone(),
                place: new.place.clone(),
                tags: Tags::new(),
                created: now,
                size: if n == 0 { 8 } else { 100 },
                // The root cannot be a Multi-Attach volume (user guide, "Multi-Attach"), so the last one is.
                multi_attach: new.multi_attach && n + 1 == new.volumes as usize,
                instance: id.clone(),
                device: (*device).to_owned(),
                recent: Vec::new(),
                key: new.key.clone(),
            };
            self.volumes.insert(volume, made);
        }
        let instance = SimInstance {
            id: id.clone(),
            place: new.place,
            tags: new.tags,
            launched: now,
            image: new.image,
            ebs_root: new.ebs_root,
            hibernation: new.hibernation,
            volumes,
            traits: new.traits,
            life: Life { from: InstanceState::Running, to: InstanceState::Running, at: now },
            boot: Boot::over(now),
            reboots: Vec::new(),
        };
        self.instances.insert(id.clone(), instance);
        id
    }

    pub(super) fn instance_mut(&mut self, id: &str) -> Result<&mut SimInstance, ApiError> {
        self.instances.get_mut(id).ok_or_else(|| ApiError::no_instance(&[id]))
    }

    fn boot_seconds(&self, id: &str) -> f64 {
        self.instances.get(id).and_then(|i| i.traits.reboot_seconds).unwrap_or(self.reboot_seconds)
    }

    /// After a start the status checks begin anew.
    fn begin_boot(&mut self, now: DateTime<Utc>, id: &str) -> Result<(), ApiError> {
        let until = now + self.span(self.boot_seconds(id));
        self.boots(now, id, Boot { until, ..Boot::over(now) })
    }

    /// `boot` begins, and may not come to an end.
    fn boots(&mut self, now: DateTime<Utc>, id: &str, boot: Boot) -> Result<(), ApiError> {
        let repaired = self.lost_until(now, id);
        let instance = self.instance_mut(id)?;
        let never = instance.traits.never_healthy;
        let impaired = never || repaired.is_some();
        // What goes on is noticed in the end.
        let word = if impaired && boot.word == Word::Hidden { Word::Impaired } else { boot.word };
        instance.boot = Boot { impaired, repaired: repaired.filter(|_| !never), word, ..boot };
        Ok(())
    }

    /// The state stays `running` (user guide, "Reboot your instance"); the status checks show it late.
    pub(super) fn reboot(&mut self, now: DateTime<Utc>, id: &str) -> Result<(), ApiError> {
        let mut boot = self.reboot_of(now, id, self.boot_seconds(id));
        let before = self.instance_mut(id)?;
        if before.boot.checks(now) != ("ok", "ok") {
            boot.noticed = now; // they fail already, and go on failing
        }
        let stale = before.traits.stale_seconds;
        boot.noticed = boot.noticed.max(now + self.span(stale));
        self.boots(now, id, boot)?;
        let instance = self.instance_mut(id)?;
        instance.reboots.push(now);
        Ok(())
    }

    pub(super) fn reboot_instances(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        ids: &[String],
    ) -> Result<Answer, ApiError> {
        self.in_state(now, place, ids, "rebooted", |s| s == InstanceState::Running)?;
        for id in ids {
            self.reboot(now, id)?;
        }
        Ok(Answer::Done)
    }

    pub(super) fn stop_instances(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        ids: &[String],
    ) -> Result<Answer, ApiError> {
        use InstanceState::{Pending, Running, Stopped, Stopping};
        self.in_state(now, place, ids, "stopped", |s| matches!(s, Running | Pending | Stopping | Stopped))?;
        self.change(now, ids, |s| (!matches!(s, Stopping | Stopped)).then_some((Stopping, Stopped)))
    }

    pub(super) fn start_instances(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        ids: &[String],
    ) -> Result<Answer, ApiError> {
        use InstanceState::{Pending, Running, Stopped};
        self.in_state(now, place, ids, "started", |s| matches!(s, Running | Pending | Stopped))?;
        for id in ids {
            if self.instance_mut(id)?.state(now) == Stopped {
                self.begin_boot(now, id)?;
            }
        }
        self.change(now, ids, |s| (s == Stopped).then_some((Pending, Running)))
    }

    pub(super) fn terminate_instances(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        ids: &[String],
    ) -> Result<Answer, ApiError> {
        use InstanceState::{ShuttingDown, Terminated};
        self.in_state(now, place, ids, "terminated", |_| true)?;
        let answer =
            self.change(now, ids, |s| (!matches!(s, ShuttingDown | Terminated)).then_some((ShuttingDown, Terminated)))?;
        // DeleteOnTermination is true for all volumes here.
        self.volumes.retain(|_, volume| !ids.contains(&volume.instance));
        for id in ids {
            self.instance_mut(id)?.volumes.clear();
        }
        Ok(answer)
    }

    /// All of `ids` exist and are in a state that `fits`, or none is touched.
    fn in_state(
        &self,
        now: DateTime<Utc>,
        place: &Place,
        ids: &[String],
        done: &str,
        fits: impl Fn(InstanceState) -> bool,
    ) -> Result<(), ApiError> {
        self.known_instances(now, place, ids)?;
        match ids.iter().find(|id| self.instances.get(*id).is_some_and(|i| !fits(i.state(now)))) {
            None => Ok(()),
            Some(id) => Err(ApiError::client(
                "IncorrectInstanceState",
                format!("The instance '{id}' is not in a state from which it can be {done}."),
            )),
        }
    }

    fn change(
        &mut self,
        now: DateTime<Utc>,
        ids: &[String],
        to: impl Fn(InstanceState) -> Option<(InstanceState, InstanceState)>,
    ) -> Result<Answer, ApiError> {
        let mut changes = Vec::new();
        for id in ids {
            let at = now + self.span(self.boot_seconds(id) * TRANSIT);
            let instance = self.instance_mut(id)?;
            let previous = instance.state(now);
            if let Some((from, to)) = to(previous) {
                instance.life = Life { from, to, at };
            }
            changes.push(Change { instance: id.clone(), previous, current: instance.state(now) });
        }
        Ok(Answer::Changes(changes))
    }

    pub(super) fn run_instances(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        image: &str,
        min: u32,
        max: u32,
        tags: &[TagSpec],
    ) -> Result<Answer, ApiError> {
        rules::id("ami", image, "InvalidAMIID.Malformed")?;
        if min == 0 || max < min || max > 1000 {
            return Err(ApiError::value("Value for parameter minCount or maxCount is invalid"));
        }
        let [instance_tags, volume_tags] = rules::tag_specs(tags, ["instance", "volume"])?;
        let source = self.images.get(image).filter(|i| i.place.region == place.region && i.visible(now));
        let source = source.filter(|i| self.knows_image(place, i));
        let source = source.ok_or_else(|| ApiError::no_image(&[image]))?;
        if source.state(now) != ImageState::Available {
            return Err(ApiError::image_unavailable(image));
        }
        let product_codes = source.product_codes;
        let volumes = u32::try_from(source.mappings.len()).unwrap_or(VOLUMES_MAX).clamp(1, VOLUMES_MAX);
        let mut launched = Vec::new();
        for _ in 0..max {
            let id = self.add_instance(
                now,
                NewInstance {
                    id: None,
                    place: place.clone(),
                    tags: instance_tags.clone(),
                    image: Some(image.into()),
                    volumes,
                    multi_attach: false,
                    ebs_root: true,
                    hibernation: false,
                    key: None,
                    traits: Traits { product_codes, ..Traits::default() },
                },
            );
            self.begin_boot(now, &id)?;
            let at = now + self.span(self.reboot_seconds * TRANSIT);
            let instance = self.instance_mut(&id)?;
            instance.life = Life { from: InstanceState::Pending, to: InstanceState::Running, at };
            let instance = instance.clone();
            for (_, volume) in &instance.volumes {
                if let Some(volume) = self.volumes.get_mut(volume) {
                    volume.tags.clone_from(&volume_tags);
                }
            }
            launched.push(Seen { state: instance.state(now), it: instance });
        }
        Ok(Answer::Launched(launched))
    }
}
