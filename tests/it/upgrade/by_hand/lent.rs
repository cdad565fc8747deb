//! What was lent, and copies.

use stillframe::domain::fact::Kind;
use stillframe::domain::plan::Plan;
use stillframe::journal::Journal as _;
use stillframe::sim::action::Action;

use super::{Made, Maker, after, before, begun, live};
use crate::simulation::copies::{AWAY, FRIEND, across, copy_to, rig_of, share};
use crate::simulation::rig::{Rig, id, mins, plan};
use crate::support::rows::{Draft, drafts};

pub fn all() -> Vec<Maker> {
    vec![
        || Box::pin(lend_without_its_end()),
        || Box::pin(token_given_up()),
        || Box::pin(grant_lent_again()),
        || Box::pin(plans_called_keys_and_copy()),
        || Box::pin(copy_whose_answer_is_not_written()),
    ]
}

async fn lend_without_its_end() -> Made {
    let mut rig = begun(rig_of(1, "alias/own", vec![across()]));
    rig.start();
    live(&mut rig, before(&["loan.given"])).await;
    let what = "an image is lent to the account that copies it; the intent is written, that it is lent is not";
    ("lend-intent-without-loan-given", what, rig)
}

async fn token_given_up() -> Made {
    let mut rig = begun(rig_of(1, "", vec![copy_to(AWAY, None)]));
    rig.script.refuse("CopyImage", None, 1, "IdempotentParameterMismatch", "associated with a different request");
    rig.start();
    live(&mut rig, before(&["step.intent web@", " copy:eu-west-1#2"])).await;
    let what = "the token of a copy was taken, and no copy appeared: another token is next";
    ("token-given-up", what, rig)
}

fn shared(plans: Vec<Plan>) -> Rig {
    let mut rig = begun(rig_of(1, "alias/own", Vec::new()));
    rig.plans = plans;
    for plan in &mut rig.plans {
        plan.share = Some(share(&[FRIEND]));
    }
    rig
}

/// A run that revokes a grant writes that down after another one has written down that it lends the key again.
async fn grant_lent_again() -> Made {
    let mut rig = shared(vec![plan("web", "0,40 2 * * *")]);
    rig.start();
    rig.run(mins(20)).await;
    rig.crash();
    let journal = rig.journal.twin();
    let lent = journal.rows().events_of_kind(Kind::KeyLent.as_str()).await.expect("readable");
    let lent = lent.last().expect("one").draft.clone();
    journal.acquire(rig.clock.now()).await.expect("there");
    let again = Draft { attempt: 2, ..lent.clone() };
    let returned = Draft { kind: Kind::KeyReturned, ..lent };
    journal.append(rig.clock.now(), &drafts(&[again])).await.expect("there");
    journal.append(rig.clock.now(), &drafts(&[returned])).await.expect("there");
    // From here on the ledger alone tells of the grant.
    let image = rig.images_of(&id(1))[0].id.clone();
    rig.act(&Action::DeregisterImage { image, delete_snapshots: Some(true) });
    rig.plans[0].share = None;
    let what =
        "a key was lent, lent again, and then the first grant was returned; the image is gone, and nobody shares";
    ("grant-lent-again-before-it-was-returned", what, rig)
}

async fn plans_called_keys_and_copy() -> Made {
    let mut rig = shared(vec![plan("keys", "0 2 * * *"), plan("copy", "5 2 * * *"), plan("foreign", "10 2 * * *")]);
    rig.plans[1].copies = vec![across()];
    rig.start();
    live(&mut rig, after(&["step.intent foreign@", " image#1"])).await;
    let what = "plans bear the names of what belongs to no run: `keys`, `copy` and `foreign`; the last is being imaged";
    ("plans-called-keys-and-copy", what, rig)
}

async fn copy_whose_answer_is_not_written() -> Made {
    let via = stillframe::domain::plan::CopyTo { via_key: Some("alias/lend".into()), ..across() };
    let mut rig = begun(rig_of(1, "alias/aws/ebs", vec![via]));
    rig.start();
    live(&mut rig, before(&["step.done", " copy:dr/eu-west-1#1"])).await;
    let what = "a copy by way of another key is made in the other account, which is not written yet";
    ("copy-made-and-not-written", what, rig)
}
