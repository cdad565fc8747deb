//! What people, lag and crashes do to copies and loans in the middle: nothing stays lent, nothing is made twice, nothing
//! is passed over in silence.

use crate::support::rows::Event;
use stillframe::domain::fact::Kind;
use stillframe::domain::keep::Keep;
use stillframe::domain::plan::Share;
use stillframe::sim::action::Action;

use super::copies::{AWAY, DR, FRIEND, across, copy_to, ended, images_in, lent, rig_of, share};
use super::journal::Death;
use super::promises;
use super::rig::{ACCOUNT, REGION, Rig, id, mins, secs};

const NOTHING: Vec<String> = Vec::new();

/// Lets time pass until `there`.
async fn until(rig: &mut Rig, there: impl Fn(&Rig) -> bool) {
    for _ in 0..900 {
        if there(rig) {
            return;
        }
        rig.run(secs(1)).await;
    }
    panic!("it never came\n{}", rig.story());
}

fn outcomes(rig: &Rig) -> Vec<String> {
    ended(rig).into_iter().map(|(outcome, _)| outcome).collect()
}

/// How often each source was copied, whatever came of it.
fn copied(rig: &Rig, source: &str) -> usize {
    rig.calls("CopyImage").iter().filter(|c| c.parameters.values().any(|value| value == source)).count()
}

fn deregister(image: &str) -> Action {
    Action::DeregisterImage { image: image.into(), delete_snapshots: None }
}

fn key_state(rig: &Rig, account: &str, region: &str, alias: &str, state: &str) {
    let mut world = rig.world();
    let ours = |k: &&mut stillframe::sim::key::SimKey| {
        k.place.account == account && k.place.region == region && k.alias.as_deref() == Some(alias)
    };
    world.keys.values_mut().find(ours).expect("a key of the fleet").state = state.into();
}

/// A person removes the source while it is copied: its snapshots and its key are taken back all the same.
#[tokio::test(start_paused = true)]
async fn a_source_removed_in_the_middle_leaves_nothing_lent() {
    for key in ["", "alias/own"] {
        let mut rig = rig_of(1, key, vec![across()]);
        rig.start();
        until(&mut rig, |rig| rig.told(&Kind::StepDone).iter().any(|e| e.draft.step.starts_with("copy:"))).await;
        let image = rig.images_of(&id(1))[0].id.clone();
        rig.act(&deregister(&image));
        rig.run(mins(40)).await;
        rig.stop().await;
        assert_eq!(outcomes(&rig), ["done"], "{}", rig.story());
        assert_eq!(lent(&rig), NOTHING, "{key}\n{}", rig.story());
    }
}

/// The same, and the process dies between the call and its record: the copy is found though its source is gone.
#[tokio::test(start_paused = true)]
async fn a_copy_is_followed_after_a_crash_though_its_source_is_gone() {
    let called = |e: &Event| e.draft.kind == Kind::StepIntent && e.draft.step.starts_with("copy:");
    let mut rig = rig_of(1, "alias/own", vec![across()]);
    let journal = std::rc::Rc::clone(&rig.journal);
    rig.script.once(called, move || journal.dies(Death::Before(journal.written() + 1)));
    rig.start();
    assert!(!rig.run(mins(10)).await, "it dies\n{}", rig.story());
    assert_eq!(rig.calls("CopyImage").len(), 1, "{}", rig.story());
    let image = rig.images_of(&id(1))[0].id.clone();
    rig.act(&deregister(&image));
    rig.start();
    rig.run(mins(60)).await;
    rig.stop().await;
    assert_eq!(images_in(&rig, DR, AWAY).len(), 1, "{}", rig.story());
    assert_eq!(outcomes(&rig), ["done"], "{}", rig.story());
    assert_eq!(lent(&rig), NOTHING, "{}", rig.story());
}

