//! Carries a plot out, and says which promises were broken on the way and at rest.

mod afar;

use std::rc::Rc;
use std::time::Duration;

use crate::support::rows::Event;
use chrono::TimeDelta;
use serde_json::json;
use stillframe::domain::event::{Decision, Trigger, gone};
use stillframe::domain::fact::{Kind, Scope};
use stillframe::domain::machine::OwnMachine;
use stillframe::domain::naming::{Marks, Role, image_name, parse_run_name};
use stillframe::domain::observed::InstanceState;
use stillframe::domain::plan::Plan;
use stillframe::domain::schedule::{ON_TIME, Timetable};
use stillframe::sim::action::{Action, TagSpec};
use stillframe::sim::image::{Odd, SimImage};
use tokio::sync::Notify;

use super::copies;
use super::figures::Figures;
use super::journal::Death;
use super::plot::{Home, Move, Oddity, Plot};
use super::promises::{self, Broken};
use super::record::Record;
use super::rig::{BASE, DAEMON, Rig, at, secs};
use super::truth;
use super::watch::Breach;

/// The daemon is woken this long before what is due.
const BEFORE_DUE: TimeDelta = TimeDelta::seconds(15);
/// At rest everything must have ended after so many stretches, of which each later one is followed by an hour's sleep.
const STRETCHES: u32 = 40;
const STRETCH: u64 = 600;

/// What came of a life.
pub struct Lived {
    pub broken: Vec<Breach>,
    pub figures: Figures,
    pub trace: String,
    pub record: Record,
}

/// A life that goes on.
struct Scene<'a> {
    plot: &'a Plot,
    rig: Rig,
    /// What came due was decided without exception: nothing was lost, no clock was wrong, no plan changed.
    complete: bool,
    /// Every plan in force ran once more after all trouble.
    rested: bool,
    /// Where it is cut off, if it is.
    cut: Option<CutAt>,
    is_cut: Rc<Notify>,
}

/// The so-manieth journal of a life, the number of a write of it, and on which side of that the life ends.
pub type CutAt = (usize, u32, Death);

/// Lives it; with its trace, if that is wanted.
pub async fn live(plot: &Plot, traced: bool) -> Lived {
    let mut scene = Scene::new(plot, traced, None);
    scene.play().await;
    scene.end().await
}

/// Lives it until it is cut off there, or to its end; what is left of it.
pub async fn live_until(plot: &Plot, cut: CutAt) -> Rig {
    let mut scene = Scene::new(plot, false, Some(cut));
    let is_cut = Rc::clone(&scene.is_cut);
    tokio::select! {
        biased;
        () = is_cut.notified() => {}
        () = scene.play() => {}
    }
    scene.rig.crash();
    scene.rig
}

/// Goes on in a world without further trouble, until all is at rest.
pub async fn rest_in(rig: Rig, plot: &Plot) -> Rig {
    let mut scene = Scene { plot, rig, complete: false, rested: false, cut: None, is_cut: Rc::default() };
    scene.rig.start();
    scene.rest().await;
    scene.rig.stop().await;
    scene.rig
}

impl<'a> Scene<'a> {
    fn new(plot: &'a Plot, traced: bool, cut: Option<CutAt>) -> Self {
        let mut rig = Rig::of(&plot.fleet, plot.plans.clone());
        fastrand::seed(plot.seed);
        rig.tick = secs(plot.tick);
        rig.own_clock = Some(rig.clock.movable());
        rig.clock_told = true;
        if plot.afar {
            rig.roles = vec![copies::role(copies::DR)];
        }
        rig.lags = plot.lags;
        rig.watch.beyond.set(plot.beyond);
        rig.visible_within = secs(180); // a plot lags by two minutes at most
        // What DeregisterImage says of the snapshots is checked, not believed.
        rig.script.leaves_snapshots.set(plot.seed.is_multiple_of(3));
        if traced {
            rig.watch.traces();
        }
        let mut scene = Self { plot, rig, complete: true, rested: false, cut, is_cut: Rc::default() };
        scene.begins_journal();
        match plot.home {
            Home::Elsewhere => {}
            Home::Known(nth) => scene.rig.own_machine = OwnMachine::Instance(scene.instance(nth)),
            Home::Unknown(nth) => {
                scene.rig.watch.lives_on(&scene.instance(nth));
                scene.rig.own_machine = OwnMachine::Unknown("nobody answers".into());
            }
        }
        scene
    }

