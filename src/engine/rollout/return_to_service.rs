//! The step `return`: the instance is back in service when its EC2 status checks read ok after a restart that was
//! shown (`domain::evidence`); only then is its slot free. An instance that does not come back keeps its slot, also beyond its run.

use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::cloud::port::Effect;
use crate::defect::{Defect, planted};
use crate::domain::event::Outcome;
use crate::domain::evidence::Evidence;
use crate::domain::fact::{Draft, Fact, Intent, Made, Need, Observed, Overdue, StepId};
use crate::domain::naming::rfc3339;
use crate::domain::place::Subject;
use crate::domain::plan::OnUnhealthy;
use crate::domain::prevented::Hindrance;
use crate::domain::saga::{Slot, TargetState};
use crate::engine::context::backoff::{FIRST, LONGEST};
use crate::engine::context::{Context, Stop};
use crate::engine::drive::executor::{Look, Resend, Search, Step, slot_freed};
use crate::engine::drive::observer::Observer;
use crate::engine::drive::observer::Seen;
use crate::engine::rollout::proof::{Back, Call, Proof};
use crate::engine::rollout::target::Target;

/// How long an instance is waited for where no plan says it: the default of `healthy_within`.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Frees a slot, in the journal and for all who wait for one; but where something else is owed of the instance, which is given
/// back first.
async fn free(shared: &Context, run: &str, subject: &Subject, back: Back, mut also: Vec<Draft>) -> Result<(), Stop> {
    let (owes, taken) = owed(shared, run, subject);
    if owes {
        if also.is_empty() {
            let observed = Observed { state: Some(back.as_str().to_owned()), ..Observed::of(Outcome::Done) };
            also.push(Draft::of(run, subject, Fact::StepObserved(observed)).at_step(&StepId::Return, 1));
        }
        return shared.record_result(&also).await.map(|_| ());
    }
    also.push(slot_freed(run, subject, taken, back.as_str()));
    // What gives back never waits for the journal.
    shared.slots.borrow_mut().free(subject, run);
    shared.slots_changed.notify_waiters();
    shared.record_result(&also).await.map(|_| ())
}

/// Whether more than its slot is owed of an instance, and the attempt of its slot.
fn owed(shared: &Context, run: &str, subject: &Subject) -> (bool, u32) {
    let Some(active) = shared.active(run) else { return (false, 1) };
    let state = active.state.borrow();
    let owed = |t: &TargetState| (t.steps.values().any(|step| step.owed.is_some()), t.slots);
    state.targets.get(subject).map_or((false, 1), owed)
}

/// Waits until an instance is back whose target is over, or not known, and frees its slot. Where nobody was called for it yet
/// (`call_after`), somebody is called then.
///
/// # Errors
/// [`Stop::Drained`]: the slot stays taken in the journal, and is watched again after a restart.
pub async fn until_back(
    shared: &Rc<Context>,
    run: &str,
    subject: &Subject,
    settle: Duration,
    call_after: Option<Duration>,
) -> Result<(), Stop> {
    wait_on(shared, run, subject, settle, call_after, None).await
}

/// The same. `proof` is what was seen of it so far.
async fn wait_on(
    shared: &Rc<Context>,
    run: &str,
    subject: &Subject,
    settle: Duration,
    call_after: Option<Duration>,
    proof: Option<Proof>,
) -> Result<(), Stop> {
    let watch = shared.of::<Observer>().status(shared, &subject.place, &subject.id, Duration::ZERO);
    // Of a run that is not there any more, the call is unknown: it counts as made when the watch begins.
    let begun = shared.clock.now();
    let newest = || Call::of(shared, run, subject).unwrap_or_else(|| Call::unknown(begun));
    let mut proof = proof.unwrap_or_else(|| Proof::new(shared, &newest()));
    let mut call_at = call_after.map(|after| shared.clock.instant() + after);
    loop {
        let seen = async {
            let due = call_at.map(|at| at.saturating_duration_since(shared.clock.instant()));
            tokio::select! {
                biased;
                seen = watch.recv() => Some(seen),
                () = shared.clock.sleep(due.unwrap_or_default()), if due.is_some() => None,
            }
        };
        let Some(seen) = shared.unless_drained(seen).await? else {
            call_at = None;
            call_person(shared, run, subject).await?;
            continue;
        };
        let call = newest();
        proof.follow(shared, &call);
        let is_gone = shared.unless_drained(proof.is_gone(shared, subject, &seen)).await?;
        if let Some(back) = is_gone.or_else(|| proof.judge(shared, &call, &seen, settle)) {
            return free(shared, run, subject, back, Vec::new()).await;
        }
        watch.look_at(proof.by_time(&shared.lags.get(), settle, shared.clock.instant()));
        shared.unless_drained(proof.ask_snapshots(shared, &call, subject)).await?;
    }
}

