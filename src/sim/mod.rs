//! The simulated world: a plain synchronous state machine in EC2's own words, and what speaks to it.
//!
//! `world` holds the state and carries out one [`action::Action`] at a time; `serve` puts token buckets, faults and
//! the call log in front of it; `adapter` implements the ports on it, `door` serves it over HTTP on loopback.
//! No clock and no async below the adapter: every state is a function of `now`.

pub mod account;
pub mod action;
pub mod adapter;
#[cfg(test)]
mod adapter_tests;
pub mod answer;
pub mod boot;
mod bucket;
pub mod calls;
mod copying;
mod creating;
mod describe;
pub mod door;
pub mod encryption;
mod ends;
pub mod error;
pub mod faults;
pub mod filter;
pub mod fleet;
mod ids;
pub mod image;
pub mod instance;
#[cfg(test)]
mod invariants;
mod json;
pub mod key;
pub mod keyring;
mod kms;
mod life;
pub mod people;
mod permissions;
pub mod policy;
pub mod query;
pub mod rules;
pub mod save;
mod serve;
pub mod served;
mod session;
mod shapes;
pub mod snapshot;
mod sts;
mod tagging;
#[cfg(test)]
mod tests;
pub mod trouble;
pub mod volume;
pub mod world;
pub mod xml;

pub use adapter::SimCloud;
pub use fleet::Fleet;
pub use serve::{Delivery, Reply};
pub use world::World;
