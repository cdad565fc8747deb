//! The program as a process: its commands, signals, exit codes, and what they put on the wire.

mod backup;
mod clock;
mod crash;
mod credentials;
mod daemon;
mod distribution;
mod doctor;
mod exactly_once;
mod failing;
mod foresight;
mod images;
mod journal;
mod lost;
mod machine;
mod manager;
mod outcomes;
mod output;
mod refusals;
mod rehearse;
mod reload;
mod state;
mod stubborn;
mod two_accounts;
mod unhealthy;
mod whose_files;
mod wire;
mod witnesses;

use crate::support::site::REGION;

/// A plan for the instances tagged Backup=nightly whose schedule never comes due by itself; `[rollout]` goes on in
/// `more`.
fn plan(max_in_flight: u32, more: &str) -> String {
    plan_at("0 0 1 1 *", max_in_flight, more)
}

/// The same with a schedule.
fn plan_at(cron: &str, max_in_flight: u32, more: &str) -> String {
    format!(
        "schedule.cron = \"{cron}\"\nselect.tags = {{ Backup = \"nightly\" }}\nselect.regions = [\"{REGION}\"]\nkeep.last = 2\n\
         tags = {{ Team = \"web\" }}\n[rollout]\nsettle = \"1s\"\nmax_in_flight = {max_in_flight}\n{more}\n"
    )
}
