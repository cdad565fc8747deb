//! Which table is used, and what stands in where it cannot be.

use chrono::Datelike as _;

use super::*;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/zoneinfo");

fn zones(dir: &Path) -> Zones {
    Zones::look(&[(VARIABLE.to_owned(), dir.display().to_string())].into())
}

/// A directory of this version, with these files.
fn dir(version: &str, files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tzdata.zi"), format!("# version {version}\n# more\n")).unwrap();
    for (name, bytes) in files {
        std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

fn december(zone: &Zone) -> i64 {
    zone.ahead(1_796_083_200) // 2026-12-01
}

#[test]
fn the_newer_one_by_version() {
    let table = [
        ("2026f", "system", "2026f"),
        ("2025c-dirty", "system", "2025c"),
        ("2025za", "system", "2025za"),
        ("2025b", "compiled", compiled()),
        ("2025a", "compiled", compiled()),
        ("2024z", "compiled", compiled()),
        ("unknown", "compiled", compiled()),
        ("", "compiled", compiled()),
    ];
    for (version, source, shown) in table {
        let dir = dir(version, &[]);
        let found = zones(dir.path()).source();
        assert_eq!((found.source, &*found.version), (source, shown), "{version}");
    }
    // BSD's way.
    let bsd = tempfile::tempdir().unwrap();
    std::fs::write(bsd.path().join("+VERSION"), "2026a\n").unwrap();
    assert_eq!(zones(bsd.path()).source().version, "2026a");
}

#[test]
fn the_system_s_rules_where_they_are_newer() {
    let mut problems = Vec::new();
    let fixture = zones(Path::new(FIXTURE));
    let of = |zones: &Zones, name: &str, problems: &mut Vec<Problem>| {
        zones.find(name, problems).ok().map(|zone| (zone.name().to_owned(), december(&zone) / 3600))
    };
    for (name, hours) in [
        ("America/Vancouver", -7),
        ("Canada/Pacific", -7), // by the list of links
        ("America/Winnipeg", -5),
        ("Africa/Casablanca", 0),
        ("Europe/Berlin", 1),
        ("UTC", 0),
    ] {
        assert_eq!(of(&fixture, name, &mut problems), Some((name.to_owned(), hours)));
    }
    assert!(problems.is_empty(), "{problems:?}");
    let nowhere = tempfile::tempdir().unwrap();
    let compiled = zones(nowhere.path());
    assert_eq!(of(&compiled, "America/Vancouver", &mut problems), Some(("America/Vancouver".into(), -8)));
    assert!(problems.is_empty(), "said once, of all");
    for none in ["Moonbase", "right/Europe/Berlin", "localtime", "posixrules", "../etc/passwd", "Europe/Evil", ""] {
        assert_eq!(of(&fixture, none, &mut problems), None, "{none}");
    }
}

#[test]
fn a_zone_that_only_the_system_knows() {
    let vancouver = std::fs::read(Path::new(FIXTURE).join("America/Vancouver")).unwrap();
    let dir = dir("2099a", &[("Europe/Newtown", &vancouver)]);
    let mut problems = Vec::new();
    let zone = zones(dir.path()).find("Europe/Newtown", &mut problems).ok().unwrap();
    assert_eq!((zone.name(), december(&zone), problems.len()), ("Europe/Newtown", -7 * 3600, 0));
}

#[test]
fn what_is_damaged_or_missing_falls_back_and_says_so() {
    let dir = dir("2099a", &[("Europe/Berlin", b"TZif2 and no more"), ("Europe/Paris", b""), ("Europe/Rome/x", b"")]);
    let zones = zones(dir.path());
    for name in ["Europe/Berlin", "Europe/Paris", "Europe/Rome", "Europe/London"] {
        let mut problems = Vec::new();
        let zone = zones.find(name, &mut problems).ok().unwrap();
        assert_eq!(zone.name(), name);
        assert_eq!(problems.len(), 1, "{name}");
        assert!(problems[0].what.contains(name) && problems[0].what.contains(compiled()), "{}", problems[0]);
    }
}

#[test]
fn rules_grow_old() {
    let plan = crate::config::plan::tests::parse(
        "schedule.cron = \"30 2 * * *\"\nschedule.timezone = \"Europe/Berlin\"\nselect.tags.A = \"b\"\nkeep.last = 1\n",
    )
    .unwrap();
    let utc = Plan {
        schedule: crate::domain::plan::Schedule { timezone: Zone::UTC, ..plan.schedule.clone() },
        ..plan.clone()
    };
    let table = [
        ("2025b", "2026-03-22", false),
        ("2025b", "2026-03-24", true),
        ("2026f", "2027-10-27", false),
        ("2026f", "2027-10-29", true),
        // Of a release that is not known only its year is.
        ("2026z", "2027-12-31", false),
        ("2026z", "2028-01-02", true),
    ];
    for (version, day, old) in table {
        let source = ZoneSource { source: "compiled", version: version.into(), directory: None };
        let now = format!("{day}T00:00:00Z").parse().unwrap();
        assert_eq!(old_zones(&source, std::slice::from_ref(&plan), now).is_some(), old, "{version} {day}");
        assert!(old_zones(&source, std::slice::from_ref(&utc), now).is_none(), "UTC needs no rules");
    }
    let (year, _, _) = parts(compiled()).unwrap();
    let known = released(compiled()).unwrap();
    assert!(known.year() == year && known < released("2099a").unwrap());
    assert!(RELEASED.iter().any(|(version, _)| *version == compiled()), "add the release of the compiled table");
}
