//! Rate, deadlines, paging and retries around either back end.
//!
//! Reads are asked again here, and effects after a definite throttle; an effect without a clear answer goes up
//! as Unknown and is never sent twice. A list is complete or it is a fault.

mod bucket;
mod distribution;
mod explain;
mod skew;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;

use self::bucket::Gate;
use self::explain::{OWN_CREDENTIALS, explain};
use self::skew::Skew;
use super::classify::Class;
use super::port::{
    Ask, Caller, CreateImage, Distribution, Ec2, Effect, FILTER_VALUES_MAX, Fault, Identity, ImageQuery, InstanceQuery,
    Keys, Page, Read, STATUS_IDS_MAX, SnapshotEnd,
};
use crate::clock::Clock;
pub use crate::cloud::api::Api;
use crate::defect::{Defect, planted};
use crate::domain::observed::{Image, Instance, InstanceStatus, Snapshot};
use crate::domain::place::Place;
use crate::domain::plan::Plan;

/// A read without an answer after this long is Transient.
/// Large accounts met more than 10 s a page (c7n#6873).
const READ_DEADLINE: Duration = Duration::from_secs(30);
/// An effect without an answer after this long is Unknown.
const EFFECT_DEADLINE: Duration = Duration::from_secs(60);
/// How often one read request is sent at most.
const READ_ATTEMPTS: u32 = 5;
/// How often one effect is sent at most, each but the last answered with a throttle.
const EFFECT_ATTEMPTS: u32 = 6;
/// The longest wait after a read's first attempt; it doubles with each.
const READ_BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait after an effect's first throttle; it doubles with each.
const EFFECT_BACKOFF: Duration = Duration::from_millis(1_250);
/// No wait between attempts is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(20);
/// Pages of one list: a million objects at 1,000 a page, twenty times the quota of images in a region.
const PAGES_MAX: usize = 1_000;
/// How often a status call that failed over an unknown id is asked again without it.
const STATUS_ROUNDS: usize = 3;

/// So much that cannot be read is said at the most, each once.
const ODD_MAX: usize = 1_000;

/// Credentials that are refused are read anew at most this often: whoever gives them may be a program, or STS.
const RENEW_APART: Duration = Duration::from_secs(10);

/// The code of a request that took too long.
const TIMEOUT: &str = "Timeout";
/// The code of an effect that was not sent after all.
const WITHHELD: &str = "Withheld";

/// All that a back end does.
pub trait Backend: Ec2 + Distribution + Keys + Identity {}

impl<T: Ec2 + Distribution + Keys + Identity + ?Sized> Backend for T {}

/// A back end held to its share of the API's rate.
pub struct Governed {
    inner: Rc<dyn Backend>,
    clock: Clock,
    share: f64,
    gates: RefCell<BTreeMap<(Place, Api), Rc<Gate>>>,
    skew: Skew,
    /// What was set aside, and said.
    odd: RefCell<BTreeSet<String>>,
    /// When the credentials were read anew last, and whether others came of it.
    renewed: tokio::sync::Mutex<Option<(tokio::time::Instant, bool)>>,
}

impl Governed {
    /// Holds each API of each place to `api_share` (0 to 1) of its documented rate.
    #[must_use]
    pub fn new(inner: Rc<dyn Backend>, clock: Clock, api_share: f64) -> Self {
        Self {
            inner,
            clock,
            share: api_share,
            gates: RefCell::default(),
            skew: Skew::default(),
            odd: RefCell::default(),
            renewed: tokio::sync::Mutex::default(),
        }
    }

