//! Lists the instances of each plan once an hour, and after each run: what `status` tells of protection is as old as that.
//! It decides nothing; what a run takes is listed by the run.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cloud::port::InstanceQuery;
use crate::domain::census::{Census, Member, PlanCensus};
use crate::domain::event::gone;
use crate::domain::machine::OwnMachine;
use crate::domain::naming::parse_run_name;
use crate::domain::observed::{Instance, InstanceState};
use crate::domain::place::Place;
use crate::domain::plan::Plan;
use crate::domain::protection::Seen;
use crate::domain::select::{self, Choice, Skip};
use crate::engine::context::{Context, Stop};
use crate::engine::rollout::choose;

/// How old a listing may be.
const EVERY: Duration = Duration::from_secs(3600);

/// Takes each new census.
type Keep = Box<dyn Fn(&Census)>;

#[derive(Default)]
struct Keeping {
    keep: RefCell<Option<Keep>>,
    known: RefCell<Census>,
    /// When each plan was listed last by this process.
    listed: RefCell<BTreeMap<String, Instant>>,
    /// Whether a listing is under way.
    busy: Cell<bool>,
}

impl Context {
    /// From now on the fleet is listed now and then, and `keep` takes what was seen; `known`: what was seen before.
    pub fn keeps_census(&self, known: Census, keep: impl Fn(&Census) + 'static) {
        let keeping = self.of::<Keeping>();
        *keeping.known.borrow_mut() = known;
        *keeping.keep.borrow_mut() = Some(Box::new(keep));
    }

    /// A run of the plan has ended: it is listed anew.
    pub(crate) fn count_again(&self, plan: &str) {
        self.of::<Keeping>().listed.borrow_mut().remove(plan);
    }

    /// Lists what is due, beside everything else.
    pub(crate) fn keep_counting(self: &Rc<Self>) {
        let keeping = self.of::<Keeping>();
        if keeping.keep.borrow().is_none() || keeping.busy.get() {
            return;
        }
        let now = self.clock.instant();
        let due: Vec<Rc<Plan>> = {
            let listed = keeping.listed.borrow();
            let old = |plan: &Rc<Plan>| listed.get(&plan.name).is_none_or(|at| now - *at >= EVERY);
            self.plans.borrow().values().filter(|plan| old(plan)).cloned().collect()
        };
        if due.is_empty() {
            return;
        }
        keeping.busy.set(true);
        let shared = Rc::clone(self);
        self.spawn(async move {
            for plan in due {
                // Also one that fails: it is tried again in an hour.
                shared.of::<Keeping>().listed.borrow_mut().insert(plan.name.clone(), shared.clock.instant());
                if count(&shared, &plan).await.is_err() {
                    break;
                }
            }
            shared.of::<Keeping>().busy.set(false);
        });
    }
}

/// Lists one plan, and keeps what was seen.
async fn count(shared: &Rc<Context>, plan: &Plan) -> Result<(), Stop> {
    let before = shared.of::<Keeping>().known.borrow().plans.get(&plan.name).cloned();
    let mut census = PlanCensus { at: shared.clock.now(), faults: Vec::new(), members: Vec::new() };
    let mut had: BTreeMap<Place, BTreeSet<String>> = BTreeMap::new();
    for member in before.iter().flat_map(|before| &before.members) {
        had.entry(Place::new(&*member.account, &*member.region)).or_default().insert(member.instance.clone());
    }
    if before.is_none() {
        imaged(shared, plan, &mut had).await;
    }
    let caller = shared.unless_drained(shared.ask_caller()).await?.map_err(|fault| fault.to_string());
    let caller = caller.and_then(|caller| shared.another_account().map_or(Ok(caller), Err));
    match caller {
        // The listing before still stands, as old as it is.
        Err(why) => {
            census.faults.push(format!("which account this is: {why}"));
            if let Some(before) = &before {
                (census.at, census.members) = (before.at, before.members.clone());
            }
        }
        Ok(caller) => {
            let mut found = BTreeSet::new();
            let regions = shared.cloud.regions(plan);
            for region in &regions {
                let place = Place::new(caller.account.clone(), region.as_str());
                let had = had.remove(&place).unwrap_or_default();
                match shared.unless_drained(members(shared, plan, &place, had, before.as_ref())).await? {
                    Ok(members) => {
                        found.extend(members.iter().map(|member| member.instance.clone()));
                        census.members.extend(members);
                    }
                    Err(fault) => {
                        census.faults.push(format!("the instances of {place}: {fault}"));
                        let here = |m: &&Member| m.account == place.account && m.region == place.region;
                        census.members.extend(before.iter().flat_map(|b| &b.members).filter(here).cloned());
                    }
                }
            }
            if let (true, Some(region)) = (census.faults.is_empty(), regions.first()) {
                let place = Place::new(caller.account, region.as_str());
                let lost = select::missing(plan, &found);
                let why = Skip::NotFound.to_string();
                let lost = lost.iter().map(|id| member(before.as_ref(), &place, id, None, Seen::Gone, &why, census.at));
                census.members.extend(lost.collect::<Vec<_>>());
            }
        }
    }
    let keeping = shared.of::<Keeping>();
    let mut known = keeping.known.borrow_mut();
    known.plans.insert(plan.name.clone(), census);
    known.plans.retain(|name, _| shared.plans.borrow().contains_key(name));
    if let Some(keep) = &*keeping.keep.borrow() {
        keep(&known);
    }
    Ok(())
}

