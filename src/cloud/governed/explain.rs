//! What a refusal means to whoever administers the account: which permission, which credentials, what to do.

use super::bucket::Api;
use crate::cloud::classify::Class;
use crate::cloud::port::Fault;
use crate::domain::place::Place;

/// The fault with a message that says what to do, where AWS's own does not.
pub(super) fn explain(api: Api, place: &Place, clock_off: Option<&str>, fault: Fault) -> Fault {
    let message = match (fault.class, fault.code.as_str()) {
        (Class::Denied, "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException") => {
            denied(api, place, &fault.message)
        }
        (Class::Denied, "OptInRequired") => format!(
            "{}; enable EC2 and the region {} for the account, or take the region out of select.regions",
            own_words(&fault.message),
            place.region
        ),
        // Never sent: the SDK's own words say what to do.
        (Class::Credentials, "Credentials") => return fault,
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

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    let found = rest.split_once(to).map_or(rest, |(found, _)| found).trim();
    (!found.is_empty()).then_some(found)
}

/// Which permission is missing, to whom, for what; and which statement gives it.
fn denied(api: Api, place: &Place, message: &str) -> String {
    let words = own_words(message);
    let service = if api == Api::GetCallerIdentity { "sts" } else { "ec2" };
    let action = between(words, "not authorized to perform: ", " ")
        .map_or_else(|| format!("{service}:{}", api.as_str()), str::to_owned);
    let who = between(words, "User: ", " is not authorized").unwrap_or("the role or user of these credentials");
    let resource = between(words, "on resource: ", " ").unwrap_or("*").trim_end_matches('.');
    let what = format!("{} in {}: {who} may not perform {action} on {resource}", api.as_str(), place.region);
    match between(words, "with an explicit deny in ", ".") {
        Some(policy) => format!("{what}: {policy} denies it explicitly, which no Allow overrides; change that policy"),
        None => format!(
            "{what}; add to its policy: {{\"Effect\": \"Allow\", \"Action\": \"{action}\", \"Resource\": \"*\"}}{}",
            between(words, "because no ", " allows").map_or_else(String::new, |kind| format!(" (no {kind} allows it)"))
        ),
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
    fn credentials_that_do_not_work_say_what_to_do() {
        let table = [
            ("ExpiredToken", "The security token included in the request is expired", "aws sso login"),
            ("RequestExpired", "Request has expired.", "timedatectl"),
            ("AuthFailure", "AWS was not able to validate the provided access credentials", "enable-region"),
            ("InvalidClientTokenId", "The security token included in the request is invalid.", "AWS_PROFILE"),
            ("SignatureDoesNotMatch", "The request signature we calculated does not match", "AWS_SECRET_ACCESS_KEY"),
            ("SignatureDoesNotMatch", "Signature expired: 2026 is now earlier than 2027", "timedatectl"),
            ("OptInRequired", "You are not subscribed to this service.", "select.regions"),
        ];
        for (code, message, advice) in table {
            let said = said(Api::DescribeImages, code, message);
            assert!(said.starts_with(code) && said.contains(advice), "{said}");
            assert!(said.contains(message.trim_end_matches('.')), "AWS's own words stay: {said}");
        }
        let fault =
            Fault { class: Class::Credentials, code: "AuthFailure".into(), message: "no".into(), request_id: None };
        let off = explain(Api::DescribeImages, &Place::new("1", "r"), Some("the clock is off"), fault);
        assert_eq!(off.message, "no; the clock is off");
    }
}
