//! `stillframe backup PLAN`: one occurrence now, through the running daemon or in this process, and wait for it.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::output::Output;
use super::signals::Signals;
use super::start::{self, Opened, Refused};
use super::{DONE, FAILED, WRONG, complain, open_read_only};
use crate::clock::Clock;
use crate::config::Loaded;
use crate::domain::event::Decision;
use crate::domain::fact::{Event, Kind, StepId};
use crate::domain::naming;
use crate::engine::context::Context;
use crate::engine::lifecycle::daemon::{Engine, Mode};
use crate::journal::sqlite::SqliteJournal;
use crate::journal::{Reader as _, Wish};
use crate::report::{logs, out};
use crate::view::run::RunDocument;

/// How often the journal is looked at for news.
const LOOK: Duration = Duration::from_millis(200);
/// The engine of this process is asked this often for what to do.
const TICK: Duration = Duration::from_millis(200);

/// Options of `stillframe backup`.
#[derive(Debug, Clone, clap::Args)]
pub struct BackupArgs {
    /// The plan's name: its file's stem
    pub plan: String,
    /// Only this instance of the plan
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
    /// Text or JSON.
    #[command(flatten)]
    pub output: Output,
}

/// Runs the plan and waits for it.
#[must_use]
pub fn run(args: &BackupArgs) -> u8 {
    let loaded = match open_read_only::load(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Err(code) = open_read_only::known_plan(&loaded, &args.config, Some(&args.plan)) {
        return code;
    }
    if let Some(id) = args.instance.as_ref().filter(|id| !is_instance(id)) {
        complain(&format!("`{id}` is not the id of an instance; write it as i-0123456789abcdef0"));
        return WRONG;
    }
    start::logs(&loaded.settings);
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return complain(&why),
    };
    match runtime.block_on(backup(args, &loaded)) {
        Ok(document) => {
            // How it ended does not depend on who reads of it.
            args.output.print(&document);
            if document.ok() { DONE } else { FAILED }
        }
        Err(why) => complain(&why),
    }
}

