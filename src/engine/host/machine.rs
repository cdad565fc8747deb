//! Finds out which machine this is: settings, instance metadata, DMI.
//!
//! The answer decides what is never rebooted, so that doubt is an answer of its own: only a sure "no" is one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::domain::machine::{Metadata, OwnMachine, Sighting, Texts};
use crate::engine::host::metadata;

/// The link-local address of the instance metadata service (EC2 user guide, "Instance metadata").
const METADATA: &str = "http://169.254.169.254";
/// The same over IPv6, with `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6`.
const METADATA_IPV6: &str = "http://[fd00:ec2::254]";

/// Where to look.
#[derive(Debug, Clone)]
pub struct MachineProbe {
    /// The DMI class directory.
    pub dmi_dir: PathBuf,
    /// The hypervisor's uuid on Xen.
    pub hypervisor_uuid: PathBuf,
    /// The metadata service, `http://host[:port]`; `None`: never asked.
    pub metadata: Option<String>,
    /// What `daemon.instance` says; it settles the question.
    pub configured: Option<OwnMachine>,
    /// For the limits.
    pub clock: Clock,
}

impl MachineProbe {
    /// A probe of this machine, with the SDK's own environment variables for the metadata service.
    #[must_use]
    pub fn from_env(env: impl Fn(&str) -> Option<String>, configured: Option<OwnMachine>, clock: Clock) -> Self {
        let set = |name: &str| env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let disabled = set("AWS_EC2_METADATA_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let endpoint = set("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| {
            let ipv6 = set("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").is_some_and(|v| v.eq_ignore_ascii_case("ipv6"));
            if ipv6 { METADATA_IPV6.into() } else { METADATA.into() }
        });
        Self {
            dmi_dir: "/sys/class/dmi/id".into(),
            hypervisor_uuid: "/sys/hypervisor/uuid".into(),
            metadata: (!disabled).then_some(endpoint),
            configured,
            clock,
        }
    }

    /// What there is to see without asking over the network, if nobody has to be asked.
    #[must_use]
    pub fn at_hand(&self) -> Option<Sighting> {
        let unasked = "instance metadata is not asked (AWS_EC2_METADATA_DISABLED)";
        let nobody = || self.sighting(Metadata::Nobody(unasked.into()));
        (self.configured.is_some() || self.metadata.is_none()).then(nobody)
    }

    /// Looks once. What leaves doubt is worth another look: the metadata service may answer later.
    pub async fn look(&self) -> Sighting {
        match (self.at_hand(), &self.metadata) {
            (None, Some(endpoint)) => self.sighting(metadata::ask(endpoint, self.clock).await),
            (at_hand, _) => at_hand.unwrap_or_else(Sighting::unasked),
        }
    }

    fn sighting(&self, metadata: Metadata) -> Sighting {
        let dmi = |file: &str| read(&self.dmi_dir.join(file));
        let texts = Texts {
            board_asset_tag: dmi("board_asset_tag"),
            sys_vendor: dmi("sys_vendor"),
            bios_version: dmi("bios_version"),
            hypervisor_uuid: read(&self.hypervisor_uuid),
        };
        Sighting { configured: self.configured.clone(), metadata, texts }
    }
}

/// The text of a small file, trimmed; nothing if it cannot be read, as on machines without it.
fn read(path: &Path) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "i-0123456789abcdef0";

    /// Variables and values.
    type Pairs = &'static [(&'static str, &'static str)];

    #[tokio::test]
    async fn the_files_are_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let probe = |configured| MachineProbe {
            dmi_dir: dir.path().to_owned(),
            hypervisor_uuid: dir.path().join("uuid"),
            metadata: None,
            configured,
            clock: Clock::Wall,
        };
        assert!(matches!(probe(None).look().await.at_first_hand(), OwnMachine::Unknown(_)), "there are none");
        fs::write(dir.path().join("uuid"), "ec2f0000-0000-0000-0000-000000000000\n").expect("written");
        let why = probe(None).look().await.at_first_hand();
        assert!(matches!(&why, OwnMachine::Unknown(why) if why.contains("looks like EC2")), "{why:?}");
        for (name, text) in [("sys_vendor", "Amazon EC2\n"), ("bios_version", "1.0\n"), ("board_asset_tag", ID)] {
            fs::write(dir.path().join(name), text).expect("written");
        }
        assert_eq!(probe(None).look().await.at_first_hand(), OwnMachine::Instance(ID.into()));
        for machine in [OwnMachine::NotEc2, OwnMachine::Instance("i-01234567".into())] {
            assert_eq!(probe(Some(machine.clone())).look().await.at_first_hand(), machine, "the settings settle it");
        }
    }

    #[test]
    fn the_environment_names_the_service() {
        let table: [(Pairs, Option<&str>); 6] = [
            (&[], Some(METADATA)),
            (&[("AWS_EC2_METADATA_DISABLED", "True")], None),
            (&[("AWS_EC2_METADATA_DISABLED", "false")], Some(METADATA)),
            (&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")], Some("http://127.0.0.1:1")),
            (&[("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6")], Some(METADATA_IPV6)),
            (&[("AWS_EC2_METADATA_DISABLED", "TRUE"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://x")], None),
        ];
        for (vars, expected) in table {
            let env = |name: &str| vars.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(MachineProbe::from_env(env, None, Clock::Wall).metadata.as_deref(), expected, "{vars:?}");
        }
    }
}
