//! Why an instance was not imaged although the plan wants it to be: nobody chose that, so its run has failed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::words::words;

words! {
    /// What prevented it, in one word for machines.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Prevented {
        /// The window of the occurrence is over.
        Window = "window",
        /// No slot will be free: instances that are overdue hold as many as the plan allows.
        Slot = "slot",
        /// The plan halts for an instance that is not back in service.
        Halted = "halted",
        /// It is not back in service since an earlier occurrence.
        NotBack = "not-back",
        /// The run lay still for too long, or the machine slept.
        Overslept = "overslept",
        /// This machine's clock is too far off AWS's.
        Clock = "clock",
        /// Which instance the daemon itself runs on is not known.
        Machine = "machine",
        /// Another installation works under our name, or the state directory belongs to another machine.
        Twin = "twin",
        /// The credentials are those of another account.
        Account = "account",
        /// The journal was older than the images in AWS, as after a restored disk.
        Restored = "restored",
        /// Its status checks read impaired before anything was done to it.
        Impaired = "impaired",
        /// A copy or share that the plan wants can never be made.
        Copies = "copies",
        /// AWS does not tell what must be known of its place, or of itself.
        NotListed = "not-listed",
        /// The plan lists its id, and it exists nowhere that the plan looks.
        NotFound = "not-found",
        /// Its image of an earlier occurrence is not finished, for the second time in a row.
        StillImaging = "still-imaging",
    }
}

impl Prevented {
    /// What to do, after the reason; nothing where that says it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Window => "; raise schedule.window or rollout.max_in_flight",
            Self::Slot | Self::Halted | Self::NotBack => "; bring the instance that is named back into service",
            Self::Overslept => "; keep this machine, and stillframe on it, running at that time",
            Self::Clock => "; set this machine's clock, and have it kept (chrony, systemd-timesyncd)",
            Self::NotListed => "; see why AWS does not tell, or whether a newer stillframe understands it",
            Self::NotFound => "; take it out of select.instances if it is gone for good",
            Self::Impaired => "; look at the instance: once its checks read ok, the next occurrence images it",
            Self::StillImaging => "; look at its pending image in the EC2 console",
            Self::Machine | Self::Twin | Self::Account | Self::Restored | Self::Copies => "",
        }
    }
}

/// Why something is not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindrance {
    /// In words for people.
    pub reason: String,
    /// What prevents it; nothing where it is left out on purpose.
    pub prevented: Option<Prevented>,
}

impl Hindrance {
    /// This prevents it.
    #[must_use]
    pub fn of(prevented: Prevented, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), prevented: Some(prevented) }
    }
}

/// On purpose.
impl<T: Into<String>> From<T> for Hindrance {
    fn from(reason: T) -> Self {
        Self { reason: reason.into(), prevented: None }
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
