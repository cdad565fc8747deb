//! What the journal knows of runs that go on, and of plans that halt.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::debt::{Debt, Owed};
use crate::domain::fact::{Fact, StepId};
use crate::domain::naming::parse_run_name;
use crate::domain::place::{Place, Subject};
use crate::domain::saga::RunState;
use crate::engine::distribution;
use crate::engine::images::listing;
use crate::journal::{Answer, Reader};

/// What the journal knows of runs that go on.
#[derive(Default)]
pub struct ActiveRuns {
    /// Each run that has not ended, by name.
    runs: Vec<(String, RunState)>,
    /// Plans that halt, each with why.
    halts: Vec<(String, String)>,
}

impl ActiveRuns {
    /// Reads the journal.
    ///
    /// # Errors
    /// The journal's.
    pub async fn of(journal: &dyn Reader) -> Answer<Self> {
        let mut going_on = Self::default();
        for occurrence in journal.unfinished().await? {
            let name = occurrence.run();
            let state = RunState::fold(&journal.events_of(&name).await?);
            going_on.runs.push((name, state));
        }
        let debts = journal.open_debts().await?;
        let slots = debts.iter().filter_map(Debt::of).filter(|debt| debt.owed == Owed::Slot);
        let down: BTreeSet<_> = slots.map(|debt| (debt.scope, debt.subject)).collect();
        for alarm in journal.open_needs(&StepId::Return).await? {
            let Fact::StepNeedsPerson(need) = alarm.fact() else { continue };
            let halts = need.overdue.as_ref().is_some_and(|overdue| overdue.halts);
            if let (true, Some((plan, _)), Some(subject)) =
                (halts, alarm.draft.scope.run().and_then(parse_run_name), alarm.draft.subject.clone())
                && down.contains(&(alarm.draft.scope.clone(), subject.clone()))
            {
                let why = format!("nothing of it is rebooted until {} is back in service", subject.id);
                going_on.halts.push((plan.to_owned(), why));
            }
        }
        Ok(going_on)
    }

    /// The runs of a plan.
    pub fn of_plan<'a>(&'a self, plan: &'a str) -> impl Iterator<Item = &'a (String, RunState)> {
        self.runs.iter().filter(move |(name, _)| parse_run_name(name).is_some_and(|(p, _)| p == plan))
    }

    /// The images of a place that runs still work on, each with why it is busy.
    pub fn busy(&self, place: &Place) -> BTreeMap<String, String> {
        self.runs.iter().flat_map(|(name, run)| listing::busy_in(name, run, place)).collect()
    }

    /// Whether a run already makes, copies or shares an image.
    pub fn sees_to(&self, image: &Subject) -> bool {
        self.runs.iter().any(|(_, run)| distribution::sees_to(run, image))
    }

    /// What the next occurrence of a plan would meet.
    pub fn notes(&self, plan: &str) -> Vec<String> {
        let holds = self.of_plan(plan).filter(|(_, state)| state.holds());
        let held = holds.map(|(name, _)| {
            format!("{name} is not done with its targets yet: until it is, the plan's occurrences are skipped")
        });
        held.chain(self.halts.iter().filter(|(p, _)| p == plan).map(|(_, why)| why.clone())).collect()
    }
}
