//! Where a case plays: a back end, the same handful of instances on each, and a person at its console.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice, Tag, VolumeType};
use chrono::{DateTime, TimeZone as _, Utc};
use stillframe::clock::Clock;
use stillframe::cloud::aws::AwsCloud;
use stillframe::cloud::governed::{Backend, Governed};
use stillframe::cloud::port::{Ask, CopyImage, CreateImage, ImageQuery, Role};
use stillframe::domain::observed::{Image, ImageState, InstanceState, Tags};
use stillframe::domain::place::Place;
use stillframe::sim::account::{SimAccount, SimRole};
use stillframe::sim::answer::Answer;
use stillframe::sim::faults::{Fault, FaultKind};
use stillframe::sim::fleet::{ACCOUNT, FleetKey, Member};
use stillframe::sim::instance::Life;
use stillframe::sim::people::Deed;
use stillframe::sim::{Fleet, SimCloud, World};

use super::case::done;
use crate::support::moto::{self, Moto, sdk_config};
use crate::support::world::Door;

const REGION: &str = "eu-central-1";
const ELSEWHERE: &str = "eu-west-1";
/// What all instances are launched from.
pub const BASE_IMAGE: &str = "ami-0000000000000ba5e";
/// The world behind the door goes so much faster, since its clients wait in real time.
const DOOR_SPEED: f64 = 20.0;
/// How often a state is looked at before a case gives up; only one that would hang gets there.
const LOOKS_MAX: u32 = 2_000;

/// The account of a role that trusts us, and its own key.
const OTHER: &str = "222222222222";
/// One whose role does not.
const DISTRUSTFUL: &str = "333333333333";
/// What the roles ask for.
pub const EXTERNAL_ID: &str = "s3cret-words";

/// Ids that nothing bears.
pub const NO_INSTANCE: &str = "i-00000000000000000";
pub const NO_IMAGE: &str = "ami-00000000000000000";
pub const NO_SNAPSHOT: &str = "snap-00000000000000000";

/// A back end and what is in it. All instances have two volumes.
pub struct Stage {
    pub port: Rc<dyn Backend>,
    pub governed: Governed,
    pub clock: Clock,
    pub place: Place,
    /// Another region, with nothing in it.
    pub elsewhere: Place,
    /// Three that run, with Backup=nightly; the first two with Tier=web, the third with Tier=db.
    pub tagged: Vec<String>,
    /// Runs, without tags.
    pub plain: String,
    /// Stopped, with Backup=weekly.
    pub stopped: String,
    /// Terminated just now.
    pub terminated: String,
    /// A volume with Multi-Attach.
    pub multi_attach: String,
    /// A volume under `key`.
    pub sealed_volume: String,
    /// The ARN of a key of ours in `place`: `alias/backup`.
    pub key: String,
    /// Another account and region, with nothing in it but the key `alias/theirs`.
    pub there: Place,
    /// The ARN of the role that is assumed there.
    pub role: String,
    world: Option<Arc<Mutex<World>>>,
    moto: Option<(Rc<Moto>, aws_sdk_ec2::Client)>,
    _door: Option<Door>,
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn fleet(speed: f64) -> Fleet {
    let member = |n: u32, pairs: &[(&str, &str)]| Member {
        id: Some(format!("i-{n:017x}")),
        tags: tags(pairs),
        volumes: Some(2),
        image: Some(BASE_IMAGE.into()),
        ..Member::default()
    };
    let web = [("Backup", "nightly"), ("Tier", "web")];
    Fleet {
        speed,
        regions: vec![REGION.into(), ELSEWHERE.into()],
        instances: vec![
            member(1, &web),
            member(2, &web),
            member(3, &[("Backup", "nightly"), ("Tier", "db")]),
            Member { multi_attach: true, ..member(4, &[]) },
            Member { state: InstanceState::Stopped, ..member(5, &[("Backup", "weekly")]) },
            member(6, &[("Backup", "weekly")]),
            Member {
                kms_key: Some("alias/backup".into()),
                image: Some("ami-00000000000005ea1".into()),
                ..member(7, &[])
            },
        ],
        accounts: [(OTHER, EXTERNAL_ID), (DISTRUSTFUL, "of somebody else")].map(|(id, asks)| account(id, asks)).into(),
        keys: vec![
            FleetKey { alias: Some("alias/backup".into()), ..FleetKey::default() },
            FleetKey {
                account: Some(OTHER.into()),
                region: Some(ELSEWHERE.into()),
                alias: Some("alias/theirs".into()),
                ..FleetKey::default()
            },
        ],
        ..Fleet::demo()
    }
}

fn account(id: &str, external_id: &str) -> SimAccount {
    let role = SimRole {
        name: "stillframe".into(),
        external_id: Some(external_id.into()),
        trusts: vec![ACCOUNT.into()],
        ..SimRole::default()
    };
    SimAccount { id: id.into(), roles: vec![role], ..SimAccount::default() }
}

/// What is written under `[accounts]`.
fn roles() -> Vec<Role> {
    let role = |account: &str| Role {
        account: account.into(),
        arn: format!("arn:aws:iam::{account}:role/stillframe"),
        external_id: Some(EXTERNAL_ID.into()),
        session: "stillframe-test".into(),
    };
    [OTHER, DISTRUSTFUL].map(role).into()
}

impl Stage {
    /// The simulated world itself, in simulated time.
    pub fn sim() -> Self {
        let clock = Clock::simulated(Utc.with_ymd_and_hms(2026, 11, 20, 2, 30, 0).unwrap());
        let cloud = SimCloud::new(fleet(1.0).world(clock.now()).expect("a fleet that can be"), clock);
        let cloud = cloud.with_roles(roles());
        let world = cloud.shared();
        Self::of_world(Rc::new(cloud), clock, world, None)
    }

