//! A destination that is silent, closed, or not configured any more: it delays no reboot, and nothing is lent for ever.

use std::rc::Rc;

use stillframe::sim::faults::Fault;

use super::super::rig::mins;
use super::*;

/// `eu-west-1` answers nothing for so many minutes from now on.
fn silence(rig: &Rig, minutes: i64) {
    let now = rig.clock.now();
    rig.fault(Fault::silence(AWAY, now, now + chrono::TimeDelta::minutes(minutes), 900.0));
}

/// A silent destination is no reason to be late, and the window of the plan no shorter for it.
#[tokio::test(start_paused = true)]
async fn a_silent_destination_delays_no_reboot() {
    let near = || CopyTo { kms_key: Some("alias/own".into()), ..copy_to(AWAY, None) };
    for (key, copies, shared) in [
        ("alias/own", vec![across()], false),
        ("alias/own", vec![copy_to(AWAY, None)], false),
        ("", vec![copy_to(AWAY, None)], true),
        ("", vec![copy_to(AWAY, Some(DR))], true),
        ("alias/own", vec![across(), near()], true),
    ] {
        let mut rig = rig_of(2, key, copies);
        rig.plans[0].schedule.window = Some(300);
        rig.plans[0].share = shared.then(|| share(&[FRIEND]));
        silence(&rig, 240);
        rig.start();
        rig.run(mins(10)).await;
        let what = format!("{key:?} {:?}\n{}", rig.plans[0].copies, rig.story());
        assert_eq!([1, 2].map(|n| rig.reboots()[&id(n)]), [1, 1], "{what}");
        rig.run(mins(350)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        let [(outcome, reason)] = &ended(&rig)[..] else { panic!("one run: {what}") };
        assert_eq!(outcome, "failed", "{what}");
        assert!(reason.contains("2 of 2 images have no copy in"), "{reason}");
    }
}

/// What needs no answer of the destination to be impossible is refused, whether it answers or not.
#[tokio::test(start_paused = true)]
async fn what_can_never_be_done_is_refused_though_the_destination_is_silent() {
    let mut rig = rig_of(1, "alias/aws/ebs", vec![across()]);
    silence(&rig, 60);
    rig.start();
    rig.run(mins(5)).await;
    assert_eq!(rig.told(&Kind::TargetSkipped).len(), 1, "at once\n{}", rig.story());
    rig.run(mins(140)).await;
    let [(outcome, reason)] = &ended(&rig)[..] else { panic!("one run\n{}", rig.story()) };
    assert_eq!(outcome, "failed");
    assert!(reason.contains("via_key") && reason.contains("AWS manages"), "{reason}");
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.reboots()[&id(1)], 0, "{}", rig.story());
}

/// A rig whose process has died: a copy to the other account was called for, and its answer journaled or not.
async fn called_for(answered: bool) -> Rig {
    let mut rig = rig_of(1, "alias/own", vec![across()]);
    rig.plans[0].schedule.cron = vec!["0 2 2,4 3 *".into()];
    rig.tick = secs(30);
    if answered {
        rig.start();
        until(&mut rig, |e| e.draft.kind == Kind::StepDone && e.draft.step.starts_with("copy:")).await;
        rig.crash();
    } else {
        let journal = Rc::clone(&rig.journal);
        let intended = |e: &Event| e.draft.kind == Kind::StepIntent && e.draft.step.starts_with("copy:");
        rig.script.once(intended, move || journal.dies(Death::Before(journal.written() + 1)));
        rig.start();
        assert!(!rig.run(mins(10)).await, "it dies\n{}", rig.story());
    }
    assert_eq!(rig.calls("CopyImage").len(), 1, "{}", rig.story());
    rig
}

/// The destination is taken out of the plan and of `[accounts]` while it copies: nobody can look there any more.
#[tokio::test(start_paused = true)]
async fn an_account_that_is_taken_out_while_it_copies_is_left_at_once() {
    for answered in [false, true] {
        let mut rig = called_for(answered).await;
        rig.roles.clear();
        rig.plans[0].copies.clear();
        rig.start();
        rig.run(mins(3)).await;
        let [(outcome, reason)] = &ended(&rig)[..] else { panic!("{answered}: one run\n{}", rig.story()) };
        assert_eq!(outcome, "failed");
        for part in ["dr/eu-west-1", DR, "[accounts]"] {
            assert!(reason.contains(part), "without {part}: {reason}");
        }
        assert_eq!(lent(&rig), Vec::<String>::new(), "{answered}\n{}", rig.story());
        rig.run(mins(30)).await;
        rig.stop().await;
        promises::hold(&rig).await;
    }
}

/// The role in the other account refuses all for a day: the run ends, and a later one finds what became of its copy.
#[tokio::test(start_paused = true)]
async fn an_account_that_refuses_for_a_day_is_left_until_it_lets_us_in() {
    for answered in [false, true] {
        let mut rig = called_for(answered).await;
        let trusts = |rig: &Rig, whom: Vec<String>| {
            rig.world().accounts.get_mut(DR).expect("there").roles[0].trusts = whom;
        };
        trusts(&rig, Vec::new());
        rig.start();
        rig.run(mins(60 * 23)).await;
        assert_eq!(ended(&rig), [], "{answered}: not yet\n{}", rig.story());
        assert_ne!(lent(&rig), Vec::<String>::new(), "{answered}: it may be copied still\n{}", rig.story());
        rig.run(mins(60 * 2)).await;
        let [(outcome, reason)] = &ended(&rig)[..] else { panic!("{answered}: one run\n{}", rig.story()) };
        assert_eq!(outcome, "failed");
        for part in ["dr/eu-west-1", "24 h", "AssumeRole"] {
            assert!(reason.contains(part), "without {part}: {reason}");
        }
        assert_eq!(lent(&rig), Vec::<String>::new(), "{answered}\n{}", rig.story());
        trusts(&rig, vec![ACCOUNT.into()]);
        rig.run(mins(60 * 25)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(ended(&rig).last().map(|(o, _)| o.as_str()), Some("done"), "{answered}\n{}", rig.story());
        assert_eq!(rig.calls("CopyImage").len(), 2, "the first was found\n{}", rig.story());
        assert_eq!(images_in(&rig, DR, AWAY).len(), 2, "{answered}\n{}", rig.story());
        assert_eq!(lent(&rig), Vec::<String>::new(), "{answered}\n{}", rig.story());
    }
}

/// Silence may pass, however long it lasts: what was called for is waited for.
#[tokio::test(start_paused = true)]
async fn an_account_that_is_silent_for_days_is_waited_for() {
    for answered in [false, true] {
        let mut rig = called_for(answered).await;
        silence(&rig, 60 * 40);
        rig.start();
        rig.run(mins(60 * 39)).await;
        assert_eq!(ended(&rig), [], "{answered}\n{}", rig.story());
        rig.run(mins(60 * 3)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        done(&rig);
        assert_eq!(images_in(&rig, DR, AWAY).len(), 1, "{answered}\n{}", rig.story());
        assert_eq!(lent(&rig), Vec::<String>::new(), "{answered}\n{}", rig.story());
    }
}
