//! Restarts at bad moments, clocks that are set, ticks that stop.

use crate::support::rows::Event;
use chrono::TimeDelta;
use stillframe::clock::Clock;
use stillframe::domain::fact::Kind;
use stillframe::domain::zone::Zone;
use stillframe::engine::lifecycle::daemon::{Engine, Mode};
use stillframe::sim::faults::{Fault, FaultKind};
use tokio::sync::mpsc;
use tokio::time::Duration;

use super::journal::Death;
use super::promises;
use super::rig::{Rig, fleet, fleet_with, id, mins, plan, secs};

/// The alarm is on record, the image is pending, the process is a new one: the slot is still watched.
#[tokio::test(start_paused = true)]
async fn a_slot_is_watched_again_after_its_alarm() {
    for (terminated, crash) in [(false, false), (false, true), (true, false), (true, true)] {
        let what = format!("terminated: {terminated}, crash: {crash}");
        let slow = r#""never_healthy": true, "image_seconds": 3600,"#;
        let mut rig = Rig::new(&fleet_with(2, slow, ""), vec![plan("web", "0,40 2 * * *")]);
        rig.start();
        rig.run(mins(10)).await;
        assert_eq!(rig.errors().len(), 1, "{what}\n{}", rig.story());
        if crash {
            rig.crash();
        } else {
            rig.stop().await;
        }
        rig.start();
        rig.run(mins(5)).await;
        assert!(rig.told(&Kind::SlotFreed).is_empty(), "{what}\n{}", rig.story());
        if terminated {
            rig.terminate(&id(1));
        } else {
            rig.heal(&id(1));
        }
        rig.run(mins(3)).await;
        assert_eq!(rig.told(&Kind::SlotFreed).len(), 1, "{what}\n{}", rig.story());
        rig.run(mins(80)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.reboots()[&id(2)], 1, "{what}\n{}", rig.story());
        assert_eq!(rig.errors().len(), 1, "{what}\n{}", rig.story());
    }
}

/// A journal holds no more of a zone than its name: a run goes on by the rules that the plans in force have, also where the
/// compiled table does not know the name. Where nobody knows it any more, it stays unfinished and says why.
#[tokio::test(start_paused = true)]
async fn a_zone_that_only_the_system_knows_outlives_a_restart() {
    let utc = include_bytes!("../../fixtures/zoneinfo/UTC");
    let newtown = Zone::from_file("Europe/Newtown", utc).expect("a zone file");
    for known in [true, false] {
        let mut web = plan("web", "0 2 * * *");
        web.schedule.timezone = newtown.clone();
        let mut rig = Rig::new(&fleet(2), vec![web]);
        rig.start();
        rig.run(secs(40)).await;
        rig.crash();
        if !known {
            rig.plans = vec![plan("web", "0 2 * * *")];
        }
        rig.start();
        rig.run(mins(30)).await;
        rig.stop().await;
        let expected: &[&str] = if known { &["02:00 done"] } else { &[] };
        assert_eq!(rig.outcomes("web"), expected, "{}", rig.story());
    }
}

/// Decided, and nothing more: hours later it is missed, like one that nobody decided.
#[tokio::test(start_paused = true)]
async fn a_run_that_selected_nothing_is_missed_when_it_lay_still() {
    for (down, outcome, reboots) in [(mins(90), "02:00 missed", 0), (mins(30), "02:00 done", 1)] {
        for records in 1..=3 {
            let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]);
            rig.start();
            rig.run(secs(5)).await;
            rig.journal.dies(Death::After(rig.journal.written() + records));
            assert!(!rig.run(mins(1)).await, "it died");
            rig.run(down).await;
            rig.start();
            rig.run(mins(15)).await;
            rig.stop().await;
            promises::hold(&rig).await;
            let what = rig.journal.words(rig.journal.written());
            assert_eq!(rig.outcomes("web"), [outcome], "{what}\n{}", rig.story());
            assert!(rig.reboots().values().all(|n| *n == reboots), "{what}\n{}", rig.story());
            assert!(rig.errors().is_empty(), "{}", rig.story());
        }
    }
}

/// Selected, one rebooted: hours later it finishes what it began and reboots nobody else.
#[tokio::test(start_paused = true)]
async fn a_run_that_lay_still_finishes_what_it_began() {
    // The last record before the death: the intent of the first target (never called, or called), or its image.
    for (records, made) in [(0, true), (1, true)] {
        let mut rig = Rig::new(&fleet(3), vec![plan("web", "0 2 * * *")]);
        rig.start();
        let journal = std::rc::Rc::clone(&rig.journal);
        rig.script.once(
            |e: &Event| e.draft.kind == Kind::SlotTaken,
            move || journal.dies(Death::Before(journal.written() + 1 + records)),
        );
        assert!(!rig.run(mins(5)).await, "it died");
        rig.run(mins(120)).await;
        rig.start();
        rig.run(mins(40)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.reboots()[&id(1)], usize::from(made), "{}", rig.story());
        assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
        let targets = rig.targets("web", "02:00");
        assert_eq!(targets[&id(1)], "done: ", "{}", rig.story());
        for n in [2, 3] {
            assert!(targets[&id(n)].starts_with("skipped: the run lay still"), "{targets:?}");
        }
    }
}

