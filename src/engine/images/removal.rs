//! The step `retain`: deregister one image, and see each of its snapshots gone.

use std::cell::RefCell;
use std::collections::BTreeSet;
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
use crate::domain::observed::{Image, ImageState, Tags};
use crate::domain::place::{Place, Subject};
use crate::domain::prevented::Hindrance;
use crate::domain::saga::StepState;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::run::Run;
use crate::engine::context::{ActiveRun, Context, Stop};
use crate::engine::drive::executor::{self, At, Look, Resend, Search, Step};
use crate::engine::images::snapshots::{self, Known, Listed};

/// How often a deregistration whose answer was lost is sent again: doing it twice equals doing it once.
const ATTEMPTS: u32 = 5;

/// EC2's word for a snapshot that went with its image (DeregisterImage, DeleteSnapshotResults).
const DELETED: &str = "success";

/// A snapshot may read as in use for so long after its image was deregistered; then another image needs it.
const LINGER: Duration = Duration::from_secs(120);

/// Removes one image of ours, which retention decided to delete.
pub struct Remove {
    shared: Rc<Context>,
    active: Rc<ActiveRun>,
    run: Rc<str>,
    /// The image.
    subject: Subject,
    removal: Removal,
    /// What the newest look told of its snapshots.
    seen: RefCell<Listed>,
    /// Those that AWS said are deleted with it.
    deleted: RefCell<BTreeSet<String>>,
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
    /// It is not provably ours.
    Foreign,
    /// AWS refuses, for this reason.
    Refused(String),
}

/// Deletes those of these snapshots of one place that are ours, each by its own call, and tells what became of each.
///
/// # Errors
/// [`Stop::Drained`].
pub(crate) async fn delete_snapshots(
    shared: &Context,
    place: &Place,
    open: Vec<Subject>,
    known: &Known,
    owns: impl Fn(&Tags) -> bool,
) -> Result<Vec<(Subject, SnapshotFate)>, Stop> {
    let ids: Vec<String> = open.iter().map(|snapshot| snapshot.id.clone()).collect();
    let there = match ids.is_empty() {
        true => Ok(Vec::new()),
        false => snapshots::there(shared, place, &ids, known).await?,
    };
    let mut fates = Vec::new();
    for snapshot in open {
        let fate = match &there {
            Err(fault) => SnapshotFate::Refused(format!("nobody can tell whose it is: {fault}")),
            Ok(there) => match there.iter().find(|s| s.id == snapshot.id) {
                // One that is hidden from the list is ours all the same: deleting tells whether it is there.
                None if known.proven.contains(&snapshot.id) && !known.deleted.contains(&snapshot.id) => {
                    delete_snapshot(shared, &snapshot).await?
                }
                None => SnapshotFate::Gone,
                Some(seen) if owns(&seen.tags) || planted(Defect::SnapshotsUnseen) => {
                    delete_snapshot(shared, &snapshot).await?
                }
                Some(_) => SnapshotFate::Foreign,
            },
        };
        fates.push((snapshot, fate));
    }
    Ok(fates)
}

