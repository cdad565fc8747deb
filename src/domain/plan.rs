//! A checked plan: types that cannot hold nonsense. `config` makes them, everything else reads them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::keep::Keep;
pub use super::keep::Seconds;
use super::place::Place;
use super::sharing::Grantee;
use super::words::words;
use super::zone::Zone;

/// One TOML file: what to image, when, how, and what happens to the images afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The file's stem: `[a-z0-9._-]{1,40}`.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// When.
    pub schedule: Schedule,
    /// Which instances.
    pub select: Select,
    /// How an image becomes consistent.
    pub consistency: Consistency,
    /// At what pace.
    pub rollout: Rollout,
    /// What stays.
    pub keep: Keep,
    /// The user's own tags for images and snapshots.
    pub tags: BTreeMap<String, String>,
    /// Where the images are copied to. Left out where there is none, so that older revisions keep their hash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<CopyTo>,
    /// Who may use them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

impl Plan {
    /// A plan with the defaults of the contract that selects nothing, for what builds on it.
    #[must_use]
    pub fn named(name: &str, cron: &str) -> Self {
        Self {
            name: name.into(),
            description: None,
            schedule: Schedule {
                cron: vec![cron.into()],
                timezone: chrono_tz::UTC.into(),
                catch_up: Some(3600),
                window: None,
            },
            select: Select::default(),
            consistency: Consistency { mode: Mode::Reboot, resend_unknown: true },
            rollout: Rollout::default(),
            keep: Keep::default(),
            tags: BTreeMap::new(),
            copies: Vec::new(),
            share: None,
        }
    }
}

/// When a plan is due. The texts of `cron` were parsed when the plan was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Cron lines of five or six fields (seconds first), at least one.
    pub cron: Vec<String>,
    /// The zone whose wall clock the lines speak of.
    pub timezone: Zone,
    /// A missed occurrence runs if it is at most this late; `None` is "off".
    pub catch_up: Option<Seconds>,
    /// No new reboot starts later than this after `due`; `None` is "off".
    pub window: Option<Seconds>,
}

/// Which instances a plan images. Never empty: tags or instances name something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Select {
    /// Empty: the SDK's own region.
    pub regions: Vec<String>,
    /// All keys must match; each with any of its values, in which `*` and `?` are wildcards.
    pub tags: BTreeMap<String, BTreeSet<String>>,
    /// An instance that matches any of these is left out, whatever else names it.
    pub exclude_tags: BTreeMap<String, BTreeSet<String>>,
    /// Instance ids, as well as the tags.
    pub instances: BTreeSet<String>,
    /// Whether members of an Auto Scaling group may be rebooted.
    pub allow_auto_scaling: bool,
}

words! {
    /// How an image is made consistent.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Mode {
        /// CreateImage with `NoReboot=false`: EC2 restarts the instance and images its volumes at rest.
        Reboot = "reboot",
        /// CreateImage with `NoReboot=true`: crash-consistent only.
        None = "none",
    }
}

/// `[consistency]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consistency {
    /// How.
    pub mode: Mode,
    /// Whether a CreateImage whose answer was lost may be sent once more under the same name.
    pub resend_unknown: bool,
}

words! {
    /// What happens to the rest of a plan when an instance does not come back.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum OnUnhealthy {
        /// Nothing else of the plan is rebooted until it is back.
        HaltPlan = "halt-plan",
        /// The slot stays taken, the rest goes on.
        Continue = "continue",
    }
}

/// `[rollout]`: the pace of reboots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// A reboot of this plan starts only while fewer than this many instances are down, counted over all plans.
    pub max_in_flight: u32,
    /// A status check counts only if it was seen this long after the call.
    pub settle: Seconds,
    /// An instance that is not back by then halts the plan (or not, see `on_unhealthy`).
    pub healthy_within: Seconds,
    /// What then.
    pub on_unhealthy: OnUnhealthy,
}

impl Default for Rollout {
    fn default() -> Self {
        Self { max_in_flight: 1, settle: 180, healthy_within: 1800, on_unhealthy: OnUnhealthy::HaltPlan }
    }
}

/// An account of `[accounts.NAME]`, as a plan names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// NAME.
    pub name: String,
    /// Twelve digits.
    pub id: String,
}

/// `[[copy]]`: where each image is copied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyTo {
    /// The destination's region.
    pub region: String,
    /// Another account; none: the same one.
    pub account: Option<Account>,
    /// A key of the destination.
    pub kms_key: Option<String>,
    /// A key of the source's place under which it is copied first, where its own cannot be lent.
    pub via_key: Option<String>,
    /// Which copies stay there; the plan's own rules where it says nothing.
    pub keep: Keep,
}

impl CopyTo {
    /// The destination in messages and step names: `dr/eu-west-1`, or `eu-west-1`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.account {
            Some(account) => format!("{}/{}", account.name, self.region),
            None => self.region.clone(),
        }
    }

    /// Where the copies are, of images of the account `own`.
    #[must_use]
    pub fn place(&self, own: &str) -> Place {
        Place::new(self.account.as_ref().map_or(own, |account| &account.id), &self.region)
    }
}

/// `[share]`: who may use the images and their copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Twelve digits each.
    pub accounts: BTreeSet<String>,
    /// ARNs of organizations: they may launch.
    pub organizations: BTreeSet<String>,
    /// ARNs of organizational units: they may launch.
    pub organizational_units: BTreeSet<String>,
    /// Whether `accounts` may copy too, not only launch.
    pub snapshots: bool,
    /// An image is deprecated for this long before it is deleted.
    pub grace: Seconds,
    /// A key under which an image is copied first, where its own cannot be shared.
    pub via_key: Option<String>,
}

impl Share {
    /// All that may launch the images.
    #[must_use]
    pub fn grantees(&self) -> BTreeSet<Grantee> {
        let accounts = self.accounts.iter().cloned().map(Grantee::Account);
        let organizations = self.organizations.iter().cloned().map(Grantee::Organization);
        accounts.chain(organizations).chain(self.organizational_units.iter().cloned().map(Grantee::Unit)).collect()
    }
}
