//! What `preview` says of retention is what the next run decides, in a thousand states that seeds draw: fleets, plans with
//! copies and shares, images that people held, launched, lent, spoiled or took away, and rules that changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta};
use fastrand::Rng;
use serde_json::json;
use stillframe::domain::fact::Kind;
use stillframe::domain::naming::parse_rfc3339;
use stillframe::view::preview::PreviewDocument;
use tokio::runtime::Builder;

use super::draw;
use super::foresight;
use super::people::{ACTS, ACTS_AFAR, Act, Deed};
use super::rig::{Rig, mins, secs};
use super::{copies, truth};

/// So many states are compared.
const STATES: usize = 1_000;
/// So many runs in a life.
const RUNS: usize = 10;
/// A run is over, with its copies, after so long.
const RUN: u64 = 120;
/// What was compared must hold at least so many of these, or the states are too tame.
const AT_LEAST: [(&str, usize); 7] = [
    ("verdicts", 5_000),
    ("deleted", 500),
    ("copies", 500),
    ("held", 50),
    ("in use", 20),
    ("max_deletions", 50),
    ("shared", 50),
];

type Verdicts = BTreeSet<(Option<String>, String, Vec<String>)>;
/// Account, region, instance, and role.
type Key = (String, String, String, String);

#[derive(Default)]
struct Tally {
    states: usize,
    of: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn count(&mut self, verdicts: &Verdicts, role: &str) {
        for (_, verdict, reasons) in verdicts {
            let reasons = reasons.join("; ");
            let mut of = |what, is: bool| *self.of.entry(what).or_default() += usize::from(is);
            of("verdicts", true);
            of("deleted", verdict == "delete");
            of("copies", role == "copy");
            of("held", reasons.contains("on hold"));
            of("in use", reasons.contains("in use by"));
            of("max_deletions", reasons.contains("max_deletions"));
            of("shared", reasons.contains("shared:"));
        }
    }
}

/// What was foreseen, by series. An image to come has no id.
fn foreseen(preview: &PreviewDocument) -> BTreeMap<Key, Verdicts> {
    let mut all: BTreeMap<Key, Verdicts> = BTreeMap::new();
    for i in &preview.plans[0].retention {
        let key = (i.account.clone(), i.region.clone(), i.instance.clone(), i.role.to_owned());
        all.entry(key).or_default().insert((i.image.clone(), i.verdict.to_owned(), i.reasons.clone()));
    }
    all
}

/// What the run decided, by series. What was not there before has no id.
async fn decided(rig: &Rig, run: &str, known: &BTreeSet<String>) -> BTreeMap<Key, Verdicts> {
    let events = rig.journal.rows().events_of(run).await.expect("readable");
    let mut all = BTreeMap::new();
    for event in events.iter().filter(|e| e.draft.kind == Kind::RetainDecided) {
        let subject = event.draft.subject.as_ref().expect("a series has an instance");
        let verdict = |v: &serde_json::Value| {
            let image = v["image"].as_str().filter(|image| known.contains(*image)).map(str::to_owned);
            let reasons = v["reasons"].as_array().expect("reasons").iter().filter_map(|r| Some(r.as_str()?.to_owned()));
            (image, v["verdict"].as_str().expect("a word").to_owned(), reasons.collect())
        };
        let verdicts = event.draft.data["verdicts"].as_array().expect("verdicts").iter().map(verdict).collect();
        let place = &subject.place;
        let key = (place.account.clone(), place.region.clone(), subject.id.clone(), event.draft.step.clone());
        all.insert(key, verdicts);
    }
    all
}

/// Whether some image rests, or is in grace, until a moment of the run itself: a preview judges as of the run's beginning.
fn ends_meanwhile(rig: &Rig) -> bool {
    let now = rig.clock.now();
    let meanwhile = |end: DateTime<chrono::Utc>| end >= now && end <= now + TimeDelta::minutes(RUN as i64);
    let graces: Vec<u64> = rig.plans.iter().filter_map(|p| Some(p.share.as_ref()?.grace)).chain([7 * 86_400]).collect();
    let world = rig.world();
    let mut ours = world.images.values().filter(|i| i.registered() && truth::of_us(i).is_some());
    ours.any(|i| {
        let tags = |grace: &u64| {
            let at = i.deprecated?;
            Some(meanwhile(at + TimeDelta::seconds(*grace as i64)))
        };
        meanwhile(i.created + TimeDelta::days(1)) || graces.iter().any(|grace| tags(grace).unwrap_or(false))
    })
}

fn deed(rng: &mut Rng, afar: bool) -> Deed {
    let of: &[(Act, &str)] = if afar && rng.bool() { &ACTS_AFAR } else { &ACTS };
    let (act, _) = of[rng.usize(..of.len())];
    // A copy without tags is none of ours, and EC2 answers to the same token with it: what is foreseen is not made.
    let act = if act == Act::UntagCopy || act == Act::Terminate && rng.f64() < 0.8 { Act::Hold } else { act };
    Deed { act, nth: rng.usize(..32) }
}

