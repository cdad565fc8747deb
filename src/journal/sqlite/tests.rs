use serde_json::json;

use super::*;
use crate::domain::event::{Decision, Trigger};
use crate::domain::fact::codec::Row;
use crate::domain::fact::{Kind, Scope};
use crate::domain::place::Place;
use crate::journal::Find;

fn at(hour: u32) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(i64::from(hour))
}

fn occurrence(plan: &str, hour: u32) -> Occurrence {
    Occurrence {
        plan: plan.into(),
        due: at(hour),
        trigger: Trigger::Schedule,
        decision: Decision::Run,
        reason: String::new(),
        decided_at: at(hour),
        plan_hash: "h".into(),
    }
}

async fn journal() -> SqliteJournal {
    let journal = SqliteJournal::in_memory().unwrap();
    journal.acquire(at(0)).await.unwrap();
    journal
}

fn row(run: &str, kind: Kind, data: serde_json::Value) -> Row {
    Row::of(run, &Place::new("111111111111", "eu-central-1").subject("i-1"), kind, data)
}

fn draft(run: &str, kind: Kind, data: serde_json::Value) -> Draft {
    codec::decode(row(run, kind, data))
}

#[tokio::test]
async fn a_repeated_event_answers_what_is_stored_and_other_data_is_an_error() {
    let journal = journal().await;
    let first = draft("p@x", Kind::SlotTaken, json!({ "reason": "1" }));
    let new = journal.append(at(1), std::slice::from_ref(&first)).await.unwrap();
    assert!(matches!(new[0], Written::New(_)));
    let again = journal.append(at(2), std::slice::from_ref(&first)).await.unwrap();
    assert!(matches!(&again[0], Written::Before(event) if event.at == at(1)));
    let other = draft("p@x", Kind::SlotTaken, json!({ "reason": "2" }));
    assert!(matches!(journal.append(at(2), &[other]).await, Err(JournalError::Conflict { .. })));
}

