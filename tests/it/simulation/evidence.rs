//! An instance is back when its status checks read ok after a restart that was shown, and not before.

use serde_json::json;
use stillframe::domain::evidence::Lags;
use stillframe::domain::fact::Kind;
use stillframe::sim::faults::{Fault, FaultKind};

use super::rig::*;

/// When the CreateImage of each instance was called and when its slot was freed, in seconds after due, and why.
fn returns(rig: &Rig) -> Vec<(i64, i64, String)> {
    let events = rig.events.borrow();
    let since = |event: &crate::support::rows::Event| (event.at - at(BASE)).num_seconds();
    let of = |kind: Kind, step: &str, subject: &str| {
        let same = |e: &&crate::support::rows::Event| {
            e.draft.kind == kind && e.draft.step == step && e.draft.subject.as_ref().is_some_and(|s| s.id == subject)
        };
        events.iter().find(same).cloned()
    };
    let taken = events.iter().filter(|e| e.draft.kind == Kind::SlotTaken);
    let line = |taken: &crate::support::rows::Event| {
        let subject = taken.draft.subject.as_ref()?.id.clone();
        let back = of(Kind::StepObserved, "return", &subject)?;
        Some((since(taken), since(&back), back.text("evidence").unwrap_or_default().to_owned()))
    };
    taken.filter_map(line).collect()
}

/// Two instances, one at a time, with the defaults of a plan.
fn rig(world: &str, traits: &serde_json::Value, lags: Lags) -> Rig {
    let mut nightly = plan("web", "1 2 * * *");
    nightly.rollout.settle = 180;
    nightly.rollout.healthy_within = 1800;
    let mut rig = Rig::new(&fleet_with(2, "", world), vec![nightly]);
    for n in 1..=2 {
        rig.world().script(&id(n), traits).expect("of the fleet").expect("traits");
    }
    rig.lags = lags;
    rig
}

/// As it was met: the checks notice the reboot after four minutes, the instance is down for five.
#[tokio::test(start_paused = true)]
async fn an_ok_of_before_frees_no_slot() {
    let mut rig = rig("", &json!({ "reboot_seconds": 300, "stale_seconds": 240 }), Lags::default());
    rig.start();
    rig.run(mins(60)).await;
    let returns = returns(&rig);
    assert_eq!(returns.len(), 2, "{returns:?}");
    for (taken, freed, evidence) in &returns {
        assert!(freed - taken >= 300, "down for five minutes: {returns:?}");
        assert_eq!(evidence, "checks", "they failed from the fourth minute on");
    }
    assert!(returns[1].0 >= returns[0].1, "one at a time: {returns:?}");
    assert!(!rig.watch.is_broken(), "{:?}", rig.watch.broken());
}

/// Where the checks never show it, ten minutes do.
#[tokio::test(start_paused = true)]
async fn what_shows_nothing_is_back_when_time_proves_it() {
    let mut rig = rig("", &json!({ "reboot_seconds": 60, "stale_seconds": 300 }), Lags::default());
    rig.start();
    rig.run(mins(60)).await;
    let returns = returns(&rig);
    assert_eq!(returns.len(), 2, "{returns:?}");
    for (taken, freed, evidence) in &returns {
        assert!((600..=602).contains(&(freed - taken)), "at ten minutes, looked at then: {returns:?}");
        assert_eq!(evidence, "time");
    }
}

/// A boot may take twenty minutes; who is down that long is neither back nor, while its plan waits, overdue.
#[tokio::test(start_paused = true)]
async fn a_long_boot_holds_its_slot() {
    let world = r#""shutdown_seconds": [240, 240], "status_lag": [60, 360],"#;
    let mut rig = rig(world, &json!({ "reboot_seconds": 1200 }), Lags::default());
    rig.start();
    rig.run(mins(90)).await;
    let returns = returns(&rig);
    assert_eq!(returns.len(), 2, "{returns:?}");
    assert!(returns.iter().all(|(taken, freed, _)| freed - taken >= 1440), "{returns:?}");
    assert!(rig.events.borrow().iter().all(|e| e.draft.kind != Kind::StepNeedsPerson));
    assert!(!rig.watch.is_broken(), "{:?}", rig.watch.broken());
}

