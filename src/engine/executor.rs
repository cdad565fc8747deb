//! Drives any step: look first, intent, act, and after an unknown answer look again. It knows no kind of step.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::SemaphorePermit;

use super::observe::{FIRST, longer};
use super::reach::{self, Reach, afar, refused};
use super::shared::{ActiveRun, Shared, Stop};
use super::step::PATIENCE;
pub use super::step::{Look, Resend, Search, Step};
use crate::cloud::classify::Class;
use crate::cloud::port::{Effect, Fault};
use crate::defect::{Defect, planted};
use crate::domain::event::{Draft, Event, Kind};
use crate::domain::naming::parse_run_name;
use crate::domain::place::Subject;
use crate::domain::saga::{Phase, Slot, StepState};

/// A lost answer that cannot even be looked for is alarmed after this long.
const ALARM: Duration = Duration::from_secs(600);

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

    /// Why nothing can be seen of `step` from here, if its effect is made in an account that nobody can enter any more.
    fn closed(&self, step: &dyn Step) -> Option<String> {
        reach::closed(self.shared, &self.subject.place, step.place()?)
    }
}

/// Goes on with `step` from what is known of it, until it ended.
///
/// # Errors
/// [`Stop::Drained`]: it ended at a journal boundary, and goes on after a restart.
pub async fn drive(at: &At<'_>, step: &dyn Step, known: Option<&StepState>) -> Result<(), Stop> {
    let made = match known {
        None => begin(at, step, 1).await?,
        Some(state) => match state.phase {
            Phase::NotMade => begin(at, step, state.attempt + 1).await?,
            Phase::Intended | Phase::Unknown | Phase::Done => match at.closed(step) {
                Some(why) => abandon(at, step, state.attempt, &why).await?,
                None if state.phase == Phase::Done => true,
                None => look_again(at, step, Search::new(state.attempt, false, state.sent > 1), &state.intent).await?,
            },
            Phase::Good | Phase::Left(_) | Phase::Bad(_) => return Ok(()),
        },
    };
    if !made {
        return Ok(());
    }
    match step.settle().await {
        Err(Stop::Lost(why)) => abandon(at, step, attempt_of(at, step), &why).await.map(drop),
        end => end,
    }
}

/// An attempt of which it is certain that none before it was made: look, intent, act. Whether the effect was made.
async fn begin(at: &At<'_>, step: &dyn Step, number: u32) -> Result<bool, Stop> {
    let intent = step.intent();
    let mut wait = FIRST;
    let mut waited = Duration::ZERO;
    loop {
        if at.shared.draining() {
            return Err(Stop::Drained);
        }
        if let Some(why) = step.forbidden() {
            return refuse(at, step, number, Refusal::ours(&why)).await;
        }
        // Few at a time between looking and the answer: what waits for its turn here has no intent yet, and a stop
        // or a crash costs it nothing.
        let calls = at.shared.calls(step.place().unwrap_or(&at.subject.place));
        let turn = if step.calls() { at.shared.unless_drained(calls.acquire()).await?.ok() } else { None };
        let look = async { if planted(Defect::NoLook) { Look::Absent } else { step.look(&intent, false).await } };
        match at.shared.unless_drained(look).await? {
            Look::Found(result) => return adopt(at, step, number, result).await,
            Look::Foreign(why) => {
                return refuse(at, step, number, Refusal { ours: false, ..Refusal::ours(&why) }).await;
            }
            Look::Moot(why) => return moot(at, step, number, &why).await,
            Look::NotNow(why) => return refuse(at, step, number, Refusal::ours(&why)).await,
            Look::Unclear(fault) if !fault.class.passes() || waited >= PATIENCE => {
                let why = format!("could not look whether it is done already: {fault}");
                return refuse(at, step, number, Refusal::of(&why, &fault, true)).await;
            }
            Look::Unclear(_) => {
                drop(turn);
                at.shared.pause(wait).await?;
                waited += wait;
                wait = longer(wait);
            }
            Look::Absent => {
                let intent = step.completed(intent);
                return match attempt(at, step, number, &intent, true, turn).await? {
                    Answered::Ended(made) => Ok(made),
                    Answered::Lost(search) => look_again(at, step, search, &intent).await,
                };
            }
        }
    }
}

