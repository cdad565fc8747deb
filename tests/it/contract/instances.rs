//! Instances, their status checks, and volumes.

use stillframe::cloud::classify::Class;
use stillframe::cloud::port::{Ask, InstanceQuery};
use stillframe::domain::observed::{InstanceState, InstanceStatus};

use super::case::{Case, case, faulty, of};
use super::stage::{BASE_IMAGE, NO_IMAGE, NO_INSTANCE, Stage};

pub fn cases() -> Vec<Case> {
    vec![
        case!(instances_are_found_by_tags),
        case!(instances_are_found_by_id),
        case!(instances_are_found_by_the_image_they_run_from),
        case!(an_instance_is_shown_as_it_is),
        case!(more_ids_than_one_filter_takes_are_asked_for_in_turn),
        case!(one_filter_takes_200_values, differs "takes any number of values" moto_takes_any_number_of_values),
        case!(a_long_list_comes_in_pages, differs "ignores MaxResults of DescribeVolumes" moto_ignores_pages),
        case!(status_checks_tell_who_is_healthy),
        case!(one_unknown_id_fails_a_status_call_and_is_left_out),
        case!(a_status_call_refuses_malformed_and_too_many_ids, differs "knows neither rule" moto_takes_any_ids),
        case!(status_checks_begin_anew_after_a_reboot, not "nothing takes time in moto"),
        case!(volumes_with_multi_attach_are_listed),
    ]
}

async fn ids(stage: &Stage, query: InstanceQuery) -> Vec<String> {
    let page = stage.port.instances(&stage.place, &query, Ask::FIRST).await.expect("instances are listed");
    assert_eq!(page.next, None);
    let mut ids: Vec<String> = page.items.into_iter().map(|instance| instance.id).collect();
    ids.sort();
    ids
}

/// A tag's key and the values that match.
type Wanted<'a> = (&'a str, &'a [&'a str]);

fn tags(pairs: &[Wanted]) -> InstanceQuery {
    let one = |(key, values): &Wanted| ((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect());
    InstanceQuery::Tags(pairs.iter().map(one).collect())
}

async fn instances_are_found_by_tags(stage: &Stage) {
    let [a, b, c] = [0, 1, 2].map(|n| stage.tagged[n].as_str());
    let table: [(&[Wanted], &[&str]); 9] = [
        (&[("Backup", &["nightly"])], &[a, b, c]),
        (&[("Backup", &["weekly", "nightly"]), ("Tier", &["web"])], &[a, b]),
        (&[("Backup", &["night*"]), ("Tier", &["?b"])], &[c]),
        (&[("Tier", &["*"])], &[a, b, c]),
        (&[("Backup", &["*ly"]), ("Tier", &["d?"])], &[c]),
        (&[("Backup", &["Nightly"])], &[]),
        (&[("backup", &["nightly"])], &[]),
        (&[("Backup", &["night"])], &[]),
        (&[("None", &["*"])], &[]),
    ];
    for (query, want) in table {
        let mut want: Vec<&str> = want.to_vec();
        want.sort_unstable();
        assert_eq!(ids(stage, tags(query)).await, want, "{query:?}");
    }
    let page = stage.port.instances(&stage.elsewhere, &tags(&[("Backup", &["*"])]), Ask::FIRST).await.expect("listed");
    assert!(page.items.is_empty(), "another region has none");
}

async fn instances_are_found_by_id(stage: &Stage) {
    let some = |ids: &[&str]| InstanceQuery::Ids(ids.iter().map(|id| (*id).to_owned()).collect());
    let mut both = vec![stage.tagged[0].clone(), stage.stopped.clone()];
    both.sort();
    assert_eq!(ids(stage, some(&[&both[1], NO_INSTANCE, &both[0], &both[0]])).await, both, "an unknown id is forgiven");
    assert_eq!(ids(stage, some(&[NO_INSTANCE])).await, Vec::<String>::new());
    assert_eq!(ids(stage, some(&["web-1", "i-xyz"])).await, Vec::<String>::new(), "so is a malformed one, in a filter");
}

async fn instances_are_found_by_the_image_they_run_from(stage: &Stage) {
    let from = |image: &str| InstanceQuery::LaunchedFrom(vec![image.to_owned()]);
    assert_eq!(ids(stage, from(BASE_IMAGE)).await.len(), 6, "stopped and terminated ones too");
    assert!(ids(stage, from(NO_IMAGE)).await.is_empty());
}

async fn an_instance_is_shown_as_it_is(stage: &Stage) {
    let one = async |id: &str| {
        let query = InstanceQuery::Ids(vec![id.to_owned()]);
        stage.port.instances(&stage.place, &query, Ask::FIRST).await.expect("listed").items.remove(0)
    };
    let first = one(&stage.tagged[0]).await;
    assert_eq!((first.state, first.ebs_root, first.hibernation), (InstanceState::Running, true, false));
    assert_eq!((first.volumes.len(), first.image.as_deref()), (2, Some(BASE_IMAGE)));
    assert!(first.volumes.iter().all(|id| id.starts_with("vol-")), "{:?}", first.volumes);
    let pairs: Vec<_> = first.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("Backup", "nightly"), ("Tier", "web")]);
    assert!(one(&stage.plain).await.tags.is_empty());
    assert_eq!(one(&stage.stopped).await.state, InstanceState::Stopped);
    assert_eq!(one(&stage.terminated).await.state, InstanceState::Terminated, "for about an hour");
}

