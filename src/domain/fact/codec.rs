//! How facts are written down: the texts of the journal's columns, and the JSON of its data. Nobody else knows them.
//!
//! Reading is total: what does not fit is kept as it stands. What is read is written again byte for byte.

mod data;

use serde_json::Value;

use self::data::{data_of, fact_of};
use super::{Draft, Fact, Kind, Scope, Topic, VERSION};
use crate::domain::hold::Cause;
use crate::domain::naming::Role;
use crate::domain::place::Subject;

/// The scope of keys.
const KEYS: &str = "keys";
/// The scope of what others have made.
const FOREIGN: &str = "foreign";
const PENDING: &str = ".pending";
const SELECTION: &str = "select";
const GUEST: &str = "share:";
const RELOAD: &str = "reload ";

/// A fact as the journal stores it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The scope.
    pub run: String,
    /// The subject.
    pub subject: Option<Subject>,
    /// The topic.
    pub step: String,
    /// See [`Draft::attempt`].
    pub attempt: u32,
    /// The kind.
    pub kind: Kind,
    /// The version of the data.
    pub v: u32,
    /// More about it; the keys are sorted.
    pub data: Value,
}

impl Row {
    /// Of a scope as a whole.
    #[must_use]
    pub fn of_run(run: &str, kind: Kind, data: Value) -> Self {
        Self { run: run.to_owned(), subject: None, step: String::new(), attempt: 1, kind, v: VERSION, data }
    }

    /// Of one subject.
    #[must_use]
    pub fn of(run: &str, subject: &Subject, kind: Kind, data: Value) -> Self {
        Self { subject: Some(subject.clone()), ..Self::of_run(run, kind, data) }
    }

    /// The same, of `step` in its `attempt`.
    #[must_use]
    pub fn at_step(self, step: &str, attempt: u32) -> Self {
        Self { step: step.to_owned(), attempt, ..self }
    }

    /// The text under `key` in the data.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).and_then(Value::as_str)
    }
}

/// What this version cannot read, as it stands there.
#[derive(Debug, Clone, PartialEq)]
pub struct Unread {
    run: String,
    step: String,
    pub(super) kind: Kind,
    /// The version of the data.
    pub v: u32,
    data: Value,
}

impl Unread {
    pub(super) fn reason(&self) -> Option<&str> {
        self.data.get("reason").and_then(Value::as_str)
    }
}

/// The text of a scope: what the journal finds its facts by.
#[must_use]
pub fn scope_text(scope: &Scope) -> &str {
    match scope {
        Scope::Daemon => "",
        Scope::Plan(name) | Scope::Run(name) => name,
        Scope::KeyGrants => KEYS,
        Scope::Foreign => FOREIGN,
    }
}

/// The text of a fact's topic.
#[must_use]
pub fn step_text(draft: &Draft) -> String {
    if let Fact::Unread(unread) = &draft.fact { unread.step.clone() } else { topic_text(&draft.topic) }
}

/// Writes a fact down.
#[must_use]
pub fn encode(draft: &Draft) -> Row {
    let Draft { scope, subject, topic, attempt, fact } = draft;
    let (subject, attempt, kind) = (subject.clone(), *attempt, fact.kind());
    if let Fact::Unread(unread) = fact {
        let Unread { run, step, kind, v, data } = (**unread).clone();
        return Row { run, subject, step, attempt, kind, v, data };
    }
    let (run, step, data) = (scope_text(scope).to_owned(), topic_text(topic), data_of(topic, fact));
    Row { run, subject, step, attempt, kind, v: VERSION, data }
}

/// Reads a fact.
#[must_use]
pub fn decode(row: Row) -> Draft {
    let scope = scope_of(&row);
    let known = row.v <= VERSION && !matches!(row.kind, Kind::Other(_));
    let read = known.then(|| topic_of(&row)).flatten().and_then(|topic| Some((fact_of(&row, &topic)?, topic)));
    let Row { run, subject, step, attempt, kind, v, data } = row;
    match read {
        Some((fact, topic)) => Draft { scope, subject, topic, attempt, fact },
        None => {
            let fact = Fact::Unread(Box::new(Unread { run, step, kind, v, data }));
            Draft { scope, subject, topic: Topic::Whole, attempt, fact }
        }
    }
}

