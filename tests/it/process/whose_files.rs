//! The files of the state directory: no link is followed, and whatever the umask, nothing is for others.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::{plan, plan_at};
use crate::support::child::until;
use crate::support::site::Site;
use crate::support::world::{Door, fleet};

const SIM: &str = "[daemon]\nname = \"it\"\nstate_dir = \"state\"\n[cloud]\nbackend = \"sim\"\n";

/// Names and modes of all that is in `dir`.
fn modes(dir: &Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(dir).expect("listed").map(|entry| entry.expect("an entry"));
    let mode = |path: &Path| fs::symlink_metadata(path).ok().map(|meta| meta.permissions().mode() & 0o7777);
    let named = |entry: fs::DirEntry| Some((entry.file_name().to_string_lossy().into_owned(), mode(&entry.path())?));
    let mut found: Vec<(String, u32)> = entries.filter_map(named).collect();
    found.sort();
    found
}

#[test]
fn whatever_the_umask_the_group_reads_and_others_do_not() {
    for umask in ["000", "022", "077"] {
        let door = Door::open(&fleet(1, 0));
        for backend in ["aws", "sim"] {
            let site = Site::new(door.env());
            if backend == "sim" {
                site.settings(SIM);
            }
            site.plan(
                "often",
                &plan_at("*/2 * * * * *", 1, "").replace("[rollout]", "consistency.mode = \"none\"\n[rollout]"),
            );
            let mut daemon = site.spawn_after(&format!("umask {umask}"), &["run"]);
            daemon.logged("run.finished");
            until("the listing", || site.state().join("census.json").exists().then_some(()));
            let journal = ["journal.sqlite", "journal.sqlite-shm", "journal.sqlite-wal"];
            let mut expected = [&["census.json", "installation.json"], &journal[..], &["lock"]].concat();
            if backend == "sim" {
                expected.push("world.json");
            }
            let expected: Vec<(String, u32)> = expected.into_iter().map(|name| (name.to_owned(), 0o640)).collect();
            // What replaces a file is beside it for a moment, and no more open than the file.
            let (temporary, lasting): (Vec<_>, Vec<_>) =
                modes(&site.state()).into_iter().partition(|(name, _)| name.starts_with('.'));
            assert!(temporary.iter().all(|(_, mode)| mode & 0o137 == 0), "{umask} {backend}: {temporary:?}");
            assert_eq!(lasting, expected, "{umask} {backend}");
            daemon.terminate();
            daemon.wait().expect(0);
            let own = fs::metadata(site.state()).expect("there").permissions().mode() & 0o7777;
            assert_eq!(own, 0o750, "{umask}: the directory");
        }
    }
}

#[test]
fn what_an_earlier_version_left_for_others_is_closed() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, ""));
    site.run(&["backup", "nightly"]).expect(0);
    for (name, _) in modes(&site.state()) {
        fs::set_permissions(site.state().join(name), fs::Permissions::from_mode(0o666)).expect("set");
    }
    let mut daemon = site.spawn(&["run"]);
    daemon.logged("config.applied");
    let open: Vec<_> = modes(&site.state()).into_iter().filter(|(_, mode)| mode & 0o027 != 0).collect();
    assert!(open.is_empty(), "{open:?}");
    daemon.terminate();
    daemon.wait().expect(0);
}

#[test]
fn no_link_is_followed() {
    let door = Door::open(&fleet(1, 0));
    for (nth, name) in ["lock", "journal.sqlite", "installation.json", "world.json"].into_iter().enumerate() {
        // Where it leads to: a file of somebody's, or none yet.
        for there in [true, false] {
            let site = Site::new(door.env());
            site.plan("nightly", &plan(1, ""));
            let args: &[&str] = if nth == 3 { &["run"] } else { &["backup", "nightly"] };
            if nth == 3 {
                site.settings(SIM);
            }
            let victim = site.path("victim");
            if there {
                fs::write(&victim, "theirs").expect("written");
                fs::set_permissions(&victim, fs::Permissions::from_mode(0o644)).expect("set");
            }
            fs::create_dir(site.state()).expect("made");
            if name == "journal.sqlite" {
                // Else it is the missing one that is refused.
                let installation =
                    r#"{"installation":"11111111-1111-4111-8111-111111111111","instance":null,"machine_id":null}"#;
                fs::write(site.state().join("installation.json"), installation).expect("written");
            }
            symlink(&victim, site.state().join(name)).expect("made");
            let ended = site.run(args).expect(1);
            for part in ["symbolic link", name] {
                assert!(ended.stderr.contains(part), "{part:?} is not in {}", ended.stderr);
            }
            if there {
                assert_eq!(fs::read_to_string(&victim).expect("there"), "theirs", "{name}");
                assert_eq!(fs::metadata(&victim).expect("there").permissions().mode() & 0o777, 0o644, "{name}");
            } else {
                assert!(!victim.exists(), "{name}");
            }
        }
    }
    assert!(door.calls("CreateImage").is_empty());
}

/// What earlier versions wrote to names that anybody could know beforehand.
#[test]
fn what_is_written_has_no_name_to_prepare() {
    let door = Door::open(&fleet(1, 0));
    for backend in ["aws", "sim"] {
        let site = Site::new(door.env());
        if backend == "sim" {
            site.settings(SIM);
        }
        site.plan("nightly", &plan(1, ""));
        let victim = site.path("victim");
        fs::write(&victim, "theirs").expect("written");
        fs::create_dir(site.state()).expect("made");
        for name in ["installation.json.new", "world.json.new"] {
            symlink(&victim, site.state().join(name)).expect("made");
        }
        let mut daemon = site.spawn(&["run"]);
        daemon.logged("config.applied");
        if backend == "sim" {
            until("a saved world", || site.state().join("world.json").exists().then_some(()));
        }
        daemon.terminate();
        daemon.wait();
        assert!(site.state().join("installation.json").exists());
        assert_eq!(fs::read_to_string(&victim).expect("there"), "theirs", "{backend}");
    }
}
