//! What `history` shows: the newest runs that fit, oldest first.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::run::RunDocument;
use crate::domain::event::Outcome;
use crate::domain::fact::{Event, StepId};
use crate::domain::place::Subject;
use crate::journal::{Answer, Reader};

/// So many occurrences are read at once while those that are asked for are looked for.
const AT_ONCE: u32 = 200;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Only this plan.
    pub plan: Option<String>,
    /// Only this instance.
    pub instance: Option<String>,
    /// Due then or later.
    pub since: DateTime<Utc>,
    /// Due then or earlier.
    pub until: DateTime<Utc>,
    /// How the run, or the instance in it, ended.
    pub outcome: Option<Outcome>,
    /// At most so many.
    pub limit: usize,
}

impl Filter {
    /// The run as it is shown, if it fits.
    fn fits(&self, document: RunDocument) -> Option<RunDocument> {
        let outcome = match &self.instance {
            Some(instance) => document.outcome_of(instance)?,
            None => document.outcome,
        };
        self.outcome.is_none_or(|wanted| wanted.as_str() == outcome).then_some(document)
    }

    /// The events that tell of what is asked for: with an instance, those of others are left out.
    fn events(&self, events: Vec<Event>) -> Vec<Event> {
        let Some(instance) = &self.instance else { return events };
        let other = |s: &Subject| s.id.starts_with("i-") && s.id != *instance;
        let own: Vec<Event> = events.into_iter().filter(|e| !e.draft.subject.as_ref().is_some_and(other)).collect();
        // Its series is what the verdicts speak of; other images and their snapshots are other instances'.
        let mut named: BTreeSet<String> = RunDocument::verdicts_of(&own).into_iter().map(|v| v.image).collect();
        // So is the image that was made of it, with its copies.
        let made = own.iter().filter(|e| e.draft.subject.as_ref().is_some_and(|s| s.id == *instance));
        named.extend(made.filter_map(|e| e.fact().image()).map(str::to_owned));
        let copies = own.iter().filter(|e| e.draft.subject.as_ref().is_some_and(|s| named.contains(&s.id)));
        let copies: Vec<String> = copies.filter_map(|e| e.fact().image()).map(str::to_owned).collect();
        named.extend(copies);
        let intents = own.iter().filter(|e| e.draft.subject.as_ref().is_some_and(|s| named.contains(&s.id)));
        let mut kept: BTreeSet<String> = intents.flat_map(|e| e.fact().snapshots()).cloned().collect();
        kept.extend(named);
        kept.insert(instance.clone());
        own.into_iter().filter(|e| e.draft.subject.as_ref().is_none_or(|s| kept.contains(&s.id))).collect()
    }
}

/// The newest runs that fit, oldest first.
///
/// # Errors
/// The journal's.
pub async fn read(journal: &dyn Reader, filter: &Filter) -> Answer<Vec<RunDocument>> {
    let open: BTreeSet<Subject> =
        journal.open_needs(&StepId::Retain).await?.into_iter().filter_map(|e| e.draft.subject).collect();
    let mut runs = Vec::new();
    let mut skip = 0;
    while runs.len() < filter.limit {
        let some =
            journal.occurrences_between(filter.plan.as_deref(), filter.since, filter.until, AT_ONCE, skip).await?;
        if some.is_empty() {
            break;
        }
        skip += AT_ONCE;
        for occurrence in some {
            if runs.len() == filter.limit {
                break;
            }
            let events = filter.events(journal.events_of(&occurrence.run()).await?);
            runs.extend(filter.fits(RunDocument::of(&occurrence, &events).as_of(&open)));
        }
    }
    runs.reverse();
    Ok(runs)
}
