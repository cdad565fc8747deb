//! What the documents claim: gone only what is gone, each verdict once.

use serde_json::{Value, json};

use super::*;
use crate::domain::event::{Decision, Occurrence, Trigger};
use crate::domain::fact::codec::{self, Row};
use crate::domain::fact::{Event, Kind};
use crate::domain::place::Place;

fn occurrence() -> Occurrence {
    Occurrence {
        plan: "web".into(),
        due: "2026-11-20T02:30:00Z".parse().unwrap(),
        trigger: Trigger::Schedule,
        decision: Decision::Run,
        reason: String::new(),
        decided_at: "2026-11-20T02:30:00Z".parse().unwrap(),
        plan_hash: "0".into(),
    }
}

fn document(rows: Vec<Row>) -> RunDocument {
    let at = occurrence().due;
    let events: Vec<Event> = (1..).zip(rows).map(|(seq, row)| Event { seq, at, draft: codec::decode(row) }).collect();
    RunDocument::of(&occurrence(), &events)
}

fn of(id: &str, kind: Kind, attempt: u32, data: Value) -> Row {
    let subject = Place::new("111111111111", "eu-central-1").subject(id);
    let step = if id.starts_with("i-") { "image" } else { "retain" };
    Row::of(&occurrence().run(), &subject, kind, data).at_step(step, attempt)
}

fn decided(attempt: u32, verdicts: &[(&str, &str)]) -> Row {
    let one = |(image, verdict): &(&str, &str)| json!({ "image": image, "verdict": verdict, "reasons": ["no rule"] });
    let list: Vec<Value> = verdicts.iter().map(one).collect();
    of("i-1", Kind::RetainDecided, attempt, json!({ "verdicts": list }))
}

#[test]
fn only_what_is_gone_is_called_deleted() {
    let intent = || of("ami-1", Kind::StepIntent, 1, json!({ "image": "ami-1", "snapshots": ["snap-1"] }));
    let done = || of("ami-1", Kind::StepDone, 1, json!({ "image": "ami-1" }));
    let table = [
        (vec![], "not deleted yet: ami-1"),
        (vec![intent()], "not deleted yet: ami-1"),
        (vec![intent(), of("ami-1", Kind::StepUnknown, 1, json!({ "reason": "cut" }))], "not deleted yet: ami-1"),
        (vec![intent(), of("ami-1", Kind::StepRefused, 1, json!({ "reason": "denied" }))], "not deleted yet: ami-1"),
        (
            vec![intent(), of("ami-1", Kind::StepObserved, 1, json!({ "outcome": "done", "reason": "it is on hold" }))],
            "not deleted ami-1: it is on hold",
        ),
        (vec![intent(), done()], "deleted ami-1"),
        (vec![intent(), done(), of("snap-1", Kind::StepDone, 1, json!({ "reason": "deleted" }))], "deleted ami-1"),
    ];
    for (events, line) in table {
        let text =
            document([vec![decided(1, &[("ami-1", "delete"), ("ami-2", "keep")])], events].concat()).text(Paint::PLAIN);
        let line = if line.ends_with("hold") { format!("  {line}\n") } else { format!("  {line}: no rule\n") };
        assert!(text.contains(&line), "{line}\n{text}");
        assert!(!text.contains("ami-2"), "{text}");
    }
}

#[test]
fn the_newest_verdict_counts_once() {
    let document = document(vec![
        decided(1, &[("ami-1", "delete"), ("ami-2", "keep")]),
        decided(2, &[("ami-1", "keep"), ("ami-2", "keep"), ("ami-3", "keep")]),
    ]);
    let verdicts: Vec<(&str, &str)> =
        document.retention.iter().map(|v| (v.image.as_str(), v.verdict.as_str())).collect();
    assert_eq!(verdicts, [("ami-1", "keep"), ("ami-2", "keep"), ("ami-3", "keep")]);
}

#[test]
fn a_run_without_an_end_is_unfinished() {
    let began = document(vec![of("i-1", Kind::TargetSelected, 1, json!({ "reboots": true })).at_step("", 1)]);
    assert_eq!((began.outcome, began.targets[0].outcome), ("unfinished", "unfinished"));
    assert!(!began.ok());
    let missed = Row::of_run(&occurrence().run(), Kind::RunFinished, json!({ "outcome": "missed", "reason": "late" }));
    let missed = document(vec![missed]);
    assert_eq!((missed.outcome, missed.reason.as_str()), ("missed", "late"));
    for (decision, outcome) in [(Decision::Skip, "skipped"), (Decision::Miss, "missed")] {
        let occurrence = Occurrence { decision, reason: "held".into(), ..occurrence() };
        let document = RunDocument::of(&occurrence, &[]);
        assert_eq!((document.outcome, document.reason.as_str()), (outcome, "held"));
    }
}
