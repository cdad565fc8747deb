//! The step `image`: CreateImage, exactly once, and the wait until the image is available.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;

use crate::cloud::classify::Class;
use crate::cloud::port::{CreateImage, Effect, Fault, ImageQuery, InstanceQuery};
use crate::defect::{Defect, planted};
use crate::domain::event::Outcome;
use crate::domain::fact::{Draft, Fact, Imaging, Intent, Made, Observed, StepId};
use crate::domain::hold::Act;
use crate::domain::naming::{self, Marks, Ownership, Role, TAG_PREFIX};
use crate::domain::observed::{Image, InstanceState, InstanceStatus, Snapshot};
use crate::domain::plan::Mode;
use crate::domain::prevented::{Hindrance, Prevented};
use crate::domain::rebuild::RECENT;
use crate::domain::saga::{Slot, TargetState};
use crate::engine::context::Stop;
use crate::engine::drive::executor::{Look, Resend, Search, Step};
use crate::engine::drive::observer::Observer;
use crate::engine::drive::pending::Pending;
use crate::engine::rollout::closed;
use crate::engine::rollout::target::Target;

/// After a lost answer, CreateImage is sent again only when it was looked for this long ...
const RESEND_AFTER: Duration = Duration::from_secs(600);
/// ... and at least this many looks certainly found nothing.
const RESEND_LOOKS: u32 = 3;
/// CreateImage of one target, and what the newest look has shown.
pub struct MakeImage(Target, Shown);

/// What a look shows beside the image.
#[derive(Default)]
struct Shown {
    /// Whether the status checks of the instance read ok.
    ok: Cell<bool>,
    /// Whether it may be down because of an image that was there before the first call: a restored journal does not know
    /// that it was made.
    down: Cell<bool>,
    /// A snapshot that was made with an image that is not there.
    trace: RefCell<Option<String>>,
}

impl MakeImage {
    /// Of this target.
    #[must_use]
    pub fn of(target: Target) -> Self {
        Self(target, Shown::default())
    }

    /// Reads the status checks of an instance that is about to be rebooted: what they read before tells what they read
    /// after, and who may not read them must not reboot.
    async fn checks_before(&self) -> Look {
        let Target { shared, subject, .. } = &self.0;
        let watch = shared.of::<Observer>().status(shared, &subject.place, &subject.id, Duration::ZERO);
        match watch.look().await {
            Err(fault) => Look::Unclear(fault),
            Ok(status) => {
                let impaired = status.as_ref().and_then(InstanceStatus::impaired);
                self.1.ok.set(status.is_some_and(|status| status.healthy()));
                match impaired.filter(|_| !planted(Defect::ImpairedTaken)) {
                    None => Look::Absent,
                    Some(check) => Look::NotNow(Hindrance::of(
                        Prevented::Impaired,
                        format!(
                            "its {check} status check reads impaired already: its image would be of a sick machine, and \
                             nobody could tell whether it comes back"
                        ),
                    )),
                }
            }
        }
    }

    /// An image that is there before the first call: it is ours, and its instance may be down for it still.
    async fn met(&self, image: &Image) -> Look {
        let Target { shared, .. } = &self.0;
        let look = self.recognize(image);
        let age = image.created.map(|created| shared.clock.now() - created);
        if matches!(look, Look::Found(_)) && self.takes_down() && age.is_none_or(|age| age < RECENT) {
            // Impaired is what it may be because of us.
            if let Look::Unclear(fault) = self.checks_before().await {
                return Look::Unclear(fault);
            }
            let proof = shared.lags.get().proof_by_time();
            let fresh = age.and_then(|age| age.to_std().ok()).is_none_or(|age| age < proof);
            self.1.down.set((fresh || !self.1.ok.get()) && !planted(Defect::AdoptedIsBack));
        }
        look
    }

