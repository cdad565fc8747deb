//! Tells of one image what AWS and the journal know, by the engine's own functions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::copies;
use crate::cloud::governed::Governed;
use crate::cloud::port::{ImageQuery, Read};
use crate::domain::fact::{Event, Fact, Kind, StepId, codec};
use crate::domain::naming::{self, HOLD_TAG, Marks, Ownership, Role, parse_compact, parse_run_name, rfc3339, run_name};
use crate::domain::observed::{Image, ImageState};
use crate::domain::place::{Place, Subject};
use crate::domain::plan::Plan;
use crate::domain::retention::{NO_PLAN, Survey};
use crate::domain::saga::RunState;
use crate::domain::sharing;
use crate::engine::context::us::Us;
use crate::engine::images::listing;
use crate::engine::retention::judge as decide;
use crate::journal::{Answer, Reader};
use crate::view::active_runs::ActiveRuns;
use crate::view::explain::{
    CheckDocument, DeletedDocument, ExplainDocument, Hold, Origin, OwnershipDocument, RetentionDocument,
    SnapshotDocument, SourceDocument,
};
use crate::view::images;
use crate::view::preview::FaultPreview;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// `ami-...`
    pub image: &'a str,
    /// Who we are.
    pub us: Us<'a>,
    /// The plans in force.
    pub plans: &'a [Plan],
    /// Where to look in the own account.
    pub regions: &'a [String],
    /// Look in this region only, wherever copies may be.
    pub only: Option<&'a str>,
    /// The wall clock.
    pub now: DateTime<Utc>,
}

/// Tells what is known of an image. What AWS does not answer is a fault in the document.
///
/// # Errors
/// The journal's.
pub async fn tell(cloud: &Governed, journal: Option<&dyn Reader>, ask: Ask<'_>) -> Answer<ExplainDocument> {
    let mut document = ExplainDocument {
        at: rfc3339(ask.now),
        image: ask.image.to_owned(),
        found: "nowhere",
        account: None,
        region: None,
        state: None,
        name: None,
        created: None,
        origin: Origin::default(),
        ownership: None,
        hold: None,
        in_use_by: None,
        retention: None,
        deleted: None,
        copy_of: None,
        copies: Vec::new(),
        shared: Vec::new(),
        searched: Vec::new(),
        faults: Vec::new(),
    };
    let seen = search(cloud, ask, &mut document).await;
    let events = match journal {
        Some(journal) => {
            document.searched.push("the journal".into());
            journal.about_image(ask.image).await?
        }
        None => Vec::new(),
    };
    copies::distribution(&events, &mut document);
    if let Some(journal) = journal {
        ending(journal, ask, &events, &mut document).await?;
    }
    match seen {
        Some((place, image)) => {
            document.found = "aws";
            describe(&place, &image, &mut document);
            // Its tags say whom it is lent to today; the journal, only what was done once.
            let lent = sharing::lent(&image.tags);
            if !lent.is_empty() || copies::was_shared(&events, &document.image) {
                document.shared = lent.into_iter().collect();
            }
            let marks = owned(&place, &image, ask, &mut document);
            if let Some(marks) = &marks {
                made_by(&marks.plan, marks.due, &marks.instance, &mut document);
                if let (Some(source), None) = (&marks.source, &document.copy_of) {
                    document.copy_of = Some(SourceDocument { account: None, region: None, image: source.clone() });
                }
            }
            let judged = judge(cloud, journal, ask, &place, &image, marks.as_ref(), &mut document).await;
            if let Err(fault) = judged {
                fail(&mut document, Some(&place.region), format!("why it stays or goes: {fault}"));
            }
        }
        None if !events.is_empty() => document.found = "journal",
        None => {}
    }
    if document.origin.run.is_none() {
        remembered(&events, &mut document);
    }
    if let Some(journal) = journal {
        history(journal, ask, &mut document).await?;
    }
    Ok(document)
}

fn fail(document: &mut ExplainDocument, region: Option<&str>, reason: String) {
    document.faults.push(FaultPreview { region: region.map(str::to_owned), reason });
}

/// The image in the first region that has it.
async fn search(cloud: &Governed, ask: Ask<'_>, document: &mut ExplainDocument) -> Option<(Place, Image)> {
    let caller = match cloud.whoami().await {
        Ok(caller) => caller,
        Err(fault) => {
            fail(document, None, format!("AWS cannot be asked, not even which account this is: {fault}"));
            return None;
        }
    };
    let own = ask.regions.iter().map(|region| Place::new(caller.account.clone(), region.as_str()));
    let mut places: Vec<Place> = own.collect();
    // Copies may be in any destination.
    for place in ask.plans.iter().flat_map(|plan| &plan.copies).map(|copy| copy.place(&caller.account)) {
        if !places.contains(&place) && ask.only.is_none_or(|only| only == place.region) {
            places.push(place);
        }
    }
    for place in places {
        let region = place.region.as_str();
        match cloud.images(&place, &ImageQuery::Ids(vec![ask.image.to_owned()])).await {
            Err(fault) => fail(document, Some(region), format!("cannot look for it in {place}: {fault}")),
            Ok(images) => {
                document.searched.push(place.to_string());
                // A deregistered one is only still listed.
                if let Some(image) = images.into_iter().find(|i| i.state != ImageState::Deregistered) {
                    document.faults.clear(); // an image is in one region only
                    return Some((place, image));
                }
            }
        }
    }
    None
}

