//! Makes the document of `status` from the journal.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::owed::owed;
use super::{
    DaemonStatus, DebtStatus, HoldStatus, InstanceStatus, LastRun, NeedsPerson, PlanStatus, RunStatus, StatusDocument,
};
use crate::domain::debt::{Debt, Owed};
use crate::domain::event::{Decision, Occurrence, Outcome, Trigger};
use crate::domain::fact::{Event, Fact, Kind, Scope, Topic, codec};
use crate::domain::hold::Cause;
use crate::domain::naming::{parse_run_name, rfc3339};
use crate::domain::place::Subject;
use crate::domain::plan::Plan;
use crate::domain::saga::RunState;
use crate::domain::schedule::Timetable;
use crate::journal::{Answer, Reader};

/// So many of a plan's newest occurrences are looked at for the last one that ran.
const LOOK_BACK: u32 = 20;

/// So many of those that are down are named.
const NAMED_MAX: usize = 3;

/// The document, from a journal, which lies there, if there is one.
///
/// # Errors
/// The journal's.
pub async fn gather(
    journal: Option<(&dyn Reader, &str)>,
    daemon: &str,
    plans: &[Plan],
    running: Option<bool>,
    now: DateTime<Utc>,
) -> Answer<StatusDocument> {
    let mut document = StatusDocument {
        zones: None,
        at: rfc3339(now),
        daemon: DaemonStatus { daemon: daemon.to_owned(), running, version: None, since: None, stopped: None },
        protection: None,
        holds: Vec::new(),
        debts: Vec::new(),
        journal: journal.map(|(_, path)| path.to_owned()),
        needs_person: Vec::new(),
        runs: Vec::new(),
        plans: Vec::new(),
        instances: Vec::new(),
    };
    let journal = journal.map(|(reader, _)| reader);
    for plan in plans {
        document.plans.push(plan_status(plan, journal, now, &mut document.needs_person).await?);
    }
    let Some(journal) = journal else { return Ok(document) };
    if let Some(started) = journal.newest_in(&Scope::Daemon, &Kind::DaemonStarted).await? {
        if let Fact::DaemonStarted(told) = started.fact() {
            document.daemon.version = Some(told.version.clone());
        }
        document.daemon.since = Some(rfc3339(started.at));
        let stopped = journal.newest_in(&Scope::Daemon, &Kind::DaemonStopped).await?;
        let stopped = stopped.filter(|s| s.seq > started.seq);
        document.daemon.stopped = stopped.as_ref().map(|s| rfc3339(s.at));
        document.needs_person.extend(stopped.as_ref().and_then(left_taken));
        if running == Some(false) && stopped.is_none() {
            document.needs_person.insert(0, dead(&started));
        }
    }
    for raised in journal.holds().await? {
        let Topic::Hold { cause, plan } = &raised.draft.topic else { continue };
        let (since, reason) = (rfc3339(raised.at), raised.reason().unwrap_or_default().to_owned());
        let what = plan.as_ref().map_or("nothing is begun".to_owned(), |plan| format!("nothing of {plan} is begun"));
        let what = if *cause == Cause::MachineUnknown { "nothing is rebooted" } else { what.as_str() };
        let need = format!("{what}: {reason}");
        document.needs_person.insert(0, NeedsPerson::of_all(since.clone(), need));
        document.holds.push(HoldStatus { cause: cause.as_str(), plan: plan.clone(), since, reason });
    }
    let debts = journal.open_debts().await?;
    document.debts = debts.iter().filter_map(debt).collect();
    for occurrence in journal.unfinished().await? {
        let events = journal.events_of(&occurrence.run()).await?;
        document.runs.push(RunStatus::of(&occurrence, &events));
    }
    name_who_is_down(&mut document.runs, &debts);
    if running == Some(false)
        && let Some(run) = document.runs.first()
    {
        let others = document.runs.len() - 1;
        let also = if others == 0 { String::new() } else { format!(", and so are {others} more") };
        let reason = format!("the run is unfinished{also}, and nobody works on it: start stillframe, and it goes on");
        let (since, run) = (run.since.clone(), Some(run.run.clone()));
        document.needs_person.push(NeedsPerson { since, run, subject: None, reason });
    }
    let refused = journal.newest_in(&Scope::Daemon, &Kind::ConfigRefused).await?;
    let applied = journal.newest_in(&Scope::Daemon, &Kind::ConfigApplied).await?;
    if let Some(refused) = refused.filter(|r| applied.is_none_or(|applied| applied.seq < r.seq)) {
        let reason = refused.reason().unwrap_or_default().to_owned();
        document.needs_person.insert(0, NeedsPerson::of_all(rfc3339(refused.at), reason));
    }
    let alarms = journal.alarms().await?;
    document.needs_person.splice(
        0..0,
        alarms.iter().map(|e| NeedsPerson {
            since: rfc3339(e.at),
            run: Some(codec::scope_text(&e.draft.scope).to_owned()),
            subject: e.draft.subject.as_ref().map(|s| s.id.clone()),
            reason: e.reason().unwrap_or_default().to_owned(),
        }),
    );
    document.instances = instances(journal, plans, now).await?;
    Ok(document)
}

