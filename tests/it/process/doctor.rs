//! `doctor` as a process, on the simulated world and through the HTTP door: what it tries, what it tells, and that it
//! changes nothing.

use serde_json::{Value, json};
use stillframe::sim::Fleet;

use crate::support::rude::dead_endpoint;
use crate::support::site::{REGION, Site};
use crate::support::world::{Door, env};

const DR: &str = "222222222222";
const ROLE: &str = "arn:aws:iam::222222222222:role/copies";
const EXTERNAL_ID: &str = "not-to-be-shown";

/// A plan that copies to another account and another region, and shares.
fn plan(more: &str) -> String {
    format!(
        "schedule.cron = \"0 0 1 1 *\"\nselect.tags = {{ Backup = \"nightly\" }}\nselect.regions = [\"{REGION}\"]\n\
         keep.last = 2\n[rollout]\nsettle = \"1s\"\n[[copy]]\naccount = \"dr\"\nregion = \"eu-west-1\"\n\
         kms_key = \"alias/backup\"\n{more}"
    )
}

/// Two instances; the other account's role and key, changed by `change`.
fn world(change: impl FnOnce(&mut Value)) -> Value {
    let mut fleet = json!({
        "regions": [REGION, "eu-west-1"], "speed": 60, "image_seconds": [10, 10], "reboot_seconds": 10,
        "grant_seconds": 1, "throttling": false,
        "accounts": [{ "id": DR, "roles": [{ "name": "copies", "trusts": ["111111111111"], "external_id": EXTERNAL_ID }] }],
        "keys": [{ "account": DR, "region": "eu-west-1", "alias": "alias/backup" }],
        "instances": [{ "name": "web", "count": 2, "tags": { "Backup": "nightly" } }],
    });
    change(&mut fleet);
    fleet
}

fn settings(backend: &str) -> String {
    format!(
        "[daemon]\nname = \"it\"\nstate_dir = \"state\"\ninstance = \"none\"\n[cloud]\nbackend = \"{backend}\"\n\
         api_share = 1.0\nvisible_within = \"1s\"\nstatus_lag = \"1s\"\nshutdown_limit = \"1s\"\n[accounts.dr]\nid = \"{DR}\"\nrole_arn = \"{ROLE}\"\n\
         external_id = \"{EXTERNAL_ID}\"\n"
    )
}

/// An installation on the simulated world.
fn site(fleet: &Value, more: &str) -> Site {
    let site = Site::new(Vec::new());
    site.settings(&settings("sim"));
    site.plan("nightly", &plan(more));
    std::fs::write(site.config().join("fleet.json"), fleet.to_string()).expect("written");
    site
}

/// The rows of a document as `account/region call outcome`.
fn rows(document: &Value) -> Vec<String> {
    let mut rows = Vec::new();
    for place in document["doctor"]["places"].as_array().expect("places") {
        for row in place["calls"].as_array().expect("calls") {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let place = format!("{}/{}", text(&place["account"]), text(&place["region"]));
            rows.push(format!("{place} {} {}", text(&row["call"]), text(&row["outcome"])));
        }
    }
    rows
}

fn row<'a>(document: &'a Value, account: &str, call: &str) -> &'a Value {
    let places = document["doctor"]["places"].as_array().expect("places");
    let of =
        places.iter().filter(|place| place["account"] == account).flat_map(|p| p["calls"].as_array().expect("calls"));
    of.into_iter().find(|row| row["call"] == call).unwrap_or_else(|| panic!("no {call} in {account}: {document}"))
}

