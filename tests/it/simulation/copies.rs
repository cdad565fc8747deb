//! Copies in other regions and accounts, and shares: what comes of them, and what is left of what was lent.

mod lost;
mod others;
mod reach;
mod shares;
mod trouble;

use std::collections::BTreeSet;

use crate::support::rows::Event;
use stillframe::cloud::port::Role;
use stillframe::defect::{self, Defect};
use stillframe::domain::fact::Kind;
use stillframe::domain::keep::Keep;
use stillframe::domain::observed::ImageState;
use stillframe::domain::place::Place;
use stillframe::domain::plan::{Account, CopyTo, Plan, Share};
use stillframe::domain::sharing::Grantee;
use stillframe::sim::action::Action;

use super::journal::Death;
use super::promises;
use super::rig::{ACCOUNT, REGION, Rig, id, mins, plan, secs};

/// The account that copies are made in, and the one that images are shared with.
pub const DR: &str = "222222222222";
pub const FRIEND: &str = "333333333333";
pub const AWAY: &str = "eu-west-1";

/// A role of `account` that the daemon assumes.
pub fn role(account: &str) -> Role {
    Role {
        account: account.into(),
        arn: format!("arn:aws:iam::{account}:role/stillframe"),
        external_id: Some("open sesame".into()),
        session: "stillframe-prod".into(),
    }
}

/// `[[copy]]` to a region, of another account if one is named.
pub fn copy_to(region: &str, account: Option<&str>) -> CopyTo {
    CopyTo {
        region: region.into(),
        account: account.map(|id| Account { name: "dr".into(), id: id.into() }),
        kms_key: None,
        via_key: None,
        keep: Keep { last: 2, ..Keep::default() },
    }
}

/// A copy to the other account under its own key.
pub fn across() -> CopyTo {
    CopyTo { kms_key: Some("alias/backup".into()), ..copy_to(AWAY, Some(DR)) }
}

pub fn share(accounts: &[&str]) -> Share {
    Share {
        accounts: accounts.iter().map(|id| (*id).to_owned()).collect(),
        organizations: BTreeSet::new(),
        organizational_units: BTreeSet::new(),
        snapshots: true,
        grace: 7 * 86_400,
        via_key: None,
    }
}

/// `n` instances under `key`, the role and the keys of both accounts.
pub fn world(n: u32, key: &str, more: &str) -> String {
    let member =
        |i: u32| format!(r#"{{ "id": "{}", "kms_key": "{key}", "volumes": 2, "tags": {{ "Backup": "yes" }} }}"#, id(i));
    let members: Vec<String> = (1..=n).map(member).collect();
    let members = members.join(",").replace(r#""kms_key": "","#, "");
    format!(
        r#"{{ {more} "image_seconds": [30, 90], "copy_seconds": [60, 200], "reboot_seconds": 20,
            "regions": ["eu-central-1", "eu-west-1"],
            "accounts": [{{ "id": "{DR}", "roles": [
                {{ "name": "stillframe", "external_id": "open sesame", "trusts": ["{ACCOUNT}"] }}] }}],
            "keys": [
                {{ "account": "{ACCOUNT}", "region": "{REGION}", "alias": "alias/own" }},
                {{ "account": "{ACCOUNT}", "region": "{AWAY}", "alias": "alias/own" }},
                {{ "account": "{ACCOUNT}", "region": "{REGION}", "alias": "alias/lend" }},
                {{ "account": "{DR}", "region": "{AWAY}", "alias": "alias/backup" }}],
            "instances": [{members}] }}"#
    )
}

/// One run of a plan with these copies, of instances under `key`.
pub fn rig_of(n: u32, key: &str, copies: Vec<CopyTo>) -> Rig {
    rig_with(n, key, copies, "")
}

pub fn rig_with(n: u32, key: &str, copies: Vec<CopyTo>, more: &str) -> Rig {
    let mut rig = Rig::new(&world(n, key, more), vec![Plan { copies, ..plan("web", "0 2 * * *") }]);
    rig.roles = vec![role(DR)];
    rig.tick = secs(5);
    rig
}

/// The registered images of an account in a region, of ours.
pub fn images_in(rig: &Rig, account: &str, region: &str) -> Vec<String> {
    let (place, now) = (Place::new(account, region), rig.clock.now());
    let world = rig.world();
    let there = world.images.values().filter(|i| i.place == place && i.registered());
    there.filter(|i| i.state(now) == ImageState::Available).map(|i| i.id.clone()).collect()
}