    /// All instances that `query` finds, by id. No ids find nothing; no tags are refused, as they would find all.
    ///
    /// # Errors
    /// The first request that failed for good: never a part of the list.
    pub async fn instances(&self, place: &Place, query: &InstanceQuery) -> Read<Vec<Instance>> {
        let queries: Vec<InstanceQuery> = match query {
            InstanceQuery::Ids(ids) => batches(ids, FILTER_VALUES_MAX).map(InstanceQuery::Ids).collect(),
            InstanceQuery::LaunchedFrom(ids) => {
                batches(ids, FILTER_VALUES_MAX).map(InstanceQuery::LaunchedFrom).collect()
            }
            InstanceQuery::Tags(tags) => {
                if tags.is_empty() || tags.iter().any(|(_, values)| values.is_empty()) {
                    return Err(own_fault(
                        Class::Final,
                        "EmptyQuery",
                        format!("DescribeInstances in {place}: a query without tags or values would find any instance"),
                    ));
                }
                vec![query.clone()]
            }
        };
        if planted(Defect::InUseUnguarded) && matches!(query, InstanceQuery::LaunchedFrom(_)) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for query in &queries {
            let ask = async |page: Ask<'_>| self.inner.instances(place, query, page).await;
            found.append(&mut self.list(place, Api::DescribeInstances, ask).await?);
        }
        self.set_aside(place, found.iter().map(|i| (&i.id, &i.odd)))?;
        Ok(distinct(found, |instance| &instance.id))
    }

    /// The status checks of `ids`, by id. An instance that does not exist is left out.
    ///
    /// # Errors
    /// The first request that failed for good.
    pub async fn statuses(&self, place: &Place, ids: &[String]) -> Read<Vec<InstanceStatus>> {
        let mut found = Vec::new();
        for batch in batches(ids, STATUS_IDS_MAX) {
            found.append(&mut self.status_batch(place, batch).await?);
        }
        Ok(distinct(found, |status| &status.instance))
    }

    /// One unknown id fails the whole call, so it is found by filter and left out.
    async fn status_batch(&self, place: &Place, mut ids: Vec<String>) -> Read<Vec<InstanceStatus>> {
        for _ in 0..STATUS_ROUNDS {
            let ask = async || self.inner.instance_status(place, &ids).await;
            let fault = match self.read(place, Api::DescribeInstanceStatus, ask).await {
                Err(fault) if fault.code == "InvalidInstanceID.NotFound" => fault,
                Err(_) if planted(Defect::SilenceIsEmpty) => return Ok(Vec::new()),
                answer => return answer,
            };
            let exist = self.instances(place, &InstanceQuery::Ids(ids.clone())).await?;
            let exist: BTreeSet<String> = exist.into_iter().map(|instance| instance.id).collect();
            // The message names it, also where the filter still (or already) shows it.
            let keep = |id: &String| exist.contains(id) && !fault.message.contains(id.as_str());
            let before = ids.len();
            ids.retain(keep);
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            if ids.len() == before {
                return Err(fault);
            }
        }
        Err(own_fault(
            Class::NotFound,
            "InvalidInstanceID.NotFound",
            format!("DescribeInstanceStatus in {place}: other instances vanished in each of {STATUS_ROUNDS} calls"),
        ))
    }

    /// The ids of all volumes with Multi-Attach enabled.
    ///
    /// # Errors
    /// The first request that failed for good: never a part of the list.
    pub async fn multi_attach_volumes(&self, place: &Place) -> Read<BTreeSet<String>> {
        let ask = async |page: Ask<'_>| self.inner.multi_attach_volumes(place, page).await;
        Ok(self.list(place, Api::DescribeVolumes, ask).await?.into_iter().collect())
    }

    /// All images of our own that `query` finds, by id. No values find nothing.
    ///
    /// # Errors
    /// The first request that failed for good: never a part of the list.
    pub async fn images(&self, place: &Place, query: &ImageQuery) -> Read<Vec<Image>> {
        let queries: Vec<ImageQuery> = match query {
            ImageQuery::Ids(ids) => batches(ids, FILTER_VALUES_MAX).map(ImageQuery::Ids).collect(),
            ImageQuery::Names(names) => batches(names, FILTER_VALUES_MAX).map(ImageQuery::Names).collect(),
            ImageQuery::SourceInstances(ids) => {
                batches(ids, FILTER_VALUES_MAX).map(ImageQuery::SourceInstances).collect()
            }
            ImageQuery::Tag(..) => vec![query.clone()],
        };
        let mut found = Vec::new();
        for query in &queries {
            let ask = async |page: Ask<'_>| self.inner.images(place, query, page).await;
            found.append(&mut self.list(place, Api::DescribeImages, ask).await?);
        }
        self.set_aside(place, found.iter().map(|i| (&i.id, &i.odd)))?;
        Ok(distinct(found, |image| &image.id))
    }

