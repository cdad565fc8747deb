//! A state directory that belongs to another machine: nothing is done until a person takes over.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::plan;
use crate::support::child::{of_event, of_level};
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

/// An installation that has run once as `own`, and where it did.
fn used(own: &str) -> (Door, Site) {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.instance(own);
    site.plan("nightly", &plan(1, ""));
    site.run(&["backup", "nightly"]).expect(0);
    (door, site)
}

/// Everything is refused with a reason that names `parts`, and nothing reaches the wire, until a person takes over.
fn refused_until_taken_over(door: &Door, site: &Site, parts: &[&str]) {
    let wire = || door.world().calls.iter().count();
    let (before, installation) = (wire(), read(site));
    let named = |reason: &str| {
        for part in parts.iter().chain(&["run --take-over"]) {
            assert!(reason.contains(part), "{part:?} is not in {reason:?}");
        }
    };

    let mut daemon = site.spawn(&["run"]);
    named(daemon.logged("installation.differs")["reason"].as_str().expect("a reason"));
    let backup = site.run(&["backup", "nightly", "--json"]);
    daemon.terminate();
    let ended = daemon.wait().expect(0);
    let log = ended.log();
    assert_eq!(of_level(&log, "ERROR").len(), 1, "{}", ended.stderr);
    assert!(of_event(&log, "run.started").is_empty(), "{}", ended.stderr);
    // Beside the daemon that does nothing, and alone.
    assert_eq!((backup.code, backup.stdout.as_str()), (Some(1), ""), "{backup:?}");
    named(&backup.stderr);
    let alone = site.run(&["backup", "nightly", "--json"]).expect(1);
    named(&alone.stderr);
    assert_eq!(alone.stdout, "");
    assert_eq!(wire(), before, "nothing reached the wire");
    assert_eq!(read(site), installation, "the file is as it was");

    let mut daemon = site.spawn(&["run", "--take-over"]);
    daemon.logged("config.applied");
    site.run(&["backup", "nightly"]).expect(0);
    daemon.terminate();
    daemon.wait().expect(0);
    assert_eq!(read(site)["installation"], installation["installation"], "it is the same installation");
    // Once is enough.
    site.run(&["backup", "nightly"]).expect(0);
    assert_eq!(door.reboots(&instance(0)), 3);
}

fn read(site: &Site) -> Value {
    serde_json::from_str(&fs::read_to_string(site.state().join("installation.json")).expect("read")).expect("JSON")
}

#[test]
fn another_instance() {
    let (door, site) = used("i-0aaaaaaaaaaaaaaaa");
    assert_eq!(read(&site)["instance"], "i-0aaaaaaaaaaaaaaaa");
    site.instance("i-0bbbbbbbbbbbbbbbb");
    refused_until_taken_over(&door, &site, &["i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"]);
}

/// A metadata service that knows this instance, for as long as the test process lives.
fn metadata(id: &'static str) -> String {
    metadata_after(id, || {})
}

/// The same, which does something before it answers.
fn metadata_after(id: &'static str, before: impl Fn() + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut head = String::new();
            for line in BufReader::new(stream.try_clone().expect("the same")).lines() {
                match line {
                    Ok(line) if !line.is_empty() => head += &line,
                    _ => break,
                }
            }
            before();
            let body = if head.starts_with("PUT") { "token" } else { id };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()); // whoever asked may have gone
        }
    });
    endpoint
}

#[test]
fn what_metadata_says_is_waited_for() {
    let (door, site) = used("i-0aaaaaaaaaaaaaaaa");
    site.settings(
        "[daemon]\nname = \"it\"\nstate_dir = \"state\"\n[cloud]\napi_share = 1.0\nvisible_within = \"1s\"\nstatus_lag = \"1s\"\nshutdown_limit = \"1s\"\n",
    );
    let endpoint = metadata("i-0bbbbbbbbbbbbbbbb");
    let site = site
        .with("AWS_EC2_METADATA_DISABLED", Some("false"))
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", Some(&endpoint));
    refused_until_taken_over(&door, &site, &["i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"]);
}

