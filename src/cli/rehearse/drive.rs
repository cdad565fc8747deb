//! Runs the engine on a simulated world in simulated time, and looks at the world at each midnight.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::mpsc;

use super::assumptions;
use super::calls::Busiest;
use super::fleet;
use super::gather::Gather;
use super::storage::Storage;
use crate::clock::Clock;
use crate::cloud::governed::Governed;
use crate::cloud::port::Role;
use crate::domain::evidence::Lags;
use crate::domain::machine::OwnMachine;
use crate::domain::plan::Plan;
use crate::engine::context::Context;
use crate::engine::lifecycle::daemon::{Engine, Mode};
use crate::journal::Journal;
use crate::journal::memory::MemoryJournal;
use crate::report::rehearsal::{Counted, FleetDocument, RehearsalDocument, Totals};
use crate::sim::{Fleet, SimCloud};

/// The rehearsed daemon starts this long before the first day, so that what is due at its first second runs.
const HEAD_START: TimeDelta = TimeDelta::minutes(1);
/// Details of runs are kept for so long: enough for what the engine compares with the run before of a weekly plan.
const HISTORY: TimeDelta = TimeDelta::days(8);
/// Any id will do: it works alone in its world.
const INSTALLATION: &str = "00000000-0000-4000-8000-000000000000";

/// What is rehearsed.
pub struct Rehearsal<'a> {
    /// The daemon's name.
    pub daemon: &'a str,
    /// `cloud.api_share`.
    pub api_share: f64,
    /// `cloud.status_lag` and its like.
    pub lags: Lags,
    /// Which machine the daemon runs on, where the settings say so: it is never rebooted.
    pub own: OwnMachine,
    /// The plans, checked.
    pub plans: &'a [Plan],
    /// The roles of `[accounts]`; the fleet has them.
    pub roles: &'a [Role],
    /// The fleet, its trouble and its seed.
    pub fleet: &'a Fleet,
    /// Where the fleet comes from, in words.
    pub source: String,
    /// More to be said about it.
    pub about_fleet: Vec<String>,
    /// The first midnight.
    pub begin: DateTime<Utc>,
    /// How many days.
    pub days: u32,
    /// The part of a volume that changes in a day.
    pub change: f64,
    /// USD for a GB-month.
    pub price: f64,
    /// none, typical or harsh.
    pub faults: &'static str,
}

