//! What came of each seed's life, one line each, as it was recorded: how a changed engine is held to what the one before it
//! did.
//!
//! `tests/fixtures/2026-11/seeds.txt` was first recorded from commit 36b6875, and anew when the order of the targets in a run
//! came to follow their newest images: with the order of before, every line had stayed as it was; and of nine seeds when a
//! denied copy came to be lent for once. It is written by
//! `cargo test --test it -- --ignored --exact simulation::record::what_came_of_a_thousand_seeds_is_written_down`.
//! It is never recorded anew to make a change pass: only where what a life is, or the engine does, was changed on purpose, and
//! everything else was seen to stay. With `STILLFRAME_SIM_RECORDS=NAME` the promise test writes the full list of each seed into
//! `records/NAME/` under the target folder's `tmp`, so that two versions can be compared by `diff -r`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use stillframe::domain::fact::Kind;

use super::rig::Rig;
use super::seeds;
use crate::support::rows::Event;

/// How many are recorded.
const RECORDED: u64 = 1000;
/// So many differences are shown in full.
const SHOWN_MAX: usize = 40;
/// So much of a hash tells two lives apart.
const HASH: usize = 6;

/// By seed.
pub type Records = BTreeMap<u64, Record>;

/// What came of one life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// In short.
    pub line: String,
    /// Each end of a target, and a skip; sorted.
    pub full: Vec<String>,
}

impl Record {
    /// What came of the life that this rig has lived.
    pub fn of(rig: &Rig, seed: u64) -> Self {
        let journals = rig.journals_before.iter().chain([&rig.journal]);
        let writes: u32 = journals.map(|journal| journal.written()).sum();
        let events = rig.events.borrow();
        let mut targets: BTreeMap<String, u64> = BTreeMap::new();
        for event in events.iter().filter(|e| e.draft.kind == Kind::TargetFinished) {
            *targets.entry(event.text("outcome").unwrap_or("?").to_owned()).or_default() += 1;
        }
        let mut full: Vec<String> = events.iter().filter_map(end).collect();
        full.sort();
        let mut hash = Sha256::new();
        for end in &full {
            hash.update(class(end));
            hash.update(b"\n");
        }
        let mut short = String::new();
        for byte in hash.finalize().iter().take(HASH) {
            let _ = write!(short, "{byte:02x}");
        }
        let line = format!("{seed} writes {writes}; {}; {}; {short}", counts(&effects(rig)), counts(&targets));
        Self { line, full }
    }
}

/// How many calls of each API took effect in this world.
pub fn effects(rig: &Rig) -> BTreeMap<String, u64> {
    let world = rig.world();
    let mut effects: BTreeMap<String, u64> = BTreeMap::new();
    // How often a role is assumed follows from the time that passes.
    for call in world.calls.iter().filter(|call| call.effect && call.api != "AssumeRole") {
        *effects.entry(call.api.to_string()).or_default() += 1;
    }
    // Where a script leaves the snapshots, the world's log knows nothing of the deregistration.
    let deletions = rig.watch.figures.borrow().deletions;
    effects.remove("DeregisterImage");
    if deletions > 0 {
        effects.insert("DeregisterImage".into(), deletions);
    }
    effects
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "-".into();
    }
    counts.iter().map(|(what, n)| format!("{what} {n}")).collect::<Vec<_>>().join(" ")
}

/// One end: run, subject, outcome, reason. What its run makes of them is not recorded.
fn end(event: &Event) -> Option<String> {
    let draft = &event.draft;
    if !matches!(draft.kind, Kind::TargetFinished | Kind::TargetSkipped) {
        return None;
    }
    let subject = draft.subject.as_ref().map(ToString::to_string).unwrap_or_default();
    let outcome = event.text("outcome").unwrap_or(draft.kind.as_str());
    Some(format!("{} {subject} {outcome}: {}", draft.run, event.text("reason").unwrap_or_default()))
}

/// The same without the numbers of its reason: how many seconds something took, and the ids of objects, may change.
fn class(end: &str) -> String {
    let (what, reason) = end.split_once(": ").unwrap_or((end, ""));
    let mut class = format!("{what}: ");
    for word in reason.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let (body, rest) = word.split_at(word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).len());
        class.push_str(if body.bytes().any(|b| b.is_ascii_digit()) { "#" } else { body });
        class.push_str(rest);
    }
    class
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/2026-11/seeds.txt")
}

/// Panics with the old and the new line of each seed that differs.
pub fn compare(records: &Records) {
    let text = std::fs::read_to_string(file()).expect("the recorded seeds");
    let recorded = text.lines().map(|line| (line.split(' ').next().and_then(|n| n.parse::<u64>().ok()), line));
    let mut differ = Vec::new();
    let mut compared = 0;
    for (seed, line) in recorded {
        let seed = seed.unwrap_or_else(|| panic!("{}: {line}", file().display()));
        let Some(record) = records.get(&seed) else { continue };
        compared += 1;
        if record.line != line {
            differ.push(format!("- {line}\n+ {}", record.line));
        }
    }
    let expected = u64::try_from(records.len()).expect("few").min(RECORDED);
    assert_eq!(compared, expected, "seeds of {} that could be compared", file().display());
    assert!(
        differ.is_empty(),
        "{} of {compared} seeds came to another end than they were recorded with; for the full lists run both versions with \
         STILLFRAME_SIM_RECORDS=NAME and compare target/tmp/records/NAME:\n{}",
        differ.len(),
        differ.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join("\n")
    );
}

/// Writes the full list of each seed, if that is asked for.
pub fn keep(records: &Records) {
    let Ok(name) = std::env::var("STILLFRAME_SIM_RECORDS") else { return };
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("records").join(name);
    std::fs::create_dir_all(&dir).expect("a directory");
    for (seed, record) in records {
        let text = format!("{}\n{}\n", record.line, record.full.join("\n"));
        std::fs::write(dir.join(format!("{seed:05}.txt")), text).expect("written");
    }
}

/// See the top of this file for when.
#[test]
#[ignore = "it writes the fixture"]
fn what_came_of_a_thousand_seeds_is_written_down() {
    let (_, failures, records) = seeds::many(0..RECORDED, 1);
    assert!(failures.is_empty(), "{failures:?}");
    let lines: Vec<&str> = records.values().map(|record| record.line.as_str()).collect();
    let file = file();
    std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
    std::fs::write(&file, lines.join("\n") + "\n").expect("written");
}

#[test]
fn a_reason_is_classed_without_its_numbers() {
    let end = "web@20260302T020000Z 1/eu/i-1 failed: return: not back for 34 s (i-0a1, 2026-03-02T02:00:05Z)";
    let expected = "web@20260302T020000Z 1/eu/i-1 failed: return: not back for # s (i-#, #-#-#:#:#)";
    assert_eq!(class(end), expected);
}
