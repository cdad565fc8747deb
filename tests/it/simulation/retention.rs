//! What retention never touches.

use stillframe::domain::fact::Kind;
use stillframe::sim::action::Action;
use stillframe::sim::answer::Answer;
use stillframe::sim::image::SimImage;

use super::promises;
use super::rig::{REGION, Rig, fleet, id, mins, plan};

const OTHER: &str = "eu-west-1";

fn image(answer: Answer) -> String {
    match answer {
        Answer::Image(id) => id,
        other => panic!("no image: {other:?}"),
    }
}

fn copy(of: &SimImage, name: &str) -> Action {
    Action::CopyImage {
        source_image: of.id.clone(),
        source_region: REGION.into(),
        name: name.into(),
        description: None,
        encrypted: None,
        kms_key: None,
        copy_tags: Some(true),
        client_token: None,
        tags: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_or_is_needed_stays() {
    let two_volumes = fleet(4).replace(r#""id""#, r#""volumes": 2, "id""#);
    let mut web = plan("web", "0,20,40 2 * * *");
    web.keep.last = 1;
    web.select.regions.push(OTHER.into());
    let mut rig = Rig::new(&two_volumes, vec![web]);
    rig.start();
    rig.run(mins(10)).await;
    let first: Vec<SimImage> = (1..=4).map(|n| rig.images_of(&id(n)).remove(0)).collect();

    // A person's own image, and one made of its snapshot under a name like ours.
    let own = image(rig.act(&Action::CreateImage {
        instance: id(1),
        name: "mine".into(),
        description: None,
        no_reboot: Some(true),
        tags: Vec::new(),
    }));
    rig.run(mins(2)).await;
    let snapshot = rig.world().images[&own].snapshots().next().expect("two volumes").to_owned();
    let alike = image(rig.act(&Action::RegisterImage {
        name: format!("stillframe/prod/web/{}/20260302T013000Z", id(1)),
        description: None,
        root_device: None,
        mappings: vec![("/dev/xvda".into(), snapshot)],
        tags: Vec::new(),
    }));
    // Copies with all our tags, in the same region, and in another under the very same name.
    let here = image(rig.act(&copy(&first[0], "my copy")));
    let there = image(rig.act_in(OTHER, &copy(&first[0], &first[0].name)).expect("copied"));
    // On hold; in use; a snapshot shared.
    let hold = Action::CreateTags {
        resources: vec![first[1].id.clone()],
        tags: vec![("stillframe:hold".into(), "audit".into())],
    };
    rig.act(&hold);
    rig.act(&Action::RunInstances { image: first[2].id.clone(), min: 1, max: 1, tags: Vec::new() });
    let mut of_fourth = first[3].snapshots().map(str::to_owned);
    let (shared, single) = (of_fourth.next().expect("two"), of_fourth.next().expect("two"));
    let sharing = image(rig.act(&Action::RegisterImage {
        name: "shares a snapshot".into(),
        description: None,
        root_device: None,
        mappings: vec![("/dev/xvda".into(), shared.clone())],
        tags: Vec::new(),
    }));
    rig.run(mins(46)).await;
    rig.stop().await;
    promises::hold(&rig).await;

    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done", "02:40 done"], "{}", rig.story());
    let world = rig.world();
    for id in [&own, &alike, &here, &there, &first[1].id, &first[2].id, &sharing] {
        assert!(world.images[id].registered(), "{id}\n");
        assert!(world.images[id].snapshots().all(|s| world.snapshots.contains_key(s)), "{id}");
    }
    assert!(!world.images[&first[0].id].registered());
    assert!(!world.images[&first[3].id].registered());
    assert!(world.snapshots.contains_key(&shared));
    assert!(!world.snapshots.contains_key(&single));
    drop(world);
    let left: Vec<usize> = (1..=4).map(|n| rig.images_of(&id(n)).len()).collect();
    assert_eq!(left, [2, 2, 2, 1], "{}", rig.story()); // the first has its person's own
    // Each foreign image is said once, ever.
    let mut foreign: Vec<String> = rig
        .told(&Kind::RetainDecided)
        .iter()
        .filter(|e| e.text("verdict") == Some("foreign"))
        .filter_map(|e| e.draft.subject.as_ref().map(|s| s.id.clone()))
        .collect();
    foreign.sort();
    let mut expected = vec![here, there];
    expected.sort();
    assert_eq!(foreign, expected, "{}", rig.story());
}

/// A shortened `keep` takes some runs; images that failed rest for a day and are no good ones.
#[tokio::test(start_paused = true)]
async fn a_failed_image_is_neither_made_again_nor_counted() {
    let mut web = plan("web", "0,20 2 * * *");
    web.keep.last = 1;
    let mut rig = Rig::new(&fleet(2), vec![web]);
    rig.start();
    rig.run(mins(10)).await;
    rig.world().instances.get_mut(&id(1)).expect("there").traits.image_fails = true;
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 failed"], "{}", rig.story());
    assert!(rig.reboots().values().all(|n| *n == 2));
    assert_eq!(rig.images_of(&id(1)).len(), 2, "the last good one stays beside the failed one");
    assert_eq!(rig.images_of(&id(2)).len(), 1);
    assert_eq!(rig.errors().len(), 1, "{}", rig.story());
}
