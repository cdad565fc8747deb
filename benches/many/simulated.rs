//! Ten thousand targets in one plan, in simulated time: two runs, of which the second deletes an image of each series.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::rc::Rc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use stillframe::clock::Clock;
use stillframe::cloud::governed::Governed;
use stillframe::domain::event::Outcome;
use stillframe::domain::fact::{Event, Fact, Intent};
use stillframe::domain::keep::Keep;
use stillframe::domain::machine::OwnMachine;
use stillframe::domain::naming::{Marks, Role, image_name};
use stillframe::domain::observed::Tags;
use stillframe::domain::place::{Place, Subject};
use stillframe::domain::plan::{Plan, Rollout, Select};
use stillframe::engine::context::Context;
use stillframe::engine::lifecycle::daemon::{Engine, Mode};
use stillframe::journal::memory::MemoryJournal;
use stillframe::sim::action::{Action, TagSpec};
use stillframe::sim::calls::Tally;
use stillframe::sim::fleet::{ACCOUNT, Member};
use stillframe::sim::world::Caller;
use stillframe::sim::{Fleet, SimCloud};

use super::process;

/// Where and when the simulated worlds begin.
pub const BASE: &str = "2026-03-02T00:00:00Z";
const REGION: &str = "eu-central-1";
const INSTALLATION: &str = "11111111-1111-4111-8111-111111111111";
const DAEMON: &str = "bench";
const PLAN: &str = "all";

/// A runtime whose time jumps.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// Instances tagged `Backup=WORD`, as many as each word says; reboots of 90 s, images of 5 to 30 min.
pub fn fleet(groups: &[(&str, u32)]) -> Fleet {
    let member = |(word, count): &(&str, u32)| Member {
        name: Some((*word).to_owned()),
        tags: Tags::from([("Backup".into(), (*word).to_owned())]),
        count: *count,
        ..Member::default()
    };
    Fleet {
        image_seconds: [300.0, 1800.0],
        reboot_seconds: 90.0,
        speed: 1.0,
        throttling: true,
        instances: groups.iter().map(member).collect(),
        ..Fleet::demo()
    }
}

/// A plan for `Backup=WORD` with the defaults of the contract.
pub fn plan(name: &str, cron: &str, word: &str) -> Plan {
    Plan {
        select: Select {
            regions: vec![REGION.into()],
            tags: BTreeMap::from([("Backup".into(), BTreeSet::from([word.to_owned()]))]),
            ..Select::default()
        },
        rollout: Rollout { healthy_within: 900, ..Rollout::default() },
        keep: Keep { last: 1, ..Keep::default() },
        tags: BTreeMap::from([("Team".into(), "web".into())]),
        ..Plan::named(name, cron)
    }
}

/// What one run of the plan did at the port.
#[derive(Default)]
struct Run {
    tally: BTreeMap<&'static str, Tally>,
    /// The instances in the order of their calls.
    called: Vec<Subject>,
    done: u32,
}

/// Prints what each size costs; each is measured in a process of its own.
pub fn table(sizes: &[u32]) {
    println!("one plan, max_in_flight = targets, api_share = 1, simulated time, documented token buckets\n");
    let mut before: Option<(u32, f64)> = None;
    for targets in sizes {
        let [engine, world] = ["engine", "world"].map(|part| measure(part, *targets));
        let number = |of: &Value, key: &str| of[key].as_f64().unwrap_or_default();
        println!("{targets} targets");
        for api in ["CreateImage", "DeregisterImage"] {
            let of = &engine[api];
            println!(
                "  {api:<16} first to last {:>8.1} s, bound {:>8.1} s, ratio {:.4}; throttled {}",
                number(of, "makespan"),
                number(of, "bound"),
                number(of, "makespan") / number(of, "bound").max(1.0),
                of["throttled"]
            );
        }
        println!("  calls per target, imaging:    {}", engine["imaging"]);
        println!("  calls per target, retention:  {}", engine["retention"]);
        println!(
            "  targets done: {} and {}; farthest from its turn: {}",
            engine["done"][0], engine["done"][1], engine["astray"]
        );
        let (whole, alone) = (number(&engine, "peak"), number(&world, "peak"));
        println!(
            "  peak memory: {whole:.1} MB with the world, {alone:.1} MB the world alone: engine {:.1} MB",
            whole - alone
        );
        if let Some((fewer, less)) = before {
            let bytes = (whole - alone - less) * 1024.0 * 1024.0 / f64::from(targets - fewer);
            println!("  bytes per target beyond {fewer}: {bytes:.0}");
        }
        println!(
            "  CPU: {:.2} s with the world, {:.2} s the world alone\n",
            number(&engine, "cpu"),
            number(&world, "cpu")
        );
        before = Some((*targets, whole - alone));
    }
}

