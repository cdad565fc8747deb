//! One run, from its start to its summary: account, selection, rollout, retention. Every phase goes on from what
//! the journal knows, so a restart needs no path of its own.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::distribute::Books;
use super::late::own_patience;
use super::observe::{FIRST, longer};
use super::shared::{ActiveRun, Shared, Stop};
use super::{choose, distribute, retain, rollout};
use crate::cloud::port::{Caller, Read};
use crate::domain::event::{Occurrence, Outcome};
use crate::domain::fact::{Counts, Draft, Fact, Refusal, RunEnd, RunStart, StepId, Topic};
use crate::domain::place::Place;
use crate::domain::plan::Plan;
use crate::domain::saga::{Phase, RunState, StepState};

/// How long reads that fail are tried again before the run goes on without them, and says so.
const PATIENCE: Duration = Duration::from_secs(600);

/// One run and all it needs.
#[derive(Clone)]
pub struct Run {
    /// The engine.
    pub shared: Rc<Shared>,
    /// The fold of its events.
    pub active: Rc<ActiveRun>,
    /// The plan, in the revision that the run began with.
    pub plan: Rc<Plan>,
    /// The occurrence.
    pub occurrence: Rc<Occurrence>,
    /// Its name.
    pub name: Rc<str>,
    /// Only these instances, if a person named some.
    pub only: Vec<String>,
}

impl Run {
    /// A run that begins, or goes on, with what is known of it.
    #[must_use]
    pub fn new(
        shared: &Rc<Shared>,
        plan: Rc<Plan>,
        occurrence: Occurrence,
        state: RunState,
        only: Vec<String>,
    ) -> Self {
        let name: Rc<str> = occurrence.run().into();
        let only = if state.started { state.only.clone() } else { only };
        let active = Rc::new(ActiveRun::new(&plan.name, own_patience(&plan, &occurrence), state, shared.clock));
        shared.runs.borrow_mut().insert(name.to_string(), Rc::clone(&active));
        Self { shared: Rc::clone(shared), active, plan, occurrence: Rc::new(occurrence), name, only }
    }

    /// Runs to the end, or to the journal boundary at which it drains.
    pub async fn conduct(self) {
        // Draining leaves it unfinished in the journal, from where it goes on.
        if self.phases().await.is_err() {
            // What cannot be written now is found out again, unless the machine slept and the stop is written.
            let _ = self.shared.record_lateness().await;
        }
        self.shared.runs.borrow_mut().remove(&*self.name);
        self.shared.slots_changed.notify_waiters();
    }

    async fn phases(&self) -> Result<(), Stop> {
        if !self.active.state.borrow().started {
            let start = RunStart {
                trigger: Some(self.occurrence.trigger),
                plan_hash: self.occurrence.plan_hash.clone(),
                only: self.only.clone(),
                rebuilt: false,
            };
            self.record(Draft::of_run(&self.name, Fact::RunStarted(start))).await?;
        }
        if !self.active.state.borrow().selected
            && let Some(places) = self.places().await?
        {
            choose::select(self, &places).await?;
        }
        // Targets know their own place: what was begun goes on, also while the account cannot be asked for.
        let rollout = async {
            let end = rollout::rollout(self).await;
            self.active.rolled_out.set(true);
            self.active.progress.notify_waiters();
            end
        };
        let (rolled_out, distributed) = tokio::join!(biased; rollout, distribute::distribute(self));
        rolled_out?;
        distributed?;
        // What a run had deleted before its journal was lost is not known: the next one deletes, under its own limit.
        let rebuilt = self.active.state.borrow().rebuilt;
        if !rebuilt && let Some(places) = self.places().await? {
            retain::retain(self, &places).await?;
        }
        distribute::sum_up_shares(self).await?;
        let (outcome, reason) = self.active.state.borrow().outcome();
        let elapsed = (self.shared.clock.now() - self.occurrence.decided_at).num_milliseconds();
        let reason = (!reason.is_empty()).then_some(reason);
        let end = RunEnd { outcome, reason, elapsed_ms: Some(elapsed), counts: Some(self.counts()) };
        self.record(Draft::of_run(&self.name, Fact::RunFinished(end))).await
    }

    fn counts(&self) -> Counts {
        let state = self.active.state.borrow();
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
            deleted: deleted as u64,
            copied: Some(copies(|phase| *phase == Phase::Good)),
            copies_failed: Some(copies(|phase| matches!(phase, Phase::Bad(_) | Phase::Left(_)))),
        }
    }

    /// Writes one event of this run, however long it takes.
    pub(super) async fn record(&self, draft: Draft) -> Result<(), Stop> {
        self.shared.record_result(&[draft]).await.map(|_| ())
    }

    /// Notes what went wrong with the run as a whole; it goes on, and ends failed.
    pub(super) async fn mishap(&self, what: &str, why: &str) -> Result<(), Stop> {
        if self.active.state.borrow().mishaps.contains_key(what) {
            return Ok(());
        }
        let draft = Draft::of_run(&self.name, Fact::StepRefused(Refusal::of(why)));
        self.record(draft.about(Topic::Trouble(what.to_owned()))).await
    }

    /// A read, tried again while its failure may pass: at most [`PATIENCE`].
    pub(super) async fn patiently<T>(&self, what: &str, read: impl AsyncFn() -> Read<T>) -> Result<Read<T>, Stop> {
        let mut wait = FIRST;
        let mut waited = Duration::ZERO;
        loop {
            match self.shared.unless_drained(read()).await? {
                Err(fault) if fault.class.passes() && waited < PATIENCE => {
                    if waited.is_zero() {
                        tracing::warn!(
                            event = "cloud.failing", run = &*self.name, reason = %fault,
                            aws_request_id = fault.request_id.as_deref(),
                            "{what}: tried again for {} min", PATIENCE.as_secs() / 60
                        );
                    }
                    self.shared.pause(wait).await?;
                    waited += wait;
                    wait = longer(wait);
                }
                answer => return Ok(answer),
            }
        }
    }

    /// By what it is told which copies are owed.
    pub(super) fn books(&self) -> Books<'_> {
        Books { journal: Some(self.shared.journal.reader()), now: self.shared.clock.now() }
    }

    /// The places of the plan, or nothing (and a mishap) if our account or region cannot be known.
    pub(super) async fn places(&self) -> Result<Option<Vec<Place>>, Stop> {
        if ["account", "region"].iter().any(|step| self.active.state.borrow().mishaps.contains_key(*step)) {
            return Ok(None); // said already
        }
        let caller = match self.caller().await? {
            Ok(caller) => caller,
            Err(fault) => {
                let why = choose::no_account(&fault);
                self.mishap("account", &why).await?;
                return Ok(None);
            }
        };
        let regions = self.shared.cloud.regions(&self.plan);
        if regions.is_empty() {
            let why = "no region: set select.regions in the plan, or AWS_REGION, or a region in the profile";
            self.mishap("region", why).await?;
            return Ok(None);
        }
        Ok(Some(regions.into_iter().map(|region| Place::new(caller.account.clone(), region)).collect()))
    }

    async fn caller(&self) -> Result<Read<Caller>, Stop> {
        if let Some(known) = self.shared.caller.borrow().clone() {
            return Ok(Ok(known));
        }
        let answer = self.patiently("cannot tell which account this is", || self.shared.cloud.whoami()).await?;
        if let Ok(caller) = &answer {
            *self.shared.caller.borrow_mut() = Some(caller.clone());
        }
        Ok(answer)
    }
}
