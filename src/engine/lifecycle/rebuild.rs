//! A lost journal is made anew from the tags of our images, before anything is decided: what made an image is not
//! imaged again, what is pending is gone on with, who may be down counts as down. It deletes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::cloud::port::{ImageQuery, Read};
use crate::defect::{Defect, planted};
use crate::domain::event::{Decision, Occurrence, Trigger};
use crate::domain::fact::{Draft, Fact, Kind, Rebuilt, Scope};
use crate::domain::naming::{self, Ownership, TAG_PREFIX, parse_run_name, run_name};
use crate::domain::observed::{Image, ImageState};
use crate::domain::place::{Place, Subject};
use crate::domain::plan::Plan;
use crate::domain::rebuild::{self, Evidence, Occurrences, Proven};
use crate::domain::rollout::Down;
use crate::domain::schedule::Timetable;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::stale;
use crate::engine::context::{ActiveRun, Context, JOURNAL_RETRY, Stop};
use crate::engine::lifecycle::daemon::decided;
use crate::engine::lifecycle::plans::{Scheduled, hash_of};
use crate::engine::lifecycle::recover;
use crate::engine::rollout::bracket;
use crate::engine::rollout::return_to_service;
use crate::journal::{Answer, JournalError};

/// What is known of a plan in force.
struct Known {
    plan: Rc<Plan>,
    hash: String,
    timetable: Timetable,
    /// Since when this journal is there: what came due later is decided as always.
    since: DateTime<Utc>,
}

/// Whether the journal has lost its past, or a rebuild of it was cut off. Asked before `daemon.started` is written.
///
/// # Errors
/// The journal's.
pub(crate) async fn pending(shared: &Context) -> Answer<bool> {
    if planted(Defect::RebuildSkipped) {
        return Ok(false);
    }
    if shared.took_over.get() {
        return Ok(true); // it may have a journal of its own already, of runs that were barred
    }
    let reader = shared.journal.reader();
    let Some(started) = reader.newest_in(&Scope::Daemon, &Kind::DaemonStarted).await? else {
        return Ok(shared.rebuild.get());
    };
    let begun = matches!(started.fact(), Fact::DaemonStarted(started) if started.rebuild);
    let ended = reader.newest_in(&Scope::Daemon, &Kind::JournalRebuilt).await?;
    Ok(begun && ended.is_none_or(|ended| ended.seq < started.seq))
}

/// What is said of a journal that does not know its past.
#[derive(Debug, Clone, Copy)]
struct Past {
    /// Why it is rebuilt.
    why: &'static str,
    /// Of an occurrence that left images.
    found: &'static str,
    /// Of one that did not.
    missed: &'static str,
    /// Whether there is one, and it is old.
    older: bool,
}

const LOST: Past = Past {
    why: "the journal is lost; it is being rebuilt from the tags of the images in AWS",
    found: "found in the tags of its images: the journal was lost",
    missed: "it left no image, and the journal was lost: it is not run again",
    older: false,
};
const TAKEN_OVER: Past =
    Past { why: "taken over; the journal is completed from the tags of the images in AWS", ..LOST };
const OLDER: Past = Past {
    why: "the journal is older than what AWS shows, as after a restored disk; it is completed from the tags of the images",
    found: "found in the tags of its images: the journal was older than them",
    missed: "it left no image that is there still, and the journal was older than the images: it is not run again",
    older: true,
};

/// Holds all plans, and rebuilds beside the engine's loop until each may go on.
pub(crate) fn begin(shared: &Rc<Context>, scheduled: &BTreeMap<String, Scheduled>, attempt: u32) {
    let past = if shared.took_over.get() { TAKEN_OVER } else { LOST };
    Rebuild::of(shared, scheduled, past).begin(attempt);
}

impl Rebuild {
    /// Of a journal that is older than what AWS shows, should it be.
    pub(crate) fn of_older(shared: &Rc<Context>, scheduled: &BTreeMap<String, Scheduled>) -> Self {
        Self::of(shared, scheduled, OLDER)
    }

    fn of(shared: &Rc<Context>, scheduled: &BTreeMap<String, Scheduled>, past: Past) -> Self {
        let known = scheduled.values().map(|s| Known {
            plan: Rc::clone(&s.plan),
            hash: s.hash.clone(),
            timetable: s.timetable.clone(),
            since: s.settled,
        });
        Self {
            shared: Rc::clone(shared),
            past,
            since: shared.clock.now(),
            followed: scheduled.keys().cloned().collect(),
            left: known.map(|known| (known.plan.name.clone(), known)).collect(),
            told: BTreeSet::new(),
            counts: Counts::default(),
            orphans: BTreeSet::new(),
        }
    }

