//! The verdict on a share: whether the accounts, organizations and units of a plan can be let in, and how.

use std::collections::BTreeSet;

use super::disks::{self, Found};
use super::{Described, Source, statement};
use crate::domain::plan::Share;
use crate::domain::sharing::Grantee;

/// Whether it can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareVerdict {
    /// It can.
    Go {
        /// Whether the accounts get the snapshots too.
        snapshots: bool,
        /// A copy under this key, in the image's own place, goes before, and that is what is shared.
        via: Option<String>,
        /// The ARNs of the keys that the accounts must be able to use.
        keys: BTreeSet<String>,
        /// What only the policies of `keys` can allow, as statements in JSON: organizations and units cannot be
        /// grantees.
        by_policy: Vec<String>,
    },
    /// Not now; it may pass or be mended.
    NotNow(Vec<String>),
    /// Never, whatever is waited for. Each reason with its way out.
    Never(Vec<String>),
}

/// Whether `source` can be shared as `share` asks; `via` is its `via_key` and what it is in the source's place.
#[must_use]
pub fn share(source: &Source, share: &Share, via: Option<&(String, Described)>) -> ShareVerdict {
    let mut found = Found::default();
    // The owner needs no permission of itself.
    let others: Vec<Grantee> =
        share.grantees().into_iter().filter(|grantee| grantee.account() != Some(source.account.as_str())).collect();
    if others.is_empty() {
        return ShareVerdict::Go { snapshots: false, via: None, keys: BTreeSet::new(), by_policy: Vec::new() };
    }
    let whom = match &others[..] {
        [only] => only.to_string(),
        _ => "those that it is shared with".to_owned(),
    };
    let lent = disks::lend(source, &whom, "[share]", via, &mut found);
    if !found.never.is_empty() {
        return ShareVerdict::Never(found.never);
    }
    if !found.not_now.is_empty() {
        return ShareVerdict::NotNow(found.not_now);
    }
    let statements = others.iter().filter(|_| !lent.keys.is_empty()).flat_map(statement::of_members);
    let accounts = others.iter().any(|grantee| grantee.account().is_some());
    ShareVerdict::Go {
        snapshots: share.snapshots && accounts,
        via: lent.via,
        by_policy: statements.collect(),
        keys: lent.keys,
    }
}
