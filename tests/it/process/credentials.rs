//! Where credentials come from, through the real SDK: files, programs, instance metadata; what fails once, what is
//! missing, and what is rotated under a running process.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use stillframe::clock::Clock;
use stillframe::sim::fleet::ACCOUNT;

use super::plan;
use crate::support::child::{of_level, until};
use crate::support::python;
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

const CONFIG: &str = "AWS_CONFIG_FILE";
const KEYS: &str = "AWS_SHARED_CREDENTIALS_FILE";

/// An installation without keys in its environment, but with these files.
fn site(door: &Door, config: &str, keys: &str) -> Site {
    let site = Site::new(door.env()).with("AWS_ACCESS_KEY_ID", None).with("AWS_SECRET_ACCESS_KEY", None);
    let (config_path, keys_path) = (site.path("aws-config"), site.path("aws-keys"));
    fs::write(&config_path, config).expect("written");
    fs::write(&keys_path, keys).expect("written");
    site.plan("nightly", &plan(1, ""));
    site.with(CONFIG, config_path.to_str()).with(KEYS, keys_path.to_str()).with("PATH", Some("/usr/bin:/bin"))
}

fn keys(id: &str, session: Option<&str>) -> String {
    let session = session.map(|s| format!("aws_session_token = {s}\n")).unwrap_or_default();
    format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = s\n{session}")
}

/// A session of a role of `account`, which ends so many seconds from now.
fn session(account: &str, seconds: i64) -> String {
    let ends = Clock::Wall.now() + chrono::TimeDelta::seconds(seconds);
    keys("ASIA", Some(&format!("simulated/{}/rotated/arn:aws:iam::{account}:role/stillframe", ends.timestamp())))
}

#[test]
fn a_program_that_fails_once_costs_nothing() {
    let door = Door::open(&fleet(1, 0));
    let site = site(&door, "", "");
    let (script, failed) = (site.path("give"), site.path("failed"));
    let json = format!(r#"{{"Version":1,"AccessKeyId":"{ACCOUNT}","SecretAccessKey":"s"}}"#);
    let text = format!(
        "#!/bin/sh\nif [ ! -e {0} ]; then touch {0}; echo not today >&2; exit 255; fi\necho '{json}'\n",
        failed.display()
    );
    fs::write(&script, text).expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("set");
    fs::write(site.path("aws-config"), format!("[default]\ncredential_process = {}\n", script.display())).expect("w");
    let ended = site.run(&["backup", "nightly", "--json"]).expect(0);
    assert!(failed.exists(), "it has failed once");
    assert!(of_level(&ended.log(), "ERROR").is_empty(), "{}", ended.stderr);
    assert_eq!(door.reboots(&instance(0)), 1);
}

#[test]
fn what_is_missing_is_named() {
    let door = Door::open(&fleet(1, 0));
    let sso = "[profile sso]\nsso_session = corp\nsso_account_id = 111111111111\nsso_role_name = r\n\
               [sso-session corp]\nsso_region = eu-central-1\nsso_start_url = http://127.0.0.1:1/start\n";
    for (profile, config, parts) in [
        ("nope", "", &["the AWS profile `nope`", "AWS_PROFILE"][..]),
        (
            "a",
            "[profile a]\nrole_arn = arn:aws:iam::111111111111:role/r\nsource_profile = gone\n",
            &["source_profile `gone`", "profile a"],
        ),
        (
            "login",
            "[profile login]\nlogin_session = arn:aws:iam::111111111111:user/x\n",
            &["`aws login`", "export-credentials"],
        ),
        ("sso", sso, &["`aws sso login --profile sso`"]),
    ] {
        let site = site(&door, config, "").with("AWS_PROFILE", Some(profile));
        let ended = site.run(&["preview"]);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_ne!(ended.code, Some(0), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        assert!(!said.contains("initialization error already taken"), "{said}");
    }
    assert!(door.calls("GetCallerIdentity").is_empty());
}

#[test]
fn keys_that_are_refused_are_read_anew() {
    let door = Door::open(&fleet(1, 0));
    let site = site(&door, "", &session(ACCOUNT, -60));
    let mut running = site.spawn(&["backup", "nightly", "--json"]);
    running.logged("cloud.failing");
    fs::write(site.path("aws-keys"), keys(ACCOUNT, None)).expect("rotated");
    let ended = running.wait().expect(0);
    assert!(of_level(&ended.log(), "ERROR").is_empty(), "{}", ended.stderr);
    assert_eq!(door.reboots(&instance(0)), 1);
}

#[test]
fn a_reload_reads_the_keys_anew_and_takes_none_of_another_account() {
    let door = Door::open(&fleet(1, 0));
    let site = site(&door, "", &keys(ACCOUNT, None));
    let mut running = site.spawn(&["run"]);
    running.logged("daemon.started");
    until("an answer about who we are", || (!door.calls("GetCallerIdentity").is_empty()).then_some(()));
    fs::write(site.path("aws-keys"), session(ACCOUNT, 3600)).expect("rotated");
    running.hang_up();
    running.logged("credentials.renewed");
    fs::write(site.path("aws-keys"), session("222222222222", 3600)).expect("rotated");
    running.hang_up();
    let kept = running.logged("credentials.kept");
    let why = kept["reason"].as_str().expect("a reason").to_owned();
    assert!(why.contains("222222222222") && why.contains(ACCOUNT), "{why}");
    running.terminate();
    running.wait().expect(0);
}

/// A metadata service that gives keys of ours; its host and port.
fn metadata() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let ends = Clock::Wall.now() + chrono::TimeDelta::hours(1);
    let session = format!("simulated/{}/i-0/arn:aws:iam::{ACCOUNT}:role/stillframe", ends.timestamp());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let lines = BufReader::new(stream.try_clone().expect("the same")).lines();
            let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let first = head.first().cloned().unwrap_or_default();
            let body = match first.split(' ').nth(1).unwrap_or_default() {
                "/latest/api/token" => "token".to_owned(),
                "/latest/meta-data/instance-id" => "i-0aaaaaaaaaaaaaaaa".to_owned(),
                "/latest/meta-data/iam/security-credentials/" => "role".to_owned(),
                _ => format!(
                    r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"{ACCOUNT}","SecretAccessKey":"s","Token":"{session}","Expiration":"2099-01-01T00:00:00Z"}}"#
                ),
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()); // whoever asked may have gone
        }
    });
    port
}

