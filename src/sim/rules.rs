//! What EC2 takes and refuses in names, tags, ids and pages. Each rule with its source.

use super::action::TagSpec;
use super::error::ApiError;
use crate::domain::naming::{NAME_MAX, TAGS_MAX};
use crate::domain::observed::Tags;

/// EC2 takes at most this many values in one filter (API reference, "Filters").
pub const FILTER_VALUES_MAX: usize = 200;
/// DescribeInstanceStatus takes at most this many ids (API reference).
pub const STATUS_IDS_MAX: usize = 100;
/// The largest page of any list (API reference, MaxResults of each: 1000).
pub const PAGE_MAX: u32 = 1000;
/// DescribeInstances and its like refuse a smaller page (API reference, "between 5 and 1000").
pub const PAGE_MIN: u32 = 5;
/// Pending snapshots per volume (user guide 2023, "Service quotas": 5 for gp2/gp3/io1/io2).
pub const PENDING_SNAPSHOTS_MAX: usize = 5;
/// AMIs per account and region, pending and disabled ones included (user guide, "AMI quotas": 50,000).
pub const IMAGES_MAX: usize = 50_000;
/// Characters of a client token (EC2 guide, "Ensuring idempotency").
pub const TOKEN_MAX: usize = 64;
/// AMI copies in progress per destination region (user guide, "Copy an AMI": 100).
pub const COPIES_MAX: usize = 100;
/// Between two concurrent snapshots of one volume (error-codes page, SnapshotCreationPerVolumeRateExceeded: "Wait at
/// least 15 seconds between concurrent volume snapshots").
pub const SNAPSHOTS_APART_SECONDS: f64 = 15.0;
/// A terminated instance stays visible for about an hour (API reference, DescribeInstances).
pub const TERMINATED_VISIBLE_SECONDS: f64 = 3600.0;
/// CreateImage, Description: at most 255 characters (API reference).
pub const DESCRIPTION_MAX: usize = 255;
/// Characters of a tag's key (user guide, "Tag restrictions").
pub const TAG_KEY_MAX: usize = 128;
/// Characters of a tag's value (the same).
pub const TAG_VALUE_MAX: usize = 256;

/// An image's name: 3-128 of letters, digits and `()[] ./-'@_` (API reference, CreateImage, Name).
///
/// # Errors
/// `InvalidAMIName.Malformed`.
pub fn image_name(name: &str) -> Result<(), ApiError> {
    let fits = (3..=NAME_MAX).contains(&name.chars().count());
    if fits && name.chars().all(|c| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c)) {
        return Ok(());
    }
    // The words of the error page, which lists fewer characters than the reference allows.
    Err(ApiError::client(
        "InvalidAMIName.Malformed",
        "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', \
         '/' and '_'",
    ))
}

/// A description's length.
///
/// # Errors
/// `InvalidParameterValue`.
pub fn description(text: Option<&str>) -> Result<(), ApiError> {
    match text {
        Some(text) if text.chars().count() > DESCRIPTION_MAX => {
            Err(ApiError::value(format!("Character sets beyond {DESCRIPTION_MAX} characters are not supported.")))
        }
        _ => Ok(()),
    }
}

/// `prefix-` and 8 or 17 hexadecimal digits.
#[must_use]
pub fn is_id(prefix: &str, id: &str) -> bool {
    id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).is_some_and(|hex| {
        matches!(hex.len(), 8 | 17) && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// Refuses an id of the wrong shape with `code` (error-codes page: `...ID.Malformed`).
///
/// # Errors
/// `code`.
pub fn id(prefix: &str, id: &str, code: &str) -> Result<(), ApiError> {
    if is_id(prefix, id) {
        return Ok(());
    }
    Err(ApiError::client(code, format!("Invalid id: \"{id}\" (expecting \"{prefix}-...\")")))
}

/// One tag: lengths, and no `aws:` key (user guide, "Tag restrictions").
///
/// # Errors
/// `InvalidParameterValue`.
pub fn tag(key: &str, value: &str) -> Result<(), ApiError> {
    if key.is_empty() {
        return Err(ApiError::value("Tag key cannot be empty."));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(ApiError::value(format!(
            "Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use"
        )));
    }
    if key.chars().count() > TAG_KEY_MAX {
        return Err(ApiError::value(format!("Tag key exceeds the maximum length of {TAG_KEY_MAX} characters")));
    }
    if value.chars().count() > TAG_VALUE_MAX {
        return Err(ApiError::value(format!("Tag value exceeds the maximum length of {TAG_VALUE_MAX} characters")));
    }
    Ok(())
}

/// More images than the account may have in a region. The code and the words are those of the quota of public AMIs,
/// as people have met them; for all AMIs they are an inference.
#[must_use]
pub fn too_many_images(quota: usize) -> ApiError {
    ApiError::client(
        "ResourceLimitExceeded",
        format!(
            "You have reached your quota of {quota} for the number of images allowed in this Region. Deregister unused \
             images, or request an increase in your AMIs quota."
        ),
    )
}

/// More than 50 tags on one resource.
#[must_use]
pub fn too_many_tags() -> ApiError {
    ApiError::client("TagLimitExceeded", format!("More than {TAGS_MAX} tags specified"))
}

/// The tags of the resource types in `allowed`, each in order; any other type fails (API reference, CreateImage:
/// "If you specify any other value for ResourceType, the request fails").
///
/// # Errors
/// `InvalidParameterValue`, `TagLimitExceeded`.
pub fn tag_specs<const N: usize>(specs: &[TagSpec], allowed: [&str; N]) -> Result<[Tags; N], ApiError> {
    let mut out = [const { Tags::new() }; N];
    for spec in specs {
        let Some(slot) = allowed.iter().position(|word| *word == spec.resource) else {
            return Err(ApiError::value(format!(
                "'{}' is not a valid taggable resource type for this operation.",
                spec.resource
            )));
        };
        if spec.tags.is_empty() {
            return Err(ApiError::value("Tag specification must have at least one tag"));
        }
        for (key, value) in &spec.tags {
            tag(key, value)?;
            if out[slot].insert(key.clone(), value.clone()).is_some() {
                return Err(ApiError::value(format!("Duplicate tag key '{key}' specified.")));
            }
        }
        if out[slot].len() > TAGS_MAX {
            return Err(too_many_tags());
        }
    }
    Ok(out)
}
