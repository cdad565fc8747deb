//! Tables: a target's events in one line, its state, and what comes next.

use serde_json::json;

use super::*;
use crate::domain::fact::codec::{self, Row};
use crate::domain::fact::{Imaging, Intent, Kind, RunEnd, VERSION};
use crate::domain::place::Place;

const RUN: &str = "web@20261120T023000Z";

fn subject(id: &str) -> Subject {
    Place::new("111111111111", "eu-central-1").subject(id)
}

fn event(seq: i64, row: Row) -> Event {
    let draft = codec::decode(row);
    Event { seq, at: DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::seconds(seq), draft }
}

/// One word: `i` image or `r` return, then `+` intent, `=` done, `?` unknown, `-` refused, `s` left for our own
/// reasons, `o` owed, `p` settled, `a` refused for now, `g`/`b` observed good/bad, `x` abandoned, `!` alarmed, `f` alarmed and failed.
/// `down` and `back` are the slot's, `end` the target's end.
fn draft(word: &str, id: &str) -> Row {
    let of = |kind, data| Row::of(RUN, &subject(id), kind, data);
    match word {
        "sel" => return of(Kind::TargetSelected, json!({ "reboots": true })),
        "still" => return of(Kind::TargetSelected, json!({ "reboots": false })),
        "down" => return of(Kind::SlotTaken, json!({})),
        "back" => return of(Kind::SlotFreed, json!({})),
        "end" => return of(Kind::TargetFinished, json!({ "outcome": "done" })),
        _ => {}
    }
    let mut letters = word.chars();
    let step = match letters.next() {
        Some('i') => "image",
        Some('r') => "return",
        Some('t') => "lend:d",
        Some('u') => "reclaim:d",
        other => panic!("{word}: {other:?}"),
    };
    let (kind, data) = match letters.next() {
        Some('+') => (Kind::StepIntent, json!({ "name": "n" })),
        Some('o') => (Kind::DebtOpened, json!({ "back": "reclaim:d" })),
        Some('p') => (Kind::DebtSettled, json!({})),
        Some('=') => (Kind::StepDone, json!({ "image": "ami-1" })),
        Some('?') => (Kind::StepUnknown, json!({ "reason": "cut" })),
        Some('-') => (Kind::StepRefused, json!({ "reason": "no" })),
        Some('s') => (Kind::StepRefused, json!({ "reason": "late", "outcome": "skipped" })),
        Some('a') => (Kind::StepRefused, json!({ "reason": "busy", "again": true })),
        Some('g') => (Kind::StepObserved, json!({ "outcome": "done" })),
        Some('b') => (Kind::StepObserved, json!({ "outcome": "failed", "reason": "failed" })),
        Some('x') => (Kind::StepAbandoned, json!({ "reason": "lost" })),
        Some('!') => (Kind::StepNeedsPerson, json!({ "reason": "pending" })),
        Some('f') => (Kind::StepNeedsPerson, json!({ "outcome": "failed", "reason": "unwell" })),
        other => panic!("{word}: {other:?}"),
    };
    let attempt = letters.next().map_or(1, |n| n.to_digit(10).unwrap());
    of(kind, data).at_step(step, attempt)
}

fn run(text: &str) -> RunState {
    let events: Vec<Event> = (1..).zip(text.split_whitespace()).map(|(n, w)| event(n, draft(w, "i-1"))).collect();
    RunState::fold(&events)
}

pub fn target(text: &str) -> TargetState {
    run(text).targets[&subject("i-1")].clone()
}

#[test]
fn how_far_a_step_has_come() {
    let table = [
        ("sel i+", Phase::Intended, 1),
        ("sel i+ i?", Phase::Unknown, 1),
        ("sel i+ i? i+2", Phase::Intended, 2),
        ("sel i+ i? i+2 i=2", Phase::Done, 2),
        ("sel i+ ia", Phase::NotMade, 1),
        ("sel i+ ia i+2", Phase::Intended, 2),
        ("sel i+ i=", Phase::Done, 1),
        ("sel i+ i= i!", Phase::Done, 1),
        ("sel i+ i= ig", Phase::Good, 1),
        ("sel i+ i= ib", Phase::Bad("failed".into()), 1),
        ("sel i+ i-", Phase::Bad("no".into()), 1),
        ("sel i+ is", Phase::Left("late".into()), 1),
        ("sel i+ i? ix", Phase::Bad("lost".into()), 1),
    ];
    for (events, phase, attempt) in table {
        let step = target(events).steps.remove(&StepId::Image).unwrap();
        assert_eq!((step.phase, step.attempt), (phase, attempt), "{events}");
    }
    let answered = target("sel i+ i? i+2 i=2").steps.remove(&StepId::Image).unwrap();
    assert_eq!(answered.intended_at.timestamp(), 4);
    assert_eq!(answered.called_at.timestamp(), 5);
    let imaging = Imaging { name: "n".into(), ..Imaging::default() };
    assert_eq!(answered.intent, Some(Intent::Image(imaging)));
    assert_eq!(target("sel i+ i=").image(), Some("ami-1"));
    assert!(target("sel i+ i= i!").steps[&StepId::Image].alarmed);
}

