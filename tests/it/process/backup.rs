//! `stillframe backup`: what it makes, what it leaves alone, its document and its exit codes; over the simulated
//! world's door and over moto.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Tag;
use serde_json::Value;
use stillframe::domain::observed::Tags;
use stillframe::sim::action::Action;

use super::plan;
use crate::support::moto::Moto;
use crate::support::site::{DAEMON, REGION, Site};
use crate::support::world::{Door, fleet, instance};

/// An image as a test sees it.
#[derive(Debug)]
struct Seen {
    id: String,
    name: String,
    source_instance: Option<String>,
    tags: Tags,
    snapshots: Vec<String>,
}

/// What an account holds, read beside the program.
trait Account {
    /// All registered images.
    fn images(&self) -> Vec<Seen>;
    /// All snapshots, with their tags.
    fn snapshots(&self) -> BTreeMap<String, Tags>;
    /// The parameter NoReboot of each CreateImage so far.
    fn no_reboot(&self) -> Vec<String>;
    /// A copy of an image under a name of the person's own, with all its tags.
    fn copy_by_hand(&self, image: &str) -> String;
    /// An image of an instance without any tags, under this name.
    fn image_by_hand(&self, instance: &str, name: &str) -> String;
}

impl Account for Door {
    fn images(&self) -> Vec<Seen> {
        let world = self.world();
        let seen = world.images.values().filter(|image| image.registered()).map(|image| Seen {
            id: image.id.clone(),
            name: image.name.clone(),
            source_instance: image.source_instance.clone(),
            tags: (*image.tags).clone(),
            snapshots: image.snapshots().map(str::to_owned).collect(),
        });
        seen.collect()
    }

    fn snapshots(&self) -> BTreeMap<String, Tags> {
        self.world().snapshots.values().map(|snapshot| (snapshot.id.clone(), snapshot.tags.clone())).collect()
    }

    fn no_reboot(&self) -> Vec<String> {
        let sent = |call: stillframe::sim::calls::Call| call.parameters.get("NoReboot").cloned();
        self.calls("CreateImage").into_iter().map(|call| sent(call).unwrap_or_default()).collect()
    }

    fn copy_by_hand(&self, image: &str) -> String {
        self.by_hand(&Action::CopyImage {
            source_image: image.to_owned(),
            source_region: REGION.to_owned(),
            name: format!("my copy of {image}"),
            description: None,
            encrypted: None,
            kms_key: None,
            copy_tags: Some(true),
            client_token: None,
            tags: Vec::new(),
        })
    }

    fn image_by_hand(&self, instance: &str, name: &str) -> String {
        self.by_hand(&Action::CreateImage {
            instance: instance.to_owned(),
            name: name.to_owned(),
            description: None,
            no_reboot: Some(true),
            tags: Vec::new(),
        })
    }
}

/// moto, asked through the SDK.
struct MotoAccount {
    moto: Moto,
    ec2: aws_sdk_ec2::Client,
    runtime: tokio::runtime::Runtime,
}

fn tags(list: &[Tag]) -> Tags {
    list.iter().map(|tag| (tag.key().unwrap_or_default().into(), tag.value().unwrap_or_default().into())).collect()
}

impl Account for MotoAccount {
    fn images(&self) -> Vec<Seen> {
        let answer = self.runtime.block_on(self.ec2.describe_images().owners("self").send()).expect("images");
        let seen = answer.images().iter().map(|image| Seen {
            id: image.image_id().expect("an id").to_owned(),
            name: image.name().expect("a name").to_owned(),
            source_instance: image.source_instance_id().map(str::to_owned),
            tags: tags(image.tags()),
            snapshots: image
                .block_device_mappings()
                .iter()
                .filter_map(|mapping| mapping.ebs()?.snapshot_id().map(str::to_owned))
                .collect(),
        });
        seen.collect()
    }

    fn snapshots(&self) -> BTreeMap<String, Tags> {
        let answer = self.runtime.block_on(self.ec2.describe_snapshots().owner_ids("self").send()).expect("snapshots");
        let seen = answer.snapshots().iter();
        seen.map(|snapshot| (snapshot.snapshot_id().expect("an id").to_owned(), tags(snapshot.tags()))).collect()
    }

    fn no_reboot(&self) -> Vec<String> {
        let sent = |call: Vec<(String, String)>| call.into_iter().find(|(key, _)| key == "NoReboot");
        // The person's own call is none of ours.
        let ours = |call: &Vec<(String, String)>| call.iter().any(|(key, _)| key.starts_with("TagSpecification"));
        let calls = self.moto.recorded("CreateImage").into_iter().filter(ours);
        calls.map(|call| sent(call).map(|(_, value)| value).unwrap_or_default()).collect()
    }

    fn copy_by_hand(&self, image: &str) -> String {
        let copied_tags = self.images().into_iter().find(|i| i.id == image).expect("there").tags;
        let list = copied_tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        self.runtime.block_on(async {
            let copy = self.ec2.copy_image().source_image_id(image).source_region(REGION).name("my copy");
            let id = copy.send().await.expect("copied").image_id().expect("an id").to_owned();
            self.ec2.create_tags().resources(&id).set_tags(Some(list)).send().await.expect("tagged");
            id
        })
    }

