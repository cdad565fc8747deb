//! The contract of the cloud ports: one table of cases, each run on every back end that can show it, so that the
//! simulated world, its HTTP door under the real SDK, and moto cannot drift apart.

mod case;
mod ending;
mod identity;
mod images;
mod instances;
mod making;
mod stage;
mod trouble;

use case::{Case, Moto};
use stage::Stage;

use crate::support::moto;

/// All of them.
fn cases() -> Vec<Case> {
    [instances::cases(), images::cases(), making::cases(), ending::cases(), trouble::cases(), identity::cases()]
        .concat()
}

/// Says which case it was when anything panics.
struct Told(&'static str);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in the case `{}` of the contract", self.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_simulated_world_keeps_it() {
    for case in cases() {
        let _told = Told(case.name);
        (case.run)(&Stage::sim()).await;
    }
}

#[tokio::test]
async fn the_sdk_at_the_door_keeps_it() {
    for case in cases() {
        let _told = Told(case.name);
        (case.run)(&Stage::door()).await;
    }
}

#[tokio::test]
async fn the_sdk_at_moto_keeps_what_moto_can_show() {
    let moto = std::rc::Rc::new(moto::Moto::start());
    for case in cases() {
        let _told = Told(case.name);
        match case.moto {
            Moto::Same => (case.run)(&Stage::moto(&moto).await).await,
            Moto::Differs(_, does) => does(&Stage::moto(&moto).await).await,
            Moto::Not(_) => {}
        }
    }
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
