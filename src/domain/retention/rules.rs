//! The keep rules alone: which of the good images of a series each rule wants.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::Tz;

use super::why::Why;
use crate::domain::keep::Keep;

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
pub(super) fn reasons(keep: &Keep, dues: &[DateTime<Utc>], zone: Tz) -> Vec<Vec<Why>> {
    let mut reasons = vec![Vec::new(); dues.len()];
    let buckets = [
        ("hourly", keep.hourly, Bucket::Hour),
        ("daily", keep.daily, Bucket::Day),
        ("weekly", keep.weekly, Bucket::Week),
        ("monthly", keep.monthly, Bucket::Month),
        ("yearly", keep.yearly, Bucket::Year),
    ];
    if keep.last == 0 && keep.within.is_none() && buckets.iter().all(|(_, count, _)| *count == 0) {
        reasons.iter_mut().for_each(|r| r.push(Why::NoRule));
        return reasons;
    }
    for (newer, own) in (0..keep.last).zip(reasons.iter_mut()) {
        own.push(Why::Last { wanted: keep.last, newer });
    }
    if let (Some(within), Some(newest)) = (keep.within, dues.first()) {
        for (own, due) in reasons.iter_mut().zip(dues) {
            if (*newest - *due).num_seconds().unsigned_abs() < within {
                own.push(Why::Within { within, due: *due });
            }
        }
    }
    for (rule, wanted, bucket) in buckets {
        let mut seen = BTreeSet::new();
        let mut newer = 0;
        for (own, due) in reasons.iter_mut().zip(dues) {
            if newer == wanted {
                break;
            }
            let stretch = bucket.of(*due, zone);
            if seen.insert(stretch.clone()) {
                own.push(Why::Bucket { rule, wanted, stretch, newer });
                newer += 1;
            }
        }
    }
    reasons
}
