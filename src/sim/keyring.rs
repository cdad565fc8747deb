//! Which key a name means, and who may use it.

use chrono::{DateTime, Utc};

use super::ids;
use super::key::SimKey;
use super::policy::{self, Use};
use super::world::{Caller, World};
use crate::domain::place::Place;

/// The AWS-managed key of EBS, which each account has in each region.
pub const MANAGED: &str = "alias/aws/ebs";

/// What EBS asks of a key for a snapshot that is read or written for somebody. The EBS guide ("Requirements for EBS
/// encryption") lists CreateGrant, Decrypt, DescribeKey, GenerateDataKeyWithoutPlaintext and ReEncrypt, which is both
/// of ReEncryptFrom and ReEncryptTo.
pub const EBS_OPERATIONS: [&str; 6] =
    ["CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"];

/// The place and the resource of a key's or an alias's ARN.
pub(super) fn of_arn(arn: &str) -> Option<(Place, &str)> {
    let (region, rest) = arn.strip_prefix("arn:aws:kms:")?.split_once(':')?;
    let (account, resource) = rest.split_once(':')?;
    Some((Place::new(account, region), resource))
}

impl World {
    /// The AWS-managed key of EBS in `place`, of which nobody had to make anything.
    pub(super) fn managed_key(&self, place: &Place) -> SimKey {
        let id = ids::request_id(ids::hash(self.seed, &place.to_string()), 0);
        SimKey {
            arn: format!("arn:aws:kms:{}:{}:key/{id}", place.region, place.account),
            place: place.clone(),
            alias: Some(MANAGED.into()),
            aws_managed: true,
            state: "Enabled".into(),
            symmetric: true,
            policy: policy::managed_policy(place),
            grants: Vec::new(),
        }
    }

    /// The key that `name` means in `place`: an alias or an id there, or an ARN of anywhere.
    pub(super) fn find_key(&self, place: &Place, name: &str) -> Option<SimKey> {
        let there;
        let (place, resource) = match of_arn(name) {
            Some((of, resource)) => {
                there = of;
                (&there, resource)
            }
            None => (place, name),
        };
        let managed = self.managed_key(place);
        if resource == MANAGED {
            return Some(managed);
        }
        let id = resource.strip_prefix("key/").unwrap_or(resource);
        let fits = |key: &SimKey| key.alias.as_deref() == Some(resource) || key.arn.ends_with(&format!(":key/{id}"));
        if fits(&managed) {
            return Some(managed);
        }
        self.keys.values().find(|key| key.place == *place && fits(key)).cloned()
    }

    /// Whether `caller` may use `key`: its role does not forbid it, and the key's policy or a grant that works already
    /// allows it (KMS developer guide, "Determining access"). `through_ec2` is the region where EC2 asks for it.
    pub(super) fn may_use(
        &self,
        now: DateTime<Utc>,
        caller: &Caller,
        key: &SimKey,
        operation: &str,
        through_ec2: Option<&str>,
    ) -> bool {
        if self.denies(caller, &format!("kms:{operation}")) {
            return false;
        }
        let organization = self.organization(&caller.account);
        let root = format!("arn:aws:iam::{}:root", caller.account);
        let granted = key.grants.iter().any(|grant| {
            grant.works <= now
                && (grant.grantee == root || Some(&grant.grantee) == caller.role.as_ref())
                && grant.operations.contains(operation)
        });
        granted || policy::allows(&key.policy, &Use { caller, organization, operation, through_ec2 })
    }

    /// Why EBS cannot use the key `name` in `place` for `caller`, as an image's StateReason tells it. That a copy ends
    /// `failed` with one is an inference from the user guide ("can appear to complete, but eventually fails"), and so
    /// are code and words.
    pub(super) fn key_problem(
        &self,
        now: DateTime<Utc>,
        caller: &Caller,
        place: &Place,
        name: &str,
    ) -> Option<(String, String)> {
        let why = |code: &str, what: &str| Some((code.into(), format!("The KMS key {name} {what}")));
        let Some(key) = self.find_key(place, name) else {
            return why("Client.InvalidKmsKey.NotFound", "does not exist");
        };
        if key.place.region != place.region {
            return why("Client.InvalidKmsKey.NotFound", "is in another region");
        }
        if key.state != "Enabled" || !key.symmetric {
            return why(
                "Client.InvalidKmsKey.InvalidState",
                "is in an incorrect state: it must be enabled and symmetric",
            );
        }
        let refused = EBS_OPERATIONS.iter().find(|op| !self.may_use(now, caller, &key, op, Some(&place.region)));
        refused.and_then(|op| {
            let who = caller.arn();
            why("Client.InvalidKmsKey.AccessDenied", &format!("cannot be used: {who} may not kms:{op}"))
        })
    }
}
