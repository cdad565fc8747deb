//! KMS: what is told about keys, and their grants.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::account::role_of;
use super::answer::{Answer, Page};
use super::error::ApiError;
use super::ids;
use super::key::{SimGrant, SimKey};
use super::keyring::of_arn;
use super::world::{Caller, World};
use crate::domain::place::Place;

/// KMS API reference, ListGrants, Limit: "between 1 and 100, inclusive. If you do not include a value, it defaults
/// to 50."
const GRANTS_PAGE: u32 = 50;
const GRANTS_PAGE_MAX: u32 = 100;
/// KMS API reference, CreateGrant, Name: at most 256 characters.
const GRANT_NAME_MAX: usize = 256;
/// KMS API reference, CreateGrant, Operations, for symmetric keys.
const OPERATIONS: [&str; 10] = [
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "RetireGrant",
];

impl World {
    pub(super) fn describe_key(
        &self,
        now: DateTime<Utc>,
        caller: &Caller,
        place: &Place,
        key: &str,
    ) -> Result<Answer, ApiError> {
        self.usable(now, caller, place, key, "DescribeKey").map(Answer::Key)
    }

    pub(super) fn key_policy(
        &self,
        now: DateTime<Utc>,
        caller: &Caller,
        place: &Place,
        key: &str,
    ) -> Result<Answer, ApiError> {
        by_id("GetKeyPolicy", key)?;
        // API reference: "Cross-account use: No."
        let found = self.usable(now, caller, place, key, "GetKeyPolicy")?;
        if found.place.account != caller.account {
            return Err(ApiError::not_allowed("GetKeyPolicy", &caller.arn(), &found.arn));
        }
        Ok(Answer::KeyPolicy(found.policy))
    }

