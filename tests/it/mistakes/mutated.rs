//! Files that were damaged by chance, the same for the same seed: whatever they hold, `check` ends soon, with words and
//! one of two exit codes, and shows no secret. All of them in this process; some of them, or as many as
//! `STILLFRAME_MUTATIONS` says, by the program itself.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use chrono::DateTime;
use stillframe::cli::check::{CheckArgs, report};

use super::plans::PLAN;
use crate::support::child;
use crate::support::site::{OLDER_ZONES, here};

/// So many are tried in this process.
const ALL: u64 = 5_000;
/// So many by the program, unless it is asked for more.
const PROCESSES: u64 = 300;
/// How many programs run at once.
const AT_ONCE: usize = 2;
/// One that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// No output may hold this. It is part of each secret, twice: half of it may be cut away.
const SECRET: &str = "Zq7xK9";

/// Settings that hold secrets, whole or in odd ways, and those that are shipped.
fn settings_texts() -> Vec<String> {
    let shipped = |name: &str| {
        let text = fs::read_to_string(here().join("../../config").join(name).join("stillframe.toml")).expect("shipped");
        text.replace("change-me-to-a-long-random-text", "Zq7xK9-Zq7xK9").replace("a-long-random-text", "Zq7xK9-Zq7xK9")
    };
    let account = "[daemon]\nname = \"prod\"\n[accounts.dr]\nid = \"222222222222\"\n\
                   role_arn = \"arn:aws:iam::222222222222:role/x\"\n";
    let mut all: Vec<String> = ["", "example", "demo", "two-accounts"].map(shipped).into();
    for secret in [
        "external_id = \"Zq7xK9-Zq7xK9\"\n",
        "external_id = \"\"\"\nZq7xK9\nZq7xK9\"\"\"\n",
        "external_id = '''Zq7xK9\nZq7xK9'''\n",
        "[http]\ntoken = \"Zq7xK9-Zq7xK9\"\nlisten = \"127.0.0.1:8484\"\n",
        "[accounts.cn]\nexternal_id = \"Zq7xK9-Zq7xK9\"\npassword = \"Zq7xK9-Zq7xK9\"\n",
    ] {
        all.push(format!("{account}{secret}[log]\nlevel = \"info\"\n"));
    }
    all
}

/// The plans that are shipped, and that of the other tests.
fn plan_texts() -> Vec<String> {
    let config = here().join("../../config");
    let mut all = vec![PLAN.to_owned(), format!("password = \"Zq7xK9-Zq7xK9\"\n{PLAN}")];
    for dir in ["example", "demo", "two-accounts"] {
        let mut paths: Vec<_> = fs::read_dir(config.join(dir).join("plans.d"))
            .expect("listed")
            .map(|e| e.expect("an entry").path())
            .collect();
        paths.sort();
        all.extend(paths.iter().map(|path| fs::read_to_string(path).expect("read")));
    }
    all
}

/// What is put into a file somewhere.
fn piece(rng: &mut fastrand::Rng) -> Vec<u8> {
    const PIECES: [&str; 24] = [
        "\0",
        "\u{1b}[2J\u{1b}]0;x\u{7}",
        "\u{202e}\u{2066}",
        "\u{feff}",
        "\u{fffd}\u{10ffff}",
        "\r",
        "\n",
        "\"",
        "\"\"\"",
        "'''",
        "=",
        "[",
        "]]",
        "{",
        "#",
        "\\u0000",
        "\\U00110000",
        "99999999999999999999999999999999999999999999",
        "1e400",
        "-0x8000000000000000",
        "1979-05-27T07:32:00Z",
        "inf",
        "e\u{301}\u{200d}👩\u{200d}👩\u{200d}👧",
        "\u{ff1d}",
    ];
    let deep = |text: &str, times: usize| text.repeat(times).into_bytes();
    match rng.u8(0..14) {
        0 => deep("[", rng.usize(1..20_000)),
        1 => deep("{a=", rng.usize(1..20_000)),
        2 => deep("a.", rng.usize(1..20_000)),
        3 => [deep("[", 5_000), deep("]", 5_000)].concat(),
        4 => deep("9", rng.usize(1..5_000)),
        5 => deep("\n[[copy]]", rng.usize(1..2_000)),
        6 => (0..rng.usize(1..2_000)).flat_map(|n| format!("\nk{n} = {n}").into_bytes()).collect(),
        7 => vec![rng.u8(..); rng.usize(1..20)],
        _ => rng.choice(PIECES).unwrap_or("").into(),
    }
}

/// The place of a byte where a line begins.
fn line_start(bytes: &[u8], at: usize) -> usize {
    bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1)
}

fn holds_secret(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
}

