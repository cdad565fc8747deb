//! Which keys may be lent, to whom, and for which plan. What is lent of an image is told by its tags; a grant outlives the
//! image, so the journal tells of it: written down before a key is lent, and crossed out when nothing of ours is left.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::cloud::classify::Class;
use crate::cloud::port::Effect;
use crate::domain::fact::{Draft, Event, Fact, Scope, StepId, Topic};
use crate::domain::observed::ImageState;
use crate::domain::place::{Place, Subject};
use crate::domain::plan::Share;
use crate::domain::retention::Listing;
use crate::engine::context::run::Run;
use crate::engine::context::{Context, Stop};
use crate::engine::distribution::lookup::Facts;
use crate::engine::distribution::permission_state::LISTED_WITHIN;
use crate::engine::distribution::permission_state::Lending;
use crate::engine::distribution::permissions::{self, root_of};
use crate::engine::images::listing;

/// The step by which a run says that grants could not be revoked.
const STEP: &str = "keys";

/// Of which plan, which key and where, and who.
type Line = (String, Subject, String);

/// The lines, each with how it stands.
pub(crate) type Ledger = BTreeMap<Line, Entry>;

/// How a line stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// How often it was written.
    times: u32,
    /// Since when this process knows of it.
    since: Instant,
    /// Whether it is not crossed out.
    open: bool,
}

/// The ledger, as its events tell. They need not be in the order of what they tell.
fn fold(events: &[Event], since: Instant) -> Ledger {
    let mut ledger = Ledger::new();
    let line = |event: &Event| match (&event.draft.topic, &event.draft.subject) {
        (Topic::Grant { plan, to }, Some(key)) => Some((plan.clone(), key.clone(), to.clone())),
        _ => None,
    };
    for event in events.iter().filter(|e| *e.fact() == Fact::KeyLent) {
        let Some(line) = line(event) else { continue };
        let entry = Entry { times: event.draft.attempt, since, open: true };
        let known = ledger.entry(line).or_insert(entry);
        if known.times < entry.times {
            *known = entry;
        }
    }
    for event in events.iter().filter(|e| *e.fact() == Fact::KeyReturned) {
        let entry = line(event).and_then(|line| ledger.get_mut(&line));
        if let Some(entry) = entry.filter(|entry| entry.times <= event.draft.attempt) {
            entry.open = false;
        }
    }
    ledger
}

fn draft((plan, key, grantee): &Line, fact: Fact, times: u32) -> Draft {
    let topic = Topic::Grant { plan: plan.clone(), to: grantee.clone() };
    Draft { scope: Scope::KeyGrants, subject: Some(key.clone()), topic, attempt: times, fact }
}

impl Context {
    /// Reads the ledger from the journal, once.
    async fn read_ledger(&self) -> Result<(), Stop> {
        if self.of::<Lending>().ledger.borrow().is_none() {
            let events = self.events_in(&Scope::KeyGrants).await?;
            self.of::<Lending>().ledger.borrow_mut().get_or_insert_with(|| fold(&events, self.clock.instant()));
        }
        Ok(())
    }

