//! Whether a plan's window was long enough for the instances that its newest run found.

use crate::cli::start;
use crate::config::pace::{per_reboot, reboots_needed};
use crate::config::{Loaded, Problem, show_duration};
use crate::domain::plan::Plan;
use crate::domain::saga::RunState;
use crate::journal::sqlite::{FILE, SqliteJournal};
use crate::journal::{Answer, Reader as _};

use super::CheckArgs;

/// Warnings that a plan's window is too short for the fleet that its newest run found. Nobody is asked but the
/// journal; where there is none yet, nothing is known.
pub fn too_slow(args: &CheckArgs, loaded: &Loaded) -> Vec<Problem> {
    let state_dir = &loaded.settings.daemon.state_dir;
    if !state_dir.join(FILE).exists() {
        return Vec::new();
    }
    let (Ok(journal), Ok(runtime)) = (SqliteJournal::read_only(state_dir), start::runtime()) else {
        return Vec::new(); // `run` and `history` say what is wrong with it
    };
    let lags = loaded.settings.cloud.lags();
    let fleet = |plan: &Plan| runtime.block_on(newest_fleet(&journal, &plan.name)).ok().flatten();
    let warning = |plan: &Plan| {
        let (window, targets) = (plan.schedule.window?, fleet(plan)?);
        let needed = reboots_needed(plan, targets, &lags);
        let file = args.config.join("plans.d").join(format!("{}.toml", plan.name));
        (needed > window).then(|| {
            let what = format!(
                "schedule.window: {} is too short: the newest run found {targets} instances to reboot, {} at once, \
                 each for about {} until it is proven to be back: {} in all",
                show_duration(window),
                plan.rollout.max_in_flight,
                show_duration(per_reboot(plan, &lags)),
                show_duration(needed)
            );
            let hint =
                "raise schedule.window or rollout.max_in_flight; what is not started within the window is skipped";
            Problem::of_file(file.display().to_string(), what).hint(hint).warning()
        })
    };
    loaded.plans.iter().filter_map(warning).collect()
}

/// How many instances the newest run of a plan had to reboot.
async fn newest_fleet(journal: &SqliteJournal, plan: &str) -> Answer<Option<usize>> {
    /// Skipped and missed occurrences selected nothing: look this far back for one that did.
    const LOOK_BACK: u32 = 20;
    for occurrence in journal.occurrences(Some(plan), LOOK_BACK).await? {
        let state = RunState::fold(&journal.events_of(&occurrence.run()).await?);
        if state.selected && state.only.is_empty() {
            return Ok(Some(state.targets.values().filter(|t| t.reboots).count()));
        }
    }
    Ok(None)
}