/// How an attempt ended.
enum Answered {
    /// For certain: whether the effect was made.
    Ended(bool),
    /// Without an answer that tells: look for it.
    Lost(Search),
}

/// Writes the intent and makes the effect. `clean`: it is certain that no attempt before was made. `turn` is given
/// back with the answer, also with one that says "not now".
async fn attempt(
    at: &At<'_>,
    step: &dyn Step,
    number: u32,
    intent: &Value,
    clean: bool,
    mut turn: Option<SemaphorePermit<'_>>,
) -> Result<Answered, Stop> {
    if at.shared.draining() {
        return Err(Stop::Drained);
    }
    let mut drafts = vec![at.draft(step, number, Kind::StepIntent, intent.clone())];
    if step.takes_down() && !holds_slot(at) {
        drafts.push(Draft::of(at.run, at.subject, Kind::SlotTaken, json!({ "reason": "rebooted by CreateImage" })));
    }
    if !planted(Defect::IntentAfterEffect) {
        at.shared.record_intent(&drafts).await?;
    }
    let mut wait = FIRST;
    let mut waited = Duration::ZERO;
    loop {
        // Writing the intent, or waiting, may have taken long.
        if let Some(why) = step.forbidden() {
            return refuse(at, step, number, Refusal { certain: clean, ..Refusal::ours(&why) })
                .await
                .map(Answered::Ended);
        }
        // Never cut short: an effect under way is waited for, also when draining.
        let answer = step.act(intent).await;
        if planted(Defect::IntentAfterEffect) {
            at.shared.record_intent(&drafts).await?;
        }
        match answer {
            Effect::Done { value, request_id } => {
                let mut data = value;
                put(&mut data, "aws_request_id", request_id.as_deref());
                at.shared.record_result(&[at.draft(step, number, Kind::StepDone, data)]).await?;
                return Ok(Answered::Ended(true));
            }
            Effect::Refused(fault) if matches!(fault.class, Class::DuplicateName | Class::TokenMismatch) => {
                return Ok(Answered::Lost(Search::new(number, true, !clean)));
            }
            Effect::Refused(fault) if step.passes(&fault) && waited < step.patience(&fault) => {
                drop(turn.take());
                let of = |kind: &str| at.subject.id.starts_with(kind).then_some(&*at.subject.id);
                tracing::info!(
                    event = "step.waiting", run = at.run, plan = parse_run_name(at.run).map(|(plan, _)| plan),
                    account = %at.subject.place.account, region = %at.subject.place.region,
                    instance = of("i-"), image = of("ami-"), step = step.name(),
                    reason = %fault, "refused for now; tried again in {} s", wait.as_secs()
                );
                if at.shared.pause(wait).await.is_err() {
                    if clean {
                        // Else the next start would take it for an answer that was lost.
                        let data = json!({ "reason": fault.to_string(), "again": true });
                        at.shared.record_result(&[at.draft(step, number, Kind::StepRefused, data)]).await?;
                    }
                    return Err(Stop::Drained);
                }
                waited += wait;
                wait = longer(wait);
            }
            Effect::Refused(fault) => {
                let why = fault.to_string();
                return refuse(at, step, number, Refusal::of(&why, &fault, clean)).await.map(Answered::Ended);
            }
            Effect::Unknown(fault) if planted(Defect::UnknownIsFailure) => {
                let why = fault.to_string();
                return refuse(at, step, number, Refusal::of(&why, &fault, true)).await.map(Answered::Ended);
            }
            Effect::Unknown(_) if planted(Defect::UnknownIsRepeated) && waited < PATIENCE => {
                at.shared.pause(wait).await?;
                waited += wait;
                wait = longer(wait);
            }
            Effect::Unknown(fault) => {
                let data = json!({ "reason": fault.to_string(), "aws_request_id": fault.request_id });
                at.shared.record_result(&[at.draft(step, number, Kind::StepUnknown, data)]).await?;
                return Ok(Answered::Lost(Search::new(number, false, !clean)));
            }
        }
    }
}

