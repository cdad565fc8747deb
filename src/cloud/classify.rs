//! What an error code means for the caller. One table for every back end.
//!
//! Codes: EC2 API error-codes page, and the errors of each operation in the KMS and STS API references; the split is a judgement except where AWS says so (throttles and 5xx
//! may be retried, other 4xx must be revised).

use std::time::Duration;

/// Between two snapshots of one volume (error-codes page, SnapshotCreationPerVolumeRateExceeded: "Wait at least 15
/// seconds between concurrent volume snapshots").
const SNAPSHOTS_APART: Duration = Duration::from_secs(15);

/// What a caller can do about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A definite refusal for now: the request took no effect. Slow down, then ask again.
    Throttled,
    /// The server or the network failed. A read may be asked again; an effect is Unknown.
    Transient,
    /// The connection was never made: an effect was certainly not sent.
    NeverSent,
    /// Too much of the same is in progress: wait for a slot.
    Busy,
    /// The object is in the wrong state for now.
    WrongState,
    /// The object does not exist, or is not visible yet.
    NotFound,
    /// The name is taken: adopt what bears it if it is ours.
    DuplicateName,
    /// The client token was used with other parameters.
    TokenMismatch,
    /// Another image needs the snapshot.
    InUse,
    /// It is another account's, and not lent to us, or not yet.
    NotLent,
    /// IAM, or an account's policy, says no.
    Denied,
    /// No or wrong credentials.
    Credentials,
    /// Credentials that were right have expired: a definite refusal, until whoever provides them renews them.
    Expired,
    /// Anything else: revise, do not repeat.
    Final,
}

impl Class {
    /// The machine label in logs and metrics: bounded, apart from the human text.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::NeverSent => "never_sent",
            Self::Busy => "busy",
            Self::WrongState => "wrong_state",
            Self::NotFound => "not_found",
            Self::DuplicateName => "duplicate_name",
            Self::TokenMismatch => "token_mismatch",
            Self::InUse => "in_use",
            Self::NotLent => "not_lent",
            Self::Denied => "denied",
            Self::Credentials => "credentials",
            Self::Expired => "expired",
            Self::Final => "final",
        }
    }

    /// Whether a refusal of this class may pass by itself.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::Transient | Self::NeverSent | Self::Busy | Self::WrongState | Self::Expired
        )
    }

    /// Whether it may be the lag of what was made or lent just before, in this account or to another: then it is worth
    /// another try for a while; to whoever has made and lent nothing it is a final answer. EC2 guide, "Eventual
    /// consistency"; met by people within one account, too (ansible#4368, salt#27625).
    #[must_use]
    pub fn may_lag(self) -> bool {
        matches!(self, Self::NotFound | Self::NotLent)
    }
}

/// The least wait before a request is tried again that was refused with `code`.
#[must_use]
pub fn least_wait(code: &str) -> Duration {
    if code == "SnapshotCreationPerVolumeRateExceeded" { SNAPSHOTS_APART } else { Duration::ZERO }
}

/// `AuthFailure` is at least four things, told apart by their words alone, as people have met them (streisand#82,
/// toil#3512, cloudcaptain#66, the AWS DRS guide). Words that are not known count as credentials, as EC2's error-codes
/// page has it.
fn auth_failure(message: &str) -> Class {
    let words = message.to_ascii_lowercase();
    let has = |part: &str| words.contains(part);
    if has("not authorized") && has(" key") || has("managed by") {
        Class::Denied
    } else if has("not authorized for") {
        Class::NotLent
    } else {
        Class::Credentials
    }
}

/// The disks of an image that another account has not lent, or whose loan is not known everywhere yet: the words that
/// people have met, with the codes `InvalidRequest` and `InvalidParameter`.
fn closed_storage(message: &str) -> bool {
    ["the storage of this ami", "The storage for the ami is not available"].iter().any(|words| message.contains(words))
}

