//! Seeded trouble: what goes wrong by chance on the way of requests and in the life of images and instances. It owns
//! the rates and counts what went wrong; it keeps no other state: each misfortune is a function of the world's seed
//! and of a request's number, an object's id, or the hour.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::answer::Answer;
use super::encryption::Copying;
use super::error::ApiError;
use super::faults::FaultKind;
use super::ids;
use super::image::SimImage;
use super::world::World;
use crate::domain::place::Place;

/// How much goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Nothing goes wrong by itself
    #[default]
    None,
    /// An ordinary quarter: a request in 200 fails, an image in 1,000
    Typical,
    /// Far beyond any real one: a request in 7 fails, an image in 30; regions fall silent, credentials expire
    Harsh,
}

/// The chances of one profile. All were chosen, none is measured: `typical` so that a quarter of an ordinary fleet
/// sees some of each kind, `harsh` so that a week does.
struct Rates {
    /// Of each request: what goes wrong, and how likely.
    requests: &'static [(FaultKind, f64)],
    /// Of each request: its answer is late, and by how many seconds at most. Beyond every deadline of a client when
    /// harsh (reads 30 s, effects 60 s).
    late: (f64, f64),
    /// Per region and [`WATCH_HOURS`]: it falls silent, for so many minutes at most.
    silence: (f64, f64),
    /// Per account and [`WATCH_HOURS`]: its credentials expire, for so many minutes at most.
    expiry: (f64, f64),
    /// Of each image: it ends `failed`.
    image_fails: f64,
    /// Of each image: it takes an hour or more, at most so many.
    image_hours: (f64, f64),
    /// Of each boot: the instance does not come back until somebody repairs it, within so many hours.
    boot_lost: (f64, f64),
    /// Of each grant: it works late, after so many seconds at most.
    grant_late: (f64, f64),
    /// Of each copy under a key that is the first of its image there: KMS fails it.
    copy_key_fails: f64,
    /// Of each image and account: calls about it are refused after it was made, or lent, for so many seconds at most.
    not_yet: (f64, f64),
    /// Of each request: its answer is none of AWS's.
    odd: f64,
}

/// Silence and expiry are drawn once for each such stretch of time, and end within it.
const WATCH_HOURS: i64 = 12;
/// A region that is silent leaves requests hanging this long, beyond any client's deadline, or cuts them.
const HANG_SECONDS: f64 = 900.0;

const NONE: Rates = Rates {
    requests: &[],
    late: (0.0, 0.0),
    silence: (0.0, 0.0),
    expiry: (0.0, 0.0),
    image_fails: 0.0,
    image_hours: (0.0, 0.0),
    boot_lost: (0.0, 0.0),
    grant_late: (0.0, 0.0),
    copy_key_fails: 0.0,
    not_yet: (0.0, 0.0),
    odd: 0.0,
};

const TYPICAL: Rates = Rates {
    requests: &[
        (FaultKind::Throttle, 0.002),
        (FaultKind::ErrorBefore, 0.0005),
        (FaultKind::ErrorAfter, 0.0003),
        (FaultKind::CutBefore, 0.0005),
        (FaultKind::CutAfter, 0.0003),
    ],
    late: (0.002, 15.0),
    silence: (0.01, 20.0),
    expiry: (0.01, 5.0),
    image_fails: 0.001,
    image_hours: (0.005, 6.0),
    boot_lost: (0.0005, 4.0),
    grant_late: (0.01, 120.0),
    copy_key_fails: 0.002,
    not_yet: (0.01, 60.0),
    odd: 0.0,
};

const HARSH: Rates = Rates {
    requests: &[
        (FaultKind::Throttle, 0.03),
        (FaultKind::ErrorBefore, 0.02),
        (FaultKind::ErrorAfter, 0.02),
        (FaultKind::CutBefore, 0.02),
        (FaultKind::CutAfter, 0.02),
    ],
    late: (0.03, 120.0),
    silence: (0.15, 45.0),
    expiry: (0.15, 10.0),
    image_fails: 0.03,
    image_hours: (0.03, 30.0),
    boot_lost: (0.01, 6.0),
    grant_late: (0.15, 400.0),
    copy_key_fails: 0.05,
    not_yet: (0.15, 240.0),
    odd: 0.005,
};

