//! The document of `rehearse`: plain data in the log's words, days numbered from the first.

use chrono::{Days as CalendarDays, NaiveDate};
use serde::Serialize;

use super::plan::PlanRehearsal;

/// A reason, or a kind, and how often it was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// In an operator's words; ids and instants are left out of them.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// The most of something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Most {
    /// So many.
    pub count: u64,
    /// The first day or instant of it; nothing where there was none at all.
    pub at: Option<String>,
}

/// The fleet that was rehearsed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FleetDocument {
    /// Where it comes from, in words.
    pub source: String,
    /// How many instances.
    pub instances: usize,
    /// How many volumes they have.
    pub volumes: usize,
    /// GiB of all volumes.
    pub gib: u64,
    /// The ids of those that no plan selects.
    pub unselected: Vec<String>,
}

/// What is stored.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Stored {
    /// Images at the end.
    pub images: u64,
    /// The most at the end of a day.
    pub images_most: u64,
    /// Snapshots at the end.
    pub snapshots: u64,
    /// The most at the end of a day.
    pub snapshots_most: u64,
    /// GiB at the end, estimated.
    pub gib: f64,
    /// GB-months over all days, estimated.
    pub gb_months: f64,
    /// USD over all days, estimated.
    pub cost: f64,
    /// USD a month for what is there at the end.
    pub cost_per_month: f64,
}

/// What one plan keeps in one place, at the end of each day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kept {
    /// The plan.
    pub plan: String,
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The figures.
    pub stored: Stored,
    /// Images, pending ones included.
    pub images: Vec<u32>,
    /// Their snapshots.
    pub snapshots: Vec<u32>,
    /// GiB, estimated.
    pub gib: Vec<f64>,
}

/// The calls of one API in one place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallsDocument {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// AWS's name of it.
    pub api: String,
    /// All of them.
    pub calls: u64,
    /// The most in one minute of the clock.
    pub most: Most,
    /// What AWS's bucket admits in a minute: its burst and what flows in.
    pub aws_allows: f64,
    /// The daemon's share of that (`cloud.api_share`).
    pub share_allows: f64,
}

/// Something that the user should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WarningDocument {
    /// The plan, where it is about one.
    pub plan: Option<String>,
    /// What, and what to do.
    pub reason: String,
}

/// The figures of all plans together.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Totals {
    /// Occurrences that ran.
    pub runs: u64,
    /// Reboots.
    pub reboots: u64,
    /// Each day, on average.
    pub reboots_per_day: f64,
    /// The day with the most.
    pub reboots_most: Most,
    /// The most down at one time.
    pub down: Most,
    /// What is stored.
    pub stored: Stored,
    /// Images that retention deleted.
    pub deleted: u64,
    /// API calls.
    pub calls: u64,
}

/// The document of `rehearse`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RehearsalDocument {
    /// The daemon's name.
    pub daemon: String,
    /// The first day (UTC).
    pub from: String,
    /// How many days.
    pub days: u32,
    /// The seed of all chance.
    pub seed: u64,
    /// none, typical or harsh.
    pub faults: String,
    /// The fleet.
    pub fleet: FleetDocument,
    /// What a person should look at.
    pub warnings: Vec<WarningDocument>,
    /// All plans together.
    pub totals: Totals,
    /// Each plan, by name.
    pub plans: Vec<PlanRehearsal>,
    /// What each plan keeps in each place.
    pub kept: Vec<Kept>,
    /// Instances that more than one plan reboots: which plans, and how many instances.
    pub rebooted_by_several: Vec<Counted>,
    /// The most down at one time on each day, over all plans.
    pub down: Vec<u32>,
    /// API calls.
    pub calls: Vec<CallsDocument>,
    /// The faults that were met.
    pub injected: Vec<Counted>,
    /// USD for a GB-month.
    pub price: f64,
    /// What all of this rests on.
    pub assumptions: Vec<String>,
}

impl RehearsalDocument {
    /// The first day.
    pub(super) fn first(&self) -> NaiveDate {
        // Whoever made the document wrote it so.
        self.from.parse().unwrap_or(NaiveDate::MIN)
    }

    /// The date of day `n`, the first being 0.
    pub(super) fn date(&self, n: usize) -> NaiveDate {
        let days = CalendarDays::new(u64::try_from(n).unwrap_or_default());
        self.first().checked_add_days(days).unwrap_or(NaiveDate::MAX)
    }

    /// The sum over all places of what was there at the end of day `n`: images, snapshots, GiB.
    pub(super) fn kept_on(&self, n: usize) -> (u64, u64, f64) {
        let at = |list: &[u32]| u64::from(list.get(n).copied().unwrap_or_default());
        let add = |sum: (u64, u64, f64), k: &Kept| {
            (sum.0 + at(&k.images), sum.1 + at(&k.snapshots), sum.2 + k.gib.get(n).copied().unwrap_or_default())
        };
        self.kept.iter().fold((0, 0, 0.0), add)
    }

    /// All reboots of day `n`.
    pub(super) fn reboots_on(&self, n: usize) -> u64 {
        self.plans.iter().map(|p| u64::from(p.daily.reboots.get(n).copied().unwrap_or_default())).sum()
    }
}
