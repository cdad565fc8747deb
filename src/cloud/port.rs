//! The ports `Ec2`, `Distribution`, `Keys` and `Identity`: one method is one API request in one [`Place`].
//!
//! Reads end in a value or a [`Fault`]; effects end Done, Refused or Unknown. No port retries anything.

mod distribution;
mod keys;

use std::fmt;

use async_trait::async_trait;
use chrono::TimeDelta;

pub use self::distribution::{AllowedImages, Change, CopyImage, Distribution, DryRun};
pub use self::keys::{CreateGrant, Grant, Keys};

use super::classify::Class;
use crate::domain::observed::{Image, Instance, InstanceStatus, Snapshot, Tags};
use crate::domain::place::Place;

/// Ids of EC2 have 8 characters after their kind, or more: what is shorter was cut off.
const ID_MIN: usize = 8;

/// EC2 takes at most this many values in one filter (API reference, "Filters": 200 values).
pub const FILTER_VALUES_MAX: usize = 200;

/// DescribeInstanceStatus takes at most this many ids (API reference), and cannot be paged with them.
pub const STATUS_IDS_MAX: usize = 100;

/// Why a request did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Fault {
    /// What the caller can do about it.
    pub class: Class,
    /// AWS's error code, or one of ours for what never reached AWS (`Timeout`, `Connection`, `Credentials`).
    pub code: String,
    /// AWS's message, without credentials.
    pub message: String,
    /// AWS's id of the request, if it answered.
    pub request_id: Option<String>,
}

/// The id of the image that `api` answered it made.
///
/// # Errors
/// It is none: then it is not known whether one was made.
pub(crate) fn made_image(api: &str, id: Option<String>) -> Read<String> {
    let plain = |id: &String| {
        let rest = id.strip_prefix("ami-");
        rest.is_some_and(|rest| rest.len() >= ID_MIN && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
    };
    id.filter(plain).ok_or_else(|| Fault {
        class: Class::Transient,
        code: "Answer".into(),
        message: format!("{api}: the answer names no image"),
        request_id: None,
    })
}

/// The answer to a read.
pub type Read<T> = Result<T, Fault>;

/// The three ends of an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<T> {
    /// It took effect.
    Done {
        /// What AWS answered.
        value: T,
        /// AWS's id of the request.
        request_id: Option<String>,
    },
    /// It certainly took no effect.
    Refused(Fault),
    /// No clear answer: it may have taken effect. Look again.
    Unknown(Fault),
}

/// No page is asked for smaller than this: a list must come to an end (API reference, MaxResults: 5 at the least).
const PAGE_LEAST: u32 = 50;

/// Which page of a list is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The token that the page before it ended with.
    pub token: Option<&'a str>,
    /// How often the largest page is halved: whole ones took too long.
    pub halved: u32,
}

impl Ask<'_> {
    /// The first page, as large as can be.
    pub const FIRST: Ask<'static> = Ask { token: None, halved: 0 };

    /// Its size, where `largest` is the API's.
    #[must_use]
    pub fn size(self, largest: u32) -> u32 {
        largest.checked_shr(self.halved).unwrap_or(0).max(PAGE_LEAST.min(largest))
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on this page.
    pub items: Vec<T>,
    /// The token of the next page, if there is one.
    pub next: Option<String>,
}

/// Which instances to list. Filters only: with the ids parameter one unknown id fails the whole call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceQuery {
    /// Filter `instance-id` (at most [`FILTER_VALUES_MAX`]).
    Ids(Vec<String>),
    /// Filters `tag:KEY` = values, all of which must match; values hold `*` and `?` wildcards.
    Tags(Vec<(String, Vec<String>)>),
    /// Filter `image-id`: the instances launched from these images.
    LaunchedFrom(Vec<String>),
}

/// Which images of our own to list (owner self, disabled ones included).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageQuery {
    /// Filter `image-id`.
    Ids(Vec<String>),
    /// Filter `name`, exact or with wildcards.
    Names(Vec<String>),
    /// Filter `source-instance-id`.
    SourceInstances(Vec<String>),
    /// Filter `tag:KEY` = value.
    Tag(String, String),
}

