//! AWS cannot be reached, or knows us not: said once and clearly, and never a hang that a signal does not end.

use super::plan;
use crate::support::child::{of_level, until};
use crate::support::rude::dead_endpoint;
use crate::support::site::Site;
use crate::support::world::{Door, env, fleet, instance};

#[test]
fn a_dead_endpoint_is_said_at_once_and_borne_for_a_while() {
    let endpoint = dead_endpoint();
    let site = Site::new(env(&endpoint));
    site.plan("nightly", &plan(1, ""));
    let mut backup = site.spawn(&["backup", "nightly", "--json"]);
    let warning = backup.logged("cloud.failing");
    assert_eq!(warning["level"], "WARN");
    for part in ["no connection could be made", "AWS_ENDPOINT_URL", "network"] {
        assert!(warning["reason"].as_str().is_some_and(|reason| reason.contains(part)), "{warning}");
    }
    let what = warning["message"].as_str().unwrap_or_default();
    assert!(what.contains("cannot tell which account this is") && what.contains("tried again"), "{warning}");
    backup.terminate();
    let document = backup.wait().expect(1).document();
    assert_eq!((&document["outcome"], &document["targets"]), (&"unfinished".into(), &serde_json::json!([])));
    assert_eq!(site.history()[0]["outcome"], "unfinished");

    // With the endpoint back, the run goes on before anything else.
    let door = Door::open(&fleet(1, 0));
    let site = site.with("AWS_ENDPOINT_URL", Some(&door.endpoint));
    site.run(&["backup", "nightly"]).expect(0);
    let runs = site.history();
    assert_eq!(runs.iter().map(|run| &run["outcome"]).collect::<Vec<_>>(), ["done", "done"]);
    assert_eq!(door.reboots(&instance(0)), 2);
}

#[test]
fn missing_credentials_are_named() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env()).with("AWS_ACCESS_KEY_ID", None).with("AWS_SECRET_ACCESS_KEY", None);
    site.plan("nightly", &plan(1, ""));
    let ended = site.run(&["backup", "nightly", "--json"]).expect(1);
    let log = ended.log();
    let errors = of_level(&log, "ERROR");
    assert_eq!(errors.len(), 1, "{}", ended.stderr);
    let document = ended.document();
    assert_eq!(document["outcome"], "failed");
    for reason in [errors[0]["reason"].as_str(), document["reason"].as_str()] {
        let reason = reason.expect("a reason");
        for part in ["cannot tell which account", "no usable credentials", "AWS_PROFILE", "instance role"] {
            assert!(reason.contains(part), "{part:?} is not in {reason:?}");
        }
    }
    assert_eq!(door.world().calls.iter().count(), 0);
}

#[test]
fn a_region_that_is_not_enabled_fails_alone() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    let regions = "[\"eu-central-1\", \"us-east-1\"]";
    site.plan("nightly", &plan(1, "").replace("[\"eu-central-1\"]", regions));
    let ended = site.run(&["backup", "nightly", "--json"]).expect(1);
    let document = ended.document();
    assert_eq!((&document["outcome"], &document["targets"][0]["outcome"]), (&"failed".into(), &"done".into()));
    assert!(document["reason"].as_str().is_some_and(|reason| reason.contains("us-east-1")), "{document}");
    assert_eq!(door.reboots(&instance(0)), 1);
}

#[test]
fn a_daemon_outlives_a_dead_endpoint() {
    let site = Site::new(env(&dead_endpoint()));
    site.plan("nightly", &super::plan_at("* * * * * *", 1, ""));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("cloud.failing");
    // What came due while AWS was waited for first is missed; the latest is begun.
    until("a run", || site.history().into_iter().find(|run| run["outcome"] == "unfinished"));
    daemon.terminate();
    daemon.wait().expect(0);
}
