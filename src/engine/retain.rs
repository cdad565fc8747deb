//! Retention after a run: decides over every series of the plan that rests, removes what goes, and finishes what
//! an earlier run could not.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Value, json};

use super::executor::{self, At};
use super::run::Run;
use super::shared::Stop;
use super::steps::RETAIN;
use super::steps::retain::{Remove, delete_snapshot, end_snapshot};
use crate::cloud::port::{ImageQuery, InstanceQuery, Read};
use crate::domain::event::{Draft, Kind};
use crate::domain::naming::{self, Ownership, TAG_PREFIX};
use crate::domain::place::{Place, Subject};
use crate::domain::retention::{Candidate, Series, Situation, Verdict, decide};
use crate::domain::saga::StepState;

/// All series of the plan in one place, and what is not ours.
struct Listing {
    series: BTreeMap<Series, Vec<Candidate>>,
    foreign: Vec<(String, String)>,
}

/// Decides and carries out retention in each place of the plan.
pub async fn retain(run: &Run, places: &[Place]) -> Result<(), Stop> {
    if run.shared.barred.borrow().is_some() {
        return Ok(());
    }
    finish_snapshots(run).await?;
    for place in places {
        match run.patiently("cannot list our images", || list(run, place)).await? {
            Ok(listing) => in_place(run, place, &listing).await?,
            Err(fault) => {
                let why = format!(
                    "cannot list our images in {place} completely: {fault}. Nothing is deleted there in this run"
                );
                stopped(run, place, &why).await?;
            }
        }
    }
    Ok(())
}

/// Says once in a run why nothing is deleted in a place.
async fn stopped(run: &Run, place: &Place, why: &str) -> Result<(), Stop> {
    let step = format!("{RETAIN}:{}", place.region);
    if run.active.state.borrow().mishaps.contains_key(&step) {
        return Ok(());
    }
    let draft = Draft::of_run(&run.name, Kind::RetainStopped, json!({ "reason": why }));
    run.record(draft.at_step(&step, 1)).await
}

/// Snapshots whose deletion needed a person in an earlier run are tried again.
async fn finish_snapshots(run: &Run) -> Result<(), Stop> {
    let Ok(open) = run.shared.journal.reader().open_needs(RETAIN).await else {
        return Ok(()); // the journal's own alarm says it
    };
    for event in open {
        let of_this_plan = naming::parse_run_name(&event.draft.run).is_some_and(|(plan, _)| plan == run.plan.name);
        if let Some(subject) = event.draft.subject.filter(|s| s.id.starts_with("snap-"))
            && of_this_plan
            && event.draft.run != *run.name
        {
            let fate = delete_snapshot(&run.shared, &subject).await;
            end_snapshot(&run.shared, &run.name, &subject, fate).await?;
        }
    }
    Ok(())
}

async fn list(run: &Run, place: &Place) -> Read<Listing> {
    let sh = &run.shared;
    let query = ImageQuery::Tag(format!("{TAG_PREFIX}daemon"), sh.daemon.clone());
    let mut listing = Listing { series: BTreeMap::new(), foreign: Vec::new() };
    for image in sh.cloud.images(place, &query).await? {
        match naming::ownership(&image, &sh.daemon, &place.account) {
            Ownership::Ours(marks) if marks.plan == run.plan.name => {
                let series = Series {
                    plan: marks.plan.clone(),
                    instance: marks.instance.clone(),
                    place: place.clone(),
                    role: marks.role,
                };
                listing.series.entry(series).or_default().push(Candidate { image, marks });
            }
            Ownership::Foreign(why) => listing.foreign.push((image.id, why)),
            Ownership::Ours(_) | Ownership::Unrelated => {}
        }
    }
    Ok(listing)
}

async fn in_place(run: &Run, place: &Place, listing: &Listing) -> Result<(), Stop> {
    for (image, why) in &listing.foreign {
        report_foreign(run, &place.subject(image), why).await?;
    }
    let busy = busy(run, place);
    let first = verdicts(run, listing, &busy, &BTreeMap::new());
    let going: BTreeSet<&Series> = first.iter().filter(|(_, v)| v.iter().any(|v| v.delete)).map(|(s, _)| *s).collect();
    let ids: Vec<String> =
        going.iter().flat_map(|s| &listing.series[*s]).map(|candidate| candidate.image.id.clone()).collect();
    let second = if ids.is_empty() {
        first
    } else {
        match run.patiently("cannot tell which images are in use", || in_use(run, place, &ids)).await? {
            Ok(in_use) => verdicts(run, listing, &busy, &in_use),
            Err(fault) => {
                let why = format!(
                    "cannot tell which images are in use in {place}: {fault}. Nothing is deleted there in this run"
                );
                return stopped(run, place, &why).await;
            }
        }
    };
    let targets: BTreeSet<String> = run.active.state.borrow().targets.keys().map(|s| s.id.clone()).collect();
    let mut remove: BTreeMap<String, (&Verdict, &Candidate)> = BTreeMap::new();
    for (series, list) in &second {
        if targets.contains(&series.instance) || list.iter().any(|v| v.delete) {
            journal_verdicts(run, place, series, list).await?;
        }
        for verdict in list.iter().filter(|v| v.delete) {
            if let Some(candidate) = listing.series[*series].iter().find(|c| c.image.id == verdict.image) {
                remove.insert(verdict.image.clone(), (verdict, candidate));
            }
        }
    }
    settle_begun(run, place, &remove, listing).await?;
    for (image, (verdict, candidate)) in &remove {
        let subject = place.subject(image);
        let parameters = json!({
            "image": image,
            "name": candidate.image.name,
            "snapshots": candidate.image.snapshots,
            "reason": verdict.reasons.join("; "),
        });
        drive(run, &subject, parameters, step_of(run, &subject)).await?;
    }
    Ok(())
}

