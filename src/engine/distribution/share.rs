//! `[share]`: brings who may use an image, and its copies, to what the plan in force wants; also when somebody changed it.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _};

use crate::cloud::port::Read;
use crate::defect::{Defect, planted};
use crate::domain::copying::policy::{LAUNCHING, operations};
use crate::domain::copying::{self, ShareVerdict, policy_allows_members, statement};
use crate::domain::debt::{Debt, Owed};
use crate::domain::fact::{Draft, Fact, Scope, StepId, Topic};
use crate::domain::naming::{Role, parse_run_name};
use crate::domain::observed::{Image, ImageState};
use crate::domain::place::{Place, Subject};
use crate::domain::plan::Share;
use crate::domain::retention::{Candidate, Listing};
use crate::domain::saga::StepState;
use crate::domain::sharing::{self, Grantee};
use crate::engine::context::Stop;
use crate::engine::context::run::Run;
use crate::engine::distribution::Traveller;
use crate::engine::distribution::drive;
use crate::engine::distribution::ended;
use crate::engine::distribution::key_grants;
use crate::engine::distribution::leg::{permit, via};
use crate::engine::distribution::lookup::{self, Facts};
use crate::engine::distribution::permissions::{self, Distance};
use crate::engine::distribution::permit::{For, Permit};
use crate::engine::distribution::refuse;
use crate::engine::distribution::share_in_force;
use crate::engine::distribution::step_of;
use crate::engine::distribution::traveller;
use crate::engine::drive::executor;
use crate::engine::images::removal;

/// So many images are looked at beside each other.
const LOOKS: usize = 50;

/// Shares one image of the run, or its copy under a key that can be shared.
pub(crate) async fn share(run: &Run, facts: &Facts, traveller: &Traveller) -> Result<(), Stop> {
    let Some(share) = share_in_force(run) else { return Ok(()) };
    let subject = &traveller.subject;
    let lock = run.shared.lock_of(&format!("{subject}/{}", StepId::Share));
    let alone = lock.lock().await;
    match judge(run, facts, &subject.place, &traveller.image, &share, true).await? {
        Err(why) => {
            let_out(run, facts, subject, share).await;
            refuse_share(run, subject, &why).await
        }
        Ok((None, keys)) => bring(run, facts, subject, Some(share), keys).await,
        Ok((Some(key), _)) => match via(run, traveller, &key).await? {
            Err(why) => refuse_share(run, subject, &why).await,
            Ok(copy) => {
                drop(alone);
                share_copy(run, facts, &subject.place.subject(&copy)).await
            }
        },
    }
}

/// Shares one copy.
pub(crate) async fn share_copy(run: &Run, facts: &Facts, copy: &Subject) -> Result<(), Stop> {
    let Some(share) = share_in_force(run) else { return Ok(()) };
    // After a restart it goes its own way, and its source leads to it too.
    let lock = run.shared.lock_of(&format!("{copy}/{}", StepId::Share));
    let _alone = lock.lock().await;
    let ask = || permissions::image(&run.shared, copy);
    let image = match asked(run, facts, &copy.place, ask).await? {
        Ok(Some(image)) => image,
        Ok(None) => return Ok(()), // somebody removed it
        Err(why) => return refuse_share(run, copy, &why).await,
    };
    match judge(run, facts, &copy.place, &image, &share, false).await? {
        Err(why) => {
            let_out(run, facts, copy, share).await;
            refuse_share(run, copy, &why).await
        }
        Ok((_, keys)) => bring(run, facts, copy, Some(share), keys).await,
    }
}

/// Under which key it must be copied first, if it must, and the keys that the accounts must be able to use.
async fn judge(
    run: &Run,
    facts: &Facts,
    place: &Place,
    image: &Image,
    share: &Share,
    may_via: bool,
) -> Result<Result<(Option<String>, BTreeSet<String>), String>, Stop> {
    let cloud = &run.shared.cloud;
    let key = share.via_key.as_deref().filter(|_| may_via);
    let verdict = asked(run, facts, place, async || {
        let source = facts.of_image(cloud, place, image).await?;
        let via = facts.via(cloud, &source, key).await?;
        Ok(copying::share(&source, share, via.as_ref()))
    });
    Ok(match verdict.await? {
        Err(why) => Err(why),
        Ok(ShareVerdict::NotNow(why) | ShareVerdict::Never(why)) => Err(why.join("; ")),
        Ok(ShareVerdict::Go { via, keys, .. }) => {
            warn_of_policies(run, facts, place, share, &keys).await;
            Ok((via, keys))
        }
    })
}

