//! The step `return`: the instance is back in service when both EC2 status checks read ok, long enough after the
//! call; only then is its slot free. An instance that does not come back keeps its slot, also beyond its run.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{IMAGE, RETURN, Target};
use crate::cloud::port::Effect;
use crate::domain::event::{Draft, Kind, gone};
use crate::domain::naming::rfc3339;
use crate::domain::place::Subject;
use crate::domain::plan::OnUnhealthy;
use crate::domain::saga::{Phase, StepState};
use crate::engine::executor::{Look, Resend, Search, Step};
use crate::engine::observe::{LONGEST, Seen};
use crate::engine::shared::{Shared, Stop};

/// The deadline is looked at no more often than this.
const LOOK: Duration = Duration::from_millis(500);

/// Waits for one target to be back.
pub struct Return(pub Target);

impl Return {
    /// When the call was made at the latest, and whether it is certain what became of it.
    fn called(&self) -> (DateTime<Utc>, DateTime<Utc>, bool) {
        let now = self.0.shared.clock.now();
        let state = self.0.state();
        let image: Option<&StepState> = state.as_ref().and_then(|s| s.steps.get(IMAGE));
        image.map_or((now, now, true), |s| {
            let settled = !matches!(s.phase, Phase::Intended | Phase::Unknown);
            (s.intended_at, s.called_at, settled)
        })
    }

    /// Waits until the instance is back, or can never be. `looked`: a status check that counts was seen after the
    /// deadline. `well`: the newest one read ok, whether it counts or not.
    async fn wait(&self, looked: &Cell<bool>, well: &Cell<bool>) -> Result<&'static str, Stop> {
        let Target { shared, subject, plan, .. } = &self.0;
        let settle = Duration::from_secs(plan.rollout.settle);
        let within = Duration::from_secs(plan.rollout.healthy_within);
        // After a restart part of it, or all, has passed.
        let passed = (shared.clock.now() - self.called().1).to_std().unwrap_or_default();
        let mut watch = shared.observer.status(shared, &subject.place, &subject.id, settle.saturating_sub(passed));
        loop {
            let seen = shared.unless_drained(watch.recv()).await?.ok_or(Stop::Drained)?;
            let (intended_at, called_at, certain) = self.called();
            let asked_at = if let Seen::There(_, at) = &seen { *at } else { shared.clock.now() };
            let settled = (asked_at - called_at).to_std().is_ok_and(|since| since >= settle);
            let late = (asked_at - intended_at).to_std().is_ok_and(|since| since >= within);
            looked.set(looked.get() || (certain && settled && late));
            well.set(back(&seen).is_some());
            match back(&seen) {
                Some("healthy") if !(certain && settled) => {}
                Some(how) => return Ok(how),
                None => {}
            }
        }
    }

    /// The instance was not back in time: alarm, halt, and go on watching beside the run.
    async fn overdue(&self, since: DateTime<Utc>) -> Result<(), Stop> {
        let Target { shared, subject, plan, run, .. } = &self.0;
        let halts = plan.rollout.on_unhealthy == OnUnhealthy::HaltPlan;
        let why = format!(
            "{} was rebooted at {} and its status checks did not read ok within {} s; look at the instance{}",
            subject.id,
            rfc3339(since),
            plan.rollout.healthy_within,
            if halts {
                format!(". The plan {} reboots nothing until they read ok or the instance is terminated", plan.name)
            } else {
                String::new()
            }
        );
        let settle = plan.rollout.settle;
        let data = json!({
            "outcome": "failed", "reason": why, "since": rfc3339(since), "halts": halts, "settle": settle,
        });
        let draft = Draft::of(run, subject, Kind::StepNeedsPerson, data).at_step(RETURN, 1);
        shared.record_result(&[draft]).await?;
        if halts {
            shared.slots.borrow_mut().halt(subject);
        }
        shared.slots_changed.notify_waiters();
        watch_slot(shared, run, subject, Duration::from_secs(settle));
        Ok(())
    }
}

/// How the instance is back, if it is.
fn back(seen: &Seen<crate::domain::observed::InstanceStatus>) -> Option<&'static str> {
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

