//! What the names of keys, organizations and organizational units look like. Shapes only; nobody is asked.

use super::aws::account_id;
use super::check::{Complaint, complain};
use crate::domain::place;

/// The key that EBS encrypts with where nothing else is said: AWS's own, it can be used in its account only.
pub const EBS_ALIAS: &str = "alias/aws/ebs";
/// KMS, CreateAlias: an alias has at most 256 characters with its prefix.
const ALIAS_MAX: usize = 250;
/// The partitions that accounts of anyone are in, as the patterns of the schema have them.
const PARTITIONS: [&str; 3] = ["aws", "aws-cn", "aws-us-gov"];

/// The account and the region in the ARN of a key or an alias; nothing for the other forms, which name neither.
pub fn key_home(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.splitn(6, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("arn"), Some(_), Some("kms"), Some(region), Some(account)) => Some((account, region)),
        _ => None,
    }
}

/// The partition of an ARN.
pub fn arn_partition(text: &str) -> Option<&str> {
    text.strip_prefix("arn:")?.split(':').next()
}

/// A key as KMS takes it: an alias, an id, or the ARN of either.
pub fn kms_key(text: &str) -> Result<(), Complaint> {
    let what = format!("{text:?} is not the name of a key");
    let bare = match key_home(text) {
        Some((account, region)) => {
            let partition = arn_partition(text).unwrap_or_default();
            let right = PARTITIONS.contains(&partition) && partition == place::partition(region);
            if !right || account_id(account).is_err() || super::aws::region(region).is_err() {
                let hint = "copy the ARN anew: arn:aws:kms:REGION:ACCOUNT:key/ID, or ...:alias/NAME";
                return complain(what, Some(hint.into()));
            }
            let rest = text.splitn(6, ':').nth(5).unwrap_or_default();
            match rest.strip_prefix("key/") {
                Some(id) if key_id(id) => return Ok(()),
                Some(_) => return complain(what, Some("after `key/` stands the id of the key: copy it anew".into())),
                None => rest,
            }
        }
        None => text,
    };
    if let Some(name) = bare.strip_prefix("alias/") {
        let good = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
        if let Some(bad) = name.chars().find(|c| !good(*c)) {
            return complain(format!("{what}: it holds {bad:?}"), Some("copy the alias anew".into()));
        }
        if name.is_empty() || name.len() > ALIAS_MAX {
            return complain(what, Some("write alias/ and the name of the alias".into()));
        }
        if name.starts_with("aws/") && bare != EBS_ALIAS {
            return complain(
                format!("{text:?} is a key that AWS manages for another service: EBS cannot use it"),
                Some("name a key of your own, such as \"alias/backup\"".into()),
            );
        }
        return Ok(());
    }
    if key_id(bare) && bare == text {
        return Ok(());
    }
    let lower = bare.to_lowercase();
    let hint = if lower != bare && key_id(&lower) {
        format!("write \"{lower}\"")
    } else if kms_key(&format!("alias/{bare}")).is_ok() && !bare.starts_with("key/") {
        format!("write \"alias/{bare}\" if it is an alias")
    } else {
        "write \"alias/NAME\", the id of the key, or its ARN".into()
    };
    complain(what, Some(hint))
}

/// A key under which images are lent to others.
pub fn via_key(text: &str) -> Result<(), Complaint> {
    if text.ends_with(EBS_ALIAS) && kms_key(text).is_ok() {
        return complain(
            format!("{text:?} is the key that cannot be lent to another account: AWS manages it"),
            Some("make a key of your own (`aws kms create-key`, `aws kms create-alias`) and name its alias".into()),
        );
    }
    kms_key(text)
}

/// A UUID, or the id of a multi-Region key.
fn key_id(text: &str) -> bool {
    let hex = |part: &str, n: usize| part.len() == n && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if let Some(digits) = text.strip_prefix("mrk-") {
        return hex(digits, 32);
    }
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, n)| hex(part, n))
}

/// The two things of AWS Organizations that an image can be shared with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Organization,
    OrganizationalUnit,
}

/// An entry of `share.accounts`.
pub fn shared_account(text: &str) -> Result<(), Complaint> {
    let Err(complaint) = account_id(text) else { return Ok(()) };
    let hint = match (unit_of(text), text) {
        (Some(Unit::Organization), _) => Some("it is an organization: list it in `organizations`".to_owned()),
        (Some(Unit::OrganizationalUnit), _) => {
            Some("it is an organizational unit: list it in `organizational_units`".to_owned())
        }
        (None, "all" | "*" | "public") => Some("stillframe makes no image public: list the accounts".to_owned()),
        (None, _) => {
            let id = text.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(3));
            id.filter(|id| account_id(id).is_ok()).map(|id| format!("write \"{id}\""))
        }
    };
    Err(Complaint { hint: hint.or(complaint.hint.clone()), ..complaint })
}

/// The ARN of an organization: `arn:aws:organizations::111111111111:organization/o-abc`.
pub fn organization(text: &str) -> Result<(), Complaint> {
    unit(text, Unit::Organization)
}

