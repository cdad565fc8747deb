//! The process dies at every journal record in turn, and a new one finishes its work.

use serde_json::json;
use stillframe::domain::plan::Rollout;
use stillframe::journal::Journal as _;

use super::journal::Death;
use super::promises;
use super::rig::{Rig, fleet, id, mins, plan, secs};

/// Three instances, two at once, two occurrences; the second deletes the images of the first.
fn rig() -> Rig {
    let mut two = plan("web", "0,20 2 * * *");
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
        if (images, reboots) != (1, 2) {
            broken.push(format!("{} has {images} images after {reboots} reboots", id(n)));
        }
    }
    let made = rig.calls("CreateImage").iter().filter(|c| c.effect).count();
    if made != 6 {
        broken.push(format!("{made} images were made"));
    }
    assert!(broken.is_empty(), "{what}: broken promises:\n{}\n\n{}", broken.join("\n"), rig.story());
}

async fn sweep(death: impl Fn(u32) -> Death) {
    let mut whole = rig();
    whole.start();
    assert!(whole.run(mins(50)).await);
    let (records, words) = (whole.journal.written(), |k| whole.journal.words(k));
    assert!(records > 50, "only {records} records");
    for k in 1..=records {
        let mut rig = rig();
        rig.journal.dies(death(k));
        rig.start();
        rig.run_through(mins(50), secs(7)).await;
        check(&mut rig, &format!("{:?} ({}) of {records}", death(k), words(k))).await;
    }
    check(&mut whole, "no death").await;
}

#[tokio::test(start_paused = true)]
async fn after_every_record() {
    sweep(Death::After).await;
}

#[tokio::test(start_paused = true)]
async fn before_every_record() {
    sweep(Death::Before).await;
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
        let run = rig.journal.reader().request(request).await.expect("readable").and_then(|r| r.run);
        let done = rig.journal.reader().events_of_kind("run.finished").await.expect("readable");
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
