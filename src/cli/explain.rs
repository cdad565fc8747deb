//! `stillframe explain IMAGE`: who made it, whether it is ours, why it stays or goes. Reads AWS and the journal.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::output::Output;
use super::{WRONG, complain, open_read_only, start};
use crate::clock::Clock;
use crate::config::Loaded;
use crate::domain::machine::OwnMachine;
use crate::engine::context::us::Us;
use crate::journal::Reader;
use crate::report::out;
use crate::view::explain::{Ask, ExplainDocument, tell};
use crate::view::preview::FaultPreview;

/// Options of `stillframe explain`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "It asks AWS \
                  (Describe calls and GetCallerIdentity only) and reads the journal. It changes nothing, and works \
                  beside a running daemon. What AWS cannot tell is told from the journal alone, such as the end of an \
                  image that was deleted.\n\nExit codes: 0 it is known; 1 it is unknown, or something could not be \
                  read; 2 wrong usage or configuration.")]
pub struct ExplainArgs {
    /// The image's id
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Look in this region only; without it, in all regions of the plans
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
    /// Text or JSON.
    #[command(flatten)]
    pub output: Output,
}

/// Explains, and prints it.
#[must_use]
pub fn run(args: &ExplainArgs) -> u8 {
    let loaded = match open_read_only::load_what_is_good(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if !is_image(&args.image) {
        out::note(&format!(
            "stillframe: `{}` is not the id of an image; write it as ami-0123456789abcdef0",
            args.image
        ));
        return WRONG;
    }
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return complain(&why),
    };
    match runtime.block_on(explain(args, &loaded)) {
        Ok(document) => args.output.tell(&document, document.ok()),
        Err(why) => complain(&why),
    }
}

/// Whether it is written as the id of an image.
pub(super) fn is_image(id: &str) -> bool {
    id.strip_prefix("ami-").is_some_and(|hex| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

async fn explain(args: &ExplainArgs, loaded: &Loaded) -> Result<ExplainDocument, String> {
    let settings = &loaded.settings;
    // What AWS says can be told without the journal.
    let (mut journal, mut broken) = match open_read_only::journal(settings) {
        Ok(journal) => (journal, None),
        Err(why) => (None, Some(why)),
    };
    let cloud = open_read_only::cloud(&args.config, settings).await?;
    let regions: BTreeSet<String> = match &args.region {
        Some(region) => BTreeSet::from([region.clone()]),
        None => {
            let of_plans = loaded.plans.iter().flat_map(|plan| cloud.regions(plan));
            of_plans.chain(cloud.home_region()).collect()
        }
    };
    // Whose host it is does not matter to who only asks.
    let (installation, _) = open_read_only::installation(settings, &OwnMachine::NotEc2).unwrap_or_default();
    let ask = Ask {
        image: &args.image,
        us: Us {
            daemon: &settings.daemon.name,
            installation: installation.as_ref().map_or("", |i| &i.installation),
            taken_over_at: installation.as_ref().and_then(|i| i.taken_over_at),
        },
        plans: &loaded.plans,
        regions: &regions.into_iter().collect::<Vec<_>>(),
        only: args.region.as_deref(),
        now: Clock::Wall.now_secs(),
    };
    let mut document = loop {
        match tell(&cloud, journal.as_ref().map(|journal| journal as &dyn Reader), ask).await {
            Ok(document) => break document,
            Err(e) if journal.is_some() => (journal, broken) = (None, Some(e.to_string())),
            Err(e) => return Err(e.to_string()),
        }
    };
    document.faults.extend(broken.map(|reason| FaultPreview { region: None, reason }));
    Ok(document)
}
