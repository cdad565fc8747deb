//! Clocks that are set, and machines that sleep: idle, and in the middle of a run.

use chrono::TimeDelta;
use stillframe::sim::{Fleet, SimCloud};

use super::promises;
use super::rig::{Rig, fleet, fleet_with, id, mins, plan, secs};

/// Minutes of a table, of which a day has 1440.
fn minutes(n: i64) -> TimeDelta {
    TimeDelta::minutes(n)
}

/// A rig whose machine sleeps `by` from `after` on: no time of tokio's passes, but the world goes on.
fn sleeper(fleet: &str, plans: Vec<stillframe::domain::plan::Plan>, after: u64, by: TimeDelta) -> Rig {
    let mut rig = Rig::new(fleet, plans);
    rig.clock = rig.clock.stepped(secs(after), by);
    let world = Fleet::from_json(fleet).expect("a fleet").world(rig.clock.now()).expect("a possible fleet");
    rig.cloud = SimCloud::new(world, rig.clock);
    rig
}

/// The daemon's clock is set while nothing runs; the plan is due at two, ten seconds after the start.
#[tokio::test(start_paused = true)]
async fn a_clock_is_set_while_idle() {
    // Seconds from the start to the step; by how many minutes; how many minutes are watched; what comes of it.
    let table: [(u64, i64, u64, &[&str], usize); 12] = [
        // Before it is due: forward over it is like having been away.
        (5, 10, 20, &["02:00 done"], 1),
        (5, 59, 20, &["02:00 done"], 1),
        (5, 120, 20, &["02:00 missed"], 0),
        (5, 1440, 20, &["02:00 missed", "02:00 done"], 1),
        // Back: it is due when the clock reads it.
        (5, -10, 5, &[], 0),
        (5, -10, 30, &["02:00 done"], 1),
        (5, -60, 80, &["02:00 done"], 1),
        // After it ended: forward over the next one, and back before the one that was.
        (600, 10, 20, &["02:00 done"], 1),
        (600, 1440, 30, &["02:00 done", "02:00 done"], 2),
        (600, -10, 40, &["02:00 done"], 1),
        (600, -60, 100, &["02:00 done"], 1),
        (600, -1440, 40, &["02:00 done"], 1),
    ];
    for restart in [false, true] {
        for (after, by, watched, outcomes, reboots) in table {
            let what = format!("{by} min after {after} s, restart: {restart}");
            let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]);
            rig.own_clock = Some(rig.clock.stepped(secs(after), minutes(by)));
            rig.start();
            rig.run(secs(after - 1)).await;
            if restart {
                rig.stop().await;
                rig.run(secs(2)).await;
                rig.start();
            }
            rig.run(mins(watched)).await;
            rig.stop().await;
            promises::hold(&rig).await;
            assert_eq!(rig.outcomes("web"), outcomes, "{what}\n{}", rig.story());
            assert!(rig.reboots().values().all(|n| *n == reboots), "{what}\n{}", rig.story());
        }
    }
}

/// A day back: what has run does not run when the clock reads that second once more, a day later.
#[tokio::test(start_paused = true)]
async fn a_second_that_is_read_twice_runs_once() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
    rig.own_clock = Some(rig.clock.stepped(secs(600), minutes(-1440)));
    rig.start();
    rig.run(mins(25 * 60)).await;
    assert_eq!((rig.outcomes("web").len(), rig.all_reboots()), (1, 1), "{}", rig.story());
    rig.run(mins(24 * 60)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!((rig.outcomes("web").len(), rig.all_reboots()), (2, 2), "the next day's\n{}", rig.story());
}

/// The daemon's clock is set in the middle of a run: it goes on as if nothing had been. Only a day forward looks like a
/// long sleep, after which nothing more is rebooted.
#[tokio::test(start_paused = true)]
async fn a_clock_is_set_in_the_middle_of_a_run() {
    for by in [10, 60, 1440, -10, -60, -1440] {
        // Right after the decision, between call and return, while the second is down, while images are pending.
        for after in [11, 14, 50, 100] {
            let what = format!("{by} min after {after} s");
            let web = plan("web", "0 2 2 * *"); // once a month: nothing else is due the next day
            let mut rig = Rig::new(&fleet_with(3, "", r#""image_seconds": [200, 300],"#), vec![web]);
            rig.own_clock = Some(rig.clock.stepped(secs(after), minutes(by)));
            rig.start();
            rig.run(mins(30)).await;
            rig.stop().await;
            promises::hold(&rig).await;
            assert!(rig.reboots().values().all(|n| *n <= 1), "{what}\n{}", rig.story());
            let targets = rig.targets("web", "02:00");
            let overslept = targets.values().any(|end| end.starts_with("skipped: this machine slept"));
            let outcome = if overslept { "02:00 failed" } else { "02:00 done" };
            assert_eq!(rig.outcomes("web"), [outcome], "{what}\n{}", rig.story());
            for (instance, end) in targets {
                let skipped = by == 1440 && end.starts_with("skipped: this machine slept");
                assert!(skipped || rig.reboots()[&instance] == 1, "{what}: {end}\n{}", rig.story());
            }
            assert!(rig.errors().is_empty(), "{what}\n{}", rig.story());
        }
    }
}

/// The machine sleeps from before two on: like a daemon that was down.
#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_over_it_catches_up_once() {
    for (slept, outcomes, reboots) in [
        (30, &["02:00 done"][..], 1),
        (59, &["02:00 done"], 1),
        (120, &["02:00 missed"], 0),
        (1430, &["02:00 missed"], 0),
    ] {
        let mut rig = sleeper(&fleet(2), vec![plan("web", "0 2 2 * *")], 5, minutes(slept));
        rig.start();
        rig.run(mins(30)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.outcomes("web"), outcomes, "slept {slept} min\n{}", rig.story());
        assert!(rig.reboots().values().all(|n| *n == reboots), "slept {slept} min\n{}", rig.story());
        assert!(rig.errors().is_empty(), "{}", rig.story());
    }
}

/// The machine sleeps in the middle of a run: what began is finished, once; the window ends meanwhile.
#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_in_a_run_finishes_what_it_began() {
    for after in [11, 14, 25] {
        for (slept, window) in [(30, None), (480, None), (30, Some(600)), (480, Some(3600))] {
            let what = format!("slept {slept} min after {after} s, window {window:?}");
            let mut web = plan("web", "0 2 2 * *");
            web.schedule.window = window;
            let mut rig = sleeper(&fleet(3), vec![web], after, minutes(slept));
            rig.start();
            rig.run(mins(30)).await;
            rig.stop().await;
            promises::hold(&rig).await;
            let outcome = if (slept, window) == (30, None) { "02:00 done" } else { "02:00 failed" };
            assert_eq!(rig.outcomes("web"), [outcome], "{what}\n{}", rig.story());
            assert!(rig.errors().is_empty(), "{what}\n{}", rig.story());
            // The catch_up of these plans is an hour: what was begun at two is not rebooted at ten.
            let why = match (slept, window) {
                (480, None) => "skipped: this machine slept",
                (_, Some(_)) => "skipped: the window",
                _ => {
                    assert!(rig.reboots().values().all(|n| *n == 1), "{what}\n{}", rig.story());
                    continue;
                }
            };
            assert_eq!(rig.reboots()[&id(3)], 0, "{what}\n{}", rig.story());
            assert!(rig.targets("web", "02:00")[&id(3)].starts_with(why), "{what}");
        }
    }
}
