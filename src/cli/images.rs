//! `stillframe images`: every image of ours, one line each, with why and until when it stays. Reads only.

use std::path::PathBuf;

use super::output::Output;
use super::{complain, open_read_only, start};
use crate::clock::Clock;
use crate::config::Loaded;
use crate::domain::machine::OwnMachine;
use crate::engine::context::us::Us;
use crate::journal::Reader;
use crate::view::images::{ImagesDocument, list};

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
    /// Text or JSON.
    #[command(flatten)]
    pub output: Output,
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
        Ok(document) => args.output.tell(&document, document.faults.is_empty()),
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
    let (journal, broken) = match open_read_only::journal(settings) {
        Ok(journal) => (journal, None),
        Err(why) => (None, Some(format!("what runs still work on: {why}"))),
    };
    let journal = journal.as_ref().map(|journal| journal as &dyn Reader);
    let plans = loaded.plans.iter().filter(|plan| args.plan.as_ref().is_none_or(|name| plan.name == *name));
    let listed = list(&cloud, journal, us, plans, Clock::Wall.now_secs()).await;
    let mut document = listed.map_err(|fault| format!("AWS does not tell which account this is: {fault}"))?;
    document.faults.splice(0..0, broken);
    document.images.retain(|line| args.instance.as_ref().is_none_or(|id| line.instance == *id));
    Ok(document)
}
