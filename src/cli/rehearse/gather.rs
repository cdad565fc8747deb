//! Folds the engine's events into counters as they are told: a year of them would not fit.

mod life;
mod tally;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use self::life::Life;
use self::tally::Tally;
pub use self::tally::busiest;
use crate::domain::event::Outcome;
use crate::domain::fact::{Event, Fact, Kind, StepId, Topic};
use crate::domain::naming::parse_run_name;
use crate::domain::place::Subject;
use crate::domain::plan::Plan;
use crate::report::rehearsal::{Counted, Most, PlanRehearsal, Stored, plain};

/// A run that goes on.
struct Open {
    due: DateTime<Utc>,
    /// When CreateImage was called for each target.
    captured: BTreeMap<Subject, DateTime<Utc>>,
    /// Its targets that are rebooted.
    reboots: BTreeSet<Subject>,
    targets: u64,
    /// Targets that its window cut.
    cut: u64,
    /// When the last one was back in service.
    back: Option<DateTime<Utc>>,
}

/// The counters of one rehearsal.
pub struct Gather {
    begin: DateTime<Utc>,
    days: usize,
    plans: BTreeMap<String, Tally>,
    open: BTreeMap<String, Open>,
    /// Who is down, and which plan's run took it down.
    down: BTreeMap<Subject, String>,
    /// How many each plan's runs took down.
    down_of: BTreeMap<String, u32>,
    /// The most down at one time on each day.
    most_down: Vec<u32>,
    /// The most at all.
    most: Most,
    /// The plans that rebooted each instance.
    rebooted_by: BTreeMap<Subject, BTreeSet<String>>,
}

impl Gather {
    /// Nothing yet, of these plans, over so many days from `begin`.
    #[must_use]
    pub fn new(plans: &[Plan], begin: DateTime<Utc>, days: usize) -> Self {
        Self {
            begin,
            days,
            plans: plans.iter().map(|p| (p.name.clone(), Tally::new(days))).collect(),
            open: BTreeMap::new(),
            down: BTreeMap::new(),
            down_of: BTreeMap::new(),
            most_down: vec![0; days],
            most: Most::default(),
            rebooted_by: BTreeMap::new(),
        }
    }

    /// The number of the day that holds `at`.
    fn day(&self, at: DateTime<Utc>) -> usize {
        usize::try_from((at - self.begin).num_days()).unwrap_or_default().min(self.days.saturating_sub(1))
    }

    /// A day begins: who is down still counts for it too.
    pub fn midnight(&mut self, at: DateTime<Utc>) {
        let plans: Vec<String> = self.down_of.iter().filter(|(_, n)| **n > 0).map(|(plan, _)| plan.clone()).collect();
        plans.iter().for_each(|plan| self.note_down(plan, at));
    }

    /// One event.
    pub fn hear(&mut self, event: &Event) {
        let Some((plan, due)) =
            event.draft.scope.run().and_then(parse_run_name).map(|(plan, due)| (plan.to_owned(), due))
        else {
            return;
        };
        match &event.draft.subject {
            None => self.hear_run(&plan, due, event),
            Some(subject) if subject.id.starts_with("i-") => self.hear_instance(&plan, subject, event),
            Some(_) => self.hear_image(&plan, event),
        }
        if event.kind() == Kind::StepNeedsPerson
            && let Some(tally) = self.plans.get_mut(&plan)
        {
            tally.alarms.add(&plain(event.reason().unwrap_or_default()));
        }
    }

