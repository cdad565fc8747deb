//! What `doctor` finds: each call that the plans need, in each place, and what to add where it is denied.

mod ask;
mod keys;
pub mod needs;
mod policy;

use serde::Serialize;
use serde_json::Value;

pub use self::ask::examine;
use crate::domain::zone::ZoneSource;

/// The reason of what cannot be told before there is an image.
pub const UNTRIED: &str = "not denied outright; a sure answer needs an image of ours there";

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It may.
    Allowed,
    /// It may not, or what it needs does not work.
    Denied,
    /// Nobody can tell.
    Unknown,
}

impl Answer {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }
}

/// A statement that would allow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// The policy that it belongs to, in words.
    pub policy: String,
    /// The statement.
    pub statement: Value,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckRow {
    /// AWS's name of it.
    pub call: String,
    /// What it was tried on.
    pub about: String,
    /// Whether it may be made.
    pub outcome: Answer,
    /// Whether AWS was reached and answered.
    pub answered: bool,
    /// Why it is not allowed, or what is not known.
    pub reason: String,
    /// The IAM action that is missing.
    pub action: Option<String>,
    /// The resource that it is missing on.
    pub resource: Option<String>,
    /// What to add.
    pub add: Vec<Statement>,
}

/// One place that plans use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceDocument {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The name under `[accounts]`; nothing for the own account.
    pub name: Option<String>,
    /// What it is to the plans, in words.
    pub uses: Vec<String>,
    /// Each call.
    pub calls: Vec<CheckRow>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountDocument {
    /// The name under `[accounts]`; nothing for the own account.
    pub name: Option<String>,
    /// Twelve digits, once known.
    pub account: Option<String>,
    /// Who we are there.
    pub arn: Option<String>,
    /// Whether its role can be assumed.
    #[serde(flatten)]
    pub row: CheckRow,
}

/// The document of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoctorDocument {
    /// When it was made.
    pub at: String,
    /// The daemon's name.
    pub daemon: String,
    /// Whose rules the zones of the plans follow on this host; left out where nobody has looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones: Option<ZoneSource>,
    /// What would keep every run from beginning, or from rebooting anything, whatever is allowed; left out where nothing would.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub barred: Vec<String>,
    /// Who we are, in each account.
    pub accounts: Vec<AccountDocument>,
    /// Each place.
    pub places: Vec<PlaceDocument>,
}

impl DoctorDocument {
    /// Whether nothing is denied, and all that could be asked was answered.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.rows().all(|row| row.outcome != Answer::Denied && row.answered)
    }

    /// Each call that was tried.
    pub fn rows(&self) -> impl Iterator<Item = &CheckRow> {
        self.accounts.iter().map(|a| &a.row).chain(self.places.iter().flat_map(|p| &p.calls))
    }
}
