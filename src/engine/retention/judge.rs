//! The decision of retention, with who runs from the images looked up once. It only reads: a preview asks the same.

use std::collections::BTreeMap;

use crate::domain::retention::{RetentionPlan, Survey};

/// What is decided when it is known which of the images that could go are in use: `known` are, and `in_use` is asked for
/// the rest once, if anything goes.
///
/// # Errors
/// Those of `in_use`: nothing may be decided.
pub async fn judge<'a, E>(
    survey: Survey<'a>,
    known: BTreeMap<String, String>,
    in_use: impl AsyncFnOnce(Vec<String>) -> Result<BTreeMap<String, String>, E>,
) -> Result<RetentionPlan<'a>, E> {
    let first = RetentionPlan::of(survey, known);
    let ids = first.asks();
    Ok(if ids.is_empty() { first } else { first.with(in_use(ids).await?) })
}
