//! What a denial says is missing, and the statements that would give it. Pure.

use serde_json::{Value, json};

use crate::cloud::port::Fault;
use crate::domain::copying::statement;
use crate::view::doctor::Statement;

/// What is missing.
#[derive(Debug, PartialEq, Eq)]
pub struct Denial {
    /// The IAM action.
    pub action: String,
    /// The ARN, or `*`.
    pub resource: String,
    /// Whether a policy denies it explicitly, so that no statement helps.
    pub explicit: bool,
}

/// What a fault says is missing, if it is about a permission. `action` is what was asked for, where it does not say.
pub fn denial(fault: &Fault, action: &str) -> Option<Denial> {
    let named = ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException"];
    if !named.contains(&fault.code.as_str()) {
        return None;
    }
    let message = &fault.message;
    let after = |text: &str| message.split_once(text).map(|(_, rest)| rest);
    // In the words of AWS, or in those that explain them.
    let said = after("may not perform ").or_else(|| after("not authorized to perform: "));
    let said = said.and_then(|rest| rest.split_whitespace().next()).filter(|said| said.contains(':'));
    let said = said.filter(|said| !said.ends_with(":DryRun")).unwrap_or(action);
    let of_said = after(&format!("{said} on resource: ")).or_else(|| after(&format!("{said} on ")));
    let resource = of_said.and_then(|rest| rest.split_whitespace().next());
    Some(Denial {
        action: said.to_owned(),
        resource: resource.unwrap_or("*").trim_end_matches([';', '.', ':', ',']).to_owned(),
        explicit: message.contains("explicit"),
    })
}

/// The role or user behind a session's ARN.
pub fn principal(arn: &str) -> String {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts[..] {
        [_, partition, "sts", _, account, resource] => match resource.split('/').collect::<Vec<_>>()[..] {
            ["assumed-role", role, ..] => format!("arn:{partition}:iam::{account}:role/{role}"),
            _ => arn.to_owned(),
        },
        _ => arn.to_owned(),
    }
}

fn of_identity(principal: &str, statement: Value) -> Statement {
    Statement { policy: format!("the IAM policy of {principal}"), statement }
}

/// The statement for an EC2 call: for all objects of the kind, since the next image has another id.
pub fn identity(principal: &str, action: &str, resource: &str) -> Statement {
    let all = match resource.rsplit_once('/') {
        Some((kind, _)) if resource.starts_with("arn:") => format!("{kind}/*"),
        _ => "*".to_owned(),
    };
    of_identity(principal, json!({ "Effect": "Allow", "Action": action, "Resource": all }))
}

/// The statements that let `principal` copy to a key: of IAM, and of the key itself.
pub fn use_key(principal: &str, key: &str) -> Vec<Statement> {
    both(principal, key, &statement::of_copier(principal))
}

/// The statements that let `principal` lend a key to another account.
pub fn lend_key(principal: &str, key: &str) -> Vec<Statement> {
    both(principal, key, &statement::of_lender(principal))
}

/// The same statements for IAM, about this key, and for the policy of the key, about this principal.
fn both(principal: &str, key: &str, statements: &[String]) -> Vec<Statement> {
    let of_key = statements.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let of_key: Vec<Value> = of_key.collect();
    let iam = of_key.iter().map(|statement| {
        let mut statement = statement.clone();
        if let Some(fields) = statement.as_object_mut() {
            fields.remove("Principal");
            fields.insert("Resource".into(), json!(key));
            // IAM takes no alias for a resource; what it is the alias of could not be seen.
            if key.starts_with("alias/") {
                fields.insert("Resource".into(), json!("*"));
                let alias = json!({ "kms:ResourceAliases": key });
                let condition = fields.entry("Condition").or_insert_with(|| json!({}));
                condition["ForAnyValue:StringEquals"] = alias;
            }
        }
        of_identity(principal, statement)
    });
    let iam: Vec<Statement> = iam.collect();
    let policy = format!("the key policy of {key}");
    iam.into_iter().chain(of_key.into_iter().map(|statement| Statement { policy: policy.clone(), statement })).collect()
}

/// What lets `own` assume `role`: the role's trust, and the own permission. An external id is never shown.
pub fn trust(own: &str, role: &str, name: &str, external_id: bool) -> Vec<Statement> {
    let trust = statement::trust_policy(own, name, external_id);
    let trust = serde_json::from_str::<Value>(&trust).unwrap_or_default()["Statement"][0].clone();
    vec![
        Statement { policy: format!("the trust policy of {role}"), statement: trust },
        of_identity(own, json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role })),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::classify::Class;

    fn fault(code: &str, message: &str) -> Fault {
        Fault { class: Class::Denied, code: code.into(), message: message.into(), request_id: None }
    }

    #[test]
    fn a_denial_names_action_and_resource() {
        let image = "arn:aws:ec2:eu-west-1::image/*";
        let table = [
            (
                format!(
                    "CreateTags in eu-west-1: arn:x may not perform ec2:CreateTags on {image}; add to its policy: {{}}"
                ),
                ("ec2:CreateTags", image, false),
            ),
            (
                format!("User: arn:x is not authorized to perform: ec2:CopyImage on resource: {image} because no"),
                ("ec2:CopyImage", image, false),
            ),
            (
                format!("arn:x may not perform ec2:CopyImage on {image}: a policy denies it explicitly, which"),
                ("ec2:CopyImage", image, true),
            ),
            ("You are not authorized to perform this operation.".into(), ("ec2:CopyImage", "*", false)),
            (
                "DryRun in eu-west-1: the role may not perform ec2:DryRun on *; add".into(),
                ("ec2:CopyImage", "*", false),
            ),
        ];
        for (message, (action, resource, explicit)) in table {
            let expected = Denial { action: action.into(), resource: resource.into(), explicit };
            assert_eq!(denial(&fault("UnauthorizedOperation", &message), "ec2:CopyImage"), Some(expected), "{message}");
        }
        assert_eq!(denial(&fault("OptInRequired", "You are not subscribed"), "ec2:CopyImage"), None);
    }

    #[test]
    fn statements_are_for_all_objects_of_a_kind() {
        let of = |resource| identity("arn:r", "ec2:CopyImage", resource).statement["Resource"].clone();
        assert_eq!(of("arn:aws:ec2:eu-west-1::image/ami-1"), "arn:aws:ec2:eu-west-1::image/*");
        assert_eq!(of("*"), "*");
    }

    #[test]
    fn a_session_is_its_role() {
        let table = [
            ("arn:aws:sts::111111111111:assumed-role/stillframe/i-1", "arn:aws:iam::111111111111:role/stillframe"),
            ("arn:aws-cn:sts::111111111111:assumed-role/a/b", "arn:aws-cn:iam::111111111111:role/a"),
            ("arn:aws:iam::111111111111:user/x", "arn:aws:iam::111111111111:user/x"),
        ];
        for (arn, expected) in table {
            assert_eq!(principal(arn), expected);
        }
    }

    #[test]
    fn no_policy_shows_the_external_id() {
        let [trusts, own] = &trust("arn:o", "arn:r", "dr", true)[..] else { panic!("two") };
        let external_id = &trusts.statement["Condition"]["StringEquals"]["sts:ExternalId"];
        assert_eq!(external_id, "<accounts.dr.external_id of stillframe.toml>");
        assert_eq!(own.policy, "the IAM policy of arn:o");
    }
}
