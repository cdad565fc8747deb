//! When a plan is due: cron lines in a zone, the DST rule, catch-up and what was missed.

use chrono::TimeZone as _;
use croner::parser::{CronParser, Year};

/// Whether `line` has five or six fields (seconds first) and ever fires.
///
/// # Errors
/// Why not.
pub fn check_cron(line: &str) -> Result<(), String> {
    let n = line.split_whitespace().count();
    if !matches!(n, 5 | 6) {
        let s = if n == 1 { "" } else { "s" };
        return Err(format!(
            "`{line}` has {n} field{s}: expected five (minute hour day month weekday) or six (second first)"
        ));
    }
    let parser = CronParser::builder().year(Year::Disallowed).build();
    let cron = parser.parse(line).map_err(|e| format!("`{line}` is not a cron line: {e}"))?;
    let from = chrono::Utc.with_ymd_and_hms(2000, 1, 1, 0, 0, 0).single().ok_or("no start")?;
    let next = cron.find_next_occurrence(&from, true);
    next.map(|_| ()).map_err(|_| format!("`{line}` never fires: no such date exists"))
}