    /// The same world behind its door, through the SDK.
    pub fn door() -> Self {
        let door = Door::open(&fleet(DOOR_SPEED));
        let cloud = AwsCloud::with_config(&sdk_config(&door.endpoint, REGION), roles());
        let world = door.shared();
        Self::of_world(Rc::new(cloud), Clock::Wall, world, Some(door))
    }

    fn of_world(port: Rc<dyn Backend>, clock: Clock, world: Arc<Mutex<World>>, door: Option<Door>) -> Self {
        let id = |n: u32| format!("i-{n:017x}");
        let (multi_attach, sealed_volume, key) = {
            let mut world = world.lock().expect("no holder panicked");
            let at = clock.now();
            let gone = world.instances.get_mut(&id(6)).expect("of the fleet");
            gone.life = Life { from: InstanceState::Terminated, to: InstanceState::Terminated, at };
            let (volume, _) = world.volumes.iter().find(|(_, v)| v.multi_attach).expect("of the fleet");
            let sealed = world.volumes.values().find(|v| v.key.is_some()).expect("of the fleet");
            (volume.clone(), sealed.id.clone(), sealed.key.clone().expect("looked for"))
        };
        Self {
            governed: Governed::new(Rc::clone(&port), clock, 1.0),
            port,
            clock,
            place: Place::new(ACCOUNT, REGION),
            elsewhere: Place::new(ACCOUNT, ELSEWHERE),
            tagged: (1..=3).map(id).collect(),
            plain: id(4),
            stopped: id(5),
            terminated: id(6),
            multi_attach,
            sealed_volume,
            key,
            there: Place::new(OTHER, ELSEWHERE),
            role: format!("arn:aws:iam::{OTHER}:role/stillframe"),
            world: Some(world),
            moto: None,
            _door: door,
        }
    }

