//! Whether a key will do: its region, its kind, its state.

use super::disks::Found;
use super::{Described, Key};

/// The region in a key's ARN.
pub(super) fn region(arn: &str) -> Option<&str> {
    arn.split(':').nth(3)
}

/// The account in a key's ARN.
pub(super) fn account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4)
}

/// The ARN of the key that a plan writes as `written`, if it can encrypt snapshots in `place`; `name` says what it is.
pub(super) fn usable(
    written: &str,
    described: &Described,
    place: &str,
    name: &str,
    found: &mut Found,
) -> Option<String> {
    let key = match described {
        Ok(key) => key,
        Err(why) => {
            found.not_now.push(format!(
                "{name}, {written}, cannot be described in {place}: {why}; make sure that it is there, and allow \
                 kms:DescribeKey on it"
            ));
            return None;
        }
    };
    let before = (found.never.len(), found.not_now.len());
    if let Some(other) = region(&key.arn).filter(|region| *region != place) {
        found.never.push(format!(
            "{name}, {written}, is in {other}: a key works in its own region only; name one in {place}, such as an alias"
        ));
    }
    if !key.symmetric {
        found.never.push(format!(
            "{name}, {written}, is an asymmetric key or one for MACs, and EBS takes symmetric encryption keys only; name \
             one whose KeySpec is SYMMETRIC_DEFAULT"
        ));
    }
    found.not_now.extend(asleep(key, &format!("{name}, {written},")));
    (before == (found.never.len(), found.not_now.len())).then(|| key.arn.clone())
}

/// Why a key cannot be used now, with what to do.
pub(super) fn asleep(key: &Key, name: &str) -> Option<String> {
    let todo = match key.state.as_str() {
        "Enabled" => return None,
        "Disabled" => "enable it with `aws kms enable-key`",
        "PendingDeletion" | "PendingReplicaDeletion" => {
            "keep it with `aws kms cancel-key-deletion` and `aws kms enable-key`: without it nothing encrypted under it \
             can ever be read"
        }
        "Creating" | "Updating" => "wait until it is Enabled",
        "PendingImport" => "import its key material",
        "Unavailable" => "look after the key store that it is in",
        _ => "see what `aws kms describe-key` says of it",
    };
    Some(format!("{name} is {}: {todo}", key.state))
}
