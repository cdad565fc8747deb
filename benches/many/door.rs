//! The programs themselves, in real time: `stillframe sim` behind its HTTP door, and `stillframe run` against it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::{cpu, megabytes};

/// How long a start may take.
const START: Duration = Duration::from_secs(60);
/// How often it is said how far it is.
const NEWS: Duration = Duration::from_secs(60);

/// A child that is killed, by its id, when this value goes.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

fn stillframe(dir: &Path, endpoint: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stillframe"));
    command
        .args(args)
        .env_clear()
        .env("HOME", dir)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "111111111111")
        .env("AWS_SECRET_ACCESS_KEY", "simulated")
        .stdin(Stdio::null());
    command
}

/// One plan of so many targets, requested so many times.
pub fn run(targets: u32, times: u32) {
    let dir = tempfile::tempdir().expect("a directory");
    configure(dir.path(), targets);
    let text = |path: &str| dir.path().join(path).to_str().expect("UTF-8").to_owned();
    let (config, fleet) = (text(""), text("fleet.json"));
    let log = |name: &str| fs::File::create(dir.path().join(name)).expect("a log");
    let mut world = stillframe(dir.path(), "", &["sim", "--listen", "127.0.0.1:0", "--fleet", &fleet]);
    let mut world = Program(world.stdout(Stdio::piped()).stderr(log("sim.log")).spawn().expect("the world"));
    let mut line = String::new();
    let mut said = BufReader::new(world.0.stdout.take().expect("piped")); // open for as long as it may write
    said.read_line(&mut line).expect("its first line");
    let endpoint = line.trim().rsplit(' ').next().expect("its address").to_owned();
    let mut daemon = stillframe(dir.path(), &endpoint, &["run", "--config", &config]);
    let daemon = Program(daemon.stdout(Stdio::null()).stderr(log("run.log")).spawn().expect("the daemon"));
    let begun = Instant::now();
    while !fs::read_to_string(dir.path().join("run.log")).is_ok_and(|log| log.contains("config.applied")) {
        assert!(
            begun.elapsed() < START,
            "the daemon does not start:\n{}",
            fs::read_to_string(dir.path().join("run.log")).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("{targets} targets over the HTTP door, real time, api_share = 1; idle {:.1} MB", peak(&daemon));
    let mut before = Value::Null;
    for time in 1..=times {
        let begun = Instant::now();
        let mut backup = stillframe(dir.path(), &endpoint, &["backup", "all", "--config", &config]);
        let mut backup = Program(backup.stdout(Stdio::null()).stderr(log("backup.log")).spawn().expect("a request"));
        let mut told = Instant::now();
        let status = loop {
            if let Some(status) = backup.0.try_wait().expect("waited for") {
                break status;
            }
            if told.elapsed() >= NEWS {
                told = Instant::now();
                let images = count(&tally(&endpoint), "CreateImage", "effects");
                let [now, most] = ["VmRSS", "VmHWM"].map(|key| megabytes(daemon.0.id(), key));
                println!("  {:>5} s: {images} images, {now:.1} MB, at most {most:.1} MB", begun.elapsed().as_secs());
            }
            std::thread::sleep(Duration::from_millis(200));
        };
        println!("run {time}: {:.1} s in all, `backup` ended with {status}", begun.elapsed().as_secs_f64());
        let after = tally(&endpoint);
        report(targets, &before, &after);
        println!(
            "  daemon: peak memory {:.1} MB, CPU {:.1} s; the world's process: {:.1} MB, {:.1} s",
            peak(&daemon),
            cpu(daemon.0.id()),
            megabytes(world.0.id(), "VmHWM"),
            cpu(world.0.id())
        );
        before = after;
    }
    let log = fs::read_to_string(dir.path().join("run.log")).expect("its log");
    let loud: Vec<&str> = log.lines().filter(|l| l.contains("\"WARN\"") || l.contains("\"ERROR\"")).collect();
    println!("{} warnings and errors in its log", loud.len());
    loud.iter().take(5).for_each(|line| println!("  {line}"));
}

fn peak(daemon: &Program) -> f64 {
    megabytes(daemon.0.id(), "VmHWM")
}

fn configure(dir: &Path, targets: u32) {
    let settings = "[daemon]\nname = \"bench\"\nstate_dir = \"state\"\ninstance = \"none\"\n[cloud]\nbackend = \"aws\"\n\
                    api_share = 1.0\nstatus_lag = \"1s\"\nshutdown_limit = \"1s\"\n[log]\nformat = \"json\"\n";
    fs::write(dir.join("stillframe.toml"), settings).expect("written");
    fs::create_dir(dir.join("plans.d")).expect("made");
    // Due on a day that is not today: it is asked for.
    let plan = format!(
        "[schedule]\ncron = \"0 0 29 2 *\"\n[select]\nregions = [\"eu-central-1\"]\ntags = {{ Backup = \"yes\" }}\n\
         [rollout]\nmax_in_flight = {targets}\n[keep]\nlast = 1\n"
    );
    fs::write(dir.join("plans.d/all.toml"), plan).expect("written");
    let fleet = json!({
        "regions": ["eu-central-1"], "image_seconds": [60, 600], "reboot_seconds": 60,
        "instances": [{ "name": "server", "tags": { "Backup": "yes" }, "count": targets }],
    });
    fs::write(dir.join("fleet.json"), fleet.to_string()).expect("written");
}

fn tally(endpoint: &str) -> Value {
    let answer = ureq::get(format!("{endpoint}/_sim/tally")).call().expect("the world answers");
    answer.into_body().read_json().expect("JSON")
}

fn count(tally: &Value, api: &str, what: &str) -> u64 {
    tally[api][what].as_u64().unwrap_or_default()
}

fn report(targets: u32, before: &Value, after: &Value) {
    for (api, burst) in [("CreateImage", 50.0), ("DeregisterImage", 100.0)] {
        let at =
            |n: usize| after[api]["span"][n].as_str().and_then(|at| at.parse::<chrono::DateTime<chrono::Utc>>().ok());
        let (Some(first), Some(last)) = (at(0), at(1)) else { continue };
        let bound = (f64::from(targets) - burst).max(0.0) / 5.0;
        println!(
            "  {api}: first to last {:.1} s, bound {bound:.1} s; {} effects, {} throttled",
            (last - first).num_milliseconds() as f64 / 1000.0,
            count(after, api, "effects"),
            count(after, api, "throttled")
        );
    }
    let calls = |api: &str| (count(after, api, "calls") - count(before, api, "calls")) as f64 / f64::from(targets);
    let all = after.as_object().into_iter().flat_map(|all| all.keys());
    let all: Vec<String> = all.map(|api| format!("{api} {:.3}", calls(api))).collect();
    println!("  calls per target: {}", all.join(", "));
}
