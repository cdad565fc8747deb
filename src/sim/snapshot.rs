//! One simulated snapshot.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::answer::Seen;
use crate::domain::observed::{Snapshot, Tags};
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;

/// The volume id that copied snapshots bear (API reference, CopySnapshot: "arbitrary volume ID", in fact this one).
pub const COPIED_VOLUME: &str = "vol-ffffffff";

/// A snapshot of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimSnapshot {
    /// `snap-...`
    pub id: String,
    /// Where it is.
    pub place: Place,
    /// Its tags.
    pub tags: Tags,
    /// The volume it was made from.
    pub volume: String,
    /// GiB.
    pub size: u32,
    /// `Description`.
    pub description: String,
    /// When it was asked for.
    pub created: DateTime<Utc>,
    /// `StartTime`; when it was asked for, if absent.
    #[serde(default)]
    pub started: Option<DateTime<Utc>>,
    /// Lists show it from then on.
    pub visible: DateTime<Utc>,
    /// `pending` until then.
    pub ready: DateTime<Utc>,
    /// `error` after that.
    pub fails: bool,
    /// The registered images that need it.
    pub users: BTreeSet<String>,
    /// The ARN of the key that it is encrypted under.
    #[serde(default)]
    pub key: Option<String>,
    /// `createVolumePermission`.
    #[serde(default)]
    pub lent: BTreeSet<Grantee>,
}

impl SimSnapshot {
    /// `StartTime`.
    #[must_use]
    pub fn start_time(&self) -> DateTime<Utc> {
        self.started.unwrap_or(self.created)
    }

    /// pending, completed or error.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> &'static str {
        if now < self.ready {
            "pending"
        } else if self.fails {
            "error"
        } else {
            "completed"
        }
    }
}

impl From<Seen<SimSnapshot, &'static str>> for Snapshot {
    fn from(seen: Seen<SimSnapshot, &'static str>) -> Self {
        let Seen { it, state } = seen;
        let started = Some(it.start_time());
        let (volume, description) = (Some(it.volume), Some(it.description));
        Self { id: it.id, volume, description, state: state.into(), started, key: it.key, tags: it.tags }
    }
}
