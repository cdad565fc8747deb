//! The step `return`: the instance is back in service when both EC2 status checks read ok, long enough after the
//! call; only then is its slot free. An instance that does not come back keeps its slot, also beyond its run.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{IMAGE, RETURN, Target};
use crate::cloud::port::Effect;
use crate::defect::{Defect, planted};
use crate::domain::event::{Draft, Kind, gone};
use crate::domain::naming::rfc3339;
use crate::domain::observed::InstanceStatus;
use crate::domain::place::Subject;
use crate::domain::plan::OnUnhealthy;
use crate::domain::saga::{Phase, Slot};
use crate::engine::executor::{Look, Resend, Search, Step};
use crate::engine::observe::{LONGEST, Seen};
use crate::engine::shared::{Shared, Stop};

/// How long an instance is waited for where no plan says it: the default of `healthy_within`.
const PATIENCE: Duration = Duration::from_secs(900);

/// The newest CreateImage of a target, as far as the journal knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Call {
    /// It was made before this.
    at: DateTime<Utc>,
    /// Whether it is known what became of it: else it may be made again.
    certain: bool,
}

/// How long ago a call was, by tokio's time: a step of the wall clock must neither free a slot nor halt a plan.
#[derive(Default)]
struct Since(RefCell<Option<(DateTime<Utc>, Instant, Duration)>>);

impl Since {
    /// The time from `call` to `then`. What had passed when the call was first noticed (after a restart, mostly)
    /// counts as the wall clock told it.
    fn elapsed(&self, shared: &Shared, call: Call, then: Instant) -> Duration {
        let (noticed, before) = self.noticed(shared, call);
        match then.checked_duration_since(noticed) {
            Some(after) => before + after,
            None => before.saturating_sub(noticed - then),
        }
    }

    /// The time from `call` to `then` as far as this process saw it pass: the clock may have been wrong before it began,
    /// and a status check that is read too soon still tells of the time before the reboot.
    fn seen(&self, shared: &Shared, call: Call, then: Instant) -> Duration {
        then.saturating_duration_since(self.noticed(shared, call).0)
    }

    /// When the call was first noticed, and how long ago it was then, by the wall clock.
    fn noticed(&self, shared: &Shared, call: Call) -> (Instant, Duration) {
        let mut known = self.0.borrow_mut();
        let (_, noticed, before) = match *known {
            Some(known) if known.0 == call.at => known,
            _ => *known.insert((
                call.at,
                shared.clock.instant(),
                (shared.clock.now() - call.at).to_std().unwrap_or_default(),
            )),
        };
        (noticed, before)
    }
}

/// The newest CreateImage of a target of `run`, if the run is still going on.
fn call(shared: &Shared, run: &str, subject: &Subject) -> Option<Call> {
    let active = shared.runs.borrow().get(run).cloned()?;
    let state = active.state.borrow();
    let image = state.targets.get(subject)?.steps.get(IMAGE)?;
    let certain = !matches!(image.phase, Phase::Intended | Phase::Unknown | Phase::NotMade);
    Some(Call { at: image.called_at.max(image.intended_at), certain })
}

/// How the instance is back, if it is.
fn back(seen: &Seen<InstanceStatus>) -> Option<&'static str> {
    match seen {
        Seen::There(status, _) if status.healthy() => Some("healthy"),
        Seen::There(status, _) if gone(status.state) => Some("terminated"),
        Seen::There(..) => None,
        Seen::Gone => Some("terminated"),
    }
}

/// Frees a slot, in the journal and for all who wait for one.
async fn free(shared: &Shared, run: &str, subject: &Subject, how: &str, mut also: Vec<Draft>) -> Result<(), Stop> {
    also.push(Draft::of(run, subject, Kind::SlotFreed, json!({ "reason": how })));
    // What gives back never waits for the journal.
    shared.slots.borrow_mut().free(subject, run);
    shared.slots_changed.notify_waiters();
    shared.record_result(&also).await.map(|_| ())
}

