//! What is stored, sampled at the end of each day, and an estimate of its size.
//!
//! EBS snapshots are incremental: the oldest one of a volume that is there holds all of it, each later one the blocks
//! that changed since the one before. Each day the same part of all blocks changes, whichever they are: a block that
//! changes twice is kept once. The copies of one disk in one place are such a line too: the oldest holds all of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::domain::naming::TAG_PREFIX;
use crate::domain::place::Place;
use crate::report::rehearsal::{Kept, Stored};
use crate::sim::World;
use crate::sim::snapshot::{COPIED_VOLUME, SimSnapshot};

/// The days of a month on average: what a GB-month is reckoned with.
pub const MONTH_DAYS: f64 = 365.25 / 12.0;

/// What one plan keeps in one place, day by day.
#[derive(Debug, Clone, Default)]
struct Series {
    images: Vec<u32>,
    snapshots: Vec<u32>,
    gib: Vec<f64>,
}

/// The samples of all plans and places.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The part of a volume that changes in a day.
    change: f64,
    /// USD for a GB-month.
    price: f64,
    days: usize,
    series: BTreeMap<(String, Place), Series>,
}

/// What the snapshots of one line are of. Copies all bear the same volume id, so the instance and its device tell them
/// apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line<'a> {
    /// A volume.
    Volume(&'a str),
    /// The copies in a place of what an instance has at a device.
    Copies(&'a Place, &'a str, &'a str),
}

impl<'a> Line<'a> {
    fn of(world: &'a World, snapshot: &'a SimSnapshot) -> Self {
        if snapshot.volume != COPIED_VOLUME {
            return Self::Volume(&snapshot.volume);
        }
        let instance = snapshot.tags.get(&format!("{TAG_PREFIX}instance")).map_or("", String::as_str);
        let of = snapshot.users.iter().filter_map(|image| world.images.get(image)).flat_map(|image| &image.mappings);
        let device = of.filter(|(_, id, _)| *id == snapshot.id).map(|(device, ..)| device.as_str()).next();
        Self::Copies(&snapshot.place, instance, device.unwrap_or_default())
    }
}

/// One snapshot: of what, when, how large, and for whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taken<'a, K> {
    /// What it is of.
    pub line: Line<'a>,
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// GiB of all of it.
    pub size: u32,
    /// Whom its size counts for.
    pub owner: K,
}

/// What one plan holds in one place on one day.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    images: u32,
    snapshots: u32,
    gib: f64,
}

/// The few plans and places that hold something, looked through for each of the many images and snapshots.
struct Owners<'a>(Vec<(&'a str, &'a Place, Held)>);

impl<'a> Owners<'a> {
    fn number(&mut self, plan: &'a str, place: &'a Place) -> usize {
        let known = self.0.iter().position(|(p, at, _)| *p == plan && *at == place);
        known.unwrap_or_else(|| {
            self.0.push((plan, place, Held::default()));
            self.0.len() - 1
        })
    }
}

