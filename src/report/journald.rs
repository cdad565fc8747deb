//! systemd's journal, told natively: each line with its priority and its fields, so that `journalctl -p err` and
//! `STILLFRAME_PLAN=` find it. The message stays the line that stderr would have got.
//!
//! Protocol: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tracing::Level;

use super::format::{Line, Sink};
use super::out;

/// Where systemd-journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// The journal behind this process's stderr. A line that its socket does not take (it is not there, or the line is larger
/// than a datagram may be) goes to stderr, with the priority in front of it that systemd takes off again (sd-daemon(3),
/// `SyslogLevelPrefix=`).
#[derive(Debug)]
pub struct Journald<W> {
    socket: UnixDatagram,
    path: PathBuf,
    stderr: W,
}

impl Journald<fn(&str)> {
    /// The journal, if stderr leads there.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?).metadata().ok()?;
        if is_stream(&stream, &stderr) { Self::at(Path::new(SOCKET), out::note).ok() } else { None }
    }
}

/// Whether `JOURNAL_STREAM` (systemd.exec(5)) means this file: whoever redirects stderr keeps the variable.
fn is_stream(stream: &str, file: &Metadata) -> bool {
    stream == format!("{}:{}", file.dev(), file.ino())
}

impl<W: Fn(&str) + Send + Sync> Journald<W> {
    fn at(path: &Path, stderr: W) -> io::Result<Self> {
        Ok(Self { socket: UnixDatagram::unbound()?, path: path.to_owned(), stderr })
    }
}

impl<W: Fn(&str) + Send + Sync> Sink for Journald<W> {
    fn take(&self, line: &Line<'_>) {
        // By its path each time: a journal that was started anew is found again.
        if self.socket.send_to(&message(line), &self.path).is_err() {
            (self.stderr)(&format!("<{}>{}", priority(line.level), line.text));
        }
    }
}

/// syslog(3)'s.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

fn message(line: &Line<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, "MESSAGE", line.text);
    put(&mut bytes, "PRIORITY", &priority(line.level).to_string());
    put(&mut bytes, "SYSLOG_IDENTIFIER", "stillframe");
    put(&mut bytes, "STILLFRAME_DAEMON", line.daemon);
    put(&mut bytes, "STILLFRAME_EVENT", line.event);
    for (name, value) in line.fields.iter().filter(|(name, _)| *name != "message") {
        let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = "STILLFRAME_".chars().chain(name.chars().map(upper)).collect();
        match value {
            Value::String(text) => put(&mut bytes, &name, text),
            other => put(&mut bytes, &name, &other.to_string()),
        }
    }
    bytes
}

/// One field: `NAME=value`, or, where the value has more than one line, by its length.
fn put(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::report::format::{Format, Logs};

    /// What `log` sends to a journal at `path`, and what goes to stderr.
    fn logged(path: &Path, log: impl FnOnce()) -> String {
        let said = Arc::new(Mutex::new(String::new()));
        let stderr = Arc::clone(&said);
        let journald = Journald::at(path, move |line: &str| {
            let mut said = stderr.lock().unwrap();
            *said += line;
            *said += "\n";
        })
        .unwrap();
        let format = Format { daemon: "prod".into(), json: true, colour: false };
        let logs = Logs::new(format, Box::new(journald));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(logs), log);
        said.lock().unwrap().clone()
    }

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let n = socket.recv(&mut bytes).unwrap();
        bytes.truncate(n);
        bytes
    }

    #[test]
    fn a_line_bears_its_priority_and_fields_and_stays_the_same_json() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        for (level, expected) in [("ERROR", "3"), ("WARN", "4"), ("INFO", "6"), ("DEBUG", "7")] {
            let stderr = logged(&path, || match level {
                "ERROR" => tracing::error!(event = "x.y", plan = "nightly", elapsed_ms = 7, "said"),
                "WARN" => tracing::warn!(event = "x.y", plan = "nightly", elapsed_ms = 7, "said"),
                "INFO" => tracing::info!(event = "x.y", plan = "nightly", elapsed_ms = 7, "said"),
                _ => tracing::debug!(event = "x.y", plan = "nightly", elapsed_ms = 7, "said"),
            });
            assert_eq!(stderr, "", "the journal has it");
            let text = String::from_utf8(received(&socket)).unwrap();
            let fields: Vec<(&str, &str)> = text.lines().map(|line| line.split_once('=').unwrap()).collect();
            let line: Value = serde_json::from_str(fields[0].1).unwrap();
            assert_eq!(fields[0].0, "MESSAGE");
            assert_eq!(
                (&line["level"], &line["message"], &line["plan"]),
                (&level.into(), &"said".into(), &"nightly".into())
            );
            assert_eq!(
                fields[1..],
                [
                    ("PRIORITY", expected),
                    ("SYSLOG_IDENTIFIER", "stillframe"),
                    ("STILLFRAME_DAEMON", "prod"),
                    ("STILLFRAME_EVENT", "x.y"),
                    ("STILLFRAME_PLAN", "nightly"),
                    ("STILLFRAME_ELAPSED_MS", "7"),
                ]
            );
        }
    }

    #[test]
    fn a_value_of_several_lines_goes_by_its_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        logged(&path, || tracing::info!(event = "x", reason = "one\nPRIORITY=0"));
        let bytes = received(&socket);
        let field = [b"STILLFRAME_REASON\n".as_slice(), &14_u64.to_le_bytes(), b"one\nPRIORITY=0\n"].concat();
        assert!(bytes.ends_with(&field), "{}", String::from_utf8_lossy(&bytes));
        assert!(bytes.starts_with(b"MESSAGE={"));
    }

    #[test]
    fn what_the_socket_does_not_take_goes_to_stderr() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let stderr = logged(&path, || tracing::error!(event = "x.y", "nobody there"));
        let line: Value = serde_json::from_str(stderr.strip_prefix("<3>").unwrap()).unwrap();
        assert_eq!(line["message"], "nobody there");

        let _socket = UnixDatagram::bind(&path).unwrap();
        let long = "x".repeat(4 << 20); // more than a socket's buffer holds
        let stderr = logged(&path, || tracing::warn!(event = "x.y", reason = long));
        assert!(stderr.starts_with("<4>{") && stderr.len() > long.len(), "{} bytes", stderr.len());
    }

    #[test]
    fn only_a_stderr_that_is_the_journals_stream_is() {
        let file = tempfile::tempfile().unwrap().metadata().unwrap();
        let own = format!("{}:{}", file.dev(), file.ino());
        for (stream, expected) in [(own.as_str(), true), ("", false), ("1:2", false), (&own[1..], false)] {
            assert_eq!(is_stream(stream, &file), expected, "{stream}");
        }
    }
}
