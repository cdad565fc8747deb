//! Who is down, or may be.

use stillframe::cloud::sim::faults::{Fault, FaultKind};
use stillframe::domain::plan::OnUnhealthy;

use super::{Made, Maker, after, begun, live, never_healthy};
use crate::simulation::rig::{Rig, fleet, plan};

pub fn all() -> Vec<Maker> {
    vec![|| Box::pin(plan_halted()), || Box::pin(answer_lost())]
}

async fn plan_halted() -> Made {
    let mut rig = never_healthy(vec![plan("web", "0,30 2 * * *")]);
    rig.plans[0].rollout.max_in_flight = 1;
    rig.plans[0].rollout.on_unhealthy = OnUnhealthy::HaltPlan;
    rig.start();
    live(&mut rig, after(&["step.needs_person web@", " return#"])).await;
    (
        "plan-halted",
        "an instance did not come back, and its plan halts: what that means for the other is not written",
        rig,
    )
}

async fn answer_lost() -> Made {
    let mut rig = begun(Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]));
    rig.plans[0].rollout.max_in_flight = 2;
    rig.fault(Fault::once("CreateImage", FaultKind::CutAfter));
    rig.fault(Fault::once("CreateImage", FaultKind::CutBefore));
    rig.start();
    live(&mut rig, super::nth(2, &["step.unknown web@", " image#1"], crate::simulation::journal::Death::After)).await;
    ("answers-lost", "two answers of CreateImage were lost: one image is made, and one is not", rig)
}