fn measure(part: &str, targets: u32) -> Value {
    let own = std::env::current_exe().expect("its path");
    let output = Command::new(own).args(["--part", part, &targets.to_string()]).output().expect("it runs");
    assert!(output.status.success(), "{part} {targets}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

/// One part, in this process.
pub fn part(part: &str, targets: u32) {
    let mut figures = runtime().block_on(async {
        match part {
            "engine" => engine(targets).await,
            "world" => world(targets),
            other => panic!("{other} is no part"),
        }
    });
    let own = std::process::id();
    figures["peak"] = json!(process::megabytes(own, "VmHWM"));
    figures["cpu"] = json!(process::cpu(own));
    println!("{figures}");
}

/// Two runs of one plan.
async fn engine(targets: u32) -> Value {
    let clock = Clock::simulated(BASE.parse().expect("an instant"));
    let mut world = fleet(&[("yes", targets)]).world(clock.now()).expect("a fleet");
    world.calls.count_only();
    let cloud = SimCloud::new(world, clock);
    let (over, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let runs: Rc<RefCell<Vec<Run>>> = Rc::new(RefCell::new(vec![Run::default()]));
    let (told, port) = (Rc::clone(&runs), cloud.clone());
    let hear = move |event: &Event| {
        let mut runs = told.borrow_mut();
        let run = runs.last_mut().expect("there is always one");
        match (event.fact(), &event.draft.subject) {
            (Fact::StepIntent(Intent::Image(_)), Some(subject)) => run.called.push(subject.clone()),
            (Fact::TargetFinished(end), _) => run.done += u32::from(end.outcome == Outcome::Done),
            (Fact::RunFinished(_), _) => {
                let mut world = port.world();
                run.tally = world.calls.tally().iter().map(|((_, api), tally)| (*api, tally.clone())).collect();
                world.calls.clear();
                runs.push(Run::default());
                let _ = over.send(()); // whoever waits has seen enough
            }
            _ => {}
        }
    };
    let mut all = plan(PLAN, "0 2 * * *", "yes");
    all.rollout.max_in_flight = targets;
    let shared = Rc::new(Context::new(
        clock,
        Governed::new(Rc::new(cloud.clone()), clock, 1.0),
        DAEMON.into(),
        INSTALLATION.into(),
        None,
        Rc::new(MemoryJournal::default()),
        OwnMachine::NotEc2,
        Box::new(hear),
    ));
    let (_silent, mut ticks) = tokio::sync::mpsc::channel(1);
    let stop = async {
        let _ = (ended.recv().await, ended.recv().await);
    };
    Engine::new(shared, vec![all], Mode::Daemon).run(&mut ticks, stop).await.expect("ran");
    let runs = runs.borrow();
    let spans = |run: &Run, api: &str, burst: f64, rate: f64| {
        let tally = run.tally.get(api).cloned().unwrap_or_default();
        let makespan = tally.span.map_or(0.0, |(first, last)| (last - first).num_milliseconds() as f64 / 1000.0);
        let bound = (f64::from(targets) - burst).max(0.0) / rate;
        json!({ "makespan": makespan, "bound": bound, "throttled": tally.throttled, "effects": tally.effects })
    };
    let per_target = |run: &Run, less: &Run| -> BTreeMap<&str, f64> {
        let count = |run: &Run, api: &str| run.tally.get(api).map_or(0.0, |tally| tally.calls as f64);
        let all = run.tally.keys().map(|api| (*api, (count(run, api) - count(less, api)) / f64::from(targets)));
        all.map(|(api, calls)| (api, (calls * 1000.0).round() / 1000.0)).collect()
    };
    json!({
        "CreateImage": spans(&runs[0], "CreateImage", 50.0, 5.0),
        "DeregisterImage": spans(&runs[1], "DeregisterImage", 100.0, 5.0),
        "imaging": per_target(&runs[0], &Run::default()),
        "retention": per_target(&runs[1], &runs[0]),
        "done": [runs[0].done, runs[1].done],
        "astray": astray(&runs[0].called),
    })
}

/// By how many places the call farthest from its turn in the queue was away from it.
fn astray(called: &[Subject]) -> usize {
    let mut queue: Vec<&Subject> = called.iter().collect();
    queue.sort();
    let turn: BTreeMap<&Subject, usize> = queue.into_iter().zip(0..).collect();
    called.iter().zip(0..).map(|(subject, at)| turn[subject].abs_diff(at)).max().unwrap_or_default()
}

/// The same images made and removed in the world, by nobody: what the world alone costs.
fn world(targets: u32) -> Value {
    let mut now: DateTime<Utc> = BASE.parse().expect("an instant");
    let mut world = fleet(&[("yes", targets)]).world(now).expect("a fleet");
    world.throttling = false;
    world.calls.count_only();
    let (caller, place) = (Caller::new(ACCOUNT), Place::new(ACCOUNT, REGION));
    let instances: Vec<String> = world.instances.keys().cloned().collect();
    for _ in 0..2 {
        now += chrono::TimeDelta::days(1);
        let old: Vec<String> = world.images.keys().cloned().collect();
        for instance in &instances {
            let marks = Marks {
                daemon: DAEMON.into(),
                installation: INSTALLATION.into(),
                plan: PLAN.into(),
                due: now,
                instance: instance.clone(),
                role: Role::Image,
                source: None,
                consistency: "reboot".into(),
            };
            let tags: Vec<_> = marks.tags(&Tags::from([("Team".into(), "web".into())])).into_iter().collect();
            let specs = ["image", "snapshot"].map(|resource| TagSpec { resource: resource.into(), tags: tags.clone() });
            let action = Action::CreateImage {
                instance: instance.clone(),
                name: image_name(DAEMON, PLAN, instance, now),
                description: Some(format!("stillframe of {instance}")),
                no_reboot: Some(false),
                tags: specs.into(),
            };
            world.serve(now, &caller, &place.region, &action).outcome.expect("made");
        }
        for image in old {
            let action = Action::DeregisterImage { image, delete_snapshots: Some(true) };
            world.serve(now, &caller, &place.region, &action).outcome.expect("removed");
        }
    }
    json!({})
}
