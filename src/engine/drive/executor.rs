//! Drives any step: look first, intent, act, and after an unknown answer look again. It knows no kind of step.

use std::time::Duration;

use tokio::sync::SemaphorePermit;

use crate::cloud::classify::{Class, least_wait};
use crate::cloud::port::{Effect, Fault};
use crate::defect::{Defect, planted};
use crate::domain::debt;
use crate::domain::event::Outcome;
use crate::domain::fact::{Done, Draft, Event, Fact, Intent, Made, Need, Observed, Refusal, StepId, Unknown};
use crate::domain::naming::parse_run_name;
use crate::domain::place::Subject;
use crate::domain::prevented::{Hindrance, Prevented};
use crate::domain::saga::{Phase, Slot, StepState, TargetState};
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::{Context, Stop};
use crate::engine::drive::effect::PATIENCE;
pub use crate::engine::drive::effect::{Look, Resend, Search, Step};
use crate::engine::drive::reachability::{self, Reach, afar, refused};

/// A lost answer that cannot even be looked for is alarmed after this long.
const ALARM: Duration = Duration::from_secs(600);
/// By so many attempts an answer that names something else is borne: whoever gives such answers is not AWS.
const MISTAKES_MAX: u32 = 4;

/// Where a step belongs.
pub struct At<'a> {
    /// The engine.
    pub shared: &'a Context,
    /// The run's name.
    pub run: &'a str,
    /// The subject.
    pub subject: &'a Subject,
}

impl At<'_> {
    fn draft(&self, step: &dyn Step, attempt: u32, fact: Fact) -> Draft {
        Draft::of(self.run, self.subject, fact).at_step(step.id(), attempt)
    }

    /// Why nothing can be seen of `step` from here, if its effect is made in an account that nobody can enter any more.
    fn closed(&self, step: &dyn Step) -> Option<String> {
        reachability::closed(self.shared, &self.subject.place, step.place()?)
    }
}

/// Goes on with `step` from what is known of it, until it ended.
///
/// # Errors
/// [`Stop::Drained`]: it ended at a journal boundary, and goes on after a restart.
pub async fn drive(at: &At<'_>, step: &dyn Step, known: Option<&StepState>) -> Result<(), Stop> {
    let made = match known {
        None => begin(at, step, 1).await?,
        // Taken, and given back by a drain: taken once more.
        Some(state)
            if state.back.is_some()
                && state.owed.is_none()
                && !matches!(state.phase, Phase::Bad(_) | Phase::Left(_)) =>
        {
            begin(at, step, state.attempt + 1).await?
        }
        Some(state) => match state.phase {
            Phase::NotMade => begin(at, step, state.attempt + 1).await?,
            Phase::Intended | Phase::Unknown | Phase::Done => match at.closed(step) {
                Some(why) => abandon(at, step, state.attempt, &why).await?,
                None if state.phase == Phase::Done => true,
                None => {
                    let intent = state.intent.clone().unwrap_or_else(|| step.intent());
                    look_again(at, step, Search::new(state.attempt, false, state.sent > 1), &intent).await?
                }
            },
            Phase::Good | Phase::Left(_) | Phase::Bad(_) => return Ok(()),
        },
    };
    if !made {
        return Ok(());
    }
    loop {
        match step.settle().await {
            Err(Stop::Lost(why)) => return abandon(at, step, attempt_of(at, step), &why).await.map(drop),
            Err(Stop::Mistaken(why)) => {
                if !mistaken(at, step, &why).await? {
                    return Ok(());
                }
            }
            end => return end,
        }
    }
}

