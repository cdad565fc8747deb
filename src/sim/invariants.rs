//! What holds in the world whatever is asked of it, in any order, with any faults.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, TimeZone as _, Utc};
use proptest::prelude::*;

use super::action::{Action, Listing, Paging};
use super::answer::Answer;
use super::faults::{Fault, FaultKind};
use super::fleet::Fleet;
use super::world::{Caller, World};

const REGION: &str = "eu-central-1";

/// One step of a random history; the numbers choose among what exists then.
#[derive(Debug, Clone)]
enum Step {
    Create { instance: usize, name: usize, no_reboot: bool },
    Copy { image: usize, name: usize },
    Register { snapshot: usize, name: usize },
    Deregister { image: usize, with_snapshots: bool },
    Delete { snapshot: usize },
    Stop { instance: usize },
    Start { instance: usize },
    Terminate { instance: usize },
    Fault(&'static str, FaultKind),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0..64_usize;
    let name = || 0..6_usize;
    let kind = prop_oneof![
        Just(FaultKind::Throttle),
        Just(FaultKind::ErrorBefore),
        Just(FaultKind::ErrorAfter),
        Just(FaultKind::CutBefore),
        Just(FaultKind::CutAfter),
    ];
    prop_oneof![
        4 => (n(), name(), any::<bool>()).prop_map(|(instance, name, no_reboot)| Step::Create { instance, name, no_reboot }),
        2 => (n(), name()).prop_map(|(image, name)| Step::Copy { image, name }),
        2 => (n(), name()).prop_map(|(snapshot, name)| Step::Register { snapshot, name }),
        3 => (n(), any::<bool>()).prop_map(|(image, with_snapshots)| Step::Deregister { image, with_snapshots }),
        2 => n().prop_map(|snapshot| Step::Delete { snapshot }),
        1 => n().prop_map(|instance| Step::Stop { instance }),
        1 => n().prop_map(|instance| Step::Start { instance }),
        1 => n().prop_map(|instance| Step::Terminate { instance }),
        1 => (prop::sample::select(vec!["CreateImage", "DeregisterImage", "*"]), kind).prop_map(|(api, k)| Step::Fault(api, k)),
        4 => (0..8_i64).prop_map(Step::Wait),
    ]
}

/// The `n`-th key, going round; an unknown id where there is none.
fn nth<T>(of: &BTreeMap<String, T>, n: usize, none: &str) -> String {
    of.keys().nth(n % of.len().max(1)).cloned().unwrap_or_else(|| format!("{none}-00000000000000000"))
}

fn act(world: &World, step: &Step) -> Option<Action> {
    let instance = |n: &usize| nth(&world.instances, *n, "i");
    let image = |n: &usize| nth(&world.images, *n, "ami");
    let snapshot = |n: &usize| nth(&world.snapshots, *n, "snap");
    let name = |n: &usize| format!("name {n}");
    Some(match step {
        Step::Create { instance: i, name: n, no_reboot } => Action::CreateImage {
            instance: instance(i),
            name: name(n),
            description: None,
            no_reboot: Some(*no_reboot),
            tags: vec![],
        },
        Step::Copy { image: i, name: n } => Action::CopyImage {
            source_image: image(i),
            source_region: REGION.into(),
            name: name(n),
            description: None,
            encrypted: None,
            kms_key: None,
            copy_tags: None,
            client_token: None,
            tags: vec![],
        },
        Step::Register { snapshot: s, name: n } => Action::RegisterImage {
            name: name(n),
            description: None,
            root_device: None,
            mappings: vec![("/dev/xvda".into(), snapshot(s))],
            tags: vec![],
        },
        Step::Deregister { image: i, with_snapshots } => {
            Action::DeregisterImage { image: image(i), delete_snapshots: Some(*with_snapshots) }
        }
        Step::Delete { snapshot: s } => Action::DeleteSnapshot { snapshot: snapshot(s) },
        Step::Stop { instance: i } => Action::StopInstances { instances: vec![instance(i)] },
        Step::Start { instance: i } => Action::StartInstances { instances: vec![instance(i)] },
        Step::Terminate { instance: i } => Action::TerminateInstances { instances: vec![instance(i)] },
        Step::Fault(..) | Step::Wait(_) => return None,
    })
}

fn check(world: &World, now: DateTime<Utc>) -> Result<(), TestCaseError> {
    let mut names = BTreeSet::new();
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for image in world.images.values() {
        if image.holds_name(now) {
            prop_assert!(names.insert(&image.name), "the name {} is held twice", image.name);
        }
        for snapshot in image.snapshots().filter(|_| image.registered()) {
            prop_assert!(world.snapshots.contains_key(snapshot), "{} lost {snapshot}", image.id);
            used.entry(snapshot).or_default().insert(image.id.clone());
        }
    }
    for snapshot in world.snapshots.values() {
        let users = used.remove(snapshot.id.as_str()).unwrap_or_default();
        prop_assert_eq!(&snapshot.users, &users, "who uses {}", &snapshot.id);
    }
    let rebooted = world.images.values().filter(|i| i.rebooted).count();
    let reboots: usize = world.instances.values().map(super::instance::SimInstance::reboot_count).sum();
    prop_assert_eq!(reboots, rebooted, "each reboot made exactly one image");
    Ok(())
}

proptest! {
    #[test]
    fn the_world_stays_whole(steps in prop::collection::vec(step(), 1..60), lag in 0..4_u8) {
        let mut now = Utc.with_ymd_and_hms(2026, 11, 20, 2, 30, 0).unwrap();
        let fleet = Fleet { visibility_lag: f64::from(lag), ..Fleet::demo() };
        let mut world = fleet.world(now).unwrap();
        let me = Caller::new("111111111111");
        for step in &steps {
            match (step, act(&world, step)) {
                (Step::Wait(seconds), _) => now += Duration::seconds(*seconds),
                (Step::Fault(api, kind), _) => world.faults.push(Fault::once(api, *kind)),
                (_, Some(action)) => {
                    let before = serde_json::to_value((&world.instances, &world.images, &world.snapshots)).unwrap();
                    world.serve(now, &me, REGION, &action);
                    let call = world.calls.iter().next_back().unwrap();
                    if !call.effect {
                        let after = serde_json::to_value((&world.instances, &world.images, &world.snapshots)).unwrap();
                        prop_assert_eq!(before, after, "{:?} had no effect", &call);
                    }
                }
                (_, None) => {}
            }
            check(&world, now)?;
        }
    }

    /// What is there during the whole listing comes exactly once, whatever else vanishes meanwhile.
    #[test]
    fn paging_loses_nothing_that_stays(size in 5..9_u32, gone in prop::collection::btree_set(0..14_usize, 0..6)) {
        let now = Utc.with_ymd_and_hms(2026, 11, 20, 2, 30, 0).unwrap();
        let mut world = Fleet::demo().world(now).unwrap();
        let me = Caller::new("111111111111");
        let all: Vec<String> = world.instances.keys().cloned().collect();
        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let list = Listing { page: Paging { max: Some(size), token }, ..Listing::default() };
            let Ok(Answer::Instances(page)) = world.call(now, &me, REGION, &Action::DescribeInstances(list)) else {
                return Err(TestCaseError::fail("no page"));
            };
            seen.extend(page.items.into_iter().map(|i| i.it.id));
            for n in &gone {
                world.instances.remove(&all[*n]);
            }
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        let unique: BTreeSet<&String> = seen.iter().collect();
        prop_assert_eq!(unique.len(), seen.len());
        for (n, id) in all.iter().enumerate() {
            prop_assert!(gone.contains(&n) || unique.contains(id), "{} is missing", id);
        }
    }
}
