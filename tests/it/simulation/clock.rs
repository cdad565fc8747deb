//! This machine's clock is far from AWS's: nothing is begun until it is right.

use chrono::TimeDelta;
use stillframe::domain::fact::Kind;

use super::promises;
use super::rig::{Rig, at, fleet, mins, plan, secs};

/// Minutes that the clock is ahead, and what becomes of an occurrence at 02:00 when it is right again at 02:20 and at
/// 03:20 (`catch_up` is an hour).
#[tokio::test(start_paused = true)]
async fn what_is_due_waits_for_the_clock() {
    for (ahead, right_after, reboots, outcome) in [
        (180, 20, 2, "02:00 done"),
        (-180, 20, 2, "02:00 done"),
        (180, 80, 0, "02:00 missed"),
        (5, 20, 2, "02:00 done"),
    ] {
        let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]);
        rig.script.clock_ahead.set(Some(TimeDelta::minutes(ahead)));
        rig.start();
        // The daemon asks now and then; here the first answer comes before the plan is due.
        rig.shared().cloud.whoami().await.expect("an answer");
        rig.run(mins(right_after)).await;
        let expected = if ahead.abs() > 5 { 0 } else { 2 };
        assert_eq!(rig.all_reboots(), expected, "{ahead}: {}", rig.story());
        rig.script.clock_ahead.set(Some(TimeDelta::seconds(1)));
        rig.shared().cloud.whoami().await.expect("an answer");
        rig.run(mins(20)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(
            (rig.all_reboots(), rig.outcomes("web")),
            (reboots, vec![outcome.to_owned()]),
            "{ahead}: {}",
            rig.story()
        );
    }
}

/// Found out in the middle of a run: what has not begun is left out.
#[tokio::test(start_paused = true)]
async fn what_has_not_begun_is_left_out() {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]);
    rig.start();
    rig.run(secs(20)).await;
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
    rig.script.clock_ahead.set(Some(TimeDelta::minutes(6)));
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
    let targets = rig.targets("web", "02:00");
    let left = targets.values().filter(|t| t.contains("clock is 6 min ahead of AWS's")).count();
    assert_eq!(left, 1, "{targets:?}");
}

/// Started with a wrong clock: AWS's first answer comes later than the first tick.
#[tokio::test(start_paused = true)]
async fn nothing_is_decided_before_the_first_answer() {
    // How far the clock is ahead; `web` is due at 02:00, and it is 02:00:10 by this clock at the first ticks.
    for (ahead, outcomes, reboots) in [(180, Vec::new(), 0), (0, vec!["02:00 done"], 2)] {
        let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]);
        rig.start();
        rig.run(secs(5)).await;
        rig.stop().await;
        rig.run(secs(15)).await;
        rig.script.clock_ahead.set(Some(TimeDelta::minutes(ahead)));
        rig.start();
        rig.shared().ask_clock();
        rig.run(secs(10)).await;
        assert!(rig.outcomes("web").is_empty() && rig.told(&Kind::OccurrenceDecided).is_empty(), "{}", rig.story());
        rig.shared().cloud.whoami().await.expect("an answer");
        rig.shared().clock_told();
        rig.run(mins(20)).await;
        assert_eq!(
            (rig.outcomes("web"), rig.all_reboots()),
            (outcomes.iter().map(ToString::to_string).collect(), reboots)
        );
        rig.stop().await;
        promises::hold(&rig).await;
    }
}

/// A plan that was first seen while the clock was ahead is not silent until that time comes; nor does it owe what was
/// due before it is seen again.
#[tokio::test(start_paused = true)]
async fn a_first_sight_in_the_future_is_seen_again() {
    for restarts in [false, true] {
        let mut rig = Rig::new(&fleet(1), vec![plan("web", "0,20 2 * * *")]);
        let ahead = stillframe::clock::Clock::simulated(at("2026-03-05T01:59:50Z"));
        rig.own_clock = Some(ahead.stepped(secs(60), TimeDelta::days(-3)));
        rig.script.clock_ahead.set(Some(TimeDelta::days(3)));
        rig.start();
        rig.shared().cloud.whoami().await.expect("an answer");
        rig.run(secs(70)).await;
        if restarts {
            rig.stop().await;
            rig.start();
        }
        rig.script.clock_ahead.set(Some(TimeDelta::zero()));
        rig.shared().cloud.whoami().await.expect("an answer");
        rig.run(mins(40)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.outcomes("web"), ["02:20 done"], "{}", rig.story());
        assert_eq!(rig.told(&Kind::PlanFirstSeen).len(), 2, "{}", rig.story());
    }
}
