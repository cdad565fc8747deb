//! What copies and shares need of the rehearsed world beside instances: regions, accounts, their roles, and keys. What
//! the plans name is there by itself, as long as the fleet's own file does not say otherwise.

use crate::cloud::port::Role;
use crate::domain::place::Place;
use crate::domain::plan::Plan;
use crate::sim::Fleet;
use crate::sim::account::{SimAccount, SimRole};
use crate::sim::fleet::{ACCOUNT, FleetKey};

use super::fleet::regions;

/// Accounts of made-up fleets, where the first is taken by `[accounts]`.
const SPARE: [&str; 2] = ["999999999999", "888888888888"];

/// Whether a plan reckons with volumes whose key cannot be given to others.
pub fn by_way(plan: &Plan) -> bool {
    plan.copies.iter().any(|copy| copy.via_key.is_some())
        || plan.share.as_ref().is_some_and(|share| share.via_key.is_some())
}

/// The account of a made-up fleet: that of the keys that the plans name in it, or one that is nobody else's.
pub fn own_account(plans: &[Plan], roles: &[Role]) -> String {
    let own = plans.iter().flat_map(|plan| {
        let of_copies = plan.copies.iter().flat_map(|copy| {
            let there = copy.kms_key.as_ref().filter(|_| copy.account.is_none());
            copy.via_key.iter().chain(there)
        });
        of_copies.chain(plan.share.iter().filter_map(|share| share.via_key.as_ref()))
    });
    let named = own.filter_map(|key| key.strip_prefix("arn:aws:kms:")?.split(':').nth(1)).next();
    let free = |id: &&str| roles.iter().all(|role| role.account != **id);
    named.or_else(|| [ACCOUNT].into_iter().chain(SPARE).find(free)).unwrap_or(ACCOUNT).to_owned()
}

/// Adds to `fleet` what the plans' copies and shares need.
pub fn provide(fleet: &mut Fleet, plans: &[Plan], roles: &[Role]) {
    for region in plans.iter().flat_map(|plan| &plan.copies).map(|copy| &copy.region) {
        if !fleet.regions.contains(region) {
            fleet.regions.push(region.clone());
        }
    }
    for role in roles {
        provide_role(fleet, role);
    }
    let home = fleet.regions.first().cloned().unwrap_or_default();
    for plan in plans {
        for copy in &plan.copies {
            if let Some(key) = &copy.kms_key {
                provide_key(fleet, &copy.place(&fleet.account.clone()), key);
            }
        }
        let vias = plan.copies.iter().filter_map(|copy| copy.via_key.as_ref());
        for key in vias.chain(plan.share.iter().filter_map(|share| share.via_key.as_ref())) {
            for region in regions(plan, &home) {
                provide_key(fleet, &Place::new(fleet.account.clone(), region), key);
            }
        }
    }
}

/// A role that trusts the fleet's account.
fn provide_role(fleet: &mut Fleet, role: &Role) {
    let name = role.arn.rsplit('/').next().unwrap_or_default();
    let account = match fleet.accounts.iter().position(|account| account.id == role.account) {
        Some(known) => &mut fleet.accounts[known],
        None => {
            fleet.accounts.push(SimAccount { id: role.account.clone(), ..SimAccount::default() });
            let last = fleet.accounts.len() - 1;
            &mut fleet.accounts[last]
        }
    };
    if account.roles.iter().all(|known| known.name != name) {
        account.roles.push(SimRole {
            name: name.to_owned(),
            external_id: role.external_id.clone(),
            trusts: vec![fleet.account.clone()],
            denied: Vec::new(),
        });
    }
}

/// The key that `name` means in `place`: an alias or an id there, or an ARN.
fn provide_key(fleet: &mut Fleet, place: &Place, name: &str) {
    let arn: Vec<&str> = name.splitn(6, ':').collect();
    let (place, name) = match arn[..] {
        ["arn", _, "kms", region, account, resource] => (Place::new(account, region), resource),
        _ => (place.clone(), name),
    };
    let name = name.strip_prefix("key/").unwrap_or(name);
    if name.starts_with("alias/aws/") || !fleet.regions.contains(&place.region) {
        return; // there by itself, or what the verdict on the copy says
    }
    let own = fleet.account.clone();
    let home = fleet.regions.first().cloned().unwrap_or_default();
    let is_there = |key: &FleetKey| {
        let at = Place::new(key.account.as_ref().unwrap_or(&own), key.region.as_ref().unwrap_or(&home));
        at == place && [&key.alias, &key.id].into_iter().flatten().any(|known| known == name)
    };
    if fleet.keys.iter().any(is_there) {
        return;
    }
    let (id, alias) = if name.starts_with("alias/") { (None, Some(name)) } else { (Some(name), None) };
    fleet.keys.push(FleetKey {
        id: id.map(str::to_owned),
        account: Some(place.account),
        region: Some(place.region),
        alias: alias.map(str::to_owned),
        ..FleetKey::default()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_where_they_are_looked_for_and_only_once() {
        let mut fleet = Fleet { regions: vec!["eu-central-1".into(), "eu-west-1".into()], ..Fleet::demo() };
        let (here, there) = (Place::new(ACCOUNT, "eu-central-1"), Place::new("222222222222", "eu-west-1"));
        let arn = "arn:aws:kms:eu-west-1:222222222222:key/1234";
        for (place, name) in [
            (&here, "alias/lend"),
            (&here, "alias/lend"),
            (&here, "alias/aws/ebs"),
            (&there, arn),
            (&there, "1234"),
            (&there, "arn:aws:kms:eu-west-1:222222222222:alias/backup"),
            (&there, "arn:aws:kms:us-east-1:222222222222:alias/elsewhere"),
        ] {
            provide_key(&mut fleet, place, name);
        }
        fleet.world(chrono::DateTime::UNIX_EPOCH).unwrap();
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        let made = |key: &FleetKey| [word(&key.account), word(&key.region), word(&key.id), word(&key.alias)].join(" ");
        let expected = [
            "111111111111 eu-central-1  alias/lend",
            "222222222222 eu-west-1 1234 ",
            "222222222222 eu-west-1  alias/backup",
        ];
        assert_eq!(fleet.keys.iter().map(made).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_role_that_the_fleet_knows_stays_as_it_is() {
        let role = |name: &str| Role {
            account: "222222222222".into(),
            arn: format!("arn:aws:iam::222222222222:role/a/path/{name}"),
            external_id: Some("x".into()),
            session: String::new(),
        };
        let mut fleet = Fleet::demo();
        provide_role(&mut fleet, &role("first"));
        fleet.accounts[0].roles[0].denied = vec!["ec2:CopyImage".into()];
        provide_role(&mut fleet, &role("first"));
        provide_role(&mut fleet, &role("second"));
        let [account] = &fleet.accounts[..] else { panic!("{:#?}", fleet.accounts) };
        let names: Vec<_> = account.roles.iter().map(|r| (r.name.as_str(), r.denied.len(), r.trusts.len())).collect();
        assert_eq!(names, [("first", 1, 1), ("second", 0, 1)]);
    }
}