/// Whether a status check that was asked for at `asked_at` tells of the time after CreateImage: while its answer is
/// unknown it may be sent again.
fn counts(shared: &Shared, run: &str, subject: &Subject, asked_at: DateTime<Utc>, settle: Duration) -> bool {
    let runs = shared.runs.borrow();
    let Some(active) = runs.get(run) else { return true };
    let state = active.state.borrow();
    state.targets.get(subject).and_then(|t| t.steps.get(IMAGE)).is_none_or(|image| {
        !matches!(image.phase, Phase::Intended | Phase::Unknown)
            && (asked_at - image.called_at).to_std().is_ok_and(|since| since >= settle)
    })
}

/// Watches an instance that was not back in time, until its slot can be freed; beyond its target and its run.
pub fn watch_slot(shared: &Rc<Shared>, run: &str, subject: &Subject, settle: Duration) {
    let (sh, run, subject) = (Rc::clone(shared), run.to_owned(), subject.clone());
    shared.spawn(async move {
        let mut watch = sh.observer.status(&sh, &subject.place, &subject.id, Duration::ZERO);
        loop {
            let Ok(Some(seen)) = sh.unless_drained(watch.recv()).await else { return };
            if let Seen::There(status, asked_at) = &seen
                && status.healthy()
                && !counts(&sh, &run, &subject, *asked_at, settle)
            {
                continue;
            }
            if let Some(how) = back(&seen) {
                // Cut off by draining, the slot stays taken in the journal and is watched again after a restart.
                let _ = free(&sh, &run, &subject, how, Vec::new()).await;
                return;
            }
        }
    });
}

#[async_trait(?Send)]
impl Step for Return {
    fn name(&self) -> &'static str {
        RETURN
    }

    fn intent(&self) -> Value {
        json!({})
    }

    fn forbidden(&self) -> Option<String> {
        None
    }

    async fn look(&self, _intent: &Value) -> Look {
        Look::Absent
    }

    async fn act(&self, _intent: &Value) -> Effect<Value> {
        Effect::Done { value: json!({}), request_id: None }
    }

    fn resend(&self, _search: &Search) -> Resend {
        Resend::Send
    }

    async fn settle(&self) -> Result<(), Stop> {
        let Target { shared, subject, plan, run, .. } = &self.0;
        let (looked, well) = (Cell::new(false), Cell::new(false));
        let wait = self.wait(&looked, &well);
        tokio::pin!(wait);
        let within = Duration::from_secs(plan.rollout.healthy_within);
        let within_delta = chrono::TimeDelta::from_std(within).unwrap_or(chrono::TimeDelta::MAX);
        let mut begun = shared.clock.instant();
        let mut newest = self.called().0;
        loop {
            let (intended_at, _, _) = self.called();
            if intended_at != newest {
                newest = intended_at;
                begun = shared.clock.instant(); // sent once more
            }
            // The deadline is a length of time, so that a step of the wall clock cannot halt a plan.
            let left = within.saturating_sub((shared.clock.now() - intended_at).to_std().unwrap_or_default());
            tokio::select! {
                biased;
                how = &mut wait => {
                    let how = how?;
                    let elapsed = (shared.clock.now() - intended_at).num_milliseconds();
                    let data = json!({ "outcome": "done", "state": how, "elapsed_ms": elapsed });
                    let draft = Draft::of(run, subject, Kind::StepObserved, data).at_step(RETURN, 1);
                    return free(shared, run, subject, how, vec![draft]).await;
                }
                // A call that was sent once more moves the deadline, so it is read anew. What passed while nobody
                // looked (the daemon was down, AWS did not answer) is no verdict on the instance.
                () = shared.clock.sleep(left.max(LOOK)) => {
                    // A look at or after the deadline decides, for which the pollers may take so long. Nor is it
                    // overdue while its checks read ok, and only the call's answer is waited for.
                    let fair = (looked.get() || begun.elapsed() >= within + LONGEST) && !well.get();
                    let intended = self.called().0;
                    if intended == intended_at && shared.clock.now() - intended >= within_delta && fair {
                        return self.overdue(intended_at).await;
                    }
                }
            }
        }
    }
}
