//! Runs in which nothing more may be rebooted, since they lay still for too long or the machine slept: nobody expects
//! at noon what was begun at night. It is journaled, so that no restart forgets it.

use chrono::TimeDelta;

use crate::defect::{Defect, planted};
use crate::domain::event::{Occurrence, Trigger};
use crate::domain::fact::{Draft, Event, Fact, Kind, Scope};
use crate::domain::naming::rfc3339;
use crate::domain::plan::{Plan, Seconds};
use crate::domain::schedule::ON_TIME;
use crate::engine::context::backoff::LONGEST;
use crate::engine::context::{ActiveRun, Context};
use crate::journal::Answer;

/// The event that says it, for good.
pub(crate) fn draft(run: &str, why: &str) -> Draft {
    Draft::of_run(run, Fact::RunLate { reason: why.to_owned(), older: false })
}

/// Nothing more is imaged in a run: what it made may be gone by now, and with it the name that would tell.
pub(crate) fn older(run: &str) -> Draft {
    let reason = "the journal is older than the images of a later occurrence: nothing more is imaged in it".to_owned();
    // It may be told that it lay still as well.
    Draft { attempt: 2, ..Draft::of_run(run, Fact::RunLate { reason, older: true }) }
}

/// Why a run that goes on after a stop or a crash lay still for too long.
///
/// # Errors
/// The journal's.
pub(crate) async fn gap(
    shared: &Context,
    plan: &Plan,
    occurrence: &Occurrence,
    events: &[Event],
) -> Answer<Option<String>> {
    // The event of the decision may have been told only now.
    let begun = events.iter().rfind(|e| e.kind() != Kind::OccurrenceDecided);
    let last = begun.map_or(occurrence.decided_at, |e| e.at);
    let stopped = shared.journal.reader().newest_in(&Scope::Daemon, &Kind::DaemonStopped).await?;
    // A process that did not go on with it tells nothing of it.
    let run = occurrence.run();
    let last = stopped.filter(|event| drained(event, &run)).map_or(last, |event| last.max(event.at));
    let allowed = still_at_most(shared, own_patience(plan, occurrence));
    let now = shared.clock.now();
    Ok((now - last > allowed && !planted(Defect::LateRunGoesOn)).then(|| {
        format!(
            "the run lay still from {} to {}, longer than {} s: nothing more is rebooted in it",
            rfc3339(last),
            rfc3339(now),
            allowed.num_seconds()
        )
    }))
}

/// Whether a process that stopped had this run going on.
fn drained(stopped: &Event, run: &str) -> bool {
    matches!(stopped.fact(), Fact::DaemonStopped { runs, .. } if runs.iter().any(|name| name == run))
}

/// Why nothing more may be rebooted in a run that is going on: the journal says it, or the machine slept meanwhile.
pub(crate) fn late(shared: &Context, active: &ActiveRun) -> Option<String> {
    active.state.borrow().late.clone().or_else(|| overslept(shared, active))
}

fn overslept(shared: &Context, active: &ActiveRun) -> Option<String> {
    if let Some(why) = &*active.overslept.borrow() {
        return Some(why.clone());
    }
    let slept = active.slept(shared.clock);
    // By a clock that is known to be off nothing is rebooted anyway, and nothing is told for good.
    if slept <= still_at_most(shared, active.patience)
        || shared.cloud.clock_off().is_some()
        || planted(Defect::LateRunGoesOn)
    {
        return None;
    }
    let why = format!(
        "this machine slept, or its clock was set forward, for {} s in the middle of the run: nothing more is rebooted \
         in it",
        slept.num_seconds()
    );
    active.overslept.replace(Some(why.clone()));
    Some(why)
}

/// What the journal does not say yet of the runs that are going on. It goes before whatever else is written: an event
/// after the sleep would hide it from the next start.
pub(crate) fn untold(shared: &Context) -> Vec<Draft> {
    let runs = shared.runs.borrow();
    let untold = |run: &ActiveRun| {
        let why = run.state.borrow().late.is_none().then(|| overslept(shared, run)).flatten();
        why.filter(|_| run.state.borrow().holds()) // else all that it reboots is rebooted
    };
    runs.iter().filter_map(|(name, run)| Some(draft(name, &untold(run)?))).collect()
}

/// How long a run of this plan may lie still, as far as its own plan says.
pub(crate) fn own_patience(plan: &Plan, occurrence: &Occurrence) -> Seconds {
    let catch_up = match occurrence.trigger {
        Trigger::Schedule => plan.schedule.catch_up.unwrap_or(0).max(ON_TIME),
        Trigger::Manual => ON_TIME,
    };
    catch_up.max(plan.rollout.healthy_within.saturating_add(LONGEST.as_secs()))
}

/// How long a run may lie still and go on with reboots. In good health it writes nothing while it waits for an instance
/// to come back: its own, or another plan's.
fn still_at_most(shared: &Context, own: Seconds) -> TimeDelta {
    let others = shared.plans.borrow().values().map(|p| p.rollout.healthy_within).max().unwrap_or_default();
    let allowed = own.max(others.saturating_add(LONGEST.as_secs()));
    TimeDelta::seconds(i64::try_from(allowed).unwrap_or(i64::MAX / 1000))
}
