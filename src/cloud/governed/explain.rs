//! What a refusal means to whoever administers the account: which permission, which credentials, what to do.

use crate::cloud::api::Api;
use crate::cloud::classify::Class;
use crate::cloud::port::Fault;
use crate::domain::place::Place;

/// The code of a request that was not sent, since there were no credentials.
pub(super) const OWN_CREDENTIALS: &str = "Credentials";

/// The fault with a message that says what to do, where AWS's own does not.
pub(super) fn explain(api: Api, place: &Place, clock_off: Option<&str>, fault: Fault) -> Fault {
    let message = match (fault.class, fault.code.as_str()) {
        (Class::Denied, "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException") => {
            denied(api, place, &fault.message)
        }
        // STS is regional, and is switched on by region and account.
        (_, "RegionDisabledException") => format!(
            "{}; activate STS for its region in the IAM account settings of that account, or set AWS_REGION to another",
            own_words(&fault.message)
        ),
        (Class::Denied, "AuthFailure") => format!("{}; {}", own_words(&fault.message), not_ours(&fault.message)),
        (Class::NotLent, _) => not_lent(api, place, &fault.message),
        (Class::Denied, "OptInRequired") => format!(
            "{}; enable EC2 and the region {} for the account, or take the region out of select.regions",
            own_words(&fault.message),
            place.region
        ),
        // Never sent: the SDK's own words say what to do.
        (_, OWN_CREDENTIALS) => return fault,
        (Class::NeverSent, "Connection") => format!("{} (region {})", fault.message, place.region),
        (Class::Credentials | Class::Expired, code) => {
            let advice = clock_off.map_or_else(|| credentials(code, &place.region, &fault.message), str::to_owned);
            format!("{}; {advice}", own_words(&fault.message))
        }
        _ => return fault,
    };
    Fault { message, ..fault }
}

/// AWS's message, without the encoded part that only `sts:DecodeAuthorizationMessage` can read.
fn own_words(message: &str) -> &str {
    let plain = message.split_once("Encoded authorization failure message").map_or(message, |(plain, _)| plain);
    plain.trim().trim_end_matches('.')
}

/// AuthFailure that no credentials and no policy of EC2's would mend.
fn not_ours(message: &str) -> &'static str {
    if message.contains("anaged by") {
        "another AWS service manages it and lets nobody else change it: take the instance out of the plan (its tags, or \
         select.exclude_tags), or do it in that service"
    } else {
        "the policy of that key must let these credentials use it, and so must their own policy, with kms:CreateGrant, \
         kms:Decrypt, kms:DescribeKey, kms:GenerateDataKeyWithoutPlaintext and kms:ReEncrypt* (README, \"Encrypted volumes\")"
    }
}

/// What another account owns, and has not lent, or only just now.
fn not_lent(api: Api, place: &Place, message: &str) -> String {
    format!(
        "{}; {} in {} as {}: what it names belongs to another account, which must share the image and each of its \
         snapshots with {} and let it use their key. stillframe does so before it copies, and it may take AWS some \
         minutes to know; if it stays so, somebody took it back, or Allowed AMIs hides it there",
        own_words(message),
        api.as_str(),
        place.region,
        place.account,
        place.account
    )
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    let found = rest.split_once(to).map_or(rest, |(found, _)| found).trim();
    (!found.is_empty()).then_some(found)
}

/// Which permission is missing, to whom, for what; and which statement gives it.
fn denied(api: Api, place: &Place, message: &str) -> String {
    let words = own_words(message);
    let named = between(words, "not authorized to perform: ", " ");
    if api == Api::DryRun && named.is_none() {
        return words.to_owned(); // whoever tried it knows what was tried
    }
    let action = named.map_or_else(|| api.action(), str::to_owned);
    let who = between(words, "User: ", " is not authorized").unwrap_or("the role or user of these credentials");
    let resource = between(words, "on resource: ", " ").unwrap_or("*").trim_end_matches('.');
    if action == "sts:AssumeRole" {
        return not_trusted(place, who, resource);
    }
    let what = format!("{} in {}: {who} may not perform {action} on {resource}", api.as_str(), place.region);
    match between(words, "with an explicit deny in ", ".") {
        Some(policy) => format!("{what}: {policy} denies it explicitly, which no Allow overrides; change that policy"),
        None if action.starts_with("kms:") => {
            let key = if resource == "*" { "the key" } else { resource };
            format!(
                "{what}; the key policy counts and, for a principal of another account than the key's, its own policy as \
                 well. Add to the policy of {key}: {}; and to that of {who}: {{\"Effect\": \"Allow\", \"Action\": \
                 \"{action}\", \"Resource\": \"{resource}\"}}",
                format_args!(
                    "{{\"Effect\": \"Allow\", \"Principal\": {{\"AWS\": \"{}\"}}, \"Action\": \"{action}\", \
                     \"Resource\": \"*\"}}",
                    principal(who)
                ),
            )
        }
        None => format!(
            "{what}; add to its policy: {{\"Effect\": \"Allow\", \"Action\": \"{action}\", \"Resource\": \"*\"}}{}",
            between(words, "because no ", " allows").map_or_else(String::new, |kind| format!(" (no {kind} allows it)"))
        ),
    }
}

