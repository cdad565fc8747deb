//! Finds out which machine this is: settings, instance metadata, DMI.
//!
//! The answer decides what is never rebooted, so that doubt is an answer of its own: a machine that looks like
//! EC2 without an id forbids every reboot.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::domain::machine::OwnMachine;

/// The link-local address of the instance metadata service (EC2 user guide, "Instance metadata").
const METADATA: &str = "http://169.254.169.254";
/// The same over IPv6, with `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6`.
const METADATA_IPV6: &str = "http://[fd00:ec2::254]";
/// For the token and the id together. Off EC2 nothing answers, and the start must not wait for it.
const METADATA_LIMIT: Duration = Duration::from_secs(1);
/// An answer is a token or an id; whatever is longer is neither.
const ANSWER_MAX: u64 = 16 * 1024;

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
    /// For the limit.
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

    /// What is known without asking over the network, if that settles it.
    #[must_use]
    pub fn at_hand(&self) -> Option<OwnMachine> {
        match (&self.configured, &self.metadata) {
            (Some(configured), _) => Some(configured.clone()),
            (None, None) => Some(self.without_metadata("instance metadata is disabled (AWS_EC2_METADATA_DISABLED)")),
            (None, Some(_)) => None,
        }
    }

    /// Asks once. `Unknown` is worth asking again: the metadata service may answer later.
    pub async fn probe(&self) -> OwnMachine {
        if let Some(own) = self.at_hand() {
            return own;
        }
        let endpoint = self.metadata.as_deref().unwrap_or_default();
        match self.clock.timeout(METADATA_LIMIT, instance_id(endpoint)).await {
            Some(Ok(id)) => OwnMachine::Instance(id),
            Some(Err(why)) => self.without_metadata(&format!("instance metadata at {endpoint}: {why}")),
            None => self.without_metadata(&format!("instance metadata at {endpoint} did not answer within a second")),
        }
    }

    /// What DMI says; `why` metadata says nothing.
    fn without_metadata(&self, why: &str) -> OwnMachine {
        let asset_tag = self.dmi_dir.join("board_asset_tag");
        match read(&asset_tag) {
            Some(id) if is_instance_id(&id) => OwnMachine::Instance(id),
            _ if self.looks_like_ec2() => {
                OwnMachine::Unknown(format!("it looks like EC2, but {why}, and {} holds no id", asset_tag.display()))
            }
            _ => OwnMachine::NotEc2,
        }
    }

    /// Nitro and Xen instances name themselves in DMI, paravirtual ones by the hypervisor's uuid (EC2 user guide,
    /// "Identify EC2 instances").
    fn looks_like_ec2(&self) -> bool {
        let dmi = |file: &str| read(&self.dmi_dir.join(file)).unwrap_or_default().to_ascii_lowercase();
        dmi("sys_vendor").contains("amazon ec2")
            || dmi("bios_version").contains("amazon")
            || read(&self.hypervisor_uuid).is_some_and(|uuid| uuid.to_ascii_lowercase().starts_with("ec2"))
    }
}

/// The text of a small file, trimmed; nothing if it cannot be read, as on machines without it.
fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn is_instance_id(text: &str) -> bool {
    text.strip_prefix("i-").is_some_and(|hex| matches!(hex.len(), 8 | 17) && hex.chars().all(|c| c.is_ascii_hexdigit()))
}

/// Version 2 of the service: a token first, then the id.
async fn instance_id(endpoint: &str) -> Result<String, String> {
    let token = request(endpoint, "PUT", "/latest/api/token", ("X-aws-ec2-metadata-token-ttl-seconds", "60")).await?;
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err("answered no token".into());
    }
    let id = request(endpoint, "GET", "/latest/meta-data/instance-id", ("X-aws-ec2-metadata-token", &token)).await?;
    if is_instance_id(&id) { Ok(id) } else { Err("answered no instance id".into()) }
}

