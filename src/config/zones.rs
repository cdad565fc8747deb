//! Where the rules of the time zones come from: the system's zone files or the compiled table, whichever is newer.
//!
//! By version, not by date: a zone file's date is when a package was built or unpacked (or 1970, where builds are
//! reproducible), while each release of the time zone database names itself in `tzdata.zi`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::file::{self, Unread};
use super::problem::Problem;
use crate::domain::plan::Plan;
use crate::domain::zone::{Zone, ZoneSource};

/// Names another directory of zone files (tzset(3)).
const VARIABLE: &str = "TZDIR";
/// Where Linux keeps them.
const SYSTEM: &str = "/usr/share/zoneinfo";
/// The largest zone file of 2026f has 3,545 bytes.
const ZONE_MAX_BYTES: u64 = 256 << 10;
/// `tzdata.zi` has 115 KB.
const LINKS_MAX_BYTES: u64 = 4 << 20;
/// Names in that directory that are no zones of the database: another's rules, other copies, and leap seconds.
const NO_ZONES: [&str; 5] = ["localtime", "posixrules", "Factory", "posix/", "right/"];
/// Rules older than this are said to be old: some government changes its clock each year.
const OLD: TimeDelta = TimeDelta::days(365);
/// When releases came out (the tz announcements; to within days). Of others only the year in their name is known.
const RELEASED: [(&str, (i32, u32, u32)); 8] = [
    ("2025b", (2025, 3, 22)),
    ("2025c", (2025, 12, 10)),
    ("2026a", (2026, 4, 1)),
    ("2026b", (2026, 4, 22)),
    ("2026c", (2026, 7, 8)),
    ("2026d", (2026, 9, 11)),
    ("2026e", (2026, 10, 2)),
    ("2026f", (2026, 10, 27)),
];

/// A name that neither table knows.
pub(super) struct Nowhere;

/// The rules of all zones.
pub(super) struct Zones {
    /// The system's zone files, if they are newer.
    system: Option<(PathBuf, String)>,
    /// Where another table was looked for in vain.
    missing: Option<PathBuf>,
}

impl Zones {
    /// Looks which table is newer.
    pub(super) fn look(env: &BTreeMap<String, String>) -> Self {
        let dir = env.get(VARIABLE).filter(|dir| !dir.is_empty()).map_or_else(|| SYSTEM.into(), PathBuf::from);
        match version_of(&dir) {
            None => Self { system: None, missing: Some(dir) },
            Some(version) => Self { system: is_newer(&version, compiled()).then_some((dir, version)), missing: None },
        }
    }

    /// What is used.
    pub(super) fn source(&self) -> ZoneSource {
        match &self.system {
            Some((dir, version)) => {
                ZoneSource { source: "system", version: version.clone(), directory: Some(dir.display().to_string()) }
            }
            None => ZoneSource { source: "compiled", version: compiled().to_owned(), directory: None },
        }
    }

    /// The zone of this name. What is wrong with its file becomes a warning, and the compiled table stands in.
    pub(super) fn find(&self, name: &str, problems: &mut Vec<Problem>) -> Result<Zone, Nowhere> {
        let known = Zone::compiled(name);
        // It has no rules that could change.
        if known == Some(Zone::UTC) {
            return Ok(Zone::UTC);
        }
        let Some((dir, version)) = self.system.as_ref().filter(|_| may_be_zone(name)) else {
            return known.ok_or(Nowhere);
        };
        let wrong = match of_system(dir, name) {
            Ok(zone) => return Ok(zone),
            Err(wrong) => wrong,
        };
        let what = match wrong {
            Wrong::Missing if known.is_none() => return Err(Nowhere),
            Wrong::Missing => format!("holds no zone {name}, though its version is {version}"),
            Wrong::Damaged(why) => format!("the file of the zone {name} cannot be used: {why}"),
        };
        let instead = if known.is_some() { "is used for it" } else { "does not know it" };
        let what = format!("{what}; the compiled table ({}) {instead}", compiled());
        let hint = "install the package tzdata (and tzdata-legacy for old names) again, then reload";
        problems.push(Problem::of_file(dir.display().to_string(), what).hint(hint).warning());
        known.ok_or(Nowhere)
    }

    /// A warning if there are no zone files to compare with, and a plan depends on it.
    pub(super) fn warn<'a>(&self, mut plans: impl Iterator<Item = &'a Plan>, problems: &mut Vec<Problem>) {
        let Some(dir) = self.missing.as_ref().filter(|_| plans.any(moves)) else { return };
        let what = format!(
            "holds no zone files that tell their version (tzdata.zi, +VERSION): the compiled table ({}) is used",
            compiled()
        );
        let hint = "install or upgrade the package tzdata, or name the directory of zone files with TZDIR";
        problems.push(Problem::of_file(dir.display().to_string(), what).hint(hint).warning());
    }
}

