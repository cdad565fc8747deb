//! What retention decides of the series of a plan in one place: one value, which a run carries out, and which a preview, a
//! list and whoever explains show.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{Candidate, Grace, Series, Situation, Verdict, Why, decide, leaves_at, standing_of};
use crate::domain::keep::Keep;
use crate::domain::naming::Role;
use crate::domain::place::Place;
use crate::domain::plan::{CopyTo, Plan, Seconds};
use crate::domain::sharing;

/// How long a shared image is deprecated before it goes, where no plan says.
const GRACE: Seconds = 7 * 86_400;

/// Why the images of a plan that is gone stay.
pub const NO_PLAN: &str = "its plan is not in the configuration any more";

/// Why the copies of a `[[copy]]` that is gone stay.
pub const NO_COPY: &str = "its [[copy]] is not in the plan any more";

/// All series of a plan in one place, and what is not ours.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The candidates of each series.
    pub series: BTreeMap<Series, Vec<Candidate>>,
    /// Images that bear our name but are not ours, each with why.
    pub foreign: Vec<(String, String)>,
}

impl Listing {
    /// Whether a series is of copies in the place of their sources: made to be copied or shared from, not by a `[[copy]]`.
    #[must_use]
    pub fn beside_sources(&self, series: &Series) -> bool {
        series.role == Role::Copy && self.series.contains_key(&Series { role: Role::Image, ..series.clone() })
    }
}

/// What a decision hangs on, but for who runs from the images.
#[derive(Debug, Clone, Copy)]
pub struct Survey<'a> {
    /// The account that the plan is of.
    pub own: &'a str,
    /// The plan, in the revision that the run began with.
    pub plan: &'a Plan,
    /// The plan as it is today, if it is in the configuration still.
    pub today: Option<&'a Plan>,
    /// The wall clock.
    pub now: DateTime<Utc>,
    /// What is there. It must be complete.
    pub listing: &'a Listing,
    /// Images that something still works with, each with what.
    pub busy: &'a BTreeMap<String, String>,
}

/// The verdict on each image of each series.
#[derive(Debug, Clone)]
pub struct RetentionPlan<'a> {
    survey: Survey<'a>,
    in_use: BTreeMap<String, String>,
    series: Vec<(&'a Series, Vec<Verdict>)>,
}

impl<'a> RetentionPlan<'a> {
    /// The decision, where an instance runs from each of `in_use`.
    #[must_use]
    pub fn of(survey: Survey<'a>, in_use: BTreeMap<String, String>) -> Self {
        let Survey { now, plan, today, busy, listing, .. } = survey;
        let lent = |c: &&Candidate| !sharing::lent(&c.image.tags).is_empty();
        let shared: BTreeSet<String> =
            listing.series.values().flatten().filter(lent).map(|c| c.image.id.clone()).collect();
        let share = |plan: &Plan| plan.share.as_ref().map(|share| share.grace);
        let lasts = today.and_then(share).or_else(|| share(plan)).unwrap_or(GRACE);
        let grace = (!shared.is_empty()).then_some(Grace { lasts, shared: &shared });
        let situation = Situation { now, zone: &plan.schedule.timezone, in_use: &in_use, busy, grace };
        let verdicts = |series, list: &Vec<Candidate>| (series, survey.verdicts(series, list, &situation));
        let series = listing.series.iter().map(|(series, list)| verdicts(series, list)).collect();
        Self { survey, in_use, series }
    }