/// One damage. None takes a secret away from its key, and none puts it under another: nobody could tell then.
fn damage(bytes: &mut Vec<u8>, settings: bool, rng: &mut fastrand::Rng) {
    let at = rng.usize(0..=bytes.len());
    match rng.u8(0..8) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(0..8),
        2 if at < bytes.len() => bytes[at] = rng.u8(..),
        3 => bytes.truncate(at),
        4 => {
            // Within one line, before or after its secret.
            let start = line_start(bytes, at);
            let from = rng.usize(start..=at);
            let rest = bytes[at..].split(|b| *b == b'\n').next().unwrap_or_default();
            // Of what is before a secret at least the beginning of its key stays.
            if !holds_secret(rest) || from - start > 12 {
                bytes.drain(from..at);
            }
        }
        5 => {
            let from = line_start(bytes, at);
            let to = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n + 1);
            let line = bytes[from..to].to_vec();
            if !holds_secret(&line) {
                let mut place = rng.usize(0..=bytes.len());
                place = line_start(bytes, place);
                bytes.splice(place..place, line);
            }
        }
        _ => {
            let piece = piece(rng);
            let rest = bytes[at..].split(|b| *b == b'\n').next().unwrap_or_default();
            // A plan has no secrets: what is called one is hidden, and half a name calls nothing so.
            let halves = !settings && holds_secret(rest) && at > line_start(bytes, at) && piece.contains(&b'\n');
            if !halves {
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// The two files of a seed.
fn mutated(seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    static SETTINGS: LazyLock<Vec<String>> = LazyLock::new(settings_texts);
    static PLANS: LazyLock<Vec<String>> = LazyLock::new(plan_texts);
    let mut settings = rng.choice(&*SETTINGS).expect("some").clone().into_bytes();
    let mut plan = rng.choice(&*PLANS).expect("some").clone().into_bytes();
    let of_settings = rng.u8(0..3) == 0;
    for _ in 0..rng.usize(1..5) {
        damage(if of_settings { &mut settings } else { &mut plan }, of_settings, &mut rng);
    }
    (settings, plan)
}

fn write(dir: &Path, seed: u64) {
    let (settings, plan) = mutated(seed);
    fs::create_dir_all(dir.join("plans.d")).expect("made");
    fs::write(dir.join("stillframe.toml"), settings).expect("written");
    fs::write(dir.join("plans.d/web.toml"), plan).expect("written");
}

/// What is wrong with an answer, if anything is.
fn judge(seed: u64, code: Option<i32>, out: &str, err: &str) -> Option<String> {
    let all = format!("{out}{err}");
    let fault = match code {
        Some(0) if !out.is_empty() => None,
        Some(2) if !all.is_empty() => None,
        other => Some(format!("exit code {other:?}")),
    };
    let fault = fault.or_else(|| all.contains("panicked").then(|| "a panic".to_owned()));
    let fault = fault.or_else(|| all.contains(SECRET).then(|| "a secret".to_owned()));
    let steers = all.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}');
    let fault = fault.or_else(|| steers.then(|| "steers the terminal".to_owned()));
    fault.map(|fault| format!("seed {seed}: {fault}\n{all}"))
}

/// All seeds, in this process.
#[test]
fn no_damaged_file_is_too_much() {
    let (said, hears) = mpsc::channel();
    std::thread::spawn(move || {
        let dir = tempfile::tempdir().expect("a directory");
        let now = DateTime::from_timestamp(1_795_000_000, 0).expect("2026");
        for seed in 0..ALL {
            write(dir.path(), seed);
            let args = CheckArgs { config: dir.path().to_owned(), json: false };
            let ended = std::panic::catch_unwind(|| {
                let (mut out, mut err) = (Vec::new(), Vec::new());
                let code =
                    report(&args, [("TZDIR".to_owned(), OLDER_ZONES.to_owned())].into_iter(), now, &mut out, &mut err)
                        .expect("memory");
                (code, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
            });
            let fault = match ended {
                Ok((code, out, err)) => judge(seed, Some(code.into()), &out, &err),
                Err(_) => Some(format!("seed {seed}: a panic")),
            };
            if said.send((seed, fault)).is_err() {
                return;
            }
        }
    });
    for expected in 0..ALL {
        let (seed, fault) = hears.recv_timeout(LIMIT).unwrap_or_else(|e| panic!("seed {expected}: {e}"));
        assert_eq!((seed, fault), (expected, None));
    }
}

/// Runs `check` on a directory to its end, or kills it at the limit.
pub fn checked(dir: &Path, json: bool) -> (Option<i32>, String, String) {
    let streams = ["out", "err"].map(|name| dir.join(name));
    let [out, err] = streams.each_ref().map(|path| fs::File::create(path).expect("made"));
    let mut child = Command::new("timeout")
        .args(["--signal=KILL", &LIMIT.as_secs().to_string()])
        .arg(child::binary())
        .args(["check", "--config"])
        .arg(dir)
        .args(json.then_some("--json"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("TZDIR", OLDER_ZONES)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .expect("timeout(1) is there");
    let code = child.wait().expect("its end").code();
    let [out, err] = streams.map(|path| String::from_utf8_lossy(&fs::read(path).expect("read")).into_owned());
    (code, out, err)
}

/// Some of them, by the program.
#[test]
fn the_program_stands_them() {
    let all = std::env::var("STILLFRAME_MUTATIONS").ok().map_or(PROCESSES, |n| n.parse().expect("a number"));
    let next = AtomicU64::new(0);
    let faults: Vec<String> = std::thread::scope(|scope| {
        let one = || {
            let dir = tempfile::tempdir().expect("a directory");
            let mut faults = Vec::new();
            while let seed = next.fetch_add(1, Ordering::Relaxed)
                && seed < all
            {
                write(dir.path(), seed);
                let (code, out, err) = checked(dir.path(), seed % 4 == 0);
                faults.extend(judge(seed, code, &out.replace('\u{202e}', ""), &err));
            }
            faults
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(one)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    assert_eq!(next.load(Ordering::Relaxed).min(all), all);
    assert!(faults.is_empty(), "{} of {all}:\n{}", faults.len(), faults.join("\n\n"));
}
