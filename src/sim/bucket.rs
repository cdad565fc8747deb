//! The documented token buckets: per account, region and API.
//!
//! Source: docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html. STS is not in it and is not limited.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::action::Action;
use crate::domain::place::Place;

/// Burst and refill per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub capacity: f64,
    /// Tokens per second.
    pub refill: f64,
}

const fn rate(capacity: f64, refill: f64) -> Rate {
    Rate { capacity, refill }
}

/// The request bucket of `action`: its key and rate.
#[must_use]
pub fn request_bucket(action: &Action) -> Option<(&'static str, Rate)> {
    let api = action.api();
    // Four lists have a smaller bucket when asked with neither a filter nor a page ("unfiltered and unpaginated").
    let bare = action.listing().is_some_and(|list| list.filters.is_empty() && list.page.max.is_none());
    Some(match (api, bare) {
        ("GetCallerIdentity" | "AssumeRole", _) => return None,
        // KMS developer guide, "Request quotas", the lowest of any region; per account and region.
        ("DescribeKey", _) => (api, rate(2000.0, 2000.0)),
        ("CreateGrant" | "ListGrants", _) => (api, rate(50.0, 50.0)),
        ("GetKeyPolicy" | "RevokeGrant", _) => (api, rate(15.0, 15.0)),
        ("DescribeInstances", true) => ("DescribeInstances (bare)", rate(50.0, 10.0)),
        ("DescribeInstanceStatus", true) => ("DescribeInstanceStatus (bare)", rate(50.0, 10.0)),
        ("DescribeSnapshots", true) => ("DescribeSnapshots (bare)", rate(50.0, 10.0)),
        ("DescribeVolumes", true) => ("DescribeVolumes (bare)", rate(50.0, 10.0)),
        _ if action.reads() => (api, rate(100.0, 20.0)),
        ("CopyImage", _) => (api, rate(100.0, 1.0)),
        ("DeregisterImage" | "DeleteSnapshot" | "ModifyImageAttribute" | "ModifySnapshotAttribute", _) => {
            (api, rate(100.0, 5.0))
        }
        ("CreateTags" | "DeleteTags", _) => (api, rate(100.0, 10.0)),
        ("StartInstances", _) => (api, rate(5.0, 2.0)),
        ("RunInstances", _) => (api, rate(5.0, 2.0)),
        _ => (api, rate(50.0, 5.0)),
    })
}

/// All buckets of a world that were ever drawn on.
#[derive(Debug, Clone, Default)]
pub struct Buckets(BTreeMap<(Place, &'static str), (f64, DateTime<Utc>)>);

impl Buckets {
    /// Takes a token for `action`; false is a throttle. `speed` makes the world's seconds shorter.
    pub fn take(&mut self, now: DateTime<Utc>, place: &Place, action: &Action, speed: f64) -> bool {
        let Some((key, rate)) = request_bucket(action) else { return true };
        let (tokens, at) = self.0.entry((place.clone(), key)).or_insert((rate.capacity, now));
        #[allow(clippy::cast_precision_loss)] // milliseconds of decades fit
        let passed = (now - *at).num_milliseconds().max(0) as f64 / 1000.0 * speed;
        *tokens = (*tokens + passed * rate.refill).min(rate.capacity);
        *at = (*at).max(now);
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }
}
