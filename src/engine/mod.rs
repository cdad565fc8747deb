//! The daemon: what is due, what each target needs next, and the executors that do it.

pub mod executor;
pub mod heartbeat;
pub mod machine;
pub mod observe;
pub mod shared;
pub mod steps;
