//! Requests and the world as a whole: tags, buckets, faults, speed, what is saved.

use super::*;

#[test]
fn tags_are_limited_and_all_or_nothing() {
    let mut rig = Rig::new();
    let (web, db) = (rig.id("web-1"), rig.id("db-1"));
    let put = |resources: &[&str], key: &str| Action::CreateTags {
        resources: resources.iter().map(|r| (*r).to_owned()).collect(),
        tags: vec![(key.into(), "v".into())],
    };
    assert_eq!(rig.code(put(&[&web, "ami-00000000000000000"], "k")), "InvalidAMIID.NotFound");
    assert!(!rig.world.instances[&web].tags.contains_key("k"));
    assert_eq!(rig.code(put(&[&web, &db], "k")), "ok");
    assert_eq!(rig.code(put(&[&web], "AWS:k")), "InvalidParameterValue");
    for n in 0..46 {
        assert_eq!(rig.code(put(&[&web], &format!("k{n}"))), "ok");
    }
    assert_eq!(rig.code(put(&[&web], "k46")), "TagLimitExceeded");
    let drop = |value: Option<&str>| Action::DeleteTags {
        resources: vec![web.clone()],
        tags: vec![("k".into(), value.map(str::to_owned))],
    };
    rig.call(drop(Some("other"))).unwrap();
    assert!(rig.world.instances[&web].tags.contains_key("k"));
    rig.call(drop(None)).unwrap();
    assert!(!rig.world.instances[&web].tags.contains_key("k"));
}

#[test]
fn buckets_empty_and_refill_as_documented() {
    let mut rig = Rig::new();
    let me = Caller::new("111111111111");
    // (action, burst, refilled after a second)
    let named = images(&[("name", &["x"])]);
    let bare = Action::DescribeInstances(Listing::default());
    let delete = Action::DeleteSnapshot { snapshot: "snap-00000000000000000".into() };
    let reboot = Action::RebootInstances { instances: vec![] };
    for (action, burst, refill) in [(named, 100, 20), (bare, 50, 10), (delete, 100, 5), (reboot, 50, 5)] {
        for (at, want) in [(t0(), burst), (t0() + Duration::seconds(1), refill)] {
            let mut passed = 0;
            while !matches!(rig.world.serve(at, &me, REGION, &action).outcome, Err(e) if e == ApiError::throttled()) {
                passed += 1;
            }
            assert_eq!(passed, want, "{action:?}");
        }
    }
    rig.world.throttling = false;
    assert!(rig.world.serve(t0(), &me, REGION, &images(&[])).outcome.is_ok());
}

#[test]
fn faults_hit_before_or_after_the_effect_and_are_logged() {
    let mut rig = Rig::new();
    let me = Caller::new("111111111111");
    let id = rig.id("web-1");
    let kinds = [
        (FaultKind::Throttle, false, "RequestLimitExceeded", Delivery::Now),
        (FaultKind::ErrorBefore, false, "InternalError", Delivery::Now),
        (FaultKind::ErrorAfter, true, "InternalError", Delivery::Now),
        (FaultKind::CutBefore, false, "cut", Delivery::Cut),
        (FaultKind::CutAfter, true, "cut", Delivery::Cut),
        (FaultKind::HangAfter { seconds: 9.0 }, true, "ok", Delivery::Late(9.0)),
    ];
    for (n, (kind, effect, result, delivery)) in kinds.into_iter().enumerate() {
        rig.world.faults.push(Fault::once("CreateImage", kind));
        let before = rig.world.images.len();
        let reply = rig.world.serve(rig.now, &me, REGION, &create(&id, &format!("image {n}")));
        assert_eq!(reply.delivery, delivery, "{kind:?}");
        assert_eq!(rig.world.images.len() - before, usize::from(effect), "{kind:?}");
        let call = rig.world.calls.of("CreateImage").next_back().unwrap();
        assert_eq!((call.result.as_str(), call.effect), (result, effect), "{kind:?}");
        assert_eq!(call.parameters["NoReboot"], "false");
        assert_eq!(call.parameters["TagSpecification.2.Tag.1.Key"], "A");
        rig.wait(60);
    }
    assert!(rig.world.faults.is_empty());
}

#[test]
fn speed_divides_durations() {
    let mut rig = Rig::with(|fleet| fleet.speed = 100.0);
    let id = rig.id("web-1");
    let image = rig.image(&id, "quick");
    rig.now += Duration::milliseconds(101);
    assert_eq!(rig.image_state(&image), ImageState::Available);
}

