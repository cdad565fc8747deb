//! The call log: every request as it was sent, and what became of it; and how many there were.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, SubsecRound as _, Timelike as _, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::place::Place;

/// The log keeps the newest this many calls.
pub const CALLS_MAX: usize = 100_000;
/// And of these only as many as carry this many parameters together: about 100 MB.
pub const PARAMETERS_MAX: usize = 1_000_000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// When it came.
    pub at: DateTime<Utc>,
    /// The caller's account.
    pub account: String,
    /// The region it was sent to.
    pub region: String,
    /// `CreateImage`, ...
    pub api: String,
    /// Query parameters as sent: `NoReboot`, `TagSpecification.1.Tag.1.Key`, ...
    pub parameters: BTreeMap<String, String>,
    /// What the client saw: `ok`, an error code, or `cut`.
    pub result: String,
    /// Whether it changed the world.
    pub effect: bool,
    /// The answer's request id.
    pub request_id: String,
}

/// How many requests of one API came in one place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All of them, refused ones too.
    pub calls: u64,
    /// Those that the token bucket refused.
    pub throttled: u64,
    /// Those that changed the world.
    pub effects: u64,
    /// When the first of these came, and the last.
    pub span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// All of them, by the minute in which they came.
    pub minutes: BTreeMap<DateTime<Utc>, u32>,
}

impl Tally {
    /// Counts those of another place too.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.throttled += other.throttled;
        self.effects += other.effects;
        self.span = match (self.span, other.span) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
        for (minute, calls) in &other.minutes {
            *self.minutes.entry(*minute).or_default() += calls;
        }
    }
}

/// The newest calls, oldest first, within [`CALLS_MAX`] and [`PARAMETERS_MAX`]; and how many there were at all.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    log: VecDeque<Call>,
    parameters: usize,
    tally: BTreeMap<(Place, &'static str), Tally>,
    silent: bool,
}

impl Calls {
    /// From now on they are only counted: a year of simulated time makes millions.
    pub fn count_only(&mut self) {
        self.log.clear();
        self.parameters = 0;
        self.silent = true;
    }

    /// Counts one of `api`, and logs what `call` makes of it.
    pub(super) fn note(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        api: &'static str,
        (throttled, effect): (bool, bool),
        call: impl FnOnce() -> Call,
    ) {
        let tally = match self.tally.iter_mut().find(|((p, a), _)| (p, *a) == (place, api)) {
            Some((_, tally)) => tally, // one of few
            None => self.tally.entry((place.clone(), api)).or_default(),
        };
        tally.calls += 1;
        tally.throttled += u64::from(throttled);
        if effect {
            tally.effects += 1;
            tally.span = Some((tally.span.map_or(now, |(first, _)| first), now));
        }
        let minute = now.trunc_subsecs(0).with_second(0).unwrap_or(now);
        *tally.minutes.entry(minute).or_default() += 1;
        if !self.silent {
            self.push(call());
        }
    }

    fn push(&mut self, call: Call) {
        self.parameters += call.parameters.len();
        self.log.push_back(call);
        while self.log.len() > CALLS_MAX || (self.parameters > PARAMETERS_MAX && self.log.len() > 1) {
            let Some(oldest) = self.log.pop_front() else { return };
            self.parameters -= oldest.parameters.len();
        }
    }

    /// How many calls came, by place and API.
    #[must_use]
    pub fn tally(&self) -> &BTreeMap<(Place, &'static str), Tally> {
        &self.tally
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.log.iter()
    }

    /// The calls of one API, oldest first.
    pub fn of<'a>(&'a self, api: &'a str) -> impl DoubleEndedIterator<Item = &'a Call> {
        self.log.iter().filter(move |call| call.api == api)
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        *self = Self { silent: self.silent, ..Self::default() };
    }
}
