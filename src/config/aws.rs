//! What AWS's own identifiers look like: instances, regions, accounts, roles. Shapes only; nobody is asked.

use super::check::{Complaint, complain};
use super::suggest::did_you_mean;

/// IAM: an external id has 2 to 1,224 characters (AssumeRole, API reference).
const EXTERNAL_ID: std::ops::RangeInclusive<usize> = 2..=1224;
/// IAM: a role's name has at most 64 characters.
const ROLE_NAME_MAX: usize = 64;

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
        } else {
            None
        };
        return complain(what, hint);
    };
    let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    if let Some(bad) = digits.chars().find(|c| !hex(*c)) {
        let lower = digits.to_lowercase();
        let hint = if lower.chars().all(hex) {
            format!("write \"i-{lower}\"")
        } else if digits.contains(['*', '?']) {
            "ids hold no wildcards: select by tags".into()
        } else {
            "after `i-` only 0-9 and a-f: copy the id anew".into()
        };
        let hint = Some(hint);
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
    let hint = did_you_mean(&lower, REGIONS.iter().copied());
    complain(what, hint.or_else(|| Some("write its code; the console shows it beside the name".into())))
}

/// A warning for a region of the right shape that AWS is not known to have: it may be newer than this version.
pub fn unknown_region(text: &str) -> Option<Complaint> {
    if REGIONS.contains(&text) {
        return None;
    }
    let hint = did_you_mean(text, REGIONS.iter().copied());
    let hint = hint.unwrap_or_else(|| "look it up with `aws ec2 describe-regions --all-regions`".into());
    Some(Complaint::new(format!("{text:?} is no region that this version knows"), Some(hint)))
}

/// The regions of all partitions in botocore 1.44.5 (partitions.json); a test compares the two. For hints and
/// warnings only: AWS adds regions, so any of the right shape is accepted.
pub const REGIONS: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-isoe-west-1",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "me-west-1",
    "mx-central-1",
    "sa-east-1",
    "sa-west-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "us-isob-west-1",
    "us-isof-east-1",
    "us-isof-south-1",
    "us-west-1",
    "us-west-2",
];

fn region_shape(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else { return false };
    let word = |w: &&str| w.len() >= 2 && w.bytes().all(|b| b.is_ascii_lowercase());
    (2..=3).contains(&words.len())
        && words.iter().all(word)
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