#[test]
fn instance_metadata_is_asked_directly_whatever_proxies_there_are() {
    let door = Door::open(&fleet(1, 0));
    // By name, so that the door alone needs no proxy; nothing listens where the proxy should be.
    let endpoint = format!("http://localhost:{}", metadata());
    let site = site(&door, "", "")
        .with("AWS_EC2_METADATA_DISABLED", Some("false"))
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", Some(&endpoint))
        .with("HTTP_PROXY", Some("http://127.0.0.1:1"))
        .with("HTTPS_PROXY", Some("http://127.0.0.1:1"))
        .with("NO_PROXY", Some("127.0.0.1"));
    site.run(&["preview"]).expect(0);
    assert!(!door.calls("DescribeInstances").is_empty());
}

/// One line on stderr, and exit 1.
fn refused(site: &Site, parts: &[&str]) {
    for args in [&["preview"][..], &["run"], &["backup", "nightly"]] {
        let ended = site.run(args).expect(1);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        for part in parts {
            assert!(said.contains(part), "{args:?}: {part:?} is not in {said}");
        }
        assert!(!said.contains("panicked") && !said.contains("Error {"), "{said}");
    }
}

#[test]
fn without_certificates_it_says_what_to_install() {
    let door = Door::open(&fleet(1, 0));
    let none = |site: Site| site.with("SSL_CERT_FILE", Some("/nonexistent")).with("SSL_CERT_DIR", Some("/nonexistent"));
    let bare = || none(site(&door, "", &keys(ACCOUNT, None)));
    refused(&bare().with("AWS_ENDPOINT_URL", None), &["ca-certificates", "AWS_CA_BUNDLE"]);
    let ended = bare().run(&["backup", "nightly", "--json"]).expect(0);
    let log = ended.log();
    let warning = of_level(&log, "WARN").into_iter().find(|line| line["event"] == "cloud.no_certificates");
    let why = warning.expect("a warning")["reason"].as_str().expect("a reason").to_owned();
    assert!(why.contains("ca-certificates") && why.contains("http://"), "{why}");
    assert_eq!(door.reboots(&instance(0)), 1);
}

#[test]
fn what_the_environment_names_wrongly_is_said_in_one_line() {
    let door = Door::open(&fleet(1, 0));
    let site = || site(&door, "", &keys(ACCOUNT, None));
    refused(&site().with("AWS_ENDPOINT_URL", Some("garbage")), &["AWS_ENDPOINT_URL is `garbage`, which is no URL"]);
    refused(&site().with("AWS_CA_BUNDLE", Some("/nonexistent.pem")), &["AWS_CA_BUNDLE", "/nonexistent.pem"]);
    refused(&site().with("AWS_CA_BUNDLE", Some("/dev/zero")), &["AWS_CA_BUNDLE", "it is no file"]);
}

/// Certificates of one's own are trusted, and instead of all others.
#[test]
fn a_bundle_of_certificates_counts() {
    let door = Door::open(&fleet(1, 0));
    let dir = tempfile::tempdir().expect("a directory");
    let mut sts = python::script("tls_sts.py");
    let mut sts = sts.arg(dir.path()).arg(ACCOUNT).stdin(Stdio::piped()).spawn().expect("started");
    let port = until("the port of an STS over TLS", || fs::read_to_string(dir.path().join("port")).ok());
    let backup = |bundle: &str| {
        let bundle = dir.path().join(bundle);
        let site = Site::new(door.env())
            .with("AWS_ENDPOINT_URL_STS", Some(&format!("https://127.0.0.1:{port}")))
            .with("AWS_CA_BUNDLE", bundle.to_str());
        site.plan("nightly", &plan(1, ""));
        site.run(&["preview", "--json"])
    };
    let trusted = backup("ca.pem").expect(0).document();
    let targets = trusted["preview"]["plans"][0]["targets"].as_array().map(Vec::len);
    assert_eq!(targets, Some(1), "{trusted}");
    let other = backup("other.pem").document();
    let faults = other["preview"]["plans"][0]["faults"].to_string();
    assert!(faults.contains("cannot tell which account this is"), "{other}");
    drop(sts.stdin.take()); // it ends with that
    sts.wait().expect("ended");
}