    /// Holds all plans, and rebuilds beside the engine's loop until each may go on.
    pub(crate) fn begin(mut self, attempt: u32) {
        let shared = Rc::clone(&self.shared);
        let why = self.past.why;
        let wait = shared.visible_within.get();
        tracing::warn!(
            event = "journal.rebuilding",
            reason = why,
            "nothing is begun until that is done; AWS may take {} s to list what was made just before, so it is asked then",
            wait.as_secs()
        );
        let mut unproven = shared.unproven.borrow_mut();
        (unproven.all, unproven.rebuilding) = (Some(why.to_owned()), true);
        unproven.plans.clear();
        drop(unproven);
        shared.spawn(async move {
            // Cut off by draining, it begins anew at the next start and finds what it has written.
            let _ = self.carry_out(attempt).await;
        });
    }
}

#[derive(Default)]
struct Counts {
    images: usize,
    occurrences: usize,
    going_on: usize,
    down: usize,
    missed: usize,
}

/// What one place holds.
struct Found {
    proven: Occurrences,
    images: usize,
    orphans: Vec<Subject>,
}

pub(crate) struct Rebuild {
    shared: Rc<Context>,
    past: Past,
    /// When it began.
    since: DateTime<Utc>,
    /// The plans in force, as far as they were looked at: rebuilt, or left.
    followed: BTreeSet<String>,
    /// The plans that are not rebuilt yet.
    left: BTreeMap<String, Known>,
    /// Faults that were said, by place.
    told: BTreeSet<String>,
    counts: Counts,
    /// Snapshots that bear our tags and belong to no image. Their tags alone do not prove that they are ours to delete:
    /// a person's copy bears them too.
    orphans: BTreeSet<Subject>,
}

impl Rebuild {
    async fn carry_out(&mut self, attempt: u32) -> Result<(), Stop> {
        // What the last process made just before its end may not be listed yet: its instance would not count as down,
        // its image would not be followed.
        self.shared.pause(self.shared.visible_within.get()).await?;
        let mut wait = FIRST;
        loop {
            if self.round().await? {
                break;
            }
            self.shared.pause(wait).await?;
            wait = longer(wait);
        }
        let Counts { images, occurrences, going_on, down, missed } = self.counts;
        let reason = format!(
            "occurrences: {occurrences}, from images: {images}; of these going on: {going_on}; instances that count as down: \
             {down}; later occurrences recorded as missed: {missed}"
        );
        let orphans: Vec<String> = self.orphans.iter().map(ToString::to_string).collect();
        if !orphans.is_empty() {
            tracing::warn!(
                event = "snapshots.orphaned", reason = %orphans.join(", "),
                "{} snapshots bear our tags and belong to no image: a deletion was cut off, or somebody copied them. They \
                 cost money and are left alone: delete them by hand if nobody needs them", orphans.len()
            );
        }
        let fact = Fact::JournalRebuilt(Rebuilt { reason, images, occurrences, going_on, down, missed, orphans });
        let event = Draft { attempt, ..Draft::of_scope(Scope::Daemon, fact) };
        self.shared.record_result(&[event]).await.map(|_| ())
    }

