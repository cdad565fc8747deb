//! Sees every effect as it is made, and says at once which promise it breaks. What it knows is the world's truth, the
//! journal in force, and what people did; of the engine it believes nothing.

mod lending;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::support::rows::Event;
use chrono::{DateTime, TimeDelta, Utc};
use stillframe::clock::Clock;
use stillframe::cloud::port::CreateImage;
use stillframe::domain::event::Decision;
use stillframe::domain::fact::Kind;
use stillframe::domain::keep::Keep;
use stillframe::domain::machine::OwnMachine;
use stillframe::domain::observed::InstanceState;
use stillframe::domain::place::Place;
use stillframe::domain::plan::{Mode, Plan};
use stillframe::sim::World;
use stillframe::sim::action::Action;
use stillframe::sim::calls::Call;
use stillframe::sim::snapshot::SimSnapshot;
use tokio::time::Instant;

use super::duty::{self, Clocks, Duty, Of};
use super::figures::Figures;
use super::journal::Mortal;
use super::truth::{self, Key};
use lending::Lending;
pub use lending::lent;

/// A promise of the design by its number; 0 is the rig's own, or a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    pub promise: u8,
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "promise {}: {}", self.promise, self.what)
    }
}

/// What a person changes is seen by a look that is made right before the effect; a throttled effect is sent again for
/// so long without another look.
const LOOKED: Duration = Duration::from_secs(120);
/// What a person changes in a series is seen when the series is listed, of which the deletions follow for so long.
const LISTED: Duration = Duration::from_secs(3600);
/// Whether an effect is forbidden is asked right before it is sent.
const TURN: TimeDelta = TimeDelta::seconds(1);
/// No more are told of one life.
const TOLD_MAX: usize = 20;

/// An instance that we took down.
#[derive(Debug, Clone)]
struct Down {
    plan: String,
    allowed: u32,
    since: DateTime<Utc>,
    region: String,
    name: String,
    /// When its boot is over.
    until: DateTime<Utc>,
}

/// What the journal says of an effect that is about to be made.
pub struct Known {
    /// The run that it belongs to, in the journal, with its plan.
    run: Option<(String, Plan)>,
    intent: bool,
    /// When the run was decided, and its targets chosen.
    times: Option<(DateTime<Utc>, Option<DateTime<Utc>>)>,
}

impl Known {
    fn of(&self) -> Option<Of<'_>> {
        let ((_, plan), (decided, selected)) = (self.run.as_ref()?, self.times?);
        Some(Of { plan, decided, selected })
    }
}

/// Sees every effect.
pub struct Watch {
    /// The world's clock.
    clock: Clock,
    broken: RefCell<Vec<Breach>>,
    pub figures: RefCell<Figures>,
    trace: RefCell<Option<String>>,
    /// CreateImage that took effect, by what it was for.
    made: RefCell<BTreeMap<Key, u32>>,
    /// Whom we took down and who is not back, by instance.
    down: RefCell<BTreeMap<String, Down>>,
    /// When a person last changed something about this image, instance or series.
    touched: RefCell<BTreeMap<String, Instant>>,
    /// When our images there were last listed to the end.
    listed: RefCell<BTreeMap<Place, Instant>>,
    /// Images that we deregistered.
    pub removed: RefCell<BTreeSet<String>>,
    /// Deletions by run and series.
    deletions: RefCell<BTreeMap<(String, String), u32>>,
    /// The plans in force, and until when others were.
    plans: RefCell<BTreeMap<String, Plan>>,
    reloaded: Cell<Option<Instant>>,
    /// What the daemon believes of its own machine, and what is true.
    believed: RefCell<OwnMachine>,
    own: RefCell<Option<String>>,
    /// The journal was lost and is not rebuilt yet: what cannot be told from the images is not held against it.
    rebuilding: Cell<bool>,
    /// Acknowledged transactions were lost: what follows from the journal alone is not promised.
    pub lied: Cell<bool>,
    /// An old journal was put back: what follows from what it had been told alone is not promised.
    pub restored: Cell<bool>,
    /// The daemon's clock was wrong at some time.
    pub misled: Cell<bool>,
    /// Status checks lag further behind than the daemon was told: then how many are down at once is not promised.
    pub beyond: Cell<bool>,
    /// Snapshots of somebody else that images of ours name.
    strangers: RefCell<BTreeSet<String>>,
    pub duty: Duty,
    lending: Lending,
}