/// Looks for an effect whose answer was lost, at growing intervals. Whether it was made.
async fn look_again(at: &At<'_>, step: &dyn Step, mut search: Search, intent: &Value) -> Result<bool, Stop> {
    let mut wait = FIRST;
    let mut alarmed = false;
    let mut reach = Reach::default();
    loop {
        let look = at.shared.unless_drained(step.look(intent, true)).await?;
        match &look {
            Look::Unclear(fault) => reach.failed(at.shared.clock.instant(), fault),
            _ => reach.answered(),
        }
        if let Some(why) = reach.lost()
            && let Some(place) = step.place().filter(|place| afar(&at.subject.place, place))
        {
            return abandon(at, step, search.attempt, &refused(place, why)).await;
        }
        match look {
            Look::Found(result) => return adopt(at, step, search.attempt, result).await,
            Look::Foreign(why) => {
                return refuse(
                    at,
                    step,
                    search.attempt,
                    Refusal { ours: false, certain: false, ..Refusal::ours(&why) },
                )
                .await;
            }
            Look::Moot(why) => return moot(at, step, search.attempt, &why).await,
            Look::NotNow(why) => {
                return refuse(at, step, search.attempt, Refusal { certain: false, ..Refusal::ours(&why) }).await;
            }
            Look::Unclear(fault) if search.waited >= ALARM && !alarmed => {
                alarmed = true;
                let why = format!(
                    "the answer to {} of {} was lost, and it cannot be looked for since {} min: {fault}",
                    step.name(),
                    at.subject.id,
                    search.waited.as_secs() / 60
                );
                // After a restart it may be alarmed again, in other words.
                let known = at.shared.journal.reader().events_of(at.run).await.unwrap_or_default();
                let data = json!({ "reason": why, "intent": intent });
                let draft = at.draft(step, search.attempt, Kind::StepNeedsPerson, data);
                let same = |e: &Event| {
                    (&e.draft.kind, &e.draft.subject, &e.draft.step) == (&draft.kind, &draft.subject, &draft.step)
                };
                if !known.iter().any(same) {
                    at.shared.record_result(&[draft]).await?;
                }
            }
            Look::Unclear(_) => {}
            Look::Absent => {
                search.empty += 1;
                match step.resend(&search) {
                    Resend::LookAgain => {}
                    // Another attempt begins as the first one did: with a look at whether it still may be made.
                    Resend::Send => match at.shared.unless_drained(step.look(intent, false)).await? {
                        Look::Absent => match attempt(at, step, search.attempt + 1, intent, false, None).await? {
                            Answered::Ended(made) => return Ok(made),
                            Answered::Lost(again) => {
                                search = again;
                                wait = FIRST;
                                continue;
                            }
                        },
                        Look::NotNow(why) => {
                            let why = format!("the answer was lost, nothing of it appeared, and {why}");
                            return abandon(at, step, search.attempt, &why).await;
                        }
                        Look::Found(result) => return adopt(at, step, search.attempt, result).await,
                        // The next look tells.
                        Look::Foreign(_) | Look::Moot(_) | Look::Unclear(_) => {}
                    },
                    Resend::Anew(why) => {
                        let data = json!({ "reason": why, "again": true, "ended": true });
                        let refused = at.draft(step, search.attempt, Kind::StepRefused, data);
                        at.shared.record_result(&[refused]).await?;
                        return Ok(false);
                    }
                    Resend::GiveUp(why) => return abandon(at, step, search.attempt, &why).await,
                }
            }
        }
        at.shared.pause(wait).await?;
        search.waited += wait;
        wait = longer(wait);
    }
}

