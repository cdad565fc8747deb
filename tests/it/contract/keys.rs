//! Keys and grants.

use std::collections::BTreeSet;

use stillframe::cloud::classify::Class;
use stillframe::cloud::port::{Ask, CreateGrant, Effect};
use stillframe::sim::faults::FaultKind;
use stillframe::sim::people::Deed;

use super::case::{Case, case, done, faulty, of, refused};
use super::stage::Stage;

pub fn cases() -> Vec<Case> {
    vec![
        case!(a_key_is_found_by_each_of_its_names),
        case!(an_unknown_key_is_not_found, differs "answers HTTP 500 for unknown aliases" moto_knows_unknown_keys),
        case!(a_key_tells_who_manages_it_and_whether_it_is_on, not "moto disables no key by the ports"),
        case!(a_policy_is_json),
        case!(a_grant_is_made_once_listed_and_revoked, differs "makes a grant for each request" moto_makes_two_grants),
        case!(a_long_list_of_grants_comes_in_pages, differs "lists all at once" moto_lists_all_grants),
        case!(a_key_of_others_is_denied, not "moto asks no key policy"),
        case!(each_fault_of_kms_ends_as_a_client_sees_it, not "moto injects no faults; tests of servers that misbehave stand beside it"),
    ]
}

fn grant(stage: &Stage, name: &str) -> CreateGrant {
    CreateGrant {
        key: stage.key.clone(),
        grantee: stage.role.clone(),
        operations: ["Decrypt", "DescribeKey", "CreateGrant"].map(str::to_owned).into(),
        name: name.into(),
    }
}

async fn a_key_is_found_by_each_of_its_names(stage: &Stage) {
    let by_arn = stage.port.key(&stage.place, &stage.key).await.expect("found");
    assert_eq!((by_arn.arn.as_str(), by_arn.aws_managed), (stage.key.as_str(), false));
    assert_eq!((by_arn.state.as_str(), by_arn.symmetric), ("Enabled", true));
    let id = stage.key.rsplit('/').next().expect("an ARN has parts");
    for name in ["alias/backup", id] {
        assert_eq!(stage.port.key(&stage.place, name).await.as_ref(), Ok(&by_arn), "{name}");
    }
    assert_eq!(stage.governed.key(&stage.place, &stage.key).await, Ok(by_arn));
}

async fn an_unknown_key_is_not_found(stage: &Stage) {
    moto_knows_unknown_keys(stage).await;
    let fault = stage.port.key(&stage.place, "alias/nobody").await.expect_err("unknown");
    assert_eq!(faulty(fault), of(Class::NotFound, "NotFoundException"));
}

async fn moto_knows_unknown_keys(stage: &Stage) {
    let fault = stage.port.key(&stage.place, "00000000-0000-0000-0000-000000000000").await.expect_err("unknown");
    assert_eq!(faulty(fault), of(Class::NotFound, "NotFoundException"));
}

async fn a_key_tells_who_manages_it_and_whether_it_is_on(stage: &Stage) {
    let managed = stage.port.key(&stage.place, "alias/aws/ebs").await.expect("in each region");
    assert!(managed.aws_managed && managed.symmetric && managed.state == "Enabled", "{managed:?}");
    stage.person(Deed::DisableKey(stage.key.clone())).await;
    assert_eq!(stage.port.key(&stage.place, &stage.key).await.expect("still there").state, "Disabled");
    let end = refused(stage.port.create_grant(&stage.place, &grant(stage, "off")).await);
    assert_eq!(end, of(Class::WrongState, "DisabledException"));
    stage.person(Deed::EnableKey(stage.key.clone())).await;
    done(stage.port.create_grant(&stage.place, &grant(stage, "on")).await);
}

async fn a_policy_is_json(stage: &Stage) {
    let text = stage.port.key_policy(&stage.place, &stage.key).await.expect("readable");
    let policy: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(policy["Statement"].is_array(), "{text}");
}

async fn a_grant_is_made_once_listed_and_revoked(stage: &Stage) {
    let (port, place) = (&stage.port, &stage.place);
    let request = grant(stage, "stillframe-prod-1");
    let id = done(port.create_grant(place, &request).await);
    assert_eq!(done(port.create_grant(place, &request).await), id, "of the same name and all");
    let other = done(port.create_grant(place, &grant(stage, "stillframe-prod-2")).await);
    assert_ne!(other, id);
    let listed = stage.governed.grants(place, &stage.key).await.expect("listed");
    let found = listed.iter().find(|g| g.id == id).expect("it is there");
    assert_eq!(found.name.as_ref(), Some(&request.name));
    assert_eq!((&found.grantee, &found.operations), (&request.grantee, &request.operations));
    assert_eq!(listed.len(), 2);
    done(port.revoke_grant(place, &stage.key, &id).await);
    let left = stage.governed.grants(place, &stage.key).await.expect("listed");
    assert_eq!(left.iter().map(|g| &g.id).collect::<Vec<_>>(), [&other]);
    assert_eq!(refused(port.revoke_grant(place, &stage.key, &id).await).0, Class::NotFound);
}

