//! The steps `copy:DESTINATION` and `via:KEY`: CopyImage under a client token, and the wait until the copy and all its
//! snapshots have ended.

use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;

use crate::cloud::classify::Class;
use crate::cloud::port::{CopyImage, Effect, Fault, ImageQuery};
use crate::defect::{Defect, planted};
use crate::domain::copying::names;
use crate::domain::event::Outcome;
use crate::domain::fact::{CopyEnd, Copying, Draft, Event, Fact, Intent, Made, Observed, Refusal, StepId};
use crate::domain::hold::Act;
use crate::domain::naming::{self, Marks, Ownership};
use crate::domain::observed::{Image, ImageState, Tags};
use crate::domain::place::{Place, Subject};
use crate::domain::prevented::Hindrance;
use crate::domain::saga::StepState;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::{ActiveRun, Context, Stop};
use crate::engine::drive::executor::{Look, Resend, Search, Step};
use crate::engine::drive::pending::Pending;

/// How often a CopyImage whose answer was lost is sent again: under one token, many equal one.
const ATTEMPTS: u32 = 8;
/// By so many attempts a copy under another key is known by its name, whatever the journal says.
const ATTEMPTS_KNOWN: u32 = 8;
/// After so many looks at snapshots that are not all there the copy itself is looked at, some minutes.
const SHORT_LOOKS: u32 = 10;
/// A token that is taken, and no copy: after so long, and so many looks, it is given up for another one.
const TOKEN_AFTER: Duration = Duration::from_secs(600);
const TOKEN_LOOKS: u32 = 3;
/// KMS is asked asynchronously: a copy that fails so soon is tried once more, since a grant may not have worked yet.
const RETRY_WITHIN: TimeDelta = TimeDelta::minutes(30);
/// Copies wait for a slot of the quota while others are made.
const BUSY_PATIENCE: Duration = Duration::from_secs(12 * 3600);

/// A copy of one image.
pub struct MakeCopy {
    /// The engine.
    pub shared: Rc<Context>,
    /// The run.
    pub active: Rc<ActiveRun>,
    /// The run's name.
    pub run: Rc<str>,
    /// Which step it is: `copy:dr/eu-west-1`, `via:alias/share`.
    pub id: StepId,
    /// The image of the recovery point, which CreateImage made.
    pub subject: Subject,
    /// What the copy's tags say.
    pub marks: Marks,
    /// The plan's own tags.
    pub tags: Tags,
    /// The image that is copied: `subject`, or its copy under another key.
    pub from: Subject,
    /// Where the copy is made.
    pub to: Place,
    /// `KmsKeyId`; none: not encrypted by us.
    pub key: Option<String>,
    /// Which token: see [`next_attempt`].
    pub attempt: u32,
    /// Whether it is tried once more if it fails soon.
    pub retry: bool,
}

/// The token's number for the next copy: it rises when the last one was seen to end, or can never be made.
#[must_use]
pub fn next_attempt(events: &[Event], step: &StepId) -> u32 {
    let (mut ended, mut newest) = (0, None);
    for event in events.iter().filter(|e| e.step() == Some(step)) {
        match event.fact() {
            Fact::StepIntent(intent) => newest = intent.copying().map(|copying| copying.attempt),
            fact if has_ended(fact) => ended = newest.take().unwrap_or(ended + 1).max(ended),
            _ => {}
        }
    }
    ended.min(u32::MAX - 1) + 1
}

/// Whether what a token made was seen to end, or can never be made.
#[must_use]
pub fn has_ended(fact: &Fact) -> bool {
    match fact {
        Fact::StepRefused(refusal) => refusal.ended,
        Fact::StepObserved(observed) => observed.ended,
        _ => false,
    }
}

impl MakeCopy {
    fn known<T>(&self, what: impl FnOnce(&StepState) -> T) -> Option<T> {
        self.active.state.borrow().others.get(&self.subject)?.get(&self.id).map(what)
    }

    fn source_name(&self) -> String {
        naming::image_name(&self.marks.daemon, &self.marks.plan, &self.marks.instance, self.marks.due)
    }

    fn copy_name(&self, attempt: u32) -> String {
        // A name that a failed copy holds is free only when that one is gone.
        let again = (attempt > 1).then(|| format!("{}#{attempt}", self.key.as_deref().unwrap_or_default()));
        names::copy_name(&self.source_name(), &self.to, again.as_deref().or(self.key.as_deref()))
    }