/// A warning if the rules are older than a year, and a plan depends on them.
#[must_use]
pub fn old_zones(zones: &ZoneSource, plans: &[Plan], now: DateTime<Utc>) -> Option<Problem> {
    if now - released(&zones.version)? <= OLD || !plans.iter().any(moves) {
        return None;
    }
    let place = zones.directory.clone().unwrap_or_else(|| "time zones".to_owned());
    let what = format!(
        "the rules of the time zones are of {}, more than a year old: what has changed since is not known, and \
         occurrences may come an hour off",
        zones.version
    );
    let hint = "upgrade the package tzdata, then reload: the newer of its zone files and the compiled table is used";
    let problem = Problem::of_file(place, what).hint(hint).warning();
    Some(if zones.directory.is_some() { problem } else { Problem { line: 0, col: 0, ..problem } })
}

/// Whether the wall clock of a plan depends on any rules.
fn moves(plan: &Plan) -> bool {
    let name = plan.schedule.timezone.name();
    !(name.starts_with("Etc/") || matches!(name, "UTC" | "GMT" | "UCT" | "Zulu" | "Universal"))
}

/// The version of the table that is compiled in.
fn compiled() -> &'static str {
    chrono_tz::IANA_TZDB_VERSION
}

/// `2026f`: a year, and one letter or, after z, more.
fn parts(version: &str) -> Option<(i32, usize, &str)> {
    let (year, letters) = version.split_at_checked(4)?;
    let well = !letters.is_empty() && letters.bytes().all(|b| b.is_ascii_lowercase());
    Some((year.parse().ok().filter(|_| well)?, letters.len(), letters))
}

fn is_newer(version: &str, than: &str) -> bool {
    parts(version) > parts(than)
}

/// When a release came out; of those that this version does not know, the last day of its year: so late at most.
fn released(version: &str) -> Option<DateTime<Utc>> {
    let known = RELEASED.iter().find(|(release, _)| *release == version).map(|(_, day)| *day);
    let (year, month, day) = known.or_else(|| Some((parts(version)?.0, 12, 31)))?;
    Some(NaiveDate::from_ymd_opt(year, month, day)?.and_time(chrono::NaiveTime::MIN).and_utc())
}

/// The version of the zone files in a directory.
fn version_of(dir: &Path) -> Option<String> {
    // Only the first line is of interest, but the file is small.
    let first = |name: &str, most: u64| {
        let bytes = file::read(&dir.join(name), most).ok()?;
        let line = bytes.split(|b| *b == b'\n').next()?;
        Some(String::from_utf8_lossy(line).trim().to_owned())
    };
    let named = |line: String| {
        let version = line.trim_start_matches("# version ").trim();
        // Packagers may add to it: `2026a-dirty`.
        let end = version.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(version.len());
        let version = &version[..end];
        parts(version).map(|_| version.to_owned())
    };
    first("tzdata.zi", LINKS_MAX_BYTES).and_then(named).or_else(|| first("+VERSION", 1024).and_then(named))
}

/// Whether a name is of a zone at all, and leads to nothing but a file below the directory.
fn may_be_zone(name: &str) -> bool {
    let word = |part: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-');
        !part.is_empty() && part.chars().all(good)
    };
    let other = |no: &&str| name == no.trim_end_matches('/') || no.ends_with('/') && name.starts_with(*no);
    name.len() <= 64 && name.split('/').all(word) && !NO_ZONES.iter().any(other)
}

enum Wrong {
    Missing,
    Damaged(String),
}

fn of_system(dir: &Path, name: &str) -> Result<Zone, Wrong> {
    match zone_file(dir, name, name) {
        // Some packages leave out the old names, which their own list still knows.
        Err(Wrong::Missing) => zone_file(dir, &link(dir, name).ok_or(Wrong::Missing)?, name),
        other => other,
    }
}

fn zone_file(dir: &Path, at: &str, name: &str) -> Result<Zone, Wrong> {
    match file::read(&dir.join(at), ZONE_MAX_BYTES) {
        Ok(bytes) => Zone::from_file(name, &bytes).map_err(Wrong::Damaged),
        Err(Unread::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => Err(Wrong::Missing),
        Err(Unread::Io(e)) => Err(Wrong::Damaged(e.to_string())),
        Err(Unread::NotAFile | Unread::Waits) => Err(Wrong::Damaged("it is not a file".into())),
        Err(Unread::TooLarge) => Err(Wrong::Damaged("it is too large".into())),
    }
}

/// The zone whose other name `name` is: `L TARGET NAME` in tzdata.zi.
fn link(dir: &Path, name: &str) -> Option<String> {
    let bytes = file::read(&dir.join("tzdata.zi"), LINKS_MAX_BYTES).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let target = text.lines().find_map(|line| line.strip_prefix("L ")?.strip_suffix(name)?.strip_suffix(' '))?;
    may_be_zone(target).then(|| target.to_owned())
}
