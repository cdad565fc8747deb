//! Scripted faults: what goes wrong on the way of the next requests.

use serde::{Deserialize, Serialize};

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
    /// HTTP 500 InternalError, no effect.
    ErrorBefore,
    /// HTTP 500 InternalError after the effect.
    ErrorAfter,
    /// The connection is closed without an answer, no effect.
    CutBefore,
    /// The connection is closed after the effect, without an answer.
    CutAfter,
    /// The effect at once, the answer this late.
    HangAfter {
        /// By so much (not divided by the world's speed: clients' deadlines are not either).
        seconds: f64,
    },
}

/// One scripted fault. The first in the list that names an API decides about a call of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `CreateImage`, ..., or `*` for any.
    pub api: String,
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
        Self { api: api.into(), skip: 0, times: 1, every: 1, kind, seen: 0 }
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
}

/// What hits a call of `api`, consumed from `faults`; the flag says whether the script changed.
pub(super) fn take(faults: &mut Vec<Fault>, api: &str) -> (Option<FaultKind>, bool) {
    let Some(at) = faults.iter().position(|fault| fault.api == api || fault.api == "*") else { return (None, false) };
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
    use super::*;

    #[test]
    fn faults_are_consumed_in_order() {
        let mut faults = vec![
            Fault::once("A", FaultKind::CutAfter).after(1),
            Fault { every: 2, ..Fault::once("A", FaultKind::Throttle).times(2) },
        ];
        let hits: Vec<_> = (0..7).map(|_| take(&mut faults, "A").0).collect();
        let throttle = Some(FaultKind::Throttle);
        assert_eq!(hits, [None, Some(FaultKind::CutAfter), throttle, None, throttle, None, None]);
        assert!(faults.is_empty());
        assert_eq!(take(&mut faults, "A"), (None, false));
    }

    #[test]
    fn the_script_reads_as_json() {
        let text =
            r#"[{"api":"CreateImage","kind":"cut_after"},{"api":"*","times":3,"kind":{"hang_after":{"seconds":5}}}]"#;
        let faults: Vec<Fault> = serde_json::from_str(text).unwrap();
        assert_eq!(faults[0], Fault::once("CreateImage", FaultKind::CutAfter));
        assert_eq!(faults[1].kind, FaultKind::HangAfter { seconds: 5.0 });
        assert!(serde_json::from_str::<Fault>(r#"{"api":"X","kind":"cut_after","time":1}"#).is_err());
    }
}
