//! `stillframe doctor`: may we do what the plans need, in each account and region? Reads and DryRun only.

use std::path::PathBuf;

use super::output::Output;
use super::{complain, open_read_only, start};
use crate::clock::Clock;
use crate::view::doctor::{DoctorDocument, examine};

/// Options of `stillframe doctor`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "It assumes the role of each [accounts.NAME], describes each key, and tries each call that the plans \
                  need with DryRun. It changes nothing, takes no lock, and reads no journal. First stands what would keep \
                  every run from beginning (this machine's clock, its identity, another account). Under what is denied \
                  stand the IAM action, the resource, and the statement to add; for keys that of the key's own policy \
                  too. EC2 checks permissions before it looks for an object, so what is not there yet can show that a \
                  call is denied, but not that it is allowed: that is `unknown`, and turns into an answer once there is \
                  an image (CopyImage to another account: while it is lent).\n\nExit codes: 0 nothing is denied, and AWS answered all questions, also where an answer is \
                  `unknown`; 1 something is denied, or AWS could not be asked; 2 wrong usage or configuration."
)]
pub struct DoctorArgs {
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
    /// Text or JSON.
    #[command(flatten)]
    pub output: Output,
}

/// Examines, and prints what it found.
#[must_use]
pub fn run(args: &DoctorArgs) -> u8 {
    let loaded = match open_read_only::load(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return complain(&why),
    };
    let document = runtime.block_on(async {
        let cloud = open_read_only::cloud(&args.config, &loaded.settings).await?;
        let document = examine(&cloud, &loaded.settings, &loaded.plans, Clock::Wall.now_secs()).await;
        let barred = open_read_only::bars(&loaded.settings, &cloud).await;
        Ok::<_, String>(DoctorDocument { zones: Some(loaded.zones.clone()), barred, ..document })
    });
    match document {
        Ok(document) => args.output.tell(&document, document.ok()),
        Err(why) => complain(&why),
    }
}
