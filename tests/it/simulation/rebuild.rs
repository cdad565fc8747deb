//! The journal is lost, the installation file is kept: it is rebuilt from the tags of the images.

use stillframe::domain::event::{Decision, Trigger};
use stillframe::domain::fact::Kind;
use stillframe::domain::plan::{Plan, Rollout};

use super::journal::Death;
use super::promises;
use super::rig::{Rig, at, fleet, fleet_with, id, mins, plan, secs};

/// Two instances, two occurrences; nothing is left open before the loss.
#[tokio::test(start_paused = true)]
async fn what_made_images_is_not_run_again_and_what_left_none_is_missed() {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0,20,40 2 * * *")]);
    rig.start();
    rig.run(mins(35)).await;
    rig.stop().await;
    rig.run(mins(7)).await; // 02:40 comes due while it is down, and would be caught up
    rig.lose_journal();
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert!(rig.reboots().values().all(|n| *n == 2), "{}", rig.story());
    let rebuilt = rig.told(&Kind::JournalRebuilt);
    assert_eq!(rebuilt.len(), 1, "{}", rig.story());
    let data = &rebuilt[0].draft.data;
    assert_eq!((&data["occurrences"], &data["images"], &data["missed"]), (&2.into(), &4.into(), &1.into()), "{data}");
    let rows = rig.journal.rows().occurrences(Some("web"), 9).await.expect("readable");
    let rows: Vec<_> = rows.iter().map(|o| (o.due, o.decision, o.trigger)).collect();
    let row = |time: &str, decision| (at(&format!("2026-03-02T{time}:00Z")), decision, Trigger::Schedule);
    assert_eq!(rows, [row("02:40", Decision::Miss), row("02:20", Decision::Run), row("02:00", Decision::Run)]);
    assert!(rig.errors().is_empty(), "{}", rig.story());

    // A second start has nothing to rebuild, and the next day runs as always.
    rig.start();
    rig.run(mins(24 * 60)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.told(&Kind::JournalRebuilt).len(), 1);
    assert!(rig.reboots().values().all(|n| *n == 5), "{}", rig.story());
    assert!(rig.images_of(&id(1)).len() <= 2, "retention goes on");
}

