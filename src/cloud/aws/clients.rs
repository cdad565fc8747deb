//! The SDK's clients for one set of credentials: our own, or those of a role that is assumed.

use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_config::sts::AssumeRoleProvider;
use aws_sdk_ec2::config::{Region, SharedCredentialsProvider};
use tokio::sync::OnceCell;

use super::credentials::Held;
use crate::cloud::port::Role;

/// One client of each service.
#[derive(Debug)]
pub(super) struct Clients {
    pub ec2: aws_sdk_ec2::Client,
    pub kms: aws_sdk_kms::Client,
    pub sts: aws_sdk_sts::Client,
    role: Option<Role>,
}

impl Clients {
    /// On `sdk`'s credentials, which are those of `role` if there is one.
    pub fn new(sdk: &SdkConfig, role: Option<Role>) -> Self {
        Self {
            ec2: aws_sdk_ec2::Client::new(sdk),
            kms: aws_sdk_kms::Client::new(sdk),
            sts: aws_sdk_sts::Client::new(sdk),
            role,
        }
    }

    /// The role that is assumed.
    pub fn role(&self) -> Option<&Role> {
        self.role.as_ref()
    }
}

/// `sdk` with credentials that only `held` remembers.
pub(super) fn on(held: &Held, sdk: &SdkConfig) -> SdkConfig {
    let mut builder = sdk.to_builder().credentials_provider(SharedCredentialsProvider::new(held.clone()));
    builder.set_identity_cache(Some(IdentityCache::no_cache()));
    builder.build()
}

/// A role, and its clients once they were asked for.
#[derive(Debug)]
pub(super) struct Assumed {
    pub role: Role,
    clients: OnceCell<(Clients, Held)>,
}

impl Assumed {
    pub fn new(role: Role) -> Self {
        Self { role, clients: OnceCell::new() }
    }

    /// Its clients. AssumeRole itself is called with their first request, and whenever the credentials run out: in the
    /// home region (`sdk`'s, else `region`), since STS is regional, with `sdk`'s limits: once, never retried here.
    pub async fn clients(&self, sdk: &SdkConfig, region: &str) -> &Clients {
        let make = async || {
            let home = sdk.region().cloned().unwrap_or_else(|| Region::new(region.to_owned()));
            let (role, region, base) = (self.role.clone(), home.clone(), sdk.clone());
            let held = Held::new(move || {
                let mut provider = AssumeRoleProvider::builder(&role.arn)
                    .session_name(&role.session)
                    .region(region.clone())
                    .configure(&base); // without it the SDK would read its whole chain again
                if let Some(id) = &role.external_id {
                    provider = provider.external_id(id);
                }
                async { SharedCredentialsProvider::new(provider.build().await) }
            });
            // One for all three clients: one AssumeRole for all of them.
            let sdk = on(&held, sdk).into_builder().region(home).build();
            (Clients::new(&sdk, Some(self.role.clone())), held)
        };
        &self.clients.get_or_init(make).await.0
    }

    /// The next request assumes the role anew.
    pub async fn renew(&self) {
        if let Some((_, held)) = self.clients.get() {
            held.forget().await;
        }
    }
}
