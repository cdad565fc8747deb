//! What AWS tells of one thing that this version cannot read concerns that thing alone.

use stillframe::domain::fact::Kind;
use stillframe::sim::image::Odd;

use super::journal::Death;
use super::promises;
use super::rig::*;

/// One instance in a state of tomorrow: it is skipped with its reason, the other is imaged.
#[tokio::test(start_paused = true)]
async fn an_instance_in_an_unknown_state_is_skipped_alone() {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]);
    let strange = id(1);
    rig.world().instances.get_mut(&strange).expect("of the fleet").traits.state_word = Some("hibernating".into());
    rig.start();
    rig.run(mins(20)).await;
    assert_eq!(rig.outcomes("web"), ["02:00 failed"], "nobody chose that\n{}", rig.story());
    let skipped = rig.told(&Kind::TargetSkipped);
    assert_eq!(skipped.len(), 1, "{}", rig.story());
    assert!(skipped[0].text("reason").is_some_and(|why| why.contains("`hibernating`")), "{}", rig.story());
    assert_eq!(rig.images_of(&id(2)).len(), 1);
    rig.stop().await;
    promises::hold(&rig).await;
}

/// Images that cannot be read are kept and not counted; they neither stop retention nor stand for a good one.
#[tokio::test(start_paused = true)]
async fn images_that_cannot_be_read_are_kept_and_not_counted() {
    let mut web = plan("web", "0,10,20,30,40 2 * * *");
    web.keep.last = 1;
    let mut rig = Rig::new(&fleet(1), vec![web]);
    rig.start();
    rig.run(mins(16)).await;
    let odd: Vec<String> = rig.images_of(&id(1)).iter().map(|image| image.id.clone()).collect();
    assert!(!odd.is_empty(), "{}", rig.story());
    for (image, what) in odd.iter().zip([Odd::State("replicating".into()), Odd::Undated]) {
        rig.world().images.get_mut(image).expect("there").odd = Some(what);
    }
    rig.run(mins(40)).await;
    rig.stop().await;
    let left: Vec<String> = rig.images_of(&id(1)).iter().map(|image| image.id.clone()).collect();
    assert!(odd.iter().all(|image| left.contains(image)), "what is not understood stays: {}", rig.story());
    assert_eq!(left.len(), odd.len() + 1, "of the others the last: {}", rig.story());
    assert!(rig.outcomes("web").iter().all(|outcome| outcome.ends_with("done")), "{}", rig.story());
}

/// An image that stays in a state of tomorrow ends its target after an hour: no run hangs.
#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_judged_ends_its_target() {
    let mut rig = Rig::new(&fleet_with(1, "", r#""image_seconds": [600, 600],"#), vec![plan("web", "0 2 2 * *")]);
    rig.start();
    rig.run(mins(5)).await;
    let image = rig.images_of(&id(1))[0].id.clone();
    rig.world().images.get_mut(&image).expect("there").odd = Some(Odd::State("replicating".into()));
    rig.run(mins(50)).await;
    assert!(rig.outcomes("web").is_empty(), "it is waited for: {}", rig.story());
    rig.run(mins(30)).await;
    assert_eq!(rig.outcomes("web"), ["02:00 failed"], "{}", rig.story());
    let ended = rig.told(&Kind::TargetFinished);
    assert!(ended[0].text("reason").is_some_and(|why| why.contains("`replicating`")), "{}", rig.story());
    assert_eq!(rig.images_of(&id(1)).len(), 1, "it is kept");
}

/// An answer about one image that cannot be read at all blinds nobody else, and ends that one's target after an hour.
#[tokio::test(start_paused = true)]
async fn an_image_whose_answer_cannot_be_read_stands_for_itself() {
    let mut web = plan("web", "0 2 2 * *");
    web.rollout.max_in_flight = 2;
    let mut rig = Rig::new(&fleet_with(2, "", r#""image_seconds": [600, 600],"#), vec![web]);
    rig.start();
    rig.run(mins(5)).await;
    let image = rig.images_of(&id(1))[0].id.clone();
    rig.script.refuse("DescribeImages:ids", Some(image), u32::MAX, "Answer", "HTTP 200: a number is none");
    rig.run(mins(20)).await;
    let ended: Vec<String> =
        rig.told(&Kind::TargetFinished).iter().filter_map(|e| e.text("outcome").map(str::to_owned)).collect();
    assert_eq!(ended, ["done"], "the other one's: {}", rig.story());
    rig.run(mins(70)).await;
    assert_eq!(rig.outcomes("web"), ["02:00 failed"], "{}", rig.story());
    let why = rig.told(&Kind::TargetFinished)[1].text("reason").unwrap_or_default().to_owned();
    assert!(why.contains("cannot be judged for an hour") && why.contains("a number is none"), "{why}");
}

/// A pending image does not tell what it was made from: it is looked at again. One that never tells can never be proven
/// ours, and its run fails.
#[tokio::test(start_paused = true)]
async fn an_image_that_does_not_tell_its_source_is_looked_at_again_and_never_believed() {
    for (sourceless, crash, outcome) in [(false, false, "done"), (false, true, "done"), (true, false, "failed")] {
        let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
        rig.world().instances.get_mut(&id(1)).expect("of the fleet").traits.image_sourceless = Some(sourceless);
        rig.start();
        if crash {
            // It goes on with an image of which the journal does not know.
            rig.script.once(|e| e.draft.kind == Kind::SlotTaken, {
                let journal = std::rc::Rc::clone(&rig.journal);
                move || journal.dies(Death::Before(journal.written() + 1))
            });
            rig.run(secs(30)).await;
            rig.start();
        }
        rig.run(mins(30)).await;
        rig.stop().await;
        assert_eq!(rig.outcomes("web"), [format!("02:00 {outcome}")], "{sourceless} {crash}\n{}", rig.story());
        assert_eq!(rig.all_reboots(), 1, "{}", rig.story());
        assert_eq!(rig.errors().is_empty(), !sourceless, "{}", rig.story());
    }
}
