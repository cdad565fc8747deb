//! CreateImage.

use stillframe::cloud::classify::Class;
use stillframe::cloud::port::{Ask, CreateImage, ImageQuery};
use stillframe::domain::observed::{ImageState, Tags};

use super::case::{Case, case, done, of, refused};
use super::stage::{NO_INSTANCE, Stage};

const NO_STATE: &str = "moto knows no reboots, and nothing takes time in it";

pub fn cases() -> Vec<Case> {
    vec![
        case!(an_image_is_pending_before_it_is_available, differs "is available at once" moto_is_done_at_once),
        case!(a_running_instance_reboots_unless_told_otherwise, not NO_STATE),
        case!(a_stopped_instance_is_imaged_as_it_is),
        case!(a_terminated_instance_is_not_imaged),
        case!(a_stopping_instance_is_not_imaged_for_now, not NO_STATE),
        case!(a_taken_name_is_a_duplicate),
        case!(a_malformed_name_is_refused),
        case!(an_unknown_instance_is_not_found),
        case!(a_malformed_instance_is_refused, differs "calls it unknown" moto_calls_a_malformed_one_unknown),
        case!(fifty_tags_and_no_more),
        case!(an_image_that_fails_says_why, not "moto's images never fail"),
        case!(a_volume_takes_so_many_snapshots_at_a_time, not NO_STATE),
        case!(a_region_takes_so_many_images, not "moto has no quotas"),
    ]
}

async fn create(stage: &Stage, request: &CreateImage) -> stillframe::cloud::port::Effect<String> {
    stage.port.create_image(&stage.place, request).await
}

async fn look(stage: &Stage, id: &str) -> stillframe::domain::observed::Image {
    let query = ImageQuery::Ids(vec![id.to_owned()]);
    stage.port.images(&stage.place, &query, Ask::FIRST).await.expect("listed").items.remove(0)
}

async fn an_image_is_pending_before_it_is_available(stage: &Stage) {
    stage.world().image_seconds = [60.0, 60.0];
    let request = stage.request(0, "stillframe/a/1");
    let id = done(create(stage, &request).await);
    let first = look(stage, &id).await;
    assert_eq!((first.state, &*first.tags), (ImageState::Pending, &request.tags), "its tags come with it");
    let snapshots = stage.port.snapshots_tagged(&stage.place, "stillframe:plan", "nightly", Ask::FIRST).await;
    let snapshots = snapshots.expect("listed").items;
    assert_eq!(snapshots.iter().map(|s| s.state.as_str()).collect::<Vec<_>>(), ["pending"; 2]);
    stage.pass(61.0).await;
    assert_eq!(look(stage, &id).await.state, ImageState::Available);
    let ids: Vec<String> = snapshots.into_iter().map(|snapshot| snapshot.id).collect();
    let after = stage.port.snapshots(&stage.place, &ids, Ask::FIRST).await.expect("listed").items;
    assert!(after.iter().all(|snapshot| snapshot.state == "completed"), "{after:?}");
}

async fn moto_is_done_at_once(stage: &Stage) {
    let request = stage.request(0, "stillframe/a/1");
    let first = look(stage, &done(create(stage, &request).await)).await;
    assert_eq!((first.state, &*first.tags), (ImageState::Available, &request.tags));
}

async fn a_running_instance_reboots_unless_told_otherwise(stage: &Stage) {
    stage.image(0, "with a reboot").await;
    assert_eq!(stage.reboots(&stage.tagged[0]), 1);
    let request = CreateImage { no_reboot: true, ..stage.request(1, "without one") };
    done(create(stage, &request).await);
    assert_eq!(stage.reboots(&stage.tagged[1]), 0);
}

async fn a_stopped_instance_is_imaged_as_it_is(stage: &Stage) {
    let request = CreateImage { instance: stage.stopped.clone(), ..stage.request(0, "stopped") };
    let id = done(create(stage, &request).await);
    assert_eq!(stage.settled(&id).await.source_instance.as_ref(), Some(&stage.stopped));
    let query = stillframe::cloud::port::InstanceQuery::Ids(vec![stage.stopped.clone()]);
    let seen = stage.port.instances(&stage.place, &query, Ask::FIRST).await.expect("listed").items.remove(0);
    assert_eq!(seen.state, stillframe::domain::observed::InstanceState::Stopped);
}

async fn a_terminated_instance_is_not_imaged(stage: &Stage) {
    let request = CreateImage { instance: stage.terminated.clone(), ..stage.request(0, "terminated") };
    let end = refused(create(stage, &request).await);
    assert_eq!(end, of(Class::WrongState, "InvalidParameterValue"));
}