/// All that is lent: images and snapshots that others may use, tags that say so, grants.
pub fn lent(rig: &Rig) -> Vec<String> {
    let world = rig.world();
    let mut lent = Vec::new();
    for image in world.images.values().filter(|i| i.registered()) {
        lent.extend(image.lent.iter().map(|who| format!("{} to {who}", image.id)));
        lent.extend(
            image.tags.keys().filter(|k| k.starts_with("stillframe:lent")).map(|k| format!("{}: {k}", image.id)),
        );
    }
    for snapshot in world.snapshots.values() {
        lent.extend(snapshot.lent.iter().map(|who| format!("{} to {who}", snapshot.id)));
        let tags = snapshot.tags.keys().filter(|k| k.starts_with("stillframe:lent"));
        lent.extend(tags.map(|k| format!("{}: {k}", snapshot.id)));
    }
    for key in world.keys.values() {
        lent.extend(key.grants.iter().map(|grant| format!("{} by {}", grant.grantee, key.arn)));
    }
    lent
}

/// Who may use an image or a snapshot. The world is not held meanwhile, so that a test that fails can tell its story.
pub fn users(rig: &Rig, id: &str) -> BTreeSet<Grantee> {
    super::watch::lent(&rig.world(), id)
}

/// How the only run ended, with its reason.
pub fn ended(rig: &Rig) -> Vec<(String, String)> {
    let events = rig.events.borrow();
    let ends = events.iter().filter(|e| e.draft.kind == Kind::RunFinished);
    ends.map(|e| (e.text("outcome").unwrap_or_default().into(), e.text("reason").unwrap_or_default().into())).collect()
}

/// Until an event is told for which `when` holds; a process that dies is not started again.
pub async fn until(rig: &mut Rig, when: impl Fn(&Event) -> bool + 'static) {
    let told = std::rc::Rc::new(std::cell::Cell::new(false));
    let hears = std::rc::Rc::clone(&told);
    rig.script.once(when, move || hears.set(true));
    for _ in 0..7200 {
        rig.run(secs(1)).await;
        if told.get() {
            return;
        }
    }
    panic!("it never came\n{}", rig.story());
}

fn done(rig: &Rig) {
    assert_eq!(ended(rig), [("done".to_owned(), String::new())], "{}", rig.story());
}

