//! Whatever is written and asked, the two journals answer alike.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::fact::VERSION;
use crate::domain::fact::codec::Row;
use crate::domain::place::Place;
use crate::journal::sqlite::SqliteJournal;

/// One thing done to both; small numbers, so that things meet.
#[derive(Debug, Clone)]
enum Move {
    Append(Vec<(usize, usize, usize, u32, usize, usize)>),
    Decide { plan: usize, hour: i64, run: bool, manual: bool },
    Revision(usize),
    Prune,
    Wait(i64),
}

const RUNS: [&str; 5] = ["web@19700101T010000Z", "web@19700101T020000Z", "a@b@19700101T010000Z", "web", ""];
const STEPS: [&str; 5] = ["", "image", "return", "retain", "select"];
const PLANS: [&str; 2] = ["web", "a@b"];
const KINDS: [Kind; 16] = [
    Kind::StepNeedsPerson,
    Kind::StepNeedsPerson,
    Kind::StepDone,
    Kind::StepObserved,
    Kind::StepRefused,
    Kind::SlotTaken,
    Kind::SlotFreed,
    Kind::DebtOpened,
    Kind::DebtSettled,
    Kind::KeyLent,
    Kind::KeyReturned,
    Kind::TargetFinished,
    Kind::TargetSelected,
    Kind::RunFinished,
    Kind::RunFinished,
    Kind::DaemonStarted,
];

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let event = (0..RUNS.len(), 0..4_usize, 0..STEPS.len(), 0..4_u32, 0..KINDS.len(), 0..3_usize);
    let decide = (0..PLANS.len(), 0..4_i64, any::<bool>(), any::<bool>());
    prop::collection::vec(
        prop_oneof![
            8 => prop::collection::vec(event, 1..4).prop_map(Move::Append),
            2 => decide.prop_map(|(plan, hour, run, manual)| Move::Decide { plan, hour, run, manual }),
            1 => (0..2_usize).prop_map(Move::Revision),
            1 => Just(Move::Prune),
            2 => (1..4_i64).prop_map(Move::Wait),
        ],
        1..40,
    )
}

fn subject(n: usize) -> Option<Subject> {
    let id = ["i-1", "ami-1", "snap-1"].get(n)?;
    Some(Place::new("111111111111", "eu-central-1").subject(id))
}

fn draft(&(run, about, step, attempt, kind, data): &(usize, usize, usize, u32, usize, usize)) -> Draft {
    // The end of a run has neither subject nor step.
    let whole = KINDS[kind] == Kind::RunFinished;
    let data =
        [json!({ "outcome": "done", "image": "ami-1", "back": "return" }), json!({ "outcome": "failed" }), json!({})]
            [data]
            .clone();
    codec::decode(Row {
        run: RUNS[run].into(),
        subject: if whole { None } else { subject(about) },
        step: if whole { String::new() } else { STEPS[step].into() },
        attempt,
        kind: KINDS[kind].clone(),
        v: VERSION,
        data,
    })
}

/// Does it, and says what came of it.
async fn act(journal: &dyn Journal, step: &Move, now: DateTime<Utc>) -> String {
    match step {
        Move::Append(events) => {
            let drafts: Vec<Draft> = events.iter().map(draft).collect();
            // Where nothing was written SQLite gives the same numbers again, this journal does not: they only order.
            let shown = |written: Vec<Written<Event>>| {
                let one = |w: Written<Event>| match w {
                    Written::New(event) => format!("new {} {:?}", event.at, event.draft),
                    Written::Before(event) => format!("before {} {:?}", event.at, event.draft),
                };
                written.into_iter().map(one).collect::<Vec<_>>()
            };
            format!("{:?}", journal.append(now, &drafts).await.map(shown))
        }
        Move::Decide { plan, hour, run, manual } => {
            let occurrence = Occurrence {
                plan: PLANS[*plan].into(),
                due: DateTime::UNIX_EPOCH + TimeDelta::hours(*hour),
                trigger: if *manual { Trigger::Manual } else { Trigger::Schedule },
                decision: if *run { Decision::Run } else { Decision::Skip },
                reason: String::new(),
                decided_at: now,
                plan_hash: "h".into(),
            };
            format!("{:?}", journal.decide(&occurrence, None).await)
        }
        Move::Revision(n) => format!("{:?}", journal.store_revision("h", ["one", "two"][*n]).await),
        Move::Prune => format!("{:?}", journal.prune(now - TimeDelta::hours(3)).await),
        Move::Wait(_) => String::new(),
    }
}

/// All answers that can be asked for.
async fn answers(journal: &dyn Journal) -> Vec<String> {
    fn shown(events: Answer<Vec<Event>>) -> String {
        let one = |e: Event| format!("{} {:?}", e.at, e.draft);
        format!("{:#?}", events.map(|events| events.into_iter().map(one).collect::<Vec<_>>()))
    }
    let (r, mut all) = (journal.reader(), Vec::new());
    for run in RUNS {
        let scope = if run.is_empty() { Scope::Daemon } else { Scope::Run(run.into()) };
        all.push(shown(r.events_in(&scope).await));
        for kind in &KINDS {
            all.push(shown(r.newest_in(&scope, kind).await.map(|event| event.into_iter().collect())));
        }
    }
    for kind in &KINDS {
        all.push(shown(r.events_of_kind(kind).await));
    }
    for step in STEPS.iter().filter_map(|step| step.parse().ok()) {
        all.push(shown(r.open_needs(&step).await));
    }
    for about in (0..3).filter_map(subject) {
        all.push(shown(r.events_about(&about).await));
        all.push(shown(r.about_image(&about.id).await));
    }
    all.push(shown(r.open_debts().await));
    all.push(shown(r.alarms().await));
    all.push(shown(r.newest_good().await));
    let due = |hour| DateTime::UNIX_EPOCH + TimeDelta::hours(hour);
    for plan in [Some("web"), Some("a@b"), None] {
        all.push(format!("{:?}", r.occurrences(plan, 3).await));
        all.push(format!("{:?}", r.occurrences_between(plan, due(1), due(2), 2, 1).await));
    }
    for plan in PLANS {
        all.push(format!("{:?} {:?}", r.last_decided(plan).await, r.occurrence(plan, due(1)).await));
    }
    all.push(format!("{:?} {:?}", r.unfinished().await, r.revision("h").await));
    all.push(format!("{:?} {:?}", r.open_requests().await, r.request(1).await));
    all
}

proptest! {
    #[test]
    fn both_journals_answer_alike(moves in moves()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (sqlite, memory) = (SqliteJournal::in_memory().unwrap(), MemoryJournal::default());
            let mut now = DateTime::UNIX_EPOCH + TimeDelta::hours(1) + TimeDelta::microseconds(1_500);
            prop_assert_eq!(sqlite.acquire(now).await.unwrap(), memory.acquire(now).await.unwrap());
            for step in &moves {
                if let Move::Wait(hours) = step {
                    now += TimeDelta::hours(*hours);
                }
                prop_assert_eq!(act(&sqlite, step, now).await, act(&memory, step, now).await, "{:?}", step);
            }
            let (one, other) = (answers(&sqlite).await, answers(&memory).await);
            for (one, other) in one.iter().zip(&other) {
                prop_assert_eq!(one, other);
            }
            Ok(())
        })?;
    }
}
