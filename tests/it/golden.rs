//! What people read of one fixed journal: `history`, `backup --json`, and the log in both formats.

use std::sync::{Arc, Mutex};

use crate::support::rows::{Draft, drafts};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use stillframe::domain::event::{Decision, Occurrence, Trigger};
use stillframe::domain::fact::{Event, Kind};
use stillframe::domain::place::{Place, Subject};
use stillframe::journal::sqlite::SqliteJournal;
use stillframe::journal::{Journal as _, Reader as _};
use stillframe::report::document::Document as _;
use stillframe::report::format::{Format, Line, Logs, Sink};
use stillframe::report::logs;
use stillframe::report::run::History;
use stillframe::report::table::Paint;
use stillframe::view::run::RunDocument;
use tracing_subscriber::layer::SubscriberExt as _;

const DUE: &str = "2026-11-20T02:30:00Z";
const INSTALLATION: &str = "11111111-1111-4111-8111-111111111111";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn subject(id: &str) -> Subject {
    Place::new("111111111111", "eu-central-1").subject(id)
}

fn instance(n: u32) -> String {
    format!("i-{n:017x}")
}

fn image(n: u32) -> String {
    format!("ami-{n:017x}")
}

fn occurrence(due: &str, trigger: Trigger, decision: Decision, reason: &str) -> Occurrence {
    Occurrence {
        plan: "web".into(),
        due: at(due),
        trigger,
        decision,
        reason: reason.into(),
        decided_at: at(due),
        plan_hash: "0123456789abcdef".into(),
    }
}

/// Draft events of one run, each so many seconds after due.
struct Story {
    run: String,
    drafts: Vec<(i64, Draft)>,
}

impl Story {
    fn run(&mut self, after: i64, kind: Kind, data: Value) {
        self.drafts.push((after, Draft::of_run(&self.run, kind, data)));
    }

    fn of(&mut self, after: i64, id: &str, kind: Kind, step: &str, data: Value) {
        self.drafts.push((after, Draft::of(&self.run, &subject(id), kind, data).at_step(step, 1)));
    }
}