/// Watches an instance that was not back in time, until its slot can be freed; beyond its target and its run. Where
/// nobody was called for it yet (`call_after`), somebody is called then.
pub fn watch_slot(shared: &Rc<Shared>, run: &str, subject: &Subject, settle: Duration, call_after: Option<Duration>) {
    let (sh, run, subject) = (Rc::clone(shared), run.to_owned(), subject.clone());
    shared.spawn(async move {
        let watch = sh.observer.status(&sh, &subject.place, &subject.id, Duration::ZERO);
        let since = Since::default();
        if let Some(call) = call(&sh, &run, &subject) {
            since.noticed(&sh, call);
        }
        let mut call_at = call_after.map(|after| sh.clock.instant() + after);
        loop {
            let seen = async {
                let due = call_at.map(|at| at.saturating_duration_since(sh.clock.instant()));
                tokio::select! {
                    biased;
                    seen = watch.recv() => Some(seen),
                    () = sh.clock.sleep(due.unwrap_or_default()), if due.is_some() => None,
                }
            };
            let Ok(seen) = sh.unless_drained(seen).await else { return };
            let Some(seen) = seen else {
                call_at = None;
                if call_person(&sh, &run, &subject).await.is_err() {
                    return;
                }
                continue;
            };
            if let (Seen::There(_, asked), Some(call)) = (&seen, call(&sh, &run, &subject))
                && back(&seen) == Some("healthy")
                && !(call.certain && since.seen(&sh, call, *asked) >= settle)
            {
                continue; // CreateImage may still be sent again
            }
            if let Some(how) = back(&seen) {
                // Cut off by draining, the slot stays taken in the journal and is watched again after a restart.
                let _ = free(&sh, &run, &subject, how, Vec::new()).await;
                return;
            }
        }
    });
}

/// Calls somebody for an instance whose run is not there to do it.
async fn call_person(shared: &Shared, run: &str, subject: &Subject) -> Result<(), Stop> {
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
    let data = json!({ "outcome": "failed", "reason": why, "since": since, "halts": false, "settle": 0 });
    // Before the journal: it only holds back.
    shared.slots.borrow_mut().overdue(subject, false);
    shared.slots_changed.notify_waiters();
    // Not the alarm of the run itself, should it be rebuilt and raise its own.
    let draft = Draft::of(run, subject, Kind::StepNeedsPerson, data).at_step(RETURN, 2);
    shared.record_result(&[draft]).await.map(|_| ())
}

/// How long an instance is waited for whose own plan is not there to say it: as long as any plan in force does.
#[must_use]
pub fn patience(shared: &Shared) -> Duration {
    let within = shared.plans.borrow().values().map(|p| p.rollout.healthy_within).max();
    within.map_or(PATIENCE, Duration::from_secs)
}

/// Waits for one target to be back.
pub struct Return(pub Target);

/// What the status checks have shown so far.
#[derive(Default)]
struct Shown {
    since: Since,
    /// The newest look was made at or after the deadline.
    late: bool,
    /// The newest look read ok, whether it counts or not.
    well: bool,
}

impl Return {
    fn call(&self) -> Call {
        let Target { shared, run, subject, .. } = &self.0;
        call(shared, run, subject).unwrap_or_else(|| Call { at: shared.clock.now(), certain: true })
    }

    fn settled_after(&self) -> Duration {
        let ignored = planted(Defect::SettleIgnored) || planted(Defect::SlotFreedAtOnce);
        Duration::from_secs(if ignored { 0 } else { self.0.plan.rollout.settle })
    }

    fn within(&self) -> Duration {
        Duration::from_secs(self.0.plan.rollout.healthy_within)
    }

