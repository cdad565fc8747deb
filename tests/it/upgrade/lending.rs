//! What the journal tells of grants, and of the tokens of copies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use stillframe::domain::copying::names;
use stillframe::domain::fact::{self, Kind};
use stillframe::domain::naming::{image_name, parse_run_name};
use stillframe::domain::place::Subject;
use stillframe::domain::plan::Plan;
use stillframe::engine::distribution::copy::next_attempt;

use super::dump::Row;
use crate::simulation::rig::DAEMON;
use crate::support::rows::{Event, Rows};

/// The key ledger by plan, key and grantee: how often it was written, and whether it is open. The engine's own fold is not
/// public; this is its rule, written anew: the rest, and so the grants that are left, hold the engine to it.
pub fn ledger(events: &[Event]) -> Value {
    let mut lines: BTreeMap<(String, String, String), (u32, bool)> = BTreeMap::new();
    let line = |event: &Event| {
        let text = |key: &str| event.text(key).map(str::to_owned);
        Some((text("plan")?, event.draft.subject.as_ref()?.to_string(), text("grantee")?))
    };
    for event in events.iter().filter(|e| e.draft.kind == Kind::KeyLent) {
        let Some(line) = line(event) else { continue };
        let entry = lines.entry(line).or_insert((0, true));
        entry.0 = entry.0.max(event.draft.attempt);
    }
    for event in events.iter().filter(|e| e.draft.kind == Kind::KeyReturned) {
        if let Some(entry) = line(event).and_then(|line| lines.get_mut(&line)).filter(|e| e.0 <= event.draft.attempt) {
            entry.1 = false;
        }
    }
    lines
        .into_iter()
        .map(|((plan, key, grantee), (times, open))| {
            json!({ "plan": plan, "key": key, "grantee": grantee, "times": times, "open": open })
        })
        .collect()
}

/// Of each image and each step that copies it: the number of its next copy, and the token under which that would be asked
/// for; beside the token of the newest intent.
pub async fn copies(reader: Rows<'_>, rows: &[Row], plans: &[Plan]) -> Value {
    let copies = |row: &&Row| {
        let makes = row.step.starts_with("copy:") || row.step.starts_with("via:");
        makes && row.kind == "step.intent"
    };
    let all: BTreeSet<(&str, &str)> =
        rows.iter().filter(copies).map(|row| (row.subject.as_str(), row.step.as_str())).collect();
    let mut told = Map::new();
    for (subject, step) in all {
        let subject: Subject = subject.parse().expect("a subject");
        let events = reader.events_about(&subject).await.expect("readable");
        let newest = events.iter().rfind(|e| e.draft.kind == Kind::StepIntent && e.draft.step == step);
        let newest = newest.expect("an intent");
        let typed: Vec<_> = events.iter().map(fact::Event::from).collect();
        let number = next_attempt(&typed, &step.parse().expect("a step"));
        let token = token(newest, &subject, step, plans, number);
        let before = json!([newest.draft.data.get("attempt"), newest.text("token"), newest.text("name")]);
        told.insert(format!("{subject} {step}"), json!({ "next": number, "token": token, "newest": before }));
    }
    told.into()
}

/// The token of the `number`-th copy by this step; nothing if no plan tells where it leads to.
fn token(newest: &Event, subject: &Subject, step: &str, plans: &[Plan], number: u32) -> Option<String> {
    let tag = |key: &str| newest.draft.data.get("tags")?.get(format!("stillframe:{key}"))?.as_str();
    let (plan, instance, due) = (tag("plan")?, tag("instance")?, tag("due")?.parse().ok()?);
    let source = image_name(DAEMON, plan, instance, due);
    let to = match step.strip_prefix("copy:") {
        None => subject.place.clone(),
        Some(label) => {
            let of = parse_run_name(&newest.draft.run).map(|(plan, _)| plan)?;
            let plan = plans.iter().find(|plan| plan.name == of)?;
            plan.copies.iter().find(|copy| copy.label() == label)?.place(&subject.place.account)
        }
    };
    Some(names::token(&subject.place, &source, &to, newest.text("kms_key"), number))
}
