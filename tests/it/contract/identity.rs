//! Who we are.

use stillframe::cloud::classify::Class;
use stillframe::sim::faults::FaultKind;

use super::case::{Case, case, faulty};
use super::stage::Stage;

pub fn cases() -> Vec<Case> {
    vec![case!(the_key_tells_its_account), case!(a_key_that_does_not_hold_is_told_apart, not "moto checks no keys")]
}

async fn the_key_tells_its_account(stage: &Stage) {
    let caller = stage.port.whoami().await.expect("an answer");
    assert_eq!(caller.account, stage.place.account);
    let (prefix, account) = ("arn:aws:", format!(":{}:", stage.place.account));
    assert!(caller.arn.starts_with(prefix) && caller.arn.contains(&account), "{}", caller.arn);
    assert_eq!(stage.port.home_region().as_deref(), Some(stage.place.region.as_str()));
    assert_eq!(stage.governed.home_region().as_deref(), Some(stage.place.region.as_str()));
    assert_eq!(stage.governed.whoami().await, Ok(caller));
}

async fn a_key_that_does_not_hold_is_told_apart(stage: &Stage) {
    for (kind, class) in [
        (FaultKind::Expired, Class::Expired),
        (FaultKind::BadKey, Class::Credentials),
        (FaultKind::Denied, Class::Denied),
    ] {
        stage.fault("GetCallerIdentity", kind);
        assert_eq!(faulty(stage.port.whoami().await.expect_err("refused")).0, class, "{kind:?}");
    }
    stage.fault("GetCallerIdentity", FaultKind::CutBefore);
    let fault = stage.port.whoami().await.expect_err("cut");
    assert_eq!((fault.class, fault.request_id), (Class::Transient, None));
    assert_eq!(stage.port.whoami().await.map(|caller| caller.account), Ok(stage.place.account.clone()));
}
