//! A life as data: a fleet, plans, and moves, each at a second of awake time. The same plot gives the same life.

use std::fmt;

use stillframe::domain::evidence::Lags;
use stillframe::domain::plan::Plan;
use stillframe::sim::Fleet;

use super::people::Deed;
use super::weather::Weather;

/// What the daemon's own machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// No instance.
    Elsewhere,
    /// The so-manieth instance of the fleet, and it knows.
    Known(usize),
    /// That one, and it cannot find out.
    Unknown(usize),
}

/// What of a thing cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// The state of an instance is a word that nobody knows.
    Instance,
    /// That of an image.
    ImageState,
    /// An image bears no CreationDate.
    Undated,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Move {
    /// AWS is like this for a while.
    Weather(Weather),
    /// The process dies at a write of its journal: so many from now, before or after it.
    DiesAt { writes: u32, before: bool },
    /// It dies right after the next image was deregistered, before it can write that.
    DiesAtRemoval,
    /// It dies at once.
    Killed,
    /// It is asked to stop, and is away for so many seconds.
    Stopped { away: u64 },
    /// The journal's disk is full, from so many writes on.
    DiskFull { after: u32 },
    /// There is space again.
    DiskFreed,
    /// The journal is lost, after a stop or a crash.
    JournalLost { stopped: bool },
    /// The whole state directory is lost.
    StateLost,
    /// A person takes over.
    TakenOver,
    /// It dies, and the last transactions that the disk had acknowledged are gone.
    DiskLied { lost: usize },
    /// It dies, and somebody puts back the journal as it was so many transactions ago.
    Restored { lost: usize },
    /// Another configuration.
    Reloaded(Vec<Plan>),
    /// A configuration that is refused.
    BadFile,
    /// A person asks for a backup of a plan, perhaps of one instance.
    Asked { plan: usize, instance: Option<usize> },
    /// Somebody sets the daemon's clock, by so many seconds.
    ClockSet(i64),
    /// The clock is set right.
    ClockRight,
    /// The machine sleeps for so many seconds.
    Slept(i64),
    /// Nothing happens until right before the next plan is due; the daemon is awake, asleep or stopped meanwhile.
    Night { stopped: bool },
    /// A second process by mistake.
    Twin,
    /// Another installation of our name makes an image.
    OtherInstallation { instance: usize },
    /// The daemon finds out on which machine it runs.
    FoundHome,
    /// Somebody disables, or enables, the so-manieth key.
    Key { nth: usize, enabled: bool },
    /// The role of the other account may not do this any more, or everything again.
    Role { denied: Option<&'static str> },
    /// AWS tells of the so-manieth instance, or of our so-manieth image from the newest on, what nobody can read.
    Odd { nth: usize, what: Oddity },
    /// Everything can be read again.
    Plain,
    /// The lists of this API leave out all that they should show, for so many seconds.
    Omits { api: &'static str, lasts: u64 },
    /// The images of the so-manieth instance name none of their snapshots while they are pending, or have failed.
    Unnamed { nth: usize },
    /// A person deregisters the newest of our images, and leaves its snapshots.
    NewestRemoved,
    /// The so-manieth of our images names a snapshot that is somebody else's.
    Forged { nth: usize },
    /// A person does something.
    Deed(Deed),
    /// Breaks a promise that there is not, if anything was restarted before: to try the shrinker with.
    Planted,
}

impl Move {
    /// Its name in the figures.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Weather(_) => "weather",
            Self::DiesAt { .. } => "deaths at a record",
            Self::DiesAtRemoval => "deaths at a removal",
            Self::Killed => "kills",
            Self::Stopped { .. } => "stops",
            Self::DiskFull { .. } => "full disks",
            Self::DiskFreed => "disks freed",
            Self::JournalLost { .. } => "journals lost",
            Self::StateLost => "states lost",
            Self::TakenOver => "take-overs",
            Self::DiskLied { .. } => "disks that lied",
            Self::Restored { .. } => "journals restored",
            Self::Reloaded(_) => "reloads",
            Self::BadFile => "bad files",
            Self::Asked { .. } => "requests",
            Self::ClockSet(_) => "clocks set",
            Self::ClockRight => "clocks set right",
            Self::Slept(_) => "sleeps",
            Self::Night { stopped: true } => "nights stopped",
            Self::Night { stopped: false } => "nights asleep",
            Self::Twin => "second processes",
            Self::OtherInstallation { .. } => "other installations",
            Self::FoundHome => "homes found",
            Self::Key { enabled: false, .. } => "keys disabled",
            Self::Key { enabled: true, .. } => "keys enabled",
            Self::Role { denied: Some(_) } => "roles denied",
            Self::Role { denied: None } => "roles allowed",
            Self::Odd { .. } => "oddities",
            Self::Plain => "oddities over",
            Self::Omits { .. } => "omissions",
            Self::Unnamed { .. } => "images that name nothing",
            Self::Forged { .. } => "forged mappings",
            Self::NewestRemoved => "newest images removed",
            Self::Deed(_) => "deeds",
            Self::Planted => "planted",
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weather(weather) => write!(f, "{weather}"),
            Self::DiesAt { writes, before } => {
                let side = if *before { "before" } else { "after" };
                write!(f, "the process dies {side} the write of its journal that is {writes} from now")
            }
            Self::Stopped { away } => write!(f, "it is stopped, for {away} s"),
            Self::DiskFull { after } => write!(f, "the disk is full, {after} writes from now"),
            Self::JournalLost { stopped } => {
                write!(f, "the journal is lost, after a {}", if *stopped { "stop" } else { "crash" })
            }
            Self::DiskLied { lost } => write!(f, "it dies, and {lost} acknowledged transactions are gone"),
            Self::Restored { lost } => write!(f, "it dies, and the journal of {lost} transactions ago is put back"),
            Self::Reloaded(plans) => {
                let names: Vec<String> = plans.iter().map(|p| format!("{p:?}")).collect();
                write!(f, "reload: {}", names.join("; "))
            }
            Self::Asked { plan, instance } => write!(f, "a person asks for plan {plan}, instance {instance:?}"),
            Self::ClockSet(by) => write!(f, "the daemon's clock is set by {by} s"),
            Self::Slept(by) => write!(f, "the machine sleeps for {by} s"),
            Self::OtherInstallation { instance } => write!(f, "another installation images instance {instance}"),
            Self::Key { nth, enabled } => {
                write!(f, "key {nth} is {}", if *enabled { "enabled" } else { "disabled" })
            }
            Self::Role { denied: Some(what) } => write!(f, "the role of the other account may not {what}"),
            Self::Odd { nth, what } => write!(f, "{what:?} {nth} cannot be read"),
            Self::Omits { api, lasts } => write!(f, "{api} leaves everything out for {lasts} s"),
            Self::Unnamed { nth } => write!(f, "images of instance {nth} name no snapshots until they are there"),
            Self::Forged { nth } => write!(f, "image {nth} of ours names somebody else's snapshot"),
            Self::Deed(deed) => write!(f, "{deed}"),
            other => write!(f, "{}", other.name()),
        }
    }
}