/// That whoever ran the engine last did not stop in order, and nobody runs it now.
fn dead(started: &Event) -> NeedsPerson {
    let reason = format!(
        "stillframe died: it started at {} and never stopped in order, and nobody runs it now. Start it again \
         (`systemctl start stillframe`); what was under way goes on",
        rfc3339(started.at)
    );
    NeedsPerson::of_all(rfc3339(started.at), reason)
}

/// For whom the targets that wait for their turn wait.
fn name_who_is_down(runs: &mut [RunStatus], debts: &[Event]) {
    let slots = debts.iter().filter_map(Debt::of).filter(|debt| debt.owed == Owed::Slot);
    let down: Vec<String> =
        slots.map(|debt| format!("{} (since {})", debt.subject.id, rfc3339(debt.since))).take(NAMED_MAX).collect();
    if down.is_empty() {
        return;
    }
    for target in runs.iter_mut().flat_map(|run| &mut run.targets).filter(|target| target.step == "slot") {
        target.reason = format!("{}: {}", target.reason, down.join(", "));
    }
}

/// What was taken and is to be given back.
fn debt(opened: &Event) -> Option<DebtStatus> {
    let debt = Debt::of(opened)?;
    let what = match &debt.owed {
        Owed::Slot => "counts as down until it is proven to be back".to_owned(),
        Owed::Taken { by, back } => format!("{by}, which {back} gives back"),
        Owed::Grant { plan, to } => format!("{to} may use it for {plan}"),
    };
    Some(DebtStatus {
        account: debt.subject.place.account,
        region: debt.subject.place.region,
        subject: debt.subject.id,
        run: debt.scope.run().map(str::to_owned),
        since: rfc3339(debt.since),
        what,
    })
}

/// What the daemon had taken from instances when it stopped: nobody gives it back before it starts again.
fn left_taken(stopped: &Event) -> Option<NeedsPerson> {
    let Fact::DaemonStopped { owed, .. } = stopped.fact() else { return None };
    let reason = || format!("not given back when the daemon stopped; start it to give it back: {}", owed.join(", "));
    (!owed.is_empty()).then(|| NeedsPerson::of_all(rfc3339(stopped.at), reason()))
}