    /// What a look shows: how the instance is back, if that counts already.
    fn judge(&self, shown: &mut Shown, seen: &Seen<InstanceStatus>) -> Option<&'static str> {
        let Target { shared, .. } = &self.0;
        let call = self.call();
        if planted(Defect::SlotFreedAtOnce) && call.certain {
            return Some("healthy");
        }
        let asked = if let Seen::There(_, asked) = seen { *asked } else { shared.clock.instant() };
        let elapsed = shown.since.elapsed(shared, call, asked);
        let back = back(seen);
        shown.late = elapsed >= self.within();
        shown.well = back.is_some();
        let counts = call.certain && shown.since.seen(shared, call, asked) >= self.settled_after();
        back.filter(|how| *how != "healthy" || counts)
    }

    /// How long until it may be overdue although nothing more is seen of it.
    fn patience(&self, shown: &Shown, begun: Instant) -> Option<Duration> {
        let shared = &self.0.shared;
        let left = self.within().checked_sub(shown.since.elapsed(shared, self.call(), shared.clock.instant()));
        let unseen = (self.within() + LONGEST).saturating_sub(begun.elapsed());
        (!shown.well).then(|| left.filter(|left| !left.is_zero()).unwrap_or(unseen))
    }

    /// Whether the instance should have been back by now. What passed while nobody looked (the daemon was down, AWS
    /// did not answer) is no verdict on it: a look at or after the deadline decides, for which the pollers may take
    /// as long as their longest interval. Nor is it overdue while its checks read ok and only the call's answer is
    /// waited for.
    fn is_overdue(&self, shown: &Shown, begun: Instant) -> bool {
        let shared = &self.0.shared;
        let elapsed = shown.since.elapsed(shared, self.call(), shared.clock.instant());
        let unseen = begun.elapsed() >= self.within() + LONGEST;
        elapsed >= self.within() && (shown.late || unseen) && !shown.well
    }

    /// The instance was not back in time: alarm, halt, and go on watching beside the run.
    async fn overdue(&self) -> Result<(), Stop> {
        let Target { shared, subject, plan, run, .. } = &self.0;
        let halts = plan.rollout.on_unhealthy == OnUnhealthy::HaltPlan;
        let since = self.0.known(|s| if let Slot::Taken(at) = s.slot { Some(at) } else { None }).flatten();
        let since = rfc3339(since.unwrap_or_else(|| shared.clock.now()));
        let why = format!(
            "{} was rebooted at {since} and its status checks did not read ok within {} s; look at the instance{}",
            subject.id,
            plan.rollout.healthy_within,
            if halts {
                format!(". The plan {} reboots nothing until they read ok or the instance is terminated", plan.name)
            } else {
                String::new()
            }
        );
        let settle = plan.rollout.settle;
        let data = json!({ "outcome": "failed", "reason": why, "since": since, "halts": halts, "settle": settle });
        // Before the journal: it only holds back.
        shared.slots.borrow_mut().overdue(subject, halts);
        shared.slots_changed.notify_waiters();
        let draft = Draft::of(run, subject, Kind::StepNeedsPerson, data).at_step(RETURN, 1);
        shared.record_result(&[draft]).await?;
        watch_slot(shared, run, subject, Duration::from_secs(settle), None);
        Ok(())
    }
}

#[async_trait(?Send)]
impl Step for Return {
    fn name(&self) -> &str {
        RETURN
    }

    fn intent(&self) -> Value {
        json!({})
    }

    fn forbidden(&self) -> Option<String> {
        None
    }

    fn calls(&self) -> bool {
        false // it only watches, and must begin to as soon as the instance goes down
    }

    async fn look(&self, _intent: &Value, _lost: bool) -> Look {
        Look::Absent
    }

    async fn act(&self, _intent: &Value) -> Effect<Value> {
        Effect::Done { value: json!({}), request_id: None }
    }

    fn resend(&self, _search: &Search) -> Resend {
        Resend::Send
    }

    async fn settle(&self) -> Result<(), Stop> {
        let Target { shared, active, subject, run, .. } = &self.0;
        let mut shown = Shown::default();
        let mut begun = shared.clock.instant();
        let mut newest = self.call().at;
        shown.since.noticed(shared, self.call());
        let watch = shared.observer.status(shared, &subject.place, &subject.id, self.settled_after());
        let bell = active.bell(subject);
        loop {
            // Before looking, so that what changes meanwhile is not missed.
            let rung = bell.notified();
            if !self.down() {
                return Ok(()); // refused after all: nothing was rebooted
            }
            if self.call().at != newest {
                newest = self.call().at;
                begun = shared.clock.instant(); // sent once more, or answered
                shown.late = false; // what was seen before tells nothing of it
            }
            if self.is_overdue(&shown, begun) {
                return self.overdue().await;
            }
            let patience = self.patience(&shown, begun);
            let seen = async {
                tokio::select! {
                    biased;
                    seen = watch.recv() => Some(seen),
                    () = rung => None,
                    () = shared.clock.sleep(patience.unwrap_or_default()), if patience.is_some() => None,
                }
            };
            let Some(seen) = shared.unless_drained(seen).await? else { continue };
            let Some(how) = self.judge(&mut shown, &seen) else { continue };
            if !self.down() {
                return Ok(());
            }
            let elapsed = (shared.clock.now() - self.call().at).num_milliseconds();
            let data = json!({ "outcome": "done", "state": how, "elapsed_ms": elapsed });
            let draft = Draft::of(run, subject, Kind::StepObserved, data).at_step(RETURN, 1);
            return free(shared, run, subject, how, vec![draft]).await;
        }
    }
}

impl Return {
    fn down(&self) -> bool {
        self.0.known(|s| matches!(s.slot, Slot::Taken(_))).unwrap_or(false)
    }
}
