//! What all tasks of the engine share: clock, cloud, journal, slots, and the wish to stop.

pub mod account;
pub mod active;
pub mod backoff;
mod holds;
pub(crate) mod rebuild_hold;
pub(crate) mod run;
pub(crate) mod stale;
pub mod us;

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, Notify, Semaphore, watch};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::cloud::governed::Governed;
use crate::cloud::port::Caller;
use crate::defect::{Defect, planted};
use crate::domain::event::Occurrence;
use crate::domain::evidence::Lags;
use crate::domain::fact::{Draft, Event, Scope};
use crate::domain::machine::OwnMachine;
use crate::domain::place::{Place, Subject};
use crate::domain::plan::Plan;
use crate::domain::rollout::Slots;
pub use crate::engine::context::active::ActiveRun;
pub use crate::engine::context::rebuild_hold::Unproven;
use crate::engine::context::us::Us;
use crate::journal::{Answer, Journal, JournalError, Written};

/// How long to wait before a failed journal write is tried again.
pub(crate) const JOURNAL_RETRY: Duration = Duration::from_secs(1);

/// So many events are written in one transaction at the most.
const RECORDS_AT_ONCE: usize = 500;
/// So many effects are between look and answer at once in one place: enough to fill an API's rate at its usual
/// latency, few enough that a stop waits seconds for them.
const CALLS: usize = 25;

/// Why a task stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The daemon drains, or another process took the journal over: go on after a restart.
    Drained,
    /// What a step waits for cannot be seen any more, for this reason: the executor ends the step.
    Lost(String),
    /// What AWS answered with is not what the step made, for this reason: the executor looks for that.
    Mistaken(String),
}

/// Hears of each new event, once: logs, progress.
pub type Listener = Box<dyn Fn(&Event)>;

/// Context by all tasks of one engine, on one thread.
pub struct Context {
    /// The only clock.
    pub clock: Clock,
    /// The cloud, governed.
    pub cloud: Governed,
    /// The daemon's name.
    pub daemon: String,
    /// The installation's id.
    pub installation: String,
    /// Images of other installations under our name are no alarm up to then.
    pub taken_over_at: Option<DateTime<Utc>>,
    /// Where facts go.
    pub journal: Rc<dyn Journal>,
    /// Who is down.
    pub slots: RefCell<Slots>,
    /// Rung when a slot is freed, a plan halts, nothing may be begun any more, or the journal can be written again.
    pub slots_changed: Notify,
    /// Which machine this is, as far as it is known.
    pub own_machine: RefCell<OwnMachine>,
    /// Whether it is being asked for the first time: nothing begins or goes on before the answer.
    asking_machine: watch::Sender<bool>,
    /// Whether AWS is asked for the first time how right this machine's clock is: nothing is decided before.
    asking_clock: Cell<bool>,
    /// Runs going on, by name.
    pub runs: RefCell<BTreeMap<String, Rc<ActiveRun>>>,
    /// Runs that have ended, while something is owed of them still.
    pub(crate) closing: RefCell<BTreeMap<String, Weak<ActiveRun>>>,
    /// The plans in force, by name: a run that goes on may be of an older revision.
    pub plans: RefCell<BTreeMap<String, Rc<Plan>>>,
    /// Our account, once known.
    pub caller: RefCell<Option<Caller>>,
    calls: RefCell<BTreeMap<Place, Rc<Semaphore>>>,
    /// Whose turn it is to judge what a plan has made, and when the last one ended.
    retaining: RefCell<BTreeMap<String, Rc<Mutex<Option<Instant>>>>>,
    /// The roles of other accounts: account and ARN of each.
    roles: RefCell<BTreeMap<String, String>>,
    /// What the parts of the engine know beside the journal, for all runs; each by its own type.
    parts: RefCell<BTreeMap<TypeId, Rc<dyn Any>>>,
    /// Why nothing may be begun (another installation works under our name).
    pub barred: RefCell<Option<String>>,
    /// Whether a journal without a past has lost it: it is rebuilt before anything is decided.
    pub rebuild: Cell<bool>,
    /// How long AWS may take to list what was just made.
    pub visible_within: Cell<Duration>,
    /// How far status checks may be behind the truth.
    pub lags: Cell<Lags>,
    /// Whether a person took over at this start: what earlier installations have made is added to the journal.
    pub took_over: Cell<bool>,
    /// What may not be decided yet, since the rebuild has not looked at it.
    pub unproven: RefCell<Unproven>,
    listener: Listener,
    sick: Cell<bool>,
    fenced: Cell<bool>,
    drain: watch::Sender<bool>,
    /// The runs that were going on when it began to drain.
    pub(crate) drained: RefCell<Vec<String>>,
    tasks: RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>>,
    tasks_added: Notify,
}

