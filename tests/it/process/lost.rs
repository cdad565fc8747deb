//! The journal is lost, or the whole state directory, in the middle of a run: the daemon and the simulated cloud are
//! processes of their own, the SDK and HTTP between them, and kill -9 takes the daemon.

use std::collections::BTreeMap;
use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use stillframe::clock::Clock;

use super::plan;
use crate::support::child::{Proc, of_event, until};
use crate::support::sim::Sim;
use crate::support::site::Site;
use crate::support::world::{env, fleet, instance};

/// Longer than any test: what takes so long is done only when the test says so.
const NEVER: &str = r#"{"image_seconds": 1e7, "reboot_seconds": 1e7}"#;
/// An image as long, and a reboot that is soon done.
const PENDING: &str = r#"{"image_seconds": 1e7, "reboot_seconds": 1}"#;

fn time(text: &Value) -> DateTime<Utc> {
    text.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{text} is no time"))
}

/// Three instances with two images each, of two runs of the plan `nightly`, which keeps two.
struct Scene {
    sim: Sim,
    site: Site,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn set() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("fleet.json");
        let mut fleet = fleet(3, 0);
        fleet.instances[2].tags.insert("Other".into(), "yes".into());
        fs::write(&file, serde_json::to_string(&fleet).expect("JSON")).expect("written");
        let sim = Sim::start(&["--fleet", file.to_str().expect("UTF-8"), "--speed", "20"]);
        let site = Site::new(env(&sim.endpoint));
        site.plan("nightly", &plan(1, ""));
        site.run(&["backup", "nightly"]).expect(0);
        site.run(&["backup", "nightly"]).expect(0);
        Self { sim, site, _dir: dir }
    }

    fn calls(&self, api: &str) -> Vec<Value> {
        self.sim.get(&format!("calls?api={api}")).as_array().expect("a list").clone()
    }

    /// How often CreateImage took effect, by name.
    fn made(&self) -> BTreeMap<String, usize> {
        let mut made = BTreeMap::new();
        for call in self.calls("CreateImage").iter().filter(|call| call["effect"] == true) {
            *made.entry(call["parameters"]["Name"].as_str().expect("a name").to_owned()).or_default() += 1;
        }
        made
    }

    /// Begins a third run, in which the image of the first instance is pending, the second is down, and the third is
    /// not begun; and kills the daemon.
    fn cut_off(&self) {
        self.sim.post(&format!("instances/{}", instance(0)), PENDING);
        self.sim.post(&format!("instances/{}", instance(1)), NEVER);
        let mut daemon = self.site.spawn(&["run"]);
        daemon.logged("config.applied");
        let backup = self.site.spawn(&["backup", "nightly"]);
        until("the second image of the third run", || (self.made().len() == 8).then_some(()));
        backup.kill();
        daemon.kill();
        let world = self.sim.get("world");
        let tomorrow = Clock::Wall.now() + TimeDelta::days(1);
        let images = world["images"].as_object().expect("images").values();
        assert_eq!(images.filter(|image| time(&image["ready"]) > tomorrow).count(), 2, "pending for long");
        assert!(time(&world["instances"][instance(1)]["boot"]["until"]) > tomorrow, "down for long");
    }

    /// Nothing was made twice or deleted, in the whole life of the world.
    fn assert_untouched(&self, images: usize) {
        let made = self.made();
        assert_eq!(made.len(), images, "{made:#?}");
        assert!(made.values().all(|n| *n == 1), "{made:#?}");
        for api in ["DeregisterImage", "DeleteSnapshot"] {
            assert_eq!(self.calls(api), Vec::<Value>::new());
        }
    }

    fn start(&self, args: &[&str]) -> (Proc, String) {
        let mut daemon = self.site.spawn(args);
        let rebuilt = daemon.logged("journal.rebuilt");
        (daemon, rebuilt["reason"].as_str().unwrap_or_default().to_owned())
    }
}

