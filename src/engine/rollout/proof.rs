//! What is known of a restart that was called for: how long ago that was, and whether what the status checks have read
//! since proves that the instance is back. Lost with the process: what was seen before a restart is seen again, or
//! proven by time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::cloud::port::{ImageQuery, InstanceQuery};
use crate::defect::{Defect, planted};
use crate::domain::event::gone;
use crate::domain::evidence::{Evidence, Lags, Shown, When};
use crate::domain::fact::{Intent, StepId};
use crate::domain::observed::InstanceStatus;
use crate::domain::place::Subject;
use crate::domain::saga::Phase;
use crate::engine::context::Context;
use crate::engine::drive::observer::Seen;

/// The newest CreateImage of a target, as far as the journal knows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// It was made before this.
    pub at: DateTime<Utc>,
    /// Whether it is known what became of it: else it may be made again.
    pub certain: bool,
    /// Whether the status checks read ok right before it, and it was made once.
    pub ok_before: bool,
    /// What it made, once known.
    image: Option<String>,
}

impl Call {
    /// A call of which nothing is known but when it was.
    pub fn unknown(at: DateTime<Utc>) -> Self {
        Self { at, certain: true, ok_before: false, image: None }
    }

    /// That of a target of `run`, if the run is still going on.
    pub fn of(shared: &Context, run: &str, subject: &Subject) -> Option<Self> {
        let active = shared.runs.borrow().get(run).cloned()?;
        let state = active.state.borrow();
        let target = state.targets.get(subject)?;
        let image = target.steps.get(&StepId::Image)?;
        let certain = !matches!(image.phase, Phase::Intended | Phase::Unknown | Phase::NotMade);
        let checked = image.intent.as_ref().and_then(Intent::imaging).is_some_and(|imaging| imaging.checked);
        let ok_before = image.sent <= 1 && checked;
        let at = image.called_at.max(image.intended_at);
        Some(Self { at, certain, ok_before, image: target.image().map(str::to_owned) })
    }
}

/// Why an instance needs no slot any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// Its checks read ok after a restart that was shown.
    Healthy(Evidence),
    /// It is gone for good.
    Terminated,
}

impl Back {
    /// The word in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy(_) => "healthy",
            Self::Terminated => "terminated",
        }
    }

    /// What proved it, in the journal's word.
    pub fn evidence(self) -> Option<&'static str> {
        match self {
            Self::Healthy(evidence) => Some(evidence.as_str()),
            Self::Terminated => None,
        }
    }
}

/// What the looks since a call have shown.
pub(crate) struct Proof {
    call: DateTime<Utc>,
    /// When the call was first noticed, and how long ago it was then, by the wall clock.
    noticed: (Instant, Duration),
    shown: Shown,
    /// When the newest snapshot of the image was begun, once all tell.
    snapshots: Option<DateTime<Utc>>,
    /// The newest look read ok, whether it counts or not.
    pub well: bool,
}

impl Proof {
    /// Nothing yet.
    pub fn new(shared: &Context, call: &Call) -> Self {
        let shown = Shown::since(call.ok_before);
        Self { call: call.at, noticed: noticed(shared, call), shown, snapshots: None, well: false }
    }

    /// Whether it is another call, or its answer is known now: then all is seen anew. What failed before it still
    /// proves nothing.
    pub fn follow(&mut self, shared: &Context, call: &Call) -> bool {
        if self.call == call.at {
            return false;
        }
        self.call = call.at;
        self.noticed = noticed(shared, call);
        self.shown.again(call.ok_before);
        self.snapshots = None;
        true
    }

    /// The time from the call to `then`, by tokio's time: a step of the wall clock must neither free a slot nor halt a
    /// plan. What had passed when the call was first noticed (after a restart, mostly) counts as the wall clock told it.
    pub fn elapsed(&self, then: Instant) -> Duration {
        let (noticed, before) = self.noticed;
        match then.checked_duration_since(noticed) {
            Some(after) => before + after,
            None => before.saturating_sub(noticed - then),
        }
    }

