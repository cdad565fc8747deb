//! Each step twice: whatever part of its effect is there already, and however much of that is journaled, a step brings
//! its effect about once. Run again, with all or any beginning of its journal, it changes nothing in the world.

mod afar;
mod hidden;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::support::rows::{Draft, Event, drafts};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::{Value, json};
use stillframe::clock::Clock;
use stillframe::cloud::governed::Governed;
use stillframe::defect::{self, Defect};
use stillframe::domain::event::{Decision, Occurrence, Trigger};
use stillframe::domain::fact::{self, Fact, Kind, StepId};
use stillframe::domain::machine::OwnMachine;
use stillframe::domain::naming::parse_run_name;
use stillframe::domain::place::{Place, Subject};
use stillframe::domain::rollout::Down;
use stillframe::domain::saga::{RunState, Slot, StepState};
use stillframe::engine::context::{ActiveRun, Context};
use stillframe::engine::drive::executor::{At, Step, drive};
use stillframe::engine::images::removal::{Removal, Remove};
use stillframe::engine::rollout::target::Target;
use stillframe::journal::Journal as _;
use stillframe::journal::sqlite::SqliteJournal;
use stillframe::sim::SimCloud;
use stillframe::sim::action::Action;
use stillframe::sim::faults::{Fault, FaultKind};
use stillframe::sim::world::Caller;

use super::rig::{ACCOUNT, BASE, DAEMON, REGION, at, fleet_with, id, plan};

const IMAGE: &str = "image";
const RETURN: &str = "return";
const RETAIN: &str = "retain";

/// The run of all rows.
const RUN: &str = "web@20260302T015950Z";

/// What of a step's effect is there when it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    /// Nothing of it.
    Nothing,
    /// The intent (and the slot) is journaled; nothing was made.
    Intent,
    /// The intent is journaled, and the effect was made.
    Made,
    /// The effect was made; the journal knows nothing of it.
    MadeUnjournaled,
    /// This happens to the first call.
    Call(FaultKind),
    /// The intent is journaled, the image was made, and somebody took its tags away.
    Untagged,
    /// The intent is journaled, and so many of the image's snapshots are gone; the image is deregistered.
    SnapshotsLeft(usize),
    /// The same with both there, of which another image needs the first.
    SnapshotShared,
    /// A person has put a hold on the image.
    Held,
    /// An instance runs from the image.
    InUse,
    /// AWS denies to delete the snapshots that are left.
    Denied,
    /// Somebody terminated the instance.
    Terminated,
}

/// One row: a step, what the fleet's only instance is like, what is there, and what the world holds in the end:
/// images of ours, reboots, snapshots, and who is down.
struct Row {
    step: &'static str,
    traits: &'static str,
    part: Part,
    end: (usize, usize, usize, usize),
}

const fn row(step: &'static str, traits: &'static str, part: Part, end: (usize, usize, usize, usize)) -> Row {
    Row { step, traits, part, end }
}

const PLAIN: &str = "";
const LAGGING: &str = r#""visibility_lag": 120,"#;