#[test]
fn what_the_plans_need_is_tried_and_nothing_is_changed() {
    let fleet: Fleet = serde_json::from_value(world(|_| {})).expect("a fleet");
    let door = Door::open(&fleet);
    let site = Site::new(door.env());
    site.settings(&settings("aws"));
    site.plan("nightly", &plan(""));
    let first = site.run(&["doctor", "--json"]).expect(0).document();
    assert!(!site.state().exists(), "no state directory is made");
    let rows_then = rows(&first);
    let here = |call: &str, outcome: &str| format!("111111111111/{REGION} {call} {outcome}");
    let there = |call: &str, outcome: &str| format!("{DR}/eu-west-1 {call} {outcome}");
    for row in [
        here("CreateImage", "allowed"),
        here("DescribeInstanceStatus", "allowed"),
        here("ModifySnapshotAttribute", "unknown"),
        there("DescribeKey", "allowed"),
        there("GetAllowedImagesSettings", "allowed"),
        there("CopyImage", "unknown"),
    ] {
        assert!(rows_then.contains(&row), "{row}: {rows_then:#?}");
    }
    // Only what the plans need: nothing is shared, nothing copied within the account.
    for call in ["EnableImageDeprecation", "CopyImage"] {
        assert!(!rows_then.iter().any(|row| row.starts_with("111111111111") && row.contains(call)), "{rows_then:#?}");
    }
    assert!(!rows_then.iter().any(|row| row.contains("GetEbsDefaultKmsKeyId")), "a key is named: {rows_then:#?}");
    let world = |door: &Door| {
        let world = door.world();
        (world.images.len(), world.snapshots.len(), world.instances.values().map(|i| i.reboot_count()).sum::<usize>())
    };
    assert_eq!(world(&door), (0, 0, 0));

    // With an image of ours in both accounts all can be told, but whether one may be copied that is not lent now.
    site.run(&["backup", "nightly"]).expect(0);
    let before = world(&door);
    let text = site.run(&["doctor"]).expect(0).stdout;
    assert!(text.contains(" 0 denied, 1 unknown\n") && text.contains("InvalidAMIID.NotFound"), "{text}");
    assert_eq!(world(&door), before);
    assert!(!text.contains(EXTERNAL_ID), "{text}");
}

#[test]
fn what_is_denied_comes_with_the_statement_to_add() {
    let denied =
        world(|fleet| fleet["accounts"][0]["roles"][0]["denied"] = json!(["ec2:CopyImage", "kms:DescribeKey"]));
    let site = site(&denied, "");
    let document = site.run(&["doctor", "--json"]).expect(1).document();
    let copy = row(&document, DR, "CopyImage");
    assert_eq!((&copy["outcome"], &copy["action"]), (&json!("denied"), &json!("ec2:CopyImage")), "{copy}");
    assert_eq!(copy["add"][0]["policy"], format!("the IAM policy of {ROLE}"));
    assert_eq!(copy["add"][0]["statement"]["Action"], "ec2:CopyImage");
    let key = row(&document, DR, "DescribeKey");
    assert_eq!((&key["outcome"], &key["action"]), (&json!("denied"), &json!("kms:DescribeKey")), "{key}");
    let policies: Vec<&str> =
        key["add"].as_array().expect("statements").iter().filter_map(|a| a["policy"].as_str()).collect();
    assert!(policies.iter().any(|policy| policy.contains("IAM policy of")), "{policies:?}");
    assert!(policies.iter().any(|policy| policy.starts_with("the key policy of alias/backup")), "{policies:?}");
    let text = site.run(&["doctor"]).expect(1).stdout;
    assert!(text.contains("action ec2:CopyImage on resource") && text.contains("add to the IAM policy of"), "{text}");
    assert!(!site.state().exists(), "the world is looked at only");
}

/// What is shared where it is copied to needs more there, and IAM takes no alias for a resource.
#[test]
fn what_shares_of_copies_need_is_tried_where_the_copies_are() {
    let lacking = ["ec2:DeleteTags", "kms:ListGrants", "kms:DescribeKey"];
    for lacks in lacking {
        let denied = world(|fleet| fleet["accounts"][0]["roles"][0]["denied"] = json!([lacks]));
        let site = site(&denied, "[share]\naccounts = [\"333333333333\"]\n");
        // With an image there, EC2's refusal is about it.
        let run = site.run(&["backup", "nightly", "--json"]).expect(i32::from(lacks != "ec2:DeleteTags")).document();
        let copy = &run["targets"][0]["copies"][0];
        assert_eq!(
            copy["not_shared"].as_str().is_some_and(|why| why.contains(lacks)),
            lacks == "kms:ListGrants",
            "{run}"
        );
        let document = site.run(&["doctor", "--json"]).expect(1).document();
        let (service, call) = lacks.split_once(':').expect("an action");
        let row = row(&document, DR, call);
        assert_eq!((&row["outcome"], &row["action"]), (&json!("denied"), &json!(lacks)), "{row}");
        if service == "kms" {
            let added = row["add"].as_array().expect("statements").iter();
            for statement in added.filter(|a| a["policy"].as_str().is_some_and(|p| p.contains("IAM"))) {
                let resource = statement["statement"]["Resource"].as_str().expect("one");
                assert!(resource == "*" || resource.starts_with("arn:aws:kms:"), "{statement}");
                let alias = &statement["statement"]["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"];
                assert_eq!(resource == "*", alias == "alias/backup", "{statement}");
            }
        }
    }
}

