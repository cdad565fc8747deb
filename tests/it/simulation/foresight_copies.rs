//! What `preview`, `explain` and `status` tell of copies and shares; and that what was foreseen is what happens.

use std::collections::BTreeSet;

use crate::support::rows::Event;
use stillframe::domain::fact::Kind;
use stillframe::domain::keep::Keep;
use stillframe::domain::plan::CopyTo;
use stillframe::report::document::Document as _;
use stillframe::report::table::Paint;
use stillframe::view::preview::{PlanPreview, PreviewDocument};

use super::copies::{AWAY, DR, FRIEND, across, copy_to, images_in, rig_of, share};
use super::foresight::{explain, golden, preview, status};
use super::promises;
use super::rig::{ACCOUNT, REGION, Rig, id, mins};

/// Copies to another account and to another region, every twenty minutes; more of them stay than images.
fn rig() -> Rig {
    let near = CopyTo { kms_key: Some("alias/own".into()), ..copy_to(AWAY, None) };
    let far = CopyTo { keep: Keep { last: 3, ..Keep::default() }, ..across() };
    let mut rig = rig_of(2, "alias/own", vec![far, near]);
    rig.plans[0].schedule.cron = vec!["0,20,40 2,3 * * *".into()];
    rig.plans[0].keep = Keep { last: 1, ..Keep::default() };
    rig
}

/// Of the key in the other account.
fn set_key(rig: &Rig, state: &str) {
    let mut world = rig.world();
    let key = world.keys.values_mut().find(|k| k.place.account == DR && !k.aws_managed).expect("there");
    key.state = state.into();
}

/// What each image of the newest run came to by the engine's own decision: id, verdict, reasons.
fn decided(events: &[Event], known: &BTreeSet<&str>) -> BTreeSet<(Option<String>, String, String)> {
    let mut decided = BTreeSet::new();
    for event in events.iter().filter(|e| e.draft.kind == Kind::RetainDecided) {
        for v in event.draft.data["verdicts"].as_array().expect("verdicts") {
            let image = v["image"].as_str().filter(|image| known.contains(image)).map(str::to_owned);
            decided.insert((image, v["verdict"].to_string(), v["reasons"].to_string()));
        }
    }
    decided
}

/// The images and destinations of which the run made copies: of its own ones the instance.
fn copied(events: &[Event]) -> BTreeSet<(String, String)> {
    let good = events.iter().filter(|e| e.draft.kind == Kind::StepObserved && e.text("outcome") == Some("done"));
    let of = good.filter_map(|e| {
        let label = e.draft.step.strip_prefix("copy:")?;
        let image = &e.draft.subject.as_ref()?.id;
        let made = events.iter().find(|e| e.draft.kind == Kind::StepDone && e.text("image") == Some(image));
        let made = made.filter(|e| e.draft.step == "image").and_then(|e| e.draft.subject.clone());
        let name = made.map_or_else(|| image.clone(), |instance| instance.id);
        Some((name, label.to_owned()))
    });
    of.collect()
}

/// The same as it was foreseen.
fn foreseen_copies(plan: &PlanPreview) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for target in plan.targets.iter().filter(|t| t.outcome == "selected") {
        let go = target.distribution.iter().filter(|d| d.what == "copy" && d.verdict == "go");
        all.extend(go.map(|d| (target.instance.clone(), d.destination.clone().expect("a copy has one"))));
    }
    let older = plan.owed.iter().filter(|o| o.verdict == "go");
    all.extend(older.map(|o| (o.image.clone(), o.destination.clone())));
    all
}

/// Lets the next run happen, and compares.
async fn happens(rig: &mut Rig, foreseen: &PreviewDocument, run: &str) {
    rig.run(mins(20)).await;
    let plan = &foreseen.plans[0];
    let events = rig.journal.rows().events_of(run).await.expect("readable");
    assert!(events.iter().any(|e| e.draft.kind == Kind::RunFinished), "{run}\n{}", rig.story());
    assert_eq!(copied(&events), foreseen_copies(plan), "{run}\n{}", rig.story());
    let known: BTreeSet<&str> = plan.retention.iter().filter_map(|i| i.image.as_deref()).collect();
    let expected: BTreeSet<_> = plan
        .retention
        .iter()
        .map(|i| (i.image.clone(), format!("\"{}\"", i.verdict), serde_json::json!(i.reasons).to_string()))
        .collect();
    assert_eq!(decided(&events, &known), expected, "{run}\n{}", rig.story());
}