impl Rehearsal<'_> {
    /// Rehearses; `progress` hears of each day that is over. Same rehearsal, same document.
    ///
    /// # Errors
    /// The fleet cannot be, or the engine ended by itself.
    pub fn run(&self, progress: impl FnMut(u32)) -> Result<RehearsalDocument, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|e| format!("no tokio runtime: {e}"))?;
        runtime.block_on(self.simulate(progress))
    }

    async fn simulate(&self, progress: impl FnMut(u32)) -> Result<RehearsalDocument, String> {
        fastrand::seed(self.fleet.seed);
        let clock = Clock::simulated(self.begin - HEAD_START);
        let mut world = self.fleet.world(clock.now())?;
        world.stay_lean();
        let fleet = FleetDocument {
            source: self.source.clone(),
            instances: world.instances.len(),
            volumes: world.volumes.len(),
            gib: world.volumes.values().map(|v| u64::from(v.size)).sum(),
            unselected: fleet::unselected(&world, self.plans),
        };
        let named = world.instances.values().filter_map(|i| Some((i.id.clone(), i.tags.get("Name")?.clone())));
        let names: BTreeMap<String, String> = named.collect();
        let cloud = SimCloud::new(world, clock).with_roles(self.roles.to_vec());
        let gather = Rc::new(RefCell::new(Gather::new(self.plans, self.begin, self.days as usize)));
        let journal: Rc<dyn Journal> = Rc::new(MemoryJournal::default());
        let hears = Rc::clone(&gather);
        let shared = Rc::new(Context::new(
            clock,
            Governed::new(Rc::new(cloud.clone()), clock, self.api_share),
            self.daemon.to_owned(),
            INSTALLATION.to_owned(),
            None,
            Rc::clone(&journal),
            self.own.clone(),
            Box::new(move |event| hears.borrow_mut().hear(event)),
        ));
        shared.lags.set(self.lags);
        shared.set_roles(self.roles.iter().map(|role| (role.account.clone(), role.arn.clone())));
        // It wakes up by itself whenever something is due.
        let (_ticks, mut none) = mpsc::channel(1);
        let engine = Engine::new(Rc::clone(&shared), self.plans.to_vec(), Mode::Daemon);
        let mut look = Look { clock, cloud: &cloud, gather: &gather, journal: &*journal, progress };
        let ended = tokio::select! {
            biased;
            ended = engine.run(&mut none, std::future::pending()) => match ended {
                Ok(()) => Err("the rehearsed daemon stopped by itself; this is a defect, please report it".to_owned()),
                Err(e) => Err(e.to_string()),
            },
            seen = look.each_midnight(self) => Ok(seen),
        };
        drop(shared.take_tasks()); // they hold what holds them
        let (storage, calls) = ended?;
        let gather = gather.borrow();
        Ok(self.document(fleet, &names, &gather, &storage, &calls, &cloud))
    }

    #[allow(clippy::cast_precision_loss)] // reboots of years fit
    fn document(
        &self,
        fleet: FleetDocument,
        names: &BTreeMap<String, String>,
        gather: &Gather,
        storage: &Storage,
        calls: &Busiest,
        cloud: &SimCloud,
    ) -> RehearsalDocument {
        let home = self.fleet.regions.first().map_or("", String::as_str);
        let plans = gather.plans(
            self.plans,
            |plan| fleet::regions(plan, home),
            |id| names.get(id).cloned(),
            |plan| storage.of_plan(plan),
        );
        let (down, daily_down) = gather.down();
        let reboots: u64 = plans.iter().map(|p| p.reboots.total).sum();
        let on = |n: usize| plans.iter().map(|p| u64::from(p.daily.reboots[n])).sum();
        let totals = Totals {
            runs: plans.iter().map(|p| p.occurrences.run).sum(),
            reboots,
            reboots_per_day: (reboots as f64 / f64::from(self.days.max(1)) * 100.0).round() / 100.0,
            reboots_most: super::gather::busiest(self.begin, (0..self.days as usize).map(on)),
            down,
            stored: storage.all(),
            deleted: plans.iter().flat_map(|p| &p.deleted).map(|d| d.count).sum(),
            calls: calls.total(),
        };
        let injected = cloud.world().trouble.injected.clone();
        let document = RehearsalDocument {
            daemon: self.daemon.to_owned(),
            from: self.begin.format("%Y-%m-%d").to_string(),
            days: self.days,
            seed: self.fleet.seed,
            faults: self.faults.to_owned(),
            fleet,
            warnings: Vec::new(),
            totals,
            plans,
            kept: storage.kept(),
            rebooted_by_several: gather.rebooted_by_several(),
            down: daily_down,
            calls: calls.documents(self.api_share),
            injected: injected.into_iter().map(|(reason, count)| Counted { reason, count }).collect(),
            price: self.price,
            assumptions: assumptions::all(self),
        };
        document.warned()
    }
}

/// What looks at the world while the engine works.
struct Look<'a, P> {
    clock: Clock,
    cloud: &'a SimCloud,
    gather: &'a RefCell<Gather>,
    journal: &'a dyn Journal,
    progress: P,
}

impl<P: FnMut(u32)> Look<'_, P> {
    /// Takes the samples of all days.
    async fn each_midnight(&mut self, rehearsal: &Rehearsal<'_>) -> (Storage, Busiest) {
        let mut storage = Storage::new(rehearsal.change, rehearsal.price);
        let mut calls = Busiest::default();
        for day in 1..=rehearsal.days {
            let midnight = rehearsal.begin + TimeDelta::days(day.into());
            self.clock.sleep_until(midnight).await;
            {
                let mut world = self.cloud.world();
                storage.sample(&world);
                calls.take(&mut world.calls);
            }
            if day < rehearsal.days {
                self.gather.borrow_mut().midnight(midnight);
            }
            // What cannot be forgotten now is forgotten tomorrow.
            let _ = self.journal.prune(midnight - HISTORY).await;
            (self.progress)(day);
        }
        (storage, calls)
    }
}
