//! What was prevented is no success: through the binary, with its exit codes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{plan, plan_at};
use crate::support::child::{of_level, until};
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

/// Of each target: its outcome, and what prevented it.
fn ends(document: &Value) -> Vec<(String, String, String)> {
    let text = |target: &Value, key: &str| target[key].as_str().unwrap_or_default().to_owned();
    let targets = document["targets"].as_array().expect("targets");
    targets.iter().map(|t| (text(t, "instance"), text(t, "outcome"), text(t, "prevented"))).collect()
}

/// A plan that takes the fleet's instances by their tag, and one that it lists.
fn listing(id: &str) -> String {
    format!("select.instances = [\"{id}\"]\n{}", plan(1, ""))
}

#[test]
fn an_id_that_is_nowhere_fails_the_run_and_needs_a_person_the_second_time() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &listing("i-0123456789abcdef0"));
    for second in [false, true] {
        let ended = site.run(&["backup", "nightly", "--json"]).expect(1);
        let document = ended.document();
        assert_eq!(document["outcome"], "failed", "{document}");
        let lost = "i-0123456789abcdef0: listed in select.instances but found nowhere";
        assert!(document["reason"].as_str().is_some_and(|why| why.starts_with(lost)), "{document}");
        assert!(ends(&document).contains(&("i-0123456789abcdef0".into(), "skipped".into(), "not-found".into())));
        assert!(ends(&document).contains(&(instance(0), "done".into(), String::new())), "{document}");
        let log = ended.log();
        let called = of_level(&log, "ERROR");
        assert_eq!(called.len(), usize::from(second), "{}", ended.stderr);
        let status = site.run(&["status", "--json"]).expect(1).document();
        let needs = status["status"]["needs_person"].as_array().expect("needs").clone();
        let twice = |need: &&Value| need["reason"].as_str().is_some_and(|why| why.contains("twice in a row"));
        assert_eq!(needs.iter().filter(twice).count(), usize::from(second), "{needs:?}");
    }
    // Taken out of the plan: nobody is missing any more.
    site.plan("nightly", &plan(1, ""));
    site.run(&["backup", "nightly"]).expect(0);
}

/// One dead instance of a plan stops another one: that one has failed, too, and says for whom.
#[test]
fn a_plan_that_another_ones_dead_instance_stops_has_failed() {
    let mut fleet = fleet(2, 0);
    fleet.instances[0].never_healthy = true;
    let door = Door::open(&fleet);
    let site = Site::new(door.env());
    let one = |n: usize, more: &str| {
        plan(1, more).replace("tags = { Backup = \"nightly\" }", &format!("instances = [\"{}\"]", instance(n)))
    };
    site.plan("dead", &one(0, "healthy_within = \"8s\""));
    site.plan("well", &one(1, ""));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    site.run(&["backup", "dead"]).expect(1);
    let document = site.run(&["backup", "well", "--json"]).expect(1).document();
    assert_eq!(ends(&document), [(instance(1), "skipped".into(), "slot".into())], "{document}");
    let why = document["reason"].as_str().unwrap_or_default();
    assert!(document["outcome"] == "failed" && why.contains(&instance(0)) && why.contains("dead@"), "{document}");
    let status = site.run(&["status", "--json"]).expect(1).document();
    let needs: Vec<&str> =
        status["status"]["needs_person"].as_array().expect("needs").iter().filter_map(|n| n["run"].as_str()).collect();
    assert!(["dead@", "well@"].iter().all(|plan| needs.iter().any(|run| run.starts_with(plan))), "{status}");
    daemon.terminate();
    daemon.wait().expect(0);
}

/// A window that is too short for all: each night some are left out, never the same ones for ever, and no such night is done.
#[test]
fn a_window_too_short_starves_nobody_and_is_never_done() {
    let door = Door::open(&fleet(4, 0));
    let site = Site::new(door.env());
    let short = plan_at("*/10 * * * * *", 1, "").replace("schedule.cron", "schedule.window = \"5s\"\nschedule.cron");
    site.plan("nightly", &short);
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("run.finished");
    // The night in which each was imaged last.
    let mut newest: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = 0;
    until("six nights, and an image of each", || {
        let nights: Vec<Value> = site.history().into_iter().filter(|run| run["outcome"] != "unfinished").collect();
        for (night, run) in nights.iter().enumerate().skip(seen) {
            let ends = ends(run);
            let of = |outcome: &str| ends.iter().filter(|e| e.1 == outcome).map(|e| e.0.clone()).collect::<Vec<_>>();
            let (imaged, left) = (of("done"), ends.iter().filter(|e| !e.2.is_empty()).collect::<Vec<_>>());
            assert!(left.is_empty() || run["outcome"] == "failed", "{run}");
            assert!(left.iter().all(|e| e.1 == "skipped" && e.2 == "window"), "{run}");
            let oldest = left.iter().map(|e| newest.get(&e.0)).min();
            let turn = |id: &String| oldest.is_none_or(|oldest| newest.get(id) <= oldest);
            assert!(imaged.iter().all(turn), "{run} after {newest:?}");
            newest.extend(imaged.into_iter().map(|id| (id, night)));
        }
        seen = nights.len();
        (seen >= 6 && newest.len() == 4).then_some(())
    });
    daemon.terminate();
    daemon.wait().expect(0);
    let failed = site.run(&["history", "--json", "--outcome", "failed"]).expect(0).document();
    assert!(!failed["runs"].as_array().expect("runs").is_empty(), "{failed}");
}

