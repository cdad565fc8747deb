//! A plan with copies in two regions, a copy in another account and a share: what is there in the end, as boto3 sees it
//! with each account's own credentials.

use std::collections::BTreeMap;
use std::process::Command;

use aws_sdk_ec2::types::ImageAttributeName;
use stillframe::clock::Clock;
use stillframe::domain::sharing::Grantee;
use stillframe::sim::action::Action;
use stillframe::sim::fleet::ACCOUNT;
use stillframe::sim::world::Caller;

use super::{AWAY, FAR, FRIEND, MEMBER, ORGANIZATION, PARTNER, good, lands, site};
use crate::process::plan;
use crate::support::child::{Ended, of_event, of_level};
use crate::support::moto::Moto;
use crate::support::python;
use crate::support::site::{REGION, Site, here};
use crate::support::world::Door;

/// The plan, shared with these accounts and the organization.
fn shared_with(accounts: &[&str]) -> String {
    format!(
        "{}\n[[copy]]\nregion = \"{AWAY}\"\nkms_key = \"alias/away\"\n[[copy]]\nregion = \"{FAR}\"\n\
         [[copy]]\nregion = \"{AWAY}\"\naccount = \"dr\"\nkms_key = \"alias/backup\"\nkeep = {{ last = 3 }}\n\
         [share]\naccounts = {accounts:?}\norganizations = [\"{ORGANIZATION}\"]\n",
        plan(2, "")
    )
}

/// Lets boto3 look at what is there: `args` as the script says.
fn look(door: &Door, args: &[&str]) {
    let output = Command::new(python::venv().join("bin/python"))
        .arg(here().join("boto3_accounts.py"))
        .arg(&door.endpoint)
        .args(args)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("the Python environment has an interpreter");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.starts_with("ok: "), "{out}{err}");
    println!("{out}");
}

/// A run that nobody has to look at.
fn assert_quiet(ended: &Ended, foreign: usize) {
    let log = ended.log();
    assert_eq!(of_level(&log, "ERROR"), Vec::<&serde_json::Value>::new(), "{}", ended.stderr);
    let loud: Vec<_> = of_level(&log, "WARN").into_iter().filter(|line| line["event"] != "loan.foreign").collect();
    assert_eq!(loud, Vec::<&serde_json::Value>::new(), "{}", ended.stderr);
    assert_eq!(of_event(&log, "loan.foreign").len(), foreign, "{}", ended.stderr);
}

#[test]
fn each_account_sees_what_it_is_to_see_over_the_door() {
    let door = Door::open(&lands(2, Some("alias/own")));
    let site = site(&door);
    site.plan("nightly", &shared_with(&[FRIEND, PARTNER]));
    let ended = site.run(&["backup", "nightly", "--json"]).expect(0);
    assert_quiet(&ended, 0);
    let document = ended.document();
    for target in document["targets"].as_array().expect("targets") {
        let copies = target["copies"].as_array().expect("copies");
        let seen: Vec<_> = copies.iter().map(|c| (c["destination"].as_str(), c["outcome"].as_str())).collect();
        let wanted = ["dr/eu-west-1", "eu-west-1", "eu-west-3"].map(|to| (Some(to), Some("done")));
        assert_eq!(seen, wanted, "{target}");
        let shared = |of: &serde_json::Value| of["shared"].as_array().map(Vec::len);
        assert_eq!(shared(target), Some(3), "{target}");
        assert!(copies.iter().all(|copy| shared(copy) == Some(3)), "{target}");
    }
    look(&door, &["1", &[FRIEND, PARTNER].join(","), ""]);

    // A person lets somebody in; the plan lets the partner go and shares with the account that copies are made in.
    let image = good(&door.world(), ACCOUNT, REGION).remove(0);
    let gave = Action::ModifyImageAttribute {
        image: image.clone(),
        add: vec![Grantee::Account(MEMBER.into())],
        remove: Vec::new(),
    };
    door.world().call(Clock::Wall.now(), &Caller::new(ACCOUNT), REGION, &gave).expect("given");
    let accounts = [FRIEND, super::DR];
    site.plan("nightly", &shared_with(&accounts));
    assert_quiet(&site.run(&["backup", "nightly", "--json"]).expect(0), 1);
    look(&door, &["2", &accounts.join(","), &format!("{image}={MEMBER}")]);
    // The account that a copy lets in first is told of as shared with, too.
    let run = site.run(&["backup", "nightly", "--json"]).expect(0);
    assert_quiet(&run, 0);
    for target in run.document()["targets"].as_array().expect("targets") {
        let shared = target["shared"].as_array().unwrap_or_else(|| panic!("not told: {target}"));
        assert!(accounts.iter().all(|id| shared.contains(&(*id).into())), "{target}");
    }
    // What is shared no more is not told to be.
    let told = |image: &str| site.run(&["explain", image, "--json"]).expect(0).document()["explain"]["shared"].clone();
    assert_eq!(told(&image).as_array().map(Vec::len), Some(3));
    let (with, _) =
        shared_with(&accounts).split_once("[share]").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("two");
    site.plan("nightly", &with);
    assert_quiet(&site.run(&["backup", "nightly", "--json"]).expect(0), 0);
    assert_eq!(told(&image), serde_json::Value::Null);
}

