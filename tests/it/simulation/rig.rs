//! The rig: a world, a journal, plans, and an engine that can be stopped, killed and started again.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::MutexGuard;
use std::time::Duration;

use chrono::{DateTime, Utc};
use stillframe::clock::Clock;
use stillframe::cloud::governed::Governed;
use stillframe::cloud::sim::action::Action;
use stillframe::cloud::sim::answer::Answer as WorldAnswer;
use stillframe::cloud::sim::calls::Call;
use stillframe::cloud::sim::error::ApiError;
use stillframe::cloud::sim::faults::Fault;
use stillframe::cloud::sim::image::SimImage;
use stillframe::cloud::sim::world::Caller;
use stillframe::cloud::sim::{Fleet, SimCloud, World};
use stillframe::domain::event::{Event, Kind};
use stillframe::domain::keep::Keep;
use stillframe::domain::machine::OwnMachine;
use stillframe::domain::naming::parse_run_name;
use stillframe::domain::plan::{Consistency, Mode as Way, OnUnhealthy, Plan, Rollout, Schedule, Select};
use stillframe::engine::daemon::{Engine, Mode};
use stillframe::engine::host::Host;
use stillframe::engine::plans::Change;
use stillframe::engine::shared::Shared;
use stillframe::journal::Answer;
use stillframe::report::logs;
use tokio::sync::{mpsc, oneshot};

use super::journal::Mortal;
use super::script::{Script, Scripted};

/// The daemon's name in all scenarios.
pub const DAEMON: &str = "prod";
/// The account and home region of all fleets here.
pub const ACCOUNT: &str = "111111111111";
pub const REGION: &str = "eu-central-1";
/// A drain that takes longer is stuck: nothing in these worlds takes so long.
const DRAIN_MAX: Duration = Duration::from_secs(300);

