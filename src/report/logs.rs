//! One log line per event: which level it has, and which fields it shows. ERROR = somebody must act.

use tracing::Level;

use crate::domain::event::Outcome;
use crate::domain::fact::{Applied, Counts, Difference, Draft, Event, Fact, Scope, StepId, Topic, Verdict, codec};
use crate::domain::naming::{parse_run_name, rfc3339};
use crate::domain::prevented::Prevented;

/// The level of an event.
#[must_use]
pub fn level(event: &Event) -> Level {
    let failed = event.fact().outcome() == Some(Outcome::Failed);
    match event.fact() {
        // It stays taken while nobody looks after it.
        Fact::DaemonStopped { owed, .. } if !owed.is_empty() => Level::ERROR,
        Fact::StepNeedsPerson(_) | Fact::ConfigRefused { .. } | Fact::RetainStopped { .. } => Level::ERROR,
        // Left out by ourselves, or only put off.
        Fact::StepRefused(refusal) if refusal.skipped || refusal.again => Level::INFO,
        // A run as a whole that could not do its part: nobody else says it.
        Fact::StepRefused(_) if event.draft.subject.is_none() => Level::ERROR,
        // What retention could not remove costs money until somebody looks.
        Fact::StepRefused(_) | Fact::StepAbandoned { .. } if event.step() == Some(&StepId::Retain) => Level::ERROR,
        // A target that failed is an error unless it was alarmed already.
        Fact::TargetFinished(end) if failed && !end.alarmed => Level::ERROR,
        // Nothing at all was imaged, and nobody chose that.
        Fact::RunFinished(end) if end.barred => Level::ERROR,
        Fact::TargetFinished(_) | Fact::TargetSkipped(_) if event.fact().prevented().is_some() => Level::WARN,
        Fact::OccurrenceSkipped(told) if told.again => Level::ERROR,
        Fact::TargetFinished(_) | Fact::RunFinished(_) | Fact::StepObserved(_) if failed => Level::WARN,
        Fact::RunFinished(end) if matches!(end.outcome, Outcome::Skipped | Outcome::Missed) => Level::WARN,
        // A copy or a share that is not there, or something that is still lent, is said once for its destination.
        Fact::LoanForeign { .. }
        | Fact::StepRefused(_)
        | Fact::StepUnknown(_)
        | Fact::StepAbandoned { .. }
        | Fact::OccurrenceSkipped(_)
        | Fact::OccurrenceMissed(_)
        | Fact::RunLate { .. }
        | Fact::ForeignImage { .. } => Level::WARN,
        Fact::RetainDecided(verdicts) if deletions(verdicts) == 0 => Level::DEBUG,
        // Ten thousand targets are one line; what becomes of each is said.
        Fact::TargetSelected { .. } | Fact::DebtOpened { .. } | Fact::DebtSettled { .. } => Level::DEBUG,
        // Whoever notices it says it, each time.
        Fact::HoldRaised { .. } | Fact::HoldCleared | Fact::RunStopped { .. } => Level::DEBUG,
        Fact::StepIntent(_) | Fact::StepDone(_) if event.step().is_some_and(is_quiet) => Level::DEBUG,
        Fact::StepObserved(_) if event.step().is_some_and(lends) => Level::DEBUG,
        _ => Level::INFO,
    }
}

/// Whether a step's own coming and going is no news: what it ends with is.
fn is_quiet(step: &StepId) -> bool {
    lends(step) || matches!(step, StepId::Return | StepId::Share)
}

/// What was lent and taken back is said as such.
fn lends(step: &StepId) -> bool {
    matches!(step, StepId::Lend(_) | StepId::Reclaim(_))
}

fn deletions(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| verdict.delete).count()
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
    prevented: Option<&'static str>,
    counts: [Option<u64>; 7],
}

impl Line {
    fn of(event: &Event) -> Self {
        let (draft, fact) = (&event.draft, event.fact());
        let named = draft.scope.run().and_then(parse_run_name);
        let subject = draft.subject.as_ref();
        let id = |prefix: &str| subject.filter(|s| s.id.starts_with(prefix)).map(|s| s.id.clone());
        let said = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(str::to_owned);
        let image = said(fact.image());
        Self {
            plan: named.map_or_else(|| plan(draft).map(str::to_owned), |(plan, _)| Some(plan.to_owned())),
            due: named.map(|(_, due)| rfc3339(due)),
            run: named.and(draft.scope.run()).map(str::to_owned),
            instance: id("i-"),
            image: id("ami-").or_else(|| image.clone()),
            copy: image.filter(|image| id("ami-").is_some_and(|source| source != *image)),
            snapshot: id("snap-"),
            region: subject.map(|s| s.place.region.clone()),
            account: subject.map(|s| s.place.account.clone()),
            step: Some(codec::encode(draft).step).filter(|s| !s.is_empty()),
            outcome: fact.outcome().map(|outcome| outcome.as_str().to_owned()),
            reason: said(fact.reason()).or_else(|| summary(event)),
            request: request(fact).map(str::to_owned),
            elapsed: elapsed(fact),
            prevented: fact.prevented().map(Prevented::as_str),
            counts: counts(fact),
        }
    }
}

