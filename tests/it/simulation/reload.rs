//! A new configuration comes into force whole, or not at all; what has begun goes on as it began.

use stillframe::domain::fact::Kind;
use stillframe::domain::plan::Plan;

use super::promises;
use super::rig::{Rig, fleet, fleet_with, mins, plan, secs};

fn texts(rig: &Rig, kind: &Kind, key: &str) -> Vec<String> {
    rig.told(kind).iter().map(|e| e.draft.data[key].to_string()).collect()
}

/// Runs `rig` from ten seconds before two, through `steps`, to a quarter past three.
async fn quiet(mut rig: Rig) -> Rig {
    rig.run(mins(60)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn what_came_due_before_is_decided_by_the_old_plans() {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]);
    // No tick comes between the due time and the reload.
    rig.tick = mins(2);
    rig.start();
    rig.run(secs(4)).await;
    rig.clock.sleep(secs(7)).await;
    rig.reload(Ok(vec![plan("web", "0 5 * * *")])).await.expect("in force");
    let rig = quiet(rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done"], "{}", rig.story());
    assert_eq!(rig.all_reboots(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_removed_plan_finishes_what_it_began() {
    let mut rig = Rig::new(&fleet(3), vec![plan("web", "0 2 * * *"), plan("db", "0 4 * * *")]);
    rig.start();
    rig.run(secs(30)).await;
    assert_eq!(rig.all_reboots(), 1, "one at a time, and two are still to come");
    rig.reload(Ok(vec![plan("db", "0 4 * * *")])).await.expect("in force");
    let rig = quiet(rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done"], "{}", rig.story());
    assert_eq!(rig.all_reboots(), 3);
    assert_eq!(texts(&rig, &Kind::ConfigApplied, "removed").last().map(String::as_str), Some(r#"["web"]"#));
}

#[tokio::test(start_paused = true)]
async fn a_changed_plan_applies_from_its_next_occurrence() {
    let tagged =
        |team: &str| Plan { tags: [("Team".to_owned(), team.to_owned())].into(), ..plan("web", "0,40 2 * * *") };
    let mut rig = Rig::new(&fleet(2), vec![tagged("old")]);
    rig.start();
    rig.run(secs(30)).await;
    rig.reload(Ok(vec![tagged("new")])).await.expect("in force");
    let rig = quiet(rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:40 done"], "{}", rig.story());
    let images = rig.images_of(&super::rig::id(2));
    let teams: Vec<&str> = images.iter().map(|image| image.tags["Team"].as_str()).collect();
    assert_eq!(teams, ["old", "new"], "the second instance of the first run was imaged after the reload");
    assert_eq!(rig.told(&Kind::PlanFirstSeen).len(), 1, "the schedule is the same");
}

#[tokio::test(start_paused = true)]
async fn an_edited_schedule_owes_nothing_that_is_past() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 5 * * *")]);
    rig.start();
    rig.run(mins(35)).await; // to 02:35
    rig.reload(Ok(vec![plan("web", "30 2 * * *")])).await.expect("in force");
    let rig = quiet(rig).await;
    assert_eq!((rig.all_reboots(), rig.outcomes("web")), (0, vec![]), "{}", rig.story());
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_was_away_owes_nothing() {
    // Taken out before two, put back at 02:30 with `catch_up = "1h"`: by reloads, and by restarts.
    for restarts in [false, true] {
        let both = || vec![plan("web", "0 2 * * *"), plan("db", "0 5 * * *")];
        let mut rig = Rig::new(&fleet(1), both());
        rig.start();
        rig.run(secs(2)).await;
        for (plans, wait) in [(vec![plan("db", "0 5 * * *")], 30), (both(), 1)] {
            if restarts {
                rig.stop().await;
                rig.plans = plans;
                rig.start();
            } else {
                rig.reload(Ok(plans)).await.expect("in force");
            }
            rig.run(mins(wait)).await;
        }
        let rig = quiet(rig).await;
        assert_eq!((rig.all_reboots(), rig.outcomes("web")), (0, vec![]), "restarts: {restarts}\n{}", rig.story());
        let seen = rig.told(&Kind::PlanFirstSeen);
        assert_eq!(seen.iter().filter(|e| e.draft.run == "web").count(), 2, "{}", rig.story());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_configuration_changes_nothing() {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0,20 2 * * *")]);
    rig.start();
    rig.run(secs(30)).await;
    for _ in 0..2 {
        let why = rig.reload(Err("web.toml:1:1: it is wrong".into())).await.expect_err("it stays as it was");
        assert_eq!(why, "web.toml:1:1: it is wrong");
    }
    assert_eq!(texts(&rig, &Kind::ConfigRefused, "reason").len(), 2);
    assert_eq!(rig.errors().len(), 2, "somebody must mend it");
    rig.events.borrow_mut().retain(|e| e.draft.kind != Kind::ConfigRefused);
    let rig = quiet(rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done"], "{}", rig.story());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_journaled_is_not_in_force() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
    rig.start();
    rig.run(secs(2)).await;
    rig.journal.fails_from(rig.journal.written() + 1);
    let old = rig.plans.clone();
    let why = rig.reload(Ok(vec![plan("db", "0 2 * * *")])).await.expect_err("it cannot be written");
    assert!(why.contains("the old configuration stays in force"), "{why}");
    rig.journal.recovers();
    rig.plans = old;
    let rig = quiet(rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done"], "{}", rig.story());
    assert_eq!(rig.outcomes("db"), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_service_manager_is_told() {
    let mut rig = Rig::new(&fleet_with(2, "", r#""image_seconds": [400, 400],"#), vec![plan("web", "0 2 * * *")]);
    rig.start();
    rig.run(secs(30)).await;
    let (ready, alive) = (rig.manager.ready.get(), rig.manager.alive.get());
    assert!(ready == 1 && (25..=31).contains(&alive), "ready {ready}, alive {alive}");
    rig.run(mins(20)).await;
    assert_eq!(
        *rig.manager.lines.borrow(),
        [
            "next web 02:00",
            "next web 2026-03-03 02:00; web selecting",
            "next web 2026-03-03 02:00; web imaging 0/2", // the status checks are read before each call
            "next web 2026-03-03 02:00; web imaging 0/2, 1 down",
            "next web 2026-03-03 02:00; web imaging 0/2",
            "next web 2026-03-03 02:00; web imaging 1/2",
            "next web 2026-03-03 02:00",
        ]
    );
    // While it drains it is alive too.
    let before = rig.manager.alive.get();
    rig.stop().await;
    assert!(rig.manager.alive.get() >= before);
    promises::hold(&rig).await;
}

/// `systemctl reload stillframe && stillframe backup web`: the request may come before the new plans are in force.
#[tokio::test(start_paused = true)]
async fn a_request_that_comes_with_a_reload_meets_the_new_plans() {
    let mut rig = Rig::new(&fleet(1), vec![plan("db", "0 5 * * *")]);
    rig.tick = secs(60); // no tick of its own in between
    rig.start();
    rig.run(secs(2)).await;
    let ask = serde_json::json!({ "plan": "web" });
    rig.journal.inner().put_request(rig.clock.now(), "backup", &ask).expect("written");
    rig.reload(Ok(vec![plan("db", "0 5 * * *"), plan("web", "0 6 * * *")])).await.expect("in force");
    let rig = quiet(rig).await;
    let ends: Vec<String> = rig.outcomes("web").iter().map(|o| o[6..].to_owned()).collect();
    assert_eq!(ends, ["done"], "{}", rig.story());
}

/// The line never tells what waits for what, while nothing is begun at all.
#[tokio::test(start_paused = true)]
async fn the_service_manager_is_told_why_nothing_begins() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
    rig.script.clock_ahead.set(Some(chrono::TimeDelta::hours(-1)));
    rig.start();
    rig.shared().cloud.whoami().await.expect("an answer");
    rig.run(mins(1)).await;
    let last = rig.manager.lines.borrow().last().cloned();
    assert_eq!(last.as_deref(), Some("begins nothing: see the log; next web 02:00"));
    rig.script.clock_ahead.set(Some(chrono::TimeDelta::zero()));
    rig.shared().cloud.whoami().await.expect("an answer");
    rig.run(secs(2)).await;
    rig.lose_journal();
    rig.script.refuse("DescribeImages:tag", None, 10_000, "InternalError", "an outage");
    rig.start();
    rig.run(mins(1)).await;
    let last = rig.manager.lines.borrow().last().cloned();
    assert_eq!(last.as_deref(), Some("begins nothing: see the log; next web 2026-03-03 02:00"));
    rig.script.relents();
    rig.run(mins(2)).await;
    let last = rig.manager.lines.borrow().last().cloned();
    assert!(last.as_deref().is_some_and(|l| l.starts_with("next web 2026-03-03 02:00")), "{last:?}");
    rig.stop().await;
    promises::hold(&rig).await;
}
