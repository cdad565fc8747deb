//! A destination that is silent: it delays no reboot.

use stillframe::cloud::sim::faults::Fault;

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
        silence(&rig, 90);
        rig.start();
        rig.run(mins(10)).await;
        let what = format!("{key:?} {:?}\n{}", rig.plans[0].copies, rig.story());
        assert_eq!([1, 2].map(|n| rig.reboots()[&id(n)]), [1, 1], "{what}");
        rig.run(mins(170)).await;
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
    rig.run(mins(55)).await;
    let [(outcome, reason)] = &ended(&rig)[..] else { panic!("one run\n{}", rig.story()) };
    assert_eq!(outcome, "failed");
    assert!(reason.contains("via_key") && reason.contains("AWS manages"), "{reason}");
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.reboots()[&id(1)], 0, "{}", rig.story());
}
