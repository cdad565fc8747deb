//! The promises, read from the world and the journal at rest. Written once, checked after every scenario.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::rows::Event;
use chrono::{DateTime, TimeDelta, Utc};
use stillframe::domain::event::Decision;
use stillframe::domain::fact::Kind;
use stillframe::domain::naming::{image_name, parse_run_name};
use stillframe::sim::World;
use stillframe::sim::image::SimImage;

use super::rig::{DAEMON, Rig};
use super::truth::{copied_by_us, is_via, made_by_us, parse};
use super::watch::Breach;

/// A call may wait so long for the governor, seconds.
const WINDOW_SLACK: i64 = 5;

/// Panics with the story if any promise is broken.
pub async fn hold(rig: &Rig) {
    let broken = broken(rig).await;
    assert!(broken.is_empty(), "broken promises:\n{}\n\n{}", broken.join("\n"), rig.story());
}

/// What is broken, to which promise each thing belongs.
pub struct Broken(pub Vec<Breach>);

impl Broken {
    pub fn push(&mut self, promise: u8, what: String) {
        self.0.push(Breach { promise, what });
    }
}

/// Which promises are broken, in words: those that hold at rest, and what the watch has seen on the way.
pub async fn broken(rig: &Rig) -> Vec<String> {
    let mut broken = Broken(rig.watch.broken());
    let now = rig.clock.now();
    recorded(rig, &mut broken).await;
    slots(rig, now, &mut broken).await;
    let intents = intents(rig).await;
    let world = rig.world();
    once(&world, &intents, rig.lost, &mut broken);
    windows(rig, &world, &mut broken);
    in_flight(rig, &world, &mut broken);
    snapshots(&world, &mut broken);
    series(&world, now, &mut broken);
    ownership(&world, &mut broken);
    broken.0.iter().map(ToString::to_string).collect()
}

/// When the intent of each image name was written first.
async fn intents(rig: &Rig) -> BTreeMap<String, DateTime<Utc>> {
    let events = rig.journal.rows().events_of_kind(Kind::StepIntent.as_str()).await.expect("readable");
    let mut intents = BTreeMap::new();
    for event in events.iter().filter(|e| e.draft.step == "image") {
        if let (Some((plan, due)), Some(subject)) = (parse_run_name(&event.draft.run), &event.draft.subject) {
            intents.entry(image_name(DAEMON, plan, &subject.id, due)).or_insert(match rig.own_clock {
                None => event.at,
                Some(_) => DateTime::<Utc>::MIN_UTC, // two clocks cannot be compared
            });
        }
    }
    intents
}

/// No reboot without an image, and no image that rebooted twice.
pub fn reboots(world: &World, broken: &mut Broken) {
    for (id, instance) in &world.instances {
        let made = world.images.values().filter(|i| i.rebooted && i.source_instance.as_ref() == Some(id)).count();
        if made != instance.reboot_count() {
            broken.push(1, format!("{id} was rebooted {} times for {made} images", instance.reboot_count()));
        }
    }
}

/// One occurrence, one CreateImage, one reboot; and none without an intent.
fn once(world: &World, intents: &BTreeMap<String, DateTime<Utc>>, lost: Option<DateTime<Utc>>, broken: &mut Broken) {
    let mut effects: BTreeMap<&str, u32> = BTreeMap::new();
    for call in world.calls.of("CreateImage") {
        let name = call.parameters.get("Name").map_or("", String::as_str);
        if call.effect {
            *effects.entry(name).or_default() += 1;
        }
        // The journal keeps milliseconds; what was written of earlier calls is lost with it.
        if lost.is_none_or(|lost| call.at > lost)
            && intents.get(name).is_none_or(|at| *at > call.at + TimeDelta::milliseconds(1))
        {
            broken.push(1, format!("CreateImage {name} at {} without an intent before it", call.at));
        }
    }
    for (name, n) in effects.iter().filter(|(_, n)| **n > 1) {
        broken.push(1, format!("{n} CreateImage took effect for {name}"));
    }
    reboots(world, broken);
}

