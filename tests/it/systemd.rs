//! What `make install` puts where, and what systemd thinks of the unit.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::child::{binary, until};
use crate::support::site::Site;
use crate::support::world::{Door, fleet};

/// The whole tree below `dir`, sorted.
fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("listed").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(tree(&entry));
        } else {
            found.push(entry);
        }
    }
    found.sort();
    found
}

fn make(target: &str, variables: &[(&str, &Path)]) {
    let set = variables.iter().map(|(key, value)| format!("{key}={}", value.display()));
    let made = Command::new("make")
        .args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), target])
        .arg(format!("BINARY={}", binary().display()))
        .args(set)
        .output()
        .expect("make is there");
    assert!(made.status.success(), "make {target}: {}", String::from_utf8_lossy(&made.stderr));
}

/// systemd-analyze, which every host that runs the unit has.
fn analyze(args: &[&str], unit: &Path) -> Output {
    let run = Command::new("systemd-analyze").args(args).arg(unit).output();
    run.unwrap_or_else(|e| {
        panic!("systemd-analyze cannot be run ({e}): install systemd, 252 or newer, to test the unit")
    })
}

/// An installation below `root`, as if that were no other place than any prefix.
fn installed(root: &Path) -> PathBuf {
    make("install", &[("PREFIX", &root.join("usr")), ("SYSCONFDIR", &root.join("etc"))]);
    root.join("usr/lib/systemd/system/stillframe.service")
}

#[test]
fn the_unit_is_clean_and_hardened() {
    let root = tempfile::tempdir().expect("a directory");
    let unit = installed(root.path());
    let verified = analyze(&["verify", "--man=no"], &unit);
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && said.is_empty(), "{said}");
    // Tenths: 15 is 1.5.
    let rated = analyze(&["security", "--offline=true", "--threshold=15", "--no-pager"], &unit);
    let said = String::from_utf8_lossy(&rated.stdout).into_owned();
    assert!(rated.status.success(), "{said}");
    assert!(said.contains("Overall exposure level for stillframe.service"), "{said}");
}

#[test]
fn the_unit_says_what_the_daemon_needs() {
    let root = tempfile::tempdir().expect("a directory");
    let unit = fs::read_to_string(installed(root.path())).expect("the unit");
    let program = root.path().join("usr/bin/stillframe");
    for line in [
        "Type=notify".to_owned(),
        format!("ExecStartPre=-{} check", program.display()),
        format!("ExecStart={} run", program.display()),
        format!("ExecReload={} check", program.display()),
        "ExecReload=/bin/kill -HUP $MAINPID".to_owned(),
        "StateDirectory=stillframe".to_owned(),
        "RestartPreventExitStatus=2".to_owned(),
    ] {
        assert!(unit.lines().any(|found| found == line), "{line} is not in\n{unit}");
    }
    // The program's own defaults are the unit's.
    let settings = include_str!("../../config/stillframe.toml");
    assert!(settings.contains("/var/lib/stillframe") && settings.contains("drain_deadline = \"60s\""));
    assert!(unit.contains("TimeoutStopSec=75s"), "longer than the drain deadline");
}

/// systemd's own lines stand among the daemon's; `jq` alone ends at the first of them.
#[test]
fn the_readmes_way_to_read_the_log_survives_systemds_own_lines() {
    let readme = include_str!("../../README.md").replace("\\|", "|");
    let (_, after) = readme.split_once("-o cat | jq ").expect("README shows it");
    let args = after.split_once('`').expect("it ends").0;
    let program = args.strip_prefix("-R '").and_then(|args| args.strip_suffix('\'')).expect("raw lines");
    let error = r#"{"ts":"2026-11-20T02:30:00.000Z","level":"ERROR","event":"x"}"#;
    let log = format!(
        "Starting stillframe.service - file-system-consistent images...\n{error}\n{{\"level\":\"INFO\"}}\n\
         stillframe.service: Main process exited, code=exited, status=1/FAILURE\n{error}\n"
    );
    assert_eq!(program, "fromjson? | select(.level == \"ERROR\")");
    let mut jq =
        match Command::new("jq").args(["-c", "-R", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
            Ok(jq) => jq,
            // Where there is none, the words above are what is known to work (jq 1.6, 1.7).
            Err(e) => return assert_eq!(e.kind(), std::io::ErrorKind::NotFound, "{e}"),
        };
    jq.stdin.take().expect("piped").write_all(log.as_bytes()).expect("written");
    let out = jq.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&out.stdout), format!("{error}\n{error}\n"));
    assert!(out.status.success(), "{}", out.status);
}

