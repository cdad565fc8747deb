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
