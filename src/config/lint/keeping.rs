//! Keep rules that do not do what they seem to, in the light of the schedule.
//!
//! A rule such as `hourly = 24` keeps the newest image of each of 24 hours *that have one*. So it is odd where the
//! plan is due so rarely that no two occurrences share a day: 24 days are kept then. In the same way `daily` where
//! none share a week, and so on. `within` is odd where neighbours lie no nearer (but where the clock changes), `min` where
//! it is more than all counts together, since it decides alone then.

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::{LOOKS_MAX, Say, year};
use crate::config::check::show_duration;
use crate::config::plan::Checked;
use crate::domain::keep::Keep;
use crate::domain::schedule::Timetable;

/// A year brings two neighbours nearer so often at most, where each day has one.
const CLOCK_CHANGES: usize = 2;

/// A stretch of the calendar, and the rule that keeps one image of each.
struct Stretch {
    rule: &'static str,
    unit: &'static str,
    of: fn(NaiveDate) -> (i32, u32),
}

/// From fine to coarse. The hours come first and are never compared.
const STRETCHES: [Stretch; 5] = [
    Stretch { rule: "hourly", unit: "hour", of: |_| (0, 0) },
    Stretch { rule: "daily", unit: "day", of: |date| (date.year(), date.ordinal()) },
    Stretch { rule: "weekly", unit: "week", of: |date| (date.iso_week().year(), date.iso_week().week()) },
    Stretch { rule: "monthly", unit: "month", of: |date| (date.year(), date.month()) },
    Stretch { rule: "yearly", unit: "year", of: |date| (date.year(), 0) },
];

pub(super) fn look(checked: &Checked, say: &mut Say<'_>) {
    let table = Timetable::new(&checked.plan.schedule).ok();
    let copies = checked.sheet.tables("copy").into_iter().zip(&checked.plan.copies);
    let own =
        copies.map(|(path, copy)| (format!("{path}.keep"), &copy.keep)).filter(|(path, _)| checked.sheet.has(path));
    for (path, keep) in [("keep".to_owned(), &checked.plan.keep)].into_iter().chain(own) {
        if let Some(table) = &table {
            buckets(checked, &path, table, say);
            within(checked, &path, keep, table, say);
        }
        min(checked, &path, keep, say);
    }
}

fn buckets(checked: &Checked, path: &str, table: &Timetable, say: &mut Say<'_>) {
    let sheet = &checked.sheet;
    let zone = &checked.plan.schedule.timezone;
    let (from, until) = year();
    let dates = || table.between(from, until).take(LOOKS_MAX).map(|due| due.with_timezone(zone).date_naive());
    // Whether two neighbours lie in one stretch.
    let shared = |stretch: &Stretch| {
        let mut before = None;
        dates().any(|date| before.replace((stretch.of)(date)) == Some((stretch.of)(date)))
    };
    for (nth, fine) in STRETCHES.iter().enumerate() {
        let key = format!("{path}.{}", fine.rule);
        let count = sheet.count(&key);
        // One image is one image, whatever it is called.
        if count < 2 {
            continue;
        }
        let lonely = STRETCHES[nth + 1..].iter().take_while(|coarse| !shared(coarse)).last();
        if let Some(Stretch { rule, unit, .. }) = lonely {
            let what = format!(
                "the plan is due once a {unit} at most, so this keeps the images of {count} {unit}s, not of {count} {}s",
                fine.unit
            );
            let hint = format!("write `{rule} = {count}` if {count} {unit}s are meant");
            say(sheet.span(&key), &key, what, hint);
        }
    }
}

fn within(checked: &Checked, path: &str, keep: &Keep, table: &Timetable, say: &mut Say<'_>) {
    let Some(within) = keep.within else { return };
    let (from, until) = year();
    let mut before = None;
    let near = table.between(from, until).take(LOOKS_MAX).filter(|due| {
        let gap = before.replace(*due).map(|before: DateTime<Utc>| (*due - before).num_seconds().unsigned_abs());
        gap.is_some_and(|gap| gap < within)
    });
    if near.take(CLOCK_CHANGES + 1).count() <= CLOCK_CHANGES {
        let key = &format!("{path}.within");
        let within = show_duration(within);
        let what = format!("keeps no more than the newest image: occurrences lie {within} or further apart");
        let hint = "write a longer time, of several occurrences, or for example `last = 3` instead";
        say(checked.sheet.span(key), key, what, hint.into());
    }
}

fn min(checked: &Checked, path: &str, keep: &Keep, say: &mut Say<'_>) {
    let counts = [keep.last, keep.hourly, keep.daily, keep.weekly, keep.monthly, keep.yearly];
    let all = counts.iter().fold(0_u32, |sum, count| sum.saturating_add(*count));
    if keep.within.is_none() && keep.min > all {
        let key = &format!("{path}.min");
        let what = format!("is more than all rules together keep ({all}): it decides alone");
        let hint = format!("write `last = {}` and a smaller min", keep.min);
        say(checked.sheet.span(key), key, what, hint);
    }
}
