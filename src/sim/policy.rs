//! Key policies, as far as this world understands them: principals, actions with wildcards, a few conditions.

use serde_json::Value;

use super::filter::like;
use super::world::Caller;
use crate::domain::place::Place;

/// The policy that a new key has (KMS developer guide, "Default key policy").
#[must_use]
pub fn default_policy(account: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{account}:root"}},"Action":"kms:*","Resource":"*"}}]}}"#
    )
}

/// The policy of `alias/aws/ebs` in `place`: its account alone, and through EC2 alone.
#[must_use]
pub fn managed_policy(place: &Place) -> String {
    let Place { account, region } = place;
    format!(
        r#"{{"Version":"2012-10-17","Id":"auto-ebs-2","Statement":[{{"Sid":"Allow access through EBS for all principals in the account that are authorized to use EBS","Effect":"Allow","Principal":{{"AWS":"*"}},"Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*","kms:CreateGrant","kms:DescribeKey"],"Resource":"*","Condition":{{"StringEquals":{{"kms:CallerAccount":"{account}","kms:ViaService":"ec2.{region}.amazonaws.com"}}}}}},{{"Sid":"Allow direct access to key metadata to the account","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{account}:root"}},"Action":["kms:Describe*","kms:Get*","kms:List*","kms:RevokeGrant"],"Resource":"*"}}]}}"#
    )
}

/// One use of a key.
pub(super) struct Use<'a> {
    pub(super) caller: &'a Caller,
    /// The caller's path in its organization.
    pub(super) organization: Option<&'a str>,
    /// `Decrypt`, ...
    pub(super) operation: &'a str,
    /// EC2 asks on the caller's behalf, in this region.
    pub(super) through_ec2: Option<&'a str>,
}

/// Whether `policy` allows it: some statement does, and none denies it. A statement that is not understood allows
/// nothing and denies all.
pub(super) fn allows(policy: &str, of: &Use<'_>) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else { return false };
    let mut allowed = false;
    for statement in several(&policy["Statement"]) {
        let names = named(&statement["Principal"], of.caller)
            && several(&statement["Action"]).any(|a| {
                a.as_str().is_some_and(|a| {
                    like(&a.to_ascii_lowercase(), &format!("kms:{}", of.operation).to_ascii_lowercase())
                })
            });
        let meets = conditions(&statement["Condition"], of);
        match statement["Effect"].as_str() {
            Some("Allow") => allowed |= names && meets == Some(true),
            _ if names && meets != Some(false) => return false,
            _ => {}
        }
    }
    allowed
}

/// A value, or each of a list of them.
fn several(value: &Value) -> impl Iterator<Item = &Value> {
    let (one, many) = match value {
        Value::Array(many) => (None, many.as_slice()),
        Value::Null => (None, &[][..]),
        one => (Some(one), &[][..]),
    };
    one.into_iter().chain(many)
}

/// `"*"`, or `AWS`: an account's number or root, a role, a session, a user (IAM user guide, "Principal").
fn named(principal: &Value, caller: &Caller) -> bool {
    let root = format!("arn:aws:iam::{}:root", caller.account);
    let fits = |name: &str| {
        name == "*"
            || name == caller.account
            || name == root
            || Some(name) == caller.role.as_deref()
            || name == caller.arn()
    };
    let names = if principal.is_string() { principal } else { &principal["AWS"] };
    several(names).filter_map(Value::as_str).any(fits)
}

