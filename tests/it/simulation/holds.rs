//! What holds back is journaled: when it begins, when it ends, and no more often than somebody can read it.

use chrono::TimeDelta;
use stillframe::domain::fact::Kind;
use stillframe::domain::machine::OwnMachine;

use super::promises;
use super::rig::{Rig, fleet, mins, plan, secs};

/// Episodes: `clock_off+1` raised, `clock_off-1` cleared.
async fn told(rig: &Rig) -> Vec<String> {
    let mut all = Vec::new();
    for (kind, sign) in [(Kind::HoldRaised, '+'), (Kind::HoldCleared, '-')] {
        let events = rig.journal.rows().events_of_kind(kind.as_str()).await.expect("readable");
        all.extend(events.into_iter().map(|e| (e.seq, format!("{}{sign}{}", e.draft.step, e.draft.attempt))));
    }
    all.sort();
    all.into_iter().map(|(_, word)| word).collect()
}

fn rig() -> Rig {
    Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")])
}

/// AWS tells what time it is.
async fn asks(rig: &mut Rig) {
    rig.shared().cloud.whoami().await.expect("an answer");
    rig.run(secs(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_off_is_told_from_its_beginning_to_its_end() {
    let mut rig = rig();
    rig.script.clock_ahead.set(Some(TimeDelta::minutes(10)));
    rig.start();
    asks(&mut rig).await;
    assert_eq!(told(&rig).await, ["clock_off+1"], "{}", rig.story());
    // It stands beyond a restart, for as long as nobody has told the new process what time it is.
    rig.crash();
    rig.start();
    rig.run(secs(3)).await;
    assert_eq!(told(&rig).await, ["clock_off+1"], "{}", rig.story());
    asks(&mut rig).await;
    assert_eq!(told(&rig).await, ["clock_off+1"], "{}", rig.story());
    rig.script.clock_ahead.set(Some(TimeDelta::seconds(1)));
    asks(&mut rig).await;
    assert_eq!(told(&rig).await, ["clock_off+1", "clock_off-1"], "{}", rig.story());
    rig.run(mins(60)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(told(&rig).await, ["clock_off+1", "clock_off-1"], "{}", rig.story());
}

#[tokio::test(start_paused = true)]
async fn what_comes_and_goes_is_told_once_in_ten_minutes() {
    let mut rig = rig();
    rig.start();
    rig.run(secs(5)).await;
    let shared = rig.shared();
    for _ in 0..30 {
        *shared.own_machine.borrow_mut() = OwnMachine::Unknown("nobody answers".into());
        rig.run(secs(30)).await;
        *shared.own_machine.borrow_mut() = OwnMachine::NotEc2;
        rig.run(secs(30)).await;
    }
    let told = told(&rig).await;
    rig.stop().await;
    // Half an hour: each time ten minutes are over since it was raised last.
    let pairs: Vec<String> =
        (1..=3).flat_map(|n| [format!("machine_unknown+{n}"), format!("machine_unknown-{n}")]).collect();
    assert_eq!(told, pairs, "{}", rig.story());
}

/// An installation that works under our name bars this one: the process is told of in the journal, also if it dies right
/// then, and a journal that cannot be written is told later.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_told_later() {
    let mut rig = rig();
    rig.start();
    rig.run(secs(5)).await;
    rig.journal.fails_apart();
    rig.journal.fails_from(rig.journal.written() + 1);
    rig.shared().bar("another installation works under our name".into());
    rig.run(secs(20)).await;
    assert!(told(&rig).await.is_empty(), "{}", rig.story());
    rig.journal.recovers();
    rig.run(secs(5)).await;
    assert_eq!(told(&rig).await, ["not_ours+1"], "{}", rig.story());
    // The next process is not barred, as nobody works under its name any more.
    rig.crash();
    rig.start();
    rig.run(secs(5)).await;
    rig.stop().await;
    assert_eq!(told(&rig).await, ["not_ours+1", "not_ours-1"], "{}", rig.story());
}
