//! The daemon is not there when something is due, or the window ends.

use stillframe::domain::fact::Kind;
use tokio::time::Duration;

use super::promises;
use super::rig::{Rig, fleet, fleet_with, id, mins, plan, secs};

/// Stopped before `cron` is due for `down`, then an hour more; the plan catches up for an hour.
async fn away(cron: &str, down: Duration) -> Rig {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", cron)]);
    rig.tick = secs(5);
    rig.start();
    rig.run(secs(5)).await;
    rig.stop().await;
    rig.run(down).await;
    rig.start();
    rig.run(mins(15)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn only_the_latest_is_caught_up_with() {
    let table: [(&str, u64, &[&str], usize); 5] = [
        ("0 2 * * *", 30, &["02:00 done"], 1),
        ("0 2 * * *", 59, &["02:00 done"], 1),
        ("0 2 * * *", 62, &["02:00 missed"], 0),
        ("0,10,20 2 * * *", 40, &["02:00 missed", "02:10 missed", "02:20 done"], 1),
        ("0,10,20 2 * * *", 90, &["02:00 missed", "02:10 missed", "02:20 missed"], 0),
    ];
    for (cron, down, outcomes, reboots) in table {
        let rig = away(cron, mins(down)).await;
        assert_eq!(rig.outcomes("web"), outcomes, "{cron}, down for {down} min\n{}", rig.story());
        assert!(rig.reboots().values().all(|n| *n == reboots), "{cron}, down for {down} min");
        assert!(rig.errors().is_empty(), "{}", rig.story());
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_sight_owes_nothing() {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]);
    rig.run(mins(5)).await;
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    // Nor does that of a changed schedule.
    rig.plans = vec![plan("web", "10 2 * * *")];
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.all_reboots(), 0, "{}", rig.story());
    assert!(rig.outcomes("web").is_empty());
    assert_eq!(rig.told(&Kind::PlanFirstSeen).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_window_ends() {
    for restart in [false, true] {
        let mut web = plan("web", "0 2 * * *");
        web.schedule.window = Some(150);
        let mut rig = Rig::new(&fleet_with(4, "", ""), vec![web]);
        for instance in rig.world().instances.values_mut() {
            instance.traits.reboot_seconds = Some(90.0);
        }
        rig.start();
        rig.run(secs(60)).await;
        if restart {
            rig.crash();
            rig.start();
        }
        rig.run(mins(20)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.all_reboots(), 2, "{}", rig.story());
        let targets = rig.targets("web", "02:00");
        for n in [3, 4] {
            assert!(targets[&id(n)].starts_with("skipped: the window"), "{targets:?}");
        }
        assert!(rig.errors().is_empty(), "{}", rig.story());
    }
}

/// Late by less than `catch_up` but more than the window: nothing is rebooted.
#[tokio::test(start_paused = true)]
async fn a_window_counts_from_due() {
    let mut web = plan("web", "0 2 * * *");
    web.schedule.window = Some(600);
    let mut rig = Rig::new(&fleet(2), vec![web]);
    rig.start();
    rig.run(secs(5)).await;
    rig.stop().await;
    rig.run(mins(30)).await;
    rig.start();
    rig.run(mins(10)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.all_reboots(), 0, "{}", rig.story());
    assert!(rig.targets("web", "02:00").values().all(|t| t.starts_with("skipped: the window")), "{}", rig.story());
}

/// A search for a lost CreateImage that lasts beyond the window does not send it again.
#[tokio::test(start_paused = true)]
async fn a_window_forbids_the_second_call_too() {
    use stillframe::sim::faults::{Fault, FaultKind};
    let mut web = plan("web", "0 2 * * *");
    web.schedule.window = Some(300);
    let mut rig = Rig::new(&fleet(1), vec![web]);
    rig.fault(Fault::once("CreateImage", FaultKind::CutBefore));
    rig.start();
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.all_reboots(), 0, "{}", rig.story());
    assert_eq!(rig.outcomes("web"), ["02:00 failed"], "{}", rig.story());
    assert_eq!(rig.errors().len(), 1, "{}", rig.story());
}

/// A run that was cut off goes on, but not at noon with what was due at night.
#[tokio::test(start_paused = true)]
async fn a_run_that_was_cut_off_reboots_nothing_at_noon() {
    let mut rig = Rig::new(&fleet(3), vec![plan("web", "0 2 * * *")]);
    rig.start();
    rig.run(secs(20)).await;
    rig.crash();
    rig.run(mins(600)).await;
    rig.start();
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
    assert!(rig.targets("web", "02:00")[&id(3)].starts_with("skipped: "), "{}", rig.story());
}
