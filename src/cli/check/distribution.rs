//! Where a plan's images go: a line for each destination, and one for those that they are shared with.

use super::keep;
use crate::config::show_duration;
use crate::domain::plan::{CopyTo, Plan, Share};

/// Each with the word before it.
pub fn lines(plan: &Plan) -> Vec<(&'static str, String)> {
    let copies = plan.copies.iter().map(|to| ("copy", copy(to)));
    copies.chain(plan.share.iter().map(|wanted| ("share", share(wanted)))).collect()
}

/// `dr/eu-west-1 (222222222222), under alias/backup, keep last 2`.
fn copy(to: &CopyTo) -> String {
    let mut parts = vec![match &to.account {
        Some(account) => format!("{} ({})", to.label(), account.id),
        None => to.label(),
    }];
    parts.extend(to.via_key.iter().map(|key| format!("via {key} where it must")));
    parts.extend(to.kms_key.iter().map(|key| format!("under {key}")));
    parts.push(format!("keep {}", keep(&to.keep)));
    parts.join(", ")
}

/// `333333333333, o-abc: to launch; accounts to copy too; deprecated 7d before deletion`.
fn share(wanted: &Share) -> String {
    let last = |arn: &String| arn.rsplit('/').next().unwrap_or_default().to_owned();
    let mut with: Vec<String> = wanted.accounts.iter().cloned().collect();
    with.extend(wanted.organizations.iter().map(last));
    with.extend(wanted.organizational_units.iter().map(last));
    let mut parts = vec![format!("{}: to launch", with.join(", "))];
    if wanted.snapshots && !wanted.accounts.is_empty() {
        let others = wanted.accounts.len() < with.len();
        parts.push(if others { "accounts to copy too" } else { "to copy too" }.to_owned());
    }
    parts.extend(wanted.via_key.iter().map(|key| format!("via {key} where it must")));
    parts.push(format!("deprecated {} before deletion", show_duration(wanted.grace)));
    parts.join("; ")
}
