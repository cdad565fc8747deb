//! A year of two daily plans, as `rehearse` simulates it: where its seconds go.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use stillframe::clock::Clock;
use stillframe::cloud::governed::Governed;
use stillframe::domain::fact::{Kind, StepId};
use stillframe::domain::keep::Keep;
use stillframe::domain::machine::OwnMachine;
use stillframe::domain::plan::{Mode as Way, Plan};
use stillframe::engine::context::Context;
use stillframe::engine::lifecycle::daemon::{Engine, Mode};
use stillframe::journal::memory::MemoryJournal;
use stillframe::sim::SimCloud;

use super::process;
use super::simulated::{self, fleet, plan};

/// Two daily plans, one that reboots one by one and one that does not, each of its own instances.
fn plans() -> Vec<Plan> {
    let keep = Keep { last: 3, within: Some(14 * 86_400), daily: 7, weekly: 4, monthly: 12, ..Keep::default() };
    let mut web = plan("web", "30 2 * * *", "web");
    web.rollout.max_in_flight = 1;
    web.keep = keep.clone();
    let mut db = plan("db", "15 1 * * *", "db");
    db.consistency.mode = Way::None;
    db.keep = keep;
    vec![web, db]
}

/// Simulates `days` with `instances` in each plan.
pub fn run(instances: u32, days: u32) {
    simulated::runtime().block_on(async {
        let clock = Clock::simulated(simulated::BASE.parse().expect("an instant"));
        let mut world = fleet(&[("web", instances), ("db", instances)]).world(clock.now()).expect("a fleet");
        world.stay_lean();
        let cloud = SimCloud::new(world, clock);
        let events: Rc<Cell<u64>> = Rc::default();
        let deletions: Rc<Cell<u64>> = Rc::default();
        let (counted, deleted) = (Rc::clone(&events), Rc::clone(&deletions));
        let shared = Rc::new(Context::new(
            clock,
            Governed::new(Rc::new(cloud.clone()), clock, 0.5),
            "bench".into(),
            "11111111-1111-4111-8111-111111111111".into(),
            None,
            Rc::new(MemoryJournal::default()),
            OwnMachine::NotEc2,
            Box::new(move |event| {
                counted.set(counted.get() + 1);
                let removed = event.step() == Some(&StepId::Retain) && event.kind() == Kind::StepIntent;
                deleted.set(deleted.get() + u64::from(removed));
            }),
        ));
        let engine = Engine::new(Rc::clone(&shared), plans(), Mode::Daemon);
        let (_silent, mut ticks) = tokio::sync::mpsc::channel(1);
        let begun = Instant::now();
        engine
            .run(&mut ticks, clock.sleep(std::time::Duration::from_secs(u64::from(days) * 86_400)))
            .await
            .expect("ran");
        let took = begun.elapsed().as_secs_f64();
        let world = cloud.world();
        let calls: BTreeMap<&str, u64> =
            world.calls.tally().iter().map(|((_, api), tally)| (*api, tally.calls)).collect();
        let images = calls.get("CreateImage").copied().unwrap_or_default();
        println!(
            "{days} days of two daily plans with {instances} instances each: {took:.2} s, {images} images, {} deleted, \
             {} events, {:.0} us per image, peak {:.0} MB",
            deletions.get(),
            events.get(),
            took * 1e6 / images as f64,
            process::megabytes(std::process::id(), "VmHWM"),
        );
        println!("calls: {calls:?}");
    });
}
