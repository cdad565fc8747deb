//! Requests that go wrong: the class of each fault, for reads and for effects, and whether the effect is there.

use stillframe::cloud::classify::Class;
use stillframe::cloud::port::{Ask, Effect, Fault, ImageQuery, InstanceQuery};
use stillframe::domain::observed::Image;
use stillframe::sim::faults::FaultKind;
use stillframe::sim::image::Odd;

use super::case::{Case, case, done, faulty, of, refused};
use super::stage::Stage;

const NO_FAULTS: &str = "moto injects no faults; tests of servers that misbehave stand beside it";

pub fn cases() -> Vec<Case> {
    vec![
        case!(each_fault_ends_a_read_as_a_client_sees_it, not NO_FAULTS),
        case!(each_fault_ends_an_image_as_a_client_sees_it, not NO_FAULTS),
        case!(an_answer_that_names_nothing_leaves_the_effect_unknown, not NO_FAULTS),
        case!(a_field_that_cannot_be_read_spoils_no_list, not NO_FAULTS),
        case!(an_answer_lost_after_a_deletion_is_unknown_and_it_is_done, not NO_FAULTS),
        case!(reads_and_throttled_effects_are_asked_again, not NO_FAULTS),
        case!(an_empty_bucket_refuses_for_now, not "moto has no token buckets"),
        case!(a_region_that_is_not_enabled_refuses_the_key, differs "has every region" moto_has_every_region),
    ]
}

/// The kinds that are answered, what with, and whether the effect is there all the same. Those without a code of
/// AWS's end as the transport tells.
const KINDS: [(FaultKind, Class, Option<&str>, bool); 8] = [
    (FaultKind::Throttle, Class::Throttled, Some("RequestLimitExceeded"), false),
    (FaultKind::Denied, Class::Denied, Some("UnauthorizedOperation"), false),
    (FaultKind::Expired, Class::Expired, Some("RequestExpired"), false),
    (FaultKind::BadKey, Class::Credentials, Some("AuthFailure"), false),
    (FaultKind::ErrorBefore, Class::Transient, Some("InternalError"), false),
    (FaultKind::ErrorAfter, Class::Transient, Some("InternalError"), true),
    (FaultKind::CutBefore, Class::Transient, None, false),
    (FaultKind::CutAfter, Class::Transient, None, true),
];

fn check(kind: FaultKind, fault: Fault, class: Class, code: Option<&str>) {
    assert!(!format!("{fault:?}").contains("testing"), "{fault:?} shows credentials");
    match code {
        Some(code) => assert_eq!(faulty(fault), of(class, code), "{kind:?}"),
        None => assert_eq!((fault.class, fault.request_id), (class, None), "{kind:?}"),
    }
}

async fn each_fault_ends_a_read_as_a_client_sees_it(stage: &Stage) {
    let ids = stage.tagged.clone();
    for (kind, class, code, _) in KINDS {
        stage.fault("DescribeInstances", kind);
        let end = stage.port.instances(&stage.place, &InstanceQuery::Ids(ids.clone()), Ask::FIRST).await;
        check(kind, end.expect_err("instances"), class, code);
        stage.fault("DescribeInstanceStatus", kind);
        check(kind, stage.port.instance_status(&stage.place, &ids).await.expect_err("checks"), class, code);
        stage.fault("DescribeVolumes", kind);
        check(kind, stage.port.multi_attach_volumes(&stage.place, Ask::FIRST).await.expect_err("volumes"), class, code);
        stage.fault("DescribeImages", kind);
        let end = stage.port.images(&stage.place, &ImageQuery::Names(vec!["*".into()]), Ask::FIRST).await;
        check(kind, end.expect_err("images"), class, code);
        stage.fault("DescribeSnapshots", kind);
        check(kind, stage.port.snapshots(&stage.place, &ids, Ask::FIRST).await.expect_err("snapshots"), class, code);
        stage.fault("DescribeSnapshots", kind);
        let end = stage.port.snapshots_tagged(&stage.place, "a", "b", Ask::FIRST).await;
        check(kind, end.expect_err("snapshots"), class, code);
    }
    assert!(stage.world().faults.is_empty(), "each was felt once");
    stage.fault("DescribeInstances", FaultKind::HangAfter { seconds: 0.2 });
    assert_eq!(
        stage.port.instances(&stage.place, &InstanceQuery::Ids(ids), Ask::FIRST).await.expect("late").items.len(),
        3
    );
}

