//! SIGHUP through the real program, while a run is in progress.

use std::fs;
use std::path::Path;

use super::{plan, plan_at};
use crate::support::child::{of_event, of_level, until};
use crate::support::site::{OLDER_ZONES, Site, ZONES};
use crate::support::world::{Door, fleet};

/// A daemon with a run of `nightly` whose two images are pending.
fn begun() -> (Door, Site, crate::support::child::Proc, crate::support::child::Proc) {
    let door = Door::open(&fleet(2, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(2, ""));
    door.images_take_long();
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    let backup = site.spawn(&["backup", "nightly", "--json"]);
    until("both CreateImage", || (door.calls("CreateImage").len() == 2).then_some(()));
    (door, site, daemon, backup)
}

#[test]
fn a_good_file_comes_into_force_while_a_run_goes_on() {
    let (door, site, mut daemon, backup) = begun();
    fs::remove_file(site.config().join("plans.d/nightly.toml")).expect("removed");
    site.plan("often", &plan_at("*/10 * * * * *", 2, ""));
    daemon.hang_up();
    let applied = daemon.logged_times("config.applied", 2);
    assert_eq!(applied["reason"], "1 plan: often; added: often; removed: nightly");
    door.images_are_quick();
    // The new plan runs, the old one's run waits for its images still.
    until("a run of the new plan", || {
        site.history().into_iter().find(|run| run["plan"] == "often" && run["outcome"] == "done")
    });
    door.complete();
    let document = backup.wait().expect(0).document();
    assert_eq!((&document["plan"], &document["outcome"]), (&"nightly".into(), &"done".into()));
    // What the reload took away can be asked for no more.
    let unknown = site.run(&["backup", "nightly"]).expect(2);
    assert!(unknown.stderr.contains("no plan `nightly`"), "{}", unknown.stderr);
    daemon.terminate();
    let ended = daemon.wait().expect(0);
    assert!(of_level(&ended.log(), "ERROR").is_empty(), "{}", ended.stderr);
}

/// A new package of zone files comes into force like a new plan, and `status` and `check` say whose rules are in use.
#[test]
fn newer_zone_files_come_into_force() {
    let zones = tempfile::tempdir().expect("a directory");
    let at = zones.path().to_str().expect("text").to_owned();
    let put = |from: &str| {
        for name in ["tzdata.zi", "America/Vancouver"] {
            fs::create_dir_all(zones.path().join("America")).expect("made");
            let _ = fs::copy(Path::new(from).join(name), zones.path().join(name)); // the older ones are no more than a version
        }
    };
    put(OLDER_ZONES);
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env()).with("TZDIR", Some(&at));
    // 02:30 is 09:30 UTC all the year since 2026f, and was 10:30 in winter before.
    let winter = "schedule.timezone = \"America/Vancouver\"\n";
    site.plan("nightly", &format!("{winter}{}", plan_at("30 2 15 1 *", 1, "")));
    let mut daemon = site.spawn(&["run"]);
    assert_eq!(daemon.logged("config.zones")["message"], "time zones of 2025b, compiled in");
    daemon.logged("config.applied");
    put(ZONES);
    daemon.hang_up();
    daemon.logged_times("config.applied", 2);
    let newer = daemon.logged_times("config.zones", 2);
    assert_eq!(newer["message"], format!("time zones of 2026f, the system's ({at})"));
    let status = site.run(&["status", "--json"]).expect(0).document();
    let zones = serde_json::json!({ "source": "system", "version": "2026f", "directory": at });
    assert_eq!(status["status"]["zones"], zones);
    let next = status["status"]["plans"][0]["next"].as_str().expect("a time");
    assert!(next.ends_with("-01-15T09:30:00Z"), "{next}");
    assert!(site.run(&["status"]).expect(0).stdout.contains("\ntime zones of 2026f, the system's"));
    // What is damaged does not stop a reload: the compiled rules stand in, with a WARN.
    fs::write(Path::new(&at).join("America/Vancouver"), "TZif").expect("written");
    daemon.hang_up();
    daemon.logged_times("config.applied", 3);
    daemon.terminate();
    let ended = daemon.wait().expect(0);
    let log = ended.log();
    let warned = of_event(&log, "config.warning");
    let damaged =
        warned.iter().any(|w| w["reason"].as_str().is_some_and(|r| r.contains("America/Vancouver cannot be used")));
    assert!(damaged, "{}", ended.stderr);
}

