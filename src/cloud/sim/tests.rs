//! The world's rules, as tables.

use chrono::{DateTime, Duration, TimeZone as _, Utc};

use super::action::{Action, Filter, Listing, Paging, TagSpec};
use super::answer::Answer;
use super::error::ApiError;
use super::faults::{Fault, FaultKind};
use super::fleet::{Fleet, Member};
use super::people::Deed;
use super::serve::Delivery;
use super::world::{Caller, World};
use crate::domain::observed::{ImageState, InstanceState, Tags};
use crate::domain::place::Place;

const REGION: &str = "eu-central-1";

fn t0() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 2, 30, 0).unwrap()
}

/// A world and its time.
struct Rig {
    world: World,
    now: DateTime<Utc>,
}

impl Rig {
    fn new() -> Self {
        Self { world: Fleet::demo().world(t0()).unwrap(), now: t0() }
    }

    fn with(change: impl FnOnce(&mut Fleet)) -> Self {
        let mut fleet = Fleet::demo();
        change(&mut fleet);
        Self { world: fleet.world(t0()).unwrap(), now: t0() }
    }

    fn wait(&mut self, seconds: i64) -> &mut Self {
        self.now += Duration::seconds(seconds);
        self
    }

    fn call(&mut self, action: Action) -> Result<Answer, ApiError> {
        self.world.call(self.now, &Caller::new("111111111111"), REGION, &action)
    }

    fn code(&mut self, action: Action) -> String {
        match self.call(action) {
            Ok(_) => "ok".into(),
            Err(error) => error.code,
        }
    }

    /// The id of the instance with this Name.
    fn id(&self, name: &str) -> String {
        self.world.instances.values().find(|i| i.tags["Name"] == name).unwrap().id.clone()
    }