#[tokio::test(start_paused = true)]
async fn a_copy_in_another_region() {
    let mut rig = rig_of(2, "", vec![copy_to(AWAY, None)]);
    rig.start();
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    done(&rig);
    assert_eq!(images_in(&rig, ACCOUNT, AWAY).len(), 2, "{}", rig.story());
    assert_eq!(rig.calls("CopyImage").len(), 2, "{}", rig.story());
    assert_eq!(lent(&rig), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_copy_in_another_account_takes_back_what_it_lent() {
    for key in ["", "alias/own"] {
        let mut rig = rig_of(2, key, vec![across()]);
        rig.start();
        rig.run(mins(40)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        done(&rig);
        assert_eq!(images_in(&rig, DR, AWAY).len(), 2, "{key}\n{}", rig.story());
        assert_eq!(lent(&rig), Vec::<String>::new(), "{key}\n{}", rig.story());
        let given = rig.events.borrow().iter().filter(|e| e.draft.kind == Kind::LoanGiven).count();
        let returned = rig.events.borrow().iter().filter(|e| e.draft.kind == Kind::LoanReturned).count();
        assert_eq!((given, returned), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn the_key_that_aws_manages_goes_by_way_of_another_one() {
    let via = CopyTo { via_key: Some("alias/lend".into()), ..across() };
    let mut rig = rig_of(1, "alias/aws/ebs", vec![via]);
    rig.start();
    rig.run(mins(60)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    done(&rig);
    assert_eq!(images_in(&rig, DR, AWAY).len(), 1, "{}", rig.story());
    assert_eq!(images_in(&rig, ACCOUNT, REGION).len(), 1, "the temporary image is gone\n{}", rig.story());
    assert_eq!(lent(&rig), Vec::<String>::new(), "{}", rig.story());
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_done_reboots_nothing() {
    let mut rig = rig_of(1, "alias/aws/ebs", vec![across()]);
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.reboots()[&id(1)], 0, "{}", rig.story());
    let [(outcome, reason)] = &ended(&rig)[..] else { panic!("one run\n{}", rig.story()) };
    assert_eq!(outcome, "failed");
    assert!(reason.contains("via_key") && reason.contains("AWS manages"), "{reason}");
}

/// An account that is both copied to and shared with keeps its share; what a person gave stays.
#[tokio::test(start_paused = true)]
async fn a_share_outlives_the_copy_to_the_same_account() {
    let mut rig = rig_of(1, "alias/own", vec![across()]);
    rig.plans[0].schedule.cron = vec!["0,40 2 * * *".into()];
    rig.plans[0].share = Some(share(&[DR, FRIEND]));
    rig.start();
    rig.run(mins(3)).await;
    let image = rig.images_of(&id(1))[0].id.clone();
    let stranger = Grantee::Account("444444444444".into());
    let gave = Action::ModifyImageAttribute { image: image.clone(), add: vec![stranger.clone()], remove: vec![] };
    rig.act(&gave);
    rig.run(mins(77)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(ended(&rig).iter().filter(|(o, _)| o == "done").count(), 2, "{}", rig.story());
    let world = rig.world();
    let shared = [DR, FRIEND].map(|id| Grantee::Account(id.into()));
    let all = world.images.values().filter(|i| i.place == Place::new(ACCOUNT, REGION) && i.registered());
    for made in all {
        let wanted: BTreeSet<Grantee> =
            shared.iter().cloned().chain((made.id == image).then(|| stranger.clone())).collect();
        assert_eq!(made.lent, wanted, "{}", made.id);
        for snapshot in made.snapshots() {
            assert_eq!(world.snapshots[snapshot].lent, shared.clone().into(), "{snapshot}");
        }
    }
}

/// A destination that fails alone; the next run makes up for it, and the source stays until then.
#[tokio::test(start_paused = true)]
async fn a_destination_fails_alone_and_is_made_up_for() {
    let mut rig =
        rig_of(1, "alias/own", vec![across(), CopyTo { kms_key: Some("alias/own".into()), ..copy_to(AWAY, None) }]);
    rig.plans[0].schedule.cron = vec!["0,30 2 * * *".into(), "0 3 * * *".into()];
    rig.plans[0].keep = Keep { last: 1, ..Keep::default() };
    rig.plans[0].copies[0].keep = Keep { last: 3, ..Keep::default() };
    let backup =
        rig.world().keys.values().find(|k| k.place.account == DR && !k.aws_managed).expect("there").arn.clone();
    let set = |rig: &Rig, state: &str| rig.world().keys.get_mut(&backup).expect("there").state = state.into();
    set(&rig, "Disabled");
    rig.start();
    rig.run(mins(45)).await;
    let ends = ended(&rig);
    assert_eq!(ends.len(), 2, "{}", rig.story());
    for (outcome, reason) in &ends {
        assert_eq!(outcome, "failed");
        assert!(
            reason.starts_with("copy:dr/eu-west-1: ") && reason.contains("have no copy in dr/eu-west-1"),
            "{reason}"
        );
        assert!(reason.contains("aws kms enable-key"), "{reason}");
    }
    assert_eq!(images_in(&rig, ACCOUNT, AWAY).len(), 2, "the other destination is served\n{}", rig.story());
    assert_eq!(rig.images_of(&id(1)).len(), 2, "what is owed stays\n{}", rig.story());
    set(&rig, "Enabled");
    rig.run(mins(45)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(ended(&rig).last().map(|(o, _)| o.as_str()), Some("done"), "{}", rig.story());
    assert_eq!(images_in(&rig, DR, AWAY).len(), 3, "{}", rig.story());
    assert_eq!(rig.images_of(&id(1)).len(), 1, "nothing is owed any more\n{}", rig.story());
    assert_eq!(lent(&rig), Vec::<String>::new());
}

/// An engine that retires what is owed is seen doing it.
#[tokio::test(start_paused = true)]
async fn what_is_owed_is_watched() {
    for planted in [None, Some(Defect::RetiredWhileOwed)] {
        let mut rig = rig_of(1, "alias/own", vec![across()]);
        rig.plans[0].schedule.cron = vec!["0,30 2 * * *".into(), "0 3 * * *".into()];
        rig.plans[0].keep = Keep { last: 1, ..Keep::default() };
        rig.plans[0].copies[0].keep = Keep { last: 3, ..Keep::default() };
        for key in rig.world().keys.values_mut().filter(|k| k.place.account == DR) {
            key.state = "Disabled".into();
        }
        defect::plant(planted);
        rig.start();
        rig.run(mins(85)).await;
        rig.stop().await;
        defect::plant(None);
        let owed = rig.watch.broken().iter().filter(|b| b.what.contains("its copy to dr/eu-west-1 is owed")).count();
        assert_eq!(owed > 0, planted.is_some(), "{planted:?}: {:?}\n{}", rig.watch.broken(), rig.story());
    }
}

/// The process dies at every record of the whole chain.
#[tokio::test(start_paused = true)]
async fn after_every_record_of_the_chain() {
    let start = || {
        let via = CopyTo { via_key: Some("alias/lend".into()), ..across() };
        rig_of(1, "alias/aws/ebs", vec![via])
    };
    let mut whole = start();
    whole.start();
    whole.run(mins(60)).await;
    let records = whole.journal.written();
    for death in [Death::Before as fn(u32) -> Death, Death::After] {
        for k in 1..=records {
            let mut rig = start();
            rig.journal.dies(death(k));
            rig.start();
            rig.run_through(mins(80), secs(7)).await;
            rig.stop().await;
            let what = format!("{:?} ({})", death(k), whole.journal.words(k));
            let broken = promises::broken(&rig).await;
            assert!(broken.is_empty(), "{what}: broken promises:\n{}\n\n{}", broken.join("\n"), rig.story());
            let copies = images_in(&rig, DR, AWAY).len();
            assert_eq!((copies, images_in(&rig, ACCOUNT, REGION).len()), (1, 1), "{what}\n{}", rig.story());
            assert_eq!(lent(&rig), Vec::<String>::new(), "{what}\n{}", rig.story());
        }
    }
}
