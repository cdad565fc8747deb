//! By which rules the series of a plan are judged, and the verdicts. It only reads: a preview asks the same.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::defect::{self, Defect, planted};
use crate::domain::keep::Keep;
use crate::domain::naming::Role;
use crate::domain::plan::{CopyTo, Plan, Seconds};
use crate::domain::retention::{Candidate, Grace, Series, Situation, Verdict, decide};
use crate::domain::sharing;
use crate::engine::images::listing::Listing;

/// How long a shared image is deprecated before it goes, where no plan says.
const GRACE: Seconds = 7 * 86_400;

/// Why the images of a plan that is gone stay.
pub const NO_PLAN: &str = "its plan is not in the configuration any more";

/// Why the copies of a `[[copy]]` that is gone stay.
pub const NO_COPY: &str = "its [[copy]] is not in the plan any more";

/// By which rules a plan's series are judged.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The account that the plan is of.
    pub own: &'a str,
    /// The plan, in the revision that the run began with.
    pub plan: &'a Plan,
    /// The plan as it is today, if it is in the configuration still.
    pub today: Option<&'a Plan>,
}

/// The `[[copy]]` of a plan of the account `own` that makes a series.
fn made_by<'a>(plan: &'a Plan, own: &str, series: &Series) -> Option<&'a CopyTo> {
    plan.copies.iter().find(|copy| series.role == Role::Copy && copy.place(own) == series.place)
}

/// The rules of a series by a plan of the account `own`: those of the destination for copies. What is beside its sources
/// is kept as they are.
#[must_use]
pub fn keep_of<'a>(plan: &'a Plan, own: &str, listing: &Listing, series: &Series) -> &'a Keep {
    let copy = made_by(plan, own, series).filter(|_| !listing.beside_sources(series));
    copy.filter(|_| !planted(Defect::CopiesByPlanKeep)).map_or(&plan.keep, |copy| &copy.keep)
}

/// The verdicts of each series.
pub type Verdicts<'a> = Vec<(&'a Series, Vec<Verdict>)>;

/// The images of which it must be known whether they are in use: all of each series of which something goes.
#[must_use]
pub fn asked_for(listing: &Listing, first: &Verdicts<'_>) -> Vec<String> {
    let going: BTreeSet<&Series> = first.iter().filter(|(_, v)| v.iter().any(|v| v.delete)).map(|(s, _)| *s).collect();
    going.iter().flat_map(|s| &listing.series[*s]).map(|candidate| candidate.image.id.clone()).collect()
}

/// The verdict on each image of each series at `now`, when it is known which of those that could go are in use: `in_use` is
/// asked for them once, if there are any. A run, a preview and whoever explains hold the same value.
///
/// # Errors
/// Those of `in_use`: nothing may be judged.
pub async fn judge<'a, E>(
    rules: Rules<'_>,
    now: DateTime<Utc>,
    listing: &'a Listing,
    busy: &BTreeMap<String, String>,
    in_use: impl AsyncFnOnce(Vec<String>) -> Result<BTreeMap<String, String>, E>,
) -> Result<Verdicts<'a>, E> {
    let first = verdicts(rules, now, listing, busy, &BTreeMap::new());
    let ids = asked_for(listing, &first);
    if ids.is_empty() {
        return Ok(first);
    }
    let in_use = in_use(ids).await?;
    Ok(if in_use.is_empty() { first } else { verdicts(rules, now, listing, busy, &in_use) })
}

/// The verdict on each image of each series at `now`.
#[must_use]
pub fn verdicts<'a>(
    rules: Rules<'_>,
    now: DateTime<Utc>,
    listing: &'a Listing,
    busy: &BTreeMap<String, String>,
    in_use: &BTreeMap<String, String>,
) -> Verdicts<'a> {
    let lent = |c: &&Candidate| !sharing::lent(&c.image.tags).is_empty();
    let shared: BTreeSet<String> = listing.series.values().flatten().filter(lent).map(|c| c.image.id.clone()).collect();
    let share = |plan: &Plan| plan.share.as_ref().map(|share| share.grace);
    let lasts = rules.today.and_then(share).or_else(|| share(rules.plan)).unwrap_or(GRACE);
    let grace = (!shared.is_empty()).then_some(Grace { lasts, shared: &shared });
    let situation = Situation { now, zone: &rules.plan.schedule.timezone, in_use, busy, grace };
    let both = |series: &Series, list: &Vec<Candidate>| {
        let keep = |plan| keep_of(plan, rules.own, listing, series);
        let mut verdicts = decide(&defect::keep(keep(rules.plan)), list, &situation);
        match rules.today {
            Some(plan) if keep(plan) == keep(rules.plan) => {}
            Some(plan) => unanimous(&mut verdicts, &decide(&defect::keep(keep(plan)), list, &situation)),
            None => keep_all(&mut verdicts, NO_PLAN),
        }
        let plan = rules.today.unwrap_or(rules.plan);
        if series.role == Role::Copy && !listing.beside_sources(series) && made_by(plan, rules.own, series).is_none() {
            keep_all(&mut verdicts, NO_COPY);
        }
        verdicts
    };
    listing.series.iter().map(|(series, list)| (series, both(series, list))).collect()
}

/// A run that goes on is of the revision that it began with, but what a person has decided to keep since is kept.
fn unanimous(verdicts: &mut [Verdict], today: &[Verdict]) {
    for verdict in verdicts.iter_mut().filter(|v| v.delete || v.deprecate) {
        if let Some(kept) = today.iter().find(|t| t.image == verdict.image && !t.delete) {
            *verdict = kept.clone();
        }
    }
}

fn keep_all(verdicts: &mut [Verdict], why: &str) {
    for verdict in verdicts.iter_mut().filter(|v| v.delete || v.deprecate) {
        (verdict.delete, verdict.deprecate) = (false, false);
        verdict.reasons = vec![why.to_owned()];
    }
}
