//! What a second review found: interrupted runs, limits that the dead fill, lost answers, requests; who is called
//! (`alarms`), and large fleets (`many`).

mod alarms;
mod many;

use crate::support::rows::{Draft, Event, drafts};
use serde_json::json;
use stillframe::domain::event::Trigger;
use stillframe::domain::fact::Kind;
use stillframe::domain::naming::run_name;
use stillframe::domain::place::{Place, Subject};
use stillframe::domain::plan::OnUnhealthy;
use stillframe::journal::Journal as _;
use stillframe::sim::action::Action;
use stillframe::sim::faults::{Fault, FaultKind};
use stillframe::sim::world::Caller;

use super::promises;
use super::rig::{ACCOUNT, REGION, Rig, at, fleet, fleet_with, id, mins, plan, secs};

const MANY: u32 = 1_000_000;

fn subject(id: &str) -> Subject {
    Place::new(ACCOUNT, REGION).subject(id)
}

/// The next request for the plan `web`.
fn ask(rig: &Rig) {
    rig.journal.inner().put_request(rig.clock.now(), "backup", &json!({ "plan": "web" })).expect("written");
}

/// How many transactions held an event whose words contain `what`, from the write after `first` on.
fn writes(rig: &Rig, first: u32, what: &str) -> usize {
    (first + 1..=rig.journal.written()).filter(|n| rig.journal.words(*n).contains(what)).count()
}

async fn until(rig: &mut Rig, mut what: impl FnMut(&Rig) -> bool) {
    for _ in 0..7200 {
        if what(rig) {
            return;
        }
        rig.run(secs(1)).await;
    }
    panic!("it never came to that\n{}", rig.story());
}

/// A healthy run writes nothing while an instance boots and settles: that is no absence.
#[tokio::test(start_paused = true)]
async fn a_restart_while_an_instance_is_waited_for_ends_no_run() {
    for (manual, crash) in [(false, false), (false, true), (true, false), (true, true)] {
        for waited in [80, 100, 120] {
            let mut web = plan("web", if manual { "0 12 * * *" } else { "0 2 * * *" });
            web.schedule.catch_up = None;
            web.rollout.settle = 180;
            web.rollout.healthy_within = 900;
            let mut rig = Rig::new(&fleet(3), vec![web]);
            rig.start();
            rig.run(secs(1)).await;
            if manual {
                ask(&rig);
            }
            until(&mut rig, |rig| !rig.told(&Kind::SlotTaken).is_empty()).await;
            rig.run(secs(waited)).await;
            if crash {
                rig.crash();
            } else {
                rig.stop().await;
            }
            rig.run(secs(2)).await;
            rig.start();
            rig.run(mins(30)).await;
            rig.stop().await;
            promises::hold(&rig).await;
            let what = format!("manual: {manual}, crash: {crash}, {waited} s\n{}", rig.story());
            assert!(rig.reboots().values().all(|n| *n == 1), "{what}");
            assert!(rig.outcomes("web").iter().all(|o| o.ends_with(" done")), "{what}");
            assert!(rig.errors().is_empty(), "{what}");
        }
    }
}

/// What a run waits for may be another plan's instance, which has more time to come back.
#[tokio::test(start_paused = true)]
async fn a_restart_while_another_plan_is_waited_for_ends_no_run() {
    let fleet = format!(
        r#"{{ "regions": ["eu-central-1"], "image_seconds": [30, 90], "reboot_seconds": 20, "instances": [
            {{ "id": "{}", "tags": {{ "Db": "yes" }}, "reboot_seconds": 600 }},
            {{ "id": "{}", "tags": {{ "Backup": "yes" }} }}] }}"#,
        id(1),
        id(2)
    );
    let (mut db, mut web) = (plan("db", "0 2 * * *"), plan("web", "0 2 * * *"));
    db.select.tags = [("Db".to_owned(), ["yes".to_owned()].into())].into();
    db.rollout.healthy_within = 900;
    web.schedule.catch_up = None;
    let mut rig = Rig::new(&fleet, vec![db, web]);
    rig.start();
    rig.run(mins(8)).await;
    rig.crash();
    rig.run(secs(2)).await;
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!([1, 2].map(|n| rig.reboots()[&id(n)]), [1, 1], "{}", rig.story());
}

