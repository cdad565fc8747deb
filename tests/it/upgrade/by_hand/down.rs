//! Who is down, or may be; and what nobody has answered.

use serde_json::json;
use stillframe::domain::keep::Keep;
use stillframe::domain::plan::OnUnhealthy;
use stillframe::sim::faults::{Fault, FaultKind};

use super::{Made, Maker, after, begun, live, never_healthy, nth};
use crate::simulation::copies::rig_of;
use crate::simulation::journal::Death;
use crate::simulation::rig::{Rig, fleet, id, mins, plan, secs};

pub fn all() -> Vec<Maker> {
    vec![
        || Box::pin(plan_halted()),
        || Box::pin(answer_lost()),
        || Box::pin(request_open()),
        || Box::pin(removal_unanswered()),
        || Box::pin(decided_twice()),
    ]
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
    live(&mut rig, nth(2, &["step.unknown web@", " image#1"], Death::After)).await;
    ("answers-lost", "two answers of CreateImage were lost: one image is made, and one is not", rig)
}

async fn request_open() -> Made {
    let mut rig = begun(Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]));
    rig.start();
    live(&mut rig, after(&["slot.taken web@"])).await;
    let asked = json!({ "plan": "web", "instance": id(1) });
    rig.journal.ask(rig.clock.now(), &asked).expect("written");
    ("request-open", "a person asks for one more backup while the daemon is away, in the middle of a run", rig)
}

async fn removal_unanswered() -> Made {
    let mut rig = begun(rig_of(1, "", Vec::new()));
    rig.plans[0].schedule.cron = vec!["0,20 2 * * *".into()];
    rig.plans[0].keep.last = 1;
    rig.fault(Fault::once("DeregisterImage", FaultKind::CutAfter));
    rig.start();
    live(&mut rig, after(&["step.unknown web@", " retain#1"])).await;
    ("removal-unanswered", "the answer to a DeregisterImage was lost: the image is gone, its snapshots may be", rig)
}

async fn decided_twice() -> Made {
    let mut rig = begun(rig_of(1, "", Vec::new()));
    rig.plans[0].schedule.cron = vec!["0,10,20,30 2 * * *".into()];
    rig.plans[0].keep.last = 3;
    rig.start();
    rig.run(mins(28)).await;
    rig.stop().await;
    rig.plans[0].keep = Keep { last: 1, max_deletions: 3, ..Keep::default() };
    rig.start();
    rig.script.dies_at_removal.set(true);
    while rig.run(secs(10)).await {}
    rig.start();
    live(&mut rig, after(&["retain.decided web@20260302T023000Z", "#2"])).await;
    let what = "of three images that were to be deleted one is gone; after a crash it was decided anew";
    ("retention-decided-twice", what, rig)
}