/// The GiB that each snapshot holds.
#[allow(clippy::cast_precision_loss)] // seconds of centuries fit
pub fn sizes<K>(mut snapshots: Vec<Taken<'_, K>>, change: f64) -> impl Iterator<Item = (K, f64)> {
    snapshots.sort_by(|a, b| (a.line, a.at).cmp(&(b.line, b.at)));
    let mut before: Option<(Line<'_>, DateTime<Utc>)> = None;
    snapshots.into_iter().map(move |taken| {
        let part = match before.replace((taken.line, taken.at)) {
            Some((line, at)) if line == taken.line => {
                1.0 - (1.0 - change).powf((taken.at - at).num_seconds() as f64 / 86_400.0)
            }
            _ => 1.0,
        };
        (taken.owner, f64::from(taken.size) * part)
    })
}

impl Storage {
    /// Nothing yet.
    #[must_use]
    pub fn new(change: f64, price: f64) -> Self {
        Self { change, price, days: 0, series: BTreeMap::new() }
    }

    /// Takes the sample of a day that ends.
    pub fn sample(&mut self, world: &World) {
        let tag = format!("{TAG_PREFIX}plan");
        let mut owners = Owners(Vec::new());
        for image in world.images.values().filter(|image| image.registered()) {
            if let Some(plan) = image.tags.get(&tag) {
                let owner = owners.number(plan, &image.place);
                owners.0[owner].2.images += 1;
            }
        }
        let mut taken: Vec<Taken<'_, usize>> = Vec::with_capacity(world.snapshots.len());
        for s in world.snapshots.values() {
            if let Some(plan) = s.tags.get(&tag) {
                let owner = owners.number(plan, &s.place);
                taken.push(Taken { line: Line::of(world, s), at: s.created, size: s.size, owner });
            }
        }
        for (owner, gib) in sizes(taken, self.change) {
            owners.0[owner].2.snapshots += 1;
            owners.0[owner].2.gib += gib;
        }
        for (plan, place, _) in &owners.0 {
            self.series.entry(((*plan).to_owned(), (*place).clone())).or_default();
        }
        for ((plan, place), series) in &mut self.series {
            let held = owners.0.iter().find(|(p, at, _)| p == plan && *at == place).map(|(.., held)| *held);
            let held = held.unwrap_or_default();
            // A place where nothing was kept before has had nothing until now.
            series.images.resize(self.days, 0);
            series.snapshots.resize(self.days, 0);
            series.gib.resize(self.days, 0.0);
            series.images.push(held.images);
            series.snapshots.push(held.snapshots);
            // Rounded here, so that all sums agree.
            series.gib.push(tenth(held.gib));
        }
        self.days += 1;
    }

    /// What each plan keeps in each place.
    #[must_use]
    pub fn kept(&self) -> Vec<Kept> {
        let kept = |((plan, place), series): (&(String, Place), &Series)| Kept {
            plan: plan.clone(),
            account: place.account.clone(),
            region: place.region.clone(),
            stored: self.stored(&[series]),
            images: series.images.clone(),
            snapshots: series.snapshots.clone(),
            gib: series.gib.clone(),
        };
        self.series.iter().map(kept).collect()
    }

    /// What one plan keeps in all places.
    #[must_use]
    pub fn of_plan(&self, plan: &str) -> Stored {
        self.stored(&self.series.iter().filter(|((p, _), _)| p == plan).map(|(_, series)| series).collect::<Vec<_>>())
    }

    /// What all plans keep.
    #[must_use]
    pub fn all(&self) -> Stored {
        self.stored(&self.series.values().collect::<Vec<_>>())
    }

    fn stored(&self, list: &[&Series]) -> Stored {
        let sum = |of: &dyn Fn(&Series) -> &Vec<u32>| -> Vec<u64> {
            (0..self.days).map(|n| list.iter().map(|series| u64::from(of(series)[n])).sum()).collect()
        };
        let (images, snapshots) = (sum(&|s| &s.images), sum(&|s| &s.snapshots));
        let gib: Vec<f64> = (0..self.days).map(|n| list.iter().map(|series| series.gib[n]).sum()).collect();
        let gb_months = gib.iter().sum::<f64>() / MONTH_DAYS;
        let end = gib.last().copied().unwrap_or_default();
        Stored {
            images: images.last().copied().unwrap_or_default(),
            images_most: images.iter().copied().max().unwrap_or_default(),
            snapshots: snapshots.last().copied().unwrap_or_default(),
            snapshots_most: snapshots.iter().copied().max().unwrap_or_default(),
            gib: tenth(end),
            gb_months: tenth(gb_months),
            cost: cent(gb_months * self.price),
            cost_per_month: cent(end * self.price),
        }
    }
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn cent(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u32, hour: u32) -> DateTime<Utc> {
        format!("2026-12-{day:02}T{hour:02}:00:00Z").parse().unwrap()
    }

    fn taken(volume: &str, day: u32, hour: u32, owner: char) -> Taken<'_, char> {
        Taken { line: Line::Volume(volume), at: at(day, hour), size: 100, owner }
    }

    #[test]
    fn the_oldest_is_full_and_the_others_hold_what_changed() {
        let list = vec![
            taken("vol-b", 3, 0, 'y'),
            taken("vol-a", 2, 0, 'x'), // a day after the first
            taken("vol-a", 1, 0, 'x'),
            taken("vol-a", 2, 12, 'y'), // half a day later, by another plan
            taken("vol-a", 31, 0, 'x'), // 28.5 days later: 1 - 0.97^28.5
        ];
        let sizes: Vec<_> = sizes(list, 0.03).map(|(owner, gib)| (owner, tenth(gib))).collect();
        assert_eq!(sizes, [('x', 100.0), ('x', 3.0), ('y', 1.5), ('x', 58.0), ('y', 100.0)]);
        // No more can change than there is, and no less than nothing.
        for (change, second) in [(1.0, 100.0), (0.5, 100.0), (0.0, 0.0)] {
            let list = vec![taken("vol-a", 1, 0, 'x'), taken("vol-a", 31, 0, 'x')];
            let sizes: Vec<f64> = super::sizes(list, change).map(|(_, gib)| tenth(gib)).collect();
            assert_eq!(sizes, [100.0, second]);
        }
    }

    #[test]
    fn copies_in_another_place_are_a_line_of_their_own() {
        let (here, there) = (Place::new("1", "eu-west-1"), Place::new("1", "eu-west-3"));
        let copy = |place, device, day| Taken {
            line: Line::Copies(place, "i-1", device),
            at: at(day, 0),
            size: 100,
            owner: if device == "/dev/a" { 'a' } else { 'b' },
        };
        let list = vec![
            taken("vol-a", 1, 0, 'x'),
            copy(&here, "/dev/a", 1),
            copy(&here, "/dev/a", 2),
            copy(&here, "/dev/b", 2),
            copy(&there, "/dev/a", 2),
        ];
        let sizes: Vec<_> = sizes(list, 0.03).map(|(owner, gib)| (owner, tenth(gib))).collect();
        assert_eq!(sizes, [('x', 100.0), ('a', 100.0), ('a', 3.0), ('b', 100.0), ('a', 100.0)]);
    }

    #[test]
    fn months_are_reckoned_by_the_day() {
        let series = Series { images: vec![1, 3, 2], snapshots: vec![1, 3, 2], gib: vec![100.0, 103.0, 106.0] };
        let place = Place::new("111111111111", "eu-central-1");
        let series = BTreeMap::from([(("web".to_owned(), place), series)]);
        let storage = Storage { change: 0.03, price: 0.05, days: 3, series };
        let stored = storage.of_plan("web");
        assert_eq!((stored.images, stored.images_most, stored.snapshots), (2, 3, 2));
        // 309 GiB-days are 10.15 GB-months, and 51 cents; 106 GiB cost 5.30 a month.
        assert_eq!((stored.gib, stored.gb_months, stored.cost, stored.cost_per_month), (106.0, 10.2, 0.51, 5.3));
        assert_eq!(storage.of_plan("db"), Stored::default());
        assert_eq!(storage.all(), stored);
    }
}
