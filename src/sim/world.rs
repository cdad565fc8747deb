//! The world's state, and the one way to change it: [`World::call`]. No clock, no async, no faults here.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::account::SimAccount;
use super::action::Action;
use super::answer::Answer;
use super::bucket::Buckets;
use super::calls::Calls;
use super::encryption::Pending;
use super::error::{ApiError, service};
use super::faults::Fault;
use super::ids;
use super::image::SimImage;
use super::instance::SimInstance;
use super::key::SimKey;
use super::rules;
use super::snapshot::SimSnapshot;
use super::trouble::Trouble;
use super::volume::SimVolume;
use crate::domain::observed::Shared;
use crate::domain::place::Place;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// The ARN of the role that was assumed, if one was.
    pub role: Option<String>,
    /// The name of its session.
    pub session: String,
}

impl Caller {
    /// A caller of `account`.
    #[must_use]
    pub fn new(account: impl Into<String>) -> Self {
        Self { account: account.into(), role: None, session: String::new() }
    }

    /// A session of a role of `account`.
    #[must_use]
    pub fn assumed(account: &str, role: &str, session: &str) -> Self {
        Self { account: account.into(), role: Some(role.into()), session: session.into() }
    }

    /// Who it is, as policies and error messages name it.
    #[must_use]
    pub fn arn(&self) -> String {
        match &self.role {
            None => format!("arn:aws:iam::{}:user/simulated", self.account),
            Some(role) => {
                let name = role.rsplit('/').next().unwrap_or_default();
                format!("arn:aws:sts::{}:assumed-role/{name}/{}", self.account, self.session)
            }
        }
    }
}

/// Accounts, regions and all that is in them. What an account holds is told by the objects' places.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct World {
    /// The account of a caller that names none.
    pub account: String,
    /// The regions that can be called; the first is home.
    pub regions: Vec<String>,
    /// Of ids and of the durations of images.
    pub seed: u64,
    /// Divides every duration of the world.
    pub speed: f64,
    /// New images and snapshots are in lists only after so many seconds.
    pub visibility_lag: f64,
    /// How long an image takes: at least and at most, seconds.
    pub image_seconds: [f64; 2],
    /// How long a reboot takes, seconds.
    pub reboot_seconds: f64,
    /// How long a guest that is rebooted takes to shut down: at least and at most, seconds.
    #[serde(default)]
    pub shutdown_seconds: [f64; 2],
    /// How far status checks lag the truth after a reboot: at least and at most, seconds.
    #[serde(default)]
    pub status_lag: [f64; 2],
    /// Whether the snapshots of an image begin before its instance is down.
    #[serde(default)]
    pub early_snapshots: bool,
    /// Whether the token buckets refuse.
    pub throttling: bool,
    /// How many images an account may have in a region.
    #[serde(default = "images_max")]
    pub image_quota: usize,
    /// By id, of all places.
    pub instances: BTreeMap<String, SimInstance>,
    /// By id.
    pub volumes: BTreeMap<String, SimVolume>,
    /// By id, deregistered ones included.
    pub images: BTreeMap<String, Shared<SimImage>>,
    /// By id; deleted ones are gone.
    pub snapshots: BTreeMap<String, SimSnapshot>,
    /// KMS keys, by ARN.
    #[serde(default)]
    pub keys: BTreeMap<String, SimKey>,
    /// What is known of accounts, by id.
    #[serde(default)]
    pub accounts: BTreeMap<String, SimAccount>,
    /// How long a copy takes, if not as long as an image.
    #[serde(default)]
    pub copy_seconds: Option<[f64; 2]>,
    /// A grant works only after so long.
    #[serde(default)]
    pub grant_seconds: f64,
    /// Whether a copy fails when what it was lent is taken back while it is made.
    #[serde(default = "yes")]
    pub revoking_stops_copies: bool,
    /// The script of faults, consumed in order.
    pub faults: Vec<Fault>,
    /// What goes wrong by chance.
    #[serde(default)]
    pub trouble: Trouble,
    /// `account/region/name` of images to the newest id that had it.
    pub(super) names: BTreeMap<String, String>,
    /// `account/region/token` of CopyImage to the image and a number for all parameters.
    #[serde(default)]
    pub(super) tokens: BTreeMap<String, (String, u64)>,
    /// `image/account` to when it was lent last.
    #[serde(default)]
    pub(super) lent_at: BTreeMap<String, DateTime<Utc>>,
    /// Copies that are being made.
    #[serde(default)]
    pub(super) copying: Pending,
    /// How many ids were given out.
    pub(super) issued: u64,
    /// How many requests were served.
    pub(super) served: u64,
    /// Every request served since the start (not saved).
    #[serde(skip)]
    pub calls: Calls,
    #[serde(skip)]
    pub(super) buckets: Buckets,
    /// The door's answers bear a Date this many seconds ahead of the clock (negative: behind).
    #[serde(skip)]
    pub date_ahead: i64,
    /// Until when the lists of an API leave out all that they should show.
    #[serde(skip)]
    pub omits: BTreeMap<String, DateTime<Utc>>,
    /// Deregistered images until lists do not show them any more, where those are dropped then.
    #[serde(skip)]
    pub(super) leaving: Option<VecDeque<(DateTime<Utc>, String)>>,
    /// Instances by the image that they were launched from, as of when there were so many.
    #[serde(skip)]
    pub(super) launched: (usize, BTreeMap<String, Vec<String>>),
    /// Something changed since the last save.
    #[serde(skip)]
    pub(super) dirty: bool,
}

