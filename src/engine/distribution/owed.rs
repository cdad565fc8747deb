//! Which images of earlier runs must still be copied, and which of them retention must leave alone for it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::domain::fact::StepId;
use crate::domain::naming::{self, Marks, Ownership, Role};
use crate::domain::observed::{Image, ImageState};
use crate::domain::place::{Place, Subject};
use crate::domain::plan::{CopyTo, Plan};
use crate::domain::retention::{COPY_OWED, Candidate, Listing, Series, Situation, owed};
use crate::domain::saga::{RunState, StepState};
use crate::engine::context::Stop;
use crate::engine::context::run::Run;
use crate::engine::distribution::Traveller;
use crate::engine::distribution::find;
use crate::engine::distribution::leg::Leg;
use crate::engine::distribution::traveller;
use crate::engine::images::listing;
use crate::journal::Reader;
use crate::journal::format::plan_of;

/// The images that an earlier life of the run had begun with, and those that earlier runs owe; each with where to.
pub(crate) async fn older(
    run: &Run,
    places: &[Place],
    legs: &[Leg],
) -> Result<Vec<(Traveller, BTreeSet<String>)>, Stop> {
    let mut wanted: BTreeMap<Subject, (Option<Traveller>, BTreeSet<String>)> = BTreeMap::new();
    let begun: Vec<(Subject, BTreeSet<String>)> = {
        let state = run.active.state.borrow();
        let others =
            state.others.iter().filter(|(s, steps)| s.id.starts_with("ami-") && steps.keys().any(StepId::distributes));
        let label = |id: &StepId| {
            let to = id.destination()?;
            legs.iter().find(|leg| leg.label == to).map(|leg| leg.label.clone())
        };
        // Of its own images none may have been left out, whatever was begun.
        let own = |subject: &Subject| state.targets.values().any(|t| t.image() == Some(&subject.id));
        let every = || legs.iter().map(|leg| leg.label.clone()).collect();
        let labels = |subject: &Subject, steps: &BTreeMap<StepId, StepState>| {
            if own(subject) { every() } else { steps.keys().filter_map(label).collect() }
        };
        others.map(|(subject, steps)| (subject.clone(), labels(subject, steps))).collect()
    };
    for (subject, labels) in begun {
        if places.contains(&subject.place) {
            wanted.insert(subject, (None, labels));
        }
    }
    let copies: Vec<&CopyTo> = legs.iter().filter(|l| l.unreachable.is_none()).map(|l| &l.copy).collect();
    if !copies.is_empty() {
        let mut listings = Vec::new();
        let own = places[0].account.clone();
        for place in places.iter().cloned().chain(copies.iter().map(|c| c.place(&own))).collect::<BTreeSet<_>>() {
            let list = || listing::list(&run.shared.cloud, run.shared.us(), &run.plan.name, &place);
            if let Ok(listing) = run.patiently("cannot list our images", list).await? {
                listings.push((place, listing));
            }
        }
        let today = run.shared.plans.borrow().get(&run.plan.name).cloned();
        for copy in copies {
            // What cannot be listed owes nothing for certain: retention keeps it, and a later run copies it.
            if !listings.iter().any(|(place, _)| *place == copy.place(&own)) {
                continue;
            }
            // Taken out of the plan meanwhile.
            if today.as_ref().is_none_or(|plan| !plan.copies.iter().any(|c| c.label() == copy.label())) {
                continue;
            }
            let books = Books::of(run);
            for Owing { place, candidate } in owed_to(books, &run.plan, copy, &own, places, &listings).await {
                let subject = place.subject(&candidate.image.id);
                if candidate.marks.due == run.occurrence.due || elsewhere(run, &subject) {
                    continue;
                }
                let entry = wanted.entry(subject).or_default();
                entry.0 = traveller(run, &place, candidate.image);
                entry.1.insert(copy.label());
            }
        }
    }
    let mut all = Vec::new();
    for (subject, (known, labels)) in wanted {
        let found = match known {
            Some(traveller) => Some(traveller),
            None => find(run, &subject).await?,
        };
        all.push((found.unwrap_or_else(|| gone(run, &subject)), labels));
    }
    Ok(all)
}

/// An image that is not there any more: what was lent of it is taken back still.
fn gone(run: &Run, subject: &Subject) -> Traveller {
    let sh = &run.shared;
    let marks = told(run, subject).unwrap_or_else(|| Marks {
        daemon: sh.daemon.clone(),
        installation: sh.installation.clone(),
        plan: run.plan.name.clone(),
        due: run.occurrence.due,
        instance: String::new(),
        role: Role::Image,
        source: None,
        consistency: String::new(),
    });
    Traveller { subject: subject.clone(), marks, image: absent(run, subject) }
}

/// What its tags said, as the journal has it: by them a copy is found that was called for before the image went.
fn told(run: &Run, subject: &Subject) -> Option<Marks> {
    let state = run.active.state.borrow();
    let intents = state.others.get(subject)?.values().filter_map(|step| step.intent.as_ref()?.copying());
    let mut marks = intents.filter_map(|copying| {
        let copy = Image {
            name: copying.name.clone(),
            source_image: Some(copying.from.clone()),
            tags: copying.tags.clone().into(),
            ..absent(run, subject)
        };
        match naming::ownership(&copy, &run.shared.daemon, &copy.owner) {
            Ownership::Ours(marks) => Some(Marks { role: Role::Image, source: None, ..marks }),
            _ => None,
        }
    });
    marks.next()
}

