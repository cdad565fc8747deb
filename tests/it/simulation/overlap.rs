//! Occurrences and plans that meet.

use stillframe::domain::fact::Kind;

use super::promises;
use super::rig::{Rig, fleet, fleet_with, id, mins, plan};

/// What only waits for AWS holds nothing: the next occurrence skips just that instance.
#[tokio::test(start_paused = true)]
async fn a_pending_image_keeps_only_its_own_instance() {
    for restart in [false, true] {
        let mut rig = Rig::new(&fleet_with(3, r#""image_seconds": 1500,"#, ""), vec![plan("web", "0,15 2 * * *")]);
        rig.start();
        if restart {
            rig.run(mins(10)).await;
            rig.stop().await;
            rig.start();
        }
        rig.run(mins(45)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        let counts = [id(1), id(2), id(3)].map(|i| rig.reboots()[&i]);
        assert_eq!(counts, [1, 2, 2], "{}", rig.story());
        assert!(rig.targets("web", "02:15")[&id(1)].contains("still imaging"), "{}", rig.story());
        assert_eq!(rig.outcomes("web"), ["02:15 done", "02:00 done"], "{}", rig.story());
        assert!(rig.errors().is_empty(), "{}", rig.story());
    }
}

/// Six that go down one after another take longer than the time to the next occurrences.
#[tokio::test(start_paused = true)]
async fn an_occurrence_that_meets_a_rollout_is_skipped() {
    let world = r#""image_seconds": [30, 60],"#;
    let mut rig = Rig::new(&fleet_with(6, "", world), vec![plan("web", "0,3,5,30 2 * * *")]);
    for instance in rig.world().instances.values_mut() {
        instance.traits.reboot_seconds = Some(90.0);
    }
    rig.start();
    rig.run(mins(58)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.outcomes("web"), ["02:03 skipped", "02:05 skipped", "02:00 done", "02:30 done"], "{}", rig.story());
    assert!(rig.reboots().values().all(|n| *n == 2), "{}", rig.story());
    // The second skip in a row calls a person.
    let errors = rig.errors();
    assert_eq!(errors.len(), 1, "{}", rig.story());
    assert_eq!(errors[0].draft.kind, Kind::OccurrenceSkipped);
}

/// Slots are counted over all plans: see `promises`.
#[tokio::test(start_paused = true)]
async fn two_plans_share_instances_and_slots() {
    for (web, db) in [(1, 1), (2, 1), (2, 3)] {
        let (mut first, mut second) = (plan("web", "0,30 2 * * *"), plan("db", "0,31 2 * * *"));
        first.rollout.max_in_flight = web;
        second.rollout.max_in_flight = db;
        second.rollout.settle = 30;
        let mut rig = Rig::new(&fleet(4), vec![first, second]);
        rig.start();
        rig.run(mins(10)).await;
        rig.crash();
        rig.start();
        rig.run(mins(48)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.outcomes("web"), ["02:00 done", "02:30 done"], "{}", rig.story());
        assert_eq!(rig.outcomes("db"), ["02:00 done", "02:31 done"], "{}", rig.story());
        assert!(rig.reboots().values().all(|n| *n == 4), "{}", rig.story());
        assert!((1..=4).all(|n| rig.images_of(&id(n)).len() == 4), "{}", rig.story());
    }
}
