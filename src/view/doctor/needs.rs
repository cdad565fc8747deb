//! What the plans need in each place. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::cloud::api::{Api, Need};
use crate::domain::place::Place;
use crate::domain::plan::Plan;

/// What is done in one place.
#[derive(Debug, Clone, Default)]
pub struct Needs<'a> {
    /// The name under `[accounts]`, if it is another account's.
    pub name: Option<String>,
    /// Plans that image instances here.
    pub images: Vec<&'a Plan>,
    /// Plans that copy to here, each with where from.
    pub copies: Vec<(&'a Plan, Place)>,
    /// Copies are made under these keys.
    pub kms_keys: BTreeSet<String>,
    /// Images are copied under these keys here before they go elsewhere.
    pub via_keys: BTreeSet<String>,
    /// Copies are made under the default EBS key where the source is encrypted.
    pub default_key: bool,
    /// Images of here are lent to another account that copies them.
    pub lends: bool,
    /// Plans that share what is here.
    pub shares: Vec<&'a Plan>,
}

impl Needs<'_> {
    /// Whether permissions of images are changed here.
    pub fn changes_images(&self) -> bool {
        self.lends || !self.shares.is_empty()
    }

    /// Whether permissions of snapshots are changed here.
    pub fn changes_snapshots(&self) -> bool {
        self.lends || self.shares.iter().any(|plan| plan.share.as_ref().is_some_and(|share| share.snapshots))
    }

    /// Whether keys of here are lent: to whoever copies, or to accounts that it is shared with.
    pub fn lends_keys(&self) -> bool {
        let with_accounts = |plan: &&Plan| plan.share.as_ref().is_some_and(|share| !share.accounts.is_empty());
        self.lends || self.shares.iter().any(with_accounts)
    }

    /// Whether CopyImage is called here.
    pub fn copies_images(&self) -> bool {
        !self.copies.is_empty() || !self.via_keys.is_empty()
    }

    /// Whether a key under which the images are decides whether something can be done with them.
    pub fn distributes(&self) -> bool {
        self.images.iter().any(|plan| !plan.copies.is_empty() || plan.share.is_some())
    }

    /// Whether the place is used for this.
    pub fn has(&self, need: Need) -> bool {
        match need {
            Need::Anything => true,
            Need::Images => !self.images.is_empty(),
            Need::Copies => self.copies_images(),
            Need::Distributes => self.distributes(),
            Need::ImagePermissions => self.changes_images(),
            Need::SnapshotPermissions => self.changes_snapshots(),
            Need::Shares => !self.shares.is_empty(),
            Need::LendsKeys => self.lends_keys(),
        }
    }

    /// The calls that it needs.
    pub fn apis(&self) -> impl Iterator<Item = Api> {
        let needed = |api: &&Api| api.needed_for().iter().any(|need| self.has(*need));
        Api::ALL.iter().filter(needed).copied()
    }

    /// In words.
    pub fn uses(&self) -> Vec<String> {
        let mut uses: Vec<String> = self.images.iter().map(|plan| format!("images of {}", plan.name)).collect();
        uses.extend(self.copies.iter().map(|(plan, from)| format!("copies of {} from {from}", plan.name)));
        uses
    }
}

/// The needs of all plans, by place. `regions` are those where a plan takes images.
pub fn needs<'a>(
    plans: &'a [Plan],
    account: &str,
    regions: impl Fn(&Plan) -> Vec<String>,
) -> BTreeMap<Place, Needs<'a>> {
    let mut all: BTreeMap<Place, Needs<'a>> = BTreeMap::new();
    for plan in plans {
        for region in regions(plan) {
            let source = Place::new(account, region);
            let needs = all.entry(source.clone()).or_default();
            needs.images.push(plan);
            needs.shares.extend(plan.share.as_ref().map(|_| plan));
            needs.via_keys.extend(plan.share.as_ref().and_then(|share| share.via_key.clone()));
            for copy in &plan.copies {
                let destination = copy.place(account);
                if destination == source {
                    continue; // it is there already
                }
                let source_needs = all.entry(source.clone()).or_default();
                source_needs.lends |= destination.account != source.account;
                source_needs.via_keys.extend(copy.via_key.clone());
                let there = all.entry(destination).or_default();
                there.name = copy.account.as_ref().map(|account| account.name.clone());
                there.copies.push((plan, source.clone()));
                match &copy.kms_key {
                    Some(key) => drop(there.kms_keys.insert(key.clone())),
                    None => there.default_key = true,
                }
                if plan.share.is_some() && !there.shares.iter().any(|shared| shared.name == plan.name) {
                    there.shares.push(plan);
                }
            }
        }
    }
    all
}
