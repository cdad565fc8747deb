//! Roles of other accounts: whose credentials a place is asked with.

use stillframe::cloud::classify::Class;
use stillframe::cloud::port::{Ask, Effect, ImageQuery};
use stillframe::domain::place::Place;
use stillframe::sim::faults::FaultKind;

use super::case::{Case, case, faulty, of};
use super::stage::{EXTERNAL_ID, NO_SNAPSHOT, Stage};

pub fn cases() -> Vec<Case> {
    vec![
        case!(each_account_is_asked_with_its_own_credentials),
        case!(a_role_that_does_not_trust_us_says_what_is_missing, differs "lets everybody assume every role" moto_trusts_everybody),
        case!(a_request_whose_role_was_not_assumed_was_not_sent, not "moto injects no faults; tests of servers that misbehave stand beside it"),
        case!(one_session_serves_many_requests, not "moto does not say what was asked"),
    ]
}

/// An account whose role is configured, and does not trust us.
fn distrustful(stage: &Stage) -> Place {
    Place::new("333333333333", stage.place.region.clone())
}

async fn each_account_is_asked_with_its_own_credentials(stage: &Stage) {
    let here = stage.port.whoami_in(&stage.place).await.expect("ourselves");
    assert_eq!(Ok(&here), stage.port.whoami().await.as_ref());
    let there = stage.port.whoami_in(&stage.there).await.expect("the role");
    assert_eq!(there.account, stage.there.account);
    let arn = format!("arn:aws:sts::{}:assumed-role/stillframe/stillframe-test", stage.there.account);
    assert_eq!(there.arn, arn);
    assert_eq!(stage.governed.whoami_in(&stage.there).await, Ok(there));
    let found =
        stage.port.images(&stage.there, &ImageQuery::Names(vec!["*".into()]), Ask::FIRST).await.expect("listed");
    assert_eq!(found.items, []);
}

async fn a_role_that_does_not_trust_us_says_what_is_missing(stage: &Stage) {
    let place = distrustful(stage);
    let role = format!("arn:aws:iam::{}:role/stillframe", place.account);
    let fault = stage.port.whoami_in(&place).await.expect_err("no trust");
    assert_eq!((fault.class, fault.code.as_str()), (Class::Denied, "AccessDenied"));
    let end = stage.governed.delete_snapshot(&place, NO_SNAPSHOT).await;
    let Effect::Refused(fault) = end else { panic!("{end:?}") };
    assert_eq!((fault.class, fault.code.as_str()), (Class::Denied, "AccessDenied"));
    let us = stage.port.whoami().await.expect("ourselves").arn;
    for part in [&role, &us, "its trust policy must hold", "\"sts:AssumeRole\"", "\"sts:ExternalId\": \"EXTERNAL_ID\""]
    {
        assert!(fault.message.contains(part), "without {part}: {}", fault.message);
    }
    assert!(!format!("{fault:?}").contains(EXTERNAL_ID), "{fault:?} shows the external id");
    // The others go on.
    assert!(stage.port.whoami_in(&stage.there).await.is_ok());
}

async fn moto_trusts_everybody(stage: &Stage) {
    let place = distrustful(stage);
    assert_eq!(stage.port.whoami_in(&place).await.map(|caller| caller.account), Ok(place.account));
}

async fn a_request_whose_role_was_not_assumed_was_not_sent(stage: &Stage) {
    for (kind, class) in [
        (FaultKind::Throttle, Class::Throttled),
        (FaultKind::Expired, Class::Expired),
        (FaultKind::ErrorBefore, Class::NeverSent),
        (FaultKind::CutBefore, Class::NeverSent),
        (FaultKind::CutAfter, Class::NeverSent),
    ] {
        stage.fault("AssumeRole", kind);
        let end = stage.port.delete_snapshot(&stage.there, NO_SNAPSHOT).await;
        let Effect::Refused(fault) = end else { panic!("{kind:?}: {end:?}") };
        assert_eq!(fault.class, class, "{kind:?}: {fault}");
    }
    assert_eq!(stage.world().calls.of("DeleteSnapshot").count(), 0);
    let end = stage.port.delete_snapshot(&stage.there, NO_SNAPSHOT).await;
    let Effect::Refused(fault) = end else { panic!("{end:?}") };
    assert_eq!(faulty(fault), of(Class::NotFound, "InvalidSnapshot.NotFound"));
}

async fn one_session_serves_many_requests(stage: &Stage) {
    for _ in 0..3 {
        stage.port.whoami_in(&stage.there).await.expect("the role");
        stage.port.key(&stage.there, "alias/theirs").await.expect("their key");
        stage.port.default_key(&stage.there).await.expect("their default key");
    }
    let world = stage.world();
    let calls: Vec<_> = world.calls.of("AssumeRole").collect();
    assert_eq!(calls.len(), 1, "of all services together");
    assert_eq!(calls[0].parameters["RoleSessionName"], "stillframe-test");
    assert!(!format!("{calls:?}").contains(EXTERNAL_ID), "the log shows the external id");
}
