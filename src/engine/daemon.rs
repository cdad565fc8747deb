//! The engine's loop: at each tick it decides what is due and takes up requests; everything else are its tasks.

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::run::Run;
use super::shared::Shared;
use super::steps::{RETURN, back};
use crate::domain::event::{Decision, Draft, Event, Kind, Occurrence, Trigger};
use crate::domain::naming;
use crate::domain::plan::Plan;
use crate::domain::rollout::Down;
use crate::domain::saga::RunState;
use crate::domain::schedule::{Due, Timetable};
use crate::journal::{Answer, Request};

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

/// A request that nobody took up for so long is not run any more: who made it does not expect a reboot now.
const REQUEST_AGE: TimeDelta = TimeDelta::seconds(60);

/// A plan in force.
struct Scheduled {
    plan: Rc<Plan>,
    timetable: Timetable,
    hash: String,
    /// The latest decided scheduled occurrence, or the first sight of the schedule: nothing earlier is owed.
    settled: DateTime<Utc>,
    /// Whether the last scheduled occurrence was skipped because the plan was held.
    skipped_last: bool,
}

/// The engine. One per journal, which a lock and a fence number see to.
pub struct Engine {
    shared: Rc<Shared>,
    plans: Vec<Plan>,
    scheduled: BTreeMap<String, Scheduled>,
    mode: Mode,
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
        Self { shared, plans, scheduled: BTreeMap::new(), mode }
    }

    /// Runs until `stop`, or until there is nothing left to do ([`Mode::Once`]); then drains.
    ///
    /// # Errors
    /// The journal cannot be taken over or read at start.
    pub async fn run(mut self, ticks: &mut mpsc::Receiver<()>, stop: impl Future<Output = ()>) -> Answer<()> {
        let fence = self.begin().await?;
        let mut tasks = FuturesUnordered::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tasks.extend(self.shared.take_tasks());
            if self.shared.draining() && tasks.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = &mut stop, if !self.shared.draining() => self.shared.drain(),
                () = self.shared.task_added() => {}
                Some(()) = tasks.next(), if !tasks.is_empty() => {}
                Some(()) = ticks.recv(), if !self.shared.draining() => self.tick().await,
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
        let data = json!({ "version": env!("CARGO_PKG_VERSION"), "installation": sh.installation });
        sh.record(&[Draft { attempt: attempt_of(fence), ..Draft::of_run("", Kind::DaemonStarted, data) }]).await?;
        for plan in std::mem::take(&mut self.plans) {
            let scheduled = self.schedule(plan).await?;
            self.scheduled.insert(scheduled.plan.name.clone(), scheduled);
        }
        let applied = json!({ "plans": self.scheduled.keys().collect::<Vec<_>>() });
        sh.record(&[Draft { attempt: attempt_of(fence), ..Draft::of_run("", Kind::ConfigApplied, applied) }]).await?;
        self.resume().await?;
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
        Ok(Scheduled {
            plan: Rc::new(plan),
            timetable,
            hash,
            settled: last.map_or(seen, |last| last.max(seen)),
            skipped_last: false,
        })
    }

    /// Slots and runs as they were when the engine last stopped.
    async fn resume(&self) -> Answer<()> {
        let sh = &self.shared;
        let reader = sh.journal.reader();
        let unfinished = reader.unfinished().await?;
        let mut states: BTreeMap<String, RunState> = BTreeMap::new();
        for event in reader.open_slots().await? {
            let Some(subject) = event.draft.subject.clone() else { continue };
            let run = event.draft.run.clone();
            if !states.contains_key(&run) {
                states.insert(run.clone(), RunState::fold(&reader.events_of(&run).await?));
            }
            let alarm = reader.events_of(&run).await?.into_iter().find(|e| {
                e.draft.kind == Kind::StepNeedsPerson
                    && e.draft.step == RETURN
                    && e.draft.subject.as_ref() == Some(&subject)
            });
            let halts = alarm.and_then(|e| e.draft.data.get("halts").and_then(Value::as_bool)).unwrap_or(false);
            let plan = naming::parse_run_name(&run).map_or_else(String::new, |(plan, _)| plan.to_owned());
            let down = Down { run: run.clone(), plan, since: event.at, halts };
            sh.slots.borrow_mut().take(subject.clone(), down);
            let ended = states[&run].targets.get(&subject).is_none_or(|t| t.finished.is_some());
            if ended || !unfinished.iter().any(|o| o.run() == run) {
                back::watch_slot(sh, &run, &subject);
            }
        }
        for occurrence in unfinished {
            let name = occurrence.run();
            let Some(plan) = reader.revision(&occurrence.plan_hash).await? else {
                tracing::error!(
                    event = "run.stopped", run = %name,
                    reason = "its plan revision is not in the journal; the run stays unfinished"
                );
                continue;
            };
            let plan: Plan = match serde_json::from_str(&plan) {
                Ok(plan) => plan,
                Err(e) => {
                    tracing::error!(event = "run.stopped", run = %name, reason = %format!("its plan revision cannot be read: {e}"));
                    continue;
                }
            };
            let events = reader.events_of(&name).await?;
            let only = requested(&events);
            self.start(Rc::new(plan), occurrence, RunState::fold(&events), only);
        }
        Ok(())
    }

    fn start(&self, plan: Rc<Plan>, occurrence: Occurrence, state: RunState, only: Vec<String>) {
        let run = Run::new(&self.shared, plan, occurrence, state, only);
        self.shared.spawn(run.conduct());
    }

    /// Decides what is due and takes up requests.
    async fn tick(&mut self) {
        if self.mode == Mode::Daemon {
            let names: Vec<String> = self.scheduled.keys().cloned().collect();
            for name in names {
                if let Err(e) = self.decide(&name).await {
                    tracing::debug!(event = "journal.failed", plan = %name, reason = %e);
                    return; // `record` has raised the alarm
                }
            }
        }
        let requests = match self.shared.journal.reader().open_requests().await {
            Ok(requests) => requests,
            Err(e) => {
                tracing::warn!(event = "journal.failed", reason = %e, "requests cannot be read");
                return;
            }
        };
        for request in &requests {
            match self.mode {
                Mode::Once { request: ours } if request.id != ours => continue, // the daemon's
                Mode::Once { .. } if !self.shared.runs.borrow().is_empty() => return, // unfinished runs come first
                Mode::Once { .. } | Mode::Daemon => {}
            }
            if let Err(e) = self.take_up(request).await {
                tracing::warn!(event = "journal.failed", reason = %e, "a request cannot be taken up");
                return;
            }
        }
    }

    async fn decide(&mut self, name: &str) -> Answer<()> {
        let now = self.shared.clock.now();
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
            self.settle(name, stored.due, false);
        }
        if let Some(due) = run {
            let (decision, reason) = match self.held(name) {
                Some(why) => (Decision::Skip, why),
                None => (Decision::Run, String::new()),
            };
            let again = decision == Decision::Skip && self.scheduled.get(name).is_some_and(|s| s.skipped_last);
            let stored = self.write(occurrence(due, decision, &reason), None, again).await?;
            self.settle(name, due, stored.decision == Decision::Skip);
            if stored.decision == Decision::Run {
                self.start(plan, stored, RunState::default(), Vec::new());
            }
        }
        Ok(())
    }

    fn settle(&mut self, name: &str, due: DateTime<Utc>, skipped: bool) {
        if let Some(entry) = self.scheduled.get_mut(name) {
            entry.settled = entry.settled.max(due);
            entry.skipped_last = skipped;
        }
    }

    /// Why no occurrence of `plan` may begin now.
    fn held(&self, plan: &str) -> Option<String> {
        if let Some(why) = self.shared.barred.borrow().clone() {
            return Some(why);
        }
        let runs = self.shared.runs.borrow();
        let holder = runs.iter().find(|(_, run)| run.plan == plan && run.state.borrow().holds())?;
        Some(format!("{} still has targets that are not back in service", holder.0))
    }

    /// Writes a decision and its event; what is stored.
    async fn write(&self, occurrence: Occurrence, request: Option<i64>, again: bool) -> Answer<Occurrence> {
        let stored = self.shared.decide(&occurrence, request).await?;
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
        self.shared.record(&[Draft::of_run(&stored.run(), kind, data)]).await?;
        Ok(stored)
    }

    /// Takes up a request of a person: `due` is now, moved on to the plan's next free second.
    async fn take_up(&mut self, request: &Request) -> Answer<()> {
        let sh = Rc::clone(&self.shared);
        let plan = request.data.get("plan").and_then(Value::as_str).unwrap_or_default().to_owned();
        let only: Vec<String> =
            request.data.get("instance").and_then(Value::as_str).map(str::to_owned).into_iter().collect();
        let now = sh.clock.now();
        let mut due = sh.clock.now_secs();
        while sh.journal.reader().occurrence(&plan, due).await?.is_some() {
            due += TimeDelta::seconds(1);
        }
        let known = self.scheduled.get(&plan).map(|s| (Rc::clone(&s.plan), s.hash.clone()));
        let stale = self.mode == Mode::Daemon && now - request.at > REQUEST_AGE;
        let (decision, reason) = match (&known, self.held(&plan)) {
            _ if stale => (
                Decision::Skip,
                format!("asked for at {} and not taken up in time; ask again", naming::rfc3339(request.at)),
            ),
            (None, _) => (
                Decision::Skip,
                format!("the running daemon knows no plan `{plan}`; restart it to load the configuration"),
            ),
            (_, Some(why)) => (Decision::Skip, why),
            _ => (Decision::Run, String::new()),
        };
        let hash = known.as_ref().map_or_else(String::new, |(_, hash)| hash.clone());
        let occurrence =
            Occurrence { plan, due, trigger: Trigger::Manual, decision, reason, decided_at: now, plan_hash: hash };
        let name = occurrence.run();
        // The event first: a run that goes on after a crash must know what was asked.
        let data = json!({ "request": request.id, "only": only });
        sh.record(&[Draft::of_run(&name, Kind::RequestAccepted, data)]).await?;
        let stored = self.write(occurrence, Some(request.id), false).await?;
        if let (Decision::Run, Some((plan, _))) = (stored.decision, known) {
            self.start(plan, stored, RunState::default(), only);
        }
        Ok(())
    }
}

/// The instances that a person named, if the run was requested.
fn requested(events: &[Event]) -> Vec<String> {
    let accepted = events.iter().find(|e| e.draft.kind == Kind::RequestAccepted);
    let only = accepted.and_then(|e| e.draft.data.get("only")).and_then(Value::as_array);
    only.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn attempt_of(fence: i64) -> u32 {
    u32::try_from(fence).unwrap_or(u32::MAX)
}
