//! When a plan is due: cron lines in a zone, the DST rule, catch-up and what was missed.

use std::str::FromStr as _;

use chrono::TimeZone as _;

/// Whether `line` has five or six fields (seconds first) and ever fires.
///
/// # Errors
/// Why not.
pub fn check_cron(line: &str) -> Result<(), String> {
    let cron = croner::Cron::from_str(line).map_err(|e| e.to_string())?;
    if !matches!(line.split_whitespace().count(), 5 | 6) {
        return Err("it needs five or six fields".into());
    }
    let from = chrono::Utc.with_ymd_and_hms(2000, 1, 1, 0, 0, 0).single().ok_or("no start")?;
    cron.find_next_occurrence(&from, true).map(|_| ()).map_err(|e| format!("it never fires ({e})"))
}
