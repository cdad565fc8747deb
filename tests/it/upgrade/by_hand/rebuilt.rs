//! A journal that was lost, and is being made anew.

use stillframe::domain::plan::{Plan, Rollout};

use super::{Made, Maker, after, begun, live};
use crate::simulation::rig::{Rig, fleet_with, mins, plan};

pub fn all() -> Vec<Maker> {
    vec![|| Box::pin(half_done()), || Box::pin(of_a_removed_plan()), || Box::pin(lost_before_any_start())]
}

fn three(plans: Vec<Plan>) -> Rig {
    let mut rig = begun(Rig::new(&fleet_with(3, r#""reboot_seconds": 300, "image_seconds": 900,"#, ""), plans));
    for plan in &mut rig.plans {
        plan.rollout = Rollout { max_in_flight: 2, healthy_within: 900, ..plan.rollout.clone() };
    }
    rig
}

fn loses(rig: &mut Rig) {
    rig.lose_journal();
    rig.journal.remembers();
}

async fn half_done() -> Made {
    let mut rig = three(vec![plan("web", "0,20,40 2 * * *")]);
    rig.start();
    rig.run(mins(21)).await;
    loses(&mut rig);
    rig.start();
    live(&mut rig, after(&["run.started web@20260302T020000Z"])).await;
    (
        "rebuild-half-done",
        "a lost journal is being rebuilt: the first of two runs is found again, the second not yet",
        rig,
    )
}

async fn of_a_removed_plan() -> Made {
    let traits = r#""never_healthy": true,"#;
    let plans = vec![plan("web", "0 2 * * *"), plan("db", "30 2 * * *")];
    let mut rig = begun(Rig::new(&fleet_with(2, traits, ""), plans));
    rig.start();
    rig.run(mins(10)).await;
    loses(&mut rig);
    rig.plans.remove(0);
    rig.start();
    live(&mut rig, after(&["journal.rebuilt"])).await;
    let what = "a lost journal was rebuilt; who is down because of a plan that is gone has a slot of attempt 2";
    ("slot-taken-attempt-2", what, rig)
}

async fn lost_before_any_start() -> Made {
    let mut rig = three(vec![plan("web", "0,20 2 * * *"), plan("db", "10 2 * * *")]);
    rig.start();
    rig.run(mins(11)).await;
    loses(&mut rig);
    ("journal-lost", "the journal is lost while two instances are down, and nothing has started since", rig)
}
