//! What becomes of the images of a run beside retention: copies in other regions and accounts, and who may use them.
//! Each image goes its own way as soon as it is good; nothing here holds the plan's next occurrence.

pub mod copy;
mod denials;
mod key_grants;
mod leg;
pub mod lookup;
mod owed;
mod permission_state;
mod permissions;
pub mod permit;
pub mod preflight;
mod share;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use self::leg::Leg;
pub use self::owed::{Books, Owing, owed_in, owed_to, sees_to};
pub(crate) use self::share::drift;
use crate::cloud::port::{ImageQuery, Read};
use crate::domain::event::Outcome;
use crate::domain::fact::{Draft, Fact, Refusal, StepId};
use crate::domain::naming::{self, Marks, Ownership};
use crate::domain::observed::Image;
use crate::domain::place::{Place, Subject};
use crate::domain::plan::Share;
use crate::domain::saga::{Phase, StepState};
use crate::engine::context::Stop;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::run::Run;
use crate::engine::distribution::lookup::Facts;
use crate::engine::drive::executor::{self, At, Step};
use crate::engine::images::removal;

/// So often an image that this run made is looked for again before it counts as gone.
const LOOKS: u32 = 8;

/// One image on its way.
#[derive(Clone)]
pub(crate) struct Traveller {
    /// The image that CreateImage made.
    subject: Subject,
    /// What its tags say.
    marks: Marks,
    /// As it was seen, while it is there.
    image: Image,
}

/// Copies and shares what the run makes, and what earlier ones owe, until rollout is over and each has ended.
pub(crate) async fn distribute(run: &Run) -> Result<(), Stop> {
    if run.plan.copies.is_empty() && run.plan.share.is_none() && !begun(run) {
        return Ok(());
    }
    let Some(places) = run.places().await? else { return Ok(()) };
    let facts = Facts::default();
    let legs: Vec<Leg> = leg::reachable(run, &places).await?;
    let mut known: BTreeSet<Subject> = BTreeSet::new();
    let mut tasks: FuturesUnordered<LocalBoxFuture<'_, Result<(), Stop>>> = FuturesUnordered::new();
    // What was begun before a restart, and what earlier runs owe.
    for (traveller, wanted) in owed::older(run, &places, &legs).await? {
        known.insert(traveller.subject.clone());
        let legs: Vec<&Leg> = legs.iter().filter(|leg| wanted.contains(&leg.label)).collect();
        tasks.push(Box::pin(conduct(run, &facts, traveller, legs)));
    }
    let mut end = Ok(());
    loop {
        let changed = run.active.progress.notified();
        let over = run.active.rolled_out.get();
        for subject in fresh(run).into_iter().filter(|s| known.insert(s.clone())) {
            let (facts, legs) = (&facts, &legs);
            tasks.push(Box::pin(async move {
                match find_made(run, &subject).await? {
                    Some(traveller) => conduct(run, facts, traveller, legs.iter().collect()).await,
                    None => vanished(run, &subject).await,
                }
            }));
        }
        if over && tasks.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            Some(ended) = tasks.next(), if !tasks.is_empty() => end = end.and(ended),
            () = changed, if !over => {}
        }
        if end.is_err() && tasks.is_empty() {
            return end;
        }
    }
    end?;
    sum_up(run, &legs).await
}

/// Whether an earlier life of this run began to distribute.
fn begun(run: &Run) -> bool {
    run.active.state.borrow().others.values().flat_map(BTreeMap::keys).any(StepId::distributes)
}

/// The images of this run that are good, since it was asked last.
fn fresh(run: &Run) -> Vec<Subject> {
    let ended = run.active.ended.take();
    let state = run.active.state.borrow();
    let done = |subject: Subject| {
        let target = state.targets.get(&subject)?;
        let good = matches!(target.finished, Some((Outcome::Done, _)));
        Some(subject.place.subject(target.image().filter(|_| good)?))
    };
    ended.into_iter().filter_map(done).collect()
}

