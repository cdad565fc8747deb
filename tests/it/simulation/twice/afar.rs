//! The steps of copying and sharing, each twice: see the table.

use std::collections::BTreeSet;

use stillframe::domain::naming::{Marks, Role, image_name};
use stillframe::domain::plan::Share;
use stillframe::engine::distribution::copy::{MakeCopy, next_attempt};
use stillframe::engine::distribution::permit::{For, Loan, Permit};
use stillframe::sim::Fleet;
use stillframe::sim::action::TagSpec;
use stillframe::sim::answer::Answer;

use super::super::copies::{self, AWAY, DR, FRIEND, role, share};
use super::*;

const VIA: &str = "via:alias/lend";
const COPY: &str = "copy:eu-west-1";
const LEND: &str = "lend:dr/eu-west-1";
const RECLAIM: &str = "reclaim:dr/eu-west-1";
const SHARE: &str = "share";

/// What of a step's effect is there when it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Nothing,
    /// The intent is journaled; nothing was made.
    Intent,
    /// The intent is journaled, and the effect was made.
    Made,
    /// The effect was made; the journal knows nothing of it.
    MadeUnjournaled,
    /// This happens to the first call of this API.
    Call(&'static str, FaultKind),
}

/// A step, seconds until lists show what is new, what is there; and in the end: copies, permissions, grants, and things
/// whose tags say that they are lent. The image has two snapshots under one key.
type Row = (&'static str, f64, Part, (usize, usize, usize, usize));

#[rustfmt::skip] // a table
const TABLE: &[Row] = &[
    (VIA, 0.0, Part::Nothing, (1, 0, 0, 0)),
    (VIA, 0.0, Part::Intent, (1, 0, 0, 0)),
    (VIA, 0.0, Part::Made, (1, 0, 0, 0)),
    (VIA, 0.0, Part::MadeUnjournaled, (1, 0, 0, 0)),
    (VIA, 0.0, Part::Call("CopyImage", FaultKind::CutBefore), (1, 0, 0, 0)),
    (VIA, 0.0, Part::Call("CopyImage", FaultKind::CutAfter), (1, 0, 0, 0)),
    (VIA, 120.0, Part::Call("CopyImage", FaultKind::CutAfter), (1, 0, 0, 0)),

    (COPY, 0.0, Part::Nothing, (1, 0, 0, 0)),
    (COPY, 0.0, Part::Intent, (1, 0, 0, 0)),
    (COPY, 0.0, Part::Made, (1, 0, 0, 0)),
    (COPY, 0.0, Part::MadeUnjournaled, (1, 0, 0, 0)),
    (COPY, 0.0, Part::Call("CopyImage", FaultKind::CutBefore), (1, 0, 0, 0)),
    (COPY, 0.0, Part::Call("CopyImage", FaultKind::CutAfter), (1, 0, 0, 0)),
    (COPY, 0.0, Part::Call("CopyImage", FaultKind::ErrorBefore), (1, 0, 0, 0)),
    (COPY, 0.0, Part::Call("CopyImage", FaultKind::ErrorAfter), (1, 0, 0, 0)),
    (COPY, 0.0, Part::Call("CopyImage", FaultKind::HangAfter { seconds: 90.0 }), (1, 0, 0, 0)),
    (COPY, 0.0, Part::Call("CopyImage", FaultKind::Throttle), (1, 0, 0, 0)),
    (COPY, 120.0, Part::Nothing, (1, 0, 0, 0)),
    (COPY, 120.0, Part::Made, (1, 0, 0, 0)),
    (COPY, 120.0, Part::MadeUnjournaled, (1, 0, 0, 0)),
    (COPY, 120.0, Part::Call("CopyImage", FaultKind::CutAfter), (1, 0, 0, 0)),

    (LEND, 0.0, Part::Nothing, (0, 3, 1, 3)),
    (LEND, 0.0, Part::Intent, (0, 3, 1, 3)),
    (LEND, 0.0, Part::Made, (0, 3, 1, 3)),
    (LEND, 0.0, Part::MadeUnjournaled, (0, 3, 1, 3)),
    (LEND, 0.0, Part::Call("CreateTags", FaultKind::CutBefore), (0, 3, 1, 3)),
    (LEND, 0.0, Part::Call("CreateTags", FaultKind::CutAfter), (0, 3, 1, 3)),
    (LEND, 0.0, Part::Call("CreateGrant", FaultKind::CutBefore), (0, 3, 1, 3)),
    (LEND, 0.0, Part::Call("CreateGrant", FaultKind::CutAfter), (0, 3, 1, 3)),
    (LEND, 0.0, Part::Call("ModifySnapshotAttribute", FaultKind::CutBefore), (0, 3, 1, 3)),
    (LEND, 0.0, Part::Call("ModifySnapshotAttribute", FaultKind::CutAfter), (0, 3, 1, 3)),
    (LEND, 0.0, Part::Call("ModifyImageAttribute", FaultKind::CutBefore), (0, 3, 1, 3)),
    (LEND, 0.0, Part::Call("ModifyImageAttribute", FaultKind::CutAfter), (0, 3, 1, 3)),
    (LEND, 120.0, Part::Nothing, (0, 3, 1, 3)),
    (LEND, 120.0, Part::Made, (0, 3, 1, 3)),
    (LEND, 120.0, Part::Call("CreateGrant", FaultKind::CutAfter), (0, 3, 1, 3)),

    (RECLAIM, 0.0, Part::Nothing, (0, 0, 0, 0)),
    (RECLAIM, 0.0, Part::Intent, (0, 0, 0, 0)),
    (RECLAIM, 0.0, Part::Made, (0, 0, 0, 0)),
    (RECLAIM, 0.0, Part::Call("ModifyImageAttribute", FaultKind::CutBefore), (0, 0, 0, 0)),
    (RECLAIM, 0.0, Part::Call("ModifyImageAttribute", FaultKind::CutAfter), (0, 0, 0, 0)),
    (RECLAIM, 0.0, Part::Call("ModifySnapshotAttribute", FaultKind::CutAfter), (0, 0, 0, 0)),
    (RECLAIM, 0.0, Part::Call("RevokeGrant", FaultKind::CutBefore), (0, 0, 0, 0)),
    (RECLAIM, 0.0, Part::Call("RevokeGrant", FaultKind::CutAfter), (0, 0, 0, 0)),
    (RECLAIM, 0.0, Part::Call("DeleteTags", FaultKind::CutBefore), (0, 0, 0, 0)),
    (RECLAIM, 0.0, Part::Call("DeleteTags", FaultKind::CutAfter), (0, 0, 0, 0)),
    (RECLAIM, 120.0, Part::Nothing, (0, 0, 0, 0)),

    (SHARE, 0.0, Part::Nothing, (0, 3, 1, 3)),
    (SHARE, 0.0, Part::Intent, (0, 3, 1, 3)),
    (SHARE, 0.0, Part::Made, (0, 3, 1, 3)),
    (SHARE, 0.0, Part::MadeUnjournaled, (0, 3, 1, 3)),
    (SHARE, 0.0, Part::Call("CreateTags", FaultKind::CutAfter), (0, 3, 1, 3)),
    (SHARE, 0.0, Part::Call("ModifyImageAttribute", FaultKind::CutBefore), (0, 3, 1, 3)),
    (SHARE, 0.0, Part::Call("ModifySnapshotAttribute", FaultKind::ErrorAfter), (0, 3, 1, 3)),
];

/// The steps of the table.
pub fn steps() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(step, ..)| *step)
}

