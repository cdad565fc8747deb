//! The downtime bracket of one instance: one task from the first step of a target to the freeing of its slot, beyond its run
//! and after a restart. The run waits only until the target has ended.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::domain::downtime::{CHAIN, Part, end_of, next_of};
use crate::domain::place::Subject;
use crate::domain::saga::{Slot, StepState, TargetState};
use crate::engine::context::run::Run;
use crate::engine::context::{Context, Stop};
use crate::engine::drive::executor::{self, At};
use crate::engine::rollout::finished;
use crate::engine::rollout::return_to_service;
use crate::engine::rollout::target::Target;

/// Begins, or goes on with, a target, and waits until it has ended. What is left of its bracket then goes on beside the run.
///
/// # Errors
/// [`Stop::Drained`]: it goes on after a restart.
pub(crate) async fn conduct(run: Run, subject: Subject) -> Result<(), Stop> {
    let target = Target {
        shared: Rc::clone(&run.shared),
        active: Rc::clone(&run.active),
        plan: Rc::clone(&run.plan),
        occurrence: Rc::clone(&run.occurrence),
        run: Rc::clone(&run.name),
        subject,
    };
    let mut bracket = Bracket { target, running: BTreeSet::new(), links: FuturesUnordered::new() };
    bracket.until_ended().await?;
    if !bracket.links.is_empty() {
        let shared = Rc::clone(&bracket.target.shared);
        shared.spawn(bracket.until_closed());
    }
    Ok(())
}

/// Watches an instance whose target is over, or not known, until its slot can be freed. Where nobody was called for it yet
/// (`call_after`), somebody is called then.
pub(crate) fn watch(
    shared: &Rc<Context>,
    run: &str,
    subject: &Subject,
    settle: Duration,
    call_after: Option<Duration>,
) {
    let (sh, run, subject) = (Rc::clone(shared), run.to_owned(), subject.clone());
    shared.spawn(async move {
        // Cut off by draining, the slot stays taken in the journal and is watched again after a restart.
        let _ = return_to_service::until_back(&sh, &run, &subject, settle, call_after).await;
    });
}

/// What goes on of one instance.
struct Bracket {
    target: Target,
    /// Links under way, by their place in the chain.
    running: BTreeSet<usize>,
    links: FuturesUnordered<LocalBoxFuture<'static, (usize, Result<(), Stop>)>>,
}

impl Bracket {
    /// Starts what comes next, until the target has ended.
    async fn until_ended(&mut self) -> Result<(), Stop> {
        let bell = self.target.active.bell(&self.target.subject);
        loop {
            let known = |state: &TargetState| {
                let next = next_of(state);
                let begin = next.start.iter().filter(|i| !self.running.contains(i));
                let begin: Vec<_> = begin.map(|i| (*i, state.steps.get(&CHAIN[*i].0).cloned())).collect();
                (next, begin, state.slot == Slot::None)
            };
            let Some((next, begin, upright)) = self.target.known(known) else { return Ok(()) };
            for (i, known) in begin {
                self.running.insert(i);
                let target = self.target.clone();
                self.links.push(Box::pin(async move { (i, go_on(&target, i, known).await) }));
            }
            // Only a gate that a person was called for may go on beyond the target.
            let over = |i: &usize| CHAIN[*i].1.part == Part::Gate && next.start.contains(i);
            if next.target.is_some() && self.running.iter().all(over) {
                let Target { shared, run, subject, .. } = &self.target;
                // The reservation of a target that never went down.
                if upright && shared.slots.borrow_mut().free(subject, run) {
                    shared.slots_changed.notify_waiters();
                }
                return self.end().await;
            }
            tokio::select! {
                biased;
                Some((i, ended)) = self.links.next() => {
                    self.running.remove(&i);
                    if let Err(stop) = ended {
                        // The other links stop at their own journal boundaries.
                        while self.links.next().await.is_some() {}
                        return Err(stop);
                    }
                }
                () = bell.notified() => {}
            }
        }
    }

    /// Journals the end of the target. What goes on does not wait for the journal.
    async fn end(&mut self) -> Result<(), Stop> {
        let mut end = std::pin::pin!(end(&self.target));
        loop {
            tokio::select! {
                biased;
                ended = &mut end => return ended,
                Some((_, ended)) = self.links.next() => ended?,
            }
        }
    }

    /// Waits until nothing is owed any more.
    async fn until_closed(mut self) {
        while self.links.next().await.is_some() {}
    }
}

/// One link of the chain. A gate that a person was called for goes on.
async fn go_on(target: &Target, i: usize, known: Option<StepState>) -> Result<(), Stop> {
    let Target { shared, run, subject, plan, .. } = target;
    let (id, link) = &CHAIN[i];
    if link.part == Part::Gate && known.as_ref().is_some_and(StepState::ended) {
        let settle = Duration::from_secs(plan.rollout.settle);
        return return_to_service::until_back(shared, run, subject, settle, None).await;
    }
    let Some(step) = target.step(id) else { unreachable!("{id} is in no target's chain") };
    executor::drive(&At { shared, run, subject }, step.as_ref(), known.as_ref()).await
}

/// Journals the end of a target.
async fn end(target: &Target) -> Result<(), Stop> {
    let Target { shared, active, run, subject, .. } = target;
    let Some((outcome, reason)) = target.known(end_of) else { return Ok(()) };
    shared.record_result(&[finished(active, run, subject, outcome, &reason)]).await.map(|_| ())
}
