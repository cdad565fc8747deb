//! One run and all that its parts need, wherever they stand: they write in its name, and read with its patience.

use std::rc::Rc;
use std::time::Duration;

use crate::cloud::port::{Caller, Fault, Read};
use crate::domain::event::Occurrence;
use crate::domain::fact::{Draft, Fact, Refusal, Topic};
use crate::domain::place::Place;
use crate::domain::plan::Plan;
use crate::domain::saga::RunState;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::stale::own_patience;
use crate::engine::context::{ActiveRun, Context, Stop};

/// How long reads that fail are tried again before the run goes on without them, and says so.
const PATIENCE: Duration = Duration::from_secs(600);

/// One run and all it needs.
#[derive(Clone)]
pub struct Run {
    /// The engine.
    pub shared: Rc<Context>,
    /// The fold of its events.
    pub active: Rc<ActiveRun>,
    /// The plan, in the revision that the run began with.
    pub plan: Rc<Plan>,
    /// The occurrence.
    pub occurrence: Rc<Occurrence>,
    /// Its name.
    pub name: Rc<str>,
    /// Only these instances, if a person named some.
    pub only: Vec<String>,
}

impl Run {
    /// A run that begins, or goes on, with what is known of it.
    #[must_use]
    pub fn new(
        shared: &Rc<Context>,
        plan: Rc<Plan>,
        occurrence: Occurrence,
        state: RunState,
        only: Vec<String>,
    ) -> Self {
        let name: Rc<str> = occurrence.run().into();
        let only = if state.started { state.only.clone() } else { only };
        let active = Rc::new(ActiveRun::new(&plan.name, own_patience(&plan, &occurrence), state, shared.clock));
        shared.runs.borrow_mut().insert(name.to_string(), Rc::clone(&active));
        Self { shared: Rc::clone(shared), active, plan, occurrence: Rc::new(occurrence), name, only }
    }

    /// Writes one event of this run, however long it takes.
    pub(crate) async fn record(&self, draft: Draft) -> Result<(), Stop> {
        self.shared.record_result(&[draft]).await.map(|_| ())
    }

    /// Notes what went wrong with the run as a whole; it goes on, and ends failed.
    pub(crate) async fn mishap(&self, what: &str, why: &str) -> Result<(), Stop> {
        if self.active.state.borrow().mishaps.contains_key(what) {
            return Ok(());
        }
        let draft = Draft::of_run(&self.name, Fact::StepRefused(Refusal::of(why)));
        self.record(draft.about(Topic::Trouble(what.to_owned()))).await
    }

    /// A read, tried again while its failure may pass: at most [`PATIENCE`].
    pub(crate) async fn patiently<T>(&self, what: &str, read: impl AsyncFn() -> Read<T>) -> Result<Read<T>, Stop> {
        let mut wait = FIRST;
        let mut waited = Duration::ZERO;
        loop {
            match self.shared.unless_drained(read()).await? {
                Err(fault) if fault.class.passes() && waited < PATIENCE => {
                    if waited.is_zero() {
                        tracing::warn!(
                            event = "cloud.failing", run = &*self.name, reason = %fault,
                            aws_request_id = fault.request_id.as_deref(),
                            "{what}: tried again for {} min", PATIENCE.as_secs() / 60
                        );
                    }
                    self.shared.pause(wait).await?;
                    waited += wait;
                    wait = longer(wait);
                }
                answer => return Ok(answer),
            }
        }
    }

    /// The places of the plan, or nothing (and a mishap) if our account or region cannot be known.
    pub(crate) async fn places(&self) -> Result<Option<Vec<Place>>, Stop> {
        if ["account", "region"].iter().any(|step| self.active.state.borrow().mishaps.contains_key(*step)) {
            return Ok(None); // said already
        }
        let caller = match self.caller().await? {
            Ok(caller) => caller,
            Err(fault) => {
                let why = no_account(&fault);
                self.mishap("account", &why).await?;
                return Ok(None);
            }
        };
        if let Some(why) = self.shared.another_account() {
            self.mishap("account", &why).await?;
            return Ok(None);
        }
        let regions = self.shared.cloud.regions(&self.plan);
        if regions.is_empty() {
            let why = "no region: set select.regions in the plan, or AWS_REGION, or a region in the profile";
            self.mishap("region", why).await?;
            return Ok(None);
        }
        Ok(Some(regions.into_iter().map(|region| Place::new(caller.account.clone(), region)).collect()))
    }

    async fn caller(&self) -> Result<Read<Caller>, Stop> {
        if let Some(known) = self.shared.caller.borrow().clone() {
            return Ok(Ok(known));
        }
        self.patiently("cannot tell which account this is", || self.shared.ask_caller()).await
    }
}

/// Why the account is not known, and what to do. No look at credentials mends a connection.
pub fn no_account(fault: &Fault) -> String {
    let why = format!("cannot tell which account this is: {fault}");
    if matches!(fault.code.as_str(), "Connection" | "Timeout") {
        return why;
    }
    why + ". Check the credentials: AWS_PROFILE, the instance role, or `aws sts get-caller-identity` as the user that \
           runs stillframe"
}
