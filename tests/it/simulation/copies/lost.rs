//! The journal is lost in the middle of the chain: what was begun is found again, and what was lent is taken back.

use super::super::rig::mins;
use super::*;

/// Where on the chain, as the events tell it.
const POINTS: [(Kind, &str); 5] = [
    (Kind::StepIntent, "lend:"),
    (Kind::LoanGiven, "lend:"),
    (Kind::StepIntent, "copy:"),
    (Kind::StepDone, "copy:"),
    (Kind::StepObserved, "copy:"),
];

fn chain(key: &str) -> Rig {
    let via = (key == "alias/aws/ebs").then(|| "alias/lend".to_owned());
    let mut rig = rig_of(1, key, vec![CopyTo { via_key: via, ..across() }]);
    rig.plans[0].schedule.cron = vec!["0,45 2 * * *".into(), "30 3 * * *".into()];
    rig.plans[0].keep = Keep { last: 5, ..Keep::default() };
    rig.plans[0].copies[0].keep = Keep { last: 5, ..Keep::default() };
    rig
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_goes_on_without_its_journal() {
    for key in ["alias/own", "alias/aws/ebs"] {
        for (kind, step) in POINTS {
            let mut rig = chain(key);
            rig.start();
            let wanted = kind.clone();
            until(&mut rig, move |e| e.draft.kind == wanted && e.draft.step.starts_with(step)).await;
            rig.lose_journal();
            rig.start();
            rig.run(mins(140)).await;
            rig.stop().await;
            let what = format!("{key}, lost at {} of {step}", kind.as_str());
            let broken = promises::broken(&rig).await;
            assert!(broken.is_empty(), "{what}: broken promises:\n{}\n\n{}", broken.join("\n"), rig.story());
            assert_eq!(images_in(&rig, DR, AWAY).len(), 3, "{what}\n{}", rig.story());
            assert_eq!(images_in(&rig, ACCOUNT, REGION).len(), 3, "{what}: no temporary image\n{}", rig.story());
            assert_eq!(lent(&rig), Vec::<String>::new(), "{what}\n{}", rig.story());
        }
    }
}

/// The destination is taken out of the plan at the same time: what the lost journal knew of is told by the tags.
#[tokio::test(start_paused = true)]
async fn what_was_lent_is_taken_back_without_its_journal() {
    for key in ["alias/own", "alias/aws/ebs"] {
        for (kind, step) in POINTS {
            let mut rig = chain(key);
            rig.start();
            let wanted = kind.clone();
            until(&mut rig, move |e| e.draft.kind == wanted && e.draft.step.starts_with(step)).await;
            rig.lose_journal();
            rig.plans[0].copies.clear();
            rig.start();
            rig.run(mins(140)).await;
            rig.stop().await;
            let what = format!("{key}, lost at {} of {step}", kind.as_str());
            let broken = promises::broken(&rig).await;
            assert!(broken.is_empty(), "{what}: broken promises:\n{}\n\n{}", broken.join("\n"), rig.story());
            assert_eq!(images_in(&rig, ACCOUNT, REGION).len(), 3, "{what}: no temporary image\n{}", rig.story());
            assert_eq!(lent(&rig), Vec::<String>::new(), "{what}\n{}", rig.story());
        }
    }
}

/// A destination that is taken out of the plan while it copies: this run goes on as it began, the next does not copy.
#[tokio::test(start_paused = true)]
async fn a_reload_takes_a_destination_away() {
    let mut rig = chain("alias/own");
    rig.start();
    until(&mut rig, |e| e.draft.kind == Kind::StepDone && e.draft.step.starts_with("copy:")).await;
    let without = vec![Plan { copies: Vec::new(), ..rig.plans[0].clone() }];
    rig.reload(Ok(without)).await.expect("it is right");
    rig.run(mins(140)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert!(ended(&rig).iter().all(|(outcome, _)| outcome == "done"), "{}", rig.story());
    assert_eq!(images_in(&rig, DR, AWAY).len(), 1, "{}", rig.story());
    assert_eq!(images_in(&rig, ACCOUNT, REGION).len(), 3, "{}", rig.story());
    assert_eq!(lent(&rig), Vec::<String>::new(), "{}", rig.story());
}

/// A destination is out of the plan while the journal is rebuilt: what was meant before nobody knows, so it counts as meant.
#[tokio::test(start_paused = true)]
async fn a_destination_is_away_while_the_journal_is_rebuilt() {
    let mut rig = chain("");
    let with = rig.plans.clone();
    rig.start();
    until(&mut rig, |e| e.draft.kind == Kind::StepDone && e.draft.step == "image").await;
    rig.lose_journal();
    rig.plans[0].copies.clear();
    rig.start();
    until(&mut rig, |e| e.draft.kind == Kind::JournalRebuilt).await;
    rig.reload(Ok(with)).await.expect("it is right");
    rig.run(mins(140)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(images_in(&rig, DR, AWAY).len(), 3, "{}", rig.story());
}
