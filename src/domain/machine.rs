//! Which machine the daemon runs on, as far as it is known. Promise: it never reboots that one.

/// The daemon's own machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnMachine {
    /// Certainly no EC2 instance (or the simulated world): nothing to protect.
    NotEc2,
    /// This instance.
    Instance(String),
    /// It looks like EC2 but its id is unknown, for this reason: no instance is rebooted.
    Unknown(String),
}

impl OwnMachine {
    /// Why `instance` must not be rebooted, if it must not.
    #[must_use]
    pub fn forbids(&self, instance: &str) -> Option<String> {
        match self {
            Self::Instance(own) if own == instance => Some("the daemon itself runs on it".into()),
            Self::Unknown(why) => Some(format!(
                "cannot tell which instance the daemon itself runs on ({why}); set daemon.instance in stillframe.toml"
            )),
            _ => None,
        }
    }
}
