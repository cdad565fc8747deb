use super::*;
use crate::domain::naming::image_name;
use crate::domain::observed::Tags;
use crate::domain::place::Place;
use crate::domain::saga::{RunState, Slot};

fn now() -> DateTime<Utc> {
    "2026-11-20T03:00:00Z".parse().unwrap()
}

/// An image of `plan` and instance `i-N`, made so many minutes ago.
fn evidence(plan: &str, instance: &str, minutes: i64, state: ImageState, consistency: &str) -> Evidence {
    let created = now() - TimeDelta::minutes(minutes);
    let marks = Marks {
        daemon: "prod".into(),
        installation: "x".into(),
        plan: plan.into(),
        due: created,
        instance: instance.into(),
        role: Role::Image,
        source: None,
        consistency: consistency.into(),
    };
    let image = Image {
        id: format!("ami-{plan}{instance}{minutes}"),
        name: image_name("prod", plan, instance, created),
        owner: "1".into(),
        state,
        state_reason: None,
        created: Some(created),
        odd: None,
        source_instance: Some(instance.into()),
        source_image: None,
        snapshots: vec![],
        product_codes: false,
        deprecated: None,
        tags: Tags::new().into(),
    };
    Evidence { subject: Place::new("1", "r").subject(instance), image, marks }
}

fn check(instance: &str, state: InstanceState, word: &str) -> (String, InstanceStatus) {
    let status = InstanceStatus {
        instance: instance.into(),
        state,
        system: word.into(),
        reachability: word.into(),
        attached_ebs: None,
    };
    (instance.to_owned(), status)
}

/// `down`, and the end, of the only target.
fn judged(evidence: &Evidence, checks: &[(String, InstanceStatus)]) -> (bool, Option<Outcome>) {
    let checks = checks.iter().cloned().collect();
    let proven = prove(std::slice::from_ref(evidence), &checks, |_| TimeDelta::minutes(3), now());
    let targets = proven.values().next().expect("one occurrence");
    (targets[0].down, targets[0].ended)
}

#[test]
fn what_an_image_and_the_checks_of_its_instance_prove() {
    use ImageState::{Available, Disabled, Failed, Pending};
    use InstanceState::{Running, Stopped, Terminated};
    let (done, failed) = (Some(Outcome::Done), Some(Outcome::Failed));
    let table = [
        // The checks distrusted at first, believed later.
        (2, Available, "reboot", Running, "ok", (true, None)),
        (4, Available, "reboot", Running, "ok", (false, done)),
        (4, Pending, "reboot", Running, "ok", (false, None)),
        (4, Available, "reboot", Running, "initializing", (true, None)),
        (23 * 60, Available, "reboot", Running, "impaired", (true, None)),
        (25 * 60, Available, "reboot", Running, "impaired", (false, done)),
        // Nothing went down for it, or a person stopped it, or it is gone.
        (2, Available, "none", Running, "impaired", (false, done)),
        (2, Available, "reboot", Stopped, "not-applicable", (false, done)),
        (2, Pending, "reboot", Terminated, "not-applicable", (false, None)),
        // A young failure is judged, and alarmed, as always; an old one is history.
        (60, Failed, "reboot", Running, "ok", (false, None)),
        (25 * 60, Failed, "reboot", Running, "ok", (false, failed)),
        (25 * 60, Pending, "reboot", Running, "ok", (false, None)),
        (25 * 60, Disabled, "reboot", Running, "ok", (false, done)),
    ];
    for (minutes, image, consistency, state, word, expected) in table {
        let e = evidence("web", "i-1", minutes, image, consistency);
        let got = judged(&e, &[check("i-1", state, word)]);
        assert_eq!(got, expected, "{minutes} min {image:?} {consistency} {state:?} {word}");
    }
    let e = evidence("web", "i-1", 2, Available, "reboot");
    assert_eq!(judged(&e, &[]), (false, done), "an instance that is not there is not down");
}

#[test]
fn only_the_last_reboot_of_an_instance_can_still_be_under_way() {
    let all = [
        evidence("web", "i-1", 90, ImageState::Available, "reboot"),
        evidence("db", "i-1", 30, ImageState::Available, "reboot"),
        evidence("web", "i-1", 10, ImageState::Available, "none"),
        evidence("web", "i-2", 30 * 60, ImageState::Available, "reboot"),
    ];
    assert_eq!(to_ask(&all, now()), ["i-1"]);
    let checks = [check("i-1", InstanceState::Running, "impaired")].into_iter().collect();
    let proven = prove(&all, &checks, |_| TimeDelta::zero(), now());
    let down: Vec<&str> = proven.iter().filter(|(_, t)| t[0].down).map(|((plan, _), _)| plan.as_str()).collect();
    assert_eq!(down, ["db"]);
    assert_eq!(proven.len(), 4);
}

