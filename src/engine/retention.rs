//! Retention after a run: decides over every series of the plan that rests, removes what goes, and finishes what
//! an earlier run could not. What only reads (`list`, `in_use`, `judge`) needs no run: a preview asks the same.

mod judge;
mod leftovers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::stream::{self, StreamExt as _};

pub use self::judge::judge;
use self::leftovers::{finish_begun, finish_leftovers};
use crate::cloud::classify::Class;
use crate::cloud::port::{Effect, Fault};
use crate::defect::{self, Defect, planted};
use crate::domain::fact::{self, Done, Draft, Fact, Made, Need, Removing, Scope, StepId, Topic};
use crate::domain::hold::Act;
use crate::domain::place::{Place, Subject};
use crate::domain::retention::{Listing, RetentionPlan, Series, Survey, Verdict, places_of};
use crate::engine::context::Stop;
use crate::engine::context::run::Run;
use crate::engine::distribution;
use crate::engine::distribution::Books;
use crate::engine::images::listing::{busy_in, in_use, list};
use crate::engine::images::removal::{Removal, drive, step_of};

/// Removals under way at once in one place: enough to fill the API's rate at its usual latency.
const REMOVALS: usize = 16;

/// For so long a list says what is there.
const LISTED_FOR: Duration = Duration::from_secs(60);

/// Decides and carries out retention in each place of the plan.
pub(crate) async fn retain(run: &Run, places: &[Place]) -> Result<(), Stop> {
    if run.shared.held(Act::Delete, Some(&run.plan.name)).is_some() {
        return Ok(());
    }
    finish_leftovers(run).await?;
    let Some(own) = places.first().map(|place| place.account.clone()) else { return Ok(()) };
    let listed = run.shared.clock.instant();
    let mut listings = list_all(run, places_of(&run.plan, &own, places), &own).await?;
    distribution::drift(run, &listings).await?;
    // Two runs of a plan judge one after the other: each by what the other has left.
    let turn = run.shared.retaining(&run.plan.name);
    let mut last = run.shared.unless_drained(turn.lock()).await?;
    // It may have waited for whole copies, or a list for who did not answer. What was there before says nothing of what is
    // left now.
    let old = run.shared.clock.instant() - listed > LISTED_FOR;
    if old || last.is_some_and(|last| last >= listed) {
        let again = listings.into_iter().map(|(place, _)| place).collect();
        listings = list_all(run, again, &own).await?;
    }
    let today = run.shared.plans.borrow().get(&run.plan.name).cloned();
    let mut owed = BTreeMap::new();
    for plan in [Some(&*run.plan), today.as_deref()].into_iter().flatten() {
        owed.extend(distribution::owed_in(Books::of(run), plan, &own, places, &listings).await);
    }
    if planted(Defect::RetiredWhileOwed) {
        owed.clear();
    }
    let mut end = Ok(());
    for (place, listing) in &listings {
        end = in_place(run, &own, (place, listing), &owed).await;
        if end.is_err() {
            break;
        }
    }
    *last = Some(run.shared.clock.instant());
    end
}

/// What is in each of these places that can be listed.
async fn list_all(run: &Run, places: Vec<Place>, own: &str) -> Result<Vec<(Place, Listing)>, Stop> {
    let mut listings = Vec::new();
    for place in places {
        let ask = || list(&run.shared.cloud, run.shared.us(), &run.plan.name, &place);
        match run.patiently("cannot list our images", ask).await? {
            Ok(listing) => listings.push((place, listing)),
            // A destination in which nothing can be done is said by its copies.
            Err(_) if said(run, &place, own) => finish_begun(run, &place, &BTreeSet::new()).await?,
            Err(fault) => {
                let why = format!("cannot list our images in {place} completely: {fault}");
                stopped(run, &place, &why).await?;
                finish_begun(run, &place, &BTreeSet::new()).await?;
            }
        }
    }
    Ok(listings)
}

