//! tmp
use stillframe::defect::{self, Defect};
use super::{promises, seeds};

const ALL: &[Defect] = &[
    Defect::NameWithAttempt, Defect::PendingIsGood, Defect::RetainEarly, Defect::IntentAfterEffect, Defect::UnknownIsFailure,
    Defect::UnknownIsRepeated, Defect::SilenceIsEmpty, Defect::NewestUnguarded, Defect::NoLook, Defect::ClientRetries,
    Defect::TagsAreOwnership, Defect::RetentionPerPlan, Defect::SlotFreedAtOnce, Defect::FenceIgnored, Defect::SettleIgnored,
    Defect::CatchUpUnbounded, Defect::FirstSightForgotten, Defect::InUseUnguarded, Defect::HoldIgnored, Defect::MinIgnored,
    Defect::MaxDeletionsIgnored, Defect::WindowIgnored, Defect::ResentAtOnce, Defect::SnapshotsForgotten,
    Defect::OwnMachineTaken, Defect::ReloadInHalf, Defect::SlotsForgotten, Defect::SlotsPerPlan, Defect::GoneAtOnce,
    Defect::HaltIgnored, Defect::LeftoversForgotten, Defect::RunsForgotten, Defect::ResultDropped, Defect::ClockTrusted,
    Defect::LateRunGoesOn, Defect::RebuildSkipped, Defect::TwinIgnored,
];

#[test]
fn caught() {
    for d in ALL {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        defect::plant(Some(*d));
        let mut found = None;
        for seed in 0..60 {
            let r = std::panic::catch_unwind(|| runtime().block_on(async { promises::broken(&seeds::live(seed).await).await }));
            match r {
                Ok(b) if b.is_empty() => {}
                Ok(b) => { found = Some((seed, b[0].clone())); break; }
                Err(_) => { found = Some((seed, "PANIC".into())); break; }
            }
        }
        defect::plant(None);
        eprintln!("{d:?}: {found:?}");
    }
}