/// Organizations and units can be granted no key: says once in a run what must be added to a key's policy.
async fn warn_of_policies(run: &Run, facts: &Facts, place: &Place, share: &Share, keys: &BTreeSet<String>) {
    let members: Vec<Grantee> = share.grantees().into_iter().filter(|g| g.account().is_none()).collect();
    for key in keys.iter().filter(|_| !members.is_empty()) {
        let Some(text) = facts.policy_once(&run.shared.cloud, place, key).await else { continue };
        let launching = operations(&LAUNCHING);
        for member in members.iter().filter(|member| !policy_allows_members(&text, member, &launching)) {
            tracing::warn!(
                event = "share.policy", run = &*run.name, plan = %run.plan.name, account = %place.account,
                region = %place.region,
                "{member} may see the images but not launch them: the policy of {key} does not let it in, and a grant \
                 cannot. Add to that policy: {}", statement::of_members(member).join(", ")
            );
        }
    }
}

fn of(run: &Run, image: &Subject, share: Option<Share>, keys: BTreeSet<String>) -> Permit {
    Permit { keys, ..permit(run, image, &StepId::Share, image.clone(), For::Share(share)) }
}

/// Brings who may use an image to what `share` wants. Where nothing is to do, no step is journaled.
async fn bring(
    run: &Run,
    facts: &Facts,
    image: &Subject,
    share: Option<Share>,
    keys: BTreeSet<String>,
) -> Result<(), Stop> {
    let step = of(run, image, share, keys);
    // Also where all is as it should be: a lost journal knows of no keys.
    if let For::Share(Some(share)) = &step.purpose {
        let who = |key: &str| key_grants::accounts(share, &image.place, key);
        run.shared.note_keys(&run.plan.name, &image.place, &step.keys, who).await?;
    }
    if step_of(run, image, &StepId::Share).is_none() {
        match asked(run, facts, &image.place, || step.distance()).await? {
            Err(why) => return refuse_share(run, image, &why).await,
            Ok(None) => return Ok(()),
            Ok(Some(distance)) => {
                report_foreign(run, &image.place, &distance).await?;
                // Of what this run made it is told also where a loan has let everybody in already.
                let made = matches!(step.purpose, For::Share(Some(_))) && makes(run, image);
                if distance.is_none() && !made {
                    return Ok(());
                }
            }
        }
    }
    drive(run, image, &step).await
}

/// Whether this run has made an image, or found it where it would have made it.
fn makes(run: &Run, image: &Subject) -> bool {
    let state = run.active.state.borrow();
    let made = |(id, step): (&StepId, &StepState)| {
        matches!(id, StepId::Copy(_) | StepId::Via(_)) && step.image() == Some(&*image.id)
    };
    state.targets.values().any(|t| t.image() == Some(&image.id)) || state.others.values().flatten().any(made)
}

/// A read of `place`, patiently, but for where nobody answered the last one for so long just before.
async fn asked<T>(
    run: &Run,
    facts: &Facts,
    place: &Place,
    read: impl AsyncFn() -> Read<T>,
) -> Result<Result<T, String>, Stop> {
    if let Some(why) = facts.given_up(place, run.shared.clock.instant()) {
        return Ok(Err(why));
    }
    let answer = run.patiently("cannot look up what shares depend on", read).await?;
    if let Err(fault) = answer.as_ref()
        && fault.class.passes()
        && fault.code != lookup::INCOMPLETE
    {
        facts.give_up(place, fault.to_string(), run.shared.clock.instant());
    }
    Ok(answer.map_err(|fault| fault.to_string()))
}

/// Whom the plan names no more is let out, also where nobody can be let in just now. The step tells of the rest.
async fn let_out(run: &Run, facts: &Facts, image: &Subject, share: Share) {
    if facts.given_up(&image.place, run.shared.clock.instant()).is_some() {
        return;
    }
    of(run, image, Some(share), BTreeSet::new()).let_out().await;
}

/// An image that cannot be shared is said as its own step; the run sums them up.
async fn refuse_share(run: &Run, image: &Subject, why: &str) -> Result<(), Stop> {
    if step_of(run, image, &StepId::Share).is_some_and(|s| s.ended()) {
        return Ok(());
    }
    refuse(run, image, &StepId::Share, why).await
}