/// Deletes one snapshot that was journaled with its image.
///
/// # Errors
/// [`Stop::Drained`].
async fn delete_snapshot(shared: &Context, subject: &Subject) -> Result<SnapshotFate, Stop> {
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
        SnapshotFate::Foreign => {
            tracing::warn!(
                event = "snapshot.foreign", account = %subject.place.account, region = %subject.place.region, run,
                reason = %format!("{} does not bear the tags of the image that names it", subject.id),
                "it is left alone: delete it by hand if nobody needs it"
            );
            Fact::StepDone(settled("kept: it does not bear the tags of the image that named it"))
        }
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
    /// Of this image.
    #[must_use]
    pub fn of(
        shared: &Rc<Context>,
        active: &Rc<ActiveRun>,
        run: &Rc<str>,
        subject: &Subject,
        removal: Removal,
    ) -> Self {
        Self {
            shared: Rc::clone(shared),
            active: Rc::clone(active),
            run: Rc::clone(run),
            subject: subject.clone(),
            removal,
            seen: RefCell::default(),
            deleted: RefCell::default(),
        }
    }

    /// Whether all of the image's snapshots may go with it.
    fn whole(&self) -> bool {
        let seen = self.seen.borrow();
        planted(Defect::SnapshotsUnseen) || !seen.partial && seen.others.is_empty() && seen.unseen.is_empty()
    }

    /// What was journaled of it.
    fn known(&self) -> Option<Removing> {
        let state = self.active.state.borrow();
        let step = state.others.get(&self.subject)?.get(&StepId::Retain)?;
        step.intent.as_ref()?.removing().cloned()
    }

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
        let ownership = |image: &Image| naming::ownership(image, &shared.daemon, &subject.place.account);
        let Ownership::Ours(marks) = ownership(image) else {
            return Look::Moot("kept after all: it is not provably ours any more".into());
        };
        let ours = |image: &Image| matches!(ownership(image), Ownership::Ours(_));
        let good = |image: &Image| image.state == ImageState::Available && image.odd.is_none() && ours(image);
        if let Some(witness) = witness.filter(|id| !there(id).is_some_and(good)) {
            return Look::Moot(format!(
                "kept after all: {witness}, the good image that would stay, is not seen as such"
            ));
        }
        let listed = match snapshots::list(shared, &subject.place, image, &marks).await {
            Err(fault) => return Look::Unclear(fault),
            Ok(listed) => listed,
        };
        // A failed image may name what was never made.
        if let Some(unseen) = listed.unseen.first().filter(|_| !image.state.dead()) {
            return Look::Moot(format!(
                "kept after all: its snapshot {unseen} is not listed, so nobody knows whose it is"
            ));
        }
        *self.seen.borrow_mut() = listed;
        match shared.cloud.instances(&subject.place, &InstanceQuery::LaunchedFrom(vec![subject.id.clone()])).await {
            Err(fault) => Look::Unclear(fault),
            Ok(list) => match list.iter().find(|i| !gone(i.state)) {
                Some(user) => Look::Moot(format!("kept after all: {} runs from it", user.id)),
                None => Look::Absent,
            },
        }
    }

    /// What the look has found beside.
    fn completed(&self, intent: Intent) -> Intent {
        match intent {
            Intent::Remove(mut removing) => {
                let seen = self.seen.borrow();
                if !planted(Defect::SnapshotsForgotten) && !planted(Defect::SnapshotsUnseen) {
                    // What was not seen is judged by its own tags, once it is.
                    removing.snapshots.clone_from(&seen.ours);
                    match seen.unseen.is_empty() {
                        true => removing.others = Some(seen.others.clone()),
                        false => removing.snapshots.extend(seen.others.iter().chain(&seen.unseen).cloned()),
                    }
                }
                Intent::Remove(removing)
            }
            other => other,
        }
    }

    async fn act(&self, _intent: &Intent) -> Effect<Made> {
        let done = Made::Image(self.subject.id.clone());
        match self.shared.cloud.deregister_image(&self.subject.place, &self.subject.id, self.whole()).await {
            Effect::Done { value, request_id } => {
                let deleted = value.into_iter().filter(|end| end.result == DELETED).map(|end| end.snapshot);
                self.deleted.borrow_mut().extend(deleted);
                Effect::Done { value: done, request_id }
            }
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
        let removing = self.known().unwrap_or_else(|| self.removal.removing.clone());
        let named = removing.snapshots.iter().chain(removing.others.iter().flatten());
        let open: Vec<Subject> = named.map(|id| subject.place.subject(id)).filter(|s| !self.settled(s)).collect();
        let proven = removing.others.as_ref().map(|_| removing.snapshots.iter().cloned().collect());
        let known = Known { deleted: self.deleted.borrow().clone(), proven: proven.unwrap_or_default() };
        let owns = |tags: &Tags| removing.owns(tags, &shared.daemon);
        let mut left = 0;
        for (snapshot, fate) in delete_snapshots(shared, &subject.place, open, &known, owns).await? {
            if !end_snapshot(shared, run, &snapshot, fate).await? {
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
                    Some(i) => Removing {
                        image: i.id,
                        name: Some(i.name),
                        snapshots: i.snapshots,
                        reason: why.to_owned(),
                        others: None,
                    },
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
    let step = Remove::of(&run.shared, &run.active, &run.name, subject, removal);
    let at = At { shared: &run.shared, run: &run.name, subject };
    executor::drive(&at, &step, known.as_ref()).await
}
