//! Accounts of the simulated world: their roles, their organization, and their settings in each region. An account that
//! is not named exists all the same, without any of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::image::SimImage;
use super::snapshot::SimSnapshot;
use super::world::{Caller, World};
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;

/// What an account has beside its objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimAccount {
    /// Twelve digits.
    pub id: String,
    /// Its path from the organization down, such as `o-abc/r-1/ou-web`, if it is in one.
    pub organization: Option<String>,
    /// The roles that can be assumed.
    pub roles: Vec<SimRole>,
    /// By region; a region that is not named has the defaults.
    pub regions: BTreeMap<String, Settings>,
}

/// An IAM role. It may do everything but what is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimRole {
    /// The last part of its ARN.
    pub name: String,
    /// What its trust policy asks for (`sts:ExternalId`).
    pub external_id: Option<String>,
    /// The accounts that its trust policy names.
    pub trusts: Vec<String>,
    /// What its own policies do not allow: `ec2:CopyImage`, `kms:*`, ...
    pub denied: Vec<String>,
}

/// What an account has set in a region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// EBS encryption by default.
    pub encrypts_by_default: bool,
    /// The default EBS key, if somebody set one: an alias or an ARN.
    pub default_key: Option<String>,
    /// The Allowed AMIs setting.
    pub allowed_images: Allowed,
    /// The providers that it allows (`ImageProviders`).
    pub image_providers: BTreeSet<String>,
}

/// The state of the Allowed AMIs setting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // EC2's own words
pub enum Allowed {
    #[default]
    Disabled,
    AuditMode,
    Enabled,
}

impl Allowed {
    /// EC2's own word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::AuditMode => "audit-mode",
            Self::Enabled => "enabled",
        }
    }
}

/// The account and the name of a role's ARN.
pub(super) fn role_of(arn: &str) -> Option<(&str, &str)> {
    let (account, name) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    Some((account, name.rsplit('/').next().unwrap_or(name)))
}

impl World {
    /// The role with this ARN.
    pub(super) fn role(&self, arn: &str) -> Option<&SimRole> {
        let (account, name) = role_of(arn)?;
        self.accounts.get(account)?.roles.iter().find(|role| role.name == name)
    }

    /// Whether the role of `caller`, if it has one, does not allow `action` (`ec2:CopyImage`).
    pub(super) fn denies(&self, caller: &Caller, action: &str) -> bool {
        let role = caller.role.as_deref().and_then(|arn| self.role(arn));
        role.is_some_and(|role| role.denied.iter().any(|pattern| super::filter::like(pattern, action)))
    }

    /// What is set in `place`.
    pub(super) fn settings(&self, place: &Place) -> Settings {
        let of = self.accounts.get(&place.account).and_then(|account| account.regions.get(&place.region));
        of.cloned().unwrap_or_default()
    }

    /// The path of an account in its organization.
    pub(super) fn organization(&self, account: &str) -> Option<&str> {
        self.accounts.get(account)?.organization.as_deref()
    }

    /// Whether permissions let an account in: by itself, by its organization or a unit of that, or as one of all.
    pub(super) fn lets_in(&self, lent: &BTreeSet<Grantee>, account: &str) -> bool {
        let path = || self.organization(account).into_iter().flat_map(|path| path.split('/'));
        // The last parts of `...:organization/o-abc` and `...:ou/o-abc/ou-web`.
        let has = |arn: &str, kind: &str| {
            arn.split_once(kind).is_some_and(|(_, ids)| ids.split('/').all(|id| path().any(|part| part == id)))
        };
        lent.iter().any(|grantee| match grantee {
            Grantee::Everyone => true,
            Grantee::Account(id) => id == account,
            Grantee::Organization(arn) => has(arn, ":organization/"),
            Grantee::Unit(arn) => has(arn, ":ou/"),
        })
    }

    /// Whether who calls in `place` may know of an image (user guide, "Shared AMIs"): it is their own, or shared with
    /// them and not hidden by the Allowed AMIs setting of `place` ("Allowed AMIs": it "does not restrict AMIs owned by
    /// your account"). A disabled image is shared with nobody (DisableImage).
    pub(super) fn knows_image(&self, place: &Place, image: &SimImage) -> bool {
        if image.place.account == place.account {
            return true;
        }
        let shown = || {
            let settings = self.settings(place);
            settings.allowed_images != Allowed::Enabled || settings.image_providers.contains(&image.place.account)
        };
        image.registered() && !image.disabled && self.lets_in(&image.lent, &place.account) && shown()
    }

    /// Whether an account may know of a snapshot and make volumes and copies of it.
    pub(super) fn knows_snapshot(&self, account: &str, snapshot: &SimSnapshot) -> bool {
        snapshot.place.account == account || self.lets_in(&snapshot.lent, account)
    }
}
