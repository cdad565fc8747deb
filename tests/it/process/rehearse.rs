//! `rehearse` as a process: its documents agree, it asks nobody but with --from-aws, and it writes nothing but the page.

use std::fs;

use serde_json::{Value, json};
use stillframe::sim::fleet::Fleet;

use crate::support::rude::dead_endpoint;
use crate::support::site::{REGION, Site};
use crate::support::world::{Door, fleet, instance};

/// Two plans, one of which reboots: the other one's instances are within the first one's.
fn site(env: Vec<(&'static str, String)>) -> Site {
    let site = Site::new(env);
    site.plan(
        "web",
        &format!(
            "description = \"Web & <b>tier</b>\"\nselect.tags = {{ Backup = [\"nightly\", \"daily\"] }}\n\
             select.regions = [\"{REGION}\", \"eu-west-1\"]\n\
             [schedule]\ncron = \"30 2 * * *\"\ntimezone = \"Europe/Berlin\"\nwindow = \"1h\"\n\
             [rollout]\nmax_in_flight = 2\n[keep]\nlast = 2\ndaily = 4\n"
        ),
    );
    site.plan(
        "db",
        &format!(
            "schedule.cron = \"15 1 * * *\"\nselect.tags = {{ Role = \"db\" }}\nselect.regions = [\"{REGION}\"]\n\
             consistency.mode = \"none\"\nkeep.last = 3\n"
        ),
    );
    site
}

const SMALL: [&str; 7] = ["rehearse", "--from", "2026-12-01", "--days", "10", "--instances", "3"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    SMALL.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn a_small_rehearsal_reads_so() {
    let site = site(Vec::new());
    let text = site.run(&SMALL).expect(0).stdout;
    let document = site.run(&with(&["--json"])).expect(0).document();
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("rehearsal", text);
        insta::assert_snapshot!("rehearsal_json", serde_json::to_string_pretty(&document).expect("JSON"));
    });
}

#[test]
fn the_figures_add_up() {
    let site = site(Vec::new());
    let document = site.run(&with(&["--json"])).expect(0).document();
    let r = &document["rehearsal"];
    let [db, web] = [&r["plans"][0], &r["plans"][1]];
    assert_eq!((&db["plan"], &web["plan"]), (&json!("db"), &json!("web")));
    for plan in [db, web] {
        assert_eq!((&plan["occurrences"]["run"], &plan["occurrences"]["done"]), (&json!(10), &json!(10)));
        assert_eq!((&plan["targets"]["done"], &plan["instances"]), (&json!(30), &json!(3)));
        // Daily, and the one before the first counts from the beginning.
        let longest = plan["without_image"][0]["seconds"].as_u64().expect("seconds");
        assert!((80_000..100_000).contains(&longest), "{longest}");
    }
    assert_eq!((&db["reboots"]["total"], &web["reboots"]["total"]), (&json!(0), &json!(30)));
    assert_eq!(web["daily"]["reboots"], json!([3, 3, 3, 3, 3, 3, 3, 3, 3, 3]));
    assert_eq!(web["reboots"]["down"]["count"], 2);
    assert_eq!(r["totals"]["down"]["count"], 2);
    // `last 2` and `daily 4` keep 4 of each instance, `last 3` keeps 3; the rest is deleted.
    assert_eq!((&web["stored"]["images"], &db["stored"]["images"]), (&json!(12), &json!(9)));
    let deleted: Vec<&Value> = [web, db].iter().map(|p| &p["deleted"][0]["count"]).collect();
    assert_eq!(deleted, [&json!(18), &json!(21)]);
    let calls = |api: &str| -> u64 {
        let all = r["calls"].as_array().expect("calls").iter().filter(|c| c["api"] == api);
        all.map(|c| c["calls"].as_u64().expect("a number")).sum()
    };
    assert_eq!((calls("CreateImage"), calls("DeregisterImage")), (60, 39));
    assert_eq!(r["warnings"].as_array().map(Vec::len), Some(0), "{}", r["warnings"]);
}