    fn image(&mut self, instance: &str, name: &str) -> String {
        match self.call(create(instance, name)).unwrap() {
            Answer::Image(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn image_state(&self, id: &str) -> ImageState {
        self.world.images[id].state(self.now)
    }

    fn listed(&mut self, filters: &[(&str, &[&str])]) -> Vec<String> {
        match self.call(images(filters)).unwrap() {
            Answer::Images(page) => page.items.into_iter().map(|i| i.it.id.clone()).collect(),
            other => panic!("{other:?}"),
        }
    }
}

fn create(instance: &str, name: &str) -> Action {
    Action::CreateImage {
        instance: instance.into(),
        name: name.into(),
        description: None,
        no_reboot: Some(false),
        tags: both(&[("A", "1")]),
    }
}

fn both(tags: &[(&str, &str)]) -> Vec<TagSpec> {
    ["image", "snapshot"].map(|resource| spec(resource, tags)).into()
}

fn spec(resource: &str, tags: &[(&str, &str)]) -> TagSpec {
    TagSpec { resource: resource.into(), tags: tags.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect() }
}

fn filters(of: &[(&str, &[&str])]) -> Vec<Filter> {
    of.iter()
        .map(|(name, values)| Filter { name: (*name).into(), values: values.iter().map(|v| (*v).to_owned()).collect() })
        .collect()
}

fn images(of: &[(&str, &[&str])]) -> Action {
    Action::DescribeImages {
        list: Listing { filters: filters(of), ..Listing::default() },
        owners: vec!["self".into()],
        executable_by: Vec::new(),
        include_disabled: Some(true),
        include_deprecated: None,
    }
}

fn deregister(image: &str) -> Action {
    Action::DeregisterImage { image: image.into(), delete_snapshots: Some(true) }
}

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
fn one_unknown_id_fails_the_whole_call_and_a_filter_does_not() {
    let mut rig = Rig::new();
    let (id, none) = (rig.id("web-1"), "i-00000000000000000".to_owned());
    let ids = |ids: &[&String]| Listing { ids: ids.iter().map(|i| (*i).clone()).collect(), ..Listing::default() };
    assert_eq!(rig.code(Action::DescribeInstances(ids(&[&id, &none]))), "InvalidInstanceID.NotFound");
    let status = |list| Action::DescribeInstanceStatus { list, include_all: None };
    assert_eq!(rig.code(status(ids(&[&none, &id]))), "InvalidInstanceID.NotFound");
    let list = Listing { filters: filters(&[("instance-id", &[&id, &none])]), ..Listing::default() };
    let Answer::Instances(page) = rig.call(Action::DescribeInstances(list)).unwrap() else { panic!() };
    assert_eq!(page.items.len(), 1);
    let wrong = Listing { filters: filters(&[("instance-ids", &[&id])]), ..Listing::default() };
    assert_eq!(rig.code(Action::DescribeInstances(wrong)), "InvalidParameterValue");
    let too_many: Vec<String> = (0..101).map(|_| id.clone()).collect();
    assert_eq!(rig.code(status(Listing { ids: too_many, ..Listing::default() })), "InvalidParameterValue");
}

#[test]
fn status_lists_only_running_instances_unless_asked_for_all() {
    let mut rig = Rig::new();
    let id = rig.id("web-1");
    rig.call(Action::StopInstances { instances: vec![id.clone()] }).unwrap();
    rig.wait(60);
    for (include_all, want) in [(None, None), (Some(true), Some("not-applicable"))] {
        let list = Listing { ids: vec![id.clone()], ..Listing::default() };
        let Answer::Statuses(page) = rig.call(Action::DescribeInstanceStatus { list, include_all }).unwrap() else {
            panic!()
        };
        assert_eq!(page.items.first().map(|c| c.reachability), want);
    }
}

#[test]
fn lists_are_paged_and_filtered() {
    let mut rig = Rig::new();
    let nightly =
        filters(&[("tag:Backup", &["night*"]), ("tag-key", &["Tier"]), ("instance-state-name", &["running"])]);
    let mut token = None;
    let mut pages = Vec::new();
    loop {
        let page = Paging { max: Some(5), token };
        let list = Listing { filters: nightly.clone(), page, ..Listing::default() };
        let Answer::Instances(page) = rig.call(Action::DescribeInstances(list)).unwrap() else { panic!() };
        pages.push(page.items.len());
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(pages, [5, 5, 2]);
    let small = Listing { page: Paging { max: Some(4), token: None }, ..Listing::default() };
    assert_eq!(rig.code(Action::DescribeInstances(small)), "InvalidParameterValue");

    let (web, db) = (rig.id("web-1"), rig.id("db-1"));
    let (a, b) = (rig.image(&web, "stillframe/a"), rig.image(&db, "stillframe/b"));
    let mut all = vec![a.clone(), b.clone()];
    all.sort();
    assert_eq!(rig.listed(&[]), all);
    for (name, values, want) in [
        ("name", vec!["stillframe/a"], vec![&a]),
        ("name", vec!["stillframe/?", "x"], all.iter().collect()),
        ("image-id", vec![b.as_str(), "ami-00000000000000000"], vec![&b]),
        ("source-instance-id", vec![db.as_str()], vec![&b]),
        ("state", vec!["available"], vec![]),
        ("tag:A", vec!["1"], all.iter().collect()),
        ("tag:A", vec!["2"], vec![]),
    ] {
        assert_eq!(rig.listed(&[(name, &values)]).iter().collect::<Vec<_>>(), want, "{name} {values:?}");
    }
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

#[test]
fn terminated_instances_stay_visible_for_an_hour() {
    let mut rig = Rig::new();
    let id = rig.id("web-1");
    rig.call(Action::TerminateInstances { instances: vec![id.clone()] }).unwrap();
    let list = || Listing { ids: vec![id.clone()], ..Listing::default() };
    for (after, want) in [(60, "ok"), (3500, "ok"), (100, "InvalidInstanceID.NotFound")] {
        rig.wait(after);
        assert_eq!(rig.code(Action::DescribeInstances(list())), want);
    }
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
fn accounts_and_regions_are_apart() {
    let mut rig = Rig::with(|fleet| fleet.regions.push("eu-west-1".into()));
    let all = Action::DescribeInstances(Listing::default());
    let now = rig.now;
    for (account, region, want) in
        [("111111111111", REGION, 14), ("111111111111", "eu-west-1", 0), ("222222222222", REGION, 0)]
    {
        let answer = rig.world.call(now, &Caller::new(account), region, &all).unwrap();
        let Answer::Instances(page) = answer else { panic!() };
        assert_eq!(page.items.len(), want, "{account} {region}");
    }
    let error = rig.world.call(now, &Caller::new("111111111111"), "us-east-1", &all).unwrap_err();
    assert_eq!(error.code, "AuthFailure");
}

#[test]
fn a_saved_world_is_the_same_world() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new();
    let id = rig.id("db-1");
    rig.image(&id, "saved");
    rig.world.faults.push(Fault::once("CreateImage", FaultKind::CutAfter));
    super::save::save(dir.path(), &rig.world).unwrap();
    let mut read = super::save::load(dir.path()).unwrap().unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), serde_json::to_value(&rig.world).unwrap());
    rig.wait(60);
    let error = read.call(rig.now, &Caller::new("111111111111"), REGION, &create(&id, "saved")).unwrap_err();
    assert_eq!(error.code, "InvalidAMIName.Duplicate");
    std::fs::write(dir.path().join(super::save::FILE), "{").unwrap();
    let message = super::save::load(dir.path()).unwrap_err().to_string();
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
        (r#"{"regions":["r"],"speed":0,"image_seconds":[1,2],"reboot_seconds":1,"instances":[]}"#, "speed 0"),
    ] {
        let error = Fleet::from_json(text).and_then(|fleet| fleet.world(t0())).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
}
