//! What the engine takes from a journal, as JSON that does not depend on the types it is folded into: when those change,
//! only what reads them here changes, and the JSON stays.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use stillframe::domain::downtime::{chain, end_of, next_of};
use stillframe::domain::event::{Decision, Outcome};
use stillframe::domain::fact::{self, Fact, Kind, Scope, StepId, codec};
use stillframe::domain::naming::parse_run_name;
use stillframe::domain::saga::{Phase, RunState, Slot, StepState, TargetState};
use stillframe::journal::{Reader, Request};

use super::dump;
use super::lending;
use crate::support::rows::{Event, Rows};

/// How the times of events are written.
pub fn time(at: DateTime<Utc>) -> Value {
    json!(at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Everything that is folded from the journal in `dir`, which `reader` reads.
pub async fn fold(reader: &dyn Reader, dir: &Path, plans: &[stillframe::domain::plan::Plan]) -> Value {
    let typed = reader;
    let reader = Rows(reader);
    let rows = dump::events(dir);
    let mut names: Vec<&str> = rows.iter().map(|row| row.run.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut runs = Map::new();
    for name in names.into_iter().filter(|name| parse_run_name(name).is_some()) {
        let events = reader.events_of(name).await.expect("readable");
        let state = reader.run(name).await.expect("readable");
        runs.insert(name.to_owned(), run(name, &state, &beside(&events, &state)));
    }
    let mut steps: Vec<&str> =
        rows.iter().filter(|row| row.kind == "step.needs_person").map(|row| row.step.as_str()).collect();
    steps.sort_unstable();
    steps.dedup();
    let mut needs = Map::new();
    for step in steps {
        needs.insert(step.to_owned(), needs_of(reader, step).await);
    }
    let mut last_decided = Map::new();
    for plan in plans {
        let last = typed.last_decided(&plan.name).await.expect("readable");
        let seen = reader.newest_in(&Scope::Plan(plan.name.clone()), &Kind::PlanFirstSeen).await.expect("readable");
        let seen = seen.map(|event| json!([time(event.at), event.draft.data]));
        last_decided.insert(plan.name.clone(), json!([last.map(time), seen]));
    }
    let occurrences = reader.occurrences(None, u32::MAX).await.expect("readable");
    let occurrences: Vec<Value> = occurrences
        .iter()
        .map(|o| json!([o.run(), o.trigger.as_str(), decision(o.decision), o.reason, time(o.decided_at), o.plan_hash]))
        .collect();
    let unfinished = reader.unfinished().await.expect("readable");
    let request = |r: &Request| json!([r.id, r.verb, asked(&r.wish), time(r.at), r.run]);
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
        "newest_good": typed.newest_good().await.expect("readable").iter().map(Event::from).map(|e| brief(&e)).collect::<Value>(),
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

/// The alarms that are open at a step. Those beside a step, and those of a selection, are no steps.
async fn needs_of(reader: Rows<'_>, step: &str) -> Value {
    let open = match step.parse::<StepId>() {
        Ok(_) => reader.open_needs(step).await.expect("readable"),
        Err(_) => {
            let all = reader.events_of_kind("step.needs_person").await.expect("readable");
            let of = |e: &&Event| e.draft.step == step;
            let newest =
                |e: &&Event| !all.iter().filter(of).any(|l| l.draft.subject == e.draft.subject && l.seq > e.seq);
            all.iter().filter(of).filter(newest).cloned().collect()
        }
    };
    open.iter().map(brief).collect()
}

/// What a person asks for, without what is not named.
fn asked(wish: &stillframe::journal::Wish) -> Value {
    let mut asked = json!({ "plan": wish.plan });
    if let Some(instance) = &wish.instance {
        asked["instance"] = json!(instance);
    }
    asked
}

/// What stood among the steps of a subject and is none: alarms beside a step and of a selection, and facts of a subject that
/// is no target of the run.
fn beside(events: &[Event], state: &RunState) -> BTreeMap<String, Map<String, Value>> {
    let mut beside: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for event in events {
        let (draft, Some(subject)) = (&event.draft, &event.draft.subject) else { continue };
        let own = [Kind::TargetSelected, Kind::TargetSkipped, Kind::RetainDecided].contains(&draft.kind);
        let of_target = [Kind::TargetFinished, Kind::SlotTaken, Kind::SlotFreed].contains(&draft.kind);
        let step = !draft.step.ends_with(".pending") && draft.step.parse::<StepId>().is_ok();
        if step || own || of_target && state.targets.contains_key(subject) {
            continue;
        }
        let entry = beside.entry(subject.to_string()).or_default().entry(draft.step.clone());
        let entry = entry.or_insert_with(|| {
            json!({
                "phase": "intended", "attempt": draft.attempt, "sent": 0, "intended_at": time(event.at),
                "called_at": time(event.at), "intent": null, "result": null, "alarmed": false,
            })
        });
        if draft.kind == Kind::StepNeedsPerson {
            entry["alarmed"] = json!(true);
        }
    }
    beside
}

fn run(name: &str, state: &RunState, beside: &BTreeMap<String, Map<String, Value>>) -> Value {
    let mut targets: Map<String, Value> = state.targets.iter().map(|(s, t)| (s.to_string(), target(t))).collect();
    let mut others: Map<String, Value> = state.others.iter().map(|(s, of)| (s.to_string(), steps(of))).collect();
    for (subject, more) in beside {
        let steps = match targets.get_mut(subject) {
            Some(target) => &mut target["steps"],
            None => others.entry(subject.clone()).or_insert_with(|| json!({})),
        };
        steps.as_object_mut().expect("a map").extend(more.clone());
    }
    let end = state.end();
    let (outcome, reason) = (end.outcome, end.reason.unwrap_or_default());
    json!({
        "started": state.started,
        "rebuilt": state.rebuilt,
        "only": state.only,
        "selected": state.selected,
        "targets": targets,
        "skipped": state.skipped.iter().map(|(s, skip)| (s.to_string(), json!(skip.reason))).collect::<Map<_, _>>(),
        "others": others,
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
    let chain = chain(&[]);
    let next = next_of(target, &chain, false);
    // What a person was called for goes on, and was never told as a step to start.
    let called = |i: &usize| target.steps.get(&chain[*i].0).is_some_and(StepState::ended);
    let start: Vec<String> = next.start.iter().filter(|i| !called(i)).map(|i| chain[*i].0.to_string()).collect();
    let next = match next.target {
        Some(_) => {
            let (outcome, why) = end_of(target, &chain);
            json!({ "finished": [outcome.as_str(), &why.reason] })
        }
        None => json!({ "start": start }),
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

fn steps(steps: &BTreeMap<StepId, StepState>) -> Value {
    steps.iter().map(|(id, state)| (id.to_string(), step(id, state))).collect::<Map<_, _>>().into()
}

/// The data of a step's fact; nothing for none.
fn data(id: &StepId, fact: Option<Fact>) -> Value {
    let draft = |fact| fact::Draft::of_run("", fact).at_step(id, 1);
    fact.map_or(Value::Null, |fact| codec::encode(&draft(fact)).data)
}

fn step(id: &StepId, step: &StepState) -> Value {
    let told = data(id, step.intent.clone().map(Fact::StepIntent));
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
    let intent = if step.ended() { hash(&told) } else { told };
    json!({
        "phase": phase,
        "attempt": step.attempt,
        "sent": step.sent,
        "intended_at": time(step.intended_at),
        "called_at": time(step.called_at),
        "intent": intent,
        "result": data(id, step.result.clone().map(Fact::StepDone)),
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
