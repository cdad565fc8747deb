//! `stillframe sim` as a process of its own, steered over HTTP.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::child;

/// A running one. It is killed, by its id, when this value goes.
pub struct Sim {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
}

impl Sim {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// If its first line does not say where it listens.
    pub fn start(args: &[&str]) -> Self {
        let mut child = Command::new(child::binary())
            .args(["sim", "--listen", "127.0.0.1:0"])
            .args(args)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a first line");
        let endpoint = line.trim().strip_prefix("listening on ").map(str::to_owned);
        let sim = Self { child, endpoint: endpoint.clone().unwrap_or_default() };
        assert!(endpoint.is_some(), "the first line is {line:?}");
        sim
    }

    /// What `/_sim/PATH` shows.
    pub fn get(&self, path: &str) -> Value {
        let mut answer = ureq::get(format!("{}/_sim/{path}", self.endpoint)).call().expect("answered");
        answer.body_mut().read_json().expect("JSON")
    }

    /// Posts to `/_sim/PATH`.
    pub fn post(&self, path: &str, body: &str) {
        ureq::post(format!("{}/_sim/{path}", self.endpoint)).send(body).expect("done");
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}