/// One night: one target done, one that AWS refuses, one that does not come back, one left out; one image removed,
/// one whose snapshot stays, one on hold.
fn night() -> Story {
    let mut s = Story { run: format!("web@{}", "20261120T023000Z"), drafts: Vec::new() };
    s.run(0, Kind::OccurrenceDecided, json!({ "trigger": "schedule" }));
    s.run(0, Kind::RunStarted, json!({ "trigger": "schedule", "plan_hash": "0123456789abcdef", "only": [] }));
    for n in 1..=3 {
        s.of(1, &instance(n), Kind::TargetSelected, "", json!({ "reboots": true }));
    }
    let why = "it belongs to the Auto Scaling group web-asg";
    s.of(1, &instance(4), Kind::TargetSkipped, "", json!({ "outcome": "skipped", "reason": why }));
    s.run(1, Kind::TargetSelected, json!({ "targets": 3, "skipped": 1 }));
    let intent = |n| {
        let name = format!("stillframe/prod/web/{}/20261120T023000Z", instance(n));
        json!({ "name": name, "no_reboot": false })
    };
    let down = || json!({ "reason": "rebooted by CreateImage" });
    s.of(2, &instance(1), Kind::StepIntent, "image", intent(1));
    s.of(2, &instance(1), Kind::SlotTaken, "", down());
    s.of(3, &instance(1), Kind::StepDone, "image", json!({ "image": image(11), "aws_request_id": "req-1" }));
    s.of(3, &instance(1), Kind::StepIntent, "return", json!({}));
    s.of(3, &instance(1), Kind::StepDone, "return", json!({}));
    let back = json!({ "outcome": "done", "state": "healthy", "elapsed_ms": 92_400 });
    s.of(95, &instance(1), Kind::StepObserved, "return", back);
    s.of(95, &instance(1), Kind::SlotFreed, "", json!({ "reason": "healthy" }));
    let denied = "UnauthorizedOperation: You are not authorized to perform this operation.";
    s.of(96, &instance(2), Kind::StepIntent, "image", intent(2));
    s.of(96, &instance(2), Kind::SlotTaken, "", down());
    let data = json!({ "reason": denied, "class": "denied", "aws_request_id": "req-2" });
    s.of(97, &instance(2), Kind::StepRefused, "image", data);
    s.of(97, &instance(2), Kind::SlotFreed, "", json!({ "reason": "nothing was rebooted" }));
    let failed = json!({ "outcome": "failed", "reason": format!("image: {denied}"), "image": null, "alarmed": false });
    s.of(97, &instance(2), Kind::TargetFinished, "", failed);
    s.of(98, &instance(3), Kind::StepIntent, "image", intent(3));
    s.of(98, &instance(3), Kind::SlotTaken, "", down());
    let cut = "Connection: CreateImage: the connection was closed before an answer came";
    s.of(99, &instance(3), Kind::StepUnknown, "image", json!({ "reason": cut, "aws_request_id": null }));
    s.of(101, &instance(3), Kind::StepDone, "image", json!({ "image": image(13), "adopted": true }));
    let available = |n| json!({ "outcome": "done", "state": "available", "image": image(n), "elapsed_ms": 301_000 });
    s.of(304, &instance(1), Kind::StepObserved, "image", available(11));
    let done = json!({ "outcome": "done", "reason": "", "image": image(11), "alarmed": false });
    s.of(304, &instance(1), Kind::TargetFinished, "", done);
    let unwell = format!(
        "{} was rebooted at 2026-11-20T02:31:38Z and its status checks did not read ok within 900 s; look at the \
         instance. The plan web reboots nothing until they read ok or the instance is terminated",
        instance(3)
    );
    let alarm = json!({ "outcome": "failed", "reason": unwell, "halts": true, "settle": 180 });
    s.of(998, &instance(3), Kind::StepNeedsPerson, "return", alarm);
    s.of(999, &instance(3), Kind::StepObserved, "image", available(13));
    let failed =
        json!({ "outcome": "failed", "reason": format!("return: {unwell}"), "image": image(13), "alarmed": true });
    s.of(999, &instance(3), Kind::TargetFinished, "", failed);
    retention(&mut s);
    let reason = "2 of 3 targets failed";
    let counts = json!({ "done": 1, "failed": 2, "skipped": 1, "deleted": 1, "outcome": "failed", "reason": reason,
        "elapsed_ms": 1_121_000 });
    s.run(1121, Kind::RunFinished, counts);
    s
}

fn retention(s: &mut Story) {
    let verdict =
        |n, verdict: &str, reasons: &[&str]| json!({ "image": image(n), "verdict": verdict, "reasons": reasons });
    let verdicts = json!({ "verdicts": [
        verdict(11, "keep", &["last 3", "newest good image of its series"]),
        verdict(9, "keep", &["on hold (stillframe:hold)"]),
        verdict(7, "delete", &["no rule keeps it"]),
        verdict(6, "delete", &["no rule keeps it"]),
        verdict(5, "delete", &["no rule keeps it"]),
    ] });
    s.of(1000, &instance(1), Kind::RetainDecided, "image", verdicts);
    let parameters = |n| json!({ "image": image(n), "snapshots": ["snap-1", "snap-2"], "reason": "no rule keeps it" });
    s.of(1000, &image(7), Kind::StepIntent, "retain", parameters(7));
    s.of(1001, &image(7), Kind::StepDone, "retain", json!({ "image": image(7), "aws_request_id": "req-3" }));
    s.of(1001, "snap-1", Kind::StepDone, "retain", json!({ "reason": "deleted" }));
    let locked = "the snapshot snap-2 of a deregistered image cannot be deleted: SnapshotLocked: it is locked. It costs \
                  money until it is gone: allow ec2:DeleteSnapshot, or unlock it; it is tried again in the plan's next run";
    s.of(1120, "snap-2", Kind::StepNeedsPerson, "retain", json!({ "outcome": "failed", "reason": locked }));
    let left = json!({ "outcome": "failed", "image": image(7), "reason": "1 of its snapshots could not be deleted" });
    s.of(1120, &image(7), Kind::StepObserved, "retain", left);
    let held = json!({ "outcome": "done", "reason": "kept after all: it is on hold" });
    s.of(1120, &image(6), Kind::StepObserved, "retain", held);
}

