//! Every ERROR that can be logged has an entry in the runbook, and every entry is of one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Facts whose line can be an ERROR, as `report::logs` decides.
const FACTS: &[&str] = &[
    "config.refused",
    "daemon.stopped",
    "occurrence.skipped",
    "retain.stopped",
    "run.finished",
    "step.abandoned",
    "step.needs_person",
    "step.refused",
    "target.finished",
];

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The events of `tracing::error!` in a source, its tests left out.
fn errors(text: &str) -> Vec<String> {
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut events = Vec::new();
    for call in shipped.split("tracing::error!(").skip(1) {
        let event = call.trim_start().strip_prefix("event = ").unwrap_or_else(|| panic!("no event first: {call:.80}"));
        let event = event.trim_start();
        match event.strip_prefix('"') {
            Some(rest) => events.push(rest.split('"').next().unwrap_or_default().to_owned()),
            None => assert!(event.starts_with("Kind::ConfigRefused"), "an event that is no text: {event:.60}"),
        }
    }
    events
}

#[test]
fn every_error_has_its_entry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let mut known: BTreeSet<String> = FACTS.iter().map(|kind| (*kind).to_owned()).collect();
    for file in files {
        known.extend(errors(&fs::read_to_string(file).expect("readable")));
    }
    assert!(known.len() > FACTS.len() + 8, "{known:?}");
    let runbook = fs::read_to_string(root.join("docs/usage/runbook.md")).expect("the runbook");
    let entries: BTreeSet<String> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ")).map(|title| title.trim().to_owned()).collect();
    let missing: Vec<_> = known.difference(&entries).collect();
    let stale: Vec<_> = entries.difference(&known).collect();
    assert!(missing.is_empty() && stale.is_empty(), "without an entry: {missing:?}; of no ERROR: {stale:?}");
    // Each says what to do.
    for entry in runbook.split("\n## ").skip(1) {
        let title = entry.lines().next().unwrap_or_default();
        assert!(entry.lines().skip(1).map(str::len).sum::<usize>() > 120, "{title} says too little");
    }
}

/// The list above is what `logs::level` decides: no other kind is ever an ERROR.
#[test]
fn the_facts_are_those_of_the_log() {
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/logs.rs")).expect("readable");
    let level = source.split("pub fn level").nth(1).and_then(|rest| rest.split("\n}").next()).expect("the function");
    let facts: BTreeSet<&str> = level
        .lines()
        .filter(|line| line.contains("Level::ERROR"))
        .flat_map(|line| line.split("Fact::").skip(1))
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default())
        .collect();
    let words: BTreeSet<String> = facts.iter().map(|fact| dotted(fact)).collect();
    assert_eq!(words, FACTS.iter().map(|kind| (*kind).to_owned()).collect());
}

/// `StepNeedsPerson` as `step.needs_person`.
fn dotted(fact: &str) -> String {
    let mut words = Vec::new();
    for c in fact.chars() {
        if c.is_ascii_uppercase() {
            words.push(String::new());
        }
        words.last_mut().expect("a capital first").push(c.to_ascii_lowercase());
    }
    format!("{}.{}", words[0], words[1..].join("_"))
}
