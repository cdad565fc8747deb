//! What is legal but will surprise: warnings, each at its place. A sensible plan has none.
//!
//! What a schedule does is seen by looking at one year of it, a leap year, always the same one, so that the answer
//! does not change from day to day. Each look ends as soon as the plan is seen to be sensible.

mod distribution;
mod keeping;
mod pace;
mod partitions;
mod tags;
mod twins;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};

use super::check::{show_duration, unknown_region};
use super::installation::{Backend, Settings};
use super::pace::reboots_needed;
use super::plan::Checked;
use super::problem::Problem;
use crate::domain::evidence::Lags;
use crate::domain::plan::{Mode, Schedule};
use crate::domain::schedule::Timetable;

/// 2028-01-01: the year that schedules are looked at in.
const YEAR_FROM: i64 = 1_830_297_600;
const YEAR_DAYS: i64 = 366;
/// A line that fires each second is not followed for a year.
const LOOKS_MAX: usize = 10_000;
/// Where the SDK looks first for its region, in this order.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Adds all warnings about these plans, which have no errors.
pub(super) fn warn(
    plans: &[Checked],
    settings: Option<&Settings>,
    env: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) {
    let sdk = settings.is_some_and(|settings| settings.cloud.backend == Backend::Aws);
    for checked in plans {
        let mut say = |at: Option<Range<usize>>, key: &str, what: String, hint: String| {
            problems.push(checked.source.problem(at, key, what).hint(hint).warning());
        };
        regions(checked, sdk, env, &mut say);
        excluded(checked, &mut say);
        zone(checked, &mut say);
        lines(checked, sdk, &mut say);
        let lags = settings.map(|settings| settings.cloud.lags()).unwrap_or_default();
        window(checked, &lags, &mut say);
        healthy_within(checked, &lags, &mut say);
        keeping::look(checked, &mut say);
        distribution::look(checked, &mut say);
        tags::look(checked, &mut say);
    }
    partitions::look(plans, problems);
    twins::look(plans, problems);
}

/// Takes a place, a key, what is odd, and a hint.
type Say<'a> = dyn FnMut(Option<Range<usize>>, &str, String, String) + 'a;

fn regions(checked: &Checked, sdk: bool, env: &BTreeMap<String, String>, say: &mut Say<'_>) {
    let key = "select.regions";
    let named = checked.sheet.texts(key);
    for item in named {
        if let Some(unknown) = unknown_region(&item.text) {
            say(Some(item.span.clone()), key, unknown.what, unknown.hint.unwrap_or_default());
        }
    }
    if !named.is_empty() || !sdk {
        return;
    }
    let known = REGION_VARIABLES
        .iter()
        .find_map(|name| env.get(*name).filter(|region| !region.is_empty()).map(|region| (*name, region.as_str())));
    let (which, example) = match known {
        Some((name, region)) => (format!("{region}, by {name} in this environment"), region),
        None => ("by AWS_REGION, the AWS profile or the machine".to_owned(), "eu-central-1"),
    };
    say(
        checked.sheet.span(key),
        key,
        format!("is not set: only the SDK's own region is looked at ({which})"),
        format!("add `regions = [{example:?}]` in [select]"),
    );
}

/// What is excluded beats everything: a plan can take back by it all that its tags select.
fn excluded(checked: &Checked, say: &mut Say<'_>) {
    let select = &checked.plan.select;
    let all = |(key, values): (&String, &BTreeSet<String>)| {
        select.exclude_tags.get(key).is_some_and(|out| out.contains("*") || values.is_subset(out))
    };
    if let Some((key, _)) = select.tags.iter().find(|entry| all(*entry)) {
        let at = "select.exclude_tags";
        let what = format!("takes back every instance that select.tags finds: {key} is in both");
        say(checked.sheet.span(at), at, what, format!("take {key} out of exclude_tags, or write another value"));
    }
}

/// Names of zones that look like places with a summer time, and have none.
const WINTER_ONLY: [(&str, &str); 2] = [("EST", "America/New_York"), ("MST", "America/Denver")];

fn zone(checked: &Checked, say: &mut Say<'_>) {
    let key = "schedule.timezone";
    let written = checked.sheet.text(key);
    if let Some((zone, place)) = WINTER_ONLY.iter().find(|(zone, _)| Some(*zone) == written) {
        let what = format!("{zone} is one offset all year: it knows no summer time");
        say(checked.sheet.span(key), key, what, format!("write \"{place}\" if the wall clock there is meant"));
    }
}

