//! Opens what a command reads: configuration, journal, installation, cloud. Makes, writes and locks nothing.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::{WRONG, start};
use crate::clock::Clock;
use crate::cloud::governed::Governed;
use crate::config::{self, Loaded, Problems, Settings};
use crate::domain::machine::{ADVICE, OwnMachine, instance_of_caller};
use crate::engine::context::account::another_account;
use crate::engine::host::installation::{self, Installation, Verdict};
use crate::journal::sqlite::{FILE as JOURNAL, SqliteJournal};
use crate::report::out;
use crate::sim::SimCloud;
use crate::statedir;

/// Says what is wrong with the configuration.
pub(super) fn wrong(problems: &Problems) {
    out::note(&format!("{problems}\n\n{}", super::check::summary(problems)));
}

/// The configuration, or what is wrong with it on stderr, and the exit code.
pub fn load(dir: &Path) -> Result<Loaded, u8> {
    config::load(dir, config::environment()).map_err(|problems| {
        wrong(&problems);
        WRONG
    })
}

/// The same for those who only look: with a plan that is wrong they say so, and show the rest.
pub fn load_what_is_good(dir: &Path) -> Result<Loaded, u8> {
    let loaded = config::load_what_is_good(dir, config::environment()).map_err(|problems| {
        wrong(&problems);
        WRONG
    })?;
    if loaded.warnings.errors() > 0 {
        wrong(&loaded.warnings);
        out::note("stillframe: shown is what the journal and the other plans say\n");
    }
    Ok(loaded)
}

/// Refuses a plan that there is not.
pub fn known_plan(loaded: &Loaded, dir: &Path, plan: Option<&str>) -> Result<(), u8> {
    let Some(plan) = plan.filter(|plan| loaded.plans.iter().all(|p| p.name != **plan)) else { return Ok(()) };
    let names: Vec<&str> = loaded.plans.iter().map(|p| p.name.as_str()).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    out::note(&format!("stillframe: no plan `{plan}` in {}; there are: {known}", dir.join("plans.d").display()));
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

/// Which machine this is, as far as it is seen at first hand, and by all witnesses, as the engine finds it out.
pub async fn machine(settings: &Settings, cloud: &Governed) -> (OwnMachine, OwnMachine) {
    let Some(probe) = start::probe(settings, Clock::Wall) else { return (OwnMachine::NotEc2, OwnMachine::NotEc2) };
    let sighting = probe.look().await;
    let at_first_hand = sighting.at_first_hand();
    let recorded = installation(settings, &at_first_hand).ok().and_then(|(content, _)| content?.instance);
    let caller = match sighting.leaves_doubt() {
        true => cloud.whoami().await.ok().and_then(|caller| instance_of_caller(&caller.arn)),
        false => None,
    };
    let own = sighting.verdict(recorded.as_deref(), caller.as_deref());
    (at_first_hand, own)
}

/// The installation, if there is one, and why it does not belong to this host, if it does not.
pub fn installation(settings: &Settings, own: &OwnMachine) -> Result<(Option<Installation>, Option<String>), String> {
    let dir = &settings.daemon.state_dir;
    let journal = dir.join(JOURNAL).exists();
    let (content, verdict) = installation::peek(dir, start::machine_id(settings), own, journal)?;
    let why = if let Verdict::Differs { why } = verdict { Some(why) } else { None };
    Ok((content, why))
}

/// What would keep every run from beginning, or from rebooting anything.
pub async fn bars(settings: &Settings, cloud: &Governed) -> Vec<String> {
    let (at_first_hand, own) = machine(settings, cloud).await;
    let (content, differs) = installation(settings, &at_first_hand).unwrap_or_else(|why| (None, Some(why)));
    let caller = cloud.whoami().await;
    let known = content.and_then(|content| content.account);
    let elsewhere = match (known, &caller) {
        (Some(known), Ok(caller)) => another_account(&known, &caller.account),
        _ => None,
    };
    // Whoever answers says what time it is.
    let clock = cloud.clock_off().filter(|_| caller.is_ok());
    let machine = match own {
        OwnMachine::Unknown(why) => Some(format!(
            "no running instance is rebooted: cannot tell which one the daemon itself runs on ({why}); {ADVICE}"
        )),
        OwnMachine::Instance(_) | OwnMachine::NotEc2 => None,
    };
    [differs, elsewhere, clock, machine].into_iter().flatten().collect()
}

/// What the lock says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lock {
    /// Whether somebody holds it.
    pub held: bool,
    /// Since when whoever holds it cannot write the journal.
    pub sick: Option<DateTime<Utc>>,
}

/// What the lock says, as far as it can be told: it is shared for a moment, which no one waits for.
pub fn lock(settings: &Settings) -> Result<Lock, String> {
    let path = settings.daemon.state_dir.join(start::LOCK);
    let cannot = |e: std::io::Error| format!("cannot look at {}: {e}", path.display());
    let Some(file) = statedir::look(&path).map_err(cannot)? else { return Ok(Lock::default()) };
    match file.try_lock_shared() {
        Ok(()) => Ok(Lock::default()),
        Err(std::fs::TryLockError::WouldBlock) => {
            let meta = file.metadata().map_err(cannot)?;
            let since = || meta.modified().map_or_else(|_| Clock::Wall.now(), DateTime::<Utc>::from);
            Ok(Lock { held: true, sick: (meta.len() > 0).then(since) })
        }
        Err(std::fs::TryLockError::Error(e)) => Err(cannot(e)),
    }
}
