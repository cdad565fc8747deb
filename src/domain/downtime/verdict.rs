//! Whether an instance may go down now: one verdict, asked for who goes next, before each take, and right before the call.

use std::fmt;

use crate::domain::naming::rfc3339;
use crate::domain::place::Subject;
use crate::domain::plan::Seconds;
use crate::domain::rollout::Slots;

/// Whether it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Go,
    /// Not yet: it is asked again.
    Wait(Why),
    /// Not in this run.
    No(Why),
}

/// Why not, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Another installation works under our name.
    Barred(String),
    /// The clock is off.
    Clock(String),
    /// It is the daemon's own machine, or may be.
    Machine(String),
    /// The plan halts for an instance that is not back.
    Halted(String),
    /// The window is over.
    Window(Seconds),
    /// The run lay still, or the machine slept.
    Overslept(String),
    /// Instances that are overdue hold as many slots as the plan allows.
    Stuck(String),
    /// As many are down as may be.
    Slot,
    /// It is down already.
    Down,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Barred(why)
            | Self::Clock(why)
            | Self::Machine(why)
            | Self::Halted(why)
            | Self::Overslept(why)
            | Self::Stuck(why) => f.write_str(why),
            Self::Window(window) => write!(f, "the window of {window} s after due is over"),
            Self::Slot => f.write_str("as many are down as may be at once"),
            Self::Down => f.write_str("it is not back since another run"),
        }
    }
}

/// Everything that the verdict is made of. Nothing here is asked for.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// Who.
    pub subject: &'a Subject,
    /// In which run: its own slot does not count against it.
    pub run: &'a str,
    /// Of which plan.
    pub plan: &'a str,
    /// So many may be down at once.
    pub max_in_flight: u32,
    /// Whether the plan halts for who is overdue.
    pub halts: bool,
    /// The window, if it is over.
    pub window_over: Option<Seconds>,
    /// Who is down.
    pub slots: &'a Slots,
    /// Why nothing may be begun.
    pub barred: Option<String>,
    /// Why the clock cannot be trusted.
    pub clock_off: Option<String>,
    /// Why this machine must not go down.
    pub machine: Option<String>,
    /// Why nothing more may be rebooted in the run.
    pub overslept: Option<String>,
}

/// Whether it may go down now.
#[must_use]
pub fn may_go_down(asked: &Asked<'_>) -> Verdict {
    let no = |why: Option<Why>| why.map(Verdict::No);
    let barred = || asked.barred.clone().map(Why::Barred);
    let clock = || asked.clock_off.clone().map(Why::Clock);
    let machine = || asked.machine.clone().map(Why::Machine);
    let overslept = || asked.overslept.clone().map(Why::Overslept);
    let window = || asked.window_over.map(Why::Window);
    let why = barred().or_else(clock).or_else(machine).or_else(|| halted(asked)).or_else(window).or_else(overslept);
    if let Some(verdict) = no(why) {
        return verdict;
    }
    match asked.slots.get(asked.subject) {
        Some(down) if down.run == asked.run => return Verdict::Go,
        _ => {}
    }
    if let Some(why) = stuck(asked) {
        return Verdict::No(why);
    }
    if asked.slots.is_down(asked.subject) {
        return Verdict::Wait(Why::Down);
    }
    if asked.slots.room(asked.max_in_flight) { Verdict::Go } else { Verdict::Wait(Why::Slot) }
}

fn halted(asked: &Asked<'_>) -> Option<Why> {
    let (subject, down) = asked.slots.halted_by(asked.plan).filter(|_| asked.halts)?;
    let since = rfc3339(down.since);
    Some(Why::Halted(format!("the plan halts: {} is not back in service since {since}", subject.id)))
}

/// Whether no slot can be waited for: instances that are overdue hold as many as the plan allows.
fn stuck(asked: &Asked<'_>) -> Option<Why> {
    let (subject, down) = asked.slots.late().next()?;
    let since = rfc3339(down.since);
    (asked.slots.late().count() >= asked.max_in_flight as usize).then(|| {
        let (id, run) = (&subject.id, &down.run);
        Why::Stuck(format!("no slot will be free: {id} ({run}) is not back in service since {since}"))
    })
}
