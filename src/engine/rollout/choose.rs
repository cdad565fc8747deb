//! Selection in each place of a plan, journaled in one transaction with a reason for each instance left out; and
//! the guard that nothing is begun where another installation works under our name. What only reads (`find`, `judge`,
//! `twin`) needs no run: a preview asks the same.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::cloud::governed::Governed;
use crate::cloud::port::{ImageQuery, InstanceQuery, Read};
use crate::config::pace::reboots_needed;
use crate::defect::{Defect, planted};
use crate::domain::fact::{Chosen, Draft, Fact, STILL_IMAGING, Skipped};
use crate::domain::machine::OwnMachine;
use crate::domain::naming::{self, Ownership, Role, TAG_PREFIX, rfc3339};
use crate::domain::observed::{Image, Instance};
use crate::domain::place::Place;
use crate::domain::plan::Plan;
use crate::domain::prevented::Prevented;
use crate::domain::select::{self, Choice, Facts, Skip};
use crate::engine::context::Stop;
use crate::engine::context::run::Run;
use crate::engine::context::us::Us;
use crate::engine::distribution::lookup;
use crate::engine::distribution::preflight::preflight;
use crate::engine::rollout::again::Before;

/// What a place holds that concerns a plan.
#[derive(Debug, Clone)]
pub struct Found {
    /// The instances that its selection finds, by id.
    pub instances: BTreeMap<String, Instance>,
    /// The volumes there with Multi-Attach enabled.
    pub multi_attach: BTreeSet<String>,
}

/// Chooses the targets of a run. Called once, since the choice is journaled in one transaction.
pub(crate) async fn select(run: &Run, places: &[Place]) -> Result<(), Stop> {
    let mut drafts = Vec::new();
    let mut seen = BTreeSet::new();
    let mut complete = true;
    let facts = lookup::Facts::at_once();
    let (cloud, sh) = (&run.shared.cloud, &run.shared);
    let us = sh.us();
    for place in places {
        let step = format!("select:{}", place.region);
        match run.patiently("cannot list instances", || find(cloud, &run.plan, place)).await? {
            Err(fault) => {
                complete = false;
                let why = format!("cannot list the instances of {place}: {fault}. None of them is imaged in this run");
                run.mishap(&step, &why).await?;
            }
            Ok(found) => {
                // Before the look for another installation: what takes time leaves it room.
                let judged = Judged::of(run, &facts, place, &found).await?;
                match run.patiently("cannot list our images", || twin(cloud, us, place)).await? {
                    Err(fault) => {
                        complete = false;
                        let why =
                            format!("cannot list our images in {place}: {fault}. Nothing is imaged there in this run");
                        run.mishap(&step, &why).await?;
                    }
                    Ok(Some(why)) => {
                        run.shared.bar(why.clone());
                        run.mishap("installation", &why).await?;
                        drafts.clear();
                        complete = false;
                        break;
                    }
                    Ok(None) => drafts.extend(judged.drafts(run, place, &mut seen)),
                }
            }
        }
    }
    if complete {
        drafts.extend(not_found(run, &places[0], &seen));
    }
    for id in run.only.iter().filter(|id| !seen.contains(*id) && complete) {
        let why = format!("{id} is not one of the instances that the plan {} selects", run.plan.name);
        run.mishap("select", &why).await?;
    }
    let targets = drafts.iter().filter(|d| matches!(d.fact, Fact::TargetSelected { .. })).count() as u64;
    warn_of_window(run, &drafts);
    again(run, &mut drafts).await;
    let skipped = drafts.iter().filter(|d| matches!(d.fact, Fact::TargetSkipped(_))).count() as u64;
    drafts.push(Draft::of_run(&run.name, Fact::Selected(Chosen { targets, skipped })));
    run.shared.record_result(&drafts).await.map(|_| ())
}

/// What is being imaged for the second time in a row is prevented; and an alarm for each that nobody chose to leave out
/// twice.
async fn again(run: &Run, drafts: &mut Vec<Draft>) {
    if !drafts.iter().any(|draft| draft.fact.left_out_unwanted()) {
        return;
    }
    let before = Before::of(run).await;
    let mut alarms = Vec::new();
    for draft in drafts.iter_mut() {
        let (Some(subject), Fact::TargetSkipped(skipped)) = (&draft.subject, &mut draft.fact) else { continue };
        if skipped.class.as_deref() == Some(STILL_IMAGING) && before.twice(subject) {
            skipped.prevented = Some(Prevented::StillImaging);
        }
        if let Some(prevented) = skipped.prevented {
            alarms.extend(before.alarm(run, subject, prevented, &skipped.reason));
        }
    }
    drafts.append(&mut alarms);
}

