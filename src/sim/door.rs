//! The HTTP door of the simulated world: the EC2 and STS Query protocols and KMS's JSON on loopback, and `/_sim/` to steer it.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream;

use super::action::Action;
use super::answer::Answer;
use super::calls::Tally;
use super::error::ApiError;
use super::faults::Fault;
use super::serve::{Delivery, Reply};
use super::trouble::Profile;
use super::world::{Caller, World};
use super::xml;
use super::{json, query, session};
use crate::clock::Clock;

/// What every handler knows.
#[derive(Clone)]
struct Door {
    world: Arc<Mutex<World>>,
    clock: Clock,
}

impl Door {
    fn world(&self) -> MutexGuard<'_, World> {
        // A panic of another holder leaves a world that is still whole.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves `world` on `listener` until `shutdown` ends; connections still open are dropped then.
///
/// # Errors
/// The listener is not on loopback: the world believes whoever calls it. Or it cannot be served.
pub async fn serve(
    listener: tokio::net::TcpListener,
    world: Arc<Mutex<World>>,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the simulated world is served on loopback only, not on {address}; listen on 127.0.0.1 or [::1]"),
        ));
    }
    let routes = Router::new()
        .route("/", get(request).post(request))
        .route("/_sim/health", get(async || "ok\n"))
        .route("/_sim/world", get(show_world))
        .route("/_sim/calls", get(show_calls))
        .route("/_sim/tally", get(show_tally))
        .route("/_sim/faults", get(show_faults).post(add_faults).delete(clear_faults))
        .route("/_sim/trouble", get(show_trouble).post(set_trouble))
        .route("/_sim/complete", post(complete))
        .route("/_sim/clock", post(set_date))
        .route("/_sim/instances/{id}", post(script_instance))
        .with_state(Door { world, clock });
    tokio::select! {
        biased;
        () = shutdown => Ok(()),
        served = axum::serve(listener, routes) => served,
    }
}

/// The protocol of a request: which shape its answer and its errors have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Ec2,
    Sts,
    Kms,
}

impl Protocol {
    fn kind(self) -> &'static str {
        if self == Self::Kms { "application/x-amz-json-1.1" } else { "text/xml;charset=UTF-8" }
    }

    fn answer(self, action: &Action, answer: &Answer, request_id: &str) -> String {
        if self == Self::Kms { json::answer(answer) } else { xml::answer(action, answer, request_id) }
    }

    fn error(self, error: &ApiError, request_id: &str) -> String {
        match self {
            Self::Kms => json::error(error),
            _ => xml::error(error, request_id, self == Self::Sts),
        }
    }
}

