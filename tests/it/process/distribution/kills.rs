//! kill -9 after each single call of the chain that ends in another account: the world has done it, and the client never
//! hears. The next start ends what was begun, and nothing is left of what was lent. After each effect and each third read;
//! after all with `STILLFRAME_KILLS=all`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags};
use stillframe::sim::Fleet;
use stillframe::sim::faults::{Fault, FaultKind};
use stillframe::sim::fleet::ACCOUNT;

use super::{AWAY, DR, good, lands, site};
use crate::process::plan;
use crate::support::child::{of_event, of_level, until};
use crate::support::site::{REGION, Site};
use crate::support::world::{Door, instance, lent};

/// Longer than any test.
const FOR_EVER: FaultKind = FaultKind::HangAfter { seconds: 3600.0 };
/// How often a moment that can be missed is tried to be met.
const TRIES: u32 = 8;
/// So many worlds at once: they mostly wait.
const AT_ONCE: usize = 24;

/// What is copied, and how.
#[derive(Clone, Copy)]
struct Chain {
    instances: usize,
    /// The key of the volumes.
    under: &'static str,
    /// The plan goes on with this after the place and the key of its `[[copy]]`.
    more: &'static str,
    /// What is made is listed only after so many of the world's seconds.
    lag: f64,
    /// Only after calls that change something.
    effects: bool,
}

/// A customer-managed key is lent to the other account.
const LENT: Chain = Chain { instances: 1, under: "alias/own", more: "", lag: 0.0, effects: false };
/// The key cannot be lent: a copy under another one goes before, and is removed in the end.
const VIA: Chain = Chain { under: "alias/aws/ebs", more: "via_key = \"alias/lend\"\n", ..LENT };
/// Two images at once under one key, shared with others and with the account that copies them.
const SHARED: Chain = Chain {
    instances: 2,
    more: "[share]\naccounts = [\"333333333333\", \"222222222222\"]\n",
    lag: 20.0,
    effects: true,
    ..LENT
};

/// One call, by its place among those of its API in its region.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Served {
    api: String,
    region: String,
    account: String,
    before: u32,
    effect: bool,
}

impl Served {
    fn words(&self) -> String {
        let Self { api, region, account, before, effect } = self;
        let kind = if *effect { "effect" } else { "read" };
        format!("{api} {} in {account}/{region} ({kind})", before + 1)
    }
}

impl Chain {
    fn fleet(self) -> Fleet {
        Fleet { visibility_lag: self.lag, ..lands(self.instances, Some(self.under)) }
    }

    fn site(self, door: &Door) -> Site {
        let site = site(door);
        let copy =
            format!("[[copy]]\nregion = \"{AWAY}\"\naccount = \"dr\"\nkms_key = \"alias/backup\"\n{}", self.more);
        site.plan("nightly", &(plan(2, "") + &copy));
        site
    }

    /// All calls of a run that nobody disturbs, in their order; and what is lent after it.
    fn calls(self) -> (Vec<Served>, Vec<String>) {
        let door = Door::open(&self.fleet());
        let site = self.site(&door);
        let ended = site.run(&["backup", "nightly", "--json"]).expect(0);
        let log = ended.log();
        assert_eq!(of_level(&log, "ERROR"), Vec::<&serde_json::Value>::new(), "{}", ended.stderr);
        let lent = kinds(&door);
        self.whole(&door, &site, &lent).unwrap_or_else(|why| panic!("{why}\n{}", ended.stderr));
        let begun: DateTime<Utc> = of_event(&log, "run.started")[0]["ts"].as_str().unwrap().parse().unwrap();
        let mut seen: BTreeMap<(String, String), u32> = BTreeMap::new();
        let mut calls = Vec::new();
        for call in door.world().calls.iter() {
            let before = seen.entry((call.api.clone(), call.region.clone())).or_default();
            if call.at >= begun {
                let (api, region, account) = (call.api.clone(), call.region.clone(), call.account.clone());
                calls.push(Served { api, region, account, before: *before, effect: call.effect });
            }
            *before += 1;
        }
        let all = calls.len();
        let every = std::env::var("STILLFRAME_KILLS").is_ok_and(|which| which == "all");
        let mut reads = 0;
        calls.retain(|call| {
            reads += usize::from(!call.effect);
            call.effect || !self.effects && (every || reads % 3 == 1)
        });
        println!("{} of {all} calls; STILLFRAME_KILLS=all takes each read too, not each third", calls.len());
        (calls, lent)
    }