/// When a plan is due next, and how it went last.
async fn plan_status(
    plan: &Plan,
    journal: Option<&dyn Reader>,
    now: DateTime<Utc>,
    needs: &mut Vec<NeedsPerson>,
) -> Answer<PlanStatus> {
    // `config` has compiled the same lines when it checked the plan.
    let timetable = Timetable::new(&plan.schedule).unwrap_or_else(|e| unreachable!("a checked schedule: {e}"));
    let next = timetable.next_after(now);
    let local = next.map(|at| at.with_timezone(&plan.schedule.timezone).format("%a %Y-%m-%d %H:%M").to_string());
    let mut last = None;
    if let Some(journal) = journal {
        let newest = journal.occurrences(Some(&plan.name), LOOK_BACK).await?;
        if let Some(occurrence) = newest.first() {
            last = Some(ended(journal, occurrence).await?.0);
        }
        let mut scheduled = newest.iter().filter(|o| o.trigger == Trigger::Schedule);
        if let (Some(skipped), Some(before)) = (scheduled.next(), scheduled.next())
            && (skipped.decision, before.decision) == (Decision::Skip, Decision::Skip)
        {
            let reason = format!("{} was skipped twice in a row: {}", plan.name, skipped.reason);
            needs.push(NeedsPerson {
                since: rfc3339(skipped.decided_at),
                run: Some(skipped.run()),
                subject: None,
                reason,
            });
        }
        needs.extend(failing(journal, plan).await?);
    }
    let timezone = plan.schedule.timezone.name().to_owned();
    let owed = match journal {
        Some(journal) if !plan.copies.is_empty() => owed(journal, plan, LOOK_BACK).await?,
        _ => Vec::new(),
    };
    Ok(PlanStatus { plan: plan.name.clone(), timezone, next: next.map(rfc3339), local, last, owed })
}

/// That the newest run of a plan that ended has failed, since the first of those in a row that did.
async fn failing(journal: &dyn Reader, plan: &Plan) -> Answer<Option<NeedsPerson>> {
    let mut need: Option<NeedsPerson> = None;
    let mut skip = 0;
    loop {
        let all = (DateTime::UNIX_EPOCH, DateTime::<Utc>::MAX_UTC);
        let some = journal.occurrences_between(Some(&plan.name), all.0, all.1, LOOK_BACK, skip).await?;
        if some.is_empty() {
            return Ok(need);
        }
        skip += LOOK_BACK;
        for occurrence in some.iter().filter(|o| o.decision == Decision::Run) {
            let (run, at) = ended(journal, occurrence).await?;
            let Some(at) = at else { continue }; // still going on: it tells nothing yet
            if run.outcome != Outcome::Failed.as_str() {
                return Ok(need);
            }
            let since = rfc3339(at);
            need = Some(match need {
                Some(newest) => NeedsPerson { since, ..newest },
                None => {
                    let reason = format!("the newest run that ended has failed: {}", run.reason);
                    NeedsPerson { since, run: Some(run.run), subject: None, reason }
                }
            });
        }
    }
}

/// How an occurrence ended, and when; or that it goes on.
async fn ended(journal: &dyn Reader, occurrence: &Occurrence) -> Answer<(LastRun, Option<DateTime<Utc>>)> {
    let run = occurrence.run();
    let (outcome, reason, at) = match occurrence.decision {
        Decision::Skip => (Outcome::Skipped, occurrence.reason.clone(), Some(occurrence.decided_at)),
        Decision::Miss => (Outcome::Missed, occurrence.reason.clone(), Some(occurrence.decided_at)),
        Decision::Run => match journal.newest_in(&Scope::Run(run.clone()), &Kind::RunFinished).await? {
            None => (Outcome::Unfinished, String::new(), None),
            Some(event) => {
                let outcome = event.fact().outcome().unwrap_or(Outcome::Failed);
                (outcome, event.reason().unwrap_or_default().to_owned(), Some(event.at))
            }
        },
    };
    Ok((LastRun { run, outcome: outcome.as_str(), reason }, at))
}

/// The newest good image of each instance that a plan has imaged, or has tried to in its newest run.
async fn instances(journal: &dyn Reader, plans: &[Plan], now: DateTime<Utc>) -> Answer<Vec<InstanceStatus>> {
    let mut newest: BTreeMap<(Subject, String), Option<Event>> = BTreeMap::new();
    for event in journal.newest_good().await? {
        let plan = event.draft.scope.run().and_then(parse_run_name).map(|(plan, _)| plan.to_owned());
        if let (Some(subject), Some(plan)) = (event.draft.subject.clone(), plan) {
            newest.insert((subject, plan), Some(event));
        }
    }
    for plan in plans {
        for (subject, name) in tried(journal, plan).await?.into_iter().map(|s| (s, plan.name.clone())) {
            newest.entry((subject, name)).or_default();
        }
    }
    let mut list: Vec<InstanceStatus> = newest
        .into_iter()
        .map(|((subject, plan), event)| {
            let due = event.as_ref().and_then(|e| parse_run_name(e.draft.scope.run()?)).map(|(_, due)| due);
            InstanceStatus {
                account: subject.place.account,
                region: subject.place.region,
                instance: subject.id,
                plan,
                name: None,
                protection: None,
                why: String::new(),
                image: event.as_ref().and_then(|e| e.fact().image()).map(str::to_owned),
                due: due.map(rfc3339),
                age_s: due.map(|due| (now - due).num_seconds()),
            }
        })
        .collect();
    // None at all is the oldest.
    list.sort_by_key(|i| std::cmp::Reverse(i.age_s.unwrap_or(i64::MAX)));
    Ok(list)
}

