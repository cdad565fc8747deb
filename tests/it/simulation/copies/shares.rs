//! Shares: what the plan names no more, what people change, and the grace of a shared image.

use stillframe::sim::faults::{Fault, FaultKind};

use super::super::rig::mins;
use super::*;

const STRANGER: &str = "444444444444";

fn shared(key: &str, whom: &[&str]) -> Rig {
    let mut rig = rig_of(1, key, Vec::new());
    rig.plans[0].share = Some(share(whom));
    rig.plans[0].schedule.cron = vec!["0,30 2 * * *".into(), "0 3 * * *".into()];
    rig
}

pub(super) fn of(accounts: &[&str]) -> BTreeSet<Grantee> {
    accounts.iter().map(|id| Grantee::Account((*id).into())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_the_plan_names_no_more_is_taken_back() {
    for key in ["", "alias/own"] {
        let mut rig = shared(key, &[FRIEND, DR]);
        rig.start();
        rig.run(mins(25)).await;
        let image = rig.images_of(&id(1))[0].id.clone();
        assert_eq!(users(&rig, &image), of(&[FRIEND, DR]), "{}", rig.story());
        let fewer = vec![Plan { share: Some(share(&[DR])), ..rig.plans[0].clone() }];
        rig.reload(Ok(fewer)).await.expect("it is right");
        rig.run(mins(30)).await;
        assert_eq!(users(&rig, &image), of(&[DR]), "{}", rig.story());
        let none = vec![Plan { share: None, ..rig.plans[0].clone() }];
        rig.reload(Ok(none)).await.expect("it is right");
        rig.run(mins(30)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(lent(&rig), Vec::<String>::new(), "{key}\n{}", rig.story());
    }
}

/// An account takes the place of another one, of images and of snapshots, which EC2 refuses to change in one call.
#[tokio::test(start_paused = true)]
async fn one_account_takes_the_place_of_another() {
    let mut rig = shared("alias/own", &[FRIEND]);
    rig.start();
    rig.run(mins(25)).await;
    let image = rig.images_of(&id(1))[0].clone();
    let others = vec![Plan { share: Some(share(&[STRANGER])), ..rig.plans[0].clone() }];
    rig.reload(Ok(others)).await.expect("it is right");
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    for id in std::iter::once(image.id.as_str()).chain(image.snapshots()) {
        assert_eq!(users(&rig, id), of(&[STRANGER]), "{id}\n{}", rig.story());
    }
    let grants: Vec<String> = lent(&rig).into_iter().filter(|line| line.contains(":root by ")).collect();
    assert!(grants.len() == 1 && grants[0].contains(STRANGER), "{grants:?}\n{}", rig.story());
}

/// Copies under another key that `[share]` has shared stay while their accounts are named, also without the `via_key`; and
/// once nobody is named, while a person shares them.
#[tokio::test(start_paused = true)]
async fn what_is_shared_by_way_of_another_key_is_not_taken_for_forgotten() {
    let mut rig = rig_of(1, "alias/aws/ebs", Vec::new());
    rig.plans[0].schedule.cron = vec!["0,30 2-4 * * *".into()];
    let via = |accounts: &[&str], key: Option<&str>| Share { via_key: key.map(str::to_owned), ..share(accounts) };
    rig.plans[0].share = Some(via(&[FRIEND], Some("alias/lend")));
    rig.start();
    rig.run(mins(25)).await;
    let copies = |rig: &Rig| -> Vec<String> {
        let world = rig.world();
        let all = world.images.values().filter(|i| i.registered() && i.source_image.is_some());
        all.map(|i| i.id.clone()).collect()
    };
    let made = copies(&rig);
    assert_eq!(made.len(), 1, "{}", rig.story());
    let without = vec![Plan { share: Some(via(&[FRIEND], None)), ..rig.plans[0].clone() }];
    rig.reload(Ok(without)).await.expect("it is right");
    rig.run(mins(60)).await;
    assert_eq!((copies(&rig), users(&rig, &made[0])), (made.clone(), of(&[FRIEND])), "{}", rig.story());
    let by_hand = vec![Grantee::Account(STRANGER.into())];
    rig.act(&Action::ModifyImageAttribute { image: made[0].clone(), add: by_hand, remove: vec![] });
    let none = vec![Plan { share: None, ..rig.plans[0].clone() }];
    rig.reload(Ok(none)).await.expect("it is right");
    rig.run(mins(60)).await;
    rig.stop().await;
    assert_eq!((copies(&rig), users(&rig, &made[0])), (made.clone(), of(&[STRANGER])), "{}", rig.story());
}

/// Old images are copied first so that they can be shared, which takes long; meanwhile a person removes the newest one: what
/// was to go by the list of before is the last one now.
#[tokio::test(start_paused = true)]
async fn what_is_listed_before_copies_is_listed_again_after_them() {
    let mut rig = rig_of(1, "alias/aws/ebs", Vec::new());
    rig.plans[0].schedule.cron = vec!["0,30 2 * * *".into()];
    rig.plans[0].keep = Keep { last: 1, ..Keep::default() };
    rig.start();
    rig.run(mins(20)).await;
    let old = rig.images_of(&id(1))[0].id.clone();
    let via = Share { via_key: Some("alias/lend".into()), ..share(&[FRIEND]) };
    rig.reload(Ok(vec![Plan { share: Some(via), ..rig.plans[0].clone() }])).await.expect("it is right");
    let source = old.clone();
    let of_old = move |e: &Event| {
        e.draft.kind == Kind::StepDone
            && e.draft.step.starts_with("via:")
            && e.draft.subject.as_ref().is_some_and(|s| s.id == source)
    };
    until(&mut rig, of_old).await;
    let images: Vec<String> = rig.images_of(&id(1)).into_iter().map(|i| i.id).collect();
    assert!(images.len() == 2 && images[0] == old, "{}", rig.story());
    rig.act(&Action::DeregisterImage { image: images[1].clone(), delete_snapshots: Some(true) });
    rig.run(mins(60)).await;
    rig.stop().await;
    let left: Vec<String> = rig.images_of(&id(1)).into_iter().map(|i| i.id).collect();
    assert!(left.contains(&old), "{}", rig.story());
}

/// A destination whose KMS is silent costs a run its patience once, not once for each image.
#[tokio::test(start_paused = true)]
async fn a_silent_key_service_is_waited_for_once() {
    let mut rig = rig_of(4, "alias/own", vec![across()]);
    rig.plans[0].share = Some(share(&[FRIEND]));
    rig.plans[0].schedule.cron = vec!["0 2,3 * * *".into()];
    rig.start();
    rig.run(mins(45)).await;
    assert_eq!(images_in(&rig, DR, AWAY).len(), 4, "{}", rig.story());
    let silent = FaultKind::CutBefore;
    rig.fault(Fault { region: Some(AWAY.into()), times: u32::MAX, ..Fault::once("DescribeKey", silent) });
    rig.run(mins(60)).await;
    let ended = rig.told(&Kind::RunFinished);
    assert_eq!(ended.len(), 2, "{}", rig.story());
    let took = ended[1].at - rig.told(&Kind::RunStarted)[1].at;
    assert!(took < chrono::TimeDelta::minutes(40), "{took}\n{}", rig.story());
    rig.stop().await;
}

/// With the journal lost, it is written down anew which keys are lent, also where all is as it should be.
#[tokio::test(start_paused = true)]
async fn a_lost_journal_knows_again_which_keys_are_lent() {
    let mut rig = shared("alias/own", &[FRIEND]);
    rig.start();
    rig.run(mins(25)).await;
    let image = rig.images_of(&id(1))[0].id.clone();
    // What is imaged from now on is not encrypted.
    for volume in rig.world().volumes.values_mut() {
        volume.key = None;
    }
    let before = rig.told(&Kind::KeyLent).len();
    rig.lose_journal();
    rig.start();
    rig.run(mins(15)).await;
    assert_eq!(rig.told(&Kind::KeyLent).len(), before + 1, "{}", rig.story());
    rig.act(&Action::DeregisterImage { image, delete_snapshots: Some(true) });
    let none = vec![Plan { share: None, ..rig.plans[0].clone() }];
    rig.reload(Ok(none)).await.expect("it is right");
    rig.run(mins(60)).await;
    rig.stop().await;
    assert_eq!(lent(&rig), Vec::<String>::new(), "{}", rig.story());
}

/// A person takes one of our permissions away, and gives one: the next run restores ours, and leaves theirs.
#[tokio::test(start_paused = true)]
async fn what_a_person_took_away_is_given_again() {
    let mut rig = shared("alias/own", &[FRIEND]);
    rig.start();
    rig.run(mins(25)).await;
    let image = rig.images_of(&id(1))[0].clone();
    let snapshot = image.snapshots().next().expect("one").to_owned();
    let (add, remove) = (vec![Grantee::Account(STRANGER.into())], vec![Grantee::Account(FRIEND.into())]);
    rig.act(&Action::ModifyImageAttribute { image: image.id.clone(), add: add.clone(), remove: remove.clone() });
    rig.act(&Action::ModifySnapshotAttribute { snapshot: snapshot.clone(), add, remove: vec![] });
    rig.act(&Action::ModifySnapshotAttribute { snapshot: snapshot.clone(), add: vec![], remove });
    rig.run(mins(75)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    let foreign = rig.told(&Kind::LoanForeign).len();
    assert_eq!(foreign, 2, "once for the image, once for the snapshot\n{}", rig.story());
    let world = rig.world();
    assert_eq!(world.images[&image.id].lent, of(&[FRIEND, STRANGER]));
    assert_eq!(world.snapshots[&snapshot].lent, of(&[FRIEND, STRANGER]));
}

/// A shared image is deprecated before it goes.
#[tokio::test(start_paused = true)]
async fn a_shared_image_has_its_grace() {
    let mut rig = shared("", &[FRIEND]);
    rig.plans[0].keep = Keep { last: 1, ..Keep::default() };
    rig.plans[0].share.as_mut().expect("there").grace = 20 * 60;
    rig.start();
    rig.run(mins(55)).await;
    let images = rig.images_of(&id(1));
    assert_eq!(images.len(), 2, "the first is not wanted, and not gone yet\n{}", rig.story());
    assert!(images[0].deprecated.is_some() && images[1].deprecated.is_none(), "{}", rig.story());
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    let left: Vec<String> = rig.images_of(&id(1)).into_iter().map(|i| i.id).collect();
    assert!(!left.contains(&images[0].id) && left.contains(&images[1].id), "{}", rig.story());
}

/// A person removes the only image under a key before the plan shares no more: the grant goes all the same, also when the
/// daemon was started anew, and when what was granted cannot be revoked at once.
#[tokio::test(start_paused = true)]
async fn a_grant_outlives_its_image_no_longer_than_the_share() {
    for again in [false, true] {
        let mut rig = shared("alias/own", &[FRIEND, DR]);
        rig.start();
        rig.run(mins(25)).await;
        assert!(lent(&rig).iter().any(|line| line.contains(":root by ")), "{}", rig.story());
        let image = rig.images_of(&id(1))[0].id.clone();
        rig.act(&Action::DeregisterImage { image, delete_snapshots: Some(true) });
        let none = vec![Plan { share: None, ..rig.plans[0].clone() }];
        if again {
            rig.crash();
            rig.plans = none;
            rig.fault(Fault::once("RevokeGrant", FaultKind::Denied));
            rig.start();
        } else {
            rig.reload(Ok(none)).await.expect("it is right");
        }
        rig.run(mins(95)).await;
        rig.stop().await;
        assert_eq!(lent(&rig), Vec::<String>::new(), "{again}\n{}", rig.story());
        let kept = |kind: Kind| rig.told(&kind).len();
        assert_eq!((kept(Kind::KeyLent), kept(Kind::KeyReturned)), (2, 2), "{}", rig.story());
    }
}
