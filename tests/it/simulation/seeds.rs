//! Random lives: the promises hold for every seed.
//!
//! `STILLFRAME_SIM_SEEDS` sets how many; `STILLFRAME_SIM_SEED` replays one to the byte, with its trace. A failure prints
//! its seed, and the smallest plot that still shows it.

use std::io::Write as _;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::draw;
use super::figures::Figures;
use super::live::{Lived, live};
use super::people::{ACTS, ACTS_AFAR};
use super::plot::{Move, Plot};
use super::record::{self, Record, Records};
use super::shrink::shrink;
use super::watch::Breach;

/// How many `cargo test` lives.
pub const SEEDS: u64 = 300;
/// With so many every kind of trouble must have happened.
const ALL_KINDS: u64 = 200;
/// How many lives a shrinking may cost.
const TRIES: u32 = 150;
/// After so many failures the rest tells nothing new.
const FAILURES_MAX: usize = 8;

/// Seeds that once broke a promise, each with what it found, in lives without copies and shares.
const FOUND: &[(u64, &str)] = &[
    (452, "a request was answered, the journal failed before its event: told to nobody until a restart"),
    (661, "a skip of a request for a plan that is not in force was told to nobody after a crash"),
    (731, "a lost CreateImage of a stopped instance was sent again after a person had started it"),
    (853, "a run that lay still for a day was stopped and started once more: it rebooted a day late"),
    (1220, "the plan was removed, the journal lost: who stayed down was not alarmed, and held its slot for ever"),
    (1258, "the same, with other plans waiting for that slot"),
    (1393, "AWS throttled for long: an instance was rebooted after the window"),
    (1394, "the same as 853"),
    (1517, "a process died right after it had freed a slot, and the watch did not hear of it"),
    (1770, "the machine slept while AWS throttled: an instance was rebooted a day late"),
    (1949, "the same as 1220"),
    (2150, "a request was answered, the journal failed before its run began: it began only after a restart"),
    (2870, "the machine slept in a run, and was restarted before the run ended: it rebooted hours late"),
    (3323, "the same as 2870"),
    (3311, "a full disk kept the event of a decision, and the watch judged it by when it was told"),
    (4076, "the last process began just before the end, and the watch asked for what it had no time to decide"),
];

/// The same of lives with copies and shares.
const FOUND_AFAR: &[(u64, &str)] = &[
    (114, "a reload took `[share]` away while its copy under another key was pending: it was deregistered then"),
    (222, "the alarm beside a pending copy was taken for a copy that is to be made"),
    (1866, "an image with a grant of its own was removed before the grant: it stayed for ever"),
    (1898, "a `[[copy]]` was out of the plan while a lost journal was rebuilt: what it had wanted was forgotten"),
    (6045, "a tag went while its process was killed, and the journal told of it still: somebody was let in without it"),
    (6677, "a lost journal, a copy under way where nobody could look: what was lent for it was taken back"),
    (4407, "the journal was lost under a clock 42 h off: who was down was forgotten, and rebooted again"),
    (4624, "after a restart two ways led to one copy under another key: both shared it, and told of it differently"),
    (2649, "a forgotten copy under another key outlived its source by a run, and then for ever"),
    (
        6400,
        "the answer to CopyImage was lost, the next one denied: what was lent was taken back from the copy under way",
    ),
    (
        8706,
        "a lost journal, and a destination that may not be listed: what was lent was taken back from the copy under way",
    ),
    (9551, "the journal was lost with the tags of all images under a key, and the watch asked for its grants"),
    (
        9667,
        "whom we let in to snapshots alone, a person having let them in to the image, was never let out after a loss",
    ),
    (4775, "a person wrote into our tag whom a person had let in, and the watch asked that they stay"),
    (2318, "an older journal was put back, and a run in the middle of it sent CreateImage before AWS was listed"),
    (3629, "the same, for images without a reboot"),
    (4715, "an older journal was put back: a lost answer was sent again ten minutes after it was completed"),
    (2648, "the journal was lost, and a person had removed the image of who was down: its snapshots tell"),
    (5341, "a lost journal, a copy under way where nobody could look: the image in between was removed"),
    (3707, "a failed image hid that it named a stranger's snapshot: AWS deleted that with it"),
    (5227, "a list left out what a failed image names: it was orphaned"),
    (5296, "the same as 5227"),
    (151, "a tag whose answer was lost was taken for written: somebody was let in, and no tag said so"),
];

