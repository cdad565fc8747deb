//! Draws a plot from a seed.

mod afar;
mod lag;
mod odd;
mod removal;
mod unkind;

use std::collections::BTreeSet;

use fastrand::Rng;
use stillframe::domain::evidence::Lags;
use stillframe::domain::keep::Keep;
use stillframe::domain::observed::{InstanceState, Tags};
use stillframe::domain::plan::{Mode, OnUnhealthy, Plan};
use stillframe::sim::Fleet;
use stillframe::sim::fleet::Member;
use stillframe::sim::trouble::Profile;

use super::people::{ACTS, Act, Deed};
use super::plot::{Home, Move, Plot};
use super::rig::{ACCOUNT, REGION, id, plan};
use super::weather::{Kind, Weather};

/// Where part of the fleet may be.
pub const FAR: &str = "eu-west-1";
/// An hour of trouble.
const HOUR: u64 = 3600;
/// How long the daemon is awake around what is due in a night.
const NIGHT: u64 = 600;
/// Status checks notice a reboot after so long, seconds; `settle` is longer.
const STALE: u64 = 20;

const APIS: [&str; 12] = [
    "CreateImage",
    "CreateImage",
    "CreateImage",
    "DeregisterImage",
    "DeregisterImage",
    "DeleteSnapshot",
    "DescribeImages",
    "DescribeImages",
    "DescribeInstances",
    "DescribeInstanceStatus",
    "GetCallerIdentity",
    "*",
];

/// What a seed means.
pub fn plot(seed: u64) -> Plot {
    let older = removal::with_torn_removals(odd::with_oddities(lag::with_lags(afar::with_copies(plain(seed)))));
    unkind::with_unkindness(older)
}

/// The same without copies and shares: what it meant before there were any.
pub fn plain(seed: u64) -> Plot {
    let mut rng = Rng::with_seed(seed);
    let rng = &mut rng;
    let days = if rng.f64() < 0.35 { rng.u64(3..=7) } else { 0 };
    let fleet = fleet(rng, seed);
    let regions = fleet.regions.clone();
    let count = fleet.instances.len();
    let plans = plans(rng, &regions, days > 0);
    let home = match rng.u32(0..10) {
        0 => Home::Known(rng.usize(..count)),
        1 => Home::Unknown(rng.usize(..count)),
        _ => Home::Elsewhere,
    };
    let mut moves = Vec::new();
    let end = if days == 0 { HOUR } else { days * NIGHT };
    for day in 1..days {
        moves.push((day * NIGHT, Move::Night { stopped: rng.bool() }));
    }
    for _ in 0..rng.u32(4..=20) {
        let at = rng.u64(0..end);
        let likely = draw(rng, &plans, &regions, count);
        moves.extend(follow_up(rng, &likely, at));
        moves.push((at, likely));
    }
    if home != Home::Elsewhere && rng.bool() {
        moves.push((rng.u64(0..end), Move::FoundHome));
    }
    moves.sort_by_key(|(at, _)| *at);
    let tick = if rng.bool() { 5 } else { 1 };
    Plot {
        seed,
        fleet,
        plans,
        home,
        tick,
        down: rng.u64(1..300),
        moves,
        end,
        encore: rng.f64() < 0.4,
        afar: false,
        lags: Lags::NONE,
        beyond: false,
    }
}

/// What ends by itself after a while.
fn follow_up(rng: &mut Rng, what: &Move, at: u64) -> Option<(u64, Move)> {
    match what {
        Move::DiskFull { .. } => Some((at + rng.u64(30..900), Move::DiskFreed)),
        Move::StateLost => Some((at + rng.u64(60..600), Move::TakenOver)),
        Move::ClockSet(_) => Some((at + rng.u64(30..1200), Move::ClockRight)),
        Move::OtherInstallation { .. } if rng.bool() => Some((at + rng.u64(300..900), Move::TakenOver)),
        _ => None,
    }
}