    fn image_by_hand(&self, instance: &str, name: &str) -> String {
        let create = self.ec2.create_image().instance_id(instance).name(name).no_reboot(true);
        self.runtime.block_on(create.send()).expect("created").image_id().expect("an id").to_owned()
    }
}

/// The images of `account` that the program made, by instance and oldest first.
fn ours(account: &impl Account) -> BTreeMap<String, Vec<Seen>> {
    let mut by_instance: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    for image in account.images() {
        let marked = image.tags.get("stillframe:daemon").is_some_and(|name| name == DAEMON);
        if let Some(source) = image.source_instance.clone().filter(|_| marked && image.name.starts_with("stillframe/"))
        {
            by_instance.entry(source).or_default().push(image);
        }
    }
    by_instance.values_mut().for_each(|list| list.sort_by(|a, b| a.name.cmp(&b.name)));
    by_instance
}

/// The snapshots that no image needs.
fn orphans(account: &impl Account) -> Vec<String> {
    let needed: Vec<String> = account.images().into_iter().flat_map(|image| image.snapshots).collect();
    account.snapshots().into_keys().filter(|snapshot| !needed.contains(snapshot)).collect()
}

/// The document has all that the contract names, and nothing is empty that should not be.
fn assert_contract(document: &Value, instances: &[String], deletions: usize) {
    assert_eq!(document["schema"], 1);
    let (run, due) = (document["run"].as_str().expect("run"), document["due"].as_str().expect("due"));
    assert_eq!(run, format!("nightly@{}", due.replace(['-', ':'], "")));
    assert_eq!((&document["plan"], &document["outcome"]), (&"nightly".into(), &"done".into()));
    let targets = document["targets"].as_array().expect("targets");
    let named: Vec<&str> = targets.iter().map(|target| target["instance"].as_str().expect("instance")).collect();
    assert_eq!(named, instances);
    for target in targets {
        assert_eq!((&target["outcome"], &target["reason"]), (&"done".into(), &"".into()));
        assert_eq!(target["account"].as_str().map(str::len), Some(12));
        assert_eq!(target["region"], REGION);
        assert!(target["image"].as_str().is_some_and(|id| id.starts_with("ami-")), "{target}");
    }
    let verdicts = document["retention"].as_array().expect("retention");
    for verdict in verdicts {
        assert!(verdict["image"].as_str().is_some_and(|id| id.starts_with("ami-")), "{verdict}");
        assert!(verdict["reasons"].as_array().is_some_and(|reasons| !reasons.is_empty()), "{verdict}");
    }
    assert_eq!(verdicts.iter().filter(|v| v["verdict"] == "delete").count(), deletions, "{document}");
    assert!(verdicts.iter().all(|v| v["verdict"] == "delete" || v["verdict"] == "keep"));
}

