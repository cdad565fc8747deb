//! Large fleets: few calls at a time, few transactions, and a stop that does not wait for all of it.

use std::collections::BTreeSet;

use crate::support::rows::Event;
use stillframe::domain::fact::Kind;
use stillframe::domain::plan::Mode;

use super::super::promises;
use super::super::rig::{DAEMON, Rig, fleet, fleet_with, id, mins, plan, secs};
use super::{MANY, until, writes};

/// So many effects may be under way at once in one place.
const CALLS: usize = 25;

/// The most images at any time that had an intent and no answer, and how many have none at the end.
fn unanswered(events: &[Event]) -> (usize, usize) {
    let mut open = BTreeSet::new();
    let mut most = 0;
    for event in events.iter().filter(|e| e.draft.step == "image") {
        let subject = event.draft.subject.clone().expect("of a target");
        match event.draft.kind {
            Kind::StepIntent => drop(open.insert(subject)),
            Kind::StepDone | Kind::StepRefused | Kind::StepUnknown => drop(open.remove(&subject)),
            _ => {}
        }
        most = most.max(open.len());
    }
    (most, open.len())
}

/// Nothing limits a plan without reboots but the number of calls.
#[tokio::test(start_paused = true)]
async fn few_intents_are_without_an_answer() {
    #[derive(Debug, PartialEq)]
    enum Cut {
        None,
        Drain,
        Crash,
    }
    for cut in [Cut::None, Cut::Drain, Cut::Crash] {
        let mut web = plan("web", "0 2 * * *");
        web.consistency.mode = Mode::None;
        let mut rig = Rig::new(&fleet(200), vec![web]);
        rig.start();
        rig.run(secs(25)).await;
        let sent = rig.calls("CreateImage").len();
        assert!((CALLS..200 - CALLS).contains(&sent), "{sent}: the test is about the middle");
        match cut {
            Cut::None => {}
            Cut::Drain => {
                rig.stop().await;
                assert!(rig.calls("CreateImage").len() <= sent + CALLS, "{}", rig.story());
                assert_eq!(unanswered(&rig.events.borrow()).1, 0, "a drain waits for answers\n{}", rig.story());
                rig.start();
            }
            Cut::Crash => {
                rig.crash();
                let (most, left) = unanswered(&rig.events.borrow());
                assert!(most <= CALLS && (1..=CALLS).contains(&left), "{most}, {left} to be looked for");
                rig.events.borrow_mut().clear();
                rig.start();
            }
        }
        rig.run(mins(20)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert!(unanswered(&rig.events.borrow()).0 <= CALLS, "{cut:?}");
        assert_eq!(rig.outcomes("web"), ["02:00 done"], "{cut:?}\n{}", rig.story());
        assert_eq!(rig.calls("CreateImage").len(), 200, "{cut:?}");
    }
}

/// Whoever waits for its turn to call must not keep what is down from being watched.
#[tokio::test(start_paused = true)]
async fn a_return_needs_no_turn() {
    let members = |from: u32, to: u32, tag: &str, more: &str| {
        let member = |n: u32| format!(r#"{{ {more} "id": "{}", "tags": {{ "{tag}": "yes" }} }}"#, id(n));
        (from..=to).map(member).collect::<Vec<_>>().join(",")
    };
    let last = 2 * u32::try_from(CALLS).expect("small");
    let fleet = format!(
        r#"{{ "regions": ["eu-central-1"], "image_seconds": [30, 90], "reboot_seconds": 20,
            "instances": [{}, {}, {}] }}"#,
        members(1, last - 1, "A", ""),
        members(last, last, "Backup", r#""never_healthy": true,"#),
        members(last + 1, last + 40, "Z", "")
    );
    // The first round of calls, and but one of the second; that one; who waits meanwhile.
    let (mut a, web, mut z) = (plan("a", "0 0 2 * * *"), plan("web", "1 0 2 * * *"), plan("z", "2 0 2 * * *"));
    for (plan, tag) in [(&mut a, "A"), (&mut z, "Z")] {
        plan.select.tags = [(tag.to_owned(), ["yes".to_owned()].into())].into();
        plan.consistency.mode = Mode::None;
    }
    let mut rig = Rig::new(&fleet, vec![a, web, z]);
    for n in (1..=last + 40).filter(|n| *n != last) {
        rig.script.refuse("CreateImage", Some(id(n)), MANY, "ResourceLimitExceeded", "too many in progress");
    }
    rig.start();
    until(&mut rig, |rig| rig.all_reboots() == 1).await;
    rig.run(mins(5)).await;
    let alarms: Vec<String> = rig.told(&Kind::StepNeedsPerson).into_iter().map(|e| e.draft.step).collect();
    assert_eq!(alarms, ["return"], "{}", rig.story());
    rig.crash();
}

/// Each is said once, and not one by one.
#[tokio::test(start_paused = true)]
async fn foreign_images_are_reported_once_in_few_transactions() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0,20,40 2 * * *")]);
    rig.start();
    rig.run(mins(10)).await;
    let image = rig.images_of(&id(1)).remove(0);
    for n in 0..1000 {
        let mut copy = image.clone();
        copy.id = format!("ami-{n:017x}");
        copy.name = format!("my copy {n} of {DAEMON}");
        rig.world().images.insert(copy.id.clone(), copy.into());
    }
    let before = rig.journal.written();
    rig.run(mins(45)).await;
    rig.stop().await;
    let told = rig.told(&Kind::RetainDecided);
    let told: Vec<_> = told.iter().filter(|e| e.text("verdict") == Some("foreign")).collect();
    assert_eq!(told.len(), 1000);
    let once: BTreeSet<_> = told.iter().map(|e| e.draft.subject.clone()).collect();
    assert_eq!(once.len(), 1000);
    assert_eq!(writes(&rig, before, "retain.decided foreign"), 2);
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done", "02:40 done"]);
}

