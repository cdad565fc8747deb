//! The busiest minute of each API in each place.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::cloud::governed::Api;
use crate::domain::naming::rfc3339;
use crate::domain::place::Place;
use crate::report::rehearsal::{CallsDocument, Most};
use crate::sim::calls::Calls;

/// What is known of one API in one place.
#[derive(Debug, Clone, Copy, Default)]
struct Minute {
    calls: u64,
    most: u32,
    at: Option<DateTime<Utc>>,
}

/// By place and API.
#[derive(Debug, Clone, Default)]
pub struct Busiest(BTreeMap<(Place, &'static str), Minute>);

impl Busiest {
    /// Takes over what was counted so far; a minute must not be cut.
    pub fn take(&mut self, calls: &mut Calls) {
        for ((place, api), tally) in calls.tally() {
            let known = self.0.entry((place.clone(), api)).or_default();
            known.calls += tally.calls;
            for (at, n) in &tally.minutes {
                if *n > known.most {
                    (known.most, known.at) = (*n, Some(*at));
                }
            }
        }
        calls.clear();
    }

    /// All calls.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().map(|minute| minute.calls).sum()
    }

    /// Each against its bucket, of which the daemon takes `share`.
    #[must_use]
    pub fn documents(&self, share: f64) -> Vec<CallsDocument> {
        let document = |((place, name), minute): (&(Place, &'static str), &Minute)| {
            let api = Api::parse(name)?;
            let (capacity, refill) = api.documented();
            let aws_allows = capacity + 60.0 * refill;
            Some(CallsDocument {
                account: place.account.clone(),
                region: place.region.clone(),
                api: (*name).to_owned(),
                calls: minute.calls,
                most: Most { count: minute.most.into(), at: minute.at.map(rfc3339) },
                aws_allows,
                share_allows: (aws_allows * share).floor(),
            })
        };
        self.0.iter().filter_map(document).collect()
    }
}
