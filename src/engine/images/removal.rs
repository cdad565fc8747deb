//! The step `retain`: deregister one image, and see each of its snapshots gone.

use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;

use crate::cloud::classify::Class;
use crate::cloud::port::{Effect, Fault, ImageQuery, InstanceQuery};
use crate::defect::{self, Defect, planted};
use crate::domain::event::{Outcome, gone};
use crate::domain::fact::{Done, Draft, Fact, Intent, Made, Need, Observed, Removing, StepId};
use crate::domain::hold::Act;
use crate::domain::naming::{self, HOLD_TAG, Ownership};
use crate::domain::observed::{Image, ImageState};
use crate::domain::place::Subject;
use crate::domain::prevented::Hindrance;
use crate::domain::saga::StepState;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::run::Run;
use crate::engine::context::{ActiveRun, Context, Stop};
use crate::engine::drive::executor::{self, At, Look, Resend, Search, Step};

/// How often a deregistration whose answer was lost is sent again: doing it twice equals doing it once.
const ATTEMPTS: u32 = 5;

/// A snapshot may read as in use for so long after its image was deregistered; then another image needs it.
const LINGER: Duration = Duration::from_secs(120);

/// Removes one image of ours, which retention decided to delete.
pub struct Remove {
    /// The engine.
    pub shared: Rc<Context>,
    /// The run.
    pub active: Rc<ActiveRun>,
    /// The run's name.
    pub run: Rc<str>,
    /// The image.
    pub subject: Subject,
    /// What is removed.
    pub removal: Removal,
}

/// What is removed, and what must be there for it.
#[derive(Debug, Clone, Default)]
pub struct Removal {
    /// The parameters, as they are journaled.
    pub removing: Removing,
    /// The good image that stays, if there is one.
    pub witness: Option<String>,
}

/// What became of one snapshot.
#[derive(Debug, PartialEq, Eq)]
pub enum SnapshotFate {
    /// It is not there any more.
    Gone,
    /// Another image needs it.
    Needed,
    /// AWS refuses, for this reason.
    Refused(String),
}

/// Deletes one snapshot that was journaled with its image.
///
/// # Errors
/// [`Stop::Drained`].
pub async fn delete_snapshot(shared: &Context, subject: &Subject) -> Result<SnapshotFate, Stop> {
    let mut attempts = 0;
    let mut wait = FIRST;
    let mut waited = Duration::ZERO;
    loop {
        if shared.draining() {
            return Err(Stop::Drained);
        }
        match shared.cloud.delete_snapshot(&subject.place, &subject.id).await {
            Effect::Done { .. } => return Ok(SnapshotFate::Gone),
            Effect::Refused(Fault { class: Class::NotFound, .. }) => return Ok(SnapshotFate::Gone),
            // Its own image lingers for a moment after the deregistration.
            Effect::Refused(Fault { class: Class::InUse, .. }) if waited >= LINGER => return Ok(SnapshotFate::Needed),
            Effect::Refused(Fault { class: Class::InUse, .. }) => {}
            Effect::Refused(fault) if !fault.class.passes() => return Ok(SnapshotFate::Refused(fault.to_string())),
            Effect::Refused(_) | Effect::Unknown(_) => attempts += 1,
        }
        if attempts >= ATTEMPTS {
            return Ok(SnapshotFate::Refused("no clear answer from AWS".into()));
        }
        shared.pause(wait).await?;
        waited += wait;
        wait = longer(wait);
    }
}

/// Journals a snapshot's end; whether it is settled.
///
/// # Errors
/// [`Stop::Drained`].
pub async fn end_snapshot(shared: &Context, run: &str, subject: &Subject, fate: SnapshotFate) -> Result<bool, Stop> {
    let settled = |why: &str| Done { made: Made::Settled(why.to_owned()), request: None, adopted: false };
    let fact = match fate {
        SnapshotFate::Gone => Fact::StepDone(settled("deleted")),
        SnapshotFate::Needed => Fact::StepDone(settled("kept: another image needs it")),
        SnapshotFate::Refused(why) => Fact::StepNeedsPerson(Need::failed(format!(
            "the snapshot {} of a deregistered image cannot be deleted: {why}. It costs money until it is gone: \
             allow ec2:DeleteSnapshot, or unlock it; it is tried again in the plan's next run",
            subject.id
        ))),
    };
    let settled = matches!(fact, Fact::StepDone(_));
    shared.record_result(&[Draft::of(run, subject, fact).at_step(&StepId::Retain, 1)]).await?;
    Ok(settled)
}