/// An answer is lost, and looked for; then the daemon is stopped for hours, or the machine sleeps. No restart that
/// follows forgets it: CreateImage is not sent again.
#[tokio::test(start_paused = true)]
async fn a_run_that_lay_still_stays_late_over_restarts() {
    for (asleep, crash) in [(false, false), (false, true), (true, false), (true, true)] {
        let what = format!("asleep: {asleep}, crash: {crash}");
        let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 2 * *")]);
        rig.fault(Fault::once("CreateImage", FaultKind::CutBefore));
        rig.start();
        rig.run(mins(2)).await;
        if asleep {
            rig.sleep(TimeDelta::hours(8));
            rig.run(secs(10)).await;
        } else {
            rig.stop().await;
            rig.run(mins(480)).await;
            rig.start();
            rig.run(mins(2)).await;
        }
        if crash {
            rig.crash();
        } else {
            rig.stop().await;
        }
        rig.start();
        rig.run(mins(40)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.all_reboots(), 0, "{what}\n{}", rig.story());
        assert_eq!(rig.told(&Kind::RunLate).len(), 1, "{what}\n{}", rig.story());
        let targets = rig.targets("web", "02:00");
        assert!(targets[&id(1)].starts_with("failed: image: the answer was lost"), "{what}: {targets:?}");
        assert!(targets[&id(2)].starts_with("skipped: "), "{what}: {targets:?}");
    }
}

/// A process that stopped before it went on with a run does not hide how long that lay still.
#[tokio::test(start_paused = true)]
async fn a_process_that_took_up_nothing_is_no_sign_of_life() {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 2 * *")]);
    rig.fault(Fault::once("CreateImage", FaultKind::CutBefore));
    rig.start();
    rig.run(mins(2)).await;
    rig.crash();
    rig.run(mins(480)).await;
    rig.start();
    rig.shared().ask_machine();
    rig.run(secs(30)).await;
    rig.stop().await;
    rig.start();
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.all_reboots(), 0, "{}", rig.story());
}

/// The clock was some minutes behind at the call, and is right after the restart: what the status checks read for a while
/// after a reboot frees no slot all the same.
#[tokio::test(start_paused = true)]
async fn settle_does_not_pass_by_a_clock_that_is_set() {
    let mut web = plan("web", "0 2 2 * *");
    web.rollout.settle = 180;
    web.rollout.healthy_within = 600;
    let mut rig = Rig::new(&fleet_with(2, r#""reboot_seconds": 100, "stale_seconds": 60,"#, ""), vec![web]);
    let behind = rig.clock.movable();
    behind.move_by(TimeDelta::minutes(-4));
    rig.own_clock = Some(behind);
    rig.start();
    rig.run(secs(265)).await;
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
    rig.crash();
    behind.move_by(TimeDelta::minutes(4));
    rig.start();
    rig.run(secs(30)).await;
    assert!(rig.told(&Kind::SlotFreed).is_empty(), "{}", rig.story());
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.all_reboots(), 2, "{}", rig.story());
}

/// Somebody sets the clock back by an hour right after the call, or forward.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_neither_holds_a_slot_nor_halts_a_plan() {
    // Forward with a restart is left out: nobody can tell it from an hour of absence.
    for (hours, restarts) in [(-1, &[false, true][..]), (1, &[false])] {
        for &restart in restarts {
            let what = format!("{hours} h, restart: {restart}");
            let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]);
            rig.own_clock = Some(rig.clock.stepped(secs(14), TimeDelta::hours(hours)));
            rig.start();
            rig.run(secs(12)).await;
            assert_eq!(rig.all_reboots(), 1, "{what}\n{}", rig.story());
            if restart {
                rig.run(secs(4)).await;
                rig.crash();
                rig.start();
            }
            rig.run(mins(3)).await;
            assert!(!rig.told(&Kind::SlotFreed).is_empty(), "{what}\n{}", rig.story());
            rig.run(mins(10)).await;
            rig.stop().await;
            promises::hold(&rig).await;
            assert!(rig.reboots().values().all(|n| *n == 1), "{what}\n{}", rig.story());
            assert_eq!(rig.outcomes("web"), ["02:00 done"], "{what}\n{}", rig.story());
            assert!(rig.errors().is_empty(), "{what}\n{}", rig.story());
        }
    }
}

/// The scheduler waits out a clock that was set back: the engine ticks by itself.
#[tokio::test(start_paused = true)]
async fn ticks_that_stop_coming_are_made_up_for() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
    rig.tick = mins(100_000);
    rig.start();
    rig.run(mins(10)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done"], "{}", rig.story());
}

/// Whoever asks an engine to drain need not wait for anything else to happen.
#[tokio::test(start_paused = true)]
async fn drain_wakes_an_idle_engine() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 12 * * *")]);
    rig.start();
    rig.run(secs(1)).await;
    let shared = rig.shared();
    rig.crash();
    let clock: Clock = rig.clock;
    let (_tx, mut ticks) = mpsc::channel(1);
    let engine = Engine::new(std::rc::Rc::clone(&shared), Vec::new(), Mode::Daemon);
    let begun = clock.instant();
    let asks = async {
        clock.sleep(secs(1)).await;
        shared.drain();
    };
    let (ended, ()) = tokio::join!(engine.run(&mut ticks, std::future::pending()), asks);
    ended.expect("it ends in order");
    assert_eq!(begun.elapsed(), secs(1), "at once");
    assert!(begun.elapsed() < Duration::from_secs(2));
}
