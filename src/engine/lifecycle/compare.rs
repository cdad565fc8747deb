//! At a start: whether the journal is as new as what AWS shows of us. A restored disk, or a machine that was set back, brings
//! an old one, by which an occurrence would be run twice and nobody would count as down.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::cloud::port::{Caller, ImageQuery};
use crate::defect::{Defect, planted};
use crate::domain::naming::{self, Ownership, Role, TAG_PREFIX};
use crate::domain::place::Place;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::rebuild_hold::DECIDES_AFTER;
use crate::engine::context::{Context, Stop, Unproven};
use crate::engine::lifecycle::plans::Scheduled;
use crate::engine::lifecycle::rebuild::Rebuild;

/// Begins to compare. Each plan waits until all of its places are listed; where the journal is older, it is completed first.
pub(crate) fn begin(shared: &Rc<Context>, scheduled: &BTreeMap<String, Scheduled>, attempt: u32) {
    // A lost journal would be found out here, too.
    if planted(Defect::JournalUncompared) || planted(Defect::RebuildSkipped) {
        return;
    }
    let now = shared.clock.instant();
    shared.unproven.borrow_mut().comparing = scheduled.keys().map(|plan| (plan.clone(), now)).collect();
    let rebuild = Rebuild::of_older(shared, scheduled);
    let compare = Compare { shared: Rc::clone(shared), listed: RefCell::default() };
    shared.spawn(async move {
        // Cut off by draining, it begins anew at the next start.
        if compare.finds_older().await.is_ok_and(|older| older) {
            rebuild.begin(attempt);
        }
    });
}

struct Compare {
    shared: Rc<Context>,
    /// The places whose images are all known to the journal.
    listed: RefCell<BTreeSet<Place>>,
}

impl Compare {
    /// Whether AWS shows an image that the journal should know and does not. A place that does not answer holds no other.
    async fn finds_older(self) -> Result<bool, Stop> {
        let caller = self.shared.our_caller().await?;
        let places: BTreeSet<Place> = self.places(&caller).into_values().flatten().collect();
        let mut looks: FuturesUnordered<_> = places.into_iter().map(|place| self.unknown(&caller, place)).collect();
        self.release(&caller);
        while let Some(answer) = looks.next().await {
            let (place, image) = answer?;
            if let Some(image) = image {
                tracing::warn!(
                    event = "journal.older", account = %place.account, region = %place.region, image = %image,
                    "the journal does not know of an image that it should have ordered"
                );
                self.shared.unproven.borrow_mut().denied.clear();
                return Ok(true); // each plan waits, until it is completed
            }
            self.shared.unproven.borrow_mut().denied.remove(&place);
            self.listed.borrow_mut().insert(place);
            self.release(&caller);
        }
        // What a reload has added meanwhile owes nothing to the past.
        self.over();
        Ok(false)
    }

    fn over(&self) {
        self.shared.unproven.borrow_mut().comparing.clear();
        self.shared.slots_changed.notify_waiters();
    }

    /// The plans wait no longer all of whose places are listed, or may not be.
    fn release(&self, caller: &Caller) {
        let places = self.places(caller);
        let (listed, mut unproven) = (self.listed.borrow(), self.shared.unproven.borrow_mut());
        let Unproven { comparing, denied, .. } = &mut *unproven;
        let open = |place: &Place| !listed.contains(place) && !denied.contains_key(place);
        comparing.retain(|plan, _| places.get(plan).is_some_and(|places| places.iter().any(open)));
        self.shared.slots_changed.notify_waiters();
    }

    /// The places of each plan in force that is still waited for.
    fn places(&self, caller: &Caller) -> BTreeMap<String, BTreeSet<Place>> {
        let (plans, unproven) = (self.shared.plans.borrow(), self.shared.unproven.borrow());
        let of = |name: &String| {
            let regions = self.shared.cloud.regions(plans.get(name)?).into_iter();
            Some((name.clone(), regions.map(|region| Place::new(caller.account.clone(), region)).collect()))
        };
        unproven.comparing.keys().filter_map(of).collect()
    }

    /// An image of ours in this place, made by an occurrence of which the journal knows nothing, once they can be listed.
    async fn unknown(&self, caller: &Caller, place: Place) -> Result<(Place, Option<String>), Stop> {
        let sh = &*self.shared;
        let query = ImageQuery::Tag(format!("{TAG_PREFIX}daemon"), sh.daemon.clone());
        let (since, mut wait) = (sh.clock.instant(), FIRST);
        let images = loop {
            match sh.unless_drained(sh.cloud.images(&place, &query)).await? {
                Ok(images) => break images,
                // It may be allowed later, and counts then; other places do not wait for that.
                Err(fault) if !fault.class.passes() && sh.clock.instant() - since >= DECIDES_AFTER => {
                    let why = format!("cannot list our images in {place}: {fault}");
                    sh.unproven.borrow_mut().denied.insert(place.clone(), why);
                    self.release(caller);
                }
                Err(_) => {}
            }
            sh.pause(wait).await?;
            wait = longer(wait);
        };
        let mut known = BTreeSet::new();
        let mut found = None;
        for image in images {
            let Ownership::Ours(marks) = naming::ownership(&image, &sh.daemon, &place.account) else { continue };
            let in_force = sh.plans.borrow().contains_key(&marks.plan);
            if !in_force || marks.role != Role::Image || marks.installation != sh.installation {
                continue;
            }
            if !known.insert((marks.plan.clone(), marks.due)) {
                continue;
            }
            let row = sh.known(async || sh.journal.reader().occurrence(&marks.plan, marks.due).await).await?;
            if row.is_none() {
                found = Some(image.id);
                break;
            }
        }
        // Where one was found, all wait for the rebuild, which lists anew.
        Ok((place, found))
    }
}