/// One night with copies: of one target both are there, and it is shared; of the other one is denied, one goes on; an
/// older image gets its copy after all.
fn distribution() -> Story {
    let mut s = Story { run: "web@20261122T023000Z".into(), drafts: Vec::new() };
    s.run(0, Kind::OccurrenceDecided, json!({ "trigger": "schedule" }));
    s.run(0, Kind::RunStarted, json!({ "trigger": "schedule", "plan_hash": "0123456789abcdef", "only": [] }));
    for n in 1..=2 {
        s.of(1, &instance(n), Kind::TargetSelected, "", json!({ "reboots": false }));
    }
    s.run(1, Kind::TargetSelected, json!({ "targets": 2, "skipped": 0 }));
    for n in 1..=2 {
        s.of(2, &instance(n), Kind::StepIntent, "image", json!({ "no_reboot": true }));
        s.of(3, &instance(n), Kind::StepDone, "image", json!({ "image": image(20 + n) }));
        let available = json!({ "outcome": "done", "state": "available", "image": image(20 + n) });
        s.of(100, &instance(n), Kind::StepObserved, "image", available);
        let done = json!({ "outcome": "done", "reason": "", "image": image(20 + n), "alarmed": false });
        s.of(100, &instance(n), Kind::TargetFinished, "", done);
    }
    let (dr, near) = ("dr/eu-west-1", "eu-central-2");
    let there = |copy: &str| json!({ "outcome": "done", "image": copy, "elapsed_ms": 600_000 });
    let copied = |n, label: &str| image(if label == dr { n + 20 } else { n + 40 });
    for (n, label) in [(21, dr), (22, dr), (21, near), (9, near)] {
        let step = |kind: &str| format!("{kind}:{label}");
        if label == dr {
            let key = "arn:aws:kms:eu-central-1:111111111111:key/1";
            let loan = json!({ "image": image(n), "account": "222222222222", "keys": [key] });
            s.of(101, &image(n), Kind::StepIntent, &step("lend"), loan.clone());
            s.of(102, &image(n), Kind::StepDone, &step("lend"), json!({}));
            s.of(102, &image(n), Kind::LoanGiven, &step("lend"), loan);
            s.of(102, &image(n), Kind::StepObserved, &step("lend"), json!({ "outcome": "done" }));
        }
        s.of(103, &image(n), Kind::StepIntent, &step("copy"), json!({ "from": image(n), "token": "t" }));
        if (n, label) == (22, dr) {
            let denied = "UnauthorizedOperation: CopyImage in eu-west-1: arn:aws:iam::222222222222:role/stillframe may \
                          not perform ec2:CopyImage on arn:aws:ec2:eu-west-1::image/*";
            s.of(104, &image(n), Kind::StepRefused, &step("copy"), json!({ "reason": denied, "class": "denied" }));
        } else {
            s.of(104, &image(n), Kind::StepDone, &step("copy"), json!({ "image": copied(n, label) }));
            s.of(700, &image(n), Kind::StepObserved, &step("copy"), there(&copied(n, label)));
        }
        if label == dr {
            s.of(701, &image(n), Kind::StepIntent, &step("reclaim"), json!({}));
            s.of(702, &image(n), Kind::StepDone, &step("reclaim"), json!({}));
            s.of(702, &image(n), Kind::LoanReturned, &step("reclaim"), json!({ "account": "222222222222" }));
            s.of(702, &image(n), Kind::StepObserved, &step("reclaim"), json!({ "outcome": "done" }));
        }
    }
    s.of(103, &image(22), Kind::StepIntent, "copy:eu-central-2", json!({ "from": image(22) }));
    s.of(104, &image(22), Kind::StepDone, "copy:eu-central-2", json!({ "image": image(52) }));
    let shared = json!({ "with": ["333333333333", "o-abc"] });
    s.of(110, &image(21), Kind::StepIntent, "share", shared.clone());
    s.of(111, &image(21), Kind::StepDone, "share", shared);
    s.of(111, &image(21), Kind::StepObserved, "share", json!({ "outcome": "done" }));
    s
}

