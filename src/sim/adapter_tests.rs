//! The ports on the simulated world: what a restart finds, and how large it may be. What the ports promise is held by
//! tests/it/contract.

use chrono::{DateTime, TimeZone as _, Utc};

use super::faults::{Fault, FaultKind};
use super::{Fleet, SimCloud};
use crate::clock::Clock;
use crate::cloud::classify::Class;
use crate::cloud::port::{Ask, CreateImage, Ec2, Effect, ImageQuery, InstanceQuery};
use crate::domain::observed::Tags;
use crate::domain::place::Place;

fn t0() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 2, 30, 0).unwrap()
}

fn home() -> Place {
    Place::new("111111111111", "eu-central-1")
}

fn cloud() -> SimCloud {
    SimCloud::new(Fleet::demo().world(t0()).unwrap(), Clock::simulated(t0()))
}

async fn nightly(cloud: &SimCloud) -> Vec<String> {
    let query = InstanceQuery::Tags(vec![("Backup".into(), vec!["nightly".into()])]);
    let page = cloud.instances(&home(), &query, Ask::FIRST).await.unwrap();
    assert_eq!(page.next, None);
    page.items.into_iter().map(|i| i.id).collect()
}

fn request(instance: &str, name: &str) -> CreateImage {
    CreateImage {
        instance: instance.into(),
        name: name.into(),
        description: "a test".into(),
        no_reboot: false,
        tags: Tags::from([("stillframe:daemon".into(), "test".into())]),
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_finds_the_world_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::simulated(t0());
    let first = SimCloud::open(dir.path(), &Fleet::demo(), clock).unwrap();
    let id = nightly(&first).await.remove(0);
    first.world().faults.push(Fault::once("CreateImage", FaultKind::CutAfter));
    assert!(matches!(first.create_image(&home(), &request(&id, "kept")).await, Effect::Unknown(_)));
    drop(first);
    // Another fleet does not matter any more.
    let other = Fleet { instances: vec![], ..Fleet::demo() };
    let second = SimCloud::open(dir.path(), &other, clock).unwrap();
    assert_eq!(second.world().instances[&id].reboots, [t0()]);
    assert!(second.world().faults.is_empty(), "a fault that hit does not come again");
    let Effect::Refused(fault) = second.create_image(&home(), &request(&id, "kept")).await else { panic!() };
    assert_eq!(fault.class, Class::DuplicateName);
}

#[tokio::test(start_paused = true)]
async fn the_same_fleet_is_the_same_world() {
    let (a, b) = (cloud(), cloud());
    assert_eq!(nightly(&a).await, nightly(&b).await);
    let other = Fleet { seed: 7, ..Fleet::demo() };
    let other = SimCloud::new(other.world(t0()).unwrap(), Clock::simulated(t0()));
    assert_ne!(nightly(&a).await, nightly(&other).await);
}

#[tokio::test]
async fn a_large_world_answers() {
    let mut fleet = Fleet { throttling: false, ..Fleet::demo() };
    fleet.instances[0].count = 10_000;
    let cloud = SimCloud::new(fleet.world(t0()).unwrap(), Clock::simulated(t0()));
    let mut ids = Vec::new();
    let mut page = None;
    loop {
        let query = InstanceQuery::Tags(vec![("Backup".into(), vec!["nightly".into()])]);
        let got = cloud.instances(&home(), &query, Ask { token: page.as_deref(), halved: 0 }).await.unwrap();
        ids.extend(got.items.into_iter().map(|i| i.id));
        page = got.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(ids.len(), 10_008);
    for id in &ids {
        let name = format!("stillframe/{id}");
        assert!(
            cloud.images(&home(), &ImageQuery::Names(vec![name.clone()]), Ask::FIRST).await.unwrap().items.is_empty()
        );
        assert!(matches!(cloud.create_image(&home(), &request(id, &name)).await, Effect::Done { .. }));
    }
    assert_eq!(cloud.world().images.len(), ids.len());
}