/// The marks of the image that is copied and shared.
fn marks() -> Marks {
    let (plan, due) = parse_run_name(RUN).expect("a run");
    Marks {
        daemon: DAEMON.into(),
        installation: "11111111-1111-4111-8111-111111111111".into(),
        plan: plan.into(),
        due,
        instance: id(1),
        role: Role::Image,
        source: None,
        consistency: "none".into(),
    }
}

/// A world with one image of ours, available and seen, and both accounts' keys.
fn world(lag: f64) -> (SimCloud, Subject) {
    fastrand::seed(1);
    let clock = Clock::simulated(at(BASE));
    let fleet = Fleet::from_json(&copies::world(1, "alias/own", "")).expect("a fleet");
    let mut world = fleet.world(clock.now()).expect("possible");
    let marks = marks();
    let tags: Vec<(String, String)> = marks.tags(&Default::default()).into_iter().collect();
    let create = Action::CreateImage {
        name: image_name(DAEMON, &marks.plan, &marks.instance, marks.due),
        instance: marks.instance,
        description: None,
        no_reboot: Some(true),
        tags: ["image", "snapshot"].map(|of| TagSpec { resource: of.into(), tags: tags.clone() }).into(),
    };
    let Ok(Answer::Image(image)) = world.call(clock.now(), &Caller::new(ACCOUNT), REGION, &create) else {
        panic!("the console allows it")
    };
    world.complete(clock.now());
    world.visibility_lag = lag;
    (SimCloud::new(world, clock).with_roles(vec![role(DR)]), place().subject(&image))
}

