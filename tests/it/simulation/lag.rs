//! What was just made or lent and is not known everywhere yet, answers that name something else, and refusals that want
//! their own patience.

use stillframe::domain::copying::names::grant_name;
use stillframe::domain::copying::policy::COPYING;
use stillframe::domain::fact::Kind;
use stillframe::domain::plan::Plan;
use stillframe::sim::action::Action;
use stillframe::sim::faults::{Fault, FaultKind};
use stillframe::sim::key::SimKey;

use super::copies::{AWAY, DR, FRIEND, across, copy_to, ended, images_in, lent, rig_of, role, share};
use super::promises;
use super::rig::{ACCOUNT, DAEMON, REGION, Rig, fleet, id, mins, plan};

/// What AWS says of it, as people have met it: code and message.
const NOT_YET: [(&str, &str); 4] = [
    ("InvalidAMIID.NotFound", "The image id '[ami-1]' does not exist"),
    ("AuthFailure", "Not authorized for images: [ami-1]"),
    ("InvalidRequest", "The storage for the ami is not available in the source region."),
    ("InvalidRequest", "You do not have permission to access the storage of this ami"),
];

#[tokio::test(start_paused = true)]
async fn a_copy_waits_until_its_source_is_known_there() {
    for (code, message) in NOT_YET {
        for (to, account) in [(copy_to(AWAY, None), ACCOUNT), (across(), DR)] {
            let key = if account == DR { "alias/own" } else { "" };
            let mut rig = rig_of(1, key, vec![to]);
            rig.script.refuse("CopyImage", None, 4, code, message);
            rig.start();
            rig.run(mins(40)).await;
            rig.stop().await;
            promises::hold(&rig).await;
            assert_eq!(ended(&rig), [("done".to_owned(), String::new())], "{code} {account}\n{}", rig.story());
            assert_eq!(images_in(&rig, account, AWAY).len(), 1, "{code} {account}\n{}", rig.story());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stays_unknown_ends_its_copy_within_the_usual_patience() {
    let mut rig = rig_of(1, "", vec![copy_to(AWAY, None)]);
    rig.script.refuse("CopyImage", None, u32::MAX, NOT_YET[1].0, NOT_YET[1].1);
    rig.start();
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    let [(outcome, reason)] = &ended(&rig)[..] else { panic!("one run\n{}", rig.story()) };
    assert_eq!(outcome, "failed", "{}", rig.story());
    assert!(reason.contains("Not authorized for images") && reason.contains("share the image"), "{reason}");
    assert!(!reason.contains("access key"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_share_waits_until_its_image_is_known() {
    for api in ["ModifyImageAttribute", "CreateTags"] {
        let mut rig = rig_of(1, "", Vec::new());
        rig.plans = vec![Plan { share: Some(share(&[FRIEND])), ..rig.plans.remove(0) }];
        rig.script.refuse(api, None, 3, NOT_YET[0].0, NOT_YET[0].1);
        rig.start();
        rig.run(mins(40)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(ended(&rig), [("done".to_owned(), String::new())], "{api}\n{}", rig.story());
        assert!(!lent(&rig).is_empty(), "{api}\n{}", rig.story());
    }
}

/// One run of one instance, whose calls of `api` go wrong like this the first `times`.
async fn odd(copies: bool, api: &str, kind: FaultKind, times: u32) -> Rig {
    let mut rig = rig_of(1, "", if copies { vec![copy_to(AWAY, None)] } else { Vec::new() });
    // Another image of ours is there, for an answer to name.
    rig.act(&Action::CreateImage {
        instance: id(1),
        name: "by hand".into(),
        description: None,
        no_reboot: Some(true),
        tags: Vec::new(),
    });
    rig.fault(Fault::once(api, kind).times(times));
    rig.start();
    rig.run(mins(60)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_names_nothing_or_another_image_is_looked_for_by_name() {
    for kind in [FaultKind::NamesNothing, FaultKind::NamesAnother, FaultKind::NoCode] {
        let rig = odd(false, "CreateImage", kind, 1).await;
        assert_eq!(rig.outcomes("web"), ["02:00 done"], "{kind:?}\n{}", rig.story());
        assert_eq!(rig.reboots()[&id(1)], 1, "{kind:?}\n{}", rig.story());
        let rig = odd(true, "CopyImage", kind, 1).await;
        assert_eq!(ended(&rig), [("done".to_owned(), String::new())], "{kind:?}\n{}", rig.story());
        assert_eq!(images_in(&rig, ACCOUNT, AWAY).len(), 1, "{kind:?}\n{}", rig.story());
    }
}

#[tokio::test(start_paused = true)]
async fn snapshots_of_one_volume_are_a_quarter_of_a_minute_apart() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
    let (code, message) = ("SnapshotCreationPerVolumeRateExceeded", "The maximum per volume rate has been exceeded");
    rig.script.refuse("CreateImage", None, 2, code, message);
    rig.start();
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done"], "{}", rig.story());
    let intent = rig.told(&Kind::StepIntent).iter().find(|e| e.draft.step == "image").expect("an intent").at;
    let done = rig.told(&Kind::StepDone).iter().find(|e| e.draft.step == "image").expect("an answer").at;
    assert!((done - intent).num_seconds() >= 30, "twice 15 s were waited: {}", done - intent);
}

#[tokio::test(start_paused = true)]
async fn after_a_long_refusal_the_instance_is_looked_at_as_soon_as_ever() {
    let mut took = Vec::new();
    for times in [0, 14] {
        let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
        rig.script.refuse("CreateImage", None, times, "ResourceLimitExceeded", "too many in progress");
        rig.start();
        rig.run(mins(40)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.outcomes("web"), ["02:00 done"], "{}", rig.story());
        let done = rig.told(&Kind::StepDone).iter().find(|e| e.draft.step == "image").expect("an answer").at;
        let freed = rig.told(&Kind::SlotFreed)[0].at;
        took.push((freed - done).num_seconds());
    }
    assert!(took[1] <= took[0] + 2, "a slot stayed taken for {took:?} s after the call");
}

/// A grant of a version that did not ask for Encrypt.
#[tokio::test(start_paused = true)]
async fn a_grant_from_before_is_recognised_and_taken_back() {
    for before in [false, true] {
        let mut rig = rig_of(1, "alias/own", vec![across()]);
        let of = |k: &SimKey| k.alias.as_deref() == Some("alias/own") && k.place.region == REGION;
        let key = rig.world().keys.values().find(|k| of(k)).expect("of the fleet").arn.clone();
        let grantee = role(DR).arn;
        if before {
            rig.act(&Action::CreateGrant {
                key: key.clone(),
                grantee: grantee.clone(),
                operations: COPYING.map(str::to_owned).to_vec(),
                name: Some(grant_name(DAEMON, "web", &key, &grantee)),
            });
        }
        let made =
            |rig: &Rig| rig.world().calls.of("CreateGrant").map(|c| format!("{:?}", c.parameters)).collect::<Vec<_>>();
        rig.start();
        rig.run(mins(40)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(ended(&rig), [("done".to_owned(), String::new())], "{}", rig.story());
        let made = made(&rig);
        assert_eq!(made.len(), usize::from(!before), "{made:?}");
        assert!(made.iter().all(|call| call.contains("\"Encrypt\"")), "{made:?}");
        assert_eq!(lent(&rig), Vec::<String>::new(), "nothing is left of it");
        assert!(rig.world().keys[&key].grants.is_empty(), "nor of the grant");
    }
}
