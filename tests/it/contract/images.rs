//! Images and snapshots as they are listed.

use chrono::TimeDelta;
use stillframe::cloud::port::{Ask, ImageQuery};
use stillframe::domain::observed::ImageState;
use stillframe::sim::people::Deed;

use super::case::{Case, case, done};
use super::stage::{NO_IMAGE, NO_INSTANCE, NO_SNAPSHOT, Stage};

pub fn cases() -> Vec<Case> {
    vec![
        case!(images_are_found_by_each_query),
        case!(an_image_is_shown_as_it_is),
        case!(snapshots_are_found_by_id_and_by_tag),
        case!(more_values_than_one_filter_takes_are_asked_for_in_turn),
        case!(what_people_do_to_tags_is_seen),
        case!(a_disabled_image_is_listed_as_such, not "moto has no DisableImage"),
        case!(what_is_new_is_seen_late_and_its_name_is_taken_at_once, not "moto shows everything at once"),
        case!(what_was_deregistered_is_still_seen_for_a_while, not "moto forgets at once"),
    ]
}

async fn images_are_found_by_each_query(stage: &Stage) {
    let (first, second) = (stage.image(0, "stillframe/a/1").await, stage.image(1, "stillframe/b/1").await);
    let (a, b) = (first.id.as_str(), second.id.as_str());
    let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let [i, j] = [0, 1].map(|n| stage.tagged[n].as_str());
    let table: [(ImageQuery, &[&str]); 13] = [
        (ImageQuery::Ids(text(&[a, NO_IMAGE, "nonsense"])), &[a]),
        (ImageQuery::Ids(text(&[b, a])), &[a, b]),
        (ImageQuery::Ids(text(&[NO_IMAGE])), &[]),
        (ImageQuery::Names(text(&["stillframe/a/1"])), &[a]),
        (ImageQuery::Names(text(&["stillframe/a", "other"])), &[]),
        (ImageQuery::Names(text(&["stillframe/*"])), &[a, b]),
        (ImageQuery::Names(text(&["stillframe/?/1", "x"])), &[a, b]),
        (ImageQuery::Names(text(&["*/b/*"])), &[b]),
        (ImageQuery::SourceInstances(text(&[i])), &[a]),
        (ImageQuery::SourceInstances(text(&[i, j, NO_INSTANCE])), &[a, b]),
        (ImageQuery::SourceInstances(text(&[NO_INSTANCE])), &[]),
        (ImageQuery::Tag("stillframe:plan".into(), "nightly".into()), &[a, b]),
        (ImageQuery::Tag("stillframe:plan".into(), "weekly".into()), &[]),
    ];
    for (query, want) in table {
        let mut want = want.to_vec();
        want.sort_unstable();
        let mut found = stage.found(query.clone()).await;
        found.sort();
        assert_eq!(found, want, "{query:?}");
    }
    let all = ImageQuery::Names(text(&["*"]));
    assert!(
        stage.port.images(&stage.elsewhere, &all, Ask::FIRST).await.expect("listed").items.is_empty(),
        "another region"
    );
}

async fn an_image_is_shown_as_it_is(stage: &Stage) {
    let before = stage.now();
    let request = stage.request(0, "stillframe/a/1");
    let image = stage.image(0, "stillframe/a/1").await;
    assert!(image.id.starts_with("ami-"));
    assert_eq!((image.name.as_str(), image.owner.as_str()), ("stillframe/a/1", stage.place.account.as_str()));
    assert_eq!((image.state, image.state_reason), (ImageState::Available, None));
    assert_eq!((image.source_instance.as_deref(), image.source_image), (Some(request.instance.as_str()), None));
    assert_eq!(image.tags, request.tags);
    let late = image.created.expect("dated") - before;
    assert!(late > -TimeDelta::seconds(2) && late < TimeDelta::minutes(2), "{late}");
    let instance = stage.request(0, "x").instance;
    let query = stillframe::cloud::port::InstanceQuery::Ids(vec![instance]);
    let mut volumes =
        stage.port.instances(&stage.place, &query, Ask::FIRST).await.expect("listed").items.remove(0).volumes;
    volumes.sort();
    let snapshots = stage.governed.snapshots(&stage.place, &image.snapshots).await.expect("listed");
    let mut of: Vec<String> = snapshots.iter().filter_map(|snapshot| snapshot.volume.clone()).collect();
    of.sort();
    assert_eq!(of, volumes, "a snapshot of each volume");
    assert!(snapshots.iter().all(|s| s.tags == request.tags && s.state == "completed"), "{snapshots:?}");
}

async fn snapshots_are_found_by_id_and_by_tag(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let mut want = image.snapshots.clone();
    want.sort();
    let sorted = |items: Vec<stillframe::domain::observed::Snapshot>| {
        let mut ids: Vec<String> = items.into_iter().map(|snapshot| snapshot.id).collect();
        ids.sort();
        ids
    };
    let ids: Vec<String> = [want.clone(), vec![NO_SNAPSHOT.into(), "nonsense".into()]].concat();
    let page = stage.port.snapshots(&stage.place, &ids, Ask::FIRST).await.expect("listed");
    assert_eq!((sorted(page.items), page.next), (want.clone(), None), "unknown ids are forgiven");
    assert!(
        stage.port.snapshots(&stage.place, &[NO_SNAPSHOT.into()], Ask::FIRST).await.expect("listed").items.is_empty()
    );
    let tagged = async |place, value| stage.port.snapshots_tagged(place, "stillframe:plan", value, Ask::FIRST).await;
    assert_eq!(sorted(tagged(&stage.place, "nightly").await.expect("listed").items), want);
    assert!(tagged(&stage.place, "weekly").await.expect("listed").items.is_empty());
    assert!(tagged(&stage.elsewhere, "nightly").await.expect("listed").items.is_empty());
    assert_eq!(stage.governed.snapshots(&stage.place, &[]).await, Ok(Vec::new()), "no ids find nothing");
}

