//! What `preview`, `status`, `explain` and `history` tell of a world that the real engine works in; and that what was
//! foreseen is what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use stillframe::cloud::governed::Governed;
use stillframe::domain::event::Outcome;
use stillframe::domain::fact::Kind;
use stillframe::engine::context::us::Us;
use stillframe::journal::Journal as _;
use stillframe::report::document::Document as _;
use stillframe::report::run::History;
use stillframe::report::table::Paint;
use stillframe::sim::action::Action;
use stillframe::sim::answer::Answer;
use stillframe::view::explain::ExplainDocument;
use stillframe::view::history::{self, Filter};
use stillframe::view::preview::PreviewDocument;
use stillframe::view::preview::{self, foresee};
use stillframe::view::status::StatusDocument;
use stillframe::view::{explain, status};

use super::rig::{DAEMON, REGION, Rig, at, fleet, id, mins, plan, secs};

const MANY: u32 = 1_000_000;
const OTHER: &str = "eu-west-1";

fn cloud(rig: &Rig) -> Governed {
    let scripted = rig.scripted();
    Governed::new(Rc::new(scripted), rig.clock, 1.0)
}

fn us(rig: &Rig) -> Us<'_> {
    Us { daemon: DAEMON, installation: &rig.installation, taken_over_at: rig.taken_over_at }
}

pub async fn preview(rig: &Rig, at: Option<DateTime<Utc>>) -> PreviewDocument {
    let ask = preview::Ask { now: rig.clock.now_secs(), at, days: TimeDelta::days(1), lags: rig.lags };
    let plans: Vec<_> = rig.plans.iter().collect();
    foresee(&cloud(rig), Some(rig.journal.reader()), us(rig), &rig.own_machine, &plans, ask).await
}

pub async fn explain(rig: &Rig, image: &str) -> ExplainDocument {
    let regions = [REGION.to_owned(), OTHER.to_owned()];
    let now = rig.clock.now_secs();
    let ask = explain::Ask { image, us: us(rig), plans: &rig.plans, regions: &regions, only: None, now };
    explain::tell(&cloud(rig), Some(rig.journal.reader()), ask).await.expect("readable")
}

pub async fn status(rig: &Rig, running: bool) -> StatusDocument {
    let now = rig.clock.now_secs();
    status::gather(Some((rig.journal.reader(), "journal.sqlite")), DAEMON, &rig.plans, Some(running), now)
        .await
        .expect("readable")
}

/// The text, and the document with a line for each list and each of its members: its shape is the promise.
pub fn golden(name: &str, text: &str, json: &str) {
    assert_eq!(json.matches('\n').count(), 1, "one line: {json}");
    let document: Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(document["schema"], 1);
    let json =
        json.replace(":[{", ":[\n  {").replace("},{", "},\n  {").replace("],\"", "],\n\"").replace("},\"", "},\n\"");
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, format!("{text}\n{json}"));
    });
}

