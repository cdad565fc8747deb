//! Removals that are cut off, refused, or that a person or a new configuration stops.

use crate::support::rows::Event;
use stillframe::defect::{self, Defect};
use stillframe::domain::fact::Kind;
use stillframe::domain::place::Place;
use stillframe::sim::action::Action;
use stillframe::sim::faults::{Fault, FaultKind};
use stillframe::sim::world::Caller;

use super::journal::Death;
use super::promises;
use super::rig::{ACCOUNT, REGION, Rig, fleet, fleet_with, id, mins, plan, secs};

const MANY: u32 = 1_000_000;

/// Two occurrences that keep one image each: the second removes what the first made.
fn rig(instances: u32, world: &str) -> Rig {
    let mut web = plan("web", "0,20 2 * * *");
    web.keep.last = 1;
    web.rollout.max_in_flight = 3;
    Rig::new(&fleet_with(instances, "", world), vec![web])
}

/// The same, run up to the minute before the second occurrence; and the first's image of the first instance.
async fn at_the_second(instances: u32, world: &str) -> (Rig, String) {
    let mut rig = rig(instances, world);
    rig.start();
    rig.run(mins(19)).await;
    let first = rig.images_of(&id(1)).remove(0).id;
    (rig, first)
}

fn of_removal(kind: Kind) -> impl Fn(&Event) -> bool {
    move |e| e.draft.kind == kind && e.draft.step == "retain"
}

