//! What EC2 holds an account to, and regions that answer nothing: quotas, the pace of snapshots, silence.

use chrono::TimeDelta;
use stillframe::domain::fact::Kind;
use stillframe::domain::plan::Plan;
use stillframe::sim::faults::Fault;

use super::promises;
use super::rig::{REGION, Rig, at, fleet, fleet_with, id, mins, plan, secs};

/// The region is full: who comes too late fails at once and loudly, and is imaged once there is room.
#[tokio::test(start_paused = true)]
async fn a_full_region_fails_who_comes_too_late() {
    let mut rig = Rig::new(&fleet_with(3, "", r#""image_quota": 2,"#), vec![plan("web", "0,30 2 * * *")]);
    rig.start();
    rig.run(mins(10)).await;
    let targets = rig.targets("web", "02:00");
    assert!(targets[&id(3)].contains("your quota of 2"), "{targets:?}");
    assert_eq!([1, 2, 3].map(|n| rig.reboots()[&id(n)]), [1, 1, 0], "{}", rig.story());
    assert_eq!(rig.outcomes("web"), ["02:00 failed"], "{}", rig.story());
    assert_eq!(rig.errors().len(), 1, "{}", rig.story());
    rig.world().image_quota = 100;
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 failed", "02:30 done"], "{}", rig.story());
}

/// Two plans of the same instance within 15 seconds: the second one waits for the pace of the volume's snapshots.
#[tokio::test(start_paused = true)]
async fn the_pace_of_snapshots_is_waited_for() {
    let mut rig = Rig::new(
        &fleet_with(1, r#""reboot_seconds": 1,"#, r#""image_seconds": [600, 600],"#),
        vec![plan("web", "0 2 * * *"), plan("db", "0 2 * * *")],
    );
    for plan in &mut rig.plans {
        plan.rollout.settle = 1;
    }
    rig.start();
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    let results: Vec<String> = rig.calls("CreateImage").into_iter().map(|call| call.result).collect();
    assert_eq!((results.first(), results.last()), (Some(&"ok".to_owned()), Some(&"ok".to_owned())), "{results:?}");
    assert!(results[1..results.len() - 1].iter().all(|r| r == "SnapshotCreationPerVolumeRateExceeded"), "{results:?}");
    assert!(results.len() > 2, "{results:?}");
    assert_eq!((rig.outcomes("web"), rig.outcomes("db")), (vec!["02:00 done".into()], vec!["02:00 done".into()]));
}

/// A region answers nothing for twenty minutes, from before an occurrence or from the middle of one: the other region
/// goes on meanwhile, nothing is made twice, and what was silent ends one way or the other.
#[tokio::test(start_paused = true)]
async fn a_silent_region_holds_itself_alone() {
    for (from, minutes) in [("2026-03-02T01:59:30Z", 5), ("2026-03-02T02:00:04Z", 5), ("2026-03-02T02:00:30Z", 20)] {
        let far = |plan: Plan| {
            let regions = vec!["eu-west-1".into()];
            Plan { select: stillframe::domain::plan::Select { regions, ..plan.select.clone() }, ..plan }
        };
        let mut fleet = stillframe::sim::Fleet::from_json(&fleet(4)).expect("a fleet");
        fleet.instances[2].region = Some("eu-west-1".into());
        fleet.instances[3].region = Some("eu-west-1".into());
        let mut plans = vec![plan("near", "0,40 2 * * *"), far(plan("far", "0,40 2 * * *"))];
        // The one that is asked for and not answered counts as down, over all plans.
        plans[0].rollout.max_in_flight = 2;
        let mut rig = Rig::of(&fleet, plans);
        let silence = Fault::silence("eu-west-1", at(from), at(from) + TimeDelta::minutes(minutes), 900.0);
        rig.fault(silence);
        rig.tick = secs(5);
        rig.start();
        rig.run(mins(90)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        let what = format!("silent from {from}\n{}", rig.story());
        assert_eq!(rig.outcomes("near"), ["02:00 done", "02:40 done"], "{what}");
        assert_eq!(rig.outcomes("far").len(), 2, "{what}");
        assert_eq!(rig.outcomes("far")[1], "02:40 done", "{what}");
        let near = rig.world().instances[&id(1)].reboots[0];
        assert!(near < at("2026-03-02T02:02:00Z"), "the region {REGION} waited: {what}");
        assert!(rig.world().trouble.injected["hang_before"] > 0, "{what}");
        assert!(rig.told(&Kind::RunFinished).len() == 4, "{what}");
    }
}
