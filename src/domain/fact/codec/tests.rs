use serde_json::json;

use super::*;
use crate::domain::fact::StepId;
use crate::domain::place::Place;

const RUN: &str = "web@20261120T023000Z";

fn subject(id: &str) -> Subject {
    Place::new("111111111111", "eu-central-1").subject(id)
}

fn there_and_back(row: &Row) -> Draft {
    let draft = decode(row.clone());
    assert_eq!(encode(&draft), *row);
    assert_eq!(encode(&draft).data.to_string(), row.data.to_string(), "byte for byte");
    draft
}

fn row(id: &str, step: &str, kind: Kind, data: Value) -> Row {
    Row::of(RUN, &subject(id), kind, data).at_step(step, 1)
}

/// Nulls that have always been written are written, and what was always left out is left out.
#[test]
fn what_is_written_is_read_and_written_again() {
    use Kind::{
        StepDone as Made, StepIntent as Intended, StepNeedsPerson as Needs, StepObserved as Seen,
        StepRefused as Refused, StepUnknown as Lost,
    };
    let tags = json!({ "stillframe:daemon": "prod" });
    let copying = json!({ "attempt": 1, "description": "d", "from": "ami-1", "from_region": "r", "kms_key": null, "name": "n",
        "tags": tags, "token": "t" });
    let lending =
        json!({ "account": "2", "image": "ami-1", "keys": [], "region": "r", "role": "arn", "snapshots": ["snap-1"] });
    let grant = json!({ "grantee": "g", "id": "i", "key": "k", "name": "n" });
    let ended = json!({ "account": "2", "elapsed_ms": 5, "image": "ami-2", "outcome": "done", "region": "r", "state": "available" });
    let (copy, lend) = ("copy:dr/eu-west-1", "lend:dr/eu-west-1");
    let rows = [
        row("i-1", "image", Intended, json!({ "name": "n", "no_reboot": false })),
        row("i-1", "image", Intended, json!({ "checks": "ok", "name": "n", "no_reboot": false })),
        row("i-1", "image", Made, json!({ "adopted": true, "image": "ami-1" })),
        row("i-1", "image", Made, json!({ "aws_request_id": "r", "image": "ami-1" })),
        row(
            "i-1",
            "image",
            Seen,
            json!({ "elapsed_ms": 1, "image": null, "outcome": "failed", "reason": "why", "state": "gone" }),
        ),
        row(
            "i-1",
            "image",
            Seen,
            json!({ "elapsed_ms": 1, "image": "ami-1", "outcome": "done", "reason": null, "state": "available" }),
        ),
        row("i-1", "image", Seen, json!({ "image": "ami-1", "outcome": "done", "reason": "", "state": "available" })),
        row("i-1", "image", Lost, json!({ "aws_request_id": null, "reason": "cut" })),
        row("i-1", "image", Lost, json!({ "reason": "another image" })),
        row("i-1", "image", Refused, json!({ "aws_request_id": "r", "class": "denied", "reason": "no" })),
        row("i-1", "image", Refused, json!({ "outcome": "skipped", "reason": "no" })),
        row("i-1", "image", Refused, json!({ "again": true, "reason": "later" })),
        row("i-1", "image", Kind::StepAbandoned, json!({ "reason": "enough" })),
        row("i-1", "image", Needs, json!({ "intent": { "name": "n", "no_reboot": true }, "reason": "lost" })),
        row("i-1", "image.pending", Needs, json!({ "image": "ami-1", "reason": "24 h" })),
        row("i-1", "select", Needs, json!({ "reason": "twice" })),
        row("i-1", "return", Intended, json!({})),
        row("i-1", "return", Made, json!({})),
        row(
            "i-1",
            "return",
            Seen,
            json!({ "elapsed_ms": 1, "evidence": "checks", "outcome": "done", "state": "healthy" }),
        ),
        row(
            "i-1",
            "return",
            Needs,
            json!({ "halts": true, "outcome": "failed", "reason": "r", "settle": 180, "since": "s" }),
        ),
        row("ami-1", copy, Intended, copying),
        row("ami-1", copy, Seen, ended),
        row(
            "ami-1",
            copy,
            Refused,
            json!({ "account": "2", "again": true, "elapsed_ms": 5, "ended": true, "image": "ami-2",
            "reason": "r", "region": "r", "state": "failed" }),
        ),
        row("ami-1", "via:arn:aws:kms:r:1:key/k.pending", Needs, json!({ "image": "ami-2", "reason": "24 h" })),
        row("ami-1", lend, Intended, lending.clone()),
        row(
            "ami-1",
            lend,
            Made,
            json!({ "added": ["ami-1"], "aws_request_id": "r", "grants": [grant], "image": "ami-1" }),
        ),
        row("ami-1", lend, Seen, json!({ "image": "ami-1", "outcome": "done", "reason": null })),
        row("ami-1", lend, Kind::LoanGiven, json!({ "account": "2", "image": "ami-1", "keys": ["k"] })),
        row("ami-1", "share", Intended, json!({ "image": "ami-1", "keys": ["k"], "with": ["2"] })),
        row(
            "ami-1",
            "retain",
            Intended,
            json!({ "image": "ami-1", "name": "n", "reason": "r", "snapshots": ["snap-1"] }),
        ),
        row("ami-1", "retain", Seen, json!({ "outcome": "done", "reason": "kept after all" })),
        row("snap-1", "retain", Made, json!({ "reason": "deleted" })),
        row("ami-1", "deprecate", Made, json!({ "at": "2026-11-20T02:30:00+00:00", "image": "ami-1" })),
        row(
            "i-1",
            "copy",
            Kind::RetainDecided,
            json!({ "verdicts": [{ "image": "a", "reasons": ["r"], "verdict": "keep" }] }),
        ),
        row("i-1", "", Kind::TargetSkipped, json!({ "class": "excluded", "outcome": "skipped", "reason": "r" })),
        row(
            "i-1",
            "",
            Kind::TargetFinished,
            json!({ "alarmed": false, "image": null, "outcome": "failed", "reason": "r" }),
        ),
        row("i-1", "", Kind::TargetSelected, json!({ "reboots": true })),
        row("i-1", "", Kind::SlotTaken, json!({ "reason": "r" })),
        Row::of_run(RUN, Kind::TargetSelected, json!({ "skipped": 1, "targets": 2 })),
        Row::of_run(RUN, Kind::RunStarted, json!({ "only": [], "plan_hash": "h", "trigger": "manual" })),
        Row::of_run(RUN, Kind::RunFinished, json!({ "outcome": "missed", "reason": "r" })),
        Row::of_run(
            RUN,
            Kind::RunFinished,
            json!({ "copied": 0, "copies_failed": 0, "deleted": 0, "done": 1, "elapsed_ms": 1,
            "failed": 0, "outcome": "done", "skipped": 0 }),
        ),
        Row::of_run(
            RUN,
            Kind::RunFinished,
            json!({ "deleted": 0, "done": 1, "failed": 0, "outcome": "done", "skipped": 0 }),
        ),
        Row::of_run(RUN, Refused, json!({ "reason": "no account" })).at_step("account", 1),
        Row::of_run(RUN, Kind::RetainStopped, json!({ "reason": "r" })).at_step("retain:eu-central-1", 1),
        Row::of_run("", Kind::ConfigApplied, json!({ "plans": ["web"] })),
        Row::of_run(
            "",
            Kind::ConfigApplied,
            json!({ "added": [], "changed": ["web"], "plans": ["web"], "removed": [] }),
        )
        .at_step("reload 2", 7),
        Row::of_run("", Kind::DaemonStarted, json!({ "installation": "i", "rebuild": true, "version": "0.1.0" })),
        Row::of("foreign", &subject("ami-1"), Kind::RetainDecided, json!({ "reason": "r", "verdict": "foreign" })),
        Row::of("foreign", &subject("ami-1"), Kind::LoanForeign, json!({ "reason": "r" }))
            .at_step("share:333333333333", 1),
    ];
    for row in rows {
        let draft = there_and_back(&row);
        assert!(!matches!(draft.fact, Fact::Unread(_)), "{row:?}");
    }
}

