//! What the settings of a destination forbid is known before anything is lost on the way there.

use stillframe::domain::fact::Kind as FactKind;
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

/// A copy that AWS denies is lent for once, not in each run: again after a reload, after a day, and once it is allowed.
#[tokio::test(start_paused = true)]
async fn a_denied_copy_is_lent_for_once() {
    let mut rig = rig_of(1, "", vec![across()]);
    rig.plans[0].schedule.cron = vec!["0 * * * *".into()];
    let may = |rig: &Rig, denied: &[&str]| {
        let mut world = rig.world();
        let role = &mut world.accounts.get_mut(DR).expect("of the world").roles[0];
        role.denied = denied.iter().map(|what| (*what).to_owned()).collect();
    };
    may(&rig, &["ec2:CopyImage"]);
    let tried = |rig: &Rig| rig.told(&FactKind::LoanGiven).len();
    rig.start();
    rig.run(mins(5 * 60)).await;
    assert_eq!(tried(&rig), 1, "{}", rig.story());
    let failed = |rig: &Rig| ended(rig).iter().filter(|(outcome, _)| outcome == "failed").count();
    assert_eq!(failed(&rig), ended(&rig).len(), "no such run is done");
    assert!(ended(&rig).last().is_some_and(|(_, why)| why.contains("UnauthorizedOperation")), "{:?}", ended(&rig));
    let plans = rig.plans.clone();
    rig.reload(Ok(plans)).await.expect("applied");
    rig.run(mins(3 * 60)).await;
    // What is owed of older images is tried with the new one, all at once.
    let after = tried(&rig);
    assert!(after > 1, "{}", rig.story());
    rig.run(mins(3 * 60)).await;
    assert_eq!(tried(&rig), after, "{}", rig.story());
    rig.run(mins(24 * 60)).await;
    let daily = tried(&rig);
    assert!(daily > after, "{}", rig.story());
    // Mended: the next run notices.
    may(&rig, &[]);
    rig.run(mins(2 * 60)).await;
    assert!(tried(&rig) > daily, "{}", rig.story());
    assert_eq!(ended(&rig).last().map(|(outcome, _)| outcome.as_str()), Some("done"), "{}", rig.story());
    assert_eq!(lent(&rig), Vec::<String>::new(), "nothing is lent in vain");
    rig.stop().await;
    promises::hold(&rig).await;
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
