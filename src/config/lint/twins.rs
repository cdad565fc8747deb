//! Plans that select the same instances by the same words and are due at the same moment: each instance is imaged
//! by both, and perhaps rebooted twice. Selectors that merely overlap are not judged: only AWS could tell.
//!
//! All plans of one selection walk through the year together: whoever is due first leaps to where another is. So a
//! plan more costs one walk more, not one with each other plan.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use chrono::{DateTime, TimeDelta, Utc};

use super::{LOOKS_MAX, year};
use crate::config::plan::Checked;
use crate::config::problem::Problem;
use crate::domain::plan::Schedule;
use crate::domain::schedule::Timetable;
use crate::domain::zone::Zone;

/// A nightly plan has 366 times in the year that is looked at; each plan may leap as often, there and back.
const LEAPS_PER_PLAN: usize = 2 * 366;

/// A plan that is due together with an earlier one, and when.
struct Meeting {
    earlier: usize,
    at: DateTime<Utc>,
    /// On whose clock `at` is read.
    zone: Zone,
}

pub(super) fn look(plans: &[Checked], problems: &mut Vec<Problem>) {
    let mut alike: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (nth, checked) in plans.iter().enumerate() {
        let select = &checked.plan.select;
        let regions: BTreeSet<&String> = select.regions.iter().collect();
        alike.entry((&select.tags, &select.exclude_tags, &select.instances, regions)).or_default().push(nth);
    }
    for group in alike.into_values().filter(|group| group.len() > 1) {
        for (later, meeting) in meetings(plans, &group) {
            problems.push(warning(&plans[later], &plans[meeting.earlier], &meeting));
        }
    }
}

fn warning(later: &Checked, earlier: &Checked, meeting: &Meeting) -> Problem {
    let key = "schedule.cron";
    let line = earlier.sheet.span(key).map_or(1, |span| earlier.source.line_of(&span));
    let what = format!(
        "is due together with plan `{}` ({}:{line}), which selects the same instances, for example at {}",
        earlier.plan.name,
        earlier.source.file,
        meeting.at.with_timezone(&meeting.zone).format("%H:%M"),
    );
    let hint = "let the times differ, select other instances, or make one plan of the two";
    later.source.problem(later.sheet.span(key), key, what).hint(hint).warning()
}

/// Of each plan of a group that is ever due together with an earlier one, the first such moment of the year.
fn meetings(plans: &[Checked], group: &[usize]) -> BTreeMap<usize, Meeting> {
    let mut of_zone: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for nth in group {
        of_zone.entry(plans[*nth].plan.schedule.timezone.name()).or_default().push(*nth);
    }
    let zone = |nth: usize| &plans[nth].plan.schedule.timezone;
    let mut found = BTreeMap::new();
    // Times that the clock moves onto one another once a year are no reason to warn: in one zone, its wall clock tells.
    for group in of_zone.values() {
        let tables: Vec<_> = group.iter().filter_map(|nth| Some((*nth, table(&plans[*nth], &Zone::UTC)?))).collect();
        let before = found.len();
        walk(&tables, &mut |at, together| {
            for later in &together[1..] {
                let meeting = || Meeting { earlier: together[0], at, zone: Zone::UTC };
                found.entry(*later).or_insert_with(meeting);
            }
            found.len() - before
        });
    }
    if of_zone.len() > 1 {
        let tables: Vec<_> = group.iter().filter_map(|nth| Some((*nth, table(&plans[*nth], zone(*nth))?))).collect();
        walk(&tables, &mut |at, together| {
            let other = together.iter().find(|nth| zone(**nth) != zone(together[0]));
            for later in &together[1..] {
                let earlier = if zone(*later) == zone(together[0]) { other } else { together.first() };
                if let Some(earlier) = earlier.filter(|earlier| *earlier < later) {
                    let meeting = || Meeting { earlier: *earlier, at, zone: zone(*later).clone() };
                    found.entry(*later).or_insert_with(meeting);
                }
            }
            found.len()
        });
    }
    found
}

fn table(checked: &Checked, timezone: &Zone) -> Option<Timetable> {
    Timetable::new(&Schedule { timezone: timezone.clone(), ..checked.plan.schedule.clone() }).ok()
}

/// Tells `met` of each moment at which two or more are due, in the order of time, and of who they are, in order, until
/// it has found as many as there can be, or all have leapt often enough.
fn walk(tables: &[(usize, Timetable)], met: &mut dyn FnMut(DateTime<Utc>, &[usize]) -> usize) {
    let (from, until) = year();
    let mut leaps = LOOKS_MAX.max(tables.len() * LEAPS_PER_PLAN);
    let mut waiting: BinaryHeap<Reverse<(DateTime<Utc>, usize)>> = BinaryHeap::new();
    waiting.extend(tables.iter().enumerate().filter_map(|(n, (_, table))| Some(Reverse((table.next_after(from)?, n)))));
    while let Some(Reverse((at, first))) = waiting.pop().filter(|Reverse((at, _))| *at <= until) {
        let mut due = vec![first];
        while let Some(Reverse((_, n))) = waiting.peek().filter(|Reverse((other, _))| *other == at).copied() {
            waiting.pop();
            due.push(n);
        }
        // They come in the order of their place, since the heap compares that next.
        let names: Vec<usize> = due.iter().map(|n| tables[*n].0).collect();
        if names.len() > 1 && met(at, &names) + 1 >= tables.len() {
            return;
        }
        let next = waiting.peek().map(|Reverse((next, _))| *next);
        // One that is due alone has nobody to meet before the next one is due.
        let after = next.filter(|_| due.len() == 1).map_or(at, |next| next - TimeDelta::seconds(1));
        leaps = leaps.saturating_sub(due.len());
        if leaps == 0 || next.is_none() && due.len() == 1 {
            return;
        }
        waiting.extend(due.into_iter().filter_map(|n| Some(Reverse((tables[n].1.next_after(after)?, n)))));
    }
}