/// Every tag of ours, and the plan's, is on the image and on each of its snapshots.
fn assert_tags(image: &Seen, snapshots: &BTreeMap<String, Tags>, document: &Value, installation: &str) {
    let instance = image.source_instance.as_deref().expect("of an instance");
    let (run, due) = (document["run"].as_str().expect("run"), document["due"].as_str().expect("due"));
    let name = format!("{run} {instance}");
    let want: Tags = [
        ("Name", name.as_str()),
        ("Team", "web"),
        ("stillframe:consistency", "reboot"),
        ("stillframe:daemon", DAEMON),
        ("stillframe:due", due),
        ("stillframe:installation", installation),
        ("stillframe:instance", instance),
        ("stillframe:plan", "nightly"),
        ("stillframe:role", "image"),
        ("stillframe:run", run),
        ("stillframe:schema", "1"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    assert_eq!(image.tags, want);
    assert_eq!(image.name, format!("stillframe/{DAEMON}/nightly/{instance}/{}", due.replace(['-', ':'], "")));
    assert!(!image.snapshots.is_empty());
    for snapshot in &image.snapshots {
        assert_eq!(snapshots[snapshot], want, "{snapshot} of {}", image.id);
    }
}

/// Four runs of a plan that keeps two, over any account with five tagged instances (`tagged`) and two others.
fn four_runs(site: &Site, account: &impl Account, tagged: &[String]) {
    site.plan("nightly", &plan(5, ""));
    let backup = || site.run(&["backup", "nightly", "--json"]).expect(0).document();

    let first = backup();
    assert_contract(&first, tagged, 0);
    let made = ours(account);
    assert_eq!(made.keys().cloned().collect::<Vec<_>>(), tagged);
    let text = std::fs::read_to_string(site.state().join("installation.json")).expect("there");
    let installation: Value = serde_json::from_str(&text).expect("JSON");
    for image in made.values().flatten() {
        let id = installation["installation"].as_str().expect("an id");
        assert_tags(image, &account.snapshots(), &first, id);
    }
    assert_eq!(made.values().map(Vec::len).collect::<Vec<_>>(), [1; 5]);
    assert_eq!(account.images().len(), 5);
    assert_eq!(account.no_reboot(), ["false"; 5]);

    let copy = account.copy_by_hand(&made[&tagged[0]][0].id);
    let name = format!("stillframe/{DAEMON}/nightly/{}/20200101T000000Z", tagged[1]);
    let alike = account.image_by_hand(&tagged[1], &name);
    let foreign = |account: &dyn Fn() -> Vec<Seen>| {
        let all = account().into_iter().filter(|image| image.id == copy || image.id == alike);
        let mut all: Vec<_> = all.map(|i| (i.id, i.name, i.tags, i.snapshots)).collect();
        all.sort();
        all
    };
    let before = foreign(&|| account.images());
    assert_eq!(before.len(), 2);

    assert_contract(&backup(), tagged, 0);
    assert_contract(&backup(), tagged, 5);
    let fourth = backup();
    assert_contract(&fourth, tagged, 5);
    let left = ours(account);
    assert_eq!(left.values().map(Vec::len).collect::<Vec<_>>(), [2; 5]);
    for (target, instance) in fourth["targets"].as_array().expect("targets").iter().zip(tagged) {
        assert_eq!(target["image"], left[instance][1].id.as_str(), "the newest is the fourth run's");
    }
    assert_eq!(orphans(account), Vec::<String>::new());
    assert_eq!(account.no_reboot()[..20], ["false"; 20]);
    assert_eq!(foreign(&|| account.images()), before, "what is not ours is as it was");
    assert!(before.iter().flat_map(|(.., snapshots)| snapshots).all(|id| account.snapshots().contains_key(id)));
    assert_eq!(site.history().len(), 4);
}

#[test]
fn makes_and_keeps_what_the_plan_says_over_the_door() {
    let door = Door::open(&fleet(5, 2));
    let tagged: Vec<String> = (0..5).map(instance).collect();
    four_runs(&Site::new(door.env()), &door, &tagged);
    // Right after the person's image of the same instance one may be refused for now.
    let made = door.calls("CreateImage").iter().filter(|call| call.effect).count();
    assert_eq!(made, 20, "each image is made once; the person's calls are not logged");
    for id in &tagged {
        assert_eq!(door.reboots(id), 4);
    }
    assert_eq!((door.reboots(&instance(5)), door.reboots(&instance(6))), (0, 0));
}

#[test]
fn makes_and_keeps_what_the_plan_says_over_moto() {
    let moto = Moto::start();
    let mut tagged = moto.seed(REGION, ("Backup", "nightly"), 5, 2).tagged;
    tagged.sort();
    let site = Site::new(moto.env(REGION));
    let ec2 = aws_sdk_ec2::Client::new(&moto.sdk_config(REGION));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let account = MotoAccount { moto, ec2, runtime };
    four_runs(&site, &account, &tagged);
    assert_eq!(account.no_reboot().len(), 20, "each image is asked for once");
}

#[test]
fn exit_codes_tell_what_happened() {
    let door = Door::open(&fleet(1, 1));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(5, ""));
    site.plan("nobody", &plan(5, "").replace("nightly", "weekly"));
    let (tagged, untagged) = (instance(0), instance(1));

    // (arguments, exit code, on stdout, on stderr)
    let table: [(&[&str], i32, &str, &str); 6] = [
        (&["backup", "nobody"], 1, "the plan selects no instance", "run.finished"),
        (
            &["backup", "nightly", "--instance", &untagged],
            1,
            "is not one of the instances that the plan nightly selects",
            "ERROR",
        ),
        (&["backup", "nightly", "--instance", &tagged], 0, "ami-", "run.finished"),
        (&["backup", "weekly"], 2, "", "no plan `weekly`"),
        (&["backup"], 2, "", "<PLAN>"),
        (&["history", "--plan", "nightly"], 0, "done", ""),
    ];
    for (args, code, stdout, stderr) in table {
        let ended = site.run(args);
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert!(ended.stdout.contains(stdout) && ended.stderr.contains(stderr), "{args:?}: {ended:?}");
    }
    assert_eq!((door.reboots(&tagged), door.reboots(&untagged)), (1, 0));

    let calls = door.world().calls.iter().count();
    site.settings("[daemon]\nname = \"it\"\nstate_dri = \"state\"\n");
    let ended = site.run(&["backup", "nightly"]).expect(2);
    assert!(ended.stderr.contains("stillframe.toml:3:1: daemon.state_dri: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("did you mean") && ended.stderr.contains("state_dir"), "{}", ended.stderr);
    assert_eq!(door.world().calls.iter().count(), calls);
}

#[test]
fn images_are_found_by_filters_only() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    site.run(&["backup", "nightly"]).expect(0);
    let calls = door.calls("DescribeImages");
    assert!(!calls.is_empty());
    for call in &calls {
        assert!(call.parameters.contains_key("Filter.1.Name"), "{call:?}");
        assert!(!call.parameters.contains_key("ImageId.1"), "one unknown id fails the whole call: {call:?}");
        assert_eq!(call.parameters["Owner.1"], "self");
        assert_eq!(call.parameters["IncludeDisabled"], "true");
    }
}
