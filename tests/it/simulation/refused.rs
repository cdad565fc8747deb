//! CreateImage that AWS refuses, for good or for now; and what cannot be read meanwhile.

use crate::support::rows::Event;
use stillframe::domain::fact::Kind;
use stillframe::sim::action::Action;
use stillframe::sim::faults::{Fault, FaultKind};

use super::journal::Death;
use super::promises;
use super::rig::{DAEMON, Rig, fleet, fleet_with, id, mins, plan, secs};

const BUSY: (&str, &str) = ("ResourceLimitExceeded", "too many in progress");
const DENIED: (&str, &str) = ("UnauthorizedOperation", "You are not authorized to perform this operation.");
const MANY: u32 = 1_000_000;

/// The first instance's CreateImage is refused `times`.
fn refuse(rig: &Rig, (code, message): (&str, &str), times: u32) {
    rig.script.refuse("CreateImage", Some(id(1)), times, code, message);
}

fn of(kind: Kind, instance: &str) -> impl Fn(&Event) -> bool + use<> {
    let instance = instance.to_owned();
    move |e| e.draft.kind == kind && e.draft.subject.as_ref().is_some_and(|s| s.id == instance)
}

/// The image name of the first occurrence.
fn name(n: u32) -> String {
    format!("stillframe/{DAEMON}/web/{}/20260302T020000Z", id(n))
}

fn count(rig: &Rig, kind: &Kind, instance: &str) -> usize {
    rig.told(kind).iter().filter(|e| of(kind.clone(), instance)(e)).count()
}

#[tokio::test(start_paused = true)]
async fn a_final_refusal_ends_its_target_and_nothing_else() {
    for answer in [DENIED, ("InvalidParameterValue", "Value (x) is invalid"), ("AuthFailure", "not valid")] {
        let mut rig = Rig::new(&fleet(3), vec![plan("web", "0,20 2 * * *")]);
        refuse(&rig, answer, 1);
        rig.start();
        rig.run(mins(18)).await;
        assert!(!rig.shared().sick(), "{}", rig.story());
        rig.run(mins(20)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.outcomes("web"), ["02:00 failed", "02:20 done"], "{answer:?}\n{}", rig.story());
        let targets = rig.targets("web", "02:00");
        assert!(targets[&id(1)].starts_with("failed: ") && targets[&id(1)].contains(answer.0), "{targets:?}");
        assert_eq!([1, 2, 3].map(|n| rig.reboots()[&id(n)]), [1, 2, 2], "{answer:?}\n{}", rig.story());
        // Freed once for the refusal, once for the next occurrence.
        assert_eq!(count(&rig, &Kind::SlotFreed, &id(1)), 2, "{}", rig.story());
        assert_eq!(rig.errors().len(), 1, "a plain failure calls a person once\n{}", rig.story());
    }
}

/// The SDK may renew the session meanwhile.
#[tokio::test(start_paused = true)]
async fn an_expired_session_is_waited_for() {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]);
    refuse(&rig, ("ExpiredToken", "expired"), 5);
    rig.start();
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done"], "{}", rig.story());
    assert_eq!(rig.all_reboots(), 2, "{}", rig.story());
}

/// The same, with a death at each record in turn.
#[tokio::test(start_paused = true)]
async fn a_final_refusal_survives_a_crash() {
    let rig = || {
        let mut web = plan("web", "0 2 * * *");
        web.rollout.healthy_within = 900;
        let rig = Rig::new(&fleet(2), vec![web]);
        refuse(&rig, DENIED, MANY);
        rig
    };
    let mut whole = rig();
    whole.start();
    whole.run(mins(10)).await;
    for k in 1..=whole.journal.written() {
        for death in [Death::After(k), Death::Before(k)] {
            let mut rig = rig();
            rig.journal.dies(death);
            rig.start();
            rig.run_through(mins(40), secs(7)).await;
            rig.stop().await;
            let broken = promises::broken(&rig).await;
            let what = format!("{death:?} ({})", whole.journal.words(k));
            assert!(broken.is_empty(), "{what}: broken promises:\n{}\n\n{}", broken.join("\n"), rig.story());
            let ends = rig.journal.rows().events_of_kind("run.finished").await.expect("readable");
            assert_eq!(ends[0].text("outcome"), Some("failed"), "{what}\n{}", rig.story());
            assert_eq!([1, 2].map(|n| rig.reboots()[&id(n)]), [0, 1], "{what}\n{}", rig.story());
        }
    }
}

