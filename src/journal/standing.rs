//! What stands now, told from facts that the store finds: alarms, the newest good images, what is known of one image.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Find, Reader};
use crate::domain::alarm::{self, End, Within};
use crate::domain::event::Outcome;
use crate::domain::fact::codec::step_text;
use crate::domain::fact::{Event, Fact, Kind, Scope, StepId, Topic};

async fn is_over<R: Reader + ?Sized>(reader: &R, need: &Event, end: &End) -> Answer<bool> {
    let mut find = Find {
        subject: need.draft.subject.clone(),
        kinds: end.kinds,
        step: end.topic.clone(),
        scope: (end.within == Within::Scope).then(|| need.draft.scope.clone()),
        after: need.seq,
        before: i64::MAX,
    };
    while let Some(later) = reader.newest(&find).await? {
        if end.is(need, &later) {
            return Ok(true);
        }
        find.before = later.seq;
    }
    Ok(false)
}

/// Those of the alarms that stand, by `seq`.
async fn standing<R: Reader + ?Sized>(
    reader: &R,
    needs: impl IntoIterator<Item = Event>,
    ends: impl Fn(&Event) -> Vec<End>,
) -> Answer<Vec<Event>> {
    let mut open = Vec::new();
    'needs: for need in needs {
        for end in ends(&need) {
            if is_over(reader, &need, &end).await? {
                continue 'needs;
            }
        }
        open.push(need);
    }
    Ok(open)
}

/// The newest alarm of each subject and topic, by `seq`.
async fn newest_needs<R: Reader + ?Sized>(reader: &R) -> Answer<Vec<Event>> {
    let mut newest = BTreeMap::new();
    for need in reader.events_of_kind(&Kind::StepNeedsPerson).await? {
        newest.insert(alarm::which(&need), need);
    }
    let mut needs: Vec<Event> = newest.into_values().collect();
    needs.sort_by_key(|need| need.seq);
    Ok(needs)
}

/// Alarms that nothing has ended since: the newest of each subject and topic.
pub(super) async fn alarms<R: Reader + ?Sized>(reader: &R) -> Answer<Vec<Event>> {
    standing(reader, newest_needs(reader).await?, alarm::ends).await
}

/// Subjects that needed a person in `step` and are not done since: the newest such fact of each.
pub(super) async fn open_needs<R: Reader + ?Sized>(reader: &R, step: &StepId) -> Answer<Vec<Event>> {
    let step = step.to_string();
    let of_step = newest_needs(reader).await?.into_iter().filter(|need| step_text(&need.draft) == step);
    standing(reader, of_step, |need| vec![alarm::done(need)]).await
}

/// The scopes of which something is open, so that they stay whole: debts, and images or snapshots that could not be removed.
pub(super) async fn open_scopes<R: Reader + ?Sized>(reader: &R) -> Answer<BTreeSet<Scope>> {
    let needs = reader.events_of_kind(&Kind::StepNeedsPerson).await?;
    let removals = needs.into_iter().filter(|need| need.draft.topic == Topic::Step(StepId::Retain));
    let removals = standing(reader, removals, |need| vec![alarm::done(need)]).await?;
    let open = reader.open_debts().await?.into_iter().chain(removals);
    Ok(open.map(|event| event.draft.scope).collect())
}

/// Of each instance and plan the fact that told of its newest image that became available, by `seq`.
pub(super) async fn newest_good<R: Reader + ?Sized>(reader: &R) -> Answer<Vec<Event>> {
    let step = StepId::Image.to_string();
    let is_good = |event: &Event| event.fact().outcome() == Some(Outcome::Done);
    let plan = |event: &Event| plan_text(&event.draft.scope);
    let mut good = Vec::new();
    for newest in reader.newest_each(&Kind::StepObserved, &step).await? {
        let of = plan(&newest);
        let mut found = Some(newest);
        while let Some(event) = found.take_if(|event| !is_good(event) || plan(event) != of) {
            let (subject, before) = (event.draft.subject, event.seq);
            let kinds = &[Kind::StepObserved];
            let find = Find { subject, kinds, step: Some(step.clone()), scope: None, after: 0, before };
            found = reader.newest(&find).await?;
        }
        good.extend(found);
    }
    good.sort_by_key(|event| event.seq);
    Ok(good)
}

/// Holds that were raised and not cleared, by `seq`.
pub(super) async fn holds<R: Reader + ?Sized>(reader: &R) -> Answer<Vec<Event>> {
    let mut standing: BTreeMap<String, Event> = BTreeMap::new();
    for raised in reader.events_of_kind(&Kind::HoldRaised).await? {
        standing.insert(step_text(&raised.draft), raised);
    }
    for cleared in reader.events_of_kind(&Kind::HoldCleared).await? {
        let which = step_text(&cleared.draft);
        if standing.get(&which).is_some_and(|raised| raised.draft.attempt <= cleared.draft.attempt) {
            standing.remove(&which);
        }
    }
    let mut holds: Vec<Event> = standing.into_values().collect();
    holds.sort_by_key(|event| event.seq);
    Ok(holds)
}

/// The part of a run's name that is its plan's, whatever the rest is.
fn plan_text(scope: &Scope) -> String {
    /// The end of a run's name: `@20261120T023000Z`.
    const DUE_LENGTH: usize = 17;
    let run = crate::domain::fact::codec::scope_text(scope);
    run.get(..run.len().saturating_sub(DUE_LENGTH)).unwrap_or_default().to_owned()
}

/// What is known of an image whose place need not be known: facts about it, and the one that told of its making.
pub(super) async fn about_image<R: Reader + ?Sized>(reader: &R, image: &str) -> Answer<Vec<Event>> {
    let mut events: BTreeMap<i64, Event> = BTreeMap::new();
    for event in reader.events_about_id(image).await? {
        events.insert(event.seq, event);
    }
    for event in reader.events_naming(&Kind::StepDone, image).await? {
        let made = match (event.step(), event.fact()) {
            (Some(StepId::Image | StepId::Copy(_) | StepId::Via(_)), Fact::StepDone(done)) => done.made.image(),
            _ => None,
        };
        if made == Some(image) {
            events.insert(event.seq, event);
        }
    }
    Ok(events.into_values().collect())
}