impl Profile {
    fn rates(self) -> &'static Rates {
        match self {
            Self::None => &NONE,
            Self::Typical => &TYPICAL,
            Self::Harsh => &HARSH,
        }
    }
}

/// The world's trouble, saved with it. To end it, set the profile to `none`: what it counted stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// How much goes wrong.
    pub profile: Profile,
    /// How often each kind of fault came, the scripted ones included.
    pub injected: BTreeMap<String, u64>,
}

impl Trouble {
    /// None yet, of this profile.
    #[must_use]
    pub fn of(profile: Profile) -> Self {
        Self { profile, injected: BTreeMap::new() }
    }

    /// Counts one fault of `kind`.
    pub(super) fn count(&mut self, kind: &str) {
        match self.injected.get_mut(kind) {
            Some(n) => *n += 1,
            None => drop(self.injected.insert(kind.into(), 1)),
        }
    }
}

impl World {
    /// What goes wrong by chance with the request that comes now.
    pub(super) fn misfortune(&self, now: DateTime<Utc>, place: &Place) -> Option<FaultKind> {
        if self.trouble.profile == Profile::None {
            return None;
        }
        let rates = self.trouble.profile.rates();
        let draw = ids::fraction(self.seed, &format!("request/{}", self.served));
        if self.spell(now, &format!("silence/{place}"), rates.silence) {
            let hang = FaultKind::HangBefore { seconds: HANG_SECONDS };
            return Some(if draw < 0.5 { hang } else { FaultKind::CutBefore });
        }
        if self.spell(now, &format!("expiry/{}", place.account), rates.expiry) {
            return Some(FaultKind::Expired);
        }
        let mut below = 0.0;
        for (kind, chance) in rates.requests {
            below += chance;
            if draw < below {
                return Some(*kind);
            }
        }
        let (chance, most) = rates.late;
        let seconds = most * (draw - below) / chance.max(f64::MIN_POSITIVE);
        (draw < below + chance).then_some(FaultKind::HangAfter { seconds })
    }

    /// Whether `now` lies within a bad spell of `what`: at most one in each watch.
    fn spell(&self, now: DateTime<Utc>, what: &str, (chance, most_minutes): (f64, f64)) -> bool {
        // The world's durations are divided by its speed, so its minutes are counted at that speed.
        #[allow(clippy::cast_precision_loss)] // milliseconds of centuries fit
        let minute = now.timestamp_millis() as f64 / 60_000.0 * self.speed;
        #[allow(clippy::cast_precision_loss)]
        let watch = (WATCH_HOURS * 60) as f64;
        let number = (minute / watch).floor();
        let draw = |part: &str| ids::fraction(self.seed, &format!("{what}/{number}/{part}"));
        if draw("whether") >= chance {
            return false;
        }
        let lasts = most_minutes * draw("lasts");
        let begins = (watch - lasts) * draw("begins");
        (begins..begins + lasts).contains(&(minute - number * watch))
    }

    /// When the image `id` of an instance with `own` image seconds is ready, and whether it then fails.
    pub(super) fn outcome_of_image(&mut self, now: DateTime<Utc>, id: &str, own: Option<f64>) -> (DateTime<Utc>, bool) {
        let rates = self.trouble.profile.rates();
        let draw = |what: &str| ids::fraction(self.seed, &format!("{what}/{id}"));
        let fails = draw("fails") < rates.image_fails;
        let (chance, most) = rates.image_hours;
        let slow = draw("slow") < chance;
        let hours = 1.0 + (most - 1.0) * draw("hours");
        if fails {
            self.trouble.count("image_failed");
        }
        if slow {
            self.trouble.count("image_slow");
        }
        let takes = if slow { self.span(hours * 3600.0) } else { self.image_span(id, own) };
        (now + takes, fails)
    }