/// A role that cannot be assumed: it may be missing, too, or ask for another external id; STS says the same of all.
fn not_trusted(place: &Place, who: &str, role: &str) -> String {
    format!(
        "cannot assume {role} for what is in {place}: {who} may not. That role must exist, and its trust policy must hold \
         {{\"Effect\": \"Allow\", \"Principal\": {{\"AWS\": \"{}\"}}, \"Action\": \"sts:AssumeRole\", \"Condition\": \
         {{\"StringEquals\": {{\"sts:ExternalId\": \"EXTERNAL_ID\"}}}}}} with the external_id of [accounts] for EXTERNAL_ID \
         (without one: no Condition); and the policy of {who} must hold {{\"Effect\": \"Allow\", \"Action\": \
         \"sts:AssumeRole\", \"Resource\": \"{role}\"}}",
        principal(who)
    )
}

/// What a policy calls a caller: the session of a role by its role.
fn principal(who: &str) -> String {
    let role = who.split_once(":sts::").and_then(|(partition, rest)| {
        let (account, rest) = rest.split_once(":assumed-role/")?;
        let (name, _) = rest.split_once('/')?;
        Some(format!("{partition}:iam::{account}:role/{name}"))
    });
    match role {
        Some(role) => role,
        None if who.starts_with("arn:") => who.to_owned(),
        None => "ARN of that role or user".to_owned(),
    }
}

