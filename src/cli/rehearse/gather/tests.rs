//! A story of two nights, told event by event, and what is counted of it.

use serde_json::{Value, json};

use super::*;
use crate::domain::fact::Kind;
use crate::domain::fact::codec::{self, Row};
use crate::domain::keep::Keep;
use crate::domain::naming::run_name;
use crate::domain::place::Place;
use crate::domain::plan::{Rollout, Schedule};

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-12-{text}Z").parse().expect("an instant")
}

fn plan() -> Plan {
    let daily = Plan::named("web", "0 23 * * *");
    Plan {
        schedule: Schedule { catch_up: None, window: Some(3600), ..daily.schedule },
        rollout: Rollout { max_in_flight: 2, healthy_within: 900, ..daily.rollout },
        keep: Keep { last: 2, ..Keep::default() },
        ..daily
    }
}

/// Tells events of one run.
struct Teller<'a> {
    gather: &'a mut Gather,
    run: String,
}

impl Teller<'_> {
    fn tell(&mut self, when: &str, row: Row) {
        self.gather.hear(&Event { seq: 0, at: at(when), draft: codec::decode(row) });
    }

    fn run(&mut self, when: &str, kind: Kind, data: Value) {
        self.tell(when, Row::of_run(&self.run.clone(), kind, data));
    }

    fn of(&mut self, when: &str, id: &str, kind: Kind, step: &str, data: Value) {
        let subject = Place::new("111111111111", "eu-central-1").subject(id);
        self.tell(when, Row::of(&self.run.clone(), &subject, kind, data).at_step(step, 1));
    }

    /// One target from its reboot to its image.
    fn imaged(&mut self, id: &str, down: &str, back: &str, ready: &str) {
        self.of(down, id, Kind::StepIntent, "image", json!({ "name": "n", "no_reboot": false }));
        self.of(down, id, Kind::SlotTaken, "", json!({}));
        self.of(down, id, Kind::StepDone, "image", json!({ "image": "ami-1" }));
        self.of(back, id, Kind::SlotFreed, "", json!({}));
        self.of(ready, id, Kind::StepObserved, "image", json!({ "outcome": "done" }));
        self.of(ready, id, Kind::TargetFinished, "", json!({ "outcome": "done" }));
    }
}

fn told() -> Gather {
    let mut gather = Gather::new(&[plan()], at("01T00:00:00"), 3);
    let night = |due: &str| run_name("web", at(due));
    let runs = [night("01T23:00:00"), night("02T23:00:00"), night("03T23:00:00")];
    let mut one = Teller { gather: &mut gather, run: runs[0].clone() };
    one.run("01T23:00:00", Kind::OccurrenceDecided, json!({}));
    one.run("01T23:00:00", Kind::RunStarted, json!({}));
    for id in ["i-a", "i-b", "i-c"] {
        one.of("01T23:00:01", id, Kind::TargetSelected, "", json!({ "reboots": true }));
    }
    let reason = "member of Auto Scaling group x";
    one.of("01T23:00:01", "i-d", Kind::TargetSkipped, "", json!({ "class": "auto_scaling", "reason": reason }));
    one.of("01T23:00:01", "i-e", Kind::TargetSkipped, "", json!({ "class": "excluded", "reason": "excluded" }));
    one.imaged("i-a", "01T23:00:02", "01T23:04:00", "01T23:10:00");
    one.of("01T23:00:03", "i-b", Kind::SlotTaken, "", json!({}));
    one.of("01T23:00:03", "i-b", Kind::StepRefused, "image", json!({ "reason": "no" }));
    one.of("01T23:00:03", "i-b", Kind::SlotFreed, "", json!({}));
    let failed = json!({ "outcome": "failed", "reason": "image: i-0123456789abcdef0 is gone" });
    one.of("01T23:00:03", "i-b", Kind::TargetFinished, "", failed);
    let late = json!({ "outcome": "skipped", "reason": "the window of 3600 s after due is over" });
    one.of("02T00:00:01", "i-c", Kind::TargetFinished, "", late);
    let verdicts = json!({ "verdicts": [
        { "image": "ami-1", "verdict": "keep", "reasons": ["daily 7: the newest of 2026-12-01", "last 2"] },
        { "image": "ami-2", "verdict": "keep", "reasons": ["daily 7: the newest of 2026-11-30"] },
        { "image": "ami-3", "verdict": "delete", "reasons": ["no rule keeps it"] },
    ] });
    one.of("02T00:01:00", "i-a", Kind::RetainDecided, "image", verdicts);
    one.of("02T00:01:00", "ami-3", Kind::StepIntent, "retain", json!({ "reason": "no rule keeps it" }));
    one.of("02T00:01:01", "ami-3", Kind::StepDone, "retain", json!({}));
    one.of("02T00:01:01", "snap-3", Kind::StepDone, "retain", json!({}));
    one.run("02T00:02:00", Kind::RunFinished, json!({ "outcome": "failed", "reason": "1 of 3 targets failed" }));

    let mut two = Teller { gather: &mut gather, run: runs[1].clone() };
    two.run("02T23:00:00", Kind::OccurrenceDecided, json!({}));
    two.run("02T23:00:00", Kind::RunStarted, json!({}));
    two.of("02T23:00:01", "i-a", Kind::TargetSelected, "", json!({ "reboots": true }));
    two.of("02T23:00:01", "i-b", Kind::TargetSelected, "", json!({ "reboots": true }));
    two.of("02T23:00:02", "i-a", Kind::StepIntent, "image", json!({}));
    two.of("02T23:00:02", "i-a", Kind::SlotTaken, "", json!({}));
    two.of("02T23:00:03", "i-a", Kind::StepDone, "image", json!({}));
    two.of("02T23:00:04", "i-b", Kind::SlotTaken, "", json!({}));
    two.of("02T23:15:02", "i-a", Kind::StepNeedsPerson, "return", json!({ "reason": "look at i-0123456789abcdef0" }));
    two.gather.midnight(at("03T00:00:00"));
    let mut three = Teller { gather: &mut gather, run: runs[2].clone() };
    three.run("03T23:00:00", Kind::OccurrenceSkipped, json!({ "reason": format!("{} still has targets", runs[1]) }));
    gather
}