fn describe(place: &Place, image: &Image, document: &mut ExplainDocument) {
    document.account = Some(place.account.clone());
    document.region = Some(place.region.clone());
    document.state = Some(image.state.as_str());
    document.name = Some(image.name.clone());
    document.created = image.created.map(rfc3339);
    document.hold = Some(image.tags.contains_key(HOLD_TAG));
}

/// Whether it is ours, and the checks behind that.
fn owned(place: &Place, image: &Image, ask: Ask<'_>, document: &mut ExplainDocument) -> Option<Marks> {
    let (verdict, reason, marks) = match naming::ownership(image, ask.us.daemon, &place.account) {
        Ownership::Ours(marks) => match ask.us.disowns(image, &marks) {
            Some(why) => ("foreign", why, None),
            None => ("ours", String::new(), Some(marks)),
        },
        Ownership::Foreign(why) => ("foreign", why, None),
        Ownership::Unrelated => ("unrelated", String::new(), None),
    };
    let checks = naming::checks(image, ask.us.daemon, &place.account).into_iter();
    let checks = checks.map(|c| CheckDocument { check: c.check, ok: c.ok, found: c.found }).collect();
    document.ownership = Some(OwnershipDocument { verdict, reason, checks });
    marks
}

fn made_by(plan: &str, due: DateTime<Utc>, instance: &str, document: &mut ExplainDocument) {
    document.origin.plan = Some(plan.to_owned());
    document.origin.due = Some(rfc3339(due));
    document.origin.run = Some(run_name(plan, due));
    document.origin.instance = Some(instance.to_owned());
}

/// Who runs from it, and what retention would decide of it now.
async fn judge(
    cloud: &Governed,
    journal: Option<&dyn Reader>,
    ask: Ask<'_>,
    place: &Place,
    image: &Image,
    marks: Option<&Marks>,
    document: &mut ExplainDocument,
) -> Read<()> {
    let in_use = listing::in_use(cloud, place, std::slice::from_ref(&image.id)).await?;
    document.in_use_by = in_use.get(&image.id).cloned();
    let Some(marks) = marks else { return Ok(()) };
    let Some(plan) = ask.plans.iter().find(|plan| plan.name == marks.plan) else {
        let until = Some("until a plan of that name is there again; delete it by hand if it is not needed".to_owned());
        let reasons = vec![Hold { reason: NO_PLAN.into(), until }];
        document.retention =
            Some(RetentionDocument { verdict: "keep", reasons, leaves: None, decided_by: None, decided_at: None });
        return Ok(());
    };
    if let Some(own) = copies::left_behind(cloud, plan, place).await? {
        document.retention = Some(own);
        return Ok(());
    }
    let listing = listing::list(cloud, ask.us, &marks.plan, place).await?;
    let mut busy = match journal {
        Some(journal) => ActiveRuns::of(journal).await.map(|runs| runs.busy(place)).unwrap_or_default(),
        None => BTreeMap::new(),
    };
    if marks.role == Role::Image && !plan.copies.is_empty() {
        busy.extend(copies::owed(cloud, journal, ask, plan, (place, &listing)).await);
    }
    let own = cloud.whoami().await?.account;
    let (now, listing) = (ask.now, &listing);
    let survey = Survey { own: &own, plan, today: Some(plan), now, listing, busy: &busy };
    let decided = decide(survey, in_use, async |ids| listing::in_use(cloud, place, &ids).await).await?;
    let Some((series, verdict)) = decided.find(&image.id) else {
        return Ok(()); // it went while we looked
    };
    let held = decided.standing(series, &image.id);
    let reasons = if held.is_empty() {
        verdict.reasons.iter().map(|reason| Hold { reason: reason.clone(), until: None }).collect()
    } else {
        held.iter().map(|why| Hold { reason: why.to_string(), until: Some(why.until()) }).collect()
    };
    let leaves = if held.is_empty() { None } else { images::until(&survey, &decided, series, &image.id) };
    let verdict = if verdict.delete { "delete" } else { "keep" };
    let leaves = leaves.map(rfc3339);
    document.retention = Some(RetentionDocument { verdict, reasons, leaves, decided_by: None, decided_at: None });
    Ok(())
}

