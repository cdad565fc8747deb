//! When a plan is due, and what its preview begins with.

use chrono::{DateTime, TimeDelta, Utc};

use super::copies;
use super::foresee::Ask;
use crate::domain::naming::rfc3339;
use crate::domain::plan::Plan;
use crate::domain::schedule::Timetable;
use crate::view::preview::{Coming, PlanPreview};

/// At most this many occurrences of a plan are listed; the rest is counted.
const LISTED_MAX: usize = 50;
/// No more than this are counted: a line that fires each second has as many in twelve days.
const COUNTED_MAX: usize = 1_000_000;

/// When a plan is due.
pub(super) fn coming(plan: &Plan, ask: Ask) -> PlanPreview {
    // `config` has compiled the same lines when it checked the plan.
    let timetable = Timetable::new(&plan.schedule).unwrap_or_else(|e| unreachable!("a checked schedule: {e}"));
    // An occurrence at `--at` itself counts.
    let from = ask.at.map_or(ask.now, |at| at - TimeDelta::seconds(1));
    let mut dues = timetable.between(from, ask.at.unwrap_or(ask.now) + ask.days);
    let mut listed: Vec<DateTime<Utc>> = dues.by_ref().take(LISTED_MAX).collect();
    let more = dues.take(COUNTED_MAX).count();
    if listed.is_empty() {
        listed.extend(timetable.next_after(from));
    }
    let local = |due: &DateTime<Utc>| due.with_timezone(&plan.schedule.timezone).format("%a %Y-%m-%d %H:%M:%S %Z");
    let occurrences = listed.iter().map(|due| Coming { due: rfc3339(*due), local: local(due).to_string() }).collect();
    PlanPreview {
        plan: plan.name.clone(),
        timezone: plan.schedule.timezone.name().to_owned(),
        regions: plan.select.regions.clone(),
        occurrences,
        more,
        due: ask.at.or_else(|| listed.first().copied()).map(rfc3339),
        notes: Vec::new(),
        targets: Vec::new(),
        retention: Vec::new(),
        copies: plan.copies.iter().map(copies::destination).collect(),
        shared: plan.share.iter().flat_map(|share| share.grantees()).map(|grantee| grantee.to_string()).collect(),
        owed: Vec::new(),
        faults: Vec::new(),
    }
}
