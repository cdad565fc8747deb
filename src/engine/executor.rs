//! Drives any step: look first, intent, act, and after an unknown answer look again. It knows no kind of step.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::observe::{FIRST, longer};
use super::shared::{Shared, Stop};
use crate::cloud::classify::Class;
use crate::cloud::port::{Effect, Fault};
use crate::domain::event::{Draft, Kind};
use crate::domain::place::Subject;
use crate::domain::saga::{Phase, StepState};

/// How long refusals that may pass, and look-ups that fail, are borne before a step that has had no effect ends.
const PATIENCE: Duration = Duration::from_secs(900);

/// What looking for a step's effect found.
#[derive(Debug)]
pub enum Look {
    /// The effect is there, with this result.
    Found(Value),
    /// There is nothing of it.
    Absent,
    /// What is there in its place is not ours, for this reason.
    Foreign(String),
    /// The look-up failed: nothing is known.
    Unclear(Fault),
}

/// What to do after a look that found nothing, when the effect's answer was lost.
#[derive(Debug, PartialEq, Eq)]
pub enum Resend {
    /// Look again.
    LookAgain,
    /// The effect certainly was not made: make it, once more.
    Send,
    /// Neither: the step ends for this reason.
    GiveUp(String),
}

/// How a search for a lost effect has gone so far.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// The attempt whose answer was lost.
    pub attempt: u32,
    /// How long it was looked for, by tokio's time.
    pub waited: Duration,
    /// Looks that certainly found nothing.
    pub empty: u32,
    /// Whether AWS said that the name is taken: then it was not made by this attempt.
    pub name_taken: bool,
}

/// One kind of step for one subject. The executor, and nothing else, calls it.
#[async_trait(?Send)]
pub trait Step {
    /// Its name in the journal.
    fn name(&self) -> &'static str;
    /// The parameters of the effect, journaled before it is made.
    fn intent(&self) -> Value;
    /// Why the effect must not be made now, if it must not.
    fn forbidden(&self) -> Option<String>;
    /// Whether the effect takes the subject down: a slot is journaled with the intent.
    fn takes_down(&self) -> bool {
        false
    }
    /// Whether the effect is already there.
    async fn look(&self, intent: &Value) -> Look;
    /// Makes the effect.
    async fn act(&self, intent: &Value) -> Effect<Value>;
    /// What to do while its answer is unknown.
    fn resend(&self, search: &Search) -> Resend;
    /// Waits for what the effect brought about to end, and journals that.
    async fn settle(&self) -> Result<(), Stop>;
    /// Called when it is certain that the effect was not made.
    fn not_made(&self) {}
}

/// Where a step belongs.
pub struct At<'a> {
    /// The engine.
    pub shared: &'a Shared,
    /// The run's name.
    pub run: &'a str,
    /// The subject.
    pub subject: &'a Subject,
}

impl At<'_> {
    fn draft(&self, step: &dyn Step, attempt: u32, kind: Kind, data: Value) -> Draft {
        Draft::of(self.run, self.subject, kind, data).at_step(step.name(), attempt)
    }
}

/// Goes on with `step` from what is known of it, until it ended.
///
/// # Errors
/// [`Stop::Drained`]: it ended at a journal boundary, and goes on after a restart.
pub async fn drive(at: &At<'_>, step: &dyn Step, known: Option<&StepState>) -> Result<(), Stop> {
    let made = match known {
        None => begin(at, step).await?,
        Some(state) => match state.phase {
            Phase::Intended | Phase::Unknown => {
                let search = Search { attempt: state.attempt, waited: Duration::ZERO, empty: 0, name_taken: false };
                look_again(at, step, search, &state.intent).await?
            }
            Phase::Done => true,
            Phase::Good | Phase::Bad(_) => return Ok(()),
        },
    };
    if made { step.settle().await } else { Ok(()) }
}

/// The first attempt: look, intent, act. Whether the effect was made.
async fn begin(at: &At<'_>, step: &dyn Step) -> Result<bool, Stop> {
    let intent = step.intent();
    let mut wait = FIRST;
    let mut waited = Duration::ZERO;
    loop {
        if at.shared.draining() {
            return Err(Stop::Drained);
        }
        if let Some(why) = step.forbidden() {
            return refuse(at, step, 1, &why, None, true).await;
        }
        match at.shared.unless_drained(step.look(&intent)).await? {
            Look::Found(result) => return adopt(at, step, 1, result).await,
            Look::Foreign(why) => return refuse(at, step, 1, &why, None, true).await,
            Look::Unclear(fault) if !fault.class.passes() || waited >= PATIENCE => {
                let why = format!("could not look whether it is done already: {fault}");
                return refuse(at, step, 1, &why, Some(&fault), true).await;
            }
            Look::Unclear(_) => {
                at.shared.pause(wait).await?;
                waited += wait;
                wait = longer(wait);
            }
            Look::Absent => {
                if let Some(why) = step.forbidden() {
                    return refuse(at, step, 1, &why, None, true).await;
                }
                return attempt(at, step, 1, &intent).await;
            }
        }
    }
}

