//! The policies that people must add where something is denied, as JSON to paste: one text for errors and `doctor`.

use serde_json::{Value, json};

use super::policy::{COPYING, LAUNCHING};
use crate::domain::sharing::Grantee;

/// The trust policy of a role of `[accounts.NAME]`: who may assume it. `caller` is the ARN of the role or user that
/// stillframe runs as; the external id is a secret, so that only its place is shown.
#[must_use]
pub fn trust_policy(caller: &str, name: &str, external_id: bool) -> String {
    let mut statement = json!({ "Effect": "Allow", "Principal": { "AWS": caller }, "Action": "sts:AssumeRole" });
    if external_id {
        let place = format!("<accounts.{name}.external_id of stillframe.toml>");
        statement["Condition"] = json!({ "StringEquals": { "sts:ExternalId": place } });
    }
    text(&json!({ "Version": "2012-10-17", "Statement": [statement] }))
}

/// The statements of a key's policy by which `principal`, a role or an account's root, may copy what is under it.
#[must_use]
pub fn of_copier(principal: &str) -> Vec<String> {
    of_user(&json!({ "AWS": principal }), &Value::Null, &COPYING)
}

/// The statements of a key's policy by which `caller` may lend it: stillframe in the source's account.
#[must_use]
pub fn of_lender(caller: &str) -> Vec<String> {
    let actions = ["CreateGrant", "DescribeKey", "GetKeyPolicy", "ListGrants", "RevokeGrant"].map(kms);
    vec![text(&json!({ "Effect": "Allow", "Principal": { "AWS": caller }, "Action": actions, "Resource": "*" }))]
}

/// The statements of a key's policy by which all accounts of an organization or a unit may launch from images under it;
/// none for an account, which gets a grant. AWS's sample lacks CreateGrant, without which no instance starts.
#[must_use]
pub fn of_members(grantee: &Grantee) -> Vec<String> {
    let id = |arn: &str, nth: usize| arn.split('/').nth(nth).unwrap_or_default().to_owned();
    let condition = match grantee {
        Grantee::Organization(arn) => json!({ "StringEquals": { "aws:PrincipalOrgID": id(arn, 1) } }),
        Grantee::Unit(arn) => {
            let path = format!("{}/*/{}/*", id(arn, 1), id(arn, 2));
            json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": path } })
        }
        Grantee::Account(_) | Grantee::Everyone => return Vec::new(),
    };
    of_user(&json!({ "AWS": "*" }), &condition, &LAUNCHING)
}

/// Two statements: the operations, and apart from them the grants that AWS itself asks for.
fn of_user(principal: &Value, condition: &Value, operations: &[&str]) -> Vec<String> {
    let uses: Vec<String> = operations.iter().filter(|name| **name != "CreateGrant").map(|name| kms(name)).collect();
    let mut statements = [uses, vec![kms("CreateGrant")]]
        .map(|actions| json!({ "Effect": "Allow", "Action": actions, "Resource": "*" }));
    for statement in &mut statements {
        statement["Principal"] = principal.clone();
        if !condition.is_null() {
            statement["Condition"] = condition.clone();
        }
    }
    statements[1]["Condition"]["Bool"] = json!({ "kms:GrantIsForAWSResource": "true" });
    statements.iter().map(text).collect()
}

fn kms(operation: &str) -> String {
    format!("kms:{operation}")
}

fn text(value: &Value) -> String {
    value.to_string()
}
