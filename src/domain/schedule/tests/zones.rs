//! The nights of 2026 on which the clocks change: five lines in five zones, at the gap and at the overlap, by the
//! compiled table and by zone files.

use chrono::{Offset, TimeDelta, TimeZone};
use chrono_tz::{Africa::Casablanca, America::St_Johns, Australia::Lord_Howe, Europe::Berlin};

use super::*;

/// The zone by the compiled table, and by a zone file of 2026f.
pub fn by_both(tz: Tz) -> [Zone; 2] {
    macro_rules! file {
        ($name:literal) => {
            &include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/zoneinfo/", $name))[..]
        };
    }
    let bytes = match tz.name() {
        "Africa/Casablanca" => file!("Africa/Casablanca"),
        "America/Edmonton" => file!("America/Edmonton"),
        "America/Havana" => file!("America/Havana"),
        "America/Nuuk" => file!("America/Nuuk"),
        "America/St_Johns" => file!("America/St_Johns"),
        "America/Vancouver" => file!("America/Vancouver"),
        "America/Winnipeg" => file!("America/Winnipeg"),
        "Australia/Lord_Howe" => file!("Australia/Lord_Howe"),
        "Europe/Berlin" => file!("Europe/Berlin"),
        "UTC" => file!("UTC"),
        other => panic!("no zone file of {other}"),
    };
    [tz.into(), Zone::from_file(tz.name(), bytes).expect("a zone file")]
}

/// One change of a clock, and what the five lines do on its local date. Times that are read after the change bear a
/// prime, so that `02:30 02:30'` is once in each pass.
struct Night {
    zone: Tz,
    /// When it changes, UTC.
    change: &'static str,
    /// What the clock would have read then, and what it reads.
    clock: &'static str,
    /// `30 2 * * *`
    half_past_two: &'static str,
    /// `30 2,14 * * *`
    and_in_the_afternoon: &'static str,
    /// `0,30 2 * * *`
    twice: &'static str,
    /// `30 1-3 * * *`
    range: &'static str,
    /// `*/15 * * * *` from half an hour before the change to half an hour after it.
    quarters: &'static str,
    /// How many quarters the whole date has.
    in_all: usize,
}

const NIGHTS: [Night; 10] = [
    Night {
        zone: Berlin,
        change: "2026-03-29T01:00",
        clock: "02:00 -> 03:00",
        half_past_two: "03:00'",
        and_in_the_afternoon: "03:00' 14:30'",
        twice: "03:00'",
        range: "01:30 03:30'",
        quarters: "01:30 01:45 03:00' 03:15' 03:30'",
        in_all: 92,
    },
    Night {
        zone: Berlin,
        change: "2026-10-25T01:00",
        clock: "03:00 -> 02:00",
        half_past_two: "02:30",
        and_in_the_afternoon: "02:30 14:30'",
        twice: "02:00 02:30",
        range: "01:30 02:30 02:30' 03:30'",
        quarters: "02:30 02:45 02:00' 02:15' 02:30'",
        in_all: 100,
    },
    Night {
        zone: St_Johns,
        change: "2026-03-08T05:30",
        clock: "02:00 -> 03:00",
        half_past_two: "03:00'",
        and_in_the_afternoon: "03:00' 14:30'",
        twice: "03:00'",
        range: "01:30 03:30'",
        quarters: "01:30 01:45 03:00' 03:15' 03:30'",
        in_all: 92,
    },
    // Two o'clock is read only once here: the hour from one to two is the one that comes twice.
    Night {
        zone: St_Johns,
        change: "2026-11-01T04:30",
        clock: "02:00 -> 01:00",
        half_past_two: "02:30'",
        and_in_the_afternoon: "02:30' 14:30'",
        twice: "02:00' 02:30'",
        range: "01:30 01:30' 02:30' 03:30'",
        quarters: "01:30 01:45 01:00' 01:15' 01:30'",
        in_all: 100,
    },
    // Half an hour: 02:30 is the first moment after the gap, so it is no gap for it.
    Night {
        zone: Lord_Howe,
        change: "2026-10-03T15:30",
        clock: "02:00 -> 02:30",
        half_past_two: "02:30'",
        and_in_the_afternoon: "02:30' 14:30'",
        twice: "02:30'",
        range: "01:30 02:30' 03:30'",
        quarters: "01:30 01:45 02:30' 02:45' 03:00'",
        in_all: 94,
    },
    Night {
        zone: Lord_Howe,
        change: "2026-04-04T15:00",
        clock: "02:00 -> 01:30",
        half_past_two: "02:30'",
        and_in_the_afternoon: "02:30' 14:30'",
        twice: "02:00' 02:30'",
        range: "01:30 01:30' 02:30' 03:30'",
        quarters: "01:30 01:45 01:30' 01:45' 02:00'",
        in_all: 98,
    },
    // Back for Ramadan, and forward after it.
    Night {
        zone: Casablanca,
        change: "2026-02-15T02:00",
        clock: "03:00 -> 02:00",
        half_past_two: "02:30",
        and_in_the_afternoon: "02:30 14:30'",
        twice: "02:00 02:30",
        range: "01:30 02:30 02:30' 03:30'",
        quarters: "02:30 02:45 02:00' 02:15' 02:30'",
        in_all: 100,
    },
    Night {
        zone: Casablanca,
        change: "2026-03-22T02:00",
        clock: "02:00 -> 03:00",
        half_past_two: "03:00'",
        and_in_the_afternoon: "03:00' 14:30'",
        twice: "03:00'",
        range: "01:30 03:30'",
        quarters: "01:30 01:45 03:00' 03:15' 03:30'",
        in_all: 92,
    },
    // Nothing changes: the hours around two, on the days of Berlin.
    Night {
        zone: Tz::UTC,
        change: "2026-03-29T02:00",
        clock: "02:00 -> 02:00",
        half_past_two: "02:30'",
        and_in_the_afternoon: "02:30' 14:30'",
        twice: "02:00' 02:30'",
        range: "01:30 02:30' 03:30'",
        quarters: "01:30 01:45 02:00' 02:15' 02:30'",
        in_all: 96,
    },
    Night {
        zone: Tz::UTC,
        change: "2026-10-25T02:00",
        clock: "02:00 -> 02:00",
        half_past_two: "02:30'",
        and_in_the_afternoon: "02:30' 14:30'",
        twice: "02:00' 02:30'",
        range: "01:30 02:30' 03:30'",
        quarters: "01:30 01:45 02:00' 02:15' 02:30'",
        in_all: 96,
    },
];

