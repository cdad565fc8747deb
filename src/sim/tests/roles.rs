//! Roles: who may assume them, and what they may do.

use super::*;

fn assume(role: &str, session: &str, external_id: Option<&str>) -> Action {
    Action::AssumeRole { role: role.into(), session: session.into(), external_id: external_id.map(str::to_owned) }
}

#[test]
fn a_role_is_assumed_by_whom_it_trusts() {
    let mut rig = several();
    let (me, third) = (Caller::new(OWNER), Caller::new(THIRD));
    let none = "arn:aws:iam::222222222222:role/none";
    for (caller, action, want) in [
        (&me, assume(ROLE, "stillframe-test", Some(SECRET)), "ok"),
        (&me, assume(ROLE, "stillframe-test", None), "AccessDenied"),
        (&me, assume(ROLE, "stillframe-test", Some("wrong")), "AccessDenied"),
        (&third, assume(ROLE, "stillframe-test", Some(SECRET)), "AccessDenied"),
        (&me, assume(none, "stillframe-test", Some(SECRET)), "AccessDenied"),
        (&me, assume("not an ARN", "stillframe-test", Some(SECRET)), "AccessDenied"),
        (&me, assume(ROLE, "no spaces", Some(SECRET)), "ValidationError"),
    ] {
        assert_eq!(rig.ends(caller, AWAY, &action), want, "{action:?}");
    }
    let error = rig.by(&me, AWAY, &assume(ROLE, "s-1", None)).unwrap_err();
    assert_eq!(
        error.message,
        format!(
            "User: arn:aws:iam::111111111111:user/simulated is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
        )
    );
    let Ok(Answer::Session { key, arn, expires }) = rig.by(&me, AWAY, &assume(ROLE, "s-1", Some(SECRET))) else {
        panic!()
    };
    assert!(key.starts_with("ASIA") && key.len() == 20, "{key}");
    assert_eq!(arn, "arn:aws:sts::222222222222:assumed-role/stillframe/s-1");
    assert_eq!(expires - rig.now, Duration::hours(1));
    let who = rig.by(&Caller::assumed(THEIRS, ROLE, "s-1"), AWAY, &Action::GetCallerIdentity);
    assert_eq!(who, Ok(Answer::Identity { account: THEIRS.into(), arn }));
    let parameters = assume(ROLE, "s-1", Some(SECRET)).parameters();
    assert!(parameters.values().all(|value| !value.contains(SECRET)), "the call log does not tell the external id");
}

#[test]
fn a_role_may_do_all_but_what_is_denied() {
    let mut rig = several_with(|fleet| {
        fleet.accounts[0].roles[0].denied = vec!["ec2:CopyImage".into(), "kms:Describe*".into()];
    });
    let image = rig.ready("open");
    rig.lend(&image);
    let open = rig.key(OWNER, REGION, "alias/open");
    let copying = copy(&image, "copy", Some(true), Some("alias/theirs"));
    let listing = Action::DescribeInstances(Listing::default());
    for (action, want) in [
        (&copying, "UnauthorizedOperation"),
        (&Action::DescribeKey { key: open }, "AccessDeniedException"),
        (&listing, "ok"),
        (&Action::GetCallerIdentity, "ok"),
    ] {
        assert_eq!(rig.ends(&role(), REGION, action), want, "{action:?}");
    }
    let error = rig.by(&role(), REGION, &copying).unwrap_err();
    assert!(error.message.contains(":assumed-role/stillframe/stillframe-test is not authorized"), "{error}");
    let made = rig.copied(&Caller::new(THEIRS), REGION, &copying);
    assert_eq!(rig.outcome(&made), "available", "another principal of the account may");
    // What IAM does not allow the role, no key policy and no grant makes up for.
    rig.world.accounts.get_mut(THEIRS).unwrap().roles[0].denied = vec!["kms:Decrypt".into()];
    let made = rig.copied(&role(), REGION, &copy(&image, "again", Some(true), Some("alias/theirs")));
    assert!(rig.outcome(&made).ends_with("may not kms:Decrypt"), "{}", rig.outcome(&made));
}
