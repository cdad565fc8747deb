//! When a plan is due: cron lines in a zone, the DST rule, catch-up and what was missed.
//!
//! Everything is computed anew from `now` and the last decision, so suspend, clock steps and long sleeps need
//! no special case.

mod line;
#[cfg(test)]
mod properties;
mod syntax;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use chrono::{DateTime, Utc};

use self::line::Line;
pub use self::syntax::BadLine;
use super::naming::rfc3339;
use super::plan::{Schedule, Seconds};
use super::zone::Zone;

/// An occurrence at most this late is on time, whatever `catch_up` says.
pub const ON_TIME: Seconds = 60;
/// At most this many missed occurrences are listed one by one: a journal entry each.
pub const MISSED_MAX: usize = 1_000;
/// Older misses are counted up to here, so that a long absence of a line that fires each second stalls nothing.
pub const UNCOUNTED_MAX: u64 = 100_000;
/// The first stretch before `now` that is searched for misses, in seconds; each further one is four times longer.
const LOOK_BACK: i64 = 3_600;

/// Whether `line` is a cron line of five or six fields (seconds first) that ever fires.
///
/// # Errors
/// What is wrong with it, where, and what to write.
pub fn check_cron(line: &str) -> Result<(), BadLine> {
    Line::parse(line, Zone::UTC).map(|_| ())
}

/// A schedule compiled once, so that nothing is parsed at a heartbeat.
#[derive(Debug, Clone)]
pub struct Timetable {
    lines: Vec<Line>,
    catch_up: Option<Seconds>,
}

/// An occurrence that is recorded as missed, never run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// When it was due.
    pub due: DateTime<Utc>,
    /// Why it is not run any more.
    pub reason: String,
}

/// What a heartbeat finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The occurrence to run now.
    pub run: Option<DateTime<Utc>>,
    /// What was missed, oldest first, at most [`MISSED_MAX`].
    pub missed: Vec<Missed>,
    /// How many misses older than those there are; [`UNCOUNTED_MAX`] means that many or more.
    pub uncounted: u64,
    /// The next occurrence after now, if there is one.
    pub next: Option<DateTime<Utc>>,
}

impl Timetable {
    /// Compiles a schedule.
    ///
    /// # Errors
    /// The first line that is wrong; [`check_cron`] has refused it before.
    pub fn new(schedule: &Schedule) -> Result<Self, String> {
        let line = |text: &String| Line::parse(text, schedule.timezone.clone()).map_err(|bad| bad.what);
        let lines = schedule.cron.iter().map(line).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { lines, catch_up: schedule.catch_up })
    }

    /// The first occurrence later than `after`.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.lines.iter().filter_map(|l| l.next_after(after.timestamp())).min().and_then(instant)
    }

    /// The occurrences later than `after`, up to and with `until`, in order; computed as they are asked for.
    pub fn between(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + use<'_> {
        let until = until.timestamp();
        let mut heads: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
        if after.timestamp() < until {
            let firsts = self.lines.iter().enumerate();
            heads.extend(firsts.filter_map(|(i, l)| Some(Reverse((l.next_after(after.timestamp())?, i)))));
        }
        std::iter::from_fn(move || {
            let Reverse((at, _)) = *heads.peek()?;
            if at > until {
                return None;
            }
            // All lines that meet here count once.
            while let Some(&Reverse((same, i))) = heads.peek()
                && same == at
            {
                heads.pop();
                heads.extend(self.lines[i].next_after(at).map(|next| Reverse((next, i))));
            }
            instant(at)
        })
    }

    /// What is due at `now`, if everything up to and with `last_decided` is settled: the latest decided scheduled
    /// occurrence, or the first sight of this schedule.
    ///
    /// Only the latest occurrence may run, at most `catch_up` (or [`ON_TIME`]) late. With a clock set back to
    /// before `last_decided` nothing is due.
    #[must_use]
    pub fn due(&self, now: DateTime<Utc>, last_decided: DateTime<Utc>) -> Due {
        let first = self.next_after(last_decided);
        let Some(first) = first.filter(|at| *at <= now) else {
            return Due { next: first, ..Due::default() };
        };
        let (mut owed, uncounted) = self.newest(first, now);
        let latest = owed.pop_back().unwrap_or(first);
        let mut missed: Vec<Missed> = owed
            .into_iter()
            .map(|due| Missed {
                due,
                reason: format!("not started in time; the later occurrence {} is due as well", rfc3339(latest)),
            })
            .collect();
        let late = now.timestamp().abs_diff(latest.timestamp());
        let run = if late <= self.catch_up.unwrap_or(0).max(ON_TIME) {
            Some(latest)
        } else {
            let limit = self.catch_up.map_or("is off".to_owned(), |c| format!("allows {}", words(c)));
            missed.push(Missed { due: latest, reason: format!("{} late; catch_up {limit}", words(late)) });
            None
        };
        Due { run, missed, uncounted, next: self.next_after(now) }
    }

    /// The newest occurrences from `first` to `now` ([`MISSED_MAX`] besides the latest), oldest first, and how many
    /// older ones there are.
    fn newest(&self, first: DateTime<Utc>, now: DateTime<Utc>) -> (VecDeque<DateTime<Utc>>, u64) {
        let before_first = first.timestamp() - 1;
        let mut stretch = LOOK_BACK;
        loop {
            let from = now.timestamp().saturating_sub(stretch).max(before_first);
            let mut found = VecDeque::new();
            let mut dropped = 0_u64;
            for at in self.between(instant(from).unwrap_or(first), now) {
                found.push_back(at);
                if found.len() > MISSED_MAX + 1 {
                    found.pop_front();
                    dropped += 1;
                }
            }
            if from == before_first {
                return (found, dropped.min(UNCOUNTED_MAX));
            }
            if found.len() > MISSED_MAX {
                let start = instant(before_first).unwrap_or(first);
                let older = self.between(start, instant(from).unwrap_or(first));
                let counted = older.take(usize::try_from(UNCOUNTED_MAX).unwrap_or(usize::MAX)).count();
                return (found, (dropped + counted as u64).min(UNCOUNTED_MAX));
            }
            stretch = stretch.saturating_mul(4);
        }
    }
}

fn instant(at: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at, 0)
}

/// Seconds in an operator's words: `45s`, `12m`, `2h 30m`, `3d 4h`.
#[must_use]
pub fn words(seconds: Seconds) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let parts = match (days, hours, minutes) {
        (0, 0, 0) => return format!("{seconds}s"),
        (0, 0, m) => [(m, 'm'), (seconds % 60, 's')],
        (0, h, m) => [(h, 'h'), (m, 'm')],
        (d, h, _) => [(d, 'd'), (h, 'h')],
    };
    let shown: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    shown.join(" ")
}

/// The next 02:30 of a zone.
#[cfg(test)]
pub(super) fn next_in(zone: &Zone, after: i64) -> Option<i64> {
    Line::parse("30 2 * * *", zone.clone()).ok()?.next_after(after)
}