/// Whether a copy has told already that nothing can be done in a destination.
fn said(run: &Run, place: &Place, own: &str) -> bool {
    let state = run.active.state.borrow();
    let mut there = run.plan.copies.iter().filter(|copy| copy.place(own) == *place);
    there.any(|copy| state.mishaps.contains_key(&StepId::Copy(copy.label()).to_string()))
}

/// A place is left alone in this run; said once in it.
async fn stopped(run: &Run, place: &Place, why: &str) -> Result<(), Stop> {
    let own = run.shared.caller.borrow().as_ref().is_none_or(|caller| caller.account == place.account);
    let retain = StepId::Retain;
    let what = if own { format!("{retain}:{}", place.region) } else { format!("{retain}:{place}") };
    if run.active.state.borrow().mishaps.contains_key(&what) {
        return Ok(());
    }
    let reason = format!("{why}. Nothing is deleted there in this run");
    let draft = Draft::of_run(&run.name, Fact::RetainStopped { reason });
    run.record(draft.about(Topic::Trouble(what))).await
}

/// Why nothing is judged.
enum Unjudged {
    Stop(Stop),
    Fault(Fault),
}

async fn in_place(
    run: &Run,
    own: &str,
    (place, listing): (&Place, &Listing),
    owed: &BTreeMap<String, String>,
) -> Result<(), Stop> {
    report_foreign(run, place, &listing.foreign).await?;
    let mut busy = busy(run, place);
    busy.extend(owed.iter().map(|(image, why)| (image.clone(), why.clone())));
    let today = run.shared.plans.borrow().get(&run.plan.name).cloned();
    let (plan, today) = (defect::rules(&run.plan), today.as_deref().map(defect::rules));
    let now = run.shared.clock.now();
    let survey = Survey { own, plan: &plan, today: today.as_deref(), now, listing, busy: &busy };
    let ask = async |ids: Vec<String>| {
        let ask = || in_use(&run.shared.cloud, place, &ids);
        run.patiently("cannot tell which images are in use", ask)
            .await
            .map_err(Unjudged::Stop)?
            .map_err(Unjudged::Fault)
    };
    let plan = match judge(survey, BTreeMap::new(), ask).await {
        Ok(plan) => plan,
        Err(Unjudged::Stop(stop)) => return Err(stop),
        Err(Unjudged::Fault(fault)) => {
            stopped(run, place, &format!("cannot tell which images are in use in {place}: {fault}")).await?;
            return finish_begun(run, place, &BTreeSet::new()).await;
        }
    };
    let decided = run.active.state.borrow().decided.clone();
    let plan = plan.within(|series| Some(decided.get(&place.subject(&series.instance))?.1.clone()));
    carry_out(run, place, &plan).await
}

/// Writes down what was decided, and does it.
async fn carry_out(run: &Run, place: &Place, plan: &RetentionPlan<'_>) -> Result<(), Stop> {
    let targets: BTreeSet<String> = run.active.state.borrow().targets.keys().map(|s| s.id.clone()).collect();
    let told = |(series, list): &&(&Series, Vec<Verdict>)| {
        targets.contains(&series.instance) || list.iter().any(|verdict| verdict.delete)
    };
    let decisions = plan.series().iter().filter(told).map(|(series, list)| decided_of(run, place, series, list));
    run.shared.record_many(&decisions.collect::<Vec<_>>()).await?;
    for verdict in plan.deprecations() {
        deprecate(run, &place.subject(&verdict.image)).await?;
    }
    let remove: BTreeMap<&str, _> = plan.removals().map(|removal| (&*removal.1.image, removal)).collect();
    finish_begun(run, place, &remove.keys().map(|image| (*image).to_owned()).collect()).await?;
    let mut removals = stream::iter(remove.into_values())
        .map(|(candidate, verdict)| async move {
            let subject = place.subject(&verdict.image);
            let removing = Removing {
                image: verdict.image.clone(),
                name: Some(candidate.image.name.clone()),
                snapshots: candidate.image.snapshots.clone(),
                reason: verdict.reasons.join("; "),
                others: None,
            };
            let removal = Removal { removing, witness: verdict.witness.clone() };
            drive(run, &subject, removal, step_of(run, &subject)).await
        })
        .buffer_unordered(REMOVALS);
    // Each removal stops at its own journal boundary, also when another one drains.
    let mut end = Ok(());
    while let Some(ended) = removals.next().await {
        end = end.and(ended);
    }
    end
}