/// Adds the instances that the plan has images of, as the journal knows.
async fn imaged(shared: &Context, plan: &Plan, had: &mut BTreeMap<Place, BTreeSet<String>>) {
    for good in shared.journal.reader().newest_good().await.unwrap_or_default() {
        let of = good.draft.scope.run().and_then(parse_run_name).is_some_and(|(name, _)| name == plan.name);
        if let (true, Some(subject)) = (of, good.draft.subject) {
            had.entry(subject.place).or_default().insert(subject.id);
        }
    }
}

/// The instances of a place that the plan names, and what became of those that it had.
async fn members(
    shared: &Context,
    plan: &Plan,
    place: &Place,
    mut had: BTreeSet<String>,
    before: Option<&PlanCensus>,
) -> crate::cloud::port::Read<Vec<Member>> {
    let now = shared.clock.now();
    let found = choose::find(&shared.cloud, plan, place).await?;
    // What holds back for now is no choice of the plan's.
    let own = match &*shared.own_machine.borrow() {
        OwnMachine::Unknown(_) => OwnMachine::NotEc2,
        known => known.clone(),
    };
    let mut members = Vec::new();
    for (id, choice) in choose::judge(plan, &[], &found, &own, &BTreeMap::new()) {
        had.remove(&id);
        let (seen, why) = match &choice {
            Choice::Target { .. } => (Seen::Taken, String::new()),
            Choice::Skip { reason: Skip::WrongState(state) } if gone(*state) => (Seen::Gone, state.as_str().to_owned()),
            // For a moment, or for a reason that nobody chose.
            Choice::Skip { reason: Skip::WrongState(_) | Skip::NotUnderstood(_) } => (Seen::Taken, String::new()),
            Choice::Skip { reason } => (Seen::LeftOut, reason.to_string()),
        };
        members.push(member(before, place, &id, name(found.instances.get(&id)), seen, &why, now));
    }
    if had.is_empty() {
        return Ok(members);
    }
    let ids: Vec<String> = had.iter().cloned().collect();
    let there = shared.cloud.instances(place, &InstanceQuery::Ids(ids)).await?;
    for id in had {
        let instance = there.iter().find(|instance| instance.id == id);
        let (seen, why) = match instance.map(|instance| instance.state) {
            None => (Seen::Gone, "it is not there any more".to_owned()),
            Some(state) if gone(state) => (Seen::Gone, InstanceState::as_str(state).to_owned()),
            Some(_) => (Seen::Dropped, "neither its tags nor its id match select any more".to_owned()),
        };
        members.push(member(before, place, &id, name(instance), seen, &why, now));
    }
    Ok(members)
}

fn name(instance: Option<&Instance>) -> Option<String> {
    instance.and_then(|instance| instance.tags.get("Name")).cloned()
}

/// A member; seen so since before, if it was.
fn member(
    before: Option<&PlanCensus>,
    place: &Place,
    id: &str,
    name: Option<String>,
    seen: Seen,
    reason: &str,
    now: chrono::DateTime<chrono::Utc>,
) -> Member {
    let known = before.and_then(|before| before.member(&place.account, &place.region, id));
    let since = known.filter(|known| known.seen == seen).map_or(now, |known| known.since);
    Member {
        account: place.account.clone(),
        region: place.region.clone(),
        instance: id.to_owned(),
        name: name.or_else(|| known.and_then(|known| known.name.clone())),
        seen,
        reason: reason.to_owned(),
        since,
    }
}
