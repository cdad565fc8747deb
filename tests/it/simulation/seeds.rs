//! Random fleets, plans, faults and deaths: the promises hold for every seed.
//!
//! `STILLFRAME_SIM_SEEDS` sets how many; `STILLFRAME_SIM_SEED` replays one, with its story.

use std::fmt::Write as _;

use fastrand::Rng;
use stillframe::cloud::sim::faults::{Fault, FaultKind};
use stillframe::domain::plan::{OnUnhealthy, Plan};

use super::journal::Death;
use super::promises;
use super::rig::{Rig, id, mins, plan, secs};

const SEEDS: u64 = 60;
const APIS: [&str; 9] = [
    "CreateImage",
    "CreateImage",
    "DeregisterImage",
    "DeleteSnapshot",
    "DescribeImages",
    "DescribeInstances",
    "DescribeInstanceStatus",
    "DescribeSnapshots",
    "*",
];

/// Says which seed it was when anything panics.
pub struct Told(pub u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0}: replay it with STILLFRAME_SIM_SEED={0}", self.0);
        }
    }
}

pub fn fleet(rng: &mut Rng, seed: u64) -> String {
    let count = rng.u32(1..=5);
    let members: Vec<String> = (1..=count)
        .map(|n| {
            let mut own = String::new();
            let mut put = |likely: f64, text: String, rng: &mut Rng| {
                if rng.f64() < likely {
                    let _ = write!(own, "{text}, ");
                }
            };
            put(0.15, r#""never_healthy": true"#.into(), rng);
            put(0.1, r#""image_fails": true"#.into(), rng);
            put(0.1, r#""state": "stopped""#.into(), rng);
            put(0.4, r#""stale_seconds": 20"#.into(), rng);
            let seconds = rng.u32(5..200);
            put(0.5, format!(r#""reboot_seconds": {seconds}"#), rng);
            let seconds = rng.u32(1..2000);
            put(0.3, format!(r#""image_seconds": {seconds}"#), rng);
            format!(r#"{{ {own} "id": "{}", "tags": {{ "Backup": "yes" }} }}"#, id(n))
        })
        .collect();
    let lag = if rng.bool() { 0 } else { rng.u32(1..120) };
    format!(
        r#"{{ "seed": {seed}, "visibility_lag": {lag}, "image_seconds": [10, 120], "reboot_seconds": 30,
            "regions": ["eu-central-1"], "instances": [{}] }}"#,
        members.join(",")
    )
}

pub fn random_plan(rng: &mut Rng, name: &str) -> Plan {
    let mut minutes: Vec<u32> = (0..rng.u32(1..=4)).map(|_| rng.u32(0..55)).collect();
    minutes.sort_unstable();
    minutes.dedup();
    let minutes: Vec<String> = minutes.iter().map(u32::to_string).collect();
    let mut plan = plan(name, &format!("{} 2 * * *", minutes.join(",")));
    plan.rollout.max_in_flight = rng.u32(1..=3);
    plan.rollout.settle = rng.u64(25..60);
    plan.rollout.healthy_within = rng.u64(60..1200);
    if rng.bool() {
        plan.rollout.on_unhealthy = OnUnhealthy::Continue;
    }
    plan.consistency.resend_unknown = rng.f64() < 0.8;
    plan.schedule.window = rng.bool().then(|| rng.u64(60..1800));
    plan.keep.last = rng.u32(1..=3);
    plan.keep.max_deletions = rng.u32(1..=3);
    plan
}

pub fn fault(rng: &mut Rng) -> Fault {
    let api = APIS[rng.usize(..APIS.len())];
    let kind = match rng.u32(0..6) {
        0 => FaultKind::Throttle,
        1 => FaultKind::ErrorBefore,
        2 => FaultKind::ErrorAfter,
        3 => FaultKind::CutBefore,
        4 => FaultKind::CutAfter,
        _ => FaultKind::HangAfter { seconds: f64::from(rng.u32(1..120)) },
    };
    Fault { every: rng.u32(1..=3), ..Fault::once(api, kind).after(rng.u32(0..6)).times(rng.u32(1..=6)) }
}

/// An hour of occurrences and trouble, then two of rest.
pub async fn live(seed: u64) -> Rig {
    let mut rng = Rng::with_seed(seed);
    let plans = (0..rng.usize(1..=2)).map(|n| random_plan(&mut rng, ["web", "db"][n])).collect();
    let mut rig = Rig::new(&fleet(&mut rng, seed), plans);
    fastrand::seed(seed);
    rig.tick = secs(5);
    for _ in 0..rng.u32(0..=3) {
        let fault = fault(&mut rng);
        rig.fault(fault);
    }
    rig.start();
    for _ in 0..6 {
        // Each stretch is ten minutes, with trouble of its own.
        match rng.u32(0..10) {
            0..=3 => {
                let number = rig.journal.written() + rng.u32(1..40);
                rig.journal.dies(if rng.bool() { Death::After(number) } else { Death::Before(number) });
            }
            4 => {
                rig.stop().await;
                let down = secs(rng.u64(1..900));
                rig.run(down).await;
                rig.start();
            }
            5 => {
                let from = rig.journal.written() + rng.u32(6..30);
                rig.journal.fails_from(from);
            }
            6 => {
                let ids: Vec<String> = rig.tagged("Backup", "yes").into_iter().collect();
                let id = rng.choice(&ids).expect("one at least").clone();
                if rng.bool() { rig.terminate(&id) } else { rig.heal(&id) }
            }
            7 => {
                let fault = fault(&mut rng);
                rig.fault(fault);
            }
            _ => {}
        }
        let down = secs(rng.u64(1..400));
        let part = secs(rng.u64(1..500));
        rig.run_through(part, down).await;
        rig.journal.recovers();
        rig.run_through(mins(10).saturating_sub(part), down).await;
    }
    rig.world().faults.clear();
    for id in rig.tagged("Backup", "yes") {
        rig.heal(&id);
    }
    rig.run_through(mins(120), secs(60)).await;
    rig.stop().await;
    rig
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[tokio::test(start_paused = true)]
async fn promises_hold_for_every_seed() {
    let one = number("STILLFRAME_SIM_SEED");
    let seeds = one.map_or(0..number("STILLFRAME_SIM_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let (mut images, mut deletions) = (0, 0);
    for seed in seeds {
        let told = Told(seed);
        let rig = live(seed).await;
        if one.is_some() {
            println!("{}", rig.story());
        }
        promises::hold(&rig).await;
        images += rig.calls("CreateImage").iter().filter(|c| c.effect).count();
        deletions += rig.calls("DeregisterImage").iter().filter(|c| c.effect).count();
        drop(told);
    }
    assert!(
        one.is_some() || (images > 0 && deletions > 0),
        "{images} images, {deletions} deletions: nothing was tried"
    );
}

#[tokio::test(start_paused = true)]
async fn a_seed_replays() {
    for seed in [1, 2, 3] {
        let _told = Told(seed);
        let (first, second) = (live(seed).await.story(), live(seed).await.story());
        assert_eq!(first, second);
    }
}
