//! The keep rules of a plan (`[keep]`); `retention` applies them.

use serde::{Deserialize, Serialize};

/// Whole seconds.
pub type Seconds = u64;

/// Which images of a series stay. At least one of the counts or `within` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// The newest this many.
    pub last: u32,
    /// All newer than this, counted back from the newest good image.
    pub within: Option<Seconds>,
    /// The newest of each of this many hours that have one, in the plan's zone.
    pub hourly: u32,
    /// The same for days.
    pub daily: u32,
    /// The same for ISO weeks.
    pub weekly: u32,
    /// The same for months.
    pub monthly: u32,
    /// The same for years.
    pub yearly: u32,
    /// Never fewer good images than this (at least 1).
    pub min: u32,
    /// At most this many deletions per series and run.
    pub max_deletions: u32,
}

impl Default for Keep {
    /// No rule at all, which `config` refuses: a start for struct update.
    fn default() -> Self {
        Self { last: 0, within: None, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, min: 1, max_deletions: 3 }
    }
}