    fn token(&self, attempt: u32) -> String {
        names::token(&self.subject.place, &self.source_name(), &self.to, self.key.as_deref(), attempt)
    }

    /// Whether `image` is a copy of this recovery point that serves. In the source's own place each key has its own.
    fn serves(&self, image: &Image) -> bool {
        let Ownership::Ours(marks) = naming::ownership(image, &self.shared.daemon, &self.to.account) else {
            return false;
        };
        let same = marks.instance == self.marks.instance && marks.due == self.marks.due;
        // A lost journal knows of no attempts.
        let own = || {
            let attempts = 1..=self.attempt.max(ATTEMPTS_KNOWN);
            self.to != self.subject.place || attempts.into_iter().any(|n| self.copy_name(n) == image.name)
        };
        same && marks.role == naming::Role::Copy && !image.state.dead() && own()
    }

    fn observed(&self, observed: Observed) -> Draft {
        let attempt = self.known(|s| s.attempt).unwrap_or(1);
        Draft::of(&self.run, &self.subject, Fact::StepObserved(observed)).at_step(&self.id, attempt)
    }

    /// Waits until the snapshots of an available copy have ended too. Why it is no good, if it is not; nothing, if some
    /// are not there: is the copy itself?
    async fn snapshots(&self, image: &Image) -> Result<Option<Option<String>>, Stop> {
        let (mut wait, mut short) = (FIRST, 0);
        loop {
            let read = self.shared.cloud.snapshots(&self.to, &image.snapshots);
            match self.shared.unless_drained(read).await? {
                Ok(list) => {
                    if let Some(bad) = list.iter().find(|s| s.state == "error") {
                        return Ok(Some(Some(format!("the snapshot {} of the copy {} failed", bad.id, image.id))));
                    }
                    if list.len() < image.snapshots.len() {
                        short += 1;
                        if short == SHORT_LOOKS {
                            return Ok(None);
                        }
                    } else if list.iter().all(|s| s.state == "completed") {
                        return Ok(Some(None));
                    }
                }
                Err(fault) if fault.class.passes() => {}
                // May not be listed: an image is available when its snapshots are complete.
                Err(_) => return Ok(Some(None)),
            }
            self.shared.pause(wait).await?;
            wait = longer(wait);
        }
    }
}

#[async_trait(?Send)]
impl Step for MakeCopy {
    fn id(&self) -> &StepId {
        &self.id
    }

    fn intent(&self) -> Intent {
        let of = naming::run_name(&self.marks.plan, self.marks.due);
        let marks = Marks {
            role: naming::Role::Copy,
            source: Some(self.from.id.clone()),
            // Who makes the copy, not who made the image.
            installation: self.shared.installation.clone(),
            ..self.marks.clone()
        };
        Intent::Copy(Box::new(Copying {
            attempt: self.attempt,
            from: self.from.id.clone(),
            from_region: self.from.place.region.clone(),
            name: self.copy_name(self.attempt),
            // Nothing of this run: another one that makes the copy sends the same under the same token.
            description: format!("stillframe {of} of {}, copied from {}", self.marks.instance, self.from.id),
            token: self.token(self.attempt),
            kms_key: self.key.clone(),
            tags: marks.tags(&self.tags),
        }))
    }

    fn forbidden(&self) -> Option<Hindrance> {
        self.shared.held(Act::Open, None).map(Hindrance::from)
    }

    fn place(&self) -> Option<&Place> {
        Some(&self.to)
    }

    fn patience(&self, fault: &Fault) -> Duration {
        if fault.class == Class::Busy { BUSY_PATIENCE } else { crate::engine::drive::effect::PATIENCE }
    }

    /// The image was made, and to another account lent, just before: neither may be known everywhere yet.
    fn passes(&self, fault: &Fault) -> bool {
        fault.class.passes() || fault.class.may_lag()
    }

    async fn look(&self, _intent: &Intent, _lost: bool) -> Look {
        let query = ImageQuery::Names(vec![format!("{}/*", self.source_name())]);
        let images = match self.shared.cloud.images(&self.to, &query).await {
            Err(fault) => return Look::Unclear(fault),
            Ok(images) => images,
        };
        // Of two good ones the first is kept.
        let mut serving: Vec<&Image> = images.iter().filter(|image| self.serves(image)).collect();
        serving.sort_by_key(|i| (i.state != ImageState::Available, i.created, i.id.clone()));
        match serving.first() {
            Some(image) => Look::Found(Made::Image(image.id.clone())),
            None => Look::Absent,
        }
    }

