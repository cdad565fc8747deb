//! What the watch holds of the design's duties beyond single effects: how an unanswered call is sent again, who halts,
//! who slept, whose clock was moved, and who else works under our name.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::rows::Event;
use chrono::{DateTime, TimeDelta, Utc};
use stillframe::cloud::port::CreateImage;
use stillframe::domain::fact::Kind;
use stillframe::domain::naming::parse_run_name;
use stillframe::domain::observed::InstanceState;
use stillframe::domain::place::{Place, Subject};
use stillframe::domain::plan::{Mode, OnUnhealthy, Plan};
use stillframe::sim::World;
use stillframe::sim::instance::SimInstance;
use tokio::time::Instant;

use super::truth;

/// An unanswered CreateImage is sent again no sooner than this.
const RESENT_AFTER: Duration = Duration::from_secs(600);
/// What was begun before may wait so long for its turn.
const TURN: Duration = Duration::from_secs(90);
/// A clock that is further off than this decides nothing (five minutes, and what the measurement takes).
const CLOCK_OFF: TimeDelta = TimeDelta::minutes(6);
/// And it was noticed after so long.
const CLOCK_NOTICED: Duration = Duration::from_secs(120);
/// A run lies still for so long at the least without being late.
const STILL: u64 = 60;

/// What the journal knows of the run of a call.
pub struct Of<'a> {
    pub plan: &'a Plan,
    pub decided: DateTime<Utc>,
    /// When its targets were chosen.
    pub selected: Option<DateTime<Utc>>,
}

/// What must be remembered to hold the engine to them.
#[derive(Default)]
pub struct Duty {
    /// Calls of CreateImage without an answer, by name.
    open: RefCell<BTreeMap<String, Instant>>,
    /// Runs whose plan halts, each with the instance for which it does, and since when.
    halted: RefCell<BTreeMap<(String, String), Instant>>,
    /// When the daemon's own clock was moved last.
    moved: Cell<Option<Instant>>,
    /// How long the machine slept, from when of the daemon's clock on.
    slept: RefCell<Vec<(Instant, DateTime<Utc>, TimeDelta)>>,
    /// The targets of each run that have not ended, once they are all known.
    targets: RefCell<BTreeMap<String, BTreeSet<Subject>>>,
    /// When the last one that has ended did.
    ended: RefCell<BTreeMap<String, Instant>>,
    /// Up to when another installation's images are no alarm.
    pub taken_over: Cell<Option<DateTime<Utc>>>,
}

impl Duty {
    /// Somebody set the daemon's clock: what it read before cannot be compared with what it reads now.
    pub fn clock_moved(&self, now: Instant) {
        self.slept.borrow_mut().clear();
        self.moved.set(Some(now));
    }

    /// The machine slept.
    pub fn slept(&self, now: Instant, own: DateTime<Utc>, by: TimeDelta) {
        self.slept.borrow_mut().push((now, own, by));
    }

    /// The journal is gone, and with it what it said.
    pub fn forgets(&self) {
        self.open.borrow_mut().clear();
        self.targets.borrow_mut().clear();
        self.ended.borrow_mut().clear();
        self.halted.borrow_mut().clear();
    }

    /// CreateImage was answered for certain.
    pub fn answered(&self, name: &str) {
        self.open.borrow_mut().remove(name);
    }

    /// An event was told, of a run that was decided then; what is wrong with it.
    pub fn hear(&self, event: &Event, now: Instant, decided: Option<Instant>) -> Option<String> {
        let run = &event.draft.run;
        let Some(subject) = &event.draft.subject else {
            if event.draft.kind == Kind::TargetSelected {
                self.targets.borrow_mut().entry(run.clone()).or_default();
            }
            return (event.draft.kind == Kind::OccurrenceSkipped).then(|| self.held_in_vain(event, decided)).flatten();
        };
        if event.draft.kind == Kind::TargetSelected {
            self.targets.borrow_mut().entry(run.clone()).or_default().insert(subject.clone());
        } else if event.draft.kind == Kind::TargetFinished {
            // What was forgotten with the journal is not known.
            self.targets.borrow_mut().get_mut(run).map(|open| open.remove(subject));
            self.ended.borrow_mut().insert(run.clone(), now);
        }
        let key = (event.draft.run.clone(), subject.id.clone());
        let halts = event.draft.data.get("halts").and_then(serde_json::Value::as_bool) == Some(true);
        match event.draft.kind {
            Kind::StepNeedsPerson if event.draft.step == "return" && halts => {
                self.halted.borrow_mut().insert(key, now);
            }
            Kind::SlotFreed => {
                self.halted.borrow_mut().remove(&key);
            }
            _ => {}
        }
        None
    }

    /// Whether an occurrence is skipped for a run whose targets have all ended: what it still copies holds nothing.
    fn held_in_vain(&self, event: &Event, decided: Option<Instant>) -> Option<String> {
        let (holder, rest) = event.text("reason")?.split_once(' ')?;
        let ended = self.targets.borrow().get(holder).is_some_and(BTreeSet::is_empty);
        // A full disk may keep the event for long.
        let before = |ended: &Instant| decided.is_none_or(|decided| *ended < decided);
        let ended = ended && self.ended.borrow().get(holder).is_none_or(before);
        let held = rest.starts_with("still has targets") && ended;
        held.then(|| format!("{} is skipped for {holder}, whose targets have all ended", event.draft.run))
    }