/// Says at once what would otherwise only show when the window is over.
fn warn_of_window(run: &Run, drafts: &[Draft]) {
    let reboots = drafts.iter().filter(|d| d.fact == Fact::TargetSelected { reboots: true }).count();
    let needed = reboots_needed(&run.plan, reboots, &run.shared.lags.get());
    if let Some(window) = run.plan.schedule.window.filter(|window| needed > *window) {
        tracing::warn!(
            event = "window.short", plan = %run.plan.name, run = &*run.name,
            "{reboots} reboots take about {needed} s, the window is {window} s: the last ones may be skipped; \
             raise schedule.window or rollout.max_in_flight"
        );
    }
}

/// The instances of a place that a plan's selection finds, and what must be known to judge them.
///
/// # Errors
/// The first request that failed: never a part of the list.
pub async fn find(cloud: &Governed, plan: &Plan, place: &Place) -> Read<Found> {
    let mut instances = BTreeMap::new();
    let tags = select::tag_filters(&plan.select);
    let ids: Vec<String> = plan.select.instances.iter().cloned().collect();
    let queries =
        [(!tags.is_empty()).then_some(InstanceQuery::Tags(tags)), (!ids.is_empty()).then_some(InstanceQuery::Ids(ids))];
    for query in queries.into_iter().flatten() {
        for instance in cloud.instances(place, &query).await? {
            instances.insert(instance.id.clone(), instance);
        }
    }
    let multi_attach = if instances.is_empty() { BTreeSet::new() } else { cloud.multi_attach_volumes(place).await? };
    Ok(Found { instances, multi_attach })
}

/// The choice for each instance that was found, by id; `only` these, if it names some.
#[must_use]
pub fn judge(
    plan: &Plan,
    only: &[String],
    found: &Found,
    own_machine: &OwnMachine,
    imaging: &BTreeMap<String, String>,
) -> Vec<(String, Choice)> {
    let facts = Facts { own_machine, multi_attach: &found.multi_attach, imaging };
    let asked = found.instances.values().filter(|i| only.is_empty() || only.contains(&i.id));
    asked.map(|instance| (instance.id.clone(), select::choose(plan, instance, &facts))).collect()
}

/// What is known of the instances of a place before they are chosen.
struct Judged {
    choices: Vec<(String, Choice)>,
    /// The targets that nothing is rebooted for, each with why.
    impossible: BTreeMap<String, String>,
    /// Why nothing may be rebooted there.
    blind: Option<String>,
}

impl Judged {
    async fn of(run: &Run, facts: &lookup::Facts, place: &Place, found: &Found) -> Result<Self, Stop> {
        let choices = {
            let imaging = run.shared.imaging(&run.plan.name);
            let own = run.shared.own_machine.borrow();
            let own = if planted(Defect::OwnMachineTaken) { &OwnMachine::NotEc2 } else { &*own };
            judge(&run.plan, &run.only, found, own, &imaging)
        };
        let impossible = impossible(run, facts, place, found, &choices).await?;
        let blind = blind(run, place, &choices).await?;
        Ok(Self { choices, impossible, blind })
    }

    fn drafts(self, run: &Run, place: &Place, seen: &mut BTreeSet<String>) -> Vec<Draft> {
        let Self { choices, impossible, blind } = self;
        let draft = |(id, choice): (String, Choice)| {
            let subject = place.subject(&id);
            seen.insert(id);
            let fact = match choice {
                Choice::Target { .. } if impossible.contains_key(&subject.id) => {
                    skipped(impossible[&subject.id].clone(), "impossible", Some(Prevented::Copies))
                }
                Choice::Target { reboots } => match blind.as_ref().filter(|_| reboots) {
                    Some(why) => skipped(why.clone(), "checks", Some(Prevented::NotListed)),
                    None => Fact::TargetSelected { reboots },
                },
                Choice::Skip { reason } => left_out(&reason),
            };
            Draft::of(&run.name, &subject, fact)
        };
        choices.into_iter().map(draft).collect()
    }
}

