//! What proves that an instance is back after a restart that was shown: an `ok` alone may be the one of before.
//!
//! CreateImage answers at once; the guest is asked to shut down, and is reset when it does not (RebootInstances, API
//! reference: "within a few minutes"). Status checks lag the truth by minutes, and only the instance check fails, often
//! for no longer than three minutes (public reports; never a promise of AWS).

use std::time::Duration;

use serde::Serialize;

use super::observed::{Checks, InstanceStatus};

/// An instance whose checks never read anything but ok is not overdue before the proof by time, and this much longer.
const SILENT_FOR: Duration = Duration::from_secs(600);

/// Checks are made each minute (EC2 user guide, "Status checks"): an ok sooner after one that failed may be of before it,
/// should two looks be behind by different times.
const APART: Duration = Duration::from_secs(60);

/// How far AWS may be behind the truth: `[cloud]` of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lags {
    /// How far status checks may lag the truth.
    pub status: Duration,
    /// When a guest that does not shut down is reset.
    pub shutdown: Duration,
    /// Whether the StartTime of a snapshot is trusted to follow the shutdown.
    pub trust_snapshot_time: bool,
}

impl Lags {
    /// No lag at all: every `ok` after the call counts.
    pub const NONE: Self = Self { status: Duration::ZERO, shutdown: Duration::ZERO, trust_snapshot_time: false };

    /// So long after the call an `ok` cannot be the one of before any more.
    #[must_use]
    pub fn proof_by_time(&self) -> Duration {
        self.shutdown + self.status
    }

    /// How long an instance may be waited for whose checks have shown no restart, at least.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        self.proof_by_time() + SILENT_FOR
    }
}

impl Default for Lags {
    /// The defaults of `cloud.status_lag` and `cloud.shutdown_limit`.
    fn default() -> Self {
        Self { status: Duration::from_secs(360), shutdown: Duration::from_secs(240), trust_snapshot_time: false }
    }
}

/// Why an `ok` is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The checks were seen to fail after the call, and read ok before it.
    Checks,
    /// It was read long enough after the snapshots of the image were begun, for which the guest was down.
    Snapshots,
    /// It was read long enough after the call.
    Time,
}

impl Evidence {
    /// The word in the journal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checks => "checks",
            Self::Snapshots => "snapshots",
            Self::Time => "time",
        }
    }
}

/// When a reading began, in relation to the call and to what followed it.
#[derive(Debug, Clone, Copy)]
pub struct When {
    /// How long after the call was certainly made; nothing before that.
    pub after_call: Option<Duration>,
    /// How long after the newest snapshot of the image was begun, where all are known.
    pub after_snapshots: Option<Duration>,
}

/// What the readings since a call have shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown {
    /// The checks read ok right before the call, and nothing else until it was certainly made.
    before: bool,
    /// When they failed after it, the last time.
    failed: Option<Duration>,
}

impl Shown {
    /// Nothing yet, of a call before which the checks read ok, or not.
    #[must_use]
    pub fn since(ok_before: bool) -> Self {
        Self { before: ok_before, failed: None }
    }

    /// The call was made again, or its answer is known only now: what failed before it is not this restart.
    pub fn again(&mut self, ok_before: bool) {
        *self = Self { before: self.before && ok_before, failed: None };
    }

