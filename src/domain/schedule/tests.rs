//! Tables: syntax, gaps and overlaps, calendar edges, what is due.

pub(super) mod zones;

use chrono::{NaiveDateTime, TimeDelta, Timelike};
use chrono_tz::Tz;

use super::*;

pub(super) fn at(text: &str) -> DateTime<Utc> {
    let text = if text.len() == 16 { format!("{text}:00") } else { text.to_owned() };
    NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S").expect("an instant").and_utc()
}

pub(super) fn table(cron: &[&str], zone: impl Into<Zone>, catch_up: Option<Seconds>) -> Timetable {
    let cron = cron.iter().map(|l| (*l).to_owned()).collect();
    Timetable::new(&Schedule { cron, timezone: zone.into(), catch_up, window: None }).expect("a schedule")
}

/// The local times (with offset) of a day or two.
fn locals(cron: &str, zone: Tz, from: &str, until: &str) -> String {
    let table = table(&[cron], zone, None);
    let shown: Vec<String> =
        table.between(at(from), at(until)).map(|t| t.with_timezone(&zone).format("%dT%H:%M%:z").to_string()).collect();
    shown.join(" ")
}

#[test]
fn lines_are_checked() {
    for good in
        ["30 2 * * *", "0 30 2 * * *", "*/15 * * * *", "0 0 29 2 *", "0 3 * * MON-FRI", "0 3 L * *", "0 3 * * 1#1"]
    {
        assert_eq!(check_cron(good), Ok(()), "{good}");
    }
    let bad = [
        ("", "is empty"),
        ("30", "1 field:"),
        ("30 2 * *", "4 fields"),
        ("0 0 30 2 * * 2027", "7 fields"),
        ("@daily", "nickname"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 2,4,6,9,11 *", "never fires"),
        ("60 2 * * *", "`60` is not a minute"),
        ("0 24 * * *", "`24` is not an hour"),
        ("0,,5 2 * * *", "empty item"),
        ("MON 2 * * *", "`MON` is not a minute"),
        ("0 2 * * NEVER", "`NEVER` is not a weekday"),
    ];
    for (line, why) in bad {
        let said = check_cron(line).expect_err(line).what;
        assert!(said.contains(why), "{line}: {said}");
    }
}

#[test]
fn gaps_and_overlaps() {
    use chrono_tz::{Africa::Casablanca, America::Havana, America::St_Johns, Australia::Lord_Howe, Europe::Berlin};
    // Zone, line, from (excl.), until (incl.), both UTC; local times with their offsets.
    let rows = [
        // Berlin 2026-03-29 02:00 -> 03:00 (gap), 2026-10-25 03:00 -> 02:00 (overlap).
        (Berlin, "30 2 * * *", "2026-03-28T12:00", "2026-03-30T12:00", "29T03:00+02:00 30T02:30+02:00"),
        (Berlin, "30 2 * * *", "2026-10-24T12:00", "2026-10-26T12:00", "25T02:30+02:00 26T02:30+01:00"),
        (Berlin, "30 2,14 * * *", "2026-03-28T23:00", "2026-03-29T22:00", "29T03:00+02:00 29T14:30+02:00"),
        (Berlin, "30 2,14 * * *", "2026-10-24T22:00", "2026-10-25T23:00", "25T02:30+02:00 25T14:30+01:00"),
        (Berlin, "0,30 2 * * *", "2026-03-28T23:00", "2026-03-29T22:00", "29T03:00+02:00"),
        (Berlin, "0,30 2 * * *", "2026-10-24T22:00", "2026-10-25T23:00", "25T02:00+02:00 25T02:30+02:00"),
        (Berlin, "30 1-3 * * *", "2026-03-28T23:00", "2026-03-29T22:00", "29T01:30+01:00 29T03:30+02:00"),
        (
            Berlin,
            "30 1-3 * * *",
            "2026-10-24T22:00",
            "2026-10-25T23:00",
            "25T01:30+02:00 25T02:30+02:00 25T02:30+01:00 25T03:30+01:00",
        ),
        (
            Berlin,
            "*/30 * * * *",
            "2026-03-29T00:15",
            "2026-03-29T01:45",
            "29T01:30+01:00 29T03:00+02:00 29T03:30+02:00",
        ),
        (
            Berlin,
            "*/30 * * * *",
            "2026-10-25T00:15",
            "2026-10-25T01:45",
            "25T02:30+02:00 25T02:00+01:00 25T02:30+01:00",
        ),
        // The seconds decide too: a step in them makes it run by elapsed time.
        (Berlin, "0 30 2 * * *", "2026-10-24T22:00", "2026-10-25T23:00", "25T02:30+02:00"),
        (Berlin, "*/60 30 2 * * *", "2026-10-24T22:00", "2026-10-25T23:00", "25T02:30+02:00 25T02:30+01:00"),
        // Only on the day of the change.
        (Berlin, "30 2 29 3 *", "2026-01-01T00:00", "2027-12-31T00:00", "29T03:00+02:00 29T02:30+02:00"),
        // St. John's 2026-03-08 02:00 -> 03:00, 2026-11-01 02:00 -> 01:00.
        (St_Johns, "30 2 * * *", "2026-03-07T12:00", "2026-03-09T12:00", "08T03:00-02:30 09T02:30-02:30"),
        (St_Johns, "30 1 * * *", "2026-10-31T12:00", "2026-11-02T12:00", "01T01:30-02:30 02T01:30-03:30"),
        (
            St_Johns,
            "30 1-2 * * *",
            "2026-11-01T00:00",
            "2026-11-01T12:00",
            "01T01:30-02:30 01T01:30-03:30 01T02:30-03:30",
        ),
        // Lord Howe moves by half an hour: 2026-10-04 02:00 -> 02:30, 2026-04-05 02:00 -> 01:30.
        (Lord_Howe, "15 2 * * *", "2026-10-03T00:00", "2026-10-04T18:00", "04T02:30+11:00 05T02:15+11:00"),
        (Lord_Howe, "30 2 * * *", "2026-10-03T00:00", "2026-10-04T12:00", "04T02:30+11:00"),
        (Lord_Howe, "45 1 * * *", "2026-04-04T00:00", "2026-04-05T18:00", "05T01:45+11:00 06T01:45+10:30"),
        (Lord_Howe, "15 1-2 * * *", "2026-04-04T00:00", "2026-04-04T18:00", "05T01:15+11:00 05T02:15+10:30"),
        (
            Lord_Howe,
            "45 1-2 * * *",
            "2026-04-04T12:00",
            "2026-04-04T18:00",
            "05T01:45+11:00 05T01:45+10:30 05T02:45+10:30",
        ),
        // Casablanca steps back for Ramadan: 2026-02-15 03:00 -> 02:00, 2026-03-22 02:00 -> 03:00.
        (Casablanca, "30 2 * * *", "2026-02-14T12:00", "2026-02-16T12:00", "15T02:30+01:00 16T02:30+00:00"),
        (Casablanca, "30 2 * * *", "2026-03-21T12:00", "2026-03-23T12:00", "22T03:00+01:00 23T02:30+01:00"),
        // Havana has no midnight on 2026-03-08, and its clock goes back from 01:00 to 00:00 on 2026-11-01.
        (Havana, "0 0 * * *", "2026-03-07T12:00", "2026-03-09T12:00", "08T01:00-04:00 09T00:00-04:00"),
        (Havana, "0 0 * * *", "2026-10-31T12:00", "2026-11-02T12:00", "01T00:00-04:00 02T00:00-05:00"),
        (Tz::UTC, "30 2 * * *", "2026-03-28T12:00", "2026-03-30T12:00", "29T02:30+00:00 30T02:30+00:00"),
    ];
    for (zone, cron, from, until, expected) in rows {
        let shown = locals(cron, zone, from, until);
        assert_eq!(shown, expected, "{zone} {cron} {from}");
    }
}

#[test]
fn a_clock_set_back_across_midnight_keeps_the_order() {
    // Nuuk 2026-10-25 00:00 -> 23:00 of the 24th; St. John's 2006-10-29 00:01 -> 23:01 of the 28th, so that the
    // 29th begins before the 28th has ended.
    let rows = [(chrono_tz::America::Nuuk, "2026-10-24T20:00"), (chrono_tz::America::St_Johns, "2006-10-28T21:30")];
    for (zone, start) in rows {
        let mut last = at(start);
        let all: Vec<_> = table(&["*/20 * * * *"], zone, None).between(last, last + TimeDelta::hours(10)).collect();
        assert_eq!(all.len(), 30, "{zone}");
        for next in all {
            assert_eq!(next - last, TimeDelta::minutes(20), "{zone} {next}");
            last = next;
        }
    }
    let midnight = locals("0 0 * * *", chrono_tz::America::St_Johns, "2006-10-28T12:00", "2006-10-30T12:00");
    assert_eq!(midnight, "29T00:00-02:30 30T00:00-03:30");
}

#[test]
fn calendar_edges() {
    let rows: [(&[&str], &str, &str); 9] = [
        (&["0 0 29 2 *"], "2026-11-20T00:00", "2028-02-29T00:00"),
        (&["0 0 29 2 *"], "2096-03-01T00:00", "2104-02-29T00:00"),
        (&["0 0 29 2 +SUN"], "2088-03-01T00:00", "2128-02-29T00:00"),
        (&["59 23 31 12 *"], "2026-12-31T23:58:59", "2026-12-31T23:59"),
        (&["0 0 1 1 *"], "2026-12-31T23:59:59", "2027-01-01T00:00"),
        (&["30 2 * * *"], "2026-11-20T02:30", "2026-11-21T02:30"),
        (&["30 2 * * *"], "2026-11-20T02:29:59", "2026-11-20T02:30"),
        (&["0 3 L * *"], "2026-02-01T00:00", "2026-02-28T03:00"),
        (&["0 5 * * *", "0 4 * * *"], "2026-11-20T03:00", "2026-11-20T04:00"),
    ];
    for (cron, after, expected) in rows {
        let next = table(cron, Tz::UTC, None).next_after(at(after));
        assert_eq!(next, Some(at(expected)), "{cron:?} after {after}");
    }
    let subsecond = at("2026-11-20T02:29:59") + TimeDelta::milliseconds(700);
    assert_eq!(table(&["30 2 * * *"], Tz::UTC, None).next_after(subsecond), Some(at("2026-11-20T02:30")));
}

#[test]
fn lines_are_a_union_without_duplicates() {
    let table = table(&["0 2 * * *", "0 */2 * * *", "0 3 * * *"], Tz::UTC, None);
    let hours: Vec<u32> = table.between(at("2026-11-20T00:00"), at("2026-11-20T06:00")).map(|t| t.hour()).collect();
    assert_eq!(hours, [2, 3, 4, 6]);
}

#[test]
fn what_is_due() {
    const HOUR: Seconds = 3600;
    // catch_up, now, last decided; what runs, what is missed, what is next.
    let rows = [
        ("idle", Some(HOUR), "20T02:29:59", "19T02:30", None, vec![], "20T02:30"),
        ("on the second", Some(HOUR), "20T02:30", "19T02:30", Some("20T02:30"), vec![], "21T02:30"),
        ("decided already", Some(HOUR), "20T02:30", "20T02:30", None, vec![], "21T02:30"),
        ("caught up", Some(HOUR), "20T03:30", "19T02:30", Some("20T02:30"), vec![], "21T02:30"),
        ("too late", Some(HOUR), "20T03:30:01", "19T02:30", None, vec!["20T02:30"], "21T02:30"),
        ("off, on time", None, "20T02:31", "19T02:30", Some("20T02:30"), vec![], "21T02:30"),
        ("off, late", None, "20T02:31:01", "19T02:30", None, vec!["20T02:30"], "21T02:30"),
        (
            "only the latest",
            Some(HOUR),
            "20T02:40",
            "17T02:30",
            Some("20T02:30"),
            vec!["18T02:30", "19T02:30"],
            "21T02:30",
        ),
        ("all missed", Some(HOUR), "20T12:00", "18T02:30", None, vec!["19T02:30", "20T02:30"], "21T02:30"),
        ("first sight at 03:00", Some(HOUR), "20T03:00:01", "20T03:00", None, vec![], "21T02:30"),
        ("clock set back", Some(HOUR), "18T02:30", "20T02:30", None, vec![], "21T02:30"),
    ];
    let day = |text: &str| at(&format!("2026-11-{text}"));
    for (name, catch_up, now, last, run, missed, next) in rows {
        let due = table(&["30 2 * * *"], Tz::UTC, catch_up).due(day(now), day(last));
        assert_eq!(due.run, run.map(day), "{name}");
        assert_eq!(
            due.missed.iter().map(|m| m.due).collect::<Vec<_>>(),
            missed.into_iter().map(day).collect::<Vec<_>>(),
            "{name}"
        );
        assert!(due.missed.iter().all(|m| !m.reason.is_empty()), "{name}");
        assert_eq!((due.next, due.uncounted), (Some(day(next)), 0), "{name}");
    }
}

#[test]
fn reasons_are_an_operators_words() {
    let reasons = |catch_up, now, last| -> Vec<String> {
        let due = table(&["30 2 * * *"], Tz::UTC, catch_up).due(at(now), at(last));
        due.missed.into_iter().map(|m| m.reason).collect()
    };
    assert_eq!(
        reasons(Some(3600), "2026-11-20T12:00", "2026-11-18T02:30"),
        [
            "not started in time; the later occurrence 2026-11-20T02:30:00Z is due as well",
            "9h 30m late; catch_up allows 1h"
        ]
    );
    assert_eq!(reasons(None, "2026-11-20T02:32:05", "2026-11-19T02:30"), ["2m 5s late; catch_up is off"]);
    let shown = [0, 59, 60, 3600, 86_400, 1_209_600, 90_061].map(words);
    assert_eq!(shown, ["0s", "59s", "1m", "1h", "1d", "14d", "1d 1h"]);
}

#[test]
fn a_long_absence_is_listed_up_to_a_bound() {
    let year_ago = at("2025-11-20T00:00");
    let now = at("2026-11-20T00:00");
    let hourly = table(&["0 * * * *"], Tz::UTC, None).due(now, year_ago);
    assert_eq!(hourly.run, Some(now));
    assert_eq!(hourly.missed.len(), MISSED_MAX);
    assert_eq!(hourly.uncounted, 365 * 24 - 1 - MISSED_MAX as u64);
    assert_eq!(hourly.missed[MISSED_MAX - 1].due, now - TimeDelta::hours(1));
    let each_second = table(&["* * * * * *"], Tz::UTC, None).due(now, year_ago);
    assert_eq!((each_second.missed.len(), each_second.uncounted), (MISSED_MAX, UNCOUNTED_MAX));
    // The listed ones are the newest, without a hole.
    assert_eq!(each_second.missed[0].due, now - TimeDelta::seconds(MISSED_MAX as i64));
}

#[test]
fn many_lines_over_a_year() {
    let lines: Vec<String> = (0..500).map(|i| format!("{} {} * * *", i % 60, i / 60)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let table = table(&lines, chrono_tz::Europe::Berlin, None);
    let count = table.between(at("2026-01-01T00:00"), at("2027-01-01T00:00")).count();
    // All sixty times of 02:xx on the day of the gap, and 03:00, are one instant.
    assert_eq!(count, 500 * 365 - 60);
}
