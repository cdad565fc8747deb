//! The real AWS: the ports on the SDK, one request per call, nothing retried.
//!
//! Credentials, region and endpoint come through the SDK's own chain (`AWS_PROFILE`, `AWS_ENDPOINT_URL`, instance
//! role, ...); what belongs to the account of a [`Role`] is asked with that role's. Rate, deadlines and retries are
//! [`Governed`](super::governed::Governed)'s.

mod clients;
mod convert;
mod credentials;
mod distribution;
mod ec2;
mod error;
mod http;
mod keys;
mod salvage;
mod wire;

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use chrono::TimeDelta;

use super::port::{Caller, Identity, Read, Role};
use crate::domain::place::Place;
use clients::{Assumed, Clients, on};
use credentials::Held;
use error::{another_account, answer_fault, fault, no_credentials, no_role, other_account};
use salvage::Salvage;
use wire::{Ahead, Wire};

/// A connection that is not made within this time was never made (the SDK's own default, held here).
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);

/// Gives none.
#[derive(Debug)]
struct Nobody;

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("there is no provider")))
    }
}

/// AWS through the SDK.
pub struct AwsCloud {
    /// For all regions: each request names its own, and all share one connector and one cache of credentials.
    base: Clients,
    roles: Vec<Assumed>,
    sdk: SdkConfig,
    held: Option<Held>,
    /// The account of the base credentials, once AWS has told it.
    account: OnceLock<String>,
    ahead: Ahead,
    salvage: Salvage,
}

/// Sends one request of one service with the credentials of a place. A macro, since the SDK keeps the trait of its
/// request builders to itself.
macro_rules! send {
    ($cloud:expr, $place:expr, $service:ident => $request:expr) => {
        async {
            let clients = $cloud.clients($place).await?;
            let $service = &clients.$service;
            let wire = $crate::cloud::aws::wire::Wire::new(&$cloud.ahead, clients.role());
            let here = send!(@ $cloud, $service).region(aws_sdk_ec2::config::Region::new($place.region.clone()));
            let answer = $request.customize().config_override(here).interceptor(wire.clone()).send().await;
            answer.map_err(|error| $crate::cloud::aws::error::fault(&error, &wire))
        }
        .await
    };
    (@ $cloud:expr, ec2) => {
        aws_sdk_ec2::config::Config::builder().interceptor($cloud.salvage.clone())
    };
    (@ $cloud:expr, kms) => {
        aws_sdk_kms::config::Config::builder()
    };
}
use send;

/// The end of an effect whose answer holds nothing that is needed.
macro_rules! plain {
    ($sent:expr) => {
        match $sent {
            Ok(answer) => $crate::cloud::port::Effect::Done {
                value: (),
                request_id: aws_sdk_ec2::operation::RequestId::request_id(&answer).map(str::to_owned),
            },
            Err(fault) => $crate::cloud::aws::error::end(fault),
        }
    };
}
use plain;

impl AwsCloud {
    /// Reads the SDK's own chain. Reaches no network yet, except where the region comes from instance metadata.
    ///
    /// # Errors
    /// The environment names what cannot be used, in one line: an endpoint, certificates.
    pub async fn connect(roles: Vec<Role>) -> Result<Self, String> {
        let (client, warning) = http::client(|name| std::env::var(name).ok())?;
        if let Some(warning) = warning {
            tracing::warn!(event = "cloud.no_certificates", reason = %warning, "no certificate can be checked");
        }
        let loader = || aws_config::defaults(BehaviorVersion::latest()).http_client(client.clone());
        let sdk = loader().load().await;
        let (region, client) = (sdk.region().cloned(), client.clone());
        let held = Held::new(move || {
            let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(client.clone());
            // The region is kept: instance metadata need not be asked for it again.
            let loader = loader.region(region.clone());
            async move {
                let none = || SharedCredentialsProvider::new(Nobody);
                loader.load().await.credentials_provider().unwrap_or_else(none)
            }
        });
        Ok(Self::of(&on(&held, &sdk), roles, Some(held)))
    }

    /// On `sdk`'s credentials, region and endpoint; its retries and time-outs are replaced.
    #[must_use]
    pub fn with_config(sdk: &SdkConfig, roles: Vec<Role>) -> Self {
        match sdk.credentials_provider() {
            None => Self::of(sdk, roles, None),
            Some(given) => {
                let held = Held::new(move || std::future::ready(given.clone()));
                Self::of(&on(&held, sdk), roles, Some(held))
            }
        }
    }

