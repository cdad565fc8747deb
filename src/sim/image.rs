//! One simulated image: its life as a function of `now`.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::answer::Seen;
use crate::domain::observed::{Image, ImageState, Shared, SharedTags, unknown_state, unreadable_date};
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;

/// An image of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimImage {
    /// `ami-...`
    pub id: String,
    /// Whose it is and where.
    pub place: Place,
    /// Unique per account and region.
    pub name: String,
    /// `Description`.
    pub description: String,
    /// Its tags.
    pub tags: SharedTags,
    /// `CreationDate`, to the whole second as EC2 shows it.
    pub created: DateTime<Utc>,
    /// Lists show it from then on.
    pub visible: DateTime<Utc>,
    /// `pending` until then.
    pub ready: DateTime<Utc>,
    /// `failed` after that.
    pub fails: bool,
    /// Why it fails, if not for its snapshots: code and message.
    #[serde(default)]
    pub reason: Option<(String, String)>,
    /// `disabled` (set by hand: DisableImage is not served).
    pub disabled: bool,
    /// When it was deregistered.
    pub deregistered: Option<DateTime<Utc>>,
    /// Until then its name stays taken, and lists may show it (EC2 error-codes page, InvalidAMIName.Duplicate).
    pub forgotten: Option<DateTime<Utc>>,
    /// The instance of CreateImage.
    pub source_instance: Option<String>,
    /// The image of CopyImage.
    pub source_image: Option<String>,
    /// And its region.
    pub source_region: Option<String>,
    /// Whether CreateImage rebooted the instance.
    pub rebooted: bool,
    /// Whether it names none of its snapshots while it is pending, or has failed.
    #[serde(default)]
    pub unnamed: bool,
    /// Whether it does not tell what it was made from until it is there, or (true) never.
    #[serde(default)]
    pub sourceless: Option<bool>,
    /// Device name, snapshot and GiB, the root first.
    pub mappings: Vec<(String, String, u32)>,
    /// The token of CopyImage.
    pub client_token: Option<String>,
    /// Whether it bears product codes.
    #[serde(default)]
    pub product_codes: bool,
    /// `launchPermission`.
    #[serde(default)]
    pub lent: BTreeSet<Grantee>,
    /// `DeprecationTime`.
    #[serde(default)]
    pub deprecated: Option<DateTime<Utc>>,
    /// What of it no version knows how to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odd: Option<Odd>,
}

/// What AWS may answer that no version knows how to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Odd {
    /// Its state reads this word: AWS adds some now and then (`disabled` came in 2023).
    State(String),
    /// It bears no CreationDate (not required by the API model; met by people).
    Undated,
    /// A number of it is none. The SDK reads no page with such a field (its generated parsers).
    Number,
}

impl SimImage {
    /// Where in its life it is.
    #[must_use]
    pub fn state(&self, now: DateTime<Utc>) -> ImageState {
        if self.deregistered.is_some() {
            ImageState::Deregistered
        } else if now < self.ready {
            ImageState::Pending
        } else if self.fails {
            ImageState::Failed
        } else if self.disabled {
            ImageState::Disabled
        } else {
            ImageState::Available
        }
    }

    /// Whether lists show it.
    #[must_use]
    pub fn visible(&self, now: DateTime<Utc>) -> bool {
        self.visible <= now && self.forgotten.is_none_or(|until| now < until)
    }

    /// Whether it holds its name.
    #[must_use]
    pub fn holds_name(&self, now: DateTime<Utc>) -> bool {
        self.forgotten.is_none_or(|until| now < until)
    }

    /// Whether it needs its snapshots: a registered one does, in any state (EC2: `InvalidSnapshot.InUse`).
    #[must_use]
    pub fn registered(&self) -> bool {
        self.deregistered.is_none()
    }

    /// Its snapshots.
    pub fn snapshots(&self) -> impl Iterator<Item = &str> {
        self.mappings.iter().map(|(_, snapshot, _)| snapshot.as_str())
    }

    /// Its mappings as they are shown in `state`, each without a snapshot where it names none.
    pub fn shown(&self, state: ImageState) -> impl Iterator<Item = (&str, Option<&str>, u32)> {
        let named = !self.unnamed || !matches!(state, ImageState::Pending | ImageState::Failed);
        self.mappings.iter().map(move |(device, id, size)| (&**device, named.then_some(&**id), *size))
    }

    /// What it was made from, as it is told in `state`: the instance, and the image.
    #[must_use]
    pub fn sources(&self, state: ImageState) -> (Option<&str>, Option<&str>) {
        match self.sourceless {
            Some(true) => (None, None),
            Some(false) if state == ImageState::Pending => (None, None),
            _ => (self.source_instance.as_deref(), self.source_image.as_deref()),
        }
    }

    /// `StateReason` in `state`: code and message.
    #[must_use]
    pub fn state_reason(&self, state: ImageState) -> Option<(&str, &str)> {
        let reason = self.reason.as_ref().map(|(code, message)| (code.as_str(), message.as_str()));
        let usual = ("Client.InternalError", "Client error on creation: the snapshot could not be completed");
        (state == ImageState::Failed).then(|| reason.unwrap_or(usual))
    }
}

impl From<Seen<Shared<SimImage>, ImageState>> for Image {
    fn from(Seen { it, state }: Seen<Shared<SimImage>, ImageState>) -> Self {
        Self {
            id: it.id.clone(),
            name: it.name.clone(),
            owner: it.place.account.clone(),
            state: if matches!(it.odd, Some(Odd::State(_))) { ImageState::Unknown } else { state },
            state_reason: it.state_reason(state).map(|(code, message)| format!("{code}: {message}")),
            created: (it.odd != Some(Odd::Undated)).then_some(it.created),
            source_instance: it.sources(state).0.map(str::to_owned),
            source_image: it.sources(state).1.map(str::to_owned),
            snapshots: it.shown(state).filter_map(|(_, id, _)| id.map(str::to_owned)).collect(),
            product_codes: it.product_codes,
            deprecated: it.deprecated,
            tags: it.tags.clone(),
            odd: it.odd.as_ref().and_then(|odd| match odd {
                Odd::State(word) => Some(unknown_state(word)),
                Odd::Undated => Some(unreadable_date("CreationDate", "")),
                Odd::Number => None, // one that nobody asks for
            }),
        }
    }
}
