//! One destination of one image: copy it under a key that can be lent, let the destination in, copy it there, take back
//! what was lent. Each is a step of its own, so a restart goes on where it stopped.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::defect::{Defect, planted};
use crate::domain::copying::{self, Verdict, Way};
use crate::domain::fact::{Intent, StepId};
use crate::domain::observed::ImageState;
use crate::domain::place::{Place, Subject};
use crate::domain::plan::CopyTo;
use crate::domain::saga::{Phase, StepState};
use crate::engine::context::Stop;
use crate::engine::context::run::Run;
use crate::engine::distribution::Traveller;
use crate::engine::distribution::bad;
use crate::engine::distribution::copy::{MakeCopy, has_ended, next_attempt};
use crate::engine::distribution::denials;
use crate::engine::distribution::drive;
use crate::engine::distribution::ended;
use crate::engine::distribution::lookup::Facts;
use crate::engine::distribution::patiently;
use crate::engine::distribution::permissions::{self, Loan};
use crate::engine::distribution::permit::{For, Permit};
use crate::engine::distribution::refuse;
use crate::engine::distribution::share;
use crate::engine::distribution::share_in_force;
use crate::engine::distribution::step_of;

/// A destination of the plan, and whether anything can be made there.
pub(crate) struct Leg {
    /// What the plan says.
    pub copy: CopyTo,
    /// Where it is.
    pub to: Place,
    /// `dr/eu-west-1`
    pub label: String,
    /// Why nothing can be made there in this run.
    pub unreachable: Option<String>,
}

/// The destinations of the plan; those whose account cannot be entered are said once.
pub(crate) async fn reachable(run: &Run, places: &[Place]) -> Result<Vec<Leg>, Stop> {
    let Some(own) = places.first().map(|place| place.account.clone()) else { return Ok(Vec::new()) };
    let mut legs = Vec::new();
    for copy in &run.plan.copies {
        let (to, label) = (copy.place(&own), copy.label());
        let unreachable =
            if copy.account.is_some() { patiently(run, || run.shared.cloud.whoami_in(&to)).await?.err() } else { None };
        legs.push(Leg { copy: copy.clone(), to, label, unreachable });
    }
    Ok(legs)
}

/// All steps of one image on the way to one destination.
pub(crate) async fn travel(run: &Run, facts: &Facts, traveller: &Traveller, leg: &Leg) -> Result<(), Stop> {
    let subject = &traveller.subject;
    let label = || leg.label.clone();
    let (copy, lend, reclaim) = (StepId::Copy(label()), StepId::Lend(label()), StepId::Reclaim(label()));
    if !ended(run, subject, &copy) {
        match step_of(run, subject, &copy).map(|s| s.phase) {
            // Called for: what is left of it needs no verdict.
            Some(Phase::Intended | Phase::Unknown | Phase::Done) => {
                let lent = step_of(run, subject, &lend)
                    .and_then(|step| permissions::read_loan(&subject.place, permissions::told(&step)?));
                let lent = lent.map(|(image, loan)| permit(run, subject, &lend, image, For::Lend(loan)));
                let _slot = run.shared.copies(&leg.to).try_acquire_owned().ok();
                // Should it be tried once more: from the same image, which may be a copy under another key.
                let from = step_of(run, subject, &copy).and_then(|s| Some(s.intent?.copying()?.from.clone()));
                let from = from.map_or_else(|| subject.clone(), |id| subject.place.subject(&id));
                make(run, traveller, leg, &from, None, lent.as_ref()).await?;
            }
            _ => set_out(run, facts, traveller, leg).await?,
        }
    }
    let unseen = permissions::may_be_copied(&run.active.state.borrow(), subject, &leg.label);
    let open = |_: &StepState| !unseen && !ended(run, subject, &reclaim) && !planted(Defect::ReclaimForgotten);
    if let Some(lent) = step_of(run, subject, &lend).filter(open)
        && let Some((image, loan)) =
            permissions::told(&lent).and_then(|told| permissions::read_loan(&subject.place, told))
    {
        // What was added is known from the journal too, should somebody have edited the tags.
        if let Some(made) = lent.permitted() {
            for id in made.added.iter().flatten() {
                run.shared.note_lent_too(id, &loan.to.account);
            }
            for grant in made.grants.iter().flatten() {
                run.shared.note_granted(grant.clone());
            }
        }
        let snapshots = lent_snapshots(&lent);
        let step = Permit { snapshots, ..permit(run, subject, &reclaim, image, For::Reclaim(loan)) };
        drive(run, subject, &step).await?;
    }
    if bad(run, subject, &copy).is_none()
        && let Some(made) = step_of(run, subject, &copy).and_then(|s| s.image().map(str::to_owned))
    {
        share::share_copy(run, facts, &leg.to.subject(&made)).await?;
    }
    Ok(())
}