    /// The time from the call to `then` as far as this process saw it pass: the clock may have been wrong before it
    /// began. Nothing if `then` was before.
    fn seen(&self, then: Instant) -> Option<Duration> {
        then.checked_duration_since(self.noticed.0)
    }

    /// When an ok will be proof by itself, if not yet at `now`.
    pub fn by_time(&self, lags: &Lags, settle: Duration, now: Instant) -> Option<Instant> {
        let at = self.noticed.0 + lags.proof_by_time().max(settle);
        (at > now).then_some(at)
    }

    /// How long the instance may take, if its plan lets it take `within`: longer while nothing has shown a restart.
    pub fn within(&self, within: Duration, lags: &Lags) -> Duration {
        if self.shown.failed() { within } else { within.max(lags.silent_for()) }
    }

    /// What a look shows: how the instance is back, if that is proven.
    pub fn judge(
        &mut self,
        shared: &Context,
        call: &Call,
        seen: &Seen<InstanceStatus>,
        settle: Duration,
    ) -> Option<Back> {
        let (status, asked) = match seen {
            // Left out of the answers: only DescribeInstances tells whether there is such an instance.
            Seen::Gone => return None,
            Seen::Unreadable(_) => {
                self.well = false;
                return None;
            }
            Seen::There(status, _) if gone(status.state) => return self.ended(),
            Seen::There(status, asked) => (status, *asked),
        };
        self.well = status.healthy();
        let after_call = self.seen(asked).filter(|_| call.certain);
        let after_snapshots = self.snapshots.and_then(|begun| {
            let ago = shared.clock.now() - shared.cloud.clock_ahead().unwrap_or_default() - begun;
            ago.to_std().ok()?.checked_sub(shared.clock.instant().saturating_duration_since(asked))
        });
        let lags = if planted(Defect::AnyOkCounts) { Lags::NONE } else { shared.lags.get() };
        let evidence = self.shown.read(status, When { after_call, after_snapshots }, &lags)?;
        (after_call? >= settle).then_some(Back::Healthy(evidence))
    }

    fn ended(&mut self) -> Option<Back> {
        self.well = true;
        Some(Back::Terminated)
    }

    /// Whether an instance that status checks leave out is gone for good: DescribeInstances says so, or knows none.
    pub async fn is_gone(&mut self, shared: &Context, subject: &Subject, seen: &Seen<InstanceStatus>) -> Option<Back> {
        if *seen != Seen::Gone {
            return None;
        }
        if planted(Defect::GoneAtOnce) {
            return self.ended();
        }
        let query = InstanceQuery::Ids(vec![subject.id.clone()]);
        let list = shared.cloud.instances(&subject.place, &query).await.ok()?;
        if list.first().is_none_or(|instance| gone(instance.state)) { self.ended() } else { None }
    }

    /// Looks when the snapshots of the image were begun, where that is trusted and not known yet.
    pub async fn ask_snapshots(&mut self, shared: &Context, call: &Call, subject: &Subject) {
        if !shared.lags.get().trust_snapshot_time || self.snapshots.is_some() || !self.well {
            return;
        }
        let Some(image) = call.image.clone() else { return };
        let place = &subject.place;
        let Ok(images) = shared.cloud.images(place, &ImageQuery::Ids(vec![image])).await else { return };
        let ids: Vec<String> = images.into_iter().flat_map(|image| image.snapshots).collect();
        if ids.is_empty() {
            return; // a pending image may not name them yet
        }
        let Ok(found) = shared.cloud.snapshots(place, &ids).await else { return };
        let begun: Vec<_> = found.iter().filter_map(|snapshot| snapshot.started).collect();
        if begun.len() == ids.len() {
            self.snapshots = begun.into_iter().max();
        }
    }
}

fn noticed(shared: &Context, call: &Call) -> (Instant, Duration) {
    (shared.clock.instant(), (shared.clock.now() - call.at).to_std().unwrap_or_default())
}
