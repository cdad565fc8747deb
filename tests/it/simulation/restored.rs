//! An old state directory is put back: the journal is merged with what AWS shows before anything is decided.

use stillframe::defect::{self, Defect};
use stillframe::domain::event::Decision;
use stillframe::domain::fact::Kind;
use stillframe::domain::plan::Rollout;

use super::journal::Mortal;
use super::promises;
use super::rig::{ACCOUNT, Rig, at, fleet, fleet_with, id, mins, plan, secs};

/// The process dies, and the journal is the one of `then`: so many writes.
async fn put_back(rig: &mut Rig, then: u32) {
    rig.crash();
    let lost = rig.journal.written() - then;
    let earlier = rig.journal.forgets(usize::try_from(lost).expect("few")).await.expect("it remembers");
    rig.watch.lost(&rig.world(), &rig.plans);
    rig.replace_journal(earlier);
    rig.lost = Some(rig.clock.now());
}

async fn ask(rig: &mut Rig) {
    let ask = serde_json::json!({ "plan": "web" });
    rig.journal.inner().put_request(rig.clock.now(), "backup", &ask).expect("written");
}

/// An occurrence ran, its image was retired, and the journal knows nothing of either: the name is free again.
#[tokio::test(start_paused = true)]
async fn what_ran_and_was_retired_is_not_run_again() {
    for planted in [None, Some(Defect::JournalUncompared)] {
        let mut rig = retiring();
        older(&mut rig).await;
        defect::plant(planted);
        rig.start();
        rig.run(mins(20)).await;
        rig.stop().await;
        defect::plant(None);
        assert_eq!(rig.all_reboots() == 3, planted.is_none(), "{planted:?}\n{}", rig.story());
        assert_eq!(rig.watch.broken().is_empty(), planted.is_none(), "{:?}", rig.watch.broken());
        if planted.is_some() {
            continue;
        }
        let row = rig.journal.rows().occurrence("web", at("2026-03-02T02:20:00Z")).await.expect("readable");
        assert_eq!(row.map(|row| row.decision), Some(Decision::Miss), "{}", rig.story());
        assert_eq!(rig.told(&Kind::JournalRebuilt).len(), 1, "{}", rig.story());
        // The next day runs as always, and the next start has nothing to merge.
        rig.start();
        rig.run(mins(24 * 60)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!((rig.all_reboots(), rig.told(&Kind::JournalRebuilt).len()), (5, 1), "{}", rig.story());
    }
}

/// An instance that was rebooted after the copy was made, and is not back: it counts as down again.
#[tokio::test(start_paused = true)]
async fn who_is_down_counts_as_down() {
    let mut rig = Rig::new(&fleet_with(2, r#""never_healthy": true,"#, ""), vec![plan("web", "0,30 2 * * *")]);
    rig.plans[0].rollout = Rollout { healthy_within: 600, ..rig.plans[0].rollout.clone() };
    rig.journal.remembers();
    rig.start();
    rig.run(secs(5)).await;
    let then = rig.journal.written();
    rig.run(mins(5)).await;
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
    put_back(&mut rig, then).await;
    rig.start();
    rig.run(mins(60)).await;
    assert_eq!(rig.all_reboots(), 1, "it is not back: nobody else goes down\n{}", rig.story());
    rig.heal(&id(1));
    rig.heal(&id(2));
    rig.stop().await;
    assert!(rig.watch.broken().is_empty(), "{:?}", rig.watch.broken());
}

/// Decided, and not begun, when the copy was made; what it made since is found under its name, and its instance may be down.
#[tokio::test(start_paused = true)]
async fn an_image_that_is_there_already_does_not_make_its_instance_back() {
    for planted in [None, Some(Defect::AdoptedIsBack)] {
        let world = r#""never_healthy": true,"#;
        let mut rig = Rig::new(&fleet_with(2, world, ""), vec![plan("web", "0 2 * * *")]);
        rig.plans[0].rollout = Rollout { healthy_within: 900, ..rig.plans[0].rollout.clone() };
        rig.journal.remembers();
        rig.start();
        while rig.told(&Kind::TargetSelected).is_empty() {
            rig.run(secs(1)).await;
        }
        let intent = rig.told(&Kind::StepIntent);
        assert!(intent.is_empty() || intent.len() == 1, "{}", rig.story());
        let then = rig.journal.written() - u32::try_from(intent.len()).expect("one");
        rig.run(mins(2)).await;
        assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
        put_back(&mut rig, then).await;
        defect::plant(planted);
        rig.start();
        rig.run(mins(40)).await;
        defect::plant(None);
        assert_eq!(rig.all_reboots() == 1, planted.is_none(), "{planted:?}\n{}", rig.story());
        rig.heal(&id(1));
        rig.heal(&id(2));
        rig.stop().await;
    }
}

/// What cannot be listed holds back the plans that look there, and no other.
#[tokio::test(start_paused = true)]
async fn a_region_that_does_not_answer_holds_its_own_plans() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
    rig.start();
    rig.run(secs(2)).await;
    rig.stop().await;
    rig.script.refuse("DescribeImages:tag", None, 1_000_000, "InternalError", "no answer");
    rig.start();
    rig.run(mins(10)).await;
    assert_eq!(rig.all_reboots(), 0, "{}", rig.story());
    assert_eq!(rig.told(&Kind::HoldRaised).len(), 1, "{}", rig.story());
    rig.script.relents();
    rig.run(mins(15)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.all_reboots(), 1, "late, and within catch_up\n{}", rig.story());
}

/// An occurrence ran and its image was retired, after the copy of the journal was made that is put back: so many reboots.
async fn older(rig: &mut Rig) {
    rig.journal.remembers();
    rig.start();
    rig.run(mins(12)).await;
    let then = rig.journal.written();
    rig.run(mins(18)).await;
    ask(rig).await;
    rig.run(mins(10)).await;
    assert_eq!((rig.all_reboots(), rig.images_of(&id(1)).len()), (3, 1), "{}", rig.story());
    put_back(rig, then).await;
}

fn retiring() -> Rig {
    let mut web = plan("web", "0,20 2 * * *");
    web.keep.last = 1;
    Rig::new(&fleet(1), vec![web])
}

/// Images that we may not list are no proof that there are none: nobody goes down until they are listed.
#[tokio::test(start_paused = true)]
async fn what_may_not_be_listed_at_first_is_compared_later() {
    for times in [1, 8, 1_000_000] {
        let mut rig = retiring();
        older(&mut rig).await;
        rig.script.refuse("DescribeImages:tag", None, times, "UnauthorizedOperation", "no");
        rig.start();
        rig.run(mins(3)).await;
        assert_eq!(rig.all_reboots(), 3, "{times}\n{}", rig.story());
        rig.script.relents();
        rig.run(mins(10)).await;
        assert_eq!((rig.all_reboots(), rig.told(&Kind::JournalRebuilt).len()), (3, 1), "{times}\n{}", rig.story());
        let failed = rig.outcomes("web").contains(&"02:20 failed".to_owned());
        assert_eq!(failed, times > 1, "{times}\n{}", rig.story());
        rig.run(mins(24 * 60)).await;
        rig.stop().await;
        assert_eq!(rig.all_reboots(), 5, "{times}\n{}", rig.story());
        assert!(rig.watch.broken().is_empty(), "{:?}", rig.watch.broken());
    }
}

/// Another account shows nothing of ours: it is looked at ours once the credentials are right.
#[tokio::test(start_paused = true)]
async fn another_account_compares_nothing() {
    let mut rig = retiring();
    older(&mut rig).await;
    rig.account = Some(ACCOUNT.into());
    *rig.script.account.borrow_mut() = Some("999999999999".into());
    rig.start();
    rig.run(mins(3)).await;
    assert_eq!(rig.all_reboots(), 3, "{}", rig.story());
    *rig.script.account.borrow_mut() = None;
    rig.run(mins(10)).await;
    assert_eq!((rig.all_reboots(), rig.told(&Kind::JournalRebuilt).len()), (3, 1), "{}", rig.story());
    rig.run(mins(24 * 60)).await;
    rig.stop().await;
    assert_eq!(rig.all_reboots(), 5, "{}", rig.story());
    assert!(rig.watch.broken().is_empty(), "{:?}", rig.watch.broken());
}

/// A journal that cannot be read knows nothing, which is not that it knows all.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_asked_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = dir.path().join("journal.sqlite");
    let rename = |from: &str, to: &str| {
        let db = rusqlite::Connection::open(&journal).expect("opened");
        db.execute(&format!("ALTER TABLE {from} RENAME TO {to}"), []).expect("written");
    };
    let mut rig = retiring();
    older(&mut rig).await;
    rig.journal.write_again(dir.path()).await;
    rig.replace_journal(Mortal::open(dir.path()));
    rig.script.refuse("DescribeImages:tag", None, 1_000_000, "InternalError", "no answer");
    rig.start();
    rig.run(secs(2)).await;
    rename("occurrence", "aside");
    rig.script.relents();
    rig.run(secs(10)).await;
    assert_eq!(rig.told(&Kind::JournalRebuilt).len(), 0, "{}", rig.story());
    rename("aside", "occurrence");
    rig.run(mins(20)).await;
    rig.stop().await;
    assert_eq!((rig.all_reboots(), rig.told(&Kind::JournalRebuilt).len()), (3, 1), "{}", rig.story());
}
