//! What the engine takes from a journal, as JSON that does not depend on the types it is folded into: when those change,
//! only what reads them here changes, and the JSON stays.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use stillframe::domain::event::{Decision, Event, Kind, Outcome};
use stillframe::domain::naming::parse_run_name;
use stillframe::domain::saga::{Next, Phase, RunState, Slot, StepState, TargetState, next};
use stillframe::engine::steps::CHAIN;
use stillframe::journal::{Reader, Request};

use super::dump;
use super::lending;

/// How the times of events are written.
pub fn time(at: DateTime<Utc>) -> Value {
    json!(at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Everything that is folded from the journal in `dir`, which `reader` reads.
pub async fn fold(reader: &dyn Reader, dir: &Path, plans: &[stillframe::domain::plan::Plan]) -> Value {
    let rows = dump::events(dir);
    let mut names: Vec<&str> = rows.iter().map(|row| row.run.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut runs = Map::new();
    for name in names.into_iter().filter(|name| parse_run_name(name).is_some()) {
        let events = reader.events_of(name).await.expect("readable");
        runs.insert(name.to_owned(), run(name, &RunState::fold(&events)));
    }
    let mut steps: Vec<&str> =
        rows.iter().filter(|row| row.kind == "step.needs_person").map(|row| row.step.as_str()).collect();
    steps.sort_unstable();
    steps.dedup();
    let mut needs = Map::new();
    for step in steps {
        let open = reader.open_needs(step).await.expect("readable");
        needs.insert(step.to_owned(), open.iter().map(brief).collect());
    }
    let mut last_decided = Map::new();
    for plan in plans {
        let last = reader.last_decided(&plan.name).await.expect("readable");
        let seen = reader.newest_of(&plan.name, Kind::PlanFirstSeen.as_str()).await.expect("readable");
        let seen = seen.map(|event| json!([time(event.at), event.draft.data]));
        last_decided.insert(plan.name.clone(), json!([last.map(time), seen]));
    }
    let occurrences = reader.occurrences(None, u32::MAX).await.expect("readable");
    let occurrences: Vec<Value> = occurrences
        .iter()
        .map(|o| json!([o.run(), o.trigger.as_str(), decision(o.decision), o.reason, time(o.decided_at), o.plan_hash]))
        .collect();
    let unfinished = reader.unfinished().await.expect("readable");
    let request = |r: &Request| json!([r.id, r.verb, r.data, time(r.at), r.run]);
    let open = reader.open_requests().await.expect("readable");
    let mut answered = Vec::new();
    for id in 1.. {
        let Some(known) = reader.request(id).await.expect("readable") else { break };
        answered.extend(Some(&known).filter(|r| r.run.is_some()).map(request));
    }
    // What was said once, and is not said again.
    let foreign = reader.events_of("foreign").await.expect("readable");
    let foreign = foreign.iter().filter(|event| event.draft.subject.is_some());
    json!({
        "runs": runs,
        "open_slots": reader.open_slots().await.expect("readable").iter().map(brief).collect::<Value>(),
        "alarms": reader.alarms().await.expect("readable").iter().map(brief).collect::<Value>(),
        "open_needs": needs,
        "newest_good": reader.newest_good().await.expect("readable").iter().map(brief).collect::<Value>(),
        "grants": lending::ledger(&reader.events_of("keys").await.expect("readable")),
        "copies": lending::copies(reader, &rows, plans).await,
        "plans": last_decided,
        "occurrences": occurrences,
        "unfinished": unfinished.iter().map(|o| json!(o.run())).collect::<Value>(),
        "requests": { "open": open.iter().map(request).collect::<Value>(), "answered": answered },
        "foreign": foreign.map(brief).collect::<Value>(),
    })
}

fn decision(decision: Decision) -> &'static str {
    decision.as_str()
}

/// An event by its columns, and why.
fn brief(event: &Event) -> Value {
    let draft = &event.draft;
    let mut brief = json!({
        "run": draft.run,
        "subject": draft.subject.as_ref().map(ToString::to_string),
        "step": draft.step,
        "attempt": draft.attempt,
        "at": time(event.at),
    });
    for key in ["reason", "outcome", "image", "halts", "settle"] {
        if let Some(value) = draft.data.get(key) {
            brief[key] = value.clone();
        }
    }
    brief
}

fn run(name: &str, state: &RunState) -> Value {
    let (outcome, reason) = state.outcome();
    json!({
        "started": state.started,
        "rebuilt": state.rebuilt,
        "only": state.only,
        "selected": state.selected,
        "targets": state.targets.iter().map(|(s, t)| (s.to_string(), target(t))).collect::<Map<_, _>>(),
        "skipped": state.skipped.iter().map(|(s, why)| (s.to_string(), json!(why))).collect::<Map<_, _>>(),
        "others": state.others.iter().map(|(s, of)| (s.to_string(), steps(of))).collect::<Map<_, _>>(),
        "decided": state.decided.iter().map(|(s, of)| (s.to_string(), json!(of))).collect::<Map<_, _>>(),
        "mishaps": state.mishaps,
        "late": state.late,
        "finished": state.finished.map(Outcome::as_str),
        "not_understood": state.not_understood,
        "holds": state.holds(),
        "imaging": state.imaging(name),
        "would_end": [outcome.as_str(), &reason],
    })
}

fn target(target: &TargetState) -> Value {
    let slot = match target.slot {
        Slot::None => json!("none"),
        Slot::Taken(at) => json!({ "taken": time(at) }),
        Slot::Freed => json!("freed"),
    };
    let next = match next(target, CHAIN, &std::collections::BTreeSet::new()) {
        Next::Start(steps) => json!({ "start": steps }),
        Next::Wait => json!("wait"),
        Next::Finished(outcome, reason) => json!({ "finished": [outcome.as_str(), &reason] }),
    };
    json!({
        "reboots": target.reboots,
        "steps": steps(&target.steps),
        "slot": slot,
        "freed": target.freed,
        "finished": target.finished.as_ref().map(|(outcome, reason)| json!([outcome.as_str(), reason])),
        "image": target.image(),
        "holds": target.holds(),
        "next": next,
    })
}

fn steps(steps: &BTreeMap<String, StepState>) -> Value {
    steps.iter().map(|(name, state)| (name.clone(), step(state))).collect::<Map<_, _>>().into()
}

fn step(step: &StepState) -> Value {
    let phase = match &step.phase {
        Phase::Intended => json!("intended"),
        Phase::NotMade => json!("not made"),
        Phase::Unknown => json!("unknown"),
        Phase::Done => json!("done"),
        Phase::Good => json!("good"),
        Phase::Left(why) => json!({ "left": why }),
        Phase::Bad(why) => json!({ "bad": why }),
    };
    // Of what has ended nobody asks for the parameters any more.
    let intent = if step.ended() { hash(&step.intent) } else { step.intent.clone() };
    json!({
        "phase": phase,
        "attempt": step.attempt,
        "sent": step.sent,
        "intended_at": time(step.intended_at),
        "called_at": time(step.called_at),
        "intent": intent,
        "result": step.result,
        "alarmed": step.alarmed,
    })
}

/// A value in short; nothing for nothing.
fn hash(value: &Value) -> Value {
    if value.is_null() {
        return Value::Null;
    }
    let digest = Sha256::digest(value.to_string());
    json!(digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>())
}
