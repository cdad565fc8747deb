//! Which machine this is, where the metadata service misbehaves or is silent: the other witnesses, or no reboot at all.

use std::fs;

use futures_util::future::join_all;
use serde_json::Value;
use stillframe::clock::Clock;
use stillframe::domain::machine::{Metadata, OwnMachine};
use stillframe::engine::host::machine::MachineProbe;

use super::plan;
use crate::support::child::{Ended, of_event};
use crate::support::rude::{Manners, Rude, dead_endpoint};
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

const TOKEN: Manners = Manners::Say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntoken");

/// Names of misbehaviours, with the answer to the request for a token, and to the one for the id.
fn misbehaviours() -> Vec<(&'static str, Manners, Manners)> {
    use Manners::{Close, Drip, HangUp, Ignore, Say, SayAndStay, Silence};
    let all = |name, manners| (name, manners, manners);
    vec![
        all("405 to PUT", Say("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")),
        all("404", Say("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found")),
        all("403 without a length", Say("HTTP/1.1 403 Forbidden\r\n\r\n")),
        all("500", Say("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")),
        all("a redirect", Say("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")),
        all("a page", Say("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n<html> x y</html>")),
        ("a page for the id", TOKEN, Say("HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n<html> x y</html>")),
        all("an empty body", Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
        ("an empty id", TOKEN, Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
        ("404 for the id", TOKEN, Say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")),
        ("no answer for the id", TOKEN, Silence),
        ("cut before the id", TOKEN, Close),
        ("half an id", TOKEN, Say("HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\ni-0123456789")),
        all("half an answer", Say("HTTP/1.1 20")),
        all("a broken chunk", Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\ntoken\r\n0\r\n\r\n")),
        all("half a chunk, and open", SayAndStay("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nto")),
        all("no length, and open", SayAndStay("HTTP/1.1 200 OK\r\n\r\ntoken")),
        all("another server", Say("SSH-2.0-OpenSSH_9.2p1\r\n")),
        all("an alert of TLS", Say("\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{46}")),
        all("silence", Silence),
        all("nobody who accepts but the kernel", Ignore),
        all("closed after the request", Close),
        all("closed, or reset, at once", HangUp),
        all("a byte now and then", Drip("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntoken")),
    ]
}

/// Looks where there is no DMI, and with one that is certainly not EC2's.
#[tokio::test]
async fn whoever_is_there_may_be_ec2() {
    let dir = tempfile::tempdir().expect("a directory");
    let other = dir.path().join("other");
    fs::create_dir(&other).expect("made");
    fs::write(other.join("sys_vendor"), "QEMU").expect("written");
    let probe = |dmi: &std::path::Path, endpoint: &str| MachineProbe {
        dmi_dir: dmi.to_owned(),
        hypervisor_uuid: dir.path().join("uuid"),
        metadata: Some(endpoint.to_owned()),
        configured: None,
        clock: Clock::Wall,
    };
    let servers: Vec<_> =
        misbehaviours().into_iter().map(|(name, put, other)| (name, Rude::by_turns(put, other))).collect();
    join_all(servers.iter().map(async |(name, server)| {
        for dmi in [dir.path(), &other] {
            let sighting = probe(dmi, &server.endpoint).look().await;
            assert!(matches!(sighting.metadata, Metadata::Somebody(_)), "{name}: {:?}", sighting.metadata);
            let own = sighting.at_first_hand();
            assert!(matches!(&own, OwnMachine::Unknown(why) if why.contains("may be EC2")), "{name}: {own:?}");
            // Another witness may know.
            let own = sighting.verdict(Some(&instance(1)), None);
            assert_eq!(own, OwnMachine::Instance(instance(1)), "{name}");
        }
    }))
    .await;
    let nobody = dead_endpoint();
    let sighting = probe(&other, &nobody).look().await;
    assert!(matches!(sighting.metadata, Metadata::Nobody(_)), "{:?}", sighting.metadata);
    assert_eq!(sighting.at_first_hand(), OwnMachine::NotEc2);
    assert!(matches!(probe(dir.path(), &nobody).look().await.at_first_hand(), OwnMachine::Unknown(_)), "no DMI");
    let odd = probe(&other, "https://127.0.0.1/").look().await.at_first_hand();
    assert!(matches!(&odd, OwnMachine::Unknown(why) if why.contains("http://")), "{odd:?}");
}

/// An installation whose settings do not say which machine this is, and `endpoint` as its metadata service.
fn site(door: &Door, endpoint: Option<&str>) -> Site {
    let site = asking(Site::new(door.env()), endpoint);
    site.settings(
        "[daemon]\nname = \"it\"\nstate_dir = \"state\"\n[cloud]\napi_share = 1.0\nvisible_within = \"1s\"\nstatus_lag = \"1s\"\nshutdown_limit = \"1s\"\n",
    );
    site.plan("nightly", &plan(2, ""));
    site
}

fn asking(site: Site, endpoint: Option<&str>) -> Site {
    let site = site.with("AWS_EC2_METADATA_DISABLED", Some(if endpoint.is_some() { "false" } else { "true" }));
    site.with("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
}

/// What the firmware of the machine that runs this test says: the program reads it too.
fn hardware() -> String {
    ["sys_vendor", "bios_version", "board_asset_tag"]
        .map(|file| fs::read_to_string(format!("/sys/class/dmi/id/{file}")).unwrap_or_default())
        .concat()
        .trim()
        .to_ascii_lowercase()
}

/// How the targets of a `backup --json` ended, with the reasons.
fn ends(ended: &Ended) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let targets = ended.document()["targets"].as_array().cloned().expect("targets");
    targets.iter().map(|t| (text(&t["instance"]), text(&t["outcome"]), text(&t["reason"]))).collect()
}

#[test]
fn a_rude_service_or_none_at_all_lets_nothing_be_rebooted() {
    let rude = Rude::start(Manners::Say("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"));
    let dead = dead_endpoint();
    for (endpoint, bare) in [(Some(rude.endpoint.as_str()), false), (Some(dead.as_str()), true), (None, true)] {
        let hardware = hardware();
        let known = hardware.contains("i-") && hardware.contains("amazon");
        // Where nobody answers, a machine with firmware of somebody else's is certainly no instance.
        let sure = known || bare && !hardware.is_empty() && !hardware.contains("amazon");
        let door = Door::open(&fleet(2, 0));
        let site = site(&door, endpoint);
        let ended = site.run(&["backup", "nightly", "--json"]);
        let reboots = door.reboots(&instance(0)) + door.reboots(&instance(1));
        if sure {
            assert_eq!(reboots, 2, "{endpoint:?}: {ended:?}");
            continue;
        }
        assert_eq!(reboots, 0, "{endpoint:?}: {ended:?}");
        for (instance, outcome, reason) in ends(&ended) {
            assert_eq!(outcome, "skipped", "{instance}");
            assert!(reason.contains("daemon.instance") && reason.contains("\"none\""), "{reason}");
        }
        // Nobody chose that, and whoever asks hears of it.
        let ended = ended.expect(1);
        let status = site.run(&["status"]).expect(1);
        assert!(status.stdout.contains("nothing is rebooted: "), "{endpoint:?}: {}", status.stdout);
        let log = ended.log();
        let errors = of_event(&log, "machine.unknown");
        assert_eq!(errors.len(), 1, "{}", ended.stderr);
        assert_eq!(errors[0]["level"], "ERROR");
        assert!(errors[0]["message"].as_str().is_some_and(|m| m.contains("\"none\"")), "{}", errors[0]);
        // What a preview says of it is the same.
        let preview = site.run(&["preview", "--json"]);
        let machine = preview.document()["preview"]["machine"].as_str().expect("said").to_owned();
        assert!(machine.contains("is unknown"), "{machine}");
    }
}

#[test]
fn the_recorded_instance_counts_while_the_service_is_silent() {
    let hardware = hardware();
    let door = Door::open(&fleet(2, 0));
    let good = Rude::by_turns(TOKEN, Manners::Say("HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\ni-00000000000000000"));
    let mut site = site(&door, Some(&good.endpoint));
    let (rude, dead) = (Rude::start(Manners::Silence), dead_endpoint());
    for (nth, endpoint) in
        [Some(good.endpoint.as_str()), Some(&rude.endpoint), Some(&dead), None].into_iter().enumerate()
    {
        if nth > 0 && hardware.contains("amazon") && hardware.contains("i-") {
            return; // this machine itself says which it is, which contradicts the record
        }
        site = asking(site, endpoint);
        let ended = site.run(&["backup", "nightly", "--json"]).expect(0);
        let ends = ends(&ended);
        assert_eq!((ends[0].1.as_str(), ends[1].1.as_str()), ("skipped", "done"), "{endpoint:?}: {ends:?}");
        assert!(ends[0].2.contains("the daemon itself runs on it"), "{ends:?}");
        assert_eq!((door.reboots(&instance(0)), door.reboots(&instance(1))), (0, nth + 1), "{endpoint:?}");
    }
}

/// An STS whose answer to GetCallerIdentity is the session of an instance's role.
const STS: Manners = Manners::Say(
    "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n\
     <GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
     <Arn>arn:aws:sts::111111111111:assumed-role/stillframe/i-00000000000000000</Arn>\
     <UserId>AROAEXAMPLE:i-00000000000000000</UserId><Account>111111111111</Account></GetCallerIdentityResult>\
     <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
);

#[test]
fn the_callers_arn_is_a_witness() {
    let hardware = hardware();
    if hardware.contains("amazon") && hardware.contains("i-") {
        return; // this machine itself says which it is
    }
    let (sts, rude) = (Rude::start(STS), Rude::start(Manners::Close));
    let door = Door::open(&fleet(2, 0));
    let site = site(&door, Some(&rude.endpoint)).with("AWS_ENDPOINT_URL_STS", Some(&sts.endpoint));
    let ended = site.run(&["backup", "nightly", "--json"]).expect(0);
    let ends = ends(&ended);
    assert_eq!((ends[0].1.as_str(), ends[1].1.as_str()), ("skipped", "done"), "{ends:?}");
    assert_eq!((door.reboots(&instance(0)), door.reboots(&instance(1))), (0, 1));
    // It is no proof: nothing is bound to it.
    let file = fs::read_to_string(site.state().join("installation.json")).expect("read");
    assert!(!file.contains("i-00000000000000000"), "{file}");
}

#[test]
fn who_we_are_is_said_at_start() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    let mut daemon = site.spawn(&["run"]);
    let known = daemon.logged("caller.known");
    assert_eq!((&known["level"], &known["account"]), (&"INFO".into(), &"111111111111".into()));
    assert!(
        known["message"].as_str().is_some_and(|m| m.contains("arn:aws:iam::111111111111:user/simulated")),
        "{known}"
    );
    daemon.terminate();
    daemon.wait().expect(0);

    let refusing = Rude::start(Manners::Say(
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n\
         <ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>\
         <Message>The security token included in the request is invalid.</Message></Error></ErrorResponse>",
    ));
    let site = site.with("AWS_ENDPOINT_URL_STS", Some(&refusing.endpoint));
    let mut daemon = site.spawn(&["run"]);
    // READY does not wait for it.
    daemon.logged("config.applied");
    let unknown = daemon.logged("caller.unknown");
    assert_eq!(unknown["level"], "WARN");
    let said = unknown["message"].as_str().expect("a message");
    assert!(said.starts_with("who we are is not known: ") && said.contains("InvalidClientTokenId"), "{said}");
    daemon.terminate();
    daemon.wait().expect(0);
}
