//! What a text of the configuration must look like: names, ids, zones, schedules, durations.

use std::net::SocketAddr;
use std::str::FromStr;

use chrono_tz::{TZ_VARIANTS, Tz};

use super::suggest::{did_you_mean, nearest};
use crate::domain::plan::Seconds;
use crate::domain::schedule::check_cron;

/// `daemon.name` is part of each image's name, which holds 128 characters.
pub const DAEMON_NAME_MAX: usize = 20;
/// So is a plan's.
pub const PLAN_NAME_MAX: usize = 40;
/// EC2 API reference, "Tag": a key holds at most 128 characters.
pub const TAG_KEY_MAX: usize = 128;
/// EC2 API reference, "Tag": a value holds at most 256 characters.
pub const TAG_VALUE_MAX: usize = 256;
/// A description is for people, and for one line.
const DESCRIPTION_MAX: usize = 255;
/// IAM: an external id has 2 to 1,224 characters (AssumeRole, API reference).
const EXTERNAL_ID: std::ops::RangeInclusive<usize> = 2..=1224;
/// IAM: a role's name has at most 64 characters.
const ROLE_NAME_MAX: usize = 64;

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong.
    pub what: String,
    /// What to do, where that can be told.
    pub hint: Option<String>,
}

/// A complaint, with a hint if there is one.
pub fn complain<T>(what: impl Into<String>, hint: Option<String>) -> Result<T, Complaint> {
    Err(Complaint { what: what.into(), hint })
}

/// Whether a text will do.
pub type Check = fn(&str) -> Result<(), Complaint>;

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

fn alphabet(text: &str, what: &str, max: usize, good: fn(char) -> bool) -> Result<(), Complaint> {
    if text.is_empty() {
        return complain(format!("the {what} is empty"), None);
    }
    let long = text.chars().count();
    if long > max {
        return complain(format!("{text:?} has {long} characters"), Some(format!("shorten it to {max}")));
    }
    if let Some(bad) = text.chars().find(|c| !good(*c)) {
        let tame: String = text.to_lowercase().chars().map(|c| if good(c) { c } else { '-' }).collect();
        return complain(format!("{text:?} holds {bad:?}"), Some(format!("write `{tame}`")));
    }
    Ok(())
}

