//! What may not be decided while a lost journal is rebuilt, or it is not known yet whether the journal is as new as what AWS
//! shows.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::place::Place;

/// Nothing is decided for so long while it is not known: within what counts as on time. After that runs begin as always, and
/// say what AWS does not answer; nobody goes down in them before it is known.
pub(crate) const DECIDES_AFTER: Duration = Duration::from_secs(20);
/// What takes longer than this is told as what holds back.
const QUIET: Duration = Duration::from_secs(60);
/// Why a plan waits for that.
const COMPARING: &str = "the journal is compared with the images in AWS: our images there cannot all be listed yet";

/// What may not be decided yet.
#[derive(Debug, Default)]
pub struct Unproven {
    /// Why no plan may begin anything: who is down may not be known yet.
    pub(crate) all: Option<String>,
    /// Why one plan may not.
    pub(crate) plans: BTreeMap<String, String>,
    /// Whether a rebuild goes on.
    pub(crate) rebuilding: bool,
    /// Plans whose images are not listed yet since the start, and since when they are waited for.
    pub(crate) comparing: BTreeMap<String, Instant>,
    /// Where our images may not be listed at all since the start, and why: nobody goes down there.
    pub(crate) denied: BTreeMap<Place, String>,
}

impl Unproven {
    /// Why `plan` may begin nothing yet.
    #[must_use]
    pub fn holds(&self, plan: &str, now: Instant) -> Option<String> {
        let since = self.comparing.get(plan);
        let comparing = || since.filter(|since| now - **since < DECIDES_AFTER).map(|_| COMPARING.to_owned());
        self.all.clone().or_else(|| self.plans.get(plan).cloned()).or_else(comparing)
    }

    /// The plans that wait for long by now for what AWS shows, each with why.
    pub(crate) fn waiting(&self, now: Instant) -> impl Iterator<Item = (&String, &'static str)> {
        self.comparing.iter().filter(move |(_, since)| now - **since >= QUIET).map(|(plan, _)| (plan, COMPARING))
    }

    /// Why it is not certain that what is not seen in `place` was never made for `plan`.
    pub(crate) fn uncertain(&self, plan: &str, place: &Place) -> Option<String> {
        let comparing = || self.comparing.contains_key(plan).then(|| COMPARING.to_owned());
        self.denied.get(place).cloned().or_else(comparing)
    }

    /// Whether no plan may begin anything.
    #[must_use]
    pub fn holds_all(&self) -> bool {
        self.all.is_some()
    }

    /// A reload has added `plan`: while a rebuild goes on, it waits for its own.
    pub(crate) fn added(&mut self, plan: &str) {
        if self.rebuilding {
            let why = "the journal is being rebuilt from the tags of the images in AWS";
            self.plans.insert(plan.to_owned(), why.to_owned());
        }
    }
}
