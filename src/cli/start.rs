//! Opens everything that an engine needs, in the order in which it may be refused: configuration, state directory,
//! lock, machine, installation, journal, cloud.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Clock;
use crate::cloud::aws::AwsCloud;
use crate::cloud::governed::{Backend as CloudBackend, Governed};
use crate::cloud::sim::{Fleet, SimCloud};
use crate::config::{Backend, DaemonInstance, Loaded, LogFormat, Settings};
use crate::domain::machine::OwnMachine;
use crate::engine::installation::{self, InstallationFile, Verdict};
use crate::engine::machine::MachineProbe;
use crate::engine::shared::{Listener, Shared};
use crate::journal::sqlite::{FILE as JOURNAL, Replaced, SqliteJournal};
use crate::report::format::{self, Format};

/// The lock's file in the state directory: whoever holds it runs the engine.
const LOCK: &str = "lock";
/// A fleet of the user's own for `backend = "sim"`, in the configuration directory.
const FLEET: &str = "fleet.json";
/// What a state directory needs.
const WRITABLE: &str = "the user that runs stillframe must own the directory, and its file system must be writable";
/// This machine's clock is compared with AWS's at least this often.
const CLOCK_WATCH: Duration = Duration::from_secs(300);
/// Instance metadata is asked again this often until it answers.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The runtime of every command: one thread, as in simulation.
///
/// # Errors
/// The runtime cannot be made.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| format!("no tokio runtime: {e}"))
}

/// Logs to stderr as the settings say.
pub fn logs(settings: &Settings) {
    use std::io::IsTerminal as _;
    let terminal = std::io::stderr().is_terminal();
    let json = match settings.log.format {
        Some(format) => format == LogFormat::Json,
        None => !terminal,
    };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    format::install(Format { daemon: settings.daemon.name.clone(), json, colour }, settings.log.level.as_str());
}

/// Makes the state directory if it is not there.
///
/// # Errors
/// It cannot be made.
pub fn state_dir(settings: &Settings) -> Result<&Path, String> {
    let dir = &settings.daemon.state_dir;
    std::fs::create_dir_all(dir).map_err(|e| {
        let shown = dir.display();
        if dir.is_file() {
            return format!("the state directory {shown} is a file: move it away, or set daemon.state_dir");
        }
        format!("cannot make the state directory {shown}: {e}; make it, or set daemon.state_dir; {WRITABLE}")
    })?;
    Ok(dir)
}

/// The journal of a state directory that commands read beside the daemon, or nothing if there is none yet.
///
/// # Errors
/// It cannot be read; the text says what to do.
pub fn reader(state_dir: &Path) -> Result<Option<SqliteJournal>, String> {
    let path = state_dir.join(JOURNAL);
    match path.try_exists() {
        Ok(true) => SqliteJournal::read_only(state_dir).map(Some).map_err(|e| e.to_string()),
        Ok(false) => Ok(None),
        Err(_) if state_dir.is_file() => {
            Err(format!("the state directory {} is a file: set daemon.state_dir", state_dir.display()))
        }
        Err(e) => Err(format!(
            "cannot look for the journal {}: {e}; run this command as the user that runs stillframe, or as root",
            path.display()
        )),
    }
}

/// The lock, if nobody else holds it. It is free again when the process ends, however that happens.
///
/// # Errors
/// The file cannot be opened or locked at all.
pub fn lock(state_dir: &Path) -> Result<Option<File>, String> {
    let path = state_dir.join(LOCK);
    let oops = |e: std::io::Error| match e.kind() {
        ErrorKind::StorageFull => {
            format!("cannot make the lock {}: {e}; free space in its file system", path.display())
        }
        _ => format!("cannot open the lock {}: {e}; {WRITABLE}", path.display()),
    };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(oops)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(e)) => Err(oops(e)),
    }
}

/// Everything opened.
pub struct Opened {
    /// What the engine's tasks share.
    pub shared: Rc<Shared>,
    /// The journal, for those who follow it.
    pub journal: Rc<SqliteJournal>,
    /// The lock, held until this is dropped.
    pub lock: File,
    probe: Option<(MachineProbe, InstallationFile)>,
}

