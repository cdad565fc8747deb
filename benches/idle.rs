//! `cargo bench --bench idle`: what a daemon with 50 plans costs while nothing is due. Prints; judges nothing.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it measures real time
#![allow(clippy::zombie_processes)] // whoever starts one ends it

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::Timelike as _;
use stillframe::clock::Clock;

/// Plans of the daemon.
const PLANS: usize = 50;
/// Starts of each kind; the median is shown.
const STARTS: usize = 15;
/// How long the idle daemon is watched.
const WATCHED: Duration = Duration::from_secs(60);
/// Nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// `getconf CLK_TCK` on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    println!("stillframe with {PLANS} daily plans, none due for twelve hours ({STARTS} starts each, median)\n");
    println!(
        "{:<10} {:>14} {:>14} {:>12} {:>12} {:>14}",
        "backend", "first READY", "later READY", "memory", "peak", "CPU in 60 s"
    );
    // Nobody listens there: an idle daemon asks nobody anyway.
    for backend in ["sim", "aws"] {
        let dir = tempfile::tempdir().expect("a directory");
        configure(dir.path(), backend);
        let state = dir.path().join("state");
        let first = median(|| {
            let _ = fs::remove_dir_all(&state); // not there the first time
            start(dir.path())
        });
        let later = median(|| start(dir.path()));
        let (mut child, _) = begin(dir.path());
        std::thread::sleep(Duration::from_secs(5)); // what a start leaves to do
        let before = cpu(child.id());
        std::thread::sleep(WATCHED);
        let used = cpu(child.id()) - before;
        let [memory, peak] = ["VmRSS", "VmHWM"].map(|key| megabytes(child.id(), key));
        end(&mut child);
        let ms = |d: Duration| format!("{:.1} ms", d.as_secs_f64() * 1000.0);
        println!(
            "{backend:<10} {:>14} {:>14} {memory:>9.1} MB {peak:>9.1} MB {:>12.2} s",
            ms(first),
            ms(later),
            used / TICKS_PER_SECOND
        );
    }
}

/// Fifty plans in five zones, each due daily, the next time in about twelve hours.
fn configure(dir: &Path, backend: &str) {
    fs::create_dir(dir.join("plans.d")).expect("made");
    let settings = format!(
        "[daemon]\nname = \"bench\"\nstate_dir = \"state\"\ninstance = \"none\"\n[cloud]\nbackend = \"{backend}\"\n[log]\nformat = \"json\"\n"
    );
    fs::write(dir.join("stillframe.toml"), settings).expect("written");
    let hour = (Clock::Wall.now().hour() + 12) % 24;
    for n in 0..PLANS {
        let plan = format!(
            "[schedule]\ncron = \"{} {hour} * * *\"\n[select]\nregions = [\"eu-central-1\"]\n\
             tags = {{ Backup = \"plan-{n}\" }}\n[keep]\nlast = 3\ndaily = 7\nweekly = 4\nmonthly = 12\n",
            n % 60
        );
        fs::write(dir.join("plans.d").join(format!("plan-{n}.toml")), plan).expect("written");
    }
}

/// Starts the daemon, and waits for READY.
fn begin(dir: &Path) -> (Child, Duration) {
    let path = dir.join("notify");
    let _ = fs::remove_file(&path); // not there the first time
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let log = fs::File::create(dir.join("log")).expect("a log");
    let begun = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_stillframe"))
        .args(["run", "--config"])
        .arg(dir)
        .env_clear()
        .env("HOME", dir)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "60000000")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .env("AWS_REGION", "eu-central-1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the program");
    let mut message = [0; 4096];
    loop {
        let n = socket.recv(&mut message).expect("READY in time");
        if String::from_utf8_lossy(&message[..n]).lines().any(|line| line == "READY=1") {
            let took = begun.elapsed();
            // Somebody reads on, as systemd does, until this program ends.
            std::thread::spawn(move || while socket.recv(&mut message).is_ok() {});
            return (child, took);
        }
    }
}

fn start(dir: &Path) -> Duration {
    let (mut child, took) = begin(dir);
    end(&mut child);
    took
}

fn end(child: &mut Child) {
    let sent = Command::new("kill").arg(child.id().to_string()).status().expect("kill is there");
    assert!(sent.success(), "it ended by itself");
    child.wait().expect("its end");
}

fn median(mut sample: impl FnMut() -> Duration) -> Duration {
    let mut all: Vec<Duration> = (0..STARTS).map(|_| sample()).collect();
    all.sort();
    all[STARTS / 2]
}

/// User and system time of a process, in clock ticks (proc(5), fields 14 and 15 of stat).
fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, after_name) = stat.rsplit_once(')').expect("a name in brackets");
    let field = |n: usize| after_name.split_whitespace().nth(n).and_then(|f| f.parse::<f64>().ok());
    field(11).expect("utime") + field(12).expect("stime")
}

/// A line of /proc/PID/status, in MB.
fn megabytes(pid: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).expect("the line");
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).expect("kB") / 1024.0
}