/// The targets of the newest run of a plan that selected any.
async fn tried(journal: &dyn Reader, plan: &Plan) -> Answer<BTreeSet<Subject>> {
    for occurrence in journal.occurrences(Some(&plan.name), LOOK_BACK).await? {
        let state = RunState::fold(&journal.events_of(&occurrence.run()).await?);
        if state.selected && state.only.is_empty() {
            return Ok(state.targets.into_keys().collect());
        }
    }
    Ok(BTreeSet::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::domain::fact::{Draft, Started};
    use crate::journal::Journal as _;
    use crate::journal::sqlite::SqliteJournal;

    /// A backup by hand after two skips hides neither which run was skipped nor why.
    #[tokio::test]
    async fn who_was_skipped_twice_is_named_whatever_ran_by_hand() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/example");
        let plans = config::load(&dir, std::iter::empty()).expect("the example").plans;
        let at = |hour: i64| DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(hour);
        let journal = SqliteJournal::in_memory().expect("in memory");
        journal.acquire(at(0)).await.expect("acquired");
        let rows = [
            (1, Trigger::Schedule, Decision::Skip, "the first reason"),
            (2, Trigger::Schedule, Decision::Skip, "the second reason"),
            (3, Trigger::Manual, Decision::Run, ""),
        ];
        for (hour, trigger, decision, reason) in rows {
            let (plan, reason, plan_hash) = (plans[0].name.clone(), reason.to_owned(), String::new());
            let due = at(hour);
            let occurrence = Occurrence { plan, due, trigger, decision, reason, decided_at: due, plan_hash };
            journal.decide(&occurrence, None).await.expect("decided");
        }
        let status = gather(Some((journal.reader(), "journal")), "x", &plans, None, at(4)).await.expect("readable");
        let [need] = status.needs_person.as_slice() else { panic!("{:#?}", status.needs_person) };
        assert_eq!(need.run.as_deref(), Some("databases@19700101T020000Z"));
        assert!(need.reason.ends_with("was skipped twice in a row: the second reason"), "{need:?}");
    }

    /// A drain that could not give back what it took leaves an instance out of service until the next start.
    #[tokio::test]
    async fn what_a_stop_leaves_taken_needs_a_person_until_the_next_start() {
        let at = |hour: i64| DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(hour);
        let journal = SqliteJournal::in_memory().expect("in memory");
        journal.acquire(at(0)).await.expect("acquired");
        let started = |attempt| Draft {
            attempt,
            ..Draft::of_scope(
                Scope::Daemon,
                Fact::DaemonStarted(Started { version: "0".into(), installation: String::new(), rebuild: false }),
            )
        };
        let stopped = Fact::DaemonStopped { runs: Vec::new(), owed: vec!["deregister of i-1".into()] };
        let stopped = Draft { attempt: 1, ..Draft::of_scope(Scope::Daemon, stopped) };
        let mut needs = Vec::new();
        for (hour, draft) in [(1, started(1)), (2, stopped), (3, started(2))] {
            journal.append(at(hour), &[draft]).await.expect("written");
            let status = gather(Some((journal.reader(), "journal")), "x", &[], None, at(4)).await.expect("readable");
            needs.push(status.needs_person.into_iter().map(|need| need.reason).collect::<Vec<_>>());
        }
        let told = "not given back when the daemon stopped; start it to give it back: deregister of i-1".to_owned();
        assert_eq!(needs, [vec![], vec![told], vec![]]);
    }
}
