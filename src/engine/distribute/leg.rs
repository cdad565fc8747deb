//! One destination of one image: copy it under a key that can be lent, let the destination in, copy it there, take back
//! what was lent. Each is a step of its own, so a restart goes on where it stopped.

use std::rc::Rc;

use super::{RECLAIM, Traveller, VIA, bad, drive, ended, patiently, refuse, share, share_in_force, step_of};
use crate::defect::{Defect, planted};
use crate::domain::copying::{self, Verdict, Way};
use crate::domain::observed::ImageState;
use crate::domain::place::{Place, Subject};
use crate::domain::plan::CopyTo;
use crate::domain::saga::{Phase, StepState};
use crate::engine::access::{COPY, LEND, Loan};
use crate::engine::facts::Facts;
use crate::engine::run::Run;
use crate::engine::shared::Stop;
use crate::engine::steps::copy::{MakeCopy, next_attempt};
use crate::engine::steps::permit::{For, Permit};

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
pub(super) async fn reachable(run: &Run, places: &[Place]) -> Result<Vec<Leg>, Stop> {
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
pub(super) async fn travel(run: &Run, facts: &Facts, traveller: &Traveller, leg: &Leg) -> Result<(), Stop> {
    let subject = &traveller.subject;
    let (copy, lend, reclaim) =
        (format!("{COPY}{}", leg.label), format!("{LEND}{}", leg.label), format!("{RECLAIM}{}", leg.label));
    if !ended(run, subject, &copy) {
        match step_of(run, subject, &copy).map(|s| s.phase) {
            // Called for: what is left of it needs no verdict.
            Some(Phase::Intended | Phase::Unknown | Phase::Done) => {
                make(run, traveller, leg, subject, None, false, None).await?;
            }
            _ => set_out(run, facts, traveller, leg).await?,
        }
    }
    let open = |_: &StepState| !ended(run, subject, &reclaim) && !planted(Defect::ReclaimForgotten);
    if let Some(lent) = step_of(run, subject, &lend).filter(open) {
        let told = if lent.intent.is_null() { &lent.result } else { &lent.intent };
        if let Some((image, loan)) = crate::engine::access::read_loan(&subject.place, told) {
            let step = permit(run, subject, &reclaim, image, For::Reclaim(loan));
            drive(run, subject, &step).await?;
        }
    }
    if bad(run, subject, &copy).is_none()
        && let Some(made) =
            step_of(run, subject, &copy).and_then(|s| s.result.get("image")?.as_str().map(str::to_owned))
    {
        share::share_copy(run, facts, &leg.to.subject(&made)).await?;
    }
    Ok(())
}

/// From the verdict to the end of the copy.
async fn set_out(run: &Run, facts: &Facts, traveller: &Traveller, leg: &Leg) -> Result<(), Stop> {
    let subject = &traveller.subject;
    let copy = format!("{COPY}{}", leg.label);
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
    let mut from = subject.clone();
    if let Some(key) = &way.via {
        match via(run, traveller, key).await? {
            Ok(image) => from = subject.place.subject(&image),
            Err(why) => return refuse(run, subject, &copy, &why).await,
        }
    }
    let mut loan = None;
    if way.lend {
        let lend = format!("{LEND}{}", leg.label);
        let Some(role) = run.shared.role_of(&leg.to.account) else {
            let why = format!("no role of account {} is configured; add it under [accounts]", leg.to.account);
            return refuse(run, subject, &copy, &why).await;
        };
        let wanted = Loan { to: leg.to.clone(), role, keys: way.keys.clone() };
        // From now on nobody takes it away, also where it is there already.
        let _open = run.shared.open_purpose(&run.plan.name, &from, &wanted);
        let step = permit(run, subject, &lend, from.clone(), For::Lend(wanted.clone()));
        drive(run, subject, &step).await?;
        if let Some(why) = bad(run, subject, &lend) {
            return refuse(run, subject, &copy, &format!("{} could not be let in: {why}", leg.label)).await;
        }
        loan = Some(step);
    }
    make(run, traveller, leg, &from, Some(&way), true, loan.as_ref()).await
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
pub(super) async fn via(run: &Run, traveller: &Traveller, key: &str) -> Result<Result<String, String>, Stop> {
    let (subject, name) = (&traveller.subject, format!("{VIA}{key}"));
    // Two destinations may need the same one: the second finds what the first has made.
    let lock = run.shared.lock_of(&format!("{subject}/{name}"));
    let _alone = lock.lock().await;
    while !ended(run, subject, &name) {
        let step = step(run, traveller, &name, subject.clone(), subject.place.clone(), Some(key.to_owned())).await?;
        drive(run, subject, &step).await?;
    }
    Ok(match (bad(run, subject, &name), step_of(run, subject, &name)) {
        (Some(why), _) => Err(format!("the copy under {key} that goes before could not be made: {why}")),
        (None, Some(step)) => match step.result.get("image").and_then(|v| v.as_str()) {
            Some(image) => Ok(image.to_owned()),
            None => Err(format!("the copy under {key} that goes before is not known")),
        },
        (None, None) => Err(format!("the copy under {key} that goes before was not begun")),
    })
}

/// Makes the copy, and waits for its end. `waits`: for one of the few that are under way at once.
async fn make(
    run: &Run,
    traveller: &Traveller,
    leg: &Leg,
    from: &Subject,
    way: Option<&Way>,
    waits: bool,
    lent: Option<&Permit>,
) -> Result<(), Stop> {
    let (subject, name) = (&traveller.subject, format!("{COPY}{}", leg.label));
    let slots = run.shared.copies(&leg.to);
    let _slot = if waits { run.shared.unless_drained(slots.acquire()).await?.ok() } else { slots.try_acquire().ok() };
    loop {
        let key = way.and_then(|way| way.kms_key.clone());
        let step = step(run, traveller, &name, from.clone(), leg.to.clone(), key).await?;
        drive(run, subject, &step).await?;
        if ended(run, subject, &name) {
            return Ok(());
        }
        // It failed soon, and is tried once more: is the destination still let in?
        if let Some(lent) = lent
            && let Ok(Some(distance)) = lent.distance().await
        {
            let _ = crate::engine::access::close(&run.shared, &distance).await; // the copy tells
        }
    }
}

async fn step(
    run: &Run,
    traveller: &Traveller,
    name: &str,
    from: Subject,
    to: Place,
    key: Option<String>,
) -> Result<MakeCopy, Stop> {
    let events = run.shared.journal.reader().events_about(&traveller.subject).await.unwrap_or_default();
    let failed = events.iter().any(|e| {
        let draft = &e.draft;
        draft.run == *run.name && draft.step == name && draft.data.get("ended").is_some()
    });
    let known = step_of(run, &traveller.subject, name);
    let journaled = known.as_ref().and_then(|s| s.intent.get("kms_key")?.as_str().map(str::to_owned));
    Ok(MakeCopy {
        shared: Rc::clone(&run.shared),
        active: Rc::clone(&run.active),
        run: Rc::clone(&run.name),
        name: name.to_owned(),
        subject: traveller.subject.clone(),
        marks: traveller.marks.clone(),
        tags: run.plan.tags.clone(),
        from,
        to,
        key: key.or(journaled),
        attempt: next_attempt(&events, name),
        retry: !failed,
    })
}

pub(super) fn permit(run: &Run, subject: &Subject, name: &str, image: Subject, purpose: For) -> Permit {
    let keys = match &purpose {
        For::Lend(loan) | For::Reclaim(loan) => loan.keys.clone(),
        For::Share(_) => Default::default(),
    };
    Permit {
        shared: Rc::clone(&run.shared),
        active: Rc::clone(&run.active),
        run: Rc::clone(&run.name),
        plan: run.plan.name.clone(),
        name: name.to_owned(),
        subject: subject.clone(),
        image,
        purpose,
        share: share_in_force(run),
        keys,
    }
}
