//! How long the reboots of a plan take at the least, and whether its window allows them.

use crate::domain::plan::{Mode, Plan, Seconds};

/// The least time from `due` until the last of `targets` reboots may start: all but the last wave must have settled.
#[must_use]
pub fn reboots_needed(plan: &Plan, targets: usize) -> Seconds {
    if plan.consistency.mode == Mode::None {
        return 0;
    }
    let at_once = u64::from(plan.rollout.max_in_flight.max(1));
    let waves = u64::try_from(targets).unwrap_or(u64::MAX).div_ceil(at_once);
    waves.saturating_sub(1).saturating_mul(plan.rollout.settle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::tests::parse;

    #[test]
    fn waves_settle_one_after_the_other() {
        let minimal = "schedule.cron = \"30 2 * * *\"\nselect.tags.A = \"b\"\nkeep.last = 1\n";
        let table = [(1, 0, 0), (1, 1, 0), (1, 2, 180), (1, 100, 99 * 180), (4, 4, 0), (4, 5, 180), (4, 100, 24 * 180)];
        for (at_once, targets, seconds) in table {
            let plan = parse(&format!("{minimal}rollout.max_in_flight = {at_once}\n")).unwrap();
            assert_eq!(reboots_needed(&plan, targets), seconds, "{targets} by {at_once}");
        }
        let plan = parse(&format!("{minimal}consistency.mode = \"none\"\n")).unwrap();
        assert_eq!(reboots_needed(&plan, 1000), 0);
    }
}
