//! Images that do not come from an instance: CopyImage and RegisterImage.

use chrono::{DateTime, SubsecRound, Utc};

use super::action::{Action, TagSpec};
use super::answer::Answer;
use super::error::ApiError;
use super::image::SimImage;
use super::rules;
use super::snapshot::{COPIED_VOLUME, SimSnapshot};
use super::world::World;
use crate::domain::naming::TAGS_MAX;
use crate::domain::observed::{ImageState, Tags};
use crate::domain::place::Place;

impl World {
    /// Called in the destination region (API reference). Within one account here: nothing is shared.
    pub(super) fn copy_image(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        action: &Action,
    ) -> Result<Answer, ApiError> {
        let Action::CopyImage { source_image, source_region, name, description, copy_tags, client_token, tags, .. } =
            action
        else {
            return Err(ApiError::internal());
        };
        rules::id("ami", source_image, "InvalidAMIID.Malformed")?;
        rules::image_name(name)?;
        rules::description(description.as_deref())?;
        let [mut image_tags, snapshot_tags] = rules::tag_specs(tags, ["image", "snapshot"])?;
        if let Some(done) = self.same_token(place, client_token.as_deref(), source_image, name)? {
            return Ok(Answer::Image(done));
        }
        let from = Place::new(&place.account, source_region);
        let source = self.images.get(source_image).filter(|i| i.place == from && i.visible(now));
        let source = source.ok_or_else(|| ApiError::no_image(&[source_image]))?.clone();
        if source.state(now) != ImageState::Available {
            return Err(ApiError::image_unavailable(source_image));
        }
        self.free_name(now, place, name)?;
        self.room_for_images(place)?;
        self.room_for_copies(now, place)?;
        if copy_tags.unwrap_or(false) {
            // What the request tags itself wins over what it copies.
            for (key, value) in source.tags.iter() {
                image_tags.entry(key.clone()).or_insert_with(|| value.clone());
            }
            if image_tags.len() > TAGS_MAX {
                return Err(rules::too_many_tags());
            }
        }
        let id = self.new_id("ami");
        let (ready, fails) = self.outcome_of_image(now, &id, None);
        let visible = now + self.span(self.visibility_lag);
        let mut mappings = Vec::new();
        for (device, original, size) in &source.mappings {
            let snapshot = self.new_id("snap");
            mappings.push((device.clone(), snapshot.clone(), *size));
            let made = SimSnapshot {
                id: snapshot.clone(),
                place: place.clone(),
                tags: snapshot_tags.clone(),
                volume: COPIED_VOLUME.into(),
                size: *size,
                description: format!(
                    "Copied for DestinationAmi {id} from SourceAmi {source_image} for SourceSnapshot {original}"
                ),
                created: now,
                visible,
                ready,
                fails,
                users: Default::default(),
                key: None,
                lent: Default::default(),
            };
            self.snapshots.insert(snapshot, made);
        }
        let mut copy = blank(&id, place, name, description.as_deref(), image_tags, now);
        copy.visible = visible;
        copy.ready = ready;
        copy.fails = fails;
        copy.source_image = Some(source_image.clone());
        copy.source_region = Some(source_region.clone());
        copy.mappings = mappings;
        copy.client_token.clone_from(client_token);
        self.add_image(copy);
        Ok(Answer::Image(id))
    }

    /// Error-codes page, ResourceLimitExceeded: "you might have too many snapshot copies in progress".
    fn room_for_copies(&self, now: DateTime<Utc>, place: &Place) -> Result<(), ApiError> {
        let going = |i: &SimImage| i.place == *place && i.source_image.is_some() && i.state(now) == ImageState::Pending;
        if self.images.values().filter(|i| going(i)).count() < rules::COPIES_MAX {
            return Ok(());
        }
        Err(ApiError::client("ResourceLimitExceeded", "Too many AMI copies in progress. Wait until some are complete."))
    }

    /// The image that the same token made; another request under it is refused (EC2 guide, "Ensuring idempotency").
    fn same_token(
        &self,
        place: &Place,
        token: Option<&str>,
        source: &str,
        name: &str,
    ) -> Result<Option<String>, ApiError> {
        let Some(token) = token else { return Ok(None) };
        let made = self.images.values().find(|i| i.place == *place && i.client_token.as_deref() == Some(token));
        match made {
            None => Ok(None),
            Some(i) if i.source_image.as_deref() == Some(source) && i.name == name => Ok(Some(i.id.clone())),
            Some(_) => Err(ApiError::client(
                "IdempotentParameterMismatch",
                "The client token you have provided is associated with a different request.",
            )),
        }
    }

    /// From snapshots that exist: `available` at once, and the way in which two images share a snapshot.
    pub(super) fn register_image(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        name: &str,
        description: Option<&str>,
        mappings: &[(String, String)],
        tags: &[TagSpec],
    ) -> Result<Answer, ApiError> {
        rules::image_name(name)?;
        rules::description(description)?;
        let [image_tags] = rules::tag_specs(tags, ["image"])?;
        if mappings.is_empty() {
            return Err(ApiError::client("InvalidBlockDeviceMapping", "No root snapshot specified in device mapping."));
        }
        let mut held = Vec::new();
        for (device, snapshot) in mappings {
            rules::id("snap", snapshot, "InvalidSnapshotID.Malformed")?;
            let found = self.snapshots.get(snapshot).filter(|s| s.place == *place && s.visible <= now);
            let found = found.ok_or_else(|| ApiError::no_snapshot(snapshot))?;
            if found.state(now) != "completed" {
                return Err(ApiError::client(
                    "IncorrectState",
                    format!("Snapshot is in invalid state - {}", found.state(now)),
                ));
            }
            held.push((device.clone(), snapshot.clone(), found.size));
        }
        self.free_name(now, place, name)?;
        self.room_for_images(place)?;
        let id = self.new_id("ami");
        let mut image = blank(&id, place, name, description, image_tags, now);
        image.visible = now + self.span(self.visibility_lag);
        image.mappings = held;
        self.add_image(image);
        Ok(Answer::Image(id))
    }
}

fn blank(id: &str, place: &Place, name: &str, description: Option<&str>, tags: Tags, now: DateTime<Utc>) -> SimImage {
    SimImage {
        id: id.into(),
        place: place.clone(),
        name: name.into(),
        description: description.unwrap_or_default().into(),
        tags: tags.into(),
        created: now.trunc_subsecs(0),
        visible: now,
        ready: now,
        fails: false,
        reason: None,
        disabled: false,
        deregistered: None,
        forgotten: None,
        source_instance: None,
        source_image: None,
        source_region: None,
        rebooted: false,
        mappings: Vec::new(),
        client_token: None,
        product_codes: false,
        lent: Default::default(),
        deprecated: None,
    }
}
