//! Opens what a command reads: configuration, journal, installation, cloud. Makes, writes and locks nothing.

use std::fs::File;
use std::path::Path;

use super::{WRONG, start};
use crate::clock::Clock;
use crate::cloud::governed::Governed;
use crate::cloud::sim::SimCloud;
use crate::config::{self, Loaded, Problems, Settings};
use crate::domain::machine::OwnMachine;
use crate::engine::installation::{self, Installation, Verdict};
use crate::journal::sqlite::{FILE as JOURNAL, SqliteJournal};

/// The configuration, or what is wrong with it on stderr, and the exit code.
pub fn load(dir: &Path) -> Result<Loaded, u8> {
    config::load(dir, config::environment()).map_err(|problems| {
        eprintln!("{problems}\n\n{}", super::check::summary(&problems));
        WRONG
    })
}

/// The same for those who only look: with a plan that is wrong they say so, and show the rest.
pub fn load_what_is_good(dir: &Path) -> Result<Loaded, u8> {
    let told = |problems: &Problems| eprintln!("{problems}\n\n{}", super::check::summary(problems));
    let loaded = config::load_what_is_good(dir, config::environment()).map_err(|problems| {
        told(&problems);
        WRONG
    })?;
    if loaded.warnings.errors() > 0 {
        told(&loaded.warnings);
        eprintln!("stillframe: shown is what the journal and the other plans say\n");
    }
    Ok(loaded)
}

/// Refuses a plan that there is not.
pub fn known_plan(loaded: &Loaded, dir: &Path, plan: Option<&str>) -> Result<(), u8> {
    let Some(plan) = plan.filter(|plan| loaded.plans.iter().all(|p| p.name != **plan)) else { return Ok(()) };
    let names: Vec<&str> = loaded.plans.iter().map(|p| p.name.as_str()).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    eprintln!("stillframe: no plan `{plan}` in {}; there are: {known}", dir.join("plans.d").display());
    Err(WRONG)
}

/// The journal, if there is one.
pub fn journal(settings: &Settings) -> Result<Option<SqliteJournal>, String> {
    let dir = &settings.daemon.state_dir;
    let path = dir.join(JOURNAL);
    match path.try_exists() {
        Ok(false) => Ok(None),
        Ok(true) => SqliteJournal::read_only(dir).map(Some).map_err(|e| e.to_string()),
        Err(_) if dir.is_file() => {
            Err(format!("the state directory {} is a file: set daemon.state_dir", dir.display()))
        }
        Err(e) => Err(format!(
            "cannot look for the journal {}: {e}; run this command as the user that runs stillframe, or as root",
            path.display()
        )),
    }
}

/// The cloud, to read from. A simulated world is not saved.
pub async fn cloud(config_dir: &Path, settings: &Settings) -> Result<Governed, String> {
    start::cloud(config_dir, settings, Clock::Wall, SimCloud::peek).await
}

/// Which machine this is, found out as the engine does.
pub async fn machine(settings: &Settings) -> OwnMachine {
    match start::probe(settings, Clock::Wall) {
        Some(probe) => probe.probe().await,
        None => OwnMachine::NotEc2,
    }
}

/// The installation, if there is one, and why it does not belong to this host, if it does not.
pub fn installation(settings: &Settings, own: &OwnMachine) -> Result<(Option<Installation>, Option<String>), String> {
    let dir = &settings.daemon.state_dir;
    let journal = dir.join(JOURNAL).exists();
    let (content, verdict) = installation::peek(dir, start::machine_id(settings), own, journal)?;
    let why = if let Verdict::Differs { why } = verdict { Some(why) } else { None };
    Ok((content, why))
}

/// Whether somebody holds the lock, as far as it can be told: it is shared for a moment, which no one waits for.
pub fn locked(settings: &Settings) -> Result<bool, String> {
    let path = settings.daemon.state_dir.join(start::LOCK);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(format!("cannot look at {}: {e}", path.display())),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(e)) => Err(format!("cannot look at {}: {e}", path.display())),
    }
}