    /// moto, emptied, through the SDK.
    pub async fn moto(moto: &Rc<Moto>) -> Self {
        moto.reset();
        let ec2 = aws_sdk_ec2::Client::new(&moto.sdk_config(REGION));
        let run = async |pairs: &[(&str, &str)]| {
            let disk = || EbsBlockDevice::builder().volume_size(8).delete_on_termination(true).build();
            let mapping = |name: &str| BlockDeviceMapping::builder().device_name(name).ebs(disk()).build();
            let answer = ec2.run_instances().image_id(BASE_IMAGE).min_count(1).max_count(1);
            let answer = answer.block_device_mappings(mapping("/dev/sda1")).block_device_mappings(mapping("/dev/sdf"));
            let answer = answer.send().await.expect("moto runs instances");
            let id = answer.instances()[0].instance_id().expect("an id").to_owned();
            for (key, value) in pairs {
                let tag = Tag::builder().key(*key).value(*value).build();
                ec2.create_tags().resources(&id).tags(tag).send().await.expect("moto tags");
            }
            id
        };
        let web = [("Backup", "nightly"), ("Tier", "web")];
        let tagged = vec![run(&web).await, run(&web).await, run(&[("Backup", "nightly"), ("Tier", "db")]).await];
        let (plain, stopped, terminated) =
            (run(&[]).await, run(&[("Backup", "weekly")]).await, run(&[("Backup", "weekly")]).await);
        ec2.stop_instances().instance_ids(&stopped).send().await.expect("moto stops");
        ec2.terminate_instances().instance_ids(&terminated).send().await.expect("moto terminates");
        let volume = ec2.create_volume().availability_zone(format!("{REGION}a")).size(8).multi_attach_enabled(true);
        let volume = volume
            .volume_type(VolumeType::Io2)
            .iops(100)
            .send()
            .await
            .expect("moto makes volumes")
            .volume_id
            .expect("an id");
        let kms = aws_sdk_kms::Client::new(&moto.sdk_config(REGION));
        let key = kms.create_key().send().await.expect("moto makes keys").key_metadata.expect("of the key");
        let key = key.arn.expect("an ARN");
        kms.create_alias().alias_name("alias/backup").target_key_id(&key).send().await.expect("moto names keys");
        let sealed = ec2.create_volume().availability_zone(format!("{REGION}a")).size(8).encrypted(true);
        let sealed = sealed.kms_key_id(&key).send().await.expect("moto encrypts volumes");
        let sealed_volume = sealed.volume_id.expect("an id");
        let port: Rc<dyn Backend> = Rc::new(AwsCloud::with_config(&moto.sdk_config(REGION), roles()));
        Self {
            governed: Governed::new(Rc::clone(&port), Clock::Wall, 1.0),
            port,
            clock: Clock::Wall,
            place: Place::new(moto::ACCOUNT, REGION),
            elsewhere: Place::new(moto::ACCOUNT, ELSEWHERE),
            tagged,
            plain,
            stopped,
            terminated,
            multi_attach: volume,
            sealed_volume,
            key,
            there: Place::new(OTHER, ELSEWHERE),
            role: format!("arn:aws:iam::{OTHER}:role/stillframe"),
            world: None,
            moto: Some((Rc::clone(moto), ec2)),
            _door: None,
        }
    }

    /// The simulated world, on the stages that have one.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world
            .as_ref()
            .expect("a case that steers the world is not run on moto")
            .lock()
            .expect("no holder panicked")
    }

    /// Lets the next call of `api` go wrong.
    pub fn fault(&self, api: &str, kind: FaultKind) {
        self.world().faults.push(Fault::once(api, kind));
    }

    /// How often an instance was rebooted.
    pub fn reboots(&self, id: &str) -> usize {
        self.world().instances[id].reboot_count()
    }

    /// What a person does at the console; the id of the image that comes of it.
    pub async fn person(&self, deed: Deed) -> String {
        if let Some((_, ec2)) = &self.moto {
            return by_hand(ec2, &deed).await;
        }
        let now = self.clock.now();
        match self.world().person(now, &self.place, &deed) {
            Ok(Answer::Image(id)) => id,
            Ok(_) => String::new(),
            Err(error) => panic!("{deed:?}: {error}"),
        }
    }

    /// Lets so many of the world's seconds pass.
    pub async fn pass(&self, seconds: f64) {
        let speed = self.world().speed;
        self.clock.sleep(Duration::from_secs_f64(seconds / speed)).await;
    }