/// What `status` says needs a person.
fn needs(site: &Site, code: i32) -> Vec<String> {
    let document = site.run(&["status", "--json"]).expect(code).document();
    let needs = document["status"]["needs_person"].as_array().expect("needs");
    needs.iter().map(|need| need["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_daemon_that_died_is_told_until_one_runs_again() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    assert!(needs(&site, 0).is_empty());
    daemon.kill();
    let died = needs(&site, 1);
    assert!(
        matches!(&*died, [one] if one.starts_with("stillframe died") && one.contains("systemctl start")),
        "{died:?}"
    );
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    assert!(needs(&site, 0).is_empty());
    daemon.terminate();
    daemon.wait().expect(0);
    assert!(needs(&site, 0).is_empty(), "it was stopped by somebody");
    // For monitoring that is no state to be in, unless nobody expects a daemon.
    let checked = site.run(&["status", "--check"]).expect(2);
    assert!(checked.stdout.starts_with("CRITICAL") && checked.stdout.contains("is not running"), "{}", checked.stdout);
    let checked = site.run(&["status", "--check", "--no-daemon"]).expect(0);
    assert!(checked.stdout.starts_with("OK"), "{}", checked.stdout);
}

#[test]
fn a_wrong_clock_needs_a_person_for_as_long_as_it_is_wrong() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    door.world().date_ahead = -3 * 3600;
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("clock.off");
    until("the hold", || site.run(&["status"]).stdout.contains("nothing is begun: this machine's clock").then_some(()));
    let status = site.run(&["status", "--json"]).expect(1).document();
    assert_eq!(status["status"]["holds"][0]["cause"], "clock_off", "{status}");
    let checked = site.run(&["status", "--check"]).expect(2);
    assert!(checked.stdout.starts_with("CRITICAL") && checked.stdout.contains("clock"), "{}", checked.stdout);
    daemon.terminate();
    daemon.wait().expect(0);
}

#[test]
fn one_instance_alone_is_asked_for() {
    let door = Door::open(&fleet(2, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(2, ""));
    site.run(&["backup", "nightly"]).expect(0);
    let status = site.run(&["status", "--json", "--instance", &instance(1)]).expect(0).document();
    let shown: Vec<&str> = status["status"]["instances"]
        .as_array()
        .expect("instances")
        .iter()
        .filter_map(|i| i["instance"].as_str())
        .collect();
    assert_eq!(shown, [instance(1)]);
    let unknown = site.run(&["status", "--instance", "i-0123456789abcdef0"]).expect(1);
    assert!(unknown.stdout.contains("i-0123456789abcdef0 is in no plan"), "{}", unknown.stdout);
}

/// What was imaged once, and is tagged no more: nobody images it, and `status` says so.
#[test]
fn a_tag_that_is_gone_from_one_of_two_shows() {
    let door = Door::open(&fleet(2, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(2, ""));
    site.run(&["backup", "nightly"]).expect(0);
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    let all = until("the listing", || {
        let ended = site.run(&["status", "--json"]).expect(0);
        let status = ended.document();
        (status["status"]["protection"]["protected"] == 2).then_some(ended.stdout)
    });
    assert!(!all.contains("\"unprotected\":1"), "{all}");
    door.world().instances.get_mut(&instance(1)).expect("of the fleet").tags.remove("Backup");
    site.run(&["backup", "nightly"]).expect(0);
    let needs = until("the next listing", || Some(needs_of(&site)).filter(|needs| !needs.is_empty()));
    assert!(matches!(&*needs, [one] if one.contains(&instance(1)) && one.contains("takes it no more")), "{needs:?}");
    let status = site.run(&["status"]).expect(1);
    assert!(status.stdout.starts_with("1 protected, 1 unprotected;"), "{}", status.stdout);
    daemon.terminate();
    daemon.wait().expect(0);
    // Nobody answers: what was seen before still stands.
    let site = site.with("AWS_ENDPOINT_URL", Some(&crate::support::rude::dead_endpoint()));
    let mut daemon = site.spawn(&["run"]);
    let told = until("a listing that failed", || {
        let status = site.run(&["status"]);
        status.stdout.contains("not listed: nightly: which account this is").then_some(status)
    });
    assert!(told.stdout.starts_with("1 protected, 1 unprotected;"), "{}", told.stdout);
    daemon.terminate();
    let _ = daemon.wait();
}

fn needs_of(site: &Site) -> Vec<String> {
    let document = site.run(&["status", "--json"]).document();
    let needs = document["status"]["needs_person"].as_array().expect("needs");
    needs.iter().map(|need| need["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Credentials of another account, by a profile that was changed: its instances are somebody else's.
#[test]
fn credentials_of_another_account_do_nothing() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    site.run(&["backup", "nightly"]).expect(0);
    // The world's access keys are the names of their accounts.
    let own = door.world().account.clone();
    let site = site.with("AWS_ACCESS_KEY_ID", Some("999999999999"));
    for instance in door.world().instances.values_mut() {
        instance.place.account = "999999999999".into();
    }
    let document = site.run(&["backup", "nightly", "--json"]).expect(1).document();
    assert_eq!(door.reboots(&instance(0)), 1, "{document}");
    let why = document["reason"].as_str().unwrap_or_default();
    assert!(why.contains(&own) && why.contains("999999999999") && why.contains("--take-over"), "{document}");
    let needs = needs(&site, 1);
    assert!(needs.iter().any(|need| need.contains("the credentials are those of account 999999999999")), "{needs:?}");
    // A person says that it is to work there.
    let mut daemon = site.spawn(&["run", "--take-over"]);
    daemon.logged("caller.known");
    site.run(&["backup", "nightly"]).expect(0);
    daemon.terminate();
    daemon.wait().expect(0);
    assert_eq!(door.reboots(&instance(0)), 2);
}
