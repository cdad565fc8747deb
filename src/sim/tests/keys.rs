//! Keys and grants, by their owner and by others.

use super::*;

const OPERATIONS: [&str; 6] = crate::sim::keyring::EBS_OPERATIONS;

fn grant(key: &str, grantee: &str, name: &str, operations: &[&str]) -> Action {
    Action::CreateGrant {
        key: key.into(),
        grantee: grantee.into(),
        operations: operations.iter().map(|op| (*op).to_owned()).collect(),
        name: Some(name.into()),
    }
}

fn granted(answer: Result<Answer, ApiError>) -> String {
    match answer {
        Ok(Answer::Grant(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn revoke(key: &str, grant: &str) -> Action {
    Action::RevokeGrant { key: key.into(), grant: grant.into() }
}

#[test]
fn keys_are_described_to_whoever_may() {
    let mut rig = several();
    let arn = |name: &str| rig.key(OWNER, REGION, name);
    let (own, open, managed) = (arn("alias/own"), arn("alias/open"), arn("alias/aws/ebs"));
    let (away, id) = (rig.key(OWNER, AWAY, "alias/own"), own.rsplit('/').next().unwrap().to_owned());
    let alias = own.replace(&format!("key/{id}"), "alias/own");
    let me = Caller::new(OWNER);
    let (missing, denied) = ("NotFoundException", "AccessDeniedException");
    let table = [
        (&me, own.as_str(), "ok"),
        (&me, &id, "ok"),
        (&me, "alias/own", "ok"),
        (&me, &alias, "ok"),
        (&me, "alias/aws/ebs", "ok"),
        (&me, "alias/none", missing),
        (&me, "no-id", missing),
        (&me, &away, missing),
        (&role(), &open, "ok"),
        (&role(), &own, denied),
        (&role(), &managed, denied),
        (&role(), "alias/own", missing),
    ];
    for (caller, key, want) in table {
        assert_eq!(rig.ends(caller, REGION, &Action::DescribeKey { key: key.into() }), want, "{key}");
    }
    let Ok(Answer::Key(key)) = rig.by(&me, REGION, &Action::DescribeKey { key: managed.clone() }) else { panic!() };
    assert!(key.aws_managed && key.symmetric && key.state == "Enabled" && key.arn == managed);
    let policy = |key: &str| Action::GetKeyPolicy { key: key.into() };
    assert!(matches!(rig.by(&me, REGION, &policy(&own)), Ok(Answer::KeyPolicy(text)) if text.contains(":root")));
    assert_eq!(rig.ends(&role(), REGION, &policy(&open)), denied, "not across accounts");
    assert_eq!(rig.ends(&me, REGION, &policy("alias/own")), missing, "by no alias");
}

#[test]
fn a_grant_is_made_once_and_works_after_a_while() {
    let mut rig = several();
    let (me, own) = (Caller::new(OWNER), rig.key(OWNER, REGION, "alias/own"));
    let describe = Action::DescribeKey { key: own.clone() };
    let make = grant(&own, ROLE, "one", &OPERATIONS);
    let first = granted(rig.by(&me, REGION, &make));
    assert_eq!(granted(rig.by(&me, REGION, &make)), first, "the same name and parameters are the same grant");
    assert_ne!(granted(rig.by(&me, REGION, &grant(&own, ROLE, "one", &["Decrypt"]))), first);
    assert_eq!(rig.ends(&role(), REGION, &describe), "AccessDeniedException", "not yet");
    rig.wait(5);
    assert_eq!(rig.ends(&role(), REGION, &describe), "ok");
    assert_eq!(rig.ends(&Caller::new(THEIRS), REGION, &describe), "AccessDeniedException", "it is the role's");
    let second = granted(rig.by(&me, REGION, &grant(&own, "arn:aws:iam::222222222222:root", "two", &["DescribeKey"])));
    rig.wait(5);
    assert_eq!(rig.ends(&Caller::new(THEIRS), REGION, &describe), "ok", "the account's root is all of it");

    let list = |max, marker: Option<String>| Action::ListGrants { key: own.clone(), max, marker };
    let Ok(Answer::Grants(_, all)) = rig.by(&me, REGION, &list(None, None)) else { panic!() };
    assert_eq!((all.items.len(), all.next), (3, None));
    let (mut ids, mut marker) = (Vec::new(), None);
    loop {
        let Ok(Answer::Grants(key, page)) = rig.by(&me, REGION, &list(Some(2), marker)) else { panic!() };
        assert_eq!(key, own);
        ids.extend(page.items.into_iter().map(|g| g.id));
        marker = page.next;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(ids, all.items.iter().map(|g| g.id.clone()).collect::<Vec<_>>());
    assert_eq!(rig.ends(&role(), REGION, &list(None, None)), "AccessDeniedException");

    assert_eq!(rig.ends(&role(), REGION, &revoke(&own, &first)), "AccessDeniedException");
    assert_eq!(rig.ends(&me, REGION, &revoke(&own, &first)), "ok");
    assert_eq!(rig.ends(&me, REGION, &revoke(&own, &first)), "NotFoundException");
    assert_eq!(rig.ends(&role(), REGION, &describe), "ok", "by the other");
    rig.call(revoke(&own, &second)).unwrap();
    assert_eq!(rig.ends(&role(), REGION, &describe), "AccessDeniedException");
}

#[test]
fn grants_that_cannot_be_are_refused() {
    let mut rig = several();
    let home = Place::new(OWNER, REGION);
    let (me, own) = (Caller::new(OWNER), rig.key(OWNER, REGION, "alias/own"));
    let managed = rig.key(OWNER, REGION, "alias/aws/ebs");
    let decrypt = ["Decrypt"];
    let table = [
        (grant(&own, "arn:aws:iam::222222222222:role/none", "n", &decrypt), "InvalidArnException"),
        (grant(&own, "222222222222", "n", &decrypt), "InvalidArnException"),
        (grant(&own, "arn:aws:iam::444444444444:role/unknown-account", "n", &decrypt), "ok"),
        (grant(&own, ROLE, "no spaces", &decrypt), "ValidationException"),
        (grant(&own, ROLE, "n", &["Dekrypt"]), "ValidationException"),
        (grant(&own, ROLE, "n", &[]), "ValidationException"),
        (grant("alias/own", ROLE, "n", &decrypt), "NotFoundException"),
        (grant(&managed, ROLE, "n", &decrypt), "AccessDeniedException"),
    ];
    for (action, want) in table {
        assert_eq!(rig.ends(&me, REGION, &action), want, "{action:?}");
    }
    rig.world.person(rig.now, &home, &Deed::DisableKey("alias/own".into())).unwrap();
    assert_eq!(rig.code(grant(&own, ROLE, "n", &decrypt)), "DisabledException");
    assert_eq!(rig.code(Action::DescribeKey { key: own.clone() }), "ok", "a disabled key is described");
    rig.world.person(rig.now, &home, &Deed::EnableKey("alias/own".into())).unwrap();
    assert_eq!(rig.code(grant(&own, ROLE, "n", &decrypt)), "ok");
    let ebs = rig.world.person(rig.now, &home, &Deed::DisableKey("alias/aws/ebs".into()));
    assert_eq!(ebs.unwrap_err().code, "NotFoundException");
}

/// A copy by another account needs every operation of the source's key, from before its call until its end.
#[test]
fn a_copy_needs_its_grant_for_as_long_as_it_is_made() {
    let mut rig = several();
    let (own, image) = (rig.key(OWNER, REGION, "alias/own"), rig.ready("own"));
    rig.lend(&image);
    let made =
        |rig: &mut Rig, name: &str| rig.copied(&role(), REGION, &copy(&image, name, Some(true), Some("alias/theirs")));
    for missing in OPERATIONS {
        let rest: Vec<&str> = OPERATIONS.into_iter().filter(|op| *op != missing).collect();
        let id = granted(rig.call(grant(&own, ROLE, "most", &rest)));
        rig.wait(60);
        let copy = made(&mut rig, &format!("without {missing}"));
        assert!(rig.outcome(&copy).ends_with(&format!("may not kms:{missing}")), "{}", rig.outcome(&copy));
        rig.call(revoke(&own, &id)).unwrap();
    }
    let id = granted(rig.call(grant(&own, ROLE, "all", &OPERATIONS)));
    let early = made(&mut rig, "early");
    assert!(rig.outcome(&early).contains("AccessDenied"), "the grant does not work yet");
    rig.wait(5);
    let (kept, stopped) = (made(&mut rig, "kept"), rig.now);
    assert_eq!(rig.outcome(&kept), "available");
    rig.wait(60);
    let cut = made(&mut rig, "cut");
    assert!(rig.now > stopped);
    rig.call(revoke(&own, &id)).unwrap();
    assert_eq!(rig.image_state(&cut), ImageState::Failed, "{}", rig.outcome(&cut));
    assert_eq!(rig.image_state(&kept), ImageState::Available, "what is made is made");

    rig.world.revoking_stops_copies = false;
    let id = granted(rig.call(grant(&own, ROLE, "all", &OPERATIONS)));
    rig.wait(5);
    let spared = made(&mut rig, "spared");
    rig.call(revoke(&own, &id)).unwrap();
    assert_eq!(rig.outcome(&spared), "available");
}

#[test]
fn what_else_is_taken_back_stops_a_copy_too() {
    type Taken = fn(&mut Rig, &str);
    let table: [(&str, Taken); 3] = [
        ("the key", |rig, _| {
            let at = Place::new(OWNER, REGION);
            rig.world.person(rig.now, &at, &Deed::DisableKey("alias/open".into())).unwrap();
        }),
        ("a snapshot's permission", |rig, image| {
            let snapshot = rig.snapshots_of(image)[1].clone();
            let at = Place::new(OWNER, REGION);
            let deed = Deed::UnshareSnapshot { snapshot, account: THEIRS.into() };
            rig.world.person(rig.now, &at, &deed).unwrap();
        }),
        ("the image and its snapshots", |rig, image| {
            rig.call(deregister(image)).unwrap();
        }),
    ];
    for (what, take) in table {
        let mut rig = several();
        let image = rig.ready("open");
        rig.lend(&image);
        let made = rig.copied(&role(), AWAY, &copy(&image, "copy", Some(true), Some("alias/theirs")));
        assert_eq!(rig.outcome(&made), "available");
        take(&mut rig, &image);
        assert_eq!(rig.image_state(&made), ImageState::Failed, "{what}");
    }
}
