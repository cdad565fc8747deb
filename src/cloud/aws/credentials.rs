//! Credentials: asked for one at a time, remembered until shortly before they expire, and asked for anew, files
//! included, when they were refused, when somebody says so, or when they could not be had.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_config::meta::ProviderChainError;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result as Given, SharedCredentialsProvider, future};
use aws_sdk_ec2::error::SdkError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::{causes, chain};
use crate::clock::Clock;
use crate::cloud::classify::{Class, classify};

/// Whoever gives them (a program, STS, the instance's metadata) has so long: less than a read waits for its answer, so
/// that a request that was never sent does not count as one whose answer is lost.
const LIMIT: Duration = Duration::from_secs(20);
/// Those that do not say when they expire are asked for again after so long, as the SDK does.
const REMEMBERED: TimeDelta = TimeDelta::minutes(15);
/// The others so long before they do.
const BEFORE_EXPIRY: TimeDelta = TimeDelta::seconds(15);
/// What such a failure is called: nothing of AWS's.
const CODE: &str = "Credentials";
/// What a provider says is cut after this many characters: it may quote another program.
const WORDS_MAX: usize = 300;

/// Why there are no credentials, and whether there may be some the next time.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub class: Class,
    /// What it is in a fault.
    pub code: &'static str,
    pub message: String,
    cause: Arc<CredentialsError>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

/// Where they come from: called anew, it reads its files anew.
type Source = Box<dyn Fn() -> Pin<Box<dyn Future<Output = SharedCredentialsProvider> + Send>> + Send + Sync>;

/// The credentials of one set of clients, which all share it.
#[derive(Clone)]
pub(super) struct Held(Arc<Inner>);

struct Inner {
    source: Source,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    giver: Option<SharedCredentialsProvider>,
    held: Option<(Credentials, DateTime<Utc>)>,
    failed: Option<(Instant, Failure)>,
    /// Whether there ever were any: then there is a provider, whatever it says now.
    ever: bool,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

impl Held {
    /// Nothing is asked for yet.
    pub fn new<F, T>(source: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = SharedCredentialsProvider> + Send + 'static,
    {
        let source = Box::new(move || Box::pin(source()) as Pin<Box<dyn Future<Output = _> + Send>>);
        Self(Arc::new(Inner { source, state: Mutex::default() }))
    }

    /// What is read anew, beside what is in use.
    pub async fn anew(&self) -> Result<Anew, Failure> {
        let giver = (self.0.source)().await;
        match ask(&giver).await {
            Ok(credentials) => Ok(Anew { giver, credentials }),
            Err(error) => Err(judge(error, self.0.state.lock().await.ever)),
        }
    }

    /// Whether `new` is other than what is in use.
    pub async fn differ(&self, new: &Anew) -> bool {
        let state = self.0.state.lock().await;
        state.held.as_ref().is_none_or(|(held, _)| {
            let words = |c: &Credentials| {
                (c.access_key_id().to_owned(), c.secret_access_key().to_owned(), c.session_token().map(str::to_owned))
            };
            words(held) != words(&new.credentials)
        })
    }

    /// From now on `new` is used.
    pub async fn take(&self, new: Anew) {
        let mut state = self.0.state.lock().await;
        let until = until(&new.credentials);
        *state = State { giver: Some(new.giver), held: Some((new.credentials, until)), failed: None, ever: true };
    }

    /// What is in use is not used any more.
    pub async fn forget(&self) {
        let mut state = self.0.state.lock().await;
        *state = State { ever: state.ever, ..State::default() };
    }

    async fn give(&self) -> Given {
        let begun = Clock::Wall.instant();
        let mut state = self.0.state.lock().await;
        if let Some((held, until)) = &state.held
            && Clock::Wall.now() < *until
        {
            return Ok(held.clone());
        }
        // Who waited while they could not be had is told the same: thousands may have.
        if let Some((at, failure)) = &state.failed
            && *at >= begun
        {
            return Err(CredentialsError::unhandled(failure.clone()));
        }
        let giver = match state.giver.take() {
            Some(giver) => giver,
            None => (self.0.source)().await,
        };
        match ask(&giver).await {
            Ok(credentials) => {
                let until = until(&credentials);
                *state =
                    State { giver: Some(giver), held: Some((credentials.clone(), until)), failed: None, ever: true };
                Ok(credentials)
            }
            Err(error) => {
                // Its giver is made anew: what was wrong may be mended, and some say only the first time what it is.
                let failure = judge(error, state.ever);
                let failed = Some((Clock::Wall.instant(), failure.clone()));
                *state = State { failed, ever: state.ever, ..State::default() };
                Err(CredentialsError::unhandled(failure))
            }
        }
    }
}

impl ProvideCredentials for Held {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.give())
    }
}

/// Credentials that are not in use yet.
pub(super) struct Anew {
    giver: SharedCredentialsProvider,
    pub credentials: Credentials,
}

async fn ask(giver: &SharedCredentialsProvider) -> Given {
    let answer = Clock::Wall.timeout(LIMIT, giver.provide_credentials()).await;
    answer.unwrap_or_else(|| Err(CredentialsError::provider_timed_out(LIMIT)))
}

