//! The level of every kind of event: ERROR = somebody must act.

use serde_json::{Value, json};
use tracing::Level;

use super::*;
use crate::domain::fact::Kind;
use crate::domain::fact::codec::Row;
use crate::domain::place::Place;

const RUN: &str = "web@20261120T023000Z";

fn event(kind: Kind, id: &str, step: &str, data: Value) -> Event {
    let subject = Place::new("111111111111", "eu-central-1").subject(id);
    let mut row = Row::of(RUN, &subject, kind, data).at_step(step, 1);
    if id.is_empty() {
        row.subject = None;
    }
    Event { seq: 1, at: chrono::DateTime::UNIX_EPOCH, draft: codec::decode(row) }
}

#[test]
fn error_is_what_somebody_must_act_on() {
    let (instance, image, run) = ("i-1", "ami-1", "");
    let verdicts = |verdict: &str| json!({ "verdicts": [{ "image": "ami-1", "verdict": verdict }] });
    let table = [
        // A target that fails: one ERROR, its own end.
        (Kind::StepRefused, instance, "image", json!({ "reason": "denied" }), Level::WARN),
        (Kind::StepUnknown, instance, "image", json!({ "reason": "cut" }), Level::WARN),
        (Kind::StepAbandoned, instance, "image", json!({ "reason": "lost" }), Level::WARN),
        (Kind::StepObserved, instance, "image", json!({ "outcome": "failed" }), Level::WARN),
        (Kind::TargetFinished, instance, "", json!({ "outcome": "failed", "alarmed": false }), Level::ERROR),
        (Kind::RunFinished, run, "", json!({ "outcome": "failed" }), Level::WARN),
        // The same, alarmed before.
        (Kind::StepNeedsPerson, instance, "return", json!({ "outcome": "failed" }), Level::ERROR),
        (Kind::TargetFinished, instance, "", json!({ "outcome": "failed", "alarmed": true }), Level::WARN),
        // A copy that is not there: one ERROR for its destination, that of the run.
        (Kind::StepRefused, image, "copy:dr/eu-west-1", json!({ "reason": "denied" }), Level::WARN),
        (Kind::StepRefused, image, "copy:dr/eu-west-1", json!({ "reason": "its key", "again": true }), Level::INFO),
        (Kind::StepObserved, image, "copy:eu-west-1", json!({ "outcome": "failed" }), Level::WARN),
        (Kind::StepObserved, image, "lend:dr/eu-west-1", json!({ "outcome": "failed" }), Level::WARN),
        (Kind::StepRefused, run, "copy:dr/eu-west-1", json!({ "reason": "2 of 9 images have no copy" }), Level::ERROR),
        (Kind::StepUnknown, image, "copy:eu-west-1", json!({ "reason": "cut" }), Level::WARN),
        // What is still lent.
        (Kind::StepRefused, image, "reclaim:dr/eu-west-1", json!({ "reason": "denied" }), Level::WARN),
        (Kind::StepAbandoned, image, "reclaim:dr/eu-west-1", json!({ "reason": "cut" }), Level::WARN),
        (Kind::StepRefused, run, "reclaim:dr/eu-west-1", json!({ "reason": "of 2 images" }), Level::ERROR),
        (Kind::StepRefused, image, "share", json!({ "reason": "AWS manages the key" }), Level::WARN),
        (Kind::StepObserved, image, "share", json!({ "outcome": "failed" }), Level::WARN),
        (Kind::StepRefused, run, "share", json!({ "reason": "2 images are not shared" }), Level::ERROR),
        (Kind::StepObserved, image, "share", json!({ "outcome": "done" }), Level::INFO),
        (Kind::StepIntent, image, "lend:dr/eu-west-1", json!({}), Level::DEBUG),
        (Kind::StepObserved, image, "reclaim:dr/eu-west-1", json!({ "outcome": "done" }), Level::DEBUG),
        (Kind::LoanGiven, image, "lend:dr/eu-west-1", json!({}), Level::INFO),
        (Kind::LoanReturned, image, "reclaim:dr/eu-west-1", json!({}), Level::INFO),
        (Kind::KeyLent, "arn:aws:kms:eu-central-1:111111111111:key/1", "web:role", json!({}), Level::INFO),
        (Kind::KeyReturned, "arn:aws:kms:eu-central-1:111111111111:key/1", "web:role", json!({}), Level::INFO),
        (Kind::LoanForeign, image, "share:333333333333", json!({}), Level::WARN),
        // Left out for our own reasons.
        (Kind::StepRefused, instance, "image", json!({ "outcome": "skipped" }), Level::INFO),
        (Kind::StepRefused, image, "retain", json!({ "outcome": "skipped" }), Level::INFO),
        (Kind::TargetFinished, instance, "", json!({ "outcome": "skipped" }), Level::INFO),
        (Kind::TargetSkipped, instance, "", json!({ "outcome": "skipped" }), Level::INFO),
        (Kind::RunFinished, run, "", json!({ "outcome": "skipped" }), Level::WARN),
        // A run that could not do its part.
        (Kind::StepRefused, run, "account", json!({ "reason": "expired" }), Level::ERROR),
        (Kind::RetainStopped, run, "retain:eu-central-1", json!({ "reason": "denied" }), Level::ERROR),
        // What retention could not remove costs money.
        (Kind::StepRefused, image, "retain", json!({ "reason": "denied" }), Level::ERROR),
        (Kind::StepAbandoned, image, "retain", json!({ "reason": "lost" }), Level::ERROR),
        (Kind::StepNeedsPerson, "snap-1", "retain", json!({ "outcome": "failed" }), Level::ERROR),
        (Kind::StepUnknown, image, "retain", json!({}), Level::WARN),
        (Kind::StepObserved, image, "retain", json!({ "outcome": "done" }), Level::INFO),
        // Skipped once, and again.
        (Kind::OccurrenceSkipped, run, "", json!({ "reason": "held" }), Level::WARN),
        (Kind::OccurrenceSkipped, run, "", json!({ "reason": "held", "again": true }), Level::ERROR),
        (Kind::OccurrenceMissed, run, "", json!({}), Level::WARN),
        (Kind::StepNeedsPerson, instance, "select", json!({ "reason": "skipped twice" }), Level::ERROR),
        // Nothing special.
        (Kind::RetainDecided, image, "", json!({ "verdict": "foreign" }), Level::WARN),
        (Kind::RetainDecided, instance, "image", verdicts("keep"), Level::DEBUG),
        (Kind::RetainDecided, instance, "image", verdicts("delete"), Level::INFO),
        (Kind::TargetSelected, instance, "", json!({}), Level::DEBUG),
        (Kind::TargetSelected, run, "", json!({ "targets": 1 }), Level::INFO),
        (Kind::StepIntent, instance, "image", json!({ "name": "n" }), Level::INFO),
        (Kind::StepIntent, instance, "return", json!({}), Level::DEBUG),
        (Kind::StepDone, instance, "return", json!({}), Level::DEBUG),
        (Kind::RunFinished, run, "", json!({ "outcome": "done" }), Level::INFO),
    ];
    for (kind, id, step, data, expected) in table {
        let event = event(kind, id, step, data);
        assert_eq!(level(&event), expected, "{:?}", event.draft);
    }
}
