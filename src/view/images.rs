//! All images of ours, each with why and until when it stays.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::active_runs::ActiveRuns;
use crate::cloud::governed::Governed;
use crate::cloud::port::Read;
use crate::domain::naming::{Role, rfc3339};
use crate::domain::place::Place;
use crate::domain::plan::Plan;
use crate::domain::retention::{LEAVES_MAX, RetentionPlan, Series, Survey, places_of};
use crate::domain::schedule::Timetable;
use crate::engine::context::us::Us;
use crate::engine::distribution::{self, Books};
use crate::engine::images::listing;
use crate::engine::retention::judge;
use crate::journal::Reader;

/// Occurrences further off than this are not asked for: no `keep` reaches so far in what can be played through.
const HORIZON: TimeDelta = TimeDelta::days(20 * 366);

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageLine {
    /// The plan that made it.
    pub plan: String,
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance that it was made of.
    pub instance: String,
    /// `ami-...`
    pub image: String,
    /// Whether it is a copy.
    pub copy: bool,
    /// The occurrence that made it.
    pub due: String,
    /// EC2's word.
    pub state: &'static str,
    /// keep or delete.
    pub verdict: &'static str,
    /// In an operator's words.
    pub reasons: Vec<String>,
    /// The occurrence after which no rule keeps it; nothing: none within sight.
    pub until: Option<String>,
}

/// The document of `images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImagesDocument {
    /// When it was made.
    pub at: String,
    /// All of them, by plan and place; of an instance the newest first.
    pub images: Vec<ImageLine>,
    /// What could not be read.
    pub faults: Vec<String>,
}

/// The images of these plans. What cannot be read is a fault in the document.
pub async fn list(
    cloud: &Governed,
    journal: Option<&dyn Reader>,
    us: Us<'_>,
    plans: impl Iterator<Item = &Plan>,
    now: DateTime<Utc>,
) -> Read<ImagesDocument> {
    let mut document = ImagesDocument { at: rfc3339(now), images: Vec::new(), faults: Vec::new() };
    let active = match journal {
        Some(journal) => ActiveRuns::of(journal).await.unwrap_or_default(),
        None => ActiveRuns::default(),
    };
    let own = cloud.whoami().await?.account;
    for plan in plans {
        let sources: Vec<Place> =
            cloud.regions(plan).into_iter().map(|region| Place::new(own.clone(), region)).collect();
        let mut listings = Vec::new();
        for place in places_of(plan, &own, &sources) {
            match listing::list(cloud, us, &plan.name, &place).await {
                Ok(listing) => listings.push((place, listing)),
                Err(fault) => document.faults.push(format!("{}: the images in {place}: {fault}", plan.name)),
            }
        }
        let owed = distribution::owed_in(Books { journal, now }, plan, &own, &sources, &listings).await;
        for (place, listing) in &listings {
            let mut busy = active.busy(place);
            busy.extend(owed.clone());
            let survey = Survey { own: &own, plan, today: Some(plan), now, listing, busy: &busy };
            match lines(cloud, place, survey).await {
                Ok(lines) => document.images.extend(lines),
                Err(fault) => {
                    document.faults.push(format!("{}: which images in {place} are in use: {fault}", plan.name));
                }
            }
        }
    }
    Ok(document)
}

/// The images of a plan in one place.
async fn lines(cloud: &Governed, place: &Place, survey: Survey<'_>) -> Read<Vec<ImageLine>> {
    let ask = async |ids: Vec<String>| listing::in_use(cloud, place, &ids).await;
    let decided = judge(survey, BTreeMap::new(), ask).await?;
    let mut lines = Vec::new();
    for (series, verdicts) in decided.series() {
        let candidates = &survey.listing.series[*series];
        for verdict in verdicts {
            let Some(candidate) = candidates.iter().find(|c| c.image.id == verdict.image) else { continue };
            let until = if verdict.delete { None } else { until(&survey, &decided, series, &verdict.image) };
            lines.push(ImageLine {
                plan: survey.plan.name.clone(),
                account: place.account.clone(),
                region: place.region.clone(),
                instance: series.instance.clone(),
                image: verdict.image.clone(),
                copy: series.role == Role::Copy,
                due: rfc3339(candidate.marks.due),
                state: candidate.image.state.as_str(),
                verdict: if verdict.delete { "delete" } else { "keep" },
                reasons: verdict.reasons.clone(),
                until: until.map(rfc3339),
            });
        }
    }
    Ok(lines)
}

/// The occurrence after which no rule keeps an image.
pub fn until(survey: &Survey<'_>, decided: &RetentionPlan<'_>, series: &Series, image: &str) -> Option<DateTime<Utc>> {
    // `config` has compiled the same lines when it checked the plan.
    let timetable = Timetable::new(&survey.plan.schedule).unwrap_or_else(|e| unreachable!("a checked schedule: {e}"));
    let dues = timetable.between(survey.now, survey.now + HORIZON).take(LEAVES_MAX);
    decided.leaves_at(series, image, dues)
}
