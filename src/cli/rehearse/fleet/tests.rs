//! Each plan of a table selects exactly as many instances as were asked for.

use super::*;

const HOME: &str = "eu-central-1";

fn plan(name: &str, tags: &[(&str, &[&str])]) -> Plan {
    let set = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
    Plan {
        select: Select {
            tags: tags.iter().map(|(key, values)| ((*key).to_owned(), set(values))).collect(),
            ..Select::default()
        },
        ..Plan::named(name, "0 2 * * *")
    }
}

/// How many instances of the fleet each plan takes.
fn taken(plans: &[Plan], fleet: &Fleet) -> Vec<usize> {
    plans.iter().map(|plan| fleet.instances.iter().filter(|m| selects(plan, m, HOME)).count()).collect()
}

#[test]
fn every_plan_selects_exactly_as_many() {
    let excluding = |mut plan: Plan, key: &str, value: &str| {
        plan.select.exclude_tags.insert(key.into(), BTreeSet::from([value.to_owned()]));
        plan
    };
    let tables: Vec<Vec<Plan>> = vec![
        vec![plan("web", &[("Backup", &["nightly"])]), plan("db", &[("Role", &["mysql", "postgres"])])],
        // One within the other: the larger needs none of its own.
        vec![plan("all", &[("Stage", &["prod"])]), plan("db", &[("Stage", &["prod"]), ("Role", &["db"])])],
        vec![plan("any", &[("Backup", &["*"])]), plan("web", &[("Backup", &["nightly"])])],
        vec![plan("twin-a", &[("Backup", &["x", "y"])]), plan("twin-b", &[("Backup", &["y", "x"])])],
        vec![plan("wild", &[("Name", &["web-*-?", "x"]), ("Odd", &["a\\*b"])])],
        vec![excluding(plan("not", &[("Backup", &["daily", "nightly"])]), "Backup", "dai*")],
        vec![excluding(plan("skip", &[("Backup", &["daily"])]), "stillframe:skip", "*")],
    ];
    for plans in tables {
        for n in [0, 1, 20] {
            let fleet = made_up(&plans, n, HOME, 7);
            let names: Vec<&str> = plans.iter().map(|p| p.name.as_str()).collect();
            assert_eq!(taken(&plans, &fleet), vec![n as usize; plans.len()], "{names:?}");
            let world = fleet.world(chrono::DateTime::UNIX_EPOCH).expect("a possible fleet");
            assert!(unselected(&world, &plans).is_empty(), "{names:?}");
        }
    }
}

#[test]
fn listed_ids_are_there_once_and_regions_are_spread() {
    let id = "i-0123456789abcdef0";
    let mut listed = plan("listed", &[]);
    listed.select.instances.insert(id.into());
    let mut web = plan("web", &[("Backup", &["nightly"])]);
    web.select.regions = vec!["us-east-1".into(), "eu-west-1".into()];
    let mut both = plan("both", &[("Both", &["yes"])]);
    both.select.instances.insert(id.into());
    let plans = [listed, web, both];
    let fleet = made_up(&plans, 4, HOME, 0);
    assert_eq!(taken(&plans, &fleet), [1, 4, 4]);
    assert_eq!(fleet.regions, [HOME, "eu-west-1", "us-east-1"]);
    let places: Vec<_> = fleet.instances.iter().filter(|m| m.tags.contains_key("Backup")).map(|m| &m.region).collect();
    assert_eq!(places.iter().filter(|r| r.as_deref() == Some("us-east-1")).count(), 2, "{places:?}");
    assert!(fleet.instances.iter().all(|m| (60.0..=120.0).contains(&m.reboot_seconds.unwrap())));
}

#[test]
fn what_no_plan_selects_is_named() {
    let plans = [plan("web", &[("Backup", &["nightly"])])];
    let mut elsewhere = plans.clone();
    elsewhere[0].select.regions = vec!["us-east-1".into()];
    let world = Fleet::demo().world(chrono::DateTime::UNIX_EPOCH).unwrap();
    assert_eq!(unselected(&world, &plans).len(), 2);
    assert_eq!(unselected(&world, &elsewhere).len(), 14);
}

#[test]
fn patterns_become_values() {
    for (pattern, value) in
        [("*", "any"), ("web-*", "web-"), ("a?c", "axc"), ("\\*", "*"), ("plain", "plain"), ("", "")]
    {
        assert_eq!(concrete(pattern), value);
    }
}