    /// Those of the snapshots `ids` that exist, by id.
    ///
    /// # Errors
    /// The first request that failed for good: never a part of the list.
    pub async fn snapshots(&self, place: &Place, ids: &[String]) -> Read<Vec<Snapshot>> {
        let mut found = Vec::new();
        for batch in batches(ids, FILTER_VALUES_MAX) {
            let ask = async |page: Ask<'_>| self.inner.snapshots(place, &batch, page).await;
            found.append(&mut self.list(place, Api::DescribeSnapshots, ask).await?);
        }
        Ok(distinct(found, |snapshot| &snapshot.id))
    }

    /// All snapshots of our own that bear this tag.
    ///
    /// # Errors
    /// The first request that failed for good: never a part of the list.
    pub async fn snapshots_tagged(&self, place: &Place, key: &str, value: &str) -> Read<Vec<Snapshot>> {
        let ask = async |page: Ask<'_>| self.inner.snapshots_tagged(place, key, value, page).await;
        self.list(place, Api::DescribeSnapshots, ask).await
    }

    /// CreateImage: the new image's id.
    pub async fn create_image(&self, place: &Place, request: &CreateImage) -> Effect<String> {
        self.create_image_if(place, request, || Ok(())).await
    }

    /// The same; `may` is asked right before each attempt is sent, since its turn may come late.
    pub async fn create_image_if(
        &self,
        place: &Place,
        request: &CreateImage,
        may: impl Fn() -> Result<(), String>,
    ) -> Effect<String> {
        let act = async || match may() {
            Ok(()) => self.inner.create_image(place, request).await,
            Err(why) => Effect::Refused(own_fault(Class::NeverSent, WITHHELD, why)),
        };
        self.effect(place, Api::CreateImage, act).await
    }

    /// DeregisterImage: what became of each of its snapshots, as far as EC2 says.
    pub async fn deregister_image(&self, place: &Place, image: &str, whole: bool) -> Effect<Vec<SnapshotEnd>> {
        self.effect(place, Api::DeregisterImage, async || self.inner.deregister_image(place, image, whole).await).await
    }

    /// DeleteSnapshot.
    pub async fn delete_snapshot(&self, place: &Place, snapshot: &str) -> Effect<()> {
        self.effect(place, Api::DeleteSnapshot, async || self.inner.delete_snapshot(place, snapshot).await).await
    }

    /// Who we are.
    ///
    /// # Errors
    /// The request failed for good.
    pub async fn whoami(&self) -> Read<Caller> {
        // The account is what is asked for.
        let place = Place::new("", self.home_region().unwrap_or_default());
        self.read(&place, Api::GetCallerIdentity, async || self.inner.whoami().await).await
    }

    /// The back end's own region, where a plan names none.
    #[must_use]
    pub fn home_region(&self) -> Option<String> {
        self.inner.home_region()
    }

    /// The regions that a plan means: those that it names, else the back end's own; none where that is not known.
    #[must_use]
    pub fn regions(&self, plan: &Plan) -> Vec<String> {
        match plan.select.regions.as_slice() {
            [] => self.home_region().into_iter().collect(),
            named => named.to_vec(),
        }
    }

    /// By how much this machine's clock was ahead of AWS's at the newest answer, where that shows.
    #[must_use]
    pub fn clock_ahead(&self) -> Option<TimeDelta> {
        self.inner.clock_ahead()
    }

    /// Why nothing may be begun by this machine's clock, if it is too far from AWS's.
    #[must_use]
    pub fn clock_off(&self) -> Option<String> {
        self.skew.off().filter(|_| !planted(Defect::ClockTrusted))
    }

    /// Whether AWS has told what time it is.
    #[must_use]
    pub fn clock_seen(&self) -> bool {
        self.skew.seen()
    }

