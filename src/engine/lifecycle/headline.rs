//! What the engine does and waits for, in one line: `next web-nightly 02:30; databases imaging 3/12`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::fact::StepId;
use crate::domain::saga::{RunState, StepState, TargetState};
use crate::domain::zone::Zone;
use crate::engine::context::ActiveRun;
use crate::engine::lifecycle::daemon::Engine;

/// So many runs are named.
const RUNS_MAX: usize = 3;

impl Engine {
    /// The line for the service manager.
    pub(crate) fn headline(&self) -> String {
        let sh = &self.shared;
        let mut parts = Vec::new();
        if sh.draining() {
            parts.push("stopping".to_owned());
        } else if sh.sick() {
            parts.push("the journal cannot be written".to_owned());
        } else if sh.barred.borrow().is_some() || sh.cloud.clock_off().is_some() || sh.unproven.borrow().holds_all() {
            parts.push("begins nothing: see the log".to_owned());
        }
        if self.refused {
            parts.push("the configuration on disk is refused".to_owned());
        }
        let waits = self.scheduled.values().filter_map(|s| Some((s.next?, s))).min_by_key(|(next, _)| *next);
        match waits {
            _ if sh.draining() => {}
            Some((next, s)) => {
                let when = local(next, &s.plan.schedule.timezone, sh.clock.now());
                parts.push(format!("next {} {when}", s.plan.name));
            }
            None => parts.push("nothing is scheduled".to_owned()),
        }
        let runs = sh.runs.borrow();
        parts.extend(runs.values().take(RUNS_MAX).map(|run| progress(run)));
        if runs.len() > RUNS_MAX {
            parts.push(format!("and {} more runs", runs.len() - RUNS_MAX));
        }
        let overdue = sh.slots.borrow().late().count();
        if overdue > 0 {
            parts.push(format!("{overdue} not back in service"));
        }
        parts.join("; ")
    }
}

/// The time of day in the plan's zone, with the date where it is not today's.
fn local(at: DateTime<Utc>, zone: &Zone, now: DateTime<Utc>) -> String {
    let (at, now) = (at.with_timezone(zone), now.with_timezone(zone));
    let format = if at.date_naive() == now.date_naive() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    at.format(format).to_string()
}

fn progress(run: &ActiveRun) -> String {
    let state = run.state.borrow();
    let (all, ended) = (state.targets.len(), state.targets.values().filter(|t| t.finished.is_some()).count());
    let plan = &run.plan;
    if !state.selected {
        format!("{plan} selecting")
    } else if ended < all {
        let down = state.targets.values().filter(|t| is_down(t)).count();
        let down = if down == 0 { String::new() } else { format!(", {down} down") };
        format!("{plan} imaging {ended}/{all}{down}")
    } else if let (open @ 1.., all) = travelling(&state) {
        format!("{plan} copying {}/{all}", all - open)
    } else {
        format!("{plan} retention")
    }
}

/// How many images are on their way to others, which may take hours, and how many were or are.
fn travelling(state: &RunState) -> (usize, usize) {
    let ways = state.others.values().filter(|steps| steps.keys().any(StepId::distributes));
    let open = |steps: &&BTreeMap<StepId, StepState>| steps.iter().any(|(id, s)| id.distributes() && !s.ended());
    (ways.clone().filter(open).count(), ways.count())
}

fn is_down(target: &TargetState) -> bool {
    matches!(target.slot, crate::domain::saga::Slot::Taken(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_said_where_it_is_not_todays() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let zone = &Zone::from(chrono_tz::Europe::Berlin);
        let rows = [
            ("2026-11-20T01:30:00Z", "2026-11-20T00:10:00Z", "02:30"),
            ("2026-11-20T01:30:00Z", "2026-11-19T22:59:59Z", "2026-11-20 02:30"),
            ("2026-11-20T01:30:00Z", "2026-11-19T23:00:00Z", "02:30"),
        ];
        for (next, now, shown) in rows {
            assert_eq!(local(at(next), zone, at(now)), shown, "{now}");
        }
    }
}
