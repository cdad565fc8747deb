//! Plans that select the same instances by the same words and are due at the same moment: each instance is imaged
//! by both, and perhaps rebooted twice. Selectors that merely overlap are not judged: only AWS could tell.

use chrono::{DateTime, TimeDelta};
use chrono_tz::Tz;

use super::{LOOKS_MAX, year};
use crate::config::plan::Checked;
use crate::config::problem::Problem;
use crate::domain::plan::Schedule;
use crate::domain::schedule::Timetable;

pub(super) fn look(plans: &[Checked], problems: &mut Vec<Problem>) {
    for (nth, later) in plans.iter().enumerate() {
        let twin = plans[..nth].iter().find_map(|earlier| {
            let alike = same_selection(earlier, later);
            alike.then(|| Some((earlier, meeting(earlier, later)?))).flatten()
        });
        let Some((earlier, at)) = twin else { continue };
        let key = "schedule.cron";
        let line = earlier.sheet.span(key).map_or(1, |span| earlier.source.line_of(&span));
        let what = format!(
            "is due together with plan `{}` ({}:{line}), which selects the same instances, for example at {}",
            earlier.plan.name,
            earlier.source.file,
            at.format("%H:%M"),
        );
        let hint = "let the times differ, select other instances, or make one plan of the two";
        problems.push(later.source.problem(later.sheet.span(key), key, what).hint(hint).warning());
    }
}

fn same_selection(a: &Checked, b: &Checked) -> bool {
    let (a, b) = (&a.plan.select, &b.plan.select);
    let sorted = |regions: &[String]| {
        let mut regions = regions.to_vec();
        regions.sort();
        regions
    };
    a.tags == b.tags
        && a.exclude_tags == b.exclude_tags
        && a.instances == b.instances
        && sorted(&a.regions) == sorted(&b.regions)
}

/// The first moment of the year at which both are due, on the clock of `b`.
fn meeting(a: &Checked, b: &Checked) -> Option<DateTime<Tz>> {
    // Times that the clock moves onto one another once a year are no reason to warn: in one zone, its wall clock tells.
    let one_zone = a.plan.schedule.timezone == b.plan.schedule.timezone;
    let table = |checked: &Checked| {
        let schedule = checked.plan.schedule.clone();
        let timezone = if one_zone { chrono_tz::UTC } else { schedule.timezone };
        Timetable::new(&Schedule { timezone, ..schedule }).ok()
    };
    let tables = [table(a)?, table(b)?];
    let (from, until) = year();
    let mut at = tables[0].next_after(from)?;
    // Each in turn leaps to where the other is.
    for turn in 1..LOOKS_MAX {
        let next = tables[turn % 2].next_after(at - TimeDelta::seconds(1))?;
        if next > until {
            return None;
        }
        if next == at {
            let zone = if one_zone { chrono_tz::UTC } else { b.plan.schedule.timezone };
            return Some(at.with_timezone(&zone));
        }
        at = next;
    }
    None
}
