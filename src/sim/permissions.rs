//! Who may use an image or a snapshot, and from when on an image is deprecated: read and changed by its owner alone.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, DurationRound as _, Utc};

use super::answer::Answer;
use super::error::ApiError;
use super::image::SimImage;
use super::rules;
use super::snapshot::SimSnapshot;
use super::world::World;
use crate::domain::observed::ImageState;
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;

/// Entities that an image may be shared with (user guide, "AMI quotas": 1,000; an organization or unit counts as one).
const LENT_MAX: usize = 1000;
/// ModifySnapshotAttribute and ModifyImageAttribute: at most 500 modifications (API reference).
const CHANGES_MAX: usize = 500;
/// EnableImageDeprecation: "The upper limit ... is 10 years from now" (API reference).
const DEPRECATION_MAX_DAYS: i64 = 3653;

impl World {
    pub(super) fn image_permissions(
        &self,
        now: DateTime<Utc>,
        place: &Place,
        id: &str,
        attribute: &str,
    ) -> Result<Answer, ApiError> {
        only("launchPermission", attribute)?;
        Ok(Answer::Permissions(id.into(), self.own_image(now, place, id)?.lent.clone()))
    }

    pub(super) fn modify_image(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        id: &str,
        add: &[Grantee],
        remove: &[Grantee],
    ) -> Result<Answer, ApiError> {
        changes(add, remove)?;
        let image = self.own_image(now, place, id)?;
        // That a pending or disabled image cannot be shared is an inference from the code's text in the error-codes
        // page: "is currently unavailable".
        if image.state(now) != ImageState::Available {
            return Err(ApiError::image_unavailable(id));
        }
        if !add.is_empty() {
            // User guide, "Share an AMI with specific organizations" and "... AWS accounts": an image with snapshots
            // under the AWS-managed key cannot be shared. For ModifyImageAttribute the code is an inference.
            self.not_managed(image.snapshots().filter_map(|id| self.snapshots.get(id)))?;
        }
        let lent = changed(&image.lent, add, remove);
        if lent.len() > LENT_MAX {
            return Err(ApiError::client(
                "ResourceLimitExceeded",
                format!(
                    "You have reached your quota of {LENT_MAX} for the number of entities an image is shared with."
                ),
            ));
        }
        self.note_lent(now, id, &lent);
        if let Some(image) = self.images.get_mut(id) {
            image.lent = lent;
        }
        Ok(Answer::Done)
    }

    /// Since when an image has been lent to each account that it is lent to now.
    fn note_lent(&mut self, now: DateTime<Utc>, id: &str, lent: &BTreeSet<Grantee>) {
        let of = |account: &str| format!("{id}/{account}");
        let before = self.images.get(id).map(|image| image.lent.clone()).unwrap_or_default();
        for gone in before.difference(lent).filter_map(Grantee::account) {
            self.lent_at.remove(&of(gone));
        }
        for new in lent.difference(&before).filter_map(Grantee::account) {
            self.lent_at.insert(of(new), now);
        }
    }

    pub(super) fn snapshot_permissions(
        &self,
        now: DateTime<Utc>,
        place: &Place,
        id: &str,
        attribute: &str,
    ) -> Result<Answer, ApiError> {
        only("createVolumePermission", attribute)?;
        Ok(Answer::Permissions(id.into(), self.own_snapshot(now, place, id)?.lent.clone()))
    }

    pub(super) fn modify_snapshot(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        id: &str,
        add: &[Grantee],
        remove: &[Grantee],
    ) -> Result<Answer, ApiError> {
        changes(add, remove)?;
        // API reference, ModifySnapshotAttribute: "You may add or remove", "but you cannot do both in a single operation."
        // It names no code.
        if !add.is_empty() && !remove.is_empty() {
            return Err(ApiError::client(
                "InvalidParameterCombination",
                "Permissions cannot be added and removed in a single operation",
            ));
        }
        // API reference, ModifySnapshotAttribute: user ids and the group `all`, nothing else.
        if add.iter().chain(remove).any(|g| matches!(g, Grantee::Organization(_) | Grantee::Unit(_))) {
            return Err(ApiError::value("Snapshots can be shared with AWS accounts only, not with organizations"));
        }
        let snapshot = self.own_snapshot(now, place, id)?;
        if !add.is_empty() {
            // An inference: what is not complete cannot be used by anybody else either.
            if snapshot.state(now) != "completed" {
                return Err(ApiError::client("IncorrectState", format!("Snapshot '{id}' is not completed")));
            }
            self.not_managed([snapshot].into_iter())?;
            // EBS guide, "Share a snapshot": "You can't share encrypted snapshots publicly."
            if snapshot.key.is_some() && add.contains(&Grantee::Everyone) {
                return Err(ApiError::client("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly"));
            }
        }
        let lent = changed(&snapshot.lent, add, remove);
        if let Some(snapshot) = self.snapshots.get_mut(id) {
            snapshot.lent = lent;
        }
        Ok(Answer::Done)
    }

