//! One cron line in one zone: its syntax, and the search for its next instant under the DST rule.
//!
//! `croner` parses and matches days; the walk through the hours is here, because the rule for fixed times
//! (each exactly once a day) is ours. All instants are whole seconds since the epoch.

use chrono::{DateTime, Datelike, Days, NaiveDate};
use croner::{CronPattern, Weekday};

use super::syntax::{self, BadLine};
use crate::domain::zone::Zone;

/// How far ahead a line is searched, in days: 29 February on a given weekday can be 40 years away across 2100.
const SEARCH_DAYS: u64 = 41 * 366;
/// Where the test "does it ever fire" begins; any instant does, since the calendar repeats.
const CHECK_FROM: i64 = 1_767_225_600; // 2026-01-01
const DAY: i64 = 86_400;
/// The zones' offsets lie within -12 h and +14 h; an hour more on each side.
const AHEAD_MAX: i64 = 15 * 3600;
const BEHIND_MAX: i64 = 13 * 3600;

/// A parsed cron line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    days: CronPattern,
    hours: Vec<i64>,
    minutes: Vec<i64>,
    seconds: Vec<i64>,
    /// Only numbers and lists in the time fields: each of these local times exactly once a day.
    fixed: bool,
    zone: Zone,
}

/// The offset of a zone around one local date, in seconds.
enum Offsets {
    Constant(i64),
    /// `before` up to `at`, `after` from there.
    Change {
        at: i64,
        before: i64,
        after: i64,
    },
}

impl Line {
    /// Parses `line`, and makes sure that it ever fires.
    pub(super) fn parse(line: &str, zone: Zone) -> Result<Self, BadLine> {
        let cron = syntax::parse(line)?;
        let fields = syntax::fields(line);
        let values = |field: &croner::CronComponent| field.values().into_iter().map(i64::from).collect();
        // All but day, month and weekday.
        let times = &fields[..fields.len() - 3];
        let parsed = Self {
            hours: values(&cron.pattern.hours),
            minutes: values(&cron.pattern.minutes),
            seconds: values(&cron.pattern.seconds),
            fixed: times.iter().all(|(f, _)| f.chars().all(|c| c.is_ascii_digit() || c == ',')),
            days: cron.pattern,
            zone,
        };
        let somewhere = Self { zone: Zone::UTC, ..parsed.clone() };
        if somewhere.next_after(CHECK_FROM).is_none() {
            return Err(syntax::never(line, &parsed.days.days.values(), &parsed.days.months.values()));
        }
        Ok(parsed)
    }

    /// The first instant later than `after`, within [`SEARCH_DAYS`].
    pub(super) fn next_after(&self, after: i64) -> Option<i64> {
        let local = DateTime::from_timestamp(after, 0)?.with_timezone(&self.zone).date_naive();
        // A day early: a time in a gap, or in the second pass of an overlap, may come after its date has ended.
        let mut date = local.pred_opt()?;
        let last = local.checked_add_days(Days::new(SEARCH_DAYS))?;
        while date <= last {
            if !self.days.month_match(date.month()).unwrap_or(false) {
                date = next_month(date)?;
                continue;
            }
            if let Some(found) = self.on(date, after) {
                // Where the clock is set back across midnight, the next date begins before this one ends.
                let rival = self.on(date.succ_opt()?, after);
                return Some(rival.map_or(found, |r| r.min(found)));
            }
            date = date.succ_opt()?;
        }
        None
    }

    /// The first instant of the local `date` later than `after`.
    fn on(&self, date: NaiveDate, after: i64) -> Option<i64> {
        let weekday = Weekday::from_days_from_sunday(date.weekday().num_days_from_sunday());
        let wanted = self.days.month_match(date.month()).unwrap_or(false)
            && self.days.day_match(date.year(), date.month(), date.day(), weekday).unwrap_or(false);
        if !wanted {
            return None;
        }
        let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
        match self.offsets(midnight) {
            Offsets::Constant(offset) => {
                Some(midnight + self.time_from(after + 1 + offset - midnight)? - offset).filter(|at| *at > after)
            }
            Offsets::Change { at, before, after: later } if self.fixed => self
                .times()
                .map(|time| {
                    let local = midnight + time;
                    // Before the change if it is read there (so the first pass of an overlap), else after it,
                    // and in a gap at the change itself.
                    if local - before < at { local - before } else { (local - later).max(at) }
                })
                .find(|instant| *instant > after),
            Offsets::Change { at, before, after: later } => {
                let first = self
                    .time_from(after + 1 + before - midnight)
                    .map(|time| midnight + time - before)
                    .filter(|instant| *instant < at);
                first.or_else(|| {
                    let from = (after + 1).max(at) + later - midnight;
                    self.time_from(from).map(|time| midnight + time - later)
                })
            }
        }
    }

    /// The first time of day at or after `from` (seconds since local midnight).
    fn time_from(&self, from: i64) -> Option<i64> {
        let from = from.max(0);
        let (hour, minute, second) = (from / 3600, from / 60 % 60, from % 60);
        let (first_minute, first_second) = (*self.minutes.first()?, *self.seconds.first()?);
        for &h in self.hours.iter().filter(|h| **h >= hour) {
            if h > hour {
                return Some(h * 3600 + first_minute * 60 + first_second);
            }
            for &m in self.minutes.iter().filter(|m| **m >= minute) {
                if m > minute {
                    return Some(h * 3600 + m * 60 + first_second);
                }
                if let Some(s) = self.seconds.iter().find(|s| **s >= second) {
                    return Some(h * 3600 + m * 60 + s);
                }
            }
        }
        None
    }

    /// All times of day, in order.
    fn times(&self) -> impl Iterator<Item = i64> + '_ {
        self.hours.iter().flat_map(move |h| {
            self.minutes.iter().flat_map(move |m| self.seconds.iter().map(move |s| h * 3600 + m * 60 + s))
        })
    }

    /// The offsets that the local date beginning at `midnight` (read as if UTC) may have.
    fn offsets(&self, midnight: i64) -> Offsets {
        let (mut low, mut high) = (midnight - AHEAD_MAX, midnight + DAY + BEHIND_MAX);
        let (before, after) = (self.offset(low), self.offset(high));
        if before == after {
            return Offsets::Constant(before);
        }
        // No zone changes twice within these 52 hours.
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.offset(middle) == before { low = middle } else { high = middle }
        }
        Offsets::Change { at: high, before, after }
    }

    fn offset(&self, at: i64) -> i64 {
        self.zone.ahead(at)
    }
}

fn next_month(date: NaiveDate) -> Option<NaiveDate> {
    date.with_day(1)?.checked_add_months(chrono::Months::new(1))
}
