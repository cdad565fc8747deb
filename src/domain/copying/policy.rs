//! What a key's policy allows already, so that no grant is made in vain; and the operations of the grants that are made.
//!
//! Only what is understood counts. A policy that allows in a way unknown here is joined by a grant, which does no harm;
//! one read too kindly would end in a copy that fails hours later.

use std::collections::BTreeSet;

use serde_json::Value;

/// What copying a snapshot under another account's key needs of that key: EBS guide, "Encryption requirements", and EC2
/// guide, "Share an encrypted snapshot" (both spell `ReEncrypt*`, which a grant writes as two).
pub const COPYING: [&str; 7] = [
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
];

/// What a role that copies is granted. EBS makes grants of its own under it, whose operations must be a subset (KMS API
/// reference, CreateGrant); that it may ask for Encrypt is an INFERENCE. Grants from before lack it and are recognised by
/// their name all the same; a policy that allows [`COPYING`] needs no grant.
pub const GRANTED: [&str; 8] = [
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
];

/// What launching from an image under another account's key needs of that key: Auto Scaling guide, "Key policy
/// requirements for EBS encryption"; other launches need no more.
pub const LAUNCHING: [&str; 8] = [
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
];

/// The operations as a request carries them.
#[must_use]
pub fn operations(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The only condition that is understood, and the only action that it may stand on: EBS itself asks for its grants.
const FOR_AWS: &str = "kms:grantisforawsresource";
const CREATE_GRANT: &str = "CreateGrant";

/// How surely a part of a statement fits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    No,
    /// Not understood: too little to allow, enough to deny.
    Perhaps,
    Yes,
}

/// Whether a key's policy alone lets `role` of `account` do all of `operations`.
#[must_use]
pub fn policy_allows(policy_json: &str, role: &str, account: &str, operations: &BTreeSet<String>) -> bool {
    let Some(statements) = Statements::read(policy_json) else { return false };
    operations
        .iter()
        .all(|operation| statements.allow(operation, |statement| principal(statement, role, account), condition))
}

/// The statements of a policy.
pub(super) struct Statements(Vec<Value>);

impl Statements {
    /// Nothing if it is no policy, or one of a kind that is not known.
    pub(super) fn read(policy_json: &str) -> Option<Self> {
        let statements = match serde_json::from_str::<Value>(policy_json).ok()?.get_mut("Statement")?.take() {
            Value::Array(all) => all,
            one @ Value::Object(_) => vec![one],
            _ => return None,
        };
        let known = |statement: &Value| matches!(statement["Effect"].as_str(), Some("Allow" | "Deny"));
        statements.iter().all(known).then_some(Self(statements))
    }

    /// Whether one of them surely allows an operation, and none could deny it.
    pub(super) fn allow(
        &self,
        operation: &str,
        principal: impl Fn(&Value) -> Fit,
        condition: impl Fn(&Value, &str) -> Fit,
    ) -> bool {
        let fits = |statement: &Value| principal(statement).min(action(statement, operation));
        let of_effect = |effect: &'static str| self.0.iter().filter(move |statement| statement["Effect"] == effect);
        let allowed = of_effect("Allow")
            .any(|statement| fits(statement).min(condition(statement, operation)).min(resource(statement)) == Fit::Yes);
        allowed && !of_effect("Deny").any(|statement| fits(statement) > Fit::No)
    }
}

/// A text, or a list of texts; nothing if it is anything else.
pub(super) fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(all) => all.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn principal(statement: &Value, role: &str, account: &str) -> Fit {
    let known = match &statement["Principal"] {
        Value::String(all) => return if all == "*" { Fit::Yes } else { Fit::Perhaps },
        Value::Object(kinds) => kinds,
        _ => return Fit::Perhaps, // NotPrincipal, or nothing
    };
    let mut fit = Fit::No;
    for (kind, names) in known {
        match (kind.as_str(), texts(names)) {
            ("AWS", Some(names)) => {
                let root = |name: &str| name.starts_with("arn:") && name.ends_with(&format!(":iam::{account}:root"));
                if names.iter().any(|name| ["*", account, role].contains(name) || root(name)) {
                    return Fit::Yes;
                }
                // A session of the role bears another ARN, and a deleted principal reads as its unique id.
                let other = |name: &&str| name.contains(":assumed-role/") || !name.contains(':') && name.len() != 12;
                if names.iter().any(other) {
                    fit = Fit::Perhaps;
                }
            }
            ("Service" | "Federated" | "CanonicalUser", Some(_)) => {}
            _ => fit = Fit::Perhaps,
        }
    }
    fit
}

fn action(statement: &Value, operation: &str) -> Fit {
    let Some(actions) = texts(&statement["Action"]) else { return Fit::Perhaps }; // NotAction, or nothing
    let wanted = format!("kms:{operation}").to_lowercase();
    if actions.iter().any(|action| matches(&action.to_lowercase(), &wanted)) { Fit::Yes } else { Fit::No }
}

fn condition(statement: &Value, operation: &str) -> Fit {
    let condition = match &statement["Condition"] {
        Value::Null => return Fit::Yes,
        Value::Object(condition) => condition,
        _ => return Fit::Perhaps,
    };
    let understood = condition.iter().all(|(operator, keys)| {
        let keys = keys.as_object();
        keys.is_some_and(|keys| keys.iter().all(|(key, value)| for_aws(operator, key, value, operation)))
    });
    if understood { Fit::Yes } else { Fit::Perhaps }
}

