//! A journal that cannot be written for a while.

use stillframe::domain::plan::Rollout;

use super::promises;
use super::rig::{Rig, fleet, id, mins, plan, secs};

fn rig(window: Option<u64>) -> Rig {
    let mut web = plan("web", "0,20 2 * * *");
    web.rollout = Rollout { max_in_flight: 2, healthy_within: 900, ..web.rollout };
    web.keep.last = 1;
    web.schedule.window = window;
    Rig::new(&fleet(3), vec![web])
}

/// From each record on, in turn, nothing can be written for four minutes.
async fn sweep(window: Option<u64>) {
    let mut whole = rig(window);
    whole.start();
    whole.run(secs(2)).await;
    let first = whole.journal.written() + 1; // what cannot be written at start ends the process
    whole.run(mins(50)).await;
    let records = whole.journal.written();
    whole.stop().await;
    for k in first..=records {
        let mut rig = rig(window);
        rig.journal.fails_from(k);
        rig.start();
        let mut waited = 0;
        while !rig.journal.failed() && waited < 40 * 60 {
            rig.run(secs(1)).await;
            waited += 1;
        }
        let what = format!("failing from {k} ({}) of {records}, window {window:?}", whole.journal.words(k));
        assert!(rig.journal.failed(), "{what}");
        let sent = rig.calls("CreateImage").len();
        rig.run(mins(4)).await;
        assert_eq!(rig.calls("CreateImage").len(), sent, "{what}: CreateImage while nothing can be written");
        rig.journal.recovers();
        rig.run(mins(50) - secs(waited)).await;
        rig.stop().await;
        let broken = promises::broken(&rig).await;
        assert!(broken.is_empty(), "{what}: broken promises:\n{}\n\n{}", broken.join("\n"), rig.story());
        if window.is_none() {
            for n in 1..=3 {
                assert_eq!((rig.images_of(&id(n)).len(), rig.reboots()[&id(n)]), (1, 2), "{what}\n{}", rig.story());
            }
        }
        // Nobody is called but for a target that was begun and met the end of the window.
        let others = rig.errors().iter().filter(|e| !e.text("reason").is_some_and(|r| r.contains("window"))).count();
        assert_eq!(others, 0, "{what}\n{}", rig.story());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_and_nothing_is_lost() {
    sweep(None).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_after_the_window() {
    sweep(Some(180)).await;
}

/// Its decision is stored, its event is not, and when the journal is back the next occurrence is due as well.
#[tokio::test(start_paused = true)]
async fn a_decision_that_was_stored_is_carried_out() {
    let start = || {
        let mut rig = Rig::new(&fleet(1), vec![plan("web", "0,3 2 * * *")]);
        rig.start();
        rig
    };
    let mut whole = start();
    whole.run(mins(1)).await;
    let is_event = |k: &u32| whole.journal.words(*k).starts_with("occurrence.decided");
    let event = (1..=whole.journal.written()).find(is_event).expect("decided");
    let mut rig = start();
    rig.journal.fails_from(event);
    rig.run(mins(4)).await;
    rig.journal.recovers();
    rig.run(mins(10)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
}
