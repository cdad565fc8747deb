//! With whose credentials the ports ask, and what they make of refusals.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeZone as _, Utc};

use crate::clock::Clock;
use crate::cloud::classify::Class;
use crate::cloud::port::{
    Ask, Change, CreateGrant, CreateImage, Distribution, DryRun, Ec2, Effect, Identity, ImageQuery, Keys, Role,
};
use crate::cloud::port::{CopyImage, Fault as PortFault};
use crate::domain::observed::Tags;
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;
use crate::sim::account::{SimAccount, SimRole};
use crate::sim::faults::{Fault, FaultKind};
use crate::sim::fleet::{FleetKey, Member};
use crate::sim::keyring::EBS_OPERATIONS;
use crate::sim::{Fleet, SimCloud};

const ROLE: &str = "arn:aws:iam::222222222222:role/stillframe";

fn t0() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 2, 30, 0).unwrap()
}

fn home() -> Place {
    Place::new("111111111111", "eu-central-1")
}

fn theirs() -> Place {
    Place::new("222222222222", "eu-west-1")
}

fn role(external_id: &str) -> Role {
    Role {
        account: "222222222222".into(),
        arn: ROLE.into(),
        external_id: Some(external_id.into()),
        session: "stillframe-test".into(),
    }
}

fn cloud(roles: Vec<Role>) -> SimCloud {
    let mut fleet = Fleet::demo();
    fleet.regions.push("eu-west-1".into());
    fleet.accounts.push(SimAccount {
        id: "222222222222".into(),
        roles: vec![SimRole {
            name: "stillframe".into(),
            external_id: Some("right".into()),
            trusts: vec!["111111111111".into()],
            denied: vec!["ec2:DeleteSnapshot".into()],
        }],
        ..SimAccount::default()
    });
    let key = |account: &str, region: &str| FleetKey {
        account: Some(account.into()),
        region: Some(region.into()),
        alias: Some("alias/backup".into()),
        ..FleetKey::default()
    };
    fleet.keys = vec![key("111111111111", "eu-central-1"), key("222222222222", "eu-west-1")];
    fleet.instances = vec![Member { kms_key: Some("alias/backup".into()), ..Member::default() }];
    SimCloud::new(fleet.world(t0()).unwrap(), Clock::simulated(t0())).with_roles(roles)
}

fn assumed(cloud: &SimCloud) -> usize {
    cloud.world().calls.of("AssumeRole").count()
}

