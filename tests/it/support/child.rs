//! The program as child processes: a copy of the binary, output in files, and an end by process id.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

/// Nothing here takes this long on a machine that works; only a test that would hang gets there.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a fact is looked for.
const LOOK: Duration = Duration::from_millis(25);

/// Waits until `probe` finds something.
///
/// # Panics
/// After [`PATIENCE`], with `what` was waited for.
#[allow(clippy::disallowed_methods)] // a test that watches other processes has real time only
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(found) = probe() {
            return found;
        }
        std::thread::sleep(LOOK);
    }
    panic!("in {} s there was no {what}", PATIENCE.as_secs());
}

/// A copy of the binary for this test process alone: a build that goes on meanwhile cannot exchange it.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(tmp).expect("cargo's directory for tests");
        for old in fs::read_dir(tmp).expect("listed").flatten() {
            let name = old.file_name().to_string_lossy().into_owned();
            if let Some(pid) = name.strip_prefix("stillframe-")
                && !Path::new("/proc").join(pid).exists()
            {
                let _ = fs::remove_file(old.path()); // another test process was faster
            }
        }
        let path = tmp.join(format!("stillframe-{}", std::process::id()));
        // Set anew by cargo where the tests run; any other binary can be tested by setting it.
        let built = std::env::var_os("CARGO_BIN_EXE_stillframe");
        let built = built.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_stillframe")), PathBuf::from);
        // Not copied by this process: a child that is forked meanwhile would hold it open for writing, and then it
        // cannot be executed (ETXTBSY).
        let copied = Command::new("cp").arg("--").arg(built).arg(&path).status();
        assert!(copied.expect("cp is there").success(), "cannot copy the binary to {}", path.display());
        path
    })
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// All that it wrote to stdout.
    pub stdout: String,
    /// All that it wrote to stderr.
    pub stderr: String,
}

impl Ended {
    /// The one JSON document on stdout.
    ///
    /// # Panics
    /// If stdout is anything else.
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("stdout is not one document: {e}\n{self:?}"))
    }

    /// Every line of the log.
    ///
    /// # Panics
    /// If a line is not JSON.
    pub fn log(&self) -> Vec<Value> {
        lines(&self.stderr)
    }

    /// The same after asserting the exit code.
    ///
    /// # Panics
    /// If it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The values of `key` in the lines of a log, where they are texts.
pub fn texts<'a>(log: &'a [Value], key: &str) -> Vec<&'a str> {
    log.iter().filter_map(|line| line[key].as_str()).collect()
}

/// The lines of a log with this `event`.
pub fn of_event<'a>(log: &'a [Value], event: &str) -> Vec<&'a Value> {
    log.iter().filter(|line| line["event"] == event).collect()
}

/// The lines of a log with this `level`.
pub fn of_level<'a>(log: &'a [Value], level: &str) -> Vec<&'a Value> {
    log.iter().filter(|line| line["level"] == level).collect()
}

fn lines(text: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("not a line of JSON: {e}: {line}"));
    text.lines().map(parse).collect()
}

/// A running process. It is killed, by its id, when this value goes.
pub struct Proc {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    shown: bool,
}

impl Proc {
    /// Starts `command` with its output in files in `dir`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(command: Command, dir: &Path) -> Self {
        Self::spawn_to(command, dir, None, None)
    }

    /// The same with these in place of the files.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn_to(mut command: Command, dir: &Path, out: Option<Stdio>, err: Option<Stdio>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let [stdout, stderr] = ["out", "err"].map(|end| dir.join(format!("{number}.{end}")));
        let file = |path: &Path| Stdio::from(File::create(path).expect("a file for its output"));
        let child = command
            .stdin(Stdio::null())
            .stdout(out.unwrap_or(file(&stdout)))
            .stderr(err.unwrap_or(file(&stderr)))
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        Self { child, stdout, stderr, shown: false }
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// The whole lines of its log so far.
    pub fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.stderr).unwrap_or_default();
        lines(text.rfind('\n').map_or("", |end| &text[..end]))
    }

    /// Waits for a log line with this `event`.
    ///
    /// # Panics
    /// If it does not come, or the process ends without it.
    pub fn logged(&mut self, event: &str) -> Value {
        until(&format!("log line `{event}`"), || {
            let ended = self.ended();
            let found = self.log().into_iter().find(|line| line["event"] == event);
            assert!(found.is_some() || !ended, "it ended without a log line `{event}`");
            found
        })
    }

    /// Whether it ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    /// Sends SIGTERM.
    ///
    /// # Panics
    /// If it ended before.
    pub fn terminate(&mut self) {
        assert!(!self.ended(), "it ended before SIGTERM");
        assert!(self.signal("-TERM"), "SIGTERM could not be sent");
    }

    /// Sends SIGINT; nothing happens if it ended before.
    pub fn interrupt(&mut self) {
        // Its id is not given to another process before it is waited for.
        if !self.ended() {
            self.signal("-INT");
        }
    }

    /// Sends SIGHUP.
    ///
    /// # Panics
    /// If it ended before.
    pub fn hang_up(&mut self) {
        assert!(!self.ended(), "it ended before SIGHUP");
        assert!(self.signal("-HUP"), "SIGHUP could not be sent");
    }

    /// Waits until there are so many log lines with this `event`; the last of them.
    ///
    /// # Panics
    /// If they do not come, or the process ends without them.
    pub fn logged_times(&mut self, event: &str, times: usize) -> Value {
        until(&format!("{times} log lines `{event}`"), || {
            let ended = self.ended();
            let found: Vec<Value> = self.log().into_iter().filter(|line| line["event"] == event).collect();
            assert!(found.len() >= times || !ended, "it ended without {times} log lines `{event}`");
            found.get(times - 1).cloned()
        })
    }

    fn signal(&self, signal: &str) -> bool {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        sent.expect("kill is there").success()
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) -> Ended {
        self.child.kill().expect("a child of ours");
        let ended = self.wait();
        assert_eq!(ended.code, None, "it ended before SIGKILL");
        ended
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// If it does not come.
    pub fn wait(mut self) -> Ended {
        let status: ExitStatus = until("end of the process", || self.child.try_wait().expect("a child of ours"));
        assert!(matches!(status.signal(), None | Some(9)), "ended by a signal: {status}");
        self.shown = true;
        let read = |path| fs::read_to_string(path).expect("output in UTF-8");
        Ended { code: status.code(), stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
        if std::thread::panicking() && !self.shown {
            let stderr = fs::read_to_string(&self.stderr).unwrap_or_default();
            eprintln!("the process's stdout:\n{}\nits stderr:\n{stderr}", self.stdout());
        }
    }
}
