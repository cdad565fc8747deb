//! What people ask for, beside the schedule.

use crate::support::rows::{Draft, drafts};
use chrono::{DateTime, Utc};
use serde_json::json;
use stillframe::domain::event::{Decision, Occurrence, Trigger};
use stillframe::domain::fact::Kind;
use stillframe::domain::naming::run_name;
use stillframe::journal::Journal as _;

use super::promises;
use super::rig::{Rig, at, fleet, id, mins, plan, secs};

fn ask(rig: &Rig) -> i64 {
    rig.journal.inner().put_request(rig.clock.now(), "backup", &json!({ "plan": "web" })).expect("written")
}

async fn dues(rig: &Rig, trigger: Trigger) -> Vec<DateTime<Utc>> {
    let list = rig.journal.rows().occurrences(None, 100).await.expect("readable");
    list.iter().rev().filter(|o| o.trigger == trigger).map(|o| o.due).collect()
}

/// Nobody expects a reboot of what was asked for an hour ago; nor of what was taken back.
#[tokio::test(start_paused = true)]
async fn an_old_request_is_answered_and_not_run() {
    for (age, withdrawn, outcomes, reboots) in [
        (mins(2), false, vec!["01:59 skipped"], 0),
        (secs(61), false, vec!["01:59 skipped"], 0),
        (secs(30), false, vec!["01:59 done"], 1),
        (secs(30), true, vec![], 0),
    ] {
        let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 12 * * *")]);
        let request = ask(&rig);
        rig.run(age).await;
        if withdrawn {
            assert!(rig.journal.inner().withdraw(request).expect("written"));
        }
        rig.start();
        rig.run(mins(15)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        let ends: Vec<String> = rig.outcomes("web").iter().map(|o| o[6..].to_owned()).collect();
        let expected: Vec<&str> = outcomes.iter().map(|o| &o[6..]).collect();
        assert_eq!(ends, expected, "{age:?}\n{}", rig.story());
        assert_eq!(rig.all_reboots(), reboots, "{age:?}\n{}", rig.story());
        let answer = rig.journal.rows().request(request).await.expect("readable");
        assert_eq!(answer.and_then(|r| r.run).is_some(), !withdrawn);
    }
}

/// Two requests in one second, before a second of the schedule: the second one steps over it.
#[tokio::test(start_paused = true)]
async fn a_request_leaves_the_schedules_seconds_alone() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "1 0 2 * * *")]);
    rig.tick = secs(5); // at 01:59:55 and 02:00:00
    rig.start();
    rig.run(secs(9)).await;
    ask(&rig);
    ask(&rig);
    rig.run(mins(10)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    let manual = dues(&rig, Trigger::Manual).await;
    assert_eq!(manual, [at("2026-03-02T02:00:00Z"), at("2026-03-02T02:00:02Z")], "{}", rig.story());
    assert_eq!(dues(&rig, Trigger::Schedule).await, [at("2026-03-02T02:00:01Z")], "{}", rig.story());
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
}

/// An older schedule left a manual occurrence at a second of this one: what has run does not run again.
#[tokio::test(start_paused = true)]
async fn a_second_that_is_taken_runs_nothing_again() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
    rig.start();
    rig.run(secs(3)).await;
    let due = at("2026-03-02T02:00:00Z");
    let manual = Occurrence {
        plan: "web".into(),
        due,
        trigger: Trigger::Manual,
        decision: Decision::Run,
        reason: String::new(),
        decided_at: rig.clock.now(),
        plan_hash: String::new(),
    };
    rig.journal.inner().decide(&manual, None).await.expect("written");
    let name = run_name("web", due);
    let decided = Draft::of_run(&name, Kind::OccurrenceDecided, json!({ "trigger": "manual" }));
    let finished = Draft::of_run(&name, Kind::RunFinished, json!({ "outcome": "done" }));
    rig.journal.inner().append(rig.clock.now(), &drafts(&[decided, finished])).await.expect("written");
    rig.run(mins(15)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.all_reboots(), 0, "{}", rig.story());
    assert!(rig.images_of(&id(1)).is_empty());
}

/// The journal fails at one write after another while a request is taken up (found by seeds 452, 661 and 2150): it is
/// told of and begun once the journal can be written again, with no restart.
#[tokio::test(start_paused = true)]
async fn what_the_journal_kept_from_being_told_is_told_when_it_can_be() {
    for writes in 1..=8 {
        let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 12 * * *")]);
        rig.start();
        rig.run(secs(2)).await;
        rig.journal.ask(rig.clock.now(), &json!({ "plan": "web" })).expect("written");
        rig.journal.fails_from(rig.journal.written() + writes);
        rig.run(secs(20)).await;
        rig.journal.recovers();
        rig.run(mins(20)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        let outcomes: Vec<String> = rig.outcomes("web").iter().map(|o| o[6..].to_owned()).collect();
        assert_eq!((rig.all_reboots(), outcomes), (1, vec!["done".to_owned()]), "write {writes}\n{}", rig.story());
    }
}
