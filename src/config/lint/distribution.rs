//! Copies and shares that will surprise.

use super::Say;
use crate::config::arns::key_home;
use crate::config::check::unknown_region;
use crate::config::plan::Checked;

pub(super) fn look(checked: &Checked, say: &mut Say<'_>) {
    let sheet = &checked.sheet;
    for (path, copy) in sheet.tables("copy").iter().zip(&checked.plan.copies) {
        let (region, key) = (format!("{path}.region"), format!("{path}.kms_key"));
        if let Some(unknown) = unknown_region(&copy.region) {
            say(sheet.span(&region), &region, unknown.what, unknown.hint.unwrap_or_default());
        }
        let home = copy.kms_key.as_deref().and_then(key_home);
        if let (Some((owner, _)), Some(account)) = (home, &copy.account)
            && owner != account.id
        {
            let what =
                format!("is a key of account {owner}, but the copies are made in {} ({})", account.name, account.id);
            let hint = format!(
                "name a key of {}: with a key of another account the copies are lost where that account takes it away",
                account.id
            );
            say(sheet.span(&key), &key, what, hint);
        }
    }
    let Some(share) = &checked.plan.share else { return };
    let members = !share.organizations.is_empty() || !share.organizational_units.is_empty();
    if share.snapshots && share.accounts.is_empty() && members {
        let key = "share.snapshots";
        say(
            sheet.span(key),
            key,
            "nobody can copy the images: EC2 shares snapshots with accounts only, so organizations and units may launch"
                .into(),
            "write `snapshots = false`, or list the accounts that copy in `accounts`".into(),
        );
    }
}