/// AWS's answer named something else: as if it was lost. Whether the effect was made. Each time under an attempt of its
/// own, since an answer is journaled already.
async fn mistaken(at: &At<'_>, step: &dyn Step, why: &str) -> Result<bool, Stop> {
    let attempt = attempt_of(at, step) + 1;
    let intent = intent_of(at, step);
    if attempt > MISTAKES_MAX {
        return abandon(at, step, attempt, why).await;
    }
    let unknown = Unknown { reason: why.to_owned(), request: None, mistaken: true };
    at.shared.record_result(&[at.draft(step, attempt, Fact::StepUnknown(unknown))]).await?;
    // Something was made: never once more.
    look_again(at, step, Search::new(attempt, false, true), &intent).await
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
            return refuse(at, step, number, Refused::by(&why)).await;
        }
        // Few at a time between looking and the answer: what waits for its turn here has no intent yet, and a stop
        // or a crash costs it nothing.
        let calls = at.shared.calls(step.place().unwrap_or(&at.subject.place));
        let turn = if step.calls() { at.shared.unless_drained(calls.acquire()).await?.ok() } else { None };
        let look = async { if planted(Defect::NoLook) { Look::Absent } else { step.look(&intent, false).await } };
        match at.shared.unless_drained(look).await? {
            Look::Found(result) => return adopt(at, step, number, result).await,
            Look::Foreign(why) => {
                return refuse(at, step, number, Refused { ours: false, ..Refused::ours(&why) }).await;
            }
            Look::Moot(why) => return moot(at, step, number, &why).await,
            Look::NotNow(why) => return refuse(at, step, number, Refused::by(&why)).await,
            Look::Unclear(fault) if !fault.class.passes() || waited >= PATIENCE => {
                let why = format!("could not look whether it is done already: {fault}");
                return refuse(at, step, number, Refused::of(&why, &fault, true)).await;
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
    intent: &Intent,
    clean: bool,
    mut turn: Option<SemaphorePermit<'_>>,
) -> Result<Answered, Stop> {
    if at.shared.draining() {
        return Err(Stop::Drained);
    }
    let mut drafts = vec![at.draft(step, number, Fact::StepIntent(intent.clone()))];
    drafts.extend(debt_of(at, step, number));
    if step.takes_down() && !slot_of(at).0 {
        drafts.push(slot_taken(at));
    }
    if !planted(Defect::IntentAfterEffect) {
        at.shared.record_intent(&drafts).await?;
    }
    let mut wait = FIRST;
    let mut waited = Duration::ZERO;
    loop {
        // Writing the intent, or waiting, may have taken long.
        if let Some(why) = step.forbidden() {
            return refuse(at, step, number, Refused { certain: clean, ..Refused::by(&why) })
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
                let done = Done { made: value, request: request_id, adopted: false };
                at.shared.record_result(&[at.draft(step, number, Fact::StepDone(done))]).await?;
                return Ok(Answered::Ended(true));
            }
            Effect::Refused(fault) if matches!(fault.class, Class::DuplicateName | Class::TokenMismatch) => {
                return Ok(Answered::Lost(Search::new(number, true, !clean)));
            }
            Effect::Refused(fault) if step.passes(&fault) && waited < step.patience(&fault) => {
                drop(turn.take());
                wait = wait.max(least_wait(&fault.code));
                let of = |kind: &str| at.subject.id.starts_with(kind).then_some(&*at.subject.id);
                tracing::info!(
                    event = "step.waiting", run = at.run, plan = parse_run_name(at.run).map(|(plan, _)| plan),
                    account = %at.subject.place.account, region = %at.subject.place.region,
                    instance = of("i-"), image = of("ami-"), step = %step.id(),
                    reason = %fault, "refused for now; tried again in {} s", wait.as_secs()
                );
                if at.shared.pause(wait).await.is_err() {
                    if clean {
                        // Else the next start would take it for an answer that was lost.
                        let refusal = Refusal { again: true, ..Refusal::of(fault.to_string()) };
                        at.shared.record_result(&[at.draft(step, number, Fact::StepRefused(refusal))]).await?;
                    }
                    return Err(Stop::Drained);
                }
                waited += wait;
                wait = longer(wait);
            }
            Effect::Refused(fault) => {
                let search = Search { refused: Some(fault.clone()), ..Search::new(number, false, !clean) };
                if !clean && !step.is_searched(&search) {
                    return Ok(Answered::Lost(search));
                }
                let why = fault.to_string();
                return refuse(at, step, number, Refused::of(&why, &fault, clean)).await.map(Answered::Ended);
            }
            Effect::Unknown(fault) if planted(Defect::UnknownIsFailure) => {
                let why = fault.to_string();
                return refuse(at, step, number, Refused::of(&why, &fault, true)).await.map(Answered::Ended);
            }
            Effect::Unknown(_) if planted(Defect::UnknownIsRepeated) && waited < PATIENCE => {
                at.shared.pause(wait).await?;
                waited += wait;
                wait = longer(wait);
            }
            Effect::Unknown(fault) => {
                let unknown = Unknown { reason: fault.to_string(), request: fault.request_id, mistaken: false };
                at.shared.record_result(&[at.draft(step, number, Fact::StepUnknown(unknown))]).await?;
                return Ok(Answered::Lost(Search::new(number, false, !clean)));
            }
        }
    }
}

