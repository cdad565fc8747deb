//! The rig: a world, a journal, plans, and an engine that can be stopped, killed and started again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::MutexGuard;
use std::task::Poll;
use std::time::Duration;

use crate::support::rows::Event;
use chrono::{DateTime, TimeDelta, Utc};
use stillframe::clock::Clock;
use stillframe::cloud::governed::Governed;
use stillframe::cloud::port::Role;
use stillframe::domain::evidence::Lags;
use stillframe::domain::fact::Kind;
use stillframe::domain::machine::OwnMachine;
use stillframe::domain::place::Place;
use stillframe::domain::plan::Plan;
use stillframe::engine::context::Context;
use stillframe::engine::lifecycle::daemon::{Engine, Mode};
use stillframe::engine::lifecycle::plans::Change;
use stillframe::journal::Answer;
use stillframe::sim::action::Action;
use stillframe::sim::answer::Answer as WorldAnswer;
use stillframe::sim::error::ApiError;
use stillframe::sim::faults::Fault;
use stillframe::sim::world::Caller;
use stillframe::sim::{Fleet, SimCloud, World};
use tokio::sync::{mpsc, oneshot};

pub use super::fleet::{ACCOUNT, BASE, DAEMON, REGION, at, fleet, fleet_with, id, mins, plan, secs};
use super::journal::Mortal;
pub use super::manager::Told;
use super::script::{Script, Scripted};
use super::watch::{Watch, lent};

/// A drain that takes longer is stuck: nothing in these worlds takes so long.
const DRAIN_MAX: Duration = Duration::from_secs(300);
/// The daemon asks AWS for the time this often, and at start it waits for the first answer for so long.
const CLOCK_WATCH: Duration = Duration::from_secs(300);
const CLOCK_FIRST: Duration = Duration::from_secs(20);

/// A process that runs.
struct Life {
    engine: Pin<Box<dyn Future<Output = Answer<()>>>>,
    stop: Option<oneshot::Sender<()>>,
    changes: mpsc::Sender<Change>,
    shared: Rc<Context>,
}

impl Life {
    /// It ends at once.
    fn die(self) {
        drop(self.engine);
        drop(self.shared.take_tasks()); // they hold what holds them
    }
}

/// Everything that outlives a process, and the process.
pub struct Rig {
    /// The world's.
    pub clock: Clock,
    pub cloud: SimCloud,
    pub journal: Rc<Mortal>,
    /// Those that were lost, the oldest first.
    pub journals_before: Vec<Rc<Mortal>>,
    pub plans: Vec<Plan>,
    /// Every new event that the engine told of, over all lives.
    pub events: Rc<RefCell<Vec<Event>>>,
    pub installation: String,
    pub taken_over_at: Option<DateTime<Utc>>,
    /// The next start is a take-over.
    pub takes_over: bool,
    pub own_machine: OwnMachine,
    /// How far apart ticks are.
    pub tick: Duration,
    /// When an instance that would never be healthy was healed or terminated.
    pub healed: BTreeMap<String, DateTime<Utc>>,
    /// When any instance was terminated.
    pub terminated: BTreeMap<String, DateTime<Utc>>,
    /// What AWS refuses, and what people do at a chosen moment.
    pub script: Rc<Script>,
    /// Who sees every effect as it is made.
    pub watch: Rc<Watch>,
    /// The daemon's own clock, where it is not the world's.
    pub own_clock: Option<Clock>,
    /// Whether answers tell how far it is off, and the daemon asks now and then, as it does in production.
    pub clock_told: bool,
    /// Its service manager.
    pub manager: Rc<Told>,
    /// When the journal was lost last.
    pub lost: Option<DateTime<Utc>>,
    /// How long the daemon lets AWS take to list what was just made.
    pub visible_within: Duration,
    /// How far it takes status checks to be behind the truth.
    pub lags: Lags,
    /// The roles of `[accounts]`.
    pub roles: Vec<Role>,
    /// The account that the state directory has worked in, if it is known.
    pub account: Option<String>,
    life: Option<Life>,
    /// How many processes there were, and which of them took the journal last.
    lives: u32,
    newest: Rc<Cell<u32>>,
    /// Processes that another one took the journal from, until they have noticed.
    fenced: Vec<Life>,
}

impl Rig {
    /// A world of this fleet (JSON), and an engine that is not started yet.
    pub fn new(fleet: &str, plans: Vec<Plan>) -> Self {
        Self::of(&Fleet::from_json(fleet).expect("a fleet"), plans)
    }