/// The snapshots that were lent: as they were intended, and as they were found.
fn lent_snapshots(lent: &StepState) -> Vec<String> {
    let intended = lent.intent.as_ref().and_then(Intent::permitting).and_then(|told| told.snapshots.as_ref());
    let made = lent.permitted();
    let found = made.into_iter().flat_map(|made| [made.snapshots.as_ref(), made.added.as_ref()]);
    let all = found.chain([intended]).flatten().flatten().filter(|id| id.starts_with("snap-"));
    all.cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// From the verdict to the end of the copy.
async fn set_out(run: &Run, facts: &Facts, traveller: &Traveller, leg: &Leg) -> Result<(), Stop> {
    let subject = &traveller.subject;
    let copy = StepId::Copy(leg.label.clone());
    if let Some(why) = &leg.unreachable {
        return refuse(run, subject, &copy, why).await;
    }
    if traveller.image.state == ImageState::Deregistered {
        return refuse(run, subject, &copy, "the image itself is gone").await;
    }
    let way = match verdict(run, facts, traveller, leg).await? {
        Ok(Verdict::Go(way)) => way,
        Ok(Verdict::Needless(_)) => return Ok(()),
        Ok(Verdict::NotNow(why) | Verdict::Never(why)) => return refuse(run, subject, &copy, &why.join("; ")).await,
        Err(why) => return refuse(run, subject, &copy, &why).await,
    };
    if let Some(why) = denials::lately(run, subject, leg).await? {
        return refuse(run, subject, &copy, &why).await;
    }
    let mut from = subject.clone();
    if let Some(key) = &way.via {
        match via(run, traveller, key).await? {
            Ok(image) => from = subject.place.subject(&image),
            Err(why) => return refuse(run, subject, &copy, &why).await,
        }
    }
    // One of the few copies that are under way at once: nothing is lent before its turn.
    let _slot = run.shared.unless_drained(run.shared.copies(&leg.to).acquire_owned()).await?.ok();
    let mut lent = None;
    if way.lend {
        let lend = StepId::Lend(leg.label.clone());
        let Some(role) = run.shared.role_of(&leg.to.account) else {
            let why = format!("no role of account {} is configured; add it under [accounts]", leg.to.account);
            return refuse(run, subject, &copy, &why).await;
        };
        let wanted = Loan { to: leg.to.clone(), role, keys: way.keys.clone() };
        // From now on nobody takes it away, also where it is there already.
        let _open = run.shared.open_purpose(&run.plan.name, &from, &wanted);
        let who = |_: &str| BTreeSet::from([wanted.role.clone()]);
        run.shared.note_keys(&run.plan.name, &from.place, &wanted.keys, who).await?;
        // Those of a copy under another key are known when they are lent.
        let snapshots = if from == *subject { traveller.image.snapshots.clone() } else { Vec::new() };
        let step = Permit { snapshots, ..permit(run, subject, &lend, from.clone(), For::Lend(wanted.clone())) };
        drive(run, subject, &step).await?;
        if let Some(why) = bad(run, subject, &lend) {
            return refuse(run, subject, &copy, &format!("{} could not be let in: {why}", leg.label)).await;
        }
        lent = Some(step);
    }
    make(run, traveller, leg, &from, Some(&way), lent.as_ref()).await
}

/// Whether and how the image can be copied there.
async fn verdict(run: &Run, facts: &Facts, traveller: &Traveller, leg: &Leg) -> Result<Result<Verdict, String>, Stop> {
    let cloud = &run.shared.cloud;
    patiently(run, async || {
        let source = facts.of_image(cloud, &traveller.subject.place, &traveller.image).await?;
        let to = facts.destination(cloud, &source, &leg.copy).await?;
        Ok(copying::copy(&source, &to))
    })
    .await
}

/// The copy of an image in its own place, under `key`; made if it is not there.
pub(crate) async fn via(run: &Run, traveller: &Traveller, key: &str) -> Result<Result<String, String>, Stop> {
    let (subject, id) = (&traveller.subject, StepId::Via(key.to_owned()));
    // Two destinations may need the same one: the second finds what the first has made.
    let lock = run.shared.lock_of(&format!("{subject}/{id}"));
    let _alone = lock.lock().await;
    let _slot = run.shared.unless_drained(run.shared.copies(&subject.place).acquire_owned()).await?.ok();
    while !ended(run, subject, &id) {
        let step = step(run, traveller, &id, subject.clone(), subject.place.clone(), Some(key.to_owned())).await?;
        drive(run, subject, &step).await?;
    }
    Ok(match (bad(run, subject, &id), step_of(run, subject, &id)) {
        (Some(why), _) => Err(format!("the copy under {key} that goes before could not be made: {why}")),
        (None, Some(step)) => match step.image() {
            Some(image) => Ok(image.to_owned()),
            None => Err(format!("the copy under {key} that goes before is not known")),
        },
        (None, None) => Err(format!("the copy under {key} that goes before was not begun")),
    })
}

/// Makes the copy, and waits for its end.
async fn make(
    run: &Run,
    traveller: &Traveller,
    leg: &Leg,
    from: &Subject,
    way: Option<&Way>,
    lent: Option<&Permit>,
) -> Result<(), Stop> {
    let (subject, id) = (&traveller.subject, StepId::Copy(leg.label.clone()));
    loop {
        let key = way.and_then(|way| way.kms_key.clone());
        let step = step(run, traveller, &id, from.clone(), leg.to.clone(), key).await?;
        drive(run, subject, &step).await?;
        if ended(run, subject, &id) {
            return Ok(());
        }
        // It failed soon, and is tried once more: is the destination still let in?
        if let Some(lent) = lent {
            lent.again().await;
        }
    }
}

async fn step(
    run: &Run,
    traveller: &Traveller,
    id: &StepId,
    from: Subject,
    to: Place,
    key: Option<String>,
) -> Result<MakeCopy, Stop> {
    let events = run.shared.events_about(&traveller.subject).await?;
    let failed = events.iter().any(|e| e.draft.scope.is_run(&run.name) && e.step() == Some(id) && has_ended(e.fact()));
    let known = step_of(run, &traveller.subject, id);
    let journaled = known.and_then(|step| step.intent?.copying().cloned());
    let (from_before, key_before) = journaled.map(|copying| (copying.from, copying.kms_key)).unzip();
    Ok(MakeCopy {
        shared: Rc::clone(&run.shared),
        active: Rc::clone(&run.active),
        run: Rc::clone(&run.name),
        id: id.clone(),
        subject: traveller.subject.clone(),
        marks: traveller.marks.clone(),
        tags: run.plan.tags.clone(),
        from: from_before.map_or(from, |image| traveller.subject.place.subject(&image)),
        to,
        key: key.or(key_before.flatten()),
        attempt: next_attempt(&events, id),
        retry: !failed,
    })
}

pub(crate) fn permit(run: &Run, subject: &Subject, id: &StepId, image: Subject, purpose: For) -> Permit {
    let keys = match &purpose {
        For::Lend(loan) | For::Reclaim(loan) => loan.keys.clone(),
        For::Share(_) => Default::default(),
    };
    Permit {
        shared: Rc::clone(&run.shared),
        active: Rc::clone(&run.active),
        run: Rc::clone(&run.name),
        plan: run.plan.name.clone(),
        id: id.clone(),
        subject: subject.clone(),
        image,
        purpose,
        share: share_in_force(run),
        keys,
        snapshots: Vec::new(),
    }
}