/// The plan halts, or its window is over, with two thousand that wait.
#[tokio::test(start_paused = true)]
async fn many_are_skipped_in_few_transactions() {
    for window in [None, Some(60)] {
        let mut web = plan("web", "0 2 * * *");
        web.schedule.window = window;
        web.rollout.max_in_flight = 1;
        let traits = if window.is_none() { r#""never_healthy": true,"# } else { "" };
        let mut rig = Rig::new(&fleet_with(2000, traits, ""), vec![web]);
        rig.start();
        rig.run(mins(10)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        let targets = rig.targets("web", "02:00");
        let skipped = targets.values().filter(|t| t.starts_with("skipped: ")).count();
        assert!(skipped > 1990, "{skipped}");
        let begun = targets.len() - skipped;
        let transactions = writes(&rig, 0, "target.finished");
        assert!(transactions <= begun + 4, "window {window:?}: {transactions} for {begun} begun and {skipped} skipped");
    }
}

async fn needs(rig: &Rig) -> usize {
    rig.journal.rows().open_needs("retain").await.expect("readable").len()
}

/// Ninety snapshots that an earlier run left: a stop does not wait for all of them.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_finishing_of_leftovers() {
    let mut web = plan("web", "0,20,40 2 * * *");
    web.keep.last = 1;
    web.consistency.mode = Mode::None;
    let mut rig = Rig::new(&fleet(60), vec![web]);
    rig.script.leaves_snapshots.set(true);
    rig.script.refuse("DeleteSnapshot", None, MANY, "UnauthorizedOperation", "locked");
    rig.start();
    rig.run(mins(39)).await;
    rig.script.relents();
    rig.script.leaves_snapshots.set(false);
    let deleted = |rig: &Rig| rig.calls("DeleteSnapshot").iter().filter(|c| c.effect).count();
    until(&mut rig, |rig| deleted(rig) > 0).await;
    let before = deleted(&rig);
    let open = needs(&rig).await;
    assert!(open > 10, "{open} leftovers are still open: the test is about them");
    rig.stop().await;
    assert!(deleted(&rig) <= before + 1, "{} more\n{}", deleted(&rig) - before, rig.story());
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(needs(&rig).await, 0, "{}", rig.story());
    assert!(rig.calls("DeleteSnapshot").len() > before);
}