/// Calls somebody for an instance whose run is not there to do it.
async fn call_person(shared: &Context, run: &str, subject: &Subject) -> Result<(), Stop> {
    let since = {
        let slots = shared.slots.borrow();
        let Some((_, down)) = slots.iter().find(|(s, down)| *s == subject && down.run == run) else { return Ok(()) };
        rfc3339(down.since)
    };
    let why = format!(
        "{} was rebooted by {run} and its status checks do not read ok; it counts as down since {since}; look at the \
         instance",
        subject.id
    );
    let need = Need { overdue: Some(Overdue { since: Some(since), halts: false, settle: 0 }), ..Need::failed(why) };
    // Before the journal: it only holds back.
    shared.slots.borrow_mut().overdue(subject, false);
    shared.slots_changed.notify_waiters();
    // Not the alarm of the run itself, should it be rebuilt and raise its own.
    let draft = Draft::of(run, subject, Fact::StepNeedsPerson(need)).at_step(&StepId::Return, 2);
    shared.record_result(&[draft]).await.map(|_| ())
}

/// How long an instance is waited for whose own plan is not there to say it: as long as any plan in force does.
#[must_use]
pub fn patience(shared: &Context) -> Duration {
    let within = shared.plans.borrow().values().map(|p| p.rollout.healthy_within).max();
    within.map_or(PATIENCE, Duration::from_secs)
}

/// Waits for one target to be back.
pub struct Return(pub Target);

impl Return {
    fn call(&self) -> Call {
        let Target { shared, run, subject, .. } = &self.0;
        Call::of(shared, run, subject).unwrap_or_else(|| Call::unknown(shared.clock.now()))
    }

    fn settled_after(&self) -> Duration {
        let ignored = planted(Defect::SettleIgnored) || planted(Defect::SlotFreedAtOnce);
        Duration::from_secs(if ignored { 0 } else { self.0.plan.rollout.settle })
    }

    fn within(&self, proof: &Proof) -> Duration {
        proof.within(Duration::from_secs(self.0.plan.rollout.healthy_within), &self.0.shared.lags.get())
    }

    /// How long until it may be overdue although nothing more is seen of it.
    fn patience(&self, proof: &Proof, begun: Instant) -> Option<Duration> {
        let within = self.within(proof);
        let left = within.checked_sub(proof.elapsed(self.0.shared.clock.instant()));
        let unseen = (within + LONGEST).saturating_sub(begun.elapsed());
        (!proof.well).then(|| left.filter(|left| !left.is_zero()).unwrap_or(unseen))
    }

    /// Whether the instance should have been back by now. What passed while nobody looked (the daemon was down, AWS
    /// did not answer) is no verdict on it: a look at or after the deadline decides (`looked`, when that was made), for
    /// which the pollers may take as long as their longest interval. Nor is it overdue while its checks read ok, and only
    /// the call's answer or the proof is waited for.
    fn is_overdue(&self, proof: &Proof, begun: Instant, looked: Option<Instant>) -> bool {
        let within = self.within(proof);
        let late = looked.is_some_and(|at| proof.elapsed(at) >= within);
        let unseen = begun.elapsed() >= within + LONGEST;
        proof.elapsed(self.0.shared.clock.instant()) >= within && (late || unseen) && !proof.well
    }

