//! Which account the state directory has worked in: with credentials of another one nothing is done, since its instances are
//! somebody else's.

use std::cell::RefCell;

use crate::cloud::port::{Caller, Read};
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::{Context, Stop};

/// Is told the account when it is met for the first time.
type Learn = Box<dyn Fn(&str)>;

/// Why credentials of `account` do nothing where `known` was worked in, if they do not.
#[must_use]
pub fn another_account(known: &str, account: &str) -> Option<String> {
    (known != account).then(|| {
        format!(
            "the credentials are those of account {account}, and this state directory has worked in account {known}: give \
             it credentials of {known} again (AWS_PROFILE, the instance role); or, if it is to work in {account} from now \
             on, start with `stillframe run --take-over`"
        )
    })
}

#[derive(Default)]
struct Bound {
    known: RefCell<Option<String>>,
    learn: RefCell<Option<Learn>>,
    differs: RefCell<Option<String>>,
}

impl Context {
    /// From now on credentials of another account than `known` hold everything back; where none is known yet, `learn` is told
    /// the first one.
    pub fn bind_account(&self, known: Option<String>, learn: impl Fn(&str) + 'static) {
        let bound = self.of::<Bound>();
        *bound.known.borrow_mut() = known;
        *bound.learn.borrow_mut() = Some(Box::new(learn));
    }

    /// AWS has said who we are: kept as long as the account is ours.
    pub fn met(&self, caller: &Caller) {
        self.bound_by(caller);
        let ours = self.another_account().is_none();
        *self.caller.borrow_mut() = ours.then(|| caller.clone());
    }

    fn bound_by(&self, caller: &Caller) {
        let bound = self.of::<Bound>();
        let Some(learn) = &*bound.learn.borrow() else { return };
        let account = &caller.account;
        let known = bound.known.borrow().clone();
        let differs = known.as_deref().and_then(|known| another_account(known, account));
        if known.is_none() {
            learn(account);
            *bound.known.borrow_mut() = Some(account.clone());
        }
        if *bound.differs.borrow() != differs {
            if let Some(why) = &differs {
                tracing::error!(event = "account.differs", reason = %why);
            }
            *bound.differs.borrow_mut() = differs;
            self.slots_changed.notify_waiters();
        }
    }

    /// Asks AWS who we are.
    ///
    /// # Errors
    /// Those of `GetCallerIdentity`.
    pub(crate) async fn ask_caller(&self) -> Read<Caller> {
        let caller = self.cloud.whoami().await?;
        self.met(&caller);
        Ok(caller)
    }

    /// Who we are, once AWS tells and the account is ours.
    ///
    /// # Errors
    /// [`Stop::Drained`].
    pub(crate) async fn our_caller(&self) -> Result<Caller, Stop> {
        let mut wait = FIRST;
        loop {
            if let Some(caller) = self.caller.borrow().clone() {
                return Ok(caller);
            }
            // What was denied may be allowed later, and then counts.
            if let Ok(caller) = self.unless_drained(self.ask_caller()).await?
                && self.another_account().is_none()
            {
                return Ok(caller);
            }
            self.pause(wait).await?;
            wait = longer(wait);
        }
    }

    /// Why the credentials are not ours, if they are not.
    pub(crate) fn another_account(&self) -> Option<String> {
        self.of::<Bound>().differs.borrow().clone()
    }
}