/// Looks for an effect whose answer was lost, at growing intervals. Whether it was made.
async fn look_again(at: &At<'_>, step: &dyn Step, mut search: Search, intent: &Intent) -> Result<bool, Stop> {
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
                    Refused { ours: false, certain: false, ..Refused::ours(&why) },
                )
                .await;
            }
            Look::Moot(why) => return moot(at, step, search.attempt, &why).await,
            Look::NotNow(why) => {
                return refuse(at, step, search.attempt, Refused { certain: false, ..Refused::by(&why) }).await;
            }
            Look::Unclear(fault) if search.waited >= ALARM && !alarmed => {
                alarmed = true;
                let why = format!(
                    "the answer to {} of {} was lost, and it cannot be looked for since {} min: {fault}",
                    step.id(),
                    at.subject.id,
                    search.waited.as_secs() / 60
                );
                // After a restart it may be alarmed again, in other words.
                let known = at.shared.journal.reader().events_of(at.run).await.unwrap_or_default();
                let need = Need { intent: Some(intent.clone()), ..Need::of(why) };
                let draft = at.draft(step, search.attempt, Fact::StepNeedsPerson(need));
                let same = |e: &Event| {
                    (e.kind(), &e.draft.subject, &e.draft.topic) == (draft.kind(), &draft.subject, &draft.topic)
                };
                if !known.iter().any(same) {
                    at.shared.record_result(&[draft]).await?;
                }
            }
            Look::Unclear(_) => {}
            Look::Absent => {
                search.empty += 1;
                let next = match &search.refused {
                    Some(fault) if step.is_searched(&search) => {
                        let why = fault.to_string();
                        return refuse(at, step, search.attempt, Refused::of(&why, fault, false)).await;
                    }
                    Some(_) => Resend::LookAgain,
                    None => step.resend(&search),
                };
                match next {
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
                            let why = format!("the answer was lost, nothing of it appeared, and {}", why.reason);
                            return abandon(at, step, search.attempt, &why).await;
                        }
                        Look::Found(result) => return adopt(at, step, search.attempt, result).await,
                        // The next look tells.
                        Look::Foreign(_) | Look::Moot(_) | Look::Unclear(_) => {}
                    },
                    Resend::Anew(why) => {
                        let refusal = Refusal { again: true, ended: true, ..Refusal::of(why) };
                        let refused = at.draft(step, search.attempt, Fact::StepRefused(refusal));
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
    let abandoned = Fact::StepAbandoned { reason: why.to_owned() };
    at.shared.record_result(&[at.draft(step, number, abandoned)]).await?;
    Ok(false)
}

/// The effect is not wanted any more: the step ends well without it.
async fn moot(at: &At<'_>, step: &dyn Step, number: u32, why: &str) -> Result<bool, Stop> {
    let observed = Observed { reason: Some(why.to_owned()), ..Observed::of(Outcome::Done) };
    at.shared.record_result(&[at.draft(step, number, Fact::StepObserved(observed))]).await?;
    Ok(false)
}

/// The effect is there already: it becomes ours.
async fn adopt(at: &At<'_>, step: &dyn Step, number: u32, made: Made) -> Result<bool, Stop> {
    let done = Done { made, request: None, adopted: true };
    let mut drafts = vec![at.draft(step, number, Fact::StepDone(done))];
    drafts.extend(debt_of(at, step, number));
    if step.takes_down() && step.is_down() && !slot_of(at).0 {
        drafts.push(slot_taken(at));
    }
    at.shared.record_result(&drafts).await?;
    Ok(true)
}

/// The debt of what a step takes, unless it is open already.
fn debt_of(at: &At<'_>, step: &dyn Step, number: u32) -> Option<Draft> {
    let back = step.owes().filter(|_| known(at, step, |state| state.owed).flatten().is_none())?;
    Some(at.draft(step, number, Fact::DebtOpened { back }))
}

/// Why a step ends without its effect.
struct Refused<'a> {
    why: &'a str,
    fault: Option<&'a Fault>,
    /// Whether it certainly was not made in any attempt, so that nothing went down for it.
    certain: bool,
    /// Whether it is our own decision, and no failure.
    ours: bool,
    /// What prevents it, where nobody has chosen it.
    prevented: Option<Prevented>,
}

