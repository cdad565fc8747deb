//! Durations as people write them: one number and one unit.

use super::check::{Complaint, complain};
use crate::domain::plan::Seconds;

/// Reads `90s`, `15m`, `2h`, `7d`. Positive, one number and one unit.
pub fn duration(text: &str) -> Result<Seconds, Complaint> {
    let what = format!("{text:?} is not a duration");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        "" if digits > 0 => return complain(what, Some(format!("add a unit: \"{text}s\", \"{text}m\", \"{text}h\""))),
        _ => {
            if let Some(sum) = compound(text) {
                return complain(what, Some(format!("write it in one unit: \"{}\"", show_duration(sum))));
            }
            let hint = match unit.trim().to_lowercase().as_str() {
                "s" | "sec" | "secs" | "second" | "seconds" => Some('s'),
                "m" | "min" | "mins" | "minute" | "minutes" => Some('m'),
                "h" | "hr" | "hour" | "hours" => Some('h'),
                "d" | "day" | "days" => Some('d'),
                "w" | "week" | "weeks" => {
                    let weeks = number.parse::<u32>().unwrap_or(1);
                    return complain(what, Some(format!("write \"{}d\"", u64::from(weeks) * 7)));
                }
                _ => None,
            };
            let hint = hint.filter(|_| digits > 0).map(|unit| format!("write \"{number}{unit}\""));
            return complain(what, hint);
        }
    };
    match number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)) {
        Some(0) => complain(format!("{text:?} is no time at all"), None),
        Some(seconds) => Ok(seconds),
        None if digits == 0 => complain(what, None),
        None => complain(format!("{text:?} is too long"), None),
    }
}

/// Reads a duration of the command line.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn read_duration(text: &str) -> Result<Seconds, String> {
    duration(text).map_err(|c| c.hint.map_or_else(|| c.what.clone(), |hint| format!("{}; {hint}", c.what)))
}

/// What `1h30m` means, for a hint.
fn compound(text: &str) -> Option<Seconds> {
    let mut sum: Seconds = 0;
    for part in text.split_inclusive(|c: char| c.is_ascii_alphabetic()) {
        let (number, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
        let factor = [("s", 1), ("m", 60), ("h", 3600), ("d", 86400)].iter().find(|(name, _)| *name == unit)?.1;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
    }
    (sum > 0).then_some(sum)
}

/// Writes seconds as [`duration`] reads them, in the largest unit that is exact.
#[must_use]
pub fn show_duration(seconds: Seconds) -> String {
    for (factor, unit) in [(86400, 'd'), (3600, 'h'), (60, 'm')] {
        if seconds > 0 && seconds.is_multiple_of(factor) {
            return format!("{}{unit}", seconds / factor);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800), ("1s", 1)];
        for (text, seconds) in table {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "s", "0s", "-5m", "1.5h", "1h30m", "90", "5 m", "99999999999999999999d", "1w", "５m"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for (seconds, text) in [(90, "90s"), (900, "15m"), (7200, "2h"), (604_800, "7d"), (5400, "90m")] {
            assert_eq!(show_duration(seconds), text);
        }
    }
}
