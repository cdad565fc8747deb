//! `stillframe check`: reads the configuration and says all that is wrong with it. Changes nothing, asks nobody.

mod distribution;
mod fleet;
mod next;

use std::io::{self, Write};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use self::fleet::too_slow;
use self::next::Next;
use crate::clock::Clock;
use crate::config::{self, Problems, show_duration};
use crate::domain::keep::Keep;
use crate::domain::plan::{Plan, Select};
use crate::domain::text::seen;
use crate::domain::zone::ZoneSource;
use crate::report::out;

/// The configuration is in order.
const DONE: u8 = 0;
/// The answer could not be written.
const FAILED: u8 = 1;
/// The configuration is wrong.
const WRONG: u8 = 2;

/// Options of `stillframe check`.
#[derive(Debug, Clone, clap::Args)]
pub struct CheckArgs {
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Checks the configuration under this process's environment; the exit code is 0, or 2 if it is wrong.
#[must_use]
pub fn run(args: &CheckArgs) -> u8 {
    let mut out = out::Facts;
    match report(args, config::environment(), Clock::Wall.now(), &mut out, &mut out::Notes) {
        Ok(code) => code,
        Err(e) => {
            out::note(&format!("stillframe: cannot write to stdout: {e}"));
            FAILED
        }
    }
}

/// A plan and when it is due next.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    next: Vec<Next>,
}

/// The same with the environment, the time and the streams given.
///
/// # Errors
/// When a stream cannot be written.
pub fn report(
    args: &CheckArgs,
    env: impl Iterator<Item = (String, String)>,
    now: DateTime<Utc>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let result = config::load(&args.config, env);
    let code = if result.is_ok() { DONE } else { WRONG };
    let (problems, all) = match &result {
        Ok(loaded) => {
            let old = config::old_zones(&loaded.zones, &loaded.plans, now);
            let all = loaded.warnings.iter().cloned().chain(too_slow(args, loaded)).chain(old).collect();
            (Problems::new(all), loaded.plans.as_slice())
        }
        Err(problems) => (problems.clone(), [].as_slice()),
    };
    let plans: Vec<Listed<'_>> = all.iter().map(|plan| Listed { plan, next: next::of(plan, now) }).collect();
    if args.json {
        let mut check = json!({ "ok": result.is_ok(), "problems": problems, "plans": plans });
        if let Ok(loaded) = &result {
            check["zones"] = json!(loaded.zones);
        }
        writeln!(out, "{}", json!({ "schema": 1, "check": check }))?;
        return Ok(code);
    }
    if !problems.is_empty() {
        writeln!(err, "{problems}\n")?;
    }
    match &result {
        Ok(loaded) => write_plans(&plans, &loaded.zones, out)?,
        Err(problems) => writeln!(err, "{}", summary(problems))?,
    }
    Ok(code)
}

/// `2 errors, 1 warning`.
pub(super) fn summary(problems: &Problems) -> String {
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let (errors, warnings) = (problems.errors(), problems.len() - problems.errors());
    match warnings {
        0 => plural(errors, "error"),
        n => format!("{}, {}", plural(errors, "error"), plural(n, "warning")),
    }
}