#[tokio::test]
async fn a_transaction_is_written_whole_or_not_at_all() {
    let journal = journal().await;
    journal.append(at(1), &[draft("p@x", Kind::SlotTaken, json!({}))]).await.unwrap();
    let drafts = [draft("p@x", Kind::SlotFreed, json!({})), draft("p@x", Kind::SlotTaken, json!({ "reason": "1" }))];
    journal.append(at(2), &drafts).await.unwrap_err();
    assert_eq!(journal.events_of("p@x").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lease_that_cannot_be_written_is_an_error() {
    // What fails only with the commit, as a full disk does.
    let journal = journal().await;
    let breaks = "PRAGMA foreign_keys = ON; CREATE TABLE a (id INTEGER PRIMARY KEY);
        CREATE TABLE b (a REFERENCES a DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER breaks AFTER UPDATE ON lease BEGIN INSERT INTO b VALUES (1); END";
    journal.db.borrow().execute_batch(breaks).unwrap();
    journal.acquire(at(1)).await.unwrap_err();
    // The lease is the old one still, here and there.
    journal.append(at(1), &[draft("p@x", Kind::SlotTaken, json!({}))]).await.unwrap();
}

#[tokio::test]
async fn whoever_is_fenced_writes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let old = SqliteJournal::open(dir.path()).unwrap();
    let new = SqliteJournal::open(dir.path()).unwrap();
    assert_eq!(old.acquire(at(0)).await.unwrap(), 1);
    assert_eq!(new.acquire(at(1)).await.unwrap(), 2);
    let write = old.append(at(2), &[draft("p@x", Kind::SlotTaken, json!({}))]).await;
    assert!(matches!(write, Err(JournalError::Fenced { ours: 1, theirs: 2, .. })));
    assert!(matches!(old.decide(&occurrence("p", 1), None).await, Err(JournalError::Fenced { .. })));
    new.append(at(2), &[draft("p@x", Kind::SlotTaken, json!({}))]).await.unwrap();
}

#[tokio::test]
async fn an_occurrence_is_decided_once_and_answers_its_request_in_the_same_breath() {
    let journal = journal().await;
    let request = journal.put_request(at(0), "backup", &json!({ "plan": "p" })).unwrap();
    let first = occurrence("p", 1);
    assert!(matches!(journal.decide(&first, Some(request)).await.unwrap(), Written::New(_)));
    assert_eq!(journal.request(request).await.unwrap().unwrap().run, Some(first.run()));
    assert!(journal.open_requests().await.unwrap().is_empty());
    assert!(!journal.withdraw(request).unwrap());
    let other = Occurrence { decision: Decision::Skip, reason: "late".into(), ..first.clone() };
    assert_eq!(journal.decide(&other, None).await.unwrap(), Written::Before(first));
}

#[tokio::test]
async fn pruning_forgets_details_but_not_how_a_run_ended_nor_what_is_open() {
    let journal = journal().await;
    for (hour, open) in [(1, false), (2, true), (50, false)] {
        let o = occurrence("p", hour);
        journal.decide(&o, None).await.unwrap();
        let mut drafts = vec![draft(&o.run(), Kind::SlotTaken, json!({}))];
        if !open {
            drafts.push(draft(&o.run(), Kind::SlotFreed, json!({})));
        }
        drafts.push(codec::decode(Row::of_run(&o.run(), Kind::RunFinished, json!({}))));
        journal.append(at(hour), &drafts).await.unwrap();
    }
    assert_eq!(journal.prune(at(10)).await.unwrap(), 2);
    assert!(journal.unfinished().await.unwrap().is_empty());
    assert_eq!(journal.open_debts().await.unwrap().len(), 1);
    assert_eq!(journal.events_of(&occurrence("p", 1).run()).await.unwrap().len(), 1);
    assert_eq!(journal.events_of(&occurrence("p", 50).run()).await.unwrap().len(), 3);
}

/// An alarm of a step stays open until one of these events, and through the others.
#[tokio::test]
async fn an_alarm_lasts_until_what_it_was_about_has_ended() {
    let of = |run: &str, kind: Kind, step: &str, data| codec::decode(row(run, kind, data).at_step(step, 1));
    let at_step = |run: &str, kind: Kind, step: &str| of(run, kind, step, json!({ "reason": "why" }));
    let table = [
        ("return", "p@1", Kind::SlotFreed, "", true),
        ("return", "p@2", Kind::SlotFreed, "", false),
        ("return", "p@1", Kind::TargetFinished, "", false),
        ("return", "p@1", Kind::StepObserved, "return", true),
        ("image", "p@1", Kind::TargetFinished, "", true),
        ("image", "p@2", Kind::TargetFinished, "", false),
        ("image", "p@1", Kind::StepDone, "image", true),
        ("pending", "p@1", Kind::TargetFinished, "", true),
        ("retain", "p@2", Kind::StepRefused, "retain", false),
        ("retain", "p@2", Kind::StepDone, "retain", true),
        ("retain", "p@1", Kind::TargetFinished, "", false),
        ("select", "p@0", Kind::TargetFinished, "", true),
        ("select", "p@2", Kind::TargetSelected, "", false), // it is not imaged yet
        ("select", "p@2", Kind::TargetSkipped, "", true),   // on purpose
    ];
    for (step, run, kind, of, ends) in table {
        let journal = journal().await;
        journal.append(at(1), &[at_step("p@1", Kind::StepNeedsPerson, step)]).await.unwrap();
        assert_eq!(journal.alarms().await.unwrap().len(), 1);
        journal.append(at(2), &[at_step(run, kind.clone(), of)]).await.unwrap();
        assert_eq!(journal.alarms().await.unwrap().is_empty(), ends, "{step}: {kind:?} {of} of {run}");
    }
    // Left out once more, although nobody chose that: it is over with the first image, whatever comes after.
    let unwanted = [
        (Kind::TargetFinished, json!({ "outcome": "skipped", "prevented": "window", "reason": "over" })),
        (Kind::TargetSkipped, json!({ "class": "still_imaging", "reason": "it is being imaged" })),
    ];
    for (kind, data) in unwanted {
        let journal = self::journal().await;
        let (first, second) = (of("p@2", kind.clone(), "", data.clone()), of("p@4", kind, "", data));
        journal.append(at(1), &[at_step("p@1", Kind::StepNeedsPerson, "select"), first]).await.unwrap();
        assert_eq!(journal.alarms().await.unwrap().len(), 1);
        let imaged = of("p@3", Kind::TargetFinished, "", json!({ "outcome": "done" }));
        journal.append(at(2), &[imaged, second]).await.unwrap();
        assert!(journal.alarms().await.unwrap().is_empty());
    }
    // Of the same thing the newest alarm counts.
    let journal = journal().await;
    for run in ["p@1", "p@2"] {
        journal.append(at(1), &[at_step(run, Kind::StepNeedsPerson, "retain")]).await.unwrap();
    }
    let alarms = journal.alarms().await.unwrap();
    assert_eq!(alarms.iter().map(|e| e.draft.scope.run().unwrap()).collect::<Vec<_>>(), ["p@2"]);
}

#[tokio::test]
async fn the_newest_good_image_is_told_for_each_plan() {
    let journal = journal().await;
    let observed = |run: &str, outcome: &str| {
        codec::decode(row(run, Kind::StepObserved, json!({ "outcome": outcome, "image": run })).at_step("image", 1))
    };
    let made = row("a@b@20260101T000000Z", Kind::StepDone, json!({ "image": "ami-0aa" })).at_step("image", 1);
    let made = codec::decode(made);
    let drafts = [
        observed("web@20260101T000000Z", "done"),
        observed("web@20260102T000000Z", "done"),
        observed("web@20260103T000000Z", "failed"),
        observed("a@b@20260101T000000Z", "done"),
        made,
    ];
    journal.append(at(1), &drafts).await.unwrap();
    let newest = journal.newest_good().await.unwrap();
    let images: Vec<_> = newest.iter().filter_map(|e| e.fact().image()).collect();
    assert_eq!(images, ["web@20260102T000000Z", "a@b@20260101T000000Z"]);
    let about = journal.about_image("ami-0aa").await.unwrap();
    assert_eq!(about.len(), 1);
    assert!(journal.about_image("ami-0a").await.unwrap().is_empty(), "another id that begins alike");
}

/// Reading makes no file, and leaves what a crash has left.
#[tokio::test]
async fn a_reader_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("100% odd? #1");
    std::fs::create_dir(&odd).unwrap();
    let files = || {
        let entries = std::fs::read_dir(&odd).unwrap().map(|e| e.unwrap().path());
        let mut files: Vec<_> = entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        files.retain(|(path, _)| !path.display().to_string().ends_with("-shm")); // an index, made anew by whoever opens
        files.sort();
        files
    };
    let writer = SqliteJournal::open(&odd).unwrap();
    writer.acquire(at(0)).await.unwrap();
    writer.append(at(1), &[draft("p@x", Kind::SlotTaken, json!({}))]).await.unwrap();
    let (main, log) = (odd.join(FILE), odd.join(format!("{FILE}-wal")));
    let left = [&main, &log].map(|path| std::fs::read(path).unwrap());
    drop(writer);
    let at_rest = files();
    assert_eq!(at_rest.len(), 1);
    assert_eq!(SqliteJournal::read_only(&odd).unwrap().events_of("p@x").await.unwrap().len(), 1);
    assert!(files() == at_rest);
    // As a crash leaves it.
    std::fs::write(&main, &left[0]).unwrap();
    std::fs::write(&log, &left[1]).unwrap();
    let crashed = files();
    assert_eq!(SqliteJournal::read_only(&odd).unwrap().events_of("p@x").await.unwrap().len(), 1);
    assert!(files() == crashed);
    assert_eq!(SqliteJournal::open(&odd).unwrap().events_of("p@x").await.unwrap().len(), 1);
}

#[test]
fn a_journal_of_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteJournal::open(dir.path()).unwrap());
    Connection::open(dir.path().join(FILE)).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let refused = SqliteJournal::open(dir.path()).err().unwrap().to_string();
    assert!(refused.contains("version 7") && refused.contains("install the newer stillframe"), "{refused}");
    assert!(SqliteJournal::read_only(dir.path()).is_err());
}

