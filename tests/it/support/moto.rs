//! moto, a public emulator of AWS, as a process of its own for one test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use serde::Deserialize;
use tempfile::TempDir;

use super::python;

/// moto's own account.
pub const ACCOUNT: &str = "123456789012";
/// moto is ready some 3 s after its start on an idle machine; a busy one gets this long.
const START_MAX: Duration = Duration::from_secs(120);

/// A running moto. It ends with this value, and with the test process whatever happens to that.
pub struct Moto {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    child: Child,
    dir: TempDir,
}

/// What [`Moto::seed`] made.
#[derive(Debug, Deserialize)]
pub struct Seeded {
    /// Instances with the tag.
    pub tagged: Vec<String>,
    /// Instances without it.
    pub untagged: Vec<String>,
}

impl Moto {
    /// Starts one on a free port, recording every request.
    ///
    /// # Panics
    /// If it does not come up: its own words are in the message.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("log");
        let mut child = python::script("moto_patched.py")
            .env("MOTO_ENABLE_RECORDING", "1")
            .env("MOTO_RECORDER_FILEPATH", dir.path().join("recording"))
            .env("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
            .current_dir(dir.path())
            .stdin(Stdio::piped()) // its end tells moto that the test is gone
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("moto's log"))
            .spawn()
            .expect("the Python environment has an interpreter");
        let stdout = child.stdout.take().expect("piped");
        let (send, port) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            let _ = send.send(lines.next().and_then(Result::ok).and_then(|line| line.trim().parse::<u16>().ok()));
            lines.for_each(drop); // a full pipe would stop it
        });
        let Ok(Some(port)) = port.recv_timeout(START_MAX) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("moto did not start: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        let moto = Self { endpoint: format!("http://127.0.0.1:{port}"), child, dir };
        moto.get("/moto-api/data.json");
        moto
    }

    /// The SDK's configuration for `region`, with credentials of moto's account.
    pub fn sdk_config(&self, region: &'static str) -> SdkConfig {
        sdk_config(&self.endpoint, region)
    }

    /// The same as environment variables, for a process.
    pub fn env(&self, region: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", region.to_owned()),
            ("AWS_ACCESS_KEY_ID", "testing".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "testing".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Runs instances of two volumes each: `tagged` of them with the tag `key` = `value`, `untagged` without.
    ///
    /// # Panics
    /// If boto3 cannot.
    pub fn seed(&self, region: &str, (key, value): (&str, &str), tagged: usize, untagged: usize) -> Seeded {
        let output = python::script("seed.py")
            .args([&self.endpoint, region, key, value, &tagged.to_string(), &untagged.to_string()])
            .output()
            .expect("the Python environment has an interpreter");
        assert!(output.status.success(), "seed.py: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("seed.py prints one document")
    }

    /// The bodies of all requests so far that name `action`, decoded into their parameters.
    pub fn recorded(&self, action: &str) -> Vec<Vec<(String, String)>> {
        let recording = self.get("/moto-api/recorder/download-recording");
        let bodies = recording.lines().filter_map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).expect("a record is one line of JSON");
            entry["body"].as_str().map(str::to_owned)
        });
        let parameters = bodies.map(|body| form_urlencoded::parse(body.as_bytes()).into_owned().collect::<Vec<_>>());
        parameters.filter(|all| all.iter().any(|(key, value)| key == "Action" && value == action)).collect()
    }

    /// Forgets all that is in it.
    ///
    /// # Panics
    /// If it cannot.
    pub fn reset(&self) {
        let url = format!("{}/moto-api/reset", self.endpoint);
        agent().post(&url).send_empty().unwrap_or_else(|e| panic!("{url}: {e}\n{}", self.log()));
    }

    fn get(&self, path: &str) -> String {
        let url = format!("{}{path}", self.endpoint);
        let answer = agent().get(&url).call().unwrap_or_else(|e| panic!("{url}: {e}\n{}", self.log()));
        answer.into_body().read_to_string().expect("moto answers with text")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(START_MAX)).build().into()
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("moto's log:\n{}", self.log());
        }
    }
}

/// The SDK's configuration for any server at `endpoint`.
pub fn sdk_config(endpoint: &str, region: &'static str) -> SdkConfig {
    let credentials = Credentials::new("testing", "testing", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}
