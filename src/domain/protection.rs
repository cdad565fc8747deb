//! Whether an instance is protected: one definition for everybody who tells of it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::plan::Schedule;
use super::schedule::Timetable;
use super::words::words;

words! {
    /// How well an instance is protected by one plan.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Protection {
        /// Its newest good image is as young as the schedule promises.
        Protected = "protected",
        /// It has no image yet, and could not have one.
        New = "new",
        /// Its newest good image is older than the schedule promises.
        Late = "late",
        /// It is so old that more than one occurrence has passed it by.
        Critical = "critical",
        /// It has no image, and should have had one long ago.
        Never = "never",
        /// It is terminated, or not there.
        Gone = "gone",
        /// The plan does not take it.
        Unprotected = "unprotected",
    }
}

impl Protection {
    /// Whether somebody must act.
    #[must_use]
    pub fn needs_person(self, seen: Seen) -> bool {
        match self {
            Self::Critical | Self::Never => true,
            // Nobody said that it is to be left out.
            Self::Unprotected => seen == Seen::Dropped,
            Self::Protected | Self::New | Self::Late | Self::Gone => false,
        }
    }
}

words! {
    /// What is known of an instance of a plan, by the last listing.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Seen {
        /// The plan takes it.
        Taken = "taken",
        /// The plan names it, and leaves it out on purpose.
        LeftOut = "left_out",
        /// The plan has images of it, and names it no more.
        Dropped = "dropped",
        /// It is terminated, or not there.
        Gone = "gone",
    }
}

/// How old a newest good image may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Older is late.
    pub warn: TimeDelta,
    /// Older is critical.
    pub critical: TimeDelta,
}

/// So many occurrences tell how far apart those of a schedule are at most.
const OCCURRENCES: usize = 800;
/// What is due less often than this says nothing of its intervals.
const HORIZON: TimeDelta = TimeDelta::days(10 * 366);
/// Of a schedule that comes due once at most.
const ONCE: TimeDelta = TimeDelta::days(366);
/// What a night may take.
const HALF_A_DAY: TimeDelta = TimeDelta::hours(12);

impl Deadlines {
    /// Those of a plan whose schedule has this longest interval: warn = interval + window + min(interval / 2, 12 h), critical =
    /// two intervals + window + 12 h.
    #[must_use]
    pub fn of(interval: TimeDelta, window: TimeDelta) -> Self {
        let warn = interval + window + (interval / 2).min(HALF_A_DAY);
        Self { warn, critical: interval * 2 + window + HALF_A_DAY }
    }

    /// Those of a schedule, by the occurrences that follow `now`.
    #[must_use]
    pub fn of_schedule(schedule: &Schedule, timetable: &Timetable, now: DateTime<Utc>) -> Self {
        let window = schedule.window.and_then(|s| TimeDelta::try_seconds(i64::try_from(s).ok()?));
        let mut longest: Option<TimeDelta> = None;
        let mut before = None;
        for due in timetable.between(now, now + HORIZON).take(OCCURRENCES) {
            longest = before.map(|before| due - before).max(longest);
            before = Some(due);
        }
        Self::of(longest.unwrap_or(ONCE), window.unwrap_or_default())
    }
}

/// How well an instance is protected: since when the plan takes it, and when its newest good image was due.
#[must_use]
pub fn judge(
    deadlines: Deadlines,
    seen: Seen,
    since: DateTime<Utc>,
    newest_good: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Protection {
    match (seen, newest_good) {
        (Seen::Gone, _) => Protection::Gone,
        (Seen::LeftOut | Seen::Dropped, _) => Protection::Unprotected,
        (Seen::Taken, None) if now - since <= deadlines.warn => Protection::New,
        (Seen::Taken, None) => Protection::Never,
        (Seen::Taken, Some(due)) if now - due <= deadlines.warn => Protection::Protected,
        (Seen::Taken, Some(due)) if now - due <= deadlines.critical => Protection::Late,
        (Seen::Taken, Some(_)) => Protection::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(n: i64) -> TimeDelta {
        TimeDelta::hours(n)
    }

    #[test]
    fn how_old_an_image_may_be() {
        for (interval, window, warn, critical) in [
            (24, 3, 24 + 3 + 12, 48 + 3 + 12),
            (1, 0, 1, 2 + 12), // and half an hour
            (7 * 24, 0, 7 * 24 + 12, 14 * 24 + 12),
        ] {
            let deadlines = Deadlines::of(hours(interval), hours(window));
            assert_eq!(deadlines.warn.num_hours(), warn, "{interval}");
            assert_eq!(deadlines.critical.num_hours(), critical, "{interval}");
        }
        assert_eq!(Deadlines::of(hours(1), hours(0)).warn, TimeDelta::minutes(90));
    }

    #[test]
    fn how_well_it_is_protected() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(400);
        let ago = |n: i64| now - hours(n);
        let nightly = Deadlines::of(hours(24), hours(0)); // 36 and 60 hours
        for (seen, since, newest, expected) in [
            (Seen::Taken, 1, Some(1), Protection::Protected),
            (Seen::Taken, 999, Some(36), Protection::Protected),
            (Seen::Taken, 999, Some(37), Protection::Late),
            (Seen::Taken, 999, Some(61), Protection::Critical),
            (Seen::Taken, 36, None, Protection::New),
            (Seen::Taken, 37, None, Protection::Never),
            (Seen::LeftOut, 999, Some(1), Protection::Unprotected),
            (Seen::Gone, 999, Some(999), Protection::Gone),
        ] {
            let verdict = judge(nightly, seen, ago(since), newest.map(ago), now);
            assert_eq!(verdict, expected, "{seen:?} {since} {newest:?}");
        }
    }

    /// A schedule on weekdays promises nothing of a Sunday.
    #[test]
    fn the_longest_interval_counts() {
        let schedule = |cron: &str| Schedule {
            cron: vec![cron.to_owned()],
            timezone: chrono_tz::UTC.into(),
            catch_up: None,
            window: Some(3600),
        };
        let monday = DateTime::parse_from_rfc3339("2026-11-30T12:00:00Z").expect("an instant").to_utc();
        for (cron, interval) in [("0 2 * * *", 24), ("0 2 * * 1-5", 72), ("0 2 1 * *", 31 * 24)] {
            let schedule = schedule(cron);
            let timetable = Timetable::new(&schedule).expect("a schedule");
            let deadlines = Deadlines::of_schedule(&schedule, &timetable, monday);
            assert_eq!(deadlines, Deadlines::of(hours(interval), hours(1)), "{cron}");
        }
    }
}
