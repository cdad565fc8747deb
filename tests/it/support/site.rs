//! One installation for one test: configuration and state in a temporary directory, and commands that see no other
//! AWS configuration than the one given.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::child::{self, Ended, Proc, until};

/// The daemon's name.
pub const DAEMON: &str = "it";
/// The region of all tests of processes.
pub const REGION: &str = "eu-central-1";

/// An installation.
pub struct Site {
    dir: TempDir,
    env: Vec<(&'static str, String)>,
}

impl Site {
    /// An installation without plans, on `env`'s endpoint.
    pub fn new(env: Vec<(&'static str, String)>) -> Self {
        let site = Self { dir: tempfile::tempdir().expect("a temporary directory"), env };
        fs::create_dir_all(site.config().join("plans.d")).expect("made");
        fs::create_dir(site.path("home")).expect("made");
        site.instance("none");
        site
    }

    /// A path in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The configuration directory.
    pub fn config(&self) -> PathBuf {
        self.path("config")
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.config().join("state")
    }

    /// Writes the settings, with this `daemon.instance`.
    pub fn instance(&self, instance: &str) {
        self.settings(&format!(
            "[daemon]\nname = \"{DAEMON}\"\nstate_dir = \"state\"\ninstance = \"{instance}\"\n\
             drain_deadline = \"10m\"\n[cloud]\nbackend = \"aws\"\napi_share = 1.0\nvisible_within = \"1s\"\n\
             status_lag = \"1s\"\nshutdown_limit = \"1s\"\n"
        ));
    }

    /// Writes stillframe.toml.
    pub fn settings(&self, toml: &str) {
        fs::write(self.config().join("stillframe.toml"), toml).expect("written");
    }

    /// Adds sections to stillframe.toml.
    pub fn add_settings(&self, toml: &str) {
        let path = self.config().join("stillframe.toml");
        let text = fs::read_to_string(&path).expect("read");
        fs::write(path, format!("{text}{toml}")).expect("written");
    }

    /// Writes a plan.
    pub fn plan(&self, name: &str, toml: &str) {
        fs::write(self.config().join("plans.d").join(format!("{name}.toml")), toml).expect("written");
    }

    /// The environment with one variable changed, or taken away.
    pub fn with(mut self, key: &'static str, value: Option<&str>) -> Self {
        self.env.retain(|(k, _)| *k != key);
        self.env.extend(value.map(|value| (key, value.to_owned())));
        self
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(child::binary());
        command.args(args).args([OsStr::new("--config"), self.config().as_os_str()]);
        command
            .env_clear()
            .env("HOME", self.path("home")) // holds no .aws
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("TZDIR", OLDER_ZONES)
            .envs(self.env.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Starts `stillframe ARGS --config ...`.
    pub fn spawn(&self, args: &[&str]) -> Proc {
        Proc::spawn(self.command(args), self.dir.path())
    }

    /// The same with these in place of the files for stdout and stderr.
    pub fn spawn_to(&self, args: &[&str], stdout: Option<Stdio>, stderr: Option<Stdio>) -> Proc {
        Proc::spawn_to(self.command(args), self.dir.path(), stdout, stderr)
    }

    /// The same by a shell that does this before.
    pub fn spawn_after(&self, shell: &str, args: &[&str]) -> Proc {
        let plain = self.command(args);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{shell}; exec \"$0\" \"$@\"")]).arg(plain.get_program()).args(plain.get_args());
        command.env_clear().envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
        Proc::spawn(command, self.dir.path())
    }

    /// Runs `stillframe ARGS --config ...` to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.spawn(args).wait()
    }

    /// The runs that `history --json` shows, oldest first.
    pub fn history(&self) -> Vec<Value> {
        let document = self.run(&["history", "--json", "--limit", "1000"]).expect(0).document();
        assert_eq!(document["schema"], 1);
        document["runs"].as_array().expect("runs").clone()
    }

    /// Waits until there are this many runs, and none is unfinished.
    pub fn finished(&self, runs: usize) -> Vec<Value> {
        until("end of all runs", || {
            let all = self.history();
            (all.len() >= runs && all.iter().all(|run| run["outcome"] != "unfinished")).then_some(all)
        })
    }

    /// Reads a JSON file of the state directory, lets `change` at it, and writes it back.
    pub fn edit(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let path = self.state().join(file);
        let mut value = serde_json::from_str(&fs::read_to_string(&path).expect("read")).expect("JSON");
        change(&mut value);
        fs::write(&path, value.to_string()).expect("written");
    }
}

/// Zone files that are older than the compiled table, so that it is used: the same on every machine.
pub const OLDER_ZONES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/zoneinfo-older");
/// Zone files of 2026f.
pub const ZONES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/zoneinfo");

/// The directory of the tests' own files.
pub fn here() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it"))
}