/// One of our images as it is now; none if it is gone, or not ours any more.
async fn find(run: &Run, subject: &Subject) -> Result<Option<Traveller>, Stop> {
    let query = ImageQuery::Ids(vec![subject.id.clone()]);
    let ask = || run.shared.cloud.images(&subject.place, &query);
    match run.patiently("cannot look for an image", ask).await? {
        Ok(list) => Ok(list.into_iter().find_map(|image| traveller(run, &subject.place, image))),
        Err(fault) => {
            let why = format!("cannot look for {}: {fault}. It is neither copied nor shared in this run", subject.id);
            run.mishap(&format!("distribute:{}", subject.id), &why).await?;
            Ok(None)
        }
    }
}

/// An image that this run has made: AWS need not list it, or all of its tags, at each look.
async fn find_made(run: &Run, subject: &Subject) -> Result<Option<Traveller>, Stop> {
    let mut wait = FIRST;
    for _ in 0..LOOKS {
        if let Some(found) = find(run, subject).await? {
            return Ok(Some(found));
        }
        run.shared.pause(wait).await?;
        wait = longer(wait);
    }
    find(run, subject).await
}

/// What this run has made is not there any more, or not ours: its copies are not made, and that is said.
async fn vanished(run: &Run, subject: &Subject) -> Result<(), Stop> {
    if run.plan.copies.is_empty() && share_in_force(run).is_none() {
        return Ok(());
    }
    let why = format!(
        "{} was made and is not listed any more, or its tags are not ours any more: somebody deregistered or changed it. \
         It is neither copied nor shared in this run",
        subject.id
    );
    run.mishap(&format!("distribute:{}", subject.id), &why).await
}

/// An image of ours on its way.
fn traveller(run: &Run, place: &Place, image: Image) -> Option<Traveller> {
    match naming::ownership(&image, &run.shared.daemon, &place.account) {
        Ownership::Ours(marks) => Some(Traveller { subject: place.subject(&image.id), marks, image }),
        _ => None,
    }
}

/// One image: all its legs at once, then who may use it, then what was made only for the way.
async fn conduct(run: &Run, facts: &Facts, traveller: Traveller, legs: Vec<&Leg>) -> Result<(), Stop> {
    let travel = async {
        let mut ways: FuturesUnordered<_> = legs.iter().map(|leg| leg::travel(run, facts, &traveller, leg)).collect();
        let mut end = Ok(());
        while let Some(ended) = ways.next().await {
            end = end.and(ended);
        }
        end
    };
    let (travelled, shared) = tokio::join!(biased; travel, share::share(run, facts, &traveller));
    travelled?;
    shared?;
    remove_temporary(run, facts, &traveller).await
}

/// Removes the copies in the source's own place that were made only to be copied from.
async fn remove_temporary(run: &Run, facts: &Facts, traveller: &Traveller) -> Result<(), Stop> {
    let place = &traveller.subject.place;
    let kept = match share_in_force(run).and_then(|share| share.via_key) {
        None => None,
        Some(key) => match patiently(run, || facts.key(&run.shared.cloud, place, &key)).await? {
            Ok(Ok(key)) => Some(StepId::Via(key.arn)),
            _ => return Ok(()), // which one is shared cannot be told now
        },
    };
    // One that nobody waits for any more, since the plan has changed, ends first: what is pending cannot be removed whole.
    let open: Vec<String> = {
        let state = run.active.state.borrow();
        let steps = state.others.get(&traveller.subject).into_iter().flatten().filter(|(_, step)| !step.ended());
        steps.filter_map(|(id, _)| if let StepId::Via(key) = id { Some(key.clone()) } else { None }).collect()
    };
    for key in open {
        let _ = leg::via(run, traveller, &key).await?; // its own step tells
    }
    let made: Vec<String> = {
        let state = run.active.state.borrow();
        let steps = state.others.get(&traveller.subject).into_iter().flatten();
        let vias = steps.filter(|(id, _)| matches!(id, StepId::Via(_)) && kept.as_ref() != Some(*id));
        vias.filter_map(|(_, step)| step.image().map(str::to_owned)).collect()
    };
    for image in made.iter().map(|image| place.subject(image)) {
        // A copy of it that a lost journal knew of may be under way where nobody could look: a later run tells.
        if !permissions::is_wanted(&run.shared, &image) {
            removal::remove(run, &image, "made only to be copied from", None).await?;
        }
    }
    Ok(())
}