    /// The so-manieth instance of the fleet.
    fn instance(&self, nth: usize) -> String {
        let members = &self.plot.fleet.instances;
        let member = members.get(nth.checked_rem(members.len()).unwrap_or(0));
        member.and_then(|m| m.id.clone()).unwrap_or_default()
    }

    /// Time passes; a process that dies is started again. Whether none did.
    async fn pass(&mut self, how_long: Duration) -> bool {
        let deaths = self.rig.run_through(how_long, secs(self.plot.down)).await;
        self.rig.watch.figures.borrow_mut().crashes += u64::from(deaths);
        deaths == 0
    }

    /// A process is started after `away`.
    async fn start_after(&mut self, away: u64) {
        self.rig.clock.sleep(secs(away)).await;
        self.rig.watch.figures.borrow_mut().restarts += 1;
        self.rig.start();
    }

    fn crash(&mut self) {
        self.rig.crash();
        self.rig.watch.figures.borrow_mut().crashes += 1;
    }

    /// The moves, and what follows them.
    async fn play(&mut self) {
        self.rig.start();
        let begun = self.rig.clock.instant();
        let plot = self.plot;
        for (second, what) in plot.moves.iter().map(|(at, what)| (*at, Some(what))).chain([(plot.end, None)]) {
            let left = secs(second).saturating_sub(begun.elapsed());
            self.pass(left).await;
            if self.rig.watch.is_broken() {
                return;
            }
            if let Some(what) = what {
                self.rig.watch.note(|| format!("MOVE {what}"));
                if self.carry_out(what).await {
                    *self.rig.watch.figures.borrow_mut().moves.entry(what.name()).or_default() += 1;
                }
            }
        }
        self.rest().await;
    }

    /// Whether it happened.
    async fn carry_out(&mut self, what: &Move) -> bool {
        let down = self.plot.down;
        match what {
            Move::Weather(weather) => self.rig.script.sky.add(weather, self.rig.clock.instant()),
            Move::DiesAt { writes, before } => {
                let number = self.rig.journal.written() + writes;
                self.rig.journal.dies(if *before { Death::Before(number) } else { Death::After(number) });
            }
            Move::DiesAtRemoval => self.rig.script.dies_at_removal.set(true),
            Move::Killed => {
                self.crash();
                self.start_after(down).await;
            }
            Move::Stopped { away } => {
                self.rig.stop().await;
                self.start_after(*away).await;
            }
            Move::DiskFull { after } => self.rig.journal.fails_from(self.rig.journal.written() + after + 1),
            Move::DiskFreed => self.rig.journal.recovers(),
            Move::JournalLost { stopped } => {
                if *stopped {
                    self.rig.stop().await;
                }
                self.lose(false);
                self.start_after(down).await;
            }
            Move::StateLost => {
                self.lose(true);
                self.start_after(down).await;
            }
            Move::TakenOver => {
                self.rig.stop().await;
                self.rig.taken_over_at = Some(self.rig.own_now());
                self.rig.takes_over = true;
                self.rig.watch.duty.taken_over.set(self.rig.taken_over_at);
                self.complete = false;
                self.start_after(down).await;
            }
            Move::DiskLied { lost } => {
                let Some(earlier) = self.rig.journal.forgets(*lost).await else { return false };
                self.crash();
                self.rig.watch.lied.set(true);
                self.rig.watch.forgets();
                self.complete = false;
                self.rig.replace_journal(earlier);
                self.begins_journal();
                self.start_after(down).await;
            }
            Move::Restored { lost } => {
                let Some(earlier) = self.rig.journal.forgets(*lost).await else { return false };
                self.crash();
                self.rig.watch.figures.borrow_mut().losses += 1;
                self.rig.watch.lost(&self.rig.world(), &self.rig.plans);
                self.complete = false;
                self.rig.replace_journal(earlier);
                self.rig.lost = Some(self.rig.clock.now());
                self.rig.watch.restored.set(true);
                self.begins_journal();
                self.start_after(down).await;
            }
            Move::Reloaded(plans) => return self.reload(plans).await,
            Move::BadFile => return self.bad_file().await,
            Move::Asked { plan, instance } => return self.ask(*plan, *instance),
            Move::ClockSet(by) => {
                self.complete = false;
                self.rig.watch.misled.set(true);
                self.rig.watch.duty.clock_moved(self.rig.clock.instant());
                self.own_clock().move_by(TimeDelta::seconds(*by));
            }
            Move::ClockRight => self.set_clock_right(),
            Move::Slept(by) => self.rig.sleep(TimeDelta::seconds(*by)),
            Move::Night { stopped } => return self.night(*stopped).await,
            Move::Twin => self.rig.start_beside(),
            Move::OtherInstallation { instance } => return self.other_installation(*instance),
            Move::FoundHome => {
                let nth = match self.plot.home {
                    Home::Elsewhere => return false,
                    Home::Known(nth) | Home::Unknown(nth) => nth,
                };
                let own = OwnMachine::Instance(self.instance(nth));
                self.rig.watch.knows_machine(&own);
                *self.rig.shared().own_machine.borrow_mut() = own.clone();
                self.rig.own_machine = own;
            }
            Move::Key { nth, enabled } => return self.set_key(*nth, *enabled),
            Move::Role { denied } => return self.set_role(*denied),
            Move::Odd { nth, what } => return self.odd(*nth, *what),
            Move::Plain => self.plain(),
            Move::Omits { api, lasts } => {
                let until = self.rig.clock.now() + TimeDelta::seconds(i64::try_from(*lasts).expect("short"));
                self.rig.world().omits.insert((*api).to_owned(), until);
            }
            Move::Unnamed { nth } => {
                let id = self.instance(*nth);
                let mut world = self.rig.world();
                let Some(instance) = world.instances.get_mut(&id) else { return false };
                // Every second time, of what they were made from.
                (instance.traits.image_unnamed, instance.traits.image_sourceless) =
                    if nth.is_multiple_of(2) { (true, None) } else { (false, Some(false)) };
            }
            Move::Forged { nth } => return self.forge(*nth),
            Move::NewestRemoved => return self.remove_newest(),
            Move::Deed(deed) => return deed.carry_out(&mut self.rig),
            Move::Planted if self.rig.watch.figures.borrow().restarts == 0 => return false,
            Move::Planted => self.rig.watch.breach(9, "planted".into()),
        }
        true
    }