#[test]
fn the_own_instance_is_known_before_anything_begins() {
    let door = Door::open(&fleet(1, 0));
    let endpoint = metadata("i-00000000000000000");
    let site = Site::new(door.env())
        .with("AWS_EC2_METADATA_DISABLED", Some("false"))
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", Some(&endpoint));
    site.settings(
        "[daemon]\nname = \"it\"\nstate_dir = \"state\"\n[cloud]\napi_share = 1.0\nvisible_within = \"1s\"\nstatus_lag = \"1s\"\nshutdown_limit = \"1s\"\n",
    );
    site.plan("nightly", &plan(1, ""));
    let document = site.run(&["backup", "nightly", "--json"]).expect(0).document();
    assert_eq!(document["targets"][0]["instance"], instance(0));
    assert_eq!(document["targets"][0]["outcome"], "skipped", "{document}");
    assert_eq!(door.reboots(&instance(0)), 0);
}

#[test]
fn another_machine_id() {
    let (door, site) = used("none");
    let own = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    if own.trim().is_empty() || own.trim() == "uninitialized" {
        // A host without one knows nothing that could contradict the file: it goes on.
        site.edit("installation.json", |file| file["machine_id"] = json!("0123456789abcdef0123456789abcdef"));
        site.run(&["backup", "nightly"]).expect(0);
        assert_eq!(door.reboots(&instance(0)), 2);
        return;
    }
    assert_eq!(read(&site)["machine_id"], own.trim());
    site.edit("installation.json", |file| file["machine_id"] = json!("0123456789abcdef0123456789abcdef"));
    refused_until_taken_over(&door, &site, &["0123456789abcdef0123456789abcdef", own.trim()]);
}

#[test]
fn the_journal_without_its_installation_file() {
    let (door, site) = used("none");
    let id = read(&site)["installation"].clone();
    fs::remove_file(site.state().join("installation.json")).expect("removed");
    let calls = door.world().calls.iter().count();
    let alone = site.run(&["backup", "nightly"]).expect(1);
    assert!(alone.stderr.contains("installation.json is missing beside the journal"), "{}", alone.stderr);
    assert_eq!(door.world().calls.iter().count(), calls);
    let mut daemon = site.spawn(&["run", "--take-over"]);
    daemon.logged("config.applied");
    site.run(&["backup", "nightly"]).expect(0);
    daemon.terminate();
    daemon.wait().expect(0);
    assert_ne!(read(&site)["installation"], id);
}

#[test]
fn a_second_installation_under_the_same_name() {
    let (door, first) = used("none");
    let second = Site::new(door.env());
    second.plan("nightly", &plan(1, ""));
    let ended = second.run(&["backup", "nightly", "--json"]).expect(1);
    let log = ended.log();
    let errors = of_level(&log, "ERROR");
    assert_eq!(errors.len(), 1, "{}", ended.stderr);
    let reason = errors[0]["reason"].as_str().expect("a reason");
    let other = read(&first)["installation"].clone();
    for part in [other.as_str().expect("an id"), "another installation", "run --take-over", "daemon.name"] {
        assert!(reason.contains(part), "{part:?} is not in {reason:?}");
    }
    assert_eq!(door.reboots(&instance(0)), 1, "the second one reboots nothing");
    assert_eq!(door.world().images.len(), 1);
}

/// What cannot be bound to this machine fails the start, and is tried again by whoever started it.
#[test]
fn an_installation_file_that_cannot_be_written_is_no_other_machines() {
    let (_door, site) = used("none");
    site.settings(
        "[daemon]\nname = \"it\"\nstate_dir = \"state\"\n[cloud]\napi_share = 1.0\nvisible_within = \"1s\"\nstatus_lag = \"1s\"\nshutdown_limit = \"1s\"\n",
    );
    // The journal is open by now; nothing new can be made in its directory.
    let (state, away) = (site.state(), site.path("away"));
    let endpoint = metadata_after("i-0bbbbbbbbbbbbbbbb", move || drop(fs::rename(&state, &away)));
    let site = site
        .with("AWS_EC2_METADATA_DISABLED", Some("false"))
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", Some(&endpoint));
    let mut daemon = site.spawn(&["run"]);
    let refused = daemon.logged("daemon.refused");
    assert!(
        refused["reason"].as_str().is_some_and(|why| why.contains("cannot write the installation file")),
        "{refused}"
    );
    let ended = daemon.wait().expect(1);
    assert!(of_event(&ended.log(), "installation.differs").is_empty(), "{}", ended.stderr);
}