/// In the middle of the first reboot: it counts as down again, its image is followed, and nobody is rebooted for the
/// occurrence any more.
#[tokio::test(start_paused = true)]
async fn a_reboot_under_way_counts_as_down_and_its_image_is_adopted() {
    let mut rig = Rig::new(&fleet_with(2, r#""reboot_seconds": 300, "image_seconds": 1200,"#, ""), vec![]);
    rig.plans = vec![plan("web", "0 2 * * *"), plan("db", "2 2 * * *")];
    for plan in &mut rig.plans {
        plan.rollout = Rollout { healthy_within: 600, ..plan.rollout.clone() };
    }
    rig.start();
    rig.run(secs(40)).await;
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
    rig.lose_journal();
    rig.start();
    rig.run(mins(60)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    // `db` is due while the first instance is down: it waits for that slot.
    assert_eq!((rig.reboots()[&id(1)], rig.reboots()[&id(2)]), (2, 1), "{}", rig.story());
    assert_eq!(rig.outcomes("web"), ["02:00 done"], "{}", rig.story());
    let second = rig.world().instances[&id(2)].reboots[0];
    assert!(second >= at("2026-03-02T02:05:00Z"), "rebooted at {second} while the other was down");
    let ends = rig.told(&Kind::TargetFinished);
    assert!(ends.iter().any(|e| e.draft.run.starts_with("web") && e.text("image").is_some()), "{}", rig.story());
}

/// The same, while AWS does not list yet what was made just before the loss: it is asked once it does.
#[tokio::test(start_paused = true)]
async fn what_is_not_listed_yet_counts_all_the_same() {
    for (lost, waits) in [(3, true), (40, true), (40, false)] {
        let world = r#""reboot_seconds": 600, "image_seconds": 1200,"#;
        let mut rig = Rig::new(&fleet_with(2, world, r#""visibility_lag": 150,"#), vec![]);
        rig.plans = vec![plan("web", "0 2 * * *"), plan("db", "2 2 * * *")];
        for plan in &mut rig.plans {
            plan.rollout = Rollout { healthy_within: 900, ..plan.rollout.clone() };
        }
        rig.start();
        rig.run(secs(10 + lost)).await;
        assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
        rig.lose_journal();
        if waits {
            rig.visible_within = secs(180);
        }
        rig.start();
        rig.run(mins(60)).await;
        rig.stop().await;
        let broken = promises::broken(&rig).await;
        if waits {
            // `db` is due while the first instance is down.
            let reboots = [1, 2].map(|n| rig.world().instances[&id(n)].reboots.clone());
            let next = reboots[0][1].min(reboots[1][0]);
            assert!(next >= at("2026-03-02T02:10:00Z"), "rebooted at {next}\n{}", rig.story());
            assert!(broken.is_empty(), "{}\n{}", broken.join("\n"), rig.story());
            assert_eq!(rig.outcomes("web"), ["02:00 done"], "{}", rig.story());
            assert_eq!(rig.told(&Kind::JournalRebuilt)[0].draft.data["down"], 1, "{}", rig.story());
        } else {
            assert!(broken.iter().any(|b| b.contains("while it was down")), "why it is waited for: {broken:?}");
        }
    }
}

/// An instance that never came back is alarmed again, and halts its plan again.
#[tokio::test(start_paused = true)]
async fn a_halt_is_raised_again() {
    let mut rig = Rig::new(&fleet_with(2, r#""never_healthy": true,"#, ""), vec![plan("web", "0,30 2 * * *")]);
    rig.start();
    rig.run(mins(10)).await;
    assert_eq!(rig.told(&Kind::StepNeedsPerson).len(), 1, "{}", rig.story());
    rig.lose_journal();
    rig.start();
    rig.run(mins(50)).await;
    assert_eq!(rig.told(&Kind::StepNeedsPerson).len(), 2, "{}", rig.story());
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
    rig.heal(&id(1));
    rig.run(mins(5)).await;
    rig.stop().await;
    promises::hold(&rig).await;
}

/// What a run would have deleted after its loss is left to the next one.
#[tokio::test(start_paused = true)]
async fn a_rebuild_deletes_nothing() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0,10,20,30 2 * * *")]);
    rig.plans[0].keep.last = 1;
    rig.world().image_seconds = [240.0, 240.0];
    rig.start();
    rig.run(mins(11)).await; // the second image is pending; the first would go once it is good
    assert_eq!(rig.images_of(&id(1)).len(), 2, "{}", rig.story());
    rig.lose_journal();
    rig.start();
    rig.run(mins(8)).await;
    assert!(rig.calls("DeregisterImage").is_empty(), "{}", rig.story());
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:10 done"], "{}", rig.story());
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.images_of(&id(1)).len(), 1, "{}", rig.story());
}

/// Until all places are listed nothing is begun; a request waits, and what comes due meanwhile is caught up.
#[tokio::test(start_paused = true)]
async fn nothing_is_begun_before_the_images_are_listed() {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0,20 2 * * *")]);
    rig.start();
    rig.run(mins(10)).await;
    rig.lose_journal();
    rig.script.refuse("DescribeImages:tag", None, 10_000, "InternalError", "an outage");
    rig.start();
    rig.run(mins(20)).await;
    assert_eq!(rig.all_reboots(), 2, "{}", rig.story());
    assert!(rig.told(&Kind::OccurrenceDecided).len() == 1, "{}", rig.story());
    rig.script.relents();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert!(rig.reboots().values().all(|n| *n == 2), "{}", rig.story());
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done"], "{}", rig.story());
}

/// A region that refuses holds its own plan, and no other.
#[tokio::test(start_paused = true)]
async fn a_refused_region_holds_its_plan_alone() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "20 2 * * *"), plan("far", "20 2 * * *")]);
    rig.plans[1].select.regions = vec!["us-east-1".into()];
    rig.lose_journal();
    rig.start();
    rig.run(mins(40)).await;
    assert_eq!(rig.outcomes("web"), ["02:20 done"], "{}", rig.story());
    assert!(rig.outcomes("far").is_empty(), "{}", rig.story());
    assert!(rig.told(&Kind::JournalRebuilt).is_empty(), "{}", rig.story());
    rig.stop().await;
    // Its plan taken away, the rebuild ends.
    rig.plans.pop();
    rig.start();
    rig.run(mins(5)).await;
    assert_eq!(rig.told(&Kind::JournalRebuilt).len(), 1, "{}", rig.story());
    rig.stop().await;
    promises::hold(&rig).await;
}

/// The region is taken out of the plan, and the daemon reloaded: what holds the plan is gone.
#[tokio::test(start_paused = true)]
async fn a_reload_takes_the_refused_region_out() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "20 2 * * *"), plan("far", "20 3 * * *")]);
    rig.plans[1].select.regions = vec!["us-east-1".into()];
    rig.lose_journal();
    rig.start();
    rig.run(mins(5)).await;
    rig.reload(Ok(vec![plan("web", "20 2 * * *"), plan("far", "20 3 * * *")])).await.expect("in force");
    rig.run(mins(100)).await;
    assert_eq!(rig.told(&Kind::JournalRebuilt).len(), 1, "{}", rig.story());
    assert_eq!(rig.outcomes("far"), ["03:20 done"], "{}", rig.story());
    rig.stop().await;
    promises::hold(&rig).await;
}