    /// The process dies when `served` was, and another goes on. What is wrong then, if anything is.
    fn cut(self, served: &Served, lent: &[String]) -> Result<&'static str, String> {
        // What runs beside may write its intent at that very moment, and is not called for then: another time it is.
        (0..TRIES)
            .find_map(|_| self.cut_once(served, lent))
            .unwrap_or_else(|| Err("killed right after an intent".into()))
    }

    /// The same; nothing: it died between the intent of an image and its call, which is looked for for ten minutes then.
    fn cut_once(self, served: &Served, lent: &[String]) -> Option<Result<&'static str, String>> {
        let door = Door::open(&self.fleet());
        let site = self.site(&door);
        let fault = Fault::once(&served.api, FOR_EVER).region(&served.region).after(served.before);
        door.world().faults.push(fault);
        let mut backup = site.spawn(&["backup", "nightly", "--json"]);
        let reached = until("call, or the end of the process", || {
            let reached = door.world().faults.is_empty();
            (reached || backup.ended()).then_some(reached)
        });
        if !reached {
            // How often something is asked for until it is there differs from run to run.
            let end = if served.effect { Err("the call never came".into()) } else { self.whole(&door, &site, lent) };
            return Some(end.map(|()| "ok: it was not asked so often this time"));
        }
        // An image that was called for, and perhaps was not, is looked for for ten minutes before it is called for again:
        // what runs beside that call is answered no sooner than it.
        let beside = (served.api.as_str(), served.before) == ("GetCallerIdentity", 1);
        if beside || intents(&site) > 0 {
            let all = || (door.calls("CreateImage").len() == self.instances).then_some(());
            until("CreateImage of each instance", all);
        }
        let dead = backup.kill().log();
        if door.calls("CreateImage").len() < intents(&site) {
            return None;
        }
        let log = match of_event(&dead, "run.started").is_empty() {
            // What the process looks up beside, as it starts, may come before or after: nothing was begun yet.
            true => site.run(&["backup", "nightly", "--json"]).log(),
            false => {
                let mut daemon = site.spawn(&["run"]);
                daemon.logged("run.finished");
                daemon.terminate();
                daemon.wait().expect(0).log()
            }
        };
        let errors = of_level(&log, "ERROR");
        if !errors.is_empty() {
            return Some(Err(format!("{errors:?}")));
        }
        Some(self.whole(&door, &site, lent).map(|()| "ok"))
    }

    /// The whole sweep; what is lent in the end.
    fn sweep(self) -> Vec<String> {
        let (calls, lent) = self.calls();
        let next = Mutex::new(0..calls.len());
        let ends: Mutex<BTreeMap<usize, Result<&'static str, String>>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let Some(n) = next.lock().expect("no holder panicked").next() else { return };
                        let end = catch_unwind(AssertUnwindSafe(|| self.cut(&calls[n], &lent)));
                        let end = end.unwrap_or_else(|_| Err("a panic: see above".into()));
                        ends.lock().expect("no holder panicked").insert(n, end);
                    }
                });
            }
        });
        let ends = ends.into_inner().expect("no holder panicked");
        let mut wrong = Vec::new();
        for (n, end) in &ends {
            let call = format!("{:>3} {:<70}", n + 1, calls[*n].words());
            match end {
                Ok(good) => println!("{call} {good}"),
                Err(why) => wrong.push(format!("{call} {why}")),
            }
        }
        assert_eq!(ends.len(), calls.len());
        assert!(wrong.is_empty(), "{} of {} calls:\n{}", wrong.len(), calls.len(), wrong.join("\n"));
        lent
    }

    /// One image of each instance, one copy of it, both good, and nothing else: no permission, tag, grant or image that
    /// was there for the way. `lent` is what `[share]` wants.
    fn whole(self, door: &Door, site: &Site, lent: &[String]) -> Result<(), String> {
        let runs = site.history();
        let outcomes: Vec<_> = runs.iter().map(|run| (run["outcome"].as_str(), run["reason"].as_str())).collect();
        if outcomes != [(Some("done"), Some(""))] {
            return Err(format!("runs: {outcomes:?}"));
        }
        let left = kinds(door);
        if left != lent {
            return Err(format!("lent: {left:#?}"));
        }
        let world = door.world();
        let registered = world.images.values().filter(|image| image.registered()).count();
        let reboots: Vec<usize> = (0..self.instances).map(|i| world.instances[&instance(i)].reboot_count()).collect();
        let (copies, images) = (good(&world, DR, AWAY).len(), good(&world, ACCOUNT, REGION).len());
        let n = self.instances;
        if (copies, images, registered, world.snapshots.len()) != (n, n, 2 * n, 4 * n) || reboots != vec![1; n] {
            let snapshots = world.snapshots.len();
            return Err(format!(
                "{copies} copies, {images} images, {registered} registered, {snapshots} snapshots, reboots {reboots:?}"
            ));
        }
        Ok(())
    }
}