/// While a key is disabled, once it is enabled again, and when nothing is missing any more.
#[tokio::test(start_paused = true)]
async fn what_was_foreseen_of_copies_is_what_happens() {
    let mut rig = rig();
    set_key(&rig, "Disabled");
    rig.start();
    rig.run(mins(15)).await;
    let calls = rig.world().calls.iter().count();
    let disabled = preview(&rig, None).await;
    let asked: BTreeSet<String> = rig.world().calls.iter().skip(calls).map(|c| c.api.clone()).collect();
    let reads = |api: &String| {
        ["Describe", "Get", "AssumeRole"].iter().any(|verb| api.starts_with(verb)) || api == "GetCallerIdentity"
    };
    assert!(asked.iter().all(reads), "{asked:?}");
    let plan = &disabled.plans[0];
    assert_eq!(plan.owed.iter().filter(|o| o.verdict == "not_now").count(), 2, "{:#?}", plan.owed);
    let waiting = |plan: &PlanPreview| {
        let owed = "busy: its copy to dr/eu-west-1 is not there yet";
        plan.retention.iter().filter(|i| i.reasons.iter().any(|reason| reason == owed)).count()
    };
    assert_eq!(waiting(plan), 4, "the new ones too: {:#?}", plan.retention);
    golden("preview_not_now", &disabled.text(Paint::PLAIN), &disabled.json());
    happens(&mut rig, &disabled, "web@20260302T022000Z").await;

    let told = status(&rig, true).await;
    let [owed] = &told.plans[0].owed[..] else { panic!("{:#?}", told.plans) };
    assert_eq!((owed.destination.as_str(), owed.images), ("dr/eu-west-1", 4));
    golden("status_owed", &told.text(Paint::PLAIN), &told.json());
    let image = rig.images_of(&id(1))[0].id.clone();
    let told = explain(&rig, &image).await;
    golden("explain_owed", &told.text(Paint::PLAIN), &told.json());

    set_key(&rig, "Enabled");
    let enabled = preview(&rig, None).await;
    golden("preview_copies", &enabled.text(Paint::PLAIN), &enabled.json());
    assert_eq!((foreseen_copies(&enabled.plans[0]).len(), waiting(&enabled.plans[0])), (8, 0));
    happens(&mut rig, &enabled, "web@20260302T024000Z").await;
    assert!(status(&rig, true).await.plans[0].owed.is_empty(), "{}", rig.story());

    let steady = preview(&rig, None).await;
    assert!(steady.plans[0].owed.is_empty() && steady.text(Paint::PLAIN).contains("(new copy)"), "{steady:#?}");
    happens(&mut rig, &steady, "web@20260302T030000Z").await;
    // A copy is judged by the rules of its destination.
    let copies = images_in(&rig, DR, AWAY);
    assert_eq!((copies.len(), images_in(&rig, ACCOUNT, REGION).len()), (6, 2));
    let oldest = {
        let world = rig.world();
        copies.iter().min_by_key(|id| world.images[*id].tags["stillframe:due"].clone()).expect("six").clone()
    };
    let told = explain(&rig, &oldest).await;
    golden("explain_copy", &told.text(Paint::PLAIN), &told.json());
    rig.stop().await;
    promises::hold(&rig).await;
}

/// A role that cannot be assumed: what is foreseen says so, and nothing of the other destination is hidden.
#[tokio::test(start_paused = true)]
async fn a_destination_that_cannot_be_entered_is_foreseen() {
    let mut rig = rig();
    let trusts = |rig: &Rig, who: &[&str]| {
        let mut world = rig.world();
        let role = &mut world.accounts.get_mut(DR).expect("named").roles[0];
        role.trusts = who.iter().map(|id| (*id).to_owned()).collect();
    };
    trusts(&rig, &[]);
    rig.start();
    rig.run(mins(15)).await;
    let closed = preview(&rig, None).await;
    assert!(closed.ok(), "{closed:#?}");
    let text = closed.text(Paint::PLAIN);
    assert!(text.contains("not now") && text.contains("sts:AssumeRole"), "{text}");
    happens(&mut rig, &closed, "web@20260302T022000Z").await;
    trusts(&rig, &[ACCOUNT]);
    let open = preview(&rig, None).await;
    assert_eq!(open.plans[0].owed.len(), 4, "{:#?}", open.plans[0].owed);
    happens(&mut rig, &open, "web@20260302T024000Z").await;
    rig.stop().await;
    promises::hold(&rig).await;
}

/// What can never be copied or shared is told of the target, which is not rebooted.
#[tokio::test(start_paused = true)]
async fn what_can_never_be_is_foreseen() {
    let mut rig = rig_of(2, "alias/aws/ebs", vec![across()]);
    rig.plans[0].share = Some(share(&[FRIEND]));
    let never = preview(&rig, None).await;
    golden("preview_never", &never.text(Paint::PLAIN), &never.json());
    assert!(!never.ok() && never.plans[0].targets.iter().all(|t| t.outcome == "skipped"), "{never:#?}");
    rig.start();
    rig.run(mins(10)).await;
    rig.stop().await;
    assert!(rig.images_of(&id(1)).is_empty() && rig.reboots()[&id(1)] == 0, "{}", rig.story());
}

/// A shared image is deprecated before it goes; `preview` and `explain` know it as the engine does.
#[tokio::test(start_paused = true)]
async fn the_grace_of_shared_images_is_foreseen() {
    let mut rig = rig_of(1, "alias/own", vec![across()]);
    rig.plans[0].schedule.cron = vec!["0,20,40 2,3 * * *".into()];
    rig.plans[0].keep = Keep { last: 1, ..Keep::default() };
    rig.plans[0].share = Some(share(&[FRIEND]));
    rig.start();
    rig.run(mins(35)).await;
    let foreseen = preview(&rig, None).await;
    let deprecated = "shared: deprecated first, it goes 7 d later";
    let first = |plan: &PlanPreview| plan.retention.iter().flat_map(|i| &i.reasons).any(|reason| reason == deprecated);
    assert!(first(&foreseen.plans[0]), "{:#?}", foreseen.plans[0].retention);
    happens(&mut rig, &foreseen, "web@20260302T024000Z").await;
    let oldest = rig.images_of(&id(1))[0].id.clone();
    let told = explain(&rig, &oldest).await;
    let text = told.text(Paint::PLAIN);
    assert!(
        text.contains("nothing holds it, but it goes later") && text.contains("shared: deprecated since"),
        "{text}"
    );
    assert!(text.contains(&format!("with {FRIEND}")), "{text}");
    rig.stop().await;
    promises::hold(&rig).await;
}
