//! STS: who may assume a role.

use chrono::{DateTime, Duration, Utc};

use super::account::role_of;
use super::answer::Answer;
use super::error::ApiError;
use super::world::{Caller, World};

/// STS API reference, AssumeRole, DurationSeconds: "By default, the value is set to 3600 seconds". A client counts it
/// by its own clock, so it is not divided by the world's speed.
const SESSION_SECONDS: i64 = 3600;

impl World {
    /// STS API reference, AssumeRole; user guide, "The confused deputy problem": the role's trust policy names the
    /// caller's account and, if it asks for one, the external id. Why not is not told.
    pub(super) fn assume_role(
        &mut self,
        now: DateTime<Utc>,
        caller: &Caller,
        arn: &str,
        session: &str,
        external_id: Option<&str>,
    ) -> Result<Answer, ApiError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if !(2..=64).contains(&session.len()) || !session.chars().all(fits) {
            return Err(ApiError::client(
                "ValidationError",
                format!(
                    "1 validation error detected: Value '{session}' at 'roleSessionName' failed to satisfy constraint: \
                     Member must satisfy regular expression pattern: [\\w+=,.@-]*"
                ),
            ));
        }
        let trusted = self.role(arn).is_some_and(|role| {
            let asked = role.external_id.as_deref();
            role.trusts.contains(&caller.account) && asked.is_none_or(|asked| external_id == Some(asked))
        });
        let (true, Some((account, _))) = (trusted, role_of(arn)) else {
            return Err(ApiError::not_allowed("AssumeRole", &caller.arn(), arn));
        };
        let assumed = Caller::assumed(account, arn, session);
        let expires = now + Duration::seconds(SESSION_SECONDS);
        let digits = self.new_id("asia").to_ascii_uppercase();
        let key = format!("ASIA{}", digits.get(6..).unwrap_or_default());
        Ok(Answer::Session { key, arn: assumed.arn(), expires })
    }
}