    /// Looks for what CreateImage leaves beside an image that is not there: a person may have removed it since, and left
    /// its snapshots. Who removes those too leaves no trace.
    async fn trace(&self, name: &str) -> Look {
        let Target { shared, run, subject, .. } = &self.0;
        let tagged = shared.cloud.snapshots_tagged(&subject.place, &format!("{TAG_PREFIX}run"), run).await;
        // Copies name no volume.
        let made = |s: &Snapshot| s.volume.is_some() && naming::is_snapshot_of(&s.tags, name);
        match tagged {
            Err(fault) if fault.class.passes() => return Look::Unclear(fault),
            Err(_) => {} // who may not look for them sends once more, as before
            Ok(found) => *self.1.trace.borrow_mut() = found.into_iter().find(made).map(|snapshot| snapshot.id),
        }
        Look::Absent
    }

    fn marks(&self) -> Marks {
        let Target { shared, plan, occurrence, subject, .. } = &self.0;
        Marks {
            daemon: shared.daemon.clone(),
            installation: shared.installation.clone(),
            plan: plan.name.clone(),
            due: occurrence.due,
            instance: subject.id.clone(),
            role: Role::Image,
            source: None,
            consistency: plan.consistency.mode.as_str().to_owned(),
        }
    }

    fn name(&self) -> String {
        let Target { shared, plan, occurrence, subject, .. } = &self.0;
        naming::image_name(&shared.daemon, &plan.name, &subject.id, occurrence.due)
    }

    /// The name under which it is looked for, or made: the one that was journaled.
    fn intended(&self, intent: &Intent, lost: bool) -> String {
        let name = intent.name().map_or_else(|| self.name(), str::to_owned);
        if planted(Defect::NameWithAttempt) {
            let attempt = self.0.known(|s| s.steps.get(&StepId::Image).map(|s| s.attempt)).flatten();
            let attempt = attempt.unwrap_or(1) + u32::from(lost);
            return if attempt > 1 { format!("{name}-{attempt}") } else { name };
        }
        name
    }

    /// Whether `image`, which bears our name, is the one that this step makes.
    fn recognize(&self, image: &Image) -> Look {
        match naming::ownership(image, &self.0.shared.daemon, &self.0.subject.place.account) {
            Ownership::Ours(marks) if marks.instance == self.0.subject.id && marks.due == self.0.occurrence.due => {
                Look::Found(Made::Image(image.id.clone()))
            }
            Ownership::Ours(_) => Look::Foreign(format!("{} bears the name but other tags", image.id)),
            Ownership::Foreign(why) => Look::Foreign(format!("{} bears the name but {why}", image.id)),
            Ownership::Unrelated => Look::Foreign(format!("{} bears the name but is not ours", image.id)),
        }
    }

    fn observed(&self, state: &str, bad: Option<String>, elapsed: TimeDelta) -> Draft {
        let bad_end = bad.is_some();
        let observed = Observed {
            state: Some(state.to_owned()),
            image: self.0.known(|s| s.image().map(str::to_owned)).flatten(),
            elapsed_ms: Some(elapsed.num_milliseconds()),
            reason: bad,
            ..Observed::of(if bad_end { Outcome::Failed } else { Outcome::Done })
        };
        Draft::of(&self.0.run, &self.0.subject, Fact::StepObserved(observed)).at_step(&StepId::Image, 1)
    }

    /// Whether a target that was stopped when it was selected still is.
    async fn still_stopped(&self) -> Look {
        let Target { shared, subject, .. } = &self.0;
        match shared.cloud.instances(&subject.place, &InstanceQuery::Ids(vec![subject.id.clone()])).await {
            Err(fault) => Look::Unclear(fault),
            Ok(list) => match list.first().map(|i| i.state) {
                Some(InstanceState::Stopped) => Look::Absent,
                state => Look::NotNow(
                    format!(
                        "it was stopped when it was selected and is {} now: it is imaged at the next occurrence",
                        state.map_or("gone", InstanceState::as_str)
                    )
                    .into(),
                ),
            },
        }
    }
}

