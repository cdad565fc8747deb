//! One request as a client's connection sees it: token buckets, faults by script and by chance, and the call log around
//! [`World::call`].

use chrono::{DateTime, Utc};

use super::action::Action;
use super::answer::Answer;
use super::calls::Call;
use super::error::ApiError;
use super::faults::{self, FaultKind};
use super::ids;
use super::world::{Caller, World};
use crate::domain::place::Place;

/// How the answer reaches the client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delivery {
    /// At once.
    Now,
    /// This many real seconds later.
    Late(f64),
    /// Never: the connection closes.
    Cut,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The answer, or the error document.
    pub outcome: Result<Answer, ApiError>,
    /// Whether and when the client gets it.
    pub delivery: Delivery,
    /// `requestId`.
    pub request_id: String,
}

impl World {
    /// Serves one request of a client.
    pub fn serve(&mut self, now: DateTime<Utc>, caller: &Caller, region: &str, action: &Action) -> Reply {
        let place = Place::new(&caller.account, region);
        if self.throttling && !self.buckets.take(now, &place, action, self.speed) {
            return self.log(now, &place, action, Err(ApiError::throttled_by(action.api())), false, Delivery::Now);
        }
        let (scripted, changed) = faults::take(&mut self.faults, now, region, action);
        let fault = scripted.or_else(|| self.misfortune(now, &place)).or_else(|| self.oddity(now, &place, action));
        let fault = fault.filter(|kind| Self::concerns(*kind, action));
        if let Some(kind) = fault {
            self.trouble.count(kind.label());
        }
        self.dirty |= changed || fault.is_some();
        match fault {
            Some(FaultKind::Throttle) => {
                self.log(now, &place, action, Err(ApiError::throttled_by(action.api())), false, Delivery::Now)
            }
            Some(FaultKind::Denied) => {
                let error = ApiError::denied(action.api(), &caller.arn());
                self.log(now, &place, action, Err(error), false, Delivery::Now)
            }
            Some(FaultKind::Expired) => {
                self.log(now, &place, action, Err(ApiError::expired(action.api())), false, Delivery::Now)
            }
            Some(FaultKind::BadKey) => {
                self.log(now, &place, action, Err(ApiError::bad_key(action.api())), false, Delivery::Now)
            }
            Some(FaultKind::NotYet) => {
                let error = self.not_yet(&place, action);
                self.log(now, &place, action, Err(error), false, Delivery::Now)
            }
            Some(FaultKind::NoCode) => self.log(now, &place, action, Err(ApiError::no_code()), false, Delivery::Now),
            Some(FaultKind::ErrorBefore) => {
                self.log(now, &place, action, Err(ApiError::internal()), false, Delivery::Now)
            }
            Some(FaultKind::CutBefore) => {
                self.log(now, &place, action, Err(ApiError::internal()), false, Delivery::Cut)
            }
            Some(FaultKind::HangBefore { seconds }) => {
                self.log(now, &place, action, Err(ApiError::internal()), false, Delivery::Late(seconds))
            }
            None
            | Some(
                FaultKind::ErrorAfter
                | FaultKind::CutAfter
                | FaultKind::HangAfter { .. }
                | FaultKind::NamesNothing
                | FaultKind::NamesAnother,
            ) => {
                let outcome = self.call(now, caller, region, action);
                let effect = outcome.is_ok() && !action.reads();
                let (outcome, delivery) = match fault {
                    Some(FaultKind::ErrorAfter) => (Err(ApiError::internal()), Delivery::Now),
                    Some(FaultKind::CutAfter) => (outcome, Delivery::Cut),
                    Some(FaultKind::NamesNothing) => (outcome.map(Answer::named_nothing), Delivery::Now),
                    Some(FaultKind::NamesAnother) => (outcome.map(|a| self.named_another(&place, a)), Delivery::Now),
                    Some(FaultKind::HangAfter { seconds }) => (outcome, Delivery::Late(seconds)),
                    _ => (outcome, Delivery::Now),
                };
                self.log(now, &place, action, outcome, effect, delivery)
            }
        }
    }

    /// Serves a request with DryRun: nothing changes.
    pub fn serve_dry(&mut self, now: DateTime<Utc>, caller: &Caller, region: &str, action: &Action) -> Reply {
        let mut trial = self.clone();
        let outcome = match trial.call(now, caller, region, action) {
            Ok(_) => Err(ApiError::dry_run()),
            Err(error) => Err(error),
        };
        self.log(now, &Place::new(&caller.account, region), action, outcome, false, Delivery::Now)
    }

    /// Whether anything changed since this was asked last.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Marks the world as not saved: a save failed, or a test changed a field.
    pub fn touch(&mut self) {
        self.dirty = true;
    }

    /// A request id of its own, for answers that never reach an action.
    pub fn new_request_id(&mut self) -> String {
        self.served += 1;
        ids::request_id(self.seed, self.served)
    }

    fn log(
        &mut self,
        now: DateTime<Utc>,
        place: &Place,
        action: &Action,
        outcome: Result<Answer, ApiError>,
        effect: bool,
        delivery: Delivery,
    ) -> Reply {
        let request_id = self.new_request_id();
        let result = match (&outcome, delivery) {
            (_, Delivery::Cut) => "cut",
            (Ok(_), _) => "ok",
            (Err(error), _) => error.code.as_str(),
        };
        let call = || Call {
            at: now,
            account: place.account.clone(),
            region: place.region.clone(),
            api: action.api().into(),
            parameters: action.parameters(),
            result: result.into(),
            effect,
            request_id: request_id.clone(),
        };
        self.calls.note(
            now,
            place,
            action.api(),
            (matches!(result, "RequestLimitExceeded" | "ThrottlingException"), effect),
            call,
        );
        Reply { outcome, delivery, request_id }
    }
}