/// Its end, if the journal tells of one, and that of its snapshots.
async fn ending(journal: &dyn Reader, ask: Ask<'_>, events: &[Event], document: &mut ExplainDocument) -> Answer<()> {
    let is_image = |e: &Event| e.draft.subject.as_ref().is_some_and(|s| s.id == ask.image);
    let about = |e: &&Event| is_image(e) && e.step() == Some(&StepId::Retain);
    let Some(done) = events.iter().filter(about).rfind(|e| e.kind() == Kind::StepDone) else { return Ok(()) };
    let Some(subject) = &done.draft.subject else { return Ok(()) };
    let intent = events.iter().filter(about).rfind(|e| e.kind() == Kind::StepIntent && e.seq < done.seq);
    let mut snapshots = Vec::new();
    for id in intent.into_iter().flat_map(|e| e.fact().snapshots()) {
        snapshots.push(fate(id, &journal.events_about(&subject.place.subject(id)).await?));
    }
    document.account = Some(subject.place.account.clone());
    document.region = Some(subject.place.region.clone());
    document.deleted = Some(DeletedDocument {
        at: rfc3339(done.at),
        run: codec::scope_text(&done.draft.scope).to_owned(),
        reason: intent.and_then(Event::reason).unwrap_or("for a reason that is not in the journal").to_owned(),
        snapshots,
    });
    Ok(())
}

/// What became of a snapshot, by the newest event about it.
fn fate(id: &str, events: &[Event]) -> SnapshotDocument {
    let newest = events.iter().rfind(|e| e.step() == Some(&StepId::Retain));
    let (outcome, reason) = match newest.map(|e| (e.kind(), e.reason().unwrap_or_default())) {
        Some((Kind::StepDone, reason)) => ("done", reason.to_owned()),
        Some((_, reason)) => ("failed", reason.to_owned()),
        None => ("unfinished", "nothing is known of its end yet".to_owned()),
    };
    SnapshotDocument { snapshot: id.to_owned(), outcome, reason }
}

/// Who made it, by the journal alone: the event of its making, or the name that was journaled before its end.
fn remembered(events: &[Event], document: &mut ExplainDocument) {
    let making = events.iter().find(|e| e.step() == Some(&StepId::Image) && e.kind() == Kind::StepDone);
    if let Some(((plan, due), subject)) =
        making.and_then(|e| Some((parse_run_name(e.draft.scope.run()?)?, e.draft.subject.as_ref()?)))
    {
        place_of(subject, document);
        return made_by(plan, due, &subject.id, document);
    }
    let named = events.iter().find_map(|e| Some((name(e)?, e.draft.subject.as_ref()?)));
    if let Some((name, subject)) = named {
        place_of(subject, document);
        document.name = Some(name.to_owned());
        let parts: Vec<&str> = name.split('/').collect();
        if let ["stillframe", _, plan, instance, due] = parts[..]
            && let Some(due) = parse_compact(due)
        {
            made_by(plan, due, instance, document);
        }
    }
}

/// The name that an effect was to use.
fn name(event: &Event) -> Option<&str> {
    if let Fact::StepIntent(intent) = event.fact() { intent.name() } else { None }
}

fn place_of(subject: &Subject, document: &mut ExplainDocument) {
    document.account.get_or_insert_with(|| subject.place.account.clone());
    document.region.get_or_insert_with(|| subject.place.region.clone());
}

/// What the journal says of its run, and of the newest decision on it.
async fn history(journal: &dyn Reader, ask: Ask<'_>, document: &mut ExplainDocument) -> Answer<()> {
    let Some((run, instance)) = document.origin.run.clone().zip(document.origin.instance.clone()) else {
        return Ok(());
    };
    let Some((plan, due)) = parse_run_name(&run) else { return Ok(()) };
    if let Some(occurrence) = journal.occurrence(plan, due).await? {
        document.origin.trigger = Some(occurrence.trigger.as_str());
    }
    let state = RunState::fold(&journal.events_of(&run).await?);
    let target = state.targets.iter().find(|(s, _)| s.id == instance);
    if let Some((outcome, reason)) = target.and_then(|(_, t)| t.finished.clone()) {
        document.origin.outcome = Some(outcome.as_str());
        document.origin.reason = reason;
    }
    if let (Some(account), Some(region), Some(retention)) =
        (&document.account, &document.region, &mut document.retention)
    {
        let events = journal.events_about(&Place::new(account.clone(), region.clone()).subject(&instance)).await?;
        let decided = |e: &&Event| match e.fact() {
            Fact::RetainDecided(verdicts) => verdicts.iter().any(|v| v.image == ask.image),
            _ => false,
        };
        let newest = events.iter().rfind(decided);
        retention.decided_by = newest.map(|e| codec::scope_text(&e.draft.scope).to_owned());
        retention.decided_at = newest.map(|e| rfc3339(e.at));
    }
    Ok(())
}