impl Watch {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            broken: RefCell::default(),
            figures: RefCell::default(),
            trace: RefCell::default(),
            made: RefCell::default(),
            down: RefCell::default(),
            touched: RefCell::default(),
            listed: RefCell::default(),
            removed: RefCell::default(),
            deletions: RefCell::default(),
            plans: RefCell::default(),
            reloaded: Cell::new(None),
            believed: RefCell::new(OwnMachine::NotEc2),
            own: RefCell::default(),
            rebuilding: Cell::new(false),
            lied: Cell::new(false),
            restored: Cell::new(false),
            misled: Cell::new(false),
            beyond: Cell::new(false),
            strangers: RefCell::default(),
            duty: Duty::default(),
            lending: Lending::default(),
        }
    }

    /// Which promises are broken so far.
    pub fn broken(&self) -> Vec<Breach> {
        self.broken.borrow().clone()
    }

    pub fn is_broken(&self) -> bool {
        !self.broken.borrow().is_empty()
    }

    pub fn breach(&self, promise: u8, what: String) {
        self.note(|| format!("BREACH of promise {promise}: {what}"));
        let mut broken = self.broken.borrow_mut();
        if broken.len() < TOLD_MAX {
            broken.push(Breach { promise, what });
        }
    }

    /// Writes the trace from now on.
    pub fn traces(&self) {
        self.trace.borrow_mut().get_or_insert_default();
    }

    /// All that happened, a line each.
    pub fn trace(&self) -> String {
        self.trace.borrow().clone().unwrap_or_default()
    }

    /// One line of the trace.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = self.trace.borrow_mut().as_mut() {
            trace.push_str(&self.clock.now().format("%m-%d %H:%M:%S%.3f ").to_string());
            trace.push_str(&line());
            trace.push('\n');
        }
    }

    /// A process begins.
    pub fn begins(&self, plans: &[Plan], own: &OwnMachine) {
        self.reloaded(plans);
        *self.believed.borrow_mut() = own.clone();
        if let OwnMachine::Instance(id) = own {
            *self.own.borrow_mut() = Some(id.clone());
        }
    }

    /// The machine that the daemon runs on, whatever it knows of it.
    pub fn lives_on(&self, id: &str) {
        *self.own.borrow_mut() = Some(id.to_owned());
    }

    /// The daemon has found out where it lives.
    pub fn knows_machine(&self, own: &OwnMachine) {
        *self.believed.borrow_mut() = own.clone();
    }

    /// Other plans may be in force before it is told.
    pub fn reloading(&self) {
        self.reloaded.set(Some(self.clock.instant()));
    }

    /// Other plans are in force.
    pub fn reloaded(&self, plans: &[Plan]) {
        let after = plans.iter().map(|p| (p.name.clone(), p.clone())).collect();
        let before = std::mem::replace(&mut *self.plans.borrow_mut(), after);
        let after = self.plans.borrow();
        self.lending.in_force(&before, &after);
        if !before.is_empty() && before != *after {
            self.reloaded.set(Some(self.clock.instant()));
        }
    }

    /// The engine told of a new event, of a run that was decided then.
    pub fn hear(&self, event: &Event, decided: Option<Instant>) {
        let draft = &event.draft;
        self.note(|| {
            let subject = draft.subject.as_ref().map_or("", |s| &s.id);
            let (kind, step) = (draft.kind.as_str(), &draft.step);
            format!("event {} {kind} {} {subject} {step}#{} {}", event.seq, draft.run, draft.attempt, draft.data)
        });
        if let Some(wrong) = self.duty.hear(event, self.clock.instant(), decided) {
            self.breach(5, wrong);
        }
        // One thing that cannot be read concerns itself alone.
        if draft.subject.is_none() && event.text("reason").is_some_and(|why| why.contains("UnknownValue")) {
            self.breach(5, format!("{} {}: {}", draft.run, draft.step, event.text("reason").unwrap_or_default()));
        }
        if draft.kind == Kind::JournalRebuilt {
            self.rebuilding.set(false);
            // A rebuild takes nobody for down who was rebooted a day ago.
            let now = self.clock.now();
            self.down.borrow_mut().retain(|_, down| now - down.since < TimeDelta::hours(23));
        }
    }

    /// A call was answered, or not.
    pub fn called(&self, call: &Call) {
        self.figures.borrow_mut().requests += 1;
        self.well_formed(call);
        self.note(|| {
            let told = call.parameters.iter().filter(|(key, _)| !key.starts_with("TagSpecification"));
            let what: Vec<String> = told.map(|(k, v)| format!("{k}={v}")).collect();
            format!("call {} {} {} effect={} {}", call.api, call.region, call.result, call.effect, what.join(" "))
        });
    }

    /// The journal is gone: of those who are down, only what the tags of our images prove can be known.
    pub fn lost(&self, world: &World, plans: &[Plan]) {
        let now = self.clock.now();
        self.loses(world);
        self.rebuilding.set(true);
        self.duty.forgets();
        self.down.borrow_mut().retain(|_, down| {
            let proven =
                world.images.values().any(|i| i.name == down.name && i.visible(now) && truth::ours(i).is_some());
            let listed = plans.iter().any(|p| p.select.regions.contains(&down.region));
            proven && listed && now - down.since < TimeDelta::hours(23)
        });
    }

    /// Nothing is known any more of who is down.
    pub fn forgets(&self) {
        self.duty.forgets();
        self.down.borrow_mut().clear();
    }

    /// A person did this.
    pub fn touched(&self, action: &Action, world: &World) {
        let ids: Vec<&String> = match action {
            Action::StartInstances { instances }
            | Action::StopInstances { instances }
            | Action::RebootInstances { instances }
            | Action::TerminateInstances { instances } => instances.iter().collect(),
            Action::CreateTags { resources, .. } | Action::DeleteTags { resources, .. } => resources.iter().collect(),
            Action::DeregisterImage { image, .. } | Action::RunInstances { image, .. } => vec![image],
            _ => Vec::new(),
        };
        if matches!(action, Action::CreateTags { .. } | Action::DeleteTags { .. }) {
            self.lending.edited(&ids);
        }
        for id in ids {
            self.touch(id);
            self.down.borrow_mut().remove(id);
            let Some(image) = world.images.get(id) else { continue };
            // By its name: its tags may be what the person took away.
            let key = truth::made_by_us(image).or_else(|| truth::parse(image.name.rsplit_once('/')?.0));
            if let Some(key) = key {
                self.touch(&truth::series_of(image, &key));
            }
            if self.rebuilding.get() {
                self.down.borrow_mut().retain(|_, down| down.name != image.name);
            }
        }
    }

    fn touch(&self, what: &str) {
        self.touched.borrow_mut().insert(what.to_owned(), self.clock.instant());
    }

    fn touched_within(&self, what: &str, time: Duration) -> bool {
        self.touched.borrow().get(what).is_some_and(|at| at.elapsed() < time)
    }

    /// AWS refused for good to tell what is in this region: a rebuild goes on without it.
    pub fn refused(&self, region: &str) {
        if self.rebuilding.get() {
            self.down.borrow_mut().retain(|_, down| down.region != region);
        }
    }

    /// Our images there were listed to the end.
    pub fn listed(&self, place: &Place) {
        self.listed.borrow_mut().insert(place.clone(), self.clock.instant());
    }

    /// What the journal knows of an image that is about to be made.
    pub async fn known_of(&self, journal: &Mortal, request: &CreateImage) -> Known {
        let tag = |key: &str| request.tags.get(&format!("stillframe:{key}")).cloned().unwrap_or_default();
        let (plan, due) = (tag("plan"), truth::due_of(&tag("due")).unwrap_or_default());
        let key = (plan.clone(), request.instance.clone(), due);
        if request.name != truth::name_of(&key) {
            self.breach(
                1,
                format!("CreateImage {} is not the one name of {} at {due}", request.name, request.instance),
            );
        }
        let run = truth::run_of(&plan, due);
        let reader = journal.rows();
        if self.duty.halts() {
            self.duty.open_slots(&reader.open_slots().await.expect("readable"));
        }
        let events = reader.events_of(&run).await.expect("readable");
        let of_it = |e: &&Event| e.draft.subject.as_ref().is_some_and(|s| s.id == request.instance);
        let intent = events.iter().filter(of_it).any(|e| {
            e.draft.kind == Kind::StepIntent && e.draft.step == "image" && e.text("name") == Some(&request.name)
        });
        let row = reader.occurrence(&plan, due).await.expect("readable");
        if row.as_ref().is_none_or(|row| row.decision != Decision::Run) {
            self.breach(5, format!("CreateImage {} of an occurrence that was not decided to run", request.name));
        }
        let chosen = events.iter().find(|e| e.draft.kind == Kind::TargetSelected && e.draft.subject.is_none());
        let times = row.as_ref().map(|row| (row.decided_at, chosen.map(|e| e.at)));
        let revision = match row {
            Some(row) => reader.revision(&row.plan_hash).await.expect("readable"),
            None => None,
        };
        let plan = revision.and_then(|text| serde_json::from_str::<Plan>(&text).ok());
        Known { run: plan.map(|plan| (run, plan)), intent, times }
    }

    /// CreateImage is sent: `own_now` is what the daemon's clock reads.
    pub fn sends(&self, request: &CreateImage, known: &Known, own_now: DateTime<Utc>) {
        let (name, instance) = (&request.name, &request.instance);
        if !known.intent {
            self.breach(1, format!("CreateImage {name} without an intent before it"));
        }
        let clocks = Clocks { instant: self.clock.instant(), world: self.clock.now(), own: own_now };
        let of_run = known.run.iter().map(|(_, plan)| plan.rollout.healthy_within).max().unwrap_or_default();
        let longest = self.plans.borrow().values().map(|p| p.rollout.healthy_within).max().unwrap_or_default();
        for wrong in self.duty.sends(request, known.of().as_ref(), clocks, longest.max(of_run)) {
            self.breach(1, wrong);
        }
        if request.no_reboot {
            return;
        }
        match &*self.believed.borrow() {
            OwnMachine::Unknown(_) => self.breach(8, format!("{instance} is rebooted, and nobody knows where we live")),
            _ if self.own.borrow().as_ref() == Some(instance) => {
                self.breach(8, format!("{instance}, the daemon's own machine, is rebooted"));
            }
            _ => {}
        }
        let Some((_, plan)) = &known.run else { return };
        if plan.consistency.mode == Mode::None {
            self.breach(1, format!("{instance} is rebooted by {name}, whose plan reboots nothing"));
        }
        let seconds = |s: u64| TimeDelta::seconds(i64::try_from(s).expect("small"));
        let due = request.tags.get("stillframe:due").and_then(|text| truth::due_of(text)).unwrap_or_default();
        if let Some(window) = plan.schedule.window
            && own_now - due > seconds(window) + TURN
        {
            self.breach(1, format!("{name} is made at {own_now}, the window of {window} s is over"));
        }
    }

    /// CreateImage is sent: no image of that name could be seen for long.
    pub fn looked(&self, world: &World, place: &Place, request: &CreateImage) {
        let seen = self.clock.now() - TimeDelta::seconds(30);
        let there = |i: &stillframe::sim::image::SimImage| {
            i.name == request.name && i.place == *place && i.registered() && i.visible < seen
        };
        if let Some(image) = world.images.values().find(|i| there(i)) {
            self.breach(1, format!("CreateImage {} is sent, and {} is there to be seen", request.name, image.id));
        }
    }

    /// CreateImage took effect.
    pub fn made(&self, world: &World, place: &Place, request: &CreateImage, known: &Known) {
        let now = self.clock.now();
        self.figures.borrow_mut().images += 1;
        if let Some(key) = truth::parse(&request.name) {
            let times = {
                let mut made = self.made.borrow_mut();
                let times = made.entry(key.clone()).or_default();
                *times += 1;
                *times
            };
            // A disk that lies, and a person who deregisters what is made meanwhile: nothing is left to tell.
            let excused = self.forgot() && self.touched.borrow().contains_key(&format!("{}/{}", key.0, key.1));
            if times > 1 && !excused {
                self.breach(1, format!("{times} CreateImage took effect for {} of {} at {}", key.0, key.1, key.2));
            }
        }
        if let Some((_, plan)) = &known.run {
            self.lending.meant(request, plan, &place.account);
        }
        if let Some(of) = known.of() {
            if duty::unrested(world, request, of.plan, now) && !self.touched_within(&request.instance, LOOKED) {
                self.breach(1, format!("{} is made of a running instance without a reboot", request.name));
            }
            if let Some(wrong) = self.duty.barred(world, place, request, &of).filter(|_| !self.misled.get()) {
                self.breach(1, wrong);
            }
        }
        let rebooted =
            |i: &&stillframe::sim::instance::SimInstance| !request.no_reboot && i.reboots.last() == Some(&now);
        let Some(instance) = world.instances.get(&request.instance).filter(rebooted) else { return };
        if let Some(wrong) = known.of().and_then(|of| self.duty.halted(world, &of, now, self.clock.instant())) {
            self.breach(6, wrong);
        }
        self.figures.borrow_mut().reboots += 1;
        let allowed = known.run.as_ref().map_or(1, |(_, plan)| plan.rollout.max_in_flight);
        let plan = known.run.as_ref().map_or("?", |(_, plan)| &plan.name).to_owned();
        let down = Down {
            plan,
            allowed,
            since: now,
            region: place.region.clone(),
            name: request.name.clone(),
            until: instance.boot.until,
        };
        // Its newest boot is this one: who was down before is told by what was before.
        let mut all = self.down.borrow_mut();
        all.retain(|id, down| {
            *id == instance.id && !self.back(world, id, down) || *id != instance.id && !healthy(world, id, now)
        });
        if self.beyond.get() {
            all.clear();
        }
        if let Some(before) = all.get(&instance.id) {
            let what =
                format!("{} was rebooted by {} while it was down for {}", instance.id, request.name, before.name);
            self.breach(6, what);
        }
        all.insert(instance.id.clone(), down);
        // A slot is reserved before the call, so the calls of two plans may come in another order than their
        // reservations: those that are down together must fit in some order.
        let mut together: Vec<(&String, &Down)> = all.iter().collect();
        together.sort_by_key(|(_, d)| d.allowed);
        if together.iter().enumerate().any(|(before, (_, d))| before >= d.allowed as usize) {
            let list: Vec<String> =
                together.iter().map(|(id, d)| format!("{id} ({}: {} allowed)", d.plan, d.allowed)).collect();
            self.breach(6, format!("down together at {now}: {}", list.join(", ")));
        }
    }

    /// Whether an instance that was rebooted again just now had been back before: its boot of then was over, and well.
    fn back(&self, world: &World, id: &str, down: &Down) -> bool {
        let now = self.clock.now();
        let Some(instance) = world.instances.get(id) else { return true };
        !instance.traits.never_healthy && down.until <= now
    }

    /// What the journal knows of a removal that is about to be made: the newest intent about this image.
    pub async fn known_removal(&self, journal: &Mortal, place: &Place, image: &str) -> Known {
        let reader = journal.rows();
        let events = reader.events_about(&place.subject(image)).await.expect("readable");
        let intent = events.iter().rfind(|e| e.draft.kind == Kind::StepIntent && e.draft.step == "retain");
        let Some(run) = intent.map(|e| e.draft.run.clone()) else {
            return Known { run: None, intent: false, times: None };
        };
        let (name, due) = stillframe::domain::naming::parse_run_name(&run).expect("a run's name");
        let row = reader.occurrence(name, due).await.expect("readable");
        let revision = match row {
            Some(row) => reader.revision(&row.plan_hash).await.expect("readable"),
            None => None,
        };
        let plan = revision.and_then(|text| serde_json::from_str::<Plan>(&text).ok());
        Known { run: plan.map(|plan| (run, plan)), intent: true, times: None }
    }

    /// DeregisterImage is sent, and the image is registered still.
    pub fn removes(&self, world: &World, place: &Place, id: &str, known: &Known) {
        let now = self.clock.now();
        let Some(image) = world.images.get(id).filter(|i| i.registered()) else { return };
        if !known.intent {
            self.breach(3, format!("{id} is deregistered without an intent that names its snapshots"));
        }
        let recently = self.touched_within(id, LOOKED);
        let Some(key) = truth::of_us(image) else {
            if !recently {
                self.breach(3, format!("{id} ({}) is deregistered, and it is not ours", image.name));
            }
            return;
        };
        if image.tags.contains_key("stillframe:hold") && !recently {
            self.breach(3, format!("{id} is deregistered, and it is on hold"));
        }
        let runs = |i: &&stillframe::sim::instance::SimInstance| {
            i.image.as_deref() == Some(id)
                && !matches!(i.state(now), InstanceState::ShuttingDown | InstanceState::Terminated)
        };
        if let Some(user) = world.instances.values().find(runs)
            && !recently
        {
            self.breach(3, format!("{id} is deregistered, and {} runs from it", user.id));
        }
        if !image.fails && image.ready > now {
            self.breach(3, format!("{id} is deregistered, and it is pending"));
        }
        self.still_copied(world, image);
        if truth::is_via(world, image) && self.temporary(&key) {
            return; // made only to be copied from: no series needs it
        }
        if image.place != *place || self.listed.borrow().get(place).is_none_or(|at| at.elapsed() > LISTED) {
            self.breach(3, format!("{id} is deregistered in {place}, which was not wholly listed"));
        }
        let (series, due) = (truth::series_of(image, &key), key.2);
        let future = due - TimeDelta::minutes(5);
        if future > now || future > image.created {
            self.breach(3, format!("{id} is deregistered, and its due {due} was to come"));
        }
        let beside = truth::good_beside(world, image, &key, now);
        if !truth::good(image, now) {
            return;
        }
        // The image that stays is looked at again right before.
        if beside.is_empty() && !self.touched_within(&series, LOOKED) {
            self.breach(3, format!("{id} is deregistered, the last good one of {series}"));
        }
        if !self.touched_within(&series, LISTED) {
            if beside.first().is_none_or(|newest| *newest < due) {
                self.breach(3, format!("{id} is deregistered, the newest good one of {series}"));
            }
            if let Some((_, plan)) = &known.run {
                self.kept(lending::keep_of(world, plan, image), id, due, &beside, &series, "its run's revision");
                self.owed(world, image, &key, plan);
            }
            let in_force = self.plans.borrow().get(&key.0).cloned();
            let settled = self.settled();
            match in_force {
                None if settled => self.breach(3, format!("{id} is deregistered, and its plan is gone")),
                Some(plan) if settled => {
                    self.kept(lending::keep_of(world, &plan, image), id, due, &beside, &series, "the plan in force");
                    self.owed(world, image, &key, &plan);
                }
                _ => {}
            }
        }
    }

    /// Whether the plans in force have been so for long.
    fn settled(&self) -> bool {
        self.reloaded.get().is_none_or(|at| at.elapsed() > LISTED)
    }

    /// No rule of `keep` may hold an image that goes.
    fn kept(&self, keep: &Keep, id: &str, due: DateTime<Utc>, beside: &[DateTime<Utc>], series: &str, by: &str) {
        if beside.len() < keep.min.max(1) as usize {
            self.breach(3, format!("{id} is deregistered, and {series} keeps {} good ones", beside.len()));
        }
        // Another copy of the same recovery point stands for it.
        let newer = beside.iter().filter(|other| **other >= due).count();
        if newer < keep.last as usize {
            self.breach(3, format!("{id} is deregistered, {newer} of {series} are newer: last {} of {by}", keep.last));
        }
        let newest = beside.first().copied().unwrap_or(due).max(due);
        if let Some(within) = keep.within
            && newest - due < TimeDelta::seconds(i64::try_from(within).expect("small"))
        {
            self.breach(3, format!("{id} of {series} is deregistered, within {within} s of the newest, by {by}"));
        }
        let day = due.date_naive();
        let newer_days: BTreeSet<_> = beside.iter().map(DateTime::date_naive).filter(|d| *d > day).collect();
        let last_of_day = !beside.iter().any(|other| other.date_naive() == day && *other > due);
        if last_of_day && newer_days.len() < keep.daily as usize {
            self.breach(
                3,
                format!("{id} of {series} is deregistered, the last of {day}: daily {} of {by}", keep.daily),
            );
        }
    }

    /// DeregisterImage took effect.
    pub fn removed(&self, world: &World, id: &str, known: &Known) {
        self.figures.borrow_mut().deletions += 1;
        self.removed.borrow_mut().insert(id.to_owned());
        self.strangers_stay(world, id);
        let Some(image) = world.images.get(id).filter(|i| !truth::is_via(world, i)) else { return };
        let key = truth::made_by_us(image).or_else(|| truth::copied_by_us(image));
        if image.odd.is_some() {
            self.breach(3, format!("{id} is deregistered, and cannot be understood"));
        }
        let (Some((run, plan)), Some(key)) = (&known.run, key) else { return };
        let mut deletions = self.deletions.borrow_mut();
        let series = truth::series_of(image, &key);
        let times = deletions.entry((run.clone(), series.clone())).or_default();
        *times += 1;
        if *times > lending::keep_of(world, plan, image).max_deletions && !self.forgot() {
            self.breach(3, format!("{run} deleted {times} images of {series}"));
        }
    }

    /// Makes a snapshot of somebody else that this image of ours names.
    pub fn strange(&self, world: &mut World, image: &str, place: &Place, now: DateTime<Utc>) -> String {
        let id = format!("snap-{:017x}", 0xfff_0000 + self.strangers.borrow().len());
        let theirs = SimSnapshot {
            id: id.clone(),
            place: place.clone(),
            tags: [("Owner".to_owned(), "somebody".to_owned())].into(),
            volume: "vol-0123456789abcdef0".into(),
            size: 8,
            description: "the only backup of the books".into(),
            created: now,
            started: None,
            visible: now,
            ready: now,
            fails: false,
            users: [image.to_owned()].into(),
            key: None,
            lent: BTreeSet::new(),
        };
        world.snapshots.insert(id.clone(), theirs);
        let image = world.images.get_mut(image).expect("it is there");
        image.mappings.push(("/dev/sdz".into(), id.clone(), 8));
        self.strangers.borrow_mut().insert(id.clone());
        id
    }

    /// Whether the journal has forgotten what it was told.
    pub fn forgot(&self) -> bool {
        self.lied.get() || self.restored.get()
    }

    /// Whether it is somebody else's.
    pub fn is_strange(&self, id: &str) -> bool {
        self.strangers.borrow().contains(id)
    }

    /// An image of ours has gone: what it named of somebody else's has not.
    fn strangers_stay(&self, world: &World, image: &str) {
        let Some(image) = world.images.get(image) else { return };
        let strangers = self.strangers.borrow();
        let lost = image.snapshots().find(|id| strangers.contains(*id) && !world.snapshots.contains_key(*id));
        if let Some(lost) = lost {
            self.breach(3, format!("{lost} of somebody else went with {}, which named it", image.id));
        }
    }

    /// DeleteSnapshot is sent.
    pub async fn deletes(&self, world: &std::sync::Mutex<World>, journal: &Mortal, place: &Place, id: &str) {
        if self.strangers.borrow().contains(id) {
            self.breach(3, format!("DeleteSnapshot of {id}, which is somebody else's"));
        }
        let images: Vec<_> = {
            let world = world.lock().expect("whole");
            let of_it = |i: &stillframe::sim::image::SimImage| {
                let made = truth::made_by_us(i).is_some() || truth::copied_by_us(i).is_some();
                made && !i.registered() && i.snapshots().any(|s| s == id)
            };
            world.images.values().filter(|i| of_it(i)).map(|i| i.id.clone()).collect()
        };
        for image in &images {
            let events = journal.rows().events_about(&place.subject(image)).await.expect("readable");
            if events.iter().any(|e| e.draft.kind == Kind::StepIntent && e.draft.step == "retain") {
                return;
            }
        }
        self.breach(3, format!("DeleteSnapshot of {id}, which is no snapshot of an image that we decided to remove"));
    }
}

/// Whether it is well, whatever its status checks have noticed, or it can never be back.
fn healthy(world: &World, id: &str, now: DateTime<Utc>) -> bool {
    world.instances.get(id).is_none_or(|i| {
        i.condition(now) == ("ok", "ok")
            || matches!(i.state(now), InstanceState::ShuttingDown | InstanceState::Terminated)
    })
}
