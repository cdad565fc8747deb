//! `backup` that cannot begin, or whose end does not come: it ends by itself with the reason, or at a second signal.

use rusqlite::Connection;
use stillframe::sim::faults::FaultKind;

use super::plan;
use crate::support::child::{Proc, until};
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

/// What it says when it does not wait for its engine.
const STOPPED: &str = "stopped with work unfinished";

fn sqlite(site: &Site, sql: &str) -> usize {
    let path = site.state().join("journal.sqlite");
    Connection::open(path).expect("opened").execute(sql, []).expect("written")
}

#[test]
fn an_engine_that_fails_at_start_ends_its_backup() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    site.run(&["backup", "nightly"]).expect(0);
    assert_eq!(sqlite(&site, "UPDATE occurrence SET decision = 'x'"), 1);
    let ended = site.run(&["backup", "nightly", "--json"]).expect(1);
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("stillframe: ") && last.contains("journal.sqlite"), "{}", ended.stderr);
    assert_eq!(door.reboots(&instance(0)), 1);

    // What was asked for in vain is not run later.
    assert_eq!(sqlite(&site, "UPDATE occurrence SET decision = 'run'"), 1);
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    site.run(&["backup", "nightly"]).expect(0);
    daemon.terminate();
    daemon.wait().expect(0);
    assert_eq!(door.reboots(&instance(0)), 2);
    assert_eq!(site.history().len(), 2);
}

/// A backup whose CreateImage is being made and is not answered.
fn hanging(site: &Site, door: &Door) -> Proc {
    door.fault("CreateImage", FaultKind::HangAfter { seconds: 3600.0 });
    let backup = site.spawn(&["backup", "nightly", "--json"]);
    until("CreateImage", || (!door.calls("CreateImage").is_empty()).then_some(()));
    backup
}

#[test]
fn the_second_signal_ends_a_backup_at_once() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env()); // whose drain_deadline is ten minutes
    site.plan("nightly", &plan(1, ""));
    let mut backup = hanging(&site, &door);
    backup.terminate();
    backup.interrupt(); // another signal: two of one kind may arrive as one
    let ended = backup.wait().expect(1);
    assert!(ended.stderr.contains(STOPPED), "{}", ended.stderr);
    assert_eq!(site.history()[0]["outcome"], "unfinished");
}

#[test]
fn the_first_signal_ends_a_backup_within_its_deadline() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.settings(
        "[daemon]\nname = \"it\"\nstate_dir = \"state\"\ninstance = \"none\"\ndrain_deadline = \"1s\"\n\
         [cloud]\nbackend = \"aws\"\napi_share = 1.0\nstatus_lag = \"1s\"\nshutdown_limit = \"1s\"\n",
    );
    site.plan("nightly", &plan(1, ""));
    let mut backup = hanging(&site, &door);
    backup.terminate();
    let ended = backup.wait().expect(1);
    assert!(ended.stderr.contains(STOPPED), "{}", ended.stderr);
}
