//! What the world answers: objects as they are at `now`, with their states worked out.

use crate::domain::observed::{ImageState, InstanceState, Shared};

use super::image::SimImage;
use super::instance::SimInstance;
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
    /// `SystemStatus.Status`.
    pub system: &'static str,
    /// `InstanceStatus.Status`.
    pub reachability: &'static str,
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
    /// GetCallerIdentity.
    Identity {
        /// Twelve digits.
        account: String,
        /// The principal.
        arn: String,
    },
}
