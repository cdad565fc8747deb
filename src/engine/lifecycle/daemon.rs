//! The engine's loop: at each tick it decides what is due and takes up requests; everything else are its tasks.

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::defect::{Defect, planted};
use crate::domain::debt::{Debt, Owed};
use crate::domain::event::{Decision, Occurrence, Trigger};
use crate::domain::fact::{Decided, Draft, Fact, Scope, Started};
use crate::domain::hold::Act;
use crate::domain::plan::Plan;
use crate::domain::schedule::Due;
use crate::engine::context::{ActiveRun, Context};
use crate::engine::host::Host;
use crate::engine::lifecycle::compare;
use crate::engine::lifecycle::plans::{Change, Scheduled};
use crate::engine::lifecycle::rebuild;
use crate::engine::lifecycle::recover;
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

/// The engine. One per journal, which a lock and a fence number see to.
pub struct Engine {
    pub(crate) shared: Rc<Context>,
    plans: Vec<Plan>,
    pub(crate) scheduled: BTreeMap<String, Scheduled>,
    pub(crate) mode: Mode,
    host: Rc<dyn Host>,
    changes: Option<mpsc::Receiver<Change>>,
    /// How many configurations this process was told of.
    pub(crate) configurations: u32,
    /// Whether the last of them was refused.
    pub(crate) refused: bool,
    fence: i64,
    /// Whether the journal was lost, and is rebuilt.
    lost: bool,
    pruned: Option<DateTime<Utc>>,
    /// Requests that were answered, and are not told of yet: their occurrences, with their plans.
    pub(crate) answered: Vec<(Occurrence, Option<Rc<Plan>>)>,
}

/// The next new configuration; none ever comes where nobody reloads.
async fn next_change(changes: &mut Option<mpsc::Receiver<Change>>) -> Option<Change> {
    match changes {
        Some(changes) => changes.recv().await,
        None => std::future::pending().await,
    }
}

/// The heartbeat, or what makes up for it.
async fn next_tick(ticks: &mut mpsc::Receiver<()>, overdue: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        Some(()) = ticks.recv() => {}
        () = overdue => {}
    }
}

impl Engine {
    /// An engine for these plans.
    #[must_use]
    pub fn new(shared: Rc<Context>, plans: Vec<Plan>, mode: Mode) -> Self {
        let host = Rc::new(());
        let scheduled = BTreeMap::new();
        Self {
            shared,
            plans,
            scheduled,
            mode,
            host,
            changes: None,
            configurations: 0,
            refused: false,
            fence: 0,
            lost: false,
            pruned: None,
            answered: Vec::new(),
        }
    }

    /// The same, telling `host` how it is.
    #[must_use]
    pub fn hosted(self, host: Rc<dyn Host>) -> Self {
        Self { host, ..self }
    }

    /// The same, taking up new configurations from `changes`.
    #[must_use]
    pub fn changed_by(self, changes: mpsc::Receiver<Change>) -> Self {
        Self { changes: Some(changes), ..self }
    }

