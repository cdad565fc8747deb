//! From the start of a process to its end: configuration in force, what is due, requests, runs, recovery, rebuild.

mod census;
mod compare;
pub(crate) mod conduct;
pub mod daemon;
mod headline;
pub mod plans;
mod rebuild;
mod recover;
mod requests;
