//! `stillframe history`: what ran, and how it ended. Reads the journal beside a running daemon, and after it.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::output::Output;
use super::{WRONG, complain, instant, open_read_only, start};
use crate::clock::Clock;
use crate::domain::event::Outcome;
use crate::report::run::History;
use crate::view::history::{Filter, read};

/// Options of `stillframe history`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "The newest runs that fit, oldest first; filters work together. It reads \
                  the journal, beside a running daemon and after it. Details of runs are kept for 90 days, how each \
                  ended for good.")]
pub struct HistoryArgs {
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
    /// Only this plan, also one that is not in the configuration any more
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// Only this instance: the runs that named it, and what became of it in them
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,
    /// Only what was due at this instant or later: 2026-11-20T02:30:00Z, 2026-11-20, or a time ago such as 7d
    #[arg(long, value_name = "INSTANT")]
    pub since: Option<String>,
    /// Only what was due at this instant or earlier, written alike
    #[arg(long, value_name = "INSTANT")]
    pub until: Option<String>,
    /// Only runs that ended so; with --instance, in which that instance did
    #[arg(long, value_name = "OUTCOME", value_parser = ["done", "failed", "skipped", "missed", "unfinished"])]
    pub outcome: Option<String>,
    /// At most this many runs, the newest of those that fit
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: u32,
    /// One line a run
    #[arg(long, conflicts_with = "json")]
    pub short: bool,
    /// Text or JSON.
    #[command(flatten)]
    pub output: Output,
}

fn filter(args: &HistoryArgs, now: DateTime<Utc>) -> Result<Filter, String> {
    let instant = |name: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => instant::instant_or_ago(text, now).map(Some).map_err(|why| format!("--{name} {text}: {why}")),
    };
    let since = instant("since", &args.since)?.unwrap_or(DateTime::UNIX_EPOCH);
    let until = instant("until", &args.until)?.unwrap_or(DateTime::<Utc>::MAX_UTC);
    if since > until {
        return Err("--since is later than --until: nothing lies between".into());
    }
    Ok(Filter {
        plan: args.plan.clone(),
        instance: args.instance.clone(),
        since,
        until,
        outcome: args.outcome.as_deref().and_then(Outcome::parse),
        limit: usize::try_from(args.limit).unwrap_or(usize::MAX),
    })
}

/// Prints the runs that fit, oldest first.
#[must_use]
pub fn run(args: &HistoryArgs) -> u8 {
    let loaded = match open_read_only::load_what_is_good(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let filter = match filter(args, Clock::Wall.now()) {
        Ok(filter) => filter,
        Err(why) => {
            complain(&why);
            return WRONG;
        }
    };
    let journal = match open_read_only::journal(&loaded.settings) {
        Ok(Some(journal)) => journal,
        Ok(None) => {
            let dir = loaded.settings.daemon.state_dir.display();
            return complain(&format!("no journal in {dir}: nothing has run yet"));
        }
        Err(why) => return complain(&why),
    };
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return complain(&why),
    };
    let runs = match runtime.block_on(read(&journal, &filter)) {
        Ok(runs) => runs,
        Err(e) => return complain(&e.to_string()),
    };
    args.output.print(&History { runs, short: args.short })
}
