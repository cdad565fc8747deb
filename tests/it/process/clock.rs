//! What a plan owes, through the real program: nothing from before it was first seen, and what a daemon that was down
//! has slept through once. Cron lines name their moment in full (second to month), relative to the wall clock.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use serde_json::Value;
use stillframe::clock::Clock;

use super::plan_at;
use crate::support::child::{Proc, of_level, until};
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

/// A plan that is due at `due`, and in no other second of its year.
fn once(due: DateTime<Utc>, catch_up: &str) -> String {
    format!("schedule.catch_up = \"{catch_up}\"\n{}", plan_at(&due.format("%-S %-M %-H %-d %-m *").to_string(), 1, ""))
}

fn ago(minutes: i64) -> DateTime<Utc> {
    Clock::Wall.now_secs() - TimeDelta::minutes(minutes)
}

/// A world and a site whose plan `probe` selects nothing: a tick that answers a request for it has decided all
/// plans before.
fn world() -> (Door, Site) {
    let door = Door::open(&fleet(1, 0));
    door.images_are_quick();
    let site = Site::new(door.env());
    let nothing = plan_at("0 0 1 1 *", 1, "").replace("\"nightly\"", "\"nobody\"");
    site.plan("probe", &nothing);
    (door, site)
}

fn has_decided(site: &Site) {
    site.run(&["backup", "probe"]).expect(1);
}

fn end(mut daemon: Proc) {
    daemon.terminate();
    let ended = daemon.wait().expect(0);
    let errors = of_level(&ended.log(), "ERROR").into_iter().filter(|e| e["plan"] != "probe").count();
    assert_eq!(errors, 0, "{}", ended.stderr);
}

/// The occurrences of one plan and how they ended, oldest first.
fn ends(site: &Site, plan: &str) -> Vec<(String, String)> {
    let text = |run: &Value, key: &str| run[key].as_str().expect("a text").to_owned();
    let all = site.history().into_iter().filter(|run| run["plan"] == plan);
    all.map(|run| (text(&run, "due"), text(&run, "outcome"))).collect()
}

fn instant(due: DateTime<Utc>) -> String {
    due.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// As if all that the daemon has written so far had been written so long ago.
fn age(site: &Site, by: TimeDelta) {
    let journal = Connection::open(site.state().join("journal.sqlite")).expect("opened");
    let aged = journal.execute("UPDATE event SET at = at - ?1", [by.num_milliseconds()]).expect("written");
    assert!(aged > 0, "nothing was journaled");
}

#[test]
fn a_plan_saved_after_it_was_due_does_not_run() {
    let (door, site) = world();
    site.plan("nightly", &once(ago(30), "1h"));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    has_decided(&site);
    // Edited, and one more saved: both were due some minutes ago.
    site.plan("nightly", &once(ago(20), "1h"));
    site.plan("weekly", &once(ago(10), "1h"));
    daemon.hang_up();
    daemon.logged_times("config.applied", 2);
    has_decided(&site);
    end(daemon);
    // After a restart as well, and edited while the daemon was down.
    site.plan("weekly", &once(ago(5), "1h"));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    has_decided(&site);
    end(daemon);
    assert_eq!([ends(&site, "nightly"), ends(&site, "weekly")], [vec![], vec![]], "neither run nor missed");
    assert_eq!(door.calls("CreateImage").len(), 0);
}

#[test]
fn a_daemon_that_was_down_catches_up_once() {
    // It was down from an hour ago until now; the plan was due half an hour ago.
    for (catch_up, outcome, reboots) in [("1h", "done", 1), ("10m", "missed", 0)] {
        let (door, site) = world();
        let due = ago(30);
        site.plan("nightly", &once(due, catch_up));
        let mut daemon = site.spawn(&["run"]);
        daemon.logged("config.applied");
        end(daemon);
        age(&site, TimeDelta::hours(1));
        let expected = vec![(instant(due), outcome.to_owned())];
        for life in 1..=2 {
            let mut daemon = site.spawn(&["run"]);
            daemon.logged("config.applied");
            has_decided(&site);
            until("end of the run", || (ends(&site, "nightly") == expected).then_some(()));
            end(daemon);
            assert_eq!(door.reboots(&instance(0)), reboots, "catch_up {catch_up}, life {life}");
        }
        assert_eq!(ends(&site, "nightly"), expected);
        assert_eq!(door.calls("CreateImage").len(), reboots);
    }
}

#[test]
fn a_daemon_that_was_down_over_the_second_runs_it_once() {
    let (door, site) = world();
    // On a slow machine it may not be down in time: then the plan is edited to a later second.
    let mut leads = [4, 15, 60].into_iter();
    let due = loop {
        let lead = leads.next().expect("a daemon that starts and stops within a minute");
        let due = Clock::Wall.now_secs() + TimeDelta::seconds(lead);
        site.plan("nightly", &once(due, "1h"));
        let mut daemon = site.spawn(&["run"]);
        daemon.logged("config.applied");
        end(daemon);
        if Clock::Wall.now() < due {
            break due;
        }
    };
    let before = ends(&site, "nightly").len();
    until("the second that it is due", || (Clock::Wall.now() > due).then_some(()));
    for life in 1..=2 {
        let mut daemon = site.spawn(&["run"]);
        daemon.logged("config.applied");
        has_decided(&site);
        until("end of the run", || {
            let all = ends(&site, "nightly");
            (all.last() == Some(&(instant(due), "done".to_owned()))).then_some(())
        });
        end(daemon);
        assert_eq!(ends(&site, "nightly").len(), before + 1, "life {life}");
    }
    assert_eq!(door.reboots(&instance(0)), ends(&site, "nightly").iter().filter(|(_, o)| o == "done").count());
}
