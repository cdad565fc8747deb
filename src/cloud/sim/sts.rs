//! STS: roles that are assumed, and their sessions.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::account::role_of;
use super::answer::Answer;
use super::error::ApiError;
use super::world::{Caller, World};

/// STS API reference, AssumeRole, DurationSeconds: "By default, the value is set to 3600 seconds". A client counts it
/// by its own clock, so it is not divided by the world's speed.
const SESSION_SECONDS: i64 = 3600;

/// A session of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Who calls with it.
    pub caller: Caller,
    /// Until when.
    pub expires: DateTime<Utc>,
}

impl World {
    /// Who calls with an access key: an account's root for its twelve digits, a session for the key that AssumeRole
    /// gave; nothing for any other key.
    ///
    /// # Errors
    /// The session has expired; `api` decides in whose words.
    pub fn caller_of_key(&self, now: DateTime<Utc>, key: &str, api: &str) -> Result<Option<Caller>, ApiError> {
        if key.len() == 12 && key.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Some(Caller::new(key)));
        }
        match self.sessions.get(key) {
            Some(session) if session.expires <= now => Err(ApiError::expired(api)),
            session => Ok(session.map(|session| session.caller.clone())),
        }
    }

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
        self.sessions.retain(|_, session| now < session.expires);
        let digits = self.new_id("asia").to_ascii_uppercase();
        let key = format!("ASIA{}", digits.get(6..).unwrap_or_default());
        let answer = Answer::Session { key: key.clone(), arn: assumed.arn(), expires };
        self.sessions.insert(key, Session { caller: assumed, expires });
        Ok(answer)
    }
}
