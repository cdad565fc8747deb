//! `Keys` on the SDK: each method puts exactly one request on the wire.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::types::{GrantListEntry, GrantOperation, KeyManagerType, KeyMetadata, KeySpec, KeyState};

use super::convert::some;
use super::ec2::turn;
use super::error::{answer_fault, end, unknown_word};
use super::{AwsCloud, plain, send};
use crate::cloud::port::{Ask, CreateGrant, Effect, Grant, Keys, Page, Read};
use crate::domain::copying::Key;
use crate::domain::place::Place;

/// Grants of one page (API reference, ListGrants: at most 100).
const GRANT_PAGE_SIZE: u32 = 100;

#[async_trait(?Send)]
impl Keys for AwsCloud {
    async fn key(&self, place: &Place, key: &str) -> Read<Key> {
        let answer = send!(self, place, kms => kms.describe_key().key_id(key))?;
        converted(answer.key_metadata().ok_or_else(|| answer_fault(format!("DescribeKey of {key}: no key")))?)
    }

    async fn key_policy(&self, place: &Place, key: &str) -> Read<String> {
        let answer = send!(self, place, kms => kms.get_key_policy().key_id(key).policy_name("default"))?;
        some(answer.policy()).ok_or_else(|| answer_fault(format!("GetKeyPolicy of {key}: no policy")))
    }

    async fn grants(&self, place: &Place, key: &str, page: Ask<'_>) -> Read<Page<Grant>> {
        let (size, page) = turn(page, GRANT_PAGE_SIZE);
        let answer = send!(self, place, kms => {
            kms.list_grants().key_id(key).limit(size).set_marker(page)
        })?;
        let next = some(answer.next_marker());
        if answer.truncated() && next.is_none() {
            return Err(answer_fault(format!("ListGrants of {key}: the list goes on, but nowhere")));
        }
        Ok(Page { items: answer.grants().iter().map(|entry| grant(key, entry)).collect::<Read<_>>()?, next })
    }

    async fn create_grant(&self, place: &Place, request: &CreateGrant) -> Effect<String> {
        let operations = request.operations.iter().map(|word| GrantOperation::from(word.as_str())).collect();
        let sent = send!(self, place, kms => {
            kms.create_grant()
                .key_id(&request.key)
                .grantee_principal(&request.grantee)
                .set_operations(Some(operations))
                .name(&request.name)
        });
        match sent {
            Ok(answer) => {
                let request_id = answer.request_id().map(str::to_owned);
                match some(answer.grant_id()) {
                    Some(value) => Effect::Done { value, request_id },
                    None => Effect::Unknown(answer_fault("CreateGrant: the answer names no grant")),
                }
            }
            Err(fault) => end(fault),
        }
    }

    async fn revoke_grant(&self, place: &Place, key: &str, grant: &str) -> Effect<()> {
        plain!(send!(self, place, kms => kms.revoke_grant().key_id(key).grant_id(grant)))
    }
}

fn converted(from: &KeyMetadata) -> Read<Key> {
    let id = from.key_id();
    let lacks = |what: &str| answer_fault(format!("DescribeKey of {id}: the answer holds no {what}"));
    let aws_managed = match from.key_manager() {
        Some(KeyManagerType::Aws) => true,
        Some(KeyManagerType::Customer) => false,
        Some(other) => {
            let word = other.as_str();
            return Err(unknown_word(format!("the manager of the key {id} is `{word}`; update stillframe")));
        }
        None => return Err(lacks("KeyManager")),
    };
    Ok(Key {
        arn: some(from.arn()).ok_or_else(|| lacks("Arn"))?,
        aws_managed,
        state: from.key_state().map(KeyState::as_str).ok_or_else(|| lacks("KeyState"))?.to_owned(),
        symmetric: *from.key_spec().ok_or_else(|| lacks("KeySpec"))? == KeySpec::SymmetricDefault,
    })
}

fn grant(key: &str, from: &GrantListEntry) -> Read<Grant> {
    let lacks = |what: &str| answer_fault(format!("ListGrants of {key}: a grant without {what}"));
    // A grant to a service of AWS's names that instead.
    let grantee = from.grantee_principal().or(from.grantee_service_principal());
    Ok(Grant {
        id: some(from.grant_id()).ok_or_else(|| lacks("an id"))?,
        name: some(from.name()),
        grantee: some(grantee).ok_or_else(|| lacks("a grantee"))?,
        operations: from.operations().iter().map(|word| word.as_str().to_owned()).collect::<BTreeSet<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::classify::Class;

    fn metadata() -> aws_sdk_kms::types::builders::KeyMetadataBuilder {
        let key = KeyMetadata::builder().key_id("k").arn("arn:aws:kms:eu-west-1:111111111111:key/k");
        key.key_manager(KeyManagerType::Customer).key_state(KeyState::Enabled).key_spec(KeySpec::SymmetricDefault)
    }

    #[test]
    fn a_key_keeps_all_that_a_verdict_needs_and_nothing_is_guessed() {
        let read = |key: aws_sdk_kms::types::builders::KeyMetadataBuilder| converted(&key.build().expect("an id"));
        let key = read(metadata()).expect("whole");
        assert_eq!((key.aws_managed, key.state.as_str(), key.symmetric), (false, "Enabled", true));
        let other = metadata().key_manager(KeyManagerType::Aws).key_spec(KeySpec::Rsa2048);
        let other = read(other.key_state("PendingDeletion".into())).expect("whole");
        assert_eq!((other.aws_managed, other.state.as_str(), other.symmetric), (true, "PendingDeletion", false));
        assert_eq!(read(metadata().key_manager("ALIEN".into())).map_err(|f| f.class), Err(Class::Final));
        for lacking in [
            metadata().set_arn(None),
            metadata().set_key_manager(None),
            metadata().set_key_state(None),
            metadata().set_key_spec(None),
        ] {
            assert_eq!(read(lacking).map_err(|f| f.class), Err(Class::Transient));
        }
    }
}