    fn hear_run(&mut self, plan: &str, due: DateTime<Utc>, event: &Event) {
        let (Some(tally), Some(run)) = (self.plans.get_mut(plan), event.draft.scope.run()) else { return };
        let reason = || plain(event.reason().unwrap_or_default());
        match event.kind() {
            Kind::OccurrenceDecided => tally.occurrences.run += 1,
            Kind::OccurrenceSkipped => {
                tally.occurrences.skipped += 1;
                tally.not_run.add(&reason());
            }
            Kind::OccurrenceMissed => {
                tally.occurrences.missed += 1;
                tally.not_run.add(&reason());
            }
            Kind::RunStarted => {
                let open =
                    Open { due, captured: BTreeMap::new(), reboots: BTreeSet::new(), targets: 0, cut: 0, back: None };
                self.open.insert(run.to_owned(), open);
            }
            Kind::RunFinished => {
                let Some(open) = self.open.remove(run) else { return };
                match event.fact().outcome() {
                    Some(Outcome::Failed) => {
                        tally.occurrences.failed += 1;
                        tally.run_failures.add(&uncounted(&reason()));
                    }
                    _ => tally.occurrences.done += 1,
                }
                tally.ended(run, open.due, event.at, open.back);
                if open.cut > 0 {
                    tally.window.runs += 1;
                    tally.window.targets += open.cut;
                    tally.window.of += open.targets;
                }
            }
            _ => {}
        }
    }

    fn hear_instance(&mut self, plan: &str, subject: &Subject, event: &Event) {
        let day = self.day(event.at);
        let Some(tally) = self.plans.get_mut(plan) else { return };
        let open = event.draft.scope.run().and_then(|run| self.open.get_mut(run));
        let reason = event.reason().unwrap_or_default();
        let image = event.step() == Some(&StepId::Image);
        match event.fact() {
            Fact::TargetSelected { reboots } => {
                let Some(open) = open else { return };
                open.targets += 1;
                if *reboots {
                    open.reboots.insert(subject.clone());
                }
                tally.taken.insert(subject.clone());
                tally.lives.entry(subject.clone()).or_insert_with(|| Life::new(self.begin));
            }
            Fact::TargetSkipped(skipped) => {
                tally.targets.skipped += 1;
                tally.left_out.add(&plain(reason));
                // What the plan excludes is not meant to have images.
                if !matches!(skipped.class.as_deref(), Some("excluded" | "not_selected" | "not_found")) {
                    tally.lives.entry(subject.clone()).or_insert_with(|| Life::new(self.begin));
                }
            }
            Fact::TargetFinished(end) => match end.outcome {
                Outcome::Done => tally.targets.done += 1,
                Outcome::Skipped => {
                    tally.targets.skipped += 1;
                    tally.left_out.add(&plain(reason));
                    if let Some(open) = open.filter(|_| reason.starts_with("the window of")) {
                        open.cut += 1;
                    }
                }
                _ => {
                    tally.targets.failed += 1;
                    tally.failures.add(&plain(reason));
                }
            },
            Fact::StepIntent(_) if image => {
                if let Some(open) = open {
                    open.captured.insert(subject.clone(), event.at);
                }
            }
            Fact::StepDone(_)
                if image
                    && self.down.contains_key(subject)
                    && open.as_ref().is_some_and(|open| open.reboots.contains(subject)) =>
            {
                tally.daily.reboots[day] += 1;
                self.rebooted_by.entry(subject.clone()).or_default().insert(plan.to_owned());
            }
            Fact::StepObserved(seen) if image => {
                let captured = open.and_then(|open| open.captured.get(subject).copied());
                if seen.outcome == Outcome::Done
                    && let (Some(life), Some(at)) = (tally.lives.get_mut(subject), captured)
                {
                    life.good(at);
                }
            }
            Fact::SlotTaken { .. } => {
                if self.down.insert(subject.clone(), plan.to_owned()).is_none() {
                    *self.down_of.entry(plan.to_owned()).or_default() += 1;
                }
                self.note_down(plan, event.at);
            }
            Fact::SlotFreed { .. } => {
                if let Some(plan) = self.down.remove(subject) {
                    self.down_of.entry(plan).and_modify(|n| *n = n.saturating_sub(1));
                }
                if let Some(open) = open.filter(|open| open.reboots.contains(subject)) {
                    open.back = open.back.max(Some(event.at));
                }
            }
            Fact::RetainDecided(verdicts) => {
                if let Topic::Series(role) = event.draft.topic {
                    tally.verdicts(subject, role, verdicts);
                }
            }
            _ => {}
        }
    }

