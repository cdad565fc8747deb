//! Lists: ids, filters, pages, and what is there to be listed.

use super::*;

#[test]
fn one_unknown_id_fails_the_whole_call_and_a_filter_does_not() {
    let mut rig = Rig::new();
    let (id, none) = (rig.id("web-1"), "i-00000000000000000".to_owned());
    let ids = |ids: &[&String]| Listing { ids: ids.iter().map(|i| (*i).clone()).collect(), ..Listing::default() };
    assert_eq!(rig.code(Action::DescribeInstances(ids(&[&id, &none]))), "InvalidInstanceID.NotFound");
    let status = |list| Action::DescribeInstanceStatus { list, include_all: None };
    assert_eq!(rig.code(status(ids(&[&none, &id]))), "InvalidInstanceID.NotFound");
    let list = Listing { filters: filters(&[("instance-id", &[&id, &none])]), ..Listing::default() };
    let Answer::Instances(page) = rig.call(Action::DescribeInstances(list)).unwrap() else { panic!() };
    assert_eq!(page.items.len(), 1);
    let wrong = Listing { filters: filters(&[("instance-ids", &[&id])]), ..Listing::default() };
    assert_eq!(rig.code(Action::DescribeInstances(wrong)), "InvalidParameterValue");
    let too_many: Vec<String> = (0..101).map(|_| id.clone()).collect();
    assert_eq!(rig.code(status(Listing { ids: too_many, ..Listing::default() })), "InvalidParameterValue");
}

#[test]
fn status_lists_only_running_instances_unless_asked_for_all() {
    let mut rig = Rig::new();
    let id = rig.id("web-1");
    rig.call(Action::StopInstances { instances: vec![id.clone()] }).unwrap();
    rig.wait(60);
    for (include_all, want) in [(None, None), (Some(true), Some("not-applicable"))] {
        let list = Listing { ids: vec![id.clone()], ..Listing::default() };
        let Answer::Statuses(page) = rig.call(Action::DescribeInstanceStatus { list, include_all }).unwrap() else {
            panic!()
        };
        assert_eq!(page.items.first().map(|c| c.reachability), want);
    }
}

#[test]
fn lists_are_paged_and_filtered() {
    let mut rig = Rig::new();
    let nightly =
        filters(&[("tag:Backup", &["night*"]), ("tag-key", &["Tier"]), ("instance-state-name", &["running"])]);
    let mut token = None;
    let mut pages = Vec::new();
    loop {
        let page = Paging { max: Some(5), token };
        let list = Listing { filters: nightly.clone(), page, ..Listing::default() };
        let Answer::Instances(page) = rig.call(Action::DescribeInstances(list)).unwrap() else { panic!() };
        pages.push(page.items.len());
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(pages, [5, 5, 2]);
    let small = Listing { page: Paging { max: Some(4), token: None }, ..Listing::default() };
    assert_eq!(rig.code(Action::DescribeInstances(small)), "InvalidParameterValue");

    let (web, db) = (rig.id("web-1"), rig.id("db-1"));
    let (a, b) = (rig.image(&web, "stillframe/a"), rig.image(&db, "stillframe/b"));
    let mut all = vec![a.clone(), b.clone()];
    all.sort();
    assert_eq!(rig.listed(&[]), all);
    for (name, values, want) in [
        ("name", vec!["stillframe/a"], vec![&a]),
        ("name", vec!["stillframe/?", "x"], all.iter().collect()),
        ("image-id", vec![b.as_str(), "ami-00000000000000000"], vec![&b]),
        ("source-instance-id", vec![db.as_str()], vec![&b]),
        ("state", vec!["available"], vec![]),
        ("tag:A", vec!["1"], all.iter().collect()),
        ("tag:A", vec!["2"], vec![]),
    ] {
        assert_eq!(rig.listed(&[(name, &values)]).iter().collect::<Vec<_>>(), want, "{name} {values:?}");
    }
}

#[test]
fn terminated_instances_stay_visible_for_an_hour() {
    let mut rig = Rig::new();
    let id = rig.id("web-1");
    rig.call(Action::TerminateInstances { instances: vec![id.clone()] }).unwrap();
    let list = || Listing { ids: vec![id.clone()], ..Listing::default() };
    for (after, want) in [(60, "ok"), (3500, "ok"), (100, "InvalidInstanceID.NotFound")] {
        rig.wait(after);
        assert_eq!(rig.code(Action::DescribeInstances(list())), want);
    }
}

#[test]
fn accounts_and_regions_are_apart() {
    let mut rig = Rig::with(|fleet| fleet.regions.push("eu-west-1".into()));
    let all = Action::DescribeInstances(Listing::default());
    let now = rig.now;
    for (account, region, want) in
        [("111111111111", REGION, 14), ("111111111111", "eu-west-1", 0), ("222222222222", REGION, 0)]
    {
        let answer = rig.world.call(now, &Caller::new(account), region, &all).unwrap();
        let Answer::Instances(page) = answer else { panic!() };
        assert_eq!(page.items.len(), want, "{account} {region}");
    }
    let error = rig.world.call(now, &Caller::new("111111111111"), "us-east-1", &all).unwrap_err();
    assert_eq!(error.code, "AuthFailure");
}
