//! The batched pollers: one call asks for all images, or all status checks, of a place that are due to be asked.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cloud::port::{Fault, ImageQuery, Read};
use crate::defect::{Defect, planted};
use crate::domain::observed::{Image, InstanceStatus};
use crate::domain::place::Place;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::{Context, Stop};
use crate::engine::drive::reachability::Reach;

/// Gone = absent in this many reads ...
pub(crate) const ABSENT_READS: u32 = 3;
/// ... over this long.
pub(crate) const ABSENT_OVER: Duration = Duration::from_secs(600);

/// The code of an answer that is none of AWS's, or that the SDK cannot read.
const UNREADABLE: &str = "Answer";

/// What a look found.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen<T> {
    /// It is there, as a read saw it that began at this point of tokio's time.
    There(T, Instant),
    /// It was absent in enough reads over enough time.
    Gone,
    /// AWS answers, but what it tells of this one thing cannot be read: why.
    Unreadable(String),
}

/// What the newest look found, until it is taken: whoever watches needs only that, and ten thousand may.
struct Latest<T> {
    seen: RefCell<Option<Seen<T>>>,
    rung: Notify,
    reach: RefCell<Reach>,
    lost: Notify,
    /// The answer to the newest look: whether it was there.
    answer: RefCell<Option<Read<bool>>>,
    answered: Notify,
    /// A look is wanted by then, whatever the interval.
    wanted: Cell<Option<Instant>>,
    poller: Rc<Notify>,
}

/// Somebody's watch over one thing, for as long as this value lives.
pub struct Watch<T>(Rc<Latest<T>>);

impl<T> Watch<T> {
    /// Waits for the next look, unless there was one since.
    pub async fn recv(&self) -> Seen<T> {
        loop {
            if let Some(seen) = self.0.seen.take() {
                return seen;
            }
            self.0.rung.notified().await;
        }
    }

    /// Waits for the answer to the next look: what it shows, if it is there.
    ///
    /// # Errors
    /// The look's.
    pub async fn look(&self) -> Read<Option<T>> {
        loop {
            let answer = self.0.answer.take();
            match answer {
                None => self.0.answered.notified().await,
                Some(Err(fault)) => return Err(fault),
                Some(Ok(_)) => {
                    return Ok(self.0.seen.take().and_then(|seen| match seen {
                        Seen::There(thing, _) => Some(thing),
                        Seen::Gone | Seen::Unreadable(_) => None,
                    }));
                }
            }
        }
    }

    /// Wants a look at `at`, if there is such an instant, should none be due then.
    pub fn look_at(&self, at: Option<Instant>) {
        self.0.wanted.set(at);
        if at.is_some() {
            self.0.poller.notify_one();
        }
    }

    /// Waits until looks have been refused for too long; what was said.
    pub(crate) async fn lost(&self) -> String {
        loop {
            if let Some(why) = self.0.reach.borrow().lost() {
                return why.to_owned();
            }
            self.0.lost.notified().await;
        }
    }
}

impl<T> Latest<T> {
    fn tell(&self, seen: Seen<T>) {
        self.seen.replace(Some(seen));
        self.rung.notify_one();
    }

    fn answer(&self, answer: Result<bool, &Fault>) {
        self.answer.replace(Some(answer.map_err(Clone::clone)));
        self.answered.notify_one();
    }

    fn failed(&self, now: Instant, fault: &Fault) {
        let mut reach = self.reach.borrow_mut();
        reach.failed(now, fault);
        if reach.lost().is_some() {
            self.lost.notify_one();
        }
    }
}

struct Entry<T> {
    latest: Rc<Latest<T>>,
    /// How long after its beginning it was first due.
    first: Duration,
    due: Instant,
    wait: Duration,
    absent: Option<(Instant, u32)>,
}

impl<T> Entry<T> {
    /// When it is looked at next.
    fn next(&self) -> Instant {
        self.latest.wanted.get().map_or(self.due, |wanted| wanted.min(self.due))
    }
}

/// What is watched of one kind in one place.
struct Watched<T> {
    entries: RefCell<BTreeMap<String, Vec<Entry<T>>>>,
    added: Rc<Notify>,
}

impl<T: Clone> Watched<T> {
    fn watch(&self, id: &str, now: Instant, first: Duration) -> Watch<T> {
        let latest = Rc::new(Latest {
            seen: RefCell::default(),
            rung: Notify::new(),
            reach: RefCell::default(),
            lost: Notify::new(),
            answer: RefCell::default(),
            answered: Notify::new(),
            wanted: Cell::default(),
            poller: Rc::clone(&self.added),
        });
        let entry = Entry { latest: Rc::clone(&latest), first, due: now + first, wait: FIRST, absent: None };
        self.entries.borrow_mut().entry(id.to_owned()).or_default().push(entry);
        self.added.notify_one();
        Watch(latest)
    }