    /// The verdicts of each series, the newest image first.
    #[must_use]
    pub fn series(&self) -> &[(&'a Series, Vec<Verdict>)] {
        &self.series
    }

    /// The images of which it must be known whether they are in use: all of each series of which something goes.
    #[must_use]
    pub fn asks(&self) -> Vec<String> {
        let going = self.series.iter().filter(|(_, verdicts)| verdicts.iter().any(|v| v.delete));
        going.flat_map(|(s, _)| &self.survey.listing.series[*s]).map(|candidate| candidate.image.id.clone()).collect()
    }

    /// The same, where an instance runs from each of `in_use` too.
    #[must_use]
    pub fn with(self, in_use: BTreeMap<String, String>) -> Self {
        let mut all = self.in_use.clone();
        all.extend(in_use);
        if all == self.in_use { self } else { Self::of(self.survey, all) }
    }

    /// Of each series that was decided already only what went then goes now: `max_deletions` counts for a run, also for one
    /// that was interrupted.
    #[must_use]
    pub fn within(mut self, decided: impl Fn(&Series) -> Option<BTreeSet<String>>) -> Self {
        for (series, list) in &mut self.series {
            let Some(allowed) = decided(series) else { continue };
            for verdict in list.iter_mut().filter(|v| v.delete && !allowed.contains(&v.image)) {
                verdict.stays("would go; the run was interrupted: next run");
            }
        }
        self
    }

    /// What goes, each with why.
    pub fn removals(&self) -> impl Iterator<Item = (&'a Candidate, &Verdict)> {
        self.series.iter().flat_map(|(series, verdicts)| {
            let list = &self.survey.listing.series[*series];
            let removals = verdicts.iter().filter(|v| v.delete);
            removals.filter_map(|v| Some((list.iter().find(|c| c.image.id == v.image)?, v)))
        })
    }

    /// What is deprecated now, to go later.
    pub fn deprecations(&self) -> impl Iterator<Item = &Verdict> {
        self.series.iter().flat_map(|(_, verdicts)| verdicts).filter(|v| v.deprecate)
    }

    /// The verdict on one image, and its series.
    #[must_use]
    pub fn find(&self, image: &str) -> Option<(&'a Series, &Verdict)> {
        self.series.iter().find_map(|(series, list)| Some((*series, list.iter().find(|v| v.image == image)?)))
    }

    /// All that holds an image of a series; nothing where no rule is asked.
    #[must_use]
    pub fn standing(&self, series: &Series, image: &str) -> Vec<Why> {
        // Of a `[[copy]]` that is gone nothing is removed at all.
        if self.find(image).is_none_or(|(_, verdict)| verdict.reasons == [NO_COPY]) {
            return Vec::new();
        }
        standing_of(self.survey.keep(series), &self.survey.listing.series[series], &self.situation(), image)
    }

    /// The first of `dues` after which no rule holds an image of a series, as [`leaves_at`] plays it through.
    #[must_use]
    pub fn leaves_at(
        &self,
        series: &Series,
        image: &str,
        dues: impl Iterator<Item = DateTime<Utc>>,
    ) -> Option<DateTime<Utc>> {
        leaves_at(self.survey.keep(series), &self.survey.listing.series[series], &self.situation(), image, dues)
    }

    fn situation(&self) -> Situation<'_> {
        let Survey { now, plan, busy, .. } = self.survey;
        Situation { now, zone: &plan.schedule.timezone, in_use: &self.in_use, busy, grace: None }
    }
}

impl<'a> Survey<'a> {
    /// The rules of a series by the revision that the run began with.
    fn keep(&self, series: &Series) -> &'a Keep {
        self.keep_by(self.plan, series)
    }

    /// The rules of a series: those of the destination for copies. What is beside its sources is kept as they are.
    fn keep_by<'p>(&self, plan: &'p Plan, series: &Series) -> &'p Keep {
        let copy = self.made_by(plan, series).filter(|_| !self.listing.beside_sources(series));
        copy.map_or(&plan.keep, |copy| &copy.keep)
    }

    /// The `[[copy]]` of a plan that makes a series.
    fn made_by<'p>(&self, plan: &'p Plan, series: &Series) -> Option<&'p CopyTo> {
        let here = |copy: &&CopyTo| -> bool { copy.place(self.own) == series.place };
        plan.copies.iter().filter(|_| series.role == Role::Copy).find(here)
    }

    fn verdicts(&self, series: &Series, list: &[Candidate], situation: &Situation<'_>) -> Vec<Verdict> {
        let keep = self.keep(series);
        let mut verdicts = decide(keep, list, situation);
        match self.today {
            Some(plan) if self.keep_by(plan, series) == keep => {}
            Some(plan) => unanimous(&mut verdicts, &decide(self.keep_by(plan, series), list, situation)),
            None => keep_all(&mut verdicts, NO_PLAN),
        }
        let plan = self.today.unwrap_or(self.plan);
        let left = series.role == Role::Copy && self.made_by(plan, series).is_none();
        if left && !self.listing.beside_sources(series) {
            keep_all(&mut verdicts, NO_COPY);
        }
        verdicts
    }
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
        verdict.stays(why);
    }
}

/// Where a plan of the account `own` has images: where it selects, and where it copies to.
#[must_use]
pub fn places_of(plan: &Plan, own: &str, sources: &[Place]) -> Vec<Place> {
    let mut all = sources.to_vec();
    for place in plan.copies.iter().map(|copy| copy.place(own)) {
        if !all.contains(&place) {
            all.push(place);
        }
    }
    all
}
