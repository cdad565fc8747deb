//! Opens everything that an engine needs, in the order in which it may be refused: configuration, state directory,
//! lock, machine, installation, journal, cloud.

mod files;

use std::cell::RefCell;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::cloud::aws::AwsCloud;
use crate::cloud::governed::{Backend as CloudBackend, Governed};
use crate::cloud::port::{Caller, Read, Role};
use crate::config::{Account, Backend, DaemonInstance, Loaded, LogFormat, Settings};
use crate::domain::census::Census;
use crate::domain::machine::{ADVICE, OwnMachine, Sighting, instance_of_caller};
use crate::engine::context::{Context, Listener};
use crate::engine::host::installation::{self, InstallationFile, Verdict};
use crate::engine::host::machine::MachineProbe;
use crate::journal::sqlite::{FILE as JOURNAL, Replaced, SqliteJournal};
use crate::report::format::{self, Format};
use crate::sim::{Fleet, SimCloud};
use crate::statedir;

/// The lock's file in the state directory: whoever holds it runs the engine.
pub(super) const LOCK: &str = "lock";
/// What was last seen of the fleet, in the state directory.
const CENSUS: &str = "census.json";
/// A fleet of the user's own for `backend = "sim"`, in the configuration directory.
const FLEET: &str = "fleet.json";
/// What a state directory needs.
const WRITABLE: &str = "the user that runs stillframe must own the directory, and its file system must be writable";
/// This machine's clock is compared with AWS's at least this often.
const CLOCK_WATCH: Duration = Duration::from_secs(300);
/// At start its answer is waited for so long before anything is decided; within what counts as on time.
const CLOCK_FIRST: Duration = Duration::from_secs(20);
/// For our own ARN, where it is a witness: nothing begins before.
const CALLER_FIRST: Duration = Duration::from_secs(20);
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
    statedir::make(dir).map_err(|e| {
        let shown = dir.display();
        if dir.is_file() {
            return format!("the state directory {shown} is a file: move it away, or set daemon.state_dir");
        }
        format!("cannot make the state directory {shown}: {e}; make it, or set daemon.state_dir; {WRITABLE}")
    })?;
    Ok(dir)
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
    // `status` of a member of the group looks whether it is held.
    let file = statedir::open(&path, statedir::GROUP_READS).map_err(oops)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(e)) => Err(oops(e)),
    }
}

/// Everything opened.
pub struct Opened {
    /// What the engine's tasks share.
    pub shared: Rc<Context>,
    /// The journal, for those who follow it.
    pub journal: Rc<SqliteJournal>,
    /// The lock, held until this is dropped.
    pub lock: File,
    dir: PathBuf,
    probe: Option<(MachineProbe, Rc<RefCell<InstallationFile>>)>,
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
    let probe = probe(settings, clock);
    // A start does not wait for the metadata service; nothing begins before its answer.
    let at_hand = probe.as_ref().map_or_else(|| Some(Sighting::simulated()), MachineProbe::at_hand);
    let sighting = at_hand.unwrap_or_else(Sighting::unasked);
    let mut own = sighting.at_first_hand();
    let opening = |own: &OwnMachine| installation::open(&dir, machine_id(settings), own, dir.join(JOURNAL).exists());
    let (mut file, mut verdict) = opening(&own)?;
    if let Some(probe) = probe.as_ref().filter(|probe| probe.at_hand().is_none())
        && (take_over || matches!(verdict, Verdict::Differs { .. }))
    {
        // Here the answer decides: the instance's id counts for more than the machine-id.
        own = probe.look().await.at_first_hand();
        (file, verdict) = opening(&own)?;
    }
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
    let cloud = cloud(config_dir, settings, clock, SimCloud::open).await?;
    let shared = Rc::new(Context::new(
        clock,
        cloud,
        settings.daemon.name.clone(),
        file.id().to_owned(),
        file.content().taken_over_at,
        Rc::clone(&journal) as Rc<dyn crate::journal::Journal>,
        own,
        listener,
    ));
    shared.set_roles(settings.accounts.values().map(|account| (account.id.clone(), account.role_arn.clone())));
    shared.rebuild.set(known);
    shared.visible_within.set(Duration::from_secs(settings.cloud.visible_within));
    shared.lags.set(settings.cloud.lags());
    shared.took_over.set(take_over);
    tell_of_journal(&shared, &lock);
    keep_census(&shared, &dir);
    let file = Rc::new(RefCell::new(file));
    if settings.cloud.backend != Backend::Sim {
        bind_account(&shared, &file);
    }
    Ok(Opened { shared, journal, lock, dir, probe: probe.map(|probe| (probe, file)) })
}