/// What `[share]` says today, or said when the run began if the plan is gone.
pub(crate) fn share_in_force(run: &Run) -> Option<Share> {
    let plans = run.shared.plans.borrow();
    plans.get(&run.plan.name).map_or_else(|| run.plan.share.clone(), |plan| plan.share.clone())
}

/// Goes on with a step of an image until it has ended.
async fn drive(run: &Run, subject: &Subject, step: &dyn Step) -> Result<(), Stop> {
    let at = At { shared: &run.shared, run: &run.name, subject };
    executor::drive(&at, step, step_of(run, subject, step.id()).as_ref()).await
}

fn step_of(run: &Run, subject: &Subject, step: &StepId) -> Option<StepState> {
    run.active.state.borrow().others.get(subject)?.get(step).cloned()
}

fn ended(run: &Run, subject: &Subject, step: &StepId) -> bool {
    step_of(run, subject, step).is_some_and(|s| s.ended())
}

/// Why a step of an image ended badly, if it did.
fn bad(run: &Run, subject: &Subject, step: &StepId) -> Option<String> {
    match step_of(run, subject, step)?.phase {
        Phase::Bad(why) | Phase::Left(why) => Some(why),
        _ => None,
    }
}

/// Ends a step of an image that cannot be made, for this reason.
async fn refuse(run: &Run, subject: &Subject, step: &StepId, why: &str) -> Result<(), Stop> {
    let attempt = step_of(run, subject, step).map_or(0, |s| s.attempt) + 1;
    let draft = Draft::of(&run.name, subject, Fact::StepRefused(Refusal::of(why))).at_step(step, attempt);
    run.record(draft).await
}

/// One line for each destination that lacks copies, and for each that has kept what was lent to it.
async fn sum_up(run: &Run, legs: &[Leg]) -> Result<(), Stop> {
    for leg in legs {
        let (copy, reclaim) = (StepId::Copy(leg.label.clone()), StepId::Reclaim(leg.label.clone()));
        if let (all, failed, Some(first)) = failed(run, &copy) {
            let why = format!(
                "{failed} of {all} images have no copy in {}: {first}. The plan's next run tries again, and the images \
                 stay until then",
                leg.label
            );
            run.mishap(&copy.to_string(), &why).await?;
        }
        if let (_, failed, Some(first)) = failed(run, &reclaim) {
            let why = format!(
                "what was lent to {} of {} could not be taken back: {first}. The plan's next run tries again",
                leg.label,
                counted(failed)
            );
            run.mishap(&reclaim.to_string(), &why).await?;
        }
    }
    Ok(())
}

/// One line for all images and copies that are not shared as the plan wants.
pub(crate) async fn sum_up_shares(run: &Run) -> Result<(), Stop> {
    let (_, failed, Some(first)) = failed(run, &StepId::Share) else { return Ok(()) };
    let are = if failed == 1 { "is" } else { "are" };
    run.mishap(
        &StepId::Share.to_string(),
        &format!("{} {are} not shared as the plan wants: {first}. The plan's next run tries again", counted(failed)),
    )
    .await
}

fn counted(images: usize) -> String {
    if images == 1 { "1 image".to_owned() } else { format!("{images} images") }
}

/// How many images have a step of this name, how many of these failed, and why the first did.
fn failed(run: &Run, step: &StepId) -> (usize, usize, Option<String>) {
    let state = run.active.state.borrow();
    let all: Vec<&StepState> = state.others.values().filter_map(|steps| steps.get(step)).collect();
    let why = |s: &&StepState| if let Phase::Bad(why) | Phase::Left(why) = &s.phase { Some(why.clone()) } else { None };
    let failed: Vec<String> = all.iter().filter_map(why).collect();
    (all.len(), failed.len(), failed.into_iter().next())
}

/// A read of what the rules must know: tried again while it may pass, and in the end a reason.
async fn patiently<T>(run: &Run, read: impl AsyncFn() -> Read<T>) -> Result<Result<T, String>, Stop> {
    Ok(run.patiently("cannot look up what copies depend on", read).await?.map_err(|fault| fault.to_string()))
}
