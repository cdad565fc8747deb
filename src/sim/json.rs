//! KMS at the door: AWS JSON 1.1 into an [`Action`], and its answers. Names: the KMS API reference.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::action::Action;
use super::answer::Answer;
use super::error::ApiError;
use super::key::{SimGrant, SimKey};

/// What `X-Amz-Target` begins with.
const TARGET: &str = "TrentService.";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OfKey {
    key_id: String,
    policy_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Listed {
    key_id: String,
    limit: Option<u32>,
    marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Granted {
    key_id: String,
    grantee_principal: String,
    operations: Vec<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Revoked {
    key_id: String,
    grant_id: String,
}

/// The action that `target` names, with the parameters of `body`. What this world does not serve is refused.
///
/// # Errors
/// `UnknownOperationException`, `ValidationException`.
pub fn parse(target: &str, body: &[u8]) -> Result<Action, ApiError> {
    let api = target.strip_prefix(TARGET).unwrap_or_default();
    Ok(match api {
        "DescribeKey" => Action::DescribeKey { key: read::<OfKey>(body)?.key_id },
        "GetKeyPolicy" => {
            let asked: OfKey = read(body)?;
            // API reference, GetKeyPolicy: the only valid name is `default`.
            if asked.policy_name.is_some_and(|name| name != "default") {
                return Err(ApiError::client("NotFoundException", "No such policy exists"));
            }
            Action::GetKeyPolicy { key: asked.key_id }
        }
        "ListGrants" => {
            let Listed { key_id: key, limit: max, marker } = read(body)?;
            Action::ListGrants { key, max, marker }
        }
        "CreateGrant" => {
            let Granted { key_id: key, grantee_principal: grantee, operations, name } = read(body)?;
            Action::CreateGrant { key, grantee, operations, name }
        }
        "RevokeGrant" => {
            let Revoked { key_id: key, grant_id: grant } = read(body)?;
            Action::RevokeGrant { key, grant }
        }
        _ => {
            let message = format!("{target} (the simulated world does not serve it)");
            return Err(ApiError::client("UnknownOperationException", message));
        }
    })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|why| ApiError::client("ValidationException", why.to_string()))
}

/// The document for `answer`.
#[must_use]
pub fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Key(key) => json!({ "KeyMetadata": metadata(key) }),
        Answer::KeyPolicy(policy) => json!({ "Policy": policy, "PolicyName": "default" }),
        Answer::Grants(key, page) => {
            let grants: Vec<Value> = page.items.iter().map(|it| grant(key, it)).collect();
            let mut whole = json!({ "Grants": grants, "Truncated": page.next.is_some() });
            if let Some(next) = &page.next {
                whole["NextMarker"] = json!(next);
            }
            whole
        }
        Answer::Grant(id) => json!({ "GrantId": id, "GrantToken": format!("token-of-{id}") }),
        _ => return String::new(), // RevokeGrant: an empty body
    }
    .to_string()
}

fn metadata(key: &SimKey) -> Value {
    let (spec, usage) =
        if key.symmetric { ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT") } else { ("RSA_2048", "SIGN_VERIFY") };
    json!({
        "AWSAccountId": key.place.account,
        "KeyId": key.arn.rsplit('/').next(),
        "Arn": key.arn,
        "Description": "",
        "Enabled": key.state == "Enabled",
        "KeyState": key.state,
        "KeyManager": if key.aws_managed { "AWS" } else { "CUSTOMER" },
        "KeySpec": spec,
        "CustomerMasterKeySpec": spec,
        "KeyUsage": usage,
        "Origin": "AWS_KMS",
        "MultiRegion": false,
    })
}

fn grant(key: &str, it: &SimGrant) -> Value {
    let mut whole = json!({
        "KeyId": key,
        "GrantId": it.id,
        "CreationDate": it.created.timestamp(),
        "GranteePrincipal": it.grantee,
        "IssuingAccount": key.split(':').nth(4).map(|account| format!("arn:aws:iam::{account}:root")),
        "Operations": it.operations,
    });
    if let Some(name) = &it.name {
        whole["Name"] = json!(name);
    }
    whole
}

/// The error document.
#[must_use]
pub fn error(error: &ApiError) -> String {
    json!({ "__type": error.code, "message": error.message }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_and_refusals_name_what_is_wrong() {
        let key = r#"{"KeyId": "k", "GrantId": "g"}"#;
        assert_eq!(
            parse("TrentService.RevokeGrant", key.as_bytes()),
            Ok(Action::RevokeGrant { key: "k".into(), grant: "g".into() })
        );
        let code = |target: &str, body: &str| parse(target, body.as_bytes()).map_or_else(|e| e.code, |_| "ok".into());
        let table = [
            ("TrentService.DescribeKey", r#"{"KeyId": "k"}"#, "ok"),
            ("TrentService.DescribeKey", "{}", "ValidationException"),
            ("TrentService.DescribeKey", "no", "ValidationException"),
            ("TrentService.ListGrants", r#"{"KeyId": "k", "Limit": 5, "Marker": "m"}"#, "ok"),
            ("TrentService.ListGrants", r#"{"KeyId": "k", "GranteePrincipal": "a"}"#, "ValidationException"),
            ("TrentService.GetKeyPolicy", r#"{"KeyId": "k", "PolicyName": "default"}"#, "ok"),
            ("TrentService.GetKeyPolicy", r#"{"KeyId": "k", "PolicyName": "x"}"#, "NotFoundException"),
            ("TrentService.Encrypt", "{}", "UnknownOperationException"),
            ("DynamoDB.DescribeKey", "{}", "UnknownOperationException"),
        ];
        for (target, body, want) in table {
            assert_eq!(code(target, body), want, "{target} {body}");
        }
    }
}
