//! With whose credentials a request to a place is made: a role's that was assumed, or the account's own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Duration, Utc};

use super::{SimCloud, astray};
use crate::cloud::classify::Class;
use crate::cloud::port::{Fault, Read, Role};
use crate::domain::place::Place;
use crate::sim::action::Action;
use crate::sim::answer::Answer;
use crate::sim::world::Caller;

/// A session is not used in its last minutes: a request may be under way that long.
const RENEW_BEFORE_SECONDS: i64 = 300;

/// The sessions of each account, with their ends.
type Sessions = BTreeMap<String, (Caller, DateTime<Utc>)>;

/// The roles that are assumed, and their sessions, by account.
#[derive(Debug, Clone, Default)]
pub(super) struct Roles {
    of: Arc<BTreeMap<String, Role>>,
    sessions: Arc<Mutex<Sessions>>,
}

impl SimCloud {
    /// The same client: a request to a place whose account is that of a role is made with that role.
    #[must_use]
    pub fn with_roles(self, roles: Vec<Role>) -> Self {
        let of = roles.into_iter().map(|role| (role.account.clone(), role)).collect();
        Self { roles: Roles { of: Arc::new(of), sessions: Arc::default() }, ..self }
    }

    /// Who makes the requests to `place`. An account without a role is served as if its own keys were there.
    pub(super) async fn caller(&self, place: &Place) -> Read<Caller> {
        let role = self.roles.of.get(&place.account).filter(|_| place.account != self.account);
        let Some(role) = role else { return Ok(Caller::new(&place.account)) };
        if let Some(session) = self.session(&place.account) {
            return Ok(session);
        }
        let assume = Action::AssumeRole {
            role: role.arn.clone(),
            session: role.session.clone(),
            external_id: role.external_id.clone(),
        };
        let base = Caller::new(&self.account);
        match self.send_as(&base, &place.region, assume).await {
            Ok((Answer::Session { expires, .. }, _)) => {
                let caller = Caller::assumed(&place.account, &role.arn, &role.session);
                let mut sessions = self.roles.sessions.lock().unwrap_or_else(PoisonError::into_inner);
                sessions.insert(place.account.clone(), (caller.clone(), expires));
                Ok(caller)
            }
            Ok((other, _)) => Err(astray(&other)),
            // What was to be done with the role was certainly not sent.
            Err(fault) if fault.class == Class::Transient => Err(Fault { class: Class::NeverSent, ..fault }),
            Err(fault) => Err(fault),
        }
    }

    fn session(&self, account: &str) -> Option<Caller> {
        let sessions = self.roles.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let (caller, expires) = sessions.get(account)?;
        (self.clock.now() + Duration::seconds(RENEW_BEFORE_SECONDS) < *expires).then(|| caller.clone())
    }
}
