//! Scripted faults: what goes wrong on the way of the next requests.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::action::Action;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// RequestLimitExceeded, no effect.
    Throttle,
    /// UnauthorizedOperation: no policy allows the action.
    Denied,
    /// RequestExpired: the session has expired.
    Expired,
    /// AuthFailure: the key is unknown, or the region is not enabled.
    BadKey,
    /// What was just made is not known there yet, what was just lent not yet: no effect. Of calls that name an image.
    NotYet,
    /// The effect, and an answer that names nothing. Of calls that make something.
    NamesNothing,
    /// The effect, and an answer that names another image than the one that was made. Of calls that make one.
    NamesAnother,
    /// An error document whose code is empty, no effect (HTTP 400).
    NoCode,
    /// HTTP 500 InternalError, no effect.
    ErrorBefore,
    /// HTTP 500 InternalError after the effect.
    ErrorAfter,
    /// The connection is closed without an answer, no effect.
    CutBefore,
    /// The connection is closed after the effect, without an answer.
    CutAfter,
    /// No effect, and this late an error for an answer: a server that no longer answers.
    HangBefore {
        /// By so much.
        seconds: f64,
    },
    /// The effect at once, the answer this late.
    HangAfter {
        /// By so much (not divided by the world's speed: clients' deadlines are not either).
        seconds: f64,
    },
}

impl FaultKind {
    /// The name under which it is counted.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::BadKey => "bad_key",
            Self::NotYet => "not_yet",
            Self::NamesNothing => "names_nothing",
            Self::NamesAnother => "names_another",
            Self::NoCode => "no_code",
            Self::ErrorBefore => "error_before",
            Self::ErrorAfter => "error_after",
            Self::CutBefore => "cut_before",
            Self::CutAfter => "cut_after",
            Self::HangBefore { .. } => "hang_before",
            Self::HangAfter { .. } => "hang_after",
        }
    }
}

/// One scripted fault. The first in the list that concerns a call decides about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `CreateImage`, ..., or `*` for any.
    pub api: String,
    /// Only calls of this region; of any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Only calls with a parameter of this value, such as the id of an instance or of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Only from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// Only until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// So many calls pass unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// Then so many are hit.
    #[serde(default = "once")]
    pub times: u32,
    /// Of those that come, only each so-manieth is hit: 2 hits the first, the third, ...
    #[serde(default = "once")]
    pub every: u32,
    /// What goes wrong.
    pub kind: FaultKind,
    /// Calls seen after `skip`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seen: u32,
}

fn once() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Fault {
    /// Hits the next call of `api`, once.
    #[must_use]
    pub fn once(api: &str, kind: FaultKind) -> Self {
        let (region, about, from, until) = (None, None, None, None);
        Self { api: api.into(), region, about, from, until, skip: 0, times: 1, every: 1, kind, seen: 0 }
    }

    /// The same, after `skip` calls that pass.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// The same, so many times.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// The same, in one region alone.
    #[must_use]
    pub fn region(self, region: &str) -> Self {
        Self { region: Some(region.into()), ..self }
    }

    /// The same, for calls that name `id` alone.
    #[must_use]
    pub fn about(self, id: &str) -> Self {
        Self { about: Some(id.into()), ..self }
    }

    /// A region that answers nothing from one instant until another: each request hangs for `seconds`.
    #[must_use]
    pub fn silence(region: &str, from: DateTime<Utc>, until: DateTime<Utc>, seconds: f64) -> Self {
        let fault = Self::once("*", FaultKind::HangBefore { seconds }).times(u32::MAX).region(region);
        Self { from: Some(from), until: Some(until), ..fault }
    }

    fn concerns(&self, now: DateTime<Utc>, region: &str, action: &Action) -> bool {
        (self.api == "*" || self.api == action.api())
            && self.region.as_ref().is_none_or(|only| only == region)
            && self.from.is_none_or(|from| from <= now)
            && self.until.is_none_or(|until| now < until)
            && self.about.as_ref().is_none_or(|id| action.parameters().values().any(|value| value == id))
    }
}