fn until(credentials: &Credentials) -> DateTime<Utc> {
    let now = Clock::Wall.now();
    credentials.expiry().map_or(now + REMEMBERED, |at| DateTime::<Utc>::from(at) - BEFORE_EXPIRY)
}

/// What a failure means. Only that there is no provider, or none that can work as it is set up, is final: whoever gives
/// credentials may fail once (a program that exits with 255, metadata that answers 500, STS that is busy).
fn judge(error: CredentialsError, ever: bool) -> Failure {
    let words = words(&error);
    let (class, message) = if let Some((class, why)) = not_assumed(&error) {
        (class, format!("the role of the AWS profile cannot be assumed ({why})"))
    } else if let Some(profile) = between(&words, "profile `", "` was not defined: ") {
        (Class::Credentials, undefined(profile, &words))
    } else if words.contains("credentials-login") {
        let what = "no usable credentials: the AWS profile signs in with `login_session` (`aws login`), which stillframe \
                    does not read; make another profile with `credential_process = aws configure export-credentials \
                    --profile NAME --format process`, NAME being that one, and set AWS_PROFILE to it";
        (Class::Credentials, what.to_owned())
    } else if signed_out(&words) {
        let what = format!("not signed in ({words}); sign in: {}. It is tried again", sso_login());
        (Class::Expired, what)
    } else {
        match &error {
            CredentialsError::CredentialsNotLoaded(_) if ever => (Class::NeverSent, again(&words)),
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                if let Some(profile) = profile() {
                    return Failure {
                        class: Class::Credentials,
                        code: CODE,
                        message: gives_none(&profile, &words),
                        cause: Arc::new(error),
                    };
                }
                let advice = "give the machine an instance role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID";
                (Class::Credentials, format!("no usable credentials ({words}; {advice})"))
            }
            _ => (Class::NeverSent, again(&words)),
        }
    };
    let code = if matches!(error, CredentialsError::ProviderTimedOut(_)) { "Timeout" } else { CODE };
    Failure { class, code, message, cause: Arc::new(error) }
}

fn again(words: &str) -> String {
    format!("whoever gives the credentials failed ({words}); it is tried again")
}

/// What the providers said: of a chain of them, what the one said that was set up.
fn words(error: &CredentialsError) -> String {
    let of_chain = chain(error).find_map(|cause| cause.downcast_ref::<ProviderChainError<CredentialsError>>());
    let attempts = of_chain.map(ProviderChainError::attempts).unwrap_or_default();
    let profile = attempts.iter().find(|attempt| attempt.name() == "Profile").map(|attempt| causes(attempt.error()));
    let mut words = profile.filter(|said| said.contains('`')).unwrap_or_else(|| causes(error));
    // The list of providers that were asked names none that would help.
    if let Some(at) = words.find(". Attempted:") {
        words.truncate(at);
    }
    if let Some((cut, _)) = words.char_indices().nth(WORDS_MAX) {
        words.truncate(cut);
    }
    words
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    rest.split_once(to).map(|(found, _)| found)
}

fn undefined(profile: &str, words: &str) -> String {
    let named = match between(words, "referenced from ", ":").or_else(|| words.split("referenced from ").nth(1)) {
        Some(by) => format!("the source_profile `{profile}` of the AWS profile {by}"),
        None => format!("the AWS profile `{profile}`"),
    };
    format!(
        "no usable credentials: {named} is in neither ~/.aws/config nor ~/.aws/credentials of the user that runs stillframe \
         (AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name others); add it, or correct AWS_PROFILE"
    )
}

/// Whether somebody must sign in to SSO: there is no token, or none that is still good.
fn signed_out(words: &str) -> bool {
    let lower = words.to_ascii_lowercase();
    let token = ["cached sso token", "/sso/cache/", "refresh_token", "token has expired", "unauthorizedexception"];
    token.iter().any(|part| lower.contains(part))
}

/// The profile that the environment names.
fn profile() -> Option<String> {
    std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty())
}

fn gives_none(profile: &str, words: &str) -> String {
    format!(
        "no usable credentials: the AWS profile `{profile}` is not there or gives none ({words}); it must be in ~/.aws/config \
         or ~/.aws/credentials of the user that runs stillframe (AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name \
         others); add it, or correct AWS_PROFILE"
    )
}

fn sso_login() -> String {
    match profile() {
        Some(profile) => format!("`aws sso login --profile {profile}`"),
        None => "`aws sso login`".to_owned(),
    }
}

/// What STS says of a profile's role.
fn not_assumed(error: &CredentialsError) -> Option<(Class, String)> {
    let refusal = chain(error).find_map(|cause| cause.downcast_ref::<SdkError<AssumeRoleError>>())?;
    let SdkError::ServiceError(context) = refusal else { return Some((Class::NeverSent, causes(refusal))) };
    let meta = context.err().meta();
    let (code, message) = (meta.code().unwrap_or_default(), meta.message().unwrap_or_default());
    let class = classify(context.raw().status().as_u16(), code, message);
    // Whatever became of AssumeRole, the request itself took no effect.
    let class = if matches!(class, Class::Transient | Class::Throttled) { Class::NeverSent } else { class };
    Some((class, format!("{code}: {message}")))
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
