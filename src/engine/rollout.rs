//! Starts the targets of a run at the pace that slots allow, and waits until each has ended.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::executor::{self, At};
use super::late;
use super::run::Run;
use super::shared::{ActiveRun, Shared, Stop};
use super::steps::{CHAIN, Target};
use crate::defect::{Defect, planted};
use crate::domain::event::{Occurrence, Outcome};
use crate::domain::fact::{Draft, Fact, StepId, TargetEnd};
use crate::domain::naming::rfc3339;
use crate::domain::place::Subject;
use crate::domain::plan::{OnUnhealthy, Plan};
use crate::domain::rollout::Down;
use crate::domain::saga::{self, Next, Phase, TargetState};

/// Runs all targets that have not ended.
pub async fn rollout(run: &Run) -> Result<(), Stop> {
    let mut tasks: FuturesUnordered<LocalBoxFuture<'_, Result<(), Stop>>> = FuturesUnordered::new();
    let mut queue = VecDeque::new();
    {
        let state = run.active.state.borrow();
        for (subject, target) in state.targets.iter().filter(|(_, t)| t.finished.is_none()) {
            if target.reboots && target.steps.is_empty() {
                queue.push_back(subject.clone());
            } else {
                tasks.push(Box::pin(conduct(run.clone(), subject.clone())));
            }
        }
    }
    let mut end = pace(run, &mut queue, &mut tasks).await;
    // Also when draining: each task stops at its own journal boundary, and an effect under way is waited for.
    while let Some(ended) = tasks.next().await {
        end = end.and(ended);
    }
    end
}

/// Starts targets until none waits any more.
async fn pace<'a>(
    run: &'a Run,
    queue: &mut VecDeque<Subject>,
    tasks: &mut FuturesUnordered<LocalBoxFuture<'a, Result<(), Stop>>>,
) -> Result<(), Stop> {
    loop {
        // Before looking, so that what changes meanwhile is not missed.
        let changed = run.shared.slots_changed.notified();
        launch(run, queue, tasks).await?;
        if queue.is_empty() {
            return Ok(());
        }
        let over = window_over(&run.plan, &run.occurrence);
        tokio::select! {
            biased;
            Some(ended) = tasks.next() => ended?,
            () = changed => {}
            waited = run.shared.unless_drained(run.shared.clock.look(over)) => waited?,
        }
    }
}

/// Starts what may start now, and ends what may not start any more.
async fn launch<'a>(
    run: &'a Run,
    queue: &mut VecDeque<Subject>,
    tasks: &mut FuturesUnordered<LocalBoxFuture<'a, Result<(), Stop>>>,
) -> Result<(), Stop> {
    if run.shared.draining() {
        return Err(Stop::Drained);
    }
    let closed = closed(&run.shared, &run.active, &run.plan, &run.occurrence);
    if let Some(why) = closed.or_else(|| stuck(run)) {
        return skip_all(run, queue, &why).await;
    }
    // An instance that is not back since another occurrence would hold this one for as long.
    let overdue: Vec<_> = {
        let slots = run.shared.slots.borrow();
        let waiting = slots.late().filter(|(s, _)| queue.contains(s));
        waiting.map(|(s, down)| (s.clone(), down.since)).collect()
    };
    for (subject, since) in overdue {
        queue.retain(|s| *s != subject);
        let why = format!("it is not back in service since {}", rfc3339(since));
        finish(run, &subject, Outcome::Skipped, &why).await?;
    }
    let mut first = 0; // those before it are down for another run
    while !run.shared.sick() {
        let next = {
            let slots = run.shared.slots.borrow();
            let limit = run.plan.rollout.max_in_flight;
            let own = || slots.iter().filter(|(_, down)| down.plan == run.plan.name).count();
            let room = slots.room(limit) || planted(Defect::SlotsPerPlan) && own() < limit as usize;
            room.then(|| queue.iter().skip(first).position(|s| !slots.is_down(s))).flatten()
        };
        first += next.unwrap_or_default();
        let Some(subject) = next.and_then(|_| queue.remove(first)) else { break };
        let down = Down {
            run: run.name.to_string(),
            plan: run.plan.name.clone(),
            since: run.shared.clock.now(),
            overdue: false,
            halts: false,
        };
        run.shared.slots.borrow_mut().take(subject.clone(), down);
        tasks.push(Box::pin(conduct(run.clone(), subject)));
    }
    Ok(())
}

/// Ends all that wait.
async fn skip_all(run: &Run, queue: &mut VecDeque<Subject>, why: &str) -> Result<(), Stop> {
    let skipped = |subject: Subject| finished(run, &subject, Outcome::Skipped, why);
    run.shared.record_many(&queue.drain(..).map(skipped).collect::<Vec<_>>()).await
}

