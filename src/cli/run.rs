//! `stillframe run`: the daemon.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use super::signals::Stops;
use super::start::{self, Opened, Refused};
use super::{DONE, FAILED, WRONG, complain};
use crate::clock::Clock;
use crate::config::{self, Loaded};
use crate::engine::daemon::{Engine, Mode};
use crate::engine::heartbeat;
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
            eprintln!("{problems}\n\n{}", super::check::summary(&problems));
            return WRONG;
        }
    };
    start::logs(&loaded.settings);
    for warning in loaded.warnings.iter() {
        tracing::warn!(event = "config.warning", reason = %warning.to_string().trim_end());
    }
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return complain(&why),
    };
    runtime.block_on(serve(args, &loaded))
}

async fn serve(args: &RunArgs, loaded: &Loaded) -> u8 {
    let mut stops = match Stops::new() {
        Ok(stops) => stops,
        Err(e) => return complain(&format!("cannot listen to signals: {e}")),
    };
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
    match opened {
        Ok(opened) => work(opened, loaded, stops).await,
        Err(Refused::Failed(why)) => {
            tracing::error!(event = "daemon.refused", reason = %why);
            FAILED
        }
        Err(Refused::NotOurs(why)) => idle(&why, &mut stops).await,
    }
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
async fn idle(why: &str, stops: &mut Stops) -> u8 {
    loop {
        tracing::error!(event = "installation.differs", reason = %why, "this daemon does nothing");
        tokio::select! {
            biased;
            () = stops.next() => return DONE,
            () = Clock::Wall.sleep(REMIND) => {}
        }
    }
}

async fn work(mut opened: Opened, loaded: &Loaded, mut stops: Stops) -> u8 {
    let (tx, mut ticks) = mpsc::channel(1);
    let beat = match heartbeat::start(tx).await {
        Ok(beat) => beat,
        Err(why) => return complain(&why),
    };
    opened.keep_asking();
    let shared = opened.shared;
    let engine = Engine::new(std::rc::Rc::clone(&shared), loaded.plans.clone(), Mode::Daemon);
    let deadline = Duration::from_secs(loaded.settings.daemon.drain_deadline);
    let patience = async {
        stops.next().await;
        tracing::info!(
            event = "daemon.draining",
            "stopping at the next journal boundary; a second signal stops at once"
        );
        shared.drain();
        tokio::select! {
            biased;
            () = stops.next() => "a second signal",
            () = shared.clock.sleep(deadline) => "the drain deadline is over",
        }
    };
    let code = tokio::select! {
        biased;
        ended = engine.run(&mut ticks, std::future::pending()) => match ended {
            Ok(()) if shared.fenced() => FAILED,
            Ok(()) => DONE,
            Err(e) => {
                tracing::error!(event = "daemon.failed", reason = %e);
                FAILED
            }
        },
        why = patience => {
            tracing::warn!(event = "daemon.cut", reason = why, "stopped with work unfinished; it goes on at the next start");
            FAILED
        }
    };
    beat.stop().await;
    drop(opened.lock);
    code
}
