//! How long the reboots of a plan take at the least, and whether its window allows them.

use crate::domain::evidence::Lags;
use crate::domain::plan::{Mode, Plan, Seconds};

/// How long a slot is taken for one reboot, as a rule: until an ok of the status checks is proof by itself. What the checks
/// show may prove it sooner.
#[must_use]
pub fn per_reboot(plan: &Plan, lags: &Lags) -> Seconds {
    plan.rollout.settle.max(lags.proof_by_time().as_secs())
}

/// The time from `due` until the last of `targets` reboots starts, as a rule: all but the last wave must be back.
#[must_use]
pub fn reboots_needed(plan: &Plan, targets: usize, lags: &Lags) -> Seconds {
    if plan.consistency.mode == Mode::None {
        return 0;
    }
    let at_once = u64::from(plan.rollout.max_in_flight.max(1));
    let waves = u64::try_from(targets).unwrap_or(u64::MAX).div_ceil(at_once);
    waves.saturating_sub(1).saturating_mul(per_reboot(plan, lags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::tests::parse;

    #[test]
    fn waves_come_back_one_after_the_other() {
        let minimal = "schedule.cron = \"30 2 * * *\"\nselect.tags.A = \"b\"\nkeep.last = 1\n";
        let table = [(1, 0, 0), (1, 1, 0), (1, 2, 600), (1, 100, 99 * 600), (4, 4, 0), (4, 5, 600), (4, 100, 24 * 600)];
        for (at_once, targets, seconds) in table {
            let plan = parse(&format!("{minimal}rollout.max_in_flight = {at_once}\n")).unwrap();
            assert_eq!(reboots_needed(&plan, targets, &Lags::default()), seconds, "{targets} by {at_once}");
        }
        let plan = parse(&format!("{minimal}consistency.mode = \"none\"\n")).unwrap();
        assert_eq!(reboots_needed(&plan, 1000, &Lags::default()), 0);
        let plan = parse(&format!("{minimal}rollout.settle = \"1h\"\nrollout.healthy_within = \"2h\"\n")).unwrap();
        assert_eq!(reboots_needed(&plan, 2, &Lags::default()), 3600);
        assert_eq!(reboots_needed(&plan, 2, &Lags::NONE), 3600);
    }
}