/// Whether it is written as the id of an instance.
fn is_instance(id: &str) -> bool {
    id.strip_prefix("i-").is_some_and(|hex| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

async fn backup(args: &BackupArgs, loaded: &Loaded) -> Result<RunDocument, String> {
    let dir = start::state_dir(&loaded.settings)?;
    let ask = |journal: &SqliteJournal| {
        let wish = Wish { plan: args.plan.clone(), instance: args.instance.clone() };
        journal.put_request(Clock::Wall.now(), "backup", &wish).map_err(|e| e.to_string())
    };
    let mut asked = None;
    loop {
        if let Some(lock) = start::lock(dir)? {
            let mut opened = match start::open(&args.config, loaded, lock, false, Box::new(logs::emit)).await {
                Ok(opened) => opened,
                Err(Refused::Failed(why) | Refused::NotOurs(why)) => return Err(why),
            };
            let differs = opened.keep_asking();
            opened.watch_files();
            let Opened { shared, journal, lock, .. } = opened;
            let request = match asked {
                Some(request) => request,
                None => ask(&journal)?,
            };
            let result = tokio::select! {
                biased;
                Refused::Failed(why) | Refused::NotOurs(why) = differs => {
                    let _ = journal.withdraw(request); // what cannot be taken back is too old for whoever finds it
                    Err(why)
                }
                result = here(&shared, &journal, loaded, request) => result,
            };
            drop(lock);
            return result;
        }
        let journal = SqliteJournal::open(dir).map_err(|e| e.to_string())?;
        let request = match asked {
            Some(request) => request,
            None => ask(&journal)?,
        };
        asked = Some(request);
        progress(&format!("the running stillframe is asked to run {}", args.plan));
        if let Some(document) = follow(&journal, request, Some(dir)).await? {
            return Ok(document);
        }
        // Whoever held the lock has gone without taking the request up.
    }
}

/// Runs the engine in this process: unfinished runs first, then the request.
async fn here(
    shared: &Rc<Context>,
    journal: &SqliteJournal,
    loaded: &Loaded,
    request: i64,
) -> Result<RunDocument, String> {
    let mut stops = Signals::stops().map_err(|e| format!("cannot listen to signals: {e}"))?;
    let (tx, mut ticks) = mpsc::channel(1);
    let engine = Engine::new(Rc::clone(shared), loaded.plans.clone(), Mode::Once { request });
    let ticking = async {
        loop {
            // Full: the engine has a tick waiting.
            let _ = tx.try_send(());
            shared.clock.sleep(TICK).await;
        }
    };
    let deadline = Duration::from_secs(loaded.settings.daemon.drain_deadline);
    let cut = async {
        stops.next().await;
        progress(
            "stopping, once the calls to AWS that are under way are answered; the run goes on when stillframe runs again",
        );
        shared.drain();
        tokio::select! {
            biased;
            () = stops.next() => {}
            () = shared.clock.sleep(deadline) => {}
        }
    };
    let following = async {
        let document = follow(journal, request, None).await;
        shared.drain();
        document.and_then(|document| document.ok_or_else(|| "the request was lost".to_owned()))
    };
    let engine = async {
        let ended = engine.run(&mut ticks, std::future::pending()).await.map_err(|e| e.to_string());
        if ended.is_err() {
            shared.drain(); // nobody is left to follow
        }
        ended
    };
    tokio::select! {
        biased;
        () = ticking => unreachable!("it ticks until it is dropped"),
        () = cut => Err("stopped with work unfinished; it goes on when stillframe runs again".into()),
        both = async { tokio::join!(engine, first_of(following, shared)) } => {
            if let Err(why) = both.0 {
                // What cannot be taken back is too old for whoever finds it later.
                let _ = journal.withdraw(request);
                return Err(why);
            }
            match both.1 {
                Some(document) => document,
                // Drained by a signal: what is known so far.
                None => so_far(journal, request).await,
            }
        }
    }
}

/// The follower's answer, or nothing if the engine drains first.
async fn first_of<T>(following: impl Future<Output = T>, shared: &Context) -> Option<T> {
    tokio::select! {
        biased;
        document = following => Some(document),
        _ = shared.unless_drained(std::future::pending::<()>()) => None,
    }
}

async fn so_far(journal: &SqliteJournal, request: i64) -> Result<RunDocument, String> {
    let found = journal.request(request).await.map_err(|e| e.to_string())?;
    match found.and_then(|r| r.run) {
        Some(run) => document(journal, &run).await,
        None => withdraw(journal, request),
    }
}

/// Takes a request back that nobody has taken up: who gave up waiting does not expect a reboot later.
fn withdraw(journal: &SqliteJournal, request: i64) -> Result<RunDocument, String> {
    Err(match journal.withdraw(request) {
        Ok(true) => "stopped before the request was taken up; nothing was begun".into(),
        Ok(false) => "stopped; the request was taken up meanwhile: see `stillframe history`".into(),
        Err(e) => format!("stopped, and the request could not be taken back: {e}"),
    })
}

/// Waits for the end of the run that a request leads to, and shows its progress. Nothing: `daemon`, whose state
/// directory this is, has gone before it took the request up.
async fn follow(
    journal: &SqliteJournal,
    request: i64,
    daemon: Option<&std::path::Path>,
) -> Result<Option<RunDocument>, String> {
    let oops = |e: crate::journal::JournalError| e.to_string();
    let mut seen = 0;
    let mut idle = 0_u32;
    loop {
        let found = journal.request(request).await.map_err(oops)?;
        let run = found.and_then(|r| r.run);
        if let Some(run) = &run {
            let events = journal.events_after(run, seen).map_err(oops)?;
            if let Some(last) = events.last() {
                seen = last.seq;
                idle = 0;
            }
            if daemon.is_some() {
                events.iter().filter_map(tell).for_each(|line| progress(&line));
            }
            let (plan, due) = naming::parse_run_name(run).ok_or_else(|| format!("`{run}` is not a run"))?;
            let decided = journal.occurrence(plan, due).await.map_err(oops)?;
            let ended = events.iter().any(|e| e.kind() == Kind::RunFinished);
            if ended || decided.is_some_and(|o| o.decision != Decision::Run) {
                return document(journal, run).await.map(Some);
            }
        }
        idle += 1;
        // A daemon that died holds no lock any more.
        if idle.is_multiple_of(25)
            && let Some(dir) = daemon
            && start::lock(dir)?.is_some()
        {
            return match run {
                Some(run) => document(journal, &run).await.map(Some),
                None => Ok(None),
            };
        }
        Clock::Wall.sleep(LOOK).await;
    }
}

async fn document(journal: &SqliteJournal, run: &str) -> Result<RunDocument, String> {
    let (plan, due) = naming::parse_run_name(run).ok_or_else(|| format!("`{run}` is not a run"))?;
    let occurrence = journal.occurrence(plan, due).await.map_err(|e| e.to_string())?;
    let occurrence = occurrence.ok_or_else(|| format!("{run} is not in the journal"))?;
    let events = journal.events_of(run).await.map_err(|e| e.to_string())?;
    Ok(RunDocument::of(&occurrence, &events))
}

/// A line of progress for an event worth one.
fn tell(event: &Event) -> Option<String> {
    let id = event.draft.subject.as_ref().map(|s| s.id.as_str()).unwrap_or_default();
    let reason = event.reason().unwrap_or_default();
    let what = match event.kind() {
        Kind::RunStarted => return Some(format!("{} began", event.draft.scope.run()?)),
        Kind::TargetSkipped => "skipped",
        Kind::SlotTaken => "is being rebooted",
        Kind::SlotFreed => "is back",
        Kind::TargetFinished => event.fact().outcome()?.as_str(),
        Kind::StepNeedsPerson | Kind::StepUnknown => "needs attention",
        Kind::StepDone if event.step() == Some(&StepId::Retain) && id.starts_with("ami-") => "deleted",
        _ => return None,
    };
    Some(format!("{id} {what}{}{reason}", if reason.is_empty() { "" } else { ": " }))
}

/// Progress is for a person who waits; a script reads the result.
fn progress(line: &str) {
    if std::io::stderr().is_terminal() {
        out::note(line);
    }
}
