//! DeregisterImage and DeleteSnapshot.

use stillframe::cloud::classify::Class;
use stillframe::cloud::port::ImageQuery;
use stillframe::sim::people::Deed;

use super::case::{Case, case, done, of, refused};
use super::stage::{NO_IMAGE, NO_SNAPSHOT, Stage};

pub fn cases() -> Vec<Case> {
    vec![
        case!(an_image_goes_with_its_snapshots),
        case!(a_second_deregistration_finds_nothing),
        case!(a_pending_image_can_be_deregistered, not "nothing is pending in moto"),
        case!(a_snapshot_that_another_image_needs_stays, differs "RegisterImage does not use the snapshots given" moto_registers_over_nothing),
        case!(unknown_images_and_snapshots_are_not_found),
        case!(malformed_ids_are_refused, differs "calls them unknown" moto_calls_them_unknown),
        case!(a_snapshot_in_use_stays_and_a_free_one_goes),
    ]
}

async fn an_image_goes_with_its_snapshots(stage: &Stage) {
    let (image, other) = (stage.image(0, "stillframe/a/1").await, stage.image(1, "stillframe/b/1").await);
    let ends = done(stage.port.deregister_image(&stage.place, &image.id, true).await);
    let mut got: Vec<_> = ends.iter().map(|end| (end.snapshot.clone(), end.result.as_str())).collect();
    got.sort();
    let mut want: Vec<_> = image.snapshots.iter().map(|id| (id.clone(), "success")).collect();
    want.sort();
    assert_eq!(got, want);
    assert_eq!(stage.governed.snapshots(&stage.place, &image.snapshots).await, Ok(Vec::new()));
    assert!(stage.found(ImageQuery::Ids(vec![image.id])).await.is_empty());
    assert_eq!(stage.governed.snapshots(&stage.place, &other.snapshots).await.expect("listed").len(), 2);
    assert_eq!(stage.found(ImageQuery::Names(vec!["*".into()])).await, [other.id.as_str()]);
}

async fn a_second_deregistration_finds_nothing(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    done(stage.port.deregister_image(&stage.place, &image.id, true).await);
    let end = refused(stage.port.deregister_image(&stage.place, &image.id, true).await);
    assert_eq!(end, of(Class::NotFound, "InvalidAMIID.Unavailable"));
}

async fn a_pending_image_can_be_deregistered(stage: &Stage) {
    stage.world().image_seconds = [600.0, 600.0];
    let id = done(stage.port.create_image(&stage.place, &stage.request(0, "stillframe/a/1")).await);
    let ends = done(stage.port.deregister_image(&stage.place, &id, true).await);
    assert_eq!(ends.iter().map(|end| end.result.as_str()).collect::<Vec<_>>(), ["success"; 2]);
}

async fn a_snapshot_that_another_image_needs_stays(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let over = stage.person(Deed::RegisterOver { image: image.id.clone(), name: "over".into() }).await;
    let ends = done(stage.port.deregister_image(&stage.place, &image.id, true).await);
    let kept: Vec<&str> = ends.iter().filter(|end| end.result == "skipped").map(|end| end.snapshot.as_str()).collect();
    assert!(
        !kept.is_empty() && ends.iter().all(|end| matches!(end.result.as_str(), "skipped" | "success")),
        "{ends:?}"
    );
    for id in kept {
        assert_eq!(stage.governed.snapshots(&stage.place, &[id.to_owned()]).await.expect("listed").len(), 1);
        let end = refused(stage.port.delete_snapshot(&stage.place, id).await);
        assert_eq!(end, of(Class::InUse, "InvalidSnapshot.InUse"));
    }
    assert_eq!(stage.found(ImageQuery::Ids(vec![over.clone()])).await, [over]);
}

async fn moto_registers_over_nothing(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    stage.person(Deed::RegisterOver { image: image.id.clone(), name: "over".into() }).await;
    let ends = done(stage.port.deregister_image(&stage.place, &image.id, true).await);
    assert_eq!(ends.iter().map(|end| end.result.as_str()).collect::<Vec<_>>(), ["success"; 2]);
}

async fn unknown_images_and_snapshots_are_not_found(stage: &Stage) {
    let image = refused(stage.port.deregister_image(&stage.place, NO_IMAGE, true).await);
    assert_eq!(image, of(Class::NotFound, "InvalidAMIID.NotFound"));
    let snapshot = refused(stage.port.delete_snapshot(&stage.place, NO_SNAPSHOT).await);
    assert_eq!(snapshot, of(Class::NotFound, "InvalidSnapshot.NotFound"));
    // What is in one region is unknown in another.
    let there = stage.image(0, "stillframe/a/1").await;
    assert_eq!(refused(stage.port.deregister_image(&stage.elsewhere, &there.id, true).await).0, Class::NotFound);
    assert_eq!(refused(stage.port.delete_snapshot(&stage.elsewhere, &there.snapshots[0]).await).0, Class::NotFound);
    assert_eq!(stage.found(ImageQuery::Ids(vec![there.id.clone()])).await, [there.id.as_str()]);
}

async fn malformed_both(stage: &Stage) -> [(Class, String); 2] {
    [
        refused(stage.port.deregister_image(&stage.place, "life", true).await),
        refused(stage.port.delete_snapshot(&stage.place, "life").await),
    ]
}

async fn malformed_ids_are_refused(stage: &Stage) {
    let want = [of(Class::Final, "InvalidAMIID.Malformed"), of(Class::Final, "InvalidSnapshotID.Malformed")];
    assert_eq!(malformed_both(stage).await, want);
}

async fn moto_calls_them_unknown(stage: &Stage) {
    let want = [of(Class::NotFound, "InvalidAMIID.NotFound"), of(Class::NotFound, "InvalidSnapshot.NotFound")];
    assert_eq!(malformed_both(stage).await, want);
}

async fn a_snapshot_in_use_stays_and_a_free_one_goes(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let delete = async |n: usize| stage.port.delete_snapshot(&stage.place, &image.snapshots[n]).await;
    for n in [0, 1] {
        assert_eq!(refused(delete(n).await), of(Class::InUse, "InvalidSnapshot.InUse"));
    }
    stage.person(Deed::Deregister(image.id.clone())).await;
    done(delete(0).await);
    assert_eq!(refused(delete(0).await), of(Class::NotFound, "InvalidSnapshot.NotFound"));
    let left = stage.governed.snapshots(&stage.place, &image.snapshots).await.expect("listed");
    assert_eq!(left.iter().map(|s| &s.id).collect::<Vec<_>>(), [&image.snapshots[1]]);
}