/// Images that steps of any run still work on.
fn busy(run: &Run, place: &Place) -> BTreeMap<String, String> {
    let runs = run.shared.runs.borrow();
    let mut busy: BTreeMap<String, String> =
        runs.iter().flat_map(|(name, other)| busy_in(name, &other.state.borrow(), place)).collect();
    for (name, other) in runs.iter().filter(|(name, _)| **name != *run.name) {
        let state = other.state.borrow();
        busy.extend(state.vias().map(|image| (image.to_owned(), format!("{name} copies from it"))));
    }
    busy
}

/// The event of what was decided for one series.
fn decided_of(run: &Run, place: &Place, series: &Series, list: &[Verdict]) -> Draft {
    let subject = place.subject(&series.instance);
    let told = |v: &Verdict| fact::Verdict { image: v.image.clone(), delete: v.delete, reasons: v.reasons.clone() };
    let draft = Draft::of(&run.name, &subject, Fact::RetainDecided(list.iter().map(told).collect()));
    // Decided again after a restart, the verdicts may differ: each decision is a fact of its own.
    let attempt = run.active.state.borrow().decided.get(&subject).map_or(0, |(times, _)| *times) + 1;
    Draft { attempt, ..draft.about(Topic::Series(series.role)) }
}

/// An image that bears our name but is not ours is said once, ever.
async fn report_foreign(run: &Run, place: &Place, foreign: &[(String, String)]) -> Result<(), Stop> {
    if foreign.is_empty() {
        return Ok(());
    }
    let known = run.shared.journal.reader().events_in(&Scope::Foreign).await.unwrap_or_default();
    let known: BTreeSet<Subject> = known.into_iter().filter_map(|e| e.draft.subject).collect();
    let report = |(image, why): &(String, String)| {
        let reason = format!("{image} {why}: never counted, never deleted");
        let draft = Draft::of_scope(Scope::Foreign, Fact::ForeignImage { reason });
        Draft { subject: Some(place.subject(image)), ..draft }
    };
    let new = foreign.iter().filter(|(image, _)| !known.contains(&place.subject(image))).map(report);
    run.shared.record_many(&new.collect::<Vec<_>>()).await
}

/// Hides an image from other accounts, so that they stop using it before it goes. Done twice it is done once.
async fn deprecate(run: &Run, subject: &Subject) -> Result<(), Stop> {
    // Before a restart, and not listed yet.
    if run.active.state.borrow().others.get(subject).is_some_and(|steps| steps.contains_key(&StepId::Deprecate)) {
        return Ok(());
    }
    // EC2 rounds to the minute, and refuses what is past.
    let at = run.shared.clock.now() + TimeDelta::minutes(2);
    let fact = match run.shared.cloud.deprecate_image(&subject.place, &subject.id, at).await {
        Effect::Done { .. } => {
            let made = Made::Deprecated { image: subject.id.clone(), at: at.to_rfc3339() };
            Fact::StepDone(Done { made, request: None, adopted: false })
        }
        // The next run finds out whether it is, and tries again.
        Effect::Unknown(_) => return Ok(()),
        Effect::Refused(fault) if fault.class == Class::NotFound || fault.class.passes() => return Ok(()),
        Effect::Refused(fault) => {
            let why = format!("a shared image cannot be deprecated, so it is not deleted either: {fault}");
            Fact::StepNeedsPerson(Need::failed(why))
        }
    };
    run.record(Draft::of(&run.name, subject, fact).at_step(&StepId::Deprecate, 1)).await
}
