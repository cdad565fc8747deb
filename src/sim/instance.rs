//! One simulated instance: its life and its status checks as functions of `now`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::answer::Seen;
pub use super::boot::Boot;
use super::world::World;
use crate::domain::observed::{Instance, InstanceState, Tags, unknown_state};
use crate::domain::place::Place;

/// What a test or a fleet scripts about an instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traits {
    /// How long a reboot takes; the fleet's if absent.
    pub reboot_seconds: Option<f64>,
    /// How long its images take; the fleet's range if absent.
    pub image_seconds: Option<f64>,
    /// Its status checks stay impaired after the next reboot.
    pub never_healthy: bool,
    /// Its images end `failed`.
    pub image_fails: bool,
    /// Its images name none of their snapshots while they are pending, or have failed (met by people:
    /// aws-amicleaner#114, libcloud#1700).
    pub image_unnamed: bool,
    /// Its images do not tell what they were made from until they are there, or (true) never.
    pub image_sourceless: Option<bool>,
    /// It bears product codes (AWS Marketplace).
    pub product_codes: bool,
    /// A service of AWS manages it (`Operator`).
    pub managed_by: Option<String>,
    /// For so long after a reboot begins its status checks read as before (EC2 user guide, "Status checks": they "are
    /// performed every minute").
    pub stale_seconds: f64,
    /// An attached volume cannot be reached: `AttachedEbsStatus` reads `impaired`.
    pub ebs_impaired: bool,
    /// DescribeInstanceStatus leaves it out, and DescribeInstances does not.
    pub status_hidden: bool,
    /// Its state reads this word, which no version knows: AWS adds words now and then.
    pub state_word: Option<String>,
    /// A number and a date of it are none. The SDK reads no page with such a field (its generated parsers).
    pub unreadable: bool,
}

const NOT_APPLICABLE: (&str, &str) = ("not-applicable", "not-applicable");

/// A change of state under way, or long done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Before `at`.
    pub from: InstanceState,
    /// From `at` on.
    pub to: InstanceState,
    /// When the change is complete.
    pub at: DateTime<Utc>,
}

/// An instance of the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimInstance {
    /// `i-...`
    pub id: String,
    /// Where it is.
    pub place: Place,
    /// Its tags.
    pub tags: Tags,
    /// `LaunchTime`; a reboot does not change it.
    pub launched: DateTime<Utc>,
    /// The image it was launched from.
    pub image: Option<String>,
    /// Whether its root device is an EBS volume.
    pub ebs_root: bool,
    /// `HibernationOptions.Configured`.
    pub hibernation: bool,
    /// Device name and volume, the root first.
    pub volumes: Vec<(String, String)>,
    /// Scripted behaviour.
    pub traits: Traits,
    /// Where in its life it is.
    pub life: Life,
    /// The newest boot.
    pub boot: Boot,
    /// When each reboot began, whoever asked for it.
    pub reboots: Vec<DateTime<Utc>>,
}

impl SimInstance {
    /// Where in its life it is.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> InstanceState {
        if now < self.life.at { self.life.from } else { self.life.to }
    }

    /// `SystemStatus.Status` and `InstanceStatus.Status`; not-applicable unless running (API reference,
    /// InstanceStatusSummary; a state of `pending` reads not-applicable too).
    #[must_use]
    pub fn checks(&self, now: DateTime<Utc>) -> (&'static str, &'static str) {
        if self.state(now) == InstanceState::Running { self.boot.checks(now) } else { NOT_APPLICABLE }
    }

    /// What the status checks will read once they have noticed it.
    #[must_use]
    pub fn condition(&self, now: DateTime<Utc>) -> (&'static str, &'static str) {
        if self.state(now) == InstanceState::Running { self.boot.condition(now) } else { NOT_APPLICABLE }
    }

    /// `AttachedEbsStatus.Status`: shown of newer types of instance only, here of those with a data volume.
    #[must_use]
    pub fn attached_ebs(&self, now: DateTime<Utc>) -> Option<&'static str> {
        let word = match self.state(now) {
            InstanceState::Running
                if self.traits.ebs_impaired || self.boot.stalled.is_some_and(|until| now < until) =>
            {
                "impaired"
            }
            InstanceState::Running => "ok",
            _ => NOT_APPLICABLE.0,
        };
        (self.volumes.len() > 1 || self.traits.ebs_impaired).then_some(word)
    }

    /// How often it was rebooted.
    #[must_use]
    pub fn reboot_count(&self) -> usize {
        self.reboots.len()
    }
}

impl World {
    /// Merges the keys of `patch` into an instance's traits; `None` if there is no such instance. Taking
    /// `never_healthy` back heals an instance that is impaired.
    ///
    /// # Errors
    /// The patch has an unknown key or a wrong value.
    pub fn script(&mut self, id: &str, patch: &serde_json::Value) -> Option<Result<Traits, String>> {
        let instance = self.instances.get_mut(id)?;
        let merged = merge(&instance.traits, patch);
        if let Ok(traits) = &merged {
            if instance.traits.never_healthy && !traits.never_healthy {
                instance.boot.impaired = false;
            }
            instance.traits = traits.clone();
            self.touch();
        }
        Some(merged)
    }
}

fn merge(traits: &Traits, patch: &serde_json::Value) -> Result<Traits, String> {
    let mut all = serde_json::to_value(traits).map_err(|error| error.to_string())?;
    let (Some(all_keys), Some(new)) = (all.as_object_mut(), patch.as_object()) else {
        return Err("a patch is a JSON object such as {\"never_healthy\": true}".into());
    };
    all_keys.extend(new.clone());
    serde_json::from_value(all).map_err(|error| error.to_string())
}

impl From<Seen<SimInstance, InstanceState>> for Instance {
    fn from(seen: Seen<SimInstance, InstanceState>) -> Self {
        let Seen { it, state } = seen;
        let odd = it.traits.state_word.as_deref().map(unknown_state);
        Self {
            id: it.id,
            state: if odd.is_some() { InstanceState::Unknown } else { state },
            ebs_root: it.ebs_root,
            hibernation: it.hibernation,
            volumes: it.volumes.into_iter().map(|(_, volume)| volume).collect(),
            image: it.image,
            product_codes: it.traits.product_codes,
            managed_by: it.traits.managed_by,
            tags: it.tags,
            odd,
        }
    }
}