/// A Monday, ten seconds before two: plans of these tests are due at two.
pub const BASE: &str = "2026-03-02T01:59:50Z";

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn mins(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// A service manager that writes down what it is told.
#[derive(Default)]
pub struct Told {
    pub ready: Cell<u32>,
    pub alive: Cell<u32>,
    pub lines: RefCell<Vec<String>>,
}

impl Host for Told {
    fn ready(&self) {
        self.ready.set(self.ready.get() + 1);
    }

    fn alive(&self) {
        self.alive.set(self.alive.get() + 1);
    }

    fn status(&self, line: &str) {
        if self.lines.borrow().last().is_none_or(|last| last != line) {
            self.lines.borrow_mut().push(line.to_owned());
        }
    }
}

/// A process that runs.
struct Life {
    engine: Pin<Box<dyn Future<Output = Answer<()>>>>,
    stop: Option<oneshot::Sender<()>>,
    changes: mpsc::Sender<Change>,
    shared: Rc<Shared>,
}

/// Everything that outlives a process, and the process.
pub struct Rig {
    pub clock: Clock,
    pub cloud: SimCloud,
    pub journal: Rc<Mortal>,
    pub plans: Vec<Plan>,
    /// Every new event that the engine told of, over all lives.
    pub events: Rc<RefCell<Vec<Event>>>,
    pub installation: String,
    pub taken_over_at: Option<DateTime<Utc>>,
    pub own_machine: OwnMachine,
    /// How far apart ticks are.
    pub tick: Duration,
    /// When an instance that would never be healthy was healed or terminated.
    pub healed: BTreeMap<String, DateTime<Utc>>,
    /// When any instance was terminated.
    pub terminated: BTreeMap<String, DateTime<Utc>>,
    /// What AWS refuses, and what people do at a chosen moment.
    pub script: Rc<Script>,
    /// The daemon's own clock, where it is not the world's.
    pub own_clock: Option<Clock>,
    /// Its service manager.
    pub manager: Rc<Told>,
    /// When the journal was lost last.
    pub lost: Option<DateTime<Utc>>,
    /// How long the daemon lets AWS take to list what was just made.
    pub visible_within: Duration,
    life: Option<Life>,
}

impl Rig {
    /// A world of this fleet (JSON), and an engine that is not started yet.
    pub fn new(fleet: &str, plans: Vec<Plan>) -> Self {
        Self::of(&Fleet::from_json(fleet).expect("a fleet"), plans)
    }

    pub fn of(fleet: &Fleet, plans: Vec<Plan>) -> Self {
        fastrand::seed(fleet.seed);
        let clock = Clock::simulated(at(BASE));
        let world = fleet.world(clock.now()).expect("a possible fleet");
        Self {
            clock,
            cloud: SimCloud::new(world, clock),
            journal: Rc::new(Mortal::new()),
            plans,
            events: Rc::default(),
            installation: "11111111-1111-4111-8111-111111111111".into(),
            taken_over_at: None,
            own_machine: OwnMachine::NotEc2,
            tick: secs(1),
            healed: BTreeMap::new(),
            terminated: BTreeMap::new(),
            script: Rc::default(),
            own_clock: None,
            manager: Rc::default(),
            lost: None,
            visible_within: Duration::ZERO,
            life: None,
        }
    }

    /// Another process by mistake: the same world, the same journal file, opened once more.
    pub fn beside(first: &Self, journal: Mortal) -> Self {
        Self {
            clock: first.clock,
            cloud: first.cloud.clone(),
            journal: Rc::new(journal),
            plans: first.plans.clone(),
            events: Rc::clone(&first.events),
            installation: first.installation.clone(),
            taken_over_at: first.taken_over_at,
            own_machine: first.own_machine.clone(),
            tick: first.tick,
            healed: BTreeMap::new(),
            terminated: BTreeMap::new(),
            script: Rc::default(),
            own_clock: None,
            manager: Rc::default(),
            lost: None,
            visible_within: Duration::ZERO,
            life: None,
        }
    }

    /// A new process.
    pub fn start(&mut self) {
        assert!(self.life.is_none(), "it runs already");
        self.journal.revive();
        let (events, script) = (Rc::clone(&self.events), Rc::clone(&self.script));
        let cloud = Scripted { world: self.cloud.clone(), clock: self.clock, script: Rc::clone(&self.script) };
        let clock = self.own_clock.unwrap_or(self.clock);
        let shared = Rc::new(Shared::new(
            clock,
            Governed::new(Rc::new(cloud), clock, 0.5),
            DAEMON.into(),
            self.installation.clone(),
            self.taken_over_at,
            Rc::clone(&self.journal) as Rc<_>,
            self.own_machine.clone(),
            Box::new(move |event| {
                events.borrow_mut().push(event.clone());
                script.hear(event);
            }),
        ));
        shared.rebuild.set(self.lost.is_some());
        shared.visible_within.set(self.visible_within);
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

    /// Hands a new configuration, or why there is none, to the running process; its answer.
    pub async fn reload(&mut self, plans: Result<Vec<Plan>, String>) -> Result<(), String> {
        let (done, mut answer) = oneshot::channel();
        if let Ok(plans) = &plans {
            self.plans.clone_from(plans);
        }
        let life = self.life.as_ref().expect("it runs");
        assert!(life.changes.try_send(Change { plans, done }).is_ok(), "one at a time");
        loop {
            match answer.try_recv() {
                Ok(result) => return result,
                Err(_) => assert!(self.run(Duration::from_millis(100)).await, "it died of the reload"),
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
        let alive = tokio::select! {
            biased;
            () = self.journal.death() => false,
            // A journal that cannot be written at start ends it; the service manager starts it again.
            ended = &mut life.engine => {
                assert!(ended.is_err() || life.shared.fenced(), "the engine ended by itself");
                false
            }
            () = self.clock.sleep(how_long) => true,
        };
        if !alive {
            self.crash();
        }
        alive
    }

    /// The same, starting a new process `down` after each death.
    pub async fn run_through(&mut self, how_long: Duration, down: Duration) {
        let end = self.clock.instant() + how_long;
        loop {
            let left = end.saturating_duration_since(self.clock.instant());
            if left.is_zero() {
                return;
            }
            if !self.run(left).await {
                self.clock.sleep(down).await;
                self.start();
            }
        }
    }

    /// The process ends in order.
    pub async fn stop(&mut self) {
        let Some(mut life) = self.life.take() else { return };
        let _ = life.stop.take().expect("stopped once").send(());
        tokio::select! {
            biased;
            () = self.journal.death() => { // it died while draining
                self.life = Some(life);
                self.crash();
            }
            ended = self.clock.timeout(DRAIN_MAX, &mut life.engine) => {
                ended.unwrap_or_else(|| panic!("it does not drain:\n{}", self.story())).expect("the journal was taken");
            }
        }
    }

    /// The process ends at once; world and journal stay.
    pub fn crash(&mut self) {
        if let Some(life) = self.life.take() {
            drop(life.engine);
            drop(life.shared.take_tasks()); // they hold what holds them
        }
    }

    /// The process ends at once, and its journal is gone; the installation file stays.
    pub fn lose_journal(&mut self) {
        self.crash();
        self.journal = Rc::new(Mortal::new());
        self.lost = Some(self.clock.now());
    }

    /// What the tasks of the running process share.
    pub fn shared(&self) -> Rc<Shared> {
        Rc::clone(&self.life.as_ref().expect("it runs").shared)
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.cloud.world()
    }

    pub fn fault(&self, fault: Fault) {
        self.world().faults.push(fault);
    }

    /// What a person does at the console, in the home region.
    pub fn act(&self, action: &Action) -> WorldAnswer {
        self.act_in(REGION, action).expect("the console allows it")
    }

    pub fn act_in(&self, region: &str, action: &Action) -> Result<WorldAnswer, ApiError> {
        let now = self.clock.now();
        self.world().call(now, &Caller::new(ACCOUNT), region, action)
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
        self.act(&Action::TerminateInstances { instances: vec![id.into()] });
    }

    fn note_end(&mut self, id: &str) {
        if self.world().instances[id].traits.never_healthy {
            let now = self.clock.now();
            self.healed.insert(id.into(), now);
        }
    }

    /// The calls of one API, as the world logged them.
    pub fn calls(&self, api: &str) -> Vec<Call> {
        self.world().calls.of(api).cloned().collect()
    }

    /// How often each instance was rebooted.
    pub fn reboots(&self) -> BTreeMap<String, usize> {
        self.world().instances.iter().map(|(id, i)| (id.clone(), i.reboot_count())).collect()
    }

    /// All reboots of the fleet.
    pub fn all_reboots(&self) -> usize {
        self.reboots().values().sum()
    }

    /// Registered images that CreateImage made of `instance`, the oldest first.
    pub fn images_of(&self, instance: &str) -> Vec<SimImage> {
        let world = self.world();
        let of_it = |i: &&SimImage| i.registered() && i.source_instance.as_deref() == Some(instance);
        let mut images: Vec<SimImage> = world.images.values().filter(of_it).cloned().collect();
        images.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        images
    }

    /// The ids of the fleet with this tag, in order.
    pub fn tagged(&self, key: &str, value: &str) -> BTreeSet<String> {
        let world = self.world();
        let bears = |i: &&stillframe::cloud::sim::instance::SimInstance| i.tags.get(key).is_some_and(|v| v == value);
        world.instances.values().filter(bears).map(|i| i.id.clone()).collect()
    }

    /// Events of this kind so far.
    pub fn told(&self, kind: &Kind) -> Vec<Event> {
        self.events.borrow().iter().filter(|e| e.draft.kind == *kind).cloned().collect()
    }

    /// Events that call a person.
    pub fn errors(&self) -> Vec<Event> {
        self.events.borrow().iter().filter(|e| logs::level(e) == tracing::Level::ERROR).cloned().collect()
    }

    /// The outcomes of one plan's runs, in the order in which they ended: `02:00 done`.
    pub fn outcomes(&self, plan: &str) -> Vec<String> {
        let word = |e: &Event| {
            let (name, due) = parse_run_name(&e.draft.run)?;
            let text = match e.draft.kind {
                Kind::RunFinished => e.text("outcome").unwrap_or("?").to_owned(),
                Kind::OccurrenceSkipped => "skipped".into(),
                Kind::OccurrenceMissed => "missed".into(),
                _ => return None,
            };
            (name == plan).then(|| format!("{} {text}", due.format("%H:%M")))
        };
        self.events.borrow().iter().filter_map(word).collect()
    }

    /// Why each target of one occurrence (`02:00`) was skipped or how it ended, by instance: `skipped: ...`.
    pub fn targets(&self, plan: &str, time: &str) -> BTreeMap<String, String> {
        let mut targets = BTreeMap::new();
        for event in self.events.borrow().iter() {
            let Some((name, due)) = parse_run_name(&event.draft.run) else { continue };
            let ends = matches!(event.draft.kind, Kind::TargetFinished | Kind::TargetSkipped);
            if let (true, Some(subject)) =
                (ends && name == plan && due.format("%H:%M").to_string() == time, &event.draft.subject)
            {
                let outcome = event.text("outcome").unwrap_or("?");
                let reason = event.text("reason").unwrap_or_default();
                targets.insert(subject.id.clone(), format!("{outcome}: {reason}"));
            }
        }
        targets
    }

    /// The story so far, for messages of failed checks.
    pub fn story(&self) -> String {
        let mut story = String::new();
        for e in self.events.borrow().iter() {
            let subject = e.draft.subject.as_ref().map_or("", |s| &s.id);
            let line = format!(
                "{} {} {} {subject} {}#{} {}\n",
                e.at.format("%H:%M:%S"),
                e.draft.kind.as_str(),
                e.draft.run,
                e.draft.step,
                e.draft.attempt,
                e.draft.data
            );
            story.push_str(&line);
        }
        for c in self.world().calls.iter().filter(|c| !c.api.starts_with("Describe")) {
            let about = ["InstanceId", "ImageId", "SnapshotId"].iter().find_map(|k| c.parameters.get(*k));
            let line =
                format!("{} call {} {about:?} {} effect={}\n", c.at.format("%H:%M:%S"), c.api, c.result, c.effect);
            story.push_str(&line);
        }
        story
    }
}

/// `i-` and seventeen digits.
pub fn id(n: u32) -> String {
    format!("i-{n:017x}")
}

/// `n` instances tagged `Backup=yes`, ids 1.., quick.
pub fn fleet(n: u32) -> String {
    fleet_with(n, "", "")
}

/// The same; `traits` are JSON members of the first instance, `world` those of the fleet, each ending in a comma.
pub fn fleet_with(n: u32, traits: &str, world: &str) -> String {
    let member = |i: u32| {
        let own = if i == 1 { traits } else { "" };
        format!(r#"{{ {own} "id": "{}", "tags": {{ "Backup": "yes" }} }}"#, id(i))
    };
    let members: Vec<String> = (1..=n).map(member).collect();
    let times = if world.contains("image_seconds") { "" } else { r#""image_seconds": [30, 90],"# };
    format!(
        r#"{{ {world} {times} "regions": ["eu-central-1", "eu-west-1"], "reboot_seconds": 20,
            "instances": [{}] }}"#,
        members.join(",")
    )
}

/// A plan for `Backup=yes`, due at two every day.
pub fn plan(name: &str, cron: &str) -> Plan {
    Plan {
        name: name.into(),
        description: None,
        schedule: Schedule { cron: vec![cron.into()], timezone: chrono_tz::UTC, catch_up: Some(3600), window: None },
        select: Select {
            regions: vec![REGION.into()],
            tags: BTreeMap::from([("Backup".into(), BTreeSet::from(["yes".into()]))]),
            ..Select::default()
        },
        consistency: Consistency { mode: Way::Reboot, resend_unknown: true },
        rollout: Rollout { max_in_flight: 1, settle: 10, healthy_within: 120, on_unhealthy: OnUnhealthy::HaltPlan },
        keep: Keep { last: 2, ..Keep::default() },
        tags: BTreeMap::from([("Team".into(), "web".into())]),
    }
}
