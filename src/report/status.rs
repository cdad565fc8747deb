//! What `status` tells, as a document and as text: a fold over the journal, so that it needs nobody's answer.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::document::{SCHEMA, line};
use super::table::{Cell, Paint, Table, Tone};
use crate::domain::event::{Event, Occurrence};
use crate::domain::naming::rfc3339;
use crate::domain::saga::{Phase, RunState, Slot, StepState, TargetState};
use crate::domain::schedule::words;

/// Who runs the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DaemonStatus {
    /// The daemon's name.
    pub daemon: String,
    /// Whether somebody holds the lock: a daemon, or a `backup` without one. Nothing: it cannot be told.
    pub running: Option<bool>,
    /// The version that ran last.
    pub version: Option<String>,
    /// Since when it runs, or ran.
    pub since: Option<String>,
    /// When it stopped in order.
    pub stopped: Option<String>,
}

/// What one target of a run that goes on does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetStatus {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `i-...`
    pub instance: String,
    /// The step: slot, image, return or end.
    pub step: &'static str,
    /// When it was last heard of.
    pub since: String,
    /// What it waits for.
    pub reason: String,
    /// `ami-...`, once known.
    pub image: Option<String>,
}

/// One run that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStatus {
    /// `plan@due`.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// RFC 3339, UTC.
    pub due: String,
    /// schedule or manual.
    pub trigger: &'static str,
    /// When it was last heard of.
    pub since: String,
    /// How many of its targets have ended.
    pub ended: usize,
    /// What it does as a whole.
    pub reason: String,
    /// Its targets that have not ended.
    pub targets: Vec<TargetStatus>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastRun {
    /// `plan@due`.
    pub run: String,
    /// done, failed, skipped, missed or unfinished.
    pub outcome: &'static str,
    /// Why, where it is not plainly done.
    pub reason: String,
}

/// One plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanStatus {
    /// Its name.
    pub plan: String,
    /// Its zone.
    pub timezone: String,
    /// Its next occurrence.
    pub next: Option<String>,
    /// The same on the clocks of its zone.
    pub local: Option<String>,
    /// Its newest occurrence.
    pub last: Option<LastRun>,
}

/// The newest good image that a plan made of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceStatus {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `i-...`
    pub instance: String,
    /// The plan.
    pub plan: String,
    /// `ami-...`; nothing: no good one is in the journal.
    pub image: Option<String>,
    /// The occurrence that made it.
    pub due: Option<String>,
    /// Seconds since then.
    pub age_s: Option<i64>,
}

/// What a person must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NeedsPerson {
    /// Since when.
    pub since: String,
    /// The run, where it is about one.
    pub run: Option<String>,
    /// The instance, image or snapshot, where it is about one.
    pub subject: Option<String>,
    /// What happened, and what to do.
    pub reason: String,
}

/// The document of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusDocument {
    /// When it was made.
    pub at: String,
    /// Who runs the engine.
    pub daemon: DaemonStatus,
    /// The journal that was read; nothing: there is none yet.
    pub journal: Option<String>,
    /// What needs a person.
    pub needs_person: Vec<NeedsPerson>,
    /// Runs that go on.
    pub runs: Vec<RunStatus>,
    /// All plans.
    pub plans: Vec<PlanStatus>,
    /// The newest good images, the oldest first.
    pub instances: Vec<InstanceStatus>,
}

impl RunStatus {
    /// A run that goes on, from its events.
    #[must_use]
    pub fn of(occurrence: &Occurrence, events: &[Event]) -> Self {
        let state = RunState::fold(events);
        let open = state.targets.iter().filter(|(_, target)| target.finished.is_none());
        let targets: Vec<TargetStatus> = open
            .map(|(subject, target)| {
                let (step, reason) = waits(target);
                let heard = events.iter().rfind(|e| e.draft.subject.as_ref() == Some(subject));
                TargetStatus {
                    account: subject.place.account.clone(),
                    region: subject.place.region.clone(),
                    instance: subject.id.clone(),
                    step,
                    since: rfc3339(heard.map_or(occurrence.decided_at, |e| e.at)),
                    reason,
                    image: target.image().map(str::to_owned),
                }
            })
            .collect();
        let ended = state.targets.len() - targets.len();
        Self {
            run: occurrence.run(),
            plan: occurrence.plan.clone(),
            due: rfc3339(occurrence.due),
            trigger: occurrence.trigger.as_str(),
            since: rfc3339(events.last().map_or(occurrence.decided_at, |e| e.at)),
            ended,
            reason: stage(&state, ended),
            targets,
        }
    }
}

/// What a run does as a whole.
fn stage(state: &RunState, ended: usize) -> String {
    if let Some(what) = &state.not_understood {
        return format!("stopped: its journal holds {what}, which this version does not understand");
    }
    if !state.selected {
        return "selecting its targets".into();
    }
    if ended < state.targets.len() {
        return format!("{ended} of {} targets ended", state.targets.len());
    }
    let removals = state.others.iter().filter(|(s, _)| s.id.starts_with("ami-"));
    let (begun, open) = removals.fold((0, 0), |(begun, open), (_, steps)| {
        (begun + 1, open + usize::from(!steps.values().all(StepState::ended)))
    });
    format!("{ended} targets ended; retention: {} images removed, {open} being removed", begun - open)
}

