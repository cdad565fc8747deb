//! Copies: tokens, encryption, another region, another account.

use std::collections::BTreeSet;

use stillframe::cloud::classify::Class;
use stillframe::cloud::port::{Ask, Change, CopyImage, Effect, ImageQuery};
use stillframe::domain::observed::{Image, ImageState, Snapshot};
use stillframe::domain::place::Place;
use stillframe::domain::sharing::Grantee;
use stillframe::sim::faults::FaultKind;

use super::case::{Case, case, done, of, refused};
use super::stage::{NO_IMAGE, Stage};

const NO_SHARING: &str = "moto knows no images of other accounts";

pub fn cases() -> Vec<Case> {
    vec![
        case!(a_copy_is_made_in_the_destination_and_bears_what_it_was_given, differs "tags neither the copy nor its snapshots" moto_copies_without_tags),
        case!(a_token_makes_one_copy, differs "ignores tokens, and lets names be taken twice" moto_ignores_tokens),
        case!(a_copy_is_encrypted_as_asked, not "moto encrypts no copies"),
        case!(what_cannot_be_copied_is_refused, differs "refuses unknown images only" moto_refuses_unknown_images),
        case!(another_account_copies_what_is_shared_with_it, not NO_SHARING),
        case!(a_copy_whose_answer_was_lost_is_there, not "moto injects no faults; tests of servers that misbehave stand beside it"),
    ]
}

async fn snapshots(stage: &Stage, place: &Place, image: &Image) -> Vec<Snapshot> {
    stage.governed.snapshots(place, &image.snapshots).await.expect("listed")
}

async fn a_copy_is_made_in_the_destination_and_bears_what_it_was_given(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let request = stage.copy_request(&image, "stillframe/a/1/0badcafe", None);
    let id = done(stage.port.copy_image(&stage.elsewhere, &request).await);
    let copy = stage.settled_in(&stage.elsewhere, &id).await;
    assert_eq!(copy.state, ImageState::Available);
    assert_eq!((copy.name.as_str(), copy.owner.as_str()), (request.name.as_str(), stage.place.account.as_str()));
    assert_eq!((copy.source_image.as_deref(), copy.source_instance.as_deref()), (Some(image.id.as_str()), None));
    assert_eq!(request.tags, copy.tags);
    assert!(copy.snapshots.len() == 2 && copy.snapshots.iter().all(|id| !image.snapshots.contains(id)), "{copy:?}");
    for snapshot in snapshots(stage, &stage.elsewhere, &copy).await {
        assert_eq!((snapshot.tags, snapshot.key), (request.tags.clone(), None));
    }
    assert!(stage.found(ImageQuery::Names(vec![request.name])).await.is_empty(), "not where it was copied from");
}

async fn moto_copies_without_tags(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let request = stage.copy_request(&image, "stillframe/a/1/0badcafe", None);
    let id = done(stage.port.copy_image(&stage.elsewhere, &request).await);
    let copy = stage.settled_in(&stage.elsewhere, &id).await;
    assert_eq!((copy.name, copy.tags.len()), (request.name, 0));
}

async fn a_token_makes_one_copy(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let request = stage.copy_request(&image, "stillframe/a/1/0badcafe", None);
    let copy = async |request: &CopyImage| stage.port.copy_image(&stage.elsewhere, request).await;
    let first = done(copy(&request).await);
    assert_eq!(done(copy(&request).await), first);
    let other = CopyImage { description: "another".into(), ..request.clone() };
    assert_eq!(refused(copy(&other).await), of(Class::TokenMismatch, "IdempotentParameterMismatch"));
    let other = CopyImage { client_token: "another".into(), ..request.clone() };
    assert_eq!(refused(copy(&other).await), of(Class::DuplicateName, "InvalidAMIName.Duplicate"));
    assert_eq!(stage.settled_in(&stage.elsewhere, &first).await.state, ImageState::Available);
    assert_eq!(done(copy(&request).await), first, "when it is there, too");
}

async fn moto_ignores_tokens(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let request = stage.copy_request(&image, "stillframe/a/1/0badcafe", None);
    let first = done(stage.port.copy_image(&stage.elsewhere, &request).await);
    assert_ne!(done(stage.port.copy_image(&stage.elsewhere, &request).await), first);
}