fn draw(rng: &mut Rng, plans: &[Plan], regions: &[String], count: usize) -> Move {
    match rng.u32(0..100) {
        0..=24 => Move::Weather(weather(rng, regions)),
        25..=39 => Move::DiesAt { writes: rng.u32(1..40), before: rng.bool() },
        40..=44 => Move::Killed,
        45..=49 => Move::Stopped { away: rng.u64(1..900) },
        50..=53 => Move::DiskFull { after: rng.u32(0..20) },
        54..=58 => Move::JournalLost { stopped: rng.bool() },
        59 => Move::StateLost,
        60..=61 => Move::DiskLied { lost: rng.usize(1..12) },
        62..=65 => Move::Reloaded(changed(rng, plans, regions)),
        66..=67 => Move::BadFile,
        68..=72 => Move::Asked { plan: rng.usize(..3), instance: rng.bool().then(|| rng.usize(..count)) },
        73..=75 => Move::ClockSet(clock_step(rng)),
        76..=78 => Move::Slept(i64::from(rng.u32(10..20_000))),
        79..=80 => Move::Twin,
        81 => Move::OtherInstallation { instance: rng.usize(..count) },
        _ => {
            let (act, _) = ACTS[rng.usize(..ACTS.len())];
            // What ends an instance for good would empty the fleet.
            let act = if act == Act::Terminate && rng.bool() { Act::Heal } else { act };
            Move::Deed(Deed { act, nth: rng.usize(..16) })
        }
    }
}

fn clock_step(rng: &mut Rng) -> i64 {
    let far = [120, 600, 3600, 86_400, 3 * 86_400][rng.usize(..5)];
    let by = rng.i64(30..=far);
    if rng.bool() { by } else { -by }
}

fn weather(rng: &mut Rng, regions: &[String]) -> Weather {
    weather_of(rng, regions, &APIS)
}

fn weather_of(rng: &mut Rng, regions: &[String], apis: &[&str]) -> Weather {
    let kind = match rng.u32(0..14) {
        0 | 1 => Kind::Throttled,
        2 => Kind::Denied,
        3 => Kind::Expired,
        4 => Kind::BadKey,
        5 => Kind::ErrorBefore,
        6 => Kind::ErrorAfter,
        7 => Kind::CutBefore,
        8 => Kind::CutAfter,
        9 => Kind::NotSent,
        10 => Kind::Silent,
        11 => Kind::SilentAfter,
        _ => Kind::Slow(rng.u32(1..150)),
    };
    let api = apis[rng.usize(..apis.len())].to_owned();
    let region = rng.bool().then(|| regions[rng.usize(..regions.len())].clone());
    // A blow, or an outage.
    let (times, lasts) =
        if rng.f64() < 0.6 { (rng.u32(1..=6), rng.u64(60..HOUR)) } else { (u32::MAX, rng.u64(20..1800)) };
    Weather { api, region, kind, every: rng.u32(1..=3), times, lasts }
}

fn fleet(rng: &mut Rng, seed: u64) -> Fleet {
    let two = rng.f64() < 0.3;
    let members = (1..=rng.u32(1..=5)).map(|n| {
        let mut tags = Tags::from([("Backup".to_owned(), "yes".to_owned())]);
        if rng.f64() < 0.2 {
            tags.insert("Tier".into(), "db".into());
        }
        if rng.f64() < 0.04 {
            tags.insert("aws:autoscaling:groupName".into(), "group".into());
        }
        if rng.f64() < 0.04 {
            tags.insert("stillframe:skip".into(), "please".into());
        }
        Member {
            id: Some(id(n)),
            region: (two && rng.bool()).then(|| FAR.to_owned()),
            tags,
            state: if rng.f64() < 0.1 { InstanceState::Stopped } else { InstanceState::Running },
            reboot_seconds: rng.bool().then(|| f64::from(rng.u32(5..200))),
            image_seconds: match rng.u32(0..10) {
                0..=2 => Some(f64::from(rng.u32(1..2000))),
                3 => Some(f64::from(rng.u32(3600..4 * 3600))),
                _ => None,
            },
            never_healthy: rng.f64() < 0.12,
            image_fails: rng.f64() < 0.1,
            #[allow(clippy::cast_precision_loss)] // small
            stale_seconds: STALE as f64,
            multi_attach: rng.f64() < 0.03,
            hibernation: rng.f64() < 0.03,
            ..Member::default()
        }
    });
    let instances = members.collect();
    let mut regions = vec![REGION.to_owned()];
    if two {
        regions.push(FAR.into());
    }
    Fleet {
        account: ACCOUNT.into(),
        regions,
        speed: 1.0,
        visibility_lag: if rng.bool() { 0.0 } else { f64::from(rng.u32(1..120)) },
        image_seconds: [10.0, 120.0],
        reboot_seconds: 30.0,
        throttling: true,
        seed,
        trouble: Profile::None,
        instances,
        ..Fleet::demo()
    }
}