async fn more_values_than_one_filter_takes_are_asked_for_in_turn(stage: &Stage) {
    let (first, second) = (stage.image(0, "aaa").await, stage.image(1, "zzz").await);
    let mut want = vec![first.id.clone(), second.id.clone()];
    want.sort();
    let fill = |prefix: &str| (0..420).map(|n| format!("{prefix}{n:017x}")).collect::<Vec<_>>();
    let with = |mut all: Vec<String>, more: [&str; 2]| {
        all.extend(more.map(str::to_owned));
        all
    };
    for query in [
        ImageQuery::Ids(with(fill("ami-"), [&first.id, &second.id])),
        ImageQuery::Names(with(fill("mmm"), ["aaa", "zzz"])),
        ImageQuery::SourceInstances(with(fill("i-f"), [&stage.tagged[0], &stage.tagged[1]])),
    ] {
        let found = stage.governed.images(&stage.place, &query).await.expect("listed");
        assert_eq!(found.into_iter().map(|image| image.id).collect::<Vec<_>>(), want);
    }
    let snapshots = with(fill("snap-"), [&first.snapshots[0], &second.snapshots[1]]);
    assert_eq!(stage.governed.snapshots(&stage.place, &snapshots).await.expect("listed").len(), 2);
    for nothing in [ImageQuery::Ids(vec![]), ImageQuery::Names(vec![]), ImageQuery::SourceInstances(vec![])] {
        assert_eq!(stage.governed.images(&stage.place, &nothing).await, Ok(Vec::new()), "{nothing:?} finds nothing");
    }
}

async fn what_people_do_to_tags_is_seen(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let resource = || image.id.clone();
    stage.person(Deed::Tag { resource: resource(), key: "stillframe:hold".into(), value: "audit".into() }).await;
    stage.person(Deed::Tag { resource: resource(), key: "Name".into(), value: "mine".into() }).await;
    stage.person(Deed::Untag { resource: resource(), key: "stillframe:plan".into() }).await;
    let seen = stage.settled(&image.id).await.tags;
    let pairs: Vec<_> = seen.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("Name", "mine"), ("empty", ""), ("stillframe:hold", "audit")]);
    assert!(stage.found(ImageQuery::Tag("stillframe:plan".into(), "nightly".into())).await.is_empty());
    assert_eq!(stage.found(ImageQuery::Tag("stillframe:hold".into(), "audit".into())).await, [resource()]);
    let snapshots = stage.port.snapshots_tagged(&stage.place, "stillframe:plan", "nightly", Ask::FIRST).await;
    assert_eq!(snapshots.expect("listed").items.len(), 2, "the snapshots have tags of their own");
}

async fn a_disabled_image_is_listed_as_such(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    stage.person(Deed::Disable(image.id.clone())).await;
    assert_eq!(stage.settled(&image.id).await.state, ImageState::Disabled);
    stage.person(Deed::Enable(image.id.clone())).await;
    assert_eq!(stage.settled(&image.id).await.state, ImageState::Available);
}

async fn what_is_new_is_seen_late_and_its_name_is_taken_at_once(stage: &Stage) {
    stage.world().visibility_lag = 20.0;
    let made = done(stage.port.create_image(&stage.place, &stage.request(0, "late")).await);
    let queries = [
        ImageQuery::Ids(vec![made.clone()]),
        ImageQuery::Names(vec!["late".into()]),
        ImageQuery::SourceInstances(vec![stage.tagged[0].clone()]),
        ImageQuery::Tag("stillframe:plan".into(), "nightly".into()),
    ];
    for query in &queries {
        assert!(stage.found(query.clone()).await.is_empty(), "{query:?}");
    }
    let again = stage.port.create_image(&stage.place, &stage.request(1, "late")).await;
    assert_eq!(super::case::refused(again).1, "InvalidAMIName.Duplicate");
    let gone = stage.port.deregister_image(&stage.place, &made, true).await;
    assert_eq!(super::case::refused(gone).1, "InvalidAMIID.NotFound");
    stage.pass(21.0).await;
    for query in &queries {
        assert_eq!(stage.found(query.clone()).await, [made.as_str()], "{query:?}");
    }
}

async fn what_was_deregistered_is_still_seen_for_a_while(stage: &Stage) {
    let image = stage.image(0, "gone").await;
    stage.world().visibility_lag = 20.0;
    done(stage.port.deregister_image(&stage.place, &image.id, true).await);
    let seen = stage.settled(&image.id).await;
    assert_eq!(seen.state, ImageState::Deregistered);
    let again = stage.port.create_image(&stage.place, &stage.request(1, "gone")).await;
    assert_eq!(super::case::refused(again).1, "InvalidAMIName.Duplicate", "a name needs time to free up");
    stage.pass(21.0).await;
    assert!(stage.found(ImageQuery::Ids(vec![image.id])).await.is_empty());
    done(stage.port.create_image(&stage.place, &stage.request(1, "gone")).await);
}
