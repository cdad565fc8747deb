//! The world's rules, as tables: here the stage, the cases by noun below.

mod copies;
mod encryption;
mod images;
mod keys;
mod lists;
mod requests;
mod roles;
mod sharing;

use chrono::{DateTime, Duration, TimeZone as _, Utc};

use super::account::{SimAccount, SimRole};
use super::action::{Action, Filter, Listing, Paging, TagSpec};
use super::answer::Answer;
use super::error::ApiError;
use super::faults::{Fault, FaultKind};
use super::fleet::{Fleet, FleetKey, Member};
use super::people::Deed;
use super::serve::Delivery;
use super::world::{Caller, World};
use crate::domain::observed::{ImageState, InstanceState, Tags};
use crate::domain::place::Place;
use crate::domain::sharing::Grantee;

const REGION: &str = "eu-central-1";

fn t0() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 2, 30, 0).unwrap()
}

/// A world and its time.
struct Rig {
    world: World,
    now: DateTime<Utc>,
}

impl Rig {
    fn new() -> Self {
        Self { world: Fleet::demo().world(t0()).unwrap(), now: t0() }
    }

    fn with(change: impl FnOnce(&mut Fleet)) -> Self {
        let mut fleet = Fleet::demo();
        change(&mut fleet);
        Self { world: fleet.world(t0()).unwrap(), now: t0() }
    }

    fn wait(&mut self, seconds: i64) -> &mut Self {
        self.now += Duration::seconds(seconds);
        self
    }

    fn call(&mut self, action: Action) -> Result<Answer, ApiError> {
        self.world.call(self.now, &Caller::new("111111111111"), REGION, &action)
    }

    fn code(&mut self, action: Action) -> String {
        match self.call(action) {
            Ok(_) => "ok".into(),
            Err(error) => error.code,
        }
    }

    /// The id of the instance with this Name.
    fn id(&self, name: &str) -> String {
        self.world.instances.values().find(|i| i.tags["Name"] == name).unwrap().id.clone()
    }

