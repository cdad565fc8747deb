//! A life that was cut off: what is left of it in files, and the rig that goes on from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use stillframe::cloud::port::Role;
use stillframe::domain::evidence::Lags;
use stillframe::domain::machine::OwnMachine;
use stillframe::domain::plan::Plan;
use stillframe::sim::{Fleet, World};
use tempfile::TempDir;

use super::dump;
use crate::simulation::journal::Mortal;
use crate::simulation::plot::{Home, Plot};
use crate::simulation::rig::{Rig, secs};

pub const JOURNAL: &str = "journal.sql";
const WORLD: &str = "world.json";
const LIFE: &str = "life.json";

/// What is needed to go on, beside world and journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Life {
    /// How it came about, for people.
    pub what: String,
    pub seed: u64,
    /// The world's clock.
    pub now: DateTime<Utc>,
    /// The daemon's.
    pub own_now: DateTime<Utc>,
    pub plans: Vec<Plan>,
    pub installation: String,
    pub taken_over_at: Option<DateTime<Utc>>,
    /// The next start is a take-over.
    pub takes_over: bool,
    machine: Machine,
    /// Seconds between two ticks, and until a process that died is started again.
    tick: u64,
    down: u64,
    visible_within: u64,
    lags: SavedLags,
    roles: Vec<SavedRole>,
    /// When the journal was lost last: each start looks whether it has to be rebuilt.
    pub lost: Option<DateTime<Utc>>,
    /// What the watch over the promises must know: journals that were lost, a disk that lied, a clock that was wrong,
    /// status checks that lag further than the daemon was told, and where it lives whatever it knows.
    losses: u64,
    lied: bool,
    misled: bool,
    beyond: bool,
    /// DeregisterImage leaves the snapshots where they are.
    leaves_snapshots: bool,
    /// At rest each plan runs once more.
    once_more: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Machine {
    NotEc2,
    Instance(String),
    Unknown(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedLags {
    status: u64,
    shutdown: u64,
    trust_snapshot_time: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedRole {
    account: String,
    arn: String,
    external_id: Option<String>,
    session: String,
}

impl Life {
    /// What is left of a life that a rig has lived.
    pub fn of(rig: &Rig, what: &str, seed: u64, down: u64) -> Self {
        let lags = rig.lags;
        Self {
            what: what.to_owned(),
            seed,
            now: rig.clock.now(),
            own_now: rig.own_now(),
            plans: rig.plans.clone(),
            installation: rig.installation.clone(),
            taken_over_at: rig.taken_over_at,
            takes_over: rig.takes_over,
            machine: match rig.own_machine.clone() {
                OwnMachine::NotEc2 => Machine::NotEc2,
                OwnMachine::Instance(id) => Machine::Instance(id),
                OwnMachine::Unknown(why) => Machine::Unknown(why),
            },
            tick: rig.tick.as_secs(),
            down,
            visible_within: rig.visible_within.as_secs(),
            lags: SavedLags {
                status: lags.status.as_secs(),
                shutdown: lags.shutdown.as_secs(),
                trust_snapshot_time: lags.trust_snapshot_time,
            },
            roles: rig.roles.iter().cloned().map(SavedRole::from).collect(),
            lost: rig.lost,
            losses: rig.watch.figures.borrow().losses,
            lied: rig.watch.lied.get(),
            misled: rig.watch.misled.get(),
            beyond: rig.watch.beyond.get(),
            leaves_snapshots: rig.script.leaves_snapshots.get(),
            // What plans copied and shared is taken back by their next run.
            once_more: !rig.roles.is_empty(),
        }
    }

    /// A rig in `world` that is not started yet.
    pub fn rig(&self, world: World, journal: Mortal) -> Rig {
        fastrand::seed(self.seed);
        let mut rig = Rig::in_world(world, self.now, journal, self.plans.clone());
        let own = rig.clock.movable();
        own.move_by(self.own_now - self.now);
        rig.own_clock = Some(own);
        rig.clock_told = true;
        rig.installation.clone_from(&self.installation);
        rig.taken_over_at = self.taken_over_at;
        rig.takes_over = self.takes_over;
        rig.own_machine = match self.machine.clone() {
            Machine::NotEc2 => OwnMachine::NotEc2,
            Machine::Instance(id) => OwnMachine::Instance(id),
            Machine::Unknown(why) => OwnMachine::Unknown(why),
        };
        rig.tick = secs(self.tick);
        rig.visible_within = secs(self.visible_within);
        rig.lags = self.lags();
        rig.roles = self.roles.iter().cloned().map(Role::from).collect();
        rig.lost = self.lost;
        rig.watch.figures.borrow_mut().losses = self.losses;
        rig.watch.lied.set(self.lied);
        rig.watch.misled.set(self.misled);
        rig.watch.beyond.set(self.beyond);
        rig.script.leaves_snapshots.set(self.leaves_snapshots);
        rig
    }

    pub fn roles(&self) -> Vec<Role> {
        self.roles.iter().cloned().map(Role::from).collect()
    }

    fn lags(&self) -> Lags {
        Lags {
            status: Duration::from_secs(self.lags.status),
            shutdown: Duration::from_secs(self.lags.shutdown),
            trust_snapshot_time: self.lags.trust_snapshot_time,
        }
    }

    /// A plot without moves: what is left of its own is that all trouble ends.
    pub fn plot(&self) -> Plot {
        Plot {
            seed: self.seed,
            fleet: Fleet::demo(),
            plans: self.plans.clone(),
            home: Home::Elsewhere,
            tick: self.tick,
            down: self.down,
            moves: Vec::new(),
            end: 0,
            encore: false,
            afar: self.once_more,
            lags: self.lags(),
            beyond: self.beyond,
        }
    }
}

impl From<Role> for SavedRole {
    fn from(Role { account, arn, external_id, session }: Role) -> Self {
        Self { account, arn, external_id, session }
    }
}

impl From<SavedRole> for Role {
    fn from(SavedRole { account, arn, external_id, session }: SavedRole) -> Self {
        Self { account, arn, external_id, session }
    }
}

/// A folder for what is thrown away: in memory, where that can be had.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory")
}

/// Writes what is left of a life into `dir`.
pub async fn save(dir: &Path, rig: &mut Rig, life: &Life) {
    rig.crash();
    let again = scratch();
    rig.journal.write_again(again.path()).await;
    let mut world = rig.world().clone();
    world.faults.clear();
    fs::create_dir_all(dir).expect("a directory");
    let write = |name: &str, text: String| fs::write(dir.join(name), text).expect("written");
    write(JOURNAL, dump::dump(again.path()));
    write(WORLD, serde_json::to_string(&world).expect("JSON") + "\n");
    write(LIFE, serde_json::to_string_pretty(life).expect("JSON") + "\n");
}

/// A life as it lies in a directory of the fixture.
pub struct Saved {
    pub life: Life,
    pub world: World,
    /// A copy of its journal, which may be written.
    pub state: TempDir,
}

impl Saved {
    pub fn read(dir: &Path) -> Self {
        let read =
            |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_else(|e| panic!("{}/{name}: {e}", dir.display()));
        let state = scratch();
        dump::load(&read(JOURNAL), state.path());
        let life = serde_json::from_str(&read(LIFE)).expect("a life");
        let world = serde_json::from_str(&read(WORLD)).expect("a world");
        Self { life, world, state }
    }
}

/// The directory of the whole fixture.
pub fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/2026-11")
}

/// Its lives, in order.
pub fn directories() -> Vec<PathBuf> {
    let entries = fs::read_dir(fixture()).expect("the fixture");
    let mut all: Vec<PathBuf> = entries.map(|e| e.expect("readable").path()).filter(|p| p.is_dir()).collect();
    all.sort();
    all
}