/// Credentials of another account than the one that this state directory has worked in do nothing.
fn bind_account(shared: &Context, file: &Rc<RefCell<InstallationFile>>) {
    let known = file.borrow().content().account.clone();
    let file = Rc::clone(file);
    shared.bind_account(known, move |account| {
        let written = file.borrow_mut().learn_account(account);
        if let Err(why) = written {
            tracing::warn!(event = "installation.failed", reason = %why, "the account is written at the next start");
        }
    });
}

/// From now on the lock's length says whether the journal can be written: a full disk has room for that.
fn tell_of_journal(shared: &Context, lock: &File) {
    let _ = lock.set_len(0); // whoever held it before may have died while it could not
    if let Ok(lock) = lock.try_clone() {
        shared.tells_of_journal(move |sick| {
            let _ = lock.set_len(u64::from(sick)); // the log says it as well
        });
    }
}

/// From now on what is seen of the fleet lies beside the journal. What cannot be kept is seen again in an hour.
fn keep_census(shared: &Context, dir: &Path) {
    let path = dir.join(CENSUS);
    statedir::mend(&path, statedir::GROUP_READS);
    let known = census(dir).ok().flatten().unwrap_or_default();
    shared.keeps_census(known, move |census| {
        let written = statedir::text(census).and_then(|text| statedir::replace(&path, &text, statedir::GROUP_READS));
        if let Err(e) = written {
            tracing::debug!(event = "census.failed", reason = %e, "{} cannot be written", path.display());
        }
    });
}

/// What was last seen of the fleet, if anybody looked.
///
/// # Errors
/// The file cannot be read or understood.
pub(super) fn census(dir: &Path) -> Result<Option<Census>, String> {
    let path = dir.join(CENSUS);
    let cannot = |why: String| format!("cannot read {}: {why}", path.display());
    let Some(text) = statedir::read(&path).map_err(|e| cannot(e.to_string()))? else { return Ok(None) };
    statedir::parse(&text).map(Some).map_err(cannot)
}

/// What finds out which machine this is; nothing in the simulated world.
pub(super) fn probe(settings: &Settings, clock: Clock) -> Option<MachineProbe> {
    let configured = settings.daemon.instance.as_ref().map(|own| match own {
        DaemonInstance::Id(id) => OwnMachine::Instance(id.clone()),
        DaemonInstance::None => OwnMachine::NotEc2,
    });
    let simulated = settings.cloud.backend == Backend::Sim;
    (!simulated).then(|| MachineProbe::from_env(|key| std::env::var(key).ok(), configured, clock))
}

/// Where this host's own id stands; nothing in the simulated world.
pub(super) fn machine_id(settings: &Settings) -> Option<&'static Path> {
    (settings.cloud.backend != Backend::Sim).then(|| Path::new("/etc/machine-id"))
}

/// How a simulated world is opened.
type OpenSim = fn(&Path, &Fleet, Clock) -> std::io::Result<SimCloud>;

/// The back end that the settings name, governed.
pub(super) async fn cloud(
    config_dir: &Path,
    settings: &Settings,
    clock: Clock,
    open: OpenSim,
) -> Result<Governed, String> {
    let back: Rc<dyn CloudBackend> = match settings.cloud.backend {
        Backend::Aws => Rc::new(AwsCloud::connect(roles(settings)).await?),
        Backend::Sim => {
            let path = config_dir.join(FLEET);
            let fleet = match std::fs::read_to_string(&path) {
                Ok(text) => Fleet::from_json(&text).map_err(|e| format!("{}: {e}", path.display()))?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Fleet::demo(),
                Err(e) => return Err(format!("cannot read {}: {e}", path.display())),
            };
            let dir = &settings.daemon.state_dir;
            let sim = open(dir, &fleet, clock);
            let sim = sim.map_err(|e| format!("cannot open the simulated world in {}: {e}", dir.display()))?;
            Rc::new(sim.with_roles(roles(settings)))
        }
    };
    Ok(Governed::new(back, clock, settings.cloud.api_share))
}

/// The roles that `[accounts]` names, each to be assumed in a session that bears the daemon's name.
pub(super) fn roles(settings: &Settings) -> Vec<Role> {
    let role = |account: &Account| Role {
        account: account.id.clone(),
        arn: account.role_arn.clone(),
        external_id: account.external_id.as_ref().map(|id| id.reveal().to_owned()),
        session: format!("stillframe-{}", settings.daemon.name),
    };
    settings.accounts.values().map(role).collect()
}