#[test]
fn a_saved_world_is_the_same_world() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new();
    let id = rig.id("db-1");
    rig.image(&id, "saved");
    rig.world.faults.push(Fault::once("CreateImage", FaultKind::CutAfter));
    crate::sim::save::save(dir.path(), &rig.world).unwrap();
    let mut read = crate::sim::save::load(dir.path()).unwrap().unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(&rig.world).unwrap());
    rig.wait(60);
    let error = read.call(rig.now, &Caller::new("111111111111"), REGION, &create(&id, "saved")).unwrap_err();
    assert_eq!(error.code, "InvalidAMIName.Duplicate");
    let mut shared = several();
    let image = shared.ready("open");
    shared.lend(&image);
    shared.copied(&role(), AWAY, &copy(&image, "copy", Some(true), Some("alias/theirs")));
    crate::sim::save::save(dir.path(), &shared.world).unwrap();
    let read = crate::sim::save::load(dir.path()).unwrap().unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(&shared.world).unwrap());
    std::fs::write(dir.path().join(crate::sim::save::FILE), "{").unwrap();
    let message = crate::sim::save::load(dir.path()).unwrap_err().to_string();
    assert!(message.contains("world.json: not a simulated world"), "{message}");
}

#[test]
fn impossible_fleets_are_refused() {
    for (text, want) in [
        (r#"{"regions":[],"image_seconds":[1,2],"reboot_seconds":1,"instances":[]}"#, "regions is empty"),
        (r#"{"regions":["r"],"image_seconds":[3,2],"reboot_seconds":1,"instances":[]}"#, "is not [min, max]"),
        (r#"{"regions":["r"],"image_seconds":[1,2],"reboot_seconds":1,"instances":[{"nam":"x"}]}"#, "unknown field"),
        (r#"{"regions":["r"],"image_seconds":[1,2],"reboot_seconds":1,"instances":[{"id":"i-1"}]}"#, "17 hex"),
        (
            r#"{"regions":["r"],"image_seconds":[1,2],"reboot_seconds":1,"instances":[{"region":"q"}]}"#,
            "not in regions",
        ),
        (
            r#"{"regions":["r"],"image_seconds":[1,2],"reboot_seconds":1,"instances":[{"kms_key":"alias/x"}]}"#,
            "there is no key alias/x in 111111111111/r",
        ),
        (
            r#"{"regions":["r"],"image_seconds":[1,2],"reboot_seconds":1,"keys":[{"alias":"x"}],"instances":[]}"#,
            "an alias begins with alias/",
        ),
        (
            r#"{"regions":["r"],"image_seconds":[1,2],"reboot_seconds":1,"accounts":[{"id":"1"}],"instances":[]}"#,
            "account 1 is not twelve digits",
        ),
        (r#"{"regions":["r"],"speed":0,"image_seconds":[1,2],"reboot_seconds":1,"instances":[]}"#, "speed 0"),
    ] {
        let error = Fleet::from_json(text).and_then(|fleet| fleet.world(t0())).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn a_fleet_names_accounts_and_keys() {
    let text = r#"{"regions":["r"],"image_seconds":[1,2],"reboot_seconds":1,"copy_seconds":[3,4],
        "accounts":[{"id":"222222222222","organization":"o-abc/r-1",
            "roles":[{"name":"stillframe","external_id":"x","trusts":["111111111111"],"denied":["ec2:CopyImage"]}],
            "regions":{"r":{"encrypts_by_default":true,"allowed_images":"enabled","image_providers":["111111111111"]}}}],
        "keys":[{"id":"k-1","alias":"alias/web","policy":{"Statement":[]}},{"account":"222222222222","state":"Disabled"}],
        "instances":[{"name":"web","kms_key":"alias/web","product_codes":true},{"name":"ebs","kms_key":"alias/aws/ebs"}]}"#;
    let world = Fleet::from_json(text).and_then(|fleet| fleet.world(t0())).unwrap();
    assert!(world.keys.contains_key("arn:aws:kms:r:111111111111:key/k-1"));
    let under = |name: &str| {
        let instance = world.instances.values().find(|i| i.tags["Name"] == name).unwrap();
        world.volumes[&instance.volumes[0].1].key.clone().unwrap()
    };
    assert_eq!(under("web"), "arn:aws:kms:r:111111111111:key/k-1");
    assert_eq!(Some(under("ebs")), world.find_key(&Place::new(OWNER, "r"), "alias/aws/ebs").map(|key| key.arn));
    assert!(world.accounts[THEIRS].regions["r"].encrypts_by_default);
}