/// The plan of what is of no run.
fn plan(draft: &Draft) -> Option<&str> {
    match (&draft.scope, &draft.topic) {
        (Scope::Plan(plan), _) | (_, Topic::Grant { plan, .. }) => Some(plan),
        _ => None,
    }
}

fn request(fact: &Fact) -> Option<&str> {
    match fact {
        Fact::StepDone(done) => done.request.as_deref(),
        Fact::StepRefused(refusal) => refusal.request.as_deref(),
        Fact::StepUnknown(unknown) => unknown.request.as_deref(),
        _ => None,
    }
}

fn elapsed(fact: &Fact) -> Option<i64> {
    match fact {
        Fact::RunFinished(end) => end.elapsed_ms,
        Fact::StepObserved(observed) => observed.elapsed_ms,
        Fact::StepRefused(refusal) => refusal.copy.as_ref().map(|copy| copy.elapsed_ms),
        _ => None,
    }
}

/// `targets`, `done`, `failed`, `skipped`, `copied`, `copies_failed`, `deleted`.
fn counts(fact: &Fact) -> [Option<u64>; 7] {
    match fact {
        Fact::Selected(chosen) => [Some(chosen.targets), None, None, Some(chosen.skipped), None, None, None],
        Fact::RunFinished(end) => {
            let c = end.counts;
            let count = |of: fn(&Counts) -> u64| c.as_ref().map(of);
            let copied = c.and_then(|c| c.copied);
            let copies_failed = c.and_then(|c| c.copies_failed);
            let (done, failed, skipped) = (count(|c| c.done), count(|c| c.failed), count(|c| c.skipped));
            [None, done, failed, skipped, copied, copies_failed, count(|c| c.deleted)]
        }
        _ => [None; 7],
    }
}

/// What the data of an event without a reason says, in words.
fn summary(event: &Event) -> Option<String> {
    match event.fact() {
        Fact::DaemonStopped { owed, .. } if !owed.is_empty() => {
            Some(format!("not given back, which the next start does first: {}", owed.join(", ")))
        }
        Fact::DaemonStarted(started) => Some(format!("stillframe {}", started.version)),
        Fact::ConfigApplied(applied) => {
            let Applied { plans, difference } = applied;
            let mut text =
                format!("{} plan{}: {}", plans.len(), if plans.len() == 1 { "" } else { "s" }, plans.join(", "));
            if let Some(Difference { added, changed, removed }) = difference {
                for (change, list) in [("added", added), ("changed", changed), ("removed", removed)] {
                    if !list.is_empty() {
                        text.push_str(&format!("; {change}: {}", list.join(", ")));
                    }
                }
            }
            Some(text)
        }
        // Who was let in, or no longer is.
        Fact::LoanGiven(loan) => {
            let keys: Vec<&str> = loan.keys.iter().map(String::as_str).collect();
            let with = if keys.is_empty() { String::new() } else { format!(" with the use of {}", keys.join(", ")) };
            Some(format!("account {} may copy it{with}", loan.account))
        }
        Fact::LoanReturned(loan) => {
            Some(format!("taken back from account {}, as far as nothing else wants it", loan.account))
        }
        Fact::KeyLent | Fact::KeyReturned => key_summary(event),
        Fact::RetainDecided(verdicts) => {
            let gone = deletions(verdicts);
            Some(format!("{} kept, {gone} to delete", verdicts.len() - gone))
        }
        _ => None,
    }
}

/// Who may use a key, or no longer may.
fn key_summary(event: &Event) -> Option<String> {
    let (Some(key), Topic::Grant { to, .. }) = (&event.draft.subject, &event.draft.topic) else { return None };
    Some(match event.fact() {
        Fact::KeyLent => format!("{to} is to use {}; a grant is made where the key's policy does not let it", key.id),
        _ => format!("{to} has no grant of ours on {} any more", key.id),
    })
}

/// Writes the line of an event to the log.
pub fn emit(event: &Event) {
    let line = Line::of(event);
    let kind = event.kind();
    macro_rules! write_line {
        ($level:expr) => {
            tracing::event!(
                $level,
                event = kind.as_str(),
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
                prevented = line.prevented,
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
