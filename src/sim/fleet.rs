//! A fleet: the JSON from which a world begins, and the one for demonstrations.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::account::SimAccount;
use super::ids;
use super::instance::{Life, Traits};
use super::key::SimKey;
use super::life::{NewInstance, VOLUMES_MAX};
use super::policy::default_policy;
use super::rules;
use super::trouble::{Profile, Trouble};
use super::world::World;
use crate::domain::observed::{InstanceState, Tags};
use crate::domain::place::Place;

/// The account where none is named.
pub const ACCOUNT: &str = "111111111111";
/// The image that a fleet's instances were launched from, unless they name one: a public one, not in this world.
const BASE_IMAGE: &str = "ami-0000000000000ba5e";

/// What a world begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Twelve digits.
    #[serde(default = "account")]
    pub account: String,
    /// The first is home.
    pub regions: Vec<String>,
    /// Divides all durations below.
    #[serde(default = "one")]
    pub speed: f64,
    /// Seconds until lists show what is new.
    #[serde(default)]
    pub visibility_lag: f64,
    /// An image takes at least and at most this long.
    pub image_seconds: [f64; 2],
    /// A reboot takes this long.
    pub reboot_seconds: f64,
    /// A guest that is rebooted takes at least and at most this long to shut down, before the reboot itself.
    #[serde(default)]
    pub shutdown_seconds: [f64; 2],
    /// Status checks lag the truth after a reboot by at least and at most this long.
    #[serde(default)]
    pub status_lag: [f64; 2],
    /// The snapshots of an image begin before its instance is down: that they do not is an inference.
    #[serde(default)]
    pub early_snapshots: bool,
    /// Whether the documented token buckets refuse.
    #[serde(default = "yes")]
    pub throttling: bool,
    /// Another seed gives other ids and durations.
    #[serde(default)]
    pub seed: u64,
    /// How many images an account may have in a region; EC2's own quota if absent.
    #[serde(default = "images_max")]
    pub image_quota: usize,
    /// How much goes wrong by chance.
    #[serde(default)]
    pub trouble: Profile,
    /// A copy takes at least and at most this long; as long as an image if absent.
    #[serde(default)]
    pub copy_seconds: Option<[f64; 2]>,
    /// A grant works only after so long.
    #[serde(default = "grant_seconds")]
    pub grant_seconds: f64,
    /// Whether a copy fails when what it was lent is taken back while it is made: AWS does not say.
    #[serde(default = "yes")]
    pub revoking_stops_copies: bool,
    /// What is known of accounts; one that is not named exists all the same.
    #[serde(default)]
    pub accounts: Vec<SimAccount>,
    /// Customer-managed keys. `alias/aws/ebs` is everywhere by itself.
    #[serde(default)]
    pub keys: Vec<FleetKey>,
    /// What runs.
    pub instances: Vec<Member>,
}

/// A customer-managed key of a fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetKey {
    /// The last part of its ARN; given out if absent.
    pub id: Option<String>,
    /// The fleet's if absent.
    pub account: Option<String>,
    /// The home region if absent.
    pub region: Option<String>,
    /// `alias/...`
    pub alias: Option<String>,
    /// `KeyState`.
    pub state: String,
    /// Whether it is symmetric.
    pub symmetric: bool,
    /// The policy, as JSON or as a text that holds it; the default policy if absent.
    pub policy: Option<serde_json::Value>,
}

impl Default for FleetKey {
    fn default() -> Self {
        Self {
            id: None,
            account: None,
            region: None,
            alias: None,
            state: "Enabled".into(),
            symmetric: true,
            policy: None,
        }
    }
}

