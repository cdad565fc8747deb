//! Properties: what retention never does, whatever the series looks like.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::tests::{candidate, due};
use super::*;

/// A whole series with all that it depends on, for the properties.
#[derive(Debug, Clone)]
struct World {
    keep: Keep,
    candidates: Vec<Candidate>,
    in_use: BTreeMap<String, String>,
    busy: BTreeMap<String, String>,
    zone: Zone,
    now: DateTime<Utc>,
}

impl World {
    fn decide(&self) -> Vec<Verdict> {
        let World { now, zone, in_use, busy, .. } = self;
        let s = Situation { now: *now, zone, in_use, busy, grace: None };
        decide(&self.keep, &self.candidates, &s)
    }

    /// The good ones, found without the code under test, the newest first.
    fn good(&self) -> Vec<&Candidate> {
        let read = |c: &&Candidate| c.image.odd.is_none() && c.image.created.is_some();
        let late =
            |c: &&Candidate| (c.marks.due - c.image.created.unwrap_or(self.now).min(self.now)).num_seconds() <= 300;
        let mut good: Vec<&Candidate> =
            self.candidates.iter().filter(|c| c.image.state == ImageState::Available && read(c)).filter(late).collect();
        good.sort_by_key(|c| std::cmp::Reverse(c.marks.due));
        good
    }

    fn remove(&mut self, verdicts: &[Verdict]) {
        let gone = deleted(verdicts);
        self.candidates.retain(|c| !gone.contains(&c.image.id));
    }
}

fn deleted(verdicts: &[Verdict]) -> BTreeSet<String> {
    verdicts.iter().filter(|v| v.delete).map(|v| v.image.clone()).collect()
}

fn world() -> impl Strategy<Value = World> {
    let count = || 0_u32..4;
    let keep =
        (count(), prop::option::of(0_u64..2_000_000), count(), count(), count(), count(), count(), 1_u32..5, 0_u32..5)
            .prop_map(|(last, within, hourly, daily, weekly, monthly, yearly, min, max_deletions)| Keep {
                last,
                within,
                hourly,
                daily,
                weekly,
                monthly,
                yearly,
                min,
                max_deletions,
            });
    // Minutes before the start, its state, and what is special about it.
    let image = (-600_i64..2_000_000, 0_u8..12, 0_u8..12);
    let zone = prop::sample::select(vec![chrono_tz::UTC, chrono_tz::Europe::Berlin, chrono_tz::Pacific::Auckland])
        .prop_map(Zone::from);
    (keep, prop::collection::vec(image, 0..25), zone).prop_map(|(keep, images, zone)| {
        let now = due("21T14");
        let mut world = World { keep, candidates: vec![], in_use: BTreeMap::new(), busy: BTreeMap::new(), zone, now };
        let mut taken = BTreeSet::new();
        for (minutes, state, special) in images {
            if !taken.insert(minutes) {
                continue;
            }
            let state = match state {
                0 => ImageState::Pending,
                1 => ImageState::Failed,
                2 => ImageState::Error,
                3 => ImageState::Disabled,
                _ => ImageState::Available,
            };
            let mut c = candidate(now - TimeDelta::minutes(minutes), state);
            let id = c.image.id.clone();
            match special {
                0 => drop(c.image.tags.insert(HOLD_TAG.into(), "me".into())),
                1 => drop(world.in_use.insert(id, "i-1".into())),
                2 => drop(world.busy.insert(id, "being copied".into())),
                3 => c.image.created = c.image.created.map(|at| at - TimeDelta::hours(1)),
                4 => c.image.odd = Some("its state is `frozen`".into()),
                5 => c.image.created = None,
                _ => {}
            }
            world.candidates.push(c);
        }
        world
    })
}

proptest! {
    #[test]
    fn each_image_has_one_verdict_with_reasons(world in world()) {
        let verdicts = world.decide();
        let judged: BTreeSet<&str> = verdicts.iter().map(|v| v.image.as_str()).collect();
        let all: BTreeSet<&str> = world.candidates.iter().map(|c| c.image.id.as_str()).collect();
        prop_assert_eq!(judged, all);
        prop_assert_eq!(verdicts.len(), world.candidates.len());
        prop_assert!(verdicts.iter().all(|v| !v.reasons.is_empty()));
        prop_assert!(verdicts.iter().filter(|v| v.delete).count() <= world.keep.max_deletions as usize);
    }

    #[test]
    fn what_is_protected_is_never_deleted(world in world()) {
        let gone = deleted(&world.decide());
        let good = world.good();
        if let Some(newest) = good.first() {
            prop_assert!(!gone.contains(&newest.image.id));
        }
        let left = good.iter().filter(|c| !gone.contains(&c.image.id)).count();
        prop_assert!(left >= good.len().min(world.keep.min as usize));
        let good: BTreeSet<&str> = good.iter().map(|c| c.image.id.as_str()).collect();
        for c in world.candidates.iter().filter(|c| gone.contains(&c.image.id)) {
            prop_assert!(!c.image.tags.contains_key(HOLD_TAG));
            prop_assert!(!world.in_use.contains_key(&c.image.id) && !world.busy.contains_key(&c.image.id));
            prop_assert!(good.contains(c.image.id.as_str()) || c.image.state.dead());
        }
    }

    #[test]
    fn time_alone_deletes_nothing(world in world(), hours in 0_i64..100_000) {
        let mut then = world.clone();
        // What is dated in the future now will be understood one day, and half-made ones rest only for a day.
        then.candidates.retain(|c| c.marks.due <= world.now && !c.image.state.dead());
        let before = deleted(&then.decide());
        then.now += TimeDelta::hours(hours);
        prop_assert_eq!(deleted(&then.decide()), before);
    }

    #[test]
    fn the_order_of_the_list_does_not_matter(world in world(), turn in 0_usize..25) {
        let mut turned = world.clone();
        turned.candidates.reverse();
        let len = turned.candidates.len();
        turned.candidates.rotate_left(turn.min(len));
        prop_assert_eq!(turned.decide(), world.decide());
    }

    #[test]
    fn deciding_again_converges(world in world()) {
        let mut world = world;
        world.keep.max_deletions = world.keep.max_deletions.max(1);
        let unwanted = |v: &Verdict| v.delete || v.reasons.iter().any(|r| r.contains("max_deletions"));
        let mut wanted: BTreeSet<String> =
            world.decide().into_iter().filter(|v| !unwanted(v)).map(|v| v.image).collect();
        for _ in 0..=25 {
            let verdicts = world.decide();
            prop_assert!(deleted(&verdicts).is_disjoint(&wanted), "a kept image was deleted later");
            wanted.extend(verdicts.iter().filter(|v| !unwanted(v)).map(|v| v.image.clone()));
            world.remove(&verdicts);
        }
        prop_assert!(deleted(&world.decide()).is_empty(), "does not come to rest");
        prop_assert_eq!(world.candidates.len(), wanted.len());
    }
}
