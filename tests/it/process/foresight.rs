//! `preview`, `status` and `explain` as a process over the HTTP door: what they put on the wire and what they leave on
//! the disk, beside a running daemon, after one, and where nothing has ever run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use stillframe::sim::fleet::Fleet;

use super::plan;
use crate::support::rude::dead_endpoint;
use crate::support::site::{REGION, Site};
use crate::support::world::{Door, fleet, instance};

/// Every file of the state directory with its bytes; nothing if there is no such directory.
fn state(dir: &Path) -> Option<BTreeMap<String, Vec<u8>>> {
    let entries = fs::read_dir(dir).ok()?.map(|entry| entry.expect("an entry"));
    Some(entries.map(|e| (e.file_name().display().to_string(), fs::read(e.path()).expect("read"))).collect())
}

/// The APIs that were called after the first `skip` calls.
fn apis(door: &Door, skip: usize) -> Vec<String> {
    door.world().calls.iter().skip(skip).map(|call| call.api.clone()).collect()
}

fn calls(door: &Door) -> usize {
    door.world().calls.iter().count()
}

#[test]
fn they_only_read() {
    let door = Door::open(&fleet(2, 1));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(2, ""));
    // Nothing has ever run: nothing is made.
    let first = site.run(&["preview"]).expect(0);
    assert!(first.stdout.contains("there is no journal in") && first.stdout.contains("2 selected"), "{}", first.stdout);
    assert_eq!(first.stderr, "");
    let nothing = site.run(&["status"]).expect(0);
    assert!(
        nothing.stdout.contains("is not running") && nothing.stdout.contains("no journal yet"),
        "{}",
        nothing.stdout
    );
    site.run(&["explain", "ami-0123"]).expect(1);
    assert_eq!(state(&site.state()), None, "no state directory is made");

    let image = |n: usize| {
        let document = site.run(&["backup", "nightly", "--json"]).expect(0).document();
        document["targets"][n]["image"].as_str().expect("an image").to_owned()
    };
    let image = image(0);
    let (before, skip) = (state(&site.state()).expect("it ran"), calls(&door));
    for args in [
        ["preview", "--json"].as_slice(),
        &["preview", "--plan", "nightly", "--days", "30"],
        &["preview", "--at", "2999-01-01T00:00:00Z"],
        &["explain", &image],
        &["explain", &image, "--region", REGION, "--json"],
        &["status"],
        &["status", "--json"],
        &["history", "--since", "1d", "--instance", &instance(0)],
    ] {
        let ended = site.run(args).expect(0);
        assert_eq!(ended.stderr, "", "{args:?}");
        assert!(!ended.stdout.contains('\x1b'), "no colours in a file: {args:?}");
        if args.contains(&"--json") {
            assert_eq!(ended.document()["schema"], 1);
        }
    }
    assert!(state(&site.state()) == Some(before), "the state directory is as it was");
    let asked = apis(&door, skip);
    assert!(asked.len() > 10, "{asked:?}");
    assert!(asked.iter().all(|api| api.starts_with("Describe") || api == "GetCallerIdentity"), "{asked:?}");
}

