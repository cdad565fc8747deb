//! `stillframe status`: what runs, what is next, how old the newest images are, what needs a person. Reads the journal
//! only, beside a running daemon and after it.

mod check;

use std::path::PathBuf;

use super::output::Output;
use super::{complain, open_read_only, start};
use crate::clock::Clock;
use crate::config::{Loaded, Settings};
use crate::domain::machine::OwnMachine;
use crate::domain::naming::rfc3339;
use crate::journal::Reader;
use crate::journal::sqlite::FILE;
use crate::view::status::{NeedsPerson, StatusDocument, gather, judge_all};

/// Options of `stillframe status`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "It reads the journal and what the daemon has listed last, beside it and after it: AWS is not asked, \
                  so an image that a person has removed is not noticed here.\n\nExit codes: 0 nothing needs a person; 1 something does \
                  (an alarm that is open, something that holds back, a plan whose newest run failed or that was skipped \
                  twice in a row, a daemon that died, a journal that cannot be written, a state directory of another \
                  host); 2 wrong usage or configuration. With --check: 0, 1, 2 and 3 as monitoring expects them."
)]
pub struct StatusArgs {
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
    /// Only this instance
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,
    /// One line for monitoring, with its exit codes: 0 well, 1 look at it, 2 somebody must act, 3 it cannot be told. A daemon
    /// that does not run is 2
    #[arg(long, conflicts_with_all = ["json", "instance"])]
    pub check: bool,
    /// With --check: nobody expects a daemon here
    #[arg(long, requires = "check")]
    pub no_daemon: bool,
    /// Text or JSON.
    #[command(flatten)]
    pub output: Output,
}

/// Prints the status.
#[must_use]
pub fn run(args: &StatusArgs) -> u8 {
    let loaded = match open_read_only::load_what_is_good(&args.config) {
        Ok(loaded) => loaded,
        Err(_) if args.check => return check::unknown("the configuration is wrong: see `stillframe check`"),
        Err(code) => return code,
    };
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(why) if args.check => return check::unknown(&why),
        Err(why) => return complain(&why),
    };
    match runtime.block_on(status(&loaded)) {
        Ok(document) if args.check => check::tell(&document, !args.no_daemon),
        Ok(mut document) => {
            if let Some(instance) = &args.instance {
                only(&mut document, instance);
            }
            args.output.tell(&document, document.ok())
        }
        Err(why) if args.check => check::unknown(&why),
        Err(why) => complain(&why),
    }
}

/// Leaves out what does not concern this instance.
fn only(document: &mut StatusDocument, instance: &str) {
    document.instances.retain(|i| i.instance == instance);
    document.debts.retain(|debt| debt.subject == instance);
    document.needs_person.retain(|need| need.subject.as_deref().is_none_or(|subject| subject == instance));
    for run in &mut document.runs {
        run.targets.retain(|target| target.instance == instance);
    }
    document.runs.retain(|run| !run.targets.is_empty());
    if document.instances.is_empty() {
        let reason = format!("{instance} is in no plan, as far as the journal knows");
        let since = document.at.clone();
        document.needs_person.push(NeedsPerson { since, run: None, subject: Some(instance.to_owned()), reason });
    }
}

async fn status(loaded: &Loaded) -> Result<StatusDocument, String> {
    let settings = &loaded.settings;
    // Before the journal is read: a daemon that starts meanwhile is not taken for one that crashed.
    let lock = open_read_only::lock(settings).ok();
    let running = lock.map(|lock| lock.held);
    let journal = open_read_only::journal(settings)?;
    let now = Clock::Wall.now();
    let path = settings.daemon.state_dir.join(FILE).display().to_string();
    let reader = journal.as_ref().map(|journal| (journal as &dyn Reader, path.as_str()));
    let mut document =
        gather(reader, &settings.daemon.name, &loaded.plans, running, now).await.map_err(|e| e.to_string())?;
    document.zones = Some(loaded.zones.clone());
    match start::census(&settings.daemon.state_dir) {
        Ok(census) => judge_all(&mut document, &census.unwrap_or_default(), &loaded.plans, now),
        Err(reason) => {
            document.needs_person.push(NeedsPerson::of_all(document.at.clone(), reason));
        }
    }
    let errors = loaded.warnings.errors();
    if errors > 0 {
        let reason = format!(
            "the configuration has {errors} error{}: a reload or a restart would refuse it; see `stillframe check`",
            if errors == 1 { "" } else { "s" }
        );
        document.needs_person.insert(0, NeedsPerson::of_all(document.at.clone(), reason));
    }
    if let Some(since) = lock.and_then(|lock| lock.sick) {
        let reason =
            "the journal cannot be written: nothing new is begun until it can; free space in the file system of the \
                      state directory, or repair it"
                .to_owned();
        document.needs_person.insert(0, NeedsPerson::of_all(rfc3339(since), reason));
    }
    if let Some(why) = not_ours(settings) {
        document.needs_person.insert(0, NeedsPerson::of_all(document.at.clone(), why));
    }
    Ok(document)
}

/// Why the state directory does not belong to this host, as far as it can be told without asking anybody.
fn not_ours(settings: &Settings) -> Option<String> {
    let own = match start::probe(settings, Clock::Wall) {
        Some(probe) => probe.configured.unwrap_or_else(|| OwnMachine::Unknown("not asked".into())),
        None => OwnMachine::NotEc2,
    };
    open_read_only::installation(settings, &own).unwrap_or_else(|why| (None, Some(why))).1
}