#[test]
fn the_page_agrees_with_the_document_and_fetches_nothing() {
    let site = site(Vec::new());
    let page = site.path("page.html");
    let document = site.run(&with(&["--json", "--html", page.to_str().expect("UTF-8")])).expect(0).document();
    let html = fs::read_to_string(&page).expect("written");
    let inside = html.split_once("id=\"rehearsal\">").and_then(|(_, rest)| rest.split_once("</script>")).expect("JSON");
    assert_eq!(serde_json::from_str::<Value>(inside.0).expect("JSON"), document);
    for reference in ["http://", "https://", "src=", "href=", "@import", "url("] {
        assert!(!html.contains(reference), "{reference}");
    }
    assert!(html.contains("Web &amp; &lt;b&gt;tier&lt;/b&gt;") && !html.contains("<b>tier"));
    // What its tables show of each plan is what the document says.
    let r = &document["rehearsal"];
    let table = |id: &str| -> Vec<Vec<String>> {
        let section =
            html.split_once(&format!("<section id=\"{id}\">")).expect(id).1.split_once("</section>").expect(id);
        let rows = section.0.split("<tr>").skip(2);
        let text =
            |cell: &str| cell.split_once('>').map_or("", |(_, rest)| rest).split('<').next().unwrap_or("").to_owned();
        rows.map(|row| row.split("</t").map(|cell| text(cell.rsplit("<t").next().unwrap_or(""))).collect()).collect()
    };
    let figure = |value: &Value| value.to_string();
    for (plan, row) in r["plans"].as_array().expect("plans").iter().zip(table("plans")) {
        assert_eq!(row[0], plan["plan"].as_str().expect("a name"));
        let shown = [&row[1], &row[2], &row[3], &row[5], &row[6], &row[7], &row[8], &row[10], &row[11]];
        let (o, t, b) = (&plan["occurrences"], &plan["targets"], &plan["reboots"]);
        let said = [
            &o["run"],
            &o["skipped"],
            &o["missed"],
            &t["done"],
            &t["failed"],
            &t["skipped"],
            &b["total"],
            &b["most"]["count"],
            &b["down"]["count"],
        ];
        assert_eq!(shown.map(String::clone), said.map(figure), "{row:?}");
    }
    for (kept, row) in r["kept"].as_array().expect("kept").iter().zip(table("stored")) {
        assert_eq!(row[2], kept["region"].as_str().expect("a region"));
        let s = &kept["stored"];
        assert_eq!([&row[3], &row[5]].map(String::clone), [&s["images"], &s["snapshots"]].map(figure), "{row:?}");
        assert_eq!(row[9], format!("{:.2}", s["cost"].as_f64().expect("a figure")));
    }
    // The calendar has a cell for each day, and the one of the first says what the document says.
    assert_eq!(html.matches("down at one time</title></rect>").count(), 10);
    let first = r["plans"][1]["daily"]["reboots"][0].clone();
    assert!(html.contains(&format!("<title>Tue 2026-12-01: {first} reboots")));
}

#[test]
fn the_same_arguments_give_the_same_bytes_and_nothing_else_is_written() {
    let site = site(Vec::new()).with("AWS_ENDPOINT_URL", Some(&dead_endpoint()));
    let files = || -> Vec<String> {
        let dir = fs::read_dir(site.config()).expect("listed");
        let mut names: Vec<String> = dir.map(|e| e.expect("an entry").file_name().display().to_string()).collect();
        names.sort();
        names
    };
    let before = files();
    let harsh = with(&["--json", "--faults", "harsh", "--seed", "5"]);
    let once = site.run(&harsh).expect(0);
    assert_eq!(once.stderr, "");
    assert_eq!(once.stdout, site.run(&harsh).expect(0).stdout);
    assert_ne!(once.stdout, site.run(&with(&["--json", "--faults", "harsh", "--seed", "6"])).expect(0).stdout);
    let r = &once.document()["rehearsal"];
    assert!(r["injected"].as_array().is_some_and(|kinds| kinds.len() > 5), "{}", r["injected"]);
    // Whatever happens, each target of a run ends, and no instance is rebooted twice in a run.
    let web = &r["plans"][1];
    let reboots: Vec<u64> =
        web["daily"]["reboots"].as_array().expect("days").iter().filter_map(Value::as_u64).collect();
    assert!(reboots.iter().all(|n| *n <= 3), "{reboots:?}");
    assert_eq!(files(), before);
    assert!(!site.state().exists());
}

