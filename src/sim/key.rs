//! One simulated KMS key and its grants.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::place::Place;

/// A key of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimKey {
    /// `arn:aws:kms:REGION:ACCOUNT:key/UUID`
    pub arn: String,
    /// Whose it is and where.
    pub place: Place,
    /// `alias/...`, if it has one.
    pub alias: Option<String>,
    /// Whether AWS manages it (`alias/aws/ebs`).
    pub aws_managed: bool,
    /// `KeyState`.
    pub state: String,
    /// Whether it is symmetric.
    pub symmetric: bool,
    /// The policy's JSON.
    pub policy: String,
    /// In the order in which they were made.
    pub grants: Vec<SimGrant>,
}

/// A grant of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimGrant {
    /// `GrantId`.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// A role's or an account's ARN.
    pub grantee: String,
    /// KMS's words.
    pub operations: BTreeSet<String>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// It works from then on.
    pub works: DateTime<Utc>,
}
