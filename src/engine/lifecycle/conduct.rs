//! One run, from its start to its summary: account, selection, rollout, retention. Every phase goes on from what
//! the journal knows, so a restart needs no path of its own.

use std::collections::BTreeMap;

use crate::domain::event::Outcome;
use crate::domain::fact::{Counts, Draft, Fact, RunEnd, RunStart, StepId};
use crate::domain::place::Subject;
use crate::domain::prevented::Prevented;
use crate::domain::saga::{Phase, StepState};
use crate::engine::context::Stop;
use crate::engine::context::run::Run;
use crate::engine::distribution;
use crate::engine::retention;
use crate::engine::rollout;
use crate::engine::rollout::again::Before;
use crate::engine::rollout::choose;

/// Runs `run` to the end, or to the journal boundary at which it drains.
pub(crate) async fn conduct(run: Run) {
    // Draining leaves it unfinished in the journal, from where it goes on.
    if phases(&run).await.is_err() {
        // What cannot be written now is found out again, unless the machine slept and the stop is written.
        let _ = run.shared.record_lateness().await;
    }
    run.shared.count_again(&run.plan.name);
    run.shared.runs.borrow_mut().remove(&*run.name);
    run.shared.slots_changed.notify_waiters();
}

async fn phases(run: &Run) -> Result<(), Stop> {
    if !run.active.state.borrow().started {
        let start = RunStart {
            trigger: Some(run.occurrence.trigger),
            plan_hash: run.occurrence.plan_hash.clone(),
            only: run.only.clone(),
            rebuilt: false,
        };
        run.record(Draft::of_run(&run.name, Fact::RunStarted(start))).await?;
    }
    if !run.active.state.borrow().selected
        && let Some(places) = run.places().await?
    {
        choose::select(run, &places).await?;
    }
    // Targets know their own place: what was begun goes on, also while the account cannot be asked for.
    let rollout = async {
        let end = rollout::rollout(run).await;
        run.active.rolled_out.set(true);
        run.active.progress.notify_waiters();
        end
    };
    let (rolled_out, distributed) = tokio::join!(biased; rollout, distribution::distribute(run));
    rolled_out?;
    distributed?;
    // What a run had deleted before its journal was lost is not known: the next one deletes, under its own limit.
    let rebuilt = run.active.state.borrow().rebuilt;
    if !rebuilt && let Some(places) = run.places().await? {
        retention::retain(run, &places).await?;
    }
    distribution::sum_up_shares(run).await?;
    let elapsed = (run.shared.clock.now() - run.occurrence.decided_at).num_milliseconds();
    let end = RunEnd { elapsed_ms: Some(elapsed), counts: Some(counts(run)), ..run.active.state.borrow().end() };
    let mut drafts = run.active.settled.take();
    if !end.barred {
        drafts.extend(again(run).await);
    }
    drafts.push(Draft::of_run(&run.name, Fact::RunFinished(end)));
    run.shared.record_result(&drafts).await.map(|_| ())
}

/// An alarm for each target that was prevented twice in a row. Where all were, the run's own end says it.
async fn again(run: &Run) -> Vec<Draft> {
    let prevented: Vec<(Subject, Prevented, String)> = {
        let state = run.active.state.borrow();
        let targets = state.prevented().filter(|(subject, ..)| state.targets.contains_key(*subject));
        targets.map(|(subject, prevented, why)| (subject.clone(), prevented, why.to_owned())).collect()
    };
    if prevented.is_empty() {
        return Vec::new();
    }
    let before = Before::of(run).await;
    prevented.iter().filter_map(|(subject, prevented, why)| before.alarm(run, subject, *prevented, why)).collect()
}

fn counts(run: &Run) -> Counts {
    let state = run.active.state.borrow();
    let count = |wanted: Outcome| {
        state.targets.values().filter(|t| t.finished.as_ref().is_some_and(|(o, _)| *o == wanted)).count()
    };
    let gone = |steps: &BTreeMap<StepId, StepState>| steps.get(&StepId::Retain).is_some_and(|s| s.result.is_some());
    let copies = |wanted: fn(&Phase) -> bool| {
        let steps = state.others.values().flatten();
        steps.filter(|(id, step)| matches!(id, StepId::Copy(_)) && wanted(&step.phase)).count() as u64
    };
    let deleted = state.others.iter().filter(|(s, steps)| s.id.starts_with("ami-") && gone(steps)).count();
    Counts {
        done: count(Outcome::Done) as u64,
        failed: count(Outcome::Failed) as u64,
        skipped: (count(Outcome::Skipped) + state.skipped.len()) as u64,
        prevented: state.prevented().count() as u64,
        deleted: deleted as u64,
        copied: Some(copies(|phase| *phase == Phase::Good)),
        copies_failed: Some(copies(|phase| matches!(phase, Phase::Bad(_) | Phase::Left(_)))),
    }
}
