//! What an error of the SDK means: the one place that decides whether a request can have been sent.

use std::error::Error;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;

use super::credentials::Failure;
use super::wire::Wire;

use crate::cloud::classify::{Class, classify};
use crate::cloud::port::{Caller, Effect, Fault, Role};
use crate::domain::place::Place;

/// A chain of causes is cut after this many links: it goes into one log line.
const CAUSES_MAX: usize = 16;
/// The causes of a missing credential are cut after this many characters: a provider may quote another program.
const CAUSES_CHARS_MAX: usize = 300;

/// What the SDK's cache of credentials says when whoever gives them (STS, the instance's metadata) does not answer; its
/// type is private. Should a later version say it otherwise, such a fault counts as one of credentials.
const STALLED: &str = "identity resolver timed out";

/// A longer request id is none (EC2's have 36 characters).
const REQUEST_ID_MAX: usize = 64;

/// The fault that `error` is; `wire` saw the request on its way.
pub(super) fn fault<E>(error: &SdkError<E>, wire: &Wire) -> Fault
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let SdkError::ServiceError(context) = error {
        let meta = context.err().meta();
        let status = context.raw().status().as_u16();
        let request_id = error.request_id().or_else(|| id_in(context.raw().body().bytes()?)).map(str::to_owned);
        let message = meta.message().unwrap_or_default().to_owned();
        return match meta.code().filter(|code| !code.trim().is_empty()) {
            Some(code) => Fault { class: classify(status, code, &message), code: code.to_owned(), message, request_id },
            // Not AWS's words but of something in between: no answer to rely on.
            None => Fault {
                class: Class::Transient,
                code: format!("HTTP {status}"),
                message: "not an answer of AWS's: perhaps a proxy in between".into(),
                request_id,
            },
        };
    }
    let Some(endpoint) = wire.endpoint() else {
        let failures: Vec<&Failure> = chain(error).filter_map(|cause| cause.downcast_ref()).collect();
        let refusal = chain(error).find_map(|cause| cause.downcast_ref::<SdkError<AssumeRoleError>>());
        let given = || failures.last().map_or_else(|| not_sent(causes(error)), |failure| no_credentials(failure));
        return match (wire.role(), refusal) {
            // A role has credentials of its own; with more than one failure, those that it is assumed with failed.
            (Some(role), Some(refusal)) if failures.len() < 2 => not_assumed(role, refusal),
            (Some(role), _) => {
                let fault = given();
                Fault { message: format!("cannot assume {role}: {}", fault.message), ..fault }
            }
            (None, _) => given(),
        };
    };
    let causes = causes(error);
    match error {
        SdkError::DispatchFailure(_) if never_connected(error) => {
            let advice = "check the network, its proxy and AWS_ENDPOINT_URL";
            let what = format!("no connection could be made to {endpoint} ({causes}); {advice}");
            own(Class::NeverSent, "Connection", what)
        }
        SdkError::TimeoutError(_) => own(Class::Transient, "Timeout", causes),
        SdkError::ResponseError(context) => Fault {
            request_id: error.request_id().map(str::to_owned),
            ..own(Class::Transient, "Answer", format!("HTTP {}: {causes}", context.raw().status().as_u16()))
        },
        _ => own(Class::Transient, "Connection", causes),
    }
}

/// There are no credentials, or not now.
pub(super) fn no_credentials(failure: &Failure) -> Fault {
    own(failure.class, failure.code, failure.message.clone())
}

/// A request that was never sent, because AssumeRole failed before it.
fn not_assumed(role: &str, error: &SdkError<AssumeRoleError>) -> Fault {
    let said = match error {
        SdkError::ServiceError(_) => fault(error, &Wire::default()),
        SdkError::ConstructionFailure(_) => not_sent(causes(error)),
        _ => own(Class::NeverSent, "Connection", causes(error)),
    };
    let (class, message) = match said.class {
        // STS's own words name both, and the advice that follows reads them.
        Class::Denied if said.message.contains(role) => (Class::Denied, said.message),
        Class::Denied => {
            (Class::Denied, format!("not authorized to perform: sts:AssumeRole on resource: {role} ({})", said.message))
        }
        // Whatever became of AssumeRole, the request itself took no effect.
        Class::Transient => (Class::NeverSent, format!("cannot assume {role}: {}", said.message)),
        class => (class, format!("cannot assume {role}: {}", said.message)),
    };
    Fault { class, message, ..said }
}

