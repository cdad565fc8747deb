//! The call log: every request as it was sent, and what became of it.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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

/// The newest calls, oldest first, within [`CALLS_MAX`] and [`PARAMETERS_MAX`].
#[derive(Debug, Clone, Default)]
pub struct Calls {
    log: VecDeque<Call>,
    parameters: usize,
}

impl Calls {
    pub(super) fn push(&mut self, call: Call) {
        self.parameters += call.parameters.len();
        self.log.push_back(call);
        while self.log.len() > CALLS_MAX || (self.parameters > PARAMETERS_MAX && self.log.len() > 1) {
            let Some(oldest) = self.log.pop_front() else { return };
            self.parameters -= oldest.parameters.len();
        }
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
        *self = Self::default();
    }
}
