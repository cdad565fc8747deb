//! Instances that are left out, each with its reason.

use std::collections::BTreeSet;

use stillframe::domain::fact::Kind;
use stillframe::domain::machine::OwnMachine;
use stillframe::domain::plan::{Mode, Plan};

use super::promises;
use super::rig::{Rig, id, mins, plan};

/// What is special about each instance, and the words of its reason; nothing: it is imaged.
const TABLE: &[(&str, &str, &str)] = &[
    ("", "", ""),
    (r#""state": "stopped""#, "", ""),
    (r#""ebs_root": false"#, "", "its root device is not an EBS volume"),
    (r#""hibernation": true"#, "", "hibernation is configured"),
    (r#""multi_attach": true"#, "", "has Multi-Attach"),
    ("", r#", "aws:autoscaling:groupName": "web-asg""#, "Auto Scaling group web-asg"),
    ("", r#", "stillframe:skip": "yes""#, "excluded by its tag"),
    ("", "", "the daemon itself runs on it"),
    ("", "", "terminated"),
];
const STOPPED: u32 = 2;
const OWN: u32 = 8;
const TERMINATED: u32 = 9;

fn fleet() -> String {
    let member = |(n, (traits, tags, _)): (u32, &(&str, &str, &str))| {
        let comma = if traits.is_empty() { "" } else { "," };
        format!(r#"{{ {traits} {comma} "id": "{}", "tags": {{ "Backup": "yes" {tags} }} }}"#, id(n))
    };
    let members: Vec<String> = (1..).zip(TABLE).map(member).collect();
    let members = members.join(",");
    format!(
        r#"{{ "regions": ["eu-central-1"], "image_seconds": [30, 60], "reboot_seconds": 20, "instances": [{members}] }}"#
    )
}

fn web() -> Plan {
    let mut web = plan("web", "0 2 * * *");
    web.select.exclude_tags.insert("stillframe:skip".into(), BTreeSet::from(["*".into()]));
    web.select.instances = BTreeSet::from([id(77)]);
    web
}

async fn run(own: OwnMachine, plan: Plan) -> Rig {
    let mut rig = Rig::new(&fleet(), vec![plan]);
    rig.own_machine = own;
    rig.act(&stillframe::sim::action::Action::TerminateInstances { instances: vec![id(TERMINATED)] });
    rig.start();
    rig.run(mins(15)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn each_one_left_out_has_its_reason() {
    let rig = run(OwnMachine::Instance(id(OWN)), web()).await;
    let targets = rig.targets("web", "02:00");
    for (n, (_, _, reason)) in (1..).zip(TABLE) {
        let target = &targets[&id(n)];
        if reason.is_empty() {
            assert_eq!(target, "done: ", "{n}\n{}", rig.story());
        } else {
            assert!(target.starts_with("skipped: ") && target.contains(reason), "{n}: {target}");
            assert!(rig.images_of(&id(n)).is_empty(), "{n}");
        }
    }
    assert!(targets[&id(77)].contains("found nowhere"), "{targets:?}");
    // The stopped one is imaged as it is: no reboot, no slot.
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
    let slots: Vec<_> = rig.told(&Kind::SlotTaken).into_iter().filter_map(|e| e.draft.subject).collect();
    assert_eq!(slots.iter().map(|s| s.id.clone()).collect::<Vec<_>>(), [id(1)]);
    assert_eq!(rig.images_of(&id(STOPPED)).len(), 1);
    assert_eq!(rig.outcomes("web"), ["02:00 failed"], "an id that the plan lists is nowhere");
    assert!(rig.errors().is_empty(), "{}", rig.story());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_machine_reboots_nothing() {
    let rig = run(OwnMachine::Unknown("no answer".into()), web()).await;
    assert_eq!(rig.all_reboots(), 0, "{}", rig.story());
    assert_eq!(rig.images_of(&id(STOPPED)).len(), 1);
    let targets = rig.targets("web", "02:00");
    assert!(targets[&id(1)].contains("cannot tell which instance"), "{targets:?}");
}

/// Without reboots there is no danger: own machine and Auto Scaling are imaged too, and nothing takes a slot.
#[tokio::test(start_paused = true)]
async fn without_reboot_nothing_goes_down() {
    let mut none = web();
    none.consistency.mode = Mode::None;
    let rig = run(OwnMachine::Unknown("no answer".into()), none).await;
    assert_eq!(rig.all_reboots(), 0);
    assert_eq!([1, STOPPED, 6, OWN].map(|n| rig.images_of(&id(n)).len()), [1; 4], "{}", rig.story());
    assert!(rig.calls("CreateImage").iter().all(|c| c.parameters["NoReboot"] == "true"));
    assert!(rig.told(&Kind::SlotTaken).is_empty());
}

/// An instance that is started after the selection saw it stopped is never rebooted without a slot.
#[tokio::test(start_paused = true)]
async fn a_stopped_instance_that_is_started_meanwhile_takes_no_one_by_surprise() {
    use stillframe::sim::faults::{Fault, FaultKind};
    let mut rig = Rig::new(&fleet(), vec![web()]);
    // The look before CreateImage fails for some minutes.
    rig.fault(Fault::once("DescribeImages", FaultKind::Throttle).after(1).times(40));
    rig.start();
    rig.run(super::rig::secs(30)).await;
    rig.act(&stillframe::sim::action::Action::StartInstances { instances: vec![id(STOPPED)] });
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    let slots: Vec<_> = rig.told(&Kind::SlotTaken).into_iter().filter_map(|e| e.draft.subject).map(|s| s.id).collect();
    for (id, reboots) in rig.reboots() {
        assert_eq!(reboots, slots.iter().filter(|s| **s == id).count(), "{id}\n{}", rig.story());
    }
}
