//! How long to wait between two looks, or two tries, at the same thing.

use std::time::Duration;

/// The first look after a create (EC2 guide, "Eventual consistency": a couple of seconds, then growing).
pub const FIRST: Duration = Duration::from_secs(2);
/// The longest wait between two looks at the same thing.
pub const LONGEST: Duration = Duration::from_secs(60);

/// The wait after `wait`.
#[must_use]
pub fn longer(wait: Duration) -> Duration {
    (wait * 3 / 2).min(LONGEST)
}
