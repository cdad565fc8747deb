//! Who may use an image or a snapshot: accounts, organizations, organizational units.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One entry of a permission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grantee {
    /// Twelve digits.
    Account(String),
    /// An organization's ARN; images only.
    Organization(String),
    /// An organizational unit's ARN; images only.
    Unit(String),
    /// The group `all`: public.
    Everyone,
}

impl Grantee {
    /// The account, if it is one.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        if let Self::Account(id) = self { Some(id) } else { None }
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => f.write_str(id),
            Self::Organization(arn) | Self::Unit(arn) => f.write_str(arn),
            Self::Everyone => f.write_str("everyone"),
        }
    }
}