impl Remove {
    fn settled(&self, snapshot: &Subject) -> bool {
        let state = self.active.state.borrow();
        state.others.get(snapshot).and_then(|s| s.get(&StepId::Retain)).is_some_and(|s| s.attempt > 0)
    }
}

#[async_trait(?Send)]
impl Step for Remove {
    fn id(&self) -> &StepId {
        &StepId::Retain
    }

    fn intent(&self) -> Intent {
        let mut removing = self.removal.removing.clone();
        if planted(Defect::SnapshotsForgotten) {
            removing.snapshots.clear();
        }
        Intent::Remove(removing)
    }

    fn forbidden(&self) -> Option<Hindrance> {
        self.shared.held(Act::Delete, None).map(Hindrance::from)
    }

    /// The verdict is minutes or hours old when a fleet is large: what may have changed is looked at once more.
    async fn look(&self, _intent: &Intent, _lost: bool) -> Look {
        let Self { shared, subject, .. } = self;
        let witness = self.removal.witness.as_ref().filter(|_| !planted(Defect::WitnessUnseen));
        let query = ImageQuery::Ids([&subject.id].into_iter().chain(witness).cloned().collect());
        let images: Vec<Image> = match shared.cloud.images(&subject.place, &query).await {
            Err(fault) => return Look::Unclear(fault),
            Ok(images) => images.into_iter().map(defect::seen).collect(),
        };
        // A deregistered image is listed for a while.
        let there = |id: &str| images.iter().find(|i| i.id == *id && i.state != ImageState::Deregistered);
        let Some(image) = there(&subject.id) else { return Look::Found(Made::Image(subject.id.clone())) };
        if let Some(odd) = &image.odd {
            return Look::Moot(format!("kept after all: not understood: {odd}"));
        }
        if image.tags.contains_key(HOLD_TAG) {
            return Look::Moot("kept after all: it is on hold".into());
        }
        let ours = |image: &Image| {
            matches!(naming::ownership(image, &shared.daemon, &subject.place.account), Ownership::Ours(_))
        };
        if !ours(image) {
            return Look::Moot("kept after all: it is not provably ours any more".into());
        }
        let good = |image: &Image| image.state == ImageState::Available && image.odd.is_none() && ours(image);
        if let Some(witness) = witness.filter(|id| !there(id).is_some_and(good)) {
            return Look::Moot(format!(
                "kept after all: {witness}, the good image that would stay, is not seen as such"
            ));
        }
        match shared.cloud.instances(&subject.place, &InstanceQuery::LaunchedFrom(vec![subject.id.clone()])).await {
            Err(fault) => Look::Unclear(fault),
            Ok(list) => match list.iter().find(|i| !gone(i.state)) {
                Some(user) => Look::Moot(format!("kept after all: {} runs from it", user.id)),
                None => Look::Absent,
            },
        }
    }

    async fn act(&self, _intent: &Intent) -> Effect<Made> {
        let done = Made::Image(self.subject.id.clone());
        match self.shared.cloud.deregister_image(&self.subject.place, &self.subject.id).await {
            Effect::Done { request_id, .. } => Effect::Done { value: done, request_id },
            Effect::Refused(Fault { class: Class::NotFound, request_id, .. }) => {
                Effect::Done { value: done, request_id }
            }
            Effect::Refused(fault) => Effect::Refused(fault),
            Effect::Unknown(fault) => Effect::Unknown(fault),
        }
    }

    fn resend(&self, search: &Search) -> Resend {
        if search.waited < FIRST * (1 << search.attempt.min(ATTEMPTS)) {
            Resend::LookAgain // five calls within a second say nothing about an outage of a minute
        } else if search.attempt < ATTEMPTS {
            Resend::Send
        } else {
            Resend::GiveUp(format!("no clear answer to {ATTEMPTS} calls; tried again in the plan's next run"))
        }
    }

