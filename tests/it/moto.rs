//! What `AwsCloud` puts on the wire, as moto records it, and how requests end over servers that misbehave. What the
//! ports promise is held by the contract.

use std::collections::BTreeMap;
use std::rc::Rc;

use stillframe::clock::Clock;
use stillframe::cloud::aws::AwsCloud;
use stillframe::cloud::classify::Class;
use stillframe::cloud::governed::Governed;
use stillframe::cloud::port::{Ask, CreateImage, Ec2, Effect, Fault, ImageQuery, Role};
use stillframe::domain::place::Place;

use crate::support::moto::{ACCOUNT, Moto, sdk_config};
use crate::support::rude::{Manners, Rude, dead_endpoint};

const REGION: &str = "eu-central-1";

fn place() -> Place {
    Place::new(ACCOUNT, REGION)
}

fn governed(moto: &Moto) -> Governed {
    Governed::new(Rc::new(AwsCloud::with_config(&moto.sdk_config(REGION), Vec::new())), Clock::Wall, 1.0)
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
async fn what_is_asked_for_stands_on_the_wire() {
    let moto = Moto::start();
    let seeded = moto.seed(REGION, ("Backup", "nightly"), 2, 0);
    let (cloud, place) = (governed(&moto), place());
    for (n, no_reboot) in [false, true].into_iter().enumerate() {
        let request = CreateImage { no_reboot, ..request(&seeded.tagged[n], &format!("stillframe/{n}")) };
        done(cloud.create_image(&place, &request).await);
    }
    let crash = CreateImage { tags: BTreeMap::new(), ..request(&seeded.tagged[0], "stillframe/none") };
    done(cloud.create_image(&place, &crash).await);
    let calls = moto.recorded("CreateImage");
    assert_eq!(calls.len(), 3, "each is sent once");
    let sent = |n: usize| parameters(&calls[n], "NoReboot")["NoReboot"];
    assert_eq!([0, 1, 2].map(sent), ["false", "true", "false"]);
    let kinds = |n: usize| {
        let kinds = calls[n].iter().filter(|(key, _)| key.ends_with(".ResourceType")).map(|(_, value)| value.as_str());
        kinds.collect::<Vec<_>>()
    };
    assert_eq!((kinds(0), kinds(2)), (vec!["image", "snapshot"], vec![]), "no tags are no TagSpecification");
    let image = cloud.images(&place, &ImageQuery::Names(vec!["stillframe/*".into()])).await.expect("images").remove(0);
    done(cloud.deregister_image(&place, &image.id, true).await);
    let calls = moto.recorded("DeregisterImage");
    assert_eq!(parameters(&calls[0], "Delete"), BTreeMap::from([("DeleteAssociatedSnapshots", "true")]));
    for call in moto.recorded("DescribeImages") {
        let words: Vec<&str> =
            ["IncludeDisabled", "Owner.1", "MaxResults"].map(|key| parameters(&call, key)[key]).to_vec();
        assert_eq!(words, ["true", "self", "1000"]);
        assert!(parameters(&call, "ImageId").is_empty(), "never by the ids parameter");
    }
}

fn aws(endpoint: &str) -> AwsCloud {
    AwsCloud::with_config(&sdk_config(endpoint, REGION), Vec::new())
}

#[tokio::test]
async fn a_connection_that_was_never_made_is_a_refusal_for_now() {
    let cloud = aws(&dead_endpoint());
    let fault = refused(cloud.create_image(&place(), &request("i-1", "name")).await);
    assert_eq!((fault.class, fault.code.as_str()), (Class::NeverSent, "Connection"), "{fault}");
    assert!(fault.message.to_lowercase().contains("refused"), "{fault}");
    let fault =
        cloud.images(&place(), &ImageQuery::Names(vec!["n".into()]), Ask::FIRST).await.expect_err("nobody there");
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

/// STS takes the connection and says nothing: that may pass, and what the role is for was certainly not sent.
#[tokio::test]
async fn a_role_that_sts_does_not_answer_for_is_a_refusal_for_now() {
    const OTHER: &str = "222222222222";
    let server = Rude::start(Manners::Silence);
    let arn = format!("arn:aws:iam::{OTHER}:role/stillframe");
    let role = Role { account: OTHER.into(), arn: arn.clone(), external_id: None, session: "stillframe-test".into() };
    let cloud = AwsCloud::with_config(&sdk_config(&server.endpoint, REGION), vec![role]);
    let there = Place::new(OTHER, REGION);
    let call = async { refused(cloud.create_image(&there, &request("i-1", "name")).await) };
    let skip = async {
        while server.requests() == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::pause();
        // Longer than credentials are waited for.
        tokio::time::advance(std::time::Duration::from_secs(25)).await;
        tokio::time::resume();
    };
    let (fault, ()) = futures_util::future::join(call, skip).await;
    assert_eq!((fault.class, fault.code.as_str()), (Class::NeverSent, "Timeout"), "{fault}");
    assert!(fault.message.starts_with(&format!("cannot assume {arn}: ")), "{fault}");
    assert!(!fault.message.contains("AWS_PROFILE"), "{fault}");
    assert_eq!(server.requests(), 1, "AssumeRole alone");
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let server = Rude::start(Manners::Close);
    let mut without = sdk_config(&server.endpoint, REGION).to_builder();
    without.set_credentials_provider(None);
    let cloud = AwsCloud::with_config(&without.build(), Vec::new());
    let fault = refused(cloud.create_image(&place(), &request("i-1", "name")).await);
    assert_eq!((fault.class, fault.code.as_str()), (Class::Credentials, "Credentials"), "{fault}");
    assert!(fault.message.contains("AWS_PROFILE"), "{fault}");
    assert_eq!(server.requests(), 0);
}