    /// Whether a plan halts.
    pub fn halts(&self) -> bool {
        !self.halted.borrow().is_empty()
    }

    /// The slots that the journal holds open: of a process that dies right after a write nobody hears what it wrote.
    pub fn open_slots(&self, open: &[Event]) {
        let is_open = |(run, id): &(String, String)| {
            open.iter().any(|e| e.draft.run == *run && e.draft.subject.as_ref().is_some_and(|s| s.id == *id))
        };
        self.halted.borrow_mut().retain(|key, _| is_open(key));
    }

    /// What is wrong with sending this now.
    pub fn sends(&self, request: &CreateImage, of: Option<&Of<'_>>, clocks: Clocks, patience: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        let name = &request.name;
        if let Some(before) = self.open.borrow_mut().insert(name.clone(), clocks.instant) {
            let waited = clocks.instant - before;
            if waited < RESENT_AFTER {
                wrong.push(format!(
                    "CreateImage {name} is sent again {} s after one without an answer",
                    waited.as_secs()
                ));
            }
            if of.is_some_and(|of| !of.plan.consistency.resend_unknown) {
                wrong.push(format!("CreateImage {name} is sent again, and resend_unknown = false"));
            }
        }
        let off = (clocks.own - clocks.world).abs();
        if off > CLOCK_OFF && self.moved.get().is_some_and(|at| clocks.instant - at > CLOCK_NOTICED) {
            wrong.push(format!("CreateImage {name} is sent by a clock that is {} s off", off.num_seconds()));
        }
        if let (Some(of), false) = (of, request.no_reboot) {
            let still = of.plan.schedule.catch_up.unwrap_or(0).max(patience + STILL);
            let still = TimeDelta::seconds(i64::try_from(still).expect("small"));
            let long = |(at, own, by): &&(Instant, DateTime<Utc>, TimeDelta)| {
                of.decided < *own && *by > still && clocks.instant - *at > TURN
            };
            if let Some((_, own, by)) = self.slept.borrow().iter().find(long) {
                wrong.push(format!("{name} reboots after the machine slept for {} s from {own} on", by.num_seconds()));
            }
        }
        wrong
    }

    /// The instance for which the plan of a run halts, if it is not well. One that was rebooted again since is ill by that.
    pub fn halted(&self, world: &World, of: &Of<'_>, now: DateTime<Utc>, instant: Instant) -> Option<String> {
        let plan = of.plan;
        let ill = |id: &str, at: Instant| {
            let since = now - TimeDelta::from_std(instant - at).unwrap_or_default();
            let still = |i: &SimInstance| i.reboots.last().is_none_or(|reboot| *reboot <= since);
            world.instances.get(id).is_some_and(|i| still(i) && i.condition(now) != ("ok", "ok"))
        };
        let halted = self.halted.borrow();
        let of_plan = |run: &str| parse_run_name(run).is_some_and(|(name, _)| name == plan.name);
        let mut of_plan =
            halted.iter().filter(|((run, id), at)| of_plan(run) && ill(id, **at) && instant - **at > TURN);
        let ((_, id), _) = of_plan.next().filter(|_| plan.rollout.on_unhealthy == OnUnhealthy::HaltPlan)?;
        Some(format!("{} reboots, and it halts for {id}", plan.name))
    }

    /// The image of another installation that bars a run which chose its targets after it.
    pub fn barred(&self, world: &World, place: &Place, request: &CreateImage, of: &Of<'_>) -> Option<String> {
        const KEY: &str = "stillframe:installation";
        let (us, selected) = (request.tags.get(KEY)?, of.selected?);
        let made = |theirs: bool| {
            let there = world.images.values().filter(move |i| i.place == *place && i.registered());
            there.filter(move |i| i.tags.get(KEY).is_some_and(|by| (by != us) == theirs))
        };
        let other =
            made(true).filter(|i| truth::ours(i).is_some() && i.visible < selected).max_by_key(|i| i.created)?;
        let last = made(false).filter(|i| i.created <= selected).map(|i| i.created).max().max(self.taken_over.get());
        last.is_none_or(|last| other.created > last).then(|| {
            format!("{} is made although {} is of another installation and newer than our last", request.name, other.id)
        })
    }
}

/// What the clocks read.
#[derive(Clone, Copy)]
pub struct Clocks {
    pub instant: Instant,
    pub world: DateTime<Utc>,
    /// The daemon's.
    pub own: DateTime<Utc>,
}

/// Whether an image is taken of a running instance without the reboot that its plan asks for.
pub fn unrested(world: &World, request: &CreateImage, plan: &Plan, now: DateTime<Utc>) -> bool {
    let running = world.instances.get(&request.instance).is_some_and(|i| i.state(now) == InstanceState::Running);
    request.no_reboot && plan.consistency.mode == Mode::Reboot && running
}