/// Whether a condition is the one that EBS meets when it asks for a grant.
pub(super) fn for_aws(operator: &str, key: &str, value: &Value, operation: &str) -> bool {
    let is_true = *value == Value::Bool(true) || texts(value).is_some_and(|all| all == ["true"]);
    operation == CREATE_GRANT && operator == "Bool" && key.to_lowercase() == FOR_AWS && is_true
}

/// In a key's policy `*` is this key.
fn resource(statement: &Value) -> Fit {
    let all = texts(&statement["Resource"]).is_some_and(|resources| resources.contains(&"*"));
    if all { Fit::Yes } else { Fit::Perhaps }
}

/// Whether `text` matches a pattern of IAM: `*` stands for anything, `?` for one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::222222222222:role/stillframe";

    /// Whether a policy of these statements, written without their brackets, allows Decrypt and CreateGrant.
    fn allows(statements: &[&str]) -> bool {
        let policy = format!("{{\"Statement\":[{{{}}}]}}", statements.join("},{"));
        policy_allows(&policy, ROLE, "222222222222", &operations(&["Decrypt", "CreateGrant"]))
    }

    const ALL: &str = r#""Effect":"Allow","Action":"kms:*","Resource":"*","Principal":"#;

    #[test]
    fn what_is_understood_allows() {
        for principal in [
            r#""*""#,
            r#"{"AWS":"*"}"#,
            r#"{"AWS":"222222222222"}"#,
            r#"{"AWS":"arn:aws:iam::222222222222:root"}"#,
            r#"{"AWS":["arn:aws:iam::333333333333:root","arn:aws:iam::222222222222:role/stillframe"]}"#,
            r#"{"Service":"ec2.amazonaws.com","AWS":"222222222222"}"#,
        ] {
            assert!(allows(&[&format!("{ALL}{principal}")]), "{principal}");
        }
        // As EC2's guide writes it: two statements, the second with the condition.
        let grants = r#""Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":["kms:CreateGrant","kms:ListGrants"],
            "Resource":"*","Condition":{"Bool":{"kms:GrantIsForAWSResource":"true"}}"#;
        let uses = r#""Effect":"Allow","Principal":{"AWS":"222222222222"},"Resource":["*"],
            "Action":["kms:Encrypt","kms:Dec*","kms:ReEncrypt*"]"#;
        assert!(allows(&[grants, uses]));
        assert!(!allows(&[grants]) && !allows(&[uses]));
        assert!(allows(&[
            &format!("{ALL}\"*\""),
            r#""Effect":"Deny","Action":"kms:ScheduleKeyDeletion","Principal":"*""#
        ]));
        assert!(allows(&[
            &format!("{ALL}\"*\""),
            r#""Effect":"Deny","Action":"kms:*","Principal":{"AWS":"arn:aws:iam::333333333333:root"}"#,
        ]));
    }

    #[test]
    fn what_is_not_understood_does_not() {
        for statement in [
            r#""Effect":"Allow","Action":"kms:*","Resource":"*""#,
            r#""Effect":"Allow","Action":"kms:*","Principal":"*""#,
            r#""Effect":"Allow","NotAction":"kms:Sign","Resource":"*","Principal":"*""#,
            r#""Effect":"Allow","Action":"kms:*","Resource":"*","NotPrincipal":{"AWS":"333333333333"}"#,
            r#""Effect":"Allow","Action":"kms:*","Resource":"*","Principal":{"AWS":"333333333333"}"#,
            r#""Effect":"Allow","Action":"kms:*","Resource":"*","Principal":{"AWS":"arn:aws:iam::222222222222:role/other"}"#,
            r#""Effect":"Allow","Action":"kms:*","Resource":"*","Principal":{"Service":"ec2.amazonaws.com"}"#,
            r#""Effect":"Allow","Action":["kms:Decrypt","kms:Create?rant2"],"Resource":"*","Principal":"*""#,
            r#""Effect":"Allow","Action":"kms:*","Resource":"*","Principal":"*","Condition":{"StringEquals":{"kms:CallerAccount":"222222222222"}}"#,
            r#""Effect":"Allow","Action":"kms:*","Resource":"*","Principal":"*","Condition":{"Bool":{"kms:GrantIsForAWSResource":"true"}}"#,
            r#""Effect":"Permit","Action":"kms:*","Resource":"*","Principal":"*""#,
        ] {
            assert!(!allows(&[statement]), "{statement}");
        }
        let open = format!("{ALL}\"*\"");
        for deny in [
            r#""Effect":"Deny","Action":"kms:Decrypt","Principal":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
            r#""Effect":"Deny","NotAction":"kms:Sign","Principal":"*""#,
            r#""Effect":"Deny","Action":"kms:*","NotPrincipal":{"AWS":"333333333333"}"#,
            r#""Effect":"Deny","Action":"*","Principal":{"AWS":"arn:aws:sts::222222222222:assumed-role/stillframe/x"}"#,
        ] {
            assert!(!allows(&[&open, deny]), "{deny}");
        }
        for policy in ["", "{}", "[]", "{\"Statement\":7}", "{\"Statement\":[7]}"] {
            assert!(!policy_allows(policy, ROLE, "222222222222", &operations(&COPYING)), "{policy}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("*", "kms:decrypt", true),
            ("kms:*", "kms:decrypt", true),
            ("kms:re*from", "kms:reencryptfrom", true),
            ("kms:?ecrypt", "kms:decrypt", true),
            ("kms:decrypt*", "kms:decrypt", true),
            ("kms:re*to", "kms:reencryptfrom", false),
            ("kms:decryp", "kms:decrypt", false),
            ("", "kms:decrypt", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern}");
        }
    }
}
