//! The ports on the simulated world: how requests end, in simulated time, and what a restart finds.

use std::time::Duration;

use chrono::{DateTime, TimeZone as _, Utc};

use super::faults::{Fault, FaultKind};
use super::{Fleet, SimCloud};
use crate::clock::Clock;
use crate::cloud::classify::Class;
use crate::cloud::port::{CreateImage, Ec2, Effect, Identity, ImageQuery, InstanceQuery};
use crate::domain::observed::{ImageState, Tags};
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
    let page = cloud.instances(&home(), &query, None).await.unwrap();
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
async fn each_fault_ends_an_effect_as_a_client_must_see_it() {
    let cloud = cloud();
    let id = nightly(&cloud).await.remove(0);
    for (n, (kind, end, made)) in [
        (None, "done", true),
        (Some(FaultKind::Throttle), "refused", false),
        (Some(FaultKind::ErrorBefore), "unknown", false),
        (Some(FaultKind::ErrorAfter), "unknown", true),
        (Some(FaultKind::CutBefore), "unknown", false),
        (Some(FaultKind::CutAfter), "unknown", true),
        (Some(FaultKind::HangAfter { seconds: 90.0 }), "done", true),
    ]
    .into_iter()
    .enumerate()
    {
        cloud.world().faults.extend(kind.map(|kind| Fault::once("CreateImage", kind)));
        let before = tokio_now(&cloud);
        let name = format!("image {n}");
        let ended = match cloud.create_image(&home(), &request(&id, &name)).await {
            Effect::Done { request_id, .. } => {
                assert!(request_id.is_some());
                "done"
            }
            Effect::Refused(_) => "refused",
            Effect::Unknown(fault) => {
                assert_eq!(fault.class, Class::Transient);
                "unknown"
            }
        };
        assert_eq!(ended, end, "{kind:?}");
        let late = tokio_now(&cloud) - before;
        let want = if matches!(kind, Some(FaultKind::HangAfter { .. })) { 90 } else { 0 };
        assert_eq!(late.num_seconds(), want, "{kind:?}");
        let found = cloud.images(&home(), &ImageQuery::Names(vec![name]), None).await.unwrap();
        assert_eq!(found.items.len(), usize::from(made), "{kind:?}");
        // Past the quota of pending snapshots.
        cloud.clock().sleep(Duration::from_secs(60)).await;
    }
}

fn tokio_now(cloud: &SimCloud) -> DateTime<Utc> {
    cloud.clock().now()
}

#[tokio::test(start_paused = true)]
async fn an_image_through_the_ports() {
    let cloud = cloud();
    assert_eq!(cloud.home_region().as_deref(), Some("eu-central-1"));
    assert_eq!(cloud.whoami().await.unwrap().account, "111111111111");
    let ids = nightly(&cloud).await;
    assert_eq!(ids.len(), 12);
    let Effect::Done { value: image, .. } = cloud.create_image(&home(), &request(&ids[0], "one")).await else {
        panic!()
    };
    let status = cloud.instance_status(&home(), &ids).await.unwrap();
    assert_eq!(status.iter().filter(|s| !s.healthy()).map(|s| &s.instance).collect::<Vec<_>>(), [&ids[0]]);
    let look = || async {
        cloud.images(&home(), &ImageQuery::SourceInstances(vec![ids[0].clone()]), None).await.unwrap().items.remove(0)
    };
    assert_eq!(look().await.state, ImageState::Pending);
    cloud.clock().sleep(Duration::from_secs(10)).await;
    let seen = look().await;
    assert_eq!((seen.state, seen.created, seen.id.as_str()), (ImageState::Available, t0(), image.as_str()));
    let snapshots = cloud.snapshots(&home(), &seen.snapshots, None).await.unwrap().items;
    assert!(snapshots.iter().all(|s| s.state == "completed" && s.tags == seen.tags));
    let Effect::Refused(fault) = cloud.delete_snapshot(&home(), &seen.snapshots[0]).await else { panic!() };
    assert_eq!(fault.class, Class::InUse);
    let Effect::Refused(fault) = cloud.create_image(&home(), &request(&ids[1], "one")).await else { panic!() };
    assert_eq!(fault.class, Class::DuplicateName);
    let Effect::Done { value: ends, .. } = cloud.deregister_image(&home(), &image).await else { panic!() };
    assert!(ends.iter().all(|end| end.result == "success"));
    let unknown = cloud.instance_status(&home(), &["i-00000000000000000".into()]).await.unwrap_err();
    assert_eq!(unknown.class, Class::NotFound);
    assert!(cloud.multi_attach_volumes(&home(), None).await.unwrap().items.is_empty());
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
        let got = cloud.instances(&home(), &query, page.as_deref()).await.unwrap();
        ids.extend(got.items.into_iter().map(|i| i.id));
        page = got.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(ids.len(), 10_008);
    for id in &ids {
        let name = format!("stillframe/{id}");
        assert!(cloud.images(&home(), &ImageQuery::Names(vec![name.clone()]), None).await.unwrap().items.is_empty());
        assert!(matches!(cloud.create_image(&home(), &request(id, &name)).await, Effect::Done { .. }));
    }
    assert_eq!(cloud.world().images.len(), ids.len());
}
