//! What the world answers: objects as they are at `now`, with their states worked out.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::domain::observed::{ImageState, InstanceState, Shared};
use crate::domain::sharing::Grantee;

use super::image::SimImage;
use super::instance::SimInstance;
use super::key::{SimGrant, SimKey};
use super::served::Given;
use super::snapshot::SimSnapshot;
use super::volume::SimVolume;

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// In the order of their ids.
    pub items: Vec<T>,
    /// `NextToken`.
    pub next: Option<String>,
}

/// An object and where in its life it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen<T, S> {
    /// The object.
    pub it: T,
    /// Its state at `now`.
    pub state: S,
}

/// Both status checks of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// `i-...`
    pub instance: String,
    /// Its region, of which the availability zone is a part.
    pub region: String,
    /// Where in its life it is.
    pub state: InstanceState,
    /// In which word.
    pub state_word: String,
    /// `SystemStatus.Status`.
    pub system: &'static str,
    /// `InstanceStatus.Status`.
    pub reachability: &'static str,
    /// `AttachedEbsStatus.Status`, where it is shown.
    pub attached_ebs: Option<&'static str>,
}

/// A change of state that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `i-...`
    pub instance: String,
    /// Before.
    pub previous: InstanceState,
    /// After.
    pub current: InstanceState,
}

/// The answer to one action.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// DescribeInstances.
    Instances(Page<Seen<SimInstance, InstanceState>>),
    /// DescribeInstanceStatus.
    Statuses(Page<Checks>),
    /// DescribeVolumes.
    Volumes(Page<SimVolume>),
    /// DescribeImages.
    Images(Page<Seen<Shared<SimImage>, ImageState>>),
    /// DescribeSnapshots.
    Snapshots(Page<Seen<SimSnapshot, &'static str>>),
    /// CreateImage, CopyImage, RegisterImage: the new image.
    Image(String),
    /// DeregisterImage: what became of each snapshot (snapshot, return code).
    Deregistered(Vec<(String, &'static str)>),
    /// StartInstances, StopInstances, TerminateInstances.
    Changes(Vec<Change>),
    /// RunInstances.
    Launched(Vec<Seen<SimInstance, InstanceState>>),
    /// `return: true`.
    Done,
    /// DescribeImageAttribute, DescribeSnapshotAttribute: of this object, these.
    Permissions(String, BTreeSet<Grantee>),
    /// To a request that is told in a place of its own.
    Served(Given),
    /// AssumeRole.
    Session {
        /// The access key id: it names the session.
        key: String,
        /// The assumed role's principal: `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
        arn: String,
        /// When it expires.
        expires: DateTime<Utc>,
    },
    /// DescribeKey.
    Key(SimKey),
    /// GetKeyPolicy.
    KeyPolicy(String),
    /// ListGrants, of the key with this ARN.
    Grants(String, Page<SimGrant>),
    /// CreateGrant: the grant's id.
    Grant(String),
    /// GetCallerIdentity.
    Identity {
        /// Twelve digits.
        account: String,
        /// The principal.
        arn: String,
    },
}

impl Answer {
    /// The same, with an empty id for what was made.
    #[must_use]
    pub(super) fn named_nothing(self) -> Self {
        match self {
            Self::Image(_) => Self::Image(String::new()),
            Self::Grant(_) => Self::Grant(String::new()),
            other => other,
        }
    }
}
