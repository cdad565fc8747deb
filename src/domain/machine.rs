//! Which machine the daemon runs on, and what its witnesses say. Promise: it never reboots that one.

use super::prevented::{Hindrance, Prevented};

/// The daemon's own machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnMachine {
    /// Certainly no EC2 instance (or the simulated world): nothing to protect.
    NotEc2,
    /// This instance.
    Instance(String),
    /// It may be any instance, for this reason: none is rebooted.
    Unknown(String),
}

/// What settles it where nothing else does.
pub const ADVICE: &str =
    "set daemon.instance in stillframe.toml: its instance id, or \"none\" if this machine is no EC2 instance";

impl OwnMachine {
    /// Why `instance` must not be rebooted, if it must not.
    #[must_use]
    pub fn forbids(&self, instance: &str) -> Option<Hindrance> {
        match self {
            Self::Instance(own) if own == instance => Some("the daemon itself runs on it".to_owned().into()),
            Self::Unknown(why) => {
                let why = format!("cannot tell which instance the daemon itself runs on ({why}); {ADVICE}");
                Some(Hindrance::of(Prevented::Machine, why))
            }
            Self::Instance(_) | Self::NotEc2 => None,
        }
    }
}

/// What came of asking the metadata service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// This instance's id.
    Instance(String),
    /// Somebody is there, and said something else, or nothing: this may be EC2.
    Somebody(String),
    /// Not asked, or no connection was made.
    Nobody(String),
}

/// What the firmware's tables (DMI) or the hypervisor say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hardware<'a> {
    /// This instance's id.
    Instance(&'a str),
    /// EC2, but not which instance.
    Ec2,
    /// Something else.
    Other,
    /// There are none: a container, a virtual machine without firmware, a small board.
    Absent,
}

/// Who is asked at first hand: the settings, then the metadata service, then the hardware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// What the settings say, which settles it.
    pub configured: Option<OwnMachine>,
    /// What the metadata service says.
    pub metadata: Metadata,
    /// The texts of the hardware.
    pub texts: Texts,
}

/// The texts of the hardware, trimmed; empty where there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// DMI's `board_asset_tag`: the instance id on Nitro.
    pub board_asset_tag: String,
    /// DMI's `sys_vendor`.
    pub sys_vendor: String,
    /// DMI's `bios_version`.
    pub bios_version: String,
    /// The hypervisor's uuid on Xen.
    pub hypervisor_uuid: String,
}

impl Texts {
    /// Nitro and Xen instances name themselves in DMI, paravirtual ones by the hypervisor's uuid (EC2 user guide,
    /// "Identify EC2 instances").
    fn says(&self) -> Hardware<'_> {
        let has = |text: &str, part: &str| text.to_ascii_lowercase().contains(part);
        if instance_id(&self.board_asset_tag).is_some() {
            Hardware::Instance(&self.board_asset_tag)
        } else if has(&self.sys_vendor, "amazon ec2")
            || has(&self.bios_version, "amazon")
            || self.hypervisor_uuid.to_ascii_lowercase().starts_with("ec2")
        {
            Hardware::Ec2
        } else if [&self.sys_vendor, &self.bios_version, &self.hypervisor_uuid].iter().all(|text| text.is_empty()) {
            Hardware::Absent
        } else {
            Hardware::Other
        }
    }
}

impl Sighting {
    /// Before anybody has answered.
    #[must_use]
    pub fn unasked() -> Self {
        Self { configured: None, metadata: Metadata::Somebody("it is being asked".into()), texts: Texts::default() }
    }

    /// In the simulated world.
    #[must_use]
    pub fn simulated() -> Self {
        Self {
            configured: Some(OwnMachine::NotEc2),
            metadata: Metadata::Nobody("it is not asked".into()),
            texts: Texts::default(),
        }
    }

    /// The verdict of who is asked at first hand: the binding of the state directory goes by it.
    #[must_use]
    pub fn at_first_hand(&self) -> OwnMachine {
        self.verdict(None, None)
    }

    /// Whether nobody knows it at first hand: then the others count, and it is asked again.
    #[must_use]
    pub fn leaves_doubt(&self) -> bool {
        self.configured.is_none() && !matches!(self.at_first_hand(), OwnMachine::Instance(_))
    }

    /// The verdict of all. `recorded` is the id that the state directory is bound to, `caller` the one in our ARN: both
    /// count where nobody contradicts them, but neither proves that this machine is it.
    #[must_use]
    pub fn verdict(&self, recorded: Option<&str>, caller: Option<&str>) -> OwnMachine {
        if let Some(configured) = &self.configured {
            return configured.clone();
        }
        let hardware = self.texts.says();
        match (&self.metadata, hardware) {
            (Metadata::Instance(id), _) => return OwnMachine::Instance(id.clone()),
            (_, Hardware::Instance(id)) => return OwnMachine::Instance(instance_id(id).unwrap_or_default()),
            _ => {}
        }
        match (recorded, caller) {
            (Some(recorded), Some(caller)) if recorded != caller => {
                return OwnMachine::Unknown(format!(
                    "the state directory belongs to {recorded}, and the credentials are those of {caller}"
                ));
            }
            (Some(id), _) | (None, Some(id)) => return OwnMachine::Instance(id.to_owned()),
            (None, None) => {}
        }
        match (&self.metadata, hardware) {
            (Metadata::Somebody(why), _) => OwnMachine::Unknown(format!("it may be EC2: {why}")),
            (Metadata::Nobody(_), Hardware::Other) => OwnMachine::NotEc2,
            (Metadata::Nobody(why), Hardware::Absent) => {
                OwnMachine::Unknown(format!("there is nothing to tell it by: {why}, and this machine has no DMI"))
            }
            (Metadata::Nobody(why) | Metadata::Instance(why), _) => {
                OwnMachine::Unknown(format!("it looks like EC2, but {why}, and DMI's board_asset_tag holds no id"))
            }
        }
    }
}

/// An instance id as AWS writes it, in small letters, if `text` is one: `i-` and 8 or 17 hexadecimal digits (EC2 user
/// guide, "Resource IDs").
#[must_use]
pub fn instance_id(text: &str) -> Option<String> {
    let id = text.trim().to_ascii_lowercase();
    let hex = id.strip_prefix("i-")?;
    (matches!(hex.len(), 8 | 17) && hex.chars().all(|c| c.is_ascii_hexdigit())).then_some(id)
}

/// The instance whose role we are in: `arn:aws:sts::ACCOUNT:assumed-role/NAME/i-...`, where EC2 has named the session
/// after the instance (IAM user guide, "IAM identifiers": `role-session-name` is the instance id).
#[must_use]
pub fn instance_of_caller(arn: &str) -> Option<String> {
    let role = arn.split(':').nth(5)?.strip_prefix("assumed-role/")?;
    instance_id(role.rsplit_once('/')?.1)
}

#[cfg(test)]
mod tests;