fn verdicts<'a>(
    run: &Run,
    listing: &'a Listing,
    busy: &BTreeMap<String, String>,
    in_use: &BTreeMap<String, String>,
) -> Vec<(&'a Series, Vec<Verdict>)> {
    let situation =
        Situation { now: run.shared.clock.now(), zone: run.plan.schedule.timezone, in_use, busy, instance_gone: false };
    listing.series.iter().map(|(series, list)| (series, decide(&run.plan.keep, list, &situation))).collect()
}

/// Images that steps of any run still work on.
fn busy(run: &Run, place: &Place) -> BTreeMap<String, String> {
    let mut busy = BTreeMap::new();
    for (name, other) in run.shared.runs.borrow().iter() {
        for (subject, target) in &other.state.borrow().targets {
            if let Some(image) = target.image()
                && subject.place == *place
                && target.finished.is_none()
            {
                busy.insert(image.to_owned(), format!("{name} is not finished with it"));
            }
        }
    }
    busy
}

async fn in_use(run: &Run, place: &Place, ids: &[String]) -> Read<BTreeMap<String, String>> {
    let list = run.shared.cloud.instances(place, &InstanceQuery::LaunchedFrom(ids.to_vec())).await?;
    let alive = list.into_iter().filter(|i| !crate::domain::event::gone(i.state));
    Ok(alive.filter_map(|i| i.image.map(|image| (image, i.id))).collect())
}

async fn journal_verdicts(run: &Run, place: &Place, series: &Series, list: &[Verdict]) -> Result<(), Stop> {
    let subject = place.subject(&series.instance);
    let verdicts: Vec<Value> = list
        .iter()
        .map(|v| json!({ "image": v.image, "verdict": if v.delete { "delete" } else { "keep" }, "reasons": v.reasons }))
        .collect();
    let draft = Draft::of(&run.name, &subject, Kind::RetainDecided, json!({ "verdicts": verdicts }));
    // Decided again after a restart, the verdicts may differ: each decision is a fact of its own.
    let attempt = run.active.state.borrow().decided.get(&subject).copied().unwrap_or(0) + 1;
    run.record(draft.at_step(series.role.as_str(), attempt)).await
}

/// An image that bears our name but is not ours is said once, ever.
async fn report_foreign(run: &Run, subject: &Subject, why: &str) -> Result<(), Stop> {
    let data = json!({ "verdict": "foreign", "reason": format!("{} {why}: never counted, never deleted", subject.id) });
    let mut draft = Draft::of("foreign", subject, Kind::RetainDecided, data);
    let known = run.shared.journal.reader().events_of(&draft.run).await.unwrap_or_default();
    if known.iter().any(|e| e.draft.subject.as_ref() == Some(subject)) {
        return Ok(());
    }
    draft.attempt = 1;
    run.record(draft).await
}

fn step_of(run: &Run, subject: &Subject) -> Option<StepState> {
    run.active.state.borrow().others.get(subject).and_then(|steps| steps.get(RETAIN)).cloned()
}

/// Goes on with removals that were begun before a restart: the verdict is taken anew where the image is still
/// there; where it is gone, its snapshots are finished.
async fn settle_begun(
    run: &Run,
    place: &Place,
    remove: &BTreeMap<String, (&Verdict, &Candidate)>,
    listing: &Listing,
) -> Result<(), Stop> {
    let begun: Vec<(Subject, StepState)> = {
        let state = run.active.state.borrow();
        let open = state.others.iter().filter(|(s, _)| s.place == *place && s.id.starts_with("ami-"));
        open.filter_map(|(s, steps)| Some((s.clone(), steps.get(RETAIN)?.clone())))
            .filter(|(_, s)| !s.ended())
            .collect()
    };
    for (subject, step) in begun {
        let there = listing.series.values().flatten().any(|c| c.image.id == subject.id);
        if there && !remove.contains_key(&subject.id) && step.phase != crate::domain::saga::Phase::Done {
            let data = json!({ "outcome": "done", "reason": "kept after all: the verdict changed" });
            let draft = Draft::of(&run.name, &subject, Kind::StepObserved, data).at_step(RETAIN, step.attempt);
            run.record(draft).await?;
        } else if !remove.contains_key(&subject.id) {
            drive(run, &subject, step.intent.clone(), Some(step)).await?;
        }
    }
    Ok(())
}

async fn drive(run: &Run, subject: &Subject, parameters: Value, known: Option<StepState>) -> Result<(), Stop> {
    let step = Remove {
        shared: Rc::clone(&run.shared),
        active: Rc::clone(&run.active),
        run: Rc::clone(&run.name),
        subject: subject.clone(),
        parameters,
    };
    let at = At { shared: &run.shared, run: &run.name, subject };
    executor::drive(&at, &step, known.as_ref()).await
}
