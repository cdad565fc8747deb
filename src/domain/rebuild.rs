//! What the tags of our images prove of a lost journal: which occurrences made images, which of these are not ready
//! yet, and which instances may still be down.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::event::{Outcome, Trigger, gone};
use super::fact::{
    Chosen, Counts, Done, Draft, Fact, Imaging, Intent, Made, Observed, RunEnd, RunStart, StepId, TargetEnd,
};
use super::naming::{self, Marks, Role, TAG_PREFIX, image_name_by};
use super::observed::{Image, ImageState, InstanceState, InstanceStatus, Snapshot};
use super::place::Subject;

/// Why an instance counts as down whose run was forgotten.
pub const LOST: &str = "rebooted by CreateImage before the journal was lost";

/// An instance that is not healthy now counts as down because of us if we rebooted it within this time.
pub const RECENT: TimeDelta = TimeDelta::hours(24);

/// One of our images, as it was listed; or one that somebody removed, as its snapshots tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The instance that it was made of.
    pub subject: Subject,
    /// The image.
    pub image: Image,
    /// What its tags say.
    pub marks: Marks,
}

impl Evidence {
    fn rebooted(&self) -> bool {
        self.marks.consistency == "reboot"
    }

    fn recent(&self, now: DateTime<Utc>) -> bool {
        self.image.created.is_none_or(|created| now - created < RECENT)
    }
}

/// What is proven of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Proven {
    /// The instance.
    pub subject: Subject,
    /// Its image's id.
    pub image: String,
    /// Whether the image is gone: then only who may be down matters.
    pub gone: bool,
    /// Its image's name.
    pub name: String,
    /// Its image's state, in EC2's word.
    pub state: &'static str,
    /// Whether it was asked to be rebooted.
    pub reboots: bool,
    /// Whether it may still be down for it.
    pub down: bool,
    /// How it ended, if it has.
    pub ended: Option<Outcome>,
}

/// The targets of each occurrence that made images: plan and due.
pub type Occurrences = BTreeMap<(String, DateTime<Utc>), Vec<Proven>>;

/// The instances whose status checks must be known: the last reboot of each may still be under way.
#[must_use]
pub fn to_ask(evidence: &[Evidence], now: DateTime<Utc>) -> Vec<String> {
    let newest = newest_reboots(evidence);
    newest.into_values().filter(|e| e.recent(now)).map(|e| e.subject.id.clone()).collect()
}

/// What all of our images in one place prove. `settle` is how long a plan distrusts status checks after a call.
#[must_use]
pub fn prove(
    evidence: &[Evidence],
    checks: &BTreeMap<String, InstanceStatus>,
    settle: impl Fn(&str) -> TimeDelta,
    now: DateTime<Utc>,
) -> Occurrences {
    let newest = newest_reboots(evidence);
    let mut occurrences = Occurrences::new();
    for e in evidence.iter().filter(|e| e.marks.role == Role::Image) {
        let gone_by_now = e.image.state == ImageState::Deregistered;
        let last = newest.get(&e.subject).is_some_and(|last| last.image.id == e.image.id);
        let down = last
            && e.recent(now)
            && checks.get(&e.subject.id).is_some_and(|seen| {
                // A reboot leaves no instance stopped: that was a person.
                let out = gone(seen.state) || seen.state == InstanceState::Stopped;
                !out && (!seen.healthy() || e.image.created.is_none_or(|created| now - created < settle(&e.marks.plan)))
            });
        if gone_by_now && !down {
            continue;
        }
        let ended = match e.image.state {
            _ if down => None,
            ImageState::Available | ImageState::Disabled => Some(Outcome::Done),
            // Whether a person was called for it is not known.
            state if state.dead() && !e.recent(now) => Some(Outcome::Failed),
            _ => None,
        };
        occurrences.entry((e.marks.plan.clone(), e.marks.due)).or_default().push(Proven {
            subject: e.subject.clone(),
            image: e.image.id.clone(),
            gone: gone_by_now,
            name: e.image.name.clone(),
            state: e.image.state.as_str(),
            reboots: e.rebooted(),
            down,
            ended,
        });
    }
    occurrences
}

/// The image that a snapshot was made with and that is not there, as far as it tells: its name, when it was made, and of which
/// instance. Copies name no volume.
#[must_use]
pub fn trace(snapshot: &Snapshot, account: &str) -> Option<Image> {
    let name = image_name_by(&snapshot.tags)?;
    if snapshot.volume.is_none() || !naming::is_snapshot_of(&snapshot.tags, &name) {
        return None;
    }
    Some(Image {
        id: snapshot.id.clone(),
        name,
        owner: account.to_owned(),
        state: ImageState::Deregistered,
        state_reason: None,
        created: snapshot.started,
        source_instance: snapshot.tags.get(&format!("{TAG_PREFIX}instance")).cloned(),
        source_image: None,
        snapshots: Vec::new(),
        product_codes: false,
        deprecated: None,
        tags: snapshot.tags.clone().into(),
        odd: None,
    })
}