/// No reboot starts after the window of its plan.
fn windows(rig: &Rig, world: &World, broken: &mut Broken) {
    for call in world.calls.of("CreateImage").filter(|c| c.parameters.get("NoReboot").is_some_and(|n| n == "false")) {
        let Some((plan, instance, due)) = call.parameters.get("Name").and_then(|n| parse(n)) else { continue };
        let window = rig.plans.iter().find(|p| p.name == plan).and_then(|p| p.schedule.window);
        let rebooted = world.instances.get(&instance).is_some_and(|i| i.reboots.contains(&call.at));
        if let Some(window) = window
            && rebooted
            && (call.at - due).num_seconds() > i64::try_from(window).expect("small") + WINDOW_SLACK
        {
            let at = call.at;
            broken.push(1, format!("{instance} was rebooted at {at}, the window of {window} s after {due} is over"));
        }
    }
}

/// One reboot by CreateImage.
struct Down {
    from: DateTime<Utc>,
    /// When its status checks read ok again, or it was terminated.
    to: DateTime<Utc>,
    instance: String,
    plan: String,
}

/// All reboots, in the order of their calls.
fn downs(rig: &Rig, world: &World) -> Vec<Down> {
    let mut downs = Vec::new();
    for call in world.calls.of("CreateImage").filter(|c| c.effect) {
        let Some((plan, id, _)) = call.parameters.get("Name").and_then(|n| parse(n)) else { continue };
        let Some(instance) = world.instances.get(&id).filter(|i| i.reboots.contains(&call.at)) else { continue };
        let seconds = instance.traits.reboot_seconds.unwrap_or(world.reboot_seconds);
        #[allow(clippy::cast_possible_truncation)]
        let boot = TimeDelta::milliseconds((seconds * 1000.0) as i64);
        let back = match rig.healed.get(&id) {
            Some(healed) if *healed > call.at => *healed,
            None if instance.traits.never_healthy => DateTime::<Utc>::MAX_UTC,
            _ => call.at + boot,
        };
        let to = rig.terminated.get(&id).map_or(back, |gone| back.min(*gone));
        downs.push(Down { from: call.at, to, instance: id, plan });
    }
    downs
}

/// Never more down at once than each plan allows, and no instance twice at once.
///
/// A slot is reserved before the call, so the calls of two plans may come in another order than their reservations:
/// those that are down together must fit in some order.
fn in_flight(rig: &Rig, world: &World, broken: &mut Broken) {
    let allowed =
        |d: &Down| rig.plans.iter().find(|p| p.name == d.plan).map_or(1, |plan| plan.rollout.max_in_flight as usize);
    let downs = downs(rig, world);
    for (n, last) in downs.iter().enumerate() {
        let mut together: Vec<&Down> = downs[..n].iter().filter(|d| d.to > last.from).collect();
        if together.iter().any(|d| d.instance == last.instance) {
            let what = format!("{} was rebooted by {} at {} while it was down", last.instance, last.plan, last.from);
            broken.push(6, what);
        }
        together.push(last);
        together.sort_by_key(|d| allowed(d));
        if together.iter().enumerate().any(|(before, d)| before >= allowed(d)) {
            let all: Vec<String> =
                together.iter().map(|d| format!("{} ({}: {} allowed)", d.instance, d.plan, allowed(d))).collect();
            broken.push(6, format!("down together at {}: {}", last.from, all.join(", ")));
        }
    }
}

/// No snapshot of ours without an image.
fn snapshots(world: &World, broken: &mut Broken) {
    for snapshot in world.snapshots.values() {
        if snapshot.users.is_empty() && snapshot.tags.get("stillframe:daemon").is_some_and(|d| d == DAEMON) {
            broken.push(4, format!("{} is orphaned ({})", snapshot.id, snapshot.description));
        }
    }
}

/// Made by CreateImage or CopyImage of ours.
fn ours(image: &SimImage) -> Option<(String, String, DateTime<Utc>)> {
    made_by_us(image).or_else(|| copied_by_us(image))
}

/// The images of one plan and instance, in one place if they are copies; each with its due.
type SeriesOf<'a> = BTreeMap<(String, String, String), Vec<(&'a SimImage, DateTime<Utc>)>>;