/// `daemon.name`.
pub fn daemon_name(text: &str) -> Result<(), Complaint> {
    alphabet(text, "name", DAEMON_NAME_MAX, |c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
}

/// A plan's name, its file's stem.
pub fn plan_name(text: &str) -> Result<(), Complaint> {
    alphabet(text, "name", PLAN_NAME_MAX, |c| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-'))
}

/// The NAME of `[accounts.NAME]`.
pub fn account_name(text: &str) -> Result<(), Complaint> {
    alphabet(text, "name of the account", PLAN_NAME_MAX, |c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'))
}

/// Any text of one line.
pub fn description(text: &str) -> Result<(), Complaint> {
    let long = text.chars().count();
    if long > DESCRIPTION_MAX {
        return complain(format!("has {long} characters"), Some(format!("shorten it to {DESCRIPTION_MAX}")));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => complain(format!("holds the control character {c:?}"), Some("write it as one line".into())),
        None => Ok(()),
    }
}

/// A directory.
pub fn directory(text: &str) -> Result<(), Complaint> {
    if text.is_empty() {
        return complain("the directory is empty", None);
    }
    if text.starts_with('~') {
        return complain(
            format!("{text:?} begins with `~`, which only a shell understands"),
            Some("write the path in full".into()),
        );
    }
    if text.contains('\0') {
        return complain("the directory holds a NUL character", None);
    }
    Ok(())
}

/// `daemon.instance`.
pub fn own_instance(text: &str) -> Result<(), Complaint> {
    if text == "none" { Ok(()) } else { instance_id(text) }
}

/// `i-` and 8 or 17 hexadecimal digits (EC2 user guide, "Resource IDs").
pub fn instance_id(text: &str) -> Result<(), Complaint> {
    let what = format!("{text:?} is not an instance id");
    let Some(digits) = text.strip_prefix("i-") else {
        let lower = text.to_lowercase();
        let hint = if lower.starts_with("ami-") {
            Some("this is an image; name the instance".into())
        } else if lower != text && instance_id(&lower).is_ok() {
            Some(format!("write \"{lower}\""))
        } else if text.contains(['*', '?']) {
            Some("ids hold no wildcards: select by tags".into())
        } else {
            None
        };
        return complain(what, hint);
    };
    let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    if let Some(bad) = digits.chars().find(|c| !hex(*c)) {
        let lower = digits.to_lowercase();
        let hint = lower.chars().all(hex).then(|| format!("write \"i-{lower}\""));
        return complain(format!("{what}: it holds {bad:?}"), hint);
    }
    match digits.len() {
        8 | 17 => Ok(()),
        n => complain(format!("{what}: it has {n} digits after `i-`"), Some("copy the whole id".into())),
    }
}

/// The shape of a region's name: `eu-central-1`, `us-gov-west-1`.
pub fn region(text: &str) -> Result<(), Complaint> {
    let what = format!("{text:?} is not a region");
    if region_shape(text) {
        return Ok(());
    }
    let lower = text.to_lowercase();
    if region_shape(&lower) {
        return complain(what, Some(format!("write \"{lower}\"")));
    }
    let zone = lower.trim_end_matches(|c: char| c.is_ascii_lowercase());
    if zone.len() + 1 == lower.len() && region_shape(zone) {
        return complain(format!("{text:?} is an availability zone, not a region"), Some(format!("write \"{zone}\"")));
    }
    complain(what, did_you_mean(&lower, REGIONS.iter().copied()))
}

/// For hints only: any region of the right shape is accepted.
const REGIONS: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

fn region_shape(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else { return false };
    let word = |w: &&str| w.len() >= 2 && w.bytes().all(|b| b.is_ascii_lowercase());
    (2..=3).contains(&words.len())
        && words.iter().all(|w| word(w))
        && matches!(number.len(), 1 | 2)
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// Twelve digits.
pub fn account_id(text: &str) -> Result<(), Complaint> {
    if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(());
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let hint = (digits.len() == 12 && text.chars().all(|c| c.is_ascii_digit() || c == '-' || c == ' '))
        .then(|| format!("write \"{digits}\""));
    complain(format!("{text:?} is not an account id"), hint)
}

/// The account in the ARN of a role, if it is one: `arn:aws:iam::222222222222:role/stillframe`.
pub fn role_account(text: &str) -> Option<&str> {
    let mut parts = text.splitn(6, ':');
    let arn = parts.next()? == "arn";
    let partition = matches!(parts.next()?, "aws" | "aws-cn" | "aws-us-gov");
    let iam = parts.next()? == "iam" && parts.next()?.is_empty();
    let account = parts.next()?;
    let path = parts.next()?.strip_prefix("role/")?;
    let name = path.rsplit('/').next()?;
    let good = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    let fits = (1..=ROLE_NAME_MAX).contains(&name.len()) && name.chars().all(good);
    let printable = path.bytes().all(|b| b.is_ascii_graphic());
    (arn && partition && iam && account_id(account).is_ok() && fits && printable).then_some(account)
}

/// The ARN of an IAM role.
pub fn role_arn(text: &str) -> Result<(), Complaint> {
    if role_account(text).is_some() {
        return Ok(());
    }
    let hint = if text.contains(":assumed-role/") {
        Some("this is a session of the role; write the role's own ARN, from `aws iam get-role`".into())
    } else if text.contains(":user/") || text.contains(":instance-profile/") {
        Some("name a role, not a user or an instance profile".into())
    } else {
        None
    };
    complain(format!("{text:?} is not the ARN of a role"), hint)
}

/// `external_id`; the text is not repeated, it is a secret.
pub fn external_id(text: &str) -> Result<(), Complaint> {
    let long = text.chars().count();
    if !EXTERNAL_ID.contains(&long) {
        return complain(format!("has {long} characters"), None);
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    if text.chars().all(good) { Ok(()) } else { complain("holds a character that AWS does not allow there", None) }
}

/// An IANA zone.
pub fn timezone(text: &str) -> Result<(), Complaint> {
    if Tz::from_str(text).is_ok() {
        return Ok(());
    }
    complain(format!("{text:?} is not a time zone"), did_you_mean(text, TZ_VARIANTS.iter().map(|zone| zone.name())))
}

/// A cron line that fires at some time.
pub fn cron(text: &str) -> Result<(), Complaint> {
    match check_cron(text) {
        Ok(()) => Ok(()),
        Err(why) => {
            let hint = match text.split_whitespace().count() {
                5 | 6 => None,
                n => Some(format!(
                    "it has {n} field{}: five are minute, hour, day, month, weekday; with six, seconds come first",
                    if n == 1 { "" } else { "s" }
                )),
            };
            complain(format!("{text:?} is not a usable schedule: {why}"), hint)
        }
    }
}

/// An address and port to listen on.
pub fn listen(text: &str) -> Result<(), Complaint> {
    if SocketAddr::from_str(text).is_ok() {
        return Ok(());
    }
    let hint = match text.rsplit_once(':') {
        Some(("localhost", port)) => Some(format!("write \"127.0.0.1:{port}\"")),
        Some(("" | "*", port)) => Some(format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for all addresses")),
        None if text.parse::<std::net::IpAddr>().is_ok() => Some(format!("add a port: \"{text}:8484\"")),
        _ => None,
    };
    complain(format!("{text:?} is not an address and port"), hint)
}

/// The word most like `given`, for hints.
pub fn near_word(given: &str, words: &[&str]) -> Option<String> {
    nearest(given, words.iter().copied()).map(|word| format!("did you mean \"{word}\"?"))
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

    #[test]
    fn shapes() {
        let table: [(Check, &[&str], &[&str]); 7] = [
            (daemon_name, &["prod", "a-1"], &["", "Prod", "a_b", "a.b", "aaaaaaaaaaaaaaaaaaaaa"]),
            (plan_name, &["web-nightly", "a.b_c"], &["", "Web", "a b", "ä"]),
            (
                instance_id,
                &["i-0123abcd", "i-0123456789abcdef0"],
                &["", "i-", "i-123", "i-0123ABCD", "ami-0123abcd", "i-012345678"],
            ),
            (
                region,
                &["eu-central-1", "us-gov-west-1", "us-isob-east-1", "ap-southeast-12"],
                &["", "eu", "eu-central-1a", "eu central 1", "EU-WEST-1", "frankfurt"],
            ),
            (account_id, &["222222222222"], &["", "2222", "2222-2222-2222", "22222222222a"]),
            (
                role_arn,
                &[
                    "arn:aws:iam::222222222222:role/stillframe",
                    "arn:aws-cn:iam::222222222222:role/a/b/c",
                    "arn:aws-us-gov:iam::222222222222:role/x",
                ],
                &[
                    "",
                    "stillframe",
                    "arn:aws-eu:iam::222222222222:role/x",
                    "arn:aws:iam::2:role/x",
                    "arn:aws:iam::222222222222:user/x",
                    "arn:aws:iam:eu:222222222222:role/x",
                    "arn:aws:iam::222222222222:role/",
                ],
            ),
            (listen, &["127.0.0.1:8484", "[::1]:80"], &["", "8484", "localhost:8484", "127.0.0.1"]),
        ];
        for (check, good, bad) in table {
            for text in good {
                assert_eq!(check(text), Ok(()), "{text}");
            }
            for text in bad {
                assert!(check(text).is_err(), "{text}");
            }
        }
    }
}
