//! What `explain` tells of copies and shares: of what and to where, and whether one is still missing.

use std::collections::BTreeMap;

use super::tell::Ask;
use crate::cloud::governed::Governed;
use crate::cloud::port::Read;
use crate::domain::fact::{Event, Kind, Scope, StepId};
use crate::domain::place::Place;
use crate::domain::plan::Plan;
use crate::domain::retention::Listing;
use crate::domain::saga::RunState;
use crate::engine::distribution::{self, Books};
use crate::engine::images::listing;
use crate::journal::Reader;
use crate::view::copies::Distributed;
use crate::view::explain::{ExplainDocument, Hold, RetentionDocument, SourceDocument};

/// The verdict on an image in a place that the plan neither selects in nor copies to any more: no run looks there.
pub(super) async fn left_behind(cloud: &Governed, plan: &Plan, place: &Place) -> Read<Option<RetentionDocument>> {
    let own = cloud.whoami().await?.account;
    // Where the plan names no region, the daemon's own may be another one than ours.
    let regions = &plan.select.regions;
    let selects = place.account == own && (regions.is_empty() || regions.contains(&place.region));
    if selects || plan.copies.iter().any(|copy| copy.place(&own) == *place) {
        return Ok(None);
    }
    let reason = format!("its plan neither selects in {place} nor copies to it any more");
    let until = Some("until it does again; delete it by hand if it is not needed".to_owned());
    let reasons = vec![Hold { reason, until }];
    Ok(Some(RetentionDocument { verdict: "keep", reasons, leaves: None, decided_by: None, decided_at: None }))
}

/// The images of a place whose copies are not there yet, as the next run would find them. A destination that cannot be
/// read counts as empty, as it does for the engine.
pub(super) async fn owed(
    cloud: &Governed,
    journal: Option<&dyn Reader>,
    ask: Ask<'_>,
    plan: &Plan,
    (place, listing): (&Place, &Listing),
) -> BTreeMap<String, String> {
    let mut listings = vec![(place.clone(), listing.clone())];
    for to in plan.copies.iter().map(|copy| copy.place(&place.account)) {
        if listings.iter().any(|(known, _)| *known == to) {
            continue;
        }
        if let Ok(listing) = listing::list(cloud, ask.us, &plan.name, &to).await {
            listings.push((to, listing));
        }
    }
    let books = Books { journal, now: ask.now };
    distribution::owed_in(books, plan, &place.account, std::slice::from_ref(place), &listings).await
}

/// Whether any run shared the image itself, and not by way of another key.
pub(super) fn was_shared(events: &[Event], image: &str) -> bool {
    events.iter().any(|e| e.step() == Some(&StepId::Share) && e.draft.subject.as_ref().is_some_and(|s| s.id == image))
}

/// Its copies and shares, and what it is a copy of, as all runs tell.
pub(super) fn distribution(events: &[Event], document: &mut ExplainDocument) {
    let is_copy = |e: &&Event| {
        matches!(e.step(), Some(StepId::Copy(_) | StepId::Via(_)))
            && e.kind() == Kind::StepDone
            && e.fact().image() == Some(&document.image)
    };
    if let Some(source) = events.iter().find(is_copy).and_then(|e| e.draft.subject.as_ref()) {
        document.copy_of = Some(SourceDocument {
            account: Some(source.place.account.clone()),
            region: Some(source.place.region.clone()),
            image: source.id.clone(),
        });
    }
    let mut runs: BTreeMap<&Scope, RunState> = BTreeMap::new();
    for event in events {
        runs.entry(&event.draft.scope).or_default().apply(event);
    }
    // The newest run that tells of a destination is right.
    let newest = |scope: &Scope| events.iter().rfind(|e| e.draft.scope == *scope).map(|e| e.seq);
    let mut runs: Vec<_> = runs.into_iter().collect();
    runs.sort_by_key(|(scope, _)| newest(scope));
    for (_, state) in &runs {
        let Some(subject) = state.others.keys().find(|subject| subject.id == document.image) else { continue };
        let told = Distributed::of(state, subject);
        for copy in told.copies {
            document.copies.retain(|earlier| earlier.destination != copy.destination);
            document.copies.push(copy);
        }
        if !told.shared.is_empty() {
            document.shared = told.shared;
        }
    }
    document.copies.sort_by(|a, b| a.destination.cmp(&b.destination));
}