/// What SQLite answers each part of a query with.
fn query_plan(journal: &SqliteJournal, sql: &str) -> Vec<String> {
    let db = journal.db.borrow();
    let mut query = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let parameters = vec![0; query.parameter_count()];
    let rows = query.query_map(rusqlite::params_from_iter(parameters), |r| r.get(3)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// What is asked of each event anew must find its few rows, however many alarms and results there are.
#[tokio::test]
async fn what_is_open_is_found_without_looking_at_all_events() {
    let journal = journal().await;
    let tail = |tail: &str| format!("SELECT {COLUMNS} FROM event {tail}");
    // The alias of each inner table, and the columns by which it is found.
    let by_topic = Find {
        subject: None,
        kinds: &[Kind::StepDone, Kind::StepObserved],
        step: Some("image".into()),
        scope: None,
        after: 0,
        before: i64::MAX,
    };
    let in_scope = Find { step: None, scope: Some(Scope::Daemon), kinds: &[Kind::SlotFreed], ..by_topic.clone() };
    for (sql, inner) in [
        (tail(&super::read::newest(&by_topic)), vec![("event", "subject=? AND step=?")]),
        (tail(&super::read::newest(&in_scope)), vec![("event", "run=? AND subject=?")]),
        (tail(&format!("AS o WHERE {}", open_debts())), vec![("s", "run=? AND subject=?")]),
        (PRUNE.to_owned(), vec![("f", "run=?")]),
    ] {
        let plan = query_plan(&journal, &sql);
        for (alias, by) in inner {
            let found = plan.iter().any(|line| line.starts_with(&format!("SEARCH {alias} USING")) && line.contains(by));
            assert!(found, "{alias} by {by}: {plan:#?}");
        }
        for alias in ["f", "s"] {
            let all = plan.iter().filter(|line| line.split(' ').nth(1) == Some(alias));
            for line in all {
                let narrow = line.contains("subject=?") || line.contains("run=?");
                assert!(line.starts_with("SEARCH") && narrow, "{line}: {plan:#?}");
            }
        }
    }
}
