//! Moments that random lives meet seldom or never, each made on purpose.

mod down;
mod lent;
mod rebuilt;

use std::pin::Pin;

use chrono::TimeDelta;
use serde_json::json;
use stillframe::domain::plan::{OnUnhealthy, Plan};
use stillframe::sim::World;

use crate::simulation::copies::{rig_of, rig_with};
use crate::simulation::journal::{Cut, Death};
use crate::simulation::rig::{Rig, fleet, fleet_with, id, mins, plan, secs};

/// A directory's words, how it came about, and what is left.
pub type Made = (&'static str, &'static str, Rig);

/// How it is made, in a simulated time of its own.
pub type Maker = fn() -> Pin<Box<dyn Future<Output = Made>>>;

/// All of them.
pub fn all() -> Vec<Maker> {
    let mut all: Vec<Maker> = vec![
        || Box::pin(slot_open_beyond_its_run()),
        || Box::pin(overdue_then_freed()),
        || Box::pin(snapshots_half_deleted()),
        || Box::pin(request_answered_and_not_told()),
        || Box::pin(run_under_a_removed_plan()),
        || Box::pin(pruned_run()),
    ];
    all.extend(lent::all());
    all.extend(rebuilt::all());
    all.extend(down::all());
    all
}

/// The write whose words hold all of these is stored, and the life ends.
fn after(words: &'static [&'static str]) -> Cut {
    nth(1, words, Death::After)
}

/// The same, but it is not stored.
fn before(words: &'static [&'static str]) -> Cut {
    nth(1, words, Death::Before)
}

/// Of several such writes the `nth`, from 1.
fn nth(nth: u32, words: &'static [&'static str], death: fn(u32) -> Death) -> Cut {
    let met = std::cell::Cell::new(0);
    Box::new(move |number, text| {
        met.set(met.get() + u32::from(words.iter().all(|word| text.contains(word))));
        (met.get() == nth).then(|| death(number))
    })
}

/// Lives until it is cut off.
async fn live(rig: &mut Rig, cut: Cut) {
    rig.journal.cuts(cut);
    for _ in 0..24 * 60 {
        if !rig.run(mins(1)).await {
            assert!(rig.journal.is_cut(), "it died of something else\n{}", rig.story());
            return;
        }
    }
    panic!("it was never cut off\n{}", rig.story());
}

/// What each journal of these remembers, so that it can be written once more.
fn begun(mut rig: Rig) -> Rig {
    rig.journal.remembers();
    rig.tick = secs(5);
    rig
}

fn never_healthy(plans: Vec<Plan>) -> Rig {
    let mut rig = begun(Rig::new(&fleet_with(2, r#""never_healthy": true,"#, ""), plans));
    for plan in &mut rig.plans {
        plan.rollout.max_in_flight = 2;
        plan.rollout.on_unhealthy = OnUnhealthy::Continue;
    }
    rig
}

async fn slot_open_beyond_its_run() -> Made {
    let mut rig = never_healthy(vec![plan("web", "0,30 2 * * *")]);
    rig.start();
    live(&mut rig, after(&["run.finished web@20260302T020000Z"])).await;
    let what = "an instance did not come back: its run has ended, its slot is open, somebody was called";
    ("slot-open-beyond-its-run", what, rig)
}

async fn overdue_then_freed() -> Made {
    let mut rig = never_healthy(vec![plan("web", "0,30 2 * * *")]);
    rig.start();
    rig.run(mins(10)).await;
    rig.heal(&id(1));
    live(&mut rig, after(&["slot.taken web@20260302T023000Z"])).await;
    let what = "an instance was overdue, and came back; it is being imaged by the next run, and so is another one";
    ("overdue-then-freed", what, rig)
}

async fn snapshots_half_deleted() -> Made {
    let mut rig = begun(rig_of(1, "", Vec::new()));
    rig.plans[0].schedule.cron = vec!["0,20 2 * * *".into()];
    rig.plans[0].keep.last = 1;
    rig.script.leaves_snapshots.set(true);
    rig.start();
    live(&mut rig, nth(2, &["step.done", " snap-", " retain#"], Death::Before)).await;
    let what = "an image is gone with one of its two snapshots; the other is gone too, which is not written yet";
    ("snapshots-half-deleted", what, rig)
}

async fn request_answered_and_not_told() -> Made {
    let mut rig = begun(Rig::new(&fleet(2), vec![plan("web", "0 12 * * *")]));
    rig.start();
    rig.run(secs(20)).await;
    let asked = json!({ "plan": "web", "instance": id(2) });
    rig.journal.ask(rig.clock.now(), &asked).expect("written");
    live(&mut rig, after(&["decide web@"])).await;
    let what = "a request was answered by a run that is decided; no event tells of it";
    ("request-answered-and-not-told", what, rig)
}

async fn run_under_a_removed_plan() -> Made {
    let plans = vec![plan("web", "0 2 * * *"), plan("db", "30 2 * * *")];
    let mut rig = begun(Rig::new(&fleet(3), plans));
    rig.start();
    live(&mut rig, nth(2, &["step.done web@", " image#"], Death::Before)).await;
    rig.plans.remove(0);
    let what = "a run is in the middle of its second target, whose image is made and not written; its plan is gone";
    ("run-under-a-removed-plan", what, rig)
}

async fn pruned_run() -> Made {
    let mut rig = begun(rig_with(2, "", Vec::new(), ""));
    rig.plans[0].schedule.cron = vec!["0 2 2 3 *".into(), "0 5 5 6 *".into()];
    rig.start();
    rig.run(mins(30)).await;
    rig.sleep(TimeDelta::days(95));
    live(&mut rig, after(&["step.done web@20260605T050000Z", " image#"])).await;
    let what = "of an old run only its end is left; the next one is in the middle of its first target";
    let left = |world: &World| world.images.values().filter(|image| image.registered()).count();
    assert_eq!(left(&rig.world()), 3, "{}", rig.story());
    ("pruned-run", what, rig)
}
