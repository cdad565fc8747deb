//! Images of instances, and their snapshots.

use super::*;

#[test]
fn an_image_reboots_a_running_instance_and_takes_its_time() {
    let mut rig = Rig::new();
    let id = rig.id("db-1");
    let image = rig.image(&id, "one");
    assert_eq!(rig.world.instances[&id].reboots, [rig.now]);
    assert_eq!(rig.image_state(&image), ImageState::Pending);
    for (after, checks, state) in [
        (0, ("initializing", "initializing"), ImageState::Pending),
        (1, ("initializing", "initializing"), ImageState::Pending),
        (1, ("ok", "ok"), ImageState::Pending),
        (2, ("ok", "ok"), ImageState::Pending),
        (7, ("ok", "ok"), ImageState::Available),
    ] {
        rig.wait(after);
        let instance = &rig.world.instances[&id];
        assert_eq!(instance.state(rig.now), InstanceState::Running, "a reboot leaves the state alone");
        assert_eq!(instance.checks(rig.now), checks);
        assert_eq!(rig.image_state(&image), state);
        let snapshots: Vec<_> = rig.world.snapshots.values().map(|s| s.state(rig.now)).collect();
        let want = if state == ImageState::Pending { "pending" } else { "completed" };
        assert_eq!(snapshots, [want, want], "one per volume, pending as long as the image is");
    }
    let made = &rig.world.images[&image];
    assert_eq!(made.source_instance.as_deref(), Some(id.as_str()));
    assert_eq!(made.tags, Tags::from([("A".into(), "1".into())]));
    let volumes: Vec<&str> = made.snapshots().map(|s| rig.world.snapshots[s].volume.as_str()).collect();
    let mapped: Vec<&str> = rig.world.instances[&id].volumes.iter().map(|(_, v)| v.as_str()).collect();
    assert_eq!(volumes, mapped);
    assert!(rig.world.snapshots.values().all(|s| s.tags == made.tags));
}

#[test]
fn create_image_refuses_what_ec2_refuses() {
    let mut rig = Rig::with(|fleet| {
        fleet.instances.push(Member { name: Some("store".into()), ebs_root: false, ..Member::default() });
    });
    let (id, store) = (rig.id("web-1"), rig.id("store"));
    rig.image(&id, "taken");
    rig.wait(60);
    let long = "n".repeat(129);
    let many: Vec<(String, String)> = (0..51).map(|n| (format!("k{n}"), String::new())).collect();
    let many = TagSpec { resource: "image".into(), tags: many };
    let table: Vec<(&str, &str, Vec<TagSpec>, &str)> = vec![
        (&id, "ab", vec![], "InvalidAMIName.Malformed"),
        (&id, &long, vec![], "InvalidAMIName.Malformed"),
        (&id, "at 02:30", vec![], "InvalidAMIName.Malformed"),
        (&id, "taken", vec![], "InvalidAMIName.Duplicate"),
        (&store, "fine", vec![], "InvalidParameterValue"),
        ("i-00000000000000000", "fine", vec![], "InvalidInstanceID.NotFound"),
        ("web-1", "fine", vec![], "InvalidInstanceID.Malformed"),
        (&id, "fine", vec![spec("instance", &[("a", "b")])], "InvalidParameterValue"),
        (&id, "fine", vec![spec("image", &[("aws:x", "b")])], "InvalidParameterValue"),
        (&id, "fine", vec![spec("image", &[("a", "b"), ("a", "c")])], "InvalidParameterValue"),
        (&id, "fine", vec![many], "TagLimitExceeded"),
        (&id, "fine ()[]./-'@_", both(&[("a", "b")]), "ok"),
    ];
    for (instance, name, tags, want) in table {
        let (instance, name) = (instance.to_owned(), name.to_owned());
        let before = rig.world.instances.get(&instance).map_or(0, |i| i.reboot_count());
        let action = Action::CreateImage { instance: instance.clone(), name, description: None, no_reboot: None, tags };
        let text = format!("{action:?}");
        assert_eq!(rig.code(action), want, "{text}");
        let after = rig.world.instances.get(&instance).map_or(0, |i| i.reboot_count());
        assert_eq!(after - before, usize::from(want == "ok"), "what is refused reboots nothing: {text}");
    }
}