fn yes() -> bool {
    true
}

fn images_max() -> usize {
    rules::IMAGES_MAX
}

impl World {
    /// Carries out one action at `now`, without faults, buckets or log: what a person does at the console.
    ///
    /// # Errors
    /// What EC2 answers.
    pub fn call(
        &mut self,
        now: DateTime<Utc>,
        caller: &Caller,
        region: &str,
        action: &Action,
    ) -> Result<Answer, ApiError> {
        let api = action.api();
        // STS may be asked in any region.
        let place = match service(api) {
            "sts" => Place::new(&caller.account, region),
            _ => self.place(caller, region)?,
        };
        // STS API reference, GetCallerIdentity: "No permissions are required".
        if api != "GetCallerIdentity" && self.denies(caller, &format!("{}:{api}", service(api))) {
            return Err(ApiError::denied(api, &caller.arn()));
        }
        let answer = self.carry_out(now, caller, &place, action)?;
        if matches!(
            action,
            Action::RevokeGrant { .. }
                | Action::ModifySnapshotAttribute { .. }
                | Action::DeregisterImage { .. }
                | Action::DeleteSnapshot { .. }
        ) {
            self.stop_copies(now);
        }
        if !action.reads() {
            self.dirty = true;
            self.drop_what_left(now);
        }
        Ok(answer)
    }

    /// Whether the lists of this API leave out everything now.
    pub(super) fn leaves_out(&self, api: &str, now: DateTime<Utc>) -> bool {
        self.omits.get(api).is_some_and(|until| now < *until)
    }

    /// From now on calls are only counted, and what lists do not show any more is dropped: a year of simulated time
    /// makes more of both than memory should hold.
    pub fn stay_lean(&mut self) {
        self.calls.count_only();
        self.leaving.get_or_insert_default();
    }

    fn drop_what_left(&mut self, now: DateTime<Utc>) {
        let Some(leaving) = &mut self.leaving else { return };
        while let Some((_, id)) = leaving.pop_front_if(|(at, _)| *at <= now) {
            let Some(image) = self.images.remove(&id) else { continue };
            let key = Self::name_key(&image.place, &image.name);
            if self.names.get(&key) == Some(&id) {
                self.names.remove(&key);
            }
        }
    }

    /// The instances launched from any of `images`, in order.
    pub(super) fn launched_from(&mut self, images: &[&str]) -> Vec<String> {
        let (count, by_image) = &mut self.launched;
        if *count != self.instances.len() {
            *count = self.instances.len();
            by_image.clear();
            for instance in self.instances.values() {
                if let Some(image) = &instance.image {
                    by_image.entry(image.clone()).or_default().push(instance.id.clone());
                }
            }
        }
        let mut found: Vec<String> =
            images.iter().filter_map(|image| by_image.get(*image)).flatten().cloned().collect();
        found.sort_unstable();
        found
    }

