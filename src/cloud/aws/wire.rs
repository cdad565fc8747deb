//! What an interceptor sees of one request: whether it was handed to the HTTP client, to which endpoint, and what time
//! AWS had when it answered.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use aws_sdk_ec2::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use chrono::{DateTime, TimeDelta};

use crate::clock::Clock;
use crate::cloud::port::Role;

/// By how many seconds this machine's clock was ahead of AWS's at the newest answer.
#[derive(Debug, Clone)]
pub(super) struct Ahead(Arc<AtomicI64>);

impl Default for Ahead {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MIN)))
    }
}

impl Ahead {
    /// Nothing before the first answer.
    pub(super) fn get(&self) -> Option<TimeDelta> {
        Some(self.0.load(Ordering::Relaxed)).filter(|s| *s != i64::MIN).map(TimeDelta::seconds)
    }
}

/// One request. Before it is handed to the HTTP client (credentials, endpoint, signature), nothing can have been sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Wire {
    endpoint: Arc<OnceLock<String>>,
    ahead: Ahead,
    role: Option<Arc<str>>,
}

impl Wire {
    /// A request that was not made yet, and the role whose credentials it is made with.
    pub(super) fn new(ahead: &Ahead, role: Option<&Role>) -> Self {
        Self { endpoint: Arc::default(), ahead: ahead.clone(), role: role.map(|role| role.arn.as_str().into()) }
    }

    /// The ARN of that role.
    pub(super) fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    /// Where the request was sent to, if it was handed to the HTTP client.
    pub(super) fn endpoint(&self) -> Option<&str> {
        self.endpoint.get().map(String::as_str)
    }
}

impl Intercept for Wire {
    fn name(&self) -> &'static str {
        "Wire"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri = context.request().uri();
        // Scheme and host: what follows is the request's own.
        let end = uri.match_indices('/').nth(2).map_or(uri.len(), |(at, _)| at);
        let _ = self.endpoint.set(uri[..end].to_owned()); // one attempt: once
        Ok(())
    }

    /// Errors bear a Date too. The SDK's own correction of a wrong clock would hide what plans must know.
    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(theirs) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) {
            let ahead = (Clock::Wall.now() - theirs.to_utc()).num_seconds();
            self.ahead.0.store(ahead, Ordering::Relaxed);
        }
        Ok(())
    }
}
