//! The ports through `AwsCloud` and `Governed`, over moto: the real SDK against an emulator nobody here wrote; and
//! over servers that misbehave.

use std::collections::BTreeMap;
use std::rc::Rc;

use stillframe::clock::Clock;
use stillframe::cloud::aws::AwsCloud;
use stillframe::cloud::classify::Class;
use stillframe::cloud::governed::Governed;
use stillframe::cloud::port::{CreateImage, Ec2, Effect, Fault, ImageQuery, InstanceQuery};
use stillframe::domain::observed::{ImageState, InstanceState, Tags};
use stillframe::domain::place::Place;

use crate::support::moto::{ACCOUNT, Moto, sdk_config};
use crate::support::rude::{Manners, Rude, dead_endpoint};

const REGION: &str = "eu-central-1";

fn place() -> Place {
    Place::new(ACCOUNT, REGION)
}

fn governed(moto: &Moto) -> Governed {
    Governed::new(Rc::new(AwsCloud::with_config(&moto.sdk_config(REGION))), Clock::Wall, 1.0)
}

fn request(instance: &str, name: &str) -> CreateImage {
    let tags = [("stillframe:plan", "nightly"), ("Name", "ä b/c=d&e"), ("empty", "")];
    CreateImage {
        instance: instance.to_owned(),
        name: name.to_owned(),
        description: "Taken by a test".into(),
        no_reboot: false,
        tags: tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

fn done<T>(effect: Effect<T>) -> T {
    match effect {
        Effect::Done { value, .. } => value,
        Effect::Refused(fault) => panic!("refused: {fault}"),
        Effect::Unknown(fault) => panic!("unknown: {fault}"),
    }
}

fn refused<T>(effect: Effect<T>) -> Fault {
    match effect {
        Effect::Done { .. } => panic!("done"),
        Effect::Refused(fault) => fault,
        Effect::Unknown(fault) => panic!("unknown: {fault}"),
    }
}

fn unknown<T>(effect: Effect<T>) -> Fault {
    match effect {
        Effect::Done { .. } => panic!("done"),
        Effect::Refused(fault) => panic!("refused: {fault}"),
        Effect::Unknown(fault) => fault,
    }
}

/// The parameters of one recorded call whose keys begin with `prefix`.
fn parameters<'a>(call: &'a [(String, String)], prefix: &str) -> BTreeMap<&'a str, &'a str> {
    let pairs = call.iter().filter(|(key, _)| key.starts_with(prefix));
    pairs.map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[tokio::test]
async fn the_whole_way_of_an_image() {
    let moto = Moto::start();
    let seeded = moto.seed(REGION, ("Backup", "nightly"), 2, 1);
    let (cloud, place) = (governed(&moto), place());

    let caller = cloud.whoami().await.expect("whoami");
    assert_eq!((caller.account.as_str(), cloud.home_region().as_deref()), (ACCOUNT, Some(REGION)));
    assert!(caller.arn.starts_with("arn:aws:"), "{}", caller.arn);

    // Instances, by tag, by id, by the image they run from, and in another region.
    let tags = |values: &[&str]| {
        let values = values.iter().map(ToString::to_string).collect();
        InstanceQuery::Tags(vec![("Backup".into(), values)])
    };
    let found = cloud.instances(&place, &tags(&["weekly", "night*"])).await.expect("instances");
    let mut ids: Vec<String> = found.iter().map(|instance| instance.id.clone()).collect();
    ids.sort();
    let mut wanted = seeded.tagged.clone();
    wanted.sort();
    assert_eq!(ids, wanted);
    let first = &found[0];
    assert_eq!((first.state, first.ebs_root, first.hibernation), (InstanceState::Running, true, false));
    assert_eq!((first.volumes.len(), first.tags["Backup"].as_str()), (2, "nightly"));
    let from = InstanceQuery::LaunchedFrom(first.image.iter().cloned().collect());
    assert_eq!(cloud.instances(&place, &from).await.map(|found| found.len()), Ok(3));
    let some = vec![seeded.untagged[0].clone(), "i-0123456789abcdef0".into()];
    assert_eq!(cloud.instances(&place, &InstanceQuery::Ids(some)).await.map(|found| found.len()), Ok(1));
    let elsewhere = Place::new(ACCOUNT, "eu-west-1");
    assert_eq!(cloud.instances(&elsewhere, &tags(&["*"])).await, Ok(Vec::new()));

    // Status, with an instance that does not exist among them.
    let mut ids = seeded.tagged.clone();
    ids.push("i-0123456789abcdef0".into());
    let statuses = cloud.statuses(&place, &ids).await.expect("statuses");
    assert_eq!((statuses.len(), statuses.iter().all(|status| status.healthy())), (2, true));
    assert_eq!(cloud.multi_attach_volumes(&place).await.map(|found| found.len()), Ok(0));

    // The image, with its tags on it and on each of its snapshots.
    let request = request(&seeded.tagged[0], "stillframe/prod/nightly/i-1/20261120T023000Z");
    let id = done(cloud.create_image(&place, &request).await);
    let queries = [
        ImageQuery::Ids(vec!["ami-0123456789abcdef0".into(), id.clone()]),
        ImageQuery::Names(vec![request.name.clone()]),
        ImageQuery::Names(vec!["stillframe/prod/*".into()]),
        ImageQuery::SourceInstances(vec![request.instance.clone()]),
        ImageQuery::Tag("stillframe:plan".into(), "nightly".into()),
    ];
    for query in &queries {
        let images = cloud.images(&place, query).await.expect("images");
        assert_eq!(images.iter().map(|image| image.id.as_str()).collect::<Vec<_>>(), [id.as_str()], "{query:?}");
    }
    let images = cloud.images(&place, &queries[0]).await.expect("images");
    let image = &images[0];
    assert_eq!((image.name.as_str(), image.owner.as_str()), (request.name.as_str(), ACCOUNT));
    assert_eq!(
        (image.state, image.source_instance.as_deref()),
        (ImageState::Available, Some(request.instance.as_str()))
    );
    assert_eq!(image.tags, request.tags);
    let snapshots = cloud.snapshots(&place, &image.snapshots).await.expect("snapshots");
    assert_eq!(snapshots.iter().map(|snapshot| &snapshot.tags).collect::<Vec<&Tags>>(), [&request.tags; 2]);
    let volumes = cloud.instances(&place, &InstanceQuery::Ids(vec![request.instance.clone()])).await.expect("one")[0]
        .volumes
        .clone();
    let mut of: Vec<String> = snapshots.iter().filter_map(|snapshot| snapshot.volume.clone()).collect();
    of.sort();
    let mut volumes = volumes;
    volumes.sort();
    assert_eq!(of, volumes);

    // What went over the wire.
    let calls = moto.recorded("CreateImage");
    assert_eq!(calls.len(), 1);
    assert_eq!(parameters(&calls[0], "NoReboot"), BTreeMap::from([("NoReboot", "false")]));
    let kinds: Vec<&String> =
        calls[0].iter().filter(|(key, _)| key.ends_with(".ResourceType")).map(|(_, value)| value).collect();
    assert_eq!(kinds, ["image", "snapshot"]);
    for call in moto.recorded("DescribeImages") {
        let words: Vec<&str> =
            ["IncludeDisabled", "Owner.1", "MaxResults"].map(|key| parameters(&call, key)[key]).to_vec();
        assert_eq!(words, ["true", "self", "1000"]);
        assert!(parameters(&call, "ImageId").is_empty());
    }

    // A taken name, a bad name, an unknown instance.
    let fault = refused(cloud.create_image(&place, &request).await);
    assert_eq!((fault.class, fault.code.as_str()), (Class::DuplicateName, "InvalidAMIName.Duplicate"));
    assert!(fault.message.contains(&id), "{fault}");
    let bad = CreateImage { name: "a:b".into(), ..request.clone() };
    assert_eq!(refused(cloud.create_image(&place, &bad).await).code, "InvalidAMIName.Malformed");
    let gone = CreateImage { instance: "i-0123456789abcdef0".into(), name: "other".into(), ..request.clone() };
    assert_eq!(refused(cloud.create_image(&place, &gone).await).class, Class::NotFound);

    // Its snapshots cannot go before it, and go with it.
    let fault = refused(cloud.delete_snapshot(&place, &image.snapshots[0]).await);
    assert_eq!((fault.class, fault.code.as_str()), (Class::InUse, "InvalidSnapshot.InUse"));
    let ends = done(cloud.deregister_image(&place, &id).await);
    assert_eq!(ends.iter().map(|end| end.result.as_str()).collect::<Vec<_>>(), ["success"; 2]);
    assert_eq!(ends.iter().map(|end| end.snapshot.clone()).collect::<Vec<_>>(), image.snapshots);
    assert_eq!(cloud.snapshots(&place, &image.snapshots).await, Ok(Vec::new()));
    assert_eq!(cloud.images(&place, &queries[0]).await, Ok(Vec::new()));
    assert_eq!(refused(cloud.deregister_image(&place, &id).await).class, Class::NotFound);
    assert_eq!(refused(cloud.delete_snapshot(&place, &image.snapshots[0]).await).class, Class::NotFound);

    let crash = CreateImage { no_reboot: true, name: "stillframe/none".into(), tags: BTreeMap::new(), ..request };
    done(cloud.create_image(&place, &crash).await);
    let calls = moto.recorded("CreateImage");
    assert_eq!(parameters(&calls[calls.len() - 1], "NoReboot"), BTreeMap::from([("NoReboot", "true")]));
}

fn aws(endpoint: &str) -> AwsCloud {
    AwsCloud::with_config(&sdk_config(endpoint, REGION))
}

#[tokio::test]
async fn a_connection_that_was_never_made_is_a_refusal_for_now() {
    let cloud = aws(&dead_endpoint());
    let fault = refused(cloud.create_image(&place(), &request("i-1", "name")).await);
    assert_eq!((fault.class, fault.code.as_str()), (Class::NeverSent, "Connection"), "{fault}");
    assert!(fault.message.to_lowercase().contains("refused"), "{fault}");
    let fault = cloud.images(&place(), &ImageQuery::Names(vec!["n".into()]), None).await.expect_err("nobody there");
    assert_eq!(fault.class, Class::NeverSent);

    // No TLS at the other end: the handshake fails, or is given up, before any request.
    for manners in [Manners::HangUp, Manners::Silence] {
        let plain = Rude::start(manners);
        let cloud = aws(&plain.endpoint.replace("http:", "https:"));
        let fault = refused(cloud.create_image(&place(), &request("i-1", "name")).await);
        assert_eq!(fault.class, Class::NeverSent, "{manners:?}: {fault}");
    }
    // A name that cannot be: a label has at most 63 characters, so that the resolver asks nobody.
    let cloud = aws(&format!("http://{}.invalid", "x".repeat(64)));
    let fault = refused(cloud.create_image(&place(), &request("i-1", "name")).await);
    assert_eq!(fault.class, Class::NeverSent, "{fault}");
}

#[tokio::test]
async fn an_answer_that_is_cut_wrong_or_not_ec2s_own_is_unknown_and_sent_once() {
    let table = [
        (Manners::Close, "Connection"),
        (Manners::Say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<CreateImage"), "Answer"),
        (Manners::Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "HTTP 200"),
        (Manners::Say("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>"), "HTTP 502"),
        (Manners::Say("nonsense\r\n\r\n"), "Connection"),
        (
            Manners::Say(
                "HTTP/1.1 500 X\r\nContent-Length: 141\r\n\r\n<Response><Errors><Error><Code>InternalError</Code>\
                 <Message>An internal error</Message></Error></Errors><RequestID>r-1</RequestID></Response>",
            ),
            "InternalError",
        ),
    ];
    for (manners, code) in table {
        let server = Rude::start(manners);
        let cloud = Governed::new(Rc::new(aws(&server.endpoint)), Clock::Wall, 1.0);
        let fault = unknown(cloud.create_image(&place(), &request("i-1", "name")).await);
        assert_eq!((fault.class, fault.code.as_str()), (Class::Transient, code), "{manners:?}: {fault}");
        assert_eq!(server.requests(), 1, "{manners:?}");
        if code == "InternalError" {
            assert_eq!(fault.request_id.as_deref(), Some("r-1"));
        }
        assert!(!format!("{fault:?}").contains("testing"), "{fault:?} shows credentials");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_unknown_at_the_deadline() {
    let server = Rude::start(Manners::Silence);
    let cloud = Governed::new(Rc::new(aws(&server.endpoint)), Clock::Wall, 1.0);
    let call = async { unknown(cloud.create_image(&place(), &request("i-1", "name")).await) };
    let skip = async {
        // Only once the request is there does time pass at will.
        while server.requests() == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(61)).await;
        tokio::time::resume();
    };
    let (fault, ()) = futures_util::future::join(call, skip).await;
    assert_eq!((fault.class, fault.code.as_str()), (Class::Transient, "Timeout"));
    assert_eq!(fault.message, format!("CreateImage in {ACCOUNT}/{REGION}: no answer within 60 s"));
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let server = Rude::start(Manners::Close);
    let mut without = sdk_config(&server.endpoint, REGION).to_builder();
    without.set_credentials_provider(None);
    let cloud = AwsCloud::with_config(&without.build());
    let fault = refused(cloud.create_image(&place(), &request("i-1", "name")).await);
    assert_eq!((fault.class, fault.code.as_str()), (Class::Credentials, "Credentials"), "{fault}");
    assert!(fault.message.contains("AWS_PROFILE"), "{fault}");
    assert_eq!(server.requests(), 0);
}
