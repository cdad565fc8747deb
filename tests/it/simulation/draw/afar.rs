//! Draws what a life has of copies, shares and keys, from a generator of its own: what else the seed means stays.

use fastrand::Rng;
use stillframe::domain::keep::Keep;
use stillframe::domain::plan::{CopyTo, Plan};
use stillframe::sim::account::{SimAccount, SimRole};
use stillframe::sim::fleet::FleetKey;

use super::super::copies::{DR, FRIEND, copy_to, share};
use super::super::people::{ACTS_AFAR, Deed};
use super::super::plot::{Move, Plot};
use super::super::rig::{ACCOUNT, REGION};
use super::super::weather::{Kind, Weather};
use super::{FAR, weather_of};

/// A region in which nothing runs.
const FURTHER: &str = "eu-north-1";
/// The second generator's own part of a seed.
const SALT: u64 = 0x6166_6172;
/// So many of all lives have copies or shares.
const SHARE_OF_LIVES: f64 = 0.3;
/// Own keys of both accounts, in each region.
const KEYS: [(&str, &str); 3] = [(ACCOUNT, "alias/own"), (ACCOUNT, "alias/lend"), (DR, "alias/backup")];

const APIS: [&str; 15] = [
    "CopyImage",
    "CopyImage",
    "ModifyImageAttribute",
    "ModifySnapshotAttribute",
    "CreateTags",
    "DeleteTags",
    "CreateGrant",
    "RevokeGrant",
    "DescribeKey",
    "ListGrants",
    "DescribeSnapshots",
    "DescribeImageAttribute",
    "DescribeSnapshotAttribute",
    "DescribeImages",
    "DeregisterImage",
];

/// What roles may be denied for a while.
pub const DENIED: [&str; 6] =
    ["*", "ec2:CopyImage", "ec2:DescribeImages", "ec2:DeregisterImage", "kms:*", "ec2:DescribeSnapshots"];

/// The same life, with copies and shares if its seed is one of those that have them.
pub fn with_copies(mut plot: Plot) -> Plot {
    let mut rng = Rng::with_seed(plot.seed ^ SALT);
    let rng = &mut rng;
    if rng.f64() >= SHARE_OF_LIVES {
        return plot;
    }
    let sealed = [None, None, Some("alias/own"), Some("alias/aws/ebs")][rng.usize(..4)];
    let fleet = &mut plot.fleet;
    for member in &mut fleet.instances {
        // Some fleets are under more than one key.
        let key = if rng.f64() < 0.2 { Some("alias/own") } else { sealed };
        member.kms_key = key.map(str::to_owned);
    }
    for region in [FAR, FURTHER] {
        if !fleet.regions.iter().any(|r| r == region) {
            fleet.regions.push(region.into());
        }
    }
    fleet.copy_seconds = Some([30.0, [120.0, 600.0, 3000.0][rng.usize(..3)]]);
    fleet.grant_seconds = [0.0, 5.0, 120.0][rng.usize(..3)];
    fleet.revoking_stops_copies = rng.f64() < 0.7;
    let role = SimRole {
        name: "stillframe".into(),
        external_id: Some("open sesame".into()),
        trusts: vec![ACCOUNT.into()],
        denied: Vec::new(),
    };
    fleet.accounts = vec![SimAccount { id: DR.into(), roles: vec![role], ..SimAccount::default() }];
    fleet.keys = KEYS
        .iter()
        .flat_map(|(account, alias)| {
            [REGION, FAR, FURTHER].map(|region| FleetKey {
                account: Some((*account).into()),
                region: Some(region.into()),
                alias: Some((*alias).into()),
                ..FleetKey::default()
            })
        })
        .collect();
    for plan in &mut plot.plans {
        distribute(rng, plan, sealed.is_some());
    }
    for (_, what) in &mut plot.moves {
        if let Move::Reloaded(plans) = what {
            for plan in plans {
                let known = plot.plans.iter().find(|p| p.name == plan.name);
                match rng.u32(0..3) {
                    0 => distribute(rng, plan, sealed.is_some()),
                    1 => (plan.copies, plan.share) = (Vec::new(), None),
                    _ => {
                        if let Some(known) = known {
                            (plan.copies, plan.share) = (known.copies.clone(), known.share.clone());
                        }
                    }
                }
            }
        }
    }
    for _ in 0..rng.u32(2..=8) {
        let at = rng.u64(0..plot.end);
        let what = draw(rng, &plot.plans, sealed.is_some());
        match what {
            Move::Key { nth, .. } => plot.moves.push((at + lasts(rng), Move::Key { nth, enabled: true })),
            Move::Role { .. } => plot.moves.push((at + lasts(rng), Move::Role { denied: None })),
            _ => {}
        }
        plot.moves.push((at, what));
    }
    plot.moves.sort_by_key(|(at, _)| *at);
    plot.afar = true;
    plot
}