/// Why the engine does not start.
pub enum Refused {
    /// Said, and done with.
    Failed(String),
    /// The state directory belongs elsewhere: do nothing, and alarm until a person takes over.
    NotOurs(String),
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// Opens all that an engine needs.
///
/// # Errors
/// [`Refused`].
pub async fn open(
    config_dir: &Path,
    loaded: &Loaded,
    lock: File,
    take_over: bool,
    listener: Listener,
) -> Result<Opened, Refused> {
    let settings = &loaded.settings;
    let dir = state_dir(settings)?.to_owned();
    let clock = Clock::Wall;
    let simulated = settings.cloud.backend == Backend::Sim;
    let configured = settings.daemon.instance.as_ref().map(|own| match own {
        DaemonInstance::Id(id) => OwnMachine::Instance(id.clone()),
        DaemonInstance::None => OwnMachine::NotEc2,
    });
    let probe = (!simulated).then(|| MachineProbe::from_env(|key| std::env::var(key).ok(), configured, clock));
    let own = match &probe {
        Some(probe) => probe.probe().await,
        None => OwnMachine::NotEc2,
    };
    if let OwnMachine::Unknown(why) = &own {
        tracing::error!(
            event = "machine.unknown", reason = %why,
            "nothing is rebooted until it is known which instance this is; set daemon.instance in stillframe.toml"
        );
    }
    let machine_id = (!simulated).then(|| PathBuf::from("/etc/machine-id"));
    let (mut file, verdict) = installation::open(&dir, machine_id.as_deref(), &own, dir.join(JOURNAL).exists())?;
    // A first start owes nothing to the past. Any other one without a journal has lost it.
    let known = verdict != Verdict::Fresh || take_over;
    match verdict {
        Verdict::Same if !take_over => {}
        Verdict::Differs { why } if !take_over => return Err(Refused::NotOurs(why)),
        Verdict::Fresh if !take_over => file.create(&own)?,
        _ => file.take_over(&own, clock.now())?,
    }
    let (journal, replaced) = SqliteJournal::open_or_replace(&dir, clock.now()).map_err(|e| e.to_string())?;
    if let Some(Replaced { aside, why }) = replaced {
        tracing::error!(
            event = "journal.corrupt", reason = %why,
            "the journal was damaged and is kept as {}; a new one is rebuilt from the tags of the images in AWS. Look at \
             the disk (`dmesg`, `smartctl`); remove that file once you need it no more", aside.display()
        );
    }
    let journal = Rc::new(journal);
    let cloud = cloud(config_dir, settings, clock).await?;
    let shared = Rc::new(Shared::new(
        clock,
        cloud,
        settings.daemon.name.clone(),
        file.id().to_owned(),
        file.content().taken_over_at,
        Rc::clone(&journal) as Rc<dyn crate::journal::Journal>,
        own,
        listener,
    ));
    shared.rebuild.set(known);
    shared.took_over.set(take_over);
    Ok(Opened { shared, journal, lock, probe: probe.map(|probe| (probe, file)) })
}

async fn cloud(config_dir: &Path, settings: &Settings, clock: Clock) -> Result<Governed, String> {
    let back: Rc<dyn CloudBackend> = match settings.cloud.backend {
        Backend::Aws => Rc::new(AwsCloud::connect().await),
        Backend::Sim => {
            let path = config_dir.join(FLEET);
            let fleet = match std::fs::read_to_string(&path) {
                Ok(text) => Fleet::from_json(&text).map_err(|e| format!("{}: {e}", path.display()))?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Fleet::demo(),
                Err(e) => return Err(format!("cannot read {}: {e}", path.display())),
            };
            let dir = &settings.daemon.state_dir;
            let sim = SimCloud::open(dir, &fleet, clock);
            Rc::new(sim.map_err(|e| format!("cannot open the simulated world in {}: {e}", dir.display()))?)
        }
    };
    Ok(Governed::new(back, clock, settings.cloud.api_share))
}

impl Opened {
    /// Asks AWS now and then who we are: its answer tells whether this machine's clock is right, also while nothing runs.
    pub fn watch_clock(&self) {
        let shared = Rc::clone(&self.shared);
        self.shared.spawn(async move {
            loop {
                // A fault is said by whoever needs the answer.
                if shared.unless_drained(shared.cloud.whoami()).await.is_err()
                    || shared.pause(CLOCK_WATCH).await.is_err()
                {
                    return;
                }
            }
        });
    }

    /// Asks which machine this is until it is known, and then whether the state directory still fits it.
    pub fn keep_asking(&mut self) {
        let unknown = matches!(*self.shared.own_machine.borrow(), OwnMachine::Unknown(_));
        let Some((probe, mut file)) = self.probe.take().filter(|_| unknown) else { return };
        let shared = Rc::clone(&self.shared);
        self.shared.spawn(async move {
            loop {
                if shared.pause(ASK_AGAIN).await.is_err() {
                    return;
                }
                let own = probe.probe().await;
                if matches!(own, OwnMachine::Unknown(_)) {
                    continue;
                }
                tracing::info!(event = "machine.known", "this machine is {own:?}");
                if let Ok(Verdict::Differs { why }) | Err(why) = file.recheck(&own) {
                    tracing::error!(event = "installation.differs", reason = %why);
                    *shared.barred.borrow_mut() = Some(why);
                }
                *shared.own_machine.borrow_mut() = own;
                return;
            }
        });
    }
}