/// Also what a daemon that was killed has left behind is not touched.
#[test]
fn they_work_beside_a_daemon_and_after_a_crash() {
    let door = Door::open(&fleet(2, 0));
    door.images_take_long();
    let site = Site::new(door.env());
    site.plan("nightly", &plan(2, ""));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    let backup = site.spawn(&["backup", "nightly"]);
    daemon.logged("slot.freed");
    let status = site.run(&["status", "--json"]).expect(0).document();
    assert_eq!(status["status"]["daemon"]["running"], true);
    assert_eq!(status["status"]["daemon"]["version"], env!("CARGO_PKG_VERSION"));
    let runs = status["status"]["runs"].as_array().expect("runs");
    assert_eq!((runs.len(), &runs[0]["plan"], &runs[0]["trigger"]), (1, &"nightly".into(), &"manual".into()));
    assert_eq!(runs[0]["targets"][0]["instance"], instance(0));
    let preview = site.run(&["preview", "--json"]).expect(1).document(); // all are still being imaged
    let targets = preview["preview"]["plans"][0]["targets"].as_array().expect("targets");
    let skipped = |t: &serde_json::Value| t["reason"].as_str().is_some_and(|why| why.contains("is still imaging it"));
    assert!(targets.len() == 2 && targets.iter().all(skipped), "{targets:?}");
    backup.kill(); // else it would go on where the daemon stops
    daemon.kill();
    let before = state(&site.state()).expect("it ran");
    assert!(before.contains_key("journal.sqlite-wal"), "{:?}", before.keys());
    let after = site.run(&["status", "--json"]).expect(1).document();
    let died = after["status"]["needs_person"][0]["reason"].as_str().unwrap_or_default();
    assert!(died.starts_with("stillframe died"), "{after}");
    assert_eq!(after["status"]["daemon"]["running"], false);
    assert_eq!(after["status"]["daemon"]["stopped"], serde_json::Value::Null);
    assert_eq!(after["status"]["runs"].as_array().map(Vec::len), Some(1));
    site.run(&["preview"]).expect(1);
    site.run(&["history"]).expect(0);
    // The index of the log is not state: whoever opens it makes it anew.
    let content = |mut files: BTreeMap<String, Vec<u8>>| {
        files.remove("journal.sqlite-shm");
        files
    };
    assert!(state(&site.state()).map(content) == Some(content(before)), "the state directory is as it was");
}

#[test]
fn what_cannot_be_read_is_said() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    let document = site.run(&["backup", "nightly", "--json"]).expect(0).document();
    let image = document["targets"][0]["image"].as_str().expect("an image").to_owned();
    drop(door);
    let site = site.with("AWS_ENDPOINT_URL", Some(&dead_endpoint()));
    let preview = site.run(&["preview"]).expect(1);
    let told = &preview.stdout;
    assert!(told.contains("NOT KNOWN") && told.contains("cannot tell which account this is"), "{told}");
    assert!(told.contains("-01-01T00:00:00Z"), "its occurrences need no AWS: {told}");
    let explained = site.run(&["explain", &image]).expect(1);
    let told = &explained.stdout;
    assert!(told.contains("AWS cannot be asked") && told.contains("from the journal alone"), "{told}");
    assert!(told.contains(document["run"].as_str().expect("a run")) && told.contains(&instance(0)), "{told}");
    // Nor is it called unknown where nobody could be asked.
    let bare = Site::new(Vec::new()).with("AWS_ENDPOINT_URL", Some(&dead_endpoint()));
    bare.plan("nightly", &plan(1, ""));
    let told = bare.run(&["explain", &image]).expect(1).stdout;
    assert!(told.starts_with(&format!("{image} could be looked for nowhere\n  NOT KNOWN: ")), "{told}");
    // Neither needs it.
    site.run(&["status"]).expect(0);
    site.run(&["history", "--outcome", "done"]).expect(0);
}

#[test]
fn wrong_usage_says_what_to_write() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    for (args, part) in [
        (["preview", "--at", "noon"].as_slice(), "write an instant such as 2026-11-20T02:30:00Z"),
        (&["preview", "--at", "2026-11-20T02:30"], "in which zone? write 2026-11-20T02:30Z"),
        (&["preview", "--at", "2020-01-01T00:00:00Z"], "it is in the past: `stillframe history` shows what ran"),
        (&["preview", "--days", "0"], "--days"),
        (&["preview", "--plan", "nihgtly"], "no plan `nihgtly`"),
        (&["explain", "i-0123456789abcdef0"], "is not the id of an image; write it as ami-"),
        (&["history", "--since", "yesterday"], "--since yesterday: write an instant"),
        (&["history", "--since", "1d", "--until", "2d"], "--since is later than --until"),
        (&["history", "--outcome", "fine"], "unfinished"),
    ] {
        let ended = site.run(args).expect(2);
        assert!(ended.stderr.contains(part), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args:?}");
    }
    assert_eq!(calls(&door), 0);
    for command in ["preview", "status", "explain"] {
        let help = site.run(&[command, "--help"]).expect(0).stdout;
        assert!(help.contains("Exit codes: 0 ") && help.contains("2 wrong usage"), "{help}");
    }
}

