//! What the service manager is told: READY, STATUS, RELOADING, STOPPING, and that the engine is alive.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use super::{plan, plan_at};
use crate::support::child::until;
use crate::support::manager::Manager;
use crate::support::site::Site;
use crate::support::world::{Door, fleet};

fn place(list: &[String], beginning: &str) -> usize {
    list.iter().position(|line| line.starts_with(beginning)).unwrap_or_else(|| panic!("no {beginning}: {list:?}"))
}

#[test]
fn the_life_of_a_service() {
    let door = Door::open(&fleet(2, 0));
    let (mut manager, site) = Manager::of(Site::new(door.env()), Some(Duration::from_secs(30)));
    site.plan("nightly", &plan(1, ""));
    let mut daemon = site.spawn(&["run"]);
    manager.hears_times("WATCHDOG=1", 3);
    let begun = manager.heard().to_vec();
    assert!(place(&begun, "READY=1") < place(&begun, "WATCHDOG=1"), "{begun:?}");
    let status = &begun[place(&begun, "STATUS=")];
    assert!(status.starts_with("STATUS=next nightly 20") && status.ends_with("01-01 00:00"), "{status}");

    door.images_take_long();
    let backup = site.spawn(&["backup", "nightly"]);
    manager.hears(&format!("{status}; nightly imaging 0/2"));
    door.images_are_quick();
    door.complete();
    backup.wait().expect(0);

    manager.forget();
    daemon.hang_up();
    manager.hears("READY=1");
    let reloaded = manager.heard().to_vec();
    let order = ["RELOADING=1", "MONOTONIC_USEC=", "READY=1"].map(|line| place(&reloaded, line));
    assert!(order.is_sorted(), "{reloaded:?}");

    manager.forget();
    daemon.terminate();
    daemon.wait().expect(0);
    let ended = manager.heard().to_vec();
    assert!(place(&ended, "STOPPING=1") < place(&ended, "STATUS=stopping"), "{ended:?}");
    // The drain deadline of these tests, and ten seconds.
    assert!(ended.contains(&"EXTEND_TIMEOUT_USEC=610000000".to_owned()), "{ended:?}");
}

#[test]
fn without_a_watchdog_nobody_is_fed() {
    let door = Door::open(&fleet(1, 0));
    let (mut manager, site) = Manager::of(Site::new(door.env()), None);
    site.plan("nightly", &plan_at("* * * * * *", 1, ""));
    let mut daemon = site.spawn(&["run"]);
    manager.hears("READY=1");
    daemon.logged_times("run.finished", 2);
    daemon.terminate();
    daemon.wait().expect(0);
    assert!(!manager.heard().contains(&"WATCHDOG=1".to_owned()));
}

#[test]
fn a_manager_that_does_not_listen_holds_nobody() {
    let door = Door::open(&fleet(1, 0));
    // Its socket takes a few messages, and nobody ever reads them.
    let (_manager, site) = Manager::of(Site::new(door.env()), Some(Duration::from_secs(30)));
    let full = fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").expect("the length of the queue");
    site.plan("nightly", &plan(1, ""));
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    let path = site.path("notify");
    let sender = UnixDatagram::unbound().expect("a socket");
    sender.set_nonblocking(true).expect("set");
    until(&format!("a queue of {} that is full", full.trim()), || sender.send_to(b"X=1\n", &path).err());
    site.run(&["backup", "nightly"]).expect(0);
    let said = daemon.logged("notify.failed");
    assert_eq!(said["level"], "WARN");
    daemon.terminate();
    daemon.wait().expect(0);
}

#[test]
fn a_hung_engine_is_not_fed() {
    let (mut manager, site) = Manager::of(Site::new(Vec::new()), Some(Duration::from_secs(1)));
    site.settings(
        "[daemon]\nname = \"it\"\nstate_dir = \"state\"\ndrain_deadline = \"1s\"\n[cloud]\nbackend = \"sim\"\nstatus_lag = \"1s\"\nshutdown_limit = \"1s\"\n",
    );
    site.plan(
        "often",
        "schedule.cron = \"*/2 * * * * *\"\nselect.tags.Backup = \"nightly\"\nkeep.last = 1\nconsistency.mode = \"none\"\n",
    );
    let log = site.path("log");
    assert!(Command::new("mkfifo").arg(&log).status().expect("mkfifo is there").success());
    let mut pipe = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&log).expect("opened");
    let stderr = File::options().write(true).open(&log).expect("opened");
    let mut daemon = site.spawn_to(&["run"], None, Some(stderr.into()));
    manager.hears_times("WATCHDOG=1", 3);
    // A log that nobody reads holds the engine in the middle of a line, as a file system that hangs does.
    let mut fill = || while pipe.write(&[b' '; 512]).is_ok() || pipe.write(b" ").is_ok() {};
    fill();
    #[allow(clippy::disallowed_methods)] // another process is watched: there is only real time
    let silent = |manager: &mut Manager| {
        manager.forget();
        std::thread::sleep(Duration::from_secs(4));
        manager.heard().is_empty()
    };
    until("silence", || silent(&mut manager).then_some(()));
    assert!(!daemon.ended(), "it hangs");
    assert!(silent(&mut manager), "and goes on hanging");
    // Somebody reads: it was the engine that hung, and it goes on.
    let mut read = || while pipe.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {};
    until("three signs of life", || {
        read();
        (manager.heard().iter().filter(|line| *line == "WATCHDOG=1").count() >= 3).then_some(())
    });
    daemon.terminate();
    until("the end", || {
        read();
        daemon.ended().then_some(())
    });
}