/// Overdue instances fill the limit: the rest is skipped and told why, in this plan and in others.
#[tokio::test(start_paused = true)]
async fn a_limit_filled_by_the_dead_is_not_waited_for() {
    for other in [false, true] {
        let members = |tag: &str| {
            format!(
                r#"{{ "regions": ["eu-central-1"], "image_seconds": [30, 90], "reboot_seconds": 20, "instances": [
                    {{ "id": "{}", "tags": {{ "Backup": "yes" }}, "never_healthy": true }},
                    {{ "id": "{}", "tags": {{ "{tag}": "yes" }} }}, {{ "id": "{}", "tags": {{ "{tag}": "yes" }} }}] }}"#,
                id(1),
                id(2),
                id(3)
            )
        };
        let mut web = plan("web", "0,30 2 * * *");
        let mut db = plan("db", "1,31 2,3 * * *");
        db.select.tags = [("Db".to_owned(), ["yes".to_owned()].into())].into();
        if !other {
            web.rollout.on_unhealthy = OnUnhealthy::Continue;
        }
        let plans = if other { vec![web, db] } else { vec![web] };
        let mut rig = Rig::new(&members(if other { "Db" } else { "Backup" }), plans);
        rig.start();
        rig.run(mins(55)).await;
        let what = format!("other: {other}\n{}", rig.story());
        let (name, times) = if other { ("db", ["02:01", "02:31"]) } else { ("web", ["02:00", "02:30"]) };
        for time in times {
            let targets = rig.targets(name, time);
            for n in [2, 3] {
                let why = &targets[&id(n)];
                assert!(why.starts_with("skipped: ") && why.contains("no slot will be free"), "{time} {why}\n{what}");
            }
        }
        let ends = rig.outcomes(name);
        assert_eq!(ends.len(), 2, "{ends:?}\n{what}");
        assert_eq!([1, 2, 3].map(|n| rig.reboots()[&id(n)]), [1, 0, 0], "{what}");
        assert_eq!(rig.alarms().len(), 1, "{what}");
        rig.heal(&id(1));
        rig.run(mins(25)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        if other {
            assert_eq!([2, 3].map(|n| rig.reboots()[&id(n)]), [1, 1], "{}", rig.story());
        }
    }
}

/// A removal that could not be looked for ends in a later run, also when a run between could not either.
#[tokio::test(start_paused = true)]
async fn a_removal_that_needed_a_person_is_finished_later() {
    for failing in [1, 2] {
        let mut web = plan("web", "0,20 2 * * *");
        web.keep.last = 1;
        let mut rig = Rig::new(&fleet(1), vec![web]);
        rig.start();
        rig.run(mins(19)).await;
        let image = rig.images_of(&id(1)).remove(0);
        let snapshots: Vec<String> = image.snapshots().map(str::to_owned).collect();
        rig.script.leaves_snapshots.set(true);
        let journal = std::rc::Rc::clone(&rig.journal);
        let intent = |e: &Event| e.draft.kind == Kind::StepIntent && e.draft.step == "retain";
        rig.script.once(intent, move || journal.dies(super::journal::Death::Before(journal.written() + 1)));
        assert!(!rig.run(mins(15)).await, "it never died\n{}", rig.story());
        for api in ["DescribeImages:tag", "DescribeImages:ids"] {
            // Selection lists by tag as well, but only to look for another installation.
            rig.script.refuse(api, None, MANY, "UnauthorizedOperation", "no");
        }
        rig.start();
        rig.run(mins(20)).await;
        let needs = async |rig: &Rig| rig.journal.rows().open_needs("retain").await.expect("readable").len();
        assert_eq!(needs(&rig).await, 1, "{}", rig.story());
        rig.script.relents();
        for run in 1..=failing {
            if run < failing {
                rig.script.refuse("DescribeImages:ids", Some(image.id.clone()), MANY, "UnauthorizedOperation", "no");
            }
            ask(&rig);
            rig.run(mins(20)).await;
            rig.script.relents();
            assert_eq!(needs(&rig).await, usize::from(run < failing), "{run} of {failing}\n{}", rig.story());
        }
        rig.stop().await;
        promises::hold(&rig).await;
        assert!(snapshots.iter().all(|s| !rig.world().snapshots.contains_key(s)), "{}", rig.story());
    }
}

