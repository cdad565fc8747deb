//! What becomes of a life that was cut off when it goes on in its world, until all is at rest.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stillframe::domain::fact::Kind;
use stillframe::sim::World;
use stillframe::sim::image::SimImage;

use super::life::Saved;
use crate::simulation::journal::Mortal;
use crate::simulation::live::rest_in;
use crate::simulation::promises::{self, Broken};
use crate::simulation::record::effects;
use crate::simulation::rig::Rig;
use crate::support::rows::Event;

/// The end of it, with the promises that were broken on the way; `traced`, its story is printed.
pub async fn end(saved: Saved, traced: bool) -> Value {
    let Saved { life, world, state } = saved;
    let rig = life.rig(world, Mortal::open(state.path()));
    let rebuilt = rig.journal.rows().events_of_kind(Kind::JournalRebuilt.as_str()).await.expect("readable");
    if life.lost.is_some() && rebuilt.is_empty() {
        rig.watch.lost(&rig.world(), &rig.plans);
    }
    if traced {
        rig.watch.traces();
    }
    let rig = rest_in(rig, &life.plot()).await;
    if traced {
        println!(
            "{}
{}",
            life.what,
            rig.watch.trace()
        );
    }
    let mut broken = Broken(rig.watch.broken());
    promises::recorded(&rig, &mut broken).await;
    for run in pruned(&rig).await {
        broken.0.retain(|breach| !breach.what.starts_with(&run));
    }
    promises::slots(&rig, rig.clock.now(), &mut broken).await;
    let world = rig.world().clone();
    json!({
        "broken": broken.0.iter().map(|breach| json!(breach.to_string())).collect::<Value>(),
        "runs": runs(&rig).await,
        "slots": slots(&rig).await,
        "alarms": alarms(&rig).await,
        "effects": effects(&rig),
        "images": images(&world),
        "snapshots": snapshots(&world),
        "grants": grants(&world),
    })
}

/// The runs of which only the end is left.
async fn pruned(rig: &Rig) -> Vec<String> {
    let reader = rig.journal.rows();
    let mut pruned = Vec::new();
    for occurrence in reader.occurrences(None, u32::MAX).await.expect("readable") {
        let events = reader.events_of(&occurrence.run()).await.expect("readable");
        if events.iter().all(|event| event.draft.kind == Kind::RunFinished) && !events.is_empty() {
            pruned.push(occurrence.run());
        }
    }
    pruned
}

/// How each run and each of its targets ended.
async fn runs(rig: &Rig) -> Value {
    let reader = rig.journal.rows();
    let mut runs: BTreeMap<String, Value> = BTreeMap::new();
    for occurrence in reader.occurrences(None, u32::MAX).await.expect("readable") {
        runs.insert(occurrence.run(), json!({ "decision": occurrence.decision.as_str() }));
    }
    for kind in [Kind::RunFinished, Kind::TargetFinished, Kind::TargetSkipped] {
        for event in reader.events_of_kind(kind.as_str()).await.expect("readable") {
            let run = runs.entry(event.draft.run.clone()).or_insert_with(|| json!({}));
            let subject = event.draft.subject.as_ref().map_or("whole".into(), ToString::to_string);
            let outcome = event.text("outcome").unwrap_or(kind.as_str());
            run[subject] = json!([outcome, event.text("reason"), event.text("image").map(|id| named(rig, id))]);
        }
    }
    json!(runs)
}

/// Who was freed by which run, and why; and who is down still.
async fn slots(rig: &Rig) -> Value {
    let reader = rig.journal.rows();
    let mut slots = Map::new();
    for event in reader.events_of_kind(Kind::SlotFreed.as_str()).await.expect("readable") {
        slots.insert(about(&event), json!(event.text("reason")));
    }
    for event in reader.open_slots().await.expect("readable") {
        slots.insert(about(&event), json!("open"));
    }
    slots.into()
}

/// What a person is still called for, with how often.
async fn alarms(rig: &Rig) -> Value {
    let alarms = rig.journal.rows().alarms().await.expect("readable");
    alarms
        .iter()
        .map(|event| (format!("{} {}", about(event), event.draft.step), json!(event.draft.attempt)))
        .collect::<Map<_, _>>()
        .into()
}

fn about(event: &Event) -> String {
    let subject = event.draft.subject.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{} {subject}", event.draft.run)
}

/// An image by its name.
fn named(rig: &Rig, id: &str) -> String {
    rig.world().images.get(id).map_or_else(|| id.to_owned(), |image| image.name.clone())
}

/// The images that are left, by place and name: how each is, of what it was made, and who may use it.
fn images(world: &World) -> Value {
    let mut left = Map::new();
    for image in world.images.values().filter(|image| image.registered()) {
        let source = image.source_image.as_ref().map(|id| world.images.get(id).map_or("?", |source| &source.name));
        let made = json!({
            "fails": image.fails,
            "snapshots": image.snapshots().count(),
            "source": source,
            "lent": image.lent.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "told": told(image),
            "deprecated": image.deprecated.is_some(),
        });
        let key = format!("{} {}", image.place, image.name);
        // A name is free again once its image is gone, so it is there once.
        assert!(left.insert(key, made).is_none(), "{}", image.name);
    }
    left.into()
}

fn told(image: &SimImage) -> Vec<&String> {
    image.tags.keys().filter(|key| key.starts_with("stillframe:lent") || *key == "stillframe:hold").collect()
}

/// The snapshots that are left: of which images they are, and who may use them; as a sorted list.
fn snapshots(world: &World) -> Value {
    let name = |id: &String| world.images.get(id).map_or("?", |image| &image.name);
    let mut left: Vec<Value> = Vec::new();
    for snapshot in world.snapshots.values() {
        let users: Vec<&str> = snapshot.users.iter().map(name).collect();
        let lent: Vec<String> = snapshot.lent.iter().map(ToString::to_string).collect();
        if users.is_empty() || !lent.is_empty() {
            left.push(json!([snapshot.place.to_string(), users, snapshot.description, lent]));
        }
    }
    left.sort_by_key(Value::to_string);
    json!({ "all": world.snapshots.len(), "orphaned_or_lent": left })
}

fn grants(world: &World) -> Value {
    let grants = world.keys.values().flat_map(|key| key.grants.iter().map(move |g| (&key.arn, g)));
    let mut left: Vec<Value> = grants.map(|(key, g)| json!([key, g.grantee, g.name])).collect();
    left.sort_by_key(Value::to_string);
    left.into()
}
