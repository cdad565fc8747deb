//! Instances that do not come back.

use stillframe::defect::{self, Defect};
use stillframe::domain::fact::Kind;
use stillframe::domain::plan::OnUnhealthy;
use stillframe::sim::action::Action;

use super::promises;
use super::rig::{Rig, fleet, fleet_with, id, mins, plan, secs};

/// Three instances of which the first never comes back; three occurrences.
fn rig(world: &str) -> Rig {
    Rig::new(&fleet_with(3, r#""never_healthy": true,"#, world), vec![plan("web", "0,20,40 2 * * *")])
}

/// How the first instance's trouble ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Heals,
    Terminated,
}

async fn halted(end: End, restart: bool, world: &str) {
    let what = format!("{end:?}, restart: {restart}, {world}");
    let mut rig = rig(world);
    rig.start();
    rig.run(mins(5)).await; // 02:04:50
    assert_eq!(rig.reboots()[&id(1)], 1, "{what}");
    assert_eq!(rig.all_reboots(), 1, "{what}\n{}", rig.story());
    if restart {
        rig.crash();
        rig.run(secs(5)).await;
        rig.start();
    }
    rig.run(mins(21)).await; // 02:25:50
    assert_eq!(rig.all_reboots(), 1, "{what}\n{}", rig.story());
    if restart {
        rig.stop().await;
        rig.start();
    }
    rig.run(mins(5)).await;
    let errors = rig.alarms();
    assert_eq!(errors.len(), 1, "{what}\n{}", rig.story());
    assert_eq!(errors[0].draft.kind, Kind::StepNeedsPerson);
    for time in ["02:00", "02:20"] {
        let targets = rig.targets("web", time);
        assert!(targets[&id(2)].starts_with("skipped: the plan halts"), "{what} {time}: {targets:?}");
        assert!(targets[&id(3)].starts_with("skipped: the plan halts"), "{what} {time}: {targets:?}");
    }
    match end {
        End::Heals => rig.heal(&id(1)),
        End::Terminated => rig.terminate(&id(1)),
    }
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.outcomes("web").last().map(String::as_str), Some("02:40 done"), "{what}\n{}", rig.story());
    assert_eq!((rig.reboots()[&id(2)], rig.reboots()[&id(3)]), (1, 1), "{what}\n{}", rig.story());
    assert_eq!(rig.reboots()[&id(1)], if end == End::Heals { 2 } else { 1 }, "{what}\n{}", rig.story());
    assert_eq!(rig.alarms().len(), 1, "{what}\n{}", rig.story());
}

#[tokio::test(start_paused = true)]
async fn the_plan_halts_until_it_is_back_or_gone() {
    for end in [End::Heals, End::Terminated] {
        for restart in [false, true] {
            halted(end, restart, "").await;
        }
    }
}

/// The image is pending beyond the alarm, and the restart falls in between.
#[tokio::test(start_paused = true)]
async fn a_slot_is_watched_while_its_image_is_pending() {
    for restart in [false, true] {
        let mut rig = Rig::new(
            &fleet_with(2, r#""never_healthy": true, "image_seconds": 3600,"#, ""),
            vec![plan("web", "0,40 2 * * *")],
        );
        rig.start();
        rig.run(mins(10)).await;
        assert_eq!(rig.errors().len(), 1, "{}", rig.story());
        if restart {
            rig.crash();
            rig.start();
            rig.run(mins(2)).await;
        }
        rig.heal(&id(1));
        rig.run(mins(2)).await;
        assert_eq!(rig.told(&Kind::SlotFreed).len(), 1, "restart: {restart}\n{}", rig.story());
        rig.run(mins(90)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        // The first is still being imaged at 02:40, the second is not.
        assert_eq!((rig.reboots()[&id(1)], rig.reboots()[&id(2)]), (1, 1), "restart: {restart}\n{}", rig.story());
        assert_eq!(rig.errors().len(), 1, "{}", rig.story());
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_goes_on_where_the_plan_says_so() {
    for restart in [false, true] {
        let mut web = plan("web", "0 2 * * *");
        web.rollout.max_in_flight = 2;
        web.rollout.on_unhealthy = OnUnhealthy::Continue;
        let mut rig = Rig::new(&fleet_with(4, r#""never_healthy": true,"#, ""), vec![web]);
        rig.start();
        if restart {
            rig.run(secs(45)).await;
            rig.crash();
            rig.start();
        }
        rig.run(mins(30)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert!(rig.reboots().values().all(|n| *n == 1), "{}", rig.story());
        assert_eq!(rig.outcomes("web"), ["02:00 failed"], "{}", rig.story());
        assert_eq!(rig.errors().len(), 1, "{}", rig.story());
    }
}

/// With `continue`, an instance that is down from an earlier occurrence must not hold up the next one for ever.
#[tokio::test(start_paused = true)]
async fn the_next_occurrence_ends_without_the_one_that_is_down() {
    let mut web = plan("web", "0,30 2 * * *");
    web.rollout.max_in_flight = 2;
    web.rollout.on_unhealthy = OnUnhealthy::Continue;
    web.schedule.window = Some(1200);
    let mut rig = Rig::new(&fleet_with(3, r#""never_healthy": true,"#, ""), vec![web]);
    rig.start();
    rig.run(mins(58)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!((rig.reboots()[&id(1)], rig.reboots()[&id(2)], rig.reboots()[&id(3)]), (1, 2, 2), "{}", rig.story());
    assert!(rig.targets("web", "02:30")[&id(1)].starts_with("skipped: "), "{}", rig.story());
}

/// The same without a window: the run ends, and whoever repairs the instance does not see it rebooted at once.
#[tokio::test(start_paused = true)]
async fn the_next_occurrence_does_not_wait_for_a_repair() {
    let mut web = plan("web", "0,30 2 * * *");
    web.rollout.max_in_flight = 2;
    web.rollout.on_unhealthy = OnUnhealthy::Continue;
    let mut rig = Rig::new(&fleet_with(2, r#""never_healthy": true,"#, ""), vec![web]);
    rig.start();
    rig.run(mins(180)).await;
    rig.heal(&id(1));
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!((rig.reboots()[&id(1)], rig.reboots()[&id(2)]), (1, 2), "{}", rig.story());
}

/// An instance that is impaired before anything was done to it is not rebooted, and says so; the others are.
#[tokio::test(start_paused = true)]
async fn who_is_impaired_already_is_not_rebooted() {
    for planted in [None, Some(Defect::ImpairedTaken)] {
        let mut rig = Rig::new(&fleet(2), vec![plan("web", "10 2 * * *")]);
        rig.world().instances.get_mut(&id(1)).expect("of the fleet").traits.never_healthy = true;
        rig.start();
        rig.act(&Action::RebootInstances { instances: vec![id(1)] });
        defect::plant(planted);
        rig.run(mins(30)).await;
        rig.stop().await;
        defect::plant(None);
        let made =
            |n| rig.calls("CreateImage").iter().filter(|c| c.parameters["InstanceId"] == id(n) && c.effect).count();
        assert_eq!(made(1) == 0, planted.is_none(), "{planted:?}\n{}", rig.story());
        if planted.is_none() {
            assert_eq!(made(2), 1, "{}", rig.story());
            let targets = rig.targets("web", "02:10");
            assert!(targets[&id(1)].contains("its instance status check reads impaired"), "{targets:?}");
            assert_eq!(rig.outcomes("web"), ["02:10 failed"], "{}", rig.story());
        }
    }
}