#[test]
fn two_nights_are_counted() {
    let gather = told();
    let name = |id: &str| (id == "i-a").then(|| "alpha".to_owned());
    let plans = gather.plans(&[plan()], |_| vec!["eu-central-1".into()], name, |_| Stored::default());
    let [p] = plans.as_slice() else { panic!("{plans:#?}") };
    let o = &p.occurrences;
    assert_eq!((o.run, o.skipped, o.missed, o.done, o.failed, o.unfinished), (2, 1, 0, 0, 1, 1));
    assert_eq!(o.reasons, [Counted { reason: "web@… still has targets".into(), count: 1 }]);
    assert_eq!(o.failures, [Counted { reason: "some targets failed".into(), count: 1 }]);
    let t = &p.targets;
    assert_eq!((t.done, t.failed, t.skipped), (1, 1, 3));
    assert_eq!(t.failures, [Counted { reason: "image: i-… is gone".into(), count: 1 }]);
    assert_eq!((p.window.runs, p.window.targets, p.window.of), (1, 1, 3));
    // The refused one was not rebooted.
    assert_eq!(p.daily.reboots, [1, 1, 0]);
    assert_eq!(p.daily.down, [1, 2, 2], "who is down over midnight counts for both days");
    assert_eq!((p.reboots.total, p.reboots.most.count), (2, 1));
    assert_eq!(p.reboots.most.at.as_deref(), Some("2026-12-01"));
    assert_eq!(p.reboots.down, Most { count: 2, at: Some("2026-12-02T23:00:04Z".into()) });
    assert_eq!(p.longest_down.as_ref().map(|l| l.seconds), Some(240));
    assert_eq!(p.longest_run.as_ref().map(|l| (l.run.as_str(), l.seconds)), Some(("web@20261201T230000Z", 3720)));
    let count = |list: &[Counted]| list.iter().map(|c| (c.reason.clone(), c.count)).collect::<Vec<_>>();
    assert_eq!(count(&p.deleted), [("no rule keeps it".into(), 1)]);
    assert_eq!(count(&p.kept_by), [("daily 7".into(), 2), ("last 2".into(), 1)]);
    assert_eq!(count(&p.alarms), [("look at i-…".into(), 1)]);
    // The excluded one is not meant to have images; the member of a group is.
    assert_eq!((p.instances, p.never_imaged), (3, 3));
    let gaps: Vec<_> = p.without_image.iter().map(|g| (g.instance.as_str(), g.seconds, g.images)).collect();
    assert_eq!(gaps, [("i-b", 3 * 86_400, 0), ("i-c", 3 * 86_400, 0), ("i-d", 3 * 86_400, 0)]);
    assert_eq!(gather.down(), (Most { count: 2, at: Some("2026-12-02T23:00:04Z".into()) }, vec![1, 2, 2]));
    assert_eq!(gather.rebooted_by_several(), []);
}

#[test]
fn instances_that_two_plans_reboot_are_told() {
    let other = Plan { name: "all".into(), ..plan() };
    let mut gather = Gather::new(&[plan(), other], at("01T00:00:00"), 3);
    for (name, id) in [("web", "i-a"), ("all", "i-a"), ("all", "i-b")] {
        let mut teller = Teller { gather: &mut gather, run: run_name(name, at("01T23:00:00")) };
        teller.run("01T23:00:00", Kind::RunStarted, json!({}));
        teller.of("01T23:00:01", id, Kind::TargetSelected, "", json!({ "reboots": true }));
        teller.imaged(id, "01T23:00:02", "01T23:04:00", "01T23:10:00");
    }
    assert_eq!(gather.rebooted_by_several(), [Counted { reason: "all, web".into(), count: 1 }]);
}