fn write_plans(plans: &[Listed<'_>], zones: &ZoneSource, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "ok: {} plan{}, time zones of {zones}", plans.len(), if plans.len() == 1 { "" } else { "s" })?;
    // What a tag may hold must not steer a terminal.
    let rows: Vec<[String; 5]> = plans.iter().map(|listed| row(listed.plan).map(|cell| seen(&cell))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for (row, listed) in rows.iter().zip(plans) {
        for (cell, width) in row.iter().zip(widths) {
            write!(out, "{cell:width$}  ")?;
        }
        writeln!(out, "{}", row[4])?;
        for (nth, line) in next::lines(&listed.next).iter().enumerate() {
            writeln!(out, "    {:4}  {line}", if nth == 0 { "next" } else { "" })?;
        }
        for (word, line) in distribution::lines(listed.plan) {
            writeln!(out, "    {word:4}  {line}")?;
        }
    }
    Ok(())
}

fn row(plan: &Plan) -> [String; 5] {
    [
        plan.name.clone(),
        plan.schedule.cron.join(" | "),
        plan.schedule.timezone.name().to_owned(),
        selector(&plan.select),
        format!("keep {}", keep(&plan.keep)),
    ]
}

/// `Backup=nightly, 2 instances, in eu-central-1`.
fn selector(select: &Select) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (key, values) in &select.tags {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        parts.push(format!("{key}={}", values.join("|")));
    }
    match select.instances.len() {
        0 => {}
        1 => parts.extend(select.instances.first().cloned()),
        n => parts.push(format!("{n} instances")),
    }
    for (key, values) in &select.exclude_tags {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        parts.push(format!("not {key}={}", values.join("|")));
    }
    if !select.regions.is_empty() {
        parts.push(format!("in {}", select.regions.join("+")));
    }
    parts.join(", ")
}

/// `last 3, within 14d, daily 7`.
fn keep(keep: &Keep) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut count = |word: &str, n: u32| {
        if n > 0 {
            parts.push(format!("{word} {n}"));
        }
    };
    count("last", keep.last);
    count("hourly", keep.hourly);
    count("daily", keep.daily);
    count("weekly", keep.weekly);
    count("monthly", keep.monthly);
    count("yearly", keep.yearly);
    if let Some(within) = keep.within {
        parts.push(format!("within {}", show_duration(within)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/zoneinfo");

    fn checked(dir: &str, json: bool) -> (u8, String, String) {
        checked_by(ZONES, dir, json)
    }

    /// With the zone files of a directory.
    fn checked_by(zones: &str, dir: &str, json: bool) -> (u8, String, String) {
        let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(dir);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let now = DateTime::from_timestamp(1_774_656_000, 0).expect("2026-03-28T00:00:00Z");
        let code = report(
            &CheckArgs { config, json },
            [("TZDIR".to_owned(), zones.to_owned())].into_iter(),
            now,
            &mut out,
            &mut err,
        )
        .unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_good_configuration_is_listed() {
        let (code, out, err) = checked("example", false);
        assert_eq!((code, err.as_str()), (0, ""));
        assert_eq!(
            out.lines().collect::<Vec<_>>(),
            [
                &format!("ok: 2 plans, time zones of 2026f, the system's ({ZONES})"),
                "databases    15 1 * * *  UTC            Role=mysql|postgres, Stage=prod, in eu-central-1+eu-west-1  \
                 keep daily 14, weekly 8, monthly 12",
                "    next  Sat 2026-03-28 01:15 +00:00 UTC",
                "          Sun 2026-03-29 01:15 +00:00 UTC",
                "          Mon 2026-03-30 01:15 +00:00 UTC",
                "    copy  eu-north-1, keep last 2, monthly 12",
                "web-nightly  30 2 * * *  Europe/Berlin  Backup=nightly, not stillframe:skip=*, in eu-central-1      \
                 keep last 3, daily 7, weekly 4, monthly 12, within 14d",
                "    next  Sat 2026-03-28 02:30 +01:00 CET",
                "          Sun 2026-03-29 03:00 +02:00 CEST (the clock is set forward from 02:00 to 03:00)",
                "          Mon 2026-03-30 02:30 +02:00 CEST",
            ]
        );
    }

    #[test]
    fn json_is_one_document() {
        let (code, out, err) = checked("example", true);
        assert_eq!((code, err.as_str()), (0, ""));
        let doc: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(doc["schema"], 1);
        assert_eq!(doc["check"]["ok"], true);
        let plan = &doc["check"]["plans"][1];
        assert_eq!(plan["name"], "web-nightly");
        assert_eq!(plan["schedule"]["cron"], json!(["30 2 * * *"]));
        let moved = json!({
            "due": "2026-03-29T01:00:00Z",
            "local": "2026-03-29T03:00:00+02:00",
            "note": "the clock is set forward from 02:00 to 03:00",
        });
        assert_eq!(plan["next"][1], moved);
        assert_eq!(plan["next"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn whose_zones_they_are_is_said_and_that_they_are_old() {
        let (_, out, _) = checked("example", true);
        let doc: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(doc["check"]["zones"], json!({ "source": "system", "version": "2026f", "directory": ZONES }));
        let (code, out, err) = checked_by("/nowhere", "example", false);
        assert!(code == 0 && out.starts_with("ok: 2 plans, time zones of 2025b, compiled in\n"), "{out}");
        assert!(err.contains("/nowhere:1:1: warning: holds no zone files"), "{err}");
        assert!(err.contains("are of 2025b, more than a year old"), "{err}");
        let (_, out, _) = checked_by("/nowhere", "example", true);
        let doc: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(doc["check"]["zones"], json!({ "source": "compiled", "version": "2025b" }));
    }

    #[test]
    fn a_wrong_one_ends_with_2() {
        let (code, out, err) = checked("no-such-directory", false);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.ends_with("1 error\n"), "{err}");
        let (code, out, err) = checked("no-such-directory", true);
        let doc: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, err.as_str()), (2, ""));
        assert_eq!(doc["check"]["ok"], false);
        let problem = doc["check"]["problems"][0].as_object().unwrap();
        let keys: Vec<&str> = problem.keys().map(String::as_str).collect();
        assert_eq!(keys, ["col", "expected", "file", "hint", "key", "line", "severity", "what"]);
    }
}
