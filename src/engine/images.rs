//! The images of a plan: which there are, and how one goes.

pub mod listing;
pub mod removal;
pub(crate) mod snapshots;