/// Criteria of Allowed AMIs that name no providers, or none at all: only a copy tells.
#[test]
fn allowed_images_without_criteria_are_unknown() {
    let fleet = world(|fleet| {
        fleet["accounts"][0]["regions"] = json!({ "eu-west-1": { "allowed_images": "enabled" } });
    });
    let document = site(&fleet, "").run(&["doctor", "--json"]).expect(0).document();
    let row = row(&document, DR, "GetAllowedImagesSettings");
    assert_eq!(row["outcome"], json!("unknown"), "{row}");
}

/// Somebody names the account that stillframe runs in under `[accounts]`: its own credentials serve it all the same.
#[test]
fn a_role_for_the_own_account_does_not_come_between() {
    let fleet: Fleet = serde_json::from_value(world(|_| {})).expect("a fleet");
    let door = Door::open(&fleet);
    for backend in ["aws", "sim"] {
        let site = if backend == "sim" { site(&world(|_| {}), "") } else { Site::new(door.env()) };
        let own = "[accounts.own]\nid = \"111111111111\"\nrole_arn = \"arn:aws:iam::111111111111:role/x\"\n";
        site.settings(&(settings(backend) + own));
        site.plan("nightly", &plan(""));
        let run = site.run(&["backup", "nightly", "--json"]).expect(0).document();
        assert_eq!(run["targets"].as_array().map(Vec::len), Some(2), "{run}");
    }
}

#[test]
fn a_role_that_cannot_be_assumed_says_whose_trust_is_missing() {
    for wrong in [json!({ "external_id": "another" }), json!({ "trusts": [] })] {
        let fleet = world(|fleet| {
            for (key, value) in wrong.as_object().expect("an object") {
                fleet["accounts"][0]["roles"][0][key] = value.clone();
            }
        });
        let site = site(&fleet, "");
        let ended = site.run(&["doctor", "--json"]).expect(1);
        assert!(!ended.stdout.contains(EXTERNAL_ID) && !ended.stderr.contains(EXTERNAL_ID), "{ended:?}");
        let document = ended.document();
        let dr = &document["doctor"]["accounts"][1];
        assert_eq!((&dr["name"], &dr["call"], &dr["outcome"]), (&json!("dr"), &json!("AssumeRole"), &json!("denied")));
        assert_eq!(dr["add"][0]["policy"], format!("the trust policy of {ROLE}"), "{dr}");
        assert!(dr["add"][0]["statement"]["Condition"].to_string().contains("accounts.dr.external_id"), "{dr}");
        // The own account is examined all the same.
        assert_eq!(row(&document, "111111111111", "CreateImage")["outcome"], "allowed");
        assert!(!rows(&document).iter().any(|row| row.starts_with(DR)), "{document}");
    }
}

