//! The steps `lend:DESTINATION`, `reclaim:DESTINATION` and `share`: each brings who may use an image nearer to what is
//! wanted on it, by letting in, by letting out, or both.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use crate::cloud::classify::Class;
use crate::cloud::port::{Effect, Fault};
use crate::defect::{Defect, planted};
use crate::domain::event::Outcome;
use crate::domain::fact::{self, Draft, Fact, Intent, Made, Observed, Permitting, StepId};
use crate::domain::hold::Act;
use crate::domain::observed::Image;
use crate::domain::place::{Place, Subject};
use crate::domain::plan::Share;
use crate::domain::prevented::Hindrance;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::{ActiveRun, Context, Stop};
pub use crate::engine::distribution::permissions::Loan;
use crate::engine::distribution::permissions::{self, Distance};
use crate::engine::drive::executor::{Look, Resend, Search, Step, settled};

/// How often changes whose answer was lost are made again: doing them twice equals doing them once.
const ATTEMPTS: u32 = 6;
/// So often an image is looked for before it counts as gone.
const LOOKS: u32 = 3;
/// A grant works after a while (KMS API reference, "Grant tokens": "usually ... less than five minutes").
const KEY_WITHIN: Duration = Duration::from_secs(300);

/// What a step is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum For {
    /// Letting another account in, before it copies.
    Lend(Loan),
    /// Letting it out again.
    Reclaim(Loan),
    /// What `[share]` wants: nothing, where it names nobody any more.
    Share(Option<Share>),
}

/// One step of who may use one image.
pub struct Permit {
    /// The engine.
    pub shared: Rc<Context>,
    /// The run.
    pub active: Rc<ActiveRun>,
    /// The run's name.
    pub run: Rc<str>,
    /// The plan's name.
    pub plan: String,
    /// Which step it is.
    pub id: StepId,
    /// The image of the recovery point: whose step it is.
    pub subject: Subject,
    /// The image that is lent: `subject`, or its copy under another key.
    pub image: Subject,
    /// What for.
    pub purpose: For,
    /// What `[share]` wants on this image, whatever the step is for.
    pub share: Option<Share>,
    /// The customer-managed keys that the image is encrypted under.
    pub keys: BTreeSet<String>,
    /// Its snapshots as far as they are known, should the image be gone when they are taken back.
    pub snapshots: Vec<String>,
}

impl Permit {
    /// The distance that this step closes; none if the image is gone.
    pub async fn distance(&self) -> Result<Option<Distance>, Fault> {
        let Self { shared, plan, image, keys, .. } = self;
        let Some(found) = self.find().await? else {
            let For::Reclaim(_) = self.purpose else { return Ok(None) };
            let wanted = permissions::wanted(shared, plan, image, keys, self.share.as_ref(), None);
            let left = permissions::left_behind(shared, plan, &image.place, &self.snapshots, wanted).await?;
            return Ok(Some(left.removing()));
        };
        let (share, extra) = match &self.purpose {
            For::Lend(loan) => (None, Some(loan)),
            For::Reclaim(_) => (self.share.as_ref().filter(|_| !planted(Defect::ReclaimBlind)), None),
            For::Share(share) => (share.as_ref(), None),
        };
        let mut wanted = permissions::wanted(shared, plan, image, keys, share, extra);
        // A key is not of this image alone: what `[share]` wants of others holds for it, too.
        if let For::Share(None) = self.purpose {
            wanted.share_keys(self.share.as_ref(), &image.place);
        }
        let distance = permissions::distance(shared, plan, &image.place, &found, &wanted).await?;
        Ok(Some(match &self.purpose {
            For::Lend(_) => distance.adding(),
            For::Reclaim(_) | For::Share(None) => distance.removing(),
            For::Share(Some(_)) => distance,
        }))
    }

    /// The image. Where something is taken back from what it leaves behind, it is gone only if three looks agree.
    async fn find(&self) -> Result<Option<Image>, Fault> {
        let looks = if let For::Reclaim(_) = self.purpose { LOOKS } else { 1 };
        let mut wait = FIRST;
        for look in 1..=looks {
            let found = permissions::image(&self.shared, &self.image).await?;
            if found.is_some() || look == looks || self.shared.pause(wait).await.is_err() {
                return Ok(found);
            }
            wait = longer(wait);
        }
        Ok(None)
    }

