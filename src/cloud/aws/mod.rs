//! The real AWS: `Ec2` and `Identity` on the SDK, one request per call, nothing retried.
//!
//! Credentials, region and endpoint come through the SDK's own chain (`AWS_PROFILE`, `AWS_ENDPOINT_URL`, instance
//! role, ...). Rate, deadlines and retries are [`Governed`](super::governed::Governed)'s.

mod convert;
mod ec2;
mod error;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, SdkConfig};

use chrono::TimeDelta;

use super::port::{Caller, Identity, Read};
use error::{answer_fault, fault};
use wire::{Ahead, Wire};

/// A connection that is not made within this time was never made (the SDK's own default, held here).
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);

/// AWS through the SDK.
pub struct AwsCloud {
    /// One client for all regions: each request names its own, and all share one connector and one cache of
    /// credentials.
    ec2: aws_sdk_ec2::Client,
    sts: aws_sdk_sts::Client,
    home: Option<String>,
    ahead: Ahead,
}

impl AwsCloud {
    /// Reads the SDK's own chain. Reaches no network yet, except where the region comes from instance metadata.
    pub async fn connect() -> Self {
        Self::with_config(&aws_config::load_defaults(BehaviorVersion::latest()).await)
    }

    /// On `sdk`'s credentials, region and endpoint; its retries and time-outs are replaced.
    #[must_use]
    pub fn with_config(sdk: &SdkConfig) -> Self {
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
        builder.set_app_name(Some(AppName::new("stillframe").expect("letters only")));
        let sdk = builder.build();
        Self {
            ec2: aws_sdk_ec2::Client::new(&sdk),
            sts: aws_sdk_sts::Client::new(&sdk),
            home: sdk.region().map(ToString::to_string),
            ahead: Ahead::default(),
        }
    }
}

#[async_trait(?Send)]
impl Identity for AwsCloud {
    async fn whoami(&self) -> Read<Caller> {
        let wire = Wire::new(&self.ahead);
        let answer = self.sts.get_caller_identity().customize().interceptor(wire.clone()).send().await;
        let caller = answer.map_err(|error| fault(&error, &wire))?;
        match (caller.account, caller.arn) {
            (Some(account), Some(arn)) => Ok(Caller { account, arn }),
            _ => Err(answer_fault("GetCallerIdentity: the answer names no account")),
        }
    }

    fn home_region(&self) -> Option<String> {
        self.home.clone()
    }

    fn clock_ahead(&self) -> Option<TimeDelta> {
        self.ahead.get()
    }
}

impl crate::cloud::port::Distribution for AwsCloud {}
impl crate::cloud::port::Keys for AwsCloud {}
