//! Whether an image can be copied or shared as a plan asks, and how: pure verdicts with reasons, the same for `check`,
//! `preview` and the engine.

mod copy;
mod disks;
mod keys;
mod members;
pub mod names;
pub mod outcome;
pub mod policy;
mod share;
pub mod statement;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use copy::copy;
pub use members::policy_allows_members;
pub use policy::policy_allows;
pub use share::{ShareVerdict, share};

/// A KMS key as DescribeKey shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its ARN, which names account and region.
    pub arn: String,
    /// Whether AWS manages it (`KeyManager` is `AWS`): such a key can be lent to nobody.
    pub aws_managed: bool,
    /// `KeyState`: Enabled, Disabled, PendingDeletion, ...
    pub state: String,
    /// Whether `KeySpec` is `SYMMETRIC_DEFAULT`.
    pub symmetric: bool,
}

/// What a volume or a snapshot is encrypted under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// Nothing.
    None,
    /// A key that was described.
    Key(Key),
    /// A key that could not be described, for this reason.
    Unread {
        /// The key's ARN.
        arn: String,
        /// What KMS said.
        why: String,
    },
}

/// One disk of an image: a snapshot, or the volume that it will be made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// `snap-...` or `vol-...`
    pub id: String,
    /// What it is encrypted under.
    pub encryption: Encryption,
}

/// What is to be copied or shared: an image, or the instance that it will be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `ami-...` or `i-...`
    pub id: String,
    /// Twelve digits.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Whether it bears product codes (AWS Marketplace).
    pub product_codes: bool,
}

impl Source {
    /// The ARNs of its keys that can be lent, as far as they could be described.
    #[must_use]
    pub fn customer_keys(&self) -> BTreeSet<String> {
        let key = |disk: &Disk| match &disk.encryption {
            Encryption::Key(key) if !key.aws_managed => Some(key.arn.clone()),
            _ => None,
        };
        self.disks.iter().filter_map(key).collect()
    }
}

/// A key that a plan or a default names: described, or why it could not be.
pub type Described = Result<Key, String>;

/// Where and how a copy is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The name under `[accounts]`, if it is another account.
    pub name: Option<String>,
    /// Twelve digits.
    pub account: String,
    /// Its region.
    pub region: String,
    /// `kms_key` as the plan writes it, and what it is in the destination.
    pub key: Option<(String, Described)>,
    /// The destination's default EBS key (only looked up where it is needed: an encrypted source, no `kms_key`), as
    /// GetEbsDefaultKmsKeyId names it.
    pub default_key: Option<Result<String, String>>,
    /// `via_key` as the plan writes it, and what it is in the source's place.
    pub via: Option<(String, Described)>,
    /// Whose images the destination's Allowed AMIs setting lets it see (`ImageProviders`); nothing if it is not enabled,
    /// could not be read, or may let it see anybody's.
    pub providers: Option<BTreeSet<String>>,
}

/// How a copy is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// `Encrypted` of CopyImage.
    pub encrypted: bool,
    /// `KmsKeyId` of CopyImage: explicit wherever `encrypted` is.
    pub kms_key: Option<String>,
    /// A copy under this key, in the source's own place, goes before.
    pub via: Option<String>,
    /// Whether the destination's account must be let in first: image, every snapshot, and `keys`.
    pub lend: bool,
    /// The ARNs of the keys that the destination must be able to use.
    pub keys: BTreeSet<String>,
}

/// Whether it can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It can, in this way.
    Go(Way),
    /// There is nothing to do, for this reason.
    Needless(String),
    /// Not now; it may pass or be mended, so that the image is made and the copy is owed.
    NotNow(Vec<String>),
    /// Never, whatever is waited for: refused before anything is rebooted for it. Each reason with its way out.
    Never(Vec<String>),
}