/// How long a key or a role is of no use: minutes, or nights.
fn lasts(rng: &mut Rng) -> u64 {
    if rng.bool() { rng.u64(30..1500) } else { rng.u64(1500..4000) }
}

fn draw(rng: &mut Rng, plans: &[Plan], sealed: bool) -> Move {
    match rng.u32(0..22) {
        0..=5 => {
            let regions: Vec<String> = [REGION, FAR, FURTHER].map(str::to_owned).into();
            Move::Weather(weather_of(rng, &regions, &APIS))
        }
        // The answers to copies are lost, or nobody may copy.
        20..=21 => {
            let kind = [Kind::CutAfter, Kind::ErrorAfter, Kind::SilentAfter, Kind::Denied][rng.usize(..4)];
            let (every, lasts) = (rng.u32(1..=2), rng.u64(600..4000));
            let times = if kind == Kind::Denied { u32::MAX } else { rng.u32(1..=6) };
            Move::Weather(Weather { api: "CopyImage".into(), region: None, kind, every, times, lasts })
        }
        6..=7 => Move::Key { nth: rng.usize(..9), enabled: false },
        8..=9 => Move::Role { denied: Some(DENIED[rng.usize(..DENIED.len())]) },
        10 => Move::JournalLost { stopped: rng.bool() },
        11..=12 => {
            let mut plans = plans.to_vec();
            for plan in &mut plans {
                if rng.bool() {
                    distribute(rng, plan, sealed);
                }
            }
            Move::Reloaded(plans)
        }
        13 => Move::DiesAt { writes: rng.u32(1..60), before: rng.bool() },
        _ => Move::Deed(Deed { act: ACTS_AFAR[rng.usize(..ACTS_AFAR.len())].0, nth: rng.usize(..64) }),
    }
}

/// Gives a plan other destinations and another share, or none.
fn distribute(rng: &mut Rng, plan: &mut Plan, sealed: bool) {
    let mut places: Vec<(&str, Option<&str>)> =
        vec![(FAR, None), (FURTHER, None), (FAR, Some(DR)), (FURTHER, Some(DR)), (REGION, Some(DR))];
    plan.copies.clear();
    for _ in 0..[1, 1, 2, 0][rng.usize(..4)] {
        let (region, account) = places.swap_remove(rng.usize(..places.len()));
        plan.copies.push(destination(rng, region, account, sealed));
    }
    if rng.f64() < 0.3 {
        // What is owed is all that keeps the images.
        plan.keep = Keep { last: 1, min: 1, max_deletions: 3, ..Keep::default() };
        plan.copies.iter_mut().for_each(|copy| copy.keep.last = 3);
    }
    let whom: &[&str] = [&[][..], &[], &[FRIEND], &[FRIEND, DR], &[DR]][rng.usize(..5)];
    plan.share = (!whom.is_empty() || plan.copies.is_empty()).then(|| {
        let mut share = share(if whom.is_empty() { &[FRIEND] } else { whom });
        share.snapshots = rng.f64() < 0.8;
        share.grace = [0, 300, 86_400][rng.usize(..3)];
        share.via_key = (sealed && rng.bool()).then(|| "alias/lend".to_owned());
        if rng.f64() < 0.2 {
            share.organizations.insert("arn:aws:organizations::111111111111:organization/o-abc".into());
        }
        share
    });
}

fn destination(rng: &mut Rng, region: &str, account: Option<&str>, sealed: bool) -> CopyTo {
    let key = match account {
        Some(_) => "alias/backup",
        None => "alias/own",
    };
    CopyTo {
        kms_key: (sealed && rng.f64() < 0.8 || rng.f64() < 0.3).then(|| key.to_owned()),
        via_key: (account.is_some() && sealed && rng.f64() < 0.8).then(|| "alias/lend".to_owned()),
        keep: Keep { last: rng.u32(1..=3), max_deletions: rng.u32(1..=3), ..Keep::default() },
        ..copy_to(region, account)
    }
}
