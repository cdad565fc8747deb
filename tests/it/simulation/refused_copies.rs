//! What the settings of a destination forbid is known before anything is lost on the way there.

use stillframe::sim::account::{Allowed, Settings};

use super::copies::{AWAY, DR, FRIEND, across, copy_to, ended, images_in, lent, rig_of, share};
use super::promises;
use super::rig::{ACCOUNT, Rig, id, mins};

fn set(rig: &Rig, account: &str, settings: Settings) {
    rig.world().accounts.entry(account.into()).or_default().regions.insert(AWAY.into(), settings);
}

/// The only run failed, for this reason.
fn failed(rig: &Rig, words: &[&str]) {
    let [(outcome, reason)] = &ended(rig)[..] else { panic!("one run\n{}", rig.story()) };
    assert_eq!(outcome, "failed", "{}", rig.story());
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_see_the_image_is_told_what_to_allow() {
    let mut rig = rig_of(1, "", vec![across(), copy_to(AWAY, None)]);
    let hiding =
        Settings { allowed_images: Allowed::Enabled, image_providers: ["amazon".into()].into(), ..Settings::default() };
    set(&rig, DR, hiding);
    rig.start();
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    // It may be mended later: the image is made, and the other copy.
    assert_eq!(rig.reboots()[&id(1)], 1, "{}", rig.story());
    assert_eq!(images_in(&rig, ACCOUNT, AWAY).len(), 1, "{}", rig.story());
    failed(&rig, &["ImageProviders", ACCOUNT, "dr/eu-west-1"]);
    assert_eq!(lent(&rig), Vec::<String>::new(), "nothing is lent in vain");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_encrypted_by_default_and_could_not_be_shared_reboots_nothing() {
    let mut rig = rig_of(1, "", vec![copy_to(AWAY, None)]);
    rig.plans[0].share = Some(share(&[FRIEND]));
    set(&rig, ACCOUNT, Settings { encrypts_by_default: true, ..Settings::default() });
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.reboots()[&id(1)], 0, "{}", rig.story());
    failed(&rig, &["AWS manages", "kms_key"]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_under_a_default_key_of_ones_own_can_be_shared() {
    let mut rig = rig_of(1, "", vec![copy_to(AWAY, None)]);
    rig.plans[0].share = Some(share(&[FRIEND]));
    let own = Settings { encrypts_by_default: true, default_key: Some("alias/own".into()), ..Settings::default() };
    set(&rig, ACCOUNT, own);
    rig.start();
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(ended(&rig), [("done".to_owned(), String::new())], "{}", rig.story());
    assert_eq!(images_in(&rig, ACCOUNT, AWAY).len(), 1, "{}", rig.story());
}