/// Never the last good one, never the newest good one.
fn series(world: &World, now: DateTime<Utc>, broken: &mut Broken) {
    let mut series = SeriesOf::new();
    for image in world.images.values().filter(|image| !is_via(world, image)) {
        if let Some((plan, instance, due)) = ours(image) {
            let place = if image.source_image.is_some() { format!(" in {}", image.place) } else { String::new() };
            series.entry((plan, instance, place)).or_default().push((image, due));
        }
    }
    let good_at = |i: &SimImage, at: DateTime<Utc>| !i.fails && i.ready <= at && i.deregistered.is_none_or(|d| d > at);
    for ((plan, instance, place), images) in &series {
        let was_good = images.iter().any(|(i, _)| !i.fails && i.ready <= i.deregistered.unwrap_or(now));
        if was_good && !images.iter().any(|(i, _)| good_at(i, now)) {
            broken.push(3, format!("the series {plan} of {instance}{place} has no good image any more"));
        }
        for (image, due) in images.iter().filter(|(i, _)| !i.fails) {
            if let Some(deregistered) = image.deregistered
                && !images.iter().any(|(other, later)| later > due && good_at(other, deregistered))
            {
                broken
                    .push(3, format!("{} was deleted as the newest good one of {plan} of {instance}{place}", image.id));
            }
        }
    }
}

/// Nothing foreign is deleted.
fn ownership(world: &World, broken: &mut Broken) {
    for call in world.calls.of("DeregisterImage") {
        let id = call.parameters.get("ImageId").map_or("", String::as_str);
        if world.images.get(id).and_then(|i| ours(i)).is_none() {
            broken.push(3, format!("DeregisterImage of {id}, which is not ours"));
        }
    }
    let freed: BTreeSet<&str> =
        world.images.values().filter(|i| !i.registered() && ours(i).is_some()).flat_map(|i| i.snapshots()).collect();
    for call in world.calls.of("DeleteSnapshot") {
        let id = call.parameters.get("SnapshotId").map_or("", String::as_str);
        if !freed.contains(id) {
            broken.push(3, format!("DeleteSnapshot of {id}, which is no snapshot of a deregistered image of ours"));
        }
    }
}

/// Every decided occurrence ends, with exactly one outcome per target; and what is written fits what was.
pub async fn recorded(rig: &Rig, broken: &mut Broken) {
    for conflict in rig.journal.conflicts() {
        broken.push(5, conflict);
    }
    let reader = rig.journal.rows();
    for occurrence in reader.occurrences(None, u32::MAX).await.expect("readable") {
        let run = occurrence.run();
        let events = reader.events_of(&run).await.expect("readable");
        let count =
            |kind: &Kind, of: &dyn Fn(&Event) -> bool| events.iter().filter(|e| e.draft.kind == *kind && of(e)).count();
        let finished = count(&Kind::RunFinished, &|_| true);
        let expected = usize::from(occurrence.decision == Decision::Run);
        if finished != expected {
            broken.push(5, format!("{run} ({}) has {finished} ends", occurrence.decision.as_str()));
        }
        let kind = match occurrence.decision {
            Decision::Run => Kind::OccurrenceDecided,
            Decision::Skip => Kind::OccurrenceSkipped,
            Decision::Miss => Kind::OccurrenceMissed,
        };
        if count(&kind, &|_| true) != 1 {
            broken.push(5, format!("{run} ({}) is not told by one {}", occurrence.decision.as_str(), kind.as_str()));
        }
        let subjects: BTreeSet<_> = events
            .iter()
            .filter(|e| matches!(e.draft.kind, Kind::TargetSelected | Kind::TargetSkipped))
            .filter_map(|e| e.draft.subject.clone())
            .collect();
        for subject in subjects {
            let of_it = |e: &Event| e.draft.subject.as_ref() == Some(&subject);
            let (selected, skipped) = (count(&Kind::TargetSelected, &of_it), count(&Kind::TargetSkipped, &of_it));
            let ended = count(&Kind::TargetFinished, &of_it);
            if !matches!((selected, skipped, ended), (1, 0, 1) | (0, 1, 0)) {
                broken.push(5, format!("{run} {subject}: selected {selected}, skipped {skipped}, ended {ended} times"));
            }
        }
    }
}

/// A slot that is still taken belongs to an instance that is not healthy.
pub async fn slots(rig: &Rig, now: DateTime<Utc>, broken: &mut Broken) {
    let open = rig.journal.rows().open_slots().await.expect("readable");
    let world = rig.world();
    for event in open {
        let Some(subject) = &event.draft.subject else { continue };
        let healthy = world.instances.get(&subject.id).is_none_or(|i| i.checks(now) == ("ok", "ok"));
        if healthy {
            broken.push(2, format!("the slot of {} ({}) is still taken", subject.id, event.draft.run));
        }
    }
}