    pub fn of(fleet: &Fleet, plans: Vec<Plan>) -> Self {
        fastrand::seed(fleet.seed);
        let world = fleet.world(at(BASE)).expect("a possible fleet");
        Self::in_world(world, at(BASE), Mortal::new(), plans)
    }

    /// A world as it is `now`, with what the last engine left in its journal.
    pub fn in_world(world: World, now: DateTime<Utc>, journal: Mortal, plans: Vec<Plan>) -> Self {
        let clock = Clock::simulated(now).movable();
        Self {
            clock,
            cloud: SimCloud::new(world, clock),
            journal: Rc::new(journal),
            journals_before: Vec::new(),
            plans,
            events: Rc::default(),
            installation: "11111111-1111-4111-8111-111111111111".into(),
            taken_over_at: None,
            takes_over: false,
            own_machine: OwnMachine::NotEc2,
            tick: secs(1),
            healed: BTreeMap::new(),
            terminated: BTreeMap::new(),
            script: Rc::default(),
            watch: Rc::new(Watch::new(clock)),
            own_clock: None,
            clock_told: false,
            manager: Rc::default(),
            lost: None,
            visible_within: Duration::ZERO,
            lags: Lags::NONE,
            roles: Vec::new(),
            account: None,
            life: None,
            lives: 0,
            newest: Rc::default(),
            fenced: Vec::new(),
        }
    }

    /// Another process by mistake: the same world, the same journal file, opened once more.
    pub fn beside(first: &Self, journal: Mortal) -> Self {
        Self {
            clock: first.clock,
            cloud: first.cloud.clone(),
            journal: Rc::new(journal),
            journals_before: Vec::new(),
            plans: first.plans.clone(),
            events: Rc::clone(&first.events),
            installation: first.installation.clone(),
            taken_over_at: first.taken_over_at,
            takes_over: false,
            own_machine: first.own_machine.clone(),
            tick: first.tick,
            healed: BTreeMap::new(),
            terminated: BTreeMap::new(),
            script: Rc::default(),
            watch: Rc::clone(&first.watch),
            own_clock: None,
            clock_told: false,
            manager: Rc::default(),
            lost: None,
            visible_within: Duration::ZERO,
            lags: first.lags,
            roles: first.roles.clone(),
            account: first.account.clone(),
            life: None,
            lives: first.lives,
            newest: Rc::clone(&first.newest),
            fenced: Vec::new(),
        }
    }

    /// A new process.
    pub fn start(&mut self) {
        assert!(self.life.is_none(), "it runs already");
        self.journal.revive();
        self.watch.begins(&self.plans, &self.own_machine);
        let (events, script, watch) = (Rc::clone(&self.events), Rc::clone(&self.script), Rc::clone(&self.watch));
        let clock = self.own_clock.unwrap_or(self.clock);
        let cloud = self.scripted();
        self.lives += 1;
        let (life, newest) = (self.lives, Rc::clone(&self.newest));
        let journal = Rc::clone(&self.journal);
        let shared = Rc::new(Context::new(
            clock,
            Governed::new(Rc::new(cloud), clock, 0.5),
            DAEMON.into(),
            self.installation.clone(),
            self.taken_over_at,
            Rc::clone(&self.journal) as Rc<_>,
            self.own_machine.clone(),
            Box::new(move |event| {
                let event = &Event::from(event);
                if event.draft.kind == Kind::DaemonStarted {
                    newest.set(life);
                } else if newest.get() > life {
                    watch.breach(
                        1,
                        format!("a process whose journal was taken over wrote {}", event.draft.kind.as_str()),
                    );
                }
                events.borrow_mut().push(event.clone());
                watch.hear(event, journal.decided(&event.draft.run));
                script.hear(event);
            }),
        ));
        shared.set_roles(self.roles.iter().map(|role| (role.account.clone(), role.arn.clone())));
        if self.account.is_some() {
            shared.bind_account(self.account.clone(), |_| {});
        }
        shared.rebuild.set(self.lost.is_some());
        shared.visible_within.set(self.visible_within);
        shared.lags.set(self.lags);
        shared.took_over.set(std::mem::take(&mut self.takes_over));
        if self.clock_told {
            watch_clock(&shared);
        }
        let (changes, new) = mpsc::channel(1);
        let engine = Engine::new(Rc::clone(&shared), self.plans.clone(), Mode::Daemon)
            .hosted(Rc::clone(&self.manager) as Rc<_>)
            .changed_by(new);
        let (stop, stopped) = oneshot::channel::<()>();
        let (clock, tick) = (self.clock, self.tick);
        let engine = Box::pin(async move {
            let (tx, mut rx) = mpsc::channel(1);
            let ticking = async {
                loop {
                    clock.sleep(tick).await;
                    let _ = tx.try_send(());
                }
            };
            tokio::select! {
                biased;
                ended = engine.run(&mut rx, async { let _ = stopped.await; }) => ended,
                () = ticking => unreachable!("ticks never end"),
            }
        });
        self.life = Some(Life { engine, stop: Some(stop), changes, shared });
    }

