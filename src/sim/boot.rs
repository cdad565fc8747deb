//! The newest boot of an instance: what is true of it, and what the status checks say of it, which comes later.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ids;
use super::world::World;

/// A guest that does not shut down is reset after this long (older EC2 user guide, "Reboot your instance": "If an
/// instance does not cleanly shut down within four minutes"; the API reference says "a few minutes").
pub const RESET_SECONDS: f64 = 240.0;
/// Checks are made each minute and fail on the second in a row (EC2 user guide, "Status checks": "performed every
/// minute"; the two are those of CloudWatch's default alarm): a boot shorter than that may never show.
const HIDDEN_SECONDS: f64 = 120.0;

/// What the status checks read while the instance restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Both read `initializing`, as after a start.
    #[default]
    Initializing,
    /// The instance check alone reads `impaired`: what people have met after a reboot.
    Impaired,
    /// Nothing: it was too short for them.
    Hidden,
}

/// The newest boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Until then the instance is down.
    pub until: DateTime<Utc>,
    /// Until then the status checks have not noticed a reboot, and read `ok`.
    #[serde(default)]
    pub noticed: DateTime<Utc>,
    /// Until then they have not noticed that it is over; `until` if absent.
    #[serde(default)]
    pub shown: Option<DateTime<Utc>>,
    /// What they read meanwhile.
    #[serde(default)]
    pub word: Word,
    /// And after that `impaired` rather than `ok`.
    pub impaired: bool,
    /// From then on `ok` all the same: somebody has repaired it.
    #[serde(default)]
    pub repaired: Option<DateTime<Utc>>,
    /// Until then the check of attached volumes reads `impaired`: they stall while snapshots begin.
    #[serde(default)]
    pub stalled: Option<DateTime<Utc>>,
}

impl Boot {
    /// One that was over long ago.
    #[must_use]
    pub fn over(now: DateTime<Utc>) -> Self {
        Self {
            until: now,
            noticed: now,
            shown: None,
            word: Word::default(),
            impaired: false,
            repaired: None,
            stalled: None,
        }
    }

    /// Whether it is stuck: nobody has repaired it yet.
    fn stuck(&self, now: DateTime<Utc>) -> bool {
        self.impaired && self.repaired.is_none_or(|at| now < at)
    }

    /// What is true at `now` of an instance that runs: system and instance check as they ought to read.
    #[must_use]
    pub fn condition(&self, now: DateTime<Utc>) -> (&'static str, &'static str) {
        if now < self.until {
            ("initializing", "initializing")
        } else if self.stuck(now) {
            ("ok", "impaired")
        } else {
            ("ok", "ok")
        }
    }

    /// What the status checks of an instance that runs read at `now`.
    #[must_use]
    pub fn checks(&self, now: DateTime<Utc>) -> (&'static str, &'static str) {
        if now < self.noticed {
            return ("ok", "ok");
        }
        if now < self.shown.unwrap_or(self.until) {
            return match self.word {
                Word::Initializing => ("initializing", "initializing"),
                Word::Impaired => ("ok", "impaired"),
                Word::Hidden => ("ok", "ok"),
            };
        }
        self.condition(now)
    }
}

impl World {
    /// How far this reboot of `id` begins: the guest shuts down for so many seconds, it boots for `boot`, and the checks
    /// lag behind by so many seconds. Drawn anew for each reboot.
    pub(super) fn reboot_of(&self, now: DateTime<Utc>, id: &str, boot: f64) -> Boot {
        let draw = |what: &str| ids::fraction(self.seed, &format!("{what}/{id}/{}", now.timestamp_millis()));
        let between = |[least, most]: [f64; 2], what: &str| least + (most - least) * draw(what);
        let shutdown = self.shutdown_of(now, id);
        let until = now + self.span(shutdown + boot);
        if self.status_lag == [0.0, 0.0] {
            return Boot { until, ..Boot::over(now) };
        }
        // The second lag is never so small that the end is seen before the beginning.
        let (late, later) = (between(self.status_lag, "lag"), between(self.status_lag, "lag again"));
        let noticed = now + self.span(shutdown + late);
        let word = match draw("word") {
            w if w < 0.3 && boot < HIDDEN_SECONDS => Word::Hidden,
            w if w < 0.8 => Word::Impaired,
            _ => Word::Initializing,
        };
        let shown = (until + self.span(later)).max(noticed);
        let stalled = (draw("stall") < 0.2).then(|| now + self.span(120.0 * draw("stalled")));
        Boot { until, noticed, shown: Some(shown), word, impaired: false, repaired: None, stalled }
    }

    /// How long the guest `id` takes to shut down when it is rebooted now: seconds, never beyond the reset.
    pub(super) fn shutdown_of(&self, now: DateTime<Utc>, id: &str) -> f64 {
        let [least, most] = self.shutdown_seconds;
        let drawn = ids::fraction(self.seed, &format!("shutdown/{id}/{}", now.timestamp_millis()));
        (least + (most - least) * drawn).min(RESET_SECONDS)
    }

    /// `StartTime` of the snapshots of an image that `id` is rebooted for now. That it follows the shutdown is an
    /// INFERENCE, and so is by how much: mostly at once, sometimes minutes later; before it, where this world is told so.
    pub(super) fn snapshots_begin(&self, now: DateTime<Utc>, id: &str) -> DateTime<Utc> {
        if self.early_snapshots {
            return now;
        }
        let drawn = ids::fraction(self.seed, &format!("start/{id}/{}", now.timestamp_millis()));
        let late = if drawn < 0.2 && self.shutdown_seconds != [0.0, 0.0] { 900.0 * drawn } else { 0.0 };
        now + self.span(self.shutdown_of(now, id) + late)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Duration, TimeZone as _};

    use super::*;
    use crate::sim::Fleet;

    #[test]
    fn a_reboot_shows_late_and_for_as_long_as_it_lasts() {
        let now = Utc.with_ymd_and_hms(2026, 11, 20, 2, 30, 0).unwrap();
        let fleet = Fleet { shutdown_seconds: [0.0, 900.0], status_lag: [60.0, 360.0], ..Fleet::demo() };
        let world = fleet.world(now).unwrap();
        let mut words = std::collections::BTreeSet::new();
        for n in 0..200 {
            let boot = world.reboot_of(now + Duration::hours(n), "i-1", 60.0);
            let (begun, up) = (now + Duration::hours(n), boot.until);
            assert!(
                up >= begun + Duration::seconds(60) && up <= begun + Duration::seconds(300),
                "reset at four minutes"
            );
            let shown = boot.shown.unwrap();
            assert!(boot.noticed >= begun + Duration::seconds(60) && shown <= up + Duration::seconds(360));
            assert_eq!(boot.checks(boot.noticed - Duration::seconds(1)), ("ok", "ok"), "the ok of before");
            assert_ne!(boot.condition(up - Duration::seconds(1)), ("ok", "ok"));
            assert_eq!(boot.condition(up), ("ok", "ok"));
            words.insert(boot.checks(boot.noticed));
            assert_eq!(boot.checks(shown), ("ok", "ok"));
        }
        assert_eq!(words.len(), 3, "{words:?}");
    }
}