#[rustfmt::skip] // a table
const TABLE: &[Row] = &[
    row(IMAGE, PLAIN, Part::Nothing, (1, 1, 2, 1)),
    row(IMAGE, PLAIN, Part::Intent, (1, 1, 2, 1)),
    row(IMAGE, PLAIN, Part::Made, (1, 1, 2, 1)),
    row(IMAGE, PLAIN, Part::MadeUnjournaled, (1, 1, 2, 1)),
    row(IMAGE, PLAIN, Part::Call(FaultKind::CutBefore), (1, 1, 2, 1)),
    row(IMAGE, PLAIN, Part::Call(FaultKind::CutAfter), (1, 1, 2, 1)),
    row(IMAGE, PLAIN, Part::Call(FaultKind::ErrorBefore), (1, 1, 2, 1)),
    row(IMAGE, PLAIN, Part::Call(FaultKind::ErrorAfter), (1, 1, 2, 1)),
    row(IMAGE, PLAIN, Part::Call(FaultKind::HangAfter { seconds: 30.0 }), (1, 1, 2, 1)),
    row(IMAGE, PLAIN, Part::Call(FaultKind::HangAfter { seconds: 90.0 }), (1, 1, 2, 1)),
    row(IMAGE, PLAIN, Part::Call(FaultKind::Throttle), (1, 1, 2, 1)),
    row(IMAGE, PLAIN, Part::Untagged, (1, 1, 2, 1)),
    row(IMAGE, LAGGING, Part::Nothing, (1, 1, 2, 1)),
    row(IMAGE, LAGGING, Part::Made, (1, 1, 2, 1)),
    row(IMAGE, LAGGING, Part::MadeUnjournaled, (1, 1, 2, 1)),
    row(IMAGE, LAGGING, Part::Call(FaultKind::CutAfter), (1, 1, 2, 1)),
    row(IMAGE, r#""image_fails": true,"#, Part::Nothing, (1, 1, 2, 1)),
    row(IMAGE, r#""image_fails": true,"#, Part::Made, (1, 1, 2, 1)),
    row(IMAGE, r#""state": "stopped","#, Part::Nothing, (1, 0, 2, 0)),
    row(IMAGE, r#""state": "stopped","#, Part::Intent, (1, 0, 2, 0)),
    row(IMAGE, r#""state": "stopped","#, Part::Made, (1, 0, 2, 0)),
    row(IMAGE, r#""state": "stopped","#, Part::Call(FaultKind::CutAfter), (1, 0, 2, 0)),

    row(RETURN, PLAIN, Part::Nothing, (1, 1, 2, 0)),
    row(RETURN, PLAIN, Part::Intent, (0, 0, 0, 0)), // the slot was taken, and nothing was rebooted
    row(RETURN, PLAIN, Part::Terminated, (1, 1, 2, 0)),
    row(RETURN, r#""never_healthy": true,"#, Part::Nothing, (1, 1, 2, 1)),

    row(RETAIN, PLAIN, Part::Nothing, (0, 1, 0, 0)),
    row(RETAIN, PLAIN, Part::Intent, (0, 1, 0, 0)),
    row(RETAIN, PLAIN, Part::Made, (0, 1, 0, 0)),
    row(RETAIN, PLAIN, Part::SnapshotsLeft(0), (0, 1, 0, 0)),
    row(RETAIN, PLAIN, Part::SnapshotsLeft(1), (0, 1, 0, 0)),
    row(RETAIN, PLAIN, Part::SnapshotsLeft(2), (0, 1, 0, 0)),
    row(RETAIN, PLAIN, Part::SnapshotShared, (0, 1, 1, 0)),
    row(RETAIN, PLAIN, Part::Held, (1, 1, 2, 0)),
    row(RETAIN, PLAIN, Part::InUse, (1, 1, 2, 0)),
    row(RETAIN, PLAIN, Part::Denied, (0, 1, 2, 0)),
    row(RETAIN, PLAIN, Part::Call(FaultKind::CutBefore), (0, 1, 0, 0)),
    row(RETAIN, PLAIN, Part::Call(FaultKind::CutAfter), (0, 1, 0, 0)),
    row(RETAIN, PLAIN, Part::Call(FaultKind::ErrorAfter), (0, 1, 0, 0)),
    row(RETAIN, PLAIN, Part::Call(FaultKind::HangAfter { seconds: 90.0 }), (0, 1, 0, 0)),
    row(RETAIN, LAGGING, Part::Nothing, (0, 1, 0, 0)),
    row(RETAIN, LAGGING, Part::Made, (0, 1, 0, 0)),
    row(RETAIN, LAGGING, Part::SnapshotsLeft(1), (0, 1, 0, 0)),
];

fn place() -> Place {
    Place::new(ACCOUNT, REGION)
}

fn instance() -> Subject {
    place().subject(&id(1))
}

/// One process and one run of it, which holds one target or one removal.
struct Life {
    shared: Rc<Context>,
    active: Rc<ActiveRun>,
    /// What was journaled before it, and by it.
    journaled: Rc<RefCell<Vec<Event>>>,
}

impl Life {
    /// A process that finds this in its journal.
    async fn new(cloud: &SimCloud, found: &[Event]) -> Self {
        let clock = cloud.clock();
        let journal = SqliteJournal::in_memory().expect("SQLite in memory");
        journal.acquire(clock.now()).await.expect("writable");
        for event in found {
            journal.append(event.at, &drafts(std::slice::from_ref(&event.draft))).await.expect("writable");
        }
        let journaled = Rc::new(RefCell::new(found.to_vec()));
        let told = Rc::clone(&journaled);
        let shared = Rc::new(Context::new(
            clock,
            Governed::new(Rc::new(cloud.clone()), clock, 0.5),
            DAEMON.into(),
            "11111111-1111-4111-8111-111111111111".into(),
            None,
            Rc::new(journal),
            OwnMachine::NotEc2,
            Box::new(move |event| told.borrow_mut().push(Event::from(event))),
        ));
        let active = Rc::new(ActiveRun::new(
            "web",
            600,
            RunState::fold(&found.iter().map(fact::Event::from).collect::<Vec<_>>()),
            clock,
        ));
        shared.runs.borrow_mut().insert(RUN.into(), Rc::clone(&active));
        let life = Self { shared, active, journaled };
        if let Some(Slot::Taken(since)) = life.target().known(|target| target.slot) {
            let (run, plan) = (RUN.into(), "web".into());
            life.shared.slots.borrow_mut().take(instance(), Down { run, plan, since, overdue: false, halts: false });
        }
        life
    }

    fn target(&self) -> Target {
        let (plan_name, due) = parse_run_name(RUN).expect("a run");
        let occurrence = Occurrence {
            plan: plan_name.into(),
            due,
            trigger: Trigger::Schedule,
            decision: Decision::Run,
            reason: String::new(),
            decided_at: due,
            plan_hash: String::new(),
        };
        Target {
            shared: Rc::clone(&self.shared),
            active: Rc::clone(&self.active),
            plan: Rc::new(plan(plan_name, "0 2 * * *")),
            occurrence: Rc::new(occurrence),
            run: RUN.into(),
            subject: instance(),
        }
    }

    /// The step that works on `subject`; `parameters` are those of a removal.
    fn step(&self, name: &str, subject: &Subject, parameters: &Value) -> Box<dyn Step> {
        if let Some(step) = self.target().step(&name.parse().expect("a step")) {
            return step;
        }
        let removing = serde_json::from_value(parameters.clone()).expect("those of a removal");
        let removal = Removal { removing, witness: None };
        Box::new(Remove::of(&self.shared, &self.active, &RUN.into(), subject, removal))
    }

    /// The intent of a step is written.
    async fn intend(&self, subject: &Subject, step: &dyn Step) {
        let draft = fact::Draft::of(RUN, subject, Fact::StepIntent(step.intent())).at_step(step.id(), 1);
        self.shared.record_result(&[draft]).await.expect("writable");
    }

    async fn write(&self, subject: &Subject, step: &str, kind: Kind, data: Value) {
        let draft = Draft::of(RUN, subject, kind, data).at_step(step, 1);
        self.shared.record_result(&drafts(&[draft])).await.expect("writable");
    }

    /// Drives a step to its end, beside the pollers that it needs.
    async fn drive(&self, name: &str, subject: &Subject, parameters: &Value) {
        let known = {
            let state = self.active.state.borrow();
            let steps = state.targets.get(subject).map(|t| &t.steps).or_else(|| state.others.get(subject));
            steps.and_then(|steps| steps.get(&name.parse().expect("a step"))).cloned()
        };
        self.work(self.step(name, subject, parameters).as_ref(), subject, known.as_ref()).await;
    }

    async fn work(&self, step: &dyn Step, subject: &Subject, known: Option<&StepState>) {
        let at = At { shared: &self.shared, run: RUN, subject };
        let mut work = std::pin::pin!(drive(&at, step, known));
        let mut tasks = FuturesUnordered::new();
        let bell = self.active.bell(subject);
        loop {
            tasks.extend(self.shared.take_tasks());
            // A gate that a person was called for goes on, until the instance is back.
            let called = |state: &RunState| {
                state.targets.get(subject).and_then(|t| t.steps.get(&StepId::Return)).is_some_and(StepState::ended)
            };
            if *step.id() == StepId::Return && called(&self.active.state.borrow()) {
                return;
            }
            tokio::select! {
                biased;
                ended = &mut work => return ended.expect("nobody drains"),
                Some(()) = tasks.next(), if !tasks.is_empty() => {}
                () = self.shared.task_added() => {}
                () = bell.notified() => {}
            }
        }
    }
}

fn call(cloud: &SimCloud, action: &Action) {
    let now = cloud.clock().now();
    cloud.world().call(now, &Caller::new(ACCOUNT), REGION, action).expect("the console allows it");
}

/// Everything that is in the world; what was asked of it is not compared.
fn things(cloud: &SimCloud) -> BTreeMap<String, Value> {
    let world = cloud.world();
    let mut things = BTreeMap::new();
    things.extend(world.instances.iter().map(|(id, it)| (id.clone(), json!(it))));
    things.extend(world.images.iter().map(|(id, it)| (id.clone(), json!(it))));
    things.extend(world.snapshots.iter().map(|(id, it)| (id.clone(), json!(it))));
    things
}

/// The only image, once there is one, and its snapshots.
fn image(cloud: &SimCloud) -> Option<(Subject, Value)> {
    let world = cloud.world();
    let image = world.images.values().find(|i| i.source_instance.is_some())?;
    let snapshots: Vec<&str> = image.snapshots().collect();
    let parameters =
        json!({ "image": image.id, "name": image.name, "snapshots": snapshots, "reason": "no rule keeps it" });
    Some((place().subject(&image.id), parameters))
}

/// The life that makes what `row` begins with; the step's subject and parameters.
async fn prepare(row: &Row, cloud: &SimCloud) -> (Life, Subject, Value) {
    let life = Life::new(cloud, &[]).await;
    let stopped = row.traits.contains("stopped");
    life.shared.record_result(&drafts(&[Draft::of_run(RUN, Kind::RunStarted, json!({}))])).await.expect("writable");
    life.write(&instance(), "", Kind::TargetSelected, json!({ "reboots": !stopped })).await;
    let make = life.step(IMAGE, &instance(), &Value::Null);
    if row.step == IMAGE {
        let begun = matches!(row.part, Part::Intent | Part::Made | Part::Untagged);
        if begun {
            life.intend(&instance(), make.as_ref()).await;
            if !stopped {
                life.write(&instance(), "", Kind::SlotTaken, json!({})).await;
            }
        }
        if matches!(row.part, Part::Made | Part::MadeUnjournaled | Part::Untagged) {
            make.act(&make.intent()).await;
        }
        if let (Part::Untagged, Some((image, _))) = (row.part, image(cloud)) {
            call(cloud, &Action::DeleteTags { resources: vec![image.id], tags: Vec::new() });
        }
        if let Part::Call(kind) = row.part {
            cloud.world().faults.push(Fault::once("CreateImage", kind));
        }
        return (life, instance(), Value::Null);
    }
    life.intend(&instance(), make.as_ref()).await;
    life.write(&instance(), "", Kind::SlotTaken, json!({})).await;
    if (row.step, row.part) == (RETURN, Part::Intent) {
        life.write(&instance(), IMAGE, Kind::StepRefused, json!({ "reason": "denied" })).await;
        life.write(&instance(), RETURN, Kind::StepIntent, json!({})).await;
        return (life, instance(), Value::Null);
    }
    make.act(&make.intent()).await;
    let (made, parameters) = image(cloud).expect("made");
    life.write(&instance(), IMAGE, Kind::StepDone, json!({ "image": made.id })).await;
    if row.step == RETURN {
        if row.part == Part::Terminated {
            call(cloud, &Action::TerminateInstances { instances: vec![id(1)] });
        }
        return (life, instance(), Value::Null);
    }
    life.drive(RETURN, &instance(), &Value::Null).await;
    life.drive(IMAGE, &instance(), &Value::Null).await;
    remove_in_part(row.part, cloud, &life, &made, &parameters).await;
    (life, made, parameters)
}

/// What of a removal is there.
async fn remove_in_part(part: Part, cloud: &SimCloud, life: &Life, made: &Subject, parameters: &Value) {
    let snapshots: Vec<String> = serde_json::from_value(parameters["snapshots"].clone()).expect("ids");
    assert_eq!(snapshots.len(), 2, "two volumes");
    let deregister = |whole| Action::DeregisterImage { image: made.id.clone(), delete_snapshots: Some(whole) };
    if !matches!(part, Part::Nothing | Part::Call(_) | Part::Held | Part::InUse) {
        life.write(made, RETAIN, Kind::StepIntent, parameters.clone()).await;
    }
    match part {
        Part::Made => call(cloud, &deregister(true)),
        Part::SnapshotsLeft(gone) => {
            call(cloud, &deregister(false));
            for snapshot in snapshots.into_iter().take(gone) {
                call(cloud, &Action::DeleteSnapshot { snapshot });
            }
        }
        Part::SnapshotShared => {
            let mappings = vec![("/dev/sda1".into(), snapshots[0].clone())];
            let (name, root_device) = ("theirs".into(), Some("/dev/sda1".into()));
            call(cloud, &Action::RegisterImage { name, description: None, root_device, mappings, tags: Vec::new() });
            call(cloud, &deregister(false));
        }
        Part::Denied => {
            call(cloud, &deregister(false));
            cloud.world().faults.push(Fault::once("DeleteSnapshot", FaultKind::Denied).times(1_000_000));
        }
        Part::Held => {
            let tags = vec![("stillframe:hold".into(), "audit".into())];
            call(cloud, &Action::CreateTags { resources: vec![made.id.clone()], tags });
        }
        Part::InUse => {
            call(cloud, &Action::RunInstances { image: made.id.clone(), min: 1, max: 1, tags: Vec::new() });
        }
        Part::Call(kind) => cloud.world().faults.push(Fault::once("DeregisterImage", kind)),
        _ => {}
    }
}

/// Images of ours, reboots, snapshots.
fn counts(cloud: &SimCloud) -> (usize, usize, usize) {
    let world = cloud.world();
    let images = world.images.values().filter(|i| i.registered() && i.source_instance.is_some()).count();
    (images, world.instances[&id(1)].reboot_count(), world.snapshots.len())
}

fn new_world(traits: &str) -> SimCloud {
    fastrand::seed(1);
    let clock = Clock::simulated(at(BASE));
    let (own, whole) = if traits == LAGGING { ("", traits) } else { (traits, "") };
    let fleet = fleet_with(1, &format!(r#"{own} "volumes": 2,"#), whole);
    let fleet = stillframe::sim::Fleet::from_json(&fleet).expect("a fleet");
    SimCloud::new(fleet.world(clock.now()).expect("possible"), clock)
}

#[tokio::test(start_paused = true)]
async fn each_step_twice() {
    rows().await;
}

#[test]
fn each_step_has_a_row() {
    let rows: Vec<&str> = TABLE.iter().map(|row| row.step).chain(afar::steps()).chain(hidden::steps()).collect();
    for word in StepId::WORDS {
        assert!(rows.iter().any(|step| step.split(':').next() == Some(word)), "{word} is in no table");
    }
}

/// The table is no idle one: an engine that is broken in these ways breaks a row.
#[test]
fn a_fault_breaks_a_row() {
    use Defect::{HoldIgnored, InUseUnguarded, NameWithAttempt, UnknownIsFailure};
    for defect in [NameWithAttempt, UnknownIsFailure, HoldIgnored, InUseUnguarded] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        defect::plant(Some(defect));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(rows())));
        defect::plant(None);
        assert!(ended.is_err(), "{defect:?} breaks no row");
    }
}

async fn rows() {
    for row in TABLE {
        let what = format!("{} of an instance {{{}}}, {:?}", row.step, row.traits, row.part);
        let cloud = new_world(row.traits);
        let (life, subject, parameters) = prepare(row, &cloud).await;
        let before = life.journaled.borrow().len();
        let own = |e: &Event| e.draft.step == row.step && e.draft.subject.as_ref() == Some(&subject);
        let base = life.journaled.borrow().iter().position(own).unwrap_or(before);
        life.drive(row.step, &subject, &parameters).await;
        let (images, reboots, snapshots) = counts(&cloud);
        let journaled = life.journaled.borrow().clone();
        let state = RunState::fold(&journaled.iter().map(fact::Event::from).collect::<Vec<_>>());
        let down = state.targets.values().filter(|t| matches!(t.slot, Slot::Taken(_))).count();
        let story: Vec<String> = journaled
            .iter()
            .map(|e| {
                format!("{} {} {}#{} {}", e.at, e.draft.kind.as_str(), e.draft.step, e.draft.attempt, e.draft.data)
            })
            .collect();
        let story = story.join("\n");
        assert_eq!((images, reboots, snapshots, down), row.end, "{what}\n{story}");
        assert!(journaled.len() > before, "{what}: nothing was journaled\n{story}");
        // Run again, by a process that finds all of the journal, or any beginning of it.
        for known in (base..=journaled.len()).rev() {
            let world = cloud.world().clone();
            let again = SimCloud::new(world, cloud.clock());
            if row.part != Part::Denied {
                again.world().faults.clear();
            }
            let first = things(&again);
            let life = Life::new(&again, &journaled[..known]).await;
            life.drive(row.step, &subject, &parameters).await;
            let second = things(&again);
            let changed: Vec<&String> =
                second.iter().filter(|(id, it)| first.get(*id) != Some(it)).map(|(id, _)| id).collect();
            let lost: Vec<&String> = first.keys().filter(|id| !second.contains_key(*id)).collect();
            assert!(
                changed.is_empty() && lost.is_empty(),
                "{what}: run again with {known} of {} records, it changed {changed:?} and removed {lost:?}\n{story}",
                journaled.len()
            );
        }
    }
}