    fn image(&mut self, instance: &str, name: &str) -> String {
        match self.call(create(instance, name)).unwrap() {
            Answer::Image(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn image_state(&self, id: &str) -> ImageState {
        self.world.images[id].state(self.now)
    }

    fn listed(&mut self, filters: &[(&str, &[&str])]) -> Vec<String> {
        match self.call(images(filters)).unwrap() {
            Answer::Images(page) => page.items.into_iter().map(|i| i.it.id.clone()).collect(),
            other => panic!("{other:?}"),
        }
    }
}

fn create(instance: &str, name: &str) -> Action {
    Action::CreateImage {
        instance: instance.into(),
        name: name.into(),
        description: None,
        no_reboot: Some(false),
        tags: both(&[("A", "1")]),
    }
}

fn both(tags: &[(&str, &str)]) -> Vec<TagSpec> {
    ["image", "snapshot"].map(|resource| spec(resource, tags)).into()
}

fn spec(resource: &str, tags: &[(&str, &str)]) -> TagSpec {
    TagSpec { resource: resource.into(), tags: tags.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect() }
}

fn filters(of: &[(&str, &[&str])]) -> Vec<Filter> {
    of.iter()
        .map(|(name, values)| Filter { name: (*name).into(), values: values.iter().map(|v| (*v).to_owned()).collect() })
        .collect()
}

fn images(of: &[(&str, &[&str])]) -> Action {
    Action::DescribeImages {
        list: Listing { filters: filters(of), ..Listing::default() },
        owners: vec!["self".into()],
        executable_by: Vec::new(),
        include_disabled: Some(true),
        include_deprecated: None,
    }
}

fn deregister(image: &str) -> Action {
    Action::DeregisterImage { image: image.into(), delete_snapshots: Some(true) }
}

/// The account that images, the one that they are copied to, and one more.
const OWNER: &str = "111111111111";
const THEIRS: &str = "222222222222";
const THIRD: &str = "333333333333";
/// Another region.
const AWAY: &str = "eu-west-1";
/// What copies in `THEIRS`.
const ROLE: &str = "arn:aws:iam::222222222222:role/stillframe";
const SECRET: &str = "not-told";

/// Three accounts in two regions, with keys, and an instance under each kind of key.
fn several() -> Rig {
    several_with(|_| {})
}

fn several_with(change: impl FnOnce(&mut Fleet)) -> Rig {
    let key = |account: &str, region: &str, alias: &str| FleetKey {
        account: Some(account.into()),
        region: Some(region.into()),
        alias: Some(alias.into()),
        ..FleetKey::default()
    };
    let open = r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":["111111111111","arn:aws:iam::222222222222:root"]},"Action":"kms:*"}]}"#;
    let instance = |name: &str, kms_key: Option<&str>| Member {
        name: Some(name.into()),
        volumes: Some(2),
        kms_key: kms_key.map(str::to_owned),
        ..Member::default()
    };
    let role = SimRole {
        name: "stillframe".into(),
        external_id: Some(SECRET.into()),
        trusts: vec![OWNER.into()],
        denied: vec![],
    };
    let account = |id: &str, organization: Option<&str>| SimAccount {
        id: id.into(),
        organization: organization.map(str::to_owned),
        ..SimAccount::default()
    };
    Rig::with(|fleet| {
        fleet.regions.push(AWAY.into());
        fleet.accounts = vec![
            SimAccount { roles: vec![role], ..account(THEIRS, Some("o-abc/r-1/ou-web")) },
            account(THIRD, Some("o-abc/r-1/ou-db")),
        ];
        fleet.keys = vec![
            key(OWNER, REGION, "alias/own"),
            FleetKey { policy: Some(open.into()), ..key(OWNER, REGION, "alias/open") },
            key(OWNER, AWAY, "alias/own"),
            key(THEIRS, REGION, "alias/theirs"),
            key(THEIRS, AWAY, "alias/theirs"),
            FleetKey { state: "Disabled".into(), ..key(THEIRS, REGION, "alias/off") },
            FleetKey { symmetric: false, ..key(THEIRS, REGION, "alias/rsa") },
            FleetKey { policy: Some("{}".into()), ..key(THEIRS, REGION, "alias/locked") },
        ];
        fleet.instances = vec![
            instance("plain", None),
            instance("own", Some("alias/own")),
            instance("open", Some("alias/open")),
            instance("managed", Some("alias/aws/ebs")),
            Member { product_codes: true, ..instance("market", None) },
        ];
        change(fleet);
    })
}

/// The role in `THEIRS`, assumed.
fn role() -> Caller {
    Caller::assumed(THEIRS, ROLE, "stillframe-test")
}

impl Rig {
    fn by(&mut self, caller: &Caller, region: &str, action: &Action) -> Result<Answer, ApiError> {
        self.world.call(self.now, caller, region, action)
    }

    /// The error's code, or `ok`.
    fn ends(&mut self, caller: &Caller, region: &str, action: &Action) -> String {
        self.by(caller, region, action).map_or_else(|error| error.code, |_| "ok".into())
    }

    /// An image of the instance with this name, available.
    fn ready(&mut self, name: &str) -> String {
        let id = self.id(name);
        let image = self.image(&id, &format!("of {name}"));
        self.wait(60);
        image
    }

    fn snapshots_of(&self, image: &str) -> Vec<String> {
        self.world.images[image].snapshots().map(str::to_owned).collect()
    }

    /// Shares an image and all of its snapshots with `THEIRS`.
    fn lend(&mut self, image: &str) {
        self.call(share(image, THEIRS)).unwrap();
        for snapshot in self.snapshots_of(image) {
            self.call(share_snapshot(&snapshot, THEIRS)).unwrap();
        }
    }

    fn key(&self, account: &str, region: &str, name: &str) -> String {
        self.world.find_key(&Place::new(account, region), name).unwrap().arn
    }

    fn copied(&mut self, caller: &Caller, region: &str, action: &Action) -> String {
        match self.by(caller, region, action).unwrap() {
            Answer::Image(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// The state that an image ends in, with its reason.
    fn outcome(&mut self, image: &str) -> String {
        let image = &self.world.images[image];
        let state = image.state(self.now + Duration::days(1));
        image.state_reason(state).map_or(state.as_str().into(), |(code, why)| format!("{code}: {why}"))
    }
}

fn share(image: &str, account: &str) -> Action {
    Action::ModifyImageAttribute { image: image.into(), add: vec![Grantee::Account(account.into())], remove: vec![] }
}

fn share_snapshot(snapshot: &str, account: &str) -> Action {
    Action::ModifySnapshotAttribute {
        snapshot: snapshot.into(),
        add: vec![Grantee::Account(account.into())],
        remove: vec![],
    }
}

/// A copy of an image in the home region.
fn copy(image: &str, name: &str, encrypted: Option<bool>, kms_key: Option<&str>) -> Action {
    Action::CopyImage {
        source_image: image.into(),
        source_region: REGION.into(),
        name: name.into(),
        description: None,
        copy_tags: None,
        client_token: None,
        encrypted,
        kms_key: kms_key.map(str::to_owned),
        tags: vec![],
    }
}
