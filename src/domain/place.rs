//! Where things are: an account and a region, and the subjects of events in them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One region of one account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    /// A region's name, such as `eu-central-1`.
    pub region: String,
}

impl Place {
    /// A place from its parts.
    #[must_use]
    pub fn new(account: impl Into<String>, region: impl Into<String>) -> Self {
        Self { account: account.into(), region: region.into() }
    }

    /// The subject of `id` (an instance, image or snapshot) in this place.
    #[must_use]
    pub fn subject(&self, id: &str) -> Subject {
        Subject { place: self.clone(), id: id.to_owned() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// The partition that a region is in (botocore, partitions.json): AWS's own clouds, between which nothing is shared.
#[must_use]
pub fn partition(region: &str) -> &'static str {
    const BY_PREFIX: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
        ("eusc-", "aws-eusc"),
    ];
    BY_PREFIX.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

/// What an event is about: `account/region/i-...`, `account/region/ami-...` or `account/region/snap-...`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Where it is.
    pub place: Place,
    /// Its AWS id.
    pub id: String,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.place, self.id)
    }
}

/// A text that is not `account/region/id`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not account/region/id")]
pub struct NotASubject(String);

impl FromStr for Subject {
    type Err = NotASubject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(account), Some(region), Some(id)) if !account.is_empty() && !region.is_empty() && !id.is_empty() => {
                Ok(Place::new(account, region).subject(id))
            }
            _ => Err(NotASubject(text.to_owned())),
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}