    /// Runs until `stop`, or until there is nothing left to do ([`Mode::Once`]); then drains.
    ///
    /// # Errors
    /// The journal cannot be taken over or read at start.
    pub async fn run(mut self, ticks: &mut mpsc::Receiver<()>, stop: impl Future<Output = ()>) -> Answer<()> {
        self.begin().await?;
        self.host.ready();
        self.host.status(&self.headline());
        let mut changes = self.changes.take();
        let mut resumed = false;
        let mut tasks = FuturesUnordered::new();
        let mut stop = std::pin::pin!(stop);
        let mut ticked = self.shared.clock.instant();
        loop {
            let overdue = self.shared.clock.sleep(self.silence(ticked));
            tasks.extend(self.shared.take_tasks());
            if self.shared.draining() && tasks.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = &mut stop, if !self.shared.draining() => self.shared.drain(),
                () = self.shared.task_added() => {}
                Some(()) = tasks.next(), if !tasks.is_empty() => {}
                () = self.shared.machine_asked(), if !resumed && !self.shared.draining() => {
                    recover::resume(&self.shared).await?;
                    if self.lost {
                        rebuild::begin(&self.shared, &self.scheduled, self.life());
                    } else {
                        compare::begin(&self.shared, &self.scheduled, self.life());
                    }
                    resumed = true;
                }
                Some(change) = next_change(&mut changes), if resumed && !self.shared.draining() => {
                    self.change(change).await;
                }
                () = next_tick(ticks, overdue) => {
                    if resumed && !self.shared.draining() {
                        self.tick().await;
                    }
                    ticked = self.shared.clock.instant();
                    self.host.status(&self.headline());
                    self.host.alive();
                }
            }
        }
        let runs = self.shared.drained.take();
        let owed = self.owed().await;
        let stopped = self.of_this_life(Fact::DaemonStopped { runs, owed });
        // At the end anyway; what could not be written is said by `record`.
        let _ = self.shared.record(&[stopped]).await;
        Ok(())
    }

    /// What was taken from instances and is not given back, when the process ends. It is first at the next start.
    async fn owed(&self) -> Vec<String> {
        let open = self.shared.journal.reader().open_debts().await.unwrap_or_default();
        let taken = |debt: Debt| match &debt.owed {
            Owed::Taken { by, .. } if debt.of_bracket() => Some(format!("{by} of {}", debt.subject.id)),
            _ => None,
        };
        open.iter().filter_map(Debt::of).filter_map(taken).collect()
    }

    /// Takes the journal over, and puts the plans into force.
    async fn begin(&mut self) -> Answer<()> {
        let sh = Rc::clone(&self.shared);
        self.fence = sh.journal.acquire(sh.clock.now()).await?;
        self.lost = rebuild::pending(&sh).await?;
        sh.know_holds().await?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let started = Started { version, installation: sh.installation.clone(), rebuild: self.lost };
        sh.record(&[self.of_this_life(Fact::DaemonStarted(started))]).await?;
        let plans = std::mem::take(&mut self.plans);
        self.apply(plans).await?;
        let plans: Vec<&str> = self.scheduled.keys().map(String::as_str).collect();
        recover::tell_decisions(&sh, &plans).await
    }

    /// A fact of this process as a whole.
    pub(crate) fn of_this_life(&self, fact: Fact) -> Draft {
        Draft { attempt: self.life(), ..Draft::of_scope(Scope::Daemon, fact) }
    }

    fn life(&self) -> u32 {
        u32::try_from(self.fence).unwrap_or(u32::MAX)
    }

    /// How long the heartbeat may stay away. Where nobody can set the clock, until something is due: what a process
    /// beside this one asks for comes with the heartbeat alone.
    fn silence(&self, ticked: Instant) -> Duration {
        let sh = &self.shared;
        let backup = BACKUP_TICK.saturating_sub(ticked.elapsed());
        if !sh.clock.steady() || self.mode != Mode::Daemon {
            return backup;
        }
        let now = sh.clock.now();
        let prune = self.pruned.map_or(now, |at| at + PRUNE_EVERY);
        let due = || self.scheduled.values().filter_map(|s| s.next).chain([prune]);
        let soonest = due().filter(|at| *at > now).min().and_then(|at| (at - now).to_std().ok());
        let until = soonest.unwrap_or(Duration::MAX);
        // What has come and could not be done (the journal fails, the clock is off) is tried again.
        if due().any(|at| at <= now) { until.min(backup) } else { until }
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

    /// Decides what is due. False: the journal failed.
    pub(crate) async fn decide_all(&mut self) -> bool {
        if self.shared.cloud.clock_shown_right() && self.see_again().await.is_err() {
            return false;
        }
        let names: Vec<String> = self.scheduled.keys().cloned().collect();
        for name in names {
            if let Err(e) = self.decide(&name).await {
                tracing::debug!(event = "journal.failed", plan = %name, reason = %e);
                self.shared.note_damage(&e);
                return false; // `record` has raised the alarm
            }
        }
        true
    }

    /// Decides what is due and takes up requests.
    async fn tick(&mut self) {
        self.shared.tell_holds().await;
        if self.mode == Mode::Daemon {
            self.shared.keep_counting();
        }
        self.prune().await;
        if self.mode == Mode::Daemon && !self.decide_all().await {
            return;
        }
        if let Err(e) = self.carry_on().await {
            tracing::debug!(event = "journal.failed", reason = %e); // `record` has raised the alarm
            self.shared.note_damage(&e);
            return;
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
        let Some(entry) = self.scheduled.get(name).filter(|s| s.next.is_some_and(|next| next <= now)) else {
            return Ok(()); // the usual tick computes nothing
        };
        let clock = self.shared.clock_asked() || self.shared.cloud.clock_off().is_some();
        if clock || self.shared.unproven.borrow().holds(name, self.shared.clock.instant()).is_some() {
            return Ok(()); // decided when the journal is rebuilt, and the clock right: in time, or missed
        }
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
            let stored = self.write(occurrence(miss.due, Decision::Miss, &miss.reason), false).await?;
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
            let stored = self.write(occurrence(due, decision, &reason), again).await?;
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
            entry.settle(due);
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
    pub(crate) fn held(&self, plan: &str) -> Option<String> {
        if let Some(why) = self.shared.held(Act::Decide, Some(plan)) {
            return Some(why);
        }
        let runs = self.shared.runs.borrow();
        let holds = |run: &ActiveRun| run.state.borrow().holds() || planted(Defect::CopiesHold);
        let holder = runs.iter().find(|(_, run)| run.plan == plan && holds(run))?;
        Some(format!("{} still has targets that wait for a slot or are not back in service", holder.0))
    }

    /// Writes a decision and its event; what is stored.
    async fn write(&self, occurrence: Occurrence, again: bool) -> Answer<Occurrence> {
        let stored = self.shared.decide(&occurrence, None).await?;
        self.shared.record(&[decided(&stored, again)]).await?;
        Ok(stored)
    }
}

/// The event of a decision.
pub(crate) fn decided(stored: &Occurrence, again: bool) -> Draft {
    let reason = Some(stored.reason.clone()).filter(|reason| !reason.is_empty());
    let told = Decided { trigger: Some(stored.trigger), reason, again };
    let fact = match stored.decision {
        Decision::Run => Fact::OccurrenceDecided(told),
        Decision::Skip => Fact::OccurrenceSkipped(told),
        Decision::Miss => Fact::OccurrenceMissed(told),
    };
    Draft::of_run(&stored.run(), fact)
}
