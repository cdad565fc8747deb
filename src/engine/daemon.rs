//! The engine's loop: at each tick it decides what is due and takes up requests; everything else are its tasks.

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::shared::Shared;
use super::{rebuild, recover};
use crate::domain::event::{Decision, Draft, Kind, Occurrence, Trigger};
use crate::domain::plan::Plan;
use crate::domain::schedule::{Due, Timetable};
use crate::journal::Answer;

/// What the engine is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Schedules and requests, until it is asked to stop.
    Daemon,
    /// Unfinished runs, then this request, then it stops.
    Once {
        /// Its number.
        request: i64,
    },
}

/// The details of runs are kept for so long; how each ended is kept for good.
const HISTORY: TimeDelta = TimeDelta::days(90);
/// Old history is pruned this often, and at start.
const PRUNE_EVERY: TimeDelta = TimeDelta::days(1);

/// So many of a plan's newest decisions are looked at for the one before.
const DECISIONS_MAX: u32 = 16;
/// A tick that does not come (the scheduler waits out a clock set back) is made up for after so long.
const BACKUP_TICK: Duration = Duration::from_secs(5);

/// A plan in force.
pub(super) struct Scheduled {
    pub(super) plan: Rc<Plan>,
    pub(super) timetable: Timetable,
    pub(super) hash: String,
    /// The latest decided scheduled occurrence, or the first sight of the schedule: nothing earlier is owed.
    pub(super) settled: DateTime<Utc>,
}

/// The engine. One per journal, which a lock and a fence number see to.
pub struct Engine {
    pub(super) shared: Rc<Shared>,
    plans: Vec<Plan>,
    pub(super) scheduled: BTreeMap<String, Scheduled>,
    pub(super) mode: Mode,
    pruned: Option<DateTime<Utc>>,
}

/// The heartbeat, or what makes up for it.
async fn next_tick(ticks: &mut mpsc::Receiver<()>, overdue: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        Some(()) = ticks.recv() => {}
        () = overdue => {}
    }
}

/// The hash under which a value is journaled: the first 16 hex digits of SHA-256 over its JSON.
fn hash_of(value: &impl serde::Serialize) -> (String, String) {
    // Plans and schedules are plain data: maps with text keys, which always have a JSON form.
    let text = serde_json::to_string(value).unwrap_or_default();
    let digest = Sha256::digest(text.as_bytes());
    let hash = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
    (hash, text)
}

impl Engine {
    /// An engine for these plans.
    #[must_use]
    pub fn new(shared: Rc<Shared>, plans: Vec<Plan>, mode: Mode) -> Self {
        Self { shared, plans, scheduled: BTreeMap::new(), mode, pruned: None }
    }