/// moto shows a copy in another region and launch permissions. It cannot show the rest: it knows no images of other
/// accounts, so that none copies what is shared with it; it tags and encrypts no copies; it reads permissions of snapshots
/// in the older form of the request alone, and has no Allowed AMIs setting. That a role is assumed in another account is
/// held by the contract, over moto too.
#[test]
fn over_moto_as_far_as_it_goes() {
    const AWAY: &str = "eu-west-1";
    let moto = Moto::start();
    moto.seed(REGION, ("Backup", "nightly"), 1, 1);
    let site = Site::new(moto.env(REGION));
    let share = format!(
        "[[copy]]\nregion = \"{AWAY}\"\n[share]\naccounts = [\"{FRIEND}\", \"{PARTNER}\"]\n\
         organizations = [\"{ORGANIZATION}\"]\nsnapshots = false\n"
    );
    site.plan("nightly", &(plan(1, "") + &share));
    let ended = site.run(&["backup", "nightly", "--json"]).expect(0);
    assert_quiet(&ended, 0);
    let document = ended.document();
    let target = &document["targets"][0];
    let (image, copy) = (target["image"].as_str().expect("an image"), &target["copies"][0]);
    assert_eq!((&copy["outcome"], &copy["region"]), (&"done".into(), &AWAY.into()), "{document}");

    let calls = moto.recorded("CopyImage");
    assert_eq!(calls.len(), 1);
    let sent: BTreeMap<&str, &str> = calls[0].iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!((sent["SourceImageId"], sent["SourceRegion"]), (image, REGION));
    assert_eq!(sent["ClientToken"].len(), 64);
    assert_eq!(
        ["TagSpecification.1.ResourceType", "TagSpecification.2.ResourceType"].map(|k| sent[k]),
        ["image", "snapshot"]
    );
    for key in ["CopyImageTags", "KmsKeyId"] {
        assert!(!sent.contains_key(key), "{sent:?}");
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (region, id) in [(REGION, image), (AWAY, copy["image"].as_str().expect("a copy"))] {
        let ec2 = aws_sdk_ec2::Client::new(&moto.sdk_config(region));
        let found = runtime.block_on(ec2.describe_images().image_ids(id).send()).expect("described");
        assert_eq!(found.images().len(), 1, "{id} is in {region}");
        let ask = ec2.describe_image_attribute().image_id(id).attribute(ImageAttributeName::LaunchPermission);
        let answer = runtime.block_on(ask.send()).expect("described");
        let mut who: Vec<&str> = answer
            .launch_permissions()
            .iter()
            .filter_map(|entry| entry.user_id().or(entry.organization_arn()).or(entry.organizational_unit_arn()))
            .collect();
        who.sort_unstable();
        assert_eq!(who, [FRIEND, PARTNER, ORGANIZATION], "who may launch {id} in {region}");
    }
}
