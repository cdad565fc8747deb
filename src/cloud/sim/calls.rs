//! The call log: every request as it was sent, and what became of it.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The log keeps the newest this many calls.
pub const CALLS_MAX: usize = 100_000;

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

/// The newest [`CALLS_MAX`] calls, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Calls(VecDeque<Call>);

impl Calls {
    pub(super) fn push(&mut self, call: Call) {
        if self.0.len() == CALLS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(call);
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.0.iter()
    }

    /// The calls of one API, oldest first.
    pub fn of<'a>(&'a self, api: &'a str) -> impl DoubleEndedIterator<Item = &'a Call> {
        self.0.iter().filter(move |call| call.api == api)
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