    /// Whether the checks were seen to fail since the call.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Takes one more reading in; why it proves that the instance is back, if it does.
    pub fn read(&mut self, status: &InstanceStatus, when: When, lags: &Lags) -> Option<Evidence> {
        let Some(after) = when.after_call else {
            // It may be of before the call: what failed then was not this restart.
            self.before &= status.checks() == Checks::Ok;
            return None;
        };
        match status.checks() {
            Checks::Failing => self.failed = Some(after),
            Checks::Ok if self.before && self.failed.is_some_and(|at| after - at >= APART.min(lags.status)) => {
                return Some(Evidence::Checks);
            }
            Checks::Ok if lags.trust_snapshot_time && when.after_snapshots.is_some_and(|a| a >= lags.status) => {
                return Some(Evidence::Snapshots);
            }
            Checks::Ok if after >= lags.proof_by_time() => return Some(Evidence::Time),
            Checks::Ok | Checks::Silent => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::observed::InstanceState;

    const MINUTE: Duration = Duration::from_secs(60);

    fn status(word: &str) -> InstanceStatus {
        InstanceStatus {
            instance: "i-1".into(),
            state: InstanceState::Running,
            system: "ok".into(),
            reachability: word.into(),
            attached_ebs: None,
        }
    }

    /// Readings as `minute:word`, `b:word` before the call was certain; the minute and the proof that ends them.
    fn told(ok_before: bool, readings: &str, lags: Lags, snapshots: Option<u32>) -> Option<(u32, &'static str)> {
        let mut shown = Shown::since(ok_before);
        for reading in readings.split_whitespace() {
            let (minute, word) = reading.split_once(':').unwrap();
            let after = minute.parse::<u32>().ok();
            let when = When {
                after_call: after.map(|m| MINUTE * m),
                after_snapshots: after.zip(snapshots).and_then(|(m, s)| m.checked_sub(s)).map(|m| MINUTE * m),
            };
            if let Some(evidence) = shown.read(&status(word), when, &lags) {
                return after.map(|m| (m, evidence.as_str()));
            }
        }
        None
    }

    #[test]
    fn an_ok_counts_only_after_a_restart_that_was_shown() {
        let lags = Lags::default(); // 4 + 6 minutes
        let table = [
            ("the ok of before", true, "1:ok 3:ok 9:ok", None),
            ("nothing but ok, for long enough", true, "1:ok 9:ok 10:ok", Some((10, "time"))),
            ("seen to fail", true, "1:ok 3:impaired 4:impaired 5:ok", Some((5, "checks"))),
            ("seen to initialize", true, "1:initializing 2:ok", Some((2, "checks"))),
            ("failed before the call, too", false, "1:impaired 3:ok 9:ok 11:ok", Some((11, "time"))),
            ("failed before the answer", true, "b:impaired 2:impaired 3:ok 12:ok", Some((12, "time"))),
            ("no data before the answer", true, "b:insufficient-data 2:impaired 3:ok 12:ok", Some((12, "time"))),
            ("an ok at once after a failure", true, "2:impaired 2:ok 3:ok", Some((3, "checks"))),
            ("no data is no failure", true, "1:insufficient-data 2:not-applicable 3:ok 10:ok", Some((10, "time"))),
            ("nor is a word of tomorrow", true, "1:suppressed 2:ok", None),
            ("down for long", true, "2:impaired 10:impaired 20:impaired 21:ok", Some((21, "checks"))),
            ("never", true, "2:impaired 10:impaired 600:impaired", None),
        ];
        for (what, before, readings, expected) in table {
            assert_eq!(told(before, readings, lags, None), expected, "{what}");
        }
    }

    /// Volumes and hosts fail by themselves: that is no restart, and not well either.
    #[test]
    fn the_instance_check_alone_tells_of_a_restart() {
        let other = |of: fn(&mut InstanceStatus)| {
            let mut status = status("ok");
            of(&mut status);
            status
        };
        for ill in [
            other(|s| s.attached_ebs = Some("impaired".into())),
            other(|s| s.system = "impaired".into()),
            other(|s| s.system = "initializing".into()),
        ] {
            let mut shown = Shown::since(true);
            let read = |shown: &mut Shown, status: &InstanceStatus, minute: u32| {
                let when = When { after_call: Some(MINUTE * minute), after_snapshots: None };
                shown.read(status, when, &Lags::default())
            };
            assert_eq!(read(&mut shown, &ill, 1), None);
            assert_eq!(read(&mut shown, &status("ok"), 3), None, "{ill:?}");
            assert_eq!(read(&mut shown, &ill, 11), None, "{ill:?}");
            assert_eq!(read(&mut shown, &status("ok"), 12), Some(Evidence::Time));
        }
    }

    #[test]
    fn snapshots_tell_where_they_are_trusted() {
        let trusted = Lags { trust_snapshot_time: true, ..Lags::default() };
        assert_eq!(told(true, "6:ok 7:ok 8:ok 9:ok", trusted, Some(2)), Some((8, "snapshots")));
        assert_eq!(told(true, "6:ok 7:ok 8:ok 9:ok", Lags::default(), Some(2)), None);
        assert_eq!(told(true, "6:ok 9:ok", trusted, None), None);
    }

    #[test]
    fn without_lag_the_first_ok_after_the_call_counts() {
        assert_eq!(told(false, "b:ok 0:ok", Lags::NONE, None), Some((0, "time")));
    }
}