type Tell = Box<dyn Fn(bool)>;

/// Who is told that the journal cannot be written, beside the log: the journal itself cannot say it.
#[derive(Default)]
struct Ailing(RefCell<Option<Tell>>);

impl Ailing {
    fn tell(&self, sick: bool) {
        if let Some(tell) = &*self.0.borrow() {
            tell(sick);
        }
    }
}

impl Context {
    /// From now on `tell` is told when the journal cannot be written any more, and when it can be again.
    pub fn tells_of_journal(&self, tell: impl Fn(bool) + 'static) {
        *self.of::<Ailing>().0.borrow_mut() = Some(Box::new(tell));
    }
}

impl Context {
    /// Who we are, for those who look for others of our name.
    #[must_use]
    pub fn us(&self) -> Us<'_> {
        Us { daemon: &self.daemon, installation: &self.installation, taken_over_at: self.taken_over_at }
    }

    /// Everything that an engine needs.
    #[allow(clippy::too_many_arguments)]
    #[must_use]
    pub fn new(
        clock: Clock,
        cloud: Governed,
        daemon: String,
        installation: String,
        taken_over_at: Option<DateTime<Utc>>,
        journal: Rc<dyn Journal>,
        own_machine: OwnMachine,
        listener: Listener,
    ) -> Self {
        Self {
            clock,
            cloud,
            daemon,
            installation,
            taken_over_at,
            journal,
            slots: RefCell::default(),
            slots_changed: Notify::new(),
            own_machine: RefCell::new(own_machine),
            asking_machine: watch::Sender::new(false),
            asking_clock: Cell::new(false),
            runs: RefCell::default(),
            closing: RefCell::default(),
            plans: RefCell::default(),
            caller: RefCell::default(),
            calls: RefCell::default(),
            retaining: RefCell::default(),
            roles: RefCell::default(),
            parts: RefCell::default(),
            barred: RefCell::default(),
            rebuild: Cell::new(false),
            visible_within: Cell::new(Duration::ZERO),
            lags: Cell::default(),
            took_over: Cell::new(false),
            unproven: RefCell::default(),
            listener,
            sick: Cell::new(false),
            fenced: Cell::new(false),
            drain: watch::Sender::new(false),
            drained: RefCell::default(),
            tasks: RefCell::default(),
            tasks_added: Notify::new(),
        }
    }

    /// What a part of the engine knows beside the journal, for all runs: the pollers, who is let in to what.
    #[must_use]
    pub fn of<T: Default + 'static>(&self) -> Rc<T> {
        let mut parts = self.parts.borrow_mut();
        let part = Rc::clone(parts.entry(TypeId::of::<T>()).or_insert_with(|| Rc::<T>::default()));
        part.downcast().unwrap_or_else(|_| unreachable!("each part is stored under its own type"))
    }

    /// Names the roles of other accounts: account and ARN of each.
    pub fn set_roles(&self, roles: impl IntoIterator<Item = (String, String)>) {
        *self.roles.borrow_mut() = roles.into_iter().collect();
    }

    /// The ARN of the role that is assumed in `account`.
    #[must_use]
    pub fn role_of(&self, account: &str) -> Option<String> {
        self.roles.borrow().get(account).cloned()
    }

    /// Holds everything back until [`Self::machine_told`].
    pub fn ask_machine(&self) {
        self.asking_machine.send_replace(true);
    }

    /// Which machine this is was asked for, whatever the answer.
    pub fn machine_told(&self) {
        self.asking_machine.send_replace(false);
    }

    /// Whether it is being asked for the first time.
    pub(crate) fn asking_machine(&self) -> bool {
        *self.asking_machine.borrow()
    }

    /// Waits while it is being asked for the first time.
    pub async fn machine_asked(&self) {
        let mut asking = self.asking_machine.subscribe();
        let _ = asking.wait_for(|asking| !asking).await; // the sender lives as long as this
    }

    /// No occurrence is decided until [`Self::clock_told`].
    pub fn ask_clock(&self) {
        self.asking_clock.set(true);
    }

    /// AWS has answered, and with it whether the clock is right; or it did not, and is not waited for any longer.
    pub fn clock_told(&self) {
        self.asking_clock.set(false);
    }

    /// Whether it is being asked for the first time.
    #[must_use]
    pub fn clock_asked(&self) -> bool {
        self.asking_clock.get()
    }

    /// From now on nothing is begun, for this reason.
    pub fn bar(&self, why: String) {
        *self.barred.borrow_mut() = Some(why);
        self.slots_changed.notify_waiters();
    }

    /// What was barred may be begun again.
    pub fn unbar(&self) {
        *self.barred.borrow_mut() = None;
        self.slots_changed.notify_waiters();
    }

    /// A run that is going on, or of which something is owed still.
    #[must_use]
    pub fn active(&self, run: &str) -> Option<Rc<ActiveRun>> {
        let closing = || self.closing.borrow().get(run).and_then(Weak::upgrade);
        self.runs.borrow().get(run).cloned().or_else(closing)
    }

    /// Keeps what is told of a run that ends folded in, for as long as somebody holds `active`.
    pub(crate) fn keep_closing(&self, run: &str, active: &Rc<ActiveRun>) {
        let mut closing = self.closing.borrow_mut();
        closing.retain(|_, active| active.strong_count() > 0);
        closing.insert(run.to_owned(), Rc::downgrade(active));
    }

    /// Adds a task to the engine's own.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().push(Box::pin(task));
        self.tasks_added.notify_one();
    }

    /// The tasks that were added since last asked.
    pub fn take_tasks(&self) -> Vec<Pin<Box<dyn Future<Output = ()>>>> {
        std::mem::take(&mut self.tasks.borrow_mut())
    }

    /// Waits for [`Self::spawn`].
    pub async fn task_added(&self) {
        self.tasks_added.notified().await;
    }

    /// Asks all tasks to stop at their next journal boundary.
    pub fn drain(&self) {
        if !self.drain.send_replace(true) {
            *self.drained.borrow_mut() = self.runs.borrow().keys().cloned().collect();
        }
        self.tasks_added.notify_one(); // the loop may have nothing else to wake up for
    }

    /// Whether they were asked.
    #[must_use]
    pub fn draining(&self) -> bool {
        *self.drain.borrow()
    }

    /// `work`, unless the daemon drains first.
    ///
    /// # Errors
    /// [`Stop::Drained`].
    pub async fn unless_drained<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let mut drain = self.drain.subscribe();
        tokio::select! {
            biased;
            _ = drain.wait_for(|drain| *drain) => Err(Stop::Drained),
            value = work => Ok(value),
        }
    }

    /// A wait that draining cuts short.
    ///
    /// # Errors
    /// [`Stop::Drained`].
    pub async fn pause(&self, how_long: Duration) -> Result<(), Stop> {
        self.unless_drained(self.clock.sleep(how_long)).await
    }

    /// What the journal knows, once it can be read: where nothing is known, something may be done twice.
    ///
    /// # Errors
    /// [`Stop::Drained`].
    pub(crate) async fn known<T>(&self, read: impl AsyncFn() -> Answer<T>) -> Result<T, Stop> {
        loop {
            match read().await {
                Ok(known) => return Ok(known),
                Err(_) => self.pause(JOURNAL_RETRY).await?,
            }
        }
    }

    /// Writes events, folds them into their run, and tells who listens. For intents and decisions: what cannot be
    /// written is not done.
    ///
    /// # Errors
    /// The journal's.
    pub async fn record(&self, drafts: &[Draft]) -> Result<Vec<Event>, JournalError> {
        let late = stale::untold(self);
        let told = late.len();
        let all = if late.is_empty() { Cow::Borrowed(drafts) } else { Cow::Owned([&late, drafts].concat()) };
        let written = self.journal.append(self.clock.now(), &all).await;
        self.note(written.as_ref().err());
        let mut events = Vec::new();
        for entry in written? {
            let event = match entry {
                Written::Before(event) => event,
                Written::New(event) => {
                    if let Some(run) = event.draft.scope.run().and_then(|run| self.active(run)) {
                        run.apply(&event);
                    }
                    (self.listener)(&event);
                    event
                }
            };
            events.push(event);
        }
        Ok(events.split_off(told))
    }

    /// Writes what concerns no run, without what is still untold of runs: it hides nothing of them from the next start.
    ///
    /// # Errors
    /// The journal's.
    pub(crate) async fn record_aside(&self, drafts: &[Draft]) -> Result<(), JournalError> {
        let written = self.journal.append(self.clock.now(), drafts).await;
        self.note(written.as_ref().err());
        for entry in written? {
            if let Written::New(event) = entry {
                (self.listener)(&event);
            }
        }
        Ok(())
    }

    /// Writes of the runs that are going on in which nothing more may be rebooted, as any other record does.
    ///
    /// # Errors
    /// The journal's.
    pub(crate) async fn record_lateness(&self) -> Result<(), JournalError> {
        if !stale::untold(self).is_empty() {
            self.record(&[]).await?;
        }
        Ok(())
    }

    /// Writes what was told of before the journal was lost: all or none, folded into no run, and told to nobody.
    ///
    /// # Errors
    /// The journal's.
    pub async fn restore(&self, drafts: &[Draft]) -> Result<(), JournalError> {
        let written = self.journal.append(self.clock.now(), drafts).await;
        self.note(written.as_ref().err());
        written.map(|_| ())
    }

    /// Writes a decision, and that it answers `request`.
    ///
    /// # Errors
    /// The journal's.
    pub async fn decide(&self, occurrence: &Occurrence, request: Option<i64>) -> Result<Occurrence, JournalError> {
        let written = self.journal.decide(occurrence, request).await;
        self.note(written.as_ref().err());
        written.map(Written::into_inner)
    }

    /// Raises the alarm when writing begins to fail, once, and says when it works again. Whoever failed to write
    /// tries again, so it is noticed.
    fn note(&self, failure: Option<&JournalError>) {
        match failure {
            None if self.sick.replace(false) => {
                self.of::<Ailing>().tell(false);
                tracing::info!(event = "journal.recovered", "the journal can be written again");
                self.slots_changed.notify_waiters();
            }
            // The store works; what was to be written does not fit.
            None | Some(JournalError::Conflict { .. }) => {}
            Some(e @ JournalError::Corrupt { .. }) => self.note_damage(e),
            Some(e @ JournalError::Fenced { .. }) => {
                tracing::error!(event = "journal.fenced", reason = %e);
                self.fenced.set(true);
                self.drain();
            }
            Some(e) if !self.sick.replace(true) => {
                self.of::<Ailing>().tell(true);
                tracing::error!(
                    event = "journal.failed",
                    reason = %e,
                    "nothing new is started until it can be written: free space, or repair the state directory"
                );
            }
            Some(_) => {}
        }
    }

    /// Raises the alarm for a damaged journal, met reading or writing, and stops: only a start can replace it. Other
    /// failures are somebody else's.
    pub(crate) fn note_damage(&self, failure: &JournalError) {
        if matches!(failure, JournalError::Corrupt { .. }) {
            if !self.fenced.replace(true) {
                tracing::error!(event = "journal.corrupt", reason = %failure, "this process stops");
            }
            self.drain();
        }
    }

    /// Writes results: keeps trying, since they have happened. Nothing new starts meanwhile.
    ///
    /// # Errors
    /// [`Stop::Drained`] if another process took the journal over, or the daemon drains and it still cannot be
    /// written: after a restart the truth is looked up in AWS.
    pub async fn record_result(&self, drafts: &[Draft]) -> Result<Vec<Event>, Stop> {
        loop {
            match self.record(drafts).await {
                Ok(events) => return Ok(events),
                Err(JournalError::Fenced { .. } | JournalError::Corrupt { .. }) => return Err(Stop::Drained),
                Err(e @ JournalError::Conflict { .. }) => {
                    // A defect of ours. The fact is on record, if in other words; the rest must not be lost for it.
                    tracing::error!(event = "journal.conflict", reason = %e);
                    let mut events = Vec::new();
                    for draft in drafts {
                        match self.record(std::slice::from_ref(draft)).await {
                            Err(JournalError::Conflict { .. }) => {}
                            Err(_) => events.extend(Box::pin(self.record_result(std::slice::from_ref(draft))).await?),
                            Ok(written) => events.extend(written),
                        }
                    }
                    return Ok(events);
                }
                Err(_) if planted(Defect::ResultDropped) => return Ok(Vec::new()),
                Err(_) => self.pause(JOURNAL_RETRY).await?,
            }
        }
    }

    /// Writes an intent: waits while the journal cannot be written. Without it nothing may be done.
    ///
    /// # Errors
    /// [`Stop::Drained`].
    pub async fn record_intent(&self, drafts: &[Draft]) -> Result<(), Stop> {
        loop {
            match self.record(drafts).await {
                Ok(_) => return Ok(()),
                Err(JournalError::Fenced { .. } | JournalError::Corrupt { .. }) => return Err(Stop::Drained),
                Err(e @ JournalError::Conflict { .. }) => {
                    tracing::error!(event = "journal.conflict", reason = %e);
                    return Err(Stop::Drained);
                }
                Err(_) => self.pause(JOURNAL_RETRY).await?,
            }
        }
    }

    /// Writes many results, a transaction for each few hundred, and lets other tasks run between them.
    ///
    /// # Errors
    /// [`Stop::Drained`].
    pub async fn record_many(&self, drafts: &[Draft]) -> Result<(), Stop> {
        for chunk in drafts.chunks(RECORDS_AT_ONCE) {
            self.record_result(chunk).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// All facts of a scope; waits while the journal cannot be read.
    ///
    /// # Errors
    /// [`Stop::Drained`].
    pub async fn events_in(&self, scope: &Scope) -> Result<Vec<Event>, Stop> {
        self.read(|| self.journal.reader().events_in(scope)).await
    }

    /// All events about a subject; waits while the journal cannot be read.
    ///
    /// # Errors
    /// [`Stop::Drained`].
    pub async fn events_about(&self, subject: &Subject) -> Result<Vec<Event>, Stop> {
        self.read(|| self.journal.reader().events_about(subject)).await
    }

    async fn read<T>(&self, ask: impl AsyncFn() -> Result<T, JournalError>) -> Result<T, Stop> {
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(e) => {
                    self.note_damage(&e);
                    self.pause(JOURNAL_RETRY).await?;
                }
            }
        }
    }

    /// Who is between a look and the answer to the call, in this place.
    pub fn calls(&self, place: &Place) -> Rc<Semaphore> {
        let mut calls = self.calls.borrow_mut();
        Rc::clone(calls.entry(place.clone()).or_insert_with(|| Rc::new(Semaphore::new(CALLS))))
    }

    /// The turns of those who judge, and delete, what `plan` has made; in each, when the last one ended.
    pub(crate) fn retaining(&self, plan: &str) -> Rc<Mutex<Option<Instant>>> {
        Rc::clone(self.retaining.borrow_mut().entry(plan.to_owned()).or_default())
    }

    /// Whether the journal cannot be written just now: start nothing new.
    #[must_use]
    pub fn sick(&self) -> bool {
        self.sick.get()
    }

    /// Whether this process may not write the journal any more: another one took it over, or it is damaged.
    #[must_use]
    pub fn fenced(&self) -> bool {
        self.fenced.get()
    }

    /// The instances that runs of `plan` are still imaging, each with its run.
    #[must_use]
    pub fn imaging(&self, plan: &str) -> BTreeMap<String, String> {
        let runs = self.runs.borrow();
        let of_plan = runs.iter().filter(|(_, r)| r.plan == plan);
        of_plan.flat_map(|(name, run)| run.state.borrow().imaging(name)).collect()
    }
}