    /// Whether AWS has shown that this machine's clock is right, since this was asked last.
    #[must_use]
    pub fn clock_shown_right(&self) -> bool {
        self.skew.shown_right()
    }

    /// Says once what AWS told of one thing that this version cannot read. It is that thing alone which is left out.
    fn set_aside<'a>(&self, place: &Place, all: impl Iterator<Item = (&'a String, &'a Option<String>)>) -> Read<()> {
        for (id, odd) in all.filter_map(|(id, odd)| Some((id, odd.as_ref()?))) {
            if planted(Defect::OddIsFault) {
                return Err(own_fault(Class::Final, "UnknownValue", format!("{id}: {odd}")));
            }
            let mut said = self.odd.borrow_mut();
            if said.len() < ODD_MAX && said.insert(format!("{id} {odd}")) {
                tracing::warn!(
                    event = "cloud.odd", account = %place.account, region = %place.region,
                    instance = id.starts_with("i-").then_some(id.as_str()),
                    image = id.starts_with("ami-").then_some(id.as_str()),
                    reason = %odd, "{id} is set aside: {odd}"
                );
            }
        }
        Ok(())
    }

    /// Reads the credentials anew, from wherever they come: whether others are used from now on.
    ///
    /// # Errors
    /// They cannot be used; those from before are used on.
    pub async fn renew(&self) -> Read<bool> {
        let mut last = self.renewed.lock().await;
        let answer = self.inner.renew().await;
        *last = Some((self.clock.instant(), matches!(answer, Ok(true))));
        answer
    }

    /// Whether there are other credentials than those with which a request was sent at `sent`, now that they were
    /// refused. It took no effect: with others it may be sent again.
    async fn others(&self, sent: tokio::time::Instant, fault: &Fault) -> bool {
        // Where there were none, they are asked for anew anyway.
        if !matches!(fault.class, Class::Expired | Class::Credentials) || fault.code == OWN_CREDENTIALS {
            return false;
        }
        let mut last = self.renewed.lock().await;
        match *last {
            Some((at, others)) if at >= sent => return others,
            Some((at, _)) if self.clock.instant() - at < RENEW_APART => return false,
            _ => {}
        }
        // What was refused is what is told.
        let others = matches!(self.inner.renew().await, Ok(true));
        *last = Some((self.clock.instant(), others));
        others
    }

    /// All pages, or a fault. What takes too long is asked for in smaller pages, to the end of the list.
    async fn list<T>(&self, place: &Place, api: Api, ask: impl AsyncFn(Ask<'_>) -> Read<Page<T>>) -> Read<Vec<T>> {
        let mut items = Vec::new();
        let mut token: Option<String> = None;
        let halved = Cell::new(0);
        for _ in 0..PAGES_MAX {
            let token_now = token.as_deref();
            let turn = async || ask(Ask { token: token_now, halved: halved.get() }).await;
            let mut page = match self.read_again(place, api, turn, || halved.set(halved.get() + 1)).await {
                Err(_) if planted(Defect::SilenceIsEmpty) => return Ok(items),
                answer => answer?,
            };
            if items.is_empty() {
                items = page.items;
            } else {
                items.append(&mut page.items);
            }
            match page.next {
                Some(next) if !next.is_empty() => token = Some(next),
                _ => return Ok(items),
            }
        }
        let message = format!("{} in {place}: the list does not end after {PAGES_MAX} pages", api.as_str());
        Err(own_fault(Class::Final, "EndlessList", message))
    }

    /// One read request, asked again while the fault may pass.
    async fn read<T>(&self, place: &Place, api: Api, ask: impl AsyncFn() -> Read<T>) -> Read<T> {
        self.read_again(place, api, ask, || ()).await
    }

    /// The same; `slow` is told of each time-out, before it is asked again.
    async fn read_again<T>(&self, place: &Place, api: Api, ask: impl AsyncFn() -> Read<T>, slow: impl Fn()) -> Read<T> {
        let gate = self.gate(place, api);
        let (mut attempt, mut renewed) = (1, false);
        loop {
            gate.pass(self.clock).await;
            let sent = self.clock.instant();
            let answer = self.clock.timeout(READ_DEADLINE, ask()).await;
            self.skew.note(self.inner.clock_ahead());
            let fault = match answer.unwrap_or_else(|| Err(no_answer(place, api, READ_DEADLINE))) {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            if fault.class == Class::Throttled {
                gate.throttled(self.clock.now());
            }
            if !renewed && self.others(sent, &fault).await {
                renewed = true;
                continue;
            }
            let again = matches!(fault.class, Class::Throttled | Class::Transient | Class::NeverSent);
            if !again || attempt == READ_ATTEMPTS {
                return Err(explain(api, place, self.clock_off().as_deref(), fault));
            }
            if fault.code == TIMEOUT {
                slow();
            }
            self.clock.sleep(backoff(READ_BACKOFF, attempt)).await;
            attempt += 1;
        }
    }

    /// One effect, sent again only after a definite throttle, or with other credentials than those that were refused.
    async fn effect<T>(&self, place: &Place, api: Api, act: impl AsyncFn() -> Effect<T>) -> Effect<T> {
        let gate = self.gate(place, api);
        let (mut attempt, mut renewed) = (1, false);
        loop {
            gate.pass(self.clock).await;
            let sent = self.clock.instant();
            let end = self.clock.timeout(EFFECT_DEADLINE, act()).await;
            if planted(Defect::ClientRetries) && attempt < 3 && matches!(end, None | Some(Effect::Unknown(_))) {
                attempt += 1;
                continue;
            }
            let Some(end) = end else {
                return Effect::Unknown(no_answer(place, api, EFFECT_DEADLINE));
            };
            self.skew.note(self.inner.clock_ahead());
            let Effect::Refused(fault) = end else { return end };
            if fault.class != Class::Throttled {
                if !renewed && self.others(sent, &fault).await {
                    renewed = true;
                    continue;
                }
                return Effect::Refused(explain(api, place, self.clock_off().as_deref(), fault));
            }
            gate.throttled(self.clock.now());
            if attempt == EFFECT_ATTEMPTS {
                return Effect::Refused(fault);
            }
            self.clock.sleep(backoff(EFFECT_BACKOFF, attempt)).await;
            attempt += 1;
        }
    }

    fn gate(&self, place: &Place, api: Api) -> Rc<Gate> {
        let mut gates = self.gates.borrow_mut();
        let new = || Rc::new(Gate::new(api, self.share, self.clock.now()));
        Rc::clone(gates.entry((place.clone(), api)).or_insert_with(new))
    }
}

/// What was found, by id, each once: as it was seen last, where a list changed between its pages.
fn distinct<T>(mut found: Vec<T>, id: impl Fn(&T) -> &String) -> Vec<T> {
    found.sort_by(|a, b| id(a).cmp(id(b)));
    found.dedup_by(|later, earlier| {
        let same = id(later) == id(earlier);
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
    found
}

/// The distinct values of `all`, `size` at a time: no values make no batch, since an empty filter finds all.
fn batches(all: &[String], size: usize) -> impl Iterator<Item = Vec<String>> {
    let distinct: Vec<String> = all.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let count = distinct.len().div_ceil(size);
    (0..count).map(move |n| distinct[n * size..distinct.len().min((n + 1) * size)].to_vec())
}

/// The wait after `attempt` (from 1): exponential, bounded, the upper half of it random.
fn backoff(first: Duration, attempt: u32) -> Duration {
    let full = first.saturating_mul(1 << (attempt - 1).min(16)).min(BACKOFF_MAX);
    full.mul_f64(0.5 + 0.5 * fastrand::f64())
}

fn no_answer(place: &Place, api: Api, deadline: Duration) -> Fault {
    let message = format!("{} in {place}: no answer within {} s", api.as_str(), deadline.as_secs());
    own_fault(Class::Transient, TIMEOUT, message)
}

fn own_fault(class: Class, code: &str, message: String) -> Fault {
    Fault { class, code: code.to_owned(), message, request_id: None }
}
