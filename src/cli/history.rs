//! `stillframe history`: what ran, and how it ended. Reads the journal beside a running daemon, and after it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::{WRONG, complain, instant, open_read_only, paint, start};
use crate::clock::Clock;
use crate::domain::event::Outcome;
use crate::domain::fact::{Event, StepId};
use crate::domain::place::Subject;
use crate::journal::{Answer, Reader};
use crate::report::document::{self, RunDocument};

/// So many occurrences are read at once while those that are asked for are looked for.
const AT_ONCE: u32 = 200;

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
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Only this plan.
    pub plan: Option<String>,
    /// Only this instance.
    pub instance: Option<String>,
    /// Due then or later.
    pub since: DateTime<Utc>,
    /// Due then or earlier.
    pub until: DateTime<Utc>,
    /// How the run, or the instance in it, ended.
    pub outcome: Option<Outcome>,
    /// At most so many.
    pub limit: usize,
}

impl Filter {
    fn of(args: &HistoryArgs, now: DateTime<Utc>) -> Result<Self, String> {
        let instant = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => instant::instant_or_ago(text, now).map(Some).map_err(|why| format!("--{name} {text}: {why}")),
        };
        let since = instant("since", &args.since)?.unwrap_or(DateTime::UNIX_EPOCH);
        let until = instant("until", &args.until)?.unwrap_or(DateTime::<Utc>::MAX_UTC);
        if since > until {
            return Err("--since is later than --until: nothing lies between".into());
        }
        Ok(Self {
            plan: args.plan.clone(),
            instance: args.instance.clone(),
            since,
            until,
            outcome: args.outcome.as_deref().and_then(Outcome::parse),
            limit: usize::try_from(args.limit).unwrap_or(usize::MAX),
        })
    }

    /// The run as it is shown, if it fits.
    fn fits(&self, document: RunDocument) -> Option<RunDocument> {
        let outcome = match &self.instance {
            Some(instance) => document.outcome_of(instance)?,
            None => document.outcome,
        };
        self.outcome.is_none_or(|wanted| wanted.as_str() == outcome).then_some(document)
    }

    /// The events that tell of what is asked for: with an instance, those of others are left out.
    fn events(&self, events: Vec<Event>) -> Vec<Event> {
        let Some(instance) = &self.instance else { return events };
        let other = |s: &Subject| s.id.starts_with("i-") && s.id != *instance;
        let own: Vec<Event> = events.into_iter().filter(|e| !e.draft.subject.as_ref().is_some_and(other)).collect();
        // Its series is what the verdicts speak of; other images and their snapshots are other instances'.
        let mut named: BTreeSet<String> = RunDocument::verdicts_of(&own).into_iter().map(|v| v.image).collect();
        // So is the image that was made of it, with its copies.
        let made = own.iter().filter(|e| e.draft.subject.as_ref().is_some_and(|s| s.id == *instance));
        named.extend(made.filter_map(|e| e.fact().image()).map(str::to_owned));
        let copies = own.iter().filter(|e| e.draft.subject.as_ref().is_some_and(|s| named.contains(&s.id)));
        let copies: Vec<String> = copies.filter_map(|e| e.fact().image()).map(str::to_owned).collect();
        named.extend(copies);
        let intents = own.iter().filter(|e| e.draft.subject.as_ref().is_some_and(|s| named.contains(&s.id)));
        let mut kept: BTreeSet<String> = intents.flat_map(|e| e.fact().snapshots()).cloned().collect();
        kept.extend(named);
        kept.insert(instance.clone());
        own.into_iter().filter(|e| e.draft.subject.as_ref().is_none_or(|s| kept.contains(&s.id))).collect()
    }
}

/// Prints the runs that fit, oldest first.
#[must_use]
pub fn run(args: &HistoryArgs) -> u8 {
    let loaded = match open_read_only::load_what_is_good(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let filter = match Filter::of(args, Clock::Wall.now()) {
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
    if args.json {
        super::print(&document::history(&runs))
    } else if runs.is_empty() {
        super::print("nothing that fits has run yet\n")
    } else if args.short {
        super::print_text(&document::short(&runs, paint()))
    } else {
        super::print_text(&runs.iter().map(|run| run.text(paint())).collect::<String>())
    }
}

/// The newest runs that fit, oldest first.
///
/// # Errors
/// The journal's.
pub async fn read(journal: &dyn Reader, filter: &Filter) -> Answer<Vec<RunDocument>> {
    let open: BTreeSet<Subject> =
        journal.open_needs(&StepId::Retain).await?.into_iter().filter_map(|e| e.draft.subject).collect();
    let mut runs = Vec::new();
    let mut skip = 0;
    while runs.len() < filter.limit {
        let some =
            journal.occurrences_between(filter.plan.as_deref(), filter.since, filter.until, AT_ONCE, skip).await?;
        if some.is_empty() {
            break;
        }
        skip += AT_ONCE;
        for occurrence in some {
            if runs.len() == filter.limit {
                break;
            }
            let events = filter.events(journal.events_of(&occurrence.run()).await?);
            runs.extend(filter.fits(RunDocument::of(&occurrence, &events).as_of(&open)));
        }
    }
    runs.reverse();
    Ok(runs)
}