/// As it stands while one copy goes on.
#[tokio::test]
async fn copies_and_shares_read_as_they_should() {
    let journal = SqliteJournal::in_memory().expect("SQLite in memory");
    journal.acquire(at(DUE)).await.expect("free");
    let occurrence = occurrence("2026-11-22T02:30:00Z", Trigger::Schedule, Decision::Run, "");
    journal.decide(&occurrence, None).await.expect("new");
    for (after, draft) in distribution().drafts {
        journal.append(occurrence.due + TimeDelta::seconds(after), &drafts(&[draft])).await.expect("new");
    }
    let events = journal.events_of(&occurrence.run()).await.expect("readable");
    let document = RunDocument::of(&occurrence, &events);
    golden("copies_shown", &document.text(Paint::PLAIN));
    golden("copies_json", &document.json().replace("{\"", "\n{\""));
    let now = occurrence.due + TimeDelta::seconds(3600);
    let path = Some((journal.reader(), "/var/lib/stillframe/journal.sqlite"));
    let status = stillframe::view::status::gather(path, "prod", &[], Some(true), now).await.expect("readable");
    golden("copies_status", &status.text(Paint::PLAIN));
    golden("copies_log", &logged(&events, false));
    // And how it ends: one line for each destination, for what is still lent, and for what is not shared.
    let mut s = Story { run: occurrence.run(), drafts: Vec::new() };
    let refused = |s: &mut Story, step: &str, why: &str| {
        let run = s.run.clone();
        s.drafts.push((800, Draft::of_run(&run, Kind::StepRefused, json!({ "reason": why })).at_step(step, 1)));
    };
    let why = "1 of 2 images have no copy in dr/eu-west-1: UnauthorizedOperation: CopyImage in eu-west-1: it may not \
               perform ec2:CopyImage. The plan's next run tries again, and the images stay until then";
    refused(&mut s, "copy:dr/eu-west-1", why);
    let why = "what was lent to dr/eu-west-1 of 2 images could not be taken back: UnauthorizedOperation. The plan's next \
               run tries again";
    refused(&mut s, "reclaim:dr/eu-west-1", why);
    refused(
        &mut s,
        "share",
        "2 images are not shared as the plan wants: UnauthorizedOperation. The plan's next run tries again",
    );
    let counts = json!({ "done": 2, "failed": 0, "skipped": 0, "deleted": 0, "copied": 3, "copies_failed": 1,
        "outcome": "failed", "reason": "copy:dr/eu-west-1: 1 of 2 images have no copy in dr/eu-west-1", "elapsed_ms": 800_000 });
    s.run(801, Kind::RunFinished, counts);
    for (after, draft) in s.drafts {
        journal.append(occurrence.due + TimeDelta::seconds(after), &drafts(&[draft])).await.expect("new");
    }
    let events = journal.events_of(&occurrence.run()).await.expect("readable");
    let end: Vec<Event> = events.into_iter().filter(|e| e.at >= occurrence.due + TimeDelta::seconds(800)).collect();
    golden("copies_log_end", &logged(&end, false));
}