    /// Lists all places of the plans that are left, and rebuilds those whose places can all be listed. Whether no plan
    /// is left.
    async fn round(&mut self) -> Result<bool, Stop> {
        self.follow();
        let Some(places) = self.places().await? else { return Ok(false) };
        let mut proven = Occurrences::new();
        let mut refused: BTreeMap<&Place, String> = BTreeMap::new();
        let mut images = BTreeMap::new();
        for place in places.values().flatten().collect::<BTreeSet<_>>() {
            match self.shared.unless_drained(self.look(place)).await? {
                Ok(found) => {
                    *images.entry(place.clone()).or_insert(0) += found.images;
                    self.orphans.extend(found.orphans);
                    for (key, targets) in found.proven {
                        proven.entry(key).or_default().extend(targets);
                    }
                }
                Err(fault) => {
                    let why = format!("the journal is lost, and our images in {place} cannot be listed: {fault}");
                    if self.told.insert(place.to_string()) {
                        let plans: Vec<&str> =
                            places.iter().filter(|(_, p)| p.contains(place)).map(|(name, _)| name.as_str()).collect();
                        tracing::error!(
                            event = "journal.rebuilding", account = %place.account, region = %place.region, reason = %why,
                            aws_request_id = fault.request_id.as_deref(),
                            "nothing is begun for {} until they can be; it is tried again",
                            if fault.class.passes() { "any plan".to_owned() } else { format!("the plans {}", plans.join(", ")) }
                        );
                    }
                    if fault.class.passes() {
                        return Ok(false); // who is down there counts for every plan
                    }
                    refused.insert(place, why);
                }
            }
        }
        // AWS has just shown what time it is. By a wrong clock nobody could tell who may be down still.
        if self.shared.cloud.clock_off().is_some() {
            return Ok(false); // its own line says so
        }
        self.counts.images = self.counts.images.max(images.values().sum());
        self.slots_of_the_gone(&proven).await?;
        for (name, its) in &places {
            if let Some(why) = its.iter().find_map(|place| refused.get(place)) {
                self.shared.unproven.borrow_mut().plans.insert(name.clone(), why.clone());
            } else if let Some(known) = self.left.remove(name) {
                let of_it = proven.iter().filter(|((plan, _), _)| plan == name);
                self.restore(&known, of_it.map(|((_, due), targets)| (*due, targets.as_slice())).collect()).await?;
                self.shared.unproven.borrow_mut().plans.remove(name);
            }
        }
        self.follow();
        let mut unproven = self.shared.unproven.borrow_mut();
        unproven.all = None;
        unproven.rebuilding = !self.left.is_empty();
        if self.left.is_empty() {
            unproven.comparing.clear();
        }
        Ok(self.left.is_empty())
    }

    /// A reload may have taken plans away, changed where one selects, or added some.
    fn follow(&mut self) {
        let in_force = self.shared.plans.borrow();
        self.left.retain(|name, _| in_force.contains_key(name));
        self.followed.retain(|name| in_force.contains_key(name));
        self.shared.unproven.borrow_mut().plans.retain(|name, _| in_force.contains_key(name));
        for (name, plan) in in_force.iter() {
            let (hash, _) = hash_of(&**plan);
            if let Some(known) = self.left.get_mut(name) {
                (known.plan, known.hash) = (Rc::clone(plan), hash);
            } else if self.followed.insert(name.clone())
                && let Ok(timetable) = Timetable::new(&plan.schedule)
            {
                // Nothing is owed of what came due before the reload.
                let known = Known { plan: Rc::clone(plan), hash, timetable, since: self.since };
                self.left.insert(name.clone(), known);
            }
        }
    }

    /// The places of each plan that is left, once our account is known.
    async fn places(&mut self) -> Result<Option<BTreeMap<String, BTreeSet<Place>>>, Stop> {
        let known = self.shared.caller.borrow().clone();
        let caller = match known {
            Some(caller) => caller,
            None => match self.shared.unless_drained(self.shared.ask_caller()).await? {
                Ok(caller) => caller,
                Err(fault) => {
                    if self.told.insert("account".into()) {
                        tracing::error!(
                            event = "journal.rebuilding", reason = %fault, aws_request_id = fault.request_id.as_deref(),
                            "the journal is lost, and AWS does not tell which account this is: nothing is begun until it \
                             does; it is tried again"
                        );
                    }
                    return Ok(None);
                }
            },
        };
        if self.shared.another_account().is_some() {
            return Ok(None); // its own line says so; nothing of ours is there
        }
        // Where a plan has none, its runs say so.
        let regions = |plan: &Plan| self.shared.cloud.regions(plan).into_iter();
        let places = |plan: &Plan| regions(plan).map(|r| Place::new(caller.account.clone(), r)).collect();
        Ok(Some(self.left.iter().map(|(name, known)| (name.clone(), places(&known.plan))).collect()))
    }