/// The targets that cannot be copied or shared as the plan wants, each with why: nothing is rebooted for them. A look-up
/// that fails refuses nothing: the copy itself will tell.
async fn impossible(
    run: &Run,
    facts: &lookup::Facts,
    place: &Place,
    found: &Found,
    choices: &[(String, Choice)],
) -> Result<BTreeMap<String, String>, Stop> {
    let targets = choices.iter().filter(|(_, choice)| matches!(choice, Choice::Target { .. }));
    let instances: Vec<&Instance> = targets.filter_map(|(id, _)| found.instances.get(id)).collect();
    let look = || preflight(&run.shared.cloud, facts, &run.plan, place, &instances);
    let foreseen = run.patiently("cannot look up what copies depend on", look).await?.unwrap_or_default();
    let never: BTreeMap<String, String> =
        foreseen.into_iter().filter_map(|f| f.never().map(|why| (f.instance, why))).collect();
    if let Some((instance, why)) = never.iter().next() {
        let count = never.len();
        let others = if count == 1 { String::new() } else { format!(" and {} more", count - 1) };
        let why = format!(
            "{instance}{others}: not imaged, nothing is rebooted for what cannot be done: {why}. Or take it out of \
             the plan with the tag stillframe:skip"
        );
        run.mishap("distribute", &why).await?;
    }
    Ok(never)
}

/// Why nothing may be rebooted in a place: whether an instance comes back could not be seen there.
async fn blind(run: &Run, place: &Place, choices: &[(String, Choice)]) -> Result<Option<String>, Stop> {
    let reboots = choices.iter().filter(|(_, choice)| *choice == Choice::Target { reboots: true });
    let first: Vec<String> = reboots.map(|(id, _)| id.clone()).take(1).collect();
    if first.is_empty() || planted(Defect::ChecksUnread) {
        return Ok(None);
    }
    let read = run.patiently("cannot read status checks", || run.shared.cloud.statuses(place, &first)).await?;
    let Err(fault) = read else { return Ok(None) };
    let why = format!(
        "cannot read the status checks of instances in {place}: {fault}. Nothing is rebooted there in this run"
    );
    run.mishap(&format!("checks:{}", place.region), &why).await?;
    Ok(Some(why))
}

fn not_found(run: &Run, place: &Place, seen: &BTreeSet<String>) -> Vec<Draft> {
    if !run.only.is_empty() {
        return Vec::new();
    }
    let lost = select::missing(&run.plan, seen);
    let fact = left_out(&Skip::NotFound);
    lost.iter().map(|id| Draft::of(&run.name, &place.subject(id), fact.clone())).collect()
}

fn left_out(skip: &Skip) -> Fact {
    skipped(skip.to_string(), skip.label(), skip.prevents())
}

fn skipped(reason: String, class: &str, prevented: Option<Prevented>) -> Fact {
    Fact::TargetSkipped(Skipped { reason, class: Some(class.to_owned()), prevented })
}

/// Why another installation seems to work under our daemon name, if it does: an image newer than our last bears
/// another installation's id.
///
/// # Errors
/// The images could not be listed.
pub async fn twin(cloud: &Governed, us: Us<'_>, place: &Place) -> Read<Option<String>> {
    let query = ImageQuery::Tag(format!("{TAG_PREFIX}daemon"), us.daemon.to_owned());
    let images = cloud.images(place, &query).await?;
    let made_by = |image: &Image| match naming::ownership(image, us.daemon, &place.account) {
        // Copies are made of old images, too: when one was made tells nothing.
        Ownership::Ours(marks) if marks.role == Role::Image => Some(marks.installation),
        _ => None,
    };
    // From the newest on, to our own last: what is older tells nothing.
    // When it was made is all that counts here.
    let mut images: Vec<(DateTime<Utc>, &Image)> = images.iter().filter_map(|i| Some((i.created?, i))).collect();
    images.sort_by_key(|(created, _)| std::cmp::Reverse(*created));
    let mut newest: Option<(DateTime<Utc>, &Image, String)> = None;
    let mut last = us.taken_over_at;
    for (created, image) in images {
        if last.is_some_and(|last| created <= last) {
            break;
        }
        match made_by(image) {
            Some(by) if by == us.installation => last = last.max(Some(created)),
            Some(by) if newest.is_none() => newest = Some((created, image, by)),
            _ => {}
        }
    }
    let newer = newest.filter(|(created, ..)| last.is_none_or(|last| *created > last));
    Ok(newer.filter(|_| !planted(Defect::TwinIgnored)).map(|(created, image, by)| {
        format!(
            "the image {} of {} in {place} was made by another installation ({by}) under the daemon name `{}`; \
             nothing is begun. If that installation is gone for good, run `stillframe run --take-over`; \
             else give this one another daemon.name",
            image.id,
            rfc3339(created),
            us.daemon
        )
    }))
}