    /// A grant works only after so many seconds (KMS developer guide, "Eventual consistency": "it might take ... less
    /// than 5 minutes", and in harsh trouble longer than that).
    pub(super) fn seconds_of_grant(&mut self, id: &str) -> f64 {
        let (chance, most) = self.trouble.profile.rates().grant_late;
        if ids::fraction(self.seed, &format!("late/{id}")) >= chance {
            return self.grant_seconds;
        }
        self.trouble.count("grant_late");
        self.grant_seconds.max(most * ids::fraction(self.seed, &format!("seconds/{id}")))
    }

    /// Why KMS fails the copy `id` for no reason of its own, once for each image and place.
    pub(super) fn unlucky_key(
        &mut self,
        id: &str,
        source: &str,
        place: &Place,
        copy: &Copying,
    ) -> Option<(String, String)> {
        let chance = self.trouble.profile.rates().copy_key_fails;
        let unlucky = ids::fraction(self.seed, &format!("key/{id}")) < chance;
        let key = copy.seals.first().filter(|_| unlucky)?;
        let another = |i: &SimImage| i.id != id && i.place == *place && i.source_image.as_deref() == Some(source);
        if self.images.values().any(|i| another(i)) {
            return None;
        }
        self.trouble.count("copy_key_failed");
        let message = format!("The KMS key {key} could not be used");
        Some(("Client.InvalidKmsKey.InvalidState".into(), message))
    }

    /// What goes wrong by chance where nothing else did: drawn apart, by the object or by a request's number.
    pub(super) fn oddity(&self, now: DateTime<Utc>, place: &Place, action: &Action) -> Option<FaultKind> {
        if self.trouble.profile == Profile::None {
            return None;
        }
        let rates = self.trouble.profile.rates();
        if self.lags(now, place, action, rates.not_yet) {
            return Some(FaultKind::NotYet);
        }
        let draw = ids::fraction(self.seed, &format!("odd/{}", self.served));
        let kinds = [FaultKind::NamesNothing, FaultKind::NamesAnother, FaultKind::NoCode];
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // below the count of kinds
        (draw < rates.odd).then(|| kinds[(draw / rates.odd * 3.0) as usize % 3])
    }

    /// Whether an image that a call is about is not known there yet (EC2 guide, "Eventual consistency"; met within one
    /// account too: ansible#4368, salt#27625), or what lends it to the caller's account is not (a public Lambda lists
    /// "The storage for the ami is not available in the source region" as expected).
    fn lags(&self, now: DateTime<Utc>, place: &Place, action: &Action, (chance, most): (f64, f64)) -> bool {
        let Some(image) = action.image().and_then(|id| self.images.get(id)) else { return false };
        let since = if image.place.account == place.account {
            image.ready
        } else {
            match self.lent_at.get(&format!("{}/{}", image.id, place.account)) {
                Some(at) => *at,
                None => return false,
            }
        };
        let draw = |what: &str| ids::fraction(self.seed, &format!("lag/{what}/{}/{}", image.id, place.account));
        now >= since && draw("whether") < chance && now < since + self.span(most * draw("lasts"))
    }

    /// Whether a fault of this kind can befall this call.
    pub(super) fn concerns(kind: FaultKind, action: &Action) -> bool {
        let makes_image = matches!(action, Action::CreateImage { .. } | Action::CopyImage { .. });
        match kind {
            FaultKind::NotYet => action.image().is_some(),
            FaultKind::NamesAnother => makes_image,
            FaultKind::NamesNothing => makes_image || matches!(action, Action::CreateGrant { .. }),
            _ => true,
        }
    }

    /// What is answered of an image that is not known there yet, or not known to be lent.
    pub(super) fn not_yet(&self, place: &Place, action: &Action) -> ApiError {
        let id = action.image().unwrap_or_default();
        match self.images.get(id) {
            Some(image) if image.place.account != place.account => {
                let by_id = ids::fraction(self.seed, &format!("lag/words/{id}/{}", place.account));
                if by_id < 0.5 { ApiError::not_yours("images", id) } else { ApiError::storage_not_available() }
            }
            _ => ApiError::no_image(&[id]),
        }
    }

