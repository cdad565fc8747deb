//! Retention after a run: decides over every series of the plan that rests, removes what goes, and finishes what
//! an earlier run could not. What only reads (`list`, `in_use`, `verdicts`) needs no run: a preview asks the same.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{self, StreamExt as _};

use super::choose::Us;
use super::distribute;
use super::executor::{self, At};
use super::run::Run;
use super::shared::Stop;
use super::steps::retain::{Remove, delete_snapshot, end_snapshot};
use crate::cloud::classify::Class;
use crate::cloud::governed::Governed;
use crate::cloud::port::{Effect, ImageQuery, InstanceQuery, Read};
use crate::defect::{self, Defect, planted};
use crate::domain::event::Outcome;
use crate::domain::fact::{self, Done, Draft, Fact, Intent, Made, Need, Observed, Removing, Scope, StepId, Topic};
use crate::domain::keep::Keep;
use crate::domain::naming::{self, Ownership, Role, TAG_PREFIX, parse_run_name};
use crate::domain::observed::ImageState;
use crate::domain::place::{Place, Subject};
use crate::domain::plan::{CopyTo, Plan, Seconds};
use crate::domain::retention::{Candidate, Grace, Series, Situation, Verdict, decide};
use crate::domain::saga::{Phase, RunState, StepState};
use crate::domain::sharing;

/// Removals under way at once in one place: enough to fill the API's rate at its usual latency.
const REMOVALS: usize = 16;

/// How long a shared image is deprecated before it goes, where no plan says.
const GRACE: Seconds = 7 * 86_400;

/// For so long a list says what is there.
const LISTED_FOR: Duration = Duration::from_secs(60);

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