/// Why a slot cannot be waited for: instances that are overdue hold as many as this plan allows.
fn stuck(run: &Run) -> Option<String> {
    let slots = run.shared.slots.borrow();
    let (subject, down) = slots.late().next()?;
    (slots.late().count() >= run.plan.rollout.max_in_flight as usize).then(|| {
        let since = rfc3339(down.since);
        format!("no slot will be free: {} ({}) is not back in service since {since}", subject.id, down.run)
    })
}

/// Why no further target of a run may be rebooted: asked before a target starts, and again right before the call.
pub(super) fn closed(shared: &Shared, active: &ActiveRun, plan: &Plan, occurrence: &Occurrence) -> Option<String> {
    if let Some(why) = shared.barred.borrow().clone() {
        return Some(why);
    }
    if plan.rollout.on_unhealthy == OnUnhealthy::HaltPlan
        && !planted(Defect::HaltIgnored)
        && let Some((subject, down)) = shared.slots.borrow().halted_by(&plan.name)
    {
        return Some(format!("the plan halts: {} is not back in service since {}", subject.id, rfc3339(down.since)));
    }
    if let Some(window) = plan.schedule.window
        && !planted(Defect::WindowIgnored)
        && window_over(plan, occurrence).is_some_and(|over| over <= shared.clock.now())
    {
        return Some(format!("the window of {window} s after due is over"));
    }
    late::late(shared, active)
}

/// The first instant after the window of an occurrence.
fn window_over(plan: &Plan, occurrence: &Occurrence) -> Option<DateTime<Utc>> {
    let window = TimeDelta::try_seconds(i64::try_from(plan.schedule.window?).ok()?)?;
    occurrence.due.checked_add_signed(window)?.checked_add_signed(TimeDelta::milliseconds(1))
}

/// Journals the end of a target.
async fn finish(run: &Run, subject: &Subject, outcome: Outcome, reason: &str) -> Result<(), Stop> {
    run.record(finished(run, subject, outcome, reason)).await
}

/// The event of the end of a target.
fn finished(run: &Run, subject: &Subject, outcome: Outcome, reason: &str) -> Draft {
    let state = run.active.state.borrow();
    let target = state.targets.get(subject);
    let image = target.and_then(|t| t.image());
    // Whether a person was called for every step that failed, so that it is no news.
    let mut failed = target.into_iter().flat_map(|t| t.steps.values()).filter(|s| matches!(s.phase, Phase::Bad(_)));
    let alarmed = outcome == Outcome::Failed && failed.all(|step| step.alarmed);
    let (reason, image) = (reason.to_owned(), image.map(str::to_owned));
    Draft::of(&run.name, subject, Fact::TargetFinished(TargetEnd { outcome, reason, image, alarmed }))
}

/// One target: asks `saga::next` what to start, until it is finished.
async fn conduct(run: Run, subject: Subject) -> Result<(), Stop> {
    let target = Target {
        shared: Rc::clone(&run.shared),
        active: Rc::clone(&run.active),
        plan: Rc::clone(&run.plan),
        occurrence: Rc::clone(&run.occurrence),
        run: Rc::clone(&run.name),
        subject: subject.clone(),
    };
    let bell = run.active.bell(&subject);
    let mut running: BTreeSet<StepId> = BTreeSet::new();
    let mut steps: FuturesUnordered<LocalBoxFuture<'_, (StepId, Result<(), Stop>)>> = FuturesUnordered::new();
    loop {
        let known = |state: &TargetState| {
            let next = saga::next(state, CHAIN, &running);
            let start = if let Next::Start(steps) = &next { steps.as_slice() } else { &[] };
            let steps: Vec<_> = start.iter().map(|step| (step.clone(), state.steps.get(step).cloned())).collect();
            (next, steps, state.slot == saga::Slot::None)
        };
        let Some((next, start, upright)) = target.known(known) else { return Ok(()) };
        for (id, known) in start {
            running.insert(id.clone());
            let target = target.clone();
            steps.push(Box::pin(async move {
                let Some(step) = target.step(&id) else { unreachable!("{id} is in no target's chain") };
                let at = At { shared: &target.shared, run: &target.run, subject: &target.subject };
                (id, executor::drive(&at, step.as_ref(), known.as_ref()).await)
            }));
        }
        if let Next::Finished(outcome, reason) = next
            && steps.is_empty()
        {
            // The reservation of a target that never went down.
            if upright && run.shared.slots.borrow_mut().free(&subject, &run.name) {
                run.shared.slots_changed.notify_waiters();
            }
            return finish(&run, &subject, outcome, &reason).await;
        }
        tokio::select! {
            biased;
            Some((id, ended)) = steps.next() => {
                running.remove(&id);
                if let Err(stop) = ended {
                    // The other steps stop at their own journal boundaries.
                    while steps.next().await.is_some() {}
                    return Err(stop);
                }
            }
            () = bell.notified() => {}
        }
    }
}