    /// All watches over it begin anew.
    fn anew(&self, id: &str, now: Instant) {
        for entry in self.entries.borrow_mut().get_mut(id).into_iter().flatten() {
            entry.due = now + entry.first;
            entry.wait = FIRST;
        }
        self.added.notify_one();
    }

    /// Forgets what nobody waits for any more; the next instant at which something is due.
    fn next_due(&self) -> Option<Instant> {
        let mut entries = self.entries.borrow_mut();
        entries.retain(|_, list| {
            list.retain(|e| Rc::strong_count(&e.latest) > 1);
            !list.is_empty()
        });
        entries.values().flatten().map(Entry::next).min()
    }

    /// All ids due now or soon enough to share the call.
    fn batch(&self, now: Instant) -> Vec<String> {
        let entries = self.entries.borrow();
        let soon = |e: &Entry<T>| e.due <= now + e.wait / 2 || e.next() <= now;
        entries.iter().filter(|(_, list)| list.iter().any(soon)).map(|(id, _)| id.clone()).collect()
    }

    /// What AWS tells of this one thing cannot be read, and of others it can.
    fn unreadable(&self, id: &str, why: &str) {
        for entry in self.entries.borrow().get(id).into_iter().flatten() {
            entry.latest.tell(Seen::Unreadable(why.to_owned()));
        }
    }

    fn deliver(&self, now: Instant, asked_at: Instant, asked: &[String], found: Result<&BTreeMap<String, T>, &Fault>) {
        let mut entries = self.entries.borrow_mut();
        for id in asked {
            for entry in entries.get_mut(id).into_iter().flatten() {
                entry.due = now + entry.wait;
                entry.wait = longer(entry.wait);
                if entry.latest.wanted.get().is_some_and(|at| at <= asked_at) {
                    entry.latest.wanted.set(None);
                }
                entry.latest.answer(found.map(|found| found.contains_key(id)));
                let found = match found {
                    // Nothing is known.
                    Err(fault) => {
                        entry.latest.failed(now, fault);
                        continue;
                    }
                    Ok(found) => found.get(id),
                };
                entry.latest.reach.borrow_mut().answered();
                match found {
                    Some(thing) => {
                        entry.absent = None;
                        entry.latest.tell(Seen::There(thing.clone(), asked_at));
                    }
                    None => {
                        let (since, reads) = entry.absent.unwrap_or((now, 0));
                        entry.absent = Some((since, reads + 1));
                        let long = reads + 1 >= ABSENT_READS && now - since >= ABSENT_OVER;
                        if long || planted(Defect::GoneAtOnce) {
                            entry.latest.tell(Seen::Gone);
                        }
                    }
                }
            }
        }
    }
}

/// All pollers of an engine. Each place's pollers begin with the first thing to watch in it.
#[derive(Default)]
pub struct Observer {
    images: RefCell<BTreeMap<Place, Rc<Watched<Image>>>>,
    statuses: RefCell<BTreeMap<Place, Rc<Watched<InstanceStatus>>>>,
}

impl Observer {
    /// Watches an image from now on.
    pub fn image(&self, shared: &Rc<Context>, place: &Place, id: &str) -> Watch<Image> {
        let watched = watched(
            &self.images,
            place,
            |w| {
                let place = place.clone();
                let asked = ("DescribeImages", "ami-00000000000000000");
                poll(Rc::downgrade(shared), w, asked, place.clone(), move |sh, ids| {
                    let place = place.clone();
                    async move {
                        let list = sh.cloud.images(&place, &ImageQuery::Ids(ids)).await?;
                        Ok(list.into_iter().map(|i| (i.id.clone(), i)).collect())
                    }
                })
            },
            shared,
        );
        watched.watch(id, shared.clock.instant(), FIRST)
    }

    /// Watches the status checks of an instance, from `after` on.
    pub fn status(&self, shared: &Rc<Context>, place: &Place, id: &str, after: Duration) -> Watch<InstanceStatus> {
        let watched = watched(
            &self.statuses,
            place,
            |w| {
                let place = place.clone();
                let asked = ("DescribeInstanceStatus", "i-00000000000000000");
                poll(Rc::downgrade(shared), w, asked, place.clone(), move |sh, ids| {
                    let place = place.clone();
                    async move {
                        let list = sh.cloud.statuses(&place, &ids).await?;
                        Ok(list.into_iter().map(|s| (s.instance.clone(), s)).collect())
                    }
                })
            },
            shared,
        );
        watched.watch(id, shared.clock.instant(), after)
    }

