//! Foresees what the engine would decide, by the engine's own functions: nothing here decides anything.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::coming::coming;
use super::copies::{self, Leg, Outlook};
use crate::cloud::governed::Governed;
use crate::cloud::port::Read;
use crate::config::pace::{per_reboot, reboots_needed};
use crate::config::show_duration;
use crate::domain::copying::ShareVerdict;
use crate::domain::evidence::Lags;
use crate::domain::machine::OwnMachine;
use crate::domain::naming::{Marks, Role, parse_rfc3339, rfc3339};
use crate::domain::observed::Instance;
use crate::domain::place::Place;
use crate::domain::plan::Plan;
use crate::domain::retention::{Candidate, Listing, Series, Survey, is_to_come, to_come};
use crate::domain::select::{self, Choice, Skip};
use crate::engine::context::run;
use crate::engine::context::us::Us;
use crate::engine::distribution::lookup::Facts;
use crate::engine::distribution::preflight::{Foreseen, preflight};
use crate::engine::distribution::{self, Books};
use crate::engine::images::listing;
use crate::engine::retention::judge;
use crate::engine::rollout::choose;
use crate::journal::Reader;
use crate::view::active_runs::ActiveRuns;
use crate::view::preview::{FaultPreview, ImagePreview, PlanPreview, PreviewDocument, TargetPreview};

/// When.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// The wall clock.
    pub now: DateTime<Utc>,
    /// As if the plans ran then; without it, at their next occurrence.
    pub at: Option<DateTime<Utc>>,
    /// How far the list of occurrences reaches.
    pub days: TimeDelta,
    /// How far status checks may be behind the truth.
    pub lags: Lags,
}

/// Foresees `plans`. What cannot be read of one region is said, and hides nothing of the others.
pub async fn foresee(
    cloud: &Governed,
    journal: Option<&dyn Reader>,
    us: Us<'_>,
    own: &OwnMachine,
    plans: &[&Plan],
    ask: Ask,
) -> PreviewDocument {
    let mut document = PreviewDocument {
        at: rfc3339(ask.now),
        daemon: us.daemon.to_owned(),
        machine: match own {
            OwnMachine::NotEc2 => "this machine is not an EC2 instance".into(),
            OwnMachine::Instance(id) => format!("this machine is {id}, which is never rebooted"),
            OwnMachine::Unknown(why) => format!("which instance this machine is, is unknown: {why}"),
        },
        barred: None,
        unknown: Vec::new(),
        until: rfc3339(ask.at.unwrap_or(ask.now) + ask.days),
        plans: Vec::new(),
    };
    let going_on = match journal {
        None => ActiveRuns::default(),
        Some(journal) => ActiveRuns::of(journal).await.unwrap_or_else(|e| {
            document.unknown.push(format!("which instances are still being imaged: {e}"));
            ActiveRuns::default()
        }),
    };
    let caller = cloud.whoami().await;
    // Whoever answers says what time it is.
    document.barred = cloud.clock_off().filter(|_| caller.is_ok());
    for plan in plans {
        let mut view = View {
            cloud,
            journal,
            us,
            own,
            plan,
            going_on: &going_on,
            by_way: BTreeSet::new(),
            preview: coming(plan, ask),
        };
        view.preview.notes = going_on.notes(&plan.name);
        match &caller {
            Ok(caller) => document.barred = view.places(&caller.account).await.or(document.barred),
            Err(fault) => view.fault(None, format!("targets and retention: {}", run::no_account(fault))),
        }
        view.preview.notes.extend(pace(plan, &view.preview, &ask.lags));
        document.plans.push(view.preview);
    }
    document
}

/// How long the reboots of the next run take, and whether its window allows them.
fn pace(plan: &Plan, preview: &PlanPreview, lags: &Lags) -> Option<String> {
    let reboots = preview.targets.iter().filter(|target| target.reboots).count();
    let needed = reboots_needed(plan, reboots, lags);
    if needed == 0 {
        return None;
    }
    let short = plan
        .schedule
        .window
        .filter(|window| needed > *window)
        .map(|window| format!(", but the window is {}: the last ones would be skipped", show_duration(window)));
    Some(format!(
        "{reboots} reboots, {} at once, each for about {} until it is proven to be back: the last begins about {} after \
         the first{}",
        plan.rollout.max_in_flight,
        show_duration(per_reboot(plan, lags)),
        show_duration(needed),
        short.unwrap_or_default()
    ))
}

/// One plan, seen as the engine would.
struct View<'a> {
    cloud: &'a Governed,
    journal: Option<&'a dyn Reader>,
    us: Us<'a>,
    own: &'a OwnMachine,
    plan: &'a Plan,
    going_on: &'a ActiveRuns,
    /// Targets whose images are shared as copies under another key.
    by_way: BTreeSet<String>,
    preview: PlanPreview,
}

