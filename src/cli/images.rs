//! `stillframe images`: every image of ours, one line each, with why and until when it stays. Reads only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};

use super::active_runs::ActiveRuns;
use super::{FAILED, complain, open_read_only, paint, start};
use crate::clock::Clock;
use crate::cloud::governed::Governed;
use crate::cloud::port::Read;
use crate::config::Loaded;
use crate::domain::machine::OwnMachine;
use crate::domain::naming::{Role, rfc3339};
use crate::domain::place::Place;
use crate::domain::retention::{LEAVES_MAX, RetentionPlan, Series, Survey, places_of};
use crate::domain::schedule::Timetable;
use crate::engine::context::us::Us;
use crate::engine::distribution::{self, Books};
use crate::engine::images::listing;
use crate::engine::retention::judge;
use crate::journal::Reader;
use crate::report::images::{ImageLine, ImagesDocument};

/// Occurrences further off than this are not asked for: no `keep` reaches so far in what can be played through.
const HORIZON: TimeDelta = TimeDelta::days(20 * 366);

/// Options of `stillframe images`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "It asks AWS (Describe calls and GetCallerIdentity only) and reads the journal. UNTIL is the \
                        occurrence after which no rule keeps the image, if each one until then makes a good image.\n\n\
                        Exit codes: 0 all could be read; 1 something could not; 2 wrong usage or configuration.")]
pub struct ImagesArgs {
    /// Only this plan
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// Only images of this instance
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
#[must_use]
pub fn run(args: &ImagesArgs) -> u8 {
    let loaded = match open_read_only::load_what_is_good(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Err(code) = open_read_only::known_plan(&loaded, &args.config, args.plan.as_deref()) {
        return code;
    }
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return complain(&why),
    };
    match runtime.block_on(images(args, &loaded)) {
        Ok(document) => {
            let printed =
                if args.json { super::print(&document.json()) } else { super::print_text(&document.text(paint())) };
            if document.faults.is_empty() { printed } else { FAILED }
        }
        Err(why) => complain(&why),
    }
}

async fn images(args: &ImagesArgs, loaded: &Loaded) -> Result<ImagesDocument, String> {
    let settings = &loaded.settings;
    let cloud = open_read_only::cloud(&args.config, settings).await?;
    let (installation, _) = open_read_only::installation(settings, &OwnMachine::NotEc2).unwrap_or_default();
    let us = Us {
        daemon: &settings.daemon.name,
        installation: installation.as_ref().map_or("", |i| &i.installation),
        taken_over_at: installation.as_ref().and_then(|i| i.taken_over_at),
    };
    let now = Clock::Wall.now_secs();
    let mut document = ImagesDocument { at: rfc3339(now), images: Vec::new(), faults: Vec::new() };
    let journal = open_read_only::journal(settings).unwrap_or_else(|why| {
        document.faults.push(format!("what runs still work on: {why}"));
        None
    });
    let journal = journal.as_ref().map(|journal| journal as &dyn Reader);
    let active = match journal {
        Some(journal) => ActiveRuns::of(journal).await.unwrap_or_default(),
        None => ActiveRuns::default(),
    };
    let caller = cloud.whoami().await.map_err(|fault| format!("AWS does not tell which account this is: {fault}"))?;
    for plan in loaded.plans.iter().filter(|plan| args.plan.as_ref().is_none_or(|name| plan.name == *name)) {
        let sources: Vec<Place> =
            cloud.regions(plan).into_iter().map(|region| Place::new(caller.account.clone(), region)).collect();
        let mut listings = Vec::new();
        for place in places_of(plan, &caller.account, &sources) {
            match listing::list(&cloud, us, &plan.name, &place).await {
                Ok(listing) => listings.push((place, listing)),
                Err(fault) => document.faults.push(format!("{}: the images in {place}: {fault}", plan.name)),
            }
        }
        let books = Books { journal, now };
        let owed = distribution::owed_in(books, plan, &caller.account, &sources, &listings).await;
        for (place, listing) in &listings {
            let mut busy = active.busy(place);
            busy.extend(owed.clone());
            let survey = Survey { own: &caller.account, plan, today: Some(plan), now, listing, busy: &busy };
            match lines(&cloud, place, survey).await {
                Ok(lines) => document.images.extend(lines),
                Err(fault) => {
                    document.faults.push(format!("{}: which images in {place} are in use: {fault}", plan.name));
                }
            }
        }
    }
    document.images.retain(|line| args.instance.as_ref().is_none_or(|id| line.instance == *id));
    Ok(document)
}

/// The images of a plan in one place.
async fn lines(cloud: &Governed, place: &Place, survey: Survey<'_>) -> Read<Vec<ImageLine>> {
    let ask = async |ids: Vec<String>| listing::in_use(cloud, place, &ids).await;
    let decided = judge(survey, BTreeMap::new(), ask).await?;
    let mut lines = Vec::new();
    for (series, verdicts) in decided.series() {
        let candidates = &survey.listing.series[*series];
        for verdict in verdicts {
            let Some(candidate) = candidates.iter().find(|c| c.image.id == verdict.image) else { continue };
            let until = if verdict.delete { None } else { until(&survey, &decided, series, &verdict.image) };
            lines.push(ImageLine {
                plan: survey.plan.name.clone(),
                account: place.account.clone(),
                region: place.region.clone(),
                instance: series.instance.clone(),
                image: verdict.image.clone(),
                copy: series.role == Role::Copy,
                due: rfc3339(candidate.marks.due),
                state: candidate.image.state.as_str(),
                verdict: if verdict.delete { "delete" } else { "keep" },
                reasons: verdict.reasons.clone(),
                until: until.map(rfc3339),
            });
        }
    }
    Ok(lines)
}

/// The occurrence after which no rule keeps an image.
pub fn until(survey: &Survey<'_>, decided: &RetentionPlan<'_>, series: &Series, image: &str) -> Option<DateTime<Utc>> {
    // `config` has compiled the same lines when it checked the plan.
    let timetable = Timetable::new(&survey.plan.schedule).unwrap_or_else(|e| unreachable!("a checked schedule: {e}"));
    let dues = timetable.between(survey.now, survey.now + HORIZON).take(LEAVES_MAX);
    decided.leaves_at(series, image, dues)
}