#[async_trait(?Send)]
impl Step for MakeImage {
    fn id(&self) -> &StepId {
        &StepId::Image
    }

    fn intent(&self) -> Intent {
        Intent::Image(Imaging { name: self.name(), no_reboot: !self.takes_down(), checked: false })
    }

    fn forbidden(&self) -> Option<Hindrance> {
        let Target { shared, active, plan, occurrence, subject, .. } = &self.0;
        if let Some(why) = active.state.borrow().late.as_ref().filter(|_| active.state.borrow().older) {
            return Some(Hindrance::of(Prevented::Restored, why.clone()));
        }
        if let Some(hold) = shared.holding(Act::TakeDown, Some(&plan.name)) {
            return Some(hold.hindrance());
        }
        let back = |freed: Option<&str>| match freed {
            Some("terminated") => "the instance was terminated before its image was made".to_owned(),
            _ => "it counts as back in service already, so it is not rebooted".to_owned(),
        };
        // What a drain has given back may go down once more.
        let is_back = |s: &TargetState| {
            let called = s.steps.contains_key(&StepId::Image) || s.freed.as_deref() == Some("terminated");
            (s.slot == Slot::Freed && called).then(|| back(s.freed.as_deref()))
        };
        let freed = self.0.known(|s| s.reboots.then(|| is_back(s)))??;
        if freed.is_some() {
            return freed.map(Hindrance::from);
        }
        let own = shared.own_machine.borrow().forbids(&subject.id);
        let closed = || closed(shared, active, plan, occurrence).map(|why| why.hindrance());
        own.filter(|_| !planted(Defect::OwnMachineTaken)).or_else(closed)
    }

    /// A target that was stopped when it was selected has no slot: it is not waited for while it starts.
    fn passes(&self, fault: &Fault) -> bool {
        fault.class.passes() && (self.takes_down() || fault.class != Class::WrongState)
    }

    fn takes_down(&self) -> bool {
        self.0.known(|s| s.reboots).unwrap_or(false)
    }

    /// By name (exact, visible soonest); for a lost answer by source instance too.
    async fn look(&self, intent: &Intent, lost: bool) -> Look {
        let Target { shared, plan, subject, .. } = &self.0;
        let name = self.intended(intent, lost);
        let mut queries = vec![ImageQuery::Names(vec![name.clone()])];
        if lost {
            queries.push(ImageQuery::SourceInstances(vec![subject.id.clone()]));
        }
        for query in queries {
            match shared.cloud.images(&subject.place, &query).await {
                Err(fault) => return Look::Unclear(fault),
                Ok(images) => {
                    if let Some(image) = images.iter().find(|i| i.name == name) {
                        return if lost { self.recognize(image) } else { self.met(image).await };
                    }
                }
            }
        }
        // An old journal does not know what was made, and removed, since.
        if let Some(why) = shared.unproven.borrow().uncertain(&plan.name, &subject.place) {
            let fault =
                Fault { class: Class::Transient, code: "JournalUncompared".into(), message: why, request_id: None };
            return Look::Unclear(fault);
        }
        if !lost && plan.consistency.mode == Mode::Reboot && !self.takes_down() {
            return self.still_stopped().await;
        }
        if lost {
            self.trace(&name).await
        } else if self.takes_down() {
            self.checks_before().await
        } else {
            Look::Absent
        }
    }

    fn is_down(&self) -> bool {
        self.1.down.get()
    }

    fn completed(&self, mut intent: Intent) -> Intent {
        if let Intent::Image(imaging) = &mut intent {
            imaging.checked = self.1.ok.get();
        }
        intent
    }

