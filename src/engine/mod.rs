//! The daemon: what is due, what each target needs next, and the executors that do it.

pub mod heartbeat;
pub mod installation;
pub mod machine;
