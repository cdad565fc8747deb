use std::sync::Mutex as Plain;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// What a giver answers once.
type Play = fn() -> Given;

fn keys(id: &str) -> Given {
    Ok(Credentials::new(id, "secret", None, None, "test"))
}

/// A source whose givers answer one line of the script each; and how many were made.
fn held(script: Vec<Play>) -> (Held, Arc<AtomicUsize>) {
    #[derive(Debug)]
    struct Scripted(Arc<Plain<Vec<Play>>>);
    impl ProvideCredentials for Scripted {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let next = self.0.lock().expect("held by nobody else").remove(0);
            future::ProvideCredentials::ready(next())
        }
    }
    let made = Arc::new(AtomicUsize::new(0));
    let (script, count) = (Arc::new(Plain::new(script)), Arc::clone(&made));
    let source = move || {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(SharedCredentialsProvider::new(Scripted(Arc::clone(&script))))
    };
    (Held::new(source), made)
}

fn failure(given: Given) -> Failure {
    let error = given.expect_err("no credentials");
    chain(&error).find_map(|cause| cause.downcast_ref::<Failure>()).expect("a failure").clone()
}

fn failed(error: CredentialsError) -> Given {
    Err(error)
}

#[tokio::test(start_paused = true)]
async fn a_giver_that_fails_once_is_asked_again_and_what_it_gave_is_remembered() {
    let (held, made) = held(vec![
        || failed(CredentialsError::provider_error("external process exited with code 255")),
        || keys("one"),
        || keys("never asked for"),
    ]);
    let first = failure(held.give().await);
    assert_eq!(first.class, Class::NeverSent, "{first}");
    assert!(first.message.contains("255") && first.message.contains("tried again"), "{first}");
    // Who waited meanwhile is told the same; nobody is asked.
    assert_eq!(failure(held.give().await).message, first.message);
    assert_eq!(made.load(Ordering::Relaxed), 1);
    Clock::Wall.sleep(Duration::from_millis(1)).await;
    for _ in 0..3 {
        assert_eq!(held.give().await.expect("given").access_key_id(), "one");
    }
    assert_eq!(made.load(Ordering::Relaxed), 2, "after a failure its files are read anew");
}

#[tokio::test(start_paused = true)]
async fn that_there_is_no_provider_is_final_only_as_long_as_there_was_none() {
    let no: Play = || failed(CredentialsError::not_loaded("no credentials in chain"));
    let (never, _) = held(vec![no]);
    let why = failure(never.give().await);
    assert_eq!(why.class, Class::Credentials);
    assert!(why.message.starts_with("no usable credentials") && why.message.contains("instance role"), "{why}");
    let (once, _) = held(vec![|| keys("one"), no]);
    once.give().await.expect("given");
    once.forget().await;
    assert_eq!(failure(once.give().await).class, Class::NeverSent);
}

#[tokio::test(start_paused = true)]
async fn others_are_used_only_once_they_are_taken() {
    let (held, _) = held(vec![|| keys("one"), || keys("one"), || keys("two"), || {
        failed(CredentialsError::invalid_configuration("half a file"))
    }]);
    assert_eq!(held.give().await.expect("given").access_key_id(), "one");
    let same = held.anew().await.map_err(|f| f.message).expect("read");
    assert!(!held.differ(&same).await);
    let other = held.anew().await.map_err(|f| f.message).expect("read");
    assert!(held.differ(&other).await);
    assert_eq!(held.give().await.expect("given").access_key_id(), "one");
    held.take(other).await;
    assert_eq!(held.give().await.expect("given").access_key_id(), "two");
    assert_eq!(held.anew().await.map(drop).expect_err("broken").class, Class::Credentials);
    assert_eq!(held.give().await.expect("given").access_key_id(), "two", "those from before are used on");
}

#[tokio::test(start_paused = true)]
async fn what_expires_is_asked_for_again_before_it_does() {
    let (held, _) = held(vec![
        || Ok(Credentials::new("one", "s", None, Some((Clock::Wall.now() + TimeDelta::seconds(5)).into()), "test")),
        || Ok(Credentials::new("two", "s", None, Some((Clock::Wall.now() + TimeDelta::hours(1)).into()), "test")),
    ]);
    assert_eq!(held.give().await.expect("given").access_key_id(), "one");
    assert_eq!(held.give().await.expect("given").access_key_id(), "two");
    assert_eq!(held.give().await.expect("given").access_key_id(), "two");
}
