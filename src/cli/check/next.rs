//! The next occurrences of a plan, in its own zone, with what a change of the clock does to them.

use chrono::{DateTime, LocalResult, Offset, SecondsFormat, TimeDelta, TimeZone, Timelike, Utc};
use serde::Serialize;

use crate::domain::naming::rfc3339;
use crate::domain::plan::Plan;
use crate::domain::schedule::Timetable;
use crate::domain::zone::Zone;

/// So many are shown.
const SHOWN: usize = 3;

/// One occurrence to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    /// In UTC, as everywhere else.
    pub due: String,
    /// On the wall clock of the plan's zone, with its offset.
    pub local: String,
    /// What a change of the clock does here, in words.
    pub note: Option<String>,
    #[serde(skip)]
    at: DateTime<Zone>,
}

/// The first occurrences of `plan` after `now`.
#[must_use]
pub fn of(plan: &Plan, now: DateTime<Utc>) -> Vec<Next> {
    let Ok(table) = Timetable::new(&plan.schedule) else { return Vec::new() };
    let dues = std::iter::successors(table.next_after(now), |due| table.next_after(*due));
    dues.take(SHOWN).map(|due| next(due, &plan.schedule.timezone)).collect()
}

fn next(due: DateTime<Utc>, zone: &Zone) -> Next {
    let at = due.with_timezone(zone);
    Next { due: rfc3339(due), local: at.to_rfc3339_opts(SecondsFormat::Secs, false), note: note(&at), at }
}

fn note(at: &DateTime<Zone>) -> Option<String> {
    let clock = |time: &DateTime<Zone>| time.format("%H:%M").to_string();
    if let LocalResult::Ambiguous(first, _) = at.timezone().from_local_datetime(&at.naive_local()) {
        let pass = if first == *at { "first" } else { "second" };
        return Some(format!("{} comes twice that day: the {pass} pass", clock(at)));
    }
    let offset = |time: &DateTime<Zone>| time.offset().fix().local_minus_utc();
    let before = at.clone() - TimeDelta::seconds(1);
    let skipped = offset(at) - offset(&before);
    (skipped > 0).then(|| {
        let from = at.naive_local() - TimeDelta::seconds(i64::from(skipped));
        format!("the clock is set forward from {} to {}", from.format("%H:%M"), clock(at))
    })
}

/// As lines for people: `Sun 2026-11-22 02:30 +01:00 CET`.
#[must_use]
pub fn lines(nexts: &[Next]) -> Vec<String> {
    let seconds = nexts.iter().any(|next| next.at.second() != 0);
    let format = if seconds { "%a %Y-%m-%d %H:%M:%S %:z" } else { "%a %Y-%m-%d %H:%M %:z" };
    let line = |next: &Next| {
        let mut line = next.at.format(format).to_string();
        let zone = next.at.format("%Z").to_string();
        // Many zones have no name but their offset.
        if zone.starts_with(|c: char| c.is_ascii_alphabetic()) {
            line += &format!(" {zone}");
        }
        match &next.note {
            Some(note) => format!("{line} ({note})"),
            None => line,
        }
    };
    nexts.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(zone: &str, at: &str) -> String {
        let due = DateTime::parse_from_rfc3339(at).expect("an instant").with_timezone(&Utc);
        lines(&[next(due, &Zone::compiled(zone).expect("a zone"))]).concat()
    }

    #[test]
    fn a_change_of_the_clock_is_told() {
        let table = [
            ("Europe/Berlin", "2026-11-22T01:30:00Z", "Sun 2026-11-22 02:30 +01:00 CET"),
            (
                "Europe/Berlin",
                "2027-03-28T01:00:00Z",
                "Sun 2027-03-28 03:00 +02:00 CEST (the clock is set forward from 02:00 to 03:00)",
            ),
            (
                "Europe/Berlin",
                "2026-10-25T00:30:00Z",
                "Sun 2026-10-25 02:30 +02:00 CEST (02:30 comes twice that day: the first pass)",
            ),
            (
                "Europe/Berlin",
                "2026-10-25T01:30:00Z",
                "Sun 2026-10-25 02:30 +01:00 CET (02:30 comes twice that day: the second pass)",
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-03T15:30:00Z",
                "Sun 2026-10-04 02:30 +11:00 (the clock is set forward from 02:00 to 02:30)",
            ),
            ("America/Sao_Paulo", "2026-11-22T05:30:20Z", "Sun 2026-11-22 02:30:20 -03:00"),
            ("UTC", "2026-11-22T02:30:00Z", "Sun 2026-11-22 02:30 +00:00 UTC"),
        ];
        for (zone, at, line) in table {
            assert_eq!(shown(zone, at), line);
        }
    }
}