async fn each_fault_ends_an_image_as_a_client_sees_it(stage: &Stage) {
    for (n, (kind, class, code, made)) in KINDS.into_iter().enumerate() {
        let name = format!("image {n}");
        let id = stage.tagged[0].clone();
        let before = stage.reboots(&id);
        stage.fault("CreateImage", kind);
        match stage.port.create_image(&stage.place, &stage.request(0, &name)).await {
            Effect::Done { .. } => panic!("{kind:?}: done"),
            Effect::Refused(fault) => {
                assert_ne!(class, Class::Transient, "{kind:?} tells nothing of the effect");
                check(kind, fault, class, code);
            }
            Effect::Unknown(fault) => {
                assert_eq!(class, Class::Transient, "{kind:?} is a clear answer");
                check(kind, fault, class, code);
            }
        }
        let found = stage.found(ImageQuery::Names(vec![name])).await;
        assert_eq!((found.len(), stage.reboots(&id) - before), (usize::from(made), usize::from(made)), "{kind:?}");
        for image in found {
            stage.settled(&image).await;
        }
    }
    stage.fault("CreateImage", FaultKind::HangAfter { seconds: 0.2 });
    done(stage.port.create_image(&stage.place, &stage.request(0, "late")).await);
    let calls: Vec<_> = stage.world().calls.of("CreateImage").map(|call| call.request_id.clone()).collect();
    assert_eq!(calls.len(), KINDS.len() + 1, "each was sent once");
}

async fn an_answer_that_names_nothing_leaves_the_effect_unknown(stage: &Stage) {
    let image = stage.image(0, "source").await;
    for (kind, made) in [(FaultKind::NamesNothing, 1), (FaultKind::NoCode, 0)] {
        let name = format!("image {kind:?}");
        stage.fault("CreateImage", kind);
        let end = stage.port.create_image(&stage.place, &stage.request(1, &name)).await;
        assert!(matches!(&end, Effect::Unknown(fault) if fault.class == Class::Transient), "{kind:?}: {end:?}");
        assert_eq!(stage.found(ImageQuery::Names(vec![name])).await.len(), made, "{kind:?}");
        stage.fault("CopyImage", kind);
        let request = stage.copy_request(&image, &format!("copy {kind:?}"), None);
        let end = stage.port.copy_image(&stage.elsewhere, &request).await;
        assert!(matches!(&end, Effect::Unknown(fault) if fault.class == Class::Transient), "{kind:?}: {end:?}");
        stage.fault("DescribeImages", FaultKind::NoCode);
        let query = ImageQuery::Names(vec!["*".into()]);
        let fault = stage.port.images(&stage.place, &query, Ask::FIRST).await.expect_err("no code");
        assert_eq!(fault.class, Class::Transient, "{fault}");
    }
}

/// The SDK gives nothing of a page in which a number or a date is none. Neither that thing nor the others may
/// be missing, or shown otherwise than they are.
async fn a_field_that_cannot_be_read_spoils_no_list(stage: &Stage) {
    let images = [stage.image(0, "first").await, stage.image(1, "second").await];
    let by_tag = InstanceQuery::Tags([("Backup".to_owned(), vec!["nightly".to_owned()])].into());
    let by_name = ImageQuery::Names(vec!["first".into(), "second".into()]);
    let before = stage.port.instances(&stage.place, &by_tag, Ask::FIRST).await.expect("answered").items;
    {
        let mut world = stage.world();
        world.images.get_mut(&images[0].id).expect("there").odd = Some(Odd::Number);
        world.instances.get_mut(&stage.tagged[1]).expect("there").traits.unreadable = true;
    }
    let shown = stage.port.instances(&stage.place, &by_tag, Ask::FIRST).await.expect("a list").items;
    assert_eq!(shown, before);
    let page = stage.port.images(&stage.place, &by_name, Ask::FIRST).await.expect("a list");
    let mut shown = page.items;
    shown.sort_by(|a, b| a.name.cmp(&b.name));
    let words = |images: &[Image]| -> Vec<_> {
        images.iter().map(|i| (i.id.clone(), i.snapshots.clone(), i.tags.clone(), i.odd.clone())).collect()
    };
    assert_eq!(words(&shown), words(&images));
}

