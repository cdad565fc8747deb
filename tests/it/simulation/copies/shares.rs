//! Shares: what the plan names no more, what people change, and the grace of a shared image.

use stillframe::cloud::sim::faults::{Fault, FaultKind};

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
    rig.act(&Action::ModifySnapshotAttribute { snapshot: snapshot.clone(), add, remove });
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
