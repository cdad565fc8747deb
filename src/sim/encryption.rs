//! Under which key the snapshots of a copy are, and what stops a copy while it is made.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::keyring::MANAGED;
use super::world::{Caller, World};
use crate::domain::observed::ImageState;
use crate::domain::place::Place;

/// A copy that is being made: who asked for it, and what it reads and writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copying {
    /// Who called CopyImage.
    pub(super) caller: Caller,
    /// The region of the source.
    pub(super) from: String,
    /// Each snapshot that it reads.
    pub(super) reads: Vec<String>,
    /// The keys that these are under.
    pub(super) opens: Vec<String>,
    /// The keys that it writes under.
    pub(super) seals: Vec<String>,
}

/// The pending copies by id; what has ended is dropped when the next is made or something is taken back.
pub(super) type Pending = BTreeMap<String, Copying>;

impl World {
    /// The key of a copy's snapshot. User guide (2023), "Use encryption with EBS-backed AMIs", the table of
    /// CopyImage.
    pub(super) fn key_of_copy(
        &self,
        place: &Place,
        source: (&str, Option<&str>),
        encrypted: Option<bool>,
        kms_key: Option<&str>,
    ) -> Result<Option<String>, ApiError> {
        let arn = |name: &str| Some(self.find_key(place, name).map_or_else(|| name.to_owned(), |key| key.arn));
        let settings = self.settings(place);
        let default = || arn(settings.default_key.as_deref().unwrap_or(MANAGED));
        let (owner, key) = source;
        Ok(match (key, encrypted, kms_key) {
            // API reference, CopyImage, KmsKeyId: "If you specify a KmsKeyId, you must also set Encrypted". The code is
            // that of the same dependency in other requests (error-codes page).
            (_, None | Some(false), Some(_)) => {
                return Err(ApiError::client(
                    "InvalidParameterDependency",
                    "The parameter KmsKeyId requires the parameter Encrypted to be set.",
                ));
            }
            (_, Some(true), Some(given)) => arn(given),
            // API reference, CopyImage, Encrypted: "You cannot create an unencrypted copy of an encrypted snapshot."
            (Some(_), Some(false), None) => {
                return Err(ApiError::client(
                    "InvalidRequest",
                    "You cannot create an unencrypted copy of an encrypted snapshot.",
                ));
            }
            (None, Some(true), None) => default(),
            (None, None | Some(false), None) if settings.encrypts_by_default => default(),
            (None, None | Some(false), None) => None,
            // In another region the "same key" cannot be used, and the copy fails for it (an inference).
            (Some(key), None | Some(true), None) if owner == place.account => Some(key.to_owned()),
            (Some(_), None | Some(true), None) => default(),
        })
    }

    /// Why a copy cannot be completed as things are now.
    pub(super) fn copy_problem(&self, now: DateTime<Utc>, place: &Place, copy: &Copying) -> Option<(String, String)> {
        let from = Place::new(&place.account, &copy.from);
        let lost = copy
            .reads
            .iter()
            .find(|id| !self.snapshots.get(*id).is_some_and(|s| self.knows_snapshot(&place.account, s)));
        let reason = |id: &String| {
            let message = format!("Client error on creation: the snapshot {id} cannot be read any more");
            ("Client.InvalidSnapshot.NotFound".to_owned(), message)
        };
        lost.map(reason)
            .or_else(|| copy.opens.iter().find_map(|key| self.key_problem(now, &copy.caller, &from, key)))
            .or_else(|| copy.seals.iter().find_map(|key| self.key_problem(now, &copy.caller, place, key)))
    }

    /// How many copies are being made in `place`; forgets those that are made.
    pub(super) fn copies_under_way(&mut self, now: DateTime<Utc>, place: &Place) -> usize {
        let images = &self.images;
        let going = |id: &String| images.get(id).is_some_and(|i| i.state(now) == ImageState::Pending);
        self.copying.retain(|id, _| going(id));
        self.copying.keys().filter(|id| images.get(*id).is_some_and(|i| i.place == *place)).count()
    }

    /// Something was taken back: whatever copy needs it ends `failed`. Whether that is so in AWS is not documented; a
    /// world may be set to the kinder answer.
    pub(super) fn stop_copies(&mut self, now: DateTime<Utc>) {
        if !self.revoking_stops_copies || self.copying.is_empty() {
            return;
        }
        for (id, copy) in self.copying.clone() {
            let Some(image) = self.images.get(&id).filter(|i| i.state(now) == ImageState::Pending) else { continue };
            let problem = if image.fails { None } else { self.copy_problem(now, &image.place, &copy) };
            if let Some(reason) = problem {
                self.fail_copy(&id, now, reason);
            }
        }
    }

    /// The copy ends `failed` at `at`.
    pub(super) fn fail_copy(&mut self, id: &str, at: DateTime<Utc>, reason: (String, String)) {
        let Some(image) = self.images.get_mut(id) else { return };
        image.fails = true;
        image.ready = at;
        image.reason = Some(reason);
        let snapshots: Vec<String> = image.snapshots().map(str::to_owned).collect();
        for snapshot in snapshots {
            if let Some(snapshot) = self.snapshots.get_mut(&snapshot) {
                snapshot.fails = true;
                snapshot.ready = at;
            }
        }
    }
}