async fn an_answer_lost_after_a_deletion_is_unknown_and_it_is_done(stage: &Stage) {
    for (n, kind) in [FaultKind::CutAfter, FaultKind::ErrorAfter].into_iter().enumerate() {
        let image = stage.image(n, &format!("image {n}")).await;
        stage.fault("DeregisterImage", kind);
        let end = stage.port.deregister_image(&stage.place, &image.id, true).await;
        assert!(matches!(&end, Effect::Unknown(fault) if fault.class == Class::Transient), "{end:?}");
        assert_eq!(refused(stage.port.deregister_image(&stage.place, &image.id, true).await).0, Class::NotFound);

        let other = stage.image(2, &format!("other {n}")).await;
        stage.person(stillframe::sim::people::Deed::Deregister(other.id.clone())).await;
        stage.fault("DeleteSnapshot", kind);
        let end = stage.port.delete_snapshot(&stage.place, &other.snapshots[0]).await;
        assert!(matches!(&end, Effect::Unknown(fault) if fault.class == Class::Transient), "{end:?}");
        assert_eq!(refused(stage.port.delete_snapshot(&stage.place, &other.snapshots[0]).await).0, Class::NotFound);
    }
}

async fn reads_and_throttled_effects_are_asked_again(stage: &Stage) {
    for kind in [FaultKind::Throttle, FaultKind::ErrorBefore, FaultKind::CutBefore] {
        stage.fault("DescribeInstances", kind);
        let found = stage.governed.instances(&stage.place, &InstanceQuery::Ids(stage.tagged.clone())).await;
        assert_eq!(found.expect("asked again").len(), 3, "{kind:?}");
    }
    stage.fault("CreateImage", FaultKind::Throttle);
    done(stage.governed.create_image(&stage.place, &stage.request(0, "again")).await);
    assert_eq!(stage.world().calls.of("CreateImage").count(), 2);
    stage.fault("CreateImage", FaultKind::CutBefore);
    let end = stage.governed.create_image(&stage.place, &stage.request(1, "not again")).await;
    assert!(matches!(end, Effect::Unknown(_)), "{end:?}");
    assert_eq!(stage.world().calls.of("CreateImage").count(), 3, "what may have taken effect is not sent twice");
    let injected = stage.world().trouble.injected.clone();
    let pairs: Vec<_> = injected.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
    assert_eq!(pairs, [("cut_before", 2), ("error_before", 1), ("throttle", 2)]);
}

async fn an_empty_bucket_refuses_for_now(stage: &Stage) {
    // A hundred, and twenty a second; so slow a world refills nothing while they are drawn.
    stage.world().speed = 0.001;
    let ask = async || stage.port.images(&stage.place, &ImageQuery::Names(vec!["x".into()]), Ask::FIRST).await;
    for n in 0..100 {
        assert!(ask().await.is_ok(), "{n}");
    }
    let fault = loop {
        if let Err(fault) = ask().await {
            break fault;
        }
    };
    assert_eq!(faulty(fault), of(Class::Throttled, "RequestLimitExceeded"));
    assert!(
        stage.port.instances(&stage.place, &InstanceQuery::Ids(vec![]), Ask::FIRST).await.is_err(),
        "an empty filter"
    );
    let other = InstanceQuery::Ids(stage.tagged.clone());
    assert!(stage.port.instances(&stage.place, &other, Ask::FIRST).await.is_ok(), "each API has a bucket of its own");
    let query = ImageQuery::Names(vec!["x".into()]);
    assert!(stage.port.images(&stage.elsewhere, &query, Ask::FIRST).await.is_ok(), "and each region");
}

fn nowhere(stage: &Stage) -> stillframe::domain::place::Place {
    stillframe::domain::place::Place::new(stage.place.account.clone(), "us-east-1")
}

async fn a_region_that_is_not_enabled_refuses_the_key(stage: &Stage) {
    let fault = stage.port.images(&nowhere(stage), &ImageQuery::Names(vec!["x".into()]), Ask::FIRST).await;
    assert_eq!(faulty(fault.expect_err("no such region")), of(Class::Credentials, "AuthFailure"));
    let end = refused(stage.port.create_image(&nowhere(stage), &stage.request(0, "name")).await);
    assert_eq!(end, of(Class::Credentials, "AuthFailure"));
}

async fn moto_has_every_region(stage: &Stage) {
    let page = stage.port.images(&nowhere(stage), &ImageQuery::Names(vec!["x".into()]), Ask::FIRST).await;
    assert!(page.expect("listed").items.is_empty());
}