/// Each night with each of its zone's two tables.
fn both() -> impl Iterator<Item = (&'static Night, Zone)> {
    static ALL: &[Night] = &NIGHTS;
    ALL.iter().flat_map(|night| by_both(night.zone).map(|zone| (night, zone)))
}

impl Night {
    fn offset(&self, at: DateTime<Utc>) -> TimeDelta {
        TimeDelta::seconds(self.zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into())
    }

    /// Just before its local date begins, and its last second. No clock here changes at midnight.
    fn date(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let change = at(self.change);
        let local = change.with_timezone(&self.zone).date_naive();
        let midnight = local.and_time(chrono::NaiveTime::MIN).and_utc();
        let first = midnight - self.offset(change - TimeDelta::seconds(1));
        (first - TimeDelta::seconds(1), midnight + TimeDelta::days(1) - self.offset(change) - TimeDelta::seconds(1))
    }

    fn show(&self, times: impl Iterator<Item = DateTime<Utc>>) -> String {
        let change = at(self.change);
        let shown = times.map(|t| {
            let prime = if t < change { "" } else { "'" };
            format!("{}{prime}", t.with_timezone(&self.zone).format("%H:%M"))
        });
        shown.collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn five_lines_on_the_nights_of_change() {
    for (night, zone) in both() {
        let name = format!("{} {}", night.zone, night.change);
        let (change, (from, until)) = (at(night.change), night.date());
        let read = |offset: TimeDelta| (change + offset).format("%H:%M").to_string();
        let clock = [change - TimeDelta::seconds(1), change].map(|t| read(night.offset(t))).join(" -> ");
        assert_eq!(clock, night.clock, "{name}: another night, or other zone data");
        for (cron, expected) in [
            ("30 2 * * *", night.half_past_two),
            ("30 2,14 * * *", night.and_in_the_afternoon),
            ("0,30 2 * * *", night.twice),
            ("30 1-3 * * *", night.range),
        ] {
            let shown = night.show(table(&[cron], zone.clone(), None).between(from, until));
            assert_eq!(shown, expected, "{name} {cron}");
        }
        let quarters = table(&["*/15 * * * *"], zone.clone(), None);
        let near = TimeDelta::minutes(30);
        let shown = night.show(quarters.between(change - near - TimeDelta::seconds(1), change + near));
        assert_eq!(shown, night.quarters, "{name} */15 * * * *");
        assert_eq!(quarters.between(from, until).count(), night.in_all, "{name} */15 * * * *");
    }
}

/// A heartbeat each minute through the date: every occurrence is run once, at its minute, and none is missed.
#[test]
fn a_daemon_that_is_awake_runs_each_once() {
    for (night, zone) in both() {
        for cron in ["30 2 * * *", "30 2,14 * * *", "0,30 2 * * *", "30 1-3 * * *", "*/15 * * * *"] {
            let table = table(&[cron], zone.clone(), Some(3600));
            let (from, until) = night.date();
            let (mut now, mut settled, mut run) = (from + TimeDelta::seconds(1), from, Vec::new());
            while now <= until {
                let due = table.due(now, settled);
                assert_eq!(due.missed, [], "{} {cron} {now}", night.zone);
                if let Some(at) = due.run {
                    assert_eq!(at, now, "{} {cron}", night.zone);
                    settled = at;
                    run.push(at);
                }
                now += TimeDelta::minutes(1);
            }
            assert_eq!(run, table.between(from, until).collect::<Vec<_>>(), "{} {cron}", night.zone);
        }
    }
}

/// `30 2 * * *` with `catch_up = "1h"`: `catch_up` is elapsed time, whatever the clock on the wall reads.
#[test]
fn catch_up_counts_elapsed_time() {
    for (night, zone) in both() {
        let name = format!("{} {}", night.zone, night.change);
        let table = table(&["30 2 * * *"], zone.clone(), Some(3600));
        let (from, until) = night.date();
        let due = table.next_after(from).expect("one a day");
        let tomorrow = table.next_after(due);
        let hour = TimeDelta::hours(1);
        // A daemon that knew the plan the day before, and comes back so late.
        for (late, runs) in [(TimeDelta::zero(), true), (hour, true), (hour + TimeDelta::seconds(1), false)] {
            let found = table.due(due + late, from);
            assert_eq!(found.run, runs.then_some(due), "{name} {late}");
            assert_eq!(found.missed.iter().map(|m| m.due).collect::<Vec<_>>(), [due][usize::from(runs)..], "{name}");
            assert_eq!(found.next, tomorrow, "{name} {late}");
        }
        // Decided once, or first seen right after it: the second pass and the rest of the day owe nothing.
        for settled in [due, due + TimeDelta::seconds(1)] {
            for now in [due + TimeDelta::minutes(30), due + hour, until] {
                assert_eq!(table.due(now, settled), Due { next: tomorrow, ..Due::default() }, "{name} {now}");
            }
        }
        // A clock set back by an hour, or a day, after the decision.
        for back in [hour, TimeDelta::days(1)] {
            assert_eq!(table.due(due - back, due), Due { next: tomorrow, ..Due::default() }, "{name}");
        }
    }
}

#[test]
fn leap_days_and_the_turn_of_the_year() {
    for zone in [Berlin, St_Johns, Lord_Howe, Casablanca, Tz::UTC].into_iter().flat_map(by_both) {
        let rows = [
            ("30 2 29 2 *", "2026-11-20T12:00", "2028-02-29T02:30"),
            ("30 2 29 2 *", "2028-03-01T12:00", "2032-02-29T02:30"),
            ("30 2 28 2 *", "2027-12-31T12:00", "2028-02-28T02:30"),
            ("30 2 L 2 *", "2027-12-31T12:00", "2028-02-29T02:30"),
            ("30 2 L 2 *", "2026-12-31T12:00", "2027-02-28T02:30"),
            ("59 23 31 12 *", "2026-12-30T12:00", "2026-12-31T23:59"),
            ("0 0 1 1 *", "2026-12-30T12:00", "2027-01-01T00:00"),
            ("*/15 * * * *", "2026-12-31T12:46", "2026-12-31T13:00"),
        ];
        for (cron, after, expected) in rows {
            // `after` and `expected` in the zone's own time.
            let local = |text: &str| zone.from_local_datetime(&at(text).naive_utc()).single().expect("once");
            let next = table(&[cron], zone.clone(), None).next_after(local(after).to_utc());
            assert_eq!(next, Some(local(expected).to_utc()), "{zone} {cron} after {after}");
        }
        // Across the last midnight of the year nothing is left out and nothing comes twice.
        let midnight = zone.from_local_datetime(&at("2027-01-01T00:00").naive_utc()).single().expect("once").to_utc();
        let quarters = table(&["*/15 * * * *"], zone.clone(), None);
        let around: Vec<i64> = quarters
            .between(midnight - TimeDelta::minutes(31), midnight + TimeDelta::minutes(31))
            .map(|t| (t - midnight).num_minutes())
            .collect();
        assert_eq!(around, [-30, -15, 0, 15, 30], "{zone}");
    }
}

/// What has changed in the world since the table that is compiled in: 02:30 by the rules of 2026f, and by those.
#[test]
fn a_newer_table_moves_what_has_moved() {
    use chrono_tz::America;
    let rows = [
        (America::Vancouver, "2026-11-10T00:00", "2026-11-10T02:30-07:00", "2026-11-10T02:30-08:00"),
        (America::Winnipeg, "2026-12-01T00:00", "2026-12-01T02:30-05:00", "2026-12-01T02:30-06:00"),
        (America::Edmonton, "2026-12-01T00:00", "2026-12-01T02:30-06:00", "2026-12-01T02:30-07:00"),
        (America::Havana, "2026-12-01T00:00", "2026-12-01T02:30-04:00", "2026-12-01T02:30-05:00"),
        (Casablanca, "2026-12-01T00:00", "2026-12-01T02:30+00:00", "2026-12-01T02:30+01:00"),
    ];
    for (tz, day, newer, older) in rows {
        let shown = by_both(tz).map(|zone| {
            let due = table(&["30 2 * * *"], zone.clone(), None).next_after(at(day)).expect("daily");
            due.with_timezone(&zone).format("%Y-%m-%dT%H:%M%:z").to_string()
        });
        assert_eq!(shown, [older, newer], "{tz}");
    }
    let [_, vancouver] = by_both(America::Vancouver);
    // 02:30 on the wall is an hour earlier than it was.
    assert_eq!(
        table(&["30 2 * * *"], vancouver, None).next_after(at("2026-12-01T00:00")),
        Some(at("2026-12-01T09:30"))
    );
}
