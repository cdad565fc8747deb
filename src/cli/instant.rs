//! Instants on the command line.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

/// Reads an instant with its zone: `2026-11-20T02:30:00Z`, `2026-11-20T03:30+01:00`.
///
/// # Errors
/// What to write instead.
pub fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let spaced = text.trim().replacen(' ', "T", 1);
    if let Ok(at) = DateTime::parse_from_rfc3339(&spaced).or_else(|_| {
        // Minutes are precise enough.
        let zoned = spaced.replacen('Z', "+00:00", 1);
        DateTime::parse_from_str(&zoned, "%Y-%m-%dT%H:%M%:z")
    }) {
        return Ok(at.to_utc());
    }
    let naive = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    if naive.iter().any(|form| NaiveDateTime::parse_from_str(&spaced, form).is_ok()) {
        return Err(format!("in which zone? write {spaced}Z for UTC, or an offset such as {spaced}+01:00"));
    }
    Err("write an instant such as 2026-11-20T02:30:00Z or 2026-11-20T03:30+01:00".into())
}

/// The same, or a day (its beginning in UTC), or a time before now: `7d`, `12h`.
///
/// # Errors
/// What to write instead.
pub fn instant_or_ago(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d") {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(['s', 'm', 'h', 'd']) {
        let seconds = crate::config::read_duration(text)?;
        let ago = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds);
        return ago.and_then(|ago| now.checked_sub_signed(ago)).ok_or(format!("{text} is too long ago"));
    }
    instant(text).map_err(|why| format!("{why}, a day such as 2026-11-20, or a time ago such as 7d or 12h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_have_a_zone_and_days_begin_in_utc() {
        let now: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().unwrap();
        let table = [
            ("2026-11-20T02:30:00Z", "2026-11-20T02:30:00Z"),
            ("2026-11-20 02:30:00Z", "2026-11-20T02:30:00Z"),
            ("2026-11-20T02:30Z", "2026-11-20T02:30:00Z"),
            ("2026-11-20T03:30+01:00", "2026-11-20T02:30:00Z"),
            ("2026-11-20T03:30:00+01:00", "2026-11-20T02:30:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("12h", "2026-11-20T00:00:00Z"),
            ("7d", "2026-11-13T12:00:00Z"),
        ];
        for (text, expected) in table {
            assert_eq!(instant_or_ago(text, now), Ok(expected.parse().unwrap()), "{text}");
        }
        for (text, part) in [
            ("2026-11-20T02:30", "in which zone? write 2026-11-20T02:30Z"),
            ("yesterday", "7d or 12h"),
            ("1h30m", "write it in one unit: \"90m\""),
            ("999999999999d", "too long"),
            ("", "2026-11-20T02:30:00Z"),
        ] {
            let why = instant_or_ago(text, now).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
        assert!(instant("7d").is_err());
    }
}
