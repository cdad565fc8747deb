//! SIGKILL at each request of a run in turn: the next start completes it, and nothing is made twice or left over.

use stillframe::sim::faults::{Fault, FaultKind};

use super::plan;
use crate::support::child::until;
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

/// So many worlds are tried at a time: they mostly wait.
const AT_ONCE: u32 = 10;
/// More requests than a run of one target makes.
const REQUESTS_MAX: u32 = 60;

/// Kills the second backup of a plan that keeps one image as soon as its `n`-th request (from 0) has taken effect,
/// before it is answered. False if there is no such request.
///
/// One target, so that nothing else goes on meanwhile: an intent that was written but not yet sent when the process
/// died is, rightly, looked for during ten minutes.
fn killed_at(n: u32) -> bool {
    let door = Door::open(&fleet(1, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(1, "").replace("keep.last = 2", "keep.last = 1"));
    site.run(&["backup", "nightly"]).expect(0);

    let before = door.world().calls.iter().count();
    door.world().faults.push(Fault::once("*", FaultKind::HangAfter { seconds: 3600.0 }).after(n));
    let mut backup = site.spawn(&["backup", "nightly", "--json"]);
    let reached = until("the request, or the end", || {
        let sent = door.world().faults.is_empty();
        if sent { Some(true) } else { backup.ended().then_some(false) }
    });
    if !reached {
        backup.wait().expect(0);
        return false;
    }
    let last = door.world().calls.iter().next_back().map(|call| call.api.clone()).unwrap_or_default();
    backup.kill();
    let at = format!("killed at request {n}: {last}, after {} others", door.world().calls.iter().count() - before - 1);

    let mut daemon = site.spawn(&["run"]);
    let runs = site.finished(2);
    daemon.terminate();
    daemon.wait().expect(0);
    assert!(runs.iter().all(|run| run["outcome"] == "done"), "{at}: {runs:#?}");
    assert_eq!(door.reboots(&instance(0)), 2, "{at}");
    let world = door.world();
    let creates = world.calls.of("CreateImage").filter(|call| call.effect).count();
    assert_eq!((creates, world.calls.of("CreateImage").count()), (2, 2), "{at}");
    let left: Vec<_> = world.images.values().filter(|image| image.registered()).collect();
    let names: Vec<_> = left.iter().map(|image| &image.name).collect();
    assert_eq!(left.len(), 1, "{at}: {names:?}: {runs:#?}");
    let orphans: Vec<_> = world.snapshots.values().filter(|snapshot| snapshot.users.is_empty()).collect();
    assert!(orphans.is_empty(), "{at}: {orphans:#?}");
    true
}

#[test]
fn killed_at_each_request_in_turn() {
    let mut first = 0;
    loop {
        let reached: Vec<bool> = std::thread::scope(|scope| {
            let each: Vec<_> = (first..first + AT_ONCE).map(|n| scope.spawn(move || killed_at(n))).collect();
            let joined = each.into_iter().map(|thread| thread.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
            joined.collect()
        });
        if !reached.iter().all(|reached| *reached) {
            break;
        }
        first += AT_ONCE;
        assert!(first < REQUESTS_MAX, "a run has no end of requests");
    }
    assert!(first >= AT_ONCE, "a run makes more requests than {first}");
}
