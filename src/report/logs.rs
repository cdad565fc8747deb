//! One log line per event: which level it has, and which fields it shows. ERROR = somebody must act.

use serde_json::Value;
use tracing::Level;

use crate::domain::event::{Event, Kind};
use crate::domain::naming::{parse_run_name, rfc3339};

/// Steps whose own coming and going is no news: what they end with is.
const QUIET_STEPS: &[&str] = &["return", "share"];

/// The level of an event.
#[must_use]
pub fn level(event: &Event) -> Level {
    let outcome = event.text("outcome");
    let flag = |key: &str| event.draft.data.get(key).and_then(Value::as_bool).unwrap_or(false);
    match event.draft.kind {
        Kind::StepNeedsPerson | Kind::ConfigRefused => Level::ERROR,
        // Left out by ourselves, or only put off.
        Kind::StepRefused if outcome == Some("skipped") || flag("again") => Level::INFO,
        // A run as a whole that could not do its part: nobody else says it.
        Kind::StepRefused if event.draft.subject.is_none() => Level::ERROR,
        // What retention could not remove costs money until somebody looks.
        Kind::StepRefused | Kind::StepAbandoned if event.draft.step == "retain" => Level::ERROR,
        Kind::RetainStopped => Level::ERROR,
        // A copy or a share that is not there, or something that is still lent, is said once for its destination.
        Kind::LoanForeign => Level::WARN,
        // A target that failed is an error unless it was alarmed already.
        Kind::TargetFinished if outcome == Some("failed") && !flag("alarmed") => Level::ERROR,
        Kind::OccurrenceSkipped if flag("again") => Level::ERROR,
        Kind::TargetFinished | Kind::RunFinished if outcome == Some("failed") => Level::WARN,
        Kind::RunFinished if matches!(outcome, Some("skipped" | "missed")) => Level::WARN,
        Kind::StepObserved if outcome == Some("failed") => Level::WARN,
        Kind::StepRefused
        | Kind::StepUnknown
        | Kind::StepAbandoned
        | Kind::OccurrenceSkipped
        | Kind::OccurrenceMissed
        | Kind::RunLate => Level::WARN,
        Kind::RetainDecided if event.text("verdict") == Some("foreign") => Level::WARN,
        Kind::RetainDecided if deletions(event) == 0 => Level::DEBUG,
        // Ten thousand targets are one line; what becomes of each is said.
        Kind::TargetSelected if event.draft.subject.is_some() => Level::DEBUG,
        // What was lent and taken back is said as such.
        Kind::StepIntent | Kind::StepDone | Kind::StepObserved if lends(&event.draft.step) => Level::DEBUG,
        Kind::StepIntent | Kind::StepDone if QUIET_STEPS.contains(&event.draft.step.as_str()) => Level::DEBUG,
        _ => Level::INFO,
    }
}

fn lends(step: &str) -> bool {
    step.starts_with("lend:") || step.starts_with("reclaim:")
}

fn deletions(event: &Event) -> usize {
    let verdicts = event.draft.data.get("verdicts").and_then(Value::as_array);
    verdicts.into_iter().flatten().filter(|v| v.get("verdict").and_then(Value::as_str) == Some("delete")).count()
}

/// What a line says beside its event's name.
struct Line {
    plan: Option<String>,
    due: Option<String>,
    run: Option<String>,
    instance: Option<String>,
    image: Option<String>,
    copy: Option<String>,
    snapshot: Option<String>,
    region: Option<String>,
    account: Option<String>,
    step: Option<String>,
    outcome: Option<String>,
    reason: Option<String>,
    request: Option<String>,
    elapsed: Option<i64>,
    counts: [Option<u64>; 7],
}