impl Listing {
    /// Whether a series is of copies in the place of their sources: made to be copied or shared from, not by a `[[copy]]`.
    #[must_use]
    pub fn beside_sources(&self, series: &Series) -> bool {
        series.role == Role::Copy && self.series.contains_key(&Series { role: Role::Image, ..series.clone() })
    }
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

/// Decides and carries out retention in each place of the plan.
pub(super) async fn retain(run: &Run, places: &[Place]) -> Result<(), Stop> {
    if run.shared.barred.borrow().is_some() {
        return Ok(());
    }
    finish_leftovers(run).await?;
    let Some(own) = places.first().map(|place| place.account.clone()) else { return Ok(()) };
    let listed = run.shared.clock.instant();
    let mut listings = list_all(run, all_places(run, places, &own), &own).await?;
    distribute::drift(run, &listings).await?;
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
        owed.extend(distribute::owed_in(run.books(), plan, &own, places, &listings).await);
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

/// Where the plan selects, and where it copies to.
fn all_places(run: &Run, places: &[Place], own: &str) -> Vec<Place> {
    let mut all = places.to_vec();
    for place in run.plan.copies.iter().map(|copy| copy.place(own)) {
        if !all.contains(&place) {
            all.push(place);
        }
    }
    all
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

/// Finishes what an earlier run of the plan began and could not end: snapshots whose deletion needed a person, images
/// of which it is not known whether they are gone.
async fn finish_leftovers(run: &Run) -> Result<(), Stop> {
    if planted(Defect::LeftoversForgotten) {
        return Ok(());
    }
    let Ok(open) = run.shared.journal.reader().open_needs(&StepId::Retain).await else {
        return Ok(()); // the journal's own alarm says it
    };
    let account = run.shared.caller.borrow().as_ref().map(|c| c.account.clone());
    for event in open {
        if run.shared.draining() {
            return Err(Stop::Drained);
        }
        let Some(of) = event.draft.scope.run() else { continue };
        let of_this_plan = parse_run_name(of).is_some_and(|(plan, _)| plan == run.plan.name);
        let Some(subject) = event.draft.subject.clone().filter(|_| of_this_plan && of != &*run.name) else {
            continue;
        };
        let known = run.shared.role_of(&subject.place.account).is_some();
        if !known && Some(&subject.place.account) != account.as_ref() {
            continue; // these credentials would find nothing, which proves nothing
        }
        if step_of(run, &subject).is_some_and(|s| s.ended()) {
            continue; // tried in this run already, before a restart
        }
        if subject.id.starts_with("snap-") {
            let fate = delete_snapshot(&run.shared, &subject).await?;
            end_snapshot(&run.shared, &run.name, &subject, fate).await?;
        } else {
            let events = run.shared.journal.reader().events_of(of).await.unwrap_or_default();
            let earlier =
                RunState::fold(&events).others.remove(&subject).and_then(|mut steps| steps.remove(&StepId::Retain));
            // The run of the newest alarm need not be the one that wrote the intent.
            let told = if let Fact::StepNeedsPerson(need) = event.fact() { need.intent.clone() } else { None };
            if let Some(intent) = told.or_else(|| earlier.and_then(|step| step.intent)) {
                finish_one(run, &subject, StepState::left_over(intent, event.at)).await?;
            }
        }
    }
    Ok(())
}

/// All images of a plan in one place, by series.
///
/// # Errors
/// The list is not complete: nothing may be judged.
pub async fn list(cloud: &Governed, us: Us<'_>, plan: &str, place: &Place) -> Read<Listing> {
    let query = ImageQuery::Tag(format!("{TAG_PREFIX}daemon"), us.daemon.to_owned());
    let mut foreign = Vec::new();
    let mut of: [BTreeMap<String, Vec<Candidate>>; 2] = Default::default();
    for image in cloud.images(place, &query).await?.into_iter().map(defect::seen) {
        if image.state == ImageState::Deregistered {
            continue; // gone; it is only still listed
        }
        match naming::ownership_in(plan, &image, us.daemon, &place.account) {
            Ownership::Ours(marks) => {
                if let Some(why) = us.disowns(&image, &marks) {
                    foreign.push((image.id, why));
                    continue;
                }
                let of = &mut of[usize::from(marks.role == Role::Copy)];
                let together = of.keys().next().filter(|_| planted(Defect::RetentionPerPlan)).cloned();
                match of.get_mut(together.as_ref().unwrap_or(&marks.instance)) {
                    Some(list) => list.push(Candidate { image, marks }),
                    None => drop(of.insert(marks.instance.clone(), vec![Candidate { image, marks }])),
                }
            }
            Ownership::Foreign(why) => foreign.push((image.id, why)),
            Ownership::Unrelated => {}
        }
    }
    let series =
        |role| move |(instance, list)| (Series { plan: plan.to_owned(), instance, place: place.clone(), role }, list);
    let [images, copies] = of;
    let images = images.into_iter().map(series(Role::Image));
    Ok(Listing { series: images.chain(copies.into_iter().map(series(Role::Copy))).collect(), foreign })
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
    let rules = Rules { own, plan: &run.plan, today: today.as_deref() };
    let judge = |in_use: &BTreeMap<String, String>| verdicts(rules, run.shared.clock.now(), listing, &busy, in_use);
    let first = judge(&BTreeMap::new());
    let ids = asked_for(listing, &first);
    let mut second = if ids.is_empty() {
        first
    } else {
        let ask = || in_use(&run.shared.cloud, place, &ids);
        match run.patiently("cannot tell which images are in use", ask).await? {
            Ok(in_use) if in_use.is_empty() => first,
            Ok(in_use) => judge(&in_use),
            Err(fault) => {
                stopped(run, place, &format!("cannot tell which images are in use in {place}: {fault}")).await?;
                return finish_begun(run, place, &BTreeSet::new()).await;
            }
        }
    };
    let targets: BTreeSet<String> = run.active.state.borrow().targets.keys().map(|s| s.id.clone()).collect();
    // A run that goes on deletes no more than it decided at first: `max_deletions` counts per run.
    let decided = run.active.state.borrow().decided.clone();
    let allowed = |series: &Series, image: &str| {
        decided.get(&place.subject(&series.instance)).is_none_or(|(_, images)| images.contains(image))
    };
    for (series, list) in &mut second {
        for verdict in list.iter_mut().filter(|v| v.delete && !allowed(series, &v.image)) {
            verdict.delete = false;
            verdict.reasons = vec!["would go; the run was interrupted: next run".into()];
        }
    }
    let mut remove: BTreeMap<String, (&Verdict, &Candidate)> = BTreeMap::new();
    let mut decisions = Vec::new();
    for (series, list) in &second {
        if targets.contains(&series.instance) || list.iter().any(|v| v.delete) {
            decisions.push(decided_of(run, place, series, list));
        }
        for verdict in list.iter().filter(|v| v.delete) {
            if let Some(candidate) = listing.series[*series].iter().find(|c| c.image.id == verdict.image) {
                remove.insert(verdict.image.clone(), (verdict, candidate));
            }
        }
    }
    run.shared.record_many(&decisions).await?;
    for verdict in second.iter().flat_map(|(_, list)| list).filter(|v| v.deprecate) {
        deprecate(run, &place.subject(&verdict.image)).await?;
    }
    finish_begun(run, place, &remove.keys().cloned().collect()).await?;
    let mut removals = stream::iter(&remove)
        .map(|(image, (verdict, candidate))| async move {
            let subject = place.subject(image);
            let removing = Removing {
                image: image.clone(),
                name: Some(candidate.image.name.clone()),
                snapshots: candidate.image.snapshots.clone(),
                reason: verdict.reasons.join("; "),
            };
            drive(run, &subject, removing, step_of(run, &subject)).await
        })
        .buffer_unordered(REMOVALS);
    // Each removal stops at its own journal boundary, also when another one drains.
    let mut end = Ok(());
    while let Some(ended) = removals.next().await {
        end = end.and(ended);
    }
    end
}

/// The images of which it must be known whether they are in use: all of each series of which something goes.
#[must_use]
pub fn asked_for(listing: &Listing, first: &Verdicts<'_>) -> Vec<String> {
    let going: BTreeSet<&Series> = first.iter().filter(|(_, v)| v.iter().any(|v| v.delete)).map(|(s, _)| *s).collect();
    going.iter().flat_map(|s| &listing.series[*s]).map(|candidate| candidate.image.id.clone()).collect()
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

/// Images that steps of any run still work on.
fn busy(run: &Run, place: &Place) -> BTreeMap<String, String> {
    let runs = run.shared.runs.borrow();
    let mut busy: BTreeMap<String, String> =
        runs.iter().flat_map(|(name, other)| busy_in(name, &other.state.borrow(), place)).collect();
    for (name, other) in runs.iter().filter(|(name, _)| **name != *run.name) {
        let state = other.state.borrow();
        busy.extend(distribute::vias(&state).map(|image| (image.to_owned(), format!("{name} copies from it"))));
    }
    busy
}

/// Images of a place that the steps of one run still work on, each with why it is busy.
#[must_use]
pub fn busy_in(name: &str, run: &RunState, place: &Place) -> Vec<(String, String)> {
    let open = run.targets.iter().filter(|(subject, target)| subject.place == *place && target.finished.is_none());
    let targets = open.filter_map(|(_, target)| target.image());
    // What is copied, and what copies there are on the way.
    let moving = |(subject, steps): (&Subject, &BTreeMap<StepId, StepState>)| {
        let steps = steps.iter().filter(|(id, _)| id.distributes()).map(|(_, state)| state);
        let made = steps.clone().filter(|state| !state.ended()).filter_map(|state| state.image().map(str::to_owned));
        let own = steps.clone().any(StepState::works) && subject.place == *place;
        let own = own.then(|| subject.id.clone());
        made.chain(own).collect::<Vec<_>>()
    };
    let moving = run.others.iter().flat_map(moving);
    let busy = targets.map(str::to_owned).chain(moving);
    busy.map(|image| (image, format!("{name} is not finished with it"))).collect()
}

/// Which of these images an instance of ours runs from, each with that instance.
///
/// # Errors
/// The instances could not be listed.
pub async fn in_use(cloud: &Governed, place: &Place, ids: &[String]) -> Read<BTreeMap<String, String>> {
    let list = cloud.instances(place, &InstanceQuery::LaunchedFrom(ids.to_vec())).await?;
    let alive = list.into_iter().filter(|i| !crate::domain::event::gone(i.state));
    Ok(alive.filter_map(|i| i.image.map(|image| (image, i.id))).collect())
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

fn step_of(run: &Run, subject: &Subject) -> Option<StepState> {
    run.active.state.borrow().others.get(subject).and_then(|steps| steps.get(&StepId::Retain)).cloned()
}

/// Ends removals that were begun before a restart and of which the new verdict (`confirmed`) says nothing.
async fn finish_begun(run: &Run, place: &Place, confirmed: &BTreeSet<String>) -> Result<(), Stop> {
    let begun: Vec<(Subject, StepState)> = {
        let state = run.active.state.borrow();
        let images = state.others.iter().filter(|(s, _)| s.place == *place && s.id.starts_with("ami-"));
        let steps = images.filter_map(|(s, steps)| Some((s.clone(), steps.get(&StepId::Retain)?.clone())));
        steps.filter(|(s, step)| !step.ended() && !confirmed.contains(&s.id)).collect()
    };
    for (subject, step) in begun.into_iter().filter(|_| !planted(Defect::LeftoversForgotten)) {
        finish_one(run, &subject, step).await?;
    }
    Ok(())
}

/// Ends one removal that was begun: where the image is gone, its snapshots are finished; where it is still there, it
/// stays, since no verdict of today says that it goes.
async fn finish_one(run: &Run, subject: &Subject, step: StepState) -> Result<(), Stop> {
    if step.phase == Phase::Done {
        return drive(run, subject, removing_of(&step, subject), Some(step)).await;
    }
    let query = ImageQuery::Ids(vec![subject.id.clone()]);
    let read = run.patiently("cannot look for an image", || run.shared.cloud.images(&subject.place, &query)).await?;
    let fact = match read {
        Ok(list) if list.iter().all(|i| i.state == ImageState::Deregistered) => {
            // Given up in an earlier run: begun anew in this one.
            return drive(run, subject, removing_of(&step, subject), Some(step).filter(|s| !s.ended())).await;
        }
        Ok(_) => {
            let reason = Some("kept after all: the verdict changed".to_owned());
            Fact::StepObserved(Observed { reason, ..Observed::of(Outcome::Done) })
        }
        Err(fault) => {
            let why = format!(
                "whether {} is deregistered is not known, and it cannot be looked for: {fault}. Its snapshots may be \
                 left; it is looked for again in the plan's next run",
                subject.id
            );
            if step.alarmed {
                return Ok(()); // in this run already; the next one tries again
            }
            Fact::StepNeedsPerson(Need { intent: step.intent.clone(), ..Need::failed(why) })
        }
    };
    run.record(Draft::of(&run.name, subject, fact).at_step(&StepId::Retain, step.attempt)).await
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

/// Removes an image of ours that is needed no more, whatever the rules say.
pub(super) async fn remove(run: &Run, subject: &Subject, why: &str) -> Result<(), Stop> {
    let known = step_of(run, subject);
    if known.as_ref().is_some_and(StepState::ended) {
        return Ok(());
    }
    let removing = match &known {
        Some(step) => removing_of(step, subject),
        None => {
            let query = ImageQuery::Ids(vec![subject.id.clone()]);
            let ask = || run.shared.cloud.images(&subject.place, &query);
            match run.patiently("cannot look for an image", ask).await? {
                Ok(list) => match list.into_iter().find(|i| i.state != ImageState::Deregistered) {
                    Some(i) => {
                        Removing { image: i.id, name: Some(i.name), snapshots: i.snapshots, reason: why.to_owned() }
                    }
                    None => return Ok(()),
                },
                Err(fault) => {
                    let why = format!("{} is needed no more, and cannot be looked for: {fault}", subject.id);
                    return run.mishap(&format!("{}:{}", StepId::Retain, subject.id), &why).await;
                }
            }
        }
    };
    drive(run, subject, removing, known).await
}

/// What a removal that was begun is about; of one that found its image gone, nothing more than that is known.
fn removing_of(step: &StepState, subject: &Subject) -> Removing {
    let known = step.intent.as_ref().and_then(Intent::removing).cloned();
    known.unwrap_or_else(|| Removing { image: subject.id.clone(), ..Removing::default() })
}

async fn drive(run: &Run, subject: &Subject, removing: Removing, known: Option<StepState>) -> Result<(), Stop> {
    let step = Remove {
        shared: Rc::clone(&run.shared),
        active: Rc::clone(&run.active),
        run: Rc::clone(&run.name),
        subject: subject.clone(),
        removing,
    };
    let at = At { shared: &run.shared, run: &run.name, subject };
    executor::drive(&at, &step, known.as_ref()).await
}