/// Looks at every image of the plan that others may use, or should: what somebody changed is changed back, what the plan
/// no longer names is taken back, and what is lent for no purpose any more. An image that was made only to be copied from
/// and was forgotten, since the journal that knew of it was lost, goes.
pub(crate) async fn drift(run: &Run, listings: &[(Place, Listing)]) -> Result<(), Stop> {
    let facts = Facts::default();
    let unseen = unseen(run, listings);
    let mut all = Vec::new();
    for (place, listing) in listings {
        for (series, list) in &listing.series {
            let beside = series.role == Role::Copy && listing.beside_sources(series);
            // No more than `max_deletions` of a series go in a run, whatever for.
            let spare = list.iter().filter(|c| beside && is_spare(run, listing, c));
            let spare: BTreeSet<&str> =
                spare.take(run.plan.keep.max_deletions as usize).map(|c| c.image.id.as_str()).collect();
            let there = list.iter().filter(|c| c.image.state == ImageState::Available);
            for candidate in there.filter(|c| !may_be_copied(run, &unseen, c)) {
                let spare = spare.contains(&*candidate.image.id);
                all.push(Listed { place, listing, candidate, beside, spare });
            }
        }
    }
    // Beside each other: one that is copied first holds up no other one.
    let facts = &facts;
    let looks = all.into_iter().map(|listed| look(run, facts, listed));
    let mut looks = stream::iter(looks).buffer_unordered(LOOKS);
    let mut end = Ok(());
    while let Some(ended) = looks.next().await {
        end = end.and(ended);
    }
    end?;
    key_grants::sweep(run, facts, listings, || share_in_force(run)).await?;
    let settled = given_back(run, listings).await;
    run.active.settled.borrow_mut().extend(settled);
    Ok(())
}

/// What earlier runs have lent and could not take back, and what is not lent any more: their debts are settled. What cannot
/// be seen stays owed.
async fn given_back(run: &Run, listings: &[(Place, Listing)]) -> Vec<Draft> {
    let journal = run.shared.journal.reader();
    let open = journal.open_debts().await.unwrap_or_default();
    let share = share_in_force(run).map(|share| share.accounts).unwrap_or_default();
    let mut settled = Vec::new();
    for debt in open.iter().filter_map(Debt::of) {
        let (Owed::Taken { by: by @ StepId::Lend(_), .. }, Some(of)) = (&debt.owed, debt.scope.run()) else { continue };
        let of_plan = parse_run_name(of).is_some_and(|(plan, _)| plan == run.plan.name);
        if !of_plan || run.shared.active(of).is_some() {
            continue;
        }
        let Some((_, listing)) = listings.iter().find(|(place, _)| *place == debt.subject.place) else { continue };
        let events = journal.events_about(&debt.subject).await.unwrap_or_default();
        let lent = events.iter().filter(|e| e.draft.scope == debt.scope && e.step() == Some(by));
        let mut told = lent.filter_map(|e| match e.fact() {
            Fact::StepIntent(intent) => intent.permitting(),
            Fact::StepDone(done) => done.made.permitting(),
            _ => None,
        });
        let Some(told) = told.next_back() else { continue };
        let lent = |image: &Candidate| {
            let still =
                |account: &String| sharing::lent(&image.image.tags).contains(account) && !share.contains(account);
            image.image.id == told.image && told.account.as_ref().is_none_or(still)
        };
        if !listing.series.values().flatten().any(lent) {
            let why = "not lent any more";
            settled.extend(executor::settled(of, &debt.subject, by, Some(debt.attempt), why));
        }
    }
    settled
}

/// The accounts of the destinations that could not be listed.
fn unseen(run: &Run, listings: &[(Place, Listing)]) -> BTreeSet<String> {
    let copies =
        run.plan.copies.iter().filter(|copy| !listings.iter().any(|(place, _)| copy.place(&place.account) == *place));
    copies.filter_map(|copy| copy.account.as_ref()).map(|account| account.id.clone()).collect()
}

/// Whether an image is lent to a destination that could not be listed: a copy that no journal knows of may be under way.
fn may_be_copied(run: &Run, unseen: &BTreeSet<String>, candidate: &Candidate) -> bool {
    let share = share_in_force(run).map(|share| share.accounts).unwrap_or_default();
    let lent = sharing::lent(&candidate.image.tags);
    unseen.iter().any(|account| lent.contains(account) && !share.contains(account))
}

/// One image or copy, as it was listed.
struct Listed<'a> {
    place: &'a Place,
    listing: &'a Listing,
    candidate: &'a Candidate,
    /// Whether it is a copy in its source's own place.
    beside: bool,
    /// Whether it may go if it is needed for nothing.
    spare: bool,
}