/// With `backend = "sim"` the world is looked at, and not saved.
#[test]
fn the_simulated_world_is_looked_at_only() {
    let site = Site::new(Vec::new());
    site.settings("[daemon]\nname = \"it\"\nstate_dir = \"state\"\n[cloud]\nbackend = \"sim\"\nstatus_lag = \"1s\"\nshutdown_limit = \"1s\"\n");
    site.plan("nightly", &plan(12, ""));
    let quick = serde_json::to_string(&Fleet { speed: 20.0, ..Fleet::demo() }).expect("JSON");
    fs::write(site.config().join("fleet.json"), quick).expect("written");
    let told = site.run(&["preview"]).expect(0).stdout;
    assert!(told.contains("12 selected, 0 skipped"), "{told}");
    assert_eq!(state(&site.state()), None);
    site.run(&["backup", "nightly"]).expect(0);
    let before = state(&site.state());
    let told = site.run(&["preview"]).expect(0).stdout;
    assert!(told.contains("0 deleted, 24 kept"), "{told}");
    site.run(&["status"]).expect(0);
    assert!(state(&site.state()) == before, "the state directory is as it was");
}

/// A cloned host: nothing would be begun, and both say so.
#[test]
fn a_state_directory_of_another_host_shows() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    site.instance("i-0aaaaaaaaaaaaaaaa");
    site.run(&["backup", "nightly"]).expect(0);
    site.run(&["status"]).expect(0);
    site.instance("i-0bbbbbbbbbbbbbbbb");
    let before = state(&site.state());
    for args in [["status"].as_slice(), &["preview"]] {
        let told = site.run(args).expect(1).stdout;
        assert!(told.contains("belongs to instance i-0aaaaaaaaaaaaaaaa") && told.contains("--take-over"), "{told}");
    }
    assert!(state(&site.state()) == before, "the state directory is as it was");
}

/// A journal that cannot be read hides nothing of what AWS says.
#[test]
fn a_broken_journal_is_said() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    let document = site.run(&["backup", "nightly", "--json"]).expect(0).document();
    let image = document["targets"][0]["image"].as_str().expect("an image").to_owned();
    fs::write(site.state().join("journal.sqlite"), "no journal").expect("written");
    let told = site.run(&["explain", &image]).expect(1).stdout;
    assert!(told.contains("yes: everything fits") && told.contains("NOT KNOWN") && told.contains("journal"), "{told}");
    let told = site.run(&["preview"]).expect(0).stdout;
    assert!(told.contains("not known: which instances are still being imaged"), "{told}");
    let told = site.run(&["status"]).expect(1).stderr;
    assert!(told.contains("journal.sqlite"), "{told}");
}

/// What others call their instances steers no terminal and takes no table for itself; the document has it as it is.
#[test]
fn names_of_others_are_tamed() {
    let site = Site::new(Vec::new());
    site.settings("[daemon]\nname = \"it\"\nstate_dir = \"state\"\n[cloud]\nbackend = \"sim\"\n");
    let evil = "\u{1b}[2J\u{1b}]0;x\u{7}\u{202e}\r\nevil".to_owned() + &"n".repeat(240);
    let json = serde_json::json!({ "account": "111111111111", "regions": [REGION], "image_seconds": [1, 2], "reboot_seconds": 1, "instances": [
        { "id": "i-00000001", "region": REGION, "tags": { "Backup": "nightly", "Name": evil } },
    ] });
    fs::write(site.config().join("fleet.json"), json.to_string()).expect("written");
    site.plan("nightly", &plan(2, ""));
    let shown = site.run(&["preview"]).expect(0).stdout;
    assert!(shown.contains("\u{fffd}[2J\u{fffd}]0;x\u{fffd}\u{fffd}\u{fffd}\u{fffd}evil"), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}', '\r']) && !shown.contains(&"n".repeat(60)), "{shown}");
    let document = site.run(&["preview", "--json"]).expect(0).document();
    assert_eq!(document["preview"]["plans"][0]["targets"][0]["name"], evil.as_str());
}
