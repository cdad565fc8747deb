//! What a rehearsal tells of one plan: plain data in the log's words.

use serde::Serialize;

use super::document::{Counted, Most, Stored};

/// What became of a plan's occurrences.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Occurrences {
    /// Decided to run.
    pub run: u64,
    /// Skipped for a reason of ours.
    pub skipped: u64,
    /// Too late.
    pub missed: u64,
    /// Of those that ran: how many ended as intended ...
    pub done: u64,
    /// ... how many failed ...
    pub failed: u64,
    /// ... and how many still went on when the rehearsal ended.
    pub unfinished: u64,
    /// Why they were skipped or missed.
    pub reasons: Vec<Counted>,
    /// Why runs failed.
    pub failures: Vec<Counted>,
}

/// What became of the targets of all runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Targets {
    /// Imaged, and back in service.
    pub done: u64,
    /// Not as intended.
    pub failed: u64,
    /// Left out.
    pub skipped: u64,
    /// Why they were left out.
    pub reasons: Vec<Counted>,
    /// Why they failed.
    pub failures: Vec<Counted>,
}

/// A plan's reboots.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Reboots {
    /// All of them.
    pub total: u64,
    /// Each day, on average.
    pub per_day: f64,
    /// The day with the most.
    pub most: Most,
    /// The most of the plan's instances that were down at one time.
    pub down: Most,
}

/// The run that took longest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LongestRun {
    /// `plan@due`.
    pub run: String,
    /// Seconds from due.
    pub seconds: u64,
}

/// Whether a plan fits into its window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Window {
    /// The runs that it cut.
    pub runs: u64,
    /// The targets that were left out for it.
    pub targets: u64,
    /// All targets of the runs that it cut.
    pub of: u64,
}

/// The longest time without a good image of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GapDocument {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `i-...`
    pub instance: String,
    /// Its tag `Name`.
    pub name: Option<String>,
    /// How long.
    pub seconds: u64,
    /// The good image before, or the beginning.
    pub from: String,
    /// The next good image, or the end.
    pub until: String,
    /// How many good images it got in all.
    pub images: u64,
}

/// One plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanRehearsal {
    /// Its name.
    pub plan: String,
    /// For people.
    pub description: Option<String>,
    /// Its cron lines.
    pub cron: Vec<String>,
    /// Their zone.
    pub timezone: String,
    /// Where it looks.
    pub regions: Vec<String>,
    /// reboot or none.
    pub consistency: &'static str,
    /// `schedule.window` in seconds.
    pub window_s: Option<u64>,
    /// `rollout.max_in_flight`.
    pub max_in_flight: u32,
    /// How many days its rules reach back at the most.
    pub keeps_days: u64,
    /// How many instances it took at least once.
    pub instances: usize,
    /// What became of its occurrences.
    pub occurrences: Occurrences,
    /// What became of their targets.
    pub targets: Targets,
    /// What was rebooted.
    pub reboots: Reboots,
    /// From due until the last target was back in service.
    pub longest_down: Option<LongestRun>,
    /// From due until all images were made and retention was done.
    pub longest_run: Option<LongestRun>,
    /// What its window cut.
    pub window: Window,
    /// What is stored.
    pub stored: Stored,
    /// How many images retention deleted, by reason.
    pub deleted: Vec<Counted>,
    /// At the end: how many images each rule keeps. One image can have several reasons.
    pub kept_by: Vec<Counted>,
    /// The instances that were without a good image for longest.
    pub without_image: Vec<GapDocument>,
    /// How many instances that it named never got a good image.
    pub never_imaged: usize,
    /// What a person was called for.
    pub alarms: Vec<Counted>,
    /// Day by day.
    pub daily: Days,
}

/// A plan day by day (UTC).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Days {
    /// Reboots that began.
    pub reboots: Vec<u32>,
    /// The most down at one time.
    pub down: Vec<u32>,
}
