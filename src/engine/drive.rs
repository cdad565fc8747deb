//! Steps and how they are driven: effects, the executor, the pollers.

pub mod effect;
pub mod executor;
pub(crate) mod give_back;
pub mod observer;
pub(crate) mod pending;
pub(crate) mod reachability;