/// The same word is a step in one kind and something else in another; plans may be called like our own scopes.
#[test]
fn columns_are_read_by_kind_scope_and_step_together() {
    let of = |row: Row| {
        let draft = there_and_back(&row);
        (draft.scope, draft.topic)
    };
    let run = || Scope::Run(RUN.into());
    let verdicts = json!({ "verdicts": [] });
    assert_eq!(of(row("i-1", "image", Kind::RetainDecided, verdicts)), (run(), Topic::Series(Role::Image)));
    assert_eq!(
        of(row("i-1", "image", Kind::StepAbandoned, json!({ "reason": "r" }))),
        (run(), Topic::Step(StepId::Image))
    );
    let grant = json!({ "grantee": "arn:aws:iam::2:root", "plan": "copy" });
    let lent = Row::of("keys", &subject("arn:key"), Kind::KeyLent, grant).at_step("copy:arn:aws:iam::2:root", 2);
    let to = Topic::Grant { plan: "copy".into(), to: "arn:aws:iam::2:root".into() };
    assert_eq!(of(lent), (Scope::KeyGrants, to));
    let first = |plan: &str| Row::of_run(plan, Kind::PlanFirstSeen, json!({ "schedule": "s" }));
    assert_eq!(of(first("keys")), (Scope::Plan("keys".into()), Topic::Whole));
    assert_eq!(of(first("foreign")), (Scope::Plan("foreign".into()), Topic::Whole));
    let trouble = Row::of_run(RUN, Kind::StepRefused, json!({ "reason": "r" })).at_step("copy:dr/eu-west-1", 1);
    assert_eq!(of(trouble), (run(), Topic::Trouble("copy:dr/eu-west-1".into())));
}

/// What this version does not know stays as it stands there.
#[test]
fn what_cannot_be_read_is_kept() {
    let newer = Row { v: VERSION + 1, ..row("i-1", "image", Kind::StepDone, json!({ "image": "ami-1" })) };
    let odd = [
        newer,
        row("i-1", "mute", Kind::StepIntent, json!({ "rule": "r" })),
        row("i-1", "image", Kind::Other("step.dreamt".into()), json!({ "a": null })),
        row("i-1", "image", Kind::StepIntent, json!({ "name": 7, "no_reboot": false })),
        row("i-1", "image", Kind::StepIntent, json!({ "name": "n", "no_reboot": "perhaps" })),
        row("i-1", "cold", Kind::RetainDecided, json!({ "verdicts": [] })),
        row("i-1", "image", Kind::RetainDecided, json!({ "verdicts": [{ "image": "a", "verdict": "archive" }] })),
        row("i-1", "again", Kind::SlotTaken, json!({ "reason": "r" })),
        Row::of_run(RUN, Kind::RunFinished, json!({ "outcome": "dreamt" })),
    ];
    for row in odd {
        let draft = there_and_back(&row);
        assert!(matches!(draft.fact, Fact::Unread(_)), "{row:?}");
        assert!(draft.scope.is_run(RUN));
    }
}
