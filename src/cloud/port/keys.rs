//! The port `Keys`: the part of KMS that encrypted copies need.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{Ask, Effect, Page, Read};
use crate::domain::copying::Key;
use crate::domain::place::Place;

/// All that a CreateGrant carries. With the same name, key, grantee and operations a second one returns the first
/// (KMS API reference, CreateGrant, `Name`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateGrant {
    /// The key's ARN.
    pub key: String,
    /// Who may use it: the ARN of a role or of an account's root.
    pub grantee: String,
    /// KMS's words, such as `Decrypt`.
    pub operations: BTreeSet<String>,
    /// The deterministic name, at most 256 of `a-zA-Z0-9:/_-`.
    pub name: String,
}

/// A grant as ListGrants shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `GrantId`.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Who may use the key by it.
    pub grantee: String,
    /// KMS's words.
    pub operations: BTreeSet<String>,
}

/// Keys and grants. A key is named by its id, its ARN or an alias of the place.
#[async_trait(?Send)]
pub trait Keys {
    /// DescribeKey.
    async fn key(&self, place: &Place, key: &str) -> Read<Key>;
    /// GetKeyPolicy, `default`: the policy's JSON.
    async fn key_policy(&self, place: &Place, key: &str) -> Read<String>;
    /// ListGrants.
    async fn grants(&self, place: &Place, key: &str, page: Ask<'_>) -> Read<Page<Grant>>;
    /// CreateGrant: answers the grant's id.
    async fn create_grant(&self, place: &Place, request: &CreateGrant) -> Effect<String>;
    /// RevokeGrant.
    async fn revoke_grant(&self, place: &Place, key: &str, grant: &str) -> Effect<()>;
}
