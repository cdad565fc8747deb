//! The downtime bracket of one instance: one task from the first step of a target to the freeing of its slot, beyond its run
//! and after a restart. The run waits only until the target has ended.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::domain::downtime::{self, Chain, Next, Part, Take, end_of, next_of};
use crate::domain::fact::{Event, StepId};
use crate::domain::naming::parse_run_name;
use crate::domain::place::Subject;
use crate::domain::saga::{RunState, Slot, StepState, TargetState};
use crate::engine::context::run::Run;
use crate::engine::context::{ActiveRun, Context, Stop};
use crate::engine::drive::executor::{self, At, slot_freed};
use crate::engine::drive::give_back::give_back;
use crate::engine::rollout::finished;
use crate::engine::rollout::return_to_service::until_back;
use crate::engine::rollout::target::{Target, giving, takes};

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
    let mut bracket = Bracket::of(target);
    bracket.until_ended().await?;
    let owes = bracket.known(|state| state.steps.values().any(|step| step.owed.is_some())).unwrap_or(false);
    if !bracket.links.is_empty() || owes {
        let shared = Rc::clone(&bracket.shared);
        shared.keep_closing(&bracket.run, &bracket.active);
        shared.spawn(bracket.until_closed());
    }
    Ok(())
}

/// Watches an instance whose target is over, or not known, until its slot can be freed. Where nobody was called for it yet
/// (`call_after`), somebody is called then. `events`: of its run, where more than the slot is owed.
pub(crate) fn watch(
    shared: &Rc<Context>,
    run: &str,
    subject: &Subject,
    settle: Duration,
    call_after: Option<Duration>,
    events: Option<&[Event]>,
) {
    let (sh, run, subject) = (Rc::clone(shared), run.to_owned(), subject.clone());
    let Some(events) = events else {
        shared.spawn(async move {
            // Cut off by draining, the slot stays taken in the journal and is watched again after a restart.
            let _ = until_back(&sh, &run, &subject, settle, call_after).await;
        });
        return;
    };
    let plan = parse_run_name(&run).map_or("", |(plan, _)| plan);
    let active = shared.active(&run);
    let active = active.unwrap_or_else(|| Rc::new(ActiveRun::new(plan, 0, RunState::fold(events), shared.clock)));
    shared.keep_closing(&run, &active);
    let (run, watching) = (run.into(), Some((settle, call_after)));
    let (running, links) = (BTreeSet::new(), FuturesUnordered::new());
    let bracket = Bracket { shared: sh, active, run, subject, target: None, watching, stopped: false, running, links };
    shared.spawn(bracket.until_closed());
}

type Link = LocalBoxFuture<'static, (StepId, Result<(), Stop>)>;

/// What goes on of one instance.
struct Bracket {
    shared: Rc<Context>,
    active: Rc<ActiveRun>,
    run: Rc<str>,
    subject: Subject,
    /// Its target, while that has not ended.
    target: Option<Target>,
    /// How it is watched whose target is over: what it must settle for, and when somebody is called.
    watching: Option<(Duration, Option<Duration>)>,
    /// Whether a link has stopped at its journal boundary: nothing begins any more but what gives back.
    stopped: bool,
    /// Links under way.
    running: BTreeSet<StepId>,
    links: FuturesUnordered<Link>,
}

impl Bracket {
    fn of(target: Target) -> Self {
        Self {
            shared: Rc::clone(&target.shared),
            active: Rc::clone(&target.active),
            run: Rc::clone(&target.run),
            subject: target.subject.clone(),
            target: Some(target),
            watching: None,
            stopped: false,
            running: BTreeSet::new(),
            links: FuturesUnordered::new(),
        }
    }

    fn known<T>(&self, what: impl FnOnce(&TargetState) -> T) -> Option<T> {
        self.active.state.borrow().targets.get(&self.subject).map(what)
    }

    /// What it goes through: what the plan takes, and beyond its run what the journal says was taken.
    fn chain(&self, state: &TargetState) -> Chain {
        downtime::chain(&match &self.target {
            Some(target) => takes(&target.plan),
            None => taken(state),
        })
    }

    /// Starts what comes next.
    fn start(&mut self) -> Option<(Next, Chain, TargetState)> {
        let state = self.known(TargetState::clone)?;
        let chain = self.chain(&state);
        let next = next_of(&state, &chain, self.stopped);
        for i in &next.start {
            let (id, link) = &chain[*i];
            let gives = matches!(link.part, Part::Give { .. });
            if self.running.contains(id) || (self.stopped && !gives) {
                continue;
            }
            let known = state.steps.get(id).cloned();
            let begun: Option<Link> = match link.part {
                Part::Give { of } => self.give(&chain[of].0, id, &state),
                Part::Gate => self.gate(id, known),
                Part::Take | Part::Make => self.drive(id, known),
            };
            if let Some(link) = begun {
                self.running.insert(id.clone());
                self.links.push(link);
            }
        }
        Some((next, chain, state))
    }

    /// A step on the way down, or a gate that nobody was called for yet.
    fn drive(&self, id: &StepId, known: Option<StepState>) -> Option<Link> {
        let (target, id) = (self.target.clone()?, id.clone());
        Some(Box::pin(async move {
            let Target { shared, run, subject, .. } = &target;
            let Some(step) = target.step(&id) else { unreachable!("{id} is in no target's chain") };
            let end = executor::drive(&At { shared, run, subject }, step.as_ref(), known.as_ref()).await;
            (id, end)
        }))
    }

