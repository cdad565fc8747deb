//! CreateImage: an image of an instance, with a snapshot of each of its volumes.

use chrono::{DateTime, SubsecRound, Utc};

use super::action::TagSpec;
use super::answer::Answer;
use super::error::ApiError;
use super::image::SimImage;
use super::rules::{self, PENDING_SNAPSHOTS_MAX, SNAPSHOTS_APART_SECONDS};
use super::snapshot::SimSnapshot;
use super::world::World;
use crate::domain::observed::InstanceState;
use crate::domain::place::Place;

impl World {
    #[allow(clippy::too_many_arguments)] // the request's own parameters
    pub(super) fn create_image(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        id: &str,
        name: &str,
        description: Option<&str>,
        no_reboot: bool,
        tags: &[TagSpec],
    ) -> Result<Answer, ApiError> {
        rules::image_name(name)?;
        rules::description(description)?;
        let [image_tags, snapshot_tags] = rules::tag_specs(tags, ["image", "snapshot"])?;
        let ids = [id.to_owned()];
        self.known_instances(now, place, &ids)?;
        let instance = self.instance_mut(id)?.clone();
        let state = instance.state(now);
        // API reference, CreateImage: "an Amazon EBS-backed instance that is either running or stopped".
        if !matches!(state, InstanceState::Running | InstanceState::Stopped) {
            return Err(ApiError::value("Instance is not in state 'running' or 'stopped'"));
        }
        if !instance.ebs_root {
            return Err(ApiError::value("The instance does not have an EBS-backed root device"));
        }
        // Unique per account and region. That this is found out before the reboot is not documented; the
        // exactly-once promise rests on looking the name up first, not on this.
        self.free_name(now, place, name)?;
        self.room_for_images(place)?;
        for (_, volume) in &instance.volumes {
            self.room_for_snapshots(now, volume)?;
        }

        let begun = if state == InstanceState::Running && !no_reboot { self.snapshots_begin(now, id) } else { now };
        // A stopped instance is imaged as it is: only a running one reboots.
        let rebooted = state == InstanceState::Running && !no_reboot;
        if rebooted {
            self.reboot(now, id)?;
        }
        let image = self.new_id("ami");
        let (ready, unlucky) = self.outcome_of_image(now, &image, instance.traits.image_seconds);
        let fails = instance.traits.image_fails || unlucky;
        let visible = now + self.span(self.visibility_lag);
        let mut mappings = Vec::new();
        for (device, volume) in &instance.volumes {
            let snapshot = self.new_id("snap");
            let size = self.volumes.get(volume).map_or(8, |v| v.size);
            mappings.push((device.clone(), snapshot.clone(), size));
            let made = SimSnapshot {
                id: snapshot.clone(),
                place: place.clone(),
                tags: snapshot_tags.clone(),
                volume: volume.clone(),
                size,
                description: format!("Created by CreateImage({id}) for {image}"),
                created: now,
                started: Some(begun),
                visible,
                ready,
                fails,
                users: Default::default(),
                key: self.volumes.get(volume).and_then(|v| v.key.clone()),
                lent: Default::default(),
            };
            self.snapshots.insert(snapshot.clone(), made);
            let snapshots = &self.snapshots;
            if let Some(volume) = self.volumes.get_mut(volume) {
                volume.recent.retain(|s| snapshots.get(s).is_some_and(|s| s.state(now) == "pending"));
                volume.recent.push(snapshot);
            }
        }
        self.add_image(SimImage {
            id: image.clone(),
            place: place.clone(),
            name: name.into(),
            description: description.unwrap_or_default().into(),
            tags: image_tags.into(),
            created: now.trunc_subsecs(0),
            visible,
            ready,
            fails,
            reason: None,
            disabled: false,
            deregistered: None,
            forgotten: None,
            source_instance: Some(id.into()),
            source_image: None,
            source_region: None,
            rebooted,
            unnamed: instance.traits.image_unnamed,
            sourceless: instance.traits.image_sourceless,
            mappings,
            client_token: None,
            product_codes: instance.traits.product_codes,
            lent: Default::default(),
            deprecated: None,
            odd: None,
        });
        Ok(Answer::Image(image))
    }

    /// Whether a volume may have one more snapshot in progress.
    fn room_for_snapshots(&self, now: DateTime<Utc>, volume: &str) -> Result<(), ApiError> {
        let recent = self.volumes.get(volume).map(|v| v.recent.as_slice()).unwrap_or_default();
        let made = recent.iter().filter_map(|id| self.snapshots.get(id));
        let pending: Vec<&SimSnapshot> = made.filter(|s| s.state(now) == "pending").collect();
        if pending.len() >= PENDING_SNAPSHOTS_MAX {
            return Err(ApiError::client(
                "ConcurrentSnapshotLimitExceeded",
                format!("Maximum allowed in-progress snapshots for a single volume exceeded ({volume})."),
            ));
        }
        if pending.iter().any(|s| now - s.created < self.span(SNAPSHOTS_APART_SECONDS)) {
            return Err(ApiError::client(
                "SnapshotCreationPerVolumeRateExceeded",
                format!(
                    "The maximum per volume CreateSnapshot request rate has been exceeded ({volume}). Use an increasing or variable sleep interval between requests."
                ),
            ));
        }
        Ok(())
    }

    /// Whether the account may have one more image in a region: user guide, "AMI quotas", counts those that are
    /// available, pending and disabled.
    pub(super) fn room_for_images(&self, place: &Place) -> Result<(), ApiError> {
        // Not counted while even deregistered ones do not reach it: counting walks them all.
        if self.images.len() < self.image_quota {
            return Ok(());
        }
        let there = self.images.values().filter(|i| i.place == *place && i.registered()).count();
        if there < self.image_quota { Ok(()) } else { Err(rules::too_many_images(self.image_quota)) }
    }

    /// Error-codes page: "InvalidAMIName.Duplicate: The specified AMI name is already in use by another AMI."
    pub(super) fn free_name(&self, now: DateTime<Utc>, place: &Place, name: &str) -> Result<(), ApiError> {
        match self.name_holder(now, place, name) {
            None => Ok(()),
            Some(holder) => Err(ApiError::client(
                "InvalidAMIName.Duplicate",
                format!("AMI name {name} is already in use by AMI {}", holder.id),
            )),
        }
    }
}