/// Two regions, one instance that is left out, one without a reboot; three occurrences have run, the fourth is due.
async fn before_the_fourth() -> Rig {
    let members =
        fleet(4).replace(&format!(r#""id": "{}","#, id(3)), &format!(r#""state": "stopped", "id": "{}","#, id(3)));
    let mut web = plan("web", "0,20,40 2,3 * * *");
    web.schedule.timezone = chrono_tz::Europe::Berlin.into();
    web.schedule.cron = vec!["0,20,40 3,4 * * *".into()];
    web.select.regions.push(OTHER.into());
    web.select.exclude_tags = BTreeMap::from([("Skip".into(), BTreeSet::from(["*".into()]))]);
    web.keep.last = 2;
    let mut rig = Rig::new(&members, vec![web]);
    rig.act(&Action::CreateTags {
        resources: vec![id(4)],
        tags: vec![("Skip".into(), "yes".into()), ("Name".into(), "脚本 server".into())],
    });
    rig.start();
    rig.run(mins(55)).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn what_was_foreseen_is_what_happens() {
    let mut rig = before_the_fourth().await;
    // One image that would go stays: a person holds it.
    let held = rig.images_of(&id(1))[0].id.clone();
    rig.act(&Action::CreateTags { resources: vec![held], tags: vec![("stillframe:hold".into(), String::new())] });
    let (calls, written) = (rig.world().calls.iter().count(), rig.journal.written());
    let foreseen = preview(&rig, None).await;
    assert!(foreseen.ok(), "{foreseen:#?}");
    assert_eq!(rig.journal.written(), written, "nothing is written");
    let asked: BTreeSet<String> = rig.world().calls.iter().skip(calls).map(|c| c.api.clone()).collect();
    assert!(asked.iter().all(|api| api.starts_with("Describe") || api == "GetCallerIdentity"), "{asked:?}");
    golden("preview", &foreseen.text(Paint::PLAIN), &foreseen.json());

    rig.run(mins(15)).await;
    rig.stop().await;
    super::promises::hold(&rig).await;
    let plan = &foreseen.plans[0];
    let run = "web@20260302T030000Z";
    let events = rig.journal.rows().events_of(run).await.expect("readable");
    // Who was taken, who was left out, and why.
    let happened = |e: &crate::support::rows::Event| {
        let subject = e.draft.subject.as_ref()?;
        match e.draft.kind {
            Kind::TargetSelected => Some((subject.id.clone(), "selected", String::new())),
            Kind::TargetSkipped => Some((subject.id.clone(), "skipped", e.text("reason")?.to_owned())),
            _ => None,
        }
    };
    let taken: BTreeSet<_> = events.iter().filter_map(happened).collect();
    let expected: BTreeSet<_> =
        plan.targets.iter().map(|t| (t.instance.clone(), t.outcome, t.reason.clone())).collect();
    assert_eq!(taken, expected, "{}", rig.story());
    // What stays and what goes, and why; the new image had no id yet.
    let known: BTreeSet<&str> = plan.retention.iter().filter_map(|i| i.image.as_deref()).collect();
    let mut decided = BTreeSet::new();
    for event in events.iter().filter(|e| e.draft.kind == Kind::RetainDecided) {
        for v in event.draft.data["verdicts"].as_array().expect("verdicts") {
            let image = v["image"].as_str().filter(|image| known.contains(image)).map(str::to_owned);
            decided.insert((image, v["verdict"].to_string(), v["reasons"].to_string()));
        }
    }
    let expected: BTreeSet<_> = plan
        .retention
        .iter()
        .map(|i| (i.image.clone(), format!("\"{}\"", i.verdict), serde_json::json!(i.reasons).to_string()))
        .collect();
    assert!(expected.iter().any(|(_, verdict, _)| verdict.contains("delete")), "{expected:#?}");
    assert_eq!(decided, expected, "{}", rig.story());
}

/// A region that cannot be read hides nothing of the others, and credentials that fail hide no occurrence.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_said() {
    let mut rig = before_the_fourth().await;
    rig.stop().await;
    rig.script.refuse("DescribeInstances:tags", None, 1, "UnauthorizedOperation", "You are not authorized");
    let first = preview(&rig, None).await;
    assert!(!first.ok());
    let text = first.text(Paint::PLAIN);
    assert!(
        text.contains("NOT KNOWN: eu-central-1: cannot list the instances")
            && text.contains("may not perform ec2:DescribeInstances"),
        "{text}"
    );
    assert!(text.contains("retention, if it ran at"), "its images were read: {text}");
    rig.script.refuse("DescribeImages:tag", None, 1, "UnauthorizedOperation", "You are not authorized");
    let second = preview(&rig, Some(at("2026-03-02T12:00:00Z"))).await;
    let text = second.text(Paint::PLAIN);
    assert!(text.contains("NOT KNOWN: eu-central-1: cannot list our images"), "{text}");
    assert!(!second.ok() && second.plans[0].due.as_deref() == Some("2026-03-02T12:00:00Z"), "{text}");
    rig.script.relents();
    rig.script.refuse("GetCallerIdentity", None, MANY, "ExpiredToken", "the token is expired");
    let third = preview(&rig, None).await;
    let text = third.text(Paint::PLAIN);
    assert!(!third.ok() && text.contains("2026-03-02T03:00:00Z"), "{text}");
    assert!(text.contains("cannot tell which account this is: ExpiredToken") && text.contains("aws sts"), "{text}");
    // Where no connection is made, nobody is sent to look at credentials.
    rig.script.relents();
    rig.script.refuse("GetCallerIdentity", None, MANY, "Connection", "no connection could be made");
    let text = preview(&rig, None).await.text(Paint::PLAIN);
    assert!(text.contains("which account this is: Connection") && !text.contains("Check the credentials"), "{text}");
    // The journal alone still knows who made an image.
    let image = rig.images_of(&id(1))[0].id.clone();
    let told = explain(&rig, &image).await;
    let text = told.text(Paint::PLAIN);
    assert!(!told.ok() && text.contains("from the journal alone: AWS could not be asked"), "{text}");
    assert!(text.contains("made by    web@20260302T02") && text.contains("(schedule, done)"), "{text}");
}

/// A machine that is not known is rebooted by nobody; another installation's image stops everything.
#[tokio::test(start_paused = true)]
async fn our_own_machine_and_another_installation_show() {
    let mut rig = before_the_fourth().await;
    rig.stop().await;
    rig.own_machine = stillframe::domain::machine::OwnMachine::Instance(id(1));
    let text = preview(&rig, None).await.text(Paint::PLAIN);
    assert!(text.contains(&format!("this machine is {}, which is never rebooted", id(1))), "{text}");
    assert!(text.contains("it is not rebooted: the daemon itself runs on it"), "{text}");
    rig.own_machine = stillframe::domain::machine::OwnMachine::Unknown("metadata is silent".into());
    let unknown = preview(&rig, None).await;
    let selected: Vec<_> = unknown.plans[0].targets.iter().filter(|t| t.outcome == "selected").collect();
    assert_eq!(selected.iter().map(|t| &*t.instance).collect::<Vec<_>>(), [id(3)], "the stopped one is not rebooted");
    rig.installation = "22222222-2222-4222-8222-222222222222".into();
    let barred = preview(&rig, None).await;
    assert!(!barred.ok());
    assert!(barred.text(Paint::PLAIN).contains("NOTHING WOULD BE BEGUN: the image ami-"), "{barred:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_image_is_explained_over_its_life() {
    let mut rig = before_the_fourth().await;
    rig.plans[0].keep.daily = 7;
    let kept = rig.images_of(&id(1))[0].clone();
    let told = explain(&rig, &kept.id).await;
    assert!(told.ok(), "{told:#?}");
    golden("explain_kept", &told.text(Paint::PLAIN), &told.json());

    // A person's copy bears all the tags, and is not ours.
    let copy = Action::CopyImage {
        source_image: kept.id.clone(),
        source_region: REGION.into(),
        name: "my copy".into(),
        description: None,
        encrypted: None,
        kms_key: None,
        copy_tags: Some(true),
        client_token: None,
        tags: Vec::new(),
    };
    let Ok(Answer::Image(copy)) = rig.act_in(OTHER, &copy) else { panic!("no copy") };
    let told = explain(&rig, &copy).await;
    golden("explain_foreign", &told.text(Paint::PLAIN), &told.json());

    // It goes; one of its snapshots is locked.
    let snapshot = kept.snapshots().next().expect("one").to_owned();
    rig.script.leaves_snapshots.set(true);
    rig.script.refuse("DeleteSnapshot", Some(snapshot.clone()), MANY, "SnapshotLocked", "the snapshot is locked");
    rig.run(mins(35)).await;
    let told = explain(&rig, &kept.id).await;
    assert_eq!((told.found, told.ok()), ("journal", true));
    golden("explain_deleted", &told.text(Paint::PLAIN), &told.json());
    // history says it too, until a later run has ended the matter.
    let filter = Filter {
        plan: Some("web".into()),
        instance: Some(id(1)),
        since: at("2026-03-02T03:00:00Z"),
        until: at("2026-03-02T03:20:00Z"),
        outcome: Some(Outcome::Done),
        limit: 9,
    };
    let runs = history::read(rig.journal.reader(), &filter).await.expect("readable");
    let text: String = runs.iter().map(|run| run.text(Paint::PLAIN)).collect();
    golden("history_of_one", &text, &History { runs, short: false }.json());
    rig.script.relents();
    rig.run(mins(20)).await;
    rig.stop().await;
    let runs = history::read(rig.journal.reader(), &filter).await.expect("readable");
    let text: String = runs.iter().map(|run| run.text(Paint::PLAIN)).collect();
    assert!(text.contains(&format!("{snapshot} was left, and is settled since")), "{text}");
    let told = explain(&rig, &kept.id).await.text(Paint::PLAIN);
    assert!(told.contains("deleted") && !told.contains("STILL THERE"), "{told}");

    // Somebody else's doing is not taken for ours.
    let newest = rig.images_of(&id(2)).pop().expect("one").id;
    rig.act(&Action::DeregisterImage { image: newest.clone(), delete_snapshots: None });
    let told = explain(&rig, &newest).await.text(Paint::PLAIN);
    assert!(told.contains("AWS does not show it in 111111111111/eu-central-1, 111111111111/eu-west-1"), "{told}");
    assert!(told.contains("gone       not by stillframe"), "{told}");
    // A region that cannot be read may have had it.
    rig.script.refuse("DescribeImages:ids", None, 1, "UnauthorizedOperation", "You are not authorized");
    let told = explain(&rig, "ami-0123").await;
    assert!(!told.ok() && told.text(Paint::PLAIN).contains("NOT KNOWN: eu-central-1: cannot look for it"), "{told:#?}");
    rig.script.relents();

    let unknown = explain(&rig, "ami-0123").await;
    assert!(!unknown.ok());
    let text = unknown.text(Paint::PLAIN);
    let expected =
        "ami-0123 is unknown; looked for in: 111111111111/eu-central-1, 111111111111/eu-west-1, the journal\n";
    assert_eq!(text, expected);
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_what_is_going_on_and_who_must_look() {
    let mut web = plan("web", "0,40 2 * * *");
    web.rollout.max_in_flight = 2;
    let mut rig = Rig::new(&fleet(4), vec![web, plan("db", "0 12 * * *")]);
    rig.start();
    rig.run(mins(20)).await;
    let quiet = status(&rig, true).await;
    assert!(quiet.ok() && quiet.runs.is_empty(), "{quiet:#?}");
    assert_eq!(quiet.instances.len(), 4);
    // One does not come back, the others wait for it or go on.
    rig.world().instances.get_mut(&id(1)).expect("there").traits.never_healthy = true;
    rig.run(mins(20)).await;
    rig.run(secs(25)).await;
    let busy = status(&rig, true).await;
    assert!(busy.ok(), "{busy:#?}");
    golden("status_running", &busy.text(Paint::PLAIN), &busy.json());
    let notes = |foreseen: PreviewDocument| foreseen.plans[0].notes.join("; ");
    let held = notes(preview(&rig, None).await);
    assert!(held.contains("web@20260302T024000Z is not done with its targets yet"), "{held}");
    rig.run(mins(10)).await;
    rig.crash();
    let halts = notes(preview(&rig, None).await);
    let wanted = format!("nothing of it is rebooted until {} is back in service; 4 reboots, 2 at once", id(1));
    assert!(halts.starts_with(&wanted), "{halts}");
    let halted = status(&rig, false).await;
    assert!(!halted.ok());
    golden("status_halted", &halted.text(Paint::PLAIN), &halted.json());
    // The alarm lasts until it is back.
    rig.heal(&id(1));
    rig.start();
    rig.run(mins(10)).await;
    rig.stop().await;
    let healed = status(&rig, false).await;
    let alarms: Vec<_> = healed.needs_person.iter().filter(|need| need.subject.is_some()).collect();
    assert!(alarms.is_empty(), "{alarms:#?}");
    let pace = notes(preview(&rig, None).await);
    assert!(pace.starts_with("4 reboots, 2 at once"), "nothing is held back: {pace}");
    assert!(healed.daemon.stopped.is_some());
    assert_eq!(healed.needs_person.len(), 1, "its newest run has failed: {:#?}", healed.needs_person);
}

#[tokio::test(start_paused = true)]
async fn filters_of_history_work_together() {
    let mut rig = Rig::new(&fleet(2), vec![plan("web", "0,20,40 2 * * *"), plan("db", "10 2 * * *")]);
    rig.start();
    rig.run(mins(15)).await;
    rig.world().instances.get_mut(&id(2)).expect("there").traits.image_fails = true;
    rig.run(mins(40)).await;
    rig.stop().await;
    let all = Filter {
        plan: None,
        instance: None,
        since: DateTime::UNIX_EPOCH,
        until: DateTime::<Utc>::MAX_UTC,
        outcome: None,
        limit: 20,
    };
    let some = |text: &str| Some(text.to_owned());
    let table = [
        (all.clone(), "web@0200 db@0210 web@0220 web@0240"),
        (Filter { limit: 2, ..all.clone() }, "web@0220 web@0240"),
        (Filter { limit: 0, ..all.clone() }, ""),
        (Filter { plan: some("db"), ..all.clone() }, "db@0210"),
        (
            Filter { since: at("2026-03-02T02:10:00Z"), until: at("2026-03-02T02:20:00Z"), ..all.clone() },
            "db@0210 web@0220",
        ),
        (Filter { outcome: Some(Outcome::Failed), ..all.clone() }, "web@0220 web@0240"),
        (Filter { outcome: Some(Outcome::Failed), limit: 1, ..all.clone() }, "web@0240"),
        // The run has failed, this instance has not.
        (Filter { outcome: Some(Outcome::Failed), instance: Some(id(1)), ..all.clone() }, ""),
        (Filter { outcome: Some(Outcome::Failed), instance: Some(id(2)), ..all.clone() }, "web@0220 web@0240"),
        (
            Filter { outcome: Some(Outcome::Done), instance: Some(id(1)), plan: some("web"), ..all.clone() },
            "web@0200 web@0220 web@0240",
        ),
        (Filter { outcome: Some(Outcome::Done), plan: some("web"), ..all.clone() }, "web@0200"),
        (Filter { instance: some("i-00000000000000099"), ..all.clone() }, ""),
    ];
    for (filter, expected) in table {
        let runs = history::read(rig.journal.reader(), &filter).await.expect("readable");
        let found: Vec<String> =
            runs.iter().map(|r| format!("{}@{}", r.plan, r.due[11..16].replace(':', ""))).collect();
        assert_eq!(found.join(" "), expected, "{filter:?}");
        let others =
            runs.iter().flat_map(|r| &r.targets).filter(|t| filter.instance.as_ref().is_some_and(|i| *i != t.instance));
        assert_eq!(others.count(), 0, "{filter:?}");
    }
}