async fn more_ids_than_one_filter_takes_are_asked_for_in_turn(stage: &Stage) {
    // The known ones at both ends of what goes out in three requests.
    let mut all: Vec<String> = (0..450).map(|n| format!("i-{:017x}", n * 7 + 0x8000_0000_u64)).collect();
    all.extend(stage.tagged.iter().cloned());
    all.push("i-fffffffffffffffff".into());
    let found = stage.governed.instances(&stage.place, &InstanceQuery::Ids(all)).await.expect("listed");
    let mut want = stage.tagged.clone();
    want.sort();
    assert_eq!(found.into_iter().map(|instance| instance.id).collect::<Vec<_>>(), want);
}

fn many(n: usize) -> InstanceQuery {
    InstanceQuery::Ids((0..n).map(|n| format!("i-{n:017x}")).collect())
}

async fn one_filter_takes_200_values(stage: &Stage) {
    assert!(stage.port.instances(&stage.place, &many(200), Ask::FIRST).await.is_ok());
    let fault = stage.port.instances(&stage.place, &many(201), Ask::FIRST).await.expect_err("one too many");
    assert_eq!(faulty(fault), of(Class::Final, "FilterLimitExceeded"));
}

async fn moto_takes_any_number_of_values(stage: &Stage) {
    assert!(stage.port.instances(&stage.place, &many(201), Ask::FIRST).await.is_ok());
}