fn key(cloud: &SimCloud, alias: &str, region: &str) -> String {
    let world = cloud.world();
    let of_it =
        |k: &&stillframe::sim::key::SimKey| k.alias.as_deref() == Some(alias) && k.place == Place::new(ACCOUNT, region);
    world.keys.values().find(of_it).expect("a key of the fleet").arn.clone()
}

fn loan(cloud: &SimCloud) -> Loan {
    let keys = BTreeSet::from([key(cloud, "alias/own", REGION)]);
    Loan { to: Place::new(DR, AWAY), role: role(DR).arn, keys }
}

/// A step on `image`, as a process that has this journal makes it.
fn step(life: &Life, cloud: &SimCloud, image: &Subject, name: &str) -> Box<dyn Step> {
    let (shared, active) = (Rc::clone(&life.shared), Rc::clone(&life.active));
    let id: StepId = name.parse().expect("a step");
    let journaled: Vec<_> = life.journaled.borrow().iter().map(fact::Event::from).collect();
    if matches!(name, VIA | COPY) {
        let (to, key) = if name == VIA {
            (place(), key(cloud, "alias/lend", REGION))
        } else {
            (Place::new(ACCOUNT, AWAY), key(cloud, "alias/own", AWAY))
        };
        let attempt = next_attempt(&journaled, &id);
        return Box::new(MakeCopy {
            shared,
            active,
            run: RUN.into(),
            id,
            subject: image.clone(),
            marks: marks(),
            tags: Default::default(),
            from: image.clone(),
            to,
            key: Some(key),
            attempt,
            retry: true,
        });
    }
    let friends: Share = share(&[FRIEND]);
    let purpose = match name {
        LEND => For::Lend(loan(cloud)),
        RECLAIM => For::Reclaim(loan(cloud)),
        _ => For::Share(Some(friends.clone())),
    };
    Box::new(Permit {
        shared,
        active,
        run: RUN.into(),
        plan: "web".into(),
        id,
        subject: image.clone(),
        image: image.clone(),
        share: (name == SHARE).then_some(friends),
        purpose,
        keys: loan(cloud).keys,
        snapshots: Vec::new(),
    })
}

/// Drives the step to its end.
async fn go(life: &Life, cloud: &SimCloud, image: &Subject, name: &str) {
    let known = life
        .active
        .state
        .borrow()
        .others
        .get(image)
        .and_then(|steps| steps.get(&name.parse().expect("a step")))
        .cloned();
    life.work(step(life, cloud, image, name).as_ref(), image, known.as_ref()).await;
}

