//! What holds back: not `any hold stops all`, but a table of what each one holds. A configuration that is refused is none: the
//! old one stays in force.

use super::prevented::{Hindrance, Prevented};
use super::words::words;

words! {
    /// Why something is held back.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Cause {
        /// Another installation works under our name, or this one belongs to another machine.
        NotOurs = "not_ours",
        /// The credentials are those of another account than the one that was worked in.
        OtherAccount = "other_account",
        /// The journal was lost: what is down, or due, is not known yet.
        Rebuilding = "rebuilding",
        /// This machine's clock is too far off AWS's.
        ClockOff = "clock_off",
        /// Which instance the daemon itself runs on is not known: it may be any.
        MachineUnknown = "machine_unknown",
        /// The journal cannot be written.
        JournalSick = "journal_sick",
    }
}

/// What is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Deciding what is due, or asked for.
    Decide,
    /// Taking an instance down.
    TakeDown,
    /// Deleting an image.
    Delete,
    /// Opening something: a copy, a loan, a share.
    Open,
    /// Giving back what was taken.
    GiveBack,
}

/// What holds back now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Why, in one word.
    pub cause: Cause,
    /// Only this plan, if it is not all of them.
    pub plan: Option<String>,
    /// Why, in words for people.
    pub reason: String,
}

impl Cause {
    /// What it is called where it prevents an image.
    #[must_use]
    pub fn prevents(self) -> Option<Prevented> {
        match self {
            Self::NotOurs => Some(Prevented::Twin),
            Self::OtherAccount => Some(Prevented::Account),
            Self::ClockOff => Some(Prevented::Clock),
            Self::MachineUnknown => Some(Prevented::Machine),
            // They are waited for.
            Self::Rebuilding | Self::JournalSick => None,
        }
    }

    /// Whether it holds this back.
    #[must_use]
    pub fn holds(self, act: Act) -> bool {
        match (self, act) {
            // What is another one's is not ours to give back either.
            (Self::NotOurs | Self::OtherAccount, _) => true,
            // A run that is proven to go on may take down: its own images tell who is.
            (Self::Rebuilding, Act::Decide) | (Self::ClockOff, Act::Decide | Act::TakeDown) => true,
            (Self::MachineUnknown, Act::TakeDown) => true,
            // Whatever begins writes its intent first.
            (Self::JournalSick, Act::Decide | Act::TakeDown | Act::Delete | Act::Open) => true,
            (Self::Rebuilding, Act::TakeDown | Act::Delete | Act::Open | Act::GiveBack)
            | (Self::ClockOff, Act::Delete | Act::Open | Act::GiveBack)
            | (Self::MachineUnknown, Act::Decide | Act::Delete | Act::Open | Act::GiveBack)
            | (Self::JournalSick, Act::GiveBack) => false,
        }
    }
}

impl Hold {
    /// As what keeps something from being begun.
    #[must_use]
    pub fn hindrance(self) -> Hindrance {
        Hindrance { prevented: self.cause.prevents(), reason: self.reason }
    }

    /// Whether it holds back this act of `plan`.
    #[must_use]
    pub fn holds(&self, act: Act, plan: Option<&str>) -> bool {
        self.cause.holds(act) && self.plan.as_deref().is_none_or(|only| Some(only) == plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_holds_back() {
        let acts = [Act::Decide, Act::TakeDown, Act::Delete, Act::Open, Act::GiveBack];
        let held = |cause: Cause| acts.map(|act| if cause.holds(act) { 'x' } else { '-' }).iter().collect::<String>();
        //            decide, take down, delete, open, give back
        for (cause, expected) in [
            (Cause::NotOurs, "xxxxx"),
            (Cause::OtherAccount, "xxxxx"),
            (Cause::Rebuilding, "x----"),
            (Cause::ClockOff, "xx---"),
            (Cause::MachineUnknown, "-x---"),
            (Cause::JournalSick, "xxxx-"),
        ] {
            assert_eq!(held(cause), expected, "{}", cause.as_str());
        }
    }

    #[test]
    fn one_of_a_plan_holds_no_other() {
        let hold = |plan: Option<&str>| Hold {
            cause: Cause::Rebuilding,
            plan: plan.map(str::to_owned),
            reason: String::new(),
        };
        assert!(hold(None).holds(Act::Decide, Some("web")) && hold(None).holds(Act::Decide, None));
        assert!(hold(Some("web")).holds(Act::Decide, Some("web")));
        assert!(!hold(Some("web")).holds(Act::Decide, Some("db")));
    }
}
