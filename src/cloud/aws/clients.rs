//! The SDK's clients for one set of credentials: our own, or those of a role that is assumed.

use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_config::sts::AssumeRoleProvider;
use aws_sdk_ec2::config::{Region, SharedCredentialsProvider};
use tokio::sync::OnceCell;

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

/// A role, and its clients once they were asked for.
#[derive(Debug)]
pub(super) struct Assumed {
    pub role: Role,
    clients: OnceCell<Clients>,
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
            let mut provider = AssumeRoleProvider::builder(&self.role.arn)
                .session_name(&self.role.session)
                .region(home.clone())
                .configure(sdk); // without it the SDK would read its whole chain again
            if let Some(id) = &self.role.external_id {
                provider = provider.external_id(id);
            }
            let credentials = SharedCredentialsProvider::new(provider.build().await);
            let mut builder = sdk.to_builder().region(home).credentials_provider(credentials);
            // One cache for all three clients: one AssumeRole for all of them.
            builder.set_identity_cache(Some(IdentityCache::lazy().build()));
            Clients::new(&builder.build(), Some(self.role.clone()))
        };
        self.clients.get_or_init(make).await
    }
}