/// The class of an error that AWS answered with `status`, `code` and `message`.
#[must_use]
pub fn classify(status: u16, code: &str, message: &str) -> Class {
    match code {
        // No word of AWS's at all: whether anything was done is not known.
        _ if code.trim().is_empty() => Class::Transient,
        "RequestLimitExceeded"
        | "EC2ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded" => Class::Throttled,
        c if c.starts_with("Throttling") => Class::Throttled,
        // "You have reached your quota of 50000 for the number of images allowed in this Region": nothing frees it by
        // itself.
        "ResourceLimitExceeded" if message.contains("your quota") => Class::Final,
        "ResourceLimitExceeded"
        | "ConcurrentSnapshotLimitExceeded"
        | "PendingSnapshotLimitExceeded"
        | "SnapshotCreationPerVolumeRateExceeded" => Class::Busy,
        // A key that is disabled, or waits for its deletion or its material: a person can mend that.
        "IncorrectState" | "IncorrectInstanceState" | "DisabledException" | "KMSInvalidStateException" => {
            Class::WrongState
        }
        // CreateImage on an instance that is just stopping or starting.
        "InvalidParameterValue" if message.contains("is not in state") => Class::WrongState,
        "InvalidAMIID.NotFound"
        | "InvalidAMIID.Unavailable"
        | "InvalidSnapshot.NotFound"
        | "InvalidVolume.NotFound"
        | "InvalidInstanceID.NotFound"
        // KMS: a key, an alias or a grant.
        | "NotFoundException"
        | "InvalidGrantIdException" => Class::NotFound,
        "InvalidAMIName.Duplicate" => Class::DuplicateName,
        "IdempotentParameterMismatch" => Class::TokenMismatch,
        // "Encrypted snapshots with EBS default key cannot be shared": a rule of EC2's, which no policy changes.
        "OperationNotPermitted" if message.contains("be shared") => Class::Final,
        "InvalidSnapshot.InUse" => Class::InUse,
        "UnauthorizedOperation"
        | "OperationNotPermitted"
        | "AccessDenied"
        | "AccessDeniedException"
        | "OptInRequired"
        | "PendingVerification" => Class::Denied,
        "AuthFailure" => auth_failure(message),
        "Blocked"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "UnrecognizedClientException" => Class::Credentials,
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "RequestTimeTooSkewed" => Class::Expired,
        // Met of AWS's front ends with HTTP 400: nobody tells what became of the request.
        "RequestTimeout" | "RequestTimeoutException" | "InternalError"
        | "InternalFailure"
        | "ServerInternal"
        | "ServiceUnavailable"
        | "Unavailable"
        | "RetryableError"
        | "DependencyTimeoutException"
        | "KMSInternalException"
        | "KeyUnavailableException" => Class::Transient,
        _ if status >= 500 => Class::Transient,
        _ if closed_storage(message) => Class::NotLent,
        _ => Class::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_map_to_what_a_caller_can_do() {
        let table = [
            (503, "RequestLimitExceeded", "", Class::Throttled),
            (400, "ThrottlingException", "", Class::Throttled),
            (500, "InternalError", "", Class::Transient),
            (400, "RequestTimeout", "", Class::Transient),
            (502, "", "<html>", Class::Transient),
            (400, "InvalidAMIName.Duplicate", "", Class::DuplicateName),
            (400, "InvalidParameterValue", "Instance is not in state 'running' or 'stopped'.", Class::WrongState),
            (400, "InvalidParameterValue", "Value (x) is invalid", Class::Final),
            (400, "InvalidAMIName.Malformed", "", Class::Final),
            (403, "UnauthorizedOperation", "", Class::Denied),
            (400, "RequestExpired", "", Class::Expired),
            (403, "ExpiredToken", "", Class::Expired),
            (401, "AuthFailure", "", Class::Credentials),
            (401, "AuthFailure", "AWS was not able to validate the provided access credentials", Class::Credentials),
            (400, "AuthFailure", "Not authorized for images: [ami-0123456789abcdef0]", Class::NotLent),
            (400, "AuthFailure", "Not authorized for image: ami-0123456789abcdef0", Class::NotLent),
            (400, "AuthFailure", "Not authorized for snapshots: [snap-0123456789abcdef0]", Class::NotLent),
            (400, "AuthFailure", "Not authorized to use key arn:aws:kms:eu-west-1:111111111111:key/k", Class::Denied),
            (400, "AuthFailure", "The resource is managed by another AWS service", Class::Denied),
            (400, "InvalidRequest", "You do not have permission to access the storage of this ami", Class::NotLent),
            (400, "InvalidRequest", "The storage for the ami is not available in the source region.", Class::NotLent),
            (400, "InvalidRequest", "The request is not valid", Class::Final),
            (400, "", "", Class::Transient),
            (403, " ", "whatever", Class::Transient),
            (400, "InvalidSnapshot.InUse", "", Class::InUse),
            (400, "ResourceLimitExceeded", "", Class::Busy),
            (400, "IdempotentParameterMismatch", "", Class::TokenMismatch),
            (400, "OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared", Class::Final),
            (400, "OperationNotPermitted", "The operation is not permitted", Class::Denied),
            (400, "InvalidParameter", "Snapshots encrypted with the AWS Managed CMK can't be shared", Class::Final),
            (412, "DryRunOperation", "", Class::Final),
            (400, "NotFoundException", "", Class::NotFound),
            (400, "InvalidGrantIdException", "", Class::NotFound),
            (400, "DisabledException", "", Class::WrongState),
            (400, "KMSInvalidStateException", "", Class::WrongState),
            (400, "AccessDeniedException", "", Class::Denied),
            (403, "AccessDenied", "", Class::Denied),
            (400, "InvalidArnException", "", Class::Final),
            (400, "LimitExceededException", "", Class::Final),
            (503, "DependencyTimeoutException", "", Class::Transient),
            (500, "KMSInternalException", "", Class::Transient),
            (500, "KeyUnavailableException", "", Class::Transient),
            (403, "ExpiredTokenException", "", Class::Expired),
            (400, "ResourceLimitExceeded", "You have reached your quota of 50000 for the number of", Class::Final),
        ];
        for (status, code, message, class) in table {
            assert_eq!(classify(status, code, message), class, "{status} {code} {message}");
        }
    }

    #[test]
    fn only_what_was_just_made_or_lent_may_lag() {
        for class in [Class::NotFound, Class::NotLent] {
            assert!(class.may_lag() && !class.passes(), "{}", class.label());
        }
        assert!(![Class::Denied, Class::Credentials, Class::Final, Class::Expired].iter().any(|c| c.may_lag()));
    }
}
