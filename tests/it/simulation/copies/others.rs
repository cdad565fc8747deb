//! What others do beside us: another installation of our name in the same backup account, people who share, plans whose
//! destinations move, keys that several images need.

use stillframe::sim::faults::{Fault, FaultKind};

use super::super::rig::mins;
use super::shares::of;
use super::*;

fn often(rig: &mut Rig) {
    rig.plans[0].schedule.cron = vec!["0,20,40 2 * * *".into(), "0 3 * * *".into()];
}

fn last(n: u32) -> Keep {
    Keep { last: n, min: 0, ..Keep::default() }
}

fn retag(rig: &Rig, account: &str, image: &str, installation: &str) {
    let resources = vec![image.to_owned()];
    let tags = vec![("stillframe:installation".to_owned(), installation.to_owned())];
    rig.act_as(&Place::new(account, AWAY), &Action::CreateTags { resources, tags }).expect("allowed");
}

/// Two accounts run a daemon of the same name and copy into one backup account: none deletes what the other copied.
#[tokio::test(start_paused = true)]
async fn copies_of_another_installation_are_foreign() {
    let mut rig = rig_of(1, "", vec![CopyTo { keep: last(1), ..across() }]);
    often(&mut rig);
    rig.plans[0].share = Some(Share { grace: 0, ..share(&[FRIEND]) });
    rig.start();
    rig.run(mins(15)).await;
    let theirs = images_in(&rig, DR, AWAY)[0].clone();
    retag(&rig, DR, &theirs, "99999999-9999-4999-8999-999999999999");
    rig.reload(Ok(vec![Plan { share: None, ..rig.plans[0].clone() }])).await.expect("it is right");
    rig.run(mins(60)).await;
    rig.stop().await;
    assert!(images_in(&rig, DR, AWAY).contains(&theirs), "{}", rig.story());
    assert_eq!(users(&rig, &theirs), of(&[FRIEND]), "their share is theirs\n{}", rig.story());
    let foreign = rig.told(&Kind::RetainDecided);
    let said = foreign.iter().filter(|e| e.text("verdict") == Some("foreign")).count();
    assert_eq!(said, 1, "once\n{}", rig.story());
}

/// What was there when a person took over is ours, by whichever installation it was copied.
#[tokio::test(start_paused = true)]
async fn copies_from_before_a_take_over_are_ours() {
    let mut rig = rig_of(1, "", vec![CopyTo { keep: last(1), ..across() }]);
    often(&mut rig);
    rig.start();
    rig.run(mins(15)).await;
    let old = images_in(&rig, DR, AWAY)[0].clone();
    rig.lose_state();
    rig.taken_over_at = Some(rig.clock.now());
    rig.start();
    rig.run(mins(60)).await;
    rig.stop().await;
    assert!(!images_in(&rig, DR, AWAY).contains(&old), "retention goes on with it\n{}", rig.story());
    assert_eq!(images_in(&rig, DR, AWAY).len(), 1, "{}", rig.story());
}

/// After a take-over, a copy of an old image is newer than our last image, in a place where the plan selects: no alarm.
#[tokio::test(start_paused = true)]
async fn a_copy_of_an_old_image_bars_nothing() {
    let mut rig = rig_of(1, "", vec![copy_to(AWAY, None)]);
    often(&mut rig);
    rig.plans[0].select.regions = [REGION.to_owned(), AWAY.to_owned()].into();
    rig.plans[0].copies[0].keep = last(10);
    rig.fault(Fault::once("CopyImage", FaultKind::Denied));
    rig.start();
    rig.run(mins(15)).await;
    assert_eq!(images_in(&rig, ACCOUNT, AWAY).len(), 0, "{}", rig.story());
    // The next run copies the first image, and not its own.
    rig.fault(Fault { skip: 1, ..Fault::once("CopyImage", FaultKind::Denied) });
    rig.lose_state();
    rig.taken_over_at = Some(rig.clock.now());
    rig.start();
    rig.run(mins(60)).await;
    rig.stop().await;
    assert_eq!(rig.calls("CreateImage").len(), 4, "{}", rig.story());
    let copies = images_in(&rig, ACCOUNT, AWAY);
    assert!(!copies.is_empty());
    for copy in copies {
        let by = rig.world().images[&copy].tags["stillframe:installation"].clone();
        assert_eq!(by, rig.installation, "who copies says so");
    }
}