    pub(super) fn list_grants(
        &self,
        now: DateTime<Utc>,
        caller: &Caller,
        place: &Place,
        key: &str,
        (max, marker): (Option<u32>, Option<&str>),
    ) -> Result<Answer, ApiError> {
        by_id("ListGrants", key)?;
        let found = self.usable(now, caller, place, key, "ListGrants")?;
        let size = max.unwrap_or(GRANTS_PAGE);
        if !(1..=GRANTS_PAGE_MAX).contains(&size) {
            return Err(ApiError::client(
                "ValidationException",
                format!("1 validation error detected: Value '{size}' at 'limit' failed to satisfy constraint"),
            ));
        }
        // The marker names the last grant of its page; in order of ids, so that a revoked one loses nothing.
        let mut grants = found.grants;
        // API reference: KMS "follows an eventual consistency model".
        grants.retain(|grant| grant.created + self.span(self.visibility_lag) <= now);
        grants.sort_by(|a, b| a.id.cmp(&b.id));
        grants.retain(|grant| marker.is_none_or(|after| grant.id.as_str() > after));
        let more = grants.len() > size as usize;
        grants.truncate(size as usize);
        let next = grants.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Answer::Grants(found.arn, Page { items: grants, next }))
    }

    #[allow(clippy::too_many_arguments)] // the request's own parameters
    pub(super) fn create_grant(
        &mut self,
        now: DateTime<Utc>,
        caller: &Caller,
        place: &Place,
        key: &str,
        grantee: &str,
        operations: &[String],
        name: Option<&str>,
    ) -> Result<Answer, ApiError> {
        by_id("CreateGrant", key)?;
        let invalid = |what: String| Err(ApiError::client("ValidationException", what));
        if let Some(unknown) = operations.iter().find(|op| !OPERATIONS.contains(&op.as_str())) {
            return invalid(format!("1 validation error detected: Value '[{unknown}]' at 'operations' is not valid"));
        }
        if operations.is_empty() {
            return invalid("1 validation error detected: Value null at 'operations' must not be null".into());
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || ":/_-".contains(c);
        if name.is_some_and(|name| !(1..=GRANT_NAME_MAX).contains(&name.len()) || !name.chars().all(fits)) {
            return invalid("1 validation error detected: Value at 'name' must satisfy ^[a-zA-Z0-9:/_-]+$".into());
        }
        if !self.is_principal(grantee) {
            return Err(ApiError::client("InvalidArnException", "ARN does not refer to a valid principal"));
        }
        let found = self.usable(now, caller, place, key, "CreateGrant")?;
        enabled(&found)?;
        if !found.symmetric {
            return invalid(format!("The operations are not valid for the key {}", found.arn));
        }
        let operations: BTreeSet<String> = operations.iter().cloned().collect();
        let same = |g: &&SimGrant| g.name.as_deref() == name && g.grantee == grantee && g.operations == operations;
        // API reference, CreateGrant, Name: "When this value is present, you can create a grant with identical
        // parameters; if the grant already exists, the original GrantId is returned without creating a new grant."
        if let Some(there) = found.grants.iter().find(same).filter(|_| name.is_some()) {
            return Ok(Answer::Grant(there.id.clone()));
        }
        let id = self.new_id("grant");
        let id = format!("{}{}", id.trim_start_matches("grant-"), ids::digits(self.seed ^ 0x6772, self.issued));
        let seconds = self.seconds_of_grant(&id);
        let works = now + self.span(seconds);
        let name = name.map(str::to_owned);
        let grant = SimGrant { id: id.clone(), name, grantee: grantee.into(), operations, created: now, works };
        let key = self.keys.get_mut(&found.arn);
        key.ok_or_else(|| ApiError::not_allowed("CreateGrant", &caller.arn(), &found.arn))?.grants.push(grant);
        Ok(Answer::Grant(id))
    }

    pub(super) fn revoke_grant(
        &mut self,
        now: DateTime<Utc>,
        caller: &Caller,
        place: &Place,
        key: &str,
        grant: &str,
    ) -> Result<Answer, ApiError> {
        by_id("RevokeGrant", key)?;
        let found = self.usable(now, caller, place, key, "RevokeGrant")?;
        let grants = self.keys.get_mut(&found.arn).map(|key| &mut key.grants);
        let at = grants.as_ref().and_then(|grants| grants.iter().position(|g| g.id == grant));
        let (Some(grants), Some(at)) = (grants, at) else {
            return Err(not_found(format!("Grant ID {grant} not found")));
        };
        grants.remove(at);
        Ok(Answer::Done)
    }

    /// The key, if it is in the region of the call and the caller may do `operation` with it.
    fn usable(
        &self,
        now: DateTime<Utc>,
        caller: &Caller,
        place: &Place,
        name: &str,
        operation: &str,
    ) -> Result<SimKey, ApiError> {
        if of_arn(name).is_some_and(|(of, _)| of.region != place.region) {
            return Err(not_found(format!("Invalid arn {}", place.region)));
        }
        let Some(key) = self.find_key(place, name) else {
            let Place { account, region } = place;
            let of = |kind: &str| format!("arn:aws:kms:{region}:{account}:{kind}");
            return Err(not_found(match name {
                alias if alias.starts_with("alias/") => format!("Alias {} is not found.", of(alias)),
                arn if arn.starts_with("arn:") => format!("Key '{arn}' does not exist"),
                id => format!("Key '{}' does not exist", of(&format!("key/{id}"))),
            }));
        };
        if self.may_use(now, caller, &key, operation, None) {
            return Ok(key);
        }
        Err(ApiError::not_allowed(operation, &caller.arn(), &key.arn))
    }

    /// An account's root, or a role or a user: of an account whose roles are known, a role that is there.
    fn is_principal(&self, arn: &str) -> bool {
        let account = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(':'));
        account.is_some_and(|(id, rest)| {
            id.len() == 12
                && id.bytes().all(|b| b.is_ascii_digit())
                && (rest == "root"
                    || rest.starts_with("user/")
                    || role_of(arn).is_some() && (!self.accounts.contains_key(id) || self.role(arn).is_some()))
        })
    }
}

/// API reference: these take "the key ID or key ARN of the KMS key", no alias.
fn by_id(api: &str, key: &str) -> Result<(), ApiError> {
    let resource = of_arn(key).map_or(key, |(_, resource)| resource);
    if resource.starts_with("alias/") {
        return Err(not_found(format!("Invalid keyId {key} ({api} takes no alias)")));
    }
    Ok(())
}

/// KMS developer guide, "Key states of AWS KMS keys".
fn enabled(key: &SimKey) -> Result<(), ApiError> {
    match key.state.as_str() {
        "Enabled" => Ok(()),
        "Disabled" => Err(ApiError::client("DisabledException", format!("{} is disabled.", key.arn))),
        state => Err(ApiError::client("KMSInvalidStateException", format!("{} is {state}.", key.arn))),
    }
}

fn not_found(message: String) -> ApiError {
    ApiError::client("NotFoundException", message)
}