#[test]
fn a_fleet_from_a_file() {
    let site = site(Vec::new());
    let path = site.path("fleet.json");
    let mut members = Fleet::demo().instances;
    members[1].tags.insert("aws:autoscaling:groupName".into(), "workers".into());
    let text = serde_json::to_string(&Fleet { seed: 9, instances: members, ..Fleet::demo() }).expect("JSON");
    fs::write(&path, text).expect("written");
    let args = ["rehearse", "--from", "2026-12-01", "--days", "3", "--json", "--fleet", path.to_str().expect("UTF-8")];
    let document = site.run(&args).expect(0).document();
    let r = &document["rehearsal"];
    assert_eq!((&r["fleet"]["instances"], &r["seed"]), (&json!(14), &json!(9)));
    assert_eq!(r["fleet"]["unselected"].as_array().map(Vec::len), Some(2));
    let web = &r["plans"][1];
    assert_eq!(
        (&web["targets"]["done"], &web["targets"]["skipped"], &web["never_imaged"]),
        (&json!(27), &json!(9), &json!(3))
    );
    assert_eq!(r["plans"][0]["instances"], 0, "none is a database");
    let warnings = r["warnings"].to_string();
    for part in ["no plan selects 2 instances", "never got a good image", "it takes no instance at all"] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    fs::write(&path, "{}").expect("written");
    let wrong = site.run(&args).expect(1);
    assert!(wrong.stderr.contains("fleet.json: missing field"), "{}", wrong.stderr);
    fs::remove_file(&path).expect("removed");
    let gone = site.run(&args).expect(1);
    assert!(gone.stderr.contains("cannot read") && gone.stderr.contains("fleet.json"), "{}", gone.stderr);
}

/// The live fleet is read and never touched.
#[test]
fn a_fleet_from_the_account() {
    let mut inventory = fleet(3, 1);
    inventory.instances[0].state = stillframe::domain::observed::InstanceState::Stopped;
    inventory.instances[1].volumes = Some(3);
    let door = Door::open(&inventory);
    let site = Site::new(door.env());
    site.instance(&instance(2));
    site.plan(
        "web",
        &format!("schedule.cron = \"0 2 * * *\"\nselect.tags.Backup = \"nightly\"\nselect.regions = [\"{REGION}\"]\nkeep.last = 2\n"),
    );
    let args = ["rehearse", "--from", "2026-12-01", "--days", "2", "--from-aws", "--json"];
    let r = site.run(&args).expect(0).document()["rehearsal"].clone();
    assert_eq!((&r["fleet"]["instances"], &r["plans"][0]["targets"]["done"]), (&json!(3), &json!(4)));
    assert_eq!(r["plans"][0]["reboots"]["total"], 2, "a stopped one is imaged as it is");
    let left_out = r["plans"][0]["targets"]["reasons"].to_string();
    assert!(left_out.contains("it is not rebooted"), "the daemon's own machine: {left_out}");
    let volumes: usize =
        door.world().instances.values().filter(|i| i.tags.contains_key("Backup")).map(|i| i.volumes.len()).sum();
    assert_eq!(r["fleet"]["volumes"], volumes);
    let gaps = r["plans"][0]["without_image"].as_array().expect("gaps");
    assert!(gaps.iter().any(|g| g["instance"] == instance(0)), "{gaps:?}");
    let asked: Vec<String> = door.world().calls.iter().map(|call| call.api.clone()).collect();
    assert!(
        !asked.is_empty() && asked.iter().all(|api| api.starts_with("Describe") || api == "GetCallerIdentity"),
        "{asked:?}"
    );
    drop(door);
    let site = site.with("AWS_ENDPOINT_URL", Some(&dead_endpoint()));
    let dead = site.run(&args).expect(1);
    assert!(dead.stderr.contains("cannot tell which account this is"), "{}", dead.stderr);
    assert_eq!(dead.stdout, "");
}

