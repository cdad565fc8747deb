//! The only place that reads a clock or sleeps.
//!
//! A wait is a row of short ones that re-read the wall clock, so that suspend and clock steps need no special
//! case. In simulation the wall clock is derived from tokio's paused time: where nobody sets it, one long wait does.

use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

/// The longest single wait before the wall clock is read again.
const SLICE: Duration = Duration::from_secs(1);

/// Where `now` comes from.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The machine's own.
    Wall,
    /// Begins at `base` and follows tokio's time from `origin`: paused in tests, so that months pass in seconds.
    Simulated {
        /// What `now` was at `origin`.
        base: DateTime<Utc>,
        /// When it was that.
        origin: tokio::time::Instant,
        /// From this point of tokio's time on, somebody has set it by so much.
        step: Option<(tokio::time::Instant, chrono::TimeDelta)>,
        /// By how many milliseconds it was moved by hand so far, where it can be.
        moved: Option<&'static AtomicI64>,
    },
}

impl Clock {
    /// A simulated clock that reads `base` now. Needs a tokio runtime.
    #[must_use]
    #[allow(clippy::disallowed_methods)]
    pub fn simulated(base: DateTime<Utc>) -> Self {
        Self::Simulated { base, origin: tokio::time::Instant::now(), step: None, moved: None }
    }

    /// A copy that follows this simulated clock, and can be moved on its own: a machine's clock that somebody sets, a
    /// machine that sleeps. Copies of it move with it.
    #[must_use]
    pub fn movable(self) -> Self {
        match self {
            Self::Wall => Self::Wall,
            // Eight bytes for each simulation, so that a clock stays a plain value.
            Self::Simulated { base, origin, step, moved } => {
                let moved = moved.map_or(0, |moved| moved.load(Ordering::Relaxed));
                Self::Simulated { base, origin, step, moved: Some(Box::leak(Box::new(AtomicI64::new(moved)))) }
            }
        }
    }

    /// Moves a [`movable`](Self::movable) clock, now: no time of tokio's passes. The machine's own cannot be moved.
    pub fn move_by(&self, by: chrono::TimeDelta) {
        if let Self::Simulated { moved: Some(moved), .. } = self {
            moved.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
        }
    }

    /// The same clock, which somebody sets by `by` in `after` from now. The machine's own cannot be scripted.
    #[must_use]
    pub fn stepped(self, after: Duration, by: chrono::TimeDelta) -> Self {
        match self {
            Self::Wall => Self::Wall,
            Self::Simulated { base, origin, moved, .. } => {
                Self::Simulated { base, origin, step: Some((self.instant() + after, by)), moved }
            }
        }
    }

    /// The wall clock's instant.
    #[must_use]
    #[allow(clippy::disallowed_methods)]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::Wall => Utc::now(),
            Self::Simulated { base, origin, step, moved } => {
                let stepped = step.filter(|(at, _)| *at <= self.instant()).map_or_else(Default::default, |(_, by)| by);
                let moved = moved.map_or(0, |moved| moved.load(Ordering::Relaxed));
                // A simulation is shorter than the 292 years that fit.
                *base
                    + chrono::Duration::from_std(origin.elapsed()).unwrap_or_default()
                    + stepped
                    + chrono::TimeDelta::milliseconds(moved)
            }
        }
    }

    /// `now` to the whole second.
    #[must_use]
    pub fn now_secs(&self) -> DateTime<Utc> {
        self.now().trunc_subsecs(0)
    }

    /// A point of tokio's time, which no clock step moves: for intervals between attempts.
    #[must_use]
    #[allow(clippy::disallowed_methods)]
    pub fn instant(&self) -> tokio::time::Instant {
        tokio::time::Instant::now()
    }

    /// Waits for `how_long` of tokio's time: for intervals between attempts, not for instants.
    #[allow(clippy::disallowed_methods)]
    pub async fn sleep(&self, how_long: Duration) {
        tokio::time::sleep(how_long).await;
    }

    /// Whether nobody can set it: then an instant may be waited for in one go.
    #[must_use]
    pub fn steady(&self) -> bool {
        matches!(self, Self::Simulated { step: None, .. })
    }

    /// Waits until it reads `at` (nothing: for ever), but no longer than it may stay unread: whoever waits looks at
    /// it again then.
    pub async fn look(&self, at: Option<DateTime<Utc>>) {
        let left = at.map(|at| (at - self.now()).to_std().unwrap_or_default());
        match (self.steady(), left) {
            (true, None) => std::future::pending().await,
            (true, Some(left)) => self.sleep(left).await,
            (false, left) => self.sleep(left.map_or(SLICE, |left| left.min(SLICE))).await,
        }
    }

    /// Waits until the wall clock reads `at`.
    pub async fn sleep_until(&self, at: DateTime<Utc>) {
        while self.now() < at {
            self.look(Some(at)).await;
        }
    }

    /// The value of `work`, or nothing if it took longer than `limit`.
    #[allow(clippy::disallowed_methods)]
    pub async fn timeout<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(limit, work).await.ok()
    }
}