/// The answer was lost for good, or what came of the effect: whether it was made, or is good, stays unknown.
async fn abandon(at: &At<'_>, step: &dyn Step, number: u32, why: &str) -> Result<bool, Stop> {
    let data = json!({ "reason": why });
    at.shared.record_result(&[at.draft(step, number, Kind::StepAbandoned, data)]).await?;
    Ok(false)
}

/// The effect is not wanted any more: the step ends well without it.
async fn moot(at: &At<'_>, step: &dyn Step, number: u32, why: &str) -> Result<bool, Stop> {
    let data = json!({ "outcome": "done", "reason": why });
    at.shared.record_result(&[at.draft(step, number, Kind::StepObserved, data)]).await?;
    Ok(false)
}

/// The effect is there already: it becomes ours.
async fn adopt(at: &At<'_>, step: &dyn Step, number: u32, result: Value) -> Result<bool, Stop> {
    let mut data = result;
    data["adopted"] = json!(true);
    at.shared.record_result(&[at.draft(step, number, Kind::StepDone, data)]).await?;
    Ok(true)
}

/// Why a step ends without its effect.
struct Refusal<'a> {
    why: &'a str,
    fault: Option<&'a Fault>,
    /// Whether it certainly was not made in any attempt, so that nothing went down for it.
    certain: bool,
    /// Whether it is our own decision, and no failure.
    ours: bool,
}

impl<'a> Refusal<'a> {
    /// We do not want it now.
    fn ours(why: &'a str) -> Self {
        Self { why, fault: None, certain: true, ours: true }
    }

    /// AWS said no.
    fn of(why: &'a str, fault: &'a Fault, certain: bool) -> Self {
        Self { why, fault: Some(fault), certain, ours: false }
    }
}

/// Ends the step without its effect.
async fn refuse(at: &At<'_>, step: &dyn Step, number: u32, refusal: Refusal<'_>) -> Result<bool, Stop> {
    let mut data = json!({ "reason": refusal.why });
    put(&mut data, "aws_request_id", refusal.fault.and_then(|f| f.request_id.as_deref()));
    put(&mut data, "outcome", (refusal.ours && refusal.certain).then_some("skipped"));
    put(&mut data, "class", refusal.fault.map(|f| f.class.label()));
    let mut drafts = vec![at.draft(step, number, Kind::StepRefused, data)];
    if refusal.certain && step.takes_down() {
        step.not_made();
        if holds_slot(at) {
            drafts.push(Draft::of(at.run, at.subject, Kind::SlotFreed, json!({ "reason": "nothing was rebooted" })));
        }
    }
    at.shared.record_result(&drafts).await?;
    Ok(false)
}

/// The newest attempt of a step, by the journal.
fn attempt_of(at: &At<'_>, step: &dyn Step) -> u32 {
    let runs = at.shared.runs.borrow();
    let of_run = |run: &Rc<ActiveRun>| {
        let state = run.state.borrow();
        let steps = state.targets.get(at.subject).map(|t| &t.steps).or_else(|| state.others.get(at.subject))?;
        steps.get(step.name()).map(|s| s.attempt)
    };
    runs.get(at.run).and_then(of_run).unwrap_or(1)
}

fn holds_slot(at: &At<'_>) -> bool {
    let runs = at.shared.runs.borrow();
    runs.get(at.run)
        .is_some_and(|run| run.state.borrow().targets.get(at.subject).is_some_and(|t| matches!(t.slot, Slot::Taken(_))))
}

fn put(data: &mut Value, key: &str, value: Option<&str>) {
    if let (Some(value), Some(map)) = (value, data.as_object_mut()) {
        map.insert(key.to_owned(), json!(value));
    }
}