/// One instance of a fleet, or `count` alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Member {
    /// `i-` and 17 hexadecimal digits; given out if absent.
    pub id: Option<String>,
    /// The fleet's if absent.
    pub account: Option<String>,
    /// The home region if absent.
    pub region: Option<String>,
    /// The tag `Name`; with `count`, `-1`, `-2`, ... is added.
    pub name: Option<String>,
    /// Other tags.
    pub tags: Tags,
    /// running or stopped.
    pub state: InstanceState,
    /// How many volumes, the root included; 1 or 2 by turns if absent.
    pub volumes: Option<u32>,
    /// Instead of the fleet's.
    pub reboot_seconds: Option<f64>,
    /// Instead of the fleet's range.
    pub image_seconds: Option<f64>,
    /// Status checks stay impaired after the next reboot.
    pub never_healthy: bool,
    /// Its images end `failed`.
    pub image_fails: bool,
    /// Its status checks notice a reboot only after so long.
    pub stale_seconds: f64,
    /// An attached volume cannot be reached: the status check of EBS volumes reads `impaired`.
    pub ebs_impaired: bool,
    /// False is an instance-store root.
    pub ebs_root: bool,
    /// Hibernation is configured.
    pub hibernation: bool,
    /// Its last volume has Multi-Attach enabled.
    pub multi_attach: bool,
    /// The image that it was launched from.
    pub image: Option<String>,
    /// Its volumes are encrypted under this key: an alias of its place or an ARN.
    pub kms_key: Option<String>,
    /// It bears product codes (AWS Marketplace).
    pub product_codes: bool,
    /// So many alike.
    pub count: u32,
}

impl Default for Member {
    fn default() -> Self {
        Self {
            id: None,
            account: None,
            region: None,
            name: None,
            tags: Tags::new(),
            state: InstanceState::Running,
            volumes: None,
            reboot_seconds: None,
            image_seconds: None,
            never_healthy: false,
            image_fails: false,
            stale_seconds: 0.0,
            ebs_impaired: false,
            ebs_root: true,
            hibernation: false,
            multi_attach: false,
            image: None,
            kms_key: None,
            product_codes: false,
            count: 1,
        }
    }
}

fn account() -> String {
    ACCOUNT.into()
}

fn images_max() -> usize {
    rules::IMAGES_MAX
}

