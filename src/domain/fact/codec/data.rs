//! The data of facts, as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{FOREIGN, Row};
use crate::domain::event::Outcome;
use crate::domain::fact::{
    Applied, Chosen, CopyEnd, Copying, Decided, Done, Fact, Imaging, Intent, Kind, Loan, Made, Need, Observed, Overdue,
    Permitting, Rebuilt, Refusal, Removing, RunEnd, RunStart, Skipped, Started, StepId, TargetEnd, Topic, Unknown,
    Verdict,
};
use crate::domain::prevented::Prevented;

/// Plain data: maps with text keys, which always have a JSON form.
fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn read<T: DeserializeOwned>(data: &Value) -> Option<T> {
    serde_json::from_value(data.clone()).ok()
}

/// An object under construction.
#[derive(Default)]
struct Data(Map<String, Value>);

impl Data {
    /// With `key`, a null where there is no value.
    fn with(mut self, key: &str, value: impl Serialize) -> Self {
        self.0.insert(key.to_owned(), json(&value));
        self
    }

    /// With `key`, if there is a value.
    fn maybe(self, key: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    fn flag(self, key: &str, flag: bool) -> Self {
        self.maybe(key, flag.then_some(true))
    }

    /// With all that is in `value`.
    fn all(mut self, value: Option<&impl Serialize>) -> Self {
        if let Some(Value::Object(map)) = value.map(json) {
            self.0.extend(map);
        }
        self
    }

    fn end(self) -> Value {
        Value::Object(self.0)
    }
}

fn reason(reason: &str) -> Value {
    Data::default().with("reason", reason).end()
}

pub(super) fn data_of(topic: &Topic, fact: &Fact) -> Value {
    match fact {
        Fact::DaemonStarted(started) => json(started),
        Fact::DaemonStopped { runs, owed } => {
            Data::default().with("runs", runs).maybe("owed", (!owed.is_empty()).then_some(owed)).end()
        }
        Fact::JournalRebuilt(rebuilt) => json(rebuilt),
        Fact::ConfigApplied(applied) => json(applied),
        Fact::PlanFirstSeen { schedule } => Data::default().with("schedule", schedule).end(),
        Fact::OccurrenceDecided(told) | Fact::OccurrenceSkipped(told) | Fact::OccurrenceMissed(told) => json(told),
        Fact::RequestAccepted { request, only } => Data::default().with("request", request).with("only", only).end(),
        Fact::RunStarted(start) => json(start),
        Fact::RunFinished(end) => json(end),
        Fact::Selected(chosen) => json(chosen),
        Fact::TargetSelected { reboots } => Data::default().with("reboots", reboots).end(),
        Fact::TargetSkipped(Skipped { reason, class, prevented }) => {
            let data = Data::default().with("outcome", Outcome::Skipped.as_str()).with("reason", reason);
            data.maybe("class", class.as_ref()).maybe("prevented", *prevented).end()
        }
        Fact::TargetFinished(end) => json(end),
        Fact::StepIntent(intent) => intent_data(intent),
        Fact::StepDone(done) => done_data(done),
        Fact::StepRefused(refusal) => refusal_data(refusal),
        Fact::StepUnknown(Unknown { reason, request, mistaken }) => {
            let data = Data::default().with("reason", reason);
            if *mistaken { data.end() } else { data.with("aws_request_id", request).end() }
        }
        Fact::StepObserved(observed) => observed_data(topic.step(), observed),
        Fact::StepNeedsPerson(need) => {
            let Need { reason, failed, image, intent, overdue } = need;
            let data = Data::default().with("reason", reason).maybe("outcome", failed.then_some("failed"));
            let data = data.maybe("image", image.as_ref()).maybe("intent", intent.as_ref().map(intent_data));
            data.all(overdue.as_ref()).end()
        }
        Fact::DebtOpened { back } => Data::default().with("back", back.to_string()).end(),
        Fact::LoanGiven(loan) | Fact::LoanReturned(loan) => json(loan),
        Fact::KeyLent | Fact::KeyReturned => match topic {
            Topic::Grant { plan, to } => Data::default().with("plan", plan).with("grantee", to).end(),
            _ => Data::default().end(),
        },
        Fact::RetainDecided(verdicts) => {
            let verdicts: Vec<Value> = verdicts.iter().map(verdict_data).collect();
            // Not by `json`, which would copy them all.
            Value::Object([("verdicts".to_owned(), Value::Array(verdicts))].into_iter().collect())
        }
        Fact::ForeignImage { reason } => Data::default().with("verdict", FOREIGN).with("reason", reason).end(),
        Fact::RunLate { reason, older } => Data::default().with("reason", reason).flag("older", *older).end(),
        Fact::HoldCleared => Data::default().end(),
        Fact::ConfigRefused { reason: why }
        | Fact::HoldRaised { reason: why }
        | Fact::RunStopped { reason: why }
        | Fact::StepAbandoned { reason: why }
        | Fact::SlotTaken { reason: why }
        | Fact::SlotFreed { reason: why }
        | Fact::DebtSettled { reason: why }
        | Fact::LoanForeign { reason: why }
        | Fact::RetainStopped { reason: why } => reason(why),
        Fact::Unread(unread) => unread.data.clone(),
    }
}

pub(super) fn fact_of(row: &Row, topic: &Topic) -> Option<Fact> {
    let data = &row.data;
    let text = |key: &str| data.get(key).and_then(Value::as_str).map(str::to_owned);
    let why = || text("reason").unwrap_or_default();
    let list = |key: &str| data.get(key).map_or(Some(Vec::new()), read::<Vec<String>>);
    Some(match row.kind {
        Kind::DaemonStarted => Fact::DaemonStarted(read::<Started>(data)?),
        Kind::DaemonStopped => Fact::DaemonStopped { runs: list("runs")?, owed: list("owed")? },
        Kind::JournalRebuilt => Fact::JournalRebuilt(read::<Rebuilt>(data)?),
        Kind::ConfigApplied => Fact::ConfigApplied(read::<Applied>(data)?),
        Kind::ConfigRefused => Fact::ConfigRefused { reason: why() },
        Kind::HoldRaised => Fact::HoldRaised { reason: why() },
        Kind::HoldCleared => Fact::HoldCleared,
        Kind::PlanFirstSeen => Fact::PlanFirstSeen { schedule: text("schedule").unwrap_or_default() },
        Kind::OccurrenceDecided => Fact::OccurrenceDecided(read::<Decided>(data)?),
        Kind::OccurrenceSkipped => Fact::OccurrenceSkipped(read::<Decided>(data)?),
        Kind::OccurrenceMissed => Fact::OccurrenceMissed(read::<Decided>(data)?),
        Kind::RequestAccepted => {
            Fact::RequestAccepted { request: data.get("request").map_or(Some(0), Value::as_i64)?, only: list("only")? }
        }
        Kind::RunStarted => Fact::RunStarted(read::<RunStart>(data)?),
        Kind::RunLate => {
            Fact::RunLate { reason: why(), older: data.get("older").and_then(Value::as_bool).unwrap_or(false) }
        }
        Kind::RunStopped => Fact::RunStopped { reason: why() },
        Kind::RunFinished => Fact::RunFinished(read::<RunEnd>(data)?),
        Kind::TargetSelected if row.subject.is_none() => Fact::Selected(read::<Chosen>(data)?),
        Kind::TargetSelected => {
            Fact::TargetSelected { reboots: data.get("reboots").map_or(Some(false), Value::as_bool)? }
        }
        Kind::TargetSkipped => {
            Fact::TargetSkipped(Skipped { reason: why(), class: text("class"), prevented: prevented_of(data)? })
        }
        Kind::TargetFinished => Fact::TargetFinished(read::<TargetEnd>(data)?),
        Kind::StepIntent => Fact::StepIntent(intent_of(topic.step()?, data)?),
        Kind::StepDone => Fact::StepDone(done_of(topic.step()?, data)?),
        Kind::StepRefused => Fact::StepRefused(refusal_of(data)?),
        Kind::StepUnknown => Fact::StepUnknown(Unknown {
            reason: why(),
            request: text("aws_request_id"),
            mistaken: data.get("aws_request_id").is_none(),
        }),
        Kind::StepObserved => Fact::StepObserved(observed_of(data)?),
        Kind::StepAbandoned => Fact::StepAbandoned { reason: why() },
        Kind::StepNeedsPerson => {
            let intent = match (data.get("intent").filter(|intent| !intent.is_null()), topic.step()) {
                (Some(intent), Some(step)) => Some(intent_of(step, intent)?),
                _ => None,
            };
            let overdue = if data.get("halts").is_some() { Some(read::<Overdue>(data)?) } else { None };
            let failed = outcome_of(data) == Some(Outcome::Failed);
            Fact::StepNeedsPerson(Need { reason: why(), failed, image: text("image"), intent, overdue })
        }
        Kind::SlotTaken => Fact::SlotTaken { reason: why() },
        Kind::SlotFreed => Fact::SlotFreed { reason: why() },
        Kind::DebtOpened => Fact::DebtOpened { back: text("back")?.parse().ok()? },
        Kind::DebtSettled => Fact::DebtSettled { reason: why() },
        Kind::LoanGiven => Fact::LoanGiven(read::<Loan>(data)?),
        Kind::LoanReturned => Fact::LoanReturned(read::<Loan>(data)?),
        Kind::KeyLent => Fact::KeyLent,
        Kind::KeyReturned => Fact::KeyReturned,
        Kind::LoanForeign => Fact::LoanForeign { reason: why() },
        Kind::RetainDecided if text("verdict").as_deref() == Some(FOREIGN) => Fact::ForeignImage { reason: why() },
        Kind::RetainDecided => {
            let verdicts = data.get("verdicts").and_then(Value::as_array).into_iter().flatten();
            Fact::RetainDecided(verdicts.map(verdict_of).collect::<Option<_>>()?)
        }
        Kind::RetainStopped => Fact::RetainStopped { reason: why() },
        Kind::Other(_) => return None,
    })
}

fn outcome_of(data: &Value) -> Option<Outcome> {
    data.get("outcome").and_then(Value::as_str).and_then(Outcome::parse)
}

/// What prevented it, if anything did. A word that is not known cannot be read.
#[allow(clippy::option_option)] // whether it can be read, and whether there is one
fn prevented_of(data: &Value) -> Option<Option<Prevented>> {
    data.get("prevented").map_or(Some(None), |word| Prevented::parse(word.as_str()?).map(Some))
}

fn verdict_data(verdict: &Verdict) -> Value {
    let word = if verdict.delete { "delete" } else { "keep" };
    Data::default().with("image", &verdict.image).with("verdict", word).with("reasons", &verdict.reasons).end()
}

fn verdict_of(data: &Value) -> Option<Verdict> {
    let text = |key: &str| data.get(key).and_then(Value::as_str);
    let delete = match text("verdict")? {
        "delete" => true,
        "keep" => false,
        _ => return None,
    };
    Some(Verdict {
        image: text("image")?.to_owned(),
        delete,
        reasons: data.get("reasons").map_or(Some(Vec::new()), read)?,
    })
}

fn intent_data(intent: &Intent) -> Value {
    match intent {
        Intent::Image(Imaging { name, no_reboot, checked }) => {
            let data = Data::default().with("name", name).with("no_reboot", no_reboot);
            data.maybe("checks", checked.then_some("ok")).end()
        }
        Intent::Return => Data::default().end(),
        Intent::Copy(copying) => json(copying),
        Intent::Permit(permitting) => json(permitting),
        Intent::Remove(removing) => json(removing),
    }
}

fn intent_of(step: &StepId, data: &Value) -> Option<Intent> {
    Some(match step {
        StepId::Image => Intent::Image(Imaging {
            name: data.get("name").map_or(Some(""), Value::as_str)?.to_owned(),
            no_reboot: data.get("no_reboot").map_or(Some(false), Value::as_bool)?,
            checked: data.get("checks").is_some_and(|word| word == "ok"),
        }),
        StepId::Return => Intent::Return,
        StepId::Copy(_) | StepId::Via(_) => Intent::Copy(Box::new(read::<Copying>(data)?)),
        StepId::Lend(_) | StepId::Reclaim(_) | StepId::Share => Intent::Permit(Box::new(read::<Permitting>(data)?)),
        StepId::Retain => Intent::Remove(read::<Removing>(data)?),
        StepId::Deprecate => return None,
    })
}

fn done_data(Done { made, request, adopted }: &Done) -> Value {
    let data = Data::default().maybe("aws_request_id", request.as_ref()).flag("adopted", *adopted);
    match made {
        Made::Nothing => data,
        Made::Image(image) => data.with("image", image),
        Made::Permit(permitting) => data.all(Some(permitting)),
        Made::Settled(reason) => data.with("reason", reason),
        Made::Deprecated { image, at } => data.with("image", image).with("at", at),
    }
    .end()
}

fn done_of(step: &StepId, data: &Value) -> Option<Done> {
    let text = |key: &str| data.get(key).and_then(Value::as_str).map(str::to_owned);
    let made = match step {
        StepId::Lend(_) | StepId::Reclaim(_) | StepId::Share => Made::Permit(Box::new(read::<Permitting>(data)?)),
        StepId::Return => Made::Nothing,
        StepId::Deprecate => Made::Deprecated { image: text("image")?, at: text("at")? },
        StepId::Image | StepId::Copy(_) | StepId::Via(_) | StepId::Retain => match (text("image"), text("reason")) {
            (Some(image), _) => Made::Image(image),
            (None, Some(reason)) => Made::Settled(reason),
            (None, None) => Made::Nothing,
        },
    };
    let adopted = data.get("adopted").and_then(Value::as_bool).unwrap_or(false);
    Some(Done { made, request: text("aws_request_id"), adopted })
}

fn refusal_data(refusal: &Refusal) -> Value {
    let Refusal { reason, request, skipped, prevented, uncertain, class, again, ended, copy } = refusal;
    let data = Data::default().with("reason", reason).maybe("aws_request_id", request.as_ref());
    let data = data.maybe("outcome", skipped.then_some(Outcome::Skipped.as_str())).maybe("class", class.as_ref());
    data.maybe("prevented", *prevented)
        .flag("uncertain", *uncertain)
        .flag("again", *again)
        .flag("ended", *ended)
        .all(copy.as_ref())
        .end()
}

fn refusal_of(data: &Value) -> Option<Refusal> {
    let text = |key: &str| data.get(key).and_then(Value::as_str).map(str::to_owned);
    let flag = |key: &str| data.get(key) == Some(&Value::Bool(true));
    Some(Refusal {
        reason: text("reason").unwrap_or_default(),
        request: text("aws_request_id"),
        skipped: outcome_of(data) == Some(Outcome::Skipped),
        prevented: prevented_of(data)?,
        uncertain: flag("uncertain"),
        class: text("class"),
        again: flag("again"),
        ended: flag("ended"),
        copy: if data.get("state").is_some() { Some(read::<CopyEnd>(data)?) } else { None },
    })
}

fn observed_data(step: Option<&StepId>, observed: &Observed) -> Value {
    let Observed { outcome, state, image, reason, elapsed_ms, account, region, evidence, ended } = observed;
    let data = Data::default().with("outcome", outcome.as_str()).maybe("state", state.as_ref());
    // Some have always written what there is not, too.
    let (image_too, reason_too) = match step {
        Some(StepId::Image) => (true, true),
        Some(StepId::Lend(_) | StepId::Reclaim(_) | StepId::Share) => (false, true),
        _ => (false, false),
    };
    let data = if image_too { data.with("image", image) } else { data.maybe("image", image.as_ref()) };
    let data = if reason_too { data.with("reason", reason) } else { data.maybe("reason", reason.as_ref()) };
    let data = data.maybe("elapsed_ms", *elapsed_ms).maybe("account", account.as_ref());
    data.maybe("region", region.as_ref()).maybe("evidence", evidence.as_ref()).flag("ended", *ended).end()
}

fn observed_of(data: &Value) -> Option<Observed> {
    let text = |key: &str| data.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(Observed {
        // What does not say that it is good is not.
        outcome: outcome_of(data).unwrap_or(Outcome::Failed),
        state: text("state"),
        image: text("image"),
        reason: text("reason"),
        elapsed_ms: data.get("elapsed_ms").map_or(Some(None), |ms| ms.as_i64().map(Some))?,
        account: text("account"),
        region: text("region"),
        evidence: text("evidence"),
        ended: data.get("ended") == Some(&Value::Bool(true)),
    })
}
