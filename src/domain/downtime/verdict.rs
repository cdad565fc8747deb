//! Whether an instance may go down now: one verdict, asked for who goes next, before each take, and right before the call.

use std::fmt;

use crate::domain::naming::rfc3339;
use crate::domain::place::Subject;
use crate::domain::plan::Seconds;
use crate::domain::prevented::{Hindrance, Prevented};
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

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Nothing may be begun at all.
    Barred(String),
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
    /// It is down already, because of another run.
    Down,
}

impl Why {
    /// What it is called where it prevents an image: nobody has chosen any of them.
    #[must_use]
    pub fn prevents(&self) -> Prevented {
        match self {
            Self::Barred(_) => Prevented::Twin,
            Self::Halted(_) => Prevented::Halted,
            Self::Window(_) => Prevented::Window,
            Self::Overslept(_) => Prevented::Overslept,
            Self::Stuck(_) | Self::Slot => Prevented::Slot,
            Self::Down => Prevented::NotBack,
        }
    }

    /// As what keeps something from being begun.
    #[must_use]
    pub fn hindrance(&self) -> Hindrance {
        Hindrance::of(self.prevents(), self.to_string())
    }
}

/// In words for people.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Barred(why) | Self::Halted(why) | Self::Overslept(why) | Self::Stuck(why) => f.write_str(why),
            Self::Window(window) => write!(f, "the window of {window} s after due is over"),
            Self::Slot => f.write_str("as many are down as may be at once"),
            Self::Down => f.write_str("it is not back in service since another run"),
        }
    }
}

/// What is asked of a run, whoever goes down. Nothing here is looked up.
#[derive(Debug, Clone)]
pub struct Gates<'a> {
    /// The plan.
    pub plan: &'a str,
    /// So many may be down at once.
    pub max_in_flight: u32,
    /// Whether the plan halts for who is overdue.
    pub halts: bool,
    /// The window, if it is over.
    pub window_over: Option<Seconds>,
    /// Why nothing may be begun.
    pub barred: Option<String>,
    /// Why nothing more may be rebooted in the run.
    pub overslept: Option<String>,
}

impl Gates<'_> {
    /// Why nobody of the run may go down any more.
    #[must_use]
    pub fn closed(&self, slots: &Slots) -> Option<Why> {
        let barred = self.barred.clone().map(Why::Barred);
        let window = || self.window_over.map(Why::Window);
        let overslept = || self.overslept.clone().map(Why::Overslept);
        barred.or_else(|| self.halted(slots)).or_else(window).or_else(overslept)
    }

    fn halted(&self, slots: &Slots) -> Option<Why> {
        let (subject, down) = slots.halted_by(self.plan).filter(|_| self.halts)?;
        let since = rfc3339(down.since);
        Some(Why::Halted(format!("the plan halts: {} is not back in service since {since}", subject.id)))
    }

    /// Why no slot can be waited for: instances that are overdue hold as many as the plan allows.
    #[must_use]
    pub fn stuck(&self, slots: &Slots) -> Option<Why> {
        let (subject, down) = slots.late().next()?;
        let since = rfc3339(down.since);
        (slots.late().count() >= self.max_in_flight as usize).then(|| {
            let (id, run) = (&subject.id, &down.run);
            Why::Stuck(format!("no slot will be free: {id} ({run}) is not back in service since {since}"))
        })
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The instance.
    pub subject: &'a Subject,
    /// Its run: its own slot does not count against it.
    pub run: &'a str,
    /// Who is down.
    pub slots: &'a Slots,
    /// What is asked of the run.
    pub gates: Gates<'a>,
}

/// Whether it may go down now.
#[must_use]
pub fn may_go_down(asked: &Asked<'_>) -> Verdict {
    let Asked { subject, run, slots, gates } = asked;
    if let Some(why) = gates.closed(slots) {
        return Verdict::No(why);
    }
    match slots.get(subject) {
        Some(down) if down.run == *run => Verdict::Go,
        _ if gates.stuck(slots).is_some() => gates.stuck(slots).map_or(Verdict::Go, Verdict::No),
        _ if !slots.room(gates.max_in_flight) => Verdict::Wait(Why::Slot),
        Some(_) => Verdict::Wait(Why::Down),
        None => Verdict::Go,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::place::Place;
    use crate::domain::rollout::Down;

    fn subject(n: u32) -> Subject {
        Place::new("111111111111", "eu-central-1").subject(&format!("i-{n}"))
    }

    /// Who is down: instance, plan, overdue, halts.
    type Downs = [(u32, &'static str, bool, bool)];

    fn slots(down: &Downs) -> Slots {
        let mut slots = Slots::default();
        for (n, plan, overdue, halts) in down {
            let (run, since) = (format!("{plan}@x"), DateTime::UNIX_EPOCH);
            let down = Down { run, plan: (*plan).to_owned(), since, overdue: *overdue, halts: *halts };
            slots.take(subject(*n), down);
        }
        slots
    }

    fn gates(max_in_flight: u32) -> Gates<'static> {
        Gates { plan: "web", max_in_flight, halts: true, window_over: None, barred: None, overslept: None }
    }

    #[test]
    fn who_may_go_down() {
        let own = [(1, "web", false, false)];
        let other = [(2, "db", false, false)];
        let late = [(2, "db", true, false)];
        let halting = [(2, "web", true, true)];
        let barred = Gates { barred: Some("twin".into()), ..gates(9) };
        let over = Gates { window_over: Some(60), ..gates(9) };
        let slept = Gates { overslept: Some("slept".into()), ..gates(9) };
        let goes_on = Gates { halts: false, ..gates(9) };
        let table: [(&str, &Downs, Gates<'_>, &str); 14] = [
            ("nobody is down", &[], gates(1), "go"),
            ("another one is", &other, gates(1), "wait as many"),
            ("there is room beside it", &other, gates(2), "go"),
            ("its own slot is its own", &own, gates(1), "go"),
            ("down for another run", &[(1, "db", false, false)], gates(2), "wait it is not back"),
            ("no slot will be free", &late, gates(1), "no no slot"),
            ("its own slot waits for none", &[(1, "web", false, false), (2, "db", true, false)], gates(1), "go"),
            ("one is late, and there is room", &late, gates(2), "go"),
            ("the plan halts", &halting, gates(9), "no the plan halts: i-2"),
            ("another plan halts", &[(2, "db", true, true)], gates(9), "go"),
            ("it goes on all the same", &halting, goes_on, "go"),
            ("barred", &[], barred, "no twin"),
            ("over, with its own slot", &own, over, "no the window of 60 s"),
            ("overslept", &[], slept, "no slept"),
        ];
        for (what, down, gates, expected) in table {
            let slots = slots(down);
            let verdict = may_go_down(&Asked { subject: &subject(1), run: "web@x", slots: &slots, gates });
            let word = match verdict {
                Verdict::Go => "go".to_owned(),
                Verdict::Wait(why) => format!("wait {why}"),
                Verdict::No(why) => format!("no {why}"),
            };
            assert!(word.starts_with(expected), "{what}: {word}");
        }
    }
}
