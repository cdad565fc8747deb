//! kill -9 after each single call of the chain that ends in another account: the world has done it, and the client never
//! hears. The next start ends what was begun, and nothing is left of what was lent.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use stillframe::cloud::sim::Fleet;
use stillframe::cloud::sim::faults::{Fault, FaultKind};
use stillframe::cloud::sim::fleet::ACCOUNT;

use super::{AWAY, DR, good, lands, site};
use crate::process::plan;
use crate::support::child::{of_event, of_level, until};
use crate::support::site::{REGION, Site};
use crate::support::world::{Door, instance, lent};

/// Longer than any test.
const FOR_EVER: FaultKind = FaultKind::HangAfter { seconds: 3600.0 };
/// So many worlds at once: they mostly wait.
const AT_ONCE: usize = 24;

/// What is copied, and how.
#[derive(Clone, Copy)]
struct Chain {
    /// The key of the volumes.
    under: &'static str,
    /// The `[[copy]]` has this beside its place and its key.
    more: &'static str,
}

/// A customer-managed key is lent to the other account.
const LENT: Chain = Chain { under: "alias/own", more: "" };
/// The key cannot be lent: a copy under another one goes before, and is removed in the end.
const VIA: Chain = Chain { under: "alias/aws/ebs", more: "via_key = \"alias/lend\"\n" };

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
        lands(1, Some(self.under))
    }

    fn site(self, door: &Door) -> Site {
        let site = site(door);
        let copy =
            format!("[[copy]]\nregion = \"{AWAY}\"\naccount = \"dr\"\nkms_key = \"alias/backup\"\n{}", self.more);
        site.plan("nightly", &(plan(1, "") + &copy));
        site
    }

    /// All calls of a run that nobody disturbs, in their order.
    fn calls(self) -> Vec<Served> {
        let door = Door::open(&self.fleet());
        let site = self.site(&door);
        let ended = site.run(&["backup", "nightly", "--json"]).expect(0);
        let log = ended.log();
        assert_eq!(of_level(&log, "ERROR"), Vec::<&serde_json::Value>::new(), "{}", ended.stderr);
        whole(&door, &site).unwrap_or_else(|why| panic!("{why}\n{}", ended.stderr));
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
        calls
    }

    /// The process dies when `served` was, and another goes on. What is wrong then, if anything is.
    fn cut(self, served: &Served) -> Result<(), String> {
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
            return Err("the call never came".into());
        }
        let log = match of_event(&backup.kill().log(), "run.started").is_empty() {
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
            return Err(format!("{errors:?}"));
        }
        whole(&door, &site)
    }

    /// The whole sweep.
    fn sweep(self) {
        let calls = self.calls();
        let next = Mutex::new(0..calls.len());
        let ends: Mutex<BTreeMap<usize, Result<(), String>>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let Some(n) = next.lock().expect("no holder panicked").next() else { return };
                        let end = catch_unwind(AssertUnwindSafe(|| self.cut(&calls[n])));
                        let end = end.unwrap_or_else(|_| Err("a panic: see above".into()));
                        ends.lock().expect("no holder panicked").insert(n, end);
                    }
                });
            }
        });
        let ends = ends.into_inner().expect("no holder panicked");
        let mut wrong = 0;
        for (n, end) in &ends {
            let end = end.as_ref().map_or_else(String::as_str, |()| "ok");
            wrong += u32::from(end != "ok");
            println!("{:>3} {:<70} {end}", n + 1, calls[*n].words());
        }
        assert_eq!(ends.len(), calls.len());
        assert_eq!(wrong, 0, "of {} calls", calls.len());
    }
}

/// One image, one copy of it, both good, and nothing else: no permission, tag, grant or image that was there for the way.
fn whole(door: &Door, site: &Site) -> Result<(), String> {
    let runs = site.history();
    let outcomes: Vec<_> = runs.iter().map(|run| (run["outcome"].as_str(), run["reason"].as_str())).collect();
    let world = door.world();
    let registered = world.images.values().filter(|image| image.registered()).count();
    let found = (
        good(&world, DR, AWAY).len(),
        good(&world, ACCOUNT, REGION).len(),
        registered,
        world.snapshots.len(),
        world.instances[&instance(0)].reboot_count(),
    );
    let lent = lent(&world);
    if outcomes != [(Some("done"), Some(""))] {
        return Err(format!("runs: {outcomes:?}"));
    }
    if found != (1, 1, 2, 4, 1) {
        return Err(format!("good copies, good images, registered images, snapshots, reboots: {found:?}"));
    }
    if lent.is_empty() { Ok(()) } else { Err(format!("still lent: {lent:?}")) }
}

#[test]
fn after_each_call_of_the_chain() {
    LENT.sweep();
}

#[test]
fn after_each_call_of_the_chain_by_way_of_another_key() {
    VIA.sweep();
}
