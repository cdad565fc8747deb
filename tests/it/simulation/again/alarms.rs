//! Who is called, and how often.

use crate::support::rows::{Draft, Event};
use serde_json::json;
use stillframe::domain::fact::{self, Kind};
use stillframe::domain::naming::run_name;
use stillframe::report::logs;
use stillframe::sim::faults::{Fault, FaultKind};
use tracing::Level;

use super::super::promises;
use super::super::rig::{BASE, Rig, at, fleet_with, id, mins, plan};
use super::{MANY, subject};

/// An instance that stays down under a pending image halts its plan; nobody is called for that again.
#[tokio::test(start_paused = true)]
async fn a_halted_plan_calls_somebody_once() {
    let slow = r#""never_healthy": true, "image_seconds": 7200,"#;
    let mut rig = Rig::new(&fleet_with(3, slow, ""), vec![plan("web", "*/10 * * * *")]);
    rig.start();
    rig.run(mins(65)).await;
    assert_eq!(rig.alarms().len(), 1, "{}", rig.story());
    assert!(rig.told(&Kind::OccurrenceSkipped).is_empty(), "{}", rig.story());
    for time in ["02:10", "02:20", "02:30", "02:40", "02:50", "03:00"] {
        let targets = rig.targets("web", time);
        assert_eq!(targets.len(), 3, "{time}: {targets:?}");
        assert!(targets[&id(1)].starts_with("skipped: "), "{time}: {targets:?}");
        assert!([2, 3].iter().all(|n| targets[&id(*n)].starts_with("skipped: the plan halts")), "{time}: {targets:?}");
    }
    let barred = rig.errors().len();
    assert_eq!(barred, 7, "each run in which nobody was imaged says so\n{}", rig.story());
    rig.heal(&id(1));
    rig.run(mins(65)).await; // beyond the image
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!((rig.alarms().len(), rig.errors().len()), (1, barred), "{}", rig.story());
}

/// A plan that is really held: the second skip in a row is news, the third is not.
#[tokio::test(start_paused = true)]
async fn a_held_plan_calls_somebody_at_its_second_skip() {
    let mut web = plan("web", "*/10 * * * *");
    web.rollout.healthy_within = 3600;
    let mut rig = Rig::new(&fleet_with(1, r#""reboot_seconds": 2700,"#, ""), vec![web]);
    rig.start();
    rig.run(mins(49)).await; // back at 02:45
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.told(&Kind::OccurrenceSkipped).len(), 4, "{}", rig.story());
    let errors: Vec<String> = rig.errors().iter().map(|e| e.draft.run.clone()).collect();
    assert_eq!(errors, [run_name("web", at("2026-03-02T02:20:00Z"))], "{}", rig.story());
}

/// Two steps, two alarms.
#[tokio::test(start_paused = true)]
async fn an_alarm_of_one_step_silences_no_other() {
    // The image fails after the instance was given up.
    let mut rig = Rig::new(
        &fleet_with(1, r#""never_healthy": true, "image_fails": true, "image_seconds": 900,"#, ""),
        vec![plan("web", "0 2 * * *")],
    );
    rig.start();
    rig.run(mins(30)).await;
    rig.stop().await;
    let kinds: Vec<Kind> = rig.errors().into_iter().map(|e| e.draft.kind).collect();
    assert_eq!(kinds, [Kind::StepNeedsPerson, Kind::TargetFinished], "{}", rig.story());
    // The answer cannot be looked for after the instance was given up; found in the end.
    let mut rig = Rig::new(&fleet_with(1, r#""never_healthy": true,"#, ""), vec![plan("web", "0 2 * * *")]);
    rig.fault(Fault::once("CreateImage", FaultKind::CutAfter));
    let script = std::rc::Rc::clone(&rig.script);
    rig.script.once(
        |e: &Event| e.draft.kind == Kind::StepUnknown,
        move || script.refuse("DescribeImages:names", None, MANY, "ServiceUnavailable", "an outage"),
    );
    rig.start();
    rig.run(mins(120)).await;
    rig.script.relents();
    rig.run(mins(30)).await;
    rig.stop().await;
    let steps: Vec<String> = rig.errors().into_iter().map(|e| e.draft.step).collect();
    assert_eq!(steps, ["return", "image"], "{}", rig.story());
}

#[test]
fn what_is_put_off_or_was_missed_calls_nobody() {
    let level = |id: Option<&str>, kind, step, data| {
        let draft = Draft { subject: id.map(subject), ..Draft::of_run("web@20260302T020000Z", kind, data) };
        logs::level(&fact::Event::from(&Event { seq: 1, at: at(BASE), draft: draft.at_step(step, 1) }))
    };
    let again = json!({ "reason": "busy", "again": true });
    for (id, step) in [(Some("i-1"), "image"), (Some("ami-1"), "retain"), (None, "retain")] {
        assert_eq!(level(id, Kind::StepRefused, step, again.clone()), Level::INFO, "{id:?} {step}");
    }
    assert_eq!(level(Some("ami-1"), Kind::StepRefused, "retain", json!({})), Level::ERROR);
    assert_eq!(level(None, Kind::RunFinished, "", json!({ "outcome": "missed" })), Level::WARN);
}
