//! What others read: the lines of the log, and the door of `stillframe sim` as boto3 sees it.

use std::process::Command;

use serde_json::Value;

use super::{plan, plan_at};
use crate::support::child::{self, of_event, texts};
use crate::support::python;
use crate::support::sim::Sim;
use crate::support::site::{DAEMON, REGION, Site, here};
use crate::support::world::{Door, env, fleet, instance};

/// What every line must hold.
fn assert_lines(log: &[Value]) {
    assert!(!log.is_empty());
    let mut last = "";
    for line in log {
        let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {line}"));
        let ts = text("ts");
        assert!(ts.len() == 24 && ts.ends_with('Z') && ts >= last, "{line} after {last}");
        last = ts;
        assert!(["ERROR", "WARN", "INFO"].contains(&text("level")), "{line}");
        assert!(text("event").contains('.'), "{line}");
        assert_eq!(text("daemon"), DAEMON, "{line}");
    }
}

#[test]
fn every_line_of_a_backup_is_json_and_the_last_of_a_run_sums_it_up() {
    let door = Door::open(&fleet(3, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(3, ""));
    let ended = site.run(&["backup", "nightly", "--json"]).expect(0);
    let (log, document) = (ended.log(), ended.document());
    assert_lines(&log);
    let summaries = of_event(&log, "run.finished");
    assert_eq!(summaries.len(), 1, "{}", ended.stderr);
    let counts = ["done", "failed", "skipped", "deleted"].map(|key| summaries[0][key].as_u64());
    assert_eq!(counts, [Some(3), Some(0), Some(0), Some(0)]);
    assert_eq!(summaries[0]["run"], document["run"]);
    assert_eq!(summaries[0]["outcome"], "done");
    assert!(summaries[0]["elapsed_ms"].as_i64().is_some_and(|elapsed| elapsed > 0));
    let of_run: Vec<Value> = log.iter().filter(|line| line["run"] == document["run"]).cloned().collect();
    assert_eq!(texts(&of_run, "event").last(), Some(&"run.finished"));
    // Each target's way can be followed by its id.
    for target in document["targets"].as_array().expect("targets") {
        let its: Vec<Value> = log.iter().filter(|line| line["instance"] == target["instance"]).cloned().collect();
        let events = texts(&its, "event");
        for event in ["slot.taken", "step.intent", "step.done", "step.observed", "slot.freed", "target.finished"] {
            assert!(events.contains(&event), "{event} of {target} is not in {events:?}");
        }
        assert!(its.iter().any(|line| line["image"] == target["image"] && line["aws_request_id"].is_string()));
        assert!(its.iter().all(|line| line["region"] == REGION && line["plan"] == "nightly"));
    }
}

#[test]
fn every_line_of_a_daemon_is_json_and_each_run_has_one_summary() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan_at("*/2 * * * * *", 1, ""));
    let mut daemon = site.spawn(&["run"]);
    child::until("two summaries", || (of_event(&daemon.log(), "run.finished").len() >= 2).then_some(()));
    daemon.terminate();
    let ended = daemon.wait().expect(0);
    assert_eq!(ended.stdout, "", "facts only");
    let log = ended.log();
    assert_lines(&log);
    let mut runs: Vec<&str> = of_event(&log, "run.finished").iter().filter_map(|line| line["run"].as_str()).collect();
    let summaries = runs.len();
    runs.dedup();
    assert_eq!(runs.len(), summaries, "one each");
}

#[test]
fn the_log_can_be_text_and_quieter() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env()).with("STILLFRAME_LOG__FORMAT", Some("text"));
    site.plan("nightly", &plan(1, ""));
    let ended = site.run(&["backup", "nightly"]).expect(0);
    let summary = ended.stderr.lines().find(|line| line.contains("run.finished")).expect("a summary");
    assert!(summary.contains("INFO") && summary.contains("nightly@") && summary.contains(" done "), "{summary}");
    assert!(!ended.stderr.contains('\x1b'), "no colours in a file");
    let site = site.with("STILLFRAME_LOG__LEVEL", Some("error"));
    assert_eq!(site.run(&["backup", "nightly"]).expect(0).stderr, "");
    assert_eq!(door.reboots(&instance(0)), 2);
}

fn boto3(script: &str, sim: &Sim) {
    let output = Command::new(python::venv().join("bin/python"))
        .arg(here().join(script))
        .arg(&sim.endpoint)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("the Python environment has an interpreter");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.starts_with("ok: "), "{out}{err}");
}

#[test]
fn boto3_understands_the_door() {
    boto3("boto3_door.py", &Sim::start(&["--speed", "20"]));
}

#[test]
fn boto3_shares_and_copies_between_accounts() {
    let fleet = serde_json::json!({
        "regions": ["eu-central-1", "eu-west-1"],
        "image_seconds": [20, 40],
        "reboot_seconds": 20,
        "accounts": [{
            "id": "222222222222",
            "roles": [{"name": "stillframe", "external_id": "s3cret", "trusts": ["111111111111"]}],
            "regions": {"eu-central-1": {"allowed_images": "enabled", "image_providers": ["amazon", "111111111111"]}},
        }],
        "keys": [{"alias": "alias/backup"}, {"alias": "alias/theirs", "account": "222222222222", "region": "eu-west-1"}],
        "instances": [{"tags": {"Backup": "nightly"}, "volumes": 2, "kms_key": "alias/backup"}],
    });
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("fleet.json");
    std::fs::write(&file, fleet.to_string()).expect("written");
    boto3("boto3_sharing.py", &Sim::start(&["--fleet", file.to_str().expect("UTF-8"), "--speed", "20"]));
}

#[test]
fn two_processes_over_a_socket() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("fleet.json");
    std::fs::write(&file, serde_json::to_string(&fleet(2, 1)).expect("JSON")).expect("written");
    let sim = Sim::start(&["--fleet", file.to_str().expect("UTF-8"), "--speed", "20"]);
    let site = Site::new(env(&sim.endpoint));
    site.plan("nightly", &plan(2, ""));
    site.run(&["backup", "nightly"]).expect(0);
    let calls = sim.get("calls?api=CreateImage");
    let sent: Vec<_> = calls.as_array().expect("calls").iter().map(|call| &call["parameters"]["NoReboot"]).collect();
    assert_eq!(sent, ["false", "false"]);
    assert_eq!(sim.get("world")["images"].as_object().map(serde_json::Map::len), Some(2));
}
