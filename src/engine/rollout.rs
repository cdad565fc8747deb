//! Starts the targets of a run at the pace that slots allow, and waits until each has ended.

pub(crate) mod again;
pub(crate) mod bracket;
pub mod choose;
mod image;
mod order;
mod proof;
pub(crate) mod return_to_service;
pub mod target;

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::defect::{Defect, planted};
use crate::domain::downtime::{self, Asked, Gates, Verdict, Why};
use crate::domain::event::{Occurrence, Outcome};
use crate::domain::fact::{Draft, Fact, TargetEnd};
use crate::domain::naming::rfc3339;
use crate::domain::place::Subject;
use crate::domain::plan::{OnUnhealthy, Plan};
use crate::domain::prevented::{Hindrance, Prevented};
use crate::domain::rollout::Down;
use crate::domain::saga::Phase;
use crate::engine::context::run::Run;
use crate::engine::context::stale;
use crate::engine::context::{ActiveRun, Context, Stop};

/// Runs all targets that have not ended.
pub async fn rollout(run: &Run) -> Result<(), Stop> {
    let mut tasks: FuturesUnordered<LocalBoxFuture<'_, Result<(), Stop>>> = FuturesUnordered::new();
    let mut queue = VecDeque::new();
    {
        let state = run.active.state.borrow();
        for (subject, target) in state.targets.iter().filter(|(_, t)| t.finished.is_none()) {
            if target.waits() {
                queue.push_back(subject.clone());
            } else {
                tasks.push(Box::pin(bracket::conduct(run.clone(), subject.clone())));
            }
        }
    }
    let mut queue = order::in_order(run, queue).await;
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
    let why = {
        let gates = gates(&run.shared, &run.active, &run.plan, &run.occurrence);
        let slots = run.shared.slots.borrow();
        gates.closed(&slots).or_else(|| gates.stuck(&slots))
    };
    if let Some(why) = why {
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
        let why = Hindrance::of(Prevented::NotBack, why);
        finish(run, &subject, Outcome::Skipped, &why).await?;
    }
    let denied: Vec<_> = {
        let unproven = run.shared.unproven.borrow();
        let why = |s: &Subject| unproven.denied.get(&s.place).cloned();
        queue.iter().filter_map(|s| Some((s.clone(), why(s)?))).collect()
    };
    for (subject, why) in denied {
        queue.retain(|s| *s != subject);
        finish(run, &subject, Outcome::Skipped, &Hindrance::of(Prevented::NotListed, why)).await?;
    }
    let mut first = 0; // those before it are down for another run
    while !run.shared.sick() && !run.shared.unproven.borrow().comparing.contains_key(&run.plan.name) {
        let verdict = queue.get(first).map(|subject| may_go_down(run, subject));
        match verdict {
            Some(Verdict::Go) => {}
            Some(Verdict::Wait(Why::Down)) => {
                first += 1;
                continue;
            }
            Some(Verdict::No(why)) => return skip_all(run, queue, &why).await,
            Some(Verdict::Wait(_)) | None => break,
        }
        let Some(subject) = queue.remove(first) else { break };
        let down = Down {
            run: run.name.to_string(),
            plan: run.plan.name.clone(),
            since: run.shared.clock.now(),
            overdue: false,
            halts: false,
        };
        run.shared.slots.borrow_mut().take(subject.clone(), down);
        tasks.push(Box::pin(bracket::conduct(run.clone(), subject)));
    }
    Ok(())
}

/// Ends all that wait.
async fn skip_all(run: &Run, queue: &mut VecDeque<Subject>, why: &Why) -> Result<(), Stop> {
    let why = why.hindrance();
    let skipped = |subject: Subject| finished(&run.active, &run.name, &subject, Outcome::Skipped, &why);
    run.shared.record_many(&queue.drain(..).map(skipped).collect::<Vec<_>>()).await
}

/// Whether a target may go down now. What concerns it alone is asked right before the call, and its step tells.
fn may_go_down(run: &Run, subject: &Subject) -> Verdict {
    let slots = run.shared.slots.borrow();
    let gates = gates(&run.shared, &run.active, &run.plan, &run.occurrence);
    let asked = Asked { subject, run: &run.name, slots: &slots, gates };
    let own = || slots.iter().filter(|(_, down)| down.plan == run.plan.name).count();
    if planted(Defect::SlotsPerPlan) && own() < run.plan.rollout.max_in_flight as usize && !slots.is_down(subject) {
        return Verdict::Go;
    }
    downtime::may_go_down(&asked)
}

/// What is asked of a run as a whole, whoever goes down.
fn gates<'a>(shared: &Context, active: &ActiveRun, plan: &'a Plan, occurrence: &Occurrence) -> Gates<'a> {
    let over = || window_over(plan, occurrence).is_some_and(|over| over <= shared.clock.now());
    Gates {
        plan: &plan.name,
        max_in_flight: plan.rollout.max_in_flight,
        halts: plan.rollout.on_unhealthy == OnUnhealthy::HaltPlan && !planted(Defect::HaltIgnored),
        window_over: plan.schedule.window.filter(|_| over() && !planted(Defect::WindowIgnored)),
        barred: shared.barred.borrow().clone(),
        overslept: stale::late(shared, active),
    }
}

/// Why no further target of a run may be rebooted: asked before one starts, and again right before the call.
pub(crate) fn closed(shared: &Context, active: &ActiveRun, plan: &Plan, occurrence: &Occurrence) -> Option<Why> {
    gates(shared, active, plan, occurrence).closed(&shared.slots.borrow())
}

/// The first instant after the window of an occurrence.
fn window_over(plan: &Plan, occurrence: &Occurrence) -> Option<DateTime<Utc>> {
    let window = TimeDelta::try_seconds(i64::try_from(plan.schedule.window?).ok()?)?;
    occurrence.due.checked_add_signed(window)?.checked_add_signed(TimeDelta::milliseconds(1))
}

/// Journals the end of a target.
async fn finish(run: &Run, subject: &Subject, outcome: Outcome, why: &Hindrance) -> Result<(), Stop> {
    run.record(finished(&run.active, &run.name, subject, outcome, why)).await
}

/// The event of the end of a target.
pub(crate) fn finished(active: &ActiveRun, run: &str, subject: &Subject, outcome: Outcome, why: &Hindrance) -> Draft {
    let state = active.state.borrow();
    let target = state.targets.get(subject);
    let image = target.and_then(|t| t.image());
    // Whether a person was called for every step that failed, so that it is no news.
    let mut failed = target.into_iter().flat_map(|t| t.steps.values()).filter(|s| matches!(s.phase, Phase::Bad(_)));
    let alarmed = outcome == Outcome::Failed && failed.all(|step| step.alarmed);
    let (Hindrance { reason, prevented }, image) = (why.clone(), image.map(str::to_owned));
    Draft::of(run, subject, Fact::TargetFinished(TargetEnd { outcome, reason, image, alarmed, prevented }))
}
