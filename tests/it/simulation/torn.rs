//! What a power cut leaves of the journal's files: the write-ahead log cut off, or torn, at any byte. On real files.
//!
//! With `synchronous=FULL` a transaction that was acknowledged is on the disk: only the one under way can be lost, and it
//! is lost whole. What a disk is worth that acknowledges what it has not stored, the random lives show (`disks that
//! lied`): CreateImage takes effect once, and nothing is deleted that must stay, since names and AWS decide there. Not
//! promised after that: limits across the crash, since who was down may be forgotten, and that alarms are repeated.

use std::fs;
use std::path::Path;

use crate::support::rows::{Draft, drafts};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use stillframe::domain::event::{Decision, Occurrence, Trigger};
use stillframe::domain::fact::{self, Kind};
use stillframe::domain::place::Place;
use stillframe::journal::sqlite::{FILE, SqliteJournal};
use stillframe::journal::{Journal as _, Reader as _};

use super::rig::{ACCOUNT, BASE, REGION, at};

/// A SQLite log's header and the header of each of its frames, bytes.
const LOG_HEADER: usize = 32;
/// So many transactions.
const TRANSACTIONS: u32 = 12;

fn due(n: u32) -> DateTime<Utc> {
    at(BASE) + TimeDelta::seconds(10) + TimeDelta::minutes(i64::from(n))
}

fn occurrence(n: u32) -> Occurrence {
    Occurrence {
        plan: "web".into(),
        due: due(n),
        trigger: Trigger::Schedule,
        decision: Decision::Run,
        reason: String::new(),
        decided_at: due(n),
        plan_hash: "hash".into(),
    }
}

/// An intent and its slot: one transaction.
fn pair(n: u32) -> Vec<fact::Draft> {
    let subject = Place::new(ACCOUNT, REGION).subject(&format!("i-{n:017x}"));
    let run = occurrence(n).run();
    // Some of them are larger than a page.
    let name = "x".repeat(if n.is_multiple_of(3) { 9000 } else { 100 });
    drafts(&[
        Draft::of(&run, &subject, Kind::StepIntent, json!({ "name": name })).at_step("image", 1),
        Draft::of(&run, &subject, Kind::SlotTaken, json!({ "reason": "rebooted" })),
    ])
}

/// The journal's files after each transaction: the database and its log.
async fn history(dir: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let journal = SqliteJournal::open(dir).expect("a journal");
    journal.acquire(at(BASE)).await.expect("taken");
    let files = || {
        let read = |suffix: &str| fs::read(dir.join(format!("{FILE}{suffix}"))).expect("there");
        (read(""), read("-wal"))
    };
    let mut history = vec![files()];
    for n in 1..=TRANSACTIONS {
        journal.append(due(n), &pair(n)).await.expect("written");
        history.push(files());
        journal.decide(&occurrence(n), None).await.expect("written");
        history.push(files());
    }
    history
}

/// How many of the transactions are there, as a start finds them: each whole or not at all, and none without the one
/// before it.
async fn found(dir: &Path, database: &[u8], log: &[u8], what: &str) -> usize {
    for entry in fs::read_dir(dir).expect("readable") {
        fs::remove_file(entry.expect("an entry").path()).expect("removed");
    }
    fs::write(dir.join(FILE), database).expect("written");
    fs::write(dir.join(format!("{FILE}-wal")), log).expect("written");
    let (journal, replaced) = SqliteJournal::open_or_replace(dir, at(BASE)).expect("it opens");
    assert_eq!(replaced, None, "{what}: a torn log is no damage");
    let mut there = Vec::new();
    for n in 1..=TRANSACTIONS {
        let events = journal.events_of(&occurrence(n).run()).await.expect("readable");
        assert!(matches!(events.len(), 0 | 2), "{what}: half of transaction {n}");
        for (event, draft) in events.iter().zip(pair(n)) {
            assert_eq!(event.draft, draft, "{what}");
        }
        there.push(!events.is_empty());
        there.push(journal.occurrence("web", due(n)).await.expect("readable").is_some());
    }
    let count = there.iter().take_while(|there| **there).count();
    assert!(there[count..].iter().all(|there| !there), "{what}: one is missing in the middle: {there:?}");
    // It can be written again at once.
    journal.acquire(at(BASE)).await.expect("taken");
    journal.append(at(BASE), &pair(TRANSACTIONS + 1)).await.expect("written");
    count
}

/// Bytes at which the log is cut: around the end of each transaction, and at many places within.
fn cuts(history: &[(Vec<u8>, Vec<u8>)]) -> Vec<usize> {
    let whole = history.last().map_or(0, |(_, log)| log.len());
    let ends = history.iter().map(|(_, log)| log.len());
    let around = ends.flat_map(|end| [end.saturating_sub(1), end, end + 1, end + 24, end + 25]);
    let mut cuts: Vec<usize> = around.chain((0..whole).step_by(3001)).filter(|cut| *cut <= whole).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// The transactions whose last byte is on the disk.
fn complete(history: &[(Vec<u8>, Vec<u8>)], cut: usize) -> usize {
    history.iter().skip(1).filter(|(_, log)| log.len() <= cut).count()
}

#[tokio::test]
async fn a_log_that_was_cut_off_loses_only_what_was_under_way() {
    let (made, opened) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let history = history(made.path()).await;
    let (database, log) = history.last().expect("one at least");
    assert!(history.iter().all(|(first, _)| first == database), "nothing is written back meanwhile");
    let cuts = cuts(&history);
    assert!(cuts.len() > 100, "{} cuts", cuts.len());
    for cut in cuts {
        let what = format!("cut at {cut} of {}", log.len());
        let count = found(opened.path(), database, &log[..cut], &what).await;
        assert_eq!(count, complete(&history, cut), "{what}");
    }
}

#[tokio::test]
async fn a_log_that_was_torn_loses_only_what_was_under_way() {
    let (made, opened) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let history = history(made.path()).await;
    let (database, log) = history.last().expect("one at least");
    for cut in cuts(&history).into_iter().filter(|cut| *cut > LOG_HEADER) {
        // The rest of its page came to the disk as something else.
        for filler in [0_u8, 0xa5] {
            let mut torn = log.clone();
            torn[cut..].fill(filler);
            let what = format!("torn at {cut} of {} with {filler:x}", log.len());
            let count = found(opened.path(), database, &torn, &what).await;
            let expected = complete(&history, cut);
            // What was torn may hold the very bytes that were meant.
            let same = log[cut..].iter().take_while(|byte| **byte == filler).count();
            assert!(count == expected || count == complete(&history, cut + same), "{what}: {count}, not {expected}");
        }
    }
}