/// A destination becomes a place where the plan selects, and its `[[copy]]` goes: the copies stay, and stay shared.
#[tokio::test(start_paused = true)]
async fn a_destination_becomes_a_source() {
    let mut rig = rig_of(1, "", vec![copy_to(AWAY, None)]);
    often(&mut rig);
    rig.plans[0].share = Some(Share { grace: 0, ..share(&[FRIEND]) });
    rig.start();
    rig.run(mins(35)).await;
    let copies = images_in(&rig, ACCOUNT, AWAY);
    assert_eq!(copies.len(), 2, "{}", rig.story());
    let mut moved = Plan { copies: Vec::new(), keep: last(1), ..rig.plans[0].clone() };
    moved.select.regions = [AWAY.to_owned()].into();
    rig.reload(Ok(vec![moved])).await.expect("it is right");
    rig.run(mins(50)).await;
    rig.stop().await;
    assert_eq!(images_in(&rig, ACCOUNT, AWAY), copies, "{}", rig.story());
    for copy in copies {
        assert_eq!(users(&rig, &copy), of(&[FRIEND]), "{}", rig.story());
    }
}

/// A person has let one destination in by hand; another one, that copies at the same time, is lent to: the first stays.
#[tokio::test(start_paused = true)]
async fn a_hand_that_shared_before_two_copies() {
    let two = world(1, "", "").replace(
        r#""accounts": ["#,
        &format!(
            r#""accounts": [{{ "id": "{FRIEND}", "roles": [
            {{ "name": "stillframe", "external_id": "open sesame", "trusts": ["{ACCOUNT}"] }}] }}, "#
        ),
    );
    let friend = Account { name: "friend".into(), id: FRIEND.into() };
    let copies = vec![CopyTo { account: Some(friend), ..copy_to(AWAY, None) }, copy_to(AWAY, Some(DR))];
    let mut rig = Rig::new(&two, vec![Plan { copies, ..plan("web", "0,30 2 * * *") }]);
    rig.roles = vec![role(DR), role(FRIEND)];
    rig.tick = secs(5);
    rig.fault(Fault::once("CopyImage", FaultKind::Denied).times(2));
    rig.start();
    rig.run(mins(15)).await;
    let image = rig.images_of(&id(1))[0].clone();
    let snapshots: Vec<String> = image.snapshots().map(str::to_owned).collect();
    let add = vec![Grantee::Account(DR.into())];
    rig.act(&Action::ModifyImageAttribute { image: image.id.clone(), add: add.clone(), remove: vec![] });
    for snapshot in &snapshots {
        let (snapshot, add) = (snapshot.clone(), add.clone());
        rig.act(&Action::ModifySnapshotAttribute { snapshot, add, remove: vec![] });
    }
    // The friend has to wait: it is let in together with the other one.
    rig.script.refuse("CreateTags", None, 1, "InvalidAMIID.NotFound", "does not exist");
    rig.run(mins(45)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(images_in(&rig, DR, AWAY).len(), 2, "{}", rig.story());
    assert_eq!(images_in(&rig, FRIEND, AWAY).len(), 2, "{}", rig.story());
    assert_eq!(users(&rig, &image.id), of(&[DR]), "{}", rig.story());
    for snapshot in snapshots {
        assert_eq!(users(&rig, &snapshot), of(&[DR]), "{}", rig.story());
    }
}