    /// Runs until `stop`, or until there is nothing left to do ([`Mode::Once`]); then drains.
    ///
    /// # Errors
    /// The journal cannot be taken over or read at start.
    pub async fn run(mut self, ticks: &mut mpsc::Receiver<()>, stop: impl Future<Output = ()>) -> Answer<()> {
        let fence = self.begin().await?;
        let mut tasks = FuturesUnordered::new();
        let mut stop = std::pin::pin!(stop);
        let mut ticked = self.shared.clock.instant();
        loop {
            let overdue = self.shared.clock.sleep(BACKUP_TICK.saturating_sub(ticked.elapsed()));
            tasks.extend(self.shared.take_tasks());
            if self.shared.draining() && tasks.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = &mut stop, if !self.shared.draining() => self.shared.drain(),
                () = self.shared.task_added() => {}
                Some(()) = tasks.next(), if !tasks.is_empty() => {}
                () = next_tick(ticks, overdue), if !self.shared.draining() => {
                    self.tick().await;
                    ticked = self.shared.clock.instant();
                }
            }
        }
        let stopped = Draft { attempt: attempt_of(fence), ..Draft::of_run("", Kind::DaemonStopped, json!({})) };
        // At the end anyway; what could not be written is said by `record`.
        let _ = self.shared.record(&[stopped]).await;
        Ok(())
    }

    /// Takes the journal over, sees the plans for the first time, and goes on with what is unfinished.
    async fn begin(&mut self) -> Answer<i64> {
        let sh = Rc::clone(&self.shared);
        let fence = sh.journal.acquire(sh.clock.now()).await?;
        let mut data = json!({ "version": env!("CARGO_PKG_VERSION"), "installation": sh.installation });
        let lost = rebuild::pending(&sh).await?;
        if lost {
            data["rebuild"] = json!(true);
        }
        sh.record(&[Draft { attempt: attempt_of(fence), ..Draft::of_run("", Kind::DaemonStarted, data) }]).await?;
        for plan in std::mem::take(&mut self.plans) {
            let scheduled = self.schedule(plan).await?;
            self.shared.plans.borrow_mut().insert(scheduled.plan.name.clone(), Rc::clone(&scheduled.plan));
            self.scheduled.insert(scheduled.plan.name.clone(), scheduled);
        }
        let applied = json!({ "plans": self.scheduled.keys().collect::<Vec<_>>() });
        sh.record(&[Draft { attempt: attempt_of(fence), ..Draft::of_run("", Kind::ConfigApplied, applied) }]).await?;
        let plans: Vec<&str> = self.scheduled.keys().map(String::as_str).collect();
        recover::tell_decisions(&sh, &plans).await?;
        recover::resume(&sh).await?;
        if lost {
            rebuild::begin(&sh, &self.scheduled, attempt_of(fence));
        }
        Ok(fence)
    }

    async fn schedule(&self, plan: Plan) -> Answer<Scheduled> {
        let sh = &self.shared;
        let (hash, text) = hash_of(&plan);
        sh.journal.store_revision(&hash, &text).await?;
        let (schedule, _) = hash_of(&plan.schedule);
        let newest = sh.journal.reader().newest_of(&plan.name, Kind::PlanFirstSeen.as_str()).await?;
        let seen = match newest {
            Some(event) if event.text("schedule") == Some(&schedule) => event.at,
            other => {
                let attempt = other.map_or(1, |e| e.draft.attempt + 1);
                let draft = Draft {
                    attempt,
                    ..Draft::of_run(&plan.name, Kind::PlanFirstSeen, json!({ "schedule": schedule }))
                };
                sh.record(&[draft]).await?.first().map_or_else(|| sh.clock.now(), |e| e.at)
            }
        };
        let last = sh.journal.reader().last_decided(&plan.name).await?;
        // `config` has compiled the same lines when it checked the plan.
        let timetable = Timetable::new(&plan.schedule).unwrap_or_else(|e| unreachable!("a checked schedule: {e}"));
        Ok(Scheduled { plan: Rc::new(plan), timetable, hash, settled: last.map_or(seen, |last| last.max(seen)) })
    }

    /// Forgets old details, once a day. What cannot be pruned now is pruned later.
    async fn prune(&mut self) {
        let now = self.shared.clock.now();
        if self.mode != Mode::Daemon || self.pruned.is_some_and(|at| now - at < PRUNE_EVERY) {
            return;
        }
        self.pruned = Some(now);
        match self.shared.journal.prune(now - HISTORY).await {
            Ok(0) => {}
            Ok(events) => tracing::info!(event = "journal.pruned", "{events} events of runs older than 90 days"),
            Err(e) => tracing::warn!(event = "journal.failed", reason = %e, "old history cannot be pruned"),
        }
    }

    /// Decides what is due and takes up requests.
    async fn tick(&mut self) {
        self.prune().await;
        if self.mode == Mode::Daemon {
            let names: Vec<String> = self.scheduled.keys().cloned().collect();
            for name in names {
                if let Err(e) = self.decide(&name).await {
                    tracing::debug!(event = "journal.failed", plan = %name, reason = %e);
                    self.shared.note_damage(&e);
                    return; // `record` has raised the alarm
                }
            }
        }
        let requests = match self.shared.journal.reader().open_requests().await {
            Ok(requests) => requests,
            Err(e) => {
                tracing::warn!(event = "journal.failed", reason = %e, "requests cannot be read");
                self.shared.note_damage(&e);
                return;
            }
        };
        for request in &requests {
            match self.mode {
                Mode::Once { request: ours } if request.id != ours => continue, // the daemon's
                Mode::Once { .. } if !self.shared.runs.borrow().is_empty() => return, // unfinished runs come first
                Mode::Once { .. } | Mode::Daemon => {}
            }
            if self.must_wait(request) {
                continue;
            }
            if let Err(e) = self.take_up(request).await {
                tracing::warn!(event = "journal.failed", reason = %e, "a request cannot be taken up");
                return;
            }
        }
    }

    async fn decide(&mut self, name: &str) -> Answer<()> {
        let now = self.shared.clock.now();
        if self.shared.unproven.borrow().holds(name).is_some() || self.shared.cloud.clock_off().is_some() {
            return Ok(()); // decided when the journal is rebuilt, and the clock right: in time, or missed
        }
        let Some(entry) = self.scheduled.get(name) else { return Ok(()) };
        let Due { run, missed, uncounted, .. } = entry.timetable.due(now, entry.settled);
        if run.is_none() && missed.is_empty() {
            return Ok(());
        }
        if uncounted > 0 {
            tracing::warn!(event = "occurrence.missed", plan = %name, "{uncounted} older occurrences were missed too");
        }
        let (plan, hash) = (Rc::clone(&entry.plan), entry.hash.clone());
        let occurrence = |due, decision, reason: &str| Occurrence {
            plan: name.to_owned(),
            due,
            trigger: Trigger::Schedule,
            decision,
            reason: reason.to_owned(),
            decided_at: now,
            plan_hash: hash.clone(),
        };
        for miss in missed {
            let stored = self.write(occurrence(miss.due, Decision::Miss, &miss.reason), None, false).await?;
            if stored.decision == Decision::Run {
                // Decided while it was in time, and the journal failed before it began.
                recover::start(&self.shared, Rc::clone(&plan), stored.clone()).await?;
            }
            self.settle(name, stored.due);
        }
        if let Some(due) = run {
            let (decision, reason) = match self.held(name) {
                Some(why) => (Decision::Skip, why),
                None => (Decision::Run, String::new()),
            };
            let again = decision == Decision::Skip && self.skipped_before(name, due).await?;
            let stored = self.write(occurrence(due, decision, &reason), None, again).await?;
            if stored.decision == Decision::Run {
                recover::start(&self.shared, plan, stored).await?;
            }
            // Last: what failed above is decided again at the next tick, and finds what is stored.
            self.settle(name, due);
        }
        Ok(())
    }

    fn settle(&mut self, name: &str, due: DateTime<Utc>) {
        if let Some(entry) = self.scheduled.get_mut(name) {
            entry.settled = entry.settled.max(due);
        }
    }

    /// Whether the scheduled occurrence before `due` was skipped as well, as the first one.
    async fn skipped_before(&self, name: &str, due: DateTime<Utc>) -> Answer<bool> {
        let newest = self.shared.journal.reader().occurrences(Some(name), DECISIONS_MAX).await?;
        let mut before = newest.iter().filter(|o| o.due < due && o.trigger == Trigger::Schedule).map(|o| o.decision);
        // The second one is the news, not each that follows.
        Ok(before.next() == Some(Decision::Skip) && before.next() != Some(Decision::Skip))
    }

    /// Why no occurrence of `plan` may begin now.
    pub(super) fn held(&self, plan: &str) -> Option<String> {
        let barred = self.shared.barred.borrow().clone();
        let unproven = || self.shared.unproven.borrow().holds(plan);
        if let Some(why) = barred.or_else(unproven).or_else(|| self.shared.cloud.clock_off()) {
            return Some(why);
        }
        let runs = self.shared.runs.borrow();
        let holder = runs.iter().find(|(_, run)| run.plan == plan && run.state.borrow().holds())?;
        Some(format!("{} still has targets that wait for a slot or are not back in service", holder.0))
    }

    /// Writes a decision and its event; what is stored.
    pub(super) async fn write(&self, occurrence: Occurrence, request: Option<i64>, again: bool) -> Answer<Occurrence> {
        let stored = self.shared.decide(&occurrence, request).await?;
        self.shared.record(&[decided(&stored, again)]).await?;
        Ok(stored)
    }
}

/// The event of a decision.
pub(super) fn decided(stored: &Occurrence, again: bool) -> Draft {
    let kind = match stored.decision {
        Decision::Run => Kind::OccurrenceDecided,
        Decision::Skip => Kind::OccurrenceSkipped,
        Decision::Miss => Kind::OccurrenceMissed,
    };
    let mut data = json!({ "trigger": stored.trigger.as_str() });
    if !stored.reason.is_empty() {
        data["reason"] = json!(stored.reason);
    }
    if again {
        data["again"] = json!(true);
    }
    Draft::of_run(&stored.run(), kind, data)
}

fn attempt_of(fence: i64) -> u32 {
    u32::try_from(fence).unwrap_or(u32::MAX)
}
