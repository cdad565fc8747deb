//! Copies of images.

use super::*;

#[test]
fn a_copy_is_an_image_of_its_own() {
    let mut rig = Rig::with(|fleet| fleet.regions.push("eu-west-1".into()));
    let id = rig.id("db-2");
    let source = rig.image(&id, "source");
    let copy = |name: &str, token: &str| Action::CopyImage {
        source_image: source.clone(),
        source_region: REGION.into(),
        name: name.into(),
        description: None,
        encrypted: None,
        kms_key: None,
        copy_tags: Some(true),
        client_token: Some(token.into()),
        tags: vec![spec("image", &[("A", "mine")])],
    };
    let me = Caller::new("111111111111");
    let mut there = |now, action| rig.world.call(now, &me, "eu-west-1", &action).map_err(|e| e.code);
    assert_eq!(there(t0(), copy("source", "t")), Err("InvalidAMIID.Unavailable".into()));
    let later = t0() + Duration::seconds(20);
    let Ok(Answer::Image(made)) = there(later, copy("source", "t")) else { panic!() };
    assert_eq!(there(later, copy("source", "t")), Ok(Answer::Image(made.clone())), "the same token is the same copy");
    assert_eq!(there(later, copy("other", "t")), Err("IdempotentParameterMismatch".into()));
    assert_eq!(there(later, copy("source", "u")), Err("InvalidAMIName.Duplicate".into()));
    let stranger = rig.world.call(later, &Caller::new("222222222222"), "eu-west-1", &copy("theirs", "v"));
    assert_eq!(stranger.unwrap_err().code, "InvalidAMIID.NotFound");
    let made = &rig.world.images[&made];
    assert_eq!((made.source_image.as_deref(), made.source_instance.as_deref()), (Some(source.as_str()), None));
    assert_eq!(made.tags["A"], "mine");
    assert_eq!(made.mappings.len(), 2);
    assert_ne!(made.mappings, rig.world.images[&source].mappings);
}

#[test]
fn a_region_copies_a_hundred_images_at_once() {
    let mut rig = Rig::with(|fleet| fleet.regions.push("eu-west-1".into()));
    let id = rig.id("web-1");
    let source = rig.image(&id, "source");
    let now = rig.wait(20).now;
    let mut copy = |n: usize, seconds: i64| {
        let deed = Deed::Copy { image: source.clone(), region: "eu-west-1".into(), name: format!("copy {n}") };
        rig.world.person(now + Duration::seconds(seconds), &Place::new("111111111111", REGION), &deed)
    };
    assert!((0..100).all(|n| copy(n, 0).is_ok()));
    assert_eq!(copy(100, 0).unwrap_err().code, "ResourceLimitExceeded");
    assert!(copy(100, 60).is_ok());
}

/// EC2 guide, "Ensuring idempotency": every parameter counts.
#[test]
fn a_token_is_one_request_whole() {
    let mut rig = several();
    let image = rig.ready("plain");
    let asked = |change: fn(&mut Action)| {
        let mut action = copy(&image, "copy", Some(true), Some("alias/own"));
        if let Action::CopyImage { client_token, tags, .. } = &mut action {
            *client_token = Some("token".into());
            *tags = both(&[("a", "b")]);
        }
        change(&mut action);
        action
    };
    let me = Caller::new(OWNER);
    let first = rig.copied(&me, REGION, &asked(|_| {}));
    let changes: [fn(&mut Action); 4] = [
        |action| {
            if let Action::CopyImage { tags, .. } = action {
                *tags = both(&[("a", "c")]);
            }
        },
        |action| {
            if let Action::CopyImage { kms_key, .. } = action {
                *kms_key = Some("alias/open".into());
            }
        },
        |action| {
            if let Action::CopyImage { description, .. } = action {
                *description = Some("other".into());
            }
        },
        |action| {
            if let Action::CopyImage { encrypted, kms_key, .. } = action {
                (*encrypted, *kms_key) = (None, None);
            }
        },
    ];
    for change in changes {
        assert_eq!(rig.ends(&me, REGION, &asked(change)), "IdempotentParameterMismatch", "{:?}", asked(change));
    }
    assert_eq!(rig.copied(&me, REGION, &asked(|_| {})), first);
    assert_ne!(rig.copied(&me, AWAY, &asked(|_| {})), first, "another region has tokens of its own");
    rig.call(deregister(&first)).unwrap();
    assert_eq!(rig.copied(&me, REGION, &asked(|_| {})), first, "also when it is gone");
    let long = |action: &mut Action| {
        if let Action::CopyImage { client_token, .. } = action {
            *client_token = Some("t".repeat(65));
        }
    };
    assert_eq!(rig.ends(&me, REGION, &asked(long)), "InvalidParameterValue");
}

#[test]
fn a_copy_takes_its_own_time() {
    let mut rig = several_with(|fleet| fleet.copy_seconds = Some([1000.0, 1000.0]));
    let image = rig.ready("plain");
    let made = rig.copied(&Caller::new(OWNER), AWAY, &copy(&image, "copy", None, None));
    assert_eq!(rig.wait(999).image_state(&made), ImageState::Pending);
    assert_eq!(rig.wait(1).image_state(&made), ImageState::Available);
}

#[test]
fn harsh_trouble_makes_grants_late_and_fails_copies_for_their_key_once() {
    let mut rig = several_with(|fleet| fleet.image_seconds = [1.0, 1.0]);
    let image = rig.ready("own");
    rig.world.trouble.profile = crate::sim::trouble::Profile::Harsh;
    let key = rig.key(OWNER, REGION, "alias/own");
    for n in 0..200 {
        let id = rig.copied(&Caller::new(OWNER), REGION, &copy(&image, &format!("copy {n}"), None, None));
        rig.world.complete(rig.now);
        let made = &rig.world.images[&id];
        let for_key = made.reason.is_some();
        assert!(!for_key || n == 0, "only the first of an image can fail for its key: {:?}", made.reason);
        let grant = Action::CreateGrant {
            key: key.clone(),
            grantee: ROLE.into(),
            operations: vec!["Decrypt".into()],
            name: Some(format!("grant-{n}")),
        };
        rig.call(grant).unwrap();
    }
    let late = rig.world.keys[&key].grants.iter().filter(|g| g.works - g.created > Duration::seconds(5)).count();
    assert!((10..60).contains(&late), "{late} of 200 grants are late");
    // Of many images, the first copy of some fails.
    let mut failed = 0;
    for n in 0..100 {
        let id = rig.id("own");
        let source = rig.image(&id, &format!("image {n}"));
        rig.world.complete(rig.now);
        rig.world.images.get_mut(&source).unwrap().fails = false;
        for snapshot in rig.snapshots_of(&source) {
            rig.world.snapshots.get_mut(&snapshot).unwrap().fails = false;
        }
        let made =
            rig.copied(&Caller::new(OWNER), AWAY, &copy(&source, &format!("of {n}"), Some(true), Some("alias/own")));
        failed += usize::from(rig.world.images[&made].reason.is_some());
        rig.world.complete(rig.now);
        rig.wait(60);
    }
    assert!((1..20).contains(&failed), "{failed} of 100");
    let counted = usize::try_from(rig.world.trouble.injected["copy_key_failed"]).unwrap();
    assert_eq!(counted, failed + usize::from(first_failed(&rig)));
}

/// Whether the first of the copies in the home region was unlucky too.
fn first_failed(rig: &Rig) -> bool {
    rig.world.images.values().any(|i| i.name == "copy 0" && i.reason.is_some())
}
