//! `cargo bench --bench check`: what `stillframe check` takes for as much as a person, or a generator, may give it.
//! Prints; judges nothing.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it measures real time, and prints

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Each is checked so often; the median is shown.
const TIMES: usize = 5;
/// Plans that select the same instances.
const PLANS: usize = 400;
/// Keys that there are not.
const KEYS: usize = 40_000;

const SETTINGS: &str = "[daemon]\nname = \"bench\"\nstate_dir = \"state\"\n";

fn main() {
    println!("stillframe check ({TIMES} times each, median)\n");
    println!("{:<52} {:>10} {:>10} {:>10}", "", "exit code", "problems", "time");
    let shared: Vec<String> = (0..PLANS).map(|_| plan("30 2 * * *")).collect();
    measure(&format!("{PLANS} plans with the same tags, due together"), &shared);
    let apart: Vec<String> = (0..PLANS).map(|n| plan(&format!("{} {} * * *", n % 60, n / 60))).collect();
    measure(&format!("{PLANS} plans with the same tags, each at its own time"), &apart);
    let often: Vec<String> = (0..PLANS).map(|n| plan(&format!("{}-59/{} * * * *", n % 60, 7 + n % 11))).collect();
    measure(&format!("{PLANS} plans with the same tags, many times a day"), &often);
    let mut keys = plan("30 2 * * *");
    for n in 0..KEYS {
        let _ = write!(keys, "\nk{n} = {n}");
    }
    measure(&format!("{KEYS} unknown keys in one plan"), &[keys]);
    let mut line = plan("30 2 * * *") + "\nrollout = { ";
    for n in 0..KEYS {
        let _ = write!(line, "k{n}={n},");
    }
    measure(&format!("{KEYS} unknown keys in one line"), &[line + "}"]);
}

fn plan(cron: &str) -> String {
    format!(
        "schedule.cron = \"{cron}\"\nselect.regions = [\"eu-central-1\"]\nselect.tags.Backup = \"nightly\"\n\
         keep.last = 3\nkeep.daily = 7\nkeep.weekly = 4\nkeep.monthly = 12\n"
    )
}

fn measure(what: &str, plans: &[String]) {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("plans.d")).expect("made");
    fs::write(dir.path().join("stillframe.toml"), SETTINGS).expect("written");
    for (n, plan) in plans.iter().enumerate() {
        fs::write(dir.path().join(format!("plans.d/plan-{n:03}.toml")), plan).expect("written");
    }
    let mut all: Vec<(Duration, i32)> = (0..TIMES).map(|_| check(dir.path())).collect();
    all.sort();
    let (time, code) = all[TIMES / 2];
    let problems = fs::read_to_string(dir.path().join("err")).expect("read");
    let problems = problems.lines().filter(|line| line.contains(".toml:")).count();
    println!("{what:<52} {code:>10} {problems:>10} {:>8.2} s", time.as_secs_f64());
}

fn check(dir: &Path) -> (Duration, i32) {
    let err = fs::File::create(dir.join("err")).expect("made");
    let begun = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_stillframe"))
        .args(["check", "--config"])
        .arg(dir)
        .env_clear()
        .env("HOME", dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(err)
        .status()
        .expect("the program");
    (begun.elapsed(), status.code().unwrap_or(-1))
}