async fn a_stopping_instance_is_not_imaged_for_now(stage: &Stage) {
    stage.world().reboot_seconds = 60.0;
    stage.person(stillframe::sim::people::Deed::Stop(stage.tagged[0].clone())).await;
    let end = refused(create(stage, &stage.request(0, "stopping")).await);
    assert_eq!(end, of(Class::WrongState, "InvalidParameterValue"));
    stage.pass(61.0).await;
    done(create(stage, &stage.request(0, "stopping")).await);
    assert_eq!(stage.reboots(&stage.tagged[0]), 0);
}

async fn a_taken_name_is_a_duplicate(stage: &Stage) {
    let first = stage.image(0, "stillframe/a/1").await;
    for n in [0, 1] {
        let stillframe::cloud::port::Effect::Refused(fault) = create(stage, &stage.request(n, "stillframe/a/1")).await
        else {
            panic!("not refused");
        };
        assert!(fault.message.contains(&first.id), "it names who holds the name: {fault}");
        assert_eq!(super::case::faulty(fault), of(Class::DuplicateName, "InvalidAMIName.Duplicate"));
    }
    assert_eq!(stage.found(ImageQuery::Names(vec!["stillframe/a/1".into()])).await, [first.id.as_str()]);
    // Names are taken in one region alone, and told apart by case.
    done(create(stage, &stage.request(2, "Stillframe/a/1")).await);
}

async fn a_malformed_name_is_refused(stage: &Stage) {
    for name in ["ab".to_owned(), "n".repeat(129), "at 02:30".into(), "ümlaut".into(), "a\nb".into()] {
        let end = refused(create(stage, &stage.request(0, &name)).await);
        assert_eq!(end, of(Class::Final, "InvalidAMIName.Malformed"), "{name}");
    }
    done(create(stage, &stage.request(0, "Fine 1()[]./-'@_")).await);
    done(create(stage, &stage.request(1, &"n".repeat(128))).await);
}

async fn an_unknown_instance_is_not_found(stage: &Stage) {
    let request = CreateImage { instance: NO_INSTANCE.into(), ..stage.request(0, "stillframe/a/1") };
    assert_eq!(refused(create(stage, &request).await), of(Class::NotFound, "InvalidInstanceID.NotFound"));
}

async fn malformed(stage: &Stage) -> (Class, String) {
    refused(create(stage, &CreateImage { instance: "web-1".into(), ..stage.request(0, "stillframe/a/1") }).await)
}

async fn a_malformed_instance_is_refused(stage: &Stage) {
    assert_eq!(malformed(stage).await, of(Class::Final, "InvalidInstanceID.Malformed"));
}

async fn moto_calls_a_malformed_one_unknown(stage: &Stage) {
    assert_eq!(malformed(stage).await, of(Class::NotFound, "InvalidInstanceID.NotFound"));
}

fn with_tags(stage: &Stage, n: usize, count: usize) -> CreateImage {
    let tags: Tags = (0..count).map(|n| (format!("k{n:02}"), "v".repeat(256))).collect();
    CreateImage { tags, ..stage.request(n, &format!("{count} tags")) }
}

async fn fifty_tags_and_no_more(stage: &Stage) {
    let id = done(create(stage, &with_tags(stage, 0, 50)).await);
    assert_eq!(look(stage, &id).await.tags.len(), 50);
    assert_eq!(refused(create(stage, &with_tags(stage, 1, 51)).await), of(Class::Final, "TagLimitExceeded"));
}

async fn an_image_that_fails_says_why(stage: &Stage) {
    stage.world().instances.get_mut(&stage.tagged[0]).expect("of the fleet").traits.image_fails = true;
    let failed = stage.image(0, "stillframe/a/1").await;
    assert_eq!(failed.state, ImageState::Failed);
    assert!(failed.state_reason.is_some_and(|why| why.contains("Client.InternalError: ")));
    let end = refused(create(stage, &stage.request(1, "stillframe/a/1")).await);
    assert_eq!(end.0, Class::DuplicateName, "it holds its name");
}

async fn a_volume_takes_so_many_snapshots_at_a_time(stage: &Stage) {
    stage.world().image_seconds = [300.0, 300.0];
    for n in 0..5 {
        done(create(stage, &stage.request(0, &format!("image {n}"))).await);
        let soon = refused(create(stage, &stage.request(0, "too soon")).await);
        let why = if n == 4 { "ConcurrentSnapshotLimitExceeded" } else { "SnapshotCreationPerVolumeRateExceeded" };
        assert_eq!(soon, of(Class::Busy, why));
        stage.pass(15.2).await;
    }
    assert_eq!(stage.reboots(&stage.tagged[0]), 5, "what is refused reboots nothing");
}

async fn a_region_takes_so_many_images(stage: &Stage) {
    stage.world().image_quota = 1;
    stage.image(0, "first").await;
    // Waiting frees nothing, so it is final, unlike the same code for too many copies at once.
    assert_eq!(refused(create(stage, &stage.request(1, "second")).await), of(Class::Final, "ResourceLimitExceeded"));
    assert_eq!(stage.reboots(&stage.tagged[1]), 0, "what is refused reboots nothing");
}
