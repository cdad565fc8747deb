//! The contract of the cloud ports: one table of cases, each run on every back end that can show it, so that the
//! simulated world, its HTTP door under the real SDK, and moto cannot drift apart.

mod case;
mod copies;
mod ending;
mod identity;
mod images;
mod instances;
mod keys;
mod making;
mod permissions;
mod roles;
mod stage;
mod trouble;

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use case::{Case, Moto};
use futures_util::FutureExt as _;
use stage::Stage;

use crate::support::moto;

/// All of them.
fn cases() -> Vec<Case> {
    [
        instances::cases(),
        images::cases(),
        making::cases(),
        ending::cases(),
        trouble::cases(),
        identity::cases(),
        permissions::cases(),
        copies::cases(),
        keys::cases(),
        roles::cases(),
    ]
    .concat()
}

/// Plays every case, each on a stage of its own, and says at the end which of them failed.
async fn play(run: impl AsyncFn(&Case)) {
    let mut broken = Vec::new();
    for case in cases() {
        if AssertUnwindSafe(run(&case)).catch_unwind().await.is_err() {
            broken.push(case.name);
        }
    }
    assert!(broken.is_empty(), "these cases of the contract are broken: {broken:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_simulated_world_keeps_it() {
    play(async |case: &Case| (case.run)(&Stage::sim()).await).await;
}

#[tokio::test]
async fn the_sdk_at_the_door_keeps_it() {
    play(async |case: &Case| (case.run)(&Stage::door()).await).await;
}

#[tokio::test]
async fn the_sdk_at_moto_keeps_what_moto_can_show() {
    let moto = Rc::new(moto::Moto::start());
    play(async |case: &Case| match case.moto {
        Moto::Same => (case.run)(&Stage::moto(&moto).await).await,
        Moto::Differs(_, does) => does(&Stage::moto(&moto).await).await,
        Moto::Not(_) => {}
    })
    .await;
}

/// What moto does not show, or shows otherwise, and why: nothing is left out that is not written here.
#[test]
fn what_moto_cannot_show_is_exactly_this() {
    let exceptions: Vec<String> = cases()
        .iter()
        .filter_map(|case| match case.moto {
            Moto::Same => None,
            Moto::Differs(why, _) => Some(format!("{}: differs: {why}", case.name)),
            Moto::Not(why) => Some(format!("{}: not: {why}", case.name)),
        })
        .collect();
    insta::assert_snapshot!(exceptions.join("\n"));
    let mut names: Vec<&str> = cases().iter().map(|case| case.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "two cases of one name");
}