/// Cron lines that fire more often than they look, or in vain.
fn lines(checked: &Checked, sdk: bool, say: &mut Say<'_>) {
    let key = "schedule.cron";
    let items = checked.sheet.texts(key);
    let schedule = &checked.plan.schedule;
    let tables: Vec<Option<Timetable>> = items.iter().map(|item| table(schedule, &item.text)).collect();
    for (nth, item) in items.iter().enumerate() {
        if let Some((unit, once)) = each_one(&item.text) {
            let what = format!("`{}` is due every {unit} while the rest matches", item.text);
            say(Some(item.span.clone()), key, what, format!("write `{once}` if once is meant"));
        } else if let Some((what, hint)) = pace::look(schedule, &item.text).filter(|_| sdk) {
            // The simulated world reboots in seconds.
            say(Some(item.span.clone()), key, what, hint);
        }
        if let Some((what, hint)) = either_day(&item.text) {
            say(Some(item.span.clone()), key, what, hint);
        }
        let covers = |other: &usize| *other != nth && covered(&tables[nth], &tables[*other]);
        if let Some(other) = (0..items.len()).find(covers) {
            // Of two that say the same, the later one is in vain.
            if other < nth || !covered(&tables[other], &tables[nth]) {
                let what = format!("`{}` adds nothing: `{}` is due at all its times", item.text, items[other].text);
                say(Some(item.span.clone()), key, what, "take it out".into());
            }
        }
    }
}

/// `* 2 * * *`: the unit that was left at `*` below one that is restricted, and the line with 0 there.
fn each_one(line: &str) -> Option<(&'static str, String)> {
    let mut fields: Vec<&str> = line.split_whitespace().collect();
    let times = fields.len().checked_sub(3)?;
    let nth = (0..times).find(|nth| fields[*nth] == "*" && fields[nth + 1..times].iter().any(|above| *above != "*"))?;
    let unit = if times - nth == 2 { "minute" } else { "second" };
    fields[nth] = "0";
    Some((unit, fields.join(" ")))
}

/// `30 2 1-7 * MON`: due on the first seven days, and on each Monday too; most who write it mean the first Monday.
fn either_day(line: &str) -> Option<(String, String)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (day, weekday) = (fields.len().checked_sub(3)?, fields.len() - 1);
    let any = |field: &str| field.contains(['*', '?']) && !field.contains('/');
    if any(fields[day]) || any(fields[weekday]) || fields[weekday].contains('+') {
        return None;
    }
    let with = |nth: usize, text: &str| {
        let mut fields = fields.clone();
        fields[nth] = text;
        fields.join(" ")
    };
    let what = format!(
        "`{line}` is due on the days of the month `{}`, and besides on every weekday `{}`",
        fields[day], fields[weekday]
    );
    let both = with(weekday, &format!("+{}", fields[weekday]));
    let hint =
        format!("write `{both}` if both must fit, or two lines: `{}` and `{}`", with(weekday, "*"), with(day, "*"));
    Some((what, hint))
}

/// Whether `other` is due whenever `own` is.
fn covered(own: &Option<Timetable>, other: &Option<Timetable>) -> bool {
    let (Some(own), Some(other)) = (own, other) else { return false };
    let (from, until) = year();
    let second = TimeDelta::seconds(1);
    let mut looked = 0;
    let inside = own.between(from, until).take(LOOKS_MAX).all(|due| {
        looked += 1;
        other.next_after(due - second) == Some(due)
    });
    inside && looked > 0 && looked < LOOKS_MAX
}

fn table(schedule: &Schedule, line: &str) -> Option<Timetable> {
    Timetable::new(&Schedule { cron: vec![line.to_owned()], ..schedule.clone() }).ok()
}

/// The year that is looked at: after the first instant, up to the second.
fn year() -> (DateTime<Utc>, DateTime<Utc>) {
    let from = DateTime::from_timestamp(YEAR_FROM, 0).unwrap_or_default();
    (from, from + TimeDelta::days(YEAR_DAYS))
}

/// An instance whose checks show no restart is waited for until time proves it, whatever the plan says.
fn healthy_within(checked: &Checked, lags: &Lags, say: &mut Say<'_>) {
    let plan = &checked.plan;
    let (within, proof) = (plan.rollout.healthy_within, lags.proof_by_time().as_secs());
    if plan.consistency.mode == Mode::Reboot && within < proof {
        let key = "rollout.healthy_within";
        let what = format!(
            "is {}, but status checks prove a return only {} after the call where they show no restart \
             (cloud.shutdown_limit + cloud.status_lag)",
            show_duration(within),
            show_duration(proof)
        );
        let hint = format!("write healthy_within = \"{}\" or more", show_duration(lags.silent_for().as_secs()));
        say(checked.sheet.span(key), key, what, hint);
    }
}

fn window(checked: &Checked, lags: &Lags, say: &mut Say<'_>) {
    let plan = &checked.plan;
    let Some(window) = plan.schedule.window else { return };
    let key = "schedule.window";
    let at = checked.sheet.span(key);
    let named = plan.select.instances.len();
    let needed = reboots_needed(plan, named, lags);
    if needed > window {
        let what = format!(
            "ends after {}, but the last of the {named} instances in select.instances is rebooted about {} after the first",
            show_duration(window),
            show_duration(needed),
        );
        say(at.clone(), key, what, "lengthen the window, or raise rollout.max_in_flight".into());
    }
    if let Some(late) = plan.schedule.catch_up.filter(|late| *late > window && plan.consistency.mode == Mode::Reboot) {
        let (late, window) = (show_duration(late), show_duration(window));
        let what = format!("is shorter than catch_up ({late}): what is caught up after {window} reboots nothing");
        say(at, key, what, format!("write catch_up = \"{window}\", or lengthen the window"));
    }
}
