//! Copies and shares through the program and the SDK over HTTP, in a world of several accounts.

mod accounts;
mod failing;
mod kills;
mod policies;

use serde_json::Value;
use stillframe::domain::copying::statement::of_members;
use stillframe::domain::observed::ImageState;
use stillframe::domain::place::Place;
use stillframe::domain::sharing::Grantee;
use stillframe::sim::Fleet;
use stillframe::sim::account::{Settings, SimAccount, SimRole};
use stillframe::sim::fleet::{ACCOUNT, FleetKey};
use stillframe::sim::policy::default_policy;
use stillframe::sim::world::World;

use super::plan;
use crate::support::manager::Manager;
use crate::support::site::{REGION, Site};
use crate::support::world::{self, Door};

/// The account that keeps copies.
const DR: &str = "222222222222";
/// Accounts that images are shared with.
const FRIEND: &str = "333333333333";
const PARTNER: &str = "444444444444";
/// An account of the organization that images are shared with.
const MEMBER: &str = "555555555555";
const ORGANIZATION: &str = "arn:aws:organizations::999999999999:organization/o-abc";
/// The regions of copies.
const AWAY: &str = "eu-west-1";
const FAR: &str = "eu-west-3";
const EXTERNAL_ID: &str = "open-sesame";

/// An account with a role that stillframe may assume.
fn account(id: &str) -> SimAccount {
    let role = SimRole {
        name: "stillframe".into(),
        external_id: Some(EXTERNAL_ID.into()),
        trusts: vec![ACCOUNT.into()],
        denied: Vec::new(),
    };
    SimAccount { id: id.into(), roles: vec![role], ..SimAccount::default() }
}

/// `[accounts.NAME]` for it.
fn section(name: &str, id: &str) -> String {
    format!(
        "[accounts.{name}]\nid = \"{id}\"\nrole_arn = \"arn:aws:iam::{id}:role/stillframe\"\n\
         external_id = \"{EXTERNAL_ID}\"\n"
    )
}

/// A key whose policy is the default one, and lets the organization launch: no grant can.
fn key(account: &str, region: &str, alias: &str) -> FleetKey {
    let mut policy: Value = serde_json::from_str(&default_policy(account)).expect("JSON");
    let statements = policy["Statement"].as_array_mut().expect("statements");
    for statement in of_members(&Grantee::Organization(ORGANIZATION.into())) {
        statements.push(serde_json::from_str(&statement).expect("JSON"));
    }
    FleetKey {
        policy: Some(policy),
        account: Some(account.into()),
        region: Some(region.into()),
        alias: Some(alias.into()),
        ..FleetKey::default()
    }
}

/// `n` instances of two volumes each, under `key` if one is named; the accounts, their keys, and quick copies. The home
/// account encrypts by a key of its own in [`FAR`].
fn lands(n: usize, under: Option<&str>) -> Fleet {
    let mut fleet = world::fleet(n, 0);
    fleet.regions = [REGION, AWAY, FAR].map(str::to_owned).into();
    fleet.image_seconds = [5.0, 5.0];
    fleet.copy_seconds = Some([20.0, 20.0]);
    fleet.grant_seconds = 10.0;
    let far = Settings { default_key: Some("alias/ebs".into()), ..Settings::default() };
    fleet.accounts = vec![
        SimAccount { id: ACCOUNT.into(), regions: [(FAR.to_owned(), far)].into(), ..SimAccount::default() },
        account(DR),
        SimAccount { id: MEMBER.into(), organization: Some("o-abc/r-1/ou-web".into()), ..SimAccount::default() },
    ];
    fleet.keys = vec![
        key(ACCOUNT, REGION, "alias/own"),
        key(ACCOUNT, REGION, "alias/lend"),
        key(ACCOUNT, AWAY, "alias/away"),
        key(ACCOUNT, FAR, "alias/ebs"),
        key(DR, AWAY, "alias/backup"),
        key(FRIEND, REGION, "alias/friend"),
    ];
    for member in &mut fleet.instances {
        member.volumes = Some(2);
        member.kms_key = under.map(str::to_owned);
    }
    fleet
}

/// An installation that knows the account `dr`.
fn site(door: &Door) -> Site {
    let site = Site::new(door.env());
    site.add_settings(&section("dr", DR));
    site
}

/// The good images of an account in a region.
fn good(world: &World, account: &str, region: &str) -> Vec<String> {
    let (place, now) = (Place::new(account, region), stillframe::clock::Clock::Wall.now());
    let there = world.images.values().filter(|i| i.place == place && i.registered());
    there.filter(|i| i.state(now) == ImageState::Available).map(|i| i.id.clone()).collect()
}

#[test]
fn the_service_manager_is_told_of_copies() {
    let door = Door::open(&Fleet { copy_seconds: Some([1e7, 1e7]), ..lands(2, None) });
    let (mut manager, site) = Manager::of(site(&door), None);
    site.plan("nightly", &format!("{}[[copy]]\nregion = \"{AWAY}\"\n", plan(2, "")));
    let mut daemon = site.spawn(&["run"]);
    let idle = manager.hears("STATUS=next");
    let backup = site.spawn(&["backup", "nightly"]);
    manager.hears(&format!("{idle}; nightly copying 0/2"));
    door.complete();
    backup.wait().expect(0);
    manager.hears_times(&idle, 2);
    daemon.terminate();
    daemon.wait().expect(0);
}