async fn life(seed: u64) -> Tally {
    let mut plot = draw::plot(seed);
    let mut rng = Rng::with_seed(seed ^ 0x666f_7265);
    plot.fleet.throttling = false;
    for member in &mut plot.fleet.instances {
        (member.never_healthy, member.image_fails, member.image_seconds) = (false, false, None);
    }
    plot.fleet.copy_seconds = Some([30.0, 120.0]);
    plot.plans.truncate(1);
    // What runs is asked for.
    plot.plans[0].schedule.cron = vec!["0 0 29 2 *".into()];
    plot.plans[0].schedule.window = None;
    let mut rig = Rig::of(&plot.fleet, plot.plans.clone());
    fastrand::seed(seed);
    rig.visible_within = secs(180);
    if plot.afar {
        rig.roles = vec![copies::role(copies::DR)];
    }
    let mut tally = Tally::default();
    for runs in 1..=RUNS {
        rig.sleep(TimeDelta::minutes(rng.i64(180..3_600)));
        for _ in 0..rng.u32(0..4) {
            deed(&mut rng, plot.afar).carry_out(&mut rig);
        }
        rig.clock.sleep(mins(5)).await; // what people did is listed everywhere
        while ends_meanwhile(&rig) {
            rig.sleep(TimeDelta::minutes(30));
        }
        if rng.f64() < 0.3 {
            rig.plans[0].keep = draw::keep(&mut rng, true);
        }
        let known: BTreeSet<String> = rig.world().images.keys().cloned().collect();
        rig.start();
        rig.run(secs(30)).await;
        let preview = foresight::preview(&rig, Some(rig.clock.now_secs())).await;
        rig.journal.ask(rig.clock.now(), &json!({ "plan": rig.plans[0].name })).expect("written");
        for _ in 0..RUN {
            rig.run(mins(1)).await;
            if rig.told(&Kind::RunFinished).len() == runs {
                break;
            }
        }
        rig.stop().await;
        compare(&rig, &preview, &known, &mut tally, seed).await;
        // Whom a person spoiled is well again now and then.
        for instance in rig.world().instances.values_mut() {
            instance.traits.image_fails &= rng.bool();
        }
    }
    tally
}

async fn compare(rig: &Rig, preview: &PreviewDocument, known: &BTreeSet<String>, tally: &mut Tally, seed: u64) {
    let Some(newest) = rig.journal.rows().occurrences(None, 1).await.expect("readable").pop() else { return };
    let due = preview.plans[0].due.as_deref().and_then(parse_rfc3339);
    assert_eq!(due, Some(newest.due), "seed {seed}: the run began in another second");
    let story = || {
        let run = newest.run();
        let told: Vec<String> = rig.story().lines().filter(|line| line.contains(&run)).map(str::to_owned).collect();
        format!("seed {seed}: {:?}\n{:#?}\n{}", rig.plans, preview.plans[0].owed, told.join("\n"))
    };
    // A preview assumes that each target comes to a good end.
    let events = rig.journal.rows().events_of(&newest.run()).await.expect("readable");
    let mut ends = events.iter().filter(|e| e.draft.kind == Kind::TargetFinished);
    if ends.any(|e| e.text("outcome") != Some("done")) {
        return;
    }
    let foreseen = foreseen(preview);
    let decided = decided(rig, &newest.run(), known).await;
    tally.states += 1;
    for (key, verdicts) in &foreseen {
        tally.count(verdicts, &key.3);
        match decided.get(key) {
            Some(decided) => {
                let [here, there] = [decided.difference(verdicts), verdicts.difference(decided)].map(Vec::from_iter);
                assert!(here == there, "{key:?}: decided {here:#?}\nforeseen {there:#?}\n{}", story());
            }
            None => {
                let goes = verdicts.iter().any(|(_, verdict, _)| verdict == "delete");
                assert!(!goes, "{key:?}: nothing was decided\n{}", story());
            }
        }
    }
    for key in decided.keys() {
        assert!(foreseen.contains_key(key), "{key:?}: nothing was foreseen\n{}", story());
    }
}

#[test]
fn what_preview_says_of_retention_is_what_the_next_run_decides() {
    let (next, all) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    let one = std::env::var("STILLFRAME_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while all.lock().expect("whole").states < STATES {
                    let seed = one.unwrap_or_else(|| next.fetch_add(1, Ordering::Relaxed));
                    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
                    let tally = runtime.expect("a runtime").block_on(life(seed));
                    let mut all = all.lock().expect("whole");
                    all.states += if one.is_some() { STATES } else { tally.states };
                    for (what, times) in tally.of {
                        *all.of.entry(what).or_default() += times;
                    }
                }
            });
        }
    });
    let all = all.into_inner().expect("a life failed: see above");
    let times = |what| all.of.get(what).copied().unwrap_or_default();
    let tame = AT_LEAST.iter().any(|(what, least)| times(*what) < *least);
    assert!(one.is_some() || !tame, "too tame: {} states with {:?}, and wanted are {AT_LEAST:?}", all.states, all.of);
}