/// Some images are under a key, others are copied under it to be shared: when the latter are shared no more, the former
/// are still, and their grant stays.
#[tokio::test(start_paused = true)]
async fn a_key_that_other_images_need_stays_granted() {
    let mixed = world(2, "alias/own", "").replacen(r#""kms_key": "alias/own""#, r#""kms_key": "alias/aws/ebs""#, 1);
    let via = Share { via_key: Some("alias/own".into()), ..share(&[FRIEND]) };
    let mut rig = Rig::new(&mixed, vec![Plan { share: Some(via), ..plan("web", "0,30 2 * * *") }]);
    (rig.roles, rig.tick) = (vec![role(DR)], secs(5));
    rig.start();
    rig.run(mins(25)).await;
    let grants = |rig: &Rig| lent(rig).iter().filter(|line| line.contains(":root by ")).count();
    assert_eq!(grants(&rig), 1, "{}", rig.story());
    rig.reload(Ok(vec![Plan { share: Some(share(&[FRIEND])), ..rig.plans[0].clone() }])).await.expect("it is right");
    rig.run(mins(30)).await;
    rig.stop().await;
    assert_eq!(grants(&rig), 1, "{}", rig.story());
    assert!(rig.calls("RevokeGrant").is_empty(), "{}", rig.story());
}

/// The key cannot be used just now, so nobody can be let in; who is named no more is let out all the same.
#[tokio::test(start_paused = true)]
async fn who_is_named_no_more_goes_also_while_the_key_is_disabled() {
    let mut rig = rig_of(1, "alias/own", Vec::new());
    often(&mut rig);
    rig.plans[0].share = Some(share(&[FRIEND, DR]));
    rig.start();
    rig.run(mins(15)).await;
    let image = rig.images_of(&id(1))[0].id.clone();
    assert_eq!(users(&rig, &image), of(&[FRIEND, DR]), "{}", rig.story());
    for key in rig.world().keys.values_mut() {
        key.state = "Disabled".into();
    }
    rig.reload(Ok(vec![Plan { share: Some(share(&[DR])), ..rig.plans[0].clone() }])).await.expect("it is right");
    rig.run(mins(20)).await;
    rig.stop().await;
    assert_eq!(users(&rig, &image), of(&[DR]), "{}", rig.story());
    assert!(!lent(&rig).iter().any(|line| line.contains(FRIEND)), "{:?}\n{}", lent(&rig), rig.story());
}

/// The source is not listed for a moment, just when what was lent of it is taken back: what `[share]` gives stays.
#[tokio::test(start_paused = true)]
async fn a_source_that_is_not_listed_for_a_moment_stays_shared() {
    let mut rig = rig_of(1, "", vec![across()]);
    rig.plans[0].share = Some(share(&[FRIEND]));
    let (cloud, clock) = (rig.cloud.clone(), rig.clock);
    rig.script.once(
        |e| e.draft.kind == Kind::StepObserved && e.draft.step.starts_with("copy:"),
        move || {
            let mut world = cloud.world();
            let now = clock.now();
            world.images.values_mut().find(|i| i.place.account == ACCOUNT).expect("made").forgotten = Some(now);
        },
    );
    rig.start();
    let hidden = |rig: &Rig| rig.world().images.values().any(|i| i.forgotten.is_some());
    for _ in 0..3600 {
        if !hidden(&rig) {
            rig.run(secs(1)).await;
        }
    }
    assert!(hidden(&rig), "{}", rig.story());
    rig.run(secs(1)).await;
    let image = rig.images_of(&id(1))[0].clone();
    rig.world().images.get_mut(&image.id).expect("there").forgotten = None;
    rig.run(mins(20)).await;
    rig.stop().await;
    assert_eq!(users(&rig, &image.id), of(&[FRIEND]), "{}", rig.story());
    for snapshot in image.snapshots() {
        assert_eq!(users(&rig, snapshot), of(&[FRIEND]), "{}", rig.story());
    }
}

/// The volumes get another key: when the last image under the old one is gone, its grant goes, although the plan shares
/// still.
#[tokio::test(start_paused = true)]
async fn a_key_that_no_image_is_under_any_more_is_granted_no_more() {
    let mut rig = rig_of(1, "alias/own", Vec::new());
    often(&mut rig);
    rig.plans[0].share = Some(Share { grace: 0, ..share(&[FRIEND]) });
    rig.plans[0].keep = last(1);
    rig.start();
    rig.run(mins(15)).await;
    let (old, new) = {
        let mut world = rig.world();
        let key = |alias: &str| {
            let here = |k: &&stillframe::sim::key::SimKey| {
                k.place == Place::new(ACCOUNT, REGION) && k.alias.as_deref() == Some(alias)
            };
            world.keys.values().find(here).expect("of the fleet").arn.clone()
        };
        let (old, new) = (key("alias/own"), key("alias/lend"));
        for volume in world.volumes.values_mut() {
            volume.key = Some(new.clone());
        }
        (old, new)
    };
    let on = |rig: &Rig, key: &str| lent(rig).iter().filter(|line| line.ends_with(&format!("by {key}"))).count();
    assert_eq!((on(&rig, &old), on(&rig, &new)), (1, 0), "{}", rig.story());
    rig.run(mins(20)).await;
    assert_eq!((on(&rig, &old), on(&rig, &new)), (1, 1), "the old image is there still\n{}", rig.story());
    rig.run(mins(60)).await;
    rig.stop().await;
    assert_eq!((on(&rig, &old), on(&rig, &new)), (0, 1), "{}", rig.story());
}
