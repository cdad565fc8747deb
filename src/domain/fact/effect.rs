//! What is told of the effects of steps: what is intended, what was made, how it ended.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::event::Outcome;
use crate::domain::naming;
use crate::domain::observed::Tags;
use crate::domain::prevented::Prevented;

/// The parameters of an effect, journaled before it is made: all that making it, and going on with it, needs.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Of the step `image`.
    Image(Imaging),
    /// Of the step `return`, which needs none.
    Return,
    /// Of the steps `copy` and `via`.
    Copy(Box<Copying>),
    /// Of the steps `lend`, `reclaim` and `share`.
    Permit(Box<Permitting>),
    /// Of the step `retain`.
    Remove(Removing),
}

impl Intent {
    /// Of the step `image`.
    #[must_use]
    pub fn imaging(&self) -> Option<&Imaging> {
        if let Self::Image(imaging) = self { Some(imaging) } else { None }
    }

    /// Of the steps `copy` and `via`.
    #[must_use]
    pub fn copying(&self) -> Option<&Copying> {
        if let Self::Copy(copying) = self { Some(copying) } else { None }
    }

    /// Of the steps that change who may use an image.
    #[must_use]
    pub fn permitting(&self) -> Option<&Permitting> {
        if let Self::Permit(permitting) = self { Some(permitting) } else { None }
    }

    /// Of the step `retain`.
    #[must_use]
    pub fn removing(&self) -> Option<&Removing> {
        if let Self::Remove(removing) = self { Some(removing) } else { None }
    }

    /// The image that it names.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        match self {
            Self::Permit(permitting) => Some(&permitting.image),
            Self::Remove(removing) => Some(&removing.image),
            Self::Image(_) | Self::Return | Self::Copy(_) => None,
        }
    }

    /// The name under which something is made.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Image(imaging) => Some(imaging.name.as_str()).filter(|name| !name.is_empty()),
            Self::Copy(copying) => Some(&copying.name),
            Self::Remove(removing) => removing.name.as_deref(),
            Self::Return | Self::Permit(_) => None,
        }
    }
}

/// CreateImage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imaging {
    /// The image's name.
    pub name: String,
    /// Whether the instance stays up.
    pub no_reboot: bool,
    /// Whether its status checks read ok right before.
    pub checked: bool,
}

/// CopyImage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Copying {
    /// Which client token: rises when what the last one made was seen to end, or can never be made.
    pub attempt: u32,
    /// The image that is copied.
    pub from: String,
    /// Its region.
    pub from_region: String,
    /// The copy's name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// The client token.
    pub token: String,
    /// The key under which it is made.
    pub kms_key: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// Who may use an image, and what came of changing that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Permitting {
    /// The image.
    pub image: String,
    /// The keys that it is encrypted under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<BTreeSet<String>>,
    /// The account that is let in for a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The region that it copies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The role that copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The image's snapshots, as far as they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<Vec<String>>,
    /// Whom `[share]` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<Vec<String>>,
    /// The image and the snapshots that somebody was let in to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<Vec<String>>,
    /// The grants that were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Granted>>,
}

/// A grant on a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The key's ARN.
    pub key: String,
    /// The grant's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The ARN of who may use the key.
    pub grantee: String,
}

/// The removal of an image and its snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Removing {
    /// The image.
    pub image: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its snapshots.
    pub snapshots: Vec<String>,
    /// Why.
    pub reason: String,
    /// What else it names and is not provably ours; with this, `snapshots` are. Absent in what earlier versions wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<Vec<String>>,
}

impl Removing {
    /// Whether these are the tags of one of its snapshots. A removal that does not know the image's name was begun by an
    /// earlier version, after it had judged the image: then those of any image of this daemon.
    #[must_use]
    pub fn owns(&self, tags: &Tags, daemon: &str) -> bool {
        self.name
            .as_ref()
            .map_or_else(|| naming::is_snapshot_of_daemon(tags, daemon), |name| naming::is_snapshot_of(tags, name))
    }
}

