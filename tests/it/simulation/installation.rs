//! Another installation under the same daemon name.

use super::promises;
use super::rig::{Rig, fleet, id, mins, plan};

const OTHER: &str = "22222222-2222-4222-8222-222222222222";

/// One occurrence of one installation; then another goes on with the same name.
async fn twin(taken_over: bool) -> Rig {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0,20,40 2 * * *")]);
    rig.start();
    rig.run(mins(10)).await;
    rig.stop().await;
    rig.installation = OTHER.into();
    rig.taken_over_at = taken_over.then(|| rig.clock.now());
    rig.start();
    rig.run(mins(48)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_beside_it() {
    let rig = twin(false).await;
    assert!(rig.reboots().values().all(|n| *n == 1), "{}", rig.story());
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 failed", "02:40 skipped"], "{}", rig.story());
    assert!(!rig.errors().is_empty());
    assert!(rig.errors()[0].text("reason").is_some_and(|why| why.contains("another installation")), "{}", rig.story());
    assert!(rig.calls("DeregisterImage").is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_after_a_take_over() {
    let rig = twin(true).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done", "02:40 done"], "{}", rig.story());
    assert!(rig.errors().is_empty(), "{}", rig.story());
    for n in [1, 2] {
        let images = rig.images_of(&id(n));
        assert_eq!(images.len(), 2, "the other's image is of the same series");
        assert!(images.iter().all(|i| i.tags["stillframe:installation"] == OTHER));
    }
}