impl View<'_> {
    fn fault(&mut self, place: Option<&Place>, reason: String) {
        self.preview.faults.push(FaultPreview { region: place.map(|p| p.region.clone()), reason });
    }

    /// Looks into each place of the plan; why nothing at all would be begun, if another installation is seen.
    async fn places(&mut self, account: &str) -> Option<String> {
        let regions = self.cloud.regions(self.plan);
        self.preview.regions.clone_from(&regions);
        if regions.is_empty() {
            self.fault(
                None,
                "no region: set select.regions in the plan, or AWS_REGION, or a region in the profile".into(),
            );
        }
        let mut barred = None;
        let mut seen = BTreeSet::new();
        let legs = copies::legs(self.cloud, self.plan, account).await;
        let mut places = Vec::new();
        for region in &regions {
            let place = Place::new(account, region.as_str());
            match choose::twin(self.cloud, self.us, &place).await {
                Ok(why) => barred = barred.or(why),
                Err(fault) => {
                    let why = format!("cannot list our images in {place}: {fault}. Nothing would be imaged there");
                    self.fault(Some(&place), why);
                    continue;
                }
            }
            let targets = match self.targets(&place, &legs, &mut seen).await {
                Ok(targets) => targets,
                Err(fault) => {
                    let why = format!("cannot list the instances of {place}: {fault}. None of them would be imaged");
                    self.fault(Some(&place), why);
                    BTreeSet::new()
                }
            };
            places.push((place, targets));
        }
        self.retention(account, &legs, &places).await;
        if self.preview.faults.is_empty() {
            let place = Place::new(account, regions.first().map_or("", |r| r));
            for id in select::missing(self.plan, &seen) {
                self.preview.targets.push(target(&place, &id, None, &Choice::Skip { reason: Skip::NotFound }));
            }
        }
        barred
    }

    /// The instances of a place; those that are targets.
    async fn targets(
        &mut self,
        place: &Place,
        legs: &[Leg<'_>],
        seen: &mut BTreeSet<String>,
    ) -> Read<BTreeSet<String>> {
        let found = choose::find(self.cloud, self.plan, place).await?;
        let going_on = self.going_on.of_plan(&self.plan.name);
        let imaging: BTreeMap<String, String> = going_on.flat_map(|(name, run)| run.imaging(name)).collect();
        let mut targets = BTreeSet::new();
        let choices = choose::judge(self.plan, &[], &found, self.own, &imaging);
        let foreseen = self.distribution(place, &found, &choices).await;
        for (id, choice) in choices {
            let name = found.instances.get(&id).and_then(|i| i.tags.get("Name")).cloned();
            let mut target = target(place, &id, name, &choice);
            let foreseen = foreseen.get(&id);
            if let Some(foreseen) = foreseen {
                target.distribution = copies::distribution(foreseen, legs);
                if let Some(ShareVerdict::Go { via: Some(_), .. }) = &foreseen.share {
                    self.by_way.insert(id.clone());
                }
            }
            match (choice, foreseen.and_then(Foreseen::never)) {
                (Choice::Target { .. }, Some(why)) => {
                    (target.outcome, target.reboots, target.reason) = ("skipped", false, why);
                }
                (Choice::Target { .. }, None) => drop(targets.insert(id.clone())),
                _ => {}
            }
            seen.insert(id);
            self.preview.targets.push(target);
        }
        Ok(targets)
    }

    /// What would become of the images of the targets. What cannot be looked up is said, and hides nothing else.
    async fn distribution(
        &mut self,
        place: &Place,
        found: &choose::Found,
        choices: &[(String, Choice)],
    ) -> BTreeMap<String, Foreseen> {
        let targets = choices.iter().filter(|(_, choice)| matches!(choice, Choice::Target { .. }));
        let instances: Vec<&Instance> = targets.filter_map(|(id, _)| found.instances.get(id)).collect();
        match preflight(self.cloud, &Facts::at_once(), self.plan, place, &instances).await {
            Ok(foreseen) => foreseen.into_iter().map(|foreseen| (foreseen.instance.clone(), foreseen)).collect(),
            Err(fault) => {
                let why = format!("whether images of {place} can be copied and shared: {fault}. They would be made");
                self.fault(Some(place), why);
                BTreeMap::new()
            }
        }
    }

    /// What retention would decide in each place, with one more good image of each target, and with the copies that the
    /// run would make.
    async fn retention(&mut self, account: &str, legs: &[Leg<'_>], places: &[(Place, BTreeSet<String>)]) {
        let Some(due) = self.preview.due.as_deref().and_then(parse_rfc3339) else { return };
        let sources: Vec<Place> = places.iter().map(|(place, _)| place.clone()).collect();
        let there = legs.iter().filter(|leg| leg.barred.is_none()).map(|leg| &leg.to);
        let mut listings: Vec<(Place, Listing)> = Vec::new();
        for place in sources.iter().chain(there) {
            if listings.iter().any(|(known, _)| known == place) {
                continue;
            }
            match listing::list(self.cloud, self.us, &self.plan.name, place).await {
                Ok(listing) => listings.push((place.clone(), listing)),
                Err(fault) => {
                    let why = format!(
                        "cannot list our images in {place} completely: {fault}. Nothing would be deleted there"
                    );
                    self.fault(Some(place), why);
                }
            }
        }
        let books = Books { journal: self.journal, now: due };
        let outlook = Outlook { cloud: self.cloud, plan: self.plan, own: account, legs, sources: &sources };
        match outlook.older(books, self.going_on, &listings).await {
            Ok(older) => self.preview.owed = older,
            Err(fault) => self.fault(None, format!("which older images would be copied: {fault}")),
        }
        for (place, targets) in places {
            let Some((_, listing)) = listings.iter_mut().find(|(known, _)| known == place) else { continue };
            for instance in targets {
                // What is shared by way of another key is there twice.
                let roles = [Role::Image].into_iter().chain(self.by_way.contains(instance).then_some(Role::Copy));
                for role in roles {
                    let (plan, instance) = (self.plan.name.clone(), instance.clone());
                    let image = self.image(&instance, role, due);
                    let series = Series { plan, instance, place: place.clone(), role };
                    listing.series.entry(series).or_default().push(image);
                }
            }
        }
        outlook.add_copies(&mut listings, &self.preview, due);
        let owed = distribution::owed_in(books, self.plan, account, &sources, &listings).await;
        for (place, listing) in &listings {
            let mut busy = self.going_on.busy(place);
            busy.extend(owed.clone());
            if let Err(fault) = self.verdicts(account, (place, listing), &busy, due).await {
                let why =
                    format!("cannot tell which images are in use in {place}: {fault}. Nothing would be deleted there");
                self.fault(Some(place), why);
            }
        }
    }

    async fn verdicts(
        &mut self,
        own: &str,
        (place, listing): (&Place, &Listing),
        busy: &BTreeMap<String, String>,
        due: DateTime<Utc>,
    ) -> Read<()> {
        let survey = Survey { own, plan: self.plan, today: Some(self.plan), now: due, listing, busy };
        let ask = async |ids: Vec<String>| {
            let there: Vec<String> = ids.into_iter().filter(|id| !is_to_come(id)).collect();
            if there.is_empty() { Ok(BTreeMap::new()) } else { listing::in_use(self.cloud, place, &there).await }
        };
        for (series, verdicts) in judge(survey, BTreeMap::new(), ask).await?.series() {
            let candidates = &listing.series[*series];
            for verdict in verdicts {
                let made = candidates.iter().find(|c| c.image.id == verdict.image).map(|c| c.marks.due);
                self.preview.retention.push(ImagePreview {
                    account: place.account.clone(),
                    region: place.region.clone(),
                    instance: series.instance.clone(),
                    role: series.role.as_str(),
                    image: Some(&verdict.image).filter(|image| !is_to_come(image)).cloned(),
                    due: made.map(rfc3339).unwrap_or_default(),
                    verdict: if verdict.delete { "delete" } else { "keep" },
                    reasons: verdict.reasons.clone(),
                });
            }
        }
        Ok(())
    }

    /// An image that the occurrence would make.
    fn image(&self, instance: &str, role: Role, due: DateTime<Utc>) -> Candidate {
        to_come(Marks {
            daemon: self.us.daemon.to_owned(),
            installation: self.us.installation.to_owned(),
            plan: self.plan.name.clone(),
            due,
            instance: instance.to_owned(),
            role,
            source: None,
            consistency: self.plan.consistency.mode.as_str().to_owned(),
        })
    }
}

fn target(place: &Place, id: &str, name: Option<String>, choice: &Choice) -> TargetPreview {
    let (outcome, reboots, reason) = match choice {
        Choice::Target { reboots } => ("selected", *reboots, String::new()),
        Choice::Skip { reason } => ("skipped", false, reason.to_string()),
    };
    TargetPreview {
        account: place.account.clone(),
        region: place.region.clone(),
        instance: id.to_owned(),
        name,
        outcome,
        reboots,
        reason,
        distribution: Vec::new(),
    }
}
