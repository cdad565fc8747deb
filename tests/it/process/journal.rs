//! The journal is damaged or gone: the file is kept, and a new one is rebuilt from the tags of the images.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::{plan, plan_at};
use crate::support::child::{Ended, of_event, of_level};
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

/// An installation that has made one image of each of two instances.
fn used() -> (Door, Site) {
    let door = Door::open(&fleet(2, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(2, ""));
    site.run(&["backup", "nightly"]).expect(0);
    (door, site)
}

fn journal(site: &Site) -> PathBuf {
    site.state().join("journal.sqlite")
}

/// The journals that were kept aside.
fn aside(site: &Site) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.state()).expect("a state directory");
    let name = |path: &PathBuf| path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
    let mut found: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    found.retain(|path| {
        name(path).starts_with("journal.sqlite.corrupt-")
            && !name(path).ends_with("-wal")
            && !name(path).ends_with("-shm")
    });
    found.sort();
    found
}

/// Overwrites the pages from `first` (from 0) on.
fn trample(site: &Site, first: u64) {
    let file = File::options().write(true).open(journal(site)).expect("the journal");
    let pages = file.metadata().expect("its size").len() / 4096;
    assert!(pages > first, "only {pages} pages");
    for page in first..pages {
        file.write_all_at(&[0xA5; 4096], page * 4096).expect("written");
    }
}

/// What the log of a start says that has replaced the journal.
fn assert_replaced(site: &Site, ended: &Ended, content: &[u8]) {
    let log = ended.log();
    let corrupt = of_event(&log, "journal.corrupt");
    assert_eq!((corrupt.len(), corrupt[0]["level"].as_str()), (1, Some("ERROR")), "{}", ended.stderr);
    let kept = aside(site);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let message = corrupt[0]["message"].as_str().expect("a message");
    assert!(message.contains(&kept[0].display().to_string()) && message.contains("rebuilt"), "{message}");
    assert!(fs::read(&kept[0]).expect("kept") == content, "it is kept as it was found");
    assert_eq!(of_event(&log, "journal.rebuilt").len(), 1, "{}", ended.stderr);
}

#[test]
fn a_file_that_is_no_journal_is_kept_aside_and_rebuilt() {
    let (door, site) = used();
    fs::write(journal(&site), "not a database, but long enough to be looked at".repeat(100)).expect("written");
    let content = fs::read(journal(&site)).expect("read");
    // Readers say so and touch nothing.
    let history = site.run(&["history"]).expect(1);
    assert!(history.stderr.contains("is damaged (file is not a database)"), "{}", history.stderr);
    assert!(history.stderr.contains("keeps the file aside and rebuilds"), "{}", history.stderr);
    assert_eq!(fs::read(journal(&site)).expect("read"), content);

    let ended = site.run(&["backup", "nightly"]).expect(0);
    assert_replaced(&site, &ended, &content);
    let runs = site.history();
    assert_eq!(runs.len(), 2, "the one that the tags prove, and the new one");
    assert_eq!(runs[0]["targets"].as_array().map(Vec::len), Some(2), "{}", runs[0]);
    assert!(runs.iter().all(|run| run["outcome"] == "done"), "{runs:?}");
    assert_eq!((door.reboots(&instance(0)), door.reboots(&instance(1))), (2, 2));
    // Once is enough, and a second damaged file does not take the place of the first.
    let again = site.run(&["backup", "nightly"]).expect(0);
    assert!(of_level(&again.log(), "ERROR").is_empty(), "{}", again.stderr);
    fs::write(journal(&site), "not a database either".repeat(100)).expect("written");
    site.run(&["backup", "nightly"]).expect(0);
    assert_eq!(aside(&site).len(), 2);
}

#[test]
fn a_damaged_page_is_found_after_an_unclean_stop() {
    let (_door, site) = used();
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    daemon.kill();
    assert!(fs::metadata(site.state().join("journal.sqlite-wal")).is_ok_and(|wal| wal.len() > 0));
    trample(&site, 3);
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("journal.rebuilt");
    daemon.terminate();
    let ended = daemon.wait().expect(0);
    assert_eq!(of_event(&ended.log(), "journal.corrupt").len(), 1, "{}", ended.stderr);
    let kept = aside(&site);
    assert_eq!(kept.len(), 1);
    assert!(PathBuf::from(format!("{}-wal", kept[0].display())).exists(), "its log is kept beside it");
    assert_eq!(site.history().len(), 1);
}