impl Line {
    fn of(event: &Event) -> Self {
        let draft = &event.draft;
        let named = parse_run_name(&draft.run);
        let subject = draft.subject.as_ref();
        let id = |prefix: &str| subject.filter(|s| s.id.starts_with(prefix)).map(|s| s.id.clone());
        let text = |key: &str| event.text(key).filter(|t| !t.is_empty()).map(str::to_owned);
        let count = |key: &str| draft.data.get(key).and_then(Value::as_u64);
        Self {
            plan: named.map_or_else(
                || (draft.kind == Kind::PlanFirstSeen).then(|| draft.run.clone()).or_else(|| text("plan")),
                |(plan, _)| Some(plan.to_owned()),
            ),
            due: named.map(|(_, due)| rfc3339(due)),
            run: named.map(|_| draft.run.clone()),
            instance: id("i-"),
            image: id("ami-").or_else(|| text("image")),
            copy: text("image").filter(|image| id("ami-").is_some_and(|source| source != *image)),
            snapshot: id("snap-"),
            region: subject.map(|s| s.place.region.clone()),
            account: subject.map(|s| s.place.account.clone()),
            step: Some(draft.step.clone()).filter(|s| !s.is_empty()),
            outcome: text("outcome"),
            reason: text("reason").or_else(|| summary(event)),
            request: text("aws_request_id"),
            elapsed: draft.data.get("elapsed_ms").and_then(Value::as_i64),
            counts: ["targets", "done", "failed", "skipped", "copied", "copies_failed", "deleted"].map(count),
        }
    }
}

/// What the data of an event without a reason says, in words.
fn summary(event: &Event) -> Option<String> {
    match event.draft.kind {
        Kind::DaemonStarted => event.text("version").map(|version| format!("stillframe {version}")),
        Kind::ConfigApplied => {
            let plans = event.draft.data.get("plans").and_then(Value::as_array)?;
            let names: Vec<&str> = plans.iter().filter_map(Value::as_str).collect();
            let mut text =
                format!("{} plan{}: {}", names.len(), if names.len() == 1 { "" } else { "s" }, names.join(", "));
            for change in ["added", "changed", "removed"] {
                let list = event.draft.data.get(change).and_then(Value::as_array).into_iter().flatten();
                let list: Vec<&str> = list.filter_map(Value::as_str).collect();
                if !list.is_empty() {
                    text.push_str(&format!("; {change}: {}", list.join(", ")));
                }
            }
            Some(text)
        }
        Kind::LoanGiven | Kind::LoanReturned => loan_summary(event),
        Kind::KeyLent | Kind::KeyReturned => key_summary(event),
        _ => verdict_summary(event),
    }
}

/// Who was let in, or no longer is.
fn loan_summary(event: &Event) -> Option<String> {
    let account = event.text("account")?;
    let keys = event.draft.data.get("keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let keys: Vec<&str> = keys.collect();
    let with = if keys.is_empty() { String::new() } else { format!(" with the use of {}", keys.join(", ")) };
    Some(match event.draft.kind {
        Kind::LoanGiven => format!("account {account} may copy it{with}"),
        _ => format!("taken back from account {account}, as far as nothing else wants it"),
    })
}

/// Who may use a key, or no longer may.
fn key_summary(event: &Event) -> Option<String> {
    let (key, who) = (&event.draft.subject.as_ref()?.id, event.text("grantee")?);
    Some(match event.draft.kind {
        Kind::KeyLent => format!("{who} is to use {key}; a grant is made where the key's policy does not let it"),
        _ => format!("{who} has no grant of ours on {key} any more"),
    })
}

fn verdict_summary(event: &Event) -> Option<String> {
    let verdicts = event.draft.data.get("verdicts").and_then(Value::as_array)?;
    let gone = deletions(event);
    Some(format!("{} kept, {gone} to delete", verdicts.len() - gone))
}

/// Writes the line of an event to the log.
pub fn emit(event: &Event) {
    let line = Line::of(event);
    macro_rules! write_line {
        ($level:expr) => {
            tracing::event!(
                $level,
                event = event.draft.kind.as_str(),
                plan = line.plan,
                due = line.due,
                run = line.run,
                instance = line.instance,
                image = line.image,
                copy = line.copy,
                snapshot = line.snapshot,
                region = line.region,
                account = line.account,
                step = line.step,
                outcome = line.outcome,
                reason = line.reason,
                aws_request_id = line.request,
                elapsed_ms = line.elapsed,
                targets = line.counts[0],
                done = line.counts[1],
                failed = line.counts[2],
                skipped = line.counts[3],
                copied = line.counts[4],
                copies_failed = line.counts[5],
                deleted = line.counts[6],
            )
        };
    }
    match level(event) {
        Level::ERROR => write_line!(Level::ERROR),
        Level::WARN => write_line!(Level::WARN),
        Level::DEBUG => write_line!(Level::DEBUG),
        _ => write_line!(Level::INFO),
    }
}

#[cfg(test)]
mod tests;