/// A whole life.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    pub seed: u64,
    pub fleet: Fleet,
    pub plans: Vec<Plan>,
    pub home: Home,
    /// Seconds between two ticks.
    pub tick: u64,
    /// A process that died is started again after so many seconds.
    pub down: u64,
    /// Each at a second of awake time, in order.
    pub moves: Vec<(u64, Move)>,
    /// The trouble ends then.
    pub end: u64,
    /// One more occurrence after all trouble.
    pub encore: bool,
    /// Plans copy or share.
    pub afar: bool,
    /// How far status checks may be behind, as far as the daemon knows.
    pub lags: Lags,
    /// They are further behind than that.
    pub beyond: bool,
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, fleet, plans, home, tick, down, moves, end, encore, afar: _, lags, beyond } = self;
        let json = serde_json::to_string(fleet).unwrap_or_default();
        writeln!(f, "seed {seed}, home {home:?}, a tick each {tick} s, down {down} s, until {end} s, encore {encore}")?;
        writeln!(f, "lags {lags:?}{}", if *beyond { ", and AWS lags beyond" } else { "" })?;
        writeln!(f, "fleet: {json}")?;
        for plan in plans {
            writeln!(f, "plan: {plan:?}")?;
        }
        for (at, what) in moves {
            writeln!(f, "{at:6} s: {what}")?;
        }
        Ok(())
    }
}