/// The images that the journal means to ask for. Its log may not have said so yet.
fn intents(site: &Site) -> usize {
    // A process that just starts may not have made it yet: nothing is meant then.
    let path = site.state().join("journal.sqlite");
    let Ok(journal) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE) else { return 0 };
    let count = "SELECT count(*) FROM event WHERE kind = 'step.intent' AND step = 'image'";
    let count: i64 = journal.query_row(count, [], |row| row.get(0)).unwrap_or(0);
    usize::try_from(count).expect("few")
}

/// All that is lent, by kinds: the ids differ from world to world.
fn kinds(door: &Door) -> Vec<String> {
    let mut kinds: Vec<String> = lent(&door.world()).iter().map(|line| stripped(line)).collect();
    kinds.sort();
    kinds
}

fn stripped(line: &str) -> String {
    let id = |word: &str| ["ami-", "snap-"].into_iter().find(|kind| word.starts_with(kind));
    line.split(' ').map(|word| id(word).unwrap_or(word)).collect::<Vec<_>>().join(" ")
}

#[test]
fn after_each_call_of_the_chain() {
    assert_eq!(LENT.sweep(), Vec::<String>::new());
}

#[test]
fn after_each_call_of_the_chain_by_way_of_another_key() {
    assert_eq!(VIA.sweep(), Vec::<String>::new());
}

#[test]
fn after_each_effect_of_two_chains_beside_a_share() {
    let lent = SHARED.sweep();
    // Two images and their copies; two snapshots each; and two keys: the account of the copies needs no loan of its own.
    let count = |words: &str| lent.iter().filter(|line| line.contains(words)).count();
    assert_eq!(count("ami- to 333333333333"), 4, "{lent:#?}");
    assert_eq!(count("ami- to 222222222222"), 2, "{lent:#?}");
    assert_eq!(count("snap- to 333333333333"), 8, "{lent:#?}");
    assert_eq!(count("snap- to 222222222222"), 4, "{lent:#?}");
    assert_eq!(count("key/"), 3, "{lent:#?}");
    assert_eq!(count("is tagged stillframe:lent"), 12, "{lent:#?}");
    assert_eq!(lent.len(), 4 + 2 + 8 + 4 + 3 + 12, "{lent:#?}");
}
