//! The token bucket of one API in one place, and the queue in front of it.

use std::cell::RefCell;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::cloud::api::Api;

/// What one throttle does to the rate.
const THROTTLE_FACTOR: f64 = 0.5;
/// The rate never falls below this part of its share: a throttled API still moves.
const RATE_FLOOR: f64 = 1.0 / 16.0;
/// How much of the full rate comes back per second without a throttle: from one half to all in 150 s.
const RECOVERY_PER_SECOND: f64 = 1.0 / 300.0;
/// Throttles within this time of each other are one: they answer requests that were under way together.
const THROTTLE_SPACING: chrono::Duration = chrono::Duration::seconds(2);
/// The smallest share that `api_share` may ask for, so that no wait is endless.
const SHARE_MIN: f64 = 0.01;

/// Tokens as of `at`.
#[derive(Debug)]
struct Bucket {
    capacity: f64,
    full_rate: f64,
    /// The part of `full_rate` in force, `RATE_FLOOR..=1`.
    factor: f64,
    tokens: f64,
    at: DateTime<Utc>,
    throttled_at: Option<DateTime<Utc>>,
}

impl Bucket {
    fn new(api: Api, share: f64, now: DateTime<Utc>) -> Self {
        let (capacity, refill) = api.documented();
        let share = if share.is_nan() { SHARE_MIN } else { share.clamp(SHARE_MIN, 1.0) };
        let capacity = (capacity * share).max(1.0);
        Self { capacity, full_rate: refill * share, factor: 1.0, tokens: capacity, at: now, throttled_at: None }
    }

    /// Adds what has dripped in. A wall clock that went back adds nothing.
    fn refill(&mut self, now: DateTime<Utc>) {
        let seconds = (now - self.at).to_std().unwrap_or_default().as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + seconds * self.full_rate * self.factor).min(self.capacity);
        self.factor = (self.factor + seconds * RECOVERY_PER_SECOND).min(1.0);
    }

    /// How long until there is a whole token.
    fn wait(&mut self, now: DateTime<Utc>) -> Duration {
        self.refill(now);
        Duration::from_secs_f64(((1.0 - self.tokens) / (self.full_rate * self.factor)).max(0.0))
    }

    /// Takes the token that [`Self::wait`] was for.
    fn take(&mut self, now: DateTime<Utc>) {
        self.refill(now);
        // Less than a whole one only where the clock stepped back or a throttle came in between: a debt.
        self.tokens -= 1.0;
    }

    /// EC2's own bucket is empty: so is this one, and it fills at half the rate.
    fn throttled(&mut self, now: DateTime<Utc>) {
        self.refill(now);
        self.tokens = self.tokens.min(0.0);
        if self.throttled_at.is_none_or(|before| (now - before).abs() >= THROTTLE_SPACING) {
            self.throttled_at = Some(now);
            self.factor = (self.factor * THROTTLE_FACTOR).max(RATE_FLOOR);
        }
    }
}

/// A bucket with its queue: first come, first served, and only the first one waits on the clock, so that any
/// number of waiters costs one timer and a new rate holds for all of them.
#[derive(Debug)]
pub(super) struct Gate {
    turn: tokio::sync::Mutex<()>,
    bucket: RefCell<Bucket>,
}

impl Gate {
    /// A full bucket.
    pub(super) fn new(api: Api, share: f64, now: DateTime<Utc>) -> Self {
        Self { turn: tokio::sync::Mutex::new(()), bucket: RefCell::new(Bucket::new(api, share, now)) }
    }

    /// Waits for a token and takes it.
    pub(super) async fn pass(&self, clock: Clock) {
        let _turn = self.turn.lock().await;
        let wait = self.bucket.borrow_mut().wait(clock.now());
        if !wait.is_zero() {
            clock.sleep(wait).await;
        }
        self.bucket.borrow_mut().take(clock.now());
    }

    /// Slows down after a throttle.
    pub(super) fn throttled(&self, now: DateTime<Utc>) {
        self.bucket.borrow_mut().throttled(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_795_000_000_000 + ms).expect("in range")
    }

    fn rate(bucket: &Bucket) -> f64 {
        bucket.full_rate * bucket.factor
    }

    #[test]
    fn a_throttle_halves_to_a_floor_and_the_rate_comes_back_slowly() {
        let mut bucket = Bucket::new(Api::CreateImage, 0.5, at(0));
        assert!((rate(&bucket) - 2.5).abs() < 1e-9);
        bucket.throttled(at(0));
        bucket.throttled(at(1_000)); // the same one
        assert!((rate(&bucket) - 1.25).abs() < 0.01);
        assert!(bucket.wait(at(1_000)) > Duration::from_millis(700));
        for n in 1..20 {
            bucket.throttled(at(1_000 + n * 2_000));
        }
        assert!(rate(&bucket) >= 2.5 / 16.0 && rate(&bucket) < 2.5 / 7.0, "{}", rate(&bucket));
        bucket.refill(at(41_000 + 300_000));
        assert!((rate(&bucket) - 2.5).abs() < 1e-9);
        assert!(bucket.tokens <= bucket.capacity);
    }

    #[test]
    fn a_clock_that_steps_back_or_a_senseless_share_never_blocks() {
        let mut bucket = Bucket::new(Api::DescribeImages, 1.0, at(0));
        bucket.tokens = 0.0;
        assert_eq!(bucket.wait(at(-3_600_000)), Duration::from_millis(50));
        bucket.take(at(-3_600_000));
        assert_eq!(bucket.wait(at(-3_599_900)), Duration::ZERO);
        for share in [0.0, -1.0, f64::NAN, 7.0] {
            let bucket = Bucket::new(Api::CreateImage, share, at(0));
            assert!(bucket.capacity >= 1.0 && bucket.capacity <= 50.0 && rate(&bucket) >= 0.05, "{share}");
        }
    }

    proptest! {
        #[test]
        fn no_span_holds_more_than_the_burst_and_the_refill(gaps in prop::collection::vec(0_i64..2_000, 1..200)) {
            let mut bucket = Bucket::new(Api::CreateImage, 0.5, at(0));
            let (mut now, mut taken) = (0, 0.0);
            for gap in gaps {
                now += gap;
                let wait = bucket.wait(at(now));
                now += i64::try_from(wait.as_micros().div_ceil(1_000)).expect("short");
                bucket.take(at(now));
                taken += 1.0;
                #[allow(clippy::cast_precision_loss)]
                let allowed = 25.0 + 2.5 * now as f64 / 1_000.0;
                prop_assert!(taken <= allowed + 1e-6, "{taken} taken in {now} ms");
            }
        }
    }
}
