//! The test of the tests: each deliberate fault of the engine breaks a promise in one of the random lives.
//! `STILLFRAME_DEFECT=Name` hunts one alone.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use stillframe::defect::{self, Defect};

use super::draw;
use super::seeds::{self, SEEDS};
use super::watch::Breach;

/// By which promises each fault can be caught: the first of them counts.
#[rustfmt::skip] // a table
const CAUGHT_BY: &[(Defect, &[u8])] = &[
    (Defect::NameWithAttempt, &[1]),
    (Defect::PendingIsGood, &[3]),
    (Defect::RetainEarly, &[5]),
    (Defect::IntentAfterEffect, &[1]),
    (Defect::UnknownIsFailure, &[1, 4, 5, 6]),
    (Defect::UnknownIsRepeated, &[1]),
    (Defect::SilenceIsEmpty, &[3, 5, 6]),
    (Defect::NewestUnguarded, &[3]),
    (Defect::NoLook, &[1, 3]),
    (Defect::ClientRetries, &[1]),
    (Defect::TagsAreOwnership, &[3]),
    (Defect::RetentionPerPlan, &[3]),
    (Defect::SlotFreedAtOnce, &[6]),
    (Defect::FenceIgnored, &[1]),
    (Defect::OddIsFault, &[5]),
    (Defect::AnyOkCounts, &[6]),
    (Defect::SettleIgnored, &[6]),
    (Defect::CatchUpUnbounded, &[5]),
    (Defect::FirstSightForgotten, &[5]),
    (Defect::InUseUnguarded, &[3]),
    (Defect::HoldIgnored, &[3]),
    (Defect::MinIgnored, &[3]),
    (Defect::MaxDeletionsIgnored, &[3]),
    (Defect::WindowIgnored, &[1]),
    (Defect::ResentAtOnce, &[1]),
    (Defect::SnapshotsForgotten, &[3, 4]),
    (Defect::SnapshotsUnseen, &[3]),
    (Defect::OwnMachineTaken, &[8]),
    (Defect::ReloadInHalf, &[7]),
    (Defect::SlotsForgotten, &[2, 5, 6]),
    (Defect::SlotsPerPlan, &[6]),
    (Defect::GoneAtOnce, &[1, 5, 6]),
    (Defect::HaltIgnored, &[6]),
    (Defect::LeftoversForgotten, &[4, 5]),
    (Defect::RunsForgotten, &[5]),
    (Defect::ResultDropped, &[2, 5]),
    (Defect::ClockTrusted, &[1]),
    (Defect::LateRunGoesOn, &[1]),
    (Defect::RebuildSkipped, &[1, 5, 6]),
    (Defect::TwinIgnored, &[1]),
    (Defect::LentUntagged, &[4]),
    (Defect::ReclaimBlind, &[4]),
    (Defect::ForeignTakenBack, &[3]),
    (Defect::ReclaimForgotten, &[4]),
    (Defect::GrantsForgotten, &[4]),
    (Defect::ImageBeforeSnapshots, &[4]),
    (Defect::KeyWithoutEncrypted, &[4]),
    (Defect::TokenPerSend, &[1]),
    (Defect::CopiesByPlanKeep, &[3]),
    (Defect::CopiesHold, &[5]),
];

/// Too rare in the lives, or no promise says it: `copies::what_is_owed_is_watched`,
/// `evidence::who_may_not_look_reboots_nothing`, `removal::the_last_good_one_stays_whoever_removes_the_other`,
/// `restored::what_ran_and_was_retired_is_not_run_again`,
/// `restored::an_image_that_is_there_already_does_not_make_its_instance_back`,
/// `unhealthy::who_is_impaired_already_is_not_rebooted` and
/// `removal::what_a_person_removed_after_a_lost_answer_is_not_made_again` hold them.
const BY_SCENARIO: &[Defect] = &[
    Defect::RetiredWhileOwed,
    Defect::ChecksUnread,
    Defect::WitnessUnseen,
    Defect::JournalUncompared,
    Defect::AdoptedIsBack,
    Defect::ImpairedTaken,
    Defect::TraceIgnored,
];

/// What came of a fault: the first life that broke any promise, and the first that broke one of the table's.
#[derive(Default)]
struct Hunt {
    first: Option<(u64, Breach)>,
    caught: Option<(u64, Breach)>,
}

fn hunt(defect: Defect, promises: &[u8]) -> Hunt {
    defect::plant(Some(defect));
    let mut hunt = Hunt::default();
    for seed in 0..SEEDS {
        let broken = seeds::lived(&draw::plot(seed), false).broken;
        if hunt.first.is_none() {
            hunt.first = broken.first().map(|breach| (seed, breach.clone()));
        }
        hunt.caught = broken.into_iter().find(|b| promises.contains(&b.promise)).map(|breach| (seed, breach));
        if hunt.caught.is_some() {
            break;
        }
    }
    defect::plant(None);
    hunt
}

#[test]
fn each_defect_is_caught() {
    let named: Vec<Defect> = CAUGHT_BY.iter().map(|(defect, _)| *defect).collect();
    let rest = |defect: &Defect| !BY_SCENARIO.contains(defect);
    let all: Vec<Defect> = defect::ALL.iter().map(|(defect, _)| *defect).filter(rest).collect();
    assert_eq!(named, all, "the table names every fault, in its order");
    let one = std::env::var("STILLFRAME_DEFECT").ok();
    let hunted: Vec<_> =
        CAUGHT_BY.iter().filter(|(d, _)| one.as_ref().is_none_or(|n| *n == format!("{d:?}"))).collect();
    assert!(!hunted.is_empty(), "no fault is called {one:?}");
    let (next, hunts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((defect, promises)) = hunted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let hunt = hunt(*defect, promises);
                    hunts.lock().expect("whole").push((*defect, *promises, hunt));
                }
            });
        }
    });
    let mut hunts = hunts.into_inner().expect("whole");
    hunts.sort_by_key(|(defect, ..)| *defect);
    let mut table = "| fault | what it does | caught by | lives needed |\n| --- | --- | --- | --- |\n".to_owned();
    let mut missed = Vec::new();
    for (defect, promises, hunt) in &hunts {
        let does = defect::ALL.iter().find(|(known, _)| known == defect).map_or("?", |(_, does)| does);
        let by = match &hunt.caught {
            Some((seed, breach)) => format!("{breach} | {}", seed + 1),
            None => format!("none of {promises:?}; first {:?} |", hunt.first),
        };
        let _ = writeln!(table, "| `{defect:?}` | {does} | {by} |");
        if hunt.caught.is_none() {
            missed.push(*defect);
        }
    }
    // Shown whether the test passes or not; nobody may listen.
    let _ = writeln!(std::io::stderr(), "{table}");
    assert!(missed.is_empty(), "not caught within {SEEDS} lives: {missed:?}\n{table}");
}
