//! A state directory that cannot be used: one line that says why and what to do, and exit code 1.

use std::fs;
use std::process::Command;

use super::plan;
use crate::support::child::{of_level, until};
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

fn site(door: &Door) -> Site {
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    site
}

/// `run` and `backup` say one ERROR, or one line, that holds all `parts`.
fn refused(site: &Site, commands: &[&[&str]], parts: &[&str]) {
    for args in commands {
        let ended = site.run(args).expect(1);
        assert_eq!(ended.stderr.lines().count(), 1, "{args:?}: {}", ended.stderr);
        for part in parts {
            assert!(ended.stderr.contains(part), "{args:?}: {part:?} is not in {}", ended.stderr);
        }
        assert_eq!(ended.stdout, "");
    }
}

const ALL: &[&[&str]] = &[&["run"], &["backup", "nightly"], &["history"]];
const WRITERS: &[&[&str]] = &[&["run"], &["backup", "nightly"]];

#[test]
fn a_file_in_its_place() {
    let door = Door::open(&fleet(1, 0));
    let site = site(&door);
    fs::write(site.state(), "").expect("written");
    refused(&site, WRITERS, &["state directory", "is a file", "daemon.state_dir"]);
    site.run(&["history"]).expect(1);
}

#[test]
fn a_journal_of_a_newer_version() {
    let door = Door::open(&fleet(1, 0));
    let site = site(&door);
    site.run(&["backup", "nightly"]).expect(0);
    let path = site.state().join("journal.sqlite");
    let db = rusqlite::Connection::open(&path).expect("opened");
    db.pragma_update(None, "user_version", 99).expect("written");
    drop(db);
    let before = fs::read(&path).expect("read");
    refused(&site, ALL, &["is of version 99", "install the newer stillframe again"]);
    assert!(fs::read(&path).expect("read") == before, "it is left alone");
}

#[test]
fn a_lock_that_cannot_be_opened() {
    let door = Door::open(&fleet(1, 0));
    let site = site(&door);
    fs::create_dir_all(site.state().join("lock")).expect("made");
    refused(&site, WRITERS, &["cannot open the lock", "Is a directory"]);
}

/// A file system of one megabyte, mounted where the state directory is to be; none where mounting is not allowed.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(site: &Site, options: &str) -> Option<Self> {
        fs::create_dir_all(site.state()).expect("made");
        let options = format!("size=1m,{options}mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "none"]).arg(site.state());
        let mounted = mount.output().is_ok_and(|out| out.status.success());
        mounted.then(|| Self(site.state()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Whoever may not mount runs the same test as the root of a user namespace of its own.
fn in_a_namespace() {
    const INSIDE: &str = "STILLFRAME_TEST_INSIDE";
    const HOW: &str = "this test mounts a small tmpfs: run it as root, or allow user namespaces (unshare -Urm)";
    assert!(std::env::var_os(INSIDE).is_none(), "mounting failed in a user namespace too; {HOW}");
    let again = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "process::state::a_full_or_read_only_file_system"])
        .env(INSIDE, "1")
        .output()
        .unwrap_or_else(|e| panic!("unshare cannot be run ({e}); {HOW}"));
    let said = String::from_utf8_lossy(&[again.stdout, again.stderr].concat()).into_owned();
    assert!(again.status.success() && said.contains("1 passed"), "{said}\n{HOW}");
}

#[test]
fn a_full_or_read_only_file_system() {
    let door = Door::open(&fleet(1, 0));
    let full = site(&door);
    let Some(_mounted) = Small::mount(&full, "") else { return in_a_namespace() };
    fs::write(full.state().join("ballast"), vec![0; 2 << 20]).expect_err("it is full");
    refused(&full, WRITERS, &["free space"]);

    // Full while it runs: said once, nothing is begun, and said again when there is room.
    fs::remove_file(full.state().join("ballast")).expect("removed");
    full.run(&["backup", "nightly"]).expect(0);
    full.plan("often", &super::plan_at("*/2 * * * * *", 1, ""));
    let mut daemon = full.spawn(&["run"]);
    daemon.logged("run.finished");
    fs::write(full.state().join("ballast"), vec![0; 2 << 20]).expect_err("it is full");
    let alarm = daemon.logged("journal.failed");
    assert!(alarm["reason"].as_str().is_some_and(|why| why.contains("free space")), "{alarm}");
    // The journal cannot say it.
    let status = full.run(&["status"]).expect(1);
    assert!(status.stdout.contains("the journal cannot be written"), "{}", status.stdout);
    fs::remove_file(full.state().join("ballast")).expect("removed");
    daemon.logged("journal.recovered");
    let status = full.run(&["status"]);
    assert!(!status.stdout.contains("the journal cannot be written"), "{}", status.stdout);
    daemon.terminate();
    let ended = daemon.wait().expect(0);
    assert_eq!(of_level(&ended.log(), "ERROR").len(), 1, "{}", ended.stderr);

    let read_only = site(&door);
    let _mounted = Small::mount(&read_only, "ro,").expect("mounted as before");
    refused(&read_only, WRITERS, &["cannot open the lock", "Read-only file system", "writable"]);
    until("the reboots", || (door.reboots(&instance(0)) >= 2).then_some(()));
}
