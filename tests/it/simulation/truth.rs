//! What is ours, and what is good, as the world knows it: written anew here, so that a slip of the engine's own rule
//! does not excuse itself.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use stillframe::sim::World;
use stillframe::sim::image::SimImage;

use super::rig::DAEMON;

/// A due that is later than the image, or than now, by more than this is not understood.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// Plan, instance and due: what one image is made for.
pub type Key = (String, String, DateTime<Utc>);

/// The due in a name.
fn compact(text: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok().map(|at| at.and_utc())
}

/// The due in a tag.
pub fn due_of(text: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ").ok().map(|at| at.and_utc())
}

/// The name of the image that is made for `key`.
pub fn name_of((plan, instance, due): &Key) -> String {
    format!("stillframe/{DAEMON}/{plan}/{instance}/{}", due.format("%Y%m%dT%H%M%SZ"))
}

/// The name of the run that makes it.
pub fn run_of(plan: &str, due: DateTime<Utc>) -> String {
    format!("{plan}@{}", due.format("%Y%m%dT%H%M%SZ"))
}

/// Plan, instance and due of one of our names.
pub fn parse(name: &str) -> Option<Key> {
    let mut parts = name.strip_prefix("stillframe/")?.strip_prefix(DAEMON)?.strip_prefix('/')?.split('/');
    let (plan, instance, due) = (parts.next()?, parts.next()?, compact(parts.next()?)?);
    (parts.next().is_none()).then(|| (plan.to_owned(), instance.to_owned(), due))
}

/// Made by CreateImage under the name of its own instance, whatever its tags say by now.
pub fn made_by_us(image: &SimImage) -> Option<Key> {
    parse(&image.name).filter(|(_, instance, _)| image.source_instance.as_ref() == Some(instance))
}

/// Made by CopyImage of one of ours, under its name and a hash: what the tags say of its source is so.
pub fn copied_by_us(image: &SimImage) -> Option<Key> {
    let (name, _hash) = image.name.rsplit_once('/')?;
    let key = parse(name)?;
    let tag = |key: &str| image.tags.get(&format!("stillframe:{key}"));
    let own = tag("role").is_some_and(|role| role == "copy") && tag("daemon").is_some_and(|name| name == DAEMON);
    (own && image.source_image.is_some() && tag("source") == image.source_image.as_ref()).then_some(key)
}

/// Whether the tags of one of our images say what its name says, and all else that they must.
fn marked(image: &SimImage, (plan, instance, due): &Key, role: &str) -> bool {
    let is = |name: &str, value: &str| image.tags.get(&format!("stillframe:{name}")).is_some_and(|v| v == value);
    let has = |name: &str| image.tags.contains_key(&format!("stillframe:{name}"));
    is("daemon", DAEMON)
        && is("schema", "1")
        && is("role", role)
        && is("plan", plan)
        && is("instance", instance)
        && is("due", &due.format("%Y-%m-%dT%H:%M:%SZ").to_string())
        && is("run", &run_of(plan, *due))
        && has("installation")
        && has("consistency")
}

/// Ours by the full rule, and made by CreateImage.
pub fn ours(image: &SimImage) -> Option<Key> {
    made_by_us(image).filter(|key| marked(image, key, "image"))
}

/// Ours by the full rule, and made by CopyImage.
pub fn our_copy(image: &SimImage) -> Option<Key> {
    copied_by_us(image).filter(|key| marked(image, key, "copy"))
}

/// Ours by the full rule.
pub fn of_us(image: &SimImage) -> Option<Key> {
    ours(image).or_else(|| our_copy(image))
}

/// Whether it is a copy in the place of the image that it was copied from: one under another key.
pub fn is_via(world: &World, image: &SimImage) -> bool {
    let source = image.source_image.as_ref().and_then(|id| world.images.get(id));
    source.is_some_and(|source| source.place == image.place)
}

/// The series of an image, as messages name it and as people touch it.
pub fn series_of(image: &SimImage, key: &Key) -> String {
    let name = format!("{}/{}", key.0, key.1);
    if image.source_image.is_some() { format!("{name} in {}", image.place) } else { name }
}

/// Whether it is one of the good ones of its series.
pub fn good(image: &SimImage, now: DateTime<Utc>) -> bool {
    let dated = of_us(image).is_some_and(|(_, _, due)| due - TOLERANCE <= image.created && due - TOLERANCE <= now);
    dated && image.registered() && !image.fails && !image.disabled && image.ready <= now
}

/// The dues of the good images of the series of `key` in the place of `image`, the newest first; without `image`.
pub fn good_beside(world: &World, image: &SimImage, key: &Key, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let copies = image.source_image.is_some();
    let others = world.images.values().filter(|i| i.id != image.id && i.place == image.place && good(i, now));
    let others = others.filter(|i| i.source_image.is_some() == copies);
    let of_series = others.filter_map(|i| of_us(i).filter(|(plan, id, _)| (plan, id) == (&key.0, &key.1)));
    let mut dues: Vec<DateTime<Utc>> = of_series.map(|(_, _, due)| due).collect();
    dues.sort_unstable_by(|a, b| b.cmp(a));
    dues
}