/// CreateImage of a stopped instance took effect, its answer was lost, and a person starts the instance.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_for_also_when_the_instance_was_started() {
    let mut rig =
        Rig::new(&fleet_with(1, r#""state": "stopped","#, r#""visibility_lag": 60,"#), vec![plan("web", "0 2 * * *")]);
    rig.fault(Fault::once("CreateImage", FaultKind::CutAfter));
    let (cloud, clock) = (rig.cloud.clone(), rig.clock);
    rig.script.once(
        |e: &Event| e.draft.kind == Kind::StepUnknown,
        move || {
            let start = Action::StartInstances { instances: vec![id(1)] };
            cloud.world().call(clock.now(), &Caller::new(ACCOUNT), REGION, &start).expect("started");
        },
    );
    rig.start();
    rig.run(mins(20)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.targets("web", "02:00")[&id(1)], "done: ", "{}", rig.story());
    assert_eq!((rig.images_of(&id(1)).len(), rig.all_reboots()), (1, 0), "{}", rig.story());
}

/// CreateImage of a stopped instance was lost before it took effect, and a person starts the instance: its image would
/// not be at rest, so it is not sent again.
#[tokio::test(start_paused = true)]
async fn what_was_lost_is_not_sent_again_for_an_instance_that_was_started() {
    for started in [false, true] {
        let mut rig = Rig::new(&fleet_with(1, r#""state": "stopped","#, ""), vec![plan("web", "0 2 * * *")]);
        rig.fault(Fault::once("CreateImage", FaultKind::CutBefore));
        rig.start();
        rig.run(mins(5)).await;
        if started {
            rig.act(&Action::StartInstances { instances: vec![id(1)] });
        }
        rig.run(mins(40)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        assert_eq!(rig.calls("CreateImage").len(), if started { 1 } else { 2 }, "{}", rig.story());
        let end = rig.targets("web", "02:00")[&id(1)].clone();
        let wanted = if started { "it was stopped when it was selected and is running now" } else { "done: " };
        assert!(end.contains(wanted), "{end}\n{}", rig.story());
    }
}

/// An attempt that certainly was not made does not count when the next one's answer is lost.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_refused_is_none_that_was_lost() {
    for lost in [1, 2] {
        let mut rig = Rig::new(&fleet(1), vec![plan("web", "0 2 * * *")]);
        rig.script.refuse("CreateImage", None, MANY, "ResourceLimitExceeded", "too many in progress");
        rig.start();
        rig.run(secs(60)).await;
        rig.stop().await;
        rig.script.relents();
        rig.fault(Fault::once("CreateImage", FaultKind::CutBefore).times(lost));
        rig.start();
        rig.run(mins(40)).await;
        rig.stop().await;
        promises::hold(&rig).await;
        let sent = rig.calls("CreateImage").len();
        assert_eq!(sent, 2, "looked for, and sent once more\n{}", rig.story());
        assert_eq!(rig.all_reboots(), usize::from(lost == 1), "{}", rig.story());
        assert_eq!(rig.outcomes("web"), [if lost == 1 { "02:00 done" } else { "02:00 failed" }], "{}", rig.story());
    }
}

/// A schedule of every second leaves no second free: the next one is taken. Of every second for a while: the end.
#[tokio::test(start_paused = true)]
async fn a_request_is_due_soon_whatever_the_schedule() {
    for (cron, due) in [("* * * * * *", None), ("* 0-2 2 * * *", Some("2026-03-02T02:03:00Z"))] {
        let mut rig = Rig::new(&fleet(1), vec![plan("web", cron)]);
        rig.start();
        rig.run(secs(11)).await;
        let now = rig.clock.now();
        ask(&rig);
        rig.run(secs(5)).await;
        rig.crash();
        let list = rig.journal.rows().occurrences(None, 100).await.expect("readable");
        let manual: Vec<_> = list.iter().filter(|o| o.trigger == Trigger::Manual).map(|o| o.due).collect();
        assert_eq!(manual.len(), 1, "{}", rig.story());
        match due {
            Some(due) => assert_eq!(manual[0], at(due)),
            None => assert!((manual[0] - now).num_seconds() <= 3, "{} asked, due {}", now, manual[0]),
        }
    }
}

/// What the journal holds already in other words was not written now: nothing is done.
#[tokio::test(start_paused = true)]
async fn an_intent_that_does_not_fit_makes_no_effect() {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0 2 * * *")]);
    rig.start();
    until(&mut rig, |rig| rig.all_reboots() == 1).await;
    let run = run_name("web", at("2026-03-02T02:00:00Z"));
    let other = Draft::of(&run, &subject(&id(2)), Kind::StepIntent, json!({ "name": "other" })).at_step("image", 1);
    rig.journal.inner().append(rig.clock.now(), &drafts(&[other])).await.expect("written");
    rig.run(mins(10)).await;
    rig.stop().await;
    assert!(!rig.journal.conflicts().is_empty(), "{}", rig.story());
    assert_eq!(rig.reboots()[&id(2)], 0, "{}", rig.story());
    assert!(rig.calls("CreateImage").iter().all(|c| c.parameters["InstanceId"] == id(1)), "{}", rig.story());
}

/// These credentials find nothing in another account, which proves nothing.
#[tokio::test(start_paused = true)]
async fn leftovers_of_another_account_are_left_alone() {
    let mut rig = Rig::new(&fleet(1), vec![plan("web", "0,20 2 * * *")]);
    rig.start();
    rig.run(mins(10)).await;
    let theirs = Place::new("222222222222", REGION);
    let run = run_name("web", at("2026-03-02T02:00:00Z"));
    let needs = ["snap-00000000000000abc", "ami-00000000000000abc"].map(|id| {
        let data = json!({ "outcome": "failed", "reason": "locked", "intent": { "image": id, "snapshots": [] } });
        Draft::of(&run, &theirs.subject(id), Kind::StepNeedsPerson, data).at_step("retain", 1)
    });
    rig.journal.inner().append(rig.clock.now(), &drafts(&needs)).await.expect("written");
    rig.run(mins(30)).await;
    rig.stop().await;
    promises::hold(&rig).await;
    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:20 done"], "{}", rig.story());
    assert!(rig.calls("DeleteSnapshot").is_empty(), "{}", rig.story());
    assert_eq!(rig.journal.rows().open_needs("retain").await.expect("readable").len(), 2, "{}", rig.story());
}
