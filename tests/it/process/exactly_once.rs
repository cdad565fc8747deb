//! One occurrence, one CreateImage, one reboot: through SIGKILL, lost answers, errors after the effect, throttles.

use std::collections::BTreeMap;

use stillframe::sim::faults::{Fault, FaultKind};

use super::{plan, plan_at};
use crate::support::child::until;
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

/// Longer than any test.
const FOR_EVER: FaultKind = FaultKind::HangAfter { seconds: 3600.0 };

/// What came in on the wire agrees with one image and one reboot per name; the number of images.
fn assert_once(door: &Door) -> usize {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut reboots: BTreeMap<String, usize> = BTreeMap::new();
    for call in door.calls("CreateImage").iter().filter(|call| call.result != "RequestLimitExceeded") {
        *names.entry(call.parameters["Name"].clone()).or_default() += 1;
        *reboots.entry(call.parameters["InstanceId"].clone()).or_default() += 1;
        assert!(call.effect, "{call:?}");
    }
    assert!(names.values().all(|sent| *sent == 1), "{names:?}");
    for (id, count) in reboots {
        assert_eq!(door.reboots(&id), count, "{id}");
    }
    let images = door.world().images.len();
    assert_eq!(names.len(), images);
    images
}

#[test]
fn a_backup_killed_before_the_answer_is_finished_by_the_daemon() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    door.fault("CreateImage", FOR_EVER);
    let backup = site.spawn(&["backup", "nightly", "--json"]);
    until("CreateImage", || door.calls("CreateImage").pop());
    backup.kill();
    let cut = site.history();
    assert_eq!((cut.len(), &cut[0]["outcome"]), (1, &"unfinished".into()));
    assert_eq!(cut[0]["targets"][0]["image"], serde_json::Value::Null, "the answer was not recorded");

    let mut daemon = site.spawn(&["run"]);
    let runs = site.finished(1);
    daemon.terminate();
    daemon.wait().expect(0);
    assert_eq!((runs.len(), &runs[0]["outcome"]), (1, &"done".into()), "{runs:?}");
    let image = door.world().images.keys().next().cloned();
    assert_eq!(runs[0]["targets"][0]["image"].as_str(), image.as_deref());
    assert_eq!((assert_once(&door), door.reboots(&instance(0))), (1, 1));
}

#[test]
fn a_daemon_killed_before_the_answer_is_finished_by_a_backup() {
    let door = Door::open(&fleet(2, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan_at("* * * * * *", 2, ""));
    door.world().faults.push(Fault::once("CreateImage", FOR_EVER).times(2));
    let daemon = site.spawn(&["run"]);
    until("both CreateImage", || (door.calls("CreateImage").len() == 2).then_some(()));
    daemon.kill();
    // No more occurrences; the run that was cut off goes on under the plan that it began with.
    site.plan("nightly", &plan(2, ""));

    let asked = site.run(&["backup", "nightly", "--json"]).expect(0).document();
    assert_eq!(asked["outcome"], "done");
    let runs = site.history();
    let outcomes: Vec<_> = runs.iter().filter(|run| run["trigger"] == "schedule").map(|run| &run["outcome"]).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "done").count(), 1, "{runs:?}");
    // Others were due while the first one held the plan.
    assert!(outcomes.iter().all(|outcome| ["done", "skipped", "missed"].contains(&outcome.as_str().unwrap())));
    assert_eq!(runs.last().map(|run| &run["run"]), Some(&asked["run"]));
    assert_eq!(assert_once(&door), 4, "two of the run that was cut off, two of the backup");
}

#[test]
fn an_answer_that_is_lost_is_looked_for() {
    for kind in [FaultKind::CutAfter, FaultKind::ErrorAfter] {
        let door = Door::open(&fleet(2, 0));
        let site = Site::new(door.env());
        site.plan("nightly", &plan(2, ""));
        door.fault("CreateImage", kind);
        let ended = site.run(&["backup", "nightly", "--json"]).expect(0);
        let log = ended.log();
        assert!(log.iter().any(|line| line["event"] == "step.unknown" && line["level"] == "WARN"), "{kind:?}: {log:?}");
        assert!(log.iter().all(|line| line["level"] != "ERROR"), "{kind:?}: {log:?}");
        assert_eq!(assert_once(&door), 2, "{kind:?}");
        let runs = site.history();
        assert_eq!((runs.len(), &runs[0]["outcome"]), (1, &"done".into()), "{kind:?}");
    }
}

#[test]
fn a_throttled_call_is_made_again() {
    let door = Door::open(&fleet(3, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(3, ""));
    let every_other = Fault { every: 2, ..Fault::once("*", FaultKind::Throttle).times(1000) };
    door.world().faults.push(every_other);
    site.run(&["backup", "nightly", "--json"]).expect(0);
    assert_eq!(assert_once(&door), 3);
    let throttled = door.world().calls.iter().filter(|call| call.result == "RequestLimitExceeded").count();
    assert!(throttled > 5, "{throttled}");
    assert!(door.calls("CreateImage").iter().all(|call| call.result == "ok" || call.result == "RequestLimitExceeded"));
    assert_eq!(site.history()[0]["outcome"], "done");
}

#[test]
fn a_call_that_was_lost_is_looked_for_before_it_is_sent_again() {
    // That it had no effect cannot be seen from here.
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    door.fault("CreateImage", FaultKind::CutBefore);
    let mut backup = site.spawn(&["backup", "nightly", "--json"]);
    backup.logged("step.unknown");
    let looks = door.calls("DescribeImages").len();
    until("three looks for it", || (door.calls("DescribeImages").len() >= looks + 6).then_some(()));
    assert_eq!(door.calls("CreateImage").len(), 1, "sent again only after ten minutes");
    backup.terminate();
    let document = backup.wait().expect(1).document();
    assert_eq!(document["outcome"], "unfinished");
}
