//! The process dies at every journal record in turn, and a new one finishes its work.

use std::rc::Rc;

use serde_json::json;
use stillframe::domain::plan::{OnUnhealthy, Rollout};
use stillframe::sim::faults::{Fault, FaultKind};

use super::journal::{Death, Mortal};
use super::promises;
use super::rig::{Rig, fleet, fleet_with, id, mins, plan, secs};

/// Three instances, two at once, three occurrences; the second deletes the images of the first, the third what a run
/// that was cut off in its retention left to it.
fn rig() -> Rig {
    let mut two = plan("web", "0,20,40 2 * * *");
    two.rollout = Rollout { max_in_flight: 2, healthy_within: 900, ..two.rollout };
    two.keep.last = 1;
    let mut rig = Rig::new(&fleet(3), vec![two]);
    rig.tick = secs(5);
    rig
}

/// What must have come of it, however often the process died.
async fn check(rig: &mut Rig, what: &str) {
    rig.stop().await;
    let mut broken = promises::broken(rig).await;
    for n in 1..=3 {
        let (images, reboots) = (rig.images_of(&id(n)).len(), rig.reboots()[&id(n)]);
        if (images, reboots) != (1, 3) {
            broken.push(format!("{} has {images} images after {reboots} reboots", id(n)));
        }
    }
    let made = rig.calls("CreateImage").iter().filter(|c| c.effect).count();
    if made != 9 {
        broken.push(format!("{made} images were made"));
    }
    assert!(broken.is_empty(), "{what}: broken promises:\n{}\n\n{}", broken.join("\n"), rig.story());
}

async fn sweep(death: impl Fn(u32) -> Death) {
    let mut whole = rig();
    whole.start();
    assert!(whole.run(mins(39)).await);
    let (records, words) = (whole.journal.written(), |k| whole.journal.words(k));
    assert!(records > 50, "only {records} records");
    let mut rest = rig();
    rest.start();
    rest.run(mins(60)).await;
    for k in 1..=records {
        let mut rig = rig();
        rig.journal.dies(death(k));
        rig.start();
        rig.run_through(mins(60), secs(7)).await;
        check(&mut rig, &format!("{:?} ({}) of {records}", death(k), words(k))).await;
    }
    check(&mut rest, "no death").await;
}

#[tokio::test(start_paused = true)]
async fn after_every_record() {
    sweep(Death::After).await;
}

#[tokio::test(start_paused = true)]
async fn before_every_record() {
    sweep(Death::Before).await;
}

/// The same with trouble in the world: what comes of each target differs, the promises do not.
#[tokio::test(start_paused = true)]
async fn after_every_record_in_trouble() {
    let table = [
        (r#""never_healthy": true,"#, None, OnUnhealthy::HaltPlan),
        (r#""never_healthy": true,"#, None, OnUnhealthy::Continue),
        (r#""image_fails": true,"#, Some(FaultKind::CutAfter), OnUnhealthy::HaltPlan),
        (r#""image_seconds": 1800,"#, Some(FaultKind::ErrorBefore), OnUnhealthy::HaltPlan),
    ];
    for (first, (traits, fault, on_unhealthy)) in (1..).zip(table) {
        let start = || {
            let mut rig = Rig::new(&fleet_with(3, traits, ""), rig().plans);
            rig.plans[0].rollout.on_unhealthy = on_unhealthy;
            rig.plans[0].rollout.healthy_within = 200;
            rig.plans[0].schedule.window = Some(900);
            rig.tick = secs(5);
            if let Some(kind) = fault {
                rig.fault(Fault::once("CreateImage", kind));
            }
            rig
        };
        let mut whole = start();
        whole.start();
        whole.run(mins(90)).await;
        // Every third record, another one in each row: the sweeps above take them all.
        for k in (first..=whole.journal.written()).step_by(3) {
            let mut rig = start();
            rig.journal.dies(Death::After(k));
            rig.start();
            rig.run_through(mins(90), secs(7)).await;
            rig.stop().await;
            let what = format!("{traits} {fault:?} {on_unhealthy:?}, after {k} ({})", whole.journal.words(k));
            let broken = promises::broken(&rig).await;
            assert!(broken.is_empty(), "{what}: broken promises:\n{}\n\n{}", broken.join("\n"), rig.story());
        }
    }
}

/// A second daemon on the same journal takes over; the first writes nothing more.
#[tokio::test(start_paused = true)]
async fn a_second_daemon_takes_over() {
    for after in [5, 11, 15, 30, 60, 100, 140] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut first = Rig::new(&fleet(3), vec![plan("web", "0,20 2 * * *")]);
        first.journal = Rc::new(Mortal::open(dir.path()));
        first.start();
        assert!(first.run(secs(after)).await);
        let mut second = Rig::beside(&first, Mortal::open(dir.path()));
        second.start();
        let (alive, _) = tokio::join!(second.run(mins(50)), first.run(mins(50)));
        assert!(alive, "after {after} s\n{}", second.story());
        second.stop().await;
        promises::hold(&second).await;
        assert!(second.reboots().values().all(|n| *n == 2), "after {after} s\n{}", second.story());
    }
}

/// A person's request becomes one run, whenever the process dies.
async fn requested(death: impl Fn(u32) -> Death) {
    let ask = |rig: &Rig| {
        let now = rig.clock.now();
        rig.journal.inner().put_request(now, "backup", &json!({ "plan": "web", "instance": id(1) })).expect("written")
    };
    let start = || {
        let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 12 * * *")]);
        rig.plans[0].rollout.healthy_within = 900;
        rig
    };
    let mut whole = start();
    ask(&whole);
    whole.start();
    whole.run(mins(5)).await;
    for k in 1..=whole.journal.written() {
        let mut rig = start();
        let request = ask(&rig);
        rig.journal.dies(death(k));
        rig.start();
        rig.run_through(mins(20), secs(7)).await;
        rig.stop().await;
        let what = format!("{:?} ({})", death(k), whole.journal.words(k));
        let broken = promises::broken(&rig).await;
        assert!(broken.is_empty(), "{what}: broken promises:\n{}\n\n{}", broken.join("\n"), rig.story());
        let counts = (rig.reboots()[&id(1)], rig.reboots()[&id(2)]);
        assert_eq!(counts, (1, 0), "{what}\n{}", rig.story());
        // Who asked follows the run that did it.
        let run = rig.journal.rows().request(request).await.expect("readable").and_then(|r| r.run);
        let done = rig.journal.rows().events_of_kind("run.finished").await.expect("readable");
        assert_eq!(run.as_deref(), done.first().map(|e| e.draft.run.as_str()), "{what}\n{}", rig.story());
        assert_eq!(done.len(), 1, "{what}\n{}", rig.story());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_after_every_record() {
    requested(Death::After).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_before_every_record() {
    requested(Death::Before).await;
}