    /// What our images in one place prove, and how many there are.
    async fn look(&self, place: &Place) -> Read<Found> {
        let sh = &self.shared;
        let query = ImageQuery::Tag(format!("{TAG_PREFIX}daemon"), sh.daemon.clone());
        let images = sh.cloud.images(place, &query).await?;
        let snapshots = match sh.cloud.snapshots_tagged(place, &format!("{TAG_PREFIX}daemon"), &sh.daemon).await {
            Err(fault) if fault.class.passes() => return Err(fault),
            // Who may not list them does not hear of orphans, nor of an image that somebody has removed.
            answer => answer.unwrap_or_default(),
        };
        let orphans = rebuild::orphans(&snapshots, &images);
        let traces: Vec<Image> = orphans.iter().filter_map(|s| rebuild::trace(s, &place.account)).collect();
        let orphans = orphans.into_iter().map(|snapshot| place.subject(&snapshot.id)).collect();
        let mut evidence = Vec::new();
        for image in images.into_iter().chain(traces) {
            let Ownership::Ours(marks) = naming::ownership(&image, &sh.daemon, &place.account) else { continue };
            // Another installation's are its own, unless a person took over from it.
            if marks.installation == sh.installation
                || sh.taken_over_at.is_some_and(|at| image.created.is_some_and(|created| created <= at))
            {
                evidence.push(Evidence { subject: place.subject(&marks.instance), image, marks });
            }
        }
        let now = sh.clock.now();
        let checks = sh.cloud.statuses(place, &rebuild::to_ask(&evidence, now)).await?;
        let checks = checks.into_iter().map(|status| (status.instance.clone(), status)).collect();
        let settle = |plan: &str| {
            let settle = sh.plans.borrow().get(plan).map_or(0, |p| p.rollout.settle);
            // Nobody knows what was seen: an ok is proof by time alone.
            let settle = settle.max(sh.lags.get().proof_by_time().as_secs());
            TimeDelta::seconds(i64::try_from(settle).unwrap_or(0))
        };
        let images = evidence.iter().filter(|e| e.image.state != ImageState::Deregistered).count();
        let proven = rebuild::prove(&evidence, &checks, settle, now);
        Ok(Found { proven, images, orphans })
    }

    /// Of a plan that is in force no more, or an image that is gone, only who is down matters.
    async fn slots_of_the_gone(&mut self, proven: &Occurrences) -> Result<(), Stop> {
        for ((plan, due), targets) in proven {
            let run = run_name(plan, *due);
            let removed = !self.followed.contains(plan);
            for target in targets.iter().filter(|t| t.down && (removed || t.gone)) {
                if self.shared.slots.borrow().is_down(&target.subject) {
                    continue; // taken in an earlier round
                }
                let taken = Fact::SlotTaken { reason: rebuild::LOST.to_owned() };
                // Not the one that its run is rebuilt with, should the plan come into force again: that one follows the
                // selection of its target, or the run does not know of it.
                let taken = Draft { attempt: 2, ..Draft::of(&run, &target.subject, taken) };
                self.shared.record_result(&[taken]).await?;
                self.take(&run, plan, target);
                let call_after = Some(return_to_service::patience(&self.shared));
                bracket::watch(&self.shared, &run, &target.subject, Duration::ZERO, call_after, None);
            }
        }
        Ok(())
    }

    fn take(&mut self, run: &str, plan: &str, target: &Proven) {
        let since = self.shared.clock.now();
        let down = Down { run: run.to_owned(), plan: plan.to_owned(), since, overdue: false, halts: false };
        self.shared.slots.borrow_mut().take(target.subject.clone(), down);
        self.counts.down += 1;
    }

    /// Writes what is proven of one plan, oldest first, and goes on with what is open.
    async fn restore(&mut self, known: &Known, proven: BTreeMap<DateTime<Utc>, &[Proven]>) -> Result<(), Stop> {
        if let Some(newest) = proven.keys().next_back() {
            self.end_older(known, *newest).await?;
        }
        self.shared.unproven.borrow_mut().comparing.remove(&known.plan.name);
        self.shared.slots_changed.notify_waiters();
        let mut missed = Vec::new();
        for (due, targets) in &proven {
            let there: Vec<Proven> = targets.iter().filter(|target| !target.gone).cloned().collect();
            if there.is_empty() {
                missed.push(*due);
                continue;
            }
            let scheduled = known.timetable.next_after(*due - TimeDelta::seconds(1)) == Some(*due);
            let occurrence = Occurrence {
                trigger: if scheduled { Trigger::Schedule } else { Trigger::Manual },
                ..self.occurrence(known, *due, Decision::Run, self.past.found)
            };
            self.counts.occurrences += 1;
            self.restore_one(known, occurrence, &there).await?;
            // Years of images are many transactions: the loop goes round meanwhile, and may be asked to stop.
            self.shared.unless_drained(tokio::task::yield_now()).await?;
        }
        let Some(newest) = proven.keys().next_back() else { return Ok(()) };
        // The others made no image, or none that is there still. Whether they did anything is not known, so they are not run:
        // where the journal is lost, the later ones; where it is older, those between its end and the newest image.
        let due = match self.past.older {
            false => known.timetable.due(known.since, *newest),
            true => known.timetable.due(*newest, known.since),
        };
        for due in missed.into_iter().chain(due.missed.into_iter().map(|miss| miss.due)).chain(due.run) {
            let reader = self.shared.journal.reader();
            if self.shared.known(async || reader.occurrence(&known.plan.name, due).await).await?.is_some() {
                continue; // decided by this journal
            }
            let missed = self.occurrence(known, due, Decision::Miss, self.past.missed);
            let stored = self.write(&missed).await?;
            self.shared.record_result(&[decided(&stored, false)]).await?;
            self.counts.missed += 1;
        }
        Ok(())
    }