    /// A gate. One that a person was called for goes on.
    fn gate(&self, id: &StepId, known: Option<StepState>) -> Option<Link> {
        let called = known.as_ref().is_some_and(StepState::ended);
        let settle = self.target.as_ref().map(|target| Duration::from_secs(target.plan.rollout.settle));
        let (settle, call_after) = match (self.watching, settle) {
            (Some(watching), _) => watching,
            (None, Some(settle)) if called => (settle, None),
            (None, _) => return self.drive(id, known),
        };
        let (shared, run, subject, id) =
            (Rc::clone(&self.shared), Rc::clone(&self.run), self.subject.clone(), id.clone());
        Some(Box::pin(async move { (id, until_back(&shared, &run, &subject, settle, call_after).await) }))
    }

    /// What gives back what `take` has taken.
    fn give(&self, take: &StepId, id: &StepId, state: &TargetState) -> Option<Link> {
        let taken = state.steps.get(take)?;
        let (owed, intent) = (taken.owed?, taken.intent.clone()?);
        let known = state.steps.get(id).cloned();
        let (shared, run, subject) = (Rc::clone(&self.shared), Rc::clone(&self.run), self.subject.clone());
        let (take, id) = (take.clone(), id.clone());
        let step = giving(&shared, &run, &subject, &id, &intent)?;
        Some(Box::pin(async move {
            let at = At { shared: &shared, run: &run, subject: &subject };
            let end = give_back(&at, step.as_ref(), &take, owed, known.as_ref()).await;
            (id, end)
        }))
    }

    /// Starts what comes next, until the target has ended.
    async fn until_ended(&mut self) -> Result<(), Stop> {
        let bell = self.active.bell(&self.subject);
        loop {
            let Some((next, chain, state)) = self.start() else { return Ok(()) };
            // Its image may be pending still.
            let part = |id: &StepId| chain.iter().find(|(other, _)| other == id).map(|(_, link)| link.part);
            if self.running.iter().all(|id| part(id) == Some(Part::Make)) {
                self.close(&next, &chain, &state).await?;
            }
            // Only a gate, or what gives back, that a person was called for may go on beyond the target.
            let over = |id: &StepId| {
                next.start
                    .iter()
                    .any(|i| chain[*i].0 == *id && matches!(chain[*i].1.part, Part::Gate | Part::Give { .. }))
            };
            if self.stopped && self.links.is_empty() {
                return Err(Stop::Drained);
            }
            if next.target.is_some() && !self.stopped && self.running.iter().all(over) {
                // The reservation of a target that never went down.
                if state.slot == Slot::None && self.shared.slots.borrow_mut().free(&self.subject, &self.run) {
                    self.shared.slots_changed.notify_waiters();
                }
                return self.end(&chain).await;
            }
            tokio::select! {
                biased;
                Some((id, ended)) = self.links.next() => {
                    self.running.remove(&id);
                    // The other links stop at their own journal boundaries.
                    self.stopped |= ended.is_err();
                }
                () = bell.notified() => {}
            }
        }
    }

    /// Journals the end of the target. What goes on does not wait for the journal.
    async fn end(&mut self, chain: &Chain) -> Result<(), Stop> {
        let Some((outcome, why)) = self.known(|state| end_of(state, chain)) else { return Ok(()) };
        let end = finished(&self.active, &self.run, &self.subject, outcome, &why);
        let shared = Rc::clone(&self.shared);
        let mut end = std::pin::pin!(async { shared.record_result(&[end]).await.map(|_| ()) });
        loop {
            tokio::select! {
                biased;
                ended = &mut end => return ended,
                Some((id, ended)) = self.links.next() => {
                    self.running.remove(&id);
                    ended?;
                }
            }
        }
    }

    /// Frees the slot of an instance that was given back all that was taken from it. Where nothing was, the gate has freed it,
    /// or the refusal of the call; and a call that is put off keeps it.
    async fn close(&self, next: &Next, chain: &Chain, state: &TargetState) -> Result<(), Stop> {
        let mut gives = chain.iter().filter(|(_, link)| matches!(link.part, Part::Give { .. }));
        let given = gives.any(|(id, _)| state.steps.get(id).is_some_and(StepState::ended));
        if next.bracket != downtime::Bracket::Close || !given || !matches!(state.slot, Slot::Taken(_)) {
            return Ok(());
        }
        self.shared.slots.borrow_mut().free(&self.subject, &self.run);
        self.shared.slots_changed.notify_waiters();
        let freed = slot_freed(&self.run, &self.subject, state.slots, "all that was taken is given back");
        self.shared.record_result(&[freed]).await.map(|_| ())
    }

    /// Goes on until nothing is owed any more.
    async fn until_closed(mut self) {
        loop {
            let Some((next, chain, state)) = self.start() else { return };
            if self.links.is_empty() {
                // What cannot be written now is found again after a restart.
                let _ = self.close(&next, &chain, &state).await;
                return;
            }
            if let Some((id, ended)) = self.links.next().await {
                self.running.remove(&id);
                self.stopped |= ended.is_err();
            }
        }
    }
}

/// What was taken of a target, in the order in which it was.
fn taken(state: &TargetState) -> Vec<Take> {
    let owed = |(by, step): (&StepId, &StepState)| Some((step.intended_at, (by.clone(), false, step.back.clone()?)));
    let mut taken: Vec<_> = state.steps.iter().filter_map(owed).collect();
    taken.sort_by_key(|(at, _)| *at);
    taken.into_iter().map(|(_, take)| take).collect()
}