/// The ARN of an organizational unit: `arn:aws:organizations::111111111111:ou/o-abc/ou-abcd-12345678`.
pub fn organizational_unit(text: &str) -> Result<(), Complaint> {
    unit(text, Unit::OrganizationalUnit)
}

fn unit(text: &str, wanted: Unit) -> Result<(), Complaint> {
    let noun = match wanted {
        Unit::Organization => "an organization",
        Unit::OrganizationalUnit => "an organizational unit",
    };
    let what = format!("{text:?} is not the ARN of {noun}");
    match unit_of(text) {
        Some(found) if found == wanted && text.starts_with("arn:") => return Ok(()),
        Some(found) if found != wanted => {
            let other = if found == Unit::Organization { "organizations" } else { "organizational_units" };
            return complain(what, Some(format!("list it in `{other}`")));
        }
        _ => {}
    }
    let hint = if account_id(text).is_ok() {
        "it is an account: list it in `accounts`".into()
    } else if unit_of(text).is_some() {
        match wanted {
            Unit::Organization => format!(
                "write the whole ARN, with the id of the management account: \
                 \"arn:aws:organizations::111111111111:organization/{text}\""
            ),
            Unit::OrganizationalUnit => format!(
                "write the whole ARN, with the ids of the management account and the organization: \
                 \"arn:aws:organizations::111111111111:ou/o-.../{text}\""
            ),
        }
    } else if wanted == Unit::Organization {
        "write it as `aws organizations describe-organization` shows its Arn".into()
    } else {
        "write it as `aws organizations describe-organizational-unit` shows its Arn".into()
    };
    complain(what, Some(hint))
}

/// What this is: an ARN, or the bare id of one.
fn unit_of(text: &str) -> Option<Unit> {
    let word = |id: &str, prefix: &str, dashes: bool| {
        id.strip_prefix(prefix).is_some_and(|rest| {
            let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || dashes && b == b'-';
            (1..=65).contains(&rest.len()) && rest.bytes().all(good)
        })
    };
    let (organization, part) = (|id: &str| word(id, "o-", false), |id: &str| word(id, "ou-", true));
    if !text.starts_with("arn:") {
        let bare = part(text).then_some(Unit::OrganizationalUnit);
        return bare.or_else(|| organization(text).then_some(Unit::Organization));
    }
    let mut parts = text.splitn(6, ':').skip(1);
    let partition = parts.next()?;
    let right = PARTITIONS.contains(&partition) && parts.next()? == "organizations" && parts.next()?.is_empty();
    let account = parts.next()?;
    let path: Vec<&str> = parts.next()?.split('/').collect();
    if !right || account_id(account).is_err() {
        return None;
    }
    match path[..] {
        ["organization", id] if organization(id) => Some(Unit::Organization),
        ["ou", id, ou] if organization(id) && part(ou) => Some(Unit::OrganizationalUnit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys() {
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        let mrk = "mrk-1234abcd12ab34cd56ef1234567890ab";
        let arn = "arn:aws:kms:eu-west-1:222222222222:";
        for good in ["alias/backup", "alias/team/x_1", EBS_ALIAS, id, mrk] {
            assert_eq!(kms_key(good), Ok(()), "{good}");
        }
        for good in ["alias/backup".to_owned(), format!("key/{id}"), format!("key/{mrk}")] {
            assert_eq!(kms_key(&format!("{arn}{good}")), Ok(()), "{good}");
        }
        let bad = ["", "backup", "alias/", "alias/a b", "alias/aws/s3", "key/x", "mrk-12", &id[1..], "arn:aws:kms:x"];
        for bad in bad.into_iter().map(str::to_owned).chain([format!("{arn}{id}"), format!("{arn}key/alias/x")]) {
            assert!(kms_key(&bad).is_err(), "{bad}");
        }
        assert!(via_key(EBS_ALIAS).is_err() && via_key(&format!("{arn}{EBS_ALIAS}")).is_err());
        assert_eq!(via_key("alias/share"), Ok(()));
        assert_eq!(key_home(&format!("{arn}alias/x")), Some(("222222222222", "eu-west-1")));
        assert_eq!((key_home(id), key_home("alias/a")), (None, None));
    }

    #[test]
    fn organizations_and_units() {
        let (org, ou) = (
            "arn:aws:organizations::111111111111:organization/o-abc",
            "arn:aws:organizations::111111111111:ou/o-abc/ou-abcd-12345678",
        );
        assert!(organization(org).is_ok() && organizational_unit(ou).is_ok());
        for bad in [ou, "o-abc", "ou-abcd-12345678", "111111111111", "", "arn:aws:organizations::1:organization/o-abc"]
        {
            assert!(organization(bad).is_err(), "{bad}");
        }
        for bad in [org, "ou-abcd-12345678", "arn:aws:organizations::111111111111:ou/ou-abcd-12345678"] {
            assert!(organizational_unit(bad).is_err(), "{bad}");
        }
        assert!(shared_account("333333333333").is_ok() && shared_account(org).is_err());
    }
}