    /// Takes back what is too much, and adds nothing.
    pub async fn let_out(&self) {
        let locks = self.locks();
        let _alone = Self::hold(&locks).await;
        if let Ok(Some(distance)) = self.distance().await {
            let distance = distance.removing();
            if !distance.is_none() {
                let _ = permissions::close(&self.shared, &distance).await;
            }
        }
    }

    /// Two steps that read and write the tag of one image, or the grants of one key, take turns.
    fn locks(&self) -> Vec<Rc<Mutex<()>>> {
        let key = (!self.keys.is_empty()).then_some(permissions::KEYS);
        key.into_iter().chain([self.image.id.as_str()]).map(|name| self.shared.lock_of(name)).collect()
    }

    /// All of them, always in the same order.
    async fn hold(locks: &[Rc<Mutex<()>>]) -> Vec<MutexGuard<'_, ()>> {
        let mut held = Vec::new();
        for lock in locks {
            held.push(lock.lock().await);
        }
        held
    }

    /// Lends once more what is not there any more. Whether that did anything, the copy tells.
    pub async fn again(&self) {
        let locks = self.locks();
        let _alone = Self::hold(&locks).await;
        if let Ok(Some(distance)) = self.distance().await {
            let _ = permissions::close(&self.shared, &distance).await;
        }
    }

    fn ended(&self, bad: Option<String>) -> Draft {
        let outcome = if bad.is_some() { Outcome::Failed } else { Outcome::Done };
        let observed = Observed { image: Some(self.image.id.clone()), reason: bad, ..Observed::of(outcome) };
        let attempt =
            self.active.state.borrow().others.get(&self.subject).and_then(|s| s.get(&self.id)).map(|s| s.attempt);
        Draft::of(&self.run, &self.subject, Fact::StepObserved(observed)).at_step(&self.id, attempt.unwrap_or(1))
    }

    /// Waits until the role can use the keys. Why it cannot, if it cannot.
    async fn keys_work(&self, loan: &Loan) -> Result<Option<String>, Stop> {
        for key in &loan.keys {
            let region = key.split(':').nth(3).unwrap_or(&loan.to.region);
            let place = Place::new(&loan.to.account, region);
            let since = self.shared.clock.instant();
            while let Err(fault) = self.shared.unless_drained(self.shared.cloud.key(&place, key)).await? {
                if self.shared.clock.instant() - since >= KEY_WITHIN {
                    return Ok(Some(format!(
                        "{} cannot use the key {key} {} min after it was let in: {fault}; its IAM policy must allow it too",
                        loan.role,
                        KEY_WITHIN.as_secs() / 60
                    )));
                }
                self.shared.pause(FIRST).await?;
            }
        }
        Ok(None)
    }
}

#[async_trait(?Send)]
impl Step for Permit {
    fn id(&self) -> &StepId {
        &self.id
    }

    fn intent(&self) -> Intent {
        let (image, keys) = (self.image.id.clone(), Some(self.keys.clone()));
        Intent::Permit(Box::new(match &self.purpose {
            For::Lend(loan) | For::Reclaim(loan) => Permitting {
                image,
                keys: Some(loan.keys.clone()),
                account: Some(loan.to.account.clone()),
                region: Some(loan.to.region.clone()),
                role: Some(loan.role.clone()),
                snapshots: Some(self.snapshots.clone()),
                ..Permitting::default()
            },
            For::Share(share) => {
                let who = share.iter().flat_map(Share::grantees).map(|g| g.short().to_owned());
                Permitting { image, keys, with: Some(who.collect()), ..Permitting::default() }
            }
        }))
    }

    fn forbidden(&self) -> Option<Hindrance> {
        let act = if self.settles().is_some() { Act::GiveBack } else { Act::Open };
        self.shared.held(act, Some(&self.plan)).map(Hindrance::from)
    }

    fn owes(&self) -> Option<StepId> {
        match (&self.purpose, &self.id) {
            (For::Lend(_), StepId::Lend(to)) => Some(StepId::Reclaim(to.clone())),
            _ => None,
        }
    }

    fn settles(&self) -> Option<StepId> {
        match (&self.purpose, &self.id) {
            (For::Reclaim(_), StepId::Reclaim(to)) => Some(StepId::Lend(to.clone())),
            _ => None,
        }
    }