/// The journal: a missed night, that night, an occurrence skipped, one that goes on.
async fn journal() -> SqliteJournal {
    let journal = SqliteJournal::in_memory().expect("SQLite in memory");
    journal.acquire(at(DUE)).await.expect("free");
    let missed = "3 h late; catch_up is 3600 s";
    let held = "web@20261120T023000Z still has targets that are not back in service";
    for occurrence in [
        occurrence("2026-11-19T02:30:00Z", Trigger::Schedule, Decision::Miss, missed),
        occurrence(DUE, Trigger::Schedule, Decision::Run, ""),
        occurrence("2026-11-20T02:40:00Z", Trigger::Manual, Decision::Skip, held),
        occurrence("2026-11-21T02:30:00Z", Trigger::Schedule, Decision::Run, ""),
    ] {
        journal.decide(&occurrence, None).await.expect("new");
    }
    let started = json!({ "version": "0.1.0", "installation": INSTALLATION });
    journal.append(at(DUE), &drafts(&[Draft::of_run("", Kind::DaemonStarted, started)])).await.expect("new");
    for (after, draft) in night().drafts {
        journal.append(at(DUE) + TimeDelta::seconds(after), &drafts(&[draft])).await.expect("new");
    }
    let mut next = Story { run: "web@20261121T023000Z".into(), drafts: Vec::new() };
    next.run(0, Kind::OccurrenceDecided, json!({ "trigger": "schedule" }));
    next.run(0, Kind::RunStarted, json!({ "trigger": "schedule", "plan_hash": "0123456789abcdef", "only": [] }));
    next.of(1, &instance(1), Kind::TargetSelected, "", json!({ "reboots": true }));
    next.run(1, Kind::TargetSelected, json!({ "targets": 1, "skipped": 0 }));
    for (after, draft) in next.drafts {
        journal.append(at("2026-11-21T02:30:00Z") + TimeDelta::seconds(after), &drafts(&[draft])).await.expect("new");
    }
    journal
}

async fn documents() -> Vec<RunDocument> {
    let journal = journal().await;
    let mut runs = Vec::new();
    for occurrence in journal.occurrences(None, 20).await.expect("readable").into_iter().rev() {
        let events = journal.events_of(&occurrence.run()).await.expect("readable");
        runs.push(RunDocument::of(&occurrence, &events));
    }
    runs
}

fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[tokio::test]
async fn history_reads_as_it_should() {
    let runs = documents().await;
    golden("history", &runs.iter().map(|run| run.text(Paint::PLAIN)).collect::<String>());
    let whole: Value = serde_json::from_str(&History { runs, short: false }.json()).expect("JSON");
    assert_eq!(whole["schema"], 1);
    assert_eq!(whole["runs"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn backup_json_reads_as_it_should() {
    let run = documents().await.remove(1);
    let line = run.json();
    assert_eq!(line.matches('\n').count(), 1, "one line");
    // Broken up for eyes; the order of the keys is that of the contract.
    golden("backup_json", &line.replace("{\"", "\n{\"").replace(",\"retention\"", ",\n\"retention\""));
}

/// What the log writes to.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Sink for Buffer {
    fn take(&self, line: &Line<'_>) {
        let mut text = self.0.lock().expect("not poisoned");
        text.extend_from_slice(line.text.as_bytes());
        text.push(b'\n');
    }
}

/// The log of `events`, each line's time that of its event.
fn logged(events: &[Event], json: bool) -> String {
    let mut text = String::new();
    for event in events {
        let buffer = Buffer::default();
        let format = Format { daemon: "prod".into(), json, colour: false };
        let logs = Logs::new(format, Box::new(buffer.clone()));
        let subscriber = tracing_subscriber::registry().with(tracing::level_filters::LevelFilter::DEBUG).with(logs);
        tracing::subscriber::with_default(subscriber, || logs::emit(event));
        let line = String::from_utf8(buffer.0.lock().expect("not poisoned").clone()).expect("text");
        // A line bears the time at which it was written.
        let (head, written) = if json { (r#"{"ts":""#.len(), 24) } else { (0, 8) };
        let at = event.at.format(if json { "%Y-%m-%dT%H:%M:%S%.3fZ" } else { "%H:%M:%S" }).to_string();
        text += &format!("{}{at}{}", &line[..head], &line[head + written..]);
    }
    text
}

#[tokio::test]
async fn the_log_reads_as_it_should() {
    let journal = journal().await;
    let mut events = journal.events_of("").await.expect("readable");
    events.extend(journal.events_of("web@20261120T023000Z").await.expect("readable"));
    golden("log_text", &logged(&events, false));
    let lines = logged(&events, true);
    for line in lines.lines() {
        let value: Value = serde_json::from_str(line).expect("each line is JSON");
        assert_eq!(value["daemon"], "prod");
    }
    golden("log_json", &lines);
    let errors = events.iter().filter(|e| logs::level(e) == tracing::Level::ERROR).count();
    assert_eq!(errors, 3, "the refused target, the unhealthy one, the locked snapshot");
}