    /// What the instance `n` of the tagged ones is asked for.
    pub fn request(&self, n: usize, name: &str) -> CreateImage {
        CreateImage {
            instance: self.tagged[n].clone(),
            name: name.into(),
            description: "by the contract".into(),
            no_reboot: false,
            tags: tags(&[("stillframe:plan", "nightly"), ("Name", "ä b/c=d&e <x>"), ("empty", "")]),
        }
    }

    /// An image of the tagged instance `n`, as soon as it is no longer pending.
    pub async fn image(&self, n: usize, name: &str) -> Image {
        let id = done(self.port.create_image(&self.place, &self.request(n, name)).await);
        self.settled(&id).await
    }

    /// What a copy of `image` is asked for, under `key` if there is one.
    pub fn copy_request(&self, image: &Image, name: &str, key: Option<&str>) -> CopyImage {
        CopyImage {
            source_image: image.id.clone(),
            source_region: self.place.region.clone(),
            name: name.into(),
            description: "by the contract".into(),
            client_token: format!("token of {name}"),
            encrypted: key.is_some(),
            kms_key: key.map(str::to_owned),
            tags: tags(&[("stillframe:role", "copy"), ("stillframe:source", &image.id), ("empty", "")]),
        }
    }

    /// A copy of `image` in `place`, as soon as it is no longer pending.
    pub async fn copy_of(&self, image: &Image, place: &Place, key: Option<&str>) -> Image {
        let name = format!("{}/{}", image.name, key.unwrap_or("plain").rsplit('/').next().unwrap_or_default());
        let id = done(self.port.copy_image(place, &self.copy_request(image, &name, key)).await);
        self.settled_in(place, &id).await
    }

    /// The image once it is no longer pending.
    pub async fn settled(&self, id: &str) -> Image {
        self.settled_in(&self.place, id).await
    }

    /// The same of an image in another place.
    pub async fn settled_in(&self, place: &Place, id: &str) -> Image {
        for _ in 0..LOOKS_MAX {
            let found = self.port.images(place, &ImageQuery::Ids(vec![id.to_owned()]), Ask::FIRST).await;
            if let Some(image) = found.expect("listed").items.into_iter().find(|i| i.state != ImageState::Pending) {
                return image;
            }
            let wait = if matches!(self.clock, Clock::Wall) { 20 } else { 1_000 };
            self.clock.sleep(Duration::from_millis(wait)).await;
        }
        panic!("{id} is still pending");
    }

    /// All images that `query` finds, by id.
    pub async fn found(&self, query: ImageQuery) -> Vec<String> {
        let page = self.port.images(&self.place, &query, Ask::FIRST).await.expect("images are listed");
        assert_eq!(page.next, None);
        page.items.into_iter().map(|image| image.id).collect()
    }

    /// Now, as the back end dates what it makes.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

/// What a person does in moto.
async fn by_hand(ec2: &aws_sdk_ec2::Client, deed: &Deed) -> String {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    match deed {
        Deed::Tag { resource, key, value } => {
            ec2.create_tags().resources(resource).tags(tag(key, value)).send().await.expect("tagged");
        }
        Deed::Untag { resource, key } => {
            let key = Tag::builder().key(key).build();
            ec2.delete_tags().resources(resource).tags(key).send().await.expect("untagged");
        }
        Deed::Deregister(image) => {
            ec2.deregister_image().image_id(image).send().await.expect("deregistered");
        }
        Deed::RegisterOver { image, name } => {
            let found = ec2.describe_images().image_ids(image).send().await.expect("found");
            let snapshot = found.images()[0].block_device_mappings()[0].ebs().and_then(|e| e.snapshot_id());
            let disk = EbsBlockDevice::builder().snapshot_id(snapshot.expect("a snapshot")).build();
            let mapping = BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(disk).build();
            let answer = ec2.register_image().name(name).root_device_name("/dev/xvda").block_device_mappings(mapping);
            return answer.send().await.expect("registered").image_id.expect("an id");
        }
        other => panic!("{other:?} is not done in moto"),
    }
    String::new()
}
