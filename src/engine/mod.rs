//! The daemon: what is due, what each target needs next, and the executors that do it.

pub mod context;
pub mod distribution;
pub mod drive;
pub mod host;
pub mod images;
pub mod lifecycle;
pub mod retention;
pub mod rollout;