/// One life, in a runtime and a simulated time of its own. A panic breaks promise 0.
pub fn lived(plot: &Plot, traced: bool) -> Lived {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    match catch_unwind(AssertUnwindSafe(|| runtime.block_on(live(plot, traced)))) {
        Ok(lived) => lived,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            let what = format!("panicked: {}", text.unwrap_or("?"));
            let broken = vec![Breach { promise: 0, what }];
            Lived { broken, figures: Figures::default(), trace: String::new(), record: Record::default() }
        }
    }
}

/// The first of `seeds` that breaks a promise, and how: what a deliberate fault of the engine is caught by.
#[allow(dead_code)]
pub fn first_breach(seeds: Range<u64>) -> Option<(u64, Breach)> {
    let (_, failures, _) = many(seeds, 1);
    failures.into_iter().next().and_then(|(seed, broken)| Some((seed, broken.into_iter().next()?)))
}

/// Lives all of `seeds`, on all processors; the figures, the seeds that broke promises, the lowest first, and what came of
/// each.
pub fn many(seeds: Range<u64>, failures_max: usize) -> (Figures, Vec<(u64, Vec<Breach>)>, Records) {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new((Figures::default(), Vec::new(), Records::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || found.lock().expect("whole").1.len() >= failures_max {
                        return;
                    }
                    let lived = lived(&draw::plot(seed), false);
                    let mut found = found.lock().expect("whole");
                    found.0.add(&lived.figures);
                    found.2.insert(seed, lived.record);
                    if !lived.broken.is_empty() {
                        found.1.push((seed, lived.broken));
                    }
                }
            });
        }
    });
    let (figures, mut failures, records) = found.into_inner().expect("whole");
    failures.sort_by_key(|(seed, _)| *seed);
    (figures, failures, records)
}

/// The smallest plot that breaks the same promise.
fn smallest(plot: &Plot, promise: u8) -> Plot {
    shrink(plot, TRIES, |smaller| lived(smaller, false).broken.iter().any(|b| b.promise == promise))
}

/// What is printed of a failure.
fn report(seed: u64, broken: &[Breach]) -> String {
    report_of(&draw::plot(seed), broken)
}