/// Damage that shows only while running ends the process, and the next start replaces the file.
#[test]
fn damage_met_while_running_is_alarmed_and_replaced_by_the_next_start() {
    let (_door, site) = used();
    trample(&site, 2); // after a clean stop: nothing is looked at as a whole
    let daemon = site.spawn(&["run"]);
    let alarm = crate::support::child::until("an alarm", || {
        daemon.log().into_iter().find(|line| line["level"] == "ERROR" && line.to_string().contains("is damaged"))
    });
    assert!(alarm.to_string().contains("start the stillframe daemon (again)"), "{alarm}");
    daemon.wait().expect(1);
    assert!(aside(&site).is_empty());
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("journal.rebuilt");
    daemon.terminate();
    daemon.wait().expect(0);
    assert_eq!((aside(&site).len(), site.history().len()), (1, 1));
}

#[test]
fn with_the_journal_gone_what_is_pending_is_gone_on_with() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    door.images_take_long();
    let mut backup = site.spawn(&["backup", "nightly"]);
    backup.logged("slot.freed");
    backup.kill();
    for file in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"] {
        fs::remove_file(site.state().join(file)).expect("removed");
    }
    let mut daemon = site.spawn(&["run"]);
    let rebuilt = daemon.logged("journal.rebuilt");
    assert!(
        rebuilt["reason"]
            .as_str()
            .is_some_and(|why| why.contains("occurrences: 1, from images: 1; of these going on: 1")),
        "{rebuilt}"
    );
    door.complete();
    daemon.logged("run.finished");
    daemon.terminate();
    daemon.wait().expect(0);
    let runs = site.history();
    assert_eq!((runs.len(), &runs[0]["outcome"]), (1, &"done".into()));
    assert_eq!(door.reboots(&instance(0)), 1);
}

#[test]
fn with_the_whole_state_directory_gone_a_person_takes_over_and_it_is_rebuilt() {
    let (door, site) = used();
    fs::remove_dir_all(site.state()).expect("removed");
    let barred = site.run(&["backup", "nightly"]).expect(1);
    assert!(barred.stderr.contains("run --take-over"), "{}", barred.stderr);
    assert_eq!(door.reboots(&instance(0)), 1);
    // This installation has a journal of its own already, of a run that was barred.
    let mut daemon = site.spawn(&["run", "--take-over"]);
    daemon.logged("journal.rebuilt");
    site.run(&["backup", "nightly"]).expect(0);
    daemon.terminate();
    daemon.wait().expect(0);
    let outcomes = || site.history().iter().map(|run| run["outcome"].clone()).collect::<Vec<_>>();
    assert_eq!(outcomes(), ["done", "failed", "done"], "what was proven, the barred one, the new one");

    // The same at once, and an ordinary start after it.
    fs::remove_dir_all(site.state()).expect("removed");
    let mut daemon = site.spawn(&["run", "--take-over"]);
    daemon.logged("journal.rebuilt");
    daemon.terminate();
    daemon.wait().expect(0);
    assert_eq!(outcomes(), ["done", "done"]);
    let again = site.run(&["backup", "nightly"]).expect(0);
    assert!(of_event(&again.log(), "journal.rebuilding").is_empty(), "{}", again.stderr);
}

#[test]
fn an_unreachable_endpoint_holds_back_a_rebuild_and_not_the_start() {
    let (door, site) = used();
    fs::remove_file(journal(&site)).expect("removed");
    site.plan("often", &plan_at("* * * * * *", 1, ""));
    let dead = crate::support::rude::dead_endpoint();
    let site = site.with("AWS_ENDPOINT_URL", Some(&dead));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    let alarm = crate::support::child::until("an alarm", || {
        daemon.log().into_iter().find(|line| line["event"] == "journal.rebuilding" && line["level"] == "ERROR")
    });
    assert!(alarm["reason"].as_str().is_some_and(|why| why.contains(&dead)), "{alarm}");
    daemon.terminate();
    daemon.wait().expect(0);
    assert!(site.history().is_empty());
    drop(door);
}

/// Somebody removes the state directory under a running daemon: it notices, begins nothing more, and goes on once the
/// directory is back.
#[test]
fn a_state_directory_that_goes_away_is_noticed_and_nothing_is_begun_without_it() {
    let (door, site) = used();
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("daemon.started");
    let away = site.path("away");
    fs::rename(site.state(), &away).expect("moved");
    daemon.logged("state.gone");
    site.plan("nightly", &plan_at("* * * * * *", 2, ""));
    daemon.hang_up();
    let skipped = daemon.logged("occurrence.skipped");
    assert!(skipped["reason"].as_str().is_some_and(|why| why.contains("removed or replaced")), "{skipped}");
    assert_eq!(door.reboots(&instance(0)), 1, "nothing is begun");
    fs::rename(&away, site.state()).expect("moved back");
    daemon.logged("state.back");
    daemon.terminate();
    daemon.wait().expect(0);
}
