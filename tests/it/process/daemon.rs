//! `stillframe run`: schedule, signals, restart, one daemon per state directory, and commands beside it.

use std::collections::BTreeMap;

use serde_json::Value;
use stillframe::sim::faults::FaultKind;

use super::{plan, plan_at};
use crate::support::child::{of_event, until};
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

/// How often each name was sent in a CreateImage.
fn sent(door: &Door) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for call in door.calls("CreateImage") {
        *names.entry(call.parameters["Name"].clone()).or_default() += 1;
    }
    names
}

#[test]
fn sigterm_drains_while_images_are_pending_and_a_restart_completes_them() {
    let door = Door::open(&fleet(10, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan_at("*/5 * * * * *", 10, ""));
    door.images_take_long();

    let mut daemon = site.spawn(&["run"]);
    until("all CreateImage", || (door.calls("CreateImage").len() == 10).then_some(()));
    daemon.terminate();
    let ended = daemon.wait().expect(0);
    let log = ended.log();
    assert_eq!(of_event(&log, "daemon.draining").len(), 1, "{}", ended.stderr);
    assert_eq!(log.last().map(|line| &line["event"]), Some(&"daemon.stopped".into()), "{}", ended.stderr);
    let name = sent(&door).into_keys().next().expect("sent");
    let due = name.rsplit('/').next().expect("a name");
    let run = |outcome: &str| {
        let named = format!("nightly@{due}");
        site.history().into_iter().find(|run| run["run"] == named.as_str() && run["outcome"] == outcome)
    };
    let cut = run("unfinished").expect("its images are pending");
    assert_eq!(cut["targets"].as_array().map(Vec::len), Some(10));

    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    door.complete();
    let done = until("end of the run", || run("done"));
    let made =
        |run: &Value| run["targets"].as_array().map(|t| t.iter().map(|t| t["image"].clone()).collect::<Vec<_>>());
    assert_eq!(made(&done), made(&cut), "the same images");
    daemon.terminate();
    daemon.wait().expect(0);

    let names = sent(&door);
    assert!(names.values().all(|sent| *sent == 1), "{names:?}");
    assert_eq!(names.keys().filter(|name| name.ends_with(due)).count(), 10, "{names:?}");
    for run in site.history() {
        let due = run["due"].as_str().expect("due");
        assert!(due.ends_with("0Z") || due.ends_with("5Z"), "each fifth second: {due}");
        assert_eq!(run["trigger"], "schedule");
    }
}

#[test]
fn a_second_sigterm_stops_at_once() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan_at("* * * * * *", 1, ""));
    // An effect under way is waited for when draining.
    door.fault("CreateImage", FaultKind::HangAfter { seconds: 3600.0 });
    let mut daemon = site.spawn(&["run"]);
    until("CreateImage", || door.calls("CreateImage").pop());
    daemon.terminate();
    daemon.logged("daemon.draining");
    daemon.terminate();
    let ended = daemon.wait().expect(1);
    let log = ended.log();
    let cut = of_event(&log, "daemon.cut");
    assert_eq!((cut.len(), &cut[0]["reason"]), (1, &"a second signal".into()), "{}", ended.stderr);

    site.plan("nightly", &plan(1, ""));
    let mut daemon = site.spawn(&["run"]);
    let runs = site.finished(1);
    daemon.terminate();
    daemon.wait().expect(0);
    assert_eq!(runs.iter().filter(|run| run["outcome"] == "done").count(), 1, "{runs:?}");
    assert_eq!((sent(&door).len(), door.calls("CreateImage").len(), door.reboots(&instance(0))), (1, 1, 1));
}

#[test]
fn the_drain_deadline_ends_a_drain() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env()).with("STILLFRAME_DAEMON__DRAIN_DEADLINE", Some("1s"));
    site.plan("nightly", &plan_at("* * * * * *", 1, ""));
    door.fault("CreateImage", FaultKind::HangAfter { seconds: 3600.0 });
    let mut daemon = site.spawn(&["run"]);
    until("CreateImage", || door.calls("CreateImage").pop());
    daemon.terminate();
    let ended = daemon.wait().expect(1);
    let log = ended.log();
    assert_eq!(of_event(&log, "daemon.cut")[0]["reason"], "the drain deadline is over");
}

