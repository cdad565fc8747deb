//! EC2's refusals, word for word where the words are known.

use serde::{Deserialize, Serialize};

/// An error document of the EC2 Query API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// EC2's code.
    pub code: String,
    /// EC2's message.
    pub message: String,
}

/// The service that an API belongs to, as IAM names it.
#[must_use]
pub fn service(api: &str) -> &'static str {
    match api {
        "GetCallerIdentity" | "AssumeRole" => "sts",
        "DescribeKey" | "GetKeyPolicy" | "ListGrants" | "CreateGrant" | "RevokeGrant" => "kms",
        _ => "ec2",
    }
}

impl ApiError {
    /// A client error (HTTP 400).
    #[must_use]
    pub fn client(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into() }
    }

    /// `InvalidParameterValue`.
    #[must_use]
    pub fn value(message: impl Into<String>) -> Self {
        Self::client("InvalidParameterValue", message)
    }

    /// A request beyond the token bucket. API reference, "Request throttling": RequestLimitExceeded, HTTP 503.
    #[must_use]
    pub fn throttled() -> Self {
        Self { status: 503, code: "RequestLimitExceeded".into(), message: "Request limit exceeded.".into() }
    }

    /// A request to `api` beyond its service's limit: EC2's answer, or that of KMS (developer guide, "Throttling").
    #[must_use]
    pub fn throttled_by(api: &str) -> Self {
        if service(api) != "kms" {
            return Self::throttled();
        }
        Self::client(
            "ThrottlingException",
            "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
        )
    }

    /// No policy allows the principal `who` the action. EC2 guide, "Decode an authorization failure message", with the
    /// words that it has had since 2024; STS and KMS have their own.
    #[must_use]
    pub fn denied(api: &str, who: &str) -> Self {
        let service = service(api);
        if service != "ec2" {
            return Self::not_allowed(api, who, "*");
        }
        let message = format!(
            "You are not authorized to perform this operation. User: {who} is not \
             authorized to perform: {service}:{api} on resource: * because no identity-based policy allows the \
             {service}:{api} action. Encoded authorization failure message: aZ09{}",
            "x-Y_".repeat(60)
        );
        Self { status: 403, code: "UnauthorizedOperation".into(), message }
    }

    /// STS or KMS say no to `who` about `resource` (IAM user guide, "Troubleshoot access denied error messages").
    #[must_use]
    pub fn not_allowed(api: &str, who: &str, resource: &str) -> Self {
        let service = service(api);
        let message = format!("User: {who} is not authorized to perform: {service}:{api} on resource: {resource}");
        if service == "sts" {
            return Self { status: 403, code: "AccessDenied".into(), message };
        }
        let why = format!("because no resource-based policy allows the {service}:{api} action");
        Self::client("AccessDeniedException", format!("{message} {why}"))
    }

    /// An object that another account owns, and only the owner may do this to.
    #[must_use]
    pub fn not_yours(what: &str, id: &str) -> Self {
        Self::client("AuthFailure", format!("Not authorized for {what}: [{id}]"))
    }

    /// The session has expired: EC2 says so in one way (error-codes page), STS in another (STS API reference, "Common
    /// errors").
    #[must_use]
    pub fn expired(api: &str) -> Self {
        let message = "The security token included in the request is expired";
        match service(api) {
            "sts" => return Self { status: 403, code: "ExpiredToken".into(), message: message.into() },
            "kms" => return Self::client("ExpiredTokenException", message),
            _ => {}
        }
        Self { status: 400, code: "RequestExpired".into(), message: "Request has expired.".into() }
    }

    /// The access key is not valid in the region.
    #[must_use]
    pub fn bad_key(api: &str) -> Self {
        let message = "The security token included in the request is invalid";
        match service(api) {
            "sts" => return Self { status: 403, code: "InvalidClientTokenId".into(), message: message.into() },
            "kms" => return Self::client("UnrecognizedClientException", message),
            _ => {}
        }
        Self {
            status: 401,
            code: "AuthFailure".into(),
            message: "AWS was not able to validate the provided access credentials".into(),
        }
    }

    /// A server error (HTTP 500): whether the request took effect is unknown to the client.
    #[must_use]
    pub fn internal() -> Self {
        Self { status: 500, code: "InternalError".into(), message: "An internal error has occurred".into() }
    }

    /// An error without a word of AWS's.
    #[must_use]
    pub fn no_code() -> Self {
        Self { status: 400, code: String::new(), message: String::new() }
    }

    /// The disks of an image that another account has lent just now: the words that people have met.
    #[must_use]
    pub fn storage_not_available() -> Self {
        Self::client("InvalidRequest", "The storage for the ami is not available in the source region.")
    }

    /// What DryRun answers to a request that would be allowed (HTTP 412).
    #[must_use]
    pub fn dry_run() -> Self {
        Self {
            status: 412,
            code: "DryRunOperation".into(),
            message: "Request would have succeeded, but DryRun flag is set.".into(),
        }
    }

    /// No such instance, one or several.
    #[must_use]
    pub fn no_instance(ids: &[&str]) -> Self {
        let message = match ids {
            [one] => format!("The instance ID '{one}' does not exist"),
            several => format!("The instance IDs '{}' do not exist", several.join(", ")),
        };
        Self::client("InvalidInstanceID.NotFound", message)
    }

    /// No such image, one or several.
    #[must_use]
    pub fn no_image(ids: &[&str]) -> Self {
        let message = match ids {
            [one] => format!("The image id '[{one}]' does not exist"),
            several => format!("The image ids '[{}]' do not exist", several.join(", ")),
        };
        Self::client("InvalidAMIID.NotFound", message)
    }

    /// No such snapshot.
    #[must_use]
    pub fn no_snapshot(id: &str) -> Self {
        Self::client("InvalidSnapshot.NotFound", format!("The snapshot '{id}' does not exist."))
    }

    /// No such volume.
    #[must_use]
    pub fn no_volume(id: &str) -> Self {
        Self::client("InvalidVolume.NotFound", format!("The volume '{id}' does not exist."))
    }

    /// An image that was deregistered, or cannot be used yet.
    #[must_use]
    pub fn image_unavailable(id: &str) -> Self {
        Self::client("InvalidAMIID.Unavailable", format!("The image ID '{id}' is no longer available"))
    }
}
