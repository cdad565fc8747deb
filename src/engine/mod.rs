//! The daemon: what is due, what each target needs next, and the executors that do it.

mod access;
mod active;
pub mod choose;
pub mod daemon;
mod distribute;
pub mod executor;
pub mod facts;
mod headline;
pub mod heartbeat;
pub mod host;
pub mod installation;
mod late;
mod lending;
pub mod machine;
pub mod observe;
pub mod ownership;
pub mod plans;
mod rebuild;
mod recover;
mod requests;
pub mod retain;
mod rollout;
mod run;
pub mod shared;
pub mod step;
pub mod steps;
mod unproven;
