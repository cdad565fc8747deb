//! Goes on after a stop or a crash: decisions not told of, slots still taken, runs not finished.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use crate::defect::{Defect, planted};
use crate::domain::debt::{Debt, Owed};
use crate::domain::event::{Occurrence, Outcome};
use crate::domain::fact::{Draft, Event, Fact, Kind, Overdue, RunEnd, Scope, StepId};
use crate::domain::naming::parse_run_name;
use crate::domain::place::Subject;
use crate::domain::plan::Plan;
use crate::domain::rollout::Down;
use crate::domain::saga::RunState;
use crate::domain::zone::Zone;
use crate::engine::context::Context;
use crate::engine::context::run::Run;
use crate::engine::context::stale;
use crate::engine::lifecycle::conduct::conduct;
use crate::engine::lifecycle::daemon::decided;
use crate::engine::rollout::bracket;
use crate::engine::rollout::return_to_service;
use crate::journal::Answer;
use crate::journal::format::plan_of;

/// So many of each plan's newest decisions are looked at, at start, for their events: only the last can lack it.
const UNTOLD_MAX: u32 = 16;

/// A decision is written before its event: tells of those that the engine did not live to tell of.
///
/// # Errors
/// The journal's.
pub async fn tell_decisions(shared: &Context, plans: &[&str]) -> Answer<()> {
    let reader = shared.journal.reader();
    // The newest of all, too: a request may have been for a plan that is not in force.
    for plan in plans.iter().map(|plan| Some(*plan)).chain([None]) {
        for occurrence in reader.occurrences(plan, UNTOLD_MAX).await?.iter().rev() {
            let event = decided(occurrence, false);
            let told = reader.newest_in(&event.scope, &event.kind()).await?.is_some();
            // Of an old run only its end is left.
            if !told && reader.newest_in(&event.scope, &Kind::RunFinished).await?.is_none() {
                shared.record(&[event]).await?;
            }
        }
    }
    Ok(())
}

/// Starts the run of an occurrence, or goes on with it; does nothing if it is active or has ended.
///
/// # Errors
/// The journal's.
pub async fn start(shared: &Rc<Context>, plan: Rc<Plan>, occurrence: Occurrence) -> Answer<()> {
    let name = occurrence.run();
    if shared.runs.borrow().contains_key(&name) {
        return Ok(());
    }
    let events = shared.journal.reader().events_of(&name).await?;
    if let Some((run, _)) = go_on(shared, plan, occurrence, &events).await? {
        shared.spawn(conduct(run));
    }
    Ok(())
}

/// A run with what is known of it, unless it has ended, or was never begun and is too late by now.
async fn go_on(
    shared: &Rc<Context>,
    plan: Rc<Plan>,
    occurrence: Occurrence,
    events: &[Event],
) -> Answer<Option<(Run, RunState)>> {
    let mut state = RunState::fold(events);
    if state.finished.is_some() {
        return Ok(None);
    }
    if state.late.is_none()
        && state.holds() // else all that it reboots is rebooted
        && let Some(why) = stale::gap(shared, &plan, &occurrence, events).await?
    {
        if state.selected {
            shared.record(&[stale::draft(&occurrence.run(), &why)]).await?;
        }
        state.late = Some(why);
    }
    if let Some(why) = &state.late
        && !state.selected
    {
        // Nothing was begun: it was missed, like one that was never decided.
        let reason = Some(why.clone());
        let end = RunEnd { outcome: Outcome::Missed, reason, barred: false, elapsed_ms: None, counts: None };
        shared.record(&[Draft::of_run(&occurrence.run(), Fact::RunFinished(end))]).await?;
        return Ok(None);
    }
    let run = Run::new(shared, plan, occurrence, state.clone(), requested(events));
    Ok(Some((run, state)))
}

/// Slots and runs as they were when the engine last stopped.
///
/// # Errors
/// The journal's.
pub async fn resume(shared: &Rc<Context>) -> Answer<()> {
    let mut goes_on = BTreeMap::new();
    for occurrence in shared.journal.reader().unfinished().await? {
        if planted(Defect::RunsForgotten) {
            continue;
        }
        if let Some((run, state)) = unfinished(shared, occurrence).await? {
            goes_on.insert(run.name.to_string(), state);
            shared.spawn(conduct(run));
        }
    }
    retake_slots(shared, &goes_on).await
}

