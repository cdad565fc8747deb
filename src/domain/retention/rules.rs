//! The keep rules alone: which of the good images of a series each rule wants.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Offset as _, Timelike, Utc};

use super::why::Why;
use crate::domain::keep::Keep;
use crate::domain::zone::Zone;

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
    /// The number of the stretch that holds `local`: equal numbers are equal stretches.
    fn number(self, local: &DateTime<Zone>) -> (i32, u32, i32) {
        match self {
            // With the offset: an hour that the clock repeats is two hours.
            Self::Hour => (local.num_days_from_ce(), local.hour(), local.offset().fix().local_minus_utc()),
            Self::Day => (local.num_days_from_ce(), 0, 0),
            Self::Week => (local.iso_week().year(), local.iso_week().week(), 0),
            Self::Month => (local.year(), local.month(), 0),
            Self::Year => (local.year(), 0, 0),
        }
    }

    /// Its name, as an operator reads it.
    fn name(self, local: &DateTime<Zone>) -> String {
        match self {
            Self::Hour => format!("{} {:02}h {}", local.format("%Y-%m-%d"), local.hour(), local.format("%:z")),
            Self::Day => format!("{:04}-{:02}-{:02}", local.year(), local.month(), local.day()),
            Self::Week => {
                let week = local.iso_week();
                format!("{}-W{:02}", week.year(), week.week())
            }
            Self::Month => format!("{:04}-{:02}", local.year(), local.month()),
            Self::Year => local.year().to_string(),
        }
    }
}

/// For each of `dues` (good images, the newest first) the rules that keep it. With no rule at all, everything stays.
pub(super) fn reasons(keep: &Keep, dues: &[DateTime<Utc>], zone: &Zone) -> Vec<Vec<Why>> {
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
    let local: Vec<DateTime<Zone>> = dues.iter().map(|due| due.with_timezone(zone)).collect();
    for (rule, wanted, bucket) in buckets {
        let mut seen = BTreeSet::new();
        let mut newer = 0;
        for (own, local) in reasons.iter_mut().zip(&local) {
            if newer == wanted {
                break;
            }
            if seen.insert(bucket.number(local)) {
                own.push(Why::Bucket { rule, wanted, stretch: bucket.name(local), newer });
                newer += 1;
            }
        }
    }
    reasons
}
