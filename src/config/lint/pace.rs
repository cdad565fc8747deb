//! Lines that are due far more often than an instance can be rebooted, or than was probably meant.

use chrono::TimeDelta;

use super::{LOOKS_MAX, year};
use crate::domain::plan::Schedule;
use crate::domain::schedule::words;

/// Nobody images a machine more often than this on purpose.
const OFTEN: TimeDelta = TimeDelta::minutes(5);
/// Neighbours are looked at so often: a line that is due often is so soon.
const NEIGHBOURS: usize = 100;

/// What is odd about the pace of a line, and a hint.
pub(super) fn look(schedule: &Schedule, line: &str) -> Option<(String, String)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    six_for_five(line, &fields).or_else(|| too_often(schedule, line, &fields))
}

/// `30 2 * * * *`: with six fields the first are seconds.
fn six_for_five(line: &str, fields: &[&str]) -> Option<(String, String)> {
    let [second, minute, "*", "*", "*", "*"] = fields else { return None };
    let number = |text: &str, below: u32| text.parse::<u32>().ok().filter(|n| *n < below);
    let (as_minute, as_hour) = (number(second, 60)?, number(minute, 24)?);
    // On the hour: six fields are a common way to say that.
    if (as_minute, as_hour) == (0, 0) {
        return None;
    }
    let what = format!("`{line}` has six fields, so the first is seconds: it is due every hour, at minute {as_hour}");
    let hint = format!(
        "write `{as_minute} {as_hour} * * *` if {as_hour:02}:{as_minute:02} each day is meant, or `{as_hour} * * * *` if \
         every hour is"
    );
    Some((what, hint))
}

fn too_often(schedule: &Schedule, line: &str, fields: &[&str]) -> Option<(String, String)> {
    let table = super::table(schedule, line)?;
    let (from, until) = year();
    let mut before = None;
    let gaps = table.between(from, until).take(LOOKS_MAX.min(NEIGHBOURS)).filter_map(|due| {
        let gap = before.map(|before| due - before);
        before = Some(due);
        gap
    });
    let gap = gaps.min().filter(|gap| *gap < OFTEN)?;
    let every = match gap.num_seconds() {
        1 => "second".to_owned(),
        60 => "minute".to_owned(),
        seconds => words(seconds.unsigned_abs()),
    };
    let what = format!("`{line}` is due every {every}: no instance can be imaged so often");
    // `*/5 * * * * *`: every five minutes, with a field too many.
    let hint = match fields {
        [first, "*", "*", "*", "*", "*"] if first.starts_with("*/") => {
            format!("with six fields the first is seconds: write `{first} * * * *` if minutes are meant")
        }
        _ => "write `30 2 * * *` for each day at 02:30, or `0 */6 * * *` for every six hours".to_owned(),
    };
    Some((what, hint))
}
