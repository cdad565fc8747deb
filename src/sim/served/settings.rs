//! What an account has set for a region.

use chrono::{DateTime, Utc};

use super::Served;
use crate::domain::place::Place;
use crate::sim::action::Flat;
use crate::sim::error::ApiError;
use crate::sim::keyring::MANAGED;
use crate::sim::query::Query;
use crate::sim::world::World;
use crate::sim::xml::Xml;

/// The default EBS key: "alias/aws/ebs" until somebody sets another, then its ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetEbsDefaultKmsKeyId;

impl Served for GetEbsDefaultKmsKeyId {
    type Answer = String;

    fn read(_: &mut Query) -> Result<Self, ApiError> {
        Ok(Self)
    }

    fn send(&self, _: &mut Flat) {}

    fn carry_out(&self, world: &mut World, _: DateTime<Utc>, place: &Place) -> Result<String, ApiError> {
        let set = world.settings(place).default_key.filter(|name| name != MANAGED);
        let arn = set.map(|name| world.find_key(place, &name).map_or(name, |key| key.arn));
        Ok(arn.unwrap_or_else(|| MANAGED.into()))
    }

    fn write(key: &String, xml: &mut Xml) {
        xml.leaf("kmsKeyId", key);
    }
}

/// Whether EBS encryption is on by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetEbsEncryptionByDefault;

impl Served for GetEbsEncryptionByDefault {
    type Answer = bool;

    fn read(_: &mut Query) -> Result<Self, ApiError> {
        Ok(Self)
    }

    fn send(&self, _: &mut Flat) {}

    fn carry_out(&self, world: &mut World, _: DateTime<Utc>, place: &Place) -> Result<bool, ApiError> {
        Ok(world.settings(place).encrypts_by_default)
    }

    fn write(on: &bool, xml: &mut Xml) {
        xml.leaf("ebsEncryptionByDefault", on);
    }
}

/// The Allowed AMIs setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetAllowedImagesSettings;

impl Served for GetAllowedImagesSettings {
    /// The state, and the providers of its criteria.
    type Answer = (&'static str, Vec<String>);

    fn read(_: &mut Query) -> Result<Self, ApiError> {
        Ok(Self)
    }

    fn send(&self, _: &mut Flat) {}

    fn carry_out(&self, world: &mut World, _: DateTime<Utc>, place: &Place) -> Result<Self::Answer, ApiError> {
        let settings = world.settings(place);
        Ok((settings.allowed_images.as_str(), settings.image_providers.into_iter().collect()))
    }

    fn write((state, providers): &Self::Answer, xml: &mut Xml) {
        xml.leaf("state", state);
        let criteria = (!providers.is_empty()).then_some(providers);
        xml.set("imageCriterionSet", criteria, |xml, providers| xml.list("imageProviderSet", providers));
        xml.leaf("managedBy", "account");
    }
}
