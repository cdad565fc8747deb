//! Copies of many images to several regions at once, in simulated time on the documented token buckets and quotas: what
//! one run did, and what it could not have been faster than. Tests and benches share it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};
use stillframe::clock::Clock;
use stillframe::cloud::governed::Governed;
use stillframe::domain::fact::{Event, Fact};
use stillframe::domain::keep::Keep;
use stillframe::domain::machine::OwnMachine;
use stillframe::domain::observed::{ImageState, Tags};
use stillframe::domain::plan::{CopyTo, Plan, Rollout, Select};
use stillframe::engine::context::Context;
use stillframe::engine::lifecycle::daemon::{Engine, Mode};
use stillframe::journal::memory::MemoryJournal;
use stillframe::sim::fleet::Member;
use stillframe::sim::world::World;
use stillframe::sim::{Fleet, SimCloud};

const BASE: &str = "2026-03-02T00:00:00Z";
const HOME: &str = "eu-central-1";
/// `cloud.api_share` as it is by default.
const SHARE: f64 = 0.5;
/// CopyImage's bucket, per account and region: so many at once, and then one per second (EC2 developer guide, "Request
/// throttling").
const BURST: f64 = 100.0;
/// AMI copies in progress per destination region (EC2 user guide, "Copy an AMI"): 100, and the same share of them.
const AT_ONCE: f64 = 100.0;

/// What the copies of one run came to in one destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// The region.
    pub region: String,
    /// Good copies.
    pub good: usize,
    /// The most that were in progress at once.
    pub pending: usize,
    /// Seconds from the first CopyImage to the last.
    pub called: f64,
    /// Seconds from the first CopyImage until the last copy was available.
    pub makespan: f64,
    /// The token bucket lets the last CopyImage through no sooner than so many seconds after the first.
    pub rate_bound: f64,
    /// With so many slots, the durations of all copies take so many seconds.
    pub slot_bound: f64,
    /// With all slots and tokens used at once, the same copies in the same order would have taken so many seconds.
    pub ideal: f64,
}

impl Destination {
    /// What no order of the calls could go below.
    pub fn bound(&self) -> f64 {
        self.rate_bound.max(self.slot_bound)
    }
}

/// What one run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// Each destination.
    pub destinations: Vec<Destination>,
    /// How often any API answered RequestLimitExceeded.
    pub throttled: usize,
    /// How often CopyImage answered ResourceLimitExceeded.
    pub refused: usize,
    /// How many calls there were of each API, over all regions.
    pub calls: BTreeMap<String, usize>,
    /// How the run ended.
    pub outcome: String,
}

/// One run of `images` instances with a copy in each of `regions`; copies take 5 to 30 min.
pub fn run(images: u32, regions: &[&str]) -> Spread {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(simulate(images, regions))
}