async fn a_copy_is_encrypted_as_asked(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let keys = async |copy: &Image| {
        snapshots(stage, &stage.place, copy).await.into_iter().map(|s| s.key).collect::<BTreeSet<_>>()
    };
    let plain = stage.copy_of(&image, &stage.place, None).await;
    assert_eq!(keys(&plain).await, BTreeSet::from([None]));
    for name in [stage.key.as_str(), "alias/backup"] {
        let sealed = stage.copy_of(&image, &stage.place, Some(name)).await;
        assert_eq!(keys(&sealed).await, BTreeSet::from([Some(stage.key.clone())]), "{name}");
    }
    let calls: Vec<_> = stage.world().calls.of("CopyImage").map(|call| call.parameters.clone()).collect();
    let sent = |n: usize| (calls[n].get("Encrypted").cloned(), calls[n].get("KmsKeyId").cloned());
    assert_eq!(sent(0), (None, None));
    assert_eq!(sent(2), (Some("true".into()), Some("alias/backup".into())));
    assert!(calls.iter().all(|call| call.contains_key("ClientToken") && !call.contains_key("CopyImageTags")));
}

async fn what_cannot_be_copied_is_refused(stage: &Stage) {
    moto_refuses_unknown_images(stage).await;
    let image = stage.image(0, "stillframe/a/1").await;
    let malformed = stage.copy_request(&image, "with:colons", None);
    let end = refused(stage.port.copy_image(&stage.elsewhere, &malformed).await);
    assert_eq!(end, of(Class::Final, "InvalidAMIName.Malformed"));
    let elsewhere =
        CopyImage { source_region: stage.elsewhere.region.clone(), ..stage.copy_request(&image, "stillframe/x", None) };
    let end = refused(stage.port.copy_image(&stage.place, &elsewhere).await);
    assert_eq!(end, of(Class::NotFound, "InvalidAMIID.NotFound"));
}

async fn moto_refuses_unknown_images(stage: &Stage) {
    let image = stage.image(1, "stillframe/b/1").await;
    let unknown = CopyImage { source_image: NO_IMAGE.into(), ..stage.copy_request(&image, "stillframe/x", None) };
    let end = refused(stage.port.copy_image(&stage.elsewhere, &unknown).await);
    assert_eq!(end, of(Class::NotFound, "InvalidAMIID.NotFound"));
}

async fn another_account_copies_what_is_shared_with_it(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let request = stage.copy_request(&image, "stillframe/a/1/0badcafe", Some("alias/theirs"));
    let copy = async || stage.port.copy_image(&stage.there, &request).await;
    assert_eq!(refused(copy().await), of(Class::NotFound, "InvalidAMIID.NotFound"), "of an image that they do not see");
    let them = Change::Add(BTreeSet::from([Grantee::Account(stage.there.account.clone())]));
    done(stage.port.change_image_permissions(&stage.place, &image.id, &them).await);
    let end = copy().await;
    assert!(matches!(end, Effect::Refused(_)), "without its snapshots: {end:?}");
    for snapshot in &image.snapshots {
        done(stage.port.change_snapshot_permissions(&stage.place, snapshot, &them).await);
    }
    let copied = stage.settled_in(&stage.there, &done(copy().await)).await;
    assert_eq!((copied.state, copied.owner.as_str()), (ImageState::Available, stage.there.account.as_str()));
    assert_eq!(copied.source_image.as_ref(), Some(&image.id));
    let theirs = stage.port.key(&stage.there, "alias/theirs").await.expect("their key").arn;
    for snapshot in snapshots(stage, &stage.there, &copied).await {
        assert_eq!((snapshot.key.as_ref(), &snapshot.tags), (Some(&theirs), &request.tags));
    }
    // Each account lists its own, and only its own.
    let page =
        stage.port.images(&stage.elsewhere, &ImageQuery::Ids(vec![copied.id]), Ask::FIRST).await.expect("listed");
    assert_eq!(page.items, []);
    let page = stage.port.images(&stage.there, &ImageQuery::Ids(vec![image.id]), Ask::FIRST).await.expect("listed");
    assert_eq!(page.items, []);
}

async fn a_copy_whose_answer_was_lost_is_there(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let request = stage.copy_request(&image, "stillframe/a/1/0badcafe", None);
    for (kind, there) in [(FaultKind::CutBefore, 0), (FaultKind::CutAfter, 1), (FaultKind::ErrorAfter, 1)] {
        stage.fault("CopyImage", kind);
        let end = stage.port.copy_image(&stage.elsewhere, &request).await;
        assert!(matches!(&end, Effect::Unknown(fault) if fault.class == Class::Transient), "{kind:?}: {end:?}");
        let query = ImageQuery::Names(vec![request.name.clone()]);
        let found = stage.port.images(&stage.elsewhere, &query, Ask::FIRST).await.expect("listed");
        assert_eq!(found.items.len(), there, "{kind:?}");
    }
    done(stage.port.copy_image(&stage.elsewhere, &request).await);
}