/// A run to go on with, unless it cannot or must not.
async fn unfinished(shared: &Rc<Context>, occurrence: Occurrence) -> Answer<Option<(Run, RunState)>> {
    let reader = shared.journal.reader();
    let name = occurrence.run();
    let Some(plan) = reader.revision(&occurrence.plan_hash).await? else {
        return stopped(shared, &name, "its plan revision is not in the journal").await;
    };
    let mut plan: Plan = match plan_of(&plan) {
        Ok(plan) => plan,
        Err(e) => return stopped(shared, &name, &format!("its plan revision cannot be read: {e}")).await,
    };
    by_rules_in_force(shared, &mut plan.schedule.timezone);
    if plan.schedule.timezone.is_unknown() {
        let why = format!(
            "nobody knows its time zone {} any more; upgrade the package tzdata and restart stillframe",
            plan.schedule.timezone
        );
        return stopped(shared, &name, &why).await;
    }
    let events = reader.events_of(&name).await?;
    if let Some(what) = RunState::fold(&events).not_understood {
        let why =
            format!("its journal holds {what}, which this version does not understand; install the newer one again");
        return stopped(shared, &name, &why).await;
    }
    go_on(shared, Rc::new(plan), occurrence, &events).await
}

/// Says that a run cannot go on, and journals it where that is news.
async fn stopped(shared: &Context, run: &str, why: &str) -> Answer<Option<(Run, RunState)>> {
    tracing::error!(event = "run.stopped", run = %run, reason = why, "the run stays unfinished");
    let before = shared.journal.reader().newest_in(&Scope::Run(run.to_owned()), &Kind::RunStopped).await?;
    if before.as_ref().and_then(Event::reason) != Some(why) {
        let attempt = before.map_or(1, |event| event.draft.attempt + 1);
        let stopped = Draft::of_run(run, Fact::RunStopped { reason: why.to_owned() });
        shared.record(&[Draft { attempt, ..stopped }]).await?;
    }
    Ok(None)
}

/// Gives a zone of the journal, which holds no more than its name, the rules that it has in the plans in force.
fn by_rules_in_force(shared: &Context, zone: &mut Zone) {
    let plans = shared.plans.borrow();
    if let Some(known) = plans.values().map(|plan| &plan.schedule.timezone).find(|known| *known == zone) {
        *zone = known.clone();
    }
}

/// Counts again who is down, and watches those for whom nobody else does.
async fn retake_slots(shared: &Rc<Context>, goes_on: &BTreeMap<String, RunState>) -> Answer<()> {
    let reader = shared.journal.reader();
    let mut alarms = BTreeMap::new();
    for event in reader.open_needs(&StepId::Return).await? {
        if let (Some(subject), Fact::StepNeedsPerson(need)) = (event.draft.subject, event.draft.fact) {
            alarms.insert((event.draft.scope, subject), need.overdue);
        }
    }
    let debts: Vec<Debt> = reader.open_debts().await?.iter().filter_map(Debt::of).filter(Debt::of_bracket).collect();
    let is_slot = |debt: &&Debt| debt.owed == Owed::Slot;
    let of = |debt: &Debt| (debt.scope.clone(), debt.subject.clone());
    let more: BTreeSet<(Scope, Subject)> = debts.iter().filter(|debt| !is_slot(debt)).map(of).collect();
    let down: BTreeSet<(Scope, Subject)> = debts.iter().filter(is_slot).map(of).collect();
    // Once for each instance that does not count as down, and of which something is owed all the same.
    let mut upright = more.difference(&down).cloned().collect::<BTreeSet<_>>();
    for debt in &debts {
        if planted(Defect::SlotsForgotten) || (debt.owed != Owed::Slot && !upright.remove(&of(debt))) {
            continue;
        }
        let Debt { scope, subject, .. } = debt;
        let Some(run) = scope.run() else { continue };
        let alarm = alarms.get(&(scope.clone(), subject.clone()));
        let overdue = alarm.and_then(Option::as_ref);
        let halts = overdue.is_some_and(|overdue: &Overdue| overdue.halts);
        let settle = overdue.map_or(0, |overdue| overdue.settle);
        if debt.owed == Owed::Slot {
            let plan = parse_run_name(run).map_or_else(String::new, |(plan, _)| plan.to_owned());
            let down = Down { run: run.to_owned(), plan, since: debt.since, overdue: alarm.is_some(), halts };
            shared.slots.borrow_mut().take(subject.clone(), down);
        }
        // A target that goes on waits for its own return.
        let target = goes_on.get(run).and_then(|state| state.targets.get(subject));
        if target.is_none_or(|t| t.finished.is_some()) {
            let call_after = alarm.is_none().then(|| return_to_service::patience(shared));
            let events = if more.contains(&of(debt)) { Some(reader.events_of(run).await?) } else { None };
            bracket::watch(shared, run, subject, Duration::from_secs(settle), call_after, events.as_deref());
        }
    }
    Ok(())
}

/// The instances that a person named, if the run was requested.
fn requested(events: &[Event]) -> Vec<String> {
    let accepted = events.iter().find_map(|e| match e.fact() {
        Fact::RequestAccepted { only, .. } => Some(only.clone()),
        _ => None,
    });
    accepted.unwrap_or_default()
}