fn deletes(event: &Event) -> bool {
    event.draft.kind == Kind::RetainDecided && event.draft.data.to_string().contains(r#""delete""#)
}

/// A person acts once an event is told.
fn person(rig: &Rig, when: impl Fn(&Event) -> bool + 'static, action: Action) {
    let (cloud, clock) = (rig.cloud.clone(), rig.clock);
    rig.script.once(when, move || {
        cloud.world().call(clock.now(), &Caller::new(ACCOUNT), REGION, &action).expect("the console allows it");
    });
}

fn registered(rig: &Rig, image: &str) -> bool {
    rig.world().images[image].registered()
}

/// The answer to DeregisterImage was lost, and it never arrived; while the daemon is away the image ceases to be ours.
#[tokio::test(start_paused = true)]
async fn what_ceased_to_be_ours_stays() {
    for crash in [false, true] {
        for key in ["stillframe:plan", "stillframe:daemon", "stillframe:due"] {
            let (mut rig, image) = at_the_second(1, "").await;
            rig.fault(Fault::once("DeregisterImage", FaultKind::CutBefore).times(MANY));
            while rig.told(&Kind::StepUnknown).is_empty() {
                rig.run(secs(1)).await;
            }
            if crash {
                rig.crash();
            } else {
                rig.stop().await;
            }
            rig.world().faults.clear();
            rig.act(&Action::DeleteTags { resources: vec![image.clone()], tags: vec![(key.into(), None)] });
            rig.start();
            rig.run(mins(20)).await;
            rig.stop().await;
            promises::hold(&rig).await;
            assert!(registered(&rig, &image), "crash: {crash}, {key}\n{}", rig.story());
            assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done"], "{}", rig.story());
        }
    }
}

/// The verdict is old when a fleet is large: what a person did since counts.
#[tokio::test(start_paused = true)]
async fn a_hold_or_a_launch_after_the_verdict_keeps_the_image() {
    for what in ["hold", "launch", "disown"] {
        let (mut rig, image) = at_the_second(2, "").await;
        let resources = vec![image.clone()];
        let action = match what {
            "hold" => Action::CreateTags { resources, tags: vec![("stillframe:hold".into(), "audit".into())] },
            "launch" => Action::RunInstances { image: image.clone(), min: 1, max: 1, tags: Vec::new() },
            _ => Action::DeleteTags { resources, tags: vec![("stillframe:plan".into(), None)] },
        };
        person(&rig, deletes, action);
        rig.run(mins(20)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert!(registered(&rig, &image), "{what}\n{}", rig.story());
        assert_eq!(rig.images_of(&id(2)).len(), 1, "the other goes\n{}", rig.story());
        assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done"], "{what}\n{}", rig.story());
        assert!(rig.errors().is_empty(), "{}", rig.story());
    }
}

/// The image that would stay is looked at again before another one goes: a person may have taken it away meanwhile.
#[tokio::test(start_paused = true)]
async fn the_last_good_one_stays_whoever_removes_the_other() {
    for planted in [None, Some(Defect::WitnessUnseen)] {
        let (mut rig, image) = at_the_second(1, "").await;
        let (cloud, clock, old) = (rig.cloud.clone(), rig.clock, image.clone());
        rig.script.once(deletes, move || {
            let mut world = cloud.world();
            let newest = world.images.values().find(|i| i.id != old && i.registered()).expect("it was made").id.clone();
            let action = Action::DeregisterImage { image: newest, delete_snapshots: None };
            world.call(clock.now(), &Caller::new(ACCOUNT), REGION, &action).expect("the console allows it");
        });
        defect::plant(planted);
        rig.run(mins(20)).await;
        rig.stop().await;
        defect::plant(None);
        assert_eq!(registered(&rig, &image), planted.is_none(), "{planted:?}\n{}", rig.story());
        assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done"], "{}", rig.story());
        assert_eq!(rig.watch.broken().is_empty(), planted.is_none(), "{:?}", rig.watch.broken());
    }
}

/// The answer to CreateImage is lost, and a person deregisters what it made before it is found: its snapshots tell.
#[tokio::test(start_paused = true)]
async fn what_a_person_removed_after_a_lost_answer_is_not_made_again() {
    for planted in [None, Some(Defect::TraceIgnored)] {
        let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
        rig.fault(Fault::once("CreateImage", FaultKind::CutAfter));
        let (cloud, clock) = (rig.cloud.clone(), rig.clock);
        rig.script.once(
            |e| e.draft.kind == Kind::StepUnknown,
            move || {
                let mut world = cloud.world();
                let image = world.images.values().find(|i| i.registered()).expect("it was made").id.clone();
                let action = Action::DeregisterImage { image, delete_snapshots: None };
                world.call(clock.now(), &Caller::new(ACCOUNT), REGION, &action).expect("the console allows it");
            },
        );
        defect::plant(planted);
        rig.start();
        rig.run(mins(40)).await;
        rig.stop().await;
        defect::plant(None);
        assert_eq!(rig.all_reboots() == 1, planted.is_none(), "{planted:?}\n{}", rig.story());
        assert_eq!(rig.watch.broken().is_empty(), planted.is_none(), "{:?}", rig.watch.broken());
    }
}

/// An image of ours can name anybody's snapshot: what does not bear our tags is left alone, and said.
#[tokio::test(start_paused = true)]
async fn a_snapshot_of_somebody_else_stays_whatever_names_it() {
    for planted in [None, Some(Defect::SnapshotsUnseen)] {
        let (mut rig, image) = at_the_second(1, "").await;
        let home = Place::new(ACCOUNT, REGION);
        let theirs = rig.watch.strange(&mut rig.world(), &image, &home, rig.clock.now());
        defect::plant(planted);
        rig.run(mins(20)).await;
        rig.stop().await;
        defect::plant(None);
        assert!(!registered(&rig, &image), "{}", rig.story());
        assert_eq!(rig.world().snapshots.contains_key(&theirs), planted.is_none(), "{}", rig.story());
        assert_eq!(rig.watch.broken().is_empty(), planted.is_none(), "{:?}", rig.watch.broken());
        assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done"], "{}", rig.story());
        if planted.is_none() {
            promises::hold(&rig).await;
        }
    }
}

/// One list that shows nothing is no end: what it left out is deleted all the same.
#[tokio::test(start_paused = true)]
async fn an_empty_answer_orphans_nothing() {
    let (mut rig, image) = at_the_second(1, "").await;
    rig.script.leaves_snapshots.set(true);
    let (cloud, clock) = (rig.cloud.clone(), rig.clock);
    rig.script.once(of_removal(Kind::StepDone), move || {
        let until = clock.now() + chrono::TimeDelta::seconds(30);
        cloud.world().omits.insert("DescribeSnapshots".into(), until);
    });
    rig.run(mins(25)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert!(!registered(&rig, &image), "{}", rig.story());
    assert!(rig.calls("DeleteSnapshot").iter().any(|call| call.effect), "{}", rig.story());
}

/// A list that does not come for hours is a need that somebody hears of, and no run that never ends.
#[tokio::test(start_paused = true)]
async fn snapshots_that_cannot_be_listed_for_hours_call_somebody() {
    let (mut rig, image) = at_the_second(1, "").await;
    let script = std::rc::Rc::clone(&rig.script);
    rig.script.once(of_removal(Kind::StepDone), move || {
        script.refuse("DescribeSnapshots", None, MANY, "InternalError", "no answer");
    });
    rig.run(mins(60)).await;
    assert!(!registered(&rig, &image), "{}", rig.story());
    let needs: Vec<Event> = rig.told(&Kind::StepNeedsPerson);
    assert!(
        needs.iter().any(|need| need.text("reason").is_some_and(|why| why.contains("costs money"))),
        "{}",
        rig.story()
    );
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 failed"], "{}", rig.story());
    rig.script.relents();
    rig.run(mins(24 * 60)).await;
    rig.stop().await;
    promises::hold(&rig).await;
}

/// A failed image that hides what it names may name anybody's: AWS would delete that with it.
#[tokio::test(start_paused = true)]
async fn a_failed_image_that_hides_what_it_names_takes_nothing_along() {
    for hides in [true, false] {
        let mut rig = rig(1, "");
        {
            let mut world = rig.world();
            let instance = world.instances.get_mut(&id(1)).expect("of the fleet");
            (instance.traits.image_fails, instance.traits.image_unnamed) = (true, hides);
        }
        rig.start();
        rig.run(mins(19)).await;
        rig.world().instances.get_mut(&id(1)).expect("of the fleet").traits.image_fails = false;
        let failed = rig.images_of(&id(1)).remove(0).id;
        let home = Place::new(ACCOUNT, REGION);
        let theirs = rig.watch.strange(&mut rig.world(), &failed, &home, rig.clock.now());
        rig.run(mins(24 * 60 + 25)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert!(!registered(&rig, &failed), "{}", rig.story());
        assert!(rig.world().snapshots.contains_key(&theirs), "{hides}: {}", rig.story());
    }
}

/// What a failed image names and a list leaves out is looked for after it, too.
#[tokio::test(start_paused = true)]
async fn what_was_not_listed_of_a_failed_image_is_not_forgotten() {
    let mut rig = rig(1, "");
    rig.world().instances.get_mut(&id(1)).expect("of the fleet").traits.image_fails = true;
    rig.start();
    rig.run(mins(19)).await;
    rig.world().instances.get_mut(&id(1)).expect("of the fleet").traits.image_fails = false;
    let failed = rig.images_of(&id(1)).remove(0).id;
    rig.run(mins(24 * 60 - 5)).await;
    let until = rig.clock.now() + chrono::TimeDelta::minutes(8);
    rig.world().omits.insert("DescribeSnapshots".into(), until);
    rig.run(mins(40)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert!(!registered(&rig, &failed), "{}", rig.story());
}

/// Where the list shows nothing before the deregistration, nobody knows whose the snapshots are: the image waits.
#[tokio::test(start_paused = true)]
async fn what_is_not_listed_is_not_deregistered() {
    let (mut rig, image) = at_the_second(1, "").await;
    let until = rig.clock.now() + chrono::TimeDelta::minutes(20);
    rig.world().omits.insert("DescribeSnapshots".into(), until);
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert!(registered(&rig, &image), "{}", rig.story());
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done"], "{}", rig.story());
}

/// A failed image may name none of its snapshots: they are found by their tags.
#[tokio::test(start_paused = true)]
async fn a_failed_image_that_names_nothing_leaves_nothing() {
    let mut rig = rig(1, "");
    {
        let mut world = rig.world();
        let instance = world.instances.get_mut(&id(1)).expect("of the fleet");
        (instance.traits.image_fails, instance.traits.image_unnamed) = (true, true);
    }
    rig.start();
    rig.run(mins(19)).await;
    rig.world().instances.get_mut(&id(1)).expect("of the fleet").traits.image_fails = false;
    let failed = rig.images_of(&id(1)).remove(0).id;
    rig.run(mins(24 * 60 + 25)).await; // it is kept for a day
    rig.stop().await;
    promises::hold(&rig).await;
    assert!(!registered(&rig, &failed), "{}", rig.story());
    assert_eq!(rig.outcomes("web").first().map(String::as_str), Some("02:00 failed"), "{}", rig.story());
}

/// The process dies `records` after the first event for which `when` holds.
async fn dies_after(rig: &mut Rig, records: u32, when: impl Fn(&Event) -> bool + 'static) {
    let journal = std::rc::Rc::clone(&rig.journal);
    rig.script.once(when, move || journal.dies(Death::Before(journal.written() + 1 + records)));
    assert!(!rig.run(mins(15)).await, "it never died\n{}", rig.story());
}

/// What a person has decided to keep since is kept, also by a run of the old revision.
#[tokio::test(start_paused = true)]
async fn a_resumed_run_heeds_the_configuration_of_today() {
    for removed in [false, true] {
        for records in [0, 1] {
            let (mut rig, image) = at_the_second(1, "").await;
            // The intent of the deregistration is on record; the call was never made.
            rig.fault(Fault::once("DeregisterImage", FaultKind::CutBefore));
            dies_after(&mut rig, records, deletes).await;
            rig.world().faults.clear();
            if removed {
                rig.plans.clear();
            } else {
                rig.plans[0].keep.last = 2;
            }
            rig.start();
            rig.run(mins(20)).await;
            rig.stop().await;
            promises::hold(&rig).await;
            assert!(registered(&rig, &image), "removed: {removed}, {records} after\n{}", rig.story());
            assert!(rig.calls("DeregisterImage").iter().all(|c| !c.effect), "{}", rig.story());
            assert_eq!(rig.images_of(&id(1)).len(), 2, "{}", rig.story());
        }
    }
}

/// Four images too many, two may go in a run, wherever it is cut.
#[tokio::test(start_paused = true)]
async fn a_resumed_run_deletes_no_more_than_a_whole_one() {
    let rig = async || {
        let mut web = plan("web", "0,5,10,15,20,30 2 * * *");
        web.keep.last = 9;
        web.keep.max_deletions = 2;
        let mut rig = Rig::new(&fleet(1), vec![web]);
        rig.start();
        rig.run(mins(28)).await;
        rig.stop().await;
        rig.plans[0].keep.last = 1;
        rig.start();
        rig
    };
    let mut whole = rig().await;
    let first = whole.journal.written() + 1;
    whole.run(mins(15)).await;
    let deleted = |rig: &Rig| rig.calls("DeregisterImage").iter().filter(|c| c.effect).count();
    assert_eq!(deleted(&whole), 2, "{}", whole.story());
    for k in first..=whole.journal.written() {
        let mut rig = rig().await;
        rig.journal.dies(Death::After(k));
        rig.run_through(mins(40), secs(7)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(deleted(&rig), 2, "{}\n{}", whole.journal.words(k), rig.story());
    }
}

/// Another installation was seen: nothing more is begun, targets and removals alike.
#[tokio::test(start_paused = true)]
async fn a_bar_stops_what_waits() {
    let bar = |rig: &Rig, when: &dyn Fn(&Event) -> bool| {
        let heard = rig.events.borrow().iter().any(when);
        if heard {
            *rig.shared().barred.borrow_mut() = Some("another installation works here".into());
        }
        heard
    };
    // Targets.
    let mut rig = Rig::new(&fleet(3), vec![plan("web", "0 2 * * *")]);
    rig.start();
    while !bar(&rig, &|e| e.draft.kind == Kind::SlotTaken) {
        rig.run(secs(1)).await;
    }
    rig.run(mins(15)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
    let targets = rig.targets("web", "02:00");
    assert_eq!(targets[&id(1)], "done: ", "what was begun ends\n{}", rig.story());
    assert!([2, 3].iter().all(|n| targets[&id(*n)].starts_with("skipped: another installation")), "{targets:?}");
    // Removals: one is being made when it is seen.
    let (mut rig, _) = at_the_second(20, "").await;
    let shared = std::rc::Rc::downgrade(&rig.shared());
    rig.script.once(of_removal(Kind::StepDone), move || {
        let shared = shared.upgrade().expect("it runs");
        *shared.barred.borrow_mut() = Some("another installation works here".into());
    });
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    let gone = rig.calls("DeregisterImage").iter().filter(|c| c.effect).count();
    assert!((1..=16).contains(&gone), "{gone} removed\n{}", rig.story());
    assert!(rig.errors().is_empty(), "who set the bar has said it\n{}", rig.story());
}

/// Deregistered images are listed for a while; whatever fails meanwhile, no snapshot is left.
#[tokio::test(start_paused = true)]
async fn a_crash_after_the_deregistration_orphans_nothing() {
    for lag in [0, 240] {
        for unlisted in [None, Some("DescribeImages:tag"), Some("DescribeImages:ids"), Some("DescribeSnapshots")] {
            for records in 0..4 {
                let what = format!("lag {lag}, {unlisted:?} denied, {records} records after the intent");
                let (mut rig, image) = at_the_second(1, &format!(r#""visibility_lag": {lag},"#)).await;
                rig.script.leaves_snapshots.set(true);
                dies_after(&mut rig, records, of_removal(Kind::StepIntent)).await;
                assert!(!registered(&rig, &image), "{what}");
                if let Some(api) = unlisted {
                    rig.script.refuse(api, None, MANY, "UnauthorizedOperation", "no");
                }
                rig.start();
                rig.run(mins(20)).await;
                // What could not be looked for is finished by the plan's next run.
                rig.script.relents();
                let now = rig.clock.now();
                let ask = serde_json::json!({ "plan": "web", "instance": id(1) });
                rig.journal.inner().put_request(now, "backup", &ask).expect("written");
                rig.run(mins(20)).await;
                rig.stop().await;
                let broken = promises::broken(&rig).await;
                assert!(broken.is_empty(), "{what}: broken promises:\n{}\n\n{}", broken.join("\n"), rig.story());
            }
        }
    }
}

/// A snapshot reads as in use right after the deregistration.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_lingers_in_use_is_no_other_images() {
    let (mut rig, image) = at_the_second(1, "").await;
    rig.script.leaves_snapshots.set(true);
    rig.script.refuse("DeleteSnapshot", None, 6, "InvalidSnapshot.InUse", "currently in use");
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert!(!registered(&rig, &image));
    assert_eq!(rig.script.refused.get(), 6);
    assert!(rig.errors().is_empty(), "{}", rig.story());
}

/// Two lives, two texts: one fact.
#[tokio::test(start_paused = true)]
async fn retention_that_stops_in_other_words_breaks_nothing() {
    let (mut rig, image) = at_the_second(1, "").await;
    let script = std::rc::Rc::clone(&rig.script);
    // Selection needs the list too: only after it.
    let second = |e: &Event| e.draft.kind == Kind::TargetFinished && e.draft.run.ends_with("T022000Z");
    rig.script.once(second, move || script.refuse("DescribeImages:tag", None, MANY, "UnauthorizedOperation", "no"));
    dies_after(&mut rig, 0, |e| e.draft.kind == Kind::RetainStopped).await;
    rig.script.relents();
    rig.script.refuse("DescribeImages:tag", None, MANY, "AuthFailure", "nor now");
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert!(registered(&rig, &image));
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 failed"], "{}", rig.story());
    assert_eq!(rig.told(&Kind::RetainStopped).len(), 1, "{}", rig.story());
    assert!(rig.errors().iter().any(|e| e.draft.kind == Kind::RetainStopped));
}

/// What costs money until somebody looks calls somebody, once per run.
#[tokio::test(start_paused = true)]
async fn a_denied_removal_is_an_error() {
    let (mut rig, image) = at_the_second(1, "").await;
    rig.script.refuse("DeregisterImage", Some(image.clone()), MANY, "UnauthorizedOperation", "no");
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 failed"], "{}", rig.story());
    assert_eq!(rig.errors().len(), 1, "{}", rig.story());
}

/// A stop between two snapshots is no failure of either.
#[tokio::test(start_paused = true)]
async fn draining_while_snapshots_are_deleted_alarms_nobody() {
    for waits in [1, 2, 5, 11] {
        let (mut rig, _) = at_the_second(2, "").await;
        rig.script.leaves_snapshots.set(true);
        rig.script.refuse("DeleteSnapshot", None, 4, "RequestLimitExceeded", "slow down");
        rig.script.refuse("DeleteSnapshot", None, 4, "InvalidSnapshot.InUse", "currently in use");
        while !rig.told(&Kind::StepDone).iter().any(|e| of_removal(Kind::StepDone)(e)) {
            rig.run(secs(1)).await;
        }
        rig.run(secs(waits)).await;
        rig.stop().await;
        assert!(rig.errors().is_empty(), "{}", rig.story());
        rig.start();
        rig.run(mins(20)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert!(rig.errors().is_empty(), "{}", rig.story());
        assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done"], "{}", rig.story());
        assert!([1, 2].iter().all(|n| rig.images_of(&id(*n)).len() == 1), "{}", rig.story());
    }
}