#[test]
fn with_the_journal_gone_the_rest_of_a_run_is_gone_on_with() {
    let scene = Scene::set();
    scene.cut_off();
    for file in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"] {
        fs::remove_file(scene.site.state().join(file)).expect("removed");
    }
    // The third instance is in this one too: who is down counts for it.
    let other = plan(1, "").replace("Backup = \"nightly\"", "Other = \"yes\"");
    scene.site.plan("other", &other);
    let (mut daemon, found) = scene.start(&["run"]);
    assert!(
        found.contains("occurrences: 3, from images: 8; of these going on: 1; instances that count as down: 1"),
        "{found}"
    );
    let asked = scene.site.spawn(&["backup", "other"]);
    daemon.logged("request.accepted");
    scene.assert_untouched(8);

    // All is back and available: the run ends, and only then does the other begin.
    let before = scene.calls("CreateImage").len();
    scene.sim.post("complete", "");
    asked.wait().expect(0);
    let freed = daemon.logged("slot.freed");
    assert_eq!(freed["instance"], instance(1).as_str(), "{freed}");
    let last = &scene.calls("CreateImage")[before..];
    assert_eq!(last.len(), 1, "{last:#?}");
    assert_eq!(last[0]["parameters"]["InstanceId"], instance(2).as_str());
    assert!(time(&last[0]["at"]) >= time(&freed["ts"]), "{freed} {last:#?}");
    until("the end of the third run", || (of_event(&daemon.log(), "run.finished").len() == 2).then_some(()));
    daemon.terminate();
    daemon.wait().expect(0);
    scene.assert_untouched(9);

    // The three proven ones with what is proven of them, and the other.
    let runs = scene.site.history();
    let shown: Vec<_> = runs
        .iter()
        .map(|run| {
            let targets = run["targets"].as_array().expect("targets");
            (run["plan"].as_str().expect("a plan"), run["outcome"].as_str().expect("an outcome"), targets.len())
        })
        .collect();
    assert_eq!(shown, [("nightly", "done", 3), ("nightly", "done", 3), ("nightly", "done", 2), ("other", "done", 1)]);

    // From then on as always: the next run deletes what `keep` no longer keeps, and not more.
    scene.sim.post(&format!("instances/{}", instance(0)), r#"{"image_seconds": 1}"#);
    scene.sim.post(&format!("instances/{}", instance(1)), r#"{"image_seconds": 1, "reboot_seconds": 1}"#);
    scene.site.run(&["backup", "nightly"]).expect(0);
    let made = scene.made();
    assert!(made.len() == 12 && made.values().all(|n| *n == 1), "{made:#?}");
    let gone = scene.calls("DeregisterImage").len();
    assert_eq!(gone, 5, "two each of the first two, one of the third");
}

#[test]
fn with_the_state_directory_gone_nothing_is_done_until_a_person_takes_over() {
    let scene = Scene::set();
    scene.cut_off();
    fs::remove_dir_all(scene.site.state()).expect("removed");
    let mut daemon = scene.site.spawn(&["run"]);
    daemon.logged("config.applied");
    let refused = scene.site.run(&["backup", "nightly"]).expect(1);
    assert!(refused.stdout.contains("run --take-over"), "{refused:?}");
    let alarm = until("an alarm", || {
        let says = |line: &Value| line["level"] == "ERROR" && line.to_string().contains("run --take-over");
        daemon.log().into_iter().find(says)
    });
    assert!(alarm.to_string().contains("installation"), "{alarm}");
    scene.assert_untouched(8);
    daemon.terminate();
    daemon.wait().expect(0);

    let (mut daemon, found) = scene.start(&["run", "--take-over"]);
    assert!(found.contains("from images: 8; of these going on: 1; instances that count as down: 1"), "{found}");
    scene.assert_untouched(8);
    scene.sim.post("complete", "");
    daemon.logged("run.finished");
    daemon.terminate();
    daemon.wait().expect(0);
    scene.assert_untouched(8);
    let outcomes: Vec<_> = scene.site.history().iter().map(|run| run["outcome"].clone()).collect();
    assert_eq!(outcomes, ["done", "done", "done", "failed"], "the proven ones, and the one that was barred");
}