/// Who does not come back is alarmed also where the plan that took it down is gone (found by seeds 1220, 1258 and 1949):
/// nobody waits for that slot for ever.
#[tokio::test(start_paused = true)]
async fn an_instance_of_a_removed_plan_that_stays_down_is_alarmed() {
    let mut rig = Rig::new(
        &fleet_with(2, r#""never_healthy": true,"#, ""),
        vec![plan("web", "0 2 * * *"), plan("db", "30 2 * * *")],
    );
    rig.start();
    rig.run(mins(10)).await;
    assert_eq!(rig.told(&Kind::StepNeedsPerson).len(), 1, "{}", rig.story());
    rig.lose_journal();
    rig.plans.remove(0);
    for restarts in [true, false] {
        rig.start();
        rig.run(mins(1)).await;
        if restarts {
            rig.crash();
        }
    }
    rig.run(mins(40)).await;
    assert_eq!(rig.told(&Kind::StepNeedsPerson).len(), 2, "{}", rig.story());
    assert_eq!(rig.outcomes("db"), ["02:30 failed"], "{}", rig.story());
    assert_eq!(rig.all_reboots(), 1, "one at once, and one is down\n{}", rig.story());
    rig.heal(&id(1));
    rig.run(mins(5)).await;
    rig.stop().await;
    promises::hold(&rig).await;
}

/// A plan that a reload adds is rebuilt too: who is down because of it counts.
#[tokio::test(start_paused = true)]
async fn a_plan_that_a_reload_adds_is_rebuilt_too() {
    let (web, db) = (|| plan("web", "0 2 * * *"), || plan("db", "2 2 * * *"));
    let mut rig = Rig::new(&fleet_with(2, r#""reboot_seconds": 300, "image_seconds": 1200,"#, ""), vec![web()]);
    rig.plans[0].rollout.healthy_within = 600;
    rig.start();
    rig.run(secs(40)).await;
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
    rig.lose_journal();
    rig.plans = vec![db()];
    rig.plans[0].rollout.healthy_within = 600;
    rig.script.refuse("DescribeImages:tag", None, 10_000, "InternalError", "an outage");
    rig.start();
    rig.run(secs(20)).await;
    let both = [web(), db()].map(|p| Plan { rollout: Rollout { healthy_within: 600, ..p.rollout.clone() }, ..p });
    rig.reload(Ok(both.into())).await.expect("in force");
    rig.script.relents();
    rig.run(mins(60)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    let second = rig.world().instances[&id(2)].reboots[0];
    assert!(second >= at("2026-03-02T02:05:00Z"), "rebooted at {second} while the other was down\n{}", rig.story());
    assert_eq!(rig.outcomes("web"), ["02:00 done"], "{}", rig.story());
}

/// The process dies at every record of a rebuild in turn.
#[tokio::test(start_paused = true)]
async fn it_dies_at_every_record_of_a_rebuild() {
    let lost = || async {
        let mut rig = Rig::new(
            &fleet_with(3, r#""reboot_seconds": 300, "image_seconds": 900,"#, ""),
            vec![plan("web", "0,20,40 2 * * *")],
        );
        rig.plans[0].rollout = Rollout { max_in_flight: 2, healthy_within: 900, ..rig.plans[0].rollout.clone() };
        rig.tick = secs(5);
        rig.start();
        rig.run(mins(21)).await;
        rig.lose_journal();
        rig
    };
    let mut whole = lost().await;
    whole.start();
    whole.run(mins(2)).await;
    let records = whole.journal.written();
    assert!(records >= 6, "{records}");
    for death in [Death::After, Death::Before] {
        for k in 1..=records {
            let mut rig = lost().await;
            rig.journal.dies(death(k));
            rig.start();
            rig.run_through(mins(60), secs(7)).await;
            rig.stop().await;
            let broken = promises::broken(&rig).await;
            let what = format!("{:?} ({})", death(k), whole.journal.words(k));
            assert!(broken.is_empty(), "{what}:\n{}\n\n{}", broken.join("\n"), rig.story());
            let rebuilt = rig.journal.rows().events_of_kind("journal.rebuilt").await.expect("readable");
            assert_eq!(rebuilt.len(), 1, "{what}\n{}", rig.story());
        }
    }
}

/// A deletion that the loss cut off: the snapshots are reported, and stay.
#[tokio::test(start_paused = true)]
async fn snapshots_of_no_image_are_reported_and_left_alone() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0,20 2 * * *")]);
    rig.plans[0].keep.last = 1;
    rig.script.leaves_snapshots.set(true);
    rig.script.refuse("DeleteSnapshot", None, 100, "UnauthorizedOperation", "not yet");
    rig.start();
    rig.run(mins(30)).await;
    assert_eq!(rig.images_of(&id(1)).len(), 1, "the first one is deregistered\n{}", rig.story());
    rig.script.relents();
    rig.lose_journal();
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    let rebuilt = rig.told(&Kind::JournalRebuilt);
    let orphans = rebuilt[0].draft.data["orphans"].as_array().expect("a list").clone();
    assert!(!orphans.is_empty(), "{}", rig.story());
    assert!(rig.calls("DeleteSnapshot").is_empty(), "{}", rig.story());
    let broken = promises::broken(&rig).await;
    assert!(broken.iter().all(|b| b.contains("is orphaned")) && broken.len() == orphans.len(), "{broken:?}");
}
