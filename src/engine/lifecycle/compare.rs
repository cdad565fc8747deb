//! At a start: whether the journal is as new as what AWS shows of us. A restored disk, or a machine that was set back, brings
//! an old one, by which an occurrence would be run twice and nobody would count as down.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::cloud::port::{Caller, ImageQuery};
use crate::defect::{Defect, planted};
use crate::domain::naming::{self, Ownership, Role, TAG_PREFIX};
use crate::domain::place::Place;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::{Context, Stop};
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
    let compare = Compare { shared: Rc::clone(shared), listed: BTreeSet::new() };
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
    listed: BTreeSet<Place>,
}

impl Compare {
    /// Whether AWS shows an image that the journal should know and does not. A place that does not answer holds no other.
    async fn finds_older(mut self) -> Result<bool, Stop> {
        let Some(caller) = self.caller().await? else {
            self.over();
            return Ok(false);
        };
        let places: BTreeSet<Place> = self.places(&caller).into_values().flatten().collect();
        let shared = Rc::clone(&self.shared);
        let mut looks: FuturesUnordered<_> = places.into_iter().map(|place| unknown(&shared, place)).collect();
        self.release(&caller);
        while let Some(answer) = looks.next().await {
            let (place, image) = answer?;
            if let Some(image) = image {
                tracing::warn!(
                    event = "journal.older", account = %place.account, region = %place.region, image = %image,
                    "the journal does not know of an image that it should have ordered"
                );
                return Ok(true); // each plan waits on, until it is completed
            }
            self.listed.insert(place);
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

    /// The plans all of whose places are listed wait no longer.
    fn release(&self, caller: &Caller) {
        let places = self.places(caller);
        let waits = |plan: &String| places.get(plan).is_some_and(|places| !places.is_subset(&self.listed));
        self.shared.unproven.borrow_mut().comparing.retain(|plan, _| waits(plan));
        self.shared.slots_changed.notify_waiters();
    }

    /// Who we are; nothing where that is denied: then no run can begin anything either, and says so.
    async fn caller(&self) -> Result<Option<Caller>, Stop> {
        let mut wait = FIRST;
        loop {
            if let Some(caller) = self.shared.caller.borrow().clone() {
                return Ok(Some(caller));
            }
            match self.shared.unless_drained(self.shared.ask_caller()).await? {
                Ok(caller) => return Ok(Some(caller)),
                Err(fault) if fault.class.passes() => {}
                Err(_) => return Ok(None),
            }
            self.shared.pause(wait).await?;
            wait = longer(wait);
        }
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
}

/// An image of ours in this place, made by an occurrence of which the journal knows nothing, once they can be listed.
async fn unknown(sh: &Context, place: Place) -> Result<(Place, Option<String>), Stop> {
    let query = ImageQuery::Tag(format!("{TAG_PREFIX}daemon"), sh.daemon.clone());
    let mut wait = FIRST;
    let images = loop {
        match sh.unless_drained(sh.cloud.images(&place, &query)).await? {
            Ok(images) => break images,
            Err(fault) if fault.class.passes() => {}
            // Who may not list them cannot look before a call either: its own line says so.
            Err(_) => return Ok((place, None)),
        }
        sh.pause(wait).await?;
        wait = longer(wait);
    };
    let mut known = BTreeSet::new();
    for image in images {
        let Ownership::Ours(marks) = naming::ownership(&image, &sh.daemon, &place.account) else { continue };
        let in_force = sh.plans.borrow().contains_key(&marks.plan);
        if !in_force || marks.role != Role::Image || marks.installation != sh.installation {
            continue;
        }
        if known.insert((marks.plan.clone(), marks.due))
            && sh.journal.reader().occurrence(&marks.plan, marks.due).await.is_ok_and(|row| row.is_none())
        {
            return Ok((place, Some(image.id)));
        }
    }
    Ok((place, None))
}