/// `healthy_within` may be shorter than what proves a return: nobody is called before that.
#[tokio::test(start_paused = true)]
async fn who_waits_for_evidence_is_not_overdue() {
    let mut rig = rig("", &json!({ "reboot_seconds": 60, "stale_seconds": 300 }), Lags::default());
    rig.plans[0].rollout.healthy_within = 300;
    rig.start();
    rig.run(mins(60)).await;
    assert_eq!(returns(&rig).len(), 2);
    assert!(rig.events.borrow().iter().all(|e| e.draft.kind != Kind::StepNeedsPerson));
}

/// Where snapshots are trusted, an ok six minutes after they were begun is enough.
#[tokio::test(start_paused = true)]
async fn snapshots_prove_it_where_they_are_trusted() {
    let trusted = Lags { trust_snapshot_time: true, ..Lags::default() };
    let mut rig = rig(r#""image_seconds": [20, 20],"#, &json!({ "reboot_seconds": 60, "stale_seconds": 300 }), trusted);
    rig.start();
    rig.run(mins(60)).await;
    let returns = returns(&rig);
    assert_eq!(returns.len(), 2, "{returns:?}");
    for (taken, freed, evidence) in &returns {
        assert!((360..480).contains(&(freed - taken)), "{returns:?}");
        assert_eq!(evidence, "snapshots");
    }
}

/// The check of attached volumes counts as the others do.
#[tokio::test(start_paused = true)]
async fn an_impaired_volume_is_not_well() {
    let mut rig = rig("", &json!({ "reboot_seconds": 60 }), Lags::default());
    let ill = id(1);
    rig.world().instances.get_mut(&ill).expect("of the fleet").traits.ebs_impaired = true;
    rig.start();
    rig.run(mins(60)).await;
    let called = |e: &crate::support::rows::Event| {
        e.draft.kind == Kind::StepNeedsPerson && e.draft.subject.as_ref().is_some_and(|s| s.id == ill)
    };
    assert!(rig.events.borrow().iter().any(called), "somebody is called for it");
}

/// Left out of the status checks for long, and running all the while: that is not gone.
#[tokio::test(start_paused = true)]
async fn who_is_left_out_of_the_status_checks_is_not_gone() {
    let mut rig = rig("", &json!({ "reboot_seconds": 1500, "status_hidden": true }), Lags::default());
    rig.start();
    rig.run(mins(120)).await;
    assert!(rig.told(&Kind::SlotFreed).is_empty(), "{}", rig.story());
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
    for n in 1..=2 {
        rig.world().script(&id(n), &json!({ "status_hidden": false })).expect("of the fleet").expect("traits");
    }
    rig.run(mins(20)).await;
    assert_eq!(rig.told(&Kind::SlotFreed).len(), 1, "{}", rig.story());
}

/// A volume that stalls right after the call, while snapshots begin, is no restart.
#[tokio::test(start_paused = true)]
async fn a_stalled_volume_is_no_restart() {
    let mut rig = rig("", &json!({ "reboot_seconds": 300, "stale_seconds": 240 }), Lags::default());
    for n in 1..=2 {
        rig.world().script(&id(n), &json!({ "ebs_impaired": true })).expect("of the fleet").expect("traits");
    }
    rig.start();
    rig.run(mins(2)).await;
    for n in 1..=2 {
        rig.world().script(&id(n), &json!({ "ebs_impaired": false })).expect("of the fleet").expect("traits");
    }
    rig.run(mins(60)).await;
    let returns = returns(&rig);
    assert!(returns.iter().all(|(taken, freed, _)| freed - taken >= 300), "{returns:?}");
    assert!(!rig.watch.is_broken(), "{:?}", rig.watch.broken());
}

/// Who may not read status checks does not reboot, and says what is missing.
#[tokio::test(start_paused = true)]
async fn who_may_not_look_reboots_nothing() {
    let mut rig = rig("", &json!({}), Lags::default());
    rig.world().faults.push(Fault { times: u32::MAX, ..Fault::once("DescribeInstanceStatus", FaultKind::Denied) });
    rig.start();
    rig.run(mins(60)).await;
    assert!(rig.world().instances.values().all(|i| i.reboots.is_empty()));
    let events = rig.events.borrow();
    let ended = events.iter().find(|e| e.draft.kind == Kind::RunFinished).expect("it ends");
    let why = ended.text("reason").unwrap_or_default();
    assert_eq!(ended.draft.data["outcome"], json!("failed"));
    assert!(why.contains("ec2:DescribeInstanceStatus") && why.contains("Nothing is rebooted"), "{why}");
}