fn plans(rng: &mut Rng, regions: &[String], nightly: bool) -> Vec<Plan> {
    let count = [1, 1, 2, 2, 3][rng.usize(..5)];
    (0..count).map(|n| one_plan(rng, ["web", "db", "app"][n], regions, nightly)).collect()
}

fn one_plan(rng: &mut Rng, name: &str, regions: &[String], nightly: bool) -> Plan {
    let most = if nightly { 8 } else { 55 };
    let dues = if nightly { 2 } else { 4 };
    let minutes: BTreeSet<u32> = (0..rng.u32(1..=dues)).map(|_| rng.u32(0..most)).collect();
    let minutes: Vec<String> = minutes.iter().map(u32::to_string).collect();
    let mut plan = plan(name, &format!("{} 2 * * *", minutes.join(",")));
    plan.schedule.catch_up = [Some(3600), Some(3600), Some(600), None][rng.usize(..4)];
    plan.schedule.window = rng.bool().then(|| rng.u64(60..1800));
    plan.select.regions =
        if rng.f64() < 0.7 { regions.to_vec() } else { vec![regions[rng.usize(..regions.len())].clone()] };
    if rng.f64() < 0.2 {
        plan.select.exclude_tags.insert("stillframe:skip".into(), ["*".to_owned()].into());
    }
    if rng.f64() < 0.15 {
        plan.select.instances = [id(1), id(9)].into();
    }
    plan.consistency.mode = if rng.f64() < 0.8 { Mode::Reboot } else { Mode::None };
    plan.consistency.resend_unknown = rng.f64() < 0.8;
    plan.rollout.max_in_flight = rng.u32(1..=3);
    plan.rollout.settle = STALE + rng.u64(1..60);
    plan.rollout.healthy_within = plan.rollout.settle + rng.u64(60..900);
    plan.rollout.on_unhealthy = if rng.bool() { OnUnhealthy::Continue } else { OnUnhealthy::HaltPlan };
    plan.keep = keep(rng, nightly);
    plan
}

pub fn keep(rng: &mut Rng, nightly: bool) -> Keep {
    let mut keep = Keep { last: rng.u32(1..=3), max_deletions: rng.u32(1..=3), min: rng.u32(1..=2), ..Keep::default() };
    if nightly {
        keep.daily = rng.u32(0..=3);
        keep.weekly = rng.u32(0..=1);
        keep.within = rng.bool().then(|| rng.u64(3600..3 * 86_400));
        keep.last = rng.u32(0..=2).max(u32::from(keep.daily == 0 && keep.weekly == 0));
    } else if rng.f64() < 0.3 {
        keep.within = Some(rng.u64(60..HOUR));
        keep.hourly = rng.u32(0..=1);
    }
    keep
}

/// The plans with one of them changed, added or taken away.
fn changed(rng: &mut Rng, plans: &[Plan], regions: &[String]) -> Vec<Plan> {
    let mut plans = plans.to_vec();
    match rng.u32(0..4) {
        0 if plans.len() > 1 => {
            plans.remove(rng.usize(..plans.len()));
        }
        1 => plans.push(one_plan(rng, "late", regions, false)),
        2 => {
            let n = rng.usize(..plans.len());
            let name = plans[n].name.clone();
            plans[n] = one_plan(rng, &name, regions, false);
        }
        _ => {
            let n = rng.usize(..plans.len());
            plans[n].keep = keep(rng, false);
            plans[n].rollout.max_in_flight = rng.u32(1..=3);
        }
    }
    plans
}