#[test]
fn what_holds_a_plan() {
    let table = [
        ("sel", true),
        ("sel i+ down", true),
        ("sel i+ down i=", true),
        ("sel i+ down i= r+ r= rg back", false), // only its image is pending
        ("sel i+ down i= r+ r= rf", false),      // overdue: its plan halts, but does not wait for it
        ("sel i+ down i? r+ r= rf", true),       // its call may still be made
        ("sel i+ down i= ig end", false),
        ("sel i+ down i? back", true), // its call may still be made
        ("still i+", true),
        ("still i+ i=", false),
    ];
    for (events, holds) in table {
        assert_eq!(target(events).holds(), holds, "{events}");
    }
    let mut nothing = RunState::default();
    assert!(nothing.holds(), "not selected yet");
    nothing.selected = true;
    assert!(!nothing.holds());
}

/// Images and snapshots that retention handles.
#[test]
fn how_a_run_ends() {
    let target = |id: &str, data| vec![draft("sel", id), Row::of(RUN, &subject(id), Kind::TargetFinished, data)];
    let select = |outcome: &str| target("i-9", json!({ "outcome": outcome }));
    let late = || json!({ "outcome": "skipped", "reason": "over", "prevented": "window" });
    let retain = |kind, data| Row::of(RUN, &subject("ami-9"), kind, data).at_step("retain", 1);
    let skipped = Row::of(RUN, &subject("i-2"), Kind::TargetSkipped, json!({ "reason": "excluded" }));
    let lost = json!({ "reason": "nowhere", "class": "not_found", "prevented": "not-found" });
    let lost = Row::of(RUN, &subject("i-3"), Kind::TargetSkipped, lost);
    let stopped = Row::of_run(RUN, Kind::RetainStopped, json!({ "reason": "denied" })).at_step("retain:eu-x", 1);
    let table = [
        (vec![], "skipped", "the plan selects no instance"),
        (vec![skipped.clone()], "done", "every instance was skipped"),
        (select("skipped"), "done", "every instance was skipped"),
        (select("done"), "done", ""),
        (target("i-1", json!({ "outcome": "failed", "reason": "no" })), "failed", "i-1: no"),
        (
            [target("i-1", json!({ "outcome": "failed", "reason": "no" })), select("done"), target("i-4", late())]
                .concat(),
            "failed",
            "i-1: no",
        ),
        (
            [target("i-4", late()), target("i-5", late()), select("done"), vec![skipped.clone()]].concat(),
            "failed",
            "i-4: over; 1 more of 4 instances were not imaged",
        ),
        (vec![lost.clone(), skipped.clone()], "failed, barred", "i-3: nowhere"),
        (target("i-4", late()), "failed, barred", "i-4: over"),
        ([target("i-4", late()), vec![stopped.clone()]].concat(), "failed", "retain:eu-x: denied"),
        ([select("done"), vec![stopped]].concat(), "failed", "retain:eu-x: denied"),
        (
            [select("done"), vec![retain(Kind::StepRefused, json!({ "reason": "denied" }))]].concat(),
            "failed",
            "retention: 1 images or snapshots could not be removed",
        ),
        // Kept after all, or left out: no failure.
        ([select("done"), vec![retain(Kind::StepObserved, json!({ "outcome": "done" }))]].concat(), "done", ""),
        (
            [select("done"), vec![retain(Kind::StepRefused, json!({ "reason": "barred", "outcome": "skipped" }))]]
                .concat(),
            "done",
            "",
        ),
    ];
    for (drafts, outcome, reason) in table {
        let events: Vec<Event> = (1..).zip(drafts).map(|(n, d)| event(n, d)).collect();
        let RunEnd { outcome: ended, reason: why, barred, .. } = RunState::fold(&events).end();
        let ended = format!("{}{}", ended.as_str(), if barred { ", barred" } else { "" });
        assert_eq!((&*ended, why.as_deref().unwrap_or_default()), (outcome, reason));
    }
}

/// What was decided first limits what a run that goes on deletes.
#[test]
fn the_first_verdict_of_a_series_is_remembered() {
    let verdict = |gone: &[&str], attempt| {
        let mut list: Vec<_> = gone.iter().map(|id| json!({ "image": id, "verdict": "delete" })).collect();
        list.push(json!({ "image": "ami-0", "verdict": "keep" }));
        let data = json!({ "verdicts": list });
        Row::of(RUN, &subject("i-1"), Kind::RetainDecided, data).at_step("image", attempt)
    };
    let events = [event(1, verdict(&["ami-1", "ami-2"], 1)), event(2, verdict(&["ami-3"], 2))];
    let (times, images) = RunState::fold(&events).decided.remove(&subject("i-1")).unwrap();
    assert_eq!((times, images.into_iter().collect::<Vec<_>>()), (2, vec!["ami-1".to_owned(), "ami-2".to_owned()]));
}

#[test]
fn what_a_newer_version_wrote_is_not_understood() {
    let newer = event(1, Row { v: VERSION + 1, ..draft("sel", "i-1") });
    let other = event(2, Row::of_run(RUN, Kind::Other("loan.dreamt".into()), json!({})));
    for (events, what) in
        [(vec![newer], format!("target.selected (v{})", VERSION + 1)), (vec![other], "loan.dreamt (v1)".into())]
    {
        let state = RunState::fold(&events);
        assert_eq!(state.not_understood, Some(what));
        assert!(state.targets.is_empty());
    }
}