    /// Writes down that these keys of `place` may be lent from now on: before they are.
    ///
    /// # Errors
    /// [`Stop::Drained`].
    pub(crate) async fn note_keys(
        &self,
        plan: &str,
        place: &Place,
        keys: &BTreeSet<String>,
        grantee: impl Fn(&str) -> BTreeSet<String>,
    ) -> Result<(), Stop> {
        if keys.is_empty() {
            return Ok(());
        }
        self.read_ledger().await?;
        let mut new: Vec<(Line, u32)> = Vec::new();
        for key in keys {
            for who in grantee(key) {
                let line = (plan.to_owned(), place.subject(key), who);
                let known = self.of::<Lending>().ledger.borrow().as_ref().and_then(|ledger| ledger.get(&line).copied());
                match known {
                    Some(entry) if entry.open => {}
                    known => new.push((line, known.map_or(0, |entry| entry.times) + 1)),
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let drafts: Vec<Draft> = new.iter().map(|(line, times)| draft(line, Fact::KeyLent, *times)).collect();
        self.record_intent(&drafts).await?;
        let since = self.clock.instant();
        if let Some(ledger) = self.of::<Lending>().ledger.borrow_mut().as_mut() {
            ledger.extend(new.into_iter().map(|(line, times)| (line, Entry { times, since, open: true })));
        }
        Ok(())
    }

    /// The lines of a plan that are not crossed out.
    fn open_lines(&self, plan: &str) -> Vec<(Line, Entry)> {
        let lending = self.of::<Lending>();
        let ledger = lending.ledger.borrow();
        let lines = ledger.iter().flatten().filter(|((of, ..), entry)| of == plan && entry.open);
        lines.map(|(line, entry)| (line.clone(), *entry)).collect()
    }
}

/// The accounts of `[share]`, as those to whom a key is granted.
pub(crate) fn accounts(share: &Share, place: &Place, key: &str) -> BTreeSet<String> {
    share.accounts.iter().filter(|id| **id != place.account).map(|id| root_of(id, key)).collect()
}

/// Revokes the grants of the plan that nobody wants any more: those of images that are gone, and what an earlier run could
/// not revoke.
pub(crate) async fn sweep(
    run: &Run,
    facts: &Facts,
    listings: &[(Place, Listing)],
    share: impl Fn() -> Option<Share>,
) -> Result<(), Stop> {
    let shared = &run.shared;
    shared.read_ledger().await?;
    let plan = &run.plan.name;
    // The keys that no image is under, each with when that was seen.
    let mut retired: BTreeMap<Subject, Instant> = BTreeMap::new();
    for key in shared.open_lines(plan).into_iter().map(|((_, key, _), _)| key).collect::<BTreeSet<_>>() {
        let listing = listings.iter().find(|(place, _)| *place == key.place).map(|(_, listing)| listing);
        if share().is_none() || is_used(run, facts, listing, &key).await? {
            continue;
        }
        // Other runs of the plan have made images since.
        let seen = shared.clock.instant();
        let list = || listing::list(&shared.cloud, shared.us(), plan, &key.place);
        let listing = run.patiently("cannot list our images", list).await?.ok();
        if !is_used(run, facts, listing.as_ref(), &key).await? {
            retired.insert(key, seen);
        }
    }
    let wanted = |key: &Subject| {
        let keys = BTreeSet::from([key.id.clone()]);
        let lent_since =
            |seen: &Instant| shared.open_lines(plan).iter().any(|((_, k, _), e)| k == key && e.since >= *seen);
        let share = share().filter(|_| retired.get(key).is_none_or(lent_since));
        permissions::wanted(shared, plan, key, &keys, share.as_ref(), None)
    };
    let unwanted = |key: &Subject, who: &String| !wanted(key).keys.get(&key.id).is_some_and(|all| all.contains(who));
    let own = shared.caller.borrow().as_ref().map(|caller| caller.account.clone());
    let reached = |place: &Place| own.as_ref() == Some(&place.account) || shared.role_of(&place.account).is_some();
    let stale =
        shared.open_lines(plan).into_iter().filter(|((_, key, who), _)| reached(&key.place) && unwanted(key, who));
    for key in stale.map(|((_, key, _), _)| key).collect::<BTreeSet<_>>() {
        let lock = shared.lock_of(permissions::KEYS);
        let _alone = lock.lock().await;
        let ask = || permissions::of_key(shared, plan, &key, wanted(&key));
        let revoked = match run.patiently("cannot list the grants of a key", ask).await? {
            Ok(distance) if distance.is_none() => Ok(false),
            Ok(distance) => match permissions::close(shared, &distance).await {
                Effect::Done { .. } => Ok(true),
                Effect::Refused(fault) | Effect::Unknown(fault) => Err(fault),
            },
            // With the key its grants are gone.
            Err(fault) if fault.class == Class::NotFound => Ok(true),
            Err(fault) => Err(fault),
        };
        let revoked = match revoked {
            Ok(revoked) => revoked,
            Err(fault) => {
                told(run, &key, &fault.to_string()).await?;
                continue;
            }
        };
        // One that was made just before a crash may not be listed yet: the next run looks again.
        let now = shared.clock.instant();
        let over = |(line, entry): &(Line, Entry)| {
            line.1 == key && unwanted(&key, &line.2) && (revoked || now - entry.since >= LISTED_WITHIN)
        };
        let over: Vec<(Line, Entry)> = shared.open_lines(plan).into_iter().filter(over).collect();
        // Crossed out in memory first: who lends it again meanwhile writes it down anew.
        for (line, _) in &over {
            if let Some(entry) =
                shared.of::<Lending>().ledger.borrow_mut().as_mut().and_then(|ledger| ledger.get_mut(line))
            {
                entry.open = false;
            }
        }
        let drafts: Vec<Draft> = over.iter().map(|(line, e)| draft(line, Fact::KeyReturned, e.times)).collect();
        shared.record_many(&drafts).await?;
    }
    Ok(())
}

/// Whether any image of the plan is under a key. What cannot be looked at is, and what is being made may be.
async fn is_used(run: &Run, facts: &Facts, listing: Option<&Listing>, key: &Subject) -> Result<bool, Stop> {
    let Some(listing) = listing else { return Ok(true) };
    for candidate in listing.series.values().flatten().filter(|c| c.image.state != ImageState::Failed) {
        if facts.knows(key) || candidate.image.state == ImageState::Pending {
            return Ok(true);
        }
        let ask = || facts.of_image(&run.shared.cloud, &key.place, &candidate.image);
        if run.patiently("cannot look up keys", ask).await?.is_err() {
            return Ok(true);
        }
    }
    Ok(facts.knows(key))
}

/// Says it, unless the copy that had the grant has said it already.
async fn told(run: &Run, key: &Subject, why: &str) -> Result<(), Stop> {
    if run.active.state.borrow().mishaps.keys().any(|what| matches!(what.parse(), Ok(StepId::Reclaim(_)))) {
        return Ok(());
    }
    let why = format!(
        "the grants on {} that nobody needs any more cannot be revoked: {why}. The plan's next run tries again",
        key.id
    );
    run.mishap(STEP, &why).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_crossed_out_is_what_was_written_before() {
        use Fact::{KeyLent as Lent, KeyReturned as Returned};
        let line: Line = ("web".into(), Place::new("111111111111", "eu-central-1").subject("arn:key"), "role".into());
        let told = |told: &[(Fact, u32)]| {
            let event = |(seq, (fact, times)): (i64, &(Fact, u32))| Event {
                seq,
                at: chrono::DateTime::UNIX_EPOCH,
                draft: draft(&line, fact.clone(), *times),
            };
            let events: Vec<Event> = (1..).zip(told).map(event).collect();
            fold(&events, crate::clock::Clock::Wall.instant()).get(&line).map(|entry| entry.open)
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[(Lent, 1)]), Some(true));
        assert_eq!(told(&[(Lent, 1), (Returned, 1)]), Some(false));
        assert_eq!(told(&[(Lent, 1), (Returned, 1), (Lent, 2)]), Some(true));
        // Lent again before it was journaled that the first one was returned.
        assert_eq!(told(&[(Lent, 1), (Lent, 2), (Returned, 1)]), Some(true));
        assert_eq!(told(&[(Lent, 1), (Lent, 2), (Returned, 1), (Returned, 2)]), Some(false));
    }
}
