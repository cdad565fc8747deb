//! An instance that does not come back halts its plan, and one line at level ERROR says all that is needed.

use super::plan;
use crate::support::child::{of_event, of_level};
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

#[test]
fn a_plan_halts_for_an_instance_that_is_not_back() {
    let mut fleet = fleet(3, 0);
    fleet.instances[0].never_healthy = true;
    let door = Door::open(&fleet);
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, "healthy_within = \"4s\""));

    let ended = site.run(&["backup", "nightly", "--json"]).expect(1);
    let document = ended.document();
    assert_eq!(document["outcome"], "failed");
    let outcome = |n: usize| document["targets"][n]["outcome"].as_str();
    assert_eq!([outcome(0), outcome(1), outcome(2)], [Some("failed"), Some("skipped"), Some("skipped")]);
    let why = document["targets"][1]["reason"].as_str().unwrap_or_default();
    assert!(why.contains("the plan halts") && why.contains(&instance(0)), "{why}");

    let log = ended.log();
    let errors = of_level(&log, "ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    let taken = of_event(&log, "slot.taken")[0]["ts"].as_str().expect("a time");
    assert_eq!((&errors[0]["event"], &errors[0]["instance"]), (&"step.needs_person".into(), &instance(0).into()));
    let reason = errors[0]["reason"].as_str().expect("a reason");
    // Which, since when, and what to do.
    for part in [&instance(0), &taken[..16], "status checks", "look at the instance", "reboots nothing until"] {
        assert!(reason.contains(part), "{part:?} is not in {reason:?}");
    }

    let again = site.run(&["backup", "nightly", "--json"]).expect(1); // nobody chose that
    let (log, document) = (again.log(), again.document());
    let errors = of_level(&log, "ERROR");
    assert_eq!(errors.len(), 1, "the instance is said once, and that nobody was imaged: {}", again.stderr);
    assert_eq!(errors[0]["event"], "run.finished");
    assert_eq!(document["outcome"], "failed");
    assert!(document["reason"].as_str().is_some_and(|why| why.contains(&instance(0))), "{document}");
    let halted = |target: &&serde_json::Value| target["prevented"] == "halted";
    let targets = document["targets"].as_array().expect("targets");
    assert!(targets.iter().all(|target| target["outcome"] == "skipped"), "{document}");
    assert_eq!(targets.iter().filter(halted).count(), 3, "{document}");
    assert_eq!(door.calls("CreateImage").len(), 1);
    assert_eq!([0, 1, 2].map(|n| door.reboots(&instance(n))), [1, 0, 0]);
}

#[test]
fn it_goes_on_once_the_instance_is_back() {
    let mut fleet = fleet(2, 0);
    fleet.instances[0].never_healthy = true;
    let door = Door::open(&fleet);
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, "healthy_within = \"8s\""));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    site.run(&["backup", "nightly"]).expect(1);
    let healed = door.world().script(&instance(0), &serde_json::json!({ "never_healthy": false }));
    assert!(matches!(healed, Some(Ok(_))));
    daemon.logged("slot.freed");
    site.run(&["backup", "nightly"]).expect(0);
    assert_eq!([0, 1].map(|n| door.reboots(&instance(n))), [2, 1]);
    daemon.terminate();
    daemon.wait().expect(0);
}