/// The adapters ask for at most a thousand at a time.
async fn a_long_list_comes_in_pages(stage: &Stage) {
    let volumes = {
        let mut world = stage.world();
        let one = world.volumes[&stage.multi_attach].clone();
        for n in 0..2_000 {
            let id = format!("vol-{n:017x}");
            world.volumes.insert(id.clone(), stillframe::sim::volume::SimVolume { id, ..one.clone() });
        }
        world.volumes.values().filter(|volume| volume.multi_attach).count()
    };
    let mut pages = Vec::new();
    let mut token = None;
    loop {
        let page = stage
            .port
            .multi_attach_volumes(&stage.place, Ask { token: token.as_deref(), halved: 0 })
            .await
            .expect("a page");
        pages.push(page.items.len());
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    let full = pages[0];
    assert!(pages.len() >= 3 && pages[..pages.len() - 1].iter().all(|page| *page == full), "{pages:?}");
    assert_eq!(pages.iter().sum::<usize>(), volumes);
    assert_eq!(stage.governed.multi_attach_volumes(&stage.place).await.expect("all").len(), volumes);
    let wrong = stage
        .port
        .multi_attach_volumes(&stage.place, Ask { token: Some("no token of ours"), halved: 0 })
        .await
        .expect_err("refused");
    assert_eq!(faulty(wrong), of(Class::Final, "InvalidNextToken"));
}

async fn moto_ignores_pages(stage: &Stage) {
    let page = stage
        .port
        .multi_attach_volumes(&stage.place, Ask { token: Some("no token of ours"), halved: 0 })
        .await
        .expect("all at once");
    assert_eq!((page.items.len(), page.next), (1, None));
}

async fn statuses(stage: &Stage, ids: &[&String]) -> Vec<InstanceStatus> {
    let ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
    let mut found = stage.port.instance_status(&stage.place, &ids).await.expect("status checks");
    found.sort_by(|a, b| a.instance.cmp(&b.instance));
    found
}

async fn status_checks_tell_who_is_healthy(stage: &Stage) {
    let found = statuses(stage, &[&stage.tagged[0], &stage.stopped]).await;
    let of = |id: &String| found.iter().find(|status| status.instance == *id).expect("asked for");
    assert!(of(&stage.tagged[0]).healthy(), "{found:?}");
    let stopped = of(&stage.stopped);
    assert_eq!((stopped.state, stopped.healthy()), (InstanceState::Stopped, false));
    assert_eq!((stopped.system.as_str(), stopped.reachability.as_str()), ("not-applicable", "not-applicable"));
}

async fn one_unknown_id_fails_a_status_call_and_is_left_out(stage: &Stage) {
    let both = vec![stage.tagged[0].clone(), NO_INSTANCE.to_owned()];
    let fault = stage.port.instance_status(&stage.place, &both).await.expect_err("one is unknown");
    assert!(fault.message.contains(NO_INSTANCE), "{fault}");
    assert_eq!(faulty(fault), of(Class::NotFound, "InvalidInstanceID.NotFound"));
    let found = stage.governed.statuses(&stage.place, &both).await.expect("without it");
    assert_eq!(found.iter().map(|status| &status.instance).collect::<Vec<_>>(), [&stage.tagged[0]]);
    assert_eq!(stage.governed.statuses(&stage.place, &[NO_INSTANCE.to_owned()]).await, Ok(Vec::new()));
    assert_eq!(stage.governed.statuses(&stage.place, &[]).await, Ok(Vec::new()));
}

async fn a_status_call_refuses_malformed_and_too_many_ids(stage: &Stage) {
    let fault = stage.port.instance_status(&stage.place, &["web-1".to_owned()]).await.expect_err("malformed");
    assert_eq!(faulty(fault), of(Class::Final, "InvalidInstanceID.Malformed"));
    let many = vec![stage.tagged[0].clone(); 101];
    let fault = stage.port.instance_status(&stage.place, &many).await.expect_err("too many");
    assert_eq!(faulty(fault), of(Class::Final, "InvalidParameterValue"));
}

async fn moto_takes_any_ids(stage: &Stage) {
    let fault = stage.port.instance_status(&stage.place, &["web-1".to_owned()]).await.expect_err("unknown");
    assert_eq!(faulty(fault), of(Class::NotFound, "InvalidInstanceID.NotFound"));
    assert!(stage.port.instance_status(&stage.place, &vec![stage.tagged[0].clone(); 101]).await.is_ok());
}

async fn status_checks_begin_anew_after_a_reboot(stage: &Stage) {
    let id = &stage.tagged[0];
    stage.world().reboot_seconds = 60.0;
    stage.person(stillframe::sim::people::Deed::Reboot(id.clone())).await;
    let after = statuses(stage, &[id]).await.remove(0);
    assert_eq!((after.state, after.healthy()), (InstanceState::Running, false), "the state says nothing of a reboot");
    assert_eq!((after.system.as_str(), after.reachability.as_str()), ("initializing", "initializing"));
    stage.pass(61.0).await;
    assert!(statuses(stage, &[id]).await[0].healthy());
}

async fn volumes_with_multi_attach_are_listed(stage: &Stage) {
    let page = stage.port.multi_attach_volumes(&stage.place, Ask::FIRST).await.expect("listed");
    assert_eq!((page.items, page.next), (vec![stage.multi_attach.clone()], None));
    assert!(stage.port.multi_attach_volumes(&stage.elsewhere, Ask::FIRST).await.expect("listed").items.is_empty());
}
