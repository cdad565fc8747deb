//! What a text of the configuration must look like: names, zones, schedules, addresses.

use std::net::SocketAddr;
use std::ops::Range;
use std::str::FromStr;

use chrono_tz::TZ_VARIANTS;

pub use super::arns::{kms_key, organization, organizational_unit, shared_account, via_key};
pub use super::aws::{
    account_id, external_id, instance_id, own_instance, region, role_account, role_arn, unknown_region,
};
pub use super::duration::{duration, show_duration};
use super::suggest::{did_you_mean, nearest};
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

/// Abbreviations that people write for a zone, and a place where they hold. (CET, EST and the like are names of zones.)
const ABBREVIATIONS: [(&str, &str); 14] = [
    ("PST", "America/Los_Angeles"),
    ("PDT", "America/Los_Angeles"),
    ("MDT", "America/Denver"),
    ("CST", "America/Chicago"),
    ("CDT", "America/Chicago"),
    ("EDT", "America/New_York"),
    ("BST", "Europe/London"),
    ("CEST", "Europe/Berlin"),
    ("EEST", "Europe/Helsinki"),
    ("IST", "Asia/Kolkata"),
    ("SGT", "Asia/Singapore"),
    ("JST", "Asia/Tokyo"),
    ("AEST", "Australia/Sydney"),
    ("AEDT", "Australia/Sydney"),
];

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong.
    pub what: String,
    /// What to do, where that can be told.
    pub hint: Option<String>,
    /// The bytes of the text that are wrong, if not all of it.
    pub part: Option<Range<usize>>,
}

impl Complaint {
    /// About the whole value.
    pub fn new(what: impl Into<String>, hint: Option<String>) -> Self {
        Self { what: what.into(), hint, part: None }
    }
}

/// A complaint, with a hint if there is one.
pub fn complain<T>(what: impl Into<String>, hint: Option<String>) -> Result<T, Complaint> {
    Err(Complaint::new(what, hint))
}

/// Whether a text will do.
pub type Check = fn(&str) -> Result<(), Complaint>;

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
        return complain(format!("{text:?} holds {bad:?}, which is not allowed"), Some(format!("write `{tame}`")));
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

/// An IANA zone; whether there is such a zone only its table knows.
pub fn timezone(text: &str) -> Result<(), Complaint> {
    if text.is_empty() { Err(no_zone(text)) } else { Ok(()) }
}

/// What to say of a zone that no table knows.
pub fn no_zone(text: &str) -> Complaint {
    let what = format!("{text:?} is not a time zone");
    if let Some((_, place)) = ABBREVIATIONS.iter().find(|(short, _)| short.eq_ignore_ascii_case(text)) {
        let hint = format!("name a place, which knows its summer time: \"{place}\"");
        return Complaint::new(format!("{what}, but the abbreviation of an offset"), Some(hint));
    }
    if text.contains(|c: char| c.is_ascii_digit()) && text.contains(['+', '-', ':']) {
        let hint = "name a place instead of an offset: \"Europe/Berlin\", or \"UTC\"";
        return Complaint::new(what, Some(hint.into()));
    }
    let hint = did_you_mean(text, TZ_VARIANTS.iter().map(|zone| zone.name()));
    Complaint::new(what, hint.or_else(|| Some("`timedatectl list-timezones` lists them all".into())))
}

/// A cron line that fires at some time; the words are `check_cron`'s own.
pub fn cron(text: &str) -> Result<(), Complaint> {
    check_cron(text).map_err(|bad| Complaint { what: bad.what, hint: bad.hint, part: Some(bad.at) })
}

/// An address and port to listen on.
pub fn listen(text: &str) -> Result<(), Complaint> {
    if SocketAddr::from_str(text).is_ok() {
        return Ok(());
    }
    let hint = match text.rsplit_once(':') {
        Some(("localhost", port)) => Some(format!("write \"127.0.0.1:{port}\"")),
        Some(("" | "*", port)) => Some(format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for all addresses")),
        None if text.parse::<u16>().is_ok() => Some(format!("add an address: \"127.0.0.1:{text}\"")),
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