async fn simulate(images: u32, regions: &[&str]) -> Spread {
    let clock = Clock::simulated(BASE.parse().expect("an instant"));
    let cloud = SimCloud::new(fleet(images, regions).world(clock.now()).expect("a fleet"), clock);
    let (over, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let outcome: Rc<RefCell<String>> = Rc::default();
    let told = Rc::clone(&outcome);
    let hear = move |event: &Event| {
        if let Fact::RunFinished(end) = event.fact() {
            let reason = event.reason().unwrap_or_default();
            *told.borrow_mut() = format!("{} {reason}", end.outcome.as_str()).trim().to_owned();
            let _ = over.send(()); // whoever waits has seen enough
        }
    };
    let shared = Rc::new(Context::new(
        clock,
        Governed::new(Rc::new(cloud.clone()), clock, SHARE),
        "bench".into(),
        "11111111-1111-4111-8111-111111111111".into(),
        None,
        Rc::new(MemoryJournal::default()),
        OwnMachine::NotEc2,
        Box::new(hear),
    ));
    let (_silent, mut ticks) = tokio::sync::mpsc::channel(1);
    let stop = async {
        let _ = ended.recv().await;
    };
    let plan = plan(images, regions);
    Engine::new(shared, vec![plan], Mode::Daemon).run(&mut ticks, stop).await.expect("ran");
    let world = cloud.world();
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
    for call in world.calls.iter() {
        *calls.entry(call.api.clone()).or_default() += 1;
        *answers.entry(&call.result).or_default() += 1;
    }
    let count = |code: &str| answers.get(code).copied().unwrap_or_default();
    let destinations = regions.iter().map(|region| destination(&world, clock.now(), region)).collect();
    let outcome = outcome.borrow().clone();
    Spread {
        destinations,
        throttled: count("RequestLimitExceeded"),
        refused: count("ResourceLimitExceeded"),
        calls,
        outcome,
    }
}

fn fleet(images: u32, regions: &[&str]) -> Fleet {
    let member = Member { tags: Tags::from([("Backup".into(), "yes".into())]), count: images, ..Member::default() };
    Fleet {
        regions: [HOME].iter().chain(regions).map(|region| (*region).to_owned()).collect(),
        image_seconds: [60.0, 60.0],
        copy_seconds: Some([300.0, 1800.0]),
        reboot_seconds: 30.0,
        instances: vec![member],
        ..Fleet::demo()
    }
}

fn plan(images: u32, regions: &[&str]) -> Plan {
    let keep = Keep { last: 1, ..Keep::default() };
    let copy = |region: &&str| CopyTo {
        region: (*region).to_owned(),
        account: None,
        kms_key: None,
        via_key: None,
        keep: keep.clone(),
    };
    Plan {
        select: Select {
            regions: vec![HOME.into()],
            tags: BTreeMap::from([("Backup".into(), BTreeSet::from(["yes".to_owned()]))]),
            ..Select::default()
        },
        rollout: Rollout { max_in_flight: images, healthy_within: 900, ..Rollout::default() },
        keep: keep.clone(),
        copies: regions.iter().map(copy).collect(),
        ..Plan::named("all", "0 2 * * *")
    }
}

/// What the images of a region tell: when each copy was called for, and when it was there.
fn destination(world: &World, now: DateTime<Utc>, region: &str) -> Destination {
    let copies: Vec<_> = world.images.values().filter(|image| image.place.region == region).collect();
    let seconds = |span: TimeDelta| span.num_milliseconds() as f64 / 1000.0;
    let called = copies.iter().map(|copy| copy.visible); // lists show it at once
    let (first, last) = (called.clone().min().unwrap_or(now), called.max().unwrap_or(now));
    let end = copies.iter().map(|copy| copy.ready).max().unwrap_or(now);
    let took = || copies.iter().map(|copy| seconds(copy.ready - copy.visible));
    let mut edges: Vec<(DateTime<Utc>, i32)> =
        copies.iter().flat_map(|copy| [(copy.visible, 1), (copy.ready, -1)]).collect();
    edges.sort_unstable(); // at one instant, ends come first
    let (mut open, mut most) = (0, 0);
    for (_, step) in edges {
        open += step;
        most = most.max(open);
    }
    Destination {
        region: region.to_owned(),
        good: copies.iter().filter(|copy| copy.state(now) == ImageState::Available).count(),
        pending: usize::try_from(most).unwrap_or_default(),
        called: seconds(last - first),
        makespan: seconds(end - first),
        rate_bound: (copies.len() as f64 - BURST * SHARE).max(0.0) / SHARE,
        slot_bound: took().sum::<f64>() / (AT_ONCE * SHARE),
        ideal: ideal(copies.iter().map(|copy| (copy.visible, seconds(copy.ready - copy.visible))).collect()),
    }
}

/// Seconds until the last copy is there, each begun as soon as there are a token and a slot for it.
fn ideal(mut copies: Vec<(DateTime<Utc>, f64)>) -> f64 {
    copies.sort_by_key(|(called, _)| *called);
    let mut slots = vec![0.0_f64; (AT_ONCE * SHARE) as usize];
    let mut end = 0.0_f64;
    for (n, (_, took)) in copies.into_iter().enumerate() {
        let token = ((n + 1) as f64 - BURST * SHARE).max(0.0) / SHARE;
        slots.sort_by(f64::total_cmp);
        slots[0] = slots[0].max(token) + took;
        end = end.max(slots[0]);
    }
    end
}