/// Whether all conditions are met; nothing, if one is not understood.
fn conditions(condition: &Value, of: &Use<'_>) -> Option<bool> {
    let Value::Object(operators) = condition else { return condition.is_null().then_some(true) };
    let mut met = true;
    for (operator, keys) in operators {
        for (key, wanted) in keys.as_object()? {
            let path = of.organization;
            let has: Option<String> = match key.to_ascii_lowercase().as_str() {
                // KMS developer guide: true for grants that EBS makes for the caller; absent for other operations.
                "kms:grantisforawsresource" => {
                    (of.operation == "CreateGrant").then(|| of.through_ec2.is_some().to_string())
                }
                "kms:calleraccount" | "aws:principalaccount" => Some(of.caller.account.clone()),
                "kms:viaservice" => of.through_ec2.map(|region| format!("ec2.{region}.amazonaws.com")),
                "aws:principalorgid" => path.and_then(|path| path.split('/').next()).map(str::to_owned),
                "aws:principalorgpaths" => path.map(|path| format!("{path}/")),
                _ => return None,
            };
            let fits = |wanted: &Value| {
                let text = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
                has.as_ref().is_some_and(|has| match operator.as_str() {
                    "StringLike" | "ForAnyValue:StringLike" => like(&text, has),
                    _ => text == *has,
                })
            };
            let known = ["Bool", "StringEquals", "StringLike", "ForAnyValue:StringLike", "ForAnyValue:StringEquals"];
            if !known.contains(&operator.as_str()) {
                return None;
            }
            met &= several(wanted).any(fits);
        }
    }
    Some(met)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_do_what_by_a_policy() {
        let role = "arn:aws:iam::222222222222:role/stillframe";
        let session = Caller::assumed("222222222222", role, "stillframe-test");
        let statement = |principal: &str, action: &str, rest: &str| {
            format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":{action}{rest}}}"#)
        };
        let org = r#","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-abc"}}"#;
        let path = r#","Condition":{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["o-abc/*/ou-web/*"]}}"#;
        let for_aws = r#","Condition":{"Bool":{"kms:GrantIsForAWSResource":"true"}}"#;
        let unknown = r#","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#;
        let deny = r#"{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt"}"#;
        let table: Vec<(String, &str, Option<&str>, bool)> = vec![
            (statement(r#"{"AWS":"222222222222"}"#, r#""kms:*""#, ""), "Decrypt", None, true),
            (statement(r#"{"AWS":"arn:aws:iam::222222222222:root"}"#, r#""kms:Decrypt""#, ""), "Decrypt", None, true),
            (statement(&format!(r#"{{"AWS":["{role}"]}}"#), r#"["kms:ReEncrypt*"]"#, ""), "ReEncryptTo", None, true),
            (statement(&format!(r#"{{"AWS":"{role}-2"}}"#), r#""kms:*""#, ""), "Decrypt", None, false),
            (statement(r#"{"AWS":"111111111111"}"#, r#""kms:*""#, ""), "Decrypt", None, false),
            (statement(r#""*""#, r#""kms:Encrypt""#, ""), "Decrypt", None, false),
            (statement(r#""*""#, r#""kms:*""#, org), "Decrypt", None, true),
            (statement(r#""*""#, r#""kms:*""#, &org.replace("o-abc", "o-other")), "Decrypt", None, false),
            (statement(r#""*""#, r#""kms:*""#, path), "Decrypt", None, true),
            (statement(r#""*""#, r#""kms:*""#, &path.replace("ou-web", "ou-db")), "Decrypt", None, false),
            (statement(r#""*""#, r#""kms:CreateGrant""#, for_aws), "CreateGrant", Some("eu-west-1"), true),
            (statement(r#""*""#, r#""kms:CreateGrant""#, for_aws), "CreateGrant", None, false),
            (statement(r#""*""#, r#""kms:*""#, for_aws), "Decrypt", Some("eu-west-1"), false),
            (statement(r#""*""#, r#""kms:*""#, unknown), "Decrypt", None, false),
            (format!(r#"{},{deny}"#, statement(r#""*""#, r#""kms:*""#, "")), "Decrypt", None, false),
            (format!(r#"{},{deny}"#, statement(r#""*""#, r#""kms:*""#, "")), "DescribeKey", None, true),
        ];
        for (statements, operation, through_ec2, want) in table {
            let of = Use { caller: &session, organization: Some("o-abc/r-1/ou-web"), operation, through_ec2 };
            let policy = format!(r#"{{"Statement":[{statements}]}}"#);
            assert_eq!(allows(&policy, &of), want, "{operation} by {policy}");
        }
        let of = |caller| Use { caller, organization: None, operation: "Decrypt", through_ec2: Some("eu-west-1") };
        assert!(allows(&default_policy("222222222222"), &of(&session)));
        assert!(!allows(&default_policy("111111111111"), &of(&session)));
        let managed = managed_policy(&Place::new("222222222222", "eu-west-1"));
        assert!(allows(&managed, &of(&session)));
        assert!(!allows(&managed, &Use { through_ec2: None, ..of(&session) }));
        let stranger = Caller::new("111111111111");
        assert!(!allows(&managed, &of(&stranger)));
        assert!(!allows("not JSON", &of(&session)));
    }
}
