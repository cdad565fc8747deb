//! The port `Keys` on the simulated world.

use async_trait::async_trait;

use super::{SimCloud, astray};
use crate::cloud::port::{Ask, CreateGrant, Effect, Grant, Keys, Page, Read};
use crate::domain::copying::Key;
use crate::domain::place::Place;
use crate::sim::action::Action;
use crate::sim::answer::Answer;

/// The largest page that the adapter asks for (KMS API reference, ListGrants, Limit: 1 to 100).
const GRANTS_PAGE: u32 = 100;

#[async_trait(?Send)]
impl Keys for SimCloud {
    async fn key(&self, place: &Place, key: &str) -> Read<Key> {
        match self.send(place, Action::DescribeKey { key: key.into() }).await?.0 {
            Answer::Key(it) => {
                Ok(Key { arn: it.arn, aws_managed: it.aws_managed, state: it.state, symmetric: it.symmetric })
            }
            other => Err(astray(&other)),
        }
    }

    async fn key_policy(&self, place: &Place, key: &str) -> Read<String> {
        match self.send(place, Action::GetKeyPolicy { key: key.into() }).await?.0 {
            Answer::KeyPolicy(text) => Ok(text),
            other => Err(astray(&other)),
        }
    }

    async fn grants(&self, place: &Place, key: &str, page: Ask<'_>) -> Read<Page<Grant>> {
        let list = Action::ListGrants {
            key: key.into(),
            max: Some(page.size(GRANTS_PAGE)),
            marker: page.token.map(str::to_owned),
        };
        match self.send(place, list).await?.0 {
            Answer::Grants(_, page) => {
                let items = page.items.into_iter();
                let items =
                    items.map(|g| Grant { id: g.id, name: g.name, grantee: g.grantee, operations: g.operations });
                Ok(Page { items: items.collect(), next: page.next })
            }
            other => Err(astray(&other)),
        }
    }

    async fn create_grant(&self, place: &Place, request: &CreateGrant) -> Effect<String> {
        let action = Action::CreateGrant {
            key: request.key.clone(),
            grantee: request.grantee.clone(),
            operations: request.operations.iter().cloned().collect(),
            name: Some(request.name.clone()),
        };
        let id = |answer| match answer {
            Answer::Grant(id) if id.is_empty() => Err(astray(&Answer::Grant(id))),
            Answer::Grant(id) => Ok(id),
            other => Err(astray(&other)),
        };
        self.effect(place, action, id).await
    }

    async fn revoke_grant(&self, place: &Place, key: &str, grant: &str) -> Effect<()> {
        let action = Action::RevokeGrant { key: key.into(), grant: grant.into() };
        self.effect(place, action, |_| Ok(())).await
    }
}