    fn lose(&mut self, state: bool) {
        self.complete = false;
        self.rig.watch.figures.borrow_mut().losses += 1;
        if state {
            self.rig.lose_state()
        } else {
            self.rig.lose_journal()
        }
        self.begins_journal();
    }

    /// What is asked of each new journal.
    fn begins_journal(&self) {
        if self.cut.is_some()
            || self.plot.moves.iter().any(|(_, what)| matches!(what, Move::DiskLied { .. } | Move::Restored { .. }))
        {
            self.rig.journal.remembers();
        }
        let Some((_, number, death)) = self.cut.filter(|(nth, ..)| *nth == self.rig.journals_before.len()) else {
            return;
        };
        let is_cut = Rc::clone(&self.is_cut);
        self.rig.journal.cuts(Box::new(move |at, _| {
            (at == number).then(|| {
                is_cut.notify_one();
                death
            })
        }));
    }

    fn own_clock(&self) -> stillframe::clock::Clock {
        self.rig.own_clock.expect("lives have one")
    }

    fn set_clock_right(&self) {
        if self.rig.own_now() != self.rig.clock.now() {
            self.rig.watch.duty.clock_moved(self.rig.clock.instant());
        }
        self.own_clock().move_by(self.rig.clock.now() - self.rig.own_now());
    }

    async fn reload(&mut self, plans: &[Plan]) -> bool {
        self.complete = false;
        let applied = self.rig.try_reload(Ok(plans.to_vec())).await;
        self.after_reload(applied.is_none()).await;
        applied.is_some()
    }

