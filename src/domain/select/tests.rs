//! Tables: wildcards, what a plan names, and each judgement.

use super::*;
use crate::domain::plan::Consistency;

const ID: &str = "i-0123456789abcdef0";

fn plan(mode: Mode, select: Select) -> Plan {
    let daily = Plan::named("web", "0 2 * * *");
    Plan { select, consistency: Consistency { mode, ..daily.consistency }, ..daily }
}

/// `Key=value` or `Key=value|value`, separated by spaces.
fn patterns(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').expect("key=value"));
    pairs.map(|(key, values)| (key.to_owned(), values.split('|').map(str::to_owned).collect())).collect()
}

fn instance(tags: &str) -> Instance {
    let pairs = tags.split_whitespace().map(|pair| pair.split_once('=').expect("key=value"));
    Instance {
        id: ID.into(),
        state: InstanceState::Running,
        ebs_root: true,
        hibernation: false,
        volumes: vec!["vol-1".into(), "vol-2".into()],
        image: None,
        managed_by: None,
        product_codes: false,
        odd: None,
        tags: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
    }
}

#[test]
fn wildcards_match_as_in_ec2_filters() {
    let table = [
        ("nightly", "nightly", true),
        ("nightly", "Nightly", false),
        ("nightly", "nightly2", false),
        ("", "", true),
        ("", "x", false),
        ("*", "", true),
        ("*", "anything", true),
        ("ni*ly", "nightly", true),
        ("*a*b*", "xxaxxbxx", true),
        ("*a*b*", "xxbxxaxx", false),
        ("?", "", false),
        ("?", "é", true),
        ("w?b-*", "web-1", true),
        ("w?b-*", "wb-1", false),
        (r"\*", "*", true),
        (r"\*", "x", false),
        (r"a\?c", "a?c", true),
        (r"a\?c", "abc", false),
        (r"\\", r"\", true),
        (r"end\", r"end\", true),
        ("a.c", "abc", false),
        ("[ab]", "a", false),
        ("*****************b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
    ];
    for (pattern, value, expected) in table {
        assert_eq!(wildcard(pattern, value), expected, "{pattern} on {value}");
    }
}

#[test]
fn tags_or_ids_name_an_instance() {
    // select.tags, whether its id is listed, the instance's tags.
    let table = [
        ("Backup=nightly", false, "Backup=nightly", true),
        ("Backup=nightly", false, "Backup=weekly", false),
        ("Backup=nightly|week*", false, "Backup=weekly", true),
        ("Backup=nightly Team=web", false, "Backup=nightly", false),
        ("Backup=nightly Team=web", false, "Backup=nightly Team=web", true),
        ("Backup=nightly", true, "", true),
        ("", true, "", true),
        // No tags name nothing, not everything.
        ("", false, "Backup=nightly", false),
    ];
    for (tags, listed, own, expected) in table {
        let mut select = Select { tags: patterns(tags), ..Select::default() };
        if listed {
            select.instances.insert(ID.into());
        }
        assert_eq!(matches(&select, &instance(own)), expected, "{tags} {listed} on {own}");
    }
}

#[test]
fn judgements() {
    use InstanceState::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    type Change = fn(&mut Instance, &mut Plan);
    let nowhere = OwnMachine::NotEc2;
    let here = OwnMachine::Instance(ID.into());
    let doubt = OwnMachine::Unknown("no answer".into());
    // What is special, the daemon's own machine, the mode; `reboot`, `still` (imaged without one), or why not.
    let table: Vec<(&str, Change, &OwnMachine, Mode, &str)> = vec![
        ("plain", |_, _| {}, &nowhere, Mode::Reboot, "reboot"),
        ("plain", |_, _| {}, &nowhere, Mode::None, "still"),
        ("stopped", |i, _| i.state = Stopped, &nowhere, Mode::Reboot, "still"),
        ("pending", |i, _| i.state = Pending, &nowhere, Mode::Reboot, "wrong_state"),
        ("stopping", |i, _| i.state = Stopping, &nowhere, Mode::None, "wrong_state"),
        ("shutting down", |i, _| i.state = ShuttingDown, &nowhere, Mode::None, "wrong_state"),
        ("terminated", |i, _| i.state = Terminated, &nowhere, Mode::None, "wrong_state"),
        ("other tags", |i, _| i.tags.clear(), &nowhere, Mode::None, "not_selected"),
        ("instance store", |i, _| i.ebs_root = false, &nowhere, Mode::None, "not_ebs_backed"),
        ("hibernation", |i, _| i.hibernation = true, &nowhere, Mode::None, "hibernation"),
        ("multi-attach", |i, _| i.volumes.push("vol-multi".into()), &nowhere, Mode::None, "multi_attach"),
        ("still imaging", |i, _| i.id = "i-busy".into(), &nowhere, Mode::None, "still_imaging"),
        ("own", |_, _| {}, &here, Mode::Reboot, "own_machine"),
        ("own, no reboot", |_, _| {}, &here, Mode::None, "still"),
        ("own, stopped", |i, _| i.state = Stopped, &here, Mode::Reboot, "still"),
        ("not own", |i, _| i.id = "i-other".into(), &here, Mode::Reboot, "reboot"),
        ("own unknown", |i, _| i.id = "i-other".into(), &doubt, Mode::Reboot, "own_machine"),
        ("own unknown, no reboot", |_, _| {}, &doubt, Mode::None, "still"),
        ("group", |i, _| put(i, AUTO_SCALING_TAG, "asg"), &nowhere, Mode::Reboot, "auto_scaling"),
        ("group, no reboot", |i, _| put(i, AUTO_SCALING_TAG, "asg"), &nowhere, Mode::None, "still"),
        (
            "group, allowed",
            |i, p| {
                put(i, AUTO_SCALING_TAG, "asg");
                p.select.allow_auto_scaling = true;
            },
            &nowhere,
            Mode::Reboot,
            "reboot",
        ),
        ("spot fleet", |i, _| put(i, "aws:ec2spot:fleet-request-id", "sfr-1"), &nowhere, Mode::Reboot, "fleet"),
        ("fleet", |i, _| put(i, "aws:ec2:fleet-id", "fleet-1"), &nowhere, Mode::Reboot, "fleet"),
        ("node pool", |i, _| put(i, "karpenter.sh/nodepool", "default"), &nowhere, Mode::Reboot, "fleet"),
        ("fleet, no reboot", |i, _| put(i, "aws:ec2:fleet-id", "fleet-1"), &nowhere, Mode::None, "still"),
        (
            "fleet, allowed",
            |i, p| {
                put(i, "aws:ec2:fleet-id", "fleet-1");
                p.select.allow_auto_scaling = true;
            },
            &nowhere,
            Mode::Reboot,
            "reboot",
        ),
        (
            "managed, whatever is allowed",
            |i, p| {
                i.managed_by = Some("eks.amazonaws.com".into());
                p.select.allow_auto_scaling = true;
            },
            &nowhere,
            Mode::None,
            "managed",
        ),
        ("excluded", |i, _| put(i, "stillframe:skip", "yes"), &nowhere, Mode::Reboot, "excluded"),
        (
            "excluded beats the id and the state",
            |i, p| {
                put(i, "stillframe:skip", "");
                i.state = Terminated;
                p.select.instances.insert(ID.into());
            },
            &here,
            Mode::None,
            "excluded",
        ),
        ("running again", |i, _| i.state = Running, &nowhere, Mode::Reboot, "reboot"),
    ];
    let multi_attach = BTreeSet::from(["vol-multi".to_owned()]);
    let imaging = BTreeMap::from([("i-busy".to_owned(), "web@20261119T023000Z".to_owned())]);
    for (name, change, own_machine, mode, expected) in table {
        let select = Select {
            tags: patterns("Backup=nightly"),
            exclude_tags: patterns("stillframe:skip=*"),
            ..Select::default()
        };
        let (mut plan, mut instance) = (plan(mode, select), instance("Backup=nightly"));
        change(&mut instance, &mut plan);
        let facts = Facts { own_machine, multi_attach: &multi_attach, imaging: &imaging };
        let said = match choose(&plan, &instance, &facts) {
            Choice::Target { reboots: true } => "reboot",
            Choice::Target { reboots: false } => "still",
            Choice::Skip { reason } => {
                assert!(!reason.to_string().is_empty());
                reason.label()
            }
        };
        assert_eq!(said, expected, "{name}");
    }
}

fn put(instance: &mut Instance, key: &str, value: &str) {
    instance.tags.insert(key.into(), value.into());
}

#[test]
fn listed_but_found_nowhere() {
    let ids = |text: &str| text.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    let plan = plan(Mode::Reboot, Select { instances: ids("i-1 i-2 i-3"), ..Select::default() });
    assert_eq!(missing(&plan, &ids("i-2 i-9")), ["i-1", "i-3"]);
    assert!(missing(&plan, &ids("i-1 i-2 i-3")).is_empty());
}

#[test]
fn filters_are_the_tags_as_written() {
    let select = Select { tags: patterns("Backup=night*|weekly Team=web"), ..Select::default() };
    let filter = |key: &str, values: &[&str]| (key.to_owned(), values.iter().map(|v| (*v).to_owned()).collect());
    assert_eq!(tag_filters(&select), [filter("Backup", &["night*", "weekly"]), filter("Team", &["web"])]);
    assert!(tag_filters(&Select::default()).is_empty());
}

#[test]
fn reasons_are_an_operators_words() {
    let table = [
        (
            Skip::Excluded { tag: "stillframe:skip=yes".into() },
            "excluded by its tag stillframe:skip=yes (select.exclude_tags)",
        ),
        (
            Skip::WrongState(InstanceState::ShuttingDown),
            "it is shutting-down: only running and stopped instances can be imaged",
        ),
        (Skip::StillImaging { run: "web@20261119T023000Z".into() }, "run web@20261119T023000Z is still imaging it"),
        (Skip::OwnMachine("the daemon itself runs on it".into()), "it is not rebooted: the daemon itself runs on it"),
    ];
    for (reason, expected) in table {
        assert_eq!(reason.to_string(), expected);
    }
}
