//! What goes wrong with a copy, and what comes of it.

use stillframe::domain::fact::Kind;
use stillframe::domain::place::Place;
use stillframe::sim::people::Deed;

use super::super::rig::{mins, secs};
use super::*;

/// KMS fails the next copies so many times: the key is disabled for a moment while they are made.
fn key_fails(rig: &Rig, times: u32) {
    for attempt in 1..=times {
        let (cloud, clock) = (rig.cloud.clone(), rig.clock);
        let made = move |e: &Event| e.draft.kind == Kind::StepDone && e.draft.step.starts_with("copy:");
        rig.script.once(made, move || {
            let key = "alias/backup".to_owned();
            let place = Place::new(DR, AWAY);
            for deed in [Deed::DisableKey(key.clone()), Deed::EnableKey(key)] {
                cloud.world().person(clock.now(), &place, &deed).expect("a key of that account");
            }
            assert!(attempt <= times);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_for_its_key_is_tried_once_more() {
    let mut rig = rig_of(1, "alias/own", vec![across()]);
    key_fails(&rig, 1);
    rig.start();
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    done(&rig);
    let calls = rig.calls("CopyImage");
    let tokens: BTreeSet<&String> = calls.iter().filter_map(|c| c.parameters.get("ClientToken")).collect();
    assert_eq!((calls.len(), tokens.len()), (2, 2), "another token\n{}", rig.story());
    assert_eq!(images_in(&rig, DR, AWAY).len(), 1);
    assert_eq!(lent(&rig), Vec::<String>::new(), "{}", rig.story());
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_always_fails_for_its_key_is_given_up_until_the_next_run() {
    let mut rig = rig_of(1, "alias/own", vec![across()]);
    rig.plans[0].schedule.cron = vec!["0,40 2 * * *".into()];
    key_fails(&rig, 2);
    rig.start();
    rig.run(mins(38)).await;
    let [(outcome, reason)] = &ended(&rig)[..] else { panic!("one run\n{}", rig.story()) };
    assert_eq!(outcome, "failed");
    assert!(reason.contains("have no copy in dr/eu-west-1") && reason.contains("KMS key"), "{reason}");
    assert_eq!(rig.calls("CopyImage").len(), 2, "once more, and no more\n{}", rig.story());
    assert_eq!(lent(&rig), Vec::<String>::new(), "{}", rig.story());
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(images_in(&rig, DR, AWAY).len(), 2, "the next run makes up for it\n{}", rig.story());
    assert_eq!(lent(&rig), Vec::<String>::new(), "{}", rig.story());
}

/// A process that goes on with a copy which fails for its key tries it from the same image: the one under `via_key`.
#[tokio::test(start_paused = true)]
async fn it_is_tried_once_more_from_the_same_image_after_a_restart() {
    let mut rig = rig_of(1, "alias/aws/ebs", vec![CopyTo { via_key: Some("alias/lend".into()), ..across() }]);
    rig.start();
    until(&mut rig, |e| e.draft.kind == Kind::StepDone && e.draft.step.starts_with("copy:")).await;
    rig.crash();
    let place = Place::new(DR, AWAY);
    for deed in [Deed::DisableKey("alias/backup".into()), Deed::EnableKey("alias/backup".into())] {
        let now = rig.clock.now();
        rig.world().person(now, &place, &deed).expect("a key of that account");
    }
    rig.start();
    rig.run(mins(60)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    done(&rig);
    assert_eq!(images_in(&rig, DR, AWAY).len(), 1, "{}", rig.story());
    assert_eq!(images_in(&rig, ACCOUNT, REGION).len(), 1, "the temporary image is gone\n{}", rig.story());
}

/// AWS knows the token from another request, and shows no copy: after ten minutes another token.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_taken_is_given_up_for_another() {
    let mut rig = rig_of(1, "", vec![copy_to(AWAY, None)]);
    rig.script.refuse("CopyImage", None, 1, "IdempotentParameterMismatch", "associated with a different request");
    rig.start();
    until(&mut rig, |e| e.draft.kind == Kind::StepIntent && e.draft.step == "copy:eu-west-1").await;
    rig.run(mins(9)).await;
    assert_eq!(rig.calls("CopyImage").len(), 0, "it is looked for\n{}", rig.story());
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    done(&rig);
    let intents = rig.told(&Kind::StepIntent);
    let tokens: Vec<_> = intents.iter().filter(|e| e.draft.step == "copy:eu-west-1").map(|e| e.text("token")).collect();
    assert_eq!(tokens.len(), 2, "{}", rig.story());
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(images_in(&rig, ACCOUNT, AWAY).len(), 1);
}

/// A copy that takes more than a day calls somebody once, holds no occurrence, and ends well.
#[tokio::test(start_paused = true)]
async fn a_copy_that_takes_a_day_calls_somebody_and_holds_nothing() {
    let mut rig = rig_with(1, "", vec![copy_to(AWAY, None)], "");
    rig.world().copy_seconds = Some([100_000.0, 100_000.0]);
    rig.plans[0].schedule.cron = vec!["0 2 2,3 3 *".into()];
    rig.tick = secs(30);
    rig.start();
    rig.run(mins(60 * 26)).await;
    let called = rig.told(&Kind::StepNeedsPerson);
    let words: Vec<_> = called.iter().map(|e| (e.draft.step.as_str(), e.text("reason").unwrap_or_default())).collect();
    let [("copy:eu-west-1.pending", reason)] = words[..] else { panic!("one call: {words:?}\n{}", rig.story()) };
    assert!(reason.contains("is pending for 24 h"), "{reason}");
    assert_eq!(rig.reboots()[&id(1)], 2, "the next occurrence ran\n{}", rig.story());
    rig.run(mins(60 * 30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(ended(&rig), [("done".to_owned(), String::new()), ("done".to_owned(), String::new())]);
    assert_eq!(images_in(&rig, ACCOUNT, AWAY).len(), 2);
}

/// A role that cannot be assumed fails its own copies, says which trust policy is missing, and is made up for.
#[tokio::test(start_paused = true)]
async fn a_role_that_cannot_be_assumed_fails_its_own_copies() {
    let mut rig = rig_of(1, "", vec![across(), copy_to(AWAY, None)]);
    rig.plans[0].schedule.cron = vec!["0,40 2 * * *".into()];
    let trusts = |rig: &Rig, whom: Vec<String>| {
        rig.world().accounts.get_mut(DR).expect("there").roles[0].trusts = whom;
    };
    trusts(&rig, Vec::new());
    rig.start();
    rig.run(mins(35)).await;
    let [(outcome, reason)] = &ended(&rig)[..] else { panic!("one run\n{}", rig.story()) };
    assert_eq!(outcome, "failed");
    assert!(reason.contains("copy:dr/eu-west-1") && reason.contains("AssumeRole"), "{reason}");
    assert_eq!((images_in(&rig, DR, AWAY).len(), images_in(&rig, ACCOUNT, AWAY).len()), (0, 1), "{}", rig.story());
    trusts(&rig, vec![ACCOUNT.into()]);
    rig.run(mins(45)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!((images_in(&rig, DR, AWAY).len(), images_in(&rig, ACCOUNT, AWAY).len()), (2, 2), "{}", rig.story());
    assert_eq!(lent(&rig), Vec::<String>::new());
}