    /// The instance was not back in time: alarm, halt, and wait on, beyond the run.
    async fn overdue(&self, proof: Proof) -> Result<(), Stop> {
        let Target { shared, subject, plan, run, .. } = &self.0;
        let halts = plan.rollout.on_unhealthy == OnUnhealthy::HaltPlan;
        let since = self.0.known(|s| if let Slot::Taken(at) = s.slot { Some(at) } else { None }).flatten();
        let since = rfc3339(since.unwrap_or_else(|| shared.clock.now()));
        let why = format!(
            "{} was rebooted at {since} and its status checks did not read ok within {} s; look at the instance{}",
            subject.id,
            self.within(&proof).as_secs(),
            if halts {
                format!(". The plan {} reboots nothing until they read ok or the instance is terminated", plan.name)
            } else {
                String::new()
            }
        );
        let settle = plan.rollout.settle;
        let need = Need { overdue: Some(Overdue { since: Some(since), halts, settle }), ..Need::failed(why) };
        // Before the journal: it only holds back.
        shared.slots.borrow_mut().overdue(subject, halts);
        shared.slots_changed.notify_waiters();
        let draft = Draft::of(run, subject, Fact::StepNeedsPerson(need)).at_step(&StepId::Return, 1);
        shared.record_result(&[draft]).await?;
        // Who hears of it goes first: the target ends now.
        tokio::task::yield_now().await;
        wait_on(shared, run, subject, Duration::from_secs(settle), None, Some(proof)).await
    }
}

#[async_trait(?Send)]
impl Step for Return {
    fn id(&self) -> &StepId {
        &StepId::Return
    }

    fn intent(&self) -> Intent {
        Intent::Return
    }

    fn forbidden(&self) -> Option<Hindrance> {
        None
    }

    fn calls(&self) -> bool {
        false // it only watches, and must begin to as soon as the instance goes down
    }

    async fn look(&self, _intent: &Intent, _lost: bool) -> Look {
        Look::Absent
    }

    async fn act(&self, _intent: &Intent) -> Effect<Made> {
        Effect::Done { value: Made::Nothing, request_id: None }
    }

    fn resend(&self, _search: &Search) -> Resend {
        Resend::Send
    }

    async fn settle(&self) -> Result<(), Stop> {
        let Target { shared, active, subject, run, .. } = &self.0;
        let mut proof = Proof::new(shared, &self.call());
        let (mut begun, mut looked) = (shared.clock.instant(), None);
        let settle = self.settled_after();
        // From the call on: checks that fail are evidence, whenever they do.
        let watch = shared.of::<Observer>().status(shared, &subject.place, &subject.id, FIRST);
        let bell = active.bell(subject);
        loop {
            // Before looking, so that what changes meanwhile is not missed.
            let rung = bell.notified();
            if !self.down() {
                return Ok(()); // refused after all: nothing was rebooted
            }
            if proof.follow(shared, &self.call()) {
                begun = shared.clock.instant(); // sent once more, or answered
                looked = None; // what was seen before tells nothing of it
            }
            if self.is_overdue(&proof, begun, looked) {
                drop(watch); // the wait beyond the target has one of its own
                return self.overdue(proof).await;
            }
            let patience = self.patience(&proof, begun);
            let seen = async {
                tokio::select! {
                    biased;
                    seen = watch.recv() => Some(seen),
                    () = rung => None,
                    () = shared.clock.sleep(patience.unwrap_or_default()), if patience.is_some() => None,
                }
            };
            let Some(seen) = shared.unless_drained(seen).await? else { continue };
            let call = self.call();
            proof.follow(shared, &call);
            looked = Some(if let Seen::There(_, asked) = &seen { *asked } else { shared.clock.instant() });
            let at_once = planted(Defect::SlotFreedAtOnce) && call.certain;
            let is_gone = shared.unless_drained(proof.is_gone(shared, subject, &seen)).await?;
            let judged = is_gone.or_else(|| proof.judge(shared, &call, &seen, settle));
            let Some(back) = judged.or_else(|| at_once.then_some(Back::Healthy(Evidence::Time))) else {
                watch.look_at(proof.by_time(&shared.lags.get(), settle, shared.clock.instant()));
                shared.unless_drained(proof.ask_snapshots(shared, &call, subject)).await?;
                continue;
            };
            if !self.down() {
                return Ok(());
            }
            let elapsed = (shared.clock.now() - call.at).num_milliseconds();
            let observed = Observed {
                state: Some(back.as_str().to_owned()),
                elapsed_ms: Some(elapsed),
                evidence: back.evidence().map(str::to_owned),
                ..Observed::of(Outcome::Done)
            };
            let draft = Draft::of(run, subject, Fact::StepObserved(observed)).at_step(&StepId::Return, 1);
            return free(shared, run, subject, back, vec![draft]).await;
        }
    }
}

impl Return {
    fn down(&self) -> bool {
        self.0.known(|s| matches!(s.slot, Slot::Taken(_))).unwrap_or(false)
    }
}