/// Looks at one image or copy.
async fn look(run: &Run, facts: &Facts, listed: Listed<'_>) -> Result<(), Stop> {
    let Listed { place, listing, candidate, beside, spare } = listed;
    let image = place.subject(&candidate.image.id);
    if ended(run, &image, &StepId::Share) || under_way(run, &image) {
        return Ok(());
    }
    let words = sharing::lent(&candidate.image.tags);
    let lent = !words.is_empty() || candidate.image.tags.contains_key(sharing::LENT_IN_PART_TAG);
    let share = share_in_force(run);
    match (share, candidate.marks.role) {
        (Some(_), Role::Image) => match traveller(run, place, candidate.image.clone()) {
            Some(traveller) => self::share(run, facts, &traveller).await,
            None => Ok(()),
        },
        // A copy in the source's own place is there for `via_key`, or for a copy under way. What `[share]` has lent to all
        // whom it names stays lent without a `via_key` too.
        (share, Role::Copy)
            if beside
                && share
                    .as_ref()
                    .is_none_or(|s| s.via_key.is_none() && !s.grantees().iter().all(|g| words.contains(g.short()))) =>
        {
            take_back(run, &image, lent, &candidate.image, facts).await?;
            // Now, while its source is there: without it, it may be the last of its recovery point.
            let spare = spare && nobody_uses(run, facts, &image).await?;
            if spare && is_spare(run, listing, candidate) && !permissions::is_wanted(&run.shared, &image) {
                let source = candidate.marks.source.clone();
                removal::remove(run, &image, "made only to be copied from", source).await?;
            }
            Ok(())
        }
        (Some(_), Role::Copy) => share_copy(run, facts, &image).await,
        (None, _) => take_back(run, &image, lent, &candidate.image, facts).await,
    }
}

/// Whether nobody else may use an image. One that a person has shared by hand is no more only ours to remove.
async fn nobody_uses(run: &Run, facts: &Facts, image: &Subject) -> Result<bool, Stop> {
    let ask = || run.shared.cloud.image_permissions(&image.place, &image.id);
    Ok(asked(run, facts, &image.place, ask).await?.is_ok_and(|who| who.is_empty()))
}

/// Whether a copy in its source's own place is needed for nothing: its source is there, and no run works with it.
fn is_spare(run: &Run, listing: &Listing, copy: &Candidate) -> bool {
    let source = copy.marks.source.as_deref();
    let there = |c: &Candidate| Some(c.image.id.as_str()) == source && c.image.state == ImageState::Available;
    let runs = run.shared.runs.borrow();
    let mut others = runs.iter().filter(|(name, _)| **name != *run.name);
    listing.series.values().flatten().any(there)
        && !others.any(|(_, other)| other.state.borrow().vias().any(|image| image == copy.image.id))
}

/// Nobody is to use it any more.
async fn take_back(run: &Run, image: &Subject, lent: bool, seen: &Image, facts: &Facts) -> Result<(), Stop> {
    if !lent || planted(Defect::ReclaimForgotten) {
        return Ok(());
    }
    let read = || facts.of_image(&run.shared.cloud, &image.place, seen);
    let keys = match asked(run, facts, &image.place, read).await? {
        Ok(source) => source.customer_keys(),
        Err(why) => return refuse_share(run, image, &why).await,
    };
    bring(run, facts, image, None, keys).await
}

/// Whether a step of some other run still works on the image.
fn under_way(run: &Run, image: &Subject) -> bool {
    let runs = run.shared.runs.borrow();
    let mut others = runs.iter().filter(|(name, _)| **name != *run.name);
    others.any(|(_, other)| {
        other.state.borrow().others.get(image).is_some_and(|steps| steps.values().any(StepState::works))
    })
}

/// Who else may use our images is said once, ever.
async fn report_foreign(run: &Run, place: &Place, distance: &Distance) -> Result<(), Stop> {
    let mut drafts = Vec::new();
    for (id, grantee) in distance.foreign() {
        let topic = Topic::Guest(grantee.short().to_owned());
        let subject = place.subject(id);
        let known = run.shared.journal.reader().events_about(&subject).await.unwrap_or_default();
        if known.iter().any(|e| e.draft.scope == Scope::Foreign && e.draft.topic == topic) {
            continue;
        }
        let reason = format!("{grantee} may use {id}, and neither the plan nor a copy wants it: left alone");
        let draft = Draft::of_scope(Scope::Foreign, Fact::LoanForeign { reason });
        drafts.push(Draft { subject: Some(subject), ..draft.about(topic) });
    }
    run.shared.record_many(&drafts).await
}