    /// Each snapshot's end is its own fact: what DeregisterImage reports is checked, not believed.
    async fn settle(&self) -> Result<(), Stop> {
        let Self { shared, run, subject, .. } = self;
        let open: Vec<Subject> = self
            .removal
            .removing
            .snapshots
            .iter()
            .map(|id| subject.place.subject(id))
            .filter(|s| !self.settled(s))
            .collect();
        let ids: Vec<String> = open.iter().map(|s| s.id.clone()).collect();
        let mut wait = FIRST;
        let there = loop {
            if ids.is_empty() {
                break Vec::new();
            }
            match shared.unless_drained(shared.cloud.snapshots(&subject.place, &ids)).await? {
                Ok(list) => break list.into_iter().map(|s| s.id).collect::<Vec<_>>(),
                Err(fault) if fault.class.passes() => {
                    shared.pause(wait).await?;
                    wait = longer(wait);
                }
                Err(_) => break ids.clone(), // may not list: deleting tells
            }
        };
        let mut left = 0;
        for snapshot in &open {
            let fate = if there.contains(&snapshot.id) {
                delete_snapshot(shared, snapshot).await?
            } else {
                SnapshotFate::Gone
            };
            if !end_snapshot(shared, run, snapshot, fate).await? {
                left += 1;
            }
        }
        let mut observed = Observed { image: Some(subject.id.clone()), ..Observed::of(Outcome::Done) };
        if left > 0 {
            observed.outcome = Outcome::Failed;
            observed.reason = Some(format!("{left} of its snapshots could not be deleted"));
        }
        let draft = Draft::of(run, subject, Fact::StepObserved(observed)).at_step(&StepId::Retain, 1);
        shared.record_result(&[draft]).await.map(|_| ())
    }
}

pub(crate) fn step_of(run: &Run, subject: &Subject) -> Option<StepState> {
    run.active.state.borrow().others.get(subject).and_then(|steps| steps.get(&StepId::Retain)).cloned()
}

/// Removes an image of ours that is needed no more, whatever the rules say, as long as `witness` is there, if one is named.
pub(crate) async fn remove(run: &Run, subject: &Subject, why: &str, witness: Option<String>) -> Result<(), Stop> {
    let known = step_of(run, subject);
    if known.as_ref().is_some_and(StepState::ended) {
        return Ok(());
    }
    let removing = match &known {
        Some(step) => removing_of(step, subject),
        None => {
            let query = ImageQuery::Ids(vec![subject.id.clone()]);
            let ask = || run.shared.cloud.images(&subject.place, &query);
            match run.patiently("cannot look for an image", ask).await? {
                Ok(list) => match list.into_iter().find(|i| i.state != ImageState::Deregistered) {
                    Some(i) => {
                        Removing { image: i.id, name: Some(i.name), snapshots: i.snapshots, reason: why.to_owned() }
                    }
                    None => return Ok(()),
                },
                Err(fault) => {
                    let why = format!("{} is needed no more, and cannot be looked for: {fault}", subject.id);
                    return run.mishap(&format!("{}:{}", StepId::Retain, subject.id), &why).await;
                }
            }
        }
    };
    drive(run, subject, Removal { removing, witness }, known).await
}

/// What a removal that was begun is about; of one that found its image gone, nothing more than that is known.
fn removing_of(step: &StepState, subject: &Subject) -> Removing {
    let known = step.intent.as_ref().and_then(Intent::removing).cloned();
    known.unwrap_or_else(|| Removing { image: subject.id.clone(), ..Removing::default() })
}

/// A removal that was begun, of an image that is gone.
pub(crate) fn begun(step: &StepState, subject: &Subject) -> Removal {
    Removal { removing: removing_of(step, subject), witness: None }
}

pub(crate) async fn drive(
    run: &Run,
    subject: &Subject,
    removal: Removal,
    known: Option<StepState>,
) -> Result<(), Stop> {
    let step = Remove {
        shared: Rc::clone(&run.shared),
        active: Rc::clone(&run.active),
        run: Rc::clone(&run.name),
        subject: subject.clone(),
        removal,
    };
    let at = At { shared: &run.shared, run: &run.name, subject };
    executor::drive(&at, &step, known.as_ref()).await
}