    /// Nothing more is imaged in runs that were due before what AWS knows of the plan: what they made since may be gone
    /// again, and with it the name that would tell.
    async fn end_older(&self, known: &Known, newest: DateTime<Utc>) -> Result<(), Stop> {
        let older = |(name, run): (&String, &Rc<ActiveRun>)| {
            let due = parse_run_name(name).map(|(_, due)| due)?;
            let open = run.plan == known.plan.name && due < newest && !run.state.borrow().older;
            open.then(|| stale::older(name))
        };
        let late: Vec<Draft> = self.shared.runs.borrow().iter().filter_map(older).collect();
        if !late.is_empty() {
            self.shared.record_result(&late).await?;
            self.shared.slots_changed.notify_waiters();
        }
        Ok(())
    }

    async fn restore_one(&mut self, known: &Known, occurrence: Occurrence, targets: &[Proven]) -> Result<(), Stop> {
        let run = occurrence.run();
        let reader = self.shared.journal.reader();
        let scope = Scope::Run(run.clone());
        let before = self.shared.known(async || reader.newest_in(&scope, &Kind::RunStarted).await).await?;
        let row = self.shared.known(async || reader.occurrence(&occurrence.plan, occurrence.due).await).await?;
        if row.is_some() {
            return Ok(()); // written before a restart, and gone on with since
        }
        let open = rebuild::open(targets);
        let new = before.is_none();
        if new {
            // The events first: a row without them would be run.
            let mut drafts = vec![decided(&occurrence, false)];
            drafts.extend(rebuild::drafts(&run, occurrence.trigger, &known.hash, targets));
            if open {
                self.shared.record_result(&drafts).await?;
                for target in targets.iter().filter(|t| t.down) {
                    self.take(&run, &occurrence.plan, target);
                }
            } else {
                while let Err(e) = self.shared.restore(&drafts).await {
                    self.give_up_or_wait(&e).await?;
                }
            }
        }
        let stored = self.write(&occurrence).await?;
        if open || !new {
            self.counts.going_on += 1;
            if let Err(e) = recover::start(&self.shared, Rc::clone(&known.plan), stored).await {
                tracing::error!(event = "run.stopped", run = %run, reason = %e, "it goes on after a restart");
            }
        }
        Ok(())
    }

    fn occurrence(&self, known: &Known, due: DateTime<Utc>, decision: Decision, reason: &str) -> Occurrence {
        Occurrence {
            plan: known.plan.name.clone(),
            due,
            trigger: Trigger::Schedule,
            decision,
            reason: reason.to_owned(),
            decided_at: self.shared.clock.now(),
            plan_hash: known.hash.clone(),
        }
    }

    /// Writes a decision, however long that takes; what is stored.
    async fn write(&self, occurrence: &Occurrence) -> Result<Occurrence, Stop> {
        loop {
            match self.shared.decide(occurrence, None).await {
                Ok(stored) => return Ok(stored),
                Err(e) => self.give_up_or_wait(&e).await?,
            }
        }
    }

    async fn give_up_or_wait(&self, failure: &JournalError) -> Result<(), Stop> {
        match failure {
            JournalError::Store { .. } => self.shared.pause(JOURNAL_RETRY).await,
            _ => {
                tracing::error!(event = "journal.failed", reason = %failure, "the rebuild goes on after a restart");
                Err(Stop::Drained)
            }
        }
    }
}
