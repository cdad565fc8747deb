//! Images that do not come from an instance: CopyImage and RegisterImage.

use chrono::{DateTime, SubsecRound, Utc};

use super::action::{Action, TagSpec};
use super::answer::Answer;
use super::encryption::Copying;
use super::error::ApiError;
use super::ids;
use super::image::SimImage;
use super::rules;
use super::snapshot::{COPIED_VOLUME, SimSnapshot};
use super::world::{Caller, World};
use crate::domain::naming::TAGS_MAX;
use crate::domain::observed::{ImageState, Tags};
use crate::domain::place::Place;

impl World {
    /// Called in the destination region, by the account that the copy is for (API reference).
    pub(super) fn copy_image(
        &mut self,
        now: DateTime<Utc>,
        caller: &Caller,
        place: &Place,
        action: &Action,
    ) -> Result<Answer, ApiError> {
        let Action::CopyImage {
            source_image,
            source_region,
            name,
            description,
            copy_tags,
            client_token,
            encrypted,
            kms_key,
            tags,
        } = action
        else {
            return Err(ApiError::internal());
        };
        rules::id("ami", source_image, "InvalidAMIID.Malformed")?;
        rules::image_name(name)?;
        rules::description(description.as_deref())?;
        let [mut image_tags, snapshot_tags] = rules::tag_specs(tags, ["image", "snapshot"])?;
        let asked = ids::hash(0, &format!("{:?}", action.parameters()));
        if let Some(done) = self.same_token(place, client_token.as_deref(), asked)? {
            return Ok(Answer::Image(done));
        }
        let source = self.source_of_copy(now, place, source_image, source_region)?.clone();
        let mut keys = Vec::new();
        for snapshot in source.snapshots() {
            let key = self.snapshots.get(snapshot).and_then(|s| s.key.as_deref());
            keys.push(self.key_of_copy(place, (&source.place.account, key), *encrypted, kms_key.as_deref())?);
        }
        self.free_name(now, place, name)?;
        self.room_for_images(place)?;
        self.room_for_copies(now, place)?;
        let own = source.place.account == place.account;
        if copy_tags.unwrap_or(false) {
            // What the request tags itself wins over what it copies. API reference, CopyImageTags: user-defined tags of
            // a shared image "are not copied".
            for (key, value) in source.tags.iter().filter(|_| own) {
                image_tags.entry(key.clone()).or_insert_with(|| value.clone());
            }
            if image_tags.len() > TAGS_MAX {
                return Err(rules::too_many_tags());
            }
        }
        let id = self.new_id("ami");
        let own_seconds = self.copy_seconds.map(|[least, most]| least + (most - least) * ids::fraction(self.seed, &id));
        let (ready, fails) = self.outcome_of_image(now, &id, own_seconds);
        let reads: Vec<String> = source.snapshots().map(str::to_owned).collect();
        let opens = reads.iter().filter_map(|id| self.snapshots.get(id)?.key.clone()).collect();
        let seals: Vec<String> = keys.iter().flatten().cloned().collect();
        let copying = Copying { caller: caller.clone(), from: source_region.clone(), reads, opens, seals };
        let visible = now + self.span(self.visibility_lag);
        let mut mappings = Vec::new();
        for ((device, original, size), key) in source.mappings.iter().zip(keys) {
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
                started: None,
                visible,
                ready,
                fails,
                users: Default::default(),
                key,
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
        copy.product_codes = source.product_codes;
        self.add_image(copy);
        if let Some(token) = client_token {
            self.tokens.insert(Self::name_key(place, token), (id.clone(), asked));
        }
        // User guide, "Copy an AMI": KMS is asked only while the copy is made.
        let problem = self.copy_problem(now, place, &copying);
        if let Some(reason) = problem.or_else(|| self.unlucky_key(&id, source_image, place, &copying)) {
            self.fail_copy(&id, ready, reason);
        }
        self.copying.insert(id.clone(), copying);
        Ok(Answer::Image(id))
    }

    /// Error-codes page, ResourceLimitExceeded: "you might have too many snapshot copies in progress".
    fn room_for_copies(&mut self, now: DateTime<Utc>, place: &Place) -> Result<(), ApiError> {
        if self.copies_under_way(now, place) < rules::COPIES_MAX {
            return Ok(());
        }
        Err(ApiError::client("ResourceLimitExceeded", "Too many AMI copies in progress. Wait until some are complete."))
    }

    /// The image to copy: one's own or a shared one, whose disks are shared too.
    fn source_of_copy(&self, now: DateTime<Utc>, place: &Place, id: &str, region: &str) -> Result<&SimImage, ApiError> {
        let from = Place::new(&place.account, region);
        let source = self.images.get(id).filter(|i| i.place.region == region && i.visible(now));
        // Which region's Allowed AMIs setting counts is not documented: here, both.
        let source = source.filter(|i| self.knows_image(&from, i) && self.knows_image(place, i));
        let source = source.ok_or_else(|| ApiError::no_image(&[id]))?;
        if source.state(now) != ImageState::Available {
            return Err(ApiError::image_unavailable(id));
        }
        if source.place.account == place.account {
            return Ok(source);
        }
        // User guide, "Copy an AMI", cross-account: not "an AMI with an associated billingProduct code that was shared
        // with you". Code and words of this refusal and of the next are those that people have met.
        if source.product_codes {
            return Err(ApiError::client(
                "InvalidRequest",
                "Images with EC2 BillingProduct codes cannot be copied to another AWS account",
            ));
        }
        // The same: "the owner of the source AMI must grant you read permissions for the storage that backs the AMI".
        let shared =
            |id: &str| self.snapshots.get(id).is_some_and(|snapshot| self.knows_snapshot(&place.account, snapshot));
        if !source.snapshots().all(shared) {
            return Err(ApiError::client(
                "InvalidRequest",
                "You do not have permission to access the storage of this ami",
            ));
        }
        Ok(source)
    }

    /// The image that the same token made; another request under it, in any parameter, is refused (EC2 guide,
    /// "Ensuring idempotency").
    fn same_token(&self, place: &Place, token: Option<&str>, asked: u64) -> Result<Option<String>, ApiError> {
        let Some(token) = token else { return Ok(None) };
        // The same page: "up to 64 ASCII characters".
        if token.len() > rules::TOKEN_MAX || !token.is_ascii() {
            return Err(ApiError::value(format!("ClientToken is longer than {} ASCII characters", rules::TOKEN_MAX)));
        }
        match self.tokens.get(&Self::name_key(place, token)) {
            None => Ok(None),
            Some((id, of)) if *of == asked => Ok(Some(id.clone())),
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
        unnamed: false,
        sourceless: None,
        mappings: Vec::new(),
        client_token: None,
        product_codes: false,
        odd: None,
        lent: Default::default(),
        deprecated: None,
    }
}