#[test]
fn installing_again_keeps_what_a_person_wrote() {
    let pkg = tempfile::tempdir().expect("a directory");
    let into = [("DESTDIR", pkg.path()), ("PREFIX", Path::new("/usr"))];
    make("install", &into);
    let first = tree(pkg.path());
    let shown: Vec<String> =
        first.iter().map(|p| p.strip_prefix(pkg.path()).expect("below it").display().to_string()).collect();
    insta::assert_snapshot!(shown.join("\n"));
    // A copy of an example lies elsewhere, and its editor must find the schema from there.
    for plan in first.iter().filter(|path| path.parent().is_some_and(|dir| dir.ends_with("example/plans.d"))) {
        let text = fs::read_to_string(plan).expect("read");
        let schema = text.lines().next().and_then(|line| line.strip_prefix("#:schema file://")).expect("a full path");
        let schema = pkg.path().join(schema.trim_start_matches('/'));
        assert!(schema.is_file(), "{} names {}", plan.display(), schema.display());
    }
    let settings = pkg.path().join("etc/stillframe/stillframe.toml");
    let plan = pkg.path().join("etc/stillframe/plans.d/web.toml");
    fs::write(&settings, "# mine\n[daemon]\nname = \"mine\"\n").expect("written");
    fs::write(&plan, "# mine too\n").expect("written");
    make("install", &into);
    assert_eq!(fs::read_to_string(&settings).expect("read"), "# mine\n[daemon]\nname = \"mine\"\n");
    assert_eq!(fs::read_to_string(&plan).expect("read"), "# mine too\n");
    make("uninstall", &into);
    let left: Vec<String> = tree(pkg.path()).iter().map(|p| p.display().to_string()).collect();
    assert!(left.iter().all(|path| path.contains("/etc/stillframe/")), "{left:?}");
    assert!(settings.exists() && plan.exists());
}

#[test]
fn the_user_and_the_directories_are_made() {
    let root = tempfile::tempdir().expect("a directory");
    installed(root.path());
    let conf = |dir: &str| root.path().join("usr/lib").join(dir).join("stillframe.conf");
    let users = Command::new("systemd-sysusers")
        .arg(format!("--root={}", root.path().display()))
        .args(["--dry-run", "--"])
        .arg(conf("sysusers.d"))
        .output()
        .expect("systemd-sysusers is there");
    let said = String::from_utf8_lossy(&[users.stdout, users.stderr].concat()).into_owned();
    assert!(users.status.success() && said.contains("Creating user 'stillframe'"), "{said}");
    let directories = fs::read_to_string(conf("tmpfiles.d")).expect("read");
    for dir in ["/etc/stillframe ", "/etc/stillframe/plans.d ", "/var/lib/stillframe "] {
        assert!(directories.contains(&format!("d {dir}")), "{directories}");
    }
}

/// Root may run a `backup` before the service has ever started; the service's user must be able to go on with it.
#[test]
fn what_a_backup_leaves_belongs_to_the_owner_of_the_state_directory() {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan(
        "nightly",
        "schedule.cron = \"0 0 1 1 *\"\nselect.tags.Backup = \"nightly\"\nkeep.last = 2\nrollout.settle = \"1s\"\n",
    );
    fs::create_dir(site.state()).expect("made");
    let me = fs::metadata(site.state()).expect("there").uid();
    // Who is not root makes what is his own, and can give nothing away.
    let owner = if me == 0 { 4242 } else { me };
    chown(site.state(), Some(owner), None).expect("root may, others change nothing");
    let mut backup = site.spawn(&["backup", "nightly"]);
    let owners = || -> Vec<(PathBuf, u32)> {
        tree(&site.state()).into_iter().filter_map(|p| Some((p.clone(), fs::metadata(&p).ok()?.uid()))).collect()
    };
    // While it works: the files of the write-ahead log are there too.
    until("its call", || door.calls("CreateImage").pop());
    let (during, ended) = (owners(), backup.ended());
    backup.wait().expect(0);
    assert!(ended || during.iter().any(|(path, _)| path.ends_with("journal.sqlite-wal")), "{during:?}");
    for (path, uid) in during.into_iter().chain(owners()) {
        assert_eq!(uid, owner, "{}", path.display());
    }
}