#[test]
fn keys_and_settings_that_stand_in_the_way_are_named() {
    type Row = (fn(&mut Value), &'static str, &'static str, &'static str);
    let table: [Row; 4] = [
        (|fleet| fleet["keys"][0]["state"] = json!("Disabled"), DR, "DescribeKey", "is Disabled"),
        (|fleet| fleet["keys"][0]["symmetric"] = json!(false), DR, "DescribeKey", "asymmetric"),
        (|fleet| fleet["keys"][0]["alias"] = json!("alias/other"), DR, "DescribeKey", "there is no key alias/backup"),
        (
            |fleet| {
                let amazon = json!({ "allowed_images": "enabled", "image_providers": ["amazon"] });
                fleet["accounts"][0]["regions"] = json!({ "eu-west-1": amazon });
            },
            DR,
            "GetAllowedImagesSettings",
            "hides the images of account 111111111111",
        ),
    ];
    for (change, account, call, part) in table {
        let document = site(&world(change), "").run(&["doctor", "--json"]).expect(1).document();
        let row = row(&document, account, call);
        assert!(row["outcome"] == "denied" && row["reason"].as_str().is_some_and(|why| why.contains(part)), "{row}");
    }
    // Volumes under the key that AWS manages cannot be lent, unless via_key says another one.
    let managed = |fleet: &mut Value| {
        fleet["instances"][0]["kms_key"] = json!("alias/aws/ebs");
        let lend = json!({ "region": REGION, "alias": "alias/lend" });
        fleet["keys"].as_array_mut().expect("keys").push(lend);
    };
    let document = site(&world(managed), "").run(&["doctor", "--json"]).expect(1).document();
    let key = row(&document, "111111111111", "DescribeKey");
    assert!(key["reason"].as_str().is_some_and(|why| why.contains("set via_key to a customer-managed key")), "{key}");
    let document = site(&world(managed), "via_key = \"alias/lend\"\n").run(&["doctor", "--json"]).expect(0).document();
    for call in ["CopyImage", "GetKeyPolicy", "ListGrants"] {
        row(&document, "111111111111", call);
    }
}

#[test]
fn who_cannot_be_asked_is_no_success() {
    let site = Site::new(env(&dead_endpoint()));
    site.settings(&settings("aws"));
    site.plan("nightly", &plan(""));
    let text = site.run(&["doctor"]).expect(1).stdout;
    assert!(text.contains("unknown") && text.contains("0 allowed, 0 denied, 1 unknown"), "{text}");
    let help = site.run(&["doctor", "--help"]).expect(0).stdout;
    assert!(help.contains("Exit codes: 0 ") && help.contains("2 wrong usage"), "{help}");
}

#[test]
fn the_keys_of_volumes_are_told_of_where_images_alone_are_made() {
    let site = Site::new(Vec::new());
    site.settings(&settings("sim"));
    site.plan(
        "nightly",
        &format!(
            "schedule.cron = \"0 0 1 1 *\"\nselect.tags = {{ Backup = \"nightly\" }}\nselect.regions = [\"{REGION}\"]\n\
             keep.last = 2\n"
        ),
    );
    let fleet = world(|fleet| {
        fleet["keys"].as_array_mut().expect("keys").push(json!({ "region": REGION, "alias": "alias/volumes" }));
        fleet["instances"][0]["kms_key"] = json!("alias/volumes");
        // Volumes under the key that AWS manages need nothing of anybody.
        let managed = json!({ "name": "db", "tags": { "Backup": "nightly" }, "kms_key": "alias/aws/ebs" });
        fleet["instances"].as_array_mut().expect("instances").push(managed);
    });
    std::fs::write(site.config().join("fleet.json"), fleet.to_string()).expect("written");
    let document = site.run(&["doctor", "--json"]).expect(0).document();
    let rows = rows(&document);
    let told: Vec<&String> = rows.iter().filter(|row| row.contains("CreateGrant")).collect();
    assert_eq!(told, [&format!("111111111111/{REGION} CreateGrant unknown")], "{rows:?}");
    let row = row(&document, "111111111111", "CreateGrant");
    assert!(row["reason"].as_str().is_some_and(|why| why.contains("Encrypted volumes")), "{row}");
}

/// What no permission would mend stands first: whatever is allowed, no run would begin.
#[test]
fn what_bars_every_run_is_said_first() {
    let door = Door::open(&crate::support::world::fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &crate::process::plan(1, ""));
    door.world().date_ahead = -3 * 3600;
    let told = site.run(&["doctor"]).stdout;
    assert!(told.starts_with("NOTHING WOULD BE DONE: this machine's clock is 3 h"), "{told}");
    let preview = site.run(&["preview"]).expect(1).stdout;
    assert!(preview.contains("NOTHING WOULD BE BEGUN: this machine's clock"), "{preview}");
    door.world().date_ahead = 0;
    assert!(!site.run(&["doctor"]).stdout.contains("NOTHING WOULD"), "the clock is right again");
}
