//! `stillframe preview`: what is due, who would be taken, and what retention would delete. Reads only; works beside a
//! running daemon.

use std::path::PathBuf;

use chrono::TimeDelta;

use super::output::Output;
use super::{WRONG, complain, instant, open_read_only, start};
use crate::clock::Clock;
use crate::config::Loaded;
use crate::engine::context::account::another_account;
use crate::engine::context::us::Us;
use crate::journal::Reader;
use crate::view::preview::{Ask, PreviewDocument, foresee};

/// Options of `stillframe preview`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "It asks AWS (Describe calls and GetCallerIdentity only) and reads the journal if there is one. It \
                  changes nothing, takes no lock, and works beside a running daemon.\n\nExit codes: 0 all could be \
                  read; 1 something could not be read, a plan selects no instance, or nothing would be begun at all; \
                  2 wrong usage or configuration."
)]
pub struct PreviewArgs {
    /// Only this plan
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// As if the plans ran at this instant, such as 2026-11-20T02:30:00Z; without it, at their next occurrence
    #[arg(long, value_name = "INSTANT")]
    pub at: Option<String>,
    /// List the occurrences of so many days; at least the next one is listed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=3660))]
    pub days: u16,
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
    /// Text or JSON.
    #[command(flatten)]
    pub output: Output,
}

/// Foresees, and prints it.
#[must_use]
pub fn run(args: &PreviewArgs) -> u8 {
    let loaded = match open_read_only::load(&args.config) {
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
    let now = Clock::Wall.now_secs();
    let at = match args.at.as_deref().map(instant::instant).transpose() {
        Ok(Some(at)) if at < now => Err("it is in the past: `stillframe history` shows what ran".to_owned()),
        other => other,
    };
    let at = match at {
        Ok(at) => at,
        Err(why) => {
            complain(&format!("--at {}: {why}", args.at.as_deref().unwrap_or_default()));
            return WRONG;
        }
    };
    match runtime.block_on(preview(
        args,
        &loaded,
        Ask { now, at, days: TimeDelta::days(args.days.into()), lags: loaded.settings.cloud.lags() },
    )) {
        Ok(document) => args.output.tell(&document, document.ok()),
        Err(why) => complain(&why),
    }
}

async fn preview(args: &PreviewArgs, loaded: &Loaded, ask: Ask) -> Result<PreviewDocument, String> {
    let settings = &loaded.settings;
    let cloud = open_read_only::cloud(&args.config, settings).await?;
    let (at_first_hand, own) = open_read_only::machine(settings, &cloud).await;
    let mut unknown = Vec::new();
    let (installation, differs) =
        open_read_only::installation(settings, &at_first_hand).unwrap_or_else(|why| (None, Some(why)));
    // Without a journal, or with one that cannot be read, the rest can still be told.
    let journal = open_read_only::journal(settings).unwrap_or_else(|why| {
        unknown.push(format!("which instances are still being imaged: {why}"));
        None
    });
    if journal.is_none() && unknown.is_empty() {
        let dir = settings.daemon.state_dir.display();
        unknown.push(format!("which instances are still being imaged: there is no journal in {dir} yet"));
    }
    let plans: Vec<_> = loaded.plans.iter().filter(|p| args.plan.as_ref().is_none_or(|name| p.name == *name)).collect();
    let us = Us {
        daemon: &settings.daemon.name,
        installation: installation.as_ref().map_or("", |i| &i.installation),
        taken_over_at: installation.as_ref().and_then(|i| i.taken_over_at),
    };
    let reader = journal.as_ref().map(|journal| journal as &dyn Reader);
    let mut document = foresee(&cloud, reader, us, &own, &plans, ask).await;
    let elsewhere = match (installation.as_ref().and_then(|i| i.account.as_deref()), cloud.whoami().await) {
        (Some(known), Ok(caller)) => another_account(known, &caller.account),
        _ => None,
    };
    document.barred = differs.or(elsewhere).or(document.barred);
    unknown.append(&mut document.unknown);
    document.unknown = unknown;
    Ok(document)
}