/// One request: in the JSON of KMS if it names a target; else a Query, in the body of a POST or in the address of a GET.
async fn request(State(door): State<Door>, headers: HeaderMap, uri: Uri, body: Bytes) -> Response {
    let pairs = |bytes: &[u8]| form_urlencoded::parse(bytes).into_owned().collect::<Vec<_>>();
    let mut parameters: BTreeMap<String, String> =
        pairs(uri.query().unwrap_or_default().as_bytes()).into_iter().collect();
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    if target.is_none() {
        parameters.extend(pairs(&body));
    }
    let scope = Scope::of(&headers, &parameters);
    // A signature in the address (presigned) is no parameter of the action.
    parameters.retain(|key, _| !key.starts_with("X-Amz-"));
    let (protocol, parsed) = match target {
        Some(target) => (Protocol::Kms, json::parse(target, &body).map(|action| (action, false))),
        None => {
            let sts = parameters.get("Version").is_some_and(|v| v == "2011-06-15");
            (if sts { Protocol::Sts } else { Protocol::Ec2 }, query::parse(parameters))
        }
    };
    let (action, reply) = {
        let mut world = door.world();
        let now = door.clock.now();
        let region = scope.region.clone().unwrap_or_else(|| world.home_region().to_owned());
        let called =
            parsed.and_then(|(action, dry)| Ok((scope.caller(now, &world.account, action.api())?, action, dry)));
        match called {
            Ok((caller, action, true)) => {
                let reply = world.serve_dry(now, &caller, &region, &action);
                (Some(action), reply)
            }
            Ok((caller, action, false)) => {
                let reply = world.serve(now, &caller, &region, &action);
                (Some(action), reply)
            }
            Err(error) => {
                let request_id = world.new_request_id();
                (None, Reply { outcome: Err(error), delivery: Delivery::Now, request_id })
            }
        }
    };
    match reply.delivery {
        Delivery::Now => {}
        Delivery::Late(seconds) => door.clock.sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default()).await,
        Delivery::Cut => return cut(protocol),
    }
    let date = door.clock.now() + TimeDelta::seconds(door.world().date_ahead);
    let (status, text) = match (action, reply.outcome) {
        (Some(action), Ok(answer)) => (200, protocol.answer(&action, &answer, &reply.request_id)),
        (_, Err(error)) => (error.status, protocol.error(&error, &reply.request_id)),
        // Without an action there is no answer.
        (None, Ok(_)) => (500, protocol.error(&ApiError::internal(), &reply.request_id)),
    };
    let mut response = document(status, protocol, &reply.request_id, text);
    if let Ok(date) = HeaderValue::from_str(&date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// Who calls, and which region: from the credential scope of the signature, which is not verified.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scope {
    account: Option<String>,
    region: Option<String>,
    /// `X-Amz-Security-Token`.
    token: Option<String>,
}

impl Scope {
    /// `Credential=KEY/20261120/eu-central-1/ec2/aws4_request`. A key of twelve digits is the account's number.
    fn of(headers: &HeaderMap, parameters: &BTreeMap<String, String>) -> Self {
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let signed = header.split_once("Credential=").map(|(_, rest)| rest.split(',').next().unwrap_or_default());
        let presigned = parameters.get("X-Amz-Credential").map(String::as_str);
        let mut parts = signed.or(presigned).unwrap_or_default().split('/');
        let key = parts.next().unwrap_or_default();
        let account = (key.len() == 12 && key.bytes().all(|b| b.is_ascii_digit())).then(|| key.to_owned());
        let region = parts.nth(1).filter(|region| !region.is_empty()).map(str::to_owned);
        let token = headers.get("x-amz-security-token").and_then(|token| token.to_str().ok());
        let token = token.or(parameters.get("X-Amz-Security-Token").map(String::as_str)).map(str::to_owned);
        Self { account, region, token }
    }

    /// Whoever has a session is its role; whoever names no account is of the world's `own`.
    fn caller(&self, now: DateTime<Utc>, own: &str, api: &str) -> Result<Caller, ApiError> {
        match &self.token {
            Some(token) => session::caller(now, token, api),
            None => Ok(Caller::new(self.account.as_deref().unwrap_or(own))),
        }
    }
}

/// AWS sends the request's id in the body and in a header; the SDK reads only the header.
fn document(status: u16, protocol: Protocol, request_id: &str, text: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let head = [(header::CONTENT_TYPE.as_str(), protocol.kind()), ("x-amzn-requestid", request_id)];
    (status, head, text).into_response()
}

/// Closes the connection within the answer: a body that was announced and never comes.
fn cut(protocol: Protocol) -> Response {
    let broken = stream::once(async { Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset)) });
    ([(header::CONTENT_TYPE, protocol.kind()), (header::CONTENT_LENGTH, "1000")], Body::from_stream(broken))
        .into_response()
}

async fn show_world(State(door): State<Door>) -> Response {
    axum::Json(&*door.world()).into_response()
}

/// All calls, or with `?api=CreateImage` those of one API.
async fn show_calls(State(door): State<Door>, Query(only): Query<BTreeMap<String, String>>) -> Response {
    let world = door.world();
    let wanted: Vec<_> = world.calls.iter().filter(|call| only.get("api").is_none_or(|api| *api == call.api)).collect();
    axum::Json(wanted).into_response()
}