#[test]
fn one_daemon_per_state_directory() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    for args in [["run"].as_slice(), &["run", "--take-over"]] {
        let second = site.run(args).expect(1);
        let dir = site.state();
        for part in ["another stillframe", &dir.to_string_lossy(), "or stop it first"] {
            assert!(second.stderr.contains(part), "{}", second.stderr);
        }
    }
    // The first one goes on as if nothing had been.
    site.run(&["backup", "nightly"]).expect(0);
    daemon.terminate();
    daemon.wait().expect(0);
}

#[test]
fn commands_beside_a_running_daemon() {
    let door = Door::open(&fleet(2, 1));
    let site = Site::new(door.env());
    assert_eq!(site.run(&["history"]).expect(1).stdout, "", "there is no journal yet");
    site.plan("nightly", &plan(2, ""));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    assert_eq!(site.history(), Vec::<Value>::new());

    let all = site.run(&["backup", "nightly", "--json"]).expect(0);
    let document = all.document();
    assert_eq!((&document["outcome"], &document["trigger"]), (&"done".into(), &"manual".into()));
    assert_eq!(document["targets"].as_array().map(Vec::len), Some(2));
    assert_eq!(all.stderr, "", "the daemon logs, not the command");
    let one = site.run(&["backup", "nightly", "--json", "--instance", &instance(1)]).expect(0).document();
    assert_eq!(one["targets"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["targets"][0]["instance"], instance(1));
    site.run(&["backup", "nightly", "--instance", &instance(2)]).expect(1);
    let wrong = site.run(&["backup", "nightly", "--instance", "web"]).expect(2);
    assert!(wrong.stderr.contains("`web` is not the id of an instance"), "{}", wrong.stderr);
    assert_eq!([0, 1, 2].map(|n| door.reboots(&instance(n))), [1, 2, 0]);

    // A plan that was written after the daemon began.
    site.plan("weekly", &plan(1, ""));
    let unknown = site.run(&["backup", "weekly"]).expect(1);
    assert!(unknown.stdout.contains("the running daemon knows no plan `weekly`; reload it"), "{}", unknown.stdout);

    let beside = site.history();
    let mut shown: Vec<Value> = beside.iter().filter(|run| run["outcome"] == "done").cloned().collect();
    let mut own = vec![document, one];
    own.iter_mut().for_each(|run| drop(run.as_object_mut().expect("a document").remove("schema")));
    shown.sort_by_key(|run| run["run"].to_string());
    assert_eq!(shown, own, "`history` shows what `backup` answered");
    daemon.terminate();
    let ended = daemon.wait().expect(0);
    let log = ended.log();
    assert_eq!(of_event(&log, "run.finished").len(), 3, "{}", ended.stderr);
    assert_eq!(site.history(), beside, "the same without the daemon");
}

#[test]
fn a_command_that_waits_for_a_daemon_that_dies_says_so() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    door.images_take_long();
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    let backup = site.spawn(&["backup", "nightly", "--json"]);
    until("CreateImage", || door.calls("CreateImage").pop());
    daemon.kill();
    let document = backup.wait().expect(1).document();
    assert_eq!(document["outcome"], "unfinished");
}

#[test]
fn two_backups_at_once_without_a_daemon() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    door.images_take_long();
    let first = site.spawn(&["backup", "nightly", "--json"]);
    until("CreateImage", || door.calls("CreateImage").pop());
    let second = site.spawn(&["backup", "nightly", "--json"]);
    door.images_are_quick();
    door.complete();
    let first = first.wait().expect(0).document();
    assert_eq!(first["outcome"], "done");
    // The engine of the first ends with its own run; then the second is its own engine.
    assert_eq!(second.wait().expect(0).document()["outcome"], "done");
    assert_eq!((site.history().len(), door.reboots(&instance(0))), (2, 2));
}