#[test]
fn an_image_that_is_only_still_listed_proves_nothing() {
    let gone = evidence("web", "i-1", 2, ImageState::Deregistered, "reboot");
    assert!(prove(&[gone], &BTreeMap::new(), |_| TimeDelta::zero(), now()).is_empty());
}

#[test]
fn a_snapshot_of_no_image_is_an_orphan_unless_its_image_is_only_pending() {
    let mut made = evidence("web", "i-1", 90, ImageState::Available, "reboot");
    made.image.snapshots = vec!["snap-used".into()];
    let pending = evidence("web", "i-1", 2, ImageState::Pending, "reboot");
    let gone = evidence("web", "i-1", 300, ImageState::Available, "reboot");
    let snapshot = |id: &str, marks: &Marks| Snapshot {
        id: id.into(),
        volume: None,
        description: None,
        state: "completed".into(),
        started: None,
        key: None,
        tags: marks.tags(&Tags::new()),
    };
    let theirs =
        Snapshot { tags: Tags::from([("stillframe:daemon".into(), "prod".into())]), ..snapshot("snap-x", &gone.marks) };
    let all = [
        snapshot("snap-used", &made.marks),
        snapshot("snap-pending", &pending.marks),
        snapshot("snap-orphan", &gone.marks),
        theirs,
    ];
    let ids: Vec<&str> = orphans(&all, &[made.image, pending.image]).iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["snap-orphan"]);
}

#[test]
fn a_snapshot_of_a_copy_that_is_pending_is_no_orphan() {
    let source = evidence("web", "i-1", 90, ImageState::Available, "reboot");
    let marks = Marks { role: Role::Copy, source: Some(source.image.id.clone()), ..source.marks.clone() };
    let copy = Image {
        id: "ami-copy".into(),
        name: format!("{}/01234567", source.image.name),
        state: ImageState::Pending,
        snapshots: Vec::new(),
        ..source.image
    };
    let snapshot = Snapshot {
        id: "snap-1".into(),
        volume: None,
        description: None,
        state: "pending".into(),
        started: None,
        key: None,
        tags: marks.tags(&Tags::new()),
    };
    assert_eq!(orphans(std::slice::from_ref(&snapshot), &[copy]), Vec::<&Snapshot>::new());
    assert_eq!(orphans(std::slice::from_ref(&snapshot), &[]), [&snapshot]);
}

/// The events fold to what is proven.
#[test]
fn the_events_fold_back() {
    let all = [
        evidence("web", "i-1", 10, ImageState::Pending, "reboot"),
        evidence("web", "i-2", 10, ImageState::Available, "reboot"),
        evidence("web", "i-3", 10, ImageState::Available, "reboot"),
    ];
    let checks = ["i-1", "i-2"].map(|id| check(id, InstanceState::Running, "ok"));
    let checks = checks.into_iter().chain([check("i-3", InstanceState::Running, "impaired")]).collect();
    let proven = prove(&all, &checks, |_| TimeDelta::minutes(3), now());
    let targets: Vec<Proven> = proven.into_values().flatten().collect();
    let fold = |targets: &[Proven]| {
        let drafts = drafts("web@x", Trigger::Schedule, "h", targets);
        let events: Vec<_> =
            (1..).zip(drafts).map(|(seq, draft)| crate::domain::fact::Event { seq, at: now(), draft }).collect();
        RunState::fold(&events)
    };
    let state = fold(&targets);
    assert!(state.started && state.selected && state.rebuilt && state.finished.is_none());
    assert!(open(&targets));
    let of = |id: &str| &state.targets[&Place::new("1", "r").subject(id)];
    assert_eq!((of("i-1").slot, of("i-1").image(), &of("i-1").finished), (Slot::None, Some("ami-webi-110"), &None));
    assert_eq!(of("i-2").finished, Some((Outcome::Done, String::new())));
    assert_eq!((of("i-3").slot, &of("i-3").finished), (Slot::Taken(now()), &None));
    let state = fold(&targets[1..2]);
    assert_eq!((state.finished, open(&targets[1..2])), (Some(Outcome::Done), false));
}
