//! Gives back what a step has taken. It is never failed: it is tried until it is given back, and a person is called where that
//! takes long. It asks neither window, drain nor journal: its intent is tried once, and the effect made all the same.

use std::time::Duration;

use crate::cloud::port::Effect;
use crate::domain::event::Outcome;
use crate::domain::fact::{Done, Draft, Fact, Intent, Made, Need, Observed, StepId};
use crate::domain::saga::StepState;
use crate::engine::context::Stop;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::drive::effect::{Look, Step};
use crate::engine::drive::executor::{At, settled};

/// A person is called when it could not be given back for so long.
const ALARM: Duration = Duration::from_secs(300);

/// How a try went.
enum Tried {
    /// It is given back, or was already.
    Given(Done),
    /// There is nothing to give it back to any more, for this reason.
    Moot(String),
    /// Not yet, for this reason; whether that may pass by itself.
    NotYet(String, bool),
}

/// Gives back what `take` has taken in its attempt `owed`.
///
/// # Errors
/// [`Stop::Drained`]: another process took the journal over, and the debt with it; or it is given back, and that cannot be
/// written any more: the next start looks.
pub(crate) async fn give_back(
    at: &At<'_>,
    step: &dyn Step,
    take: &StepId,
    owed: u32,
    known: Option<&StepState>,
) -> Result<(), Stop> {
    let draft = |fact: Fact| Draft::of(at.run, at.subject, fact).at_step(step.id(), owed);
    let known = known.filter(|state| state.attempt >= owed);
    let intent = known.and_then(|state| state.intent.clone()).unwrap_or_else(|| step.intent());
    if known.is_none() {
        // Told by the recorder if it fails.
        let _ = at.shared.record(&[draft(Fact::StepIntent(intent.clone()))]).await;
    }
    let mut alarmed = known.is_some_and(|state| state.alarmed);
    let (begun, mut wait) = (at.shared.clock.instant(), FIRST);
    let (done, why) = loop {
        if at.shared.fenced() {
            return Err(Stop::Drained);
        }
        match attempt(step, &intent).await {
            Tried::Given(done) => break (Some(done), "given back".to_owned()),
            Tried::Moot(why) => break (None, why),
            Tried::NotYet(why, passes) => {
                if !alarmed && (!passes || at.shared.clock.instant() - begun >= ALARM) {
                    alarmed = true;
                    let why = format!("{take} of {} cannot be given back: {why}. It is tried again", at.subject.id);
                    let need = Need { intent: Some(intent.clone()), ..Need::of(why) };
                    at.shared.record_result(&[draft(Fact::StepNeedsPerson(need))]).await?;
                }
                at.shared.clock.sleep(wait).await;
                wait = longer(wait);
            }
        }
    };
    let observed = Observed { reason: done.is_none().then(|| why.clone()), ..Observed::of(Outcome::Done) };
    let mut drafts: Vec<Draft> = done.map(|done| draft(Fact::StepDone(done))).into_iter().collect();
    drafts.push(draft(Fact::StepObserved(observed)));
    drafts.extend(settled(at.run, at.subject, take, Some(owed), &why));
    at.shared.record_result(&drafts).await.map(|_| ())
}

async fn attempt(step: &dyn Step, intent: &Intent) -> Tried {
    // Not ours, or another account's: then it is not ours to give back.
    if let Some(why) = step.forbidden() {
        return Tried::NotYet(why.reason, false);
    }
    let adopted = |made: Made| Tried::Given(Done { made, request: None, adopted: true });
    match step.look(intent, true).await {
        Look::Found(made) => return adopted(made),
        Look::Moot(why) => return Tried::Moot(why),
        Look::Foreign(why) => return Tried::NotYet(why, false),
        Look::NotNow(why) => return Tried::NotYet(why.reason, false),
        // Twice is once: what cannot be seen is given back all the same.
        Look::Absent | Look::Unclear(_) => {}
    }
    match step.act(intent).await {
        Effect::Done { value, request_id } => Tried::Given(Done { made: value, request: request_id, adopted: false }),
        Effect::Refused(fault) | Effect::Unknown(fault) => Tried::NotYet(fault.to_string(), fault.class.passes()),
    }
}