/// How many calls of each API came, in all places.
async fn show_tally(State(door): State<Door>) -> Response {
    let mut tally = BTreeMap::<_, Tally>::new();
    for ((_, api), of_place) in door.world().calls.tally() {
        tally.entry(*api).or_default().add(of_place);
    }
    axum::Json(tally).into_response()
}

async fn show_faults(State(door): State<Door>) -> Response {
    axum::Json(&door.world().faults).into_response()
}

/// Adds a JSON list of faults to the script.
async fn add_faults(State(door): State<Door>, body: Bytes) -> Response {
    match serde_json::from_slice::<Vec<Fault>>(&body) {
        Ok(faults) => {
            let mut world = door.world();
            world.faults.extend(faults);
            world.touch();
            axum::Json(&world.faults).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("not a list of faults: {error}\n")).into_response(),
    }
}

/// How much goes wrong by chance, and how often each kind of fault came.
async fn show_trouble(State(door): State<Door>) -> Response {
    axum::Json(&door.world().trouble).into_response()
}

/// `none`, `typical` or `harsh` from now on; the counts stay.
async fn set_trouble(State(door): State<Door>, body: String) -> Response {
    match <Profile as clap::ValueEnum>::from_str(body.trim(), false) {
        Ok(profile) => {
            let mut world = door.world();
            world.trouble.profile = profile;
            world.touch();
            axum::Json(&world.trouble).into_response()
        }
        Err(_) => (StatusCode::BAD_REQUEST, "not a profile of trouble: none, typical or harsh\n").into_response(),
    }
}

/// Lets all that takes time be done now.
async fn complete(State(door): State<Door>) -> StatusCode {
    door.world().complete(door.clock.now());
    StatusCode::NO_CONTENT
}

/// From now on the Date of answers is as many seconds ahead as the body says: a client whose clock is wrong.
async fn set_date(State(door): State<Door>, body: String) -> Response {
    match body.trim().parse() {
        Ok(seconds) => {
            door.world().date_ahead = seconds;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("not a number of seconds: {error}\n")).into_response(),
    }
}

async fn clear_faults(State(door): State<Door>) -> Response {
    door.world().faults.clear();
    StatusCode::NO_CONTENT.into_response()
}

/// Changes what is scripted about an instance; answers all of it.
async fn script_instance(State(door): State<Door>, Path(id): Path<String>, body: Bytes) -> Response {
    let patch = match serde_json::from_slice(&body) {
        Ok(patch) => patch,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("not JSON: {error}\n")).into_response(),
    };
    let mut world = door.world();
    match world.script(&id, &patch) {
        Some(Ok(traits)) => axum::Json(traits).into_response(),
        Some(Err(why)) => (StatusCode::BAD_REQUEST, format!("{id}: {why}\n")).into_response(),
        None => (StatusCode::NOT_FOUND, format!("there is no instance {id}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_and_region_come_from_the_credential_scope() {
        let scope = "/20261120/eu-west-1/ec2/aws4_request, SignedHeaders=host, Signature=0";
        let table = [
            (Some(format!("AWS4-HMAC-SHA256 Credential=222222222222{scope}")), Some("222222222222"), Some("eu-west-1")),
            (Some(format!("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE{scope}")), None, Some("eu-west-1")),
            (Some("Basic xyz".to_owned()), None, None),
            (None, None, None),
        ];
        for (header, account, region) in table {
            let mut headers = HeaderMap::new();
            if let Some(text) = &header {
                headers.insert(header::AUTHORIZATION, text.parse().unwrap());
            }
            let want = Scope { account: account.map(str::to_owned), region: region.map(str::to_owned), token: None };
            assert_eq!(Scope::of(&headers, &BTreeMap::new()), want, "{header:?}");
        }
    }

    #[tokio::test]
    async fn only_loopback_is_served() {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let world = super::super::Fleet::demo().world(Clock::Wall.now()).unwrap();
        let served = serve(listener, Arc::new(Mutex::new(world)), Clock::Wall, async {}).await;
        assert!(served.unwrap_err().to_string().contains("on loopback only, not on 0.0.0.0:"));
    }
}
