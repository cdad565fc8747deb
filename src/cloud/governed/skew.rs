//! This machine's clock against AWS's: said when it is too far off, and when it is right again.

use std::cell::{Cell, RefCell};

use chrono::TimeDelta;

use crate::domain::naming::DUE_TOLERANCE;

/// What the newest answer of AWS tells of this machine's clock.
#[derive(Default)]
pub(super) struct Skew {
    off: RefCell<Option<String>>,
    /// Whether an answer has shown it right since this was asked last.
    right: Cell<bool>,
    /// Whether an answer has told what time it is.
    seen: Cell<bool>,
}

impl Skew {
    /// Why nothing may be begun, if the clock is off.
    pub(super) fn off(&self) -> Option<String> {
        self.off.borrow().clone()
    }

    /// Whether an answer has shown that the clock is right, since this was asked last.
    pub(super) fn shown_right(&self) -> bool {
        self.right.replace(false)
    }

    /// Whether AWS has told what time it is.
    pub(super) fn seen(&self) -> bool {
        self.seen.get()
    }

    /// An answer came, at which the clock was so much ahead.
    pub(super) fn note(&self, ahead: Option<TimeDelta>) {
        let Some(ahead) = ahead else { return };
        let why = too_far(ahead);
        self.seen.set(true);
        self.right.set(why.is_none());
        let before = self.off.replace(why.clone());
        match (before, why) {
            (None, Some(why)) => {
                tracing::error!(event = "clock.off", reason = %why, "nothing is begun until it is right")
            }
            (Some(_), None) => tracing::info!(event = "clock.right", "this machine's clock agrees with AWS's again"),
            _ => {}
        }
    }
}

/// Beyond this, plans run at a wrong hour, and an image's due is later than its creation by more than we understand.
fn too_far(ahead: TimeDelta) -> Option<String> {
    (ahead.abs() > DUE_TOLERANCE).then(|| {
        let minutes = ahead.abs().num_minutes();
        let amount =
            if minutes < 120 { format!("{minutes} min") } else { format!("{} h {} min", minutes / 60, minutes % 60) };
        let side = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
        format!(
            "this machine's clock is {amount} {side} AWS's: set it, and let it be kept (`timedatectl set-ntp true`, \
             `chronyc makestep`)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_minutes_are_borne() {
        let words = |seconds: i64| too_far(TimeDelta::seconds(seconds)).map(|w| w.split(':').next().map(str::to_owned));
        let table = [
            (0, None),
            (300, None),
            (-300, None),
            (301, Some("this machine's clock is 5 min ahead of AWS's")),
            (-301, Some("this machine's clock is 5 min behind AWS's")),
            (3 * 3600 + 61, Some("this machine's clock is 3 h 1 min ahead of AWS's")),
        ];
        for (seconds, expected) in table {
            assert_eq!(words(seconds).flatten().as_deref(), expected, "{seconds}");
        }
    }

    #[test]
    fn it_is_off_until_an_answer_shows_it_right() {
        let skew = Skew::default();
        for (ahead, off) in [(None, false), (Some(4000), true), (None, true), (Some(-4000), true), (Some(2), false)] {
            skew.note(ahead.map(TimeDelta::seconds));
            assert_eq!(skew.off().is_some(), off, "{ahead:?}");
            assert_eq!(skew.shown_right(), ahead.is_some() && !off, "{ahead:?}");
            assert!(!skew.shown_right(), "once for each answer");
        }
    }
}