#[test]
fn only_running_and_stopped_instances_are_imaged_and_only_running_ones_reboot() {
    let mut rig = Rig::new();
    let id = rig.id("web-1");
    rig.call(Action::StopInstances { instances: vec![id.clone()] }).unwrap();
    let error = rig.call(create(&id, "stopping")).unwrap_err();
    assert_eq!(error.message, "Instance is not in state 'running' or 'stopped'");
    rig.wait(1);
    rig.image(&id, "stopped");
    assert_eq!(rig.world.instances[&id].reboot_count(), 0);
    rig.wait(60);
    rig.call(Action::StartInstances { instances: vec![id.clone()] }).unwrap();
    assert_eq!(rig.code(create(&id, "pending")), "InvalidParameterValue");
    rig.wait(1);
    assert_eq!(rig.world.instances[&id].checks(rig.now).0, "initializing");
    let silent = Action::CreateImage {
        instance: id.clone(),
        name: "no reboot".into(),
        description: None,
        no_reboot: Some(true),
        tags: vec![],
    };
    rig.call(silent).unwrap();
    assert_eq!(rig.world.instances[&id].reboot_count(), 0);
    rig.wait(60);
    rig.image(&id, "running");
    assert_eq!(rig.world.instances[&id].reboot_count(), 1);
}

#[test]
fn scripted_instances_stay_impaired_and_fail_their_images() {
    let mut rig = Rig::new();
    let id = rig.id("web-1");
    let instance = rig.world.instances.get_mut(&id).unwrap();
    instance.traits.never_healthy = true;
    instance.traits.image_fails = true;
    assert_eq!(instance.checks(t0()), ("ok", "ok"), "until the next reboot");
    let image = rig.image(&id, "bad");
    rig.wait(60);
    assert_eq!(rig.world.instances[&id].checks(rig.now), ("ok", "impaired"));
    assert_eq!(rig.image_state(&image), ImageState::Failed);
    assert_eq!(rig.code(create(&id, "bad")), "InvalidAMIName.Duplicate", "a failed image holds its name");
    assert_eq!(rig.code(deregister(&image)), "ok");
}

#[test]
fn a_snapshot_lives_as_long_as_an_image_needs_it() {
    let mut rig = Rig::new();
    let id = rig.id("db-1");
    let first = rig.image(&id, "first");
    rig.wait(20);
    let snapshots: Vec<String> = rig.world.images[&first].snapshots().map(str::to_owned).collect();
    let shared = Action::RegisterImage {
        name: "second".into(),
        description: None,
        root_device: None,
        mappings: vec![("/dev/xvda".into(), snapshots[0].clone())],
        tags: vec![],
    };
    let Answer::Image(second) = rig.call(shared).unwrap() else { panic!() };
    let delete = |n: usize| Action::DeleteSnapshot { snapshot: snapshots[n].clone() };
    assert_eq!(rig.code(delete(1)), "InvalidSnapshot.InUse");
    let ends = rig.call(deregister(&first)).unwrap();
    let want = vec![(snapshots[0].clone(), "skipped"), (snapshots[1].clone(), "success")];
    assert_eq!(ends, Answer::Deregistered(want));
    assert_eq!(rig.code(delete(0)), "InvalidSnapshot.InUse");
    assert_eq!(rig.code(delete(1)), "InvalidSnapshot.NotFound");
    assert_eq!(rig.code(deregister(&first)), "InvalidAMIID.Unavailable");
    assert_eq!(rig.code(deregister("ami-00000000000000000")), "InvalidAMIID.NotFound");
    let kept = rig.call(Action::DeregisterImage { image: second, delete_snapshots: None }).unwrap();
    assert_eq!(kept, Answer::Deregistered(vec![]));
    assert_eq!(rig.code(delete(0)), "ok");
    assert!(rig.world.snapshots.is_empty());
}