    /// API reference, EnableImageDeprecation: "If you specify a value for seconds, Amazon EC2 rounds the seconds to the
    /// nearest minute. You can't specify a date in the past."
    pub(super) fn deprecate_image(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        id: &str,
        at: DateTime<Utc>,
    ) -> Result<Answer, ApiError> {
        self.own_image(now, place, id)?;
        let rounded = at.duration_round(Duration::minutes(1)).unwrap_or(at);
        if rounded < now {
            return Err(ApiError::value("DeprecateAt is in the past"));
        }
        if rounded > now + Duration::days(DEPRECATION_MAX_DAYS) {
            return Err(ApiError::value("DeprecateAt is more than 10 years from now"));
        }
        if let Some(image) = self.images.get_mut(id) {
            image.deprecated = Some(rounded);
        }
        Ok(Answer::Done)
    }

    /// Error-codes page, AuthFailure and InvalidAMIID: another account's image is not found, or not one's own.
    fn own_image(&self, now: DateTime<Utc>, place: &Place, id: &str) -> Result<&SimImage, ApiError> {
        rules::id("ami", id, "InvalidAMIID.Malformed")?;
        let image = self.images.get(id).filter(|i| i.place.region == place.region && i.visible(now));
        let image = image.filter(|i| self.knows_image(place, i)).ok_or_else(|| ApiError::no_image(&[id]))?;
        if image.place.account != place.account {
            return Err(ApiError::not_yours("images", id));
        }
        if !image.registered() {
            return Err(ApiError::image_unavailable(id));
        }
        Ok(image)
    }

    fn own_snapshot(&self, now: DateTime<Utc>, place: &Place, id: &str) -> Result<&SimSnapshot, ApiError> {
        rules::id("snap", id, "InvalidSnapshotID.Malformed")?;
        let snapshot = self.snapshots.get(id).filter(|s| s.place.region == place.region && s.visible <= now);
        let snapshot = snapshot.filter(|s| self.knows_snapshot(&place.account, s));
        let snapshot = snapshot.ok_or_else(|| ApiError::no_snapshot(id))?;
        if snapshot.place.account == place.account { Ok(snapshot) } else { Err(ApiError::not_yours("snapshots", id)) }
    }

    /// API reference, ModifySnapshotAttribute: "Snapshots that are encrypted with the default AWS managed key ... can't
    /// be shared"; the words are those that people have met.
    fn not_managed<'a>(&self, mut snapshots: impl Iterator<Item = &'a SimSnapshot>) -> Result<(), ApiError> {
        let managed = |s: &SimSnapshot| s.key.as_deref().is_some_and(|key| key == self.managed_key(&s.place).arn);
        if snapshots.any(managed) {
            return Err(ApiError::client(
                "InvalidParameter",
                "Snapshots encrypted with the AWS Managed CMK can’t be shared. Specify another snapshot.",
            ));
        }
        Ok(())
    }
}

fn only(known: &str, attribute: &str) -> Result<(), ApiError> {
    if attribute == known {
        return Ok(());
    }
    Err(ApiError::value(format!(
        "Value ({attribute}) for parameter attribute is invalid. Unknown attribute. (The simulated world serves {known})"
    )))
}

/// Removing what is not there is fine; the whole request is done or none of it.
fn changed(lent: &BTreeSet<Grantee>, add: &[Grantee], remove: &[Grantee]) -> BTreeSet<Grantee> {
    let mut lent = lent.clone();
    lent.extend(add.iter().cloned());
    lent.retain(|grantee| !remove.contains(grantee));
    lent
}

/// Error-codes page, InvalidAMIAttributeItemValue: "The value of an item added to, or removed from, an image attribute
/// is not valid. If you are specifying a userId, check that it is in the form of an AWS account ID."
fn changes(add: &[Grantee], remove: &[Grantee]) -> Result<(), ApiError> {
    let count = add.len() + remove.len();
    if count == 0 {
        return Err(ApiError::client("InvalidParameterCombination", "No attributes specified."));
    }
    if count > CHANGES_MAX {
        return Err(ApiError::value(format!("{count} modifications are more than {CHANGES_MAX} in one request")));
    }
    let shaped = |arn: &str, kind: &str, parts: &[&str]| {
        arn.strip_prefix("arn:aws:organizations::").and_then(|rest| rest.split_once(kind)).is_some_and(|(id, path)| {
            id.len() == 12
                && path.split('/').count() == parts.len()
                && path.split('/').zip(parts).all(|(part, prefix)| part.starts_with(prefix))
        })
    };
    for grantee in add.iter().chain(remove) {
        let fits = match grantee {
            Grantee::Everyone => true,
            Grantee::Account(id) => id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()),
            Grantee::Organization(arn) => shaped(arn, ":organization/", &["o-"]),
            Grantee::Unit(arn) => shaped(arn, ":ou/", &["o-", "ou-"]),
        };
        if !fits {
            return Err(ApiError::client(
                "InvalidAMIAttributeItemValue",
                format!("Invalid attribute item value \"{grantee}\" for userId item type."),
            ));
        }
    }
    Ok(())
}