impl<'a> Refused<'a> {
    /// We do not want it now.
    fn ours(why: &'a str) -> Self {
        Self { why, fault: None, certain: true, ours: true, prevented: None }
    }

    /// It must not be made now.
    fn by(hindrance: &'a Hindrance) -> Self {
        Self { prevented: hindrance.prevented, ..Self::ours(&hindrance.reason) }
    }

    /// AWS said no.
    fn of(why: &'a str, fault: &'a Fault, certain: bool) -> Self {
        Self { why, fault: Some(fault), certain, ours: false, prevented: None }
    }
}

/// Ends the step without its effect.
async fn refuse(at: &At<'_>, step: &dyn Step, number: u32, refused: Refused<'_>) -> Result<bool, Stop> {
    let refusal = Refusal {
        request: refused.fault.and_then(|f| f.request_id.clone()),
        skipped: refused.ours && refused.certain,
        prevented: refused.prevented.filter(|_| refused.certain),
        uncertain: !refused.certain,
        class: refused.fault.map(|f| f.class.label().to_owned()),
        ..Refusal::of(refused.why)
    };
    let mut drafts = vec![at.draft(step, number, Fact::StepRefused(refusal))];
    if refused.certain && step.owes().is_some() {
        drafts.extend(settled(
            at.run,
            at.subject,
            step.id(),
            known(at, step, |state| state.owed).flatten(),
            "not made",
        ));
    }
    // What else was taken keeps the slot until it is given back.
    if refused.certain && step.takes_down() && !owes_else(at, step.id()) {
        step.not_made();
        if let (true, attempt) = slot_of(at) {
            drafts.push(slot_freed(at.run, at.subject, attempt, "nothing was rebooted"));
        }
    }
    at.shared.record_result(&drafts).await?;
    Ok(false)
}

/// That the debt of a step, opened as `owed`, is settled.
pub(crate) fn settled(run: &str, subject: &Subject, take: &StepId, owed: Option<u32>, why: &str) -> Option<Draft> {
    let settled = Draft::of(run, subject, Fact::DebtSettled { reason: why.to_owned() });
    owed.map(|attempt| settled.at_step(take, attempt))
}

/// That an instance counts as down from now on.
fn slot_taken(at: &At<'_>) -> Draft {
    let taken = Draft::of(at.run, at.subject, Fact::SlotTaken { reason: "rebooted by CreateImage".to_owned() });
    Draft { attempt: debt::next_slot(slot_of(at).1), ..taken }
}

/// That an instance counts as back which went down as `taken`.
pub(crate) fn slot_freed(run: &str, subject: &Subject, taken: u32, why: &str) -> Draft {
    let freed = Draft::of(run, subject, Fact::SlotFreed { reason: why.to_owned() });
    Draft { attempt: debt::slot_end(taken), ..freed }
}

/// What the journal knows of a step.
fn known<T>(at: &At<'_>, step: &dyn Step, what: impl Fn(&StepState) -> T) -> Option<T> {
    let active = at.shared.active(at.run)?;
    let state = active.state.borrow();
    let steps = state.targets.get(at.subject).map(|t| &t.steps).or_else(|| state.others.get(at.subject))?;
    steps.get(step.id()).map(what)
}

/// The newest attempt of a step, by the journal.
fn attempt_of(at: &At<'_>, step: &dyn Step) -> u32 {
    known(at, step, |state| state.attempt).unwrap_or(1)
}

/// What was intended, by the journal; what would be, where it was found without an intent.
fn intent_of(at: &At<'_>, step: &dyn Step) -> Intent {
    known(at, step, |state| state.intent.clone()).flatten().unwrap_or_else(|| step.intent())
}

/// Something of what is known of the target.
fn target<T>(at: &At<'_>, what: impl Fn(&TargetState) -> T) -> Option<T> {
    let active = at.shared.active(at.run)?;
    let state = active.state.borrow();
    state.targets.get(at.subject).map(what)
}

/// Whether the instance counts as down for this run, and the attempt of its newest slot.
fn slot_of(at: &At<'_>) -> (bool, u32) {
    target(at, |target| (matches!(target.slot, Slot::Taken(_)), target.slots)).unwrap_or_default()
}

/// Whether anything but `step` is owed of the target.
fn owes_else(at: &At<'_>, step: &StepId) -> bool {
    target(at, |target| target.steps.iter().any(|(id, state)| id != step && state.owed.is_some())).unwrap_or(false)
}
