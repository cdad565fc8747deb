//! What people must add to the policy of a key, as JSON to paste, where no grant can do it: organizations and units.

use serde_json::{Value, json};

use super::policy::LAUNCHING;
use crate::domain::sharing::Grantee;

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
    let uses: Vec<String> = LAUNCHING.iter().filter(|name| **name != "CreateGrant").map(|name| kms(name)).collect();
    let statement = |actions: Vec<String>, condition: &Value| {
        let everyone = json!({ "AWS": "*" });
        let statement = json!({
            "Effect": "Allow", "Principal": everyone, "Action": actions, "Resource": "*", "Condition": condition,
        });
        statement.to_string()
    };
    // Apart from the rest, the grants that AWS itself asks for.
    let mut for_aws = condition.clone();
    for_aws["Bool"] = json!({ "kms:GrantIsForAWSResource": "true" });
    vec![statement(uses, &condition), statement(vec![kms("CreateGrant")], &for_aws)]
}

fn kms(operation: &str) -> String {
    format!("kms:{operation}")
}
