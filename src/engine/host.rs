//! Whom the engine tells how it is: the service manager, through the command line.

pub mod heartbeat;
pub mod installation;
pub mod machine;
pub mod metadata;

/// The service manager, as the engine sees it.
pub trait Host {
    /// The plans are in force, and what is unfinished goes on.
    fn ready(&self);
    /// A turn of the engine's loop has come to its end. A loop that hangs says nothing any more.
    fn alive(&self);
    /// What it does and waits for, in one line; may be told again unchanged.
    fn status(&self, line: &str);
}

/// Nobody: commands, tests.
impl Host for () {
    fn ready(&self) {}
    fn alive(&self) {}
    fn status(&self, _: &str) {}
}
