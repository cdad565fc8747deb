//! `stillframe run`: the daemon.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::notify::Manager;
use super::reload::{self, Reloads};
use super::signals::Signals;
use super::start::{self, Opened, Refused};
use super::{DONE, FAILED, WRONG, complain};
use crate::clock::Clock;
use crate::config::{self, Loaded};
use crate::engine::host::Host as _;
use crate::engine::host::heartbeat;
use crate::engine::lifecycle::daemon::{Engine, Mode};
use crate::report::logs;

/// A daemon that must not do anything says so this often.
const REMIND: Duration = Duration::from_secs(3600);

/// The lock is tried for so often ...
const LOCK_TRIES: u32 = 10;
/// ... at this interval.
const LOCK_WAIT: Duration = Duration::from_millis(200);

/// Options of `stillframe run`.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
    /// This host takes the place of the one that the state directory, or the images in AWS, belong to
    #[arg(long)]
    pub take_over: bool,
}

/// Runs the daemon until it is asked to stop.
#[must_use]
pub fn run(args: &RunArgs) -> u8 {
    let loaded = match config::load(&args.config, config::environment()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            super::open_read_only::wrong(&problems);
            return WRONG;
        }
    };
    start::logs(&loaded.settings);
    reload::warn(&loaded.warnings);
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return complain(&why),
    };
    runtime.block_on(serve(args, &loaded))
}

async fn serve(args: &RunArgs, loaded: &Loaded) -> u8 {
    let signals = Signals::stops().and_then(|stops| Ok((stops, Signals::reloads()?)));
    let (mut stops, mut reloads) = match signals {
        Ok(signals) => signals,
        Err(e) => return complain(&format!("cannot listen to signals: {e}")),
    };
    let manager = Rc::new(Manager::from_env());
    let lock = match lock(loaded).await {
        Ok(lock) => lock,
        Err(why) => {
            tracing::error!(event = "daemon.refused", reason = %why);
            return FAILED;
        }
    };
    let opening = start::open(&args.config, loaded, lock, args.take_over, Box::new(logs::emit));
    let opened = tokio::select! {
        biased;
        () = stops.next() => return DONE,
        opened = opening => opened,
    };
    let refused = match opened {
        Ok(opened) => {
            reload::zones(&loaded.zones);
            match work(args, opened, loaded, &manager, &mut stops, &mut reloads).await {
                End::Code(code) => return code,
                End::Refused(refused) => refused,
            }
        }
        Err(refused) => refused,
    };
    match refused {
        Refused::Failed(why) => {
            tracing::error!(event = "daemon.refused", reason = %why);
            FAILED
        }
        Refused::NotOurs(why) => idle(&why, &manager, &mut stops, &mut reloads).await,
    }
}

/// How the work ended.
enum End {
    Code(u8),
    /// Nothing was begun, and nothing may.
    Refused(Refused),
}

/// The lock, once it is free: another command may look at it for a moment.
async fn lock(loaded: &Loaded) -> Result<std::fs::File, String> {
    let dir = start::state_dir(&loaded.settings)?;
    for _ in 0..LOCK_TRIES {
        if let Some(lock) = start::lock(dir)? {
            return Ok(lock);
        }
        Clock::Wall.sleep(LOCK_WAIT).await;
    }
    Err(format!(
        "another stillframe, a daemon or a `backup`, works on {}: wait for it, or stop it first",
        dir.display()
    ))
}

/// Does nothing, and says why, until it is asked to stop.
async fn idle(why: &str, manager: &Manager, stops: &mut Signals, reloads: &mut Signals) -> u8 {
    manager.ready();
    manager.status("does nothing: the state directory belongs to another machine; see the log");
    loop {
        tracing::error!(event = "installation.differs", reason = %why, "this daemon does nothing");
        for _ in 0..REMIND.as_secs() {
            manager.alive();
            tokio::select! {
                biased;
                () = stops.next() => {
                    manager.stopping(Duration::ZERO);
                    return DONE;
                }
                () = reloads.next() => manager.ready(), // there is nothing that a new configuration could change
                () = Clock::Wall.sleep(Duration::from_secs(1)) => {}
            }
        }
    }
}

async fn work(
    args: &RunArgs,
    mut opened: Opened,
    loaded: &Loaded,
    manager: &Rc<Manager>,
    stops: &mut Signals,
    reloads: &mut Signals,
) -> End {
    let (tx, mut ticks) = mpsc::channel(1);
    let beat = match heartbeat::start(tx).await {
        Ok(beat) => beat,
        Err(why) => return End::Code(complain(&why)),
    };
    let differs = opened.keep_asking();
    opened.watch_clock();
    opened.watch_files();
    let shared = opened.shared;
    let (changes, new) = mpsc::channel(1);
    let deadline = Rc::new(Cell::new(Duration::from_secs(loaded.settings.daemon.drain_deadline)));
    let reloading = Reloads {
        dir: args.config.clone(),
        settings: RefCell::new(loaded.settings.clone()),
        deadline: Rc::clone(&deadline),
        changes,
        manager: Rc::clone(manager),
        shared: Rc::clone(&shared),
    };
    let engine = Engine::new(Rc::clone(&shared), loaded.plans.clone(), Mode::Daemon)
        .hosted(Rc::clone(manager) as Rc<_>)
        .changed_by(new);
    let patience = async {
        stops.next().await;
        tracing::info!(
            event = "daemon.draining",
            "stopping: waits up to {} s for the calls to AWS that are under way, until they are answered and recorded, and \
             for nothing else; the next start goes on with what is unfinished; a second signal stops at once",
            deadline.get().as_secs()
        );
        manager.stopping(deadline.get());
        shared.drain();
        tokio::select! {
            biased;
            () = stops.next() => "a second signal",
            () = shared.clock.sleep(deadline.get()) => "the drain deadline is over",
        }
    };
    let end = tokio::select! {
        biased;
        ended = engine.run(&mut ticks, std::future::pending()) => End::Code(match ended {
            Ok(()) if shared.fenced() => FAILED,
            Ok(()) => DONE,
            Err(e) => {
                tracing::error!(event = "daemon.failed", reason = %e);
                FAILED
            }
        }),
        why = patience => {
            tracing::warn!(event = "daemon.cut", reason = why, "stopped with work unfinished; it goes on at the next start");
            End::Code(FAILED)
        }
        refused = differs => End::Refused(refused),
        () = reloading.serve(reloads) => unreachable!("it reloads until it is dropped"),
    };
    beat.stop().await;
    drop(opened.lock);
    end
}