async fn moto_makes_two_grants(stage: &Stage) {
    let request = grant(stage, "stillframe-prod-1");
    let id = done(stage.port.create_grant(&stage.place, &request).await);
    assert_ne!(done(stage.port.create_grant(&stage.place, &request).await), id);
    done(stage.port.revoke_grant(&stage.place, &stage.key, &id).await);
    let left = stage.governed.grants(&stage.place, &stage.key).await.expect("listed");
    assert_eq!((left.len(), left[0].name.as_ref()), (1, Some(&request.name)));
    assert_eq!((&left[0].grantee, &left[0].operations), (&request.grantee, &request.operations));
}

/// More than one page, which holds at most 100.
const MANY: usize = 120;

async fn many_grants(stage: &Stage) -> BTreeSet<String> {
    let mut made = BTreeSet::new();
    for n in 0..MANY {
        made.insert(done(stage.governed.create_grant(&stage.place, &grant(stage, &format!("g-{n}"))).await));
    }
    let listed = stage.governed.grants(&stage.place, &stage.key).await.expect("listed");
    assert_eq!(listed.len(), MANY);
    assert_eq!(listed.into_iter().map(|g| g.id).collect::<BTreeSet<_>>(), made);
    made
}

async fn a_long_list_of_grants_comes_in_pages(stage: &Stage) {
    many_grants(stage).await;
    let first = stage.port.grants(&stage.place, &stage.key, Ask::FIRST).await.expect("listed");
    assert!(first.items.len() == 100 && first.next.is_some(), "{} and {:?}", first.items.len(), first.next);
}

async fn moto_lists_all_grants(stage: &Stage) {
    many_grants(stage).await;
    assert_eq!(stage.port.grants(&stage.place, &stage.key, Ask::FIRST).await.map(|page| page.next), Ok(None));
}

async fn a_key_of_others_is_denied(stage: &Stage) {
    let beside = stillframe::domain::place::Place::new(stage.there.account.clone(), stage.place.region.clone());
    let fault = stage.port.key(&beside, &stage.key).await.expect_err("not theirs");
    assert_eq!(faulty(fault), of(Class::Denied, "AccessDeniedException"));
    let told = stage.governed.key(&beside, &stage.key).await.expect_err("not theirs").message;
    assert!(
        told.contains("key policy counts") && told.contains("kms:DescribeKey") && told.contains(&stage.key),
        "{told}"
    );
    done(stage.port.create_grant(&stage.place, &grant(stage, "let-them")).await);
    stage.pass(60.0).await; // grants take time
    assert_eq!(stage.port.key(&beside, &stage.key).await.map(|key| key.arn).as_deref(), Ok(stage.key.as_str()));
}

async fn each_fault_of_kms_ends_as_a_client_sees_it(stage: &Stage) {
    let table = [
        (FaultKind::Throttle, Class::Throttled),
        (FaultKind::Denied, Class::Denied),
        (FaultKind::Expired, Class::Expired),
        (FaultKind::BadKey, Class::Credentials),
        (FaultKind::ErrorBefore, Class::Transient),
        (FaultKind::CutBefore, Class::Transient),
        (FaultKind::CutAfter, Class::Transient),
    ];
    for (n, (kind, class)) in table.into_iter().enumerate() {
        stage.fault("DescribeKey", kind);
        assert_eq!(stage.port.key(&stage.place, &stage.key).await.map_err(|f| f.class), Err(class), "{kind:?}");
        stage.fault("CreateGrant", kind);
        let end = stage.port.create_grant(&stage.place, &grant(stage, &format!("g-{n}"))).await;
        match end {
            Effect::Done { .. } => panic!("{kind:?}: done"),
            Effect::Refused(fault) => assert!(fault.class == class && class != Class::Transient, "{kind:?}: {fault:?}"),
            Effect::Unknown(fault) => assert!(fault.class == class && class == Class::Transient, "{kind:?}: {fault:?}"),
        }
    }
    let there = stage.governed.grants(&stage.place, &stage.key).await.expect("listed");
    assert_eq!(there.len(), 1, "only the one whose answer was lost");
}