/// Writes the intent and makes the effect.
async fn attempt(at: &At<'_>, step: &dyn Step, number: u32, intent: &Value) -> Result<bool, Stop> {
    if at.shared.draining() {
        return Err(Stop::Drained);
    }
    let mut drafts = vec![at.draft(step, number, Kind::StepIntent, intent.clone())];
    if step.takes_down() && number == 1 {
        drafts.push(Draft::of(at.run, at.subject, Kind::SlotTaken, json!({ "reason": "rebooted by CreateImage" })));
    }
    at.shared.record_intent(&drafts).await?;
    // Writing it may have taken long.
    if let Some(why) = step.forbidden() {
        return refuse(at, step, number, &why, None, true).await;
    }
    let mut wait = FIRST;
    let mut waited = Duration::ZERO;
    loop {
        // Never cut short: an effect under way is waited for, also when draining.
        match step.act(intent).await {
            Effect::Done { value, request_id } => {
                let mut data = value;
                put(&mut data, "aws_request_id", request_id.as_deref());
                at.shared.record_result(&[at.draft(step, number, Kind::StepDone, data)]).await?;
                return Ok(true);
            }
            Effect::Refused(fault) if fault.class == Class::DuplicateName => {
                let search = Search { attempt: number, waited: Duration::ZERO, empty: 0, name_taken: true };
                return look_again(at, step, search, intent).await;
            }
            Effect::Refused(fault) if fault.class.passes() && waited < PATIENCE && step.forbidden().is_none() => {
                tracing::info!(
                    event = "step.waiting", run = at.run, instance = %at.subject.id, step = step.name(),
                    reason = %fault, "refused for now; tried again in {} s", wait.as_secs()
                );
                at.shared.pause(wait).await?;
                waited += wait;
                wait = longer(wait);
            }
            Effect::Refused(fault) => return refuse(at, step, number, &fault.to_string(), Some(&fault), true).await,
            Effect::Unknown(fault) => {
                let data = json!({ "reason": fault.to_string(), "aws_request_id": fault.request_id });
                at.shared.record_result(&[at.draft(step, number, Kind::StepUnknown, data)]).await?;
                let search = Search { attempt: number, waited: Duration::ZERO, empty: 0, name_taken: false };
                return look_again(at, step, search, intent).await;
            }
        }
    }
}

/// Looks for an effect whose answer was lost, at growing intervals. Whether it was made.
async fn look_again(at: &At<'_>, step: &dyn Step, mut search: Search, intent: &Value) -> Result<bool, Stop> {
    let mut wait = FIRST;
    loop {
        match at.shared.unless_drained(step.look(intent)).await? {
            Look::Found(result) => return adopt(at, step, search.attempt, result).await,
            Look::Foreign(why) => return refuse(at, step, search.attempt, &why, None, false).await,
            Look::Unclear(_) => {}
            Look::Absent => {
                search.empty += 1;
                match step.resend(&search) {
                    Resend::LookAgain => {}
                    Resend::Send => return Box::pin(attempt(at, step, search.attempt + 1, intent)).await,
                    Resend::GiveUp(why) => {
                        let data = json!({ "reason": why });
                        at.shared.record_result(&[at.draft(step, search.attempt, Kind::StepAbandoned, data)]).await?;
                        return Ok(false);
                    }
                }
            }
        }
        at.shared.pause(wait).await?;
        search.waited += wait;
        wait = longer(wait);
    }
}

/// The effect is there already: it becomes ours.
async fn adopt(at: &At<'_>, step: &dyn Step, number: u32, result: Value) -> Result<bool, Stop> {
    let mut data = result;
    data["adopted"] = json!(true);
    at.shared.record_result(&[at.draft(step, number, Kind::StepDone, data)]).await?;
    Ok(true)
}

/// Ends the step without its effect. `certain`: it certainly was not made, so nothing went down for it.
async fn refuse(
    at: &At<'_>,
    step: &dyn Step,
    number: u32,
    why: &str,
    fault: Option<&Fault>,
    certain: bool,
) -> Result<bool, Stop> {
    let mut data = json!({ "reason": why });
    put(&mut data, "aws_request_id", fault.and_then(|f| f.request_id.as_deref()));
    put(&mut data, "class", fault.map(|f| f.class.label()));
    let mut drafts = vec![at.draft(step, number, Kind::StepRefused, data)];
    if certain && number == 1 && step.takes_down() {
        step.not_made();
        if holds_slot(at) {
            drafts.push(Draft::of(at.run, at.subject, Kind::SlotFreed, json!({ "reason": "nothing was rebooted" })));
        }
    }
    at.shared.record_result(&drafts).await?;
    Ok(false)
}

fn holds_slot(at: &At<'_>) -> bool {
    let runs = at.shared.runs.borrow();
    runs.get(at.run).is_some_and(|run| {
        run.state
            .borrow()
            .targets
            .get(at.subject)
            .is_some_and(|t| matches!(t.slot, crate::domain::saga::Slot::Taken(_)))
    })
}

fn put(data: &mut Value, key: &str, value: Option<&str>) {
    if let (Some(value), Some(map)) = (value, data.as_object_mut()) {
        map.insert(key.to_owned(), json!(value));
    }
}
