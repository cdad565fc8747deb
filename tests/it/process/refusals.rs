//! What AWS refuses is said in words that an administrator of the account can act on.

use chrono::TimeDelta;
use stillframe::sim::action::Action;
use stillframe::sim::faults::{Fault, FaultKind};

use super::{plan, plan_at};
use crate::support::child::{Ended, of_event, of_level};
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

/// `backup` of one instance, of which the next call of `api` goes wrong.
fn backup(api: &str, kind: FaultKind) -> (Ended, usize) {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    // These the start asks, too, until they are allowed.
    let times = if matches!(api, "DescribeImages" | "GetCallerIdentity") { u32::MAX } else { 1 };
    door.world().faults.push(Fault::once(api, kind).times(times));
    let ended = site.run(&["backup", "nightly", "--json"]);
    (ended, door.reboots(&instance(0)))
}

/// The one ERROR of a log, beside those of a run in which nobody was imaged, and of retention that could not list either.
fn error(ended: &Ended) -> String {
    let log = ended.log();
    let mut errors = of_level(&log, "ERROR");
    errors.retain(|line| line["event"] != "run.finished" && line["event"] != "retain.stopped");
    assert_eq!(errors.len(), 1, "{}", ended.stderr);
    errors[0]["reason"].as_str().expect("a reason").to_owned()
}

#[test]
fn a_denied_permission_names_action_principal_and_statement() {
    for (api, action) in [
        ("CreateImage", "ec2:CreateImage"),
        ("DescribeInstances", "ec2:DescribeInstances"),
        ("DescribeImages", "ec2:DescribeImages"),
        ("GetCallerIdentity", "sts:GetCallerIdentity"),
    ] {
        let (ended, reboots) = backup(api, FaultKind::Denied);
        let why = error(&ended.expect(1));
        let statement = format!(r#"{{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}"#);
        for part in [api, &format!("may not perform {action}"), ":user/simulated", &statement] {
            assert!(why.contains(part), "{part:?} is not in {why:?}");
        }
        assert!(!why.contains("x-Y_") && why.len() < 600, "{why}");
        assert_eq!(reboots, 0);
    }
}

#[test]
fn expired_credentials_are_waited_for() {
    let (ended, reboots) = backup("DescribeInstances", FaultKind::Expired);
    let log = ended.expect(0).log();
    let warning = log.iter().find(|line| line["event"] == "cloud.failing").expect("a warning");
    let why = warning["reason"].as_str().expect("a reason");
    assert!(why.contains("Request has expired") && why.contains("renew the credentials"), "{why}");
    assert!(of_level(&log, "ERROR").is_empty());
    assert_eq!(reboots, 1);
}

#[test]
fn credentials_that_are_not_valid_name_the_region_too() {
    let (ended, reboots) = backup("DescribeInstances", FaultKind::BadKey);
    let why = error(&ended.expect(1));
    for part in ["AuthFailure", "access key is wrong or inactive", "--region-name eu-central-1", "select.regions"] {
        assert!(why.contains(part), "{part:?} is not in {why:?}");
    }
    assert_eq!(reboots, 0);
}

#[test]
fn a_clock_far_from_awss_begins_nothing() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    door.world().date_ahead = -3 * 3600;
    let ended = site.run(&["backup", "nightly", "--json"]).expect(1);
    let why = "this machine's clock is 3 h 0 min ahead of AWS's";
    assert!(error(&ended).contains(why), "{}", ended.stderr);
    let target = &ended.document()["targets"][0];
    assert_eq!((&target["prevented"], &ended.document()["outcome"]), (&"clock".into(), &"failed".into()));
    assert!(target["outcome"] == "skipped" && target["reason"].as_str().is_some_and(|r| r.contains(why)), "{target}");
    assert_eq!(door.reboots(&instance(0)), 0);

    // A daemon finds out at its start, and when it is right again.
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("clock.off");
    let asked = site.run(&["backup", "nightly"]).expect(1);
    assert!(asked.stdout.contains(why), "{}", asked.stdout);
    daemon.terminate();
    daemon.wait().expect(0);
    door.world().date_ahead = TimeDelta::minutes(4).num_seconds();
    site.run(&["backup", "nightly"]).expect(0);
    assert_eq!(door.reboots(&instance(0)), 1);
}

/// Due each second, and AWS takes a while to answer: by then the clock would have decided wrongly.
#[test]
fn nothing_is_decided_before_the_first_answer_about_the_clock() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan_at("* * * * * *", 1, ""));
    door.world().date_ahead = -3 * 3600;
    door.fault("GetCallerIdentity", FaultKind::HangAfter { seconds: 4.0 });
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("clock.off");
    daemon.terminate();
    let log = daemon.wait().expect(0).log();
    for event in ["occurrence.decided", "occurrence.missed", "occurrence.skipped"] {
        assert!(of_event(&log, event).is_empty(), "{log:?}");
    }
}

#[test]
fn an_instance_that_is_terminated_in_the_middle_of_a_run_ends_its_target() {
    let door = Door::open(&fleet(2, 0));
    door.images_take_long();
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    let mut backup = site.spawn(&["backup", "nightly", "--json"]);
    backup.logged("step.done");
    // The second one waits for its turn.
    let now = stillframe::clock::Clock::Wall.now();
    let caller = stillframe::sim::world::Caller::new(stillframe::sim::fleet::ACCOUNT);
    let terminate = Action::TerminateInstances { instances: vec![instance(1)] };
    door.world().call(now, &caller, "eu-central-1", &terminate).expect("allowed");
    door.images_are_quick();
    door.complete();
    let ended = backup.wait().expect(0);
    let document = ended.document();
    let target = |n: usize| &document["targets"][n];
    assert_eq!(target(0)["outcome"], "done", "{document}");
    assert_eq!(target(1)["outcome"], "skipped", "{document}");
    assert_eq!(target(1)["reason"], "image: the instance was terminated before its image was made");
}

#[test]
fn a_selector_that_matches_nothing_is_recorded_and_warned() {
    let door = Door::open(&fleet(0, 1));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    let ended = site.run(&["backup", "nightly", "--json"]).expect(1);
    let log = ended.log();
    let warnings = of_level(&log, "WARN");
    assert_eq!(warnings.len(), 1, "{}", ended.stderr);
    assert_eq!(warnings[0]["reason"], "the plan selects no instance");
    assert_eq!(site.history()[0]["outcome"], "skipped");
}
