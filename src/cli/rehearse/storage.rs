//! What is stored, sampled at the end of each day, and an estimate of its size.
//!
//! EBS snapshots are incremental: the oldest one of a volume that is there holds all of it, each later one what was
//! written since the one before.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::cloud::sim::World;
use crate::domain::naming::TAG_PREFIX;
use crate::domain::place::Place;
use crate::report::rehearsal::{Kept, Stored};

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

/// One snapshot: of which volume, when, how large, and for whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taken<'a, K> {
    /// `vol-...`
    pub volume: &'a str,
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// GiB of the volume.
    pub size: u32,
    /// Whom its size counts for.
    pub owner: K,
}

/// The GiB that each snapshot holds.
#[allow(clippy::cast_precision_loss)] // seconds of centuries fit
pub fn sizes<K>(mut snapshots: Vec<Taken<'_, K>>, change: f64) -> impl Iterator<Item = (K, f64)> {
    snapshots.sort_by(|a, b| (a.volume, a.at).cmp(&(b.volume, b.at)));
    let mut before: Option<(&str, DateTime<Utc>)> = None;
    snapshots.into_iter().map(move |taken| {
        let part = match before.replace((taken.volume, taken.at)) {
            Some((volume, at)) if volume == taken.volume => {
                ((taken.at - at).num_seconds() as f64 / 86_400.0 * change).min(1.0)
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

    /// Takes the sample of a day that ends, and lets the world forget what is deregistered.
    pub fn sample(&mut self, world: &mut World) {
        let plan = format!("{TAG_PREFIX}plan");
        world.images.retain(|_, image| image.registered());
        let mut images: BTreeMap<(&str, &Place), u32> = BTreeMap::new();
        for image in world.images.values() {
            if let Some(plan) = image.tags.get(&plan) {
                *images.entry((plan, &image.place)).or_default() += 1;
            }
        }
        let owned = world.snapshots.values().filter_map(|s| Some((s, (s.tags.get(&plan)?.as_str(), &s.place))));
        let taken = owned.map(|(s, owner)| Taken { volume: &s.volume, at: s.created, size: s.size, owner });
        let mut held: BTreeMap<(&str, &Place), (u32, f64)> = BTreeMap::new();
        for (owner, gib) in sizes(taken.collect(), self.change) {
            let sum = held.entry(owner).or_default();
            *sum = (sum.0 + 1, sum.1 + gib);
        }
        let owners = images.keys().chain(held.keys()).map(|(plan, place)| ((*plan).to_owned(), (*place).clone()));
        for owner in owners {
            self.series.entry(owner).or_default();
        }
        for ((plan, place), series) in &mut self.series {
            let key = (plan.as_str(), place);
            let (snapshots, gib) = held.get(&key).copied().unwrap_or_default();
            // A place where nothing was kept before has had nothing until now.
            series.images.resize(self.days, 0);
            series.snapshots.resize(self.days, 0);
            series.gib.resize(self.days, 0.0);
            series.images.push(images.get(&key).copied().unwrap_or_default());
            series.snapshots.push(snapshots);
            series.gib.push(gib);
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
            gib: series.gib.iter().map(|gib| tenth(*gib)).collect(),
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
        Taken { volume, at: at(day, hour), size: 100, owner }
    }

    #[test]
    fn the_oldest_is_full_and_the_others_hold_what_changed() {
        let list = vec![
            taken("vol-b", 3, 0, 'y'),
            taken("vol-a", 2, 0, 'x'), // a day after the first
            taken("vol-a", 1, 0, 'x'),
            taken("vol-a", 2, 12, 'y'), // half a day later, by another plan
            taken("vol-a", 31, 0, 'x'), // 28.5 days later: 85.5 %
        ];
        let sizes: Vec<_> = sizes(list, 0.03).map(|(owner, gib)| (owner, tenth(gib))).collect();
        assert_eq!(sizes, [('x', 100.0), ('x', 3.0), ('y', 1.5), ('x', 85.5), ('y', 100.0)]);
        // No more can change than there is.
        let list = vec![taken("vol-a", 1, 0, 'x'), taken("vol-a", 31, 0, 'x')];
        assert!(super::sizes(list, 0.5).all(|(_, gib)| tenth(gib) == 100.0));
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
