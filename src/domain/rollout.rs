//! Who is down, over all plans, and whether one more may go down.
//!
//! A slot lasts from the intent until the status checks prove that the instance is back; it outlives its run, and the process.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::place::Subject;

/// One instance that counts as down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// The run that took it down.
    pub run: String,
    /// The plan of that run.
    pub plan: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Whether it was not back in time.
    pub overdue: bool,
    /// Whether its plan halts for that: only if it is overdue.
    pub halts: bool,
}

/// Who goes first in a run: who was never imaged, then whose newest good image is the oldest. Who failed last time goes last,
/// so that it does not cost the others the window each night.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// Whether it failed when it was tried last.
    pub failed: bool,
    /// The occurrence that made its newest good image.
    pub newest_good: Option<DateTime<Utc>>,
}

/// All that are down.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    down: BTreeMap<Subject, Down>,
    /// Those of them that were not back in time: few, and asked for before every reboot.
    late: BTreeSet<Subject>,
}

impl Slots {
    /// Whether a plan that allows `max_in_flight` may take `subject` down.
    #[must_use]
    pub fn free_for(&self, subject: &Subject, max_in_flight: u32) -> bool {
        self.room(max_in_flight) && !self.down.contains_key(subject)
    }

    /// Whether fewer than `max_in_flight` are down.
    #[must_use]
    pub fn room(&self, max_in_flight: u32) -> bool {
        self.down.len() < max_in_flight as usize
    }

    /// Whether this very instance is down.
    #[must_use]
    pub fn is_down(&self, subject: &Subject) -> bool {
        self.down.contains_key(subject)
    }

    /// Counts `subject` as down.
    pub fn take(&mut self, subject: Subject, down: Down) {
        if down.overdue {
            self.late.insert(subject.clone());
        } else {
            self.late.remove(&subject);
        }
        self.down.insert(subject, down);
    }

    /// Marks that `subject` was not back in time, and whether its plan halts for it.
    pub fn overdue(&mut self, subject: &Subject, halts: bool) {
        if let Some(down) = self.down.get_mut(subject) {
            down.overdue = true;
            down.halts = halts;
            self.late.insert(subject.clone());
        }
    }

    /// Counts `subject` as back; whether it was down because of `run`.
    pub fn free(&mut self, subject: &Subject, run: &str) -> bool {
        if self.down.get(subject).is_none_or(|down| down.run != run) {
            return false;
        }
        self.late.remove(subject);
        self.down.remove(subject).is_some()
    }

    /// The instance for which `plan` halts.
    #[must_use]
    pub fn halted_by(&self, plan: &str) -> Option<(&Subject, &Down)> {
        self.late().find(|(_, d)| d.plan == plan && d.halts)
    }

    /// Those that were not back in time.
    pub fn late(&self) -> impl Iterator<Item = (&Subject, &Down)> {
        self.late.iter().filter_map(|subject| self.down.get_key_value(subject))
    }

    /// Why `subject` is down, if it is.
    #[must_use]
    pub fn get(&self, subject: &Subject) -> Option<&Down> {
        self.down.get(subject)
    }

    /// All that are down.
    pub fn iter(&self) -> impl Iterator<Item = (&Subject, &Down)> {
        self.down.iter()
    }
}

#[cfg(test)]
mod tests;