impl Opened {
    /// Asks AWS at start who we are, and says it; and then now and then: its answer tells whether this machine's clock is
    /// right, also while nothing runs.
    pub fn watch_clock(&self) {
        let shared = Rc::clone(&self.shared);
        shared.ask_clock();
        self.shared.spawn(async move {
            // A restored or cloned host asks nobody anything.
            if shared.unless_drained(shared.machine_asked()).await.is_err() {
                return;
            }
            let mut known = None;
            let first = shared.clock.timeout(CLOCK_FIRST, shared.cloud.whoami());
            let Ok(first) = shared.unless_drained(first).await else { return };
            shared.clock_told();
            let answered = first.is_some();
            match first {
                Some(answer) => known = introduced(&shared, known, answer),
                None => unknown(&format!("no answer within {} s", CLOCK_FIRST.as_secs())),
            }
            if answered && shared.pause(CLOCK_WATCH).await.is_err() {
                return;
            }
            loop {
                // A fault is said by whoever needs the answer.
                let Ok(answer) = shared.unless_drained(shared.cloud.whoami()).await else { return };
                if answer.is_ok() {
                    known = introduced(&shared, known, answer);
                }
                if shared.pause(CLOCK_WATCH).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Asks which machine this is until it is known, and then whether the state directory still fits it. Answers why
    /// not, if the first answer says so: then nothing has begun, and nothing may.
    pub fn keep_asking(&mut self) -> impl Future<Output = Refused> + use<> {
        let (tell, differs) = oneshot::channel();
        if let Some((probe, file)) = self.probe.take() {
            self.shared.ask_machine();
            self.shared.spawn(ask(Rc::clone(&self.shared), probe, file, tell));
        }
        async move {
            match differs.await {
                Ok(why) => why,
                Err(_) => std::future::pending().await,
            }
        }
    }
}

/// Says who we are, where that is news; who we are now.
fn introduced(shared: &Context, before: Option<Caller>, answer: Read<Caller>) -> Option<Caller> {
    match answer {
        Ok(caller) => {
            shared.met(&caller);
            if before.as_ref() != Some(&caller) {
                tracing::info!(event = "caller.known", account = %caller.account, "AWS knows us as {}", caller.arn);
            }
            Some(caller)
        }
        Err(fault) => {
            unknown(&fault);
            before
        }
    }
}

fn unknown(why: &dyn std::fmt::Display) {
    tracing::warn!(
        event = "caller.unknown",
        "who we are is not known: {why}; nothing can be done before AWS answers; it is asked again"
    );
}

async fn ask(
    shared: Rc<Context>,
    probe: MachineProbe,
    file: Rc<RefCell<InstallationFile>>,
    tell: oneshot::Sender<Refused>,
) {
    let mut first = Some(tell);
    let mut caller = None;
    let mut doubted = false;
    loop {
        let sighting = probe.look().await;
        let at_first_hand = sighting.at_first_hand();
        let rechecked = file.borrow_mut().recheck(&at_first_hand);
        let refused = match rechecked {
            _ if matches!(at_first_hand, OwnMachine::Unknown(_)) => None,
            Ok(Verdict::Differs { why }) => Some(Refused::NotOurs(why)),
            Err(why) => Some(Refused::Failed(why)),
            Ok(_) => None,
        };
        match (refused, first.take()) {
            (None, _) => {}
            (Some(refused), Some(tell)) => {
                let _ = tell.send(refused); // whoever listens stops
                return;
            }
            (Some(Refused::NotOurs(why) | Refused::Failed(why)), None) => {
                tracing::error!(event = "installation.differs", reason = %why);
                shared.bar(why);
            }
        }
        // A restored or cloned host has asked nobody anything so far.
        if sighting.leaves_doubt() && caller.is_none() {
            let Ok(answer) = shared.unless_drained(shared.clock.timeout(CALLER_FIRST, shared.cloud.whoami())).await
            else {
                return;
            };
            caller = answer.and_then(Result::ok).map(|caller| instance_of_caller(&caller.arn));
        }
        let recorded = file.borrow().content().instance.clone();
        let own = sighting.verdict(recorded.as_deref(), caller.as_ref().and_then(Option::as_deref));
        match &own {
            OwnMachine::Unknown(why) if !doubted => {
                tracing::error!(event = "machine.unknown", reason = %why, "nothing is rebooted: {ADVICE}");
                doubted = true;
            }
            OwnMachine::Unknown(_) => {}
            _ if doubted => {
                tracing::info!(event = "machine.known", "this machine is {own:?}");
                doubted = false;
            }
            _ => {}
        }
        // A record or an ARN may yet be contradicted.
        let settled = !sighting.leaves_doubt() || own == OwnMachine::NotEc2 && caller.is_some();
        *shared.own_machine.borrow_mut() = own;
        shared.machine_told();
        if settled || shared.pause(ASK_AGAIN).await.is_err() {
            return;
        }
    }
}