/// Credentials that expired while the daemon was away: what was begun ends all the same.
#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_be_asked_for_leaves_out_retention_only() {
    let mut web = plan("web", "0,20 2 * * *");
    web.keep.last = 1;
    web.rollout.max_in_flight = 3;
    let mut rig = Rig::new(&fleet(3), vec![web]);
    rig.start();
    rig.run(mins(20) + secs(25)).await;
    assert_eq!(rig.all_reboots(), 6, "{}", rig.story());
    rig.crash();
    rig.script.refuse("GetCallerIdentity", None, MANY, "ExpiredToken", "the token is expired");
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 failed"], "{}", rig.story());
    assert!(rig.targets("web", "02:20").values().all(|t| t == "done: "), "{}", rig.story());
    assert_eq!(rig.told(&Kind::SlotFreed).len(), 6, "{}", rig.story());
    assert!(rig.calls("DeregisterImage").is_empty());
    let errors = rig.errors();
    assert_eq!(errors.len(), 1, "{}", rig.story());
    assert!(errors[0].text("reason").is_some_and(|r| r.contains("ExpiredToken")), "{}", rig.story());
}

/// While CreateImage may still be made, a healthy status check says nothing, and nobody else goes down.
#[tokio::test(start_paused = true)]
async fn a_slot_lasts_while_the_call_may_still_be_made() {
    for lost in [false, true] {
        let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *"), plan("db", "1 2 * * *")]);
        if lost {
            // It never arrived, and nobody can look for it for a while.
            rig.fault(Fault::once("CreateImage", FaultKind::CutBefore));
            let script = std::rc::Rc::clone(&rig.script);
            rig.script.once(of(Kind::StepUnknown, &id(1)), move || {
                script.refuse("DescribeImages:names", Some(name(1)), 30, "ServiceUnavailable", "an outage");
            });
        } else {
            refuse(&rig, BUSY, 14);
        }
        rig.start();
        rig.run(mins(60)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        let calls = rig.calls("CreateImage");
        let first = calls.iter().find(|c| c.effect).expect("made in the end");
        assert_eq!(first.parameters["InstanceId"], id(1), "lost: {lost}\n{}", rig.story());
        let freed = rig.told(&Kind::SlotFreed);
        assert!(freed[0].at > first.at, "lost: {lost}\n{}", rig.story());
        assert!(rig.reboots().values().all(|n| *n == 2), "lost: {lost}\n{}", rig.story());
        let waited = (first.at - rig.told(&Kind::StepIntent)[0].at).num_seconds();
        assert!(waited > 300, "lost: {lost}: only {waited} s");
    }
}

/// Refused until the window is over, or until nothing may be begun any more: nothing is rebooted, and only the run says so.
#[tokio::test(start_paused = true)]
async fn a_pause_of_a_refusal_ends_with_a_look_at_the_window() {
    for barred in [false, true] {
        let mut web = plan("web", "0 2 * * *");
        web.schedule.window = (!barred).then_some(180);
        let mut rig = Rig::new(&fleet(2), vec![web]);
        refuse(&rig, BUSY, 10);
        rig.start();
        rig.run(secs(60)).await;
        if barred {
            *rig.shared().barred.borrow_mut() = Some("another installation works here".into());
        }
        rig.run(mins(29)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.all_reboots(), 0, "{}", rig.story());
        let targets = rig.targets("web", "02:00");
        assert!(targets.values().all(|t| t.starts_with("skipped: ")), "{targets:?}\n{}", rig.story());
        assert!(rig.alarms().is_empty(), "{}", rig.story());
        assert_eq!(rig.outcomes("web"), ["02:00 failed"], "{}", rig.story());
    }
}

/// The plan halts while another of its targets waits out a refusal.
#[tokio::test(start_paused = true)]
async fn a_pause_of_a_refusal_ends_with_a_look_at_the_halt() {
    let mut web = plan("web", "0 2 * * *");
    web.rollout.max_in_flight = 2;
    let mut rig = Rig::new(&fleet_with(2, "", ""), vec![web]);
    rig.world().instances.get_mut(&id(2)).expect("there").traits.never_healthy = true;
    refuse(&rig, BUSY, 12);
    rig.start();
    rig.run(mins(20)).await;
    rig.heal(&id(2));
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!([1, 2].map(|n| rig.reboots()[&id(n)]), [0, 1], "{}", rig.story());
    let targets = rig.targets("web", "02:00");
    assert!(targets[&id(1)].starts_with("skipped: ") && targets[&id(1)].contains("halts"), "{targets:?}");
}

/// The journal cannot be written for longer than the window.
#[tokio::test(start_paused = true)]
async fn an_outage_of_the_journal_ends_with_a_look_at_the_window() {
    let mut web = plan("web", "0 2 * * *");
    web.schedule.window = Some(180);
    let mut rig = Rig::new(&fleet(2), vec![web]);
    rig.start();
    rig.run(secs(5)).await;
    // Decision, its event, the start, the selection: then the intent.
    let intent = rig.journal.written() + 5;
    rig.journal.fails_from(intent);
    rig.run(mins(5)).await;
    assert!(rig.journal.failed());
    rig.journal.recovers();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(count(&rig, &Kind::StepIntent, &id(1)), 1, "the intent was what could not be written\n{}", rig.story());
    assert_eq!(rig.all_reboots(), 0, "{}", rig.story());
    let targets = rig.targets("web", "02:00");
    assert!(targets.values().all(|t| t.starts_with("skipped: ")), "{targets:?}\n{}", rig.story());
}

/// It was certainly not made: after the restart it is simply tried again.
#[tokio::test(start_paused = true)]
async fn a_drain_while_refused_for_now_is_no_lost_answer() {
    for resend in [true, false] {
        let mut web = plan("web", "0 2 * * *");
        web.consistency.resend_unknown = resend;
        let mut rig = Rig::new(&fleet(2), vec![web]);
        refuse(&rig, BUSY, MANY);
        rig.start();
        rig.run(secs(60)).await;
        rig.stop().await;
        rig.start();
        rig.run(secs(30)).await;
        rig.stop().await;
        rig.script.relents();
        rig.start();
        rig.run(mins(8)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.outcomes("web"), ["02:00 done"], "{}", rig.story());
        assert!(rig.reboots().values().all(|n| *n == 1), "{}", rig.story());
        assert!(rig.errors().is_empty(), "{}", rig.story());
    }
}

/// Started by a person after the selection saw it stopped: never rebooted, whenever it happens, and said so.
#[tokio::test(start_paused = true)]
async fn a_stopped_target_that_is_started_is_never_rebooted() {
    let stopped = || fleet_with(2, r#""state": "stopped","#, "");
    // Before the first look; after the look, when CreateImage is about to be called.
    for late in [false, true] {
        let mut web = plan("web", "0 2 * * *");
        web.schedule.window = Some(60); // of reboots only
        let mut rig = Rig::new(&stopped(), vec![web]);
        let (cloud, watch) = (rig.cloud.clone(), std::rc::Rc::clone(&rig.watch));
        let when = of(if late { Kind::StepIntent } else { Kind::TargetSelected }, &id(1));
        rig.script.once(when, move || {
            let mut world = cloud.world();
            let instance = world.instances.get_mut(&id(1)).expect("of the fleet");
            instance.life.to = stillframe::domain::observed::InstanceState::Running;
            watch.touched(&Action::StartInstances { instances: vec![id(1)] }, &world);
        });
        rig.start();
        rig.run(mins(20)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!([1, 2].map(|n| rig.reboots()[&id(n)]), [0, 1], "late: {late}\n{}", rig.story());
        assert_eq!(count(&rig, &Kind::SlotTaken, &id(1)), 0);
        let targets = rig.targets("web", "02:00");
        if late {
            let calls = rig.calls("CreateImage");
            let call = calls.iter().find(|c| c.parameters["InstanceId"] == id(1)).expect("called");
            assert_eq!(call.parameters["NoReboot"], "true");
        } else {
            assert!(targets[&id(1)].contains("it was stopped when it was selected"), "{targets:?}");
            assert!(rig.images_of(&id(1)).is_empty());
        }
    }
    // While it starts, AWS refuses: it is not waited for, since it has no slot.
    let mut rig = Rig::new(&stopped(), vec![plan("web", "0 2 * * *")]);
    let (cloud, clock) = (rig.cloud.clone(), rig.clock);
    rig.script.once(of(Kind::StepIntent, &id(1)), move || {
        let caller = stillframe::sim::world::Caller::new(super::rig::ACCOUNT);
        let start = Action::StartInstances { instances: vec![id(1)] };
        cloud.world().call(clock.now(), &caller, super::rig::REGION, &start).expect("started");
    });
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.reboots()[&id(1)], 0, "{}", rig.story());
    assert!(!rig.targets("web", "02:00")[&id(1)].starts_with("done"), "{}", rig.story());
}

/// Somebody disabled the image before anybody saw it available.
#[tokio::test(start_paused = true)]
async fn an_image_that_somebody_disabled_ends_its_target() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
    rig.start();
    rig.run(secs(25)).await;
    let image = rig.images_of(&id(1)).remove(0).id;
    rig.world().images.get_mut(&image).expect("made").disabled = true;
    rig.run(mins(10)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 failed"], "{}", rig.story());
    assert!(rig.targets("web", "02:00")[&id(1)].contains("somebody disabled"), "{}", rig.story());
    assert_eq!(rig.errors().len(), 1, "{}", rig.story());
}