    /// An image goes: the intent says why.
    fn hear_image(&mut self, plan: &str, event: &Event) {
        let Some(tally) = self.plans.get_mut(plan) else { return };
        let Some(subject) = event.draft.subject.as_ref().filter(|s| s.id.starts_with("ami-")) else { return };
        match event.fact() {
            _ if event.step() != Some(&StepId::Retain) => {} // copied, or shared
            Fact::StepIntent(_) => {
                tally.going.insert(subject.id.clone(), plain(event.reason().unwrap_or_default()));
            }
            Fact::StepDone(_) => {
                if let Some(reason) = tally.going.remove(&subject.id) {
                    tally.deleted.add(&reason);
                }
            }
            _ => {}
        }
    }

    fn note_down(&mut self, plan: &str, at: DateTime<Utc>) {
        let day = self.day(at);
        let all = u32::try_from(self.down.len()).unwrap_or(u32::MAX);
        let of_plan = self.down_of.get(plan).copied().unwrap_or_default();
        self.most_down[day] = self.most_down[day].max(all);
        let when = at.trunc_subsecs(0);
        raise(&mut self.most, all.into(), when);
        if let Some(tally) = self.plans.get_mut(plan) {
            tally.daily.down[day] = tally.daily.down[day].max(of_plan);
            raise(&mut tally.most_down, of_plan.into(), when);
        }
    }

    /// The plans with all that was counted, and what each stores; `name` tells an instance's tag `Name`.
    pub fn plans(
        &self,
        plans: &[Plan],
        regions: impl Fn(&Plan) -> Vec<String>,
        name: impl Fn(&str) -> Option<String>,
        stored: impl Fn(&str) -> Stored,
    ) -> Vec<PlanRehearsal> {
        let end = self.begin + TimeDelta::days(i64::try_from(self.days).unwrap_or_default());
        let unfinished = |plan: &str| {
            let of_plan = |run: &&String| parse_run_name(run).is_some_and(|(p, _)| p == plan);
            self.open.keys().filter(of_plan).count() as u64
        };
        let one = |plan: &Plan| {
            let tally = self.plans.get(&plan.name)?;
            let seen = tally::Seen { begin: self.begin, end, name: &name, unfinished: unfinished(&plan.name) };
            Some(tally.document(plan, regions(plan), stored(&plan.name), &seen))
        };
        plans.iter().filter_map(one).collect()
    }

    /// The most down at one time, and day by day.
    #[must_use]
    pub fn down(&self) -> (Most, Vec<u32>) {
        (self.most.clone(), self.most_down.clone())
    }

    /// How many instances several plans reboot, by those plans.
    #[must_use]
    pub fn rebooted_by_several(&self) -> Vec<Counted> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for plans in self.rebooted_by.values().filter(|plans| plans.len() > 1) {
            *counts.entry(plans.iter().cloned().collect::<Vec<_>>().join(", ")).or_default() += 1;
        }
        counts.into_iter().map(|(reason, count)| Counted { reason, count }).collect()
    }
}

/// `2 of 50 targets failed` without the figures: runs that failed alike are counted together.
fn uncounted(reason: &str) -> String {
    let mut words = reason.splitn(4, ' ');
    let is_figure = |word: Option<&str>| word.is_some_and(|w| w.parse::<u64>().is_ok());
    let counts = is_figure(words.next()) && words.next() == Some("of") && is_figure(words.next());
    match words.next() {
        Some(rest) if counts => format!("some {rest}"),
        _ => reason.to_owned(),
    }
}

/// Keeps the first time of the most.
fn raise(most: &mut Most, count: u64, at: DateTime<Utc>) {
    if count > most.count {
        *most = Most { count, at: Some(crate::domain::naming::rfc3339(at)) };
    }
}

#[cfg(test)]
mod tests;
