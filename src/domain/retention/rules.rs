//! The keep rules alone: which of the good images of a series each rule wants, and in what words.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::Tz;

use crate::domain::keep::Keep;
use crate::domain::schedule::words;

/// The calendar stretches of which each keeps its newest image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bucket {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Bucket {
    /// The stretch that holds `due`, named as an operator reads it; equal names are equal stretches.
    fn of(self, due: DateTime<Utc>, zone: Tz) -> String {
        let local = due.with_timezone(&zone);
        match self {
            // With the offset: an hour that the clock repeats is two hours.
            Self::Hour => format!("{} {:02}h {}", local.format("%Y-%m-%d"), local.hour(), local.format("%:z")),
            Self::Day => local.format("%Y-%m-%d").to_string(),
            Self::Week => {
                let week = local.iso_week();
                format!("{}-W{:02}", week.year(), week.week())
            }
            Self::Month => local.format("%Y-%m").to_string(),
            Self::Year => local.year().to_string(),
        }
    }
}

/// For each of `dues` (good images, the newest first) the rules that keep it. With no rule at all, everything stays.
pub(super) fn reasons(keep: &Keep, dues: &[DateTime<Utc>], zone: Tz) -> Vec<Vec<String>> {
    let mut reasons = vec![Vec::new(); dues.len()];
    let buckets = [
        ("hourly", keep.hourly, Bucket::Hour),
        ("daily", keep.daily, Bucket::Day),
        ("weekly", keep.weekly, Bucket::Week),
        ("monthly", keep.monthly, Bucket::Month),
        ("yearly", keep.yearly, Bucket::Year),
    ];
    if keep.last == 0 && keep.within.is_none() && buckets.iter().all(|(_, count, _)| *count == 0) {
        reasons.iter_mut().for_each(|r| r.push("no keep rule: nothing is deleted".into()));
        return reasons;
    }
    for own in reasons.iter_mut().take(count(keep.last)) {
        own.push(format!("last {}", keep.last));
    }
    if let (Some(within), Some(newest)) = (keep.within, dues.first()) {
        for (own, due) in reasons.iter_mut().zip(dues) {
            if (*newest - *due).num_seconds().unsigned_abs() < within {
                own.push(format!("within {} of the newest good image", words(within)));
            }
        }
    }
    for (rule, wanted, bucket) in buckets {
        let mut seen = BTreeSet::new();
        for (own, due) in reasons.iter_mut().zip(dues) {
            if seen.len() == count(wanted) {
                break;
            }
            let stretch = bucket.of(*due, zone);
            if !seen.contains(&stretch) {
                own.push(format!("{rule} {wanted}: the newest of {stretch}"));
                seen.insert(stretch);
            }
        }
    }
    reasons
}

fn count(wanted: u32) -> usize {
    usize::try_from(wanted).unwrap_or(usize::MAX)
}
