//! Whether a key's policy lets the members of an organization or a unit in already: only a policy can, so that this is
//! looked at before anybody is told to change one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::policy::{Fit, Statements, texts};
use crate::domain::sharing::Grantee;

/// Whether a key's policy lets all accounts of `grantee`, an organization or a unit, do all of `operations`. What is not
/// understood does not.
#[must_use]
pub fn policy_allows_members(policy_json: &str, grantee: &Grantee, operations: &BTreeSet<String>) -> bool {
    let Some(statements) = Statements::read(policy_json) else { return false };
    operations.iter().all(|operation| {
        statements.allow(operation, everyone, |statement, operation| condition(statement, operation, grantee))
    })
}

/// A statement for all, which its condition narrows down.
fn everyone(statement: &Value) -> Fit {
    match &statement["Principal"] {
        Value::String(all) if all == "*" => Fit::Yes,
        Value::Object(kinds) => match kinds.get("AWS").and_then(texts) {
            Some(names) if names.contains(&"*") => Fit::Yes,
            Some(_) => Fit::Perhaps,
            None => Fit::No,
        },
        _ => Fit::Perhaps,
    }
}

fn condition(statement: &Value, operation: &str, grantee: &Grantee) -> Fit {
    let Some(condition) = statement["Condition"].as_object() else {
        return if statement["Condition"].is_null() { Fit::Yes } else { Fit::Perhaps };
    };
    let understood = condition.iter().all(|(operator, keys)| {
        keys.as_object().is_some_and(|keys| {
            keys.iter().all(|(key, value)| {
                super::policy::for_aws(operator, key, value, operation) || members(operator, key, value, grantee)
            })
        })
    });
    if understood { Fit::Yes } else { Fit::Perhaps }
}

/// Whether a condition is met by every member of `grantee`.
fn members(operator: &str, key: &str, value: &Value, grantee: &Grantee) -> bool {
    let Some(values) = texts(value) else { return false };
    let id = grantee.short();
    match (grantee, key.to_lowercase().as_str()) {
        (Grantee::Organization(_), "aws:principalorgid") => {
            ["StringEquals", "StringLike"].contains(&operator) && values.contains(&id)
        }
        // A unit is met by the path of its organization, too.
        (Grantee::Unit(arn), "aws:principalorgid") => {
            let organization = arn.split('/').nth(1).unwrap_or_default();
            ["StringEquals", "StringLike"].contains(&operator) && values.contains(&organization)
        }
        (Grantee::Unit(_), "aws:principalorgpaths") => {
            let below = format!("/{id}/*");
            operator == "ForAnyValue:StringLike" && values.iter().any(|path| path.ends_with(&below))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::copying::policy::{LAUNCHING, operations};
    use crate::domain::copying::statement::of_members;

    #[test]
    fn what_is_told_to_be_added_is_understood_afterwards() {
        let organization = Grantee::Organization("arn:aws:organizations::111111111111:organization/o-abc".into());
        let other = Grantee::Organization("arn:aws:organizations::111111111111:organization/o-xyz".into());
        let unit = Grantee::Unit("arn:aws:organizations::111111111111:ou/o-abc/ou-abcd-12345678".into());
        let allows = |statements: &[String], grantee: &Grantee| {
            let policy = format!("{{\"Statement\":[{}]}}", statements.join(","));
            policy_allows_members(&policy, grantee, &operations(&LAUNCHING))
        };
        let (all, some) = (of_members(&organization), of_members(&unit));
        assert!(allows(&all, &organization) && allows(&some, &unit));
        assert!(allows(&all, &unit), "a unit is a part of its organization");
        assert!(!allows(&some, &organization) && !allows(&all, &other));
        // AWS's own sample lacks the grants.
        assert!(!allows(&all[..1], &organization));
        let denied = r#"{"Effect":"Deny","Action":"kms:Decrypt","Principal":{"AWS":"*"}}"#.to_owned();
        assert!(!allows(&[all[0].clone(), all[1].clone(), denied], &organization));
        let root = r#"{"Effect":"Allow","Action":"kms:*","Resource":"*","Principal":{"AWS":"111111111111"}}"#;
        assert!(!allows(&[root.to_owned()], &organization));
        assert!(!policy_allows_members("", &organization, &operations(&LAUNCHING)));
    }
}