    fn place(&self) -> Option<&Place> {
        Some(&self.image.place)
    }

    /// The locks bound it. Who waits for one must not hold up what reboots.
    fn calls(&self) -> bool {
        false
    }

    /// What is listed may not be found for a moment; what is really gone is seen to be gone the next time.
    fn passes(&self, fault: &Fault) -> bool {
        fault.class.passes() || fault.class.may_lag()
    }

    /// What is there already is journaled with what it is for, since that is what keeps it there.
    async fn look(&self, intent: &Intent, _lost: bool) -> Look {
        let locks = self.locks();
        let _alone = Self::hold(&locks).await;
        match self.distance().await {
            // It was listed just before.
            Err(fault) if fault.class.may_lag() => Look::Unclear(Fault { class: Class::Transient, ..fault }),
            Err(fault) => Look::Unclear(fault),
            Ok(Some(distance)) if !distance.is_none() => Look::Absent,
            Ok(_) => Look::Found(match intent {
                Intent::Permit(permitting) => Made::Permit(permitting.clone()),
                Intent::Image(_) | Intent::Return | Intent::Copy(_) | Intent::Remove(_) => Made::Nothing,
            }),
        }
    }

    async fn act(&self, _intent: &Intent) -> Effect<Made> {
        let locks = self.locks();
        let _alone = Self::hold(&locks).await;
        let distance = match self.distance().await {
            Ok(Some(distance)) => distance,
            Ok(None) => {
                let made = Permitting { image: self.image.id.clone(), ..Permitting::default() };
                return Effect::Done { value: Made::Permit(Box::new(made)), request_id: None };
            }
            Err(fault) => return Effect::Refused(fault),
        };
        match permissions::close(&self.shared, &distance).await {
            Effect::Done { request_id, .. } => {
                // By a loan: to whom it was given, not who was let in at the same time.
                let to = if let For::Lend(loan) = &self.purpose { Some(&*loan.to.account) } else { None };
                let added = Some(distance.added(to).map(str::to_owned).collect());
                let grants = match &self.purpose {
                    For::Lend(loan) => Some(self.shared.granted_to(&loan.role, &loan.keys)),
                    For::Reclaim(_) | For::Share(_) => None,
                };
                let made = Permitting { image: self.image.id.clone(), added, grants, ..Permitting::default() };
                let value = Made::Permit(Box::new(made));
                Effect::Done { value, request_id }
            }
            Effect::Refused(fault) => Effect::Refused(fault),
            Effect::Unknown(fault) => Effect::Unknown(fault),
        }
    }

    fn resend(&self, search: &Search) -> Resend {
        if search.waited < FIRST * (1 << search.attempt.min(ATTEMPTS)) {
            Resend::LookAgain
        } else if search.attempt < ATTEMPTS {
            Resend::Send
        } else {
            Resend::GiveUp(format!("no clear answer to {ATTEMPTS} calls; tried again in the plan's next run"))
        }
    }

    async fn settle(&self) -> Result<(), Stop> {
        let bad = match &self.purpose {
            For::Lend(loan) => self.keys_work(loan).await?,
            _ => None,
        };
        let good = bad.is_none();
        let mut drafts = vec![self.ended(bad)];
        let (told, loan): (fn(fact::Loan) -> Fact, _) = match &self.purpose {
            For::Lend(loan) => (Fact::LoanGiven, loan),
            For::Reclaim(loan) => (Fact::LoanReturned, loan),
            For::Share(_) => return self.shared.record_result(&drafts).await.map(|_| ()),
        };
        if good {
            let (image, account) = (self.image.id.clone(), loan.to.account.clone());
            let loan = fact::Loan { image, account, keys: loan.keys.clone() };
            drafts.push(Draft::of(&self.run, &self.subject, told(loan)).at_step(&self.id, 1));
            let owed = |take: &StepId| {
                let state = self.active.state.borrow();
                state.others.get(&self.subject).and_then(|steps| steps.get(take)?.owed)
            };
            let settled = |take: StepId| settled(&self.run, &self.subject, &take, owed(&take), "taken back");
            drafts.extend(self.settles().and_then(settled));
        }
        self.shared.record_result(&drafts).await.map(|_| ())
    }
}
