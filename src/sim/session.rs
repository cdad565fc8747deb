//! Who calls at the door: an account by its access key, or the session of a role by the token that it was given.
//!
//! The token itself says whose session it is, so that one survives a restart of the world.

use chrono::{DateTime, Utc};

use super::error::ApiError;
use super::world::Caller;

/// What every token of this world begins with.
const MARK: &str = "simulated";

/// The `SessionToken` of a session.
#[must_use]
pub fn token(role: &str, session: &str, expires: DateTime<Utc>) -> String {
    format!("{MARK}/{}/{session}/{role}", expires.timestamp())
}

/// Whose session a token is.
///
/// # Errors
/// It is none of this world's, or has expired: each service says so in its own way, which `api` decides.
pub fn caller(now: DateTime<Utc>, token: &str, api: &str) -> Result<Caller, ApiError> {
    let read = || {
        let mut parts = token.splitn(4, '/');
        let _mark = parts.next().filter(|mark| *mark == MARK)?;
        let expires = DateTime::from_timestamp(parts.next()?.parse().ok()?, 0)?;
        let (session, role) = (parts.next()?, parts.next()?);
        Some((expires, Caller::assumed(role.split(':').nth(4)?, role, session)))
    };
    let (expires, caller) = read().ok_or_else(|| ApiError::bad_key(api))?;
    if expires <= now { Err(ApiError::expired(api)) } else { Ok(caller) }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_token_tells_whose_session_it_is_until_it_expires() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).expect("in range");
        let role = "arn:aws:iam::222222222222:role/path/stillframe";
        let given = token(role, "stillframe-prod", now + TimeDelta::hours(1));
        assert_eq!(
            caller(now, &given, "CopyImage"),
            Ok(Caller::assumed("222222222222", role, "stillframe-prod")),
            "{given}"
        );
        let code =
            |token: &str, api: &str| caller(now + TimeDelta::hours(2), token, api).expect_err("not any more").code;
        assert_eq!(code(&given, "CopyImage"), "RequestExpired");
        assert_eq!(code(&given, "GetCallerIdentity"), "ExpiredToken");
        for other in ["", "FwoGZXIvYXdz", "simulated/x/y/z", "simulated/1/s/role"] {
            assert_eq!(code(other, "CopyImage"), "AuthFailure", "{other}");
        }
    }
}