/// One HTTP/1.1 request on a connection of its own; the body of a 200, trimmed.
async fn request(endpoint: &str, method: &str, path: &str, header: (&str, &str)) -> Result<String, String> {
    let host = endpoint.strip_prefix("http://").ok_or("its address does not begin with http://")?.trim_end_matches('/');
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok() && !host.ends_with(']'));
    let address = if has_port { host.to_owned() } else { format!("{host}:80") };
    let mut stream = TcpStream::connect(&address).await.map_err(|e| e.to_string())?;
    let (key, value) = header;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{key}: {value}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).await.map_err(|e| e.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("answered something else than HTTP")?;
    let status = head.split_whitespace().nth(1).unwrap_or("no status");
    if status == "200" { Ok(body.trim().to_owned()) } else { Err(format!("answered {status} to {method} {path}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "i-0123456789abcdef0";

    /// File names and texts, or variables and values.
    type Pairs = &'static [(&'static str, &'static str)];

    fn probe(dir: &Path, metadata: Option<String>) -> MachineProbe {
        MachineProbe {
            dmi_dir: dir.to_owned(),
            hypervisor_uuid: dir.join("uuid"),
            metadata,
            configured: None,
            clock: Clock::Wall,
        }
    }

    /// A metadata service on loopback that answers each connection with the next of `bodies` (status, body), and
    /// hands back the requests.
    async fn service(answers: Vec<(u16, &'static str)>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let task = tokio::spawn(async move {
            let mut requests = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut text = Vec::new();
                while !text.ends_with(b"\r\n\r\n") {
                    text.push(stream.read_u8().await.expect("a request"));
                }
                requests.push(String::from_utf8(text).expect("text"));
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.expect("written");
            }
            requests
        });
        (endpoint, task)
    }

    #[tokio::test]
    async fn metadata_gives_the_id_with_a_token() {
        let dir = tempfile::tempdir().expect("a directory");
        let (endpoint, task) = service(vec![(200, "TOKEN=="), (200, ID)]).await;
        assert_eq!(probe(dir.path(), Some(endpoint)).probe().await, OwnMachine::Instance(ID.into()));
        let requests = task.await.expect("served");
        assert!(requests[0].starts_with("PUT /latest/api/token HTTP/1.1\r\n"), "{}", requests[0]);
        assert!(requests[1].starts_with("GET /latest/meta-data/instance-id HTTP/1.1\r\n"), "{}", requests[1]);
        assert!(requests[1].contains("X-aws-ec2-metadata-token: TOKEN==\r\n"), "{}", requests[1]);
    }

    #[tokio::test]
    async fn files_decide_where_metadata_does_not_answer() {
        let unknown = None;
        let table: [(Pairs, Option<OwnMachine>); 8] = [
            (&[], Some(OwnMachine::NotEc2)),
            (&[("sys_vendor", "QEMU"), ("board_asset_tag", "Not Specified")], Some(OwnMachine::NotEc2)),
            (
                &[("sys_vendor", "Amazon EC2\n"), ("board_asset_tag", "i-0123456789abcdef0\n")],
                Some(OwnMachine::Instance(ID.into())),
            ),
            (&[("sys_vendor", "Amazon EC2"), ("board_asset_tag", "")], unknown.clone()),
            (&[("sys_vendor", "Xen"), ("bios_version", "4.11.amazon")], unknown.clone()),
            (&[("uuid", "ec2f0000-0000-0000-0000-000000000000")], unknown.clone()),
            (&[("uuid", "EC2F0000-0000-0000-0000-000000000000")], unknown),
            (&[("uuid", "1ec20000-0000-0000-0000-000000000000")], Some(OwnMachine::NotEc2)),
        ];
        for (files, expected) in table {
            let dir = tempfile::tempdir().expect("a directory");
            for (name, text) in files {
                fs::write(dir.path().join(name), text).expect("written");
            }
            // Disabled, and answering nonsense: the same.
            let (endpoint, _task) = service(vec![(404, "no")]).await;
            for metadata in [None, Some(endpoint)] {
                let found = probe(dir.path(), metadata).probe().await;
                match &expected {
                    Some(machine) => assert_eq!(&found, machine, "{files:?}"),
                    None => assert!(matches!(found, OwnMachine::Unknown(_)), "{files:?}: {found:?}"),
                }
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_no_id_is_no_answer() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("sys_vendor"), "Amazon EC2").expect("written");
        let (endpoint, _task) = service(vec![(200, "TOKEN"), (200, "<html>")]).await;
        let found = probe(dir.path(), Some(endpoint)).probe().await;
        assert!(matches!(&found, OwnMachine::Unknown(why) if why.contains("no instance id")), "{found:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_service_is_given_up() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("sys_vendor"), "Amazon EC2").expect("written");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let endpoint = format!("http://{}/", listener.local_addr().expect("bound"));
        let found = probe(dir.path(), Some(endpoint)).probe().await;
        assert!(matches!(&found, OwnMachine::Unknown(why) if why.contains("within a second")), "{found:?}");
    }

    #[tokio::test]
    async fn settings_settle_it() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("sys_vendor"), "Amazon EC2").expect("written");
        let mut probe = probe(dir.path(), None);
        for machine in [OwnMachine::NotEc2, OwnMachine::Instance(ID.into())] {
            probe.configured = Some(machine.clone());
            assert_eq!(probe.probe().await, machine);
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