/// The step that a target is in, and what it waits for.
fn waits(target: &TargetState) -> (&'static str, String) {
    let Some(image) = target.steps.get("image") else {
        return if target.reboots {
            ("slot", "waits for its turn: as many are down as may be at once".into())
        } else {
            ("image", "CreateImage is about to be called, without a reboot".into())
        };
    };
    let down = matches!(target.slot, Slot::Taken(_)) && !target.steps.get("return").is_some_and(StepState::ended);
    let id = target.image().unwrap_or("its image");
    match &image.phase {
        Phase::Intended => ("image", "CreateImage is being called".into()),
        Phase::Unknown => ("image", "the answer to CreateImage was lost: what became of it is looked for".into()),
        Phase::NotMade => ("image", "CreateImage was refused for now: it is tried again".into()),
        Phase::Done if down => {
            ("return", format!("rebooted: waits until both status checks read ok, and until {id} is available"))
        }
        Phase::Done => ("image", format!("waits until {id} is available")),
        _ if down => ("return", "rebooted: waits until both status checks read ok".into()),
        _ => ("end", "is about to end".into()),
    }
}

/// Seconds as `3d 4h`, for tables.
fn age(seconds: i64) -> String {
    words(seconds.unsigned_abs())
}

/// Seconds from an instant to now.
#[must_use]
pub fn seconds_since(then: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (now - then).num_seconds()
}

impl StatusDocument {
    /// One line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            status: &'a StatusDocument,
        }
        line(&Document { schema: SCHEMA, status: self })
    }

    /// Whether nothing needs a person.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.needs_person.is_empty()
    }

    /// Lines for people.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = self.daemon.text(paint);
        if self.journal.is_none() {
            text += "no journal yet: nothing has run\n";
        }
        if !self.needs_person.is_empty() {
            let _ = writeln!(text, "\n{}", paint.tone(Tone::Bad, "NEEDS A PERSON"));
            for need in &self.needs_person {
                let about = [need.run.as_deref(), need.subject.as_deref()];
                let about = about.into_iter().flatten().collect::<Vec<_>>().join(" ");
                let _ = writeln!(text, "  since {} {}", need.since, paint.tone(Tone::Head, &about));
                let _ = writeln!(text, "    {}", paint.tone(Tone::Bad, &need.reason));
            }
        }
        let _ = writeln!(text, "\n{}", paint.tone(Tone::Head, "RUNNING"));
        if self.runs.is_empty() {
            text += "  nothing\n";
        }
        if self.daemon.running == Some(false) && !self.runs.is_empty() {
            let _ = writeln!(
                text,
                "  {}",
                paint.tone(Tone::Warn, "nobody works on it: it goes on when stillframe runs again")
            );
        }
        for run in &self.runs {
            let _ = writeln!(text, "  {}  {} (last heard of {})", run.run, run.reason, run.since);
            let mut table = Table::new(4);
            for t in &run.targets {
                table.row([
                    (&*t.instance).into(),
                    (&*t.region).into(),
                    t.step.into(),
                    (&*t.since).into(),
                    (&*t.reason).into(),
                ]);
            }
            text += &table.text(paint);
        }
        let mut plans = Table::headed(2, &["PLAN", "NEXT", "LOCAL", "LAST", "OUTCOME", "WHY"]);
        for p in &self.plans {
            let next = p.next.as_deref().unwrap_or("never");
            let local = p.local.as_ref().map_or(String::new(), |local| format!("{local} {}", p.timezone));
            let (run, outcome, why) = match &p.last {
                Some(last) => (last.run.as_str(), last.outcome, last.reason.as_str()),
                None => ("-", "", ""),
            };
            table_row(&mut plans, [&p.plan, next, &local, run], outcome, why);
        }
        let _ = write!(text, "\n{}\n{}", paint.tone(Tone::Head, "PLANS"), plans.text(paint));
        if self.plans.is_empty() {
            text += "  there are none\n";
        }
        if !self.instances.is_empty() {
            let _ =
                writeln!(text, "\n{}", paint.tone(Tone::Head, "NEWEST GOOD IMAGES (by the journal, the oldest first)"));
            let mut table = Table::headed(2, &["INSTANCE", "REGION", "PLAN", "AGE", "DUE", "IMAGE"]);
            for i in &self.instances {
                let age = match i.age_s {
                    Some(seconds) => Cell::from(age(seconds)),
                    None => Cell::toned(Tone::Bad, "none"),
                };
                let (due, image) = (i.due.as_deref().unwrap_or("-"), i.image.as_deref().unwrap_or("-"));
                table.row([
                    (&*i.instance).into(),
                    (&*i.region).into(),
                    (&*i.plan).into(),
                    age,
                    due.into(),
                    image.into(),
                ]);
            }
            text += &table.text(paint);
        }
        text
    }
}

fn table_row(table: &mut Table, cells: [&str; 4], outcome: &str, why: &str) {
    let [plan, next, local, run] = cells.map(Cell::from);
    table.row([plan, next, local, run, Cell::word(outcome), why.into()]);
}

impl DaemonStatus {
    fn text(&self, paint: Paint) -> String {
        let version = self.version.as_ref().map_or(String::new(), |v| format!(", stillframe {v}"));
        let since = self.since.as_deref().unwrap_or("an unknown time");
        let (tone, words) = match (self.running, &self.since) {
            (Some(true), _) => (Tone::Good, format!("is running since {since}{version}")),
            (Some(false), None) => (Tone::Warn, "is not running".into()),
            (Some(false), Some(_)) => {
                let end = match &self.stopped {
                    Some(stopped) => format!("it stopped at {stopped}"),
                    None => "it did not stop in order".into(),
                };
                (Tone::Warn, format!("is not running; it last started at {since}{version}; {end}"))
            }
            (None, _) => (Tone::Warn, "may be running or not: the lock cannot be looked at".into()),
        };
        format!("daemon {} {}\n", self.daemon, paint.tone(tone, &words))
    }
}
