//! Stdout and stderr that cannot be written: nothing ends, or ends otherwise, because of it.

use std::fs::File;
use std::process::Stdio;

use super::{plan, plan_at};
use crate::support::child::until;
use crate::support::site::Site;
use crate::support::world::{Door, fleet};

/// A pipe that nobody reads any more.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// A disk without room.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("there").into()
}

fn site(door: &Door) -> Site {
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    site
}

#[test]
fn a_daemon_whose_log_cannot_be_written_goes_on() {
    for stderr in [full, closed] {
        let door = Door::open(&fleet(1, 0));
        let site = site(&door);
        site.plan("often", &plan_at("*/2 * * * * *", 1, ""));
        let mut daemon = site.spawn_to(&["run"], None, Some(stderr()));
        until("two images", || (door.calls("CreateImage").len() >= 2 || daemon.ended()).then_some(()));
        daemon.terminate();
        daemon.wait().expect(0);
    }
}

#[test]
fn a_closed_stderr_ends_nothing() {
    let door = Door::open(&fleet(1, 0));
    let site = site(&door);
    let ended = site.spawn_after("exec 2>&-", &["backup", "nightly", "--json"]).wait().expect(0);
    assert_eq!(ended.document()["outcome"], "done");
}

#[test]
fn a_backup_ends_by_its_outcome_whoever_reads() {
    for (out, err) in [(closed(), closed()), (full(), full())] {
        let door = Door::open(&fleet(1, 0));
        let site = site(&door);
        site.spawn_to(&["backup", "nightly"], Some(out), Some(err)).wait().expect(0);
        assert_eq!(door.calls("CreateImage").len(), 1);
        // And one that fails.
        site.plan("nothing", &plan(1, "").replace("nightly", "no-such-tag"));
        for streams in [closed, full] {
            site.spawn_to(&["backup", "nothing"], Some(streams()), Some(streams())).wait().expect(1);
        }
    }
}

#[test]
fn whoever_has_read_enough_ends_a_reading_command_quietly() {
    let door = Door::open(&fleet(1, 0));
    let site = site(&door);
    site.run(&["backup", "nightly"]).expect(0);
    let reading: &[&[&str]] = &[
        &["status"],
        &["status", "--json"],
        &["history"],
        &["preview"],
        &["preview", "--json"],
        &["check"],
        &["check", "--json"],
        &["doctor"],
        &["rehearse", "--days", "2"],
    ];
    for args in reading {
        let ended = site.spawn_to(args, Some(closed()), None).wait();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{args:?}");
        // A disk without room is another matter: what was asked for is not there.
        let ended = site.spawn_to(args, Some(full()), None).wait();
        assert_eq!(ended.code, Some(1), "{args:?}");
        assert!(ended.stderr.starts_with("stillframe: cannot write to stdout: "), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn what_is_wrong_is_told_by_the_exit_code_at_least() {
    let site = Site::new(Vec::new());
    site.settings("[daemon]\nname = \"it\"\nstate_dri = \"state\"\n");
    for args in [["run"].as_slice(), &["check"], &["check", "--json"], &["status"], &["history"], &["backup", "x"]] {
        site.spawn_to(args, Some(closed()), Some(closed())).wait().expect(2);
    }
}