    async fn act(&self, intent: &Intent) -> Effect<Made> {
        let Copying { from, from_region, name, description, token, kms_key, tags, .. } =
            intent.copying().cloned().unwrap_or_default();
        let mut request = CopyImage {
            source_image: from,
            source_region: from_region,
            name,
            description,
            client_token: token,
            encrypted: kms_key.is_some() && !planted(Defect::KeyWithoutEncrypted),
            kms_key,
            tags,
        };
        if planted(Defect::TokenPerSend) {
            let attempt = self.known(|s| s.attempt).unwrap_or(self.attempt);
            request.name = self.copy_name(attempt);
            request.client_token = self.token(attempt);
        }
        match self.shared.cloud.copy_image(&self.to, &request).await {
            Effect::Done { value, request_id } => Effect::Done { value: Made::Image(value), request_id },
            Effect::Refused(fault) => {
                if let (Class::Denied, Some(to)) = (fault.class, self.id.destination()) {
                    self.shared.note_denied(&self.marks.plan, to, fault.to_string());
                }
                Effect::Refused(fault)
            }
            Effect::Unknown(fault) => Effect::Unknown(fault),
        }
    }

    /// A copy is sent again soon, under its token: the first one may not be listed yet, and nothing that it needs is taken
    /// back before it is.
    fn is_searched(&self, search: &Search) -> bool {
        search.waited >= TOKEN_AFTER && search.empty >= TOKEN_LOOKS
    }

    fn resend(&self, search: &Search) -> Resend {
        if search.name_taken {
            return if !self.is_searched(search) {
                Resend::LookAgain
            } else {
                Resend::Anew("AWS knows the token or the name from another request, and no copy appeared".into())
            };
        }
        if search.waited < FIRST * (1 << search.attempt.min(ATTEMPTS)) {
            Resend::LookAgain
        } else if search.attempt < ATTEMPTS {
            Resend::Send
        } else {
            Resend::GiveUp(format!("no clear answer to {ATTEMPTS} calls; tried again in the plan's next run"))
        }
    }

    async fn settle(&self) -> Result<(), Stop> {
        let Self { shared, run, subject, to, .. } = self;
        let begun = |s: &StepState| Some((s.image()?.to_owned(), s.intended_at, s.attempt));
        let Some((image, since, attempt)) = self.known(begun).flatten() else { return Ok(()) };
        let alarmed = self.known(|s| s.pending_alarmed).unwrap_or(false);
        let family = format!("{}/", self.source_name());
        let bears = |image: &Image| image.name.starts_with(&family);
        let pending =
            Pending { shared, run, subject, place: to, image: &image, since, step: &self.id, alarmed, bears: &bears };
        let (state, bad) = loop {
            let end = pending.end().await?;
            match (end.bad, &end.image) {
                (None, Some(copy)) if naming::lacks_its_source(copy, &shared.daemon, &to.account) => {
                    break (end.state, Some(naming::unsourced(&image, &subject.id)));
                }
                (None, Some(copy)) => {
                    if let Some(bad) = self.snapshots(copy).await? {
                        break (end.state, bad);
                    }
                }
                (bad, _) => break (end.state, bad),
            }
        };
        let elapsed = shared.clock.now() - since;
        let end = CopyEnd {
            state: state.to_owned(),
            image,
            account: to.account.clone(),
            region: to.region.clone(),
            elapsed_ms: elapsed.num_milliseconds(),
        };
        let Some(why) = bad else {
            return shared.record_result(&[self.observed(ended(end, None))]).await.map(|_| ());
        };
        if self.retry && elapsed <= RETRY_WITHIN {
            let refusal = Refusal { again: true, ended: true, copy: Some(end), ..Refusal::of(why) };
            let draft = Draft::of(run, subject, Fact::StepRefused(refusal)).at_step(&self.id, attempt);
            return shared.record_result(&[draft]).await.map(|_| ());
        }
        shared.record_result(&[self.observed(ended(end, Some(why)))]).await.map(|_| ())
    }
}

fn ended(CopyEnd { state, image, account, region, elapsed_ms }: CopyEnd, bad: Option<String>) -> Observed {
    Observed {
        state: Some(state),
        image: Some(image),
        account: Some(account),
        region: Some(region),
        elapsed_ms: Some(elapsed_ms),
        ended: bad.is_some(),
        evidence: None,
        outcome: if bad.is_some() { Outcome::Failed } else { Outcome::Done },
        reason: bad,
    }
}