/// The life that makes what a row begins with.
async fn prepare((name, _, part, _): &Row, cloud: &SimCloud, image: &Subject) -> Life {
    let life = Life::new(cloud, &[]).await;
    life.shared.record_result(&drafts(&[Draft::of_run(RUN, Kind::RunStarted, json!({}))])).await.expect("writable");
    if *name == RECLAIM {
        go(&life, cloud, image, LEND).await;
        // The copy has ended: nothing wants the loan any more.
        life.write(image, "copy:dr/eu-west-1", Kind::StepObserved, json!({ "outcome": "done" })).await;
    }
    let step = step(&life, cloud, image, name);
    if matches!(part, Part::Intent | Part::Made) {
        life.intend(image, step.as_ref()).await;
    }
    if matches!(part, Part::Made | Part::MadeUnjournaled) {
        step.act(&step.intent()).await;
    }
    if let Part::Call(api, kind) = part {
        cloud.world().faults.push(Fault::once(api, *kind));
    }
    life
}

/// Copies, permissions, grants, things that a tag says are lent.
fn counts(cloud: &SimCloud) -> (usize, usize, usize, usize) {
    let world = cloud.world();
    let copies = world.images.values().filter(|i| i.registered() && i.source_image.is_some()).count();
    let images = world.images.values().map(|i| (i.lent.len(), i.tags.contains_key("stillframe:lent")));
    let snapshots = world.snapshots.values().map(|s| (s.lent.len(), s.tags.contains_key("stillframe:lent")));
    let (lent, told) =
        images.chain(snapshots).fold((0, 0), |(lent, told), (n, tag)| (lent + n, told + usize::from(tag)));
    (copies, lent, world.keys.values().map(|key| key.grants.len()).sum(), told)
}

fn all_things(cloud: &SimCloud) -> BTreeMap<String, Value> {
    let mut all = things(cloud);
    all.extend(cloud.world().keys.iter().map(|(arn, key)| (arn.clone(), json!(key))));
    all
}

#[tokio::test(start_paused = true)]
async fn each_step_of_copying_twice() {
    rows().await;
}

/// The table is no idle one: an engine that is broken in these ways breaks a row.
#[test]
fn a_fault_of_copying_breaks_a_row() {
    for defect in [Defect::TokenPerSend, Defect::LentUntagged, Defect::GrantsForgotten] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        defect::plant(Some(defect));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(rows())));
        defect::plant(None);
        assert!(ended.is_err(), "{defect:?} breaks no row");
    }
}

async fn rows() {
    for row @ (name, lag, part, end) in TABLE {
        let what = format!("{name}, {part:?}, visible after {lag} s");
        let (cloud, image) = world(*lag);
        let life = prepare(row, &cloud, &image).await;
        let before = life.journaled.borrow().len();
        let own = |e: &Event| e.draft.step == *name && e.draft.subject.as_ref() == Some(&image);
        let base = life.journaled.borrow().iter().position(own).unwrap_or(before);
        go(&life, &cloud, &image, name).await;
        let journaled = life.journaled.borrow().clone();
        let story: Vec<String> = journaled
            .iter()
            .map(|e| {
                format!("{} {} {}#{} {}", e.at, e.draft.kind.as_str(), e.draft.step, e.draft.attempt, e.draft.data)
            })
            .collect();
        let story = story.join("\n");
        assert_eq!(counts(&cloud), *end, "{what}\n{story}");
        assert!(journaled.len() > before, "{what}: nothing was journaled\n{story}");
        // Run again, by a process that finds all of the journal, or any beginning of it.
        for known in (base..=journaled.len()).rev() {
            let again = SimCloud::new(cloud.world().clone(), cloud.clock()).with_roles(vec![role(DR)]);
            again.world().faults.clear();
            let first = all_things(&again);
            let life = Life::new(&again, &journaled[..known]).await;
            go(&life, &again, &image, name).await;
            let second = all_things(&again);
            let changed: Vec<&String> =
                second.iter().filter(|(id, it)| first.get(*id) != Some(it)).map(|(id, _)| id).collect();
            let lost: Vec<&String> = first.keys().filter(|id| !second.contains_key(*id)).collect();
            assert!(
                changed.is_empty() && lost.is_empty(),
                "{what}: run again with {known} of {} records, it changed {changed:?} and removed {lost:?}\n{story}",
                journaled.len()
            );
        }
    }
}
