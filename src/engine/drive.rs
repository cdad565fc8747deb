//! Steps and how they are driven: effects, the executor, the pollers.

pub mod effect;
pub mod executor;
pub mod observer;
pub(crate) mod pending;
pub(crate) mod reachability;