/// A plan may be called `keys`, or `foreign`: by itself its name stands only where its schedule is first seen.
fn scope_of(row: &Row) -> Scope {
    match (&row.kind, row.run.as_str()) {
        (_, "") => Scope::Daemon,
        (Kind::PlanFirstSeen, name) => Scope::Plan(name.to_owned()),
        (Kind::KeyLent | Kind::KeyReturned, KEYS) => Scope::KeyGrants,
        (Kind::LoanForeign | Kind::RetainDecided, FOREIGN) => Scope::Foreign,
        (_, name) => Scope::Run(name.to_owned()),
    }
}

/// The text of a topic.
#[must_use]
pub fn topic_text(topic: &Topic) -> String {
    match topic {
        Topic::Whole => String::new(),
        Topic::Step(step) => step.to_string(),
        Topic::Pending(step) => format!("{step}{PENDING}"),
        Topic::Selection => SELECTION.to_owned(),
        Topic::Series(role) => role.as_str().to_owned(),
        Topic::Grant { plan, to } => format!("{plan}:{to}"),
        Topic::Guest(who) => format!("{GUEST}{who}"),
        Topic::Hold { cause, plan: None } => cause.as_str().to_owned(),
        Topic::Hold { cause, plan: Some(plan) } => format!("{}:{plan}", cause.as_str()),
        Topic::Reload(nth) => format!("{RELOAD}{nth}"),
        Topic::Trouble(what) => what.clone(),
    }
}

/// The same word is a step in one kind and something else in another.
fn topic_of(row: &Row) -> Option<Topic> {
    let text = row.step.as_str();
    let whole = || text.is_empty().then_some(Topic::Whole);
    match row.kind {
        Kind::StepRefused | Kind::RetainStopped if row.subject.is_none() => Some(Topic::Trouble(text.to_owned())),
        Kind::StepNeedsPerson if text == SELECTION => Some(Topic::Selection),
        Kind::StepNeedsPerson => match text.strip_suffix(PENDING) {
            Some(step) => Some(Topic::Pending(step.parse().ok()?)),
            None => Some(Topic::Step(text.parse().ok()?)),
        },
        Kind::StepIntent
        | Kind::StepDone
        | Kind::StepRefused
        | Kind::StepUnknown
        | Kind::StepObserved
        | Kind::StepAbandoned
        | Kind::DebtOpened
        | Kind::DebtSettled
        | Kind::LoanGiven
        | Kind::LoanReturned => Some(Topic::Step(text.parse().ok()?)),
        Kind::RetainDecided => match text {
            "" => Some(Topic::Whole),
            role => [Role::Image, Role::Copy].into_iter().find(|r| r.as_str() == role).map(Topic::Series),
        },
        Kind::KeyLent | Kind::KeyReturned => {
            let (plan, to) = text.split_once(':')?;
            Some(Topic::Grant { plan: plan.to_owned(), to: to.to_owned() })
        }
        Kind::LoanForeign => Some(Topic::Guest(text.strip_prefix(GUEST)?.to_owned())),
        Kind::HoldRaised | Kind::HoldCleared => {
            let (cause, plan) = text.split_once(':').map_or((text, None), |(cause, plan)| (cause, Some(plan)));
            Some(Topic::Hold { cause: Cause::parse(cause)?, plan: plan.map(str::to_owned) })
        }
        Kind::ConfigApplied | Kind::ConfigRefused => match text.strip_prefix(RELOAD) {
            Some(nth) => Some(Topic::Reload(nth.parse().ok()?)),
            None => whole(),
        },
        _ => whole(),
    }
}

#[cfg(test)]
mod tests;