fn done<T: std::fmt::Debug>(effect: Effect<T>) -> T {
    match effect {
        Effect::Done { value, .. } => value,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_is_assumed_for_its_account_alone_and_again_before_its_session_expires() {
    let cloud = cloud(vec![role("right")]);
    let own = cloud.whoami_in(&home()).await.unwrap();
    assert_eq!((own.account.as_str(), assumed(&cloud)), ("111111111111", 0));
    let there = cloud.whoami_in(&theirs()).await.unwrap();
    assert_eq!(there.account, "222222222222");
    assert_eq!(there.arn, "arn:aws:sts::222222222222:assumed-role/stillframe/stillframe-test");
    for (seconds, want) in [(0, 1), (3200, 1), (200, 2)] {
        cloud.clock().sleep(std::time::Duration::from_secs(seconds)).await;
        cloud.images(&theirs(), &ImageQuery::Names(vec!["x".into()]), Ask::FIRST).await.unwrap();
        assert_eq!(assumed(&cloud), want, "after {seconds} s more");
    }
    let call = cloud.world().calls.of("AssumeRole").next().cloned().unwrap();
    assert_eq!((call.account.as_str(), call.region.as_str()), ("111111111111", "eu-west-1"));
}

#[tokio::test(start_paused = true)]
async fn a_role_that_cannot_be_assumed_fails_what_is_its_own() {
    let cloud = cloud(vec![role("wrong")]);
    let fault: PortFault = cloud.whoami_in(&theirs()).await.unwrap_err();
    assert_eq!((fault.class, fault.code.as_str()), (Class::Denied, "AccessDenied"));
    assert!(fault.message.ends_with(&format!("sts:AssumeRole on resource: {ROLE}")), "{fault}");
    let Effect::Refused(fault) = cloud.untag(&theirs(), &["ami-1".into()], &["k".into()]).await else { panic!() };
    assert_eq!(fault.class, Class::Denied);
    assert!(cloud.whoami_in(&home()).await.is_ok());
}

/// What was to be done with the role was never sent, so it is not Unknown.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_assume_role_leaves_no_effect_unknown() {
    let cloud = cloud(vec![role("right")]);
    for kind in [FaultKind::CutAfter, FaultKind::ErrorAfter] {
        cloud.world().faults.push(Fault::once("AssumeRole", kind));
        let Effect::Refused(fault) = cloud.delete_snapshot(&theirs(), "snap-00000000000000000").await else { panic!() };
        assert_eq!(fault.class, Class::NeverSent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_tried_without_effect() {
    let cloud = cloud(vec![role("right")]);
    let instance = cloud.world().instances.keys().next().unwrap().clone();
    let snapshot = || "snap-00000000000000000".to_owned();
    for (place, request, want) in [
        (home(), DryRun::CreateImage { instance }, None),
        (home(), DryRun::DescribeImages, None),
        (theirs(), DryRun::DescribeImages, None),
        (home(), DryRun::DeleteSnapshot { snapshot: snapshot() }, Some(Class::NotFound)),
        (theirs(), DryRun::DeleteSnapshot { snapshot: snapshot() }, Some(Class::Denied)),
    ] {
        let got = cloud.try_out(&place, &request).await.err().map(|fault| fault.class);
        assert_eq!(got, want, "{request:?} in {place}");
    }
    assert!(cloud.world().images.is_empty());
}

/// The four steps of a careful operator, through the ports.
#[tokio::test(start_paused = true)]
async fn an_image_is_lent_copied_by_the_role_and_taken_back() {
    let cloud = cloud(vec![role("right")]);
    let instance = cloud.world().instances.keys().next().unwrap().clone();
    let create = CreateImage {
        instance,
        name: "source".into(),
        description: String::new(),
        no_reboot: false,
        tags: Tags::new(),
    };
    let image = done(cloud.create_image(&home(), &create).await);
    let wait = async || cloud.clock().sleep(std::time::Duration::from_secs(60)).await;
    wait().await;
    let key = cloud.key(&home(), "alias/backup").await.unwrap();
    let query = ImageQuery::Ids(vec![image.clone()]);
    let snapshot = cloud.images(&home(), &query, Ask::FIRST).await.unwrap().items[0].snapshots[0].clone();
    let to = || BTreeSet::from([Grantee::Account("222222222222".into())]);
    let lend = Change::Add(to());
    let back = Change::Remove(to());
    let grant = CreateGrant {
        key: key.arn.clone(),
        grantee: ROLE.into(),
        operations: EBS_OPERATIONS.iter().map(|op| (*op).to_owned()).collect(),
        name: "stillframe-test".into(),
    };
    let request = CopyImage {
        source_image: image.clone(),
        source_region: "eu-central-1".into(),
        name: "source/copy".into(),
        description: String::new(),
        client_token: "token".into(),
        encrypted: true,
        kms_key: Some("alias/backup".into()),
        tags: Tags::from([("a".into(), "b".into())]),
    };
    let Effect::Refused(fault) = cloud.copy_image(&theirs(), &request).await else { panic!() };
    assert_eq!(fault.class, Class::NotFound);
    done(cloud.change_snapshot_permissions(&home(), &snapshot, &lend).await);
    done(cloud.change_image_permissions(&home(), &image, &lend).await);
    let granted = done(cloud.create_grant(&home(), &grant).await);
    let there = Place::new("222222222222", "eu-central-1");
    assert_eq!(cloud.key(&there, &key.arn).await.unwrap_err().class, Class::Denied);
    wait().await;
    assert_eq!(cloud.key(&there, &key.arn).await.unwrap(), key);
    let copy = done(cloud.copy_image(&theirs(), &request).await);
    wait().await;
    let made = cloud.images(&theirs(), &ImageQuery::Ids(vec![copy]), Ask::FIRST).await.unwrap().items.remove(0);
    assert_eq!((made.state.as_str(), made.source_image.as_deref()), ("available", Some(image.as_str())));
    let copied = cloud.snapshots(&theirs(), &made.snapshots, Ask::FIRST).await.unwrap().items;
    let sealed = cloud.key(&theirs(), "alias/backup").await.unwrap().arn;
    assert!(copied.iter().all(|s| s.key.as_ref() == Some(&sealed) && s.tags == request.tags));
    assert_eq!(cloud.grants(&home(), &key.arn, Ask::FIRST).await.unwrap().items[0].id, granted);
    done(cloud.revoke_grant(&home(), &key.arn, &granted).await);
    done(cloud.change_image_permissions(&home(), &image, &back).await);
    done(cloud.change_snapshot_permissions(&home(), &snapshot, &back).await);
    assert!(cloud.image_permissions(&home(), &image).await.unwrap().is_empty());
    assert!(cloud.snapshot_permissions(&home(), &snapshot).await.unwrap().is_empty());
    assert!(cloud.grants(&home(), &key.arn, Ask::FIRST).await.unwrap().items.is_empty());
}