/// Chosen: KMS says "a few seconds", and at most five minutes.
fn grant_seconds() -> f64 {
    5.0
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

impl Fleet {
    /// A dozen instances tagged `Backup=nightly` and two that are not, in eu-central-1; quick.
    #[must_use]
    pub fn demo() -> Self {
        let tier = |name: &str, count: u32, volumes: u32| Member {
            name: Some(name.into()),
            tags: Tags::from([("Backup".into(), "nightly".into()), ("Tier".into(), name.into())]),
            count,
            volumes: Some(volumes),
            ..Member::default()
        };
        let untagged = |name: &str| Member { name: Some(name.into()), volumes: Some(1), ..Member::default() };
        Self {
            account: account(),
            regions: vec!["eu-central-1".into()],
            speed: 1.0,
            visibility_lag: 0.0,
            image_seconds: [5.0, 10.0],
            reboot_seconds: 2.0,
            shutdown_seconds: [0.0, 0.0],
            status_lag: [0.0, 0.0],
            early_snapshots: false,
            throttling: true,
            seed: 0,
            image_quota: rules::IMAGES_MAX,
            trouble: Profile::None,
            copy_seconds: None,
            grant_seconds: grant_seconds(),
            revoking_stops_copies: true,
            accounts: Vec::new(),
            keys: Vec::new(),
            instances: vec![
                tier("web", 4, 1),
                tier("db", 3, 2),
                tier("app", 5, 1),
                untagged("bastion"),
                untagged("scratch"),
            ],
        }
    }

    /// Reads a fleet.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// A world that begins at `now` with this fleet.
    ///
    /// # Errors
    /// What the fleet asks for that cannot be.
    pub fn world(&self, now: DateTime<Utc>) -> Result<World, String> {
        self.check()?;
        let mut world = World {
            account: self.account.clone(),
            regions: self.regions.clone(),
            seed: self.seed,
            speed: self.speed,
            visibility_lag: self.visibility_lag,
            image_seconds: self.image_seconds,
            reboot_seconds: self.reboot_seconds,
            shutdown_seconds: self.shutdown_seconds,
            status_lag: self.status_lag,
            early_snapshots: self.early_snapshots,
            throttling: self.throttling,
            image_quota: self.image_quota,
            instances: Default::default(),
            volumes: Default::default(),
            images: Default::default(),
            snapshots: Default::default(),
            keys: Default::default(),
            accounts: self.accounts.iter().map(|account| (account.id.clone(), account.clone())).collect(),
            copy_seconds: self.copy_seconds,
            grant_seconds: self.grant_seconds,
            revoking_stops_copies: self.revoking_stops_copies,
            tokens: Default::default(),
            lent_at: Default::default(),
            copying: Default::default(),
            faults: Vec::new(),
            trouble: Trouble::of(self.trouble),
            names: Default::default(),
            issued: 0,
            served: 0,
            calls: Default::default(),
            buckets: Default::default(),
            date_ahead: 0,
            omits: Default::default(),
            leaving: None,
            launched: Default::default(),
            dirty: true,
        };
        for (n, key) in (0..).zip(&self.keys) {
            self.add_key(&mut world, n, key)?;
        }
        for member in &self.instances {
            self.add(&mut world, now, member)?;
        }
        Ok(world)
    }

    fn check(&self) -> Result<(), String> {
        let seconds = |what: &str, value: f64| {
            // A year: beyond that a duration is a slip, and sums might overflow.
            if (0.0..=31_536_000.0).contains(&value) { Ok(()) } else { Err(format!("{what} {value} is not 0..1 year")) }
        };
        if self.regions.is_empty() {
            return Err("regions is empty: name at least one, such as eu-central-1".into());
        }
        account_id(&self.account)?;
        if !(self.speed.is_finite() && self.speed >= 0.001 && self.speed <= 1e6) {
            return Err(format!("speed {} is not between 0.001 and 1000000", self.speed));
        }
        seconds("visibility_lag", self.visibility_lag)?;
        seconds("reboot_seconds", self.reboot_seconds)?;
        seconds("grant_seconds", self.grant_seconds)?;
        let copies = self.copy_seconds.unwrap_or(self.image_seconds);
        let ranges = [
            ("image_seconds", self.image_seconds),
            ("copy_seconds", copies),
            ("shutdown_seconds", self.shutdown_seconds),
            ("status_lag", self.status_lag),
        ];
        for (what, [least, most]) in ranges {
            seconds(what, least)?;
            seconds(what, most)?;
            if least > most {
                return Err(format!("{what} [{least}, {most}] is not [min, max]"));
            }
        }
        for account in &self.accounts {
            account_id(&account.id)?;
        }
        for member in &self.instances {
            seconds("reboot_seconds", member.reboot_seconds.unwrap_or_default())?;
            seconds("image_seconds", member.image_seconds.unwrap_or_default())?;
        }
        Ok(())
    }

    fn add_key(&self, world: &mut World, n: u64, key: &FleetKey) -> Result<(), String> {
        let who = key.alias.as_deref().or(key.id.as_deref()).unwrap_or("a key");
        let region = key.region.clone().unwrap_or_else(|| world.home_region().to_owned());
        if !self.regions.contains(&region) {
            return Err(format!("{who}: its region {region} is not in regions"));
        }
        let place = Place::new(key.account.as_ref().unwrap_or(&self.account), region);
        account_id(&place.account)?;
        if let Some(alias) = &key.alias {
            if !alias.starts_with("alias/") || alias.starts_with("alias/aws/") {
                return Err(format!("{who}: an alias begins with alias/, and not with alias/aws/"));
            }
            if world.find_key(&place, alias).is_some() {
                return Err(format!("{who} is there twice in {place}"));
            }
        }
        let id = key.id.clone().unwrap_or_else(|| ids::request_id(ids::hash(self.seed, &format!("key/{place}")), n));
        let arn = format!("arn:aws:kms:{}:{}:key/{id}", place.region, place.account);
        let policy = match &key.policy {
            None => default_policy(&place.account),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(policy) => policy.to_string(),
        };
        let made = SimKey {
            arn: arn.clone(),
            place,
            alias: key.alias.clone(),
            aws_managed: false,
            state: key.state.clone(),
            symmetric: key.symmetric,
            policy,
            grants: Vec::new(),
        };
        match world.keys.insert(arn, made) {
            None => Ok(()),
            Some(there) => Err(format!("{} is there twice", there.arn)),
        }
    }

    fn add(&self, world: &mut World, now: DateTime<Utc>, member: &Member) -> Result<(), String> {
        let who = member.id.as_deref().or(member.name.as_deref()).unwrap_or("an instance");
        let region = member.region.clone().unwrap_or_else(|| world.home_region().to_owned());
        if !self.regions.contains(&region) {
            return Err(format!("{who}: its region {region} is not in regions"));
        }
        let place = Place::new(member.account.as_ref().unwrap_or(&self.account), region);
        account_id(&place.account)?;
        if !matches!(member.state, InstanceState::Running | InstanceState::Stopped) {
            return Err(format!("{who}: a fleet's instance is running or stopped, not {}", member.state.as_str()));
        }
        match &member.id {
            Some(id) if !rules::is_id("i", id) => return Err(format!("{id} is not i- and 17 hexadecimal digits")),
            Some(id) if member.count != 1 => return Err(format!("{id}: an id and a count exclude each other")),
            Some(id) if world.instances.contains_key(id) => return Err(format!("{id} is there twice")),
            _ => {}
        }
        if member.volumes.is_some_and(|n| n == 0 || n > VOLUMES_MAX) {
            return Err(format!("{who}: volumes is not 1..{VOLUMES_MAX}"));
        }
        let key = match &member.kms_key {
            None => None,
            Some(name) => {
                let found = world.find_key(&place, name).filter(|key| key.place.region == place.region);
                Some(found.ok_or_else(|| format!("{who}: there is no key {name} in {place}"))?.arn)
            }
        };
        for n in 1..=member.count {
            let mut tags = member.tags.clone();
            if let Some(name) = &member.name {
                let name = if member.count == 1 { name.clone() } else { format!("{name}-{n}") };
                tags.insert("Name".into(), name);
            }
            let turn = if world.instances.len().is_multiple_of(2) { 1 } else { 2 };
            // Multi-Attach needs a volume beside the root.
            let volumes = member.volumes.unwrap_or(turn).max(if member.multi_attach { 2 } else { 1 });
            let id = world.add_instance(
                now,
                NewInstance {
                    id: member.id.clone(),
                    place: place.clone(),
                    tags,
                    image: Some(member.image.clone().unwrap_or_else(|| BASE_IMAGE.into())),
                    volumes,
                    multi_attach: member.multi_attach,
                    ebs_root: member.ebs_root,
                    hibernation: member.hibernation,
                    key: key.clone(),
                    traits: Traits {
                        product_codes: member.product_codes,
                        reboot_seconds: member.reboot_seconds,
                        image_seconds: member.image_seconds,
                        never_healthy: member.never_healthy,
                        image_fails: member.image_fails,
                        image_unnamed: false,
                        image_sourceless: None,
                        managed_by: None,
                        stale_seconds: member.stale_seconds,
                        ebs_impaired: member.ebs_impaired,
                        status_hidden: false,
                        state_word: None,
                        unreadable: false,
                    },
                },
            );
            if let Some(instance) = world.instances.get_mut(&id) {
                instance.life = Life { from: member.state, to: member.state, at: now };
            }
        }
        Ok(())
    }
}

fn account_id(id: &str) -> Result<(), String> {
    if id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    Err(format!("account {id} is not twelve digits"))
}