    async fn act(&self, intent: &Intent) -> Effect<Made> {
        let Target { shared, plan, run, subject, .. } = &self.0;
        let request = CreateImage {
            instance: subject.id.clone(),
            name: self.intended(intent, false),
            description: format!("stillframe {run} of {}", subject.id),
            // A stopped instance is at rest anyway. Should somebody start it at this very moment, it is not rebooted:
            // it has no slot.
            no_reboot: !self.takes_down(),
            tags: self.marks().tags(&plan.tags),
        };
        let may = || self.forbidden().map_or(Ok(()), |why| Err(why.reason));
        match shared.cloud.create_image_if(&subject.place, &request, may).await {
            Effect::Done { value, request_id } => {
                // However long it was refused before.
                shared.of::<Observer>().status_anew(shared, &subject.place, &subject.id);
                Effect::Done { value: Made::Image(value), request_id }
            }
            Effect::Refused(fault) => Effect::Refused(fault),
            Effect::Unknown(fault) => Effect::Unknown(fault),
        }
    }

    fn resend(&self, search: &Search) -> Resend {
        let soon = search.waited < RESEND_AFTER || search.empty < RESEND_LOOKS;
        if soon && !planted(Defect::ResentAtOnce) {
            return Resend::LookAgain;
        }
        if search.name_taken {
            return Resend::GiveUp("AWS says that the name is taken, but nothing of ours bears it".into());
        }
        if let Some(snapshot) = self.1.trace.borrow().as_ref().filter(|_| !planted(Defect::TraceIgnored)) {
            return Resend::GiveUp(format!(
                "the answer was lost and no image appeared, but {snapshot} was made for it: somebody removed the image"
            ));
        }
        if !self.0.plan.consistency.resend_unknown {
            return Resend::GiveUp("the answer was lost and no image appeared; resend_unknown = false".into());
        }
        if search.resent {
            return Resend::GiveUp("the answer was lost twice and no image appeared".into());
        }
        match self.forbidden() {
            Some(why) => Resend::GiveUp(format!("the answer was lost, no image appeared, and {}", why.reason)),
            None => Resend::Send,
        }
    }

    async fn settle(&self) -> Result<(), Stop> {
        let Target { shared, subject, run, .. } = &self.0;
        if self.0.known(|s| s.slot == Slot::None && s.reboots).unwrap_or(false) {
            self.not_made(); // adopted at the first look: nothing was rebooted now
        }
        let begun = |s: &TargetState| Some((s.image()?.to_owned(), s.steps.get(&StepId::Image)?.intended_at));
        let Some((image, since)) = self.0.known(begun).flatten() else { return Ok(()) };
        if planted(Defect::RetainEarly) {
            return shared.record_result(&[self.observed("pending", None, TimeDelta::zero())]).await.map(|_| ());
        }
        let alarmed = self.0.known(|s| s.steps.get(&StepId::Image).is_some_and(|s| s.pending_alarmed)).unwrap_or(false);
        let place = &subject.place;
        let known = self.0.known(|s| s.steps.get(&StepId::Image).map(|s| s.intent.clone())).flatten();
        let name = known.map(|intent| intent.map_or_else(|| self.name(), |intent| self.intended(&intent, false)));
        let bears = |image: &Image| name.as_ref().is_none_or(|name| image.name == *name);
        let step = &StepId::Image;
        let pending = Pending { shared, run, subject, place, image: &image, since, step, alarmed, bears: &bears };
        let end = pending.end().await?;
        if end.image.is_none() && !end.seen {
            // Somebody was quick, or the answer named another account's: the name tells.
            return Err(Stop::Mistaken(format!("AWS answered with {image}, which never appeared")));
        }
        let untold = end.image.as_ref().filter(|image| naming::lacks_its_source(image, &shared.daemon, &place.account));
        let bad = end.bad.or_else(|| untold.map(|_| naming::unsourced(&image, &subject.id)));
        let elapsed = shared.clock.now() - since;
        shared.record_result(&[self.observed(end.state, bad, elapsed)]).await.map(|_| ())
    }

    fn not_made(&self) {
        let Target { shared, subject, run, .. } = &self.0;
        if shared.slots.borrow_mut().free(subject, run) {
            shared.slots_changed.notify_waiters();
        }
    }
}