#[test]
fn what_is_new_is_seen_late_but_its_name_is_taken_at_once() {
    let mut rig = Rig::with(|fleet| fleet.visibility_lag = 4.0);
    let id = rig.id("web-1");
    let image = rig.image(&id, "late");
    assert!(rig.listed(&[("name", &["late"])]).is_empty());
    assert_eq!(rig.code(create(&id, "late")), "InvalidAMIName.Duplicate");
    let snapshot = rig.world.snapshots.keys().next().unwrap().clone();
    let tag = |id: &str| Action::CreateTags { resources: vec![id.into()], tags: vec![("k".into(), "v".into())] };
    for (action, want) in [
        (tag(&image), "InvalidAMIID.NotFound"),
        (tag(&snapshot), "InvalidSnapshot.NotFound"),
        (Action::DeleteSnapshot { snapshot: snapshot.clone() }, "InvalidSnapshot.NotFound"),
        (deregister(&image), "InvalidAMIID.NotFound"),
    ] {
        assert_eq!(rig.code(action), want);
    }
    rig.wait(4);
    assert_eq!(rig.code(tag(&image)), "ok");
    assert_eq!(rig.listed(&[("name", &["late"])]), std::slice::from_ref(&image));
    rig.call(deregister(&image)).unwrap();
    assert_eq!(rig.listed(&[("state", &["deregistered"])]), [image]);
    assert_eq!(rig.code(create(&id, "late")), "InvalidAMIName.Duplicate", "a name needs time to free up");
    rig.wait(4);
    assert!(rig.listed(&[]).is_empty());
    assert_eq!(rig.code(create(&id, "late")), "ok");
}

#[test]
fn a_volume_takes_five_pending_snapshots_each_15_seconds_after_the_last() {
    const LIMIT: &str = "ConcurrentSnapshotLimitExceeded";
    const RATE: &str = "SnapshotCreationPerVolumeRateExceeded";
    let mut rig = Rig::with(|fleet| fleet.image_seconds = [100.0, 100.0]);
    let id = rig.id("web-1");
    for n in 0..5 {
        rig.image(&id, &format!("image {n}"));
        assert_eq!(rig.code(create(&id, "too soon")), if n == 4 { LIMIT } else { RATE });
        rig.wait(15);
    }
    assert_eq!(rig.code(create(&id, "one more")), LIMIT);
    assert_eq!(rig.world.instances[&id].reboot_count(), 5, "what is refused reboots nothing");
    rig.wait(30);
    assert_eq!(rig.code(create(&id, "one more")), "ok");
}

#[test]
fn a_region_holds_so_many_images_pending_and_disabled_ones_too() {
    let mut rig = Rig::with(|fleet| {
        fleet.image_quota = 2;
        fleet.regions.push("eu-west-1".into());
    });
    let ids = ["web-1", "web-2", "web-3"].map(|name| rig.id(name));
    let first = rig.image(&ids[0], "first");
    rig.image(&ids[1], "second");
    let error = rig.call(create(&ids[2], "third")).unwrap_err();
    assert_eq!(error.code, "ResourceLimitExceeded");
    assert!(error.message.contains("your quota of 2"), "{error}");
    assert_eq!(rig.world.instances[&ids[2]].reboot_count(), 0, "what is refused reboots nothing");
    rig.wait(20).world.images.get_mut(&first).unwrap().disabled = true;
    assert_eq!(rig.code(create(&ids[2], "third")), "ResourceLimitExceeded");
    rig.call(deregister(&first)).unwrap();
    assert_eq!(rig.code(create(&ids[2], "third")), "ok");
}