fn credentials(code: &str, region: &str, message: &str) -> String {
    let aged = message.contains("xpired") || message.contains("not yet current");
    match code {
        "ExpiredToken" | "ExpiredTokenException" => {
            "renew them: `aws sso login`, or a new session token; an instance role renews itself. It is tried again".into()
        }
        "RequestExpired" | "RequestTimeTooSkewed" => {
            "the session has expired, or this machine's clock is wrong: renew the credentials, look at `timedatectl`. It is \
             tried again"
                .into()
        }
        "SignatureDoesNotMatch" if aged => "is this machine's clock wrong? Look at `timedatectl`".into(),
        "SignatureDoesNotMatch" => {
            "the secret key does not belong to the access key: check AWS_SECRET_ACCESS_KEY or the profile".into()
        }
        "AuthFailure" => format!(
            "either the access key is wrong or inactive, or the account has not enabled the region {region}: enable it \
             (`aws account enable-region --region-name {region}`), or take it out of select.regions"
        ),
        _ => "the access key is wrong, deleted or inactive: check AWS_PROFILE and AWS_ACCESS_KEY_ID".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::classify::classify;

    fn said(api: Api, code: &str, message: &str) -> String {
        let class = classify(403, code, message);
        let fault = Fault { class, code: code.into(), message: message.into(), request_id: None };
        explain(api, &Place::new("111111111111", "eu-west-1"), None, fault).to_string()
    }

    #[test]
    fn a_denied_permission_is_named_with_the_statement_to_add() {
        let user = "User: arn:aws:sts::111111111111:assumed-role/stillframe/i-1 is not authorized to perform:";
        let table = [
            (
                format!(
                    "You are not authorized to perform this operation. {user} ec2:CreateTags on resource: \
                     arn:aws:ec2:eu-west-1::image/* because no identity-based policy allows the ec2:CreateTags action. \
                     Encoded authorization failure message: aBcDeFgHiJk"
                ),
                "UnauthorizedOperation: CreateImage in eu-west-1: arn:aws:sts::111111111111:assumed-role/stillframe/i-1 may \
                 not perform ec2:CreateTags on arn:aws:ec2:eu-west-1::image/*; add to its policy: {\"Effect\": \"Allow\", \
                 \"Action\": \"ec2:CreateTags\", \"Resource\": \"*\"} (no identity-based policy allows it)",
            ),
            (
                format!("{user} ec2:CreateImage on resource: arn:x with an explicit deny in a service control policy"),
                "UnauthorizedOperation: CreateImage in eu-west-1: arn:aws:sts::111111111111:assumed-role/stillframe/i-1 may \
                 not perform ec2:CreateImage on arn:x: a service control policy denies it explicitly, which no Allow \
                 overrides; change that policy",
            ),
            (
                "You are not authorized to perform this operation.".to_owned(),
                "UnauthorizedOperation: CreateImage in eu-west-1: the role or user of these credentials may not perform \
                 ec2:CreateImage on *; add to its policy: {\"Effect\": \"Allow\", \"Action\": \"ec2:CreateImage\", \
                 \"Resource\": \"*\"}",
            ),
        ];
        for (message, expected) in table {
            assert_eq!(said(Api::CreateImage, "UnauthorizedOperation", &message), expected);
        }
    }

    #[test]
    fn a_key_is_denied_by_its_own_policy_as_well() {
        let role = "arn:aws:sts::222222222222:assumed-role/stillframe/stillframe-prod";
        let key = "arn:aws:kms:eu-west-1:111111111111:key/k";
        let message = format!(
            "User: {role} is not authorized to perform: kms:CreateGrant on resource: {key} because no resource-based \
             policy allows the kms:CreateGrant action"
        );
        assert_eq!(
            said(Api::CreateGrant, "AccessDeniedException", &message),
            format!(
                "AccessDeniedException: CreateGrant in eu-west-1: {role} may not perform kms:CreateGrant on {key}; the key \
                 policy counts and, for a principal of another account than the key's, its own policy as well. Add to the \
                 policy of {key}: {{\"Effect\": \"Allow\", \"Principal\": {{\"AWS\": \
                 \"arn:aws:iam::222222222222:role/stillframe\"}}, \"Action\": \"kms:CreateGrant\", \"Resource\": \"*\"}}; and \
                 to that of {role}: {{\"Effect\": \"Allow\", \"Action\": \"kms:CreateGrant\", \"Resource\": \"{key}\"}}"
            )
        );
        let bare = said(Api::DescribeKey, "AccessDeniedException", "");
        assert!(bare.contains("may not perform kms:DescribeKey on *") && bare.contains("ARN of that role"), "{bare}");
        assert_eq!(said(Api::DryRun, "UnauthorizedOperation", "You may not."), "UnauthorizedOperation: You may not");
    }

    #[test]
    fn a_role_that_cannot_be_assumed_says_which_trust_is_missing() {
        let (user, role) = ("arn:aws:iam::111111111111:user/backup", "arn:aws:iam::222222222222:role/stillframe");
        let message = format!("User: {user} is not authorized to perform: sts:AssumeRole on resource: {role}");
        assert_eq!(
            said(Api::CopyImage, "AccessDenied", &message),
            format!(
                "AccessDenied: cannot assume {role} for what is in 111111111111/eu-west-1: {user} may not. That role must \
                 exist, and its trust policy must hold {{\"Effect\": \"Allow\", \"Principal\": {{\"AWS\": \"{user}\"}}, \
                 \"Action\": \"sts:AssumeRole\", \"Condition\": {{\"StringEquals\": {{\"sts:ExternalId\": \"EXTERNAL_ID\"}}}}}} \
                 with the external_id of [accounts] for EXTERNAL_ID (without one: no Condition); and the policy of {user} \
                 must hold {{\"Effect\": \"Allow\", \"Action\": \"sts:AssumeRole\", \"Resource\": \"{role}\"}}"
            )
        );
    }

    #[test]
    fn credentials_that_do_not_work_say_what_to_do() {
        let table = [
            ("ExpiredToken", "The security token included in the request is expired", "aws sso login"),
            ("RequestExpired", "Request has expired.", "timedatectl"),
            ("AuthFailure", "AWS was not able to validate the provided access credentials", "enable-region"),
            ("InvalidClientTokenId", "The security token included in the request is invalid.", "AWS_PROFILE"),
            ("SignatureDoesNotMatch", "The request signature we calculated does not match", "AWS_SECRET_ACCESS_KEY"),
            ("SignatureDoesNotMatch", "Signature expired: 2026 is now earlier than 2027", "timedatectl"),
            ("OptInRequired", "You are not subscribed to this service.", "select.regions"),
            ("AuthFailure", "Not authorized for images: [ami-1]", "share the image and each of its snapshots"),
            ("InvalidRequest", "The storage for the ami is not available in the source region.", "may take AWS some"),
            ("AuthFailure", "Not authorized to use key arn:aws:kms:eu-west-1:1:key/k", "kms:CreateGrant"),
            ("AuthFailure", "This resource is managed by another service", "take the instance out of the plan"),
        ];
        for (code, message, advice) in table {
            let said = said(Api::DescribeImages, code, message);
            assert!(said.starts_with(code) && said.contains(advice), "{said}");
            assert!(said.contains(message.trim_end_matches('.')), "AWS's own words stay: {said}");
            let keys = advice != "enable-region" && said.contains("the access key is wrong or inactive");
            assert!(!keys, "no other refusal is blamed on the keys: {said}");
        }
        let fault =
            Fault { class: Class::Credentials, code: "AuthFailure".into(), message: "no".into(), request_id: None };
        let off = explain(Api::DescribeImages, &Place::new("1", "r"), Some("the clock is off"), fault);
        assert_eq!(off.message, "no; the clock is off");
    }
}
