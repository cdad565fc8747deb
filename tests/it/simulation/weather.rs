//! What is wrong with AWS for a while: by API, by region, each kind of fault.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use stillframe::cloud::classify::{Class, classify};
use stillframe::cloud::port::Fault;
use tokio::time::Instant;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Throttled,
    Denied,
    Expired,
    BadKey,
    ErrorBefore,
    ErrorAfter,
    CutBefore,
    CutAfter,
    NotSent,
    Silent,
    SilentAfter,
    /// The answer comes so many seconds after the effect.
    Slow(u32),
}

impl Kind {
    /// Its name in the figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::BadKey => "bad key",
            Self::ErrorBefore => "5xx before",
            Self::ErrorAfter => "5xx after",
            Self::CutBefore => "cut before",
            Self::CutAfter => "cut after",
            Self::NotSent => "not sent",
            Self::Silent => "silent",
            Self::SilentAfter => "silent after",
            Self::Slow(_) => "slow",
        }
    }

    /// Whether the request reaches AWS and is carried out.
    pub fn takes_effect(self) -> bool {
        matches!(self, Self::ErrorAfter | Self::CutAfter | Self::SilentAfter | Self::Slow(_))
    }

    /// Whether AWS says no for good.
    pub fn refuses(self) -> bool {
        matches!(self, Self::Denied | Self::BadKey)
    }

    /// What the client sees, where it sees anything.
    pub fn fault(self) -> Option<Fault> {
        let answered = |status, code: &str, message: &str| Fault {
            class: classify(status, code, message),
            code: code.into(),
            message: message.into(),
            request_id: Some("simulated".into()),
        };
        let ours = |class, message: &str| Fault {
            class,
            code: "Connection".into(),
            message: message.into(),
            request_id: None,
        };
        match self {
            Self::Throttled => Some(answered(503, "RequestLimitExceeded", "Request limit exceeded.")),
            Self::Denied => Some(answered(403, "UnauthorizedOperation", "You are not authorized")),
            Self::Expired => Some(answered(400, "RequestExpired", "Request has expired.")),
            Self::BadKey => Some(answered(401, "AuthFailure", "AWS was not able to validate the credentials")),
            Self::ErrorBefore | Self::ErrorAfter => {
                Some(answered(500, "InternalError", "An internal error has occurred"))
            }
            Self::CutBefore | Self::CutAfter => Some(ours(Class::Transient, "the connection was closed")),
            Self::NotSent => Some(ours(Class::NeverSent, "the connection was never made")),
            Self::Silent | Self::SilentAfter | Self::Slow(_) => None,
        }
    }
}

/// A fault that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weather {
    /// `CreateImage`, ..., or `*`.
    pub api: String,
    /// In this region only.
    pub region: Option<String>,
    pub kind: Kind,
    /// Each so-manieth call is hit.
    pub every: u32,
    /// So many are hit at the most.
    pub times: u32,
    /// For so long, seconds.
    pub lasts: u64,
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let region = self.region.as_deref().unwrap_or("all regions");
        let kind = match self.kind {
            Kind::Slow(seconds) => format!("slow by {seconds} s"),
            kind => kind.name().to_owned(),
        };
        write!(
            f,
            "for {} s, at most {} times, each {}. {} in {region} is {kind}",
            self.lasts, self.times, self.every, self.api
        )
    }
}

struct Cloud {
    what: Weather,
    until: Instant,
    seen: u32,
    hits: u32,
}

/// All the weather there is.
#[derive(Default)]
pub struct Sky {
    clouds: RefCell<Vec<Cloud>>,
}

impl Sky {
    pub fn add(&self, what: &Weather, now: Instant) {
        let until = now + Duration::from_secs(what.lasts);
        self.clouds.borrow_mut().push(Cloud { what: what.clone(), until, seen: 0, hits: 0 });
    }

    pub fn clear(&self) {
        self.clouds.borrow_mut().clear();
    }

    /// What hits a call now.
    pub fn hit(&self, now: Instant, api: &str, region: &str) -> Option<Kind> {
        let mut clouds = self.clouds.borrow_mut();
        clouds.retain(|c| c.until > now && c.hits < c.what.times);
        let about = |c: &&mut Cloud| {
            (c.what.api == api || c.what.api == "*") && c.what.region.as_deref().is_none_or(|r| r == region)
        };
        let cloud = clouds.iter_mut().find(about)?;
        cloud.seen += 1;
        if !(cloud.seen - 1).is_multiple_of(cloud.what.every.max(1)) {
            return None;
        }
        cloud.hits += 1;
        Some(cloud.what.kind)
    }
}