/// Copies in another account, by way of a key that can be lent, and shares: all of it is there by itself.
#[test]
fn copies_and_shares_are_rehearsed() {
    let site = Site::new(Vec::new());
    site.settings(
        "[daemon]\nname = \"it\"\ninstance = \"none\"\n[accounts.dr]\nid = \"222222222222\"\n\
         role_arn = \"arn:aws:iam::222222222222:role/copies\"\nexternal_id = \"sesame\"\n",
    );
    let plan = |more: &str| {
        format!(
            "schedule.cron = \"0 2 * * *\"\nselect.tags.Backup = \"nightly\"\nselect.regions = [\"{REGION}\"]\n\
             keep.last = 2\n{more}"
        )
    };
    let copy = "[[copy]]\naccount = \"dr\"\nregion = \"eu-west-1\"\nkms_key = \"alias/backup\"\n\
                via_key = \"alias/lend\"\nkeep.last = 4\n";
    site.plan("web", &plan(copy));
    let rehearse = || {
        let document = site.run(&with(&["--json"])).expect(0).document();
        document["rehearsal"].clone()
    };
    let r = rehearse();
    let web = &r["plans"][0];
    assert_eq!((&web["occurrences"]["done"], &web["occurrences"]["failed"]), (&json!(10), &json!(0)), "{web}");
    let kept = |r: &Value, account: &str| -> Vec<u64> {
        let kept = r["kept"].as_array().expect("kept").iter().find(|kept| kept["account"] == account);
        let images = kept.unwrap_or_else(|| panic!("nothing in {account}: {}", r["kept"]))["images"].clone();
        images.as_array().expect("days").iter().filter_map(Value::as_u64).collect()
    };
    // Three instances: two images of each stay, and four copies; what was made on the way is gone each night.
    assert_eq!(kept(&r, "111111111111"), [3, 6, 6, 6, 6, 6, 6, 6, 6, 6]);
    assert_eq!(kept(&r, "222222222222"), [3, 6, 9, 12, 12, 12, 12, 12, 12, 12]);
    let deleted = |r: &Value| -> Vec<(String, u64)> {
        let list = r["plans"][0]["deleted"].as_array().expect("deleted").iter();
        list.map(|d| (d["reason"].to_string(), d["count"].as_u64().expect("a count"))).collect()
    };
    // 8 of 10 images and 6 of 10 copies of each instance, and 10 images on the way.
    let expected = [("\"no rule keeps it\"".to_owned(), 42), ("\"made only to be copied from\"".to_owned(), 30)];
    assert_eq!(deleted(&r), expected);
    let calls = |api: &str, region: &str| -> u64 {
        let all = r["calls"].as_array().expect("calls").iter().filter(|c| c["api"] == api && c["region"] == region);
        all.map(|c| c["calls"].as_u64().expect("a number")).sum()
    };
    assert_eq!((calls("CopyImage", REGION), calls("CopyImage", "eu-west-1")), (30, 30));
    let gib = |r: &Value| r["totals"]["stored"]["gib"].as_f64().expect("GiB");
    let alone = {
        site.plan("web", &plan(""));
        gib(&rehearse())
    };
    assert!(gib(&r) > 2.0 * alone, "the oldest copy of each volume is whole: {} and {alone}", gib(&r));

    // A share lets others in, and what is shared goes a day later.
    site.plan(
        "web",
        &plan(&format!("{copy}[share]\naccounts = [\"333333333333\"]\nvia_key = \"alias/lend\"\ngrace = \"1d\"\n")),
    );
    let r = rehearse();
    let web = &r["plans"][0];
    assert_eq!((&web["occurrences"]["done"], &web["occurrences"]["failed"]), (&json!(10), &json!(0)), "{web}");
    // Runs are not a day apart to the second, so some wait for the one after.
    assert!(kept(&r, "222222222222")[5..].iter().all(|n| (15..=18).contains(n)), "{web}");
}

#[test]
fn wrong_usage_and_wrong_files() {
    let site = site(Vec::new());
    for (args, part) in [
        (["rehearse", "--from", "tomorrow"].as_slice(), "--from tomorrow: write a day such as 2026-12-01"),
        (&["rehearse", "--days", "0"], "--days"),
        (&["rehearse", "--instances", "3", "--from-aws"], "cannot be used with"),
        (&["rehearse", "--fleet", "x.json", "--from-aws"], "cannot be used with"),
        (&["rehearse", "--fleet", "x.json", "--instances", "3"], "cannot be used with"),
        (&["rehearse", "--change", "101"], "write a number from 0 to 100, such as 3"),
        (&["rehearse", "--price", "-1"], "--price"),
        (&["rehearse", "--faults", "some"], "none, typical, harsh"),
    ] {
        let ended = site.run(args).expect(2);
        assert!(ended.stderr.contains(part), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
    }
    // The page is tried before anything is rehearsed.
    let nowhere = site.path("no/page.html");
    let ended = site.run(&with(&["--html", nowhere.to_str().expect("UTF-8")])).expect(1);
    assert!(ended.stderr.contains("cannot write the page") && ended.stdout.is_empty(), "{ended:?}");
    let directory = site.run(&with(&["--html", site.config().to_str().expect("UTF-8")])).expect(1);
    assert!(directory.stderr.contains("it is a directory"), "{directory:?}");
    site.plan("bad", "schedule.cron = \"61 * * * *\"\n");
    let bad = site.run(&SMALL).expect(2);
    assert!(bad.stderr.contains("bad.toml:1:") && bad.stdout.is_empty(), "{bad:?}");
    let help = site.run(&["rehearse", "--help"]).expect(0).stdout;
    assert!(help.contains("Exit codes: 0 rehearsed, whatever it showed"), "{help}");
}