fn absent(run: &Run, subject: &Subject) -> Image {
    Image {
        id: subject.id.clone(),
        name: String::new(),
        owner: subject.place.account.clone(),
        state: ImageState::Deregistered,
        state_reason: None,
        created: Some(run.occurrence.due),
        odd: None,
        source_instance: None,
        source_image: None,
        snapshots: Vec::new(),
        product_codes: false,
        deprecated: None,
        tags: Default::default(),
    }
}

/// Whether another run that is going on has to do with the image.
fn elsewhere(run: &Run, image: &Subject) -> bool {
    let runs = run.shared.runs.borrow();
    let mut others = runs.iter().filter(|(name, _)| **name != *run.name);
    others.any(|(_, other)| sees_to(&other.state.borrow(), image))
}

/// Whether a run that goes on makes an image, or copies or shares it: then no other one copies it.
#[must_use]
pub fn sees_to(run: &RunState, image: &Subject) -> bool {
    let made = run.targets.iter().any(|(s, t)| s.place == image.place && t.image() == Some(&image.id));
    made || run.others.get(image).is_some_and(|steps| steps.keys().any(StepId::distributes))
}

/// An image whose copy is wanted in a destination and not there.
#[derive(Debug, Clone, PartialEq)]
pub struct Owing {
    /// Where the image is.
    pub place: Place,
    /// The image.
    pub candidate: Candidate,
}

/// By what it is told what is owed: what the journal says of earlier revisions, and when.
#[derive(Clone, Copy)]
pub struct Books<'a> {
    /// The journal; without one, whatever the plan names was meant.
    pub journal: Option<&'a dyn Reader>,
    /// The wall clock.
    pub now: DateTime<Utc>,
}

impl<'a> Books<'a> {
    /// Those of a run.
    pub(crate) fn of(run: &'a Run) -> Self {
        Self { journal: Some(run.shared.journal.reader()), now: run.shared.clock.now() }
    }
}

/// The good images of `sources` whose copy is owed to `copy`, for a plan of the account `own`.
pub async fn owed_to(
    books: Books<'_>,
    plan: &Plan,
    copy: &CopyTo,
    own: &str,
    sources: &[Place],
    listings: &[(Place, Listing)],
) -> Vec<Owing> {
    let to = copy.place(own);
    let nothing = BTreeMap::new();
    let situation =
        Situation { now: books.now, zone: &plan.schedule.timezone, in_use: &nothing, busy: &nothing, grace: None };
    let there = listings.iter().find(|(place, _)| *place == to).map(|(_, listing)| listing);
    let mut meant: BTreeMap<DateTime<Utc>, bool> = BTreeMap::new();
    let mut found = Vec::new();
    for (place, listing) in listings.iter().filter(|(place, _)| sources.contains(place) && *place != to) {
        for (series, list) in listing.series.iter().filter(|(series, _)| series.role == Role::Image) {
            let copies = Series { place: to.clone(), role: Role::Copy, ..series.clone() };
            let copies = there.and_then(|listing| listing.series.get(&copies)).map_or(&[][..], Vec::as_slice);
            for id in owed(list, copies, &copy.keep, &situation) {
                let Some(candidate) = list.iter().find(|c| c.image.id == id) else { continue };
                let due = candidate.marks.due;
                let meant = match meant.get(&due) {
                    Some(meant) => *meant,
                    None => *meant.entry(due).or_insert(was_meant(books.journal, &plan.name, due, copy).await),
                };
                if meant {
                    found.push(Owing { place: place.clone(), candidate: candidate.clone() });
                }
            }
        }
    }
    found
}

/// Whether the revision under which an occurrence ran wanted the copy: what is older than a `[[copy]]` is not copied for
/// it. What is not known was meant.
async fn was_meant(journal: Option<&dyn Reader>, plan: &str, due: DateTime<Utc>, copy: &CopyTo) -> bool {
    let Some(journal) = journal else { return true };
    let Ok(Some(occurrence)) = journal.occurrence(plan, due).await else { return true };
    let Ok(Some(revision)) = journal.revision(&occurrence.plan_hash).await else { return true };
    match plan_of(&revision) {
        // An account may have got another name meanwhile.
        Ok(plan) if plan.copies.iter().any(|c| c.place("") == copy.place("")) => true,
        // Of a run that was found again the revision is today's, not the one that made the image.
        Ok(_) => journal.events_of(&occurrence.run()).await.map_or(true, |events| RunState::fold(&events).rebuilt),
        Err(_) => true,
    }
}

/// The images of the source places that wait for a copy, each with why, for a plan as it is today. A destination that is
/// not listed counts as empty.
pub async fn owed_in(
    books: Books<'_>,
    plan: &Plan,
    own: &str,
    sources: &[Place],
    listings: &[(Place, Listing)],
) -> BTreeMap<String, String> {
    let mut busy = BTreeMap::new();
    for copy in &plan.copies {
        for owing in owed_to(books, plan, copy, own, sources, listings).await {
            let why = format!("{COPY_OWED}{} is not there yet", copy.label());
            busy.entry(owing.candidate.image.id).or_insert(why);
        }
    }
    busy
}