/// An effect was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// What it answered.
    pub made: Made,
    /// AWS's id of the request.
    pub request: Option<String>,
    /// Whether it was found, not made.
    pub adopted: bool,
}

/// What an effect answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// Nothing that is needed.
    Nothing,
    /// An image was made, or deregistered.
    Image(String),
    /// Who may use an image was changed.
    Permit(Box<Permitting>),
    /// A snapshot is settled: why.
    Settled(String),
    /// An image is deprecated from then on.
    Deprecated {
        /// The image.
        image: String,
        /// RFC 3339.
        at: String,
    },
}

impl Made {
    /// The image that it names.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        match self {
            Self::Image(image) | Self::Deprecated { image, .. } => Some(image),
            Self::Permit(permitting) => Some(&permitting.image),
            Self::Nothing | Self::Settled(_) => None,
        }
    }

    /// What came of changing who may use an image.
    #[must_use]
    pub fn permitting(&self) -> Option<&Permitting> {
        if let Self::Permit(permitting) = self { Some(permitting) } else { None }
    }
}

/// An effect was certainly not made, or did not last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: String,
    /// AWS's id of the request.
    pub request: Option<String>,
    /// Whether it is our own decision, and no failure.
    pub skipped: bool,
    /// What prevented it, where nobody has chosen it.
    pub prevented: Option<Prevented>,
    /// Whether an earlier attempt may have been made all the same. Facts of before do not say it.
    pub uncertain: bool,
    /// The class of AWS's refusal.
    pub class: Option<String>,
    /// Whether it may be made in another attempt.
    pub again: bool,
    /// Whether what was asked for has ended, so that another is asked for next.
    pub ended: bool,
    /// What became of a copy that failed.
    pub copy: Option<CopyEnd>,
}

impl Refusal {
    /// For this reason, and for good.
    #[must_use]
    pub fn of(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }
}

/// What became of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyEnd {
    /// EC2's word, or `gone`.
    pub state: String,
    /// The copy.
    pub image: String,
    /// Its account.
    pub account: String,
    /// Its region.
    pub region: String,
    /// How long after it was called for.
    pub elapsed_ms: i64,
}

/// An effect's answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// How.
    pub reason: String,
    /// AWS's id of the request.
    pub request: Option<String>,
    /// Whether there was an answer, which named something else.
    pub mistaken: bool,
}

/// What an effect brought about has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// How.
    pub outcome: Outcome,
    /// EC2's word for it, or ours.
    pub state: Option<String>,
    /// The image.
    pub image: Option<String>,
    /// Why, where it is no good, or not wanted any more.
    pub reason: Option<String>,
    /// How long after it was called for.
    pub elapsed_ms: Option<i64>,
    /// Of a copy: its account.
    pub account: Option<String>,
    /// Of a copy: its region.
    pub region: Option<String>,
    /// What proved that an instance is back.
    pub evidence: Option<String>,
    /// Of a copy: whether another token is next.
    pub ended: bool,
}

impl Observed {
    /// With this outcome; nothing else is told.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            state: None,
            image: None,
            reason: None,
            elapsed_ms: None,
            account: None,
            region: None,
            evidence: None,
            ended: false,
        }
    }
}

/// Something cannot go on without a person.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Need {
    /// What, and what to do.
    pub reason: String,
    /// Whether the step has ended with it.
    pub failed: bool,
    /// The image that it is about.
    pub image: Option<String>,
    /// What was intended, where nobody knows what came of it.
    pub intent: Option<Intent>,
    /// Of an instance that is not back.
    pub overdue: Option<Overdue>,
}

impl Need {
    /// For this reason; what it is about goes on.
    #[must_use]
    pub fn of(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }

    /// The same; what it is about has ended.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { failed: true, ..Self::of(reason) }
    }
}

/// An instance is not back in service in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overdue {
    /// Since when it counts as down, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Whether its plan halts for it.
    #[serde(default)]
    pub halts: bool,
    /// Seconds after the call before a status check counts.
    #[serde(default)]
    pub settle: u64,
}