    /// The answer, with another image of the place instead of the one that was made, if there is one.
    pub(super) fn named_another(&self, place: &Place, answer: Answer) -> Answer {
        let Answer::Image(made) = &answer else { return answer };
        let other = self.images.values().find(|image| image.place == *place && image.id != *made && image.registered());
        other.map_or_else(|| answer.clone().named_nothing(), |image| Answer::Image(image.id.clone()))
    }

    /// Until when the instance `id`, which boots now, does not come back, if so: then somebody has repaired it.
    pub(super) fn lost_until(&mut self, now: DateTime<Utc>, id: &str) -> Option<DateTime<Utc>> {
        let (chance, most) = self.trouble.profile.rates().boot_lost;
        let draw = |what: &str| ids::fraction(self.seed, &format!("{what}/{id}/{}", now.timestamp_millis()));
        if draw("lost") >= chance {
            return None;
        }
        let repaired = now + Duration::minutes(1) + self.span(most * 3600.0 * draw("repaired"));
        self.trouble.count("instance_lost");
        Some(repaired)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;
    use crate::sim::Fleet;

    fn world(profile: Profile, seed: u64) -> World {
        let now = Utc.with_ymd_and_hms(2026, 11, 20, 2, 30, 0).unwrap();
        Fleet { trouble: profile, seed, ..Fleet::demo() }.world(now).unwrap()
    }

    /// What 20,000 requests in `minutes` see, by kind, and how many images of as many fail and are slow.
    fn year(world: &mut World) -> BTreeMap<String, u64> {
        let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
        let place = Place::new("111111111111", "eu-central-1");
        for n in 0..20_000 {
            let now = start + Duration::minutes(n * 26);
            world.served += 1;
            if let Some(kind) = world.misfortune(now, &place) {
                world.trouble.count(kind.label());
            }
            world.outcome_of_image(now, &format!("ami-{n}"), None);
            world.lost_until(now, "i-1");
        }
        world.trouble.injected.clone()
    }

    #[test]
    fn each_profile_has_its_rates_and_each_seed_its_year() {
        assert_eq!(year(&mut world(Profile::None, 1)), BTreeMap::new());
        let (typical, harsh) = (year(&mut world(Profile::Typical, 1)), year(&mut world(Profile::Harsh, 1)));
        let kinds = [
            "cut_after",
            "cut_before",
            "error_after",
            "error_before",
            "expired",
            "hang_after",
            "hang_before",
            "image_failed",
            "image_slow",
            "instance_lost",
            "throttle",
        ];
        assert_eq!(harsh.keys().collect::<Vec<_>>(), kinds);
        // 20,000 draws: far within these bounds whatever the seed.
        for (kind, least, most) in
            [("throttle", 500, 700), ("error_after", 300, 500), ("image_failed", 500, 700), ("instance_lost", 130, 280)]
        {
            assert!((least..most).contains(&harsh[kind]), "{kind}: {harsh:?}");
        }
        assert!(typical.iter().all(|(kind, n)| *n < harsh[kind]), "{typical:?} {harsh:?}");
        assert_eq!(year(&mut world(Profile::Harsh, 1)), harsh, "the same seed is the same year");
        assert_ne!(year(&mut world(Profile::Harsh, 2)), harsh);
    }

    #[test]
    fn a_silent_region_is_silent_for_a_while_and_alone() {
        let world = world(Profile::Harsh, 3);
        let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
        let silent = |minute: i64, region: &str| {
            let now = start + Duration::minutes(minute);
            world.spell(now, &format!("silence/{}", Place::new("111111111111", region)), HARSH.silence)
        };
        let minutes: Vec<i64> = (0..200 * 24 * 60).filter(|minute| silent(*minute, "eu-central-1")).collect();
        let spells = 1 + minutes.windows(2).filter(|pair| pair[1] - pair[0] > 1).count();
        assert!((20..120).contains(&spells), "{spells} spells in 200 days");
        assert!(minutes.len() < spells * 46, "none is longer than 45 minutes");
        assert!(minutes.iter().any(|minute| !silent(*minute, "eu-west-1")), "another region answers meanwhile");
    }
}
