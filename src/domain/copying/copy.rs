//! The verdict on one copy: whether and how a source can be copied to a destination.

use std::collections::BTreeSet;

use super::disks::{self, Found};
use super::{Destination, Source, Verdict, Way, keys};
use crate::domain::place::partition;

/// Whether `source` can be copied to `to`, and how.
///
/// A copy of something encrypted is always given an explicit key of the destination: "the same key" does not exist in
/// another region, and what AWS takes by default differs between one's own images and those of others.
#[must_use]
pub fn copy(source: &Source, to: &Destination) -> Verdict {
    let own = source.account == to.account;
    let label = label(to);
    if own && source.region == to.region {
        return Verdict::Needless(format!("{} is in {} of this account already", source.id, to.region));
    }
    let mut found = Found::default();
    let (from, into) = (partition(&source.region), partition(&to.region));
    if from != into {
        found.never.push(format!(
            "no image can be copied from {} to {}: they are in the partitions {from} and {into}, which share nothing; \
             run another stillframe there",
            source.region, to.region
        ));
    }
    if source.product_codes && !own {
        found.never.push(format!(
            "{} bears a product code of AWS Marketplace: EC2 lets no other account copy what is made of it, so {label} \
             cannot have a copy; launch an instance from a shared image there, and let a stillframe of that account \
             image it",
            source.id
        ));
    }
    found.not_now.extend(hidden(source, to, &label));
    let encrypted = disks::encrypted(source);
    let kms_key = key_of_copy(to, encrypted, &label, &mut found);
    let lent =
        if own { disks::Lent::default() } else { disks::lend(source, &label, "[[copy]]", to.via.as_ref(), &mut found) };
    if own {
        disks::usable(source, &mut found);
    }
    found.verdict(Way {
        encrypted: kms_key.is_some(),
        kms_key,
        via: lent.via,
        lend: !own,
        keys: if own { BTreeSet::new() } else { lent.keys },
    })
}

/// Why the other account would not even see the image. Its own images it always sees.
fn hidden(source: &Source, to: &Destination, label: &str) -> Option<String> {
    // Criteria without providers go by names and dates: only the copy itself can tell.
    let providers = to.providers.as_ref().filter(|providers| !providers.is_empty())?;
    if to.account == source.account || providers.contains(&source.account) {
        return None;
    }
    Some(format!(
        "the Allowed AMIs setting of {label} hides {} from it: it allows images of {} only; add {} to ImageProviders \
         there, with `aws ec2 replace-image-criteria-in-allowed-images-settings`",
        source.id,
        providers.iter().cloned().collect::<Vec<_>>().join(", "),
        source.account
    ))
}

/// The destination in messages: `dr/eu-west-1`, or `eu-west-1`.
fn label(to: &Destination) -> String {
    to.name.as_ref().map_or_else(|| to.region.clone(), |name| format!("{name}/{}", to.region))
}

/// What the copy is encrypted under; nothing if it is not, or if `found` says why not.
fn key_of_copy(to: &Destination, encrypted: bool, label: &str, found: &mut Found) -> Option<String> {
    if let Some((written, described)) = &to.key {
        return keys::usable(written, described, &to.region, &format!("kms_key of the copy to {label}"), found);
    }
    if !encrypted {
        return None;
    }
    match &to.default_key {
        Some(Ok(key)) => Some(key.clone()),
        Some(Err(why)) => {
            found.not_now.push(format!(
                "the default EBS key of {label} cannot be read: {why}; allow ec2:GetEbsDefaultKmsKeyId there, or name a \
                 key with `kms_key` in [[copy]]"
            ));
            None
        }
        None => {
            found.not_now.push(format!(
                "the default EBS key of {label} is not known yet; name a key with `kms_key` in [[copy]] if it stays so"
            ));
            None
        }
    }
}

impl Found {
    fn verdict(self, way: Way) -> Verdict {
        match (self.never.is_empty(), self.not_now.is_empty()) {
            (false, _) => Verdict::Never(self.never),
            (true, false) => Verdict::NotNow(self.not_now),
            (true, true) => Verdict::Go(way),
        }
    }
}