    /// The plans in force are the same after a refusal.
    async fn bad_file(&mut self) -> bool {
        let in_force =
            |rig: &Rig| -> Vec<Plan> { rig.shared().plans.borrow().values().map(|p| (**p).clone()).collect() };
        let mut before = in_force(&self.rig);
        if before.is_empty() {
            before.clone_from(&self.rig.plans); // it has just begun
            before.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let refused = self.rig.try_reload(Err("web.toml:1:1: it is wrong".into())).await;
        if refused.as_ref().is_some_and(Result::is_ok) {
            self.rig.watch.breach(7, "a configuration that is wrong came into force".into());
        }
        if refused.is_some() && in_force(&self.rig) != before {
            self.rig.watch.breach(7, "a refused configuration changed the plans in force".into());
        }
        self.after_reload(refused.is_none()).await;
        refused.is_some()
    }

    async fn after_reload(&mut self, died: bool) {
        {
            let mut figures = self.rig.watch.figures.borrow_mut();
            figures.reloads += 1;
            figures.crashes += u64::from(died);
        }
        if died {
            self.start_after(self.plot.down).await;
        }
    }

    fn ask(&mut self, plan: usize, instance: Option<usize>) -> bool {
        let Some(plan) = self.plot.plans.get(plan).or(self.plot.plans.first()) else { return false };
        let mut data = json!({ "plan": plan.name });
        if let Some(nth) = instance {
            data["instance"] = json!(self.instance(nth));
        }
        self.rig.journal.ask(self.rig.own_now(), &data).is_ok()
    }

    /// The next instant at which a plan is due.
    fn next_due(&self) -> Option<TimeDelta> {
        let now = self.rig.clock.now();
        let next = |plan: &Plan| Timetable::new(&plan.schedule).ok()?.next_after(now + BEFORE_DUE);
        Some(self.rig.plans.iter().filter_map(next).min()? - now - BEFORE_DUE)
    }

    async fn night(&mut self, stopped: bool) -> bool {
        let Some(left) = self.next_due() else { return false };
        if stopped {
            self.rig.stop().await;
        }
        self.rig.sleep(left);
        if stopped {
            self.start_after(0).await;
        }
        true
    }

    fn other_installation(&self, nth: usize) -> bool {
        let Some(plan) = self.plot.plans.first() else { return false };
        let (instance, now) = (self.instance(nth), self.rig.clock.now());
        let Some(place) = self.rig.world().instances.get(&instance).map(|i| i.place.clone()) else { return false };
        let due = now - TimeDelta::nanoseconds(i64::from(now.timestamp_subsec_nanos()));
        let marks = Marks {
            daemon: DAEMON.into(),
            installation: "33333333-3333-4333-8333-333333333333".into(),
            plan: plan.name.clone(),
            due,
            instance: instance.clone(),
            role: Role::Image,
            source: None,
            consistency: "none".into(),
        };
        let tags: Vec<(String, String)> = marks.tags(&plan.tags).into_iter().collect();
        let action = Action::CreateImage {
            name: image_name(DAEMON, &plan.name, &instance, due),
            instance,
            description: None,
            no_reboot: Some(true),
            tags: ["image", "snapshot"].map(|of| TagSpec { resource: of.into(), tags: tags.clone() }).into(),
        };
        self.rig.act_in(&place.region, &action).is_ok()
    }

    /// The trouble is over: what was begun ends, who is down is alarmed, and then healed.
    async fn rest(&mut self) {
        self.rig.watch.note(|| "REST".into());
        self.rig.script.sky.clear();
        self.rig.journal.recovers();
        self.set_clock_right();
        self.set_all_right();
        self.settle(true).await;
        self.alarmed().await;
        self.heal();
        self.settle(false).await;
        if (self.plot.encore || self.plot.afar) && self.night(false).await {
            self.settle(false).await;
        }
        if self.plot.afar {
            self.run_all_once_more().await;
        }
    }

    fn odd(&self, nth: usize, what: Oddity) -> bool {
        let id = self.instance(nth);
        let mut world = self.rig.world();
        let odd = match what {
            Oddity::Instance => {
                let Some(instance) = world.instances.get_mut(&id) else { return false };
                instance.traits.state_word = Some("hibernating".into());
                return true;
            }
            Oddity::ImageState => Odd::State("replicating".into()),
            Oddity::Undated => Odd::Undated,
        };
        let mut ours: Vec<_> = world.images.values().filter(|i| i.registered() && truth::ours(i).is_some()).collect();
        ours.sort_by_key(|image| std::cmp::Reverse(image.created));
        let Some(image) = ours.get(nth).map(|image| image.id.clone()) else { return false };
        world.images.get_mut(&image).expect("there").odd = Some(odd);
        true
    }

    /// A person deregisters the newest of our images by hand.
    fn remove_newest(&self) -> bool {
        let newest = {
            let world = self.rig.world();
            let ours = world.images.values().filter(|i| i.registered() && truth::ours(i).is_some());
            ours.max_by_key(|image| (image.created, image.id.clone())).map(|i| (i.id.clone(), i.place.region.clone()))
        };
        let Some((image, region)) = newest else { return false };
        self.rig.watch.note(|| format!("person: deregister {image}, the newest of ours"));
        self.rig.act_in(&region, &Action::DeregisterImage { image, delete_snapshots: None }).is_ok()
    }

    /// Puts somebody else's snapshot into the mapping of one of our images.
    fn forge(&self, nth: usize) -> bool {
        let mut world = self.rig.world();
        let ours: Vec<_> = world.images.values().filter(|i| i.registered() && truth::ours(i).is_some()).collect();
        let Some(image) = ours.get(nth % ours.len().max(1)).map(|i| (i.id.clone(), i.place.clone())) else {
            return false;
        };
        let id = self.rig.watch.strange(&mut world, &image.0, &image.1, self.rig.clock.now());
        self.rig.watch.note(|| format!("person: {} names {id}, which is somebody else's", image.0));
        true
    }

    fn plain(&self) {
        let mut world = self.rig.world();
        world.instances.values_mut().for_each(|instance| instance.traits.state_word = None);
        world.images.values_mut().filter(|image| image.odd.is_some()).for_each(|image| image.odd = None);
    }

    fn heal(&mut self) {
        self.plain();
        let now = self.rig.clock.now();
        let ids: Vec<String> =
            self.rig.world().instances.values().filter(|i| !gone(i.state(now))).map(|i| i.id.clone()).collect();
        for id in ids {
            self.rig.heal(&id);
        }
    }

    /// Waits until nothing is open; with `alarmed`, a slot that a person was called for may be.
    async fn settle(&mut self, alarmed: bool) {
        for stretch in 0..STRETCHES {
            for _ in 0..STRETCH / 60 {
                // A process that has just begun has decided nothing yet.
                let lived = self.pass(secs(60)).await;
                if self.rig.watch.is_broken() || lived && self.quiet(alarmed).await {
                    return;
                }
            }
            if stretch >= 4 {
                self.rig.sleep(TimeDelta::hours(1)); // images that take hours
            }
        }
        self.rig.watch.breach(5, "it does not come to rest: a run, or a slot, stays open".into());
    }

    async fn quiet(&self, alarmed: bool) -> bool {
        let reader = self.rig.journal.rows();
        if !reader.unfinished().await.expect("readable").is_empty()
            || !reader.open_requests().await.expect("readable").is_empty()
            || self.rig.shared().unproven.borrow().holds_all()
        {
            return false;
        }
        let open = reader.open_slots().await.expect("readable");
        let called = if alarmed { reader.open_needs("return").await.expect("readable") } else { Vec::new() };
        let now = self.rig.clock.now();
        let world = self.rig.world();
        open.iter().all(|slot| {
            let Some(subject) = &slot.draft.subject else { return true };
            let person = called.iter().any(|e| e.draft.subject.as_ref() == Some(subject));
            // Who was stopped by a person stays down.
            let stopped = world.instances.get(&subject.id).is_some_and(|i| i.state(now) == InstanceState::Stopped);
            person || (stopped && !alarmed)
        })
    }

    /// Whoever is down because of us has called a person.
    async fn alarmed(&self) {
        let reader = self.rig.journal.rows();
        let open = reader.open_slots().await.expect("readable");
        let called = reader.open_needs("return").await.expect("readable");
        for slot in open {
            let subject = slot.draft.subject.as_ref();
            if !called.iter().any(|e| e.draft.subject.as_ref() == subject) && !self.rig.watch.is_broken() {
                let id = subject.map_or("", |s| &s.id);
                self.rig.watch.breach(2, format!("{id} is down since {}, and nobody was called", slot.at));
            }
        }
    }

    async fn end(mut self) -> Lived {
        self.rig.stop().await;
        let rig = &self.rig;
        if !rig.watch.is_broken() {
            let mut broken = Broken(Vec::new());
            promises::recorded(rig, &mut broken).await;
            promises::slots(rig, rig.clock.now(), &mut broken).await;
            self.running(&mut broken);
            self.orphans(&mut broken).await;
            self.decided(&mut broken).await;
            self.told(&mut broken).await;
            self.done(&mut broken);
            self.in_time(&mut broken).await;
            self.chosen(&mut broken).await;
            self.there(&mut broken);
            self.lent(&mut broken);
            self.copied(&mut broken).await;
            promises::reboots(&rig.world(), &mut broken);
            for Breach { promise, what } in broken.0 {
                rig.watch.breach(promise, what);
            }
        }
        let mut figures = rig.watch.figures.borrow().clone();
        figures.seeds = 1;
        figures.seconds = u64::try_from((rig.clock.now() - at(BASE)).num_seconds()).unwrap_or(0);
        for occurrence in rig.journal.rows().occurrences(None, u32::MAX).await.expect("readable") {
            *figures.occurrences.entry(occurrence.decision.as_str().to_owned()).or_default() += 1;
        }
        for event in rig.told(&Kind::TargetFinished) {
            *figures.targets.entry(event.text("outcome").unwrap_or("?").to_owned()).or_default() += 1;
        }
        Lived { broken: rig.watch.broken(), figures, trace: rig.watch.trace(), record: Record::of(rig, self.plot.seed) }
    }

    /// Nobody stays stopped but by a person.
    fn running(&self, broken: &mut Broken) {
        let now = self.rig.clock.now();
        let stops = self.rig.watch.figures.borrow().people.contains_key("stop an instance");
        for member in self.plot.fleet.instances.iter().filter(|m| m.state == InstanceState::Running) {
            let id = member.id.clone().unwrap_or_default();
            let world = self.rig.world();
            let Some(instance) = world.instances.get(&id) else { continue };
            let state = instance.state(now);
            if state != InstanceState::Running && !gone(state) && !stops {
                broken.push(2, format!("{id} is {} and nobody stopped it", state.as_str()));
            }
        }
    }

    /// No snapshot of an image that we removed is left, unless somebody was called for it or nothing tells of it.
    async fn orphans(&self, broken: &mut Broken) {
        let called = self.rig.journal.rows().open_needs("retain").await.expect("readable");
        if self.rig.watch.lied.get() || self.rig.watch.figures.borrow().losses > 0 {
            return;
        }
        let world = self.rig.world();
        let removed = self.rig.watch.removed.borrow();
        for image in removed.iter().filter_map(|id| world.images.get(id)) {
            for id in image.snapshots() {
                let strange = self.rig.watch.is_strange(id);
                let orphan = !strange && world.snapshots.get(id).is_some_and(|s| s.users.is_empty());
                if orphan && !called.iter().any(|e| e.draft.subject.as_ref().is_some_and(|s| s.id == id)) {
                    broken.push(4, format!("{id} of {} is orphaned", image.id));
                }
            }
        }
    }

    /// What came due was decided, once each: nothing is silently left out.
    async fn decided(&self, broken: &mut Broken) {
        if !self.complete {
            return;
        }
        let reader = self.rig.journal.rows();
        let until = self.rig.clock.now() - TimeDelta::minutes(2);
        for plan in &self.plot.plans {
            let timetable = Timetable::new(&plan.schedule).expect("a plan's");
            let seen = reader.newest_in(&Scope::Plan(plan.name.clone()), &Kind::PlanFirstSeen).await.expect("readable");
            let Some(seen) = seen else {
                broken.push(5, format!("the first sight of {} is not on record", plan.name));
                continue;
            };
            for due in timetable.between(seen.at, until) {
                if reader.occurrence(&plan.name, due).await.expect("readable").is_none() {
                    broken.push(5, format!("{} was due at {due}, and nothing was decided", plan.name));
                }
            }
        }
    }

    /// What ended well has an image that is available.
    fn done(&self, broken: &mut Broken) {
        let world = self.rig.world();
        let done = self.rig.told(&Kind::TargetFinished).into_iter().filter(|e| e.text("outcome") == Some("done"));
        for event in done.filter(|_| !self.rig.watch.misled.get()) {
            let Some(image) = event.text("image").and_then(|id| world.images.get(id)) else { continue };
            // The journal keeps milliseconds.
            if image.fails || image.ready > event.at + TimeDelta::seconds(1) {
                broken.push(5, format!("{} is told to be done at {}, and was not available", image.name, event.at));
            }
        }
    }

    /// Each instance that a plan means is told of in each of its runs, unless the run says what went wrong.
    async fn chosen(&self, broken: &mut Broken) {
        let watch = &self.rig.watch;
        if watch.misled.get() || watch.lied.get() || watch.figures.borrow().losses > 0 {
            return;
        }
        let now = self.rig.clock.now();
        let reader = self.rig.journal.rows();
        for row in reader.occurrences(None, u32::MAX).await.expect("readable") {
            let run = row.decision == Decision::Run && row.trigger == Trigger::Schedule;
            let Some(text) = reader.revision(&row.plan_hash).await.expect("readable").filter(|_| run) else { continue };
            let plan: Plan = serde_json::from_str(&text).expect("a plan");
            let events = reader.events_of(&row.run()).await.expect("readable");
            let whole = |kind: Kind| events.iter().any(|e| e.draft.subject.is_none() && e.draft.kind == kind);
            if !whole(Kind::TargetSelected) || whole(Kind::StepRefused) {
                continue;
            }
            let world = self.rig.world();
            let fleet = self.plot.fleet.instances.iter().filter_map(|m| world.instances.get(m.id.as_ref()?));
            let meant = fleet.filter(|i| !gone(i.state(now)) && plan.select.regions.contains(&i.place.region));
            for instance in meant {
                let told = |e: &Event| e.draft.subject.as_ref().is_some_and(|s| s.id == instance.id);
                if !events.iter().any(told) {
                    broken.push(5, format!("{} says nothing of {}", row.run(), instance.id));
                }
            }
        }
    }

    /// What is told to have failed, or to be skipped, has left no image that was there to be seen.
    fn there(&self, broken: &mut Broken) {
        let watch = &self.rig.watch;
        if watch.misled.get() || watch.lied.get() || watch.figures.borrow().losses > 0 {
            return;
        }
        let world = self.rig.world();
        for event in self.rig.told(&Kind::TargetFinished) {
            let ended = event.text("outcome") != Some("done")
                // What could not be read for an hour is told so, whatever it becomes.
                && event.text("reason").is_some_and(|why| why.starts_with("image:") && !why.contains("cannot be judged"));
            let (Some((plan, due)), Some(subject), true) =
                (parse_run_name(&event.draft.run), &event.draft.subject, ended)
            else {
                continue;
            };
            let name = truth::name_of(&(plan.to_owned(), subject.id.clone(), due));
            let seen = |i: &SimImage| {
                let known = event.text("image").is_some() || i.visible < event.at - TimeDelta::minutes(2);
                i.name == name && i.registered() && truth::ours(i).is_some() && !i.fails && known
            };
            if let Some(image) = world.images.values().find(|i| seen(i)) {
                broken.push(
                    5,
                    format!("{} of {name} is there, and it is told to be {:?}", image.id, event.text("outcome")),
                );
            }
        }
    }

    /// Only what is late by no more than `catch_up` is run; the rest is missed.
    async fn in_time(&self, broken: &mut Broken) {
        let watch = &self.rig.watch;
        if watch.misled.get() || watch.lied.get() || watch.figures.borrow().losses > 0 {
            return;
        }
        let reader = self.rig.journal.rows();
        for row in reader.occurrences(None, u32::MAX).await.expect("readable") {
            let run = row.decision == Decision::Run && row.trigger == Trigger::Schedule;
            let Some(text) = reader.revision(&row.plan_hash).await.expect("readable").filter(|_| run) else { continue };
            let plan: Plan = serde_json::from_str(&text).expect("a plan");
            let allowed = i64::try_from(plan.schedule.catch_up.unwrap_or(0).max(ON_TIME)).expect("small");
            let late = (row.decided_at - row.due).num_seconds();
            if late > allowed {
                broken.push(5, format!("{} was begun {late} s late, of which {allowed} s are allowed", row.run()));
            }
        }
    }

    /// A failure that is on record was told, but where the process died of it.
    async fn told(&self, broken: &mut Broken) {
        let reader = self.rig.journal.rows();
        let stored = reader.events_of_kind(Kind::TargetFinished.as_str()).await.expect("readable");
        let told = self.rig.told(&Kind::TargetFinished);
        let heard = |e: &crate::support::rows::Event| {
            told.iter().any(|t| t.draft.run == e.draft.run && t.draft.subject == e.draft.subject)
        };
        let failed = stored
            .iter()
            .filter(|e| e.text("outcome") == Some("failed") && e.draft.data.get("alarmed") != Some(&json!(true)));
        let silent = failed.filter(|e| !heard(e)).count() as u64;
        let crashes = self.rig.watch.figures.borrow().crashes;
        if silent > crashes {
            broken.push(5, format!("{silent} failures were told to nobody, after {crashes} crashes"));
        }
    }
}