/// All that a CreateImage carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateImage {
    /// `i-...`
    pub instance: String,
    /// The deterministic name.
    pub name: String,
    /// At most 255 characters.
    pub description: String,
    /// Sent explicitly, also when false.
    pub no_reboot: bool,
    /// For the image and each of its snapshots, in this same call.
    pub tags: Tags,
}

/// What became of one snapshot in DeregisterImage with DeleteAssociatedSnapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotEnd {
    /// `snap-...`
    pub snapshot: String,
    /// EC2's word: success, skipped, missing-permissions, internal-error, client-error.
    pub result: String,
}

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// The principal's ARN.
    pub arn: String,
}

/// The part of the EC2 API that images need.
#[async_trait(?Send)]
pub trait Ec2 {
    /// DescribeInstances.
    async fn instances(&self, place: &Place, query: &InstanceQuery, page: Ask<'_>) -> Read<Page<Instance>>;
    /// DescribeInstanceStatus of at most [`STATUS_IDS_MAX`] instances, IncludeAllInstances. The only look-up by the
    /// ids parameter, since this API has no filter by id: one unknown id fails the call with
    /// `InvalidInstanceID.NotFound`, which [`Governed`](super::governed::Governed) resolves.
    async fn instance_status(&self, place: &Place, ids: &[String]) -> Read<Vec<InstanceStatus>>;
    /// The ids of all volumes of the region with Multi-Attach enabled (DescribeVolumes, filter `multi-attach-enabled`).
    async fn multi_attach_volumes(&self, place: &Place, page: Ask<'_>) -> Read<Page<String>>;
    /// DescribeImages, owner self, IncludeDisabled.
    async fn images(&self, place: &Place, query: &ImageQuery, page: Ask<'_>) -> Read<Page<Image>>;
    /// DescribeSnapshots, owner self, filtered by `snapshot-id`.
    async fn snapshots(&self, place: &Place, ids: &[String], page: Ask<'_>) -> Read<Page<Snapshot>>;
    /// DescribeSnapshots, owner self, filter `tag:KEY` = value.
    async fn snapshots_tagged(&self, place: &Place, key: &str, value: &str, page: Ask<'_>) -> Read<Page<Snapshot>>;
    /// CreateImage: answers the image's id.
    async fn create_image(&self, place: &Place, request: &CreateImage) -> Effect<String>;
    /// DeregisterImage, `whole` with DeleteAssociatedSnapshots: answers what became of each snapshot (may be empty).
    async fn deregister_image(&self, place: &Place, image: &str, whole: bool) -> Effect<Vec<SnapshotEnd>>;
    /// DeleteSnapshot.
    async fn delete_snapshot(&self, place: &Place, snapshot: &str) -> Effect<()>;
}

/// A role of another account, to be assumed for what is done there.
#[derive(Clone, PartialEq, Eq)]
pub struct Role {
    /// Twelve digits.
    pub account: String,
    /// The role's ARN.
    pub arn: String,
    /// What the role asks for; never shown.
    pub external_id: Option<String>,
    /// `stillframe-<daemon>`.
    pub session: String,
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Role").field("account", &self.account).field("arn", &self.arn).finish_non_exhaustive()
    }
}

/// Who we are (STS).
#[async_trait(?Send)]
pub trait Identity {
    /// GetCallerIdentity, in the home region.
    async fn whoami(&self) -> Read<Caller>;
    /// GetCallerIdentity with the credentials that are used in `place`: a role is assumed for another account's.
    async fn whoami_in(&self, place: &Place) -> Read<Caller>;
    /// Reads the credentials anew, since they were refused or somebody has changed them: whether others are used now.
    /// Those of another account never are.
    async fn renew(&self) -> Read<bool> {
        Ok(false)
    }
    /// The SDK's own region, where a plan names none.
    fn home_region(&self) -> Option<String>;
    /// By how much this machine's clock was ahead of AWS's at the newest answer (negative: behind), where that shows.
    fn clock_ahead(&self) -> Option<TimeDelta> {
        None
    }
}
