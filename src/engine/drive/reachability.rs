//! Whether what was begun in another account can still be seen from here, and when it is left alone.

use std::time::Duration;

use tokio::time::Instant;

use crate::cloud::port::Fault;
use crate::domain::place::Place;
use crate::engine::context::Context;

/// Refused for so long (a role or an account is gone), nothing is waited for any more: as long as EC2 may take for an
/// image at the most (EC2 guide: "sometimes up to 24 hours"), so that what was begun has ended by then.
const REFUSED_MAX: Duration = Duration::from_secs(24 * 3600);

/// How looking at one thing in another account goes.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// The newest look, if it was refused.
    newest: Option<Instant>,
    /// How long looks were refused since one was answered.
    refused: Duration,
    why: String,
}

impl Reach {
    /// A look was answered.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    /// A look failed. What may pass by itself is no refusal: the time around it does not count.
    pub fn failed(&mut self, now: Instant, fault: &Fault) {
        if fault.class.passes() {
            self.newest = None;
            return;
        }
        self.refused += self.newest.map_or(Duration::ZERO, |newest| now - newest);
        self.newest = Some(now);
        self.why = fault.to_string();
    }

    /// What was said, if looks were refused for too long.
    pub fn lost(&self) -> Option<&str> {
        (self.refused >= REFUSED_MAX).then_some(self.why.as_str())
    }
}

/// Whether `place` is in another account than `home`: our own is always waited for.
pub(crate) fn afar(home: &Place, place: &Place) -> bool {
    home.account != place.account
}

/// Why what was begun in `place` cannot be seen from `home`, if nobody can enter its account any more.
pub(crate) fn closed(shared: &Context, home: &Place, place: &Place) -> Option<String> {
    let account = &place.account;
    (afar(home, place) && shared.role_of(account).is_none()).then(|| {
        format!(
            "what became of it in {place} cannot be seen any more, since no role of the account {account} is under \
             [accounts]; name it there again, or look there yourself for what was begun"
        )
    })
}

/// The same, where looks were refused for too long.
pub(crate) fn refused(place: &Place, why: &str) -> String {
    format!(
        "what became of it in {place} could not be seen for {} h ({why}); let the role in again, or look there yourself \
         for what was begun",
        REFUSED_MAX.as_secs() / 3600
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::cloud::classify::Class;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Looks an hour apart: `n`o, `f`ailed in a way that passes, `a`nswered.
    fn lost(looks: &str) -> bool {
        let (mut reach, mut now) = (Reach::default(), Clock::Wall.instant());
        let fault = |class| Fault { class, code: "Code".into(), message: "why".into(), request_id: None };
        for look in looks.chars() {
            now += HOUR;
            match look {
                'n' => reach.failed(now, &fault(Class::Denied)),
                'f' => reach.failed(now, &fault(Class::Throttled)),
                _ => reach.answered(),
            }
        }
        reach.lost().is_some()
    }

    #[test]
    fn only_time_between_refusals_counts() {
        let (no, fails) = (|n: usize| "n".repeat(n), |n: usize| "f".repeat(n));
        for (looks, want) in [
            (no(24), false),
            (no(25), true),
            (fails(100), false),
            (format!("n{}n", fails(100)), false),
            (format!("{}f{}", no(13), no(12)), false),
            (format!("{}f{}", no(13), no(13)), true),
            (format!("{}a{}", no(20), no(20)), false),
            (format!("{}a{}", no(30), no(1)), false),
        ] {
            assert_eq!(lost(&looks), want, "{looks}");
        }
    }
}