    fn of(sdk: &SdkConfig, roles: Vec<Role>, held: Option<Held>) -> Self {
        let mut builder = sdk.to_builder();
        // One cut answer puts three CreateImage on the wire with the SDK's retries.
        builder.set_retry_config(Some(RetryConfig::disabled()));
        builder.set_timeout_config(Some(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .disable_read_timeout()
                .disable_operation_timeout()
                .disable_operation_attempt_timeout()
                .build(),
        ));
        // Every attempt has a deadline; a slow answer to an effect is still the best answer.
        builder.set_stalled_stream_protection(Some(StalledStreamProtectionConfig::disabled()));
        // The SDK's chain brings one, a configuration made by hand need not; without it no role can be assumed.
        builder.set_time_source(Some(sdk.time_source().unwrap_or_default()));
        builder.set_app_name(Some(AppName::new("stillframe").expect("letters only")));
        let sdk = builder.build();
        Self {
            base: Clients::new(&sdk, None),
            roles: roles.into_iter().map(Assumed::new).collect(),
            account: OnceLock::new(),
            ahead: Ahead::default(),
            salvage: Salvage::default(),
            sdk,
            held,
        }
    }

    /// The clients for what is in `place`: those of its account's role, else our own. An account that is neither ours
    /// nor a role's gets none: our own credentials would act on what is ours instead.
    async fn clients(&self, place: &Place) -> Read<&Clients> {
        // A role that somebody configured for our own account must not come between us and our instances.
        let other = self.account.get() != Some(&place.account);
        if let Some(assumed) = self.roles.iter().find(|assumed| other && assumed.role.account == place.account) {
            return Ok(assumed.clients(&self.sdk, &place.region).await);
        }
        match self.account.get() {
            Some(own) if *own != place.account => Err(no_role(place, own)),
            _ => Ok(&self.base),
        }
    }

    async fn identity(&self, clients: &Clients) -> Read<Caller> {
        let wire = Wire::new(&self.ahead, clients.role());
        let answer = clients.sts.get_caller_identity().customize().interceptor(wire.clone()).send().await;
        let caller = answer.map_err(|error| fault(&error, &wire))?;
        match (caller.account, caller.arn) {
            (Some(account), Some(arn)) => Ok(Caller { account, arn }),
            _ => Err(answer_fault("GetCallerIdentity: the answer names no account")),
        }
    }
}

#[async_trait(?Send)]
impl Identity for AwsCloud {
    async fn whoami(&self) -> Read<Caller> {
        let caller = self.identity(&self.base).await?;
        let _ = self.account.set(caller.account.clone()); // credentials of another account take a restart
        Ok(caller)
    }

    async fn whoami_in(&self, place: &Place) -> Read<Caller> {
        let clients = self.clients(place).await?;
        let Some(role) = clients.role() else {
            let caller = self.whoami().await?;
            return if caller.account == place.account { Ok(caller) } else { Err(no_role(place, &caller.account)) };
        };
        let caller = self.identity(clients).await?;
        if caller.account == role.account { Ok(caller) } else { Err(other_account(role, &caller)) }
    }

    async fn renew(&self) -> Read<bool> {
        let Some(held) = &self.held else { return Ok(false) };
        let new = held.anew().await.map_err(|failure| no_credentials(&failure))?;
        let others = held.differ(&new).await;
        if others && let Some(own) = self.account.get() {
            // What is begun belongs to our account: another one's credentials would find nothing of it.
            let sdk = self.sdk.to_builder();
            let sdk = sdk.credentials_provider(SharedCredentialsProvider::new(new.credentials.clone())).build();
            let caller = self.identity(&Clients::new(&sdk, None)).await?;
            if caller.account != *own {
                return Err(another_account(own, &caller));
            }
        }
        held.take(new).await;
        for role in &self.roles {
            role.renew().await;
        }
        Ok(others)
    }

    fn home_region(&self) -> Option<String> {
        self.sdk.region().map(ToString::to_string)
    }

    fn clock_ahead(&self) -> Option<TimeDelta> {
        self.ahead.get()
    }
}