    /// The world as a process of this rig sees it.
    pub fn scripted(&self) -> Scripted {
        Scripted {
            world: self.cloud.clone().with_roles(self.roles.clone()),
            clock: self.clock,
            own_clock: self.own_clock.filter(|_| self.clock_told),
            script: Rc::clone(&self.script),
            watch: Rc::clone(&self.watch),
            journal: Rc::clone(&self.journal),
        }
    }

    /// A second process by mistake, on the same journal and host: it is the one that goes on.
    pub fn start_beside(&mut self) {
        self.fenced.extend(self.life.take());
        self.journal = Rc::new(self.journal.twin());
        self.start();
    }

    /// Hands a new configuration, or why there is none, to the running process; its answer.
    pub async fn reload(&mut self, plans: Result<Vec<Plan>, String>) -> Result<(), String> {
        self.try_reload(plans).await.expect("it died of the reload")
    }

    /// The same; nothing if the process died meanwhile.
    pub async fn try_reload(&mut self, plans: Result<Vec<Plan>, String>) -> Option<Result<(), String>> {
        let (done, mut answer) = oneshot::channel();
        if let Ok(plans) = &plans {
            self.plans.clone_from(plans);
            self.watch.reloading();
        }
        let life = self.life.as_ref().expect("it runs");
        assert!(life.changes.try_send(Change { plans, done }).is_ok(), "one at a time");
        loop {
            match answer.try_recv() {
                Ok(result) => {
                    if result.is_ok() {
                        self.watch.reloaded(&self.plans);
                    }
                    return Some(result);
                }
                Err(_) => {
                    if !self.run(Duration::from_millis(100)).await {
                        return None;
                    }
                }
            }
        }
    }

    /// Lets simulated time pass, whether a process runs or not. False: the process
    /// died of its journal.
    pub async fn run(&mut self, how_long: Duration) -> bool {
        let Some(life) = self.life.as_mut() else {
            self.clock.sleep(how_long).await;
            return true;
        };
        let fenced = &mut self.fenced;
        let others = std::future::poll_fn(|cx| {
            fenced.retain_mut(|life| {
                let goes_on = life.engine.as_mut().poll(cx).is_pending();
                if !goes_on {
                    drop(life.shared.take_tasks());
                }
                goes_on
            });
            Poll::<()>::Pending
        });
        let alive = tokio::select! {
            biased;
            () = self.journal.death() => false,
            // A journal that cannot be written at start ends it; the service manager starts it again.
            ended = &mut life.engine => {
                assert!(ended.is_err() || life.shared.fenced(), "the engine ended by itself");
                false
            }
            () = others => unreachable!("it only looks after them"),
            () = self.clock.sleep(how_long) => true,
        };
        if !alive {
            self.crash();
        }
        alive
    }

    /// The same, starting a new process `down` after each death; how often.
    pub async fn run_through(&mut self, how_long: Duration, down: Duration) -> u32 {
        let end = self.clock.instant() + how_long;
        let mut deaths = 0;
        loop {
            let left = end.saturating_duration_since(self.clock.instant());
            if left.is_zero() {
                return deaths;
            }
            if !self.run(left).await {
                deaths += 1;
                self.clock.sleep(down).await;
                self.start();
            }
        }
    }

    /// The process ends in order.
    pub async fn stop(&mut self) {
        let Some(mut life) = self.life.take() else { return };
        let _ = life.stop.take().expect("stopped once").send(());
        let died = tokio::select! {
            biased;
            () = self.journal.death() => true, // it died while draining
            ended = self.clock.timeout(DRAIN_MAX, &mut life.engine) => {
                let ended = ended.unwrap_or_else(|| panic!("it does not drain:\n{}", self.story()));
                // Only what was never open ends otherwise.
                assert!(ended.is_ok() || self.journal.failed(), "the journal was taken");
                ended.is_err()
            }
        };
        if died {
            self.life = Some(life);
            self.crash();
        }
        for life in std::mem::take(&mut self.fenced) {
            life.die();
        }
    }

