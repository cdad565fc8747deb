//! `stillframe history`: what ran, and how it ended. Reads the journal beside a running daemon, and after it.

use std::path::PathBuf;

use super::{WRONG, complain};
use crate::config;
use crate::journal::sqlite::{FILE, SqliteJournal};
use crate::journal::{Answer, Reader as _};
use crate::report::document::{self, RunDocument};

/// Options of `stillframe history`.
#[derive(Debug, Clone, clap::Args)]
pub struct HistoryArgs {
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
    /// Only this plan
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// At most this many runs, the newest
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: u32,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Prints the newest runs, oldest first.
#[must_use]
pub fn run(args: &HistoryArgs) -> u8 {
    let loaded = match config::load(&args.config, config::environment()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{problems}\n\n{}", super::check::summary(&problems));
            return WRONG;
        }
    };
    let state_dir = &loaded.settings.daemon.state_dir;
    if !state_dir.join(FILE).exists() {
        return complain(&format!("no journal in {}: nothing has run yet", state_dir.display()));
    }
    let runtime = match super::start::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return complain(&why),
    };
    let runs = match SqliteJournal::read_only(state_dir).map(|journal| runtime.block_on(read(&journal, args))) {
        Ok(Ok(runs)) => runs,
        Ok(Err(e)) | Err(e) => return complain(&e.to_string()),
    };
    if args.json {
        super::print(&document::history(&runs))
    } else if runs.is_empty() {
        super::print("nothing has run yet\n")
    } else {
        super::print(&runs.iter().map(RunDocument::text).collect::<String>())
    }
}

async fn read(journal: &SqliteJournal, args: &HistoryArgs) -> Answer<Vec<RunDocument>> {
    let mut runs = Vec::new();
    for occurrence in journal.occurrences(args.plan.as_deref(), args.limit).await?.into_iter().rev() {
        let events = journal.events_of(&occurrence.run()).await?;
        runs.push(RunDocument::of(&occurrence, &events));
    }
    Ok(runs)
}