#[test]
fn a_bad_file_changes_nothing() {
    let (door, site, mut daemon, backup) = begun();
    site.plan("other", &plan_at("* * * * * *", 2, ""));
    site.plan("nightly", "schedule.cron = \"* * * * * *\"\nselect.tags.Backup = \"nightly\"\n[keep]\ndayly = 7\n");
    daemon.hang_up();
    let refused = daemon.logged("config.refused");
    let reason = refused["reason"].as_str().expect("a reason");
    for part in ["the old one stays in force", "nightly.toml:4:1: keep.dayly", "did you mean", "`stillframe check`"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert_eq!(refused["level"], "ERROR");
    // Whoever looks meanwhile sees the rest, and that somebody must mend it.
    let status = site.run(&["status", "--json"]).expect(1);
    let needs = status.document()["status"]["needs_person"].to_string();
    for part in ["the configuration has 1 error", "nightly.toml:4:1: keep.dayly"] {
        assert!(needs.contains(part), "{part}: {needs}");
    }
    assert!(status.stderr.contains("unknown key"), "{}", status.stderr);
    assert!(site.run(&["history"]).expect(0).stdout.contains("nightly@"));
    door.images_are_quick();
    door.complete();
    backup.wait().expect(0);
    // Mended, it comes into force.
    fs::remove_file(site.config().join("plans.d/other.toml")).expect("removed");
    site.plan("nightly", &plan(1, ""));
    daemon.hang_up();
    let applied = daemon.logged_times("config.applied", 2);
    assert_eq!(applied["reason"], "1 plan: nightly; changed: nightly");
    assert_eq!(site.run(&["status", "--json"]).document()["status"]["needs_person"], serde_json::json!([]));
    daemon.terminate();
    let ended = daemon.wait().expect(0);
    assert!(site.history().iter().all(|run| run["plan"] == "nightly"), "the other plan was never in force");
    assert_eq!(of_event(&ended.log(), "config.refused").len(), 1, "{}", ended.stderr);
}

#[test]
fn settings_that_take_a_restart_are_refused_whole() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    let settings = fs::read_to_string(site.config().join("stillframe.toml")).expect("read");
    site.settings(&settings.replace("name = \"it\"", "name = \"other\"").replace("api_share = 1.0", "api_share = 0.4"));
    site.plan("often", &plan_at("* * * * * *", 1, ""));
    daemon.hang_up();
    let reason = daemon.logged("config.refused")["reason"].to_string();
    for part in ["daemon.name, cloud.api_share changed", "systemctl restart stillframe", "plans included"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    // What can be changed at once is: the level, and how long a stop waits.
    let changed = settings.replace("\"10m\"", "\"1s\"");
    site.settings(&format!("{changed}[log]\nlevel = \"warn\"\n"));
    fs::remove_file(site.config().join("plans.d/often.toml")).expect("removed");
    daemon.hang_up();
    daemon.logged_times("config.applied", 2);
    door.fault("CreateImage", stillframe::sim::faults::FaultKind::HangAfter { seconds: 3600.0 });
    let backup = site.spawn(&["backup", "nightly"]);
    until("CreateImage", || door.calls("CreateImage").pop());
    daemon.terminate();
    let ended = daemon.wait().expect(1);
    let log = ended.log();
    assert_eq!(of_event(&log, "daemon.cut")[0]["reason"], "the drain deadline is over", "{}", ended.stderr);
    assert!(of_event(&log, "run.started").is_empty(), "of the level INFO: {}", ended.stderr);
    backup.wait().expect(1);
}