/// An image on hold outlives the rules; its copy does not, and is not made again each time.
#[tokio::test(start_paused = true)]
async fn a_source_on_hold_is_not_copied_again_and_again() {
    let last_1 = Keep { last: 1, ..Keep::default() };
    let mut rig = rig_of(1, "", vec![copy_to(AWAY, None)]);
    rig.plans[0].schedule.cron = vec!["0,30 2-4 * * *".into()];
    (rig.plans[0].keep, rig.plans[0].copies[0].keep) = (last_1.clone(), last_1);
    rig.start();
    rig.run(mins(20)).await;
    let image = rig.images_of(&id(1))[0].id.clone();
    let tags = vec![("stillframe:hold".to_owned(), "audit".to_owned())];
    rig.act(&Action::CreateTags { resources: vec![image.clone()], tags });
    rig.run(mins(150)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(copied(&rig, &image), 1, "{}", rig.story());
    assert_eq!(images_in(&rig, ACCOUNT, AWAY).len(), 1, "{}", rig.story());
}

/// A grant that could not be revoked is revoked by a later run, also when nothing is copied any more.
#[tokio::test(start_paused = true)]
async fn a_grant_that_could_not_be_revoked_is_remembered() {
    let mut rig = rig_of(1, "alias/own", vec![across()]);
    rig.plans[0].schedule.cron = vec!["0,40 2 * * *".into()];
    rig.script.refuse("RevokeGrant", None, 1_000, "AccessDeniedException", "no kms:RevokeGrant");
    rig.start();
    rig.run(mins(35)).await;
    let [(outcome, reason)] = &ended(&rig)[..] else { panic!("one run\n{}", rig.story()) };
    assert_eq!(outcome, "failed");
    assert!(reason.contains("could not be taken back") && reason.contains("RevokeGrant"), "{reason}");
    rig.script.relents();
    let mut plans = rig.plans.clone();
    plans[0].copies.clear();
    rig.reload(Ok(plans)).await.expect("a good plan");
    rig.run(mins(40)).await;
    rig.stop().await;
    assert_eq!(lent(&rig), NOTHING, "{}", rig.story());
}

/// EC2 may not know an image or a snapshot for a moment: who was not let in is not taken for let in.
#[tokio::test(start_paused = true)]
async fn what_is_not_found_for_a_moment_is_lent_all_the_same() {
    for (api, code) in [
        ("ModifySnapshotAttribute", "InvalidSnapshot.NotFound"),
        ("ModifyImageAttribute", "InvalidAMIID.NotFound"),
        ("CreateTags", "InvalidAMIID.NotFound"),
    ] {
        let mut rig = rig_of(1, "", vec![across()]);
        rig.script.refuse(api, None, 1, code, "does not exist");
        rig.start();
        rig.run(mins(12)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(outcomes(&rig), ["done"], "{api}\n{}", rig.story());
        assert_eq!(images_in(&rig, DR, AWAY).len(), 1, "{api}");
        assert_eq!(lent(&rig), NOTHING, "{api}\n{}", rig.story());
    }
}

/// An image that is gone before it could be copied or shared is said: the run is not simply done.
#[tokio::test(start_paused = true)]
async fn an_image_that_vanishes_before_its_copy_is_said() {
    let mut rig = rig_of(1, "", vec![copy_to(AWAY, None)]);
    let cloud = rig.cloud.clone();
    let clock = rig.clock;
    rig.script.once(
        |e| e.draft.kind == Kind::TargetFinished,
        move || {
            let mut world = cloud.world();
            let image = world.images.keys().next().expect("made").clone();
            let caller = stillframe::sim::world::Caller::new(ACCOUNT);
            world.call(clock.now(), &caller, REGION, &deregister(&image)).expect("allowed");
            world.images.get_mut(&image).expect("there").forgotten = Some(clock.now());
        },
    );
    rig.start();
    rig.run(mins(30)).await;
    rig.stop().await;
    let [(outcome, reason)] = &ended(&rig)[..] else { panic!("one run\n{}", rig.story()) };
    assert_eq!(outcome, "failed", "{}", rig.story());
    assert!(reason.contains("neither copied nor shared"), "{reason}");
}

/// `[accounts.dr]` gets another name: what was owed to the account is owed to it still.
#[tokio::test(start_paused = true)]
async fn an_account_by_another_name_is_owed_the_same() {
    let mut rig = rig_of(1, "", vec![across()]);
    rig.plans[0].schedule.cron = vec!["0,30 2 * * *".into()];
    key_state(&rig, DR, AWAY, "alias/backup", "Disabled");
    rig.start();
    rig.run(mins(20)).await;
    assert_eq!(outcomes(&rig), ["failed"], "{}", rig.story());
    key_state(&rig, DR, AWAY, "alias/backup", "Enabled");
    let mut plans = rig.plans.clone();
    plans[0].copies[0].account.as_mut().expect("another account").name = "disaster".into();
    rig.reload(Ok(plans)).await.expect("a good plan");
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(outcomes(&rig), ["failed", "done"], "{}", rig.story());
    assert_eq!(images_in(&rig, DR, AWAY).len(), 2, "{}", rig.story());
}

/// A copy that a person disabled is that person's: the plan's runs do not fail over it for ever.
#[tokio::test(start_paused = true)]
async fn a_copy_that_somebody_disabled_fails_no_run() {
    let mut rig = rig_of(1, "", vec![copy_to(AWAY, None)]);
    rig.plans[0].schedule.cron = vec!["0,30 2 * * *".into()];
    rig.start();
    rig.run(mins(20)).await;
    let copy = images_in(&rig, ACCOUNT, AWAY)[0].clone();
    rig.world().images.get_mut(&copy).expect("there").disabled = true;
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(outcomes(&rig), ["done", "done"], "{}", rig.story());
    assert_eq!(rig.calls("CopyImage").len(), 2, "{}", rig.story());
}

/// Context under a key of its own, and that key cannot be looked at after a restart: what is shared already stays.
#[tokio::test(start_paused = true)]
async fn what_is_shared_stays_when_its_key_cannot_be_looked_at() {
    let mut rig = rig_of(1, "alias/aws/ebs", vec![copy_to(AWAY, None)]);
    rig.plans[0].copies[0].kms_key = Some("alias/own".into());
    rig.plans[0].share = Some(Share { via_key: Some("alias/lend".into()), ..share(&[]) });
    rig.plans[0].share.as_mut().expect("shared").accounts = [DR.to_owned()].into();
    rig.start();
    let shared = |e: &Event| e.draft.step == "share" && e.draft.kind == Kind::StepObserved;
    until(&mut rig, |rig| rig.events.borrow().iter().filter(|e| shared(e)).count() >= 1).await;
    let via = rig.told(&Kind::StepObserved).iter().find(|e| shared(e)).and_then(|e| e.draft.subject.clone());
    let via = via.expect("an image").id;
    rig.crash();
    key_state(&rig, ACCOUNT, REGION, "alias/lend", "Disabled");
    rig.start();
    rig.run(mins(40)).await;
    rig.stop().await;
    assert!(rig.world().images[&via].registered(), "{}", rig.story());
}

/// Two regions that copy to each other: each keeps its own and the other's, and nothing is copied twice.
#[tokio::test(start_paused = true)]
async fn two_regions_that_copy_to_each_other() {
    let last_1 = Keep { last: 1, ..Keep::default() };
    let to = |region: &str| stillframe::domain::plan::CopyTo { keep: last_1.clone(), ..copy_to(region, None) };
    let mut rig = rig_of(2, "", vec![to(AWAY), to(REGION)]);
    {
        let mut world = rig.world();
        let moved = world.instances.get_mut(&id(2)).expect("there");
        moved.place.region = AWAY.into();
        let volumes: Vec<String> = moved.volumes.iter().map(|(_, volume)| volume.clone()).collect();
        for volume in volumes {
            if let Some(volume) = world.volumes.get_mut(&volume) {
                volume.place.region = AWAY.into();
            }
        }
    }
    rig.plans[0].schedule.cron = vec!["0,20,40 2 * * *".into()];
    rig.plans[0].select.regions = vec![REGION.into(), AWAY.into()];
    rig.plans[0].keep = last_1.clone();
    rig.start();
    rig.run(mins(75)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(outcomes(&rig), ["done", "done", "done"], "{}", rig.story());
    assert_eq!(rig.calls("CopyImage").len(), 6, "{}", rig.story());
    assert_eq!(images_in(&rig, ACCOUNT, AWAY).len(), 2, "{}", rig.story());
    assert_eq!(images_in(&rig, ACCOUNT, REGION).len(), 2, "{}", rig.story());
}

/// No slot for copies for hours: the plan goes on, a stop does not wait, and in the end all is there once.
#[tokio::test(start_paused = true)]
async fn a_full_quota_holds_nothing_else() {
    let mut rig = rig_of(1, "alias/own", vec![across()]);
    rig.plans[0].schedule.cron = vec!["0 2-5 * * *".into()];
    rig.plans[0].copies[0].keep = Keep { last: 9, ..Keep::default() };
    rig.plans[0].keep = Keep { last: 1, ..Keep::default() };
    rig.script.refuse("CopyImage", None, 100_000, "ResourceLimitExceeded", "too many copies in progress");
    rig.tick = secs(20);
    rig.start();
    rig.run(mins(150)).await;
    assert_eq!(rig.images_of(&id(1)).len(), 3, "{}", rig.story());
    rig.stop().await;
    rig.start();
    rig.run(mins(5)).await;
    rig.script.relents();
    rig.run(mins(140)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(outcomes(&rig), ["done"; 4], "{}", rig.story());
    assert_eq!(images_in(&rig, DR, AWAY).len(), 4, "{}", rig.story());
    assert_eq!(rig.images_of(&id(1)).len(), 1, "{}", rig.story());
    assert_eq!(lent(&rig), NOTHING, "{}", rig.story());
}

/// A role that cannot be assumed is told without what must not be told, and its share of what is lent is nothing.
#[tokio::test(start_paused = true)]
async fn a_wrong_external_id_is_told_without_it() {
    let mut rig = rig_of(1, "", vec![across(), copy_to(AWAY, None)]);
    rig.plans[0].share = Some(share(&[FRIEND]));
    rig.roles[0].external_id = Some("a wrong secret".into());
    rig.start();
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    let [(outcome, reason)] = &ended(&rig)[..] else { panic!("one run\n{}", rig.story()) };
    assert_eq!(outcome, "failed");
    assert!(reason.contains("dr/eu-west-1") && reason.contains("sts:AssumeRole"), "{reason}");
    assert!(!rig.story().contains("wrong secret") && !format!("{:?}", rig.roles).contains("wrong secret"));
    assert_eq!(images_in(&rig, ACCOUNT, AWAY).len(), 1, "{}", rig.story());
}

/// Crashed after a shared image was deprecated, and AWS does not show that yet: it is not told twice, in other words.
#[tokio::test(start_paused = true)]
async fn a_deprecation_that_is_not_listed_yet_is_not_made_again() {
    let last_1 = Keep { last: 1, ..Keep::default() };
    let mut rig = rig_of(1, "", Vec::new());
    rig.plans[0].schedule.cron = vec!["0,30 2 * * *".into()];
    (rig.plans[0].keep, rig.plans[0].share) = (last_1, Some(share(&[FRIEND])));
    let journal = std::rc::Rc::clone(&rig.journal);
    let deprecated = |e: &Event| e.draft.step == "deprecate";
    rig.script.once(deprecated, move || journal.dies(Death::Before(journal.written() + 1)));
    rig.start();
    assert!(!rig.run(mins(40)).await, "it dies\n{}", rig.story());
    let image = rig.images_of(&id(1))[0].id.clone();
    assert!(rig.world().images[&image].deprecated.is_some());
    rig.world().images.get_mut(&image).expect("there").deprecated = None;
    rig.run(secs(60)).await;
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.journal.conflicts(), NOTHING, "{}", rig.story());
    assert_eq!(outcomes(&rig), ["done", "done"], "{}", rig.story());
}