/// Snapshots that bear our tags and belong to none of `images`: those of the account that bear our daemon's tag. A
/// pending image does not name its snapshots yet, but its name is the one that their tags give.
#[must_use]
pub fn orphans<'a>(snapshots: &'a [Snapshot], images: &[Image]) -> Vec<&'a Snapshot> {
    let used: BTreeSet<&str> = images.iter().flat_map(|i| &i.snapshots).map(String::as_str).collect();
    // A copy's name is its source's, a slash and a hash; the source may be in another place.
    let source = |image: &Image| image.name.rsplit_once('/').map(|(source, _)| source.to_owned());
    let names: BTreeSet<String> = images.iter().flat_map(|i| [Some(i.name.clone()), source(i)]).flatten().collect();
    let name = |snapshot: &Snapshot| image_name_by(&snapshot.tags);
    let orphan = |s: &&Snapshot| {
        // Without the rest of our tags it is a person's, or a copy of ours.
        !used.contains(s.id.as_str()) && name(s).is_some_and(|name| !names.contains(&name))
    };
    snapshots.iter().filter(orphan).collect()
}

/// The newest image of each instance that was made with a reboot.
fn newest_reboots(evidence: &[Evidence]) -> BTreeMap<Subject, &Evidence> {
    let mut newest: BTreeMap<Subject, &Evidence> = BTreeMap::new();
    for e in evidence.iter().filter(|e| e.marks.role == Role::Image && e.rebooted()) {
        let key = |e: &Evidence| (e.image.created, e.image.name.clone());
        let last = newest.entry(e.subject.clone()).or_insert(e);
        if key(e) > key(last) {
            *last = e;
        }
    }
    newest
}

/// Whether an occurrence has anything left to wait for.
#[must_use]
pub fn open(targets: &[Proven]) -> bool {
    targets.iter().any(|t| t.ended.is_none())
}

/// The facts that stand for what is proven of one run, to be written in one transaction before its row.
#[must_use]
pub fn drafts(run: &str, trigger: Trigger, plan_hash: &str, targets: &[Proven]) -> Vec<Draft> {
    let start = RunStart { trigger: Some(trigger), plan_hash: plan_hash.to_owned(), only: Vec::new(), rebuilt: true };
    let mut drafts = vec![Draft::of_run(run, Fact::RunStarted(start))];
    let of = |t: &Proven, fact: Fact| Draft::of(run, &t.subject, fact);
    for t in targets {
        drafts.push(of(t, Fact::TargetSelected { reboots: t.reboots }));
    }
    drafts.push(Draft::of_run(run, Fact::Selected(Chosen { targets: targets.len() as u64, skipped: 0 })));
    for t in targets {
        let imaging = Imaging { name: t.name.clone(), no_reboot: !t.reboots, checked: false };
        drafts.push(of(t, Fact::StepIntent(Intent::Image(imaging))).at_step(&StepId::Image, 1));
        if t.down {
            drafts.push(of(t, Fact::SlotTaken { reason: LOST.to_owned() }));
        }
        let made = Done { made: Made::Image(t.image.clone()), request: None, adopted: true };
        drafts.push(of(t, Fact::StepDone(made)).at_step(&StepId::Image, 1));
        if let Some(outcome) = t.ended {
            let reason =
                if outcome == Outcome::Done { String::new() } else { format!("the image {} is {}", t.image, t.state) };
            let image = Some(t.image.clone());
            let state = Some(t.state.to_owned());
            let seen = Observed { state, image: image.clone(), reason: Some(reason.clone()), ..Observed::of(outcome) };
            drafts.push(of(t, Fact::StepObserved(seen)).at_step(&StepId::Image, 1));
            let end = TargetEnd { outcome, reason, image, alarmed: true, prevented: None };
            drafts.push(of(t, Fact::TargetFinished(end)));
        }
    }
    if !open(targets) {
        let failed = targets.iter().filter(|t| t.ended == Some(Outcome::Failed)).count() as u64;
        let outcome = if failed > 0 { Outcome::Failed } else { Outcome::Done };
        let counts = Counts { done: targets.len() as u64 - failed, failed, ..Counts::default() };
        let end = RunEnd { outcome, reason: None, barred: false, elapsed_ms: None, counts: Some(counts) };
        drafts.push(Draft::of_run(run, Fact::RunFinished(end)));
    }
    drafts
}

#[cfg(test)]
mod tests;