fn report_of(plot: &Plot, broken: &[Breach]) -> String {
    let seed = plot.seed;
    let small = smallest(plot, broken.first().map_or(0, |b| b.promise));
    let shown = lived(&small, true);
    let list = |all: &[Breach]| all.iter().map(|b| format!("  {b}")).collect::<Vec<_>>().join("\n");
    let story: Vec<&str> = shown.trace.lines().filter(|line| !line.contains(" call Describe")).collect();
    format!(
        "seed {seed} breaks promises:\n{}\nreplay it with STILLFRAME_SIM_SEED={seed}. The smallest plot that breaks the \
         same one:\n{small}breaks:\n{}\nits story:\n{}\n",
        list(broken),
        list(&shown.broken),
        story.join("\n")
    )
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// The one seed that is to be replayed.
fn one() -> Option<u64> {
    number("STILLFRAME_SIM_SEED")
}

/// Shown whether the test passes or not.
fn show(text: &str) {
    // Nobody may listen.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[test]
fn promises_hold_for_every_seed() {
    if let Some(seed) = one() {
        let lived = lived(&draw::plot(seed), true);
        show(&format!("{}{}{}", draw::plot(seed), lived.trace, lived.figures));
        assert!(lived.broken.is_empty(), "{}", report(seed, &lived.broken));
        return;
    }
    let count = number("STILLFRAME_SIM_SEEDS").unwrap_or(SEEDS);
    let (figures, failures, records) = many(0..count, FAILURES_MAX);
    record::keep(&records);
    show(&figures.to_string());
    if let Some((seed, broken)) = failures.first() {
        let all: Vec<String> = failures.iter().map(|(seed, b)| format!("  {seed}: {}", b[0])).collect();
        panic!("{}\nseeds that failed, the first ones:\n{}", report(*seed, broken), all.join("\n"));
    }
    if count >= ALL_KINDS {
        let never = never(&figures);
        assert!(never.is_empty(), "in {count} seeds these never happened: {never:?}\n{figures}");
    }
    record::compare(&records);
}

/// What must happen in many lives, and did not.
fn never(figures: &Figures) -> Vec<String> {
    let faults = [
        "throttled",
        "denied",
        "expired",
        "bad key",
        "5xx before",
        "5xx after",
        "cut before",
        "cut after",
        "not sent",
        "silent",
        "silent after",
        "slow",
    ];
    let moves = [
        "weather",
        "deaths at a record",
        "deaths at a removal",
        "oddities",
        "kills",
        "stops",
        "full disks",
        "journals lost",
        "states lost",
        "take-overs",
        "disks that lied",
        "reloads",
        "bad files",
        "requests",
        "clocks set",
        "sleeps",
        "nights stopped",
        "nights asleep",
        "second processes",
        "other installations",
        "homes found",
        "keys disabled",
        "roles denied",
    ];
    let mut never: Vec<String> = Vec::new();
    let mut need = |what: &str, n: Option<u64>| {
        if n.unwrap_or(0) == 0 {
            never.push(what.to_owned());
        }
    };
    faults.iter().for_each(|kind| need(kind, figures.faults.get(kind).copied()));
    moves.iter().for_each(|kind| need(kind, figures.moves.get(kind).copied()));
    ACTS.iter().chain(&ACTS_AFAR).for_each(|(_, kind)| need(kind, figures.people.get(kind).copied()));
    ["run", "skip", "miss"].iter().for_each(|kind| need(kind, figures.occurrences.get(*kind).copied()));
    ["done", "failed", "skipped"].iter().for_each(|kind| need(kind, figures.targets.get(*kind).copied()));
    // On average each life must be worth living.
    let n = figures.seeds;
    for (what, count) in [
        ("images", figures.images),
        ("reboots", figures.reboots),
        ("deletions", figures.deletions),
        ("crashes", figures.crashes * 2),
        ("restarts", figures.restarts),
        ("copies", figures.copies * 2),
        ("permissions changed", figures.permissions * 2),
        ("grants", figures.grants * 20),
    ] {
        need(what, (count >= n).then_some(count));
    }
    never
}

/// What once broke a promise does not break it again.
#[test]
fn found_seeds_stay_whole() {
    for (seed, what) in FOUND {
        let plot = draw::plain(*seed);
        let lived = lived(&plot, false);
        assert!(lived.broken.is_empty(), "{what}: {}", report_of(&plot, &lived.broken));
    }
    for (seed, what) in FOUND_AFAR {
        let lived = lived(&draw::plot(*seed), false);
        assert!(lived.broken.is_empty(), "{what}: {}", report(*seed, &lived.broken));
    }
}

/// Same seed, same trace: every event and every call, reads too, byte by byte.
#[test]
fn a_seed_replays() {
    let seeds = one().map_or(0..100, |seed| seed..seed + 1);
    for seed in seeds {
        let plot = draw::plot(seed);
        assert_eq!(plot, draw::plot(seed), "the plot of seed {seed}");
        let (first, second) = (lived(&plot, true), lived(&plot, true));
        if first.trace != second.trace {
            let differ = first.trace.lines().zip(second.trace.lines()).find(|(a, b)| a != b);
            panic!("seed {seed} does not replay: {differ:#?}");
        }
        assert!(first.trace.len() > 1000, "seed {seed} tells nothing");
        assert_eq!(first.figures, second.figures);
    }
}

/// A breach that needs two of many moves is shrunk to these two, one instance and one plan.
#[test]
fn a_planted_breach_is_shrunk_to_what_shows_it() {
    let mut plot = draw::plot(7);
    plot.moves.retain(|(_, what)| !matches!(what, Move::DiesAt { .. }));
    plot.moves.extend([(500, Move::Stopped { away: 5 }), (1500, Move::Planted)]);
    plot.moves.extend((0..9).map(|n| (100 * n, Move::Slept(60))));
    plot.moves.sort_by_key(|(at, _)| *at);
    let mut asked = 0;
    let small = shrink(&plot, TRIES, |smaller| {
        asked += 1;
        lived(smaller, false).broken.iter().any(|b| b.promise == 9)
    });
    let names: Vec<&str> = small.moves.iter().map(|(_, what)| what.name()).collect();
    assert_eq!(names, ["stops", "planted"], "{small}");
    assert_eq!((small.fleet.instances.len(), small.plans.len()), (1, 1));
    assert!(asked <= TRIES, "{asked} tries");
}
