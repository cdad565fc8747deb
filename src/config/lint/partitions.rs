//! An installation has one set of credentials, and these are of one partition: AWS's clouds share nothing.

use std::collections::BTreeMap;

use super::super::plan::Checked;
use super::super::problem::Problem;
use crate::domain::place::partition;

/// Warns of plans whose regions are in another partition than most are. What one plan mixes with its own copies, roles
/// and keys is an error already.
pub(super) fn look(plans: &[Checked], problems: &mut Vec<Problem>) {
    let key = "select.regions";
    let regions = || plans.iter().flat_map(|plan| plan.sheet.texts(key).iter().map(move |item| (plan, item)));
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, item) in regions() {
        *count.entry(partition(&item.text)).or_default() += 1;
    }
    // Of two that are as many, the first one there is.
    let Some(most) = count.values().max() else { return };
    let Some(home) = regions().map(|(_, item)| partition(&item.text)).find(|own| count.get(own) == Some(most)) else {
        return;
    };
    for (plan, item) in regions().filter(|(_, item)| partition(&item.text) != home) {
        let what = format!(
            "{} is in the partition {}, other regions of this installation in {home}: no credentials are good for both",
            item.text,
            partition(&item.text)
        );
        let hint = "use a second stillframe there, with its own credentials and another daemon.name";
        problems.push(plan.source.problem(Some(item.span.clone()), key, what).hint(hint).warning());
    }
}