/// Nothing is known of an account, which is not `own`.
pub(super) fn no_role(place: &Place, own: &str) -> Fault {
    let what = format!(
        "the account {} is neither this one ({own}) nor one of [accounts]; name its role there, and start stillframe anew",
        place.account
    );
    super::error::own(Class::Final, "NoRole", what)
}

/// The credentials of a role are of another account than its own.
pub(super) fn other_account(role: &Role, caller: &Caller) -> Fault {
    let what = format!(
        "{} was assumed for the account {}, but AWS answers {} of the account {}; nothing is done with it. Correct id and \
         role_arn in [accounts]",
        role.arn, role.account, caller.arn, caller.account
    );
    own(Class::Final, "WrongAccount", what)
}

/// Credentials that came new are of another account than those before.
pub(super) fn another_account(own_account: &str, caller: &Caller) -> Fault {
    let what = format!(
        "the new credentials are {}, of the account {}, not of {own_account}; those from before are used on. Correct them, \
         or start stillframe anew",
        caller.arn, caller.account
    );
    own(Class::Final, "WrongAccount", what)
}

/// EC2 repeats the request's id in the body of an error; the SDK reads the header alone.
fn id_in(body: &[u8]) -> Option<&str> {
    let (_, rest) = std::str::from_utf8(body).ok()?.split_once("<RequestID>")?;
    let (id, _) = rest.split_once("</RequestID>")?;
    let plain = id.len() <= REQUEST_ID_MAX && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then_some(id)
}

/// An answer that lacks what it must hold.
pub(super) fn answer_fault(message: impl Into<String>) -> Fault {
    own(Class::Transient, "Answer", message.into())
}

/// An answer that holds a word which this version does not know.
pub(super) fn unknown_word(message: String) -> Fault {
    own(Class::Final, "UnknownValue", message)
}

/// The end of an effect that failed.
pub(super) fn end<T>(fault: Fault) -> Effect<T> {
    if fault.class == Class::Transient { Effect::Unknown(fault) } else { Effect::Refused(fault) }
}

fn own(class: Class, code: &str, message: String) -> Fault {
    Fault { class, code: code.to_owned(), message, request_id: None }
}

fn not_sent(mut causes: String) -> Fault {
    // The list of providers that were asked names none that would help.
    if let Some(at) = causes.find(". Attempted:") {
        causes.truncate(at);
    }
    if let Some((cut, _)) = causes.char_indices().nth(CAUSES_CHARS_MAX) {
        causes.truncate(cut);
    }
    if causes.contains(STALLED) {
        // Who gives them may answer the next time.
        return own(Class::NeverSent, "Timeout", format!("no answer to the request for credentials ({causes})"));
    }
    let lower = causes.to_lowercase();
    if lower.contains("credential") || lower.contains("identity") {
        let advice = "give the machine an instance role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID";
        own(Class::Credentials, "Credentials", format!("no usable credentials ({causes}); {advice}"))
    } else {
        own(Class::Final, "Construction", format!("the request could not be made ({causes}); is AWS_REGION set?"))
    }
}

/// Each cause's own words: their Debug forms could show a request with its headers.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    for cause in chain(error) {
        // One line each: the chain of providers writes a list.
        let word = cause.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        if words.last().is_none_or(|last| !last.contains(&word)) {
            words.push(word);
        }
    }
    words.join(": ")
}

pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source()).take(CAUSES_MAX)
}

/// Whether the HTTP client failed while it made a connection (name, TCP, TLS or the connect time-out), so that not
/// one byte of the request was sent. Its error type (`hyper_util::client::legacy::Error`, kind `Connect`) is not in
/// reach, its name is; if a later version names it otherwise, this becomes false, which is the safe side.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| {
        format!("{cause:?}").starts_with("hyper_util::client::legacy::Error(Connect")
            && cause.to_string() == "client error (Connect)"
    })
}