    /// What was waited for to begin has begun just now: the status checks of an instance are looked at as at first,
    /// however rarely they were looked at meanwhile.
    pub fn status_anew(&self, shared: &Context, place: &Place, id: &str) {
        if let Some(watched) = self.statuses.borrow().get(place) {
            watched.anew(id, shared.clock.instant());
        }
    }
}

fn watched<T: Clone + 'static, F: Future<Output = ()> + 'static>(
    all: &RefCell<BTreeMap<Place, Rc<Watched<T>>>>,
    place: &Place,
    poller: impl FnOnce(Rc<Watched<T>>) -> F,
    shared: &Rc<Context>,
) -> Rc<Watched<T>> {
    if let Some(there) = all.borrow().get(place) {
        return Rc::clone(there);
    }
    let new = Rc::new(Watched { entries: RefCell::default(), added: Rc::default() });
    all.borrow_mut().insert(place.clone(), Rc::clone(&new));
    shared.spawn(poller(Rc::clone(&new)));
    new
}

/// Asks for each of `ids` alone, since AWS's answer for all of them cannot be read. If that holds for some of them, and not
/// for others or for `nobody`, which does not exist, it is these some that are unreadable.
async fn apart<T: Clone, F: Future<Output = Read<BTreeMap<String, T>>>>(
    sh: &Rc<Context>,
    watched: &Watched<T>,
    nobody: &str,
    ids: &[String],
    fetch: &impl Fn(Rc<Context>, Vec<String>) -> F,
) -> Result<(), Stop> {
    let (mut strange, mut answered) = (Vec::new(), false);
    for id in ids {
        let asked_at = sh.clock.instant();
        let answer = sh.unless_drained(fetch(Rc::clone(sh), vec![id.clone()])).await?;
        match &answer {
            Err(fault) if fault.code == UNREADABLE => strange.push((id, fault.to_string())),
            _ => answered |= answer.is_ok(),
        }
        watched.deliver(sh.clock.instant(), asked_at, std::slice::from_ref(id), answer.as_ref());
    }
    if !strange.is_empty() && !answered {
        answered = sh.unless_drained(fetch(Rc::clone(sh), vec![nobody.to_owned()])).await?.is_ok();
    }
    for (id, why) in strange.iter().filter(|_| answered) {
        watched.unreadable(id, why);
    }
    Ok(())
}

/// Polls until the engine drains.
async fn poll<T: Clone, F: Future<Output = Read<BTreeMap<String, T>>>>(
    shared: Weak<Context>,
    watched: Rc<Watched<T>>,
    (api, nobody): (&'static str, &'static str),
    place: Place,
    fetch: impl Fn(Rc<Context>, Vec<String>) -> F,
) {
    let mut failing = false;
    while let Some(sh) = shared.upgrade() {
        let wait = async {
            match watched.next_due() {
                None => watched.added.notified().await,
                Some(due) => {
                    let left = due.saturating_duration_since(sh.clock.instant());
                    tokio::select! {
                        biased;
                        () = watched.added.notified() => {}
                        () = sh.clock.sleep(left) => {}
                    }
                }
            }
        };
        if sh.unless_drained(wait).await.is_err() {
            return;
        }
        let now = sh.clock.instant();
        if watched.next_due().is_none_or(|due| due > now) {
            continue;
        }
        let ids = watched.batch(now);
        let Ok(answer) = sh.unless_drained(fetch(Rc::clone(&sh), ids.clone())).await else { return };
        match &answer {
            Ok(_) if failing => {
                failing = false;
                tracing::info!(event = "cloud.recovered", account = %place.account, region = %place.region, "{api} answers again");
            }
            Err(fault) if !failing => {
                failing = true;
                tracing::warn!(
                    event = "cloud.failing", account = %place.account, region = %place.region,
                    reason = %fault, aws_request_id = fault.request_id.as_deref(),
                    "{api} fails; {} things are waited for there", ids.len()
                );
            }
            _ => {}
        }
        watched.deliver(sh.clock.instant(), now, &ids, answer.as_ref());
        if answer.is_err_and(|fault| fault.code == UNREADABLE)
            && apart(&sh, &watched, nobody, &ids, &fetch).await.is_err()
        {
            return;
        }
    }
}