    fn carry_out(
        &mut self,
        now: DateTime<Utc>,
        caller: &Caller,
        place: &Place,
        action: &Action,
    ) -> Result<Answer, ApiError> {
        match action {
            Action::DescribeInstances(list) => self.describe_instances(now, place, list),
            Action::DescribeInstanceStatus { list, include_all } => {
                self.describe_status(now, place, list, include_all.unwrap_or(false))
            }
            Action::DescribeVolumes(list) => self.describe_volumes(place, list),
            Action::DescribeImages { .. } => self.describe_images(now, place, action),
            Action::DescribeSnapshots { list, owners } => self.describe_snapshots(now, place, list, owners),
            Action::CreateImage { instance, name, description, no_reboot, tags } => {
                let no_reboot = no_reboot.unwrap_or(false);
                self.create_image(now, place, instance, name, description.as_deref(), no_reboot, tags)
            }
            Action::DeregisterImage { image, delete_snapshots } => {
                self.deregister_image(now, place, image, delete_snapshots.unwrap_or(false))
            }
            Action::DeleteSnapshot { snapshot } => self.delete_snapshot(now, place, snapshot),
            Action::CopyImage { .. } => self.copy_image(now, caller, place, action),
            Action::RegisterImage { name, description, mappings, tags, .. } => {
                self.register_image(now, place, name, description.as_deref(), mappings, tags)
            }
            Action::CreateTags { resources, tags } => self.create_tags(now, place, resources, tags),
            Action::DeleteTags { resources, tags } => self.delete_tags(now, place, resources, tags),
            Action::StartInstances { instances } => self.start_instances(now, place, instances),
            Action::StopInstances { instances } => self.stop_instances(now, place, instances),
            Action::RebootInstances { instances } => self.reboot_instances(now, place, instances),
            Action::TerminateInstances { instances } => self.terminate_instances(now, place, instances),
            Action::RunInstances { image, min, max, tags } => self.run_instances(now, place, image, *min, *max, tags),
            Action::DescribeImageAttribute { image, attribute } => self.image_permissions(now, place, image, attribute),
            Action::ModifyImageAttribute { image, add, remove } => self.modify_image(now, place, image, add, remove),
            Action::DescribeSnapshotAttribute { snapshot, attribute } => {
                self.snapshot_permissions(now, place, snapshot, attribute)
            }
            Action::ModifySnapshotAttribute { snapshot, add, remove } => {
                self.modify_snapshot(now, place, snapshot, add, remove)
            }
            Action::EnableImageDeprecation { image, at } => self.deprecate_image(now, place, image, *at),
            Action::Served(request) => request.carry_out(self, now, place).map(Answer::Served),
            Action::GetCallerIdentity => Ok(Answer::Identity { account: caller.account.clone(), arn: caller.arn() }),
            Action::AssumeRole { role, session, external_id } => {
                self.assume_role(now, caller, role, session, external_id.as_deref())
            }
            Action::DescribeKey { key } => self.describe_key(now, caller, place, key),
            Action::GetKeyPolicy { key } => self.key_policy(now, caller, place, key),
            Action::ListGrants { key, max, marker } => {
                self.list_grants(now, caller, place, key, (*max, marker.as_deref()))
            }
            Action::CreateGrant { key, grantee, operations, name } => {
                self.create_grant(now, caller, place, key, grantee, operations, name.as_deref())
            }
            Action::RevokeGrant { key, grant } => self.revoke_grant(now, caller, place, key, grant),
        }
    }

    /// The home region: where a caller that names none is.
    #[must_use]
    pub fn home_region(&self) -> &str {
        self.regions.first().map_or("eu-central-1", String::as_str)
    }

    fn place(&self, caller: &Caller, region: &str) -> Result<Place, ApiError> {
        if self.regions.iter().any(|r| r == region) {
            return Ok(Place::new(&caller.account, region));
        }
        // What a region answers that the account has not enabled.
        Err(ApiError {
            status: 401,
            code: "AuthFailure".into(),
            message: format!(
                "AWS was not able to validate the provided access credentials (the simulated world has no region \
                 {region}, only {})",
                self.regions.join(", ")
            ),
        })
    }

    /// A new id: `prefix-` and 17 digits.
    pub(super) fn new_id(&mut self, prefix: &str) -> String {
        self.issued += 1;
        format!("{prefix}-{}", ids::digits(self.seed, self.issued))
    }

    /// A duration of the world, at its speed.
    pub(super) fn span(&self, seconds: f64) -> Duration {
        // Durations are checked when a fleet is read; whatever a test sets saturates.
        #[allow(clippy::cast_possible_truncation)]
        Duration::milliseconds((seconds / self.speed * 1000.0).round() as i64)
    }

    /// How long the image `id` of an instance with `own` image seconds takes.
    pub(super) fn image_span(&self, id: &str, own: Option<f64>) -> Duration {
        let [least, most] = self.image_seconds;
        self.span(own.unwrap_or_else(|| least + (most - least) * ids::fraction(self.seed, id)))
    }

    /// The key of an image's name.
    pub(super) fn name_key(place: &Place, name: &str) -> String {
        format!("{place}/{name}")
    }

    /// The image that holds `name` in `place`, visible or not.
    pub(super) fn name_holder(&self, now: DateTime<Utc>, place: &Place, name: &str) -> Option<&SimImage> {
        let image = self.images.get(self.names.get(&Self::name_key(place, name))?)?;
        image.holds_name(now).then_some(image)
    }

    /// Adds an image, its name and its claim on its snapshots.
    pub(super) fn add_image(&mut self, image: SimImage) {
        self.names.insert(Self::name_key(&image.place, &image.name), image.id.clone());
        for (_, snapshot, _) in &image.mappings {
            if let Some(snapshot) = self.snapshots.get_mut(snapshot) {
                snapshot.users.insert(image.id.clone());
            }
        }
        self.images.insert(image.id.clone(), image.into());
    }
}