    /// The process ends at once; world and journal stay.
    pub fn crash(&mut self) {
        for life in self.life.take().into_iter().chain(std::mem::take(&mut self.fenced)) {
            life.die();
        }
    }

    /// The process ends at once, and its journal is gone; the installation file stays.
    pub fn lose_journal(&mut self) {
        self.crash();
        self.replace_journal(Mortal::new());
        self.lost = Some(self.clock.now());
        self.watch.lost(&self.world(), &self.plans);
    }

    /// Another journal is in force.
    pub fn replace_journal(&mut self, journal: Mortal) {
        self.journals_before.push(std::mem::replace(&mut self.journal, Rc::new(journal)));
    }

    /// The process ends at once, and its whole state directory is gone.
    pub fn lose_state(&mut self) {
        self.lose_journal();
        self.lost = None;
        self.watch.forgets();
        self.installation = format!("22222222-2222-4222-8222-{:012}", self.clock.now().timestamp());
        self.taken_over_at = None;
    }

    /// What the tasks of the running process share.
    pub fn shared(&self) -> Rc<Context> {
        Rc::clone(&self.life.as_ref().expect("it runs").shared)
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.cloud.world()
    }

    /// What the daemon's own clock reads.
    pub fn own_now(&self) -> DateTime<Utc> {
        self.own_clock.unwrap_or(self.clock).now()
    }

    /// The machine sleeps: no time of tokio's passes, but the world goes on.
    pub fn sleep(&self, by: TimeDelta) {
        self.watch.duty.slept(self.clock.instant(), self.own_now(), by);
        self.clock.move_by(by);
        if let Some(own) = self.own_clock {
            own.move_by(by);
        }
    }

    pub fn fault(&self, fault: Fault) {
        self.world().faults.push(fault);
    }

    /// What a person does at the console, in the home region.
    pub fn act(&self, action: &Action) -> WorldAnswer {
        self.act_in(REGION, action).expect("the console allows it")
    }

    pub fn act_in(&self, region: &str, action: &Action) -> Result<WorldAnswer, ApiError> {
        self.act_as(&Place::new(ACCOUNT, region), action)
    }

    /// What a person of any account does.
    pub fn act_as(&self, place: &Place, action: &Action) -> Result<WorldAnswer, ApiError> {
        let now = self.clock.now();
        let lent_to = match action {
            Action::ModifyImageAttribute { image: id, .. } | Action::ModifySnapshotAttribute { snapshot: id, .. } => {
                Some((id, lent(&self.world(), id)))
            }
            _ => None,
        };
        let answer = self.world().call(now, &Caller::new(&place.account), &place.region, action);
        self.watch.touched(action, &self.world());
        if let Some((id, before)) = lent_to {
            self.watch.person_permits(&self.world(), id, &before);
        }
        answer
    }

    /// The instance's status checks read ok from now on.
    pub fn heal(&mut self, id: &str) {
        self.note_end(id);
        let mut world = self.world();
        let instance = world.instances.get_mut(id).expect("an instance of the fleet");
        instance.traits.never_healthy = false;
        instance.boot.impaired = false;
    }

    pub fn terminate(&mut self, id: &str) {
        self.note_end(id);
        self.terminated.entry(id.into()).or_insert(self.clock.now());
        let region = self.world().instances[id].place.region.clone();
        self.act_in(&region, &Action::TerminateInstances { instances: vec![id.into()] })
            .expect("the console allows it");
    }

    fn note_end(&mut self, id: &str) {
        if self.world().instances[id].traits.never_healthy {
            let now = self.clock.now();
            self.healed.insert(id.into(), now);
        }
    }
}

/// As the daemon does it: AWS's first answer is waited for before anything is decided, and then it asks now and then.
fn watch_clock(shared: &Rc<Context>) {
    let sh = Rc::clone(shared);
    sh.ask_clock();
    shared.spawn(async move {
        let first = sh.clock.timeout(CLOCK_FIRST, sh.cloud.whoami());
        let answered = sh.unless_drained(first).await;
        sh.clock_told();
        let mut goes_on = answered.is_ok();
        while goes_on {
            goes_on = sh.pause(CLOCK_WATCH).await.is_ok() && sh.unless_drained(sh.cloud.whoami()).await.is_ok();
        }
    });
}