/// What hits a call, consumed from `faults`; the flag says whether the script changed.
pub(super) fn take(
    faults: &mut Vec<Fault>,
    now: DateTime<Utc>,
    region: &str,
    action: &Action,
) -> (Option<FaultKind>, bool) {
    let found = faults.iter().position(|fault| fault.concerns(now, region, action));
    let Some(at) = found else { return (None, false) };
    let fault = &mut faults[at];
    if fault.skip > 0 {
        fault.skip -= 1;
        return (None, true);
    }
    let hit = fault.times > 0 && fault.seen.is_multiple_of(fault.every.max(1));
    fault.seen += 1;
    if hit {
        fault.times -= 1;
    }
    let kind = fault.kind;
    if fault.times == 0 {
        faults.remove(at);
    }
    (hit.then_some(kind), true)
}

#[cfg(test)]
mod tests {
    use chrono::{Duration, TimeZone as _};

    use super::*;

    fn t0() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 20, 2, 30, 0).unwrap()
    }

    fn delete(snapshot: &str) -> Action {
        Action::DeleteSnapshot { snapshot: snapshot.into() }
    }

    #[test]
    fn faults_are_consumed_in_order() {
        let once = |kind| Fault::once("DeleteSnapshot", kind);
        let mut faults =
            vec![once(FaultKind::CutAfter).after(1), Fault { every: 2, ..once(FaultKind::Throttle).times(2) }];
        let hits: Vec<_> = (0..7).map(|_| take(&mut faults, t0(), "r", &delete("s")).0).collect();
        let throttle = Some(FaultKind::Throttle);
        assert_eq!(hits, [None, Some(FaultKind::CutAfter), throttle, None, throttle, None, None]);
        assert!(faults.is_empty());
        assert_eq!(take(&mut faults, t0(), "r", &delete("s")), (None, false));
    }

    #[test]
    fn a_fault_concerns_an_api_a_region_an_object_and_a_time() {
        let any = || Fault::once("*", FaultKind::CutBefore);
        let minute = Duration::minutes(1);
        let silence = |from, until| Fault::silence("r", from, until, 900.0);
        for (fault, hits) in [
            (any(), true),
            (Fault::once("DeleteSnapshot", FaultKind::CutBefore), true),
            (Fault::once("CreateImage", FaultKind::CutBefore), false),
            (any().region("r"), true),
            (any().region("q"), false),
            (any().about("snap-1"), true),
            (any().about("snap-2"), false),
            (any().region("r").about("snap-2"), false),
            (silence(t0() - minute, t0() + minute), true),
            (silence(t0(), t0() + minute), true),
            (silence(t0() - minute, t0()), false),
            (silence(t0() + minute, t0() + minute), false),
        ] {
            let text = format!("{fault:?}");
            let (hit, changed) = take(&mut vec![fault], t0(), "r", &delete("snap-1"));
            assert_eq!((hit.is_some(), changed), (hits, hits), "{text}");
        }
    }

    #[test]
    fn the_script_reads_as_json() {
        let text = r#"[{"api":"CreateImage","kind":"cut_after"},
            {"api":"*","region":"eu-west-1","until":"2026-11-20T03:00:00Z","times":3,"kind":{"hang_before":{"seconds":5}}}]"#;
        let faults: Vec<Fault> = serde_json::from_str(text).unwrap();
        assert_eq!(faults[0], Fault::once("CreateImage", FaultKind::CutAfter));
        assert_eq!(faults[1].kind, FaultKind::HangBefore { seconds: 5.0 });
        assert_eq!(faults[1].until, Some(t0() + Duration::minutes(30)));
        assert!(serde_json::from_str::<Fault>(r#"{"api":"X","kind":"cut_after","time":1}"#).is_err());
    }
}
