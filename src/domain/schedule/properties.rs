//! Properties: the schedule against a plain walk through the minutes, and each occurrence decided once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike};
use proptest::prelude::*;

use chrono_tz::Tz;

use super::tests::zones::by_both;
use super::tests::{at, table};
use super::*;

/// A field in the reference's own reading: the set of its values, and whether it is a list of numbers.
fn field(text: &str, low: u32, high: u32) -> (BTreeSet<u32>, bool) {
    let mut values = BTreeSet::new();
    for item in text.split(',') {
        let (range, step) = item.split_once('/').map_or((item, 1), |(r, s)| (r, s.parse().expect("a step")));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (low, high),
            Some((a, b)) => (a.parse().expect("a number"), b.parse().expect("a number")),
            None => (range.parse().expect("a number"), range.parse().expect("a number")),
        };
        values.extend((first..=last).step_by(step));
    }
    (values, text.chars().all(|c| c.is_ascii_digit() || c == ','))
}

/// Minute by minute. A fixed time fires when the local clock first reads it or later; what remembers that is the
/// latest local time read so far.
fn reference(minutes: &str, hours: &str, zone: &Zone, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let ((minutes, plain_minutes), (hours, plain_hours)) = (field(minutes, 0, 59), field(hours, 0, 23));
    let fixed = plain_minutes && plain_hours;
    let wanted = |local: NaiveDateTime| hours.contains(&local.hour()) && minutes.contains(&local.minute());
    let mut fired = BTreeMap::new();
    let mut now = from - TimeDelta::days(2);
    let mut read = (now - TimeDelta::minutes(1)).with_timezone(zone).naive_local();
    while now <= until {
        let local = now.with_timezone(zone).naive_local();
        if !fixed {
            if wanted(local) {
                fired.insert(now, ());
            }
        } else {
            while read < local {
                read += TimeDelta::minutes(1);
                if wanted(read) {
                    fired.insert(now, ());
                }
            }
        }
        now += TimeDelta::minutes(1);
    }
    fired.into_keys().filter(|t| *t > from).collect()
}

fn time_field(max: u32) -> impl Strategy<Value = String> {
    let small = 0..=max.min(4);
    prop_oneof![
        small.clone().prop_map(|n| n.to_string()),
        (0..=max).prop_map(|n| n.to_string()),
        proptest::collection::vec(small.clone(), 1..4).prop_map(|v| v
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(",")),
        (small.clone(), 0..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        (small.clone(), 0..=max, 1..=7_u32).prop_map(|(a, b, n)| format!("{}-{}/{n}", a.min(b), a.max(b))),
        (small, 0..=max, 0..=max).prop_map(|(a, b, c)| format!("{c},{}-{}", a.min(b), a.max(b))),
        (1..=max).prop_map(|n| format!("*/{n}")),
        Just("*".to_owned()),
    ]
}

/// The years whose changes are tried: Ramadan moves through them.
const YEARS: std::ops::Range<i32> = 2024..2031;

/// Every change of the clocks of five zones in these years, odd ones elsewhere, and a day without any; by the compiled
/// table and by zone files.
fn days() -> Vec<(Zone, DateTime<Utc>)> {
    use chrono_tz::{Africa::Casablanca, America, Australia::Lord_Howe, Europe::Berlin};
    let offset = |zone: &Zone, at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    let odd = [
        (Tz::UTC, at("2026-03-29T01:00")),
        (Berlin, at("2026-06-10T00:00")),
        // The change takes the clock back across midnight.
        (America::Nuuk, at("2026-10-25T01:00")),
        (America::Nuuk, at("2026-03-29T01:00")),
        (America::Havana, at("2026-03-08T05:00")),
        (America::Havana, at("2026-11-01T05:00")),
        (America::St_Johns, at("2006-10-29T02:31")),
        (America::St_Johns, at("2006-04-02T03:31")),
    ];
    let mut days: Vec<_> = odd.into_iter().flat_map(|(tz, at)| by_both(tz).map(|zone| (zone, at))).collect();
    for zone in [Berlin, America::St_Johns, Lord_Howe, Casablanca].into_iter().flat_map(by_both) {
        let mut now = at(&format!("{}-01-01T00:00", YEARS.start));
        let mut found = 0;
        while now < at(&format!("{}-01-01T00:00", YEARS.end)) {
            let next = now + TimeDelta::minutes(30);
            if offset(&zone, now) != offset(&zone, next) {
                days.push((zone.clone(), next));
                found += 1;
            }
            now = next;
        }
        // Two Ramadans begin in 2030; since 2026f Morocco has no more of them.
        let enough = if zone == Casablanca.into() { 5 } else { 2 * YEARS.len() };
        assert!(found >= enough, "{zone} changes twice a year, at least");
    }
    days
}

// Without a number of cases of its own: PROPTEST_CASES=20000 tries longer.
proptest! {
    #[test]
    fn agrees_with_a_walk_through_the_minutes(
        minutes in time_field(59),
        hours in time_field(23),
        (zone, change) in prop::sample::select(days()),
        before in 0_i64..2000,
    ) {
        let from = change - TimeDelta::minutes(before);
        let until = from + TimeDelta::hours(36);
        let table = table(&[&format!("{minutes} {hours} * * *")], zone.clone(), None);
        let found: Vec<_> = table.between(from, until).collect();
        prop_assert_eq!(&found, &reference(&minutes, &hours, &zone, from, until));
        prop_assert_eq!(table.next_after(from).filter(|t| *t <= until), found.first().copied());
    }

    #[test]
    fn each_occurrence_is_decided_exactly_once(
        steps in proptest::collection::vec(0_i64..200_000, 1..30),
        catch_up in prop::option::of(0_u64..100_000),
    ) {
        let table = table(&["30 2 * * *", "0 */7 * * *"], chrono_tz::Europe::Berlin, catch_up);
        let start = at("2026-10-20T00:00");
        let (mut now, mut last) = (start, start);
        let mut decided = Vec::new();
        for step in steps {
            now += TimeDelta::seconds(step);
            let due = table.due(now, last);
            prop_assert!(due.next.is_some_and(|next| next > now));
            prop_assert!(due.run.is_none_or(|run| run <= now));
            decided.extend(due.missed.iter().map(|m| m.due));
            decided.extend(due.run);
            last = decided.last().copied().unwrap_or(last);
        }
        prop_assert_eq!(decided, table.between(start, now).collect::<Vec<_>>());
    }
}
