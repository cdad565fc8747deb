//! Destinations that are denied, cannot be entered or have a disabled key: each fails alone and is said once, and is made
//! up for when it is mended.

use serde_json::Value;
use stillframe::sim::fleet::ACCOUNT;

use super::{AWAY, DR, FAR, account, good, key, lands, section, site};
use crate::process::plan;
use crate::support::child::{Ended, of_level};
use crate::support::site::{REGION, Site};
use crate::support::world::{Door, lent};

/// Its role may not copy.
const DENIED: &str = "222222222223";
/// Its role cannot be assumed.
const SHUT: &str = "222222222224";
/// Its key is disabled.
const ASLEEP: &str = "222222222225";

/// A region of the own account, and another account in each name.
fn scene(names: &[&str]) -> (Door, Site) {
    let mut fleet = lands(2, Some("alias/own"));
    for id in [DENIED, SHUT, ASLEEP] {
        fleet.accounts.push(account(id));
        fleet.keys.push(key(id, AWAY, "alias/backup"));
    }
    let door = Door::open(&fleet);
    let site = site(&door);
    site.add_settings(&[section("denied", DENIED), section("shut", SHUT), section("asleep", ASLEEP)].concat());
    let mut text = plan(2, "").replace("keep.last = 2", "keep.last = 1");
    text += &format!("[[copy]]\nregion = \"{FAR}\"\n");
    for name in names {
        text += &format!(
            "[[copy]]\nregion = \"{AWAY}\"\naccount = \"{name}\"\nkms_key = \"alias/backup\"\nkeep = {{ last = 3 }}\n"
        );
    }
    site.plan("nightly", &text);
    (door, site)
}

fn spoil(door: &Door, bad: bool) {
    let mut world = door.world();
    let denied = if bad { vec!["ec2:CopyImage".to_owned()] } else { Vec::new() };
    world.accounts.get_mut(DENIED).expect("there").roles[0].denied = denied;
    let wanted = if bad { "another" } else { super::EXTERNAL_ID };
    world.accounts.get_mut(SHUT).expect("there").roles[0].external_id = Some(wanted.into());
    let key = world.keys.values_mut().find(|key| key.place.account == ASLEEP).expect("there");
    key.state = if bad { "Disabled" } else { "Enabled" }.into();
}

/// One ERROR for each destination that failed, and none beside; what each says.
fn errors(ended: &Ended) -> Vec<String> {
    let log = ended.log();
    let errors = of_level(&log, "ERROR");
    errors.iter().map(|line| format!("{} {}", line["step"], line["reason"])).collect()
}

fn copies(run: &Value) -> Vec<(String, String)> {
    let targets = run["targets"].as_array().expect("targets");
    let copies = targets.iter().flat_map(|target| target["copies"].as_array().expect("copies"));
    let text = |copy: &Value, key: &str| copy[key].as_str().unwrap_or_default().to_owned();
    copies.map(|copy| (text(copy, "destination"), text(copy, "outcome"))).collect()
}

#[test]
fn each_fails_alone_is_said_once_and_is_made_up_for() {
    let (door, site) = scene(&["dr", "denied", "shut", "asleep"]);
    spoil(&door, true);
    for run in 1..=2 {
        let ended = site.run(&["backup", "nightly", "--json"]).expect(1);
        let said = errors(&ended);
        for line in &said {
            println!("{line}\n");
        }
        assert_eq!(said.len(), 3, "{said:#?}\n{}", ended.stderr);
        let about = |label: &str, words: &[&str]| {
            let lines: Vec<_> = said.iter().filter(|line| line.contains(label)).collect();
            assert_eq!(lines.len(), 1, "{label}: {said:#?}");
            for word in words {
                assert!(lines[0].contains(word), "{word:?} is not in {}", lines[0]);
            }
        };
        about("denied/eu-west-1", &["ec2:CopyImage", "add to its policy", "next run"]);
        about("shut/eu-west-1", &["cannot assume", "trust policy", "external_id", "next run"]);
        about("asleep/eu-west-1", &["alias/backup", "Disabled", "aws kms enable-key", "next run"]);
        let mut document = ended.document();
        let history = site.history();
        assert_eq!(history.len(), run);
        document.as_object_mut().expect("an object").remove("schema");
        assert_eq!(history[run - 1], document, "history tells the same");
        assert_eq!(document["outcome"], "failed");
        let reason = document["reason"].as_str().expect("a reason");
        assert!(reason.ends_with("; also failed: copy:denied/eu-west-1, copy:shut/eu-west-1"), "{reason}");
        for target in document["targets"].as_array().expect("targets") {
            assert_eq!(target["outcome"], "done", "the image itself is good");
        }
        let wanted = [
            ("asleep/eu-west-1", "failed"),
            ("denied/eu-west-1", "failed"),
            ("dr/eu-west-1", "done"),
            (FAR, "done"),
            ("shut/eu-west-1", "failed"),
        ]
        .map(|(to, outcome)| (to.to_owned(), outcome.to_owned()));
        assert_eq!(copies(&document), [wanted.clone(), wanted].concat());
        let world = door.world();
        assert_eq!(good(&world, DR, AWAY).len(), 2 * run);
        assert_eq!(good(&world, ACCOUNT, REGION).len(), 2 * run, "what a missing copy needs stays");
        let left = lent(&world);
        assert!(left.is_empty(), "{left:#?}");
    }
    spoil(&door, false);
    let ended = site.run(&["backup", "nightly", "--json"]).expect(0);
    assert_eq!(errors(&ended), Vec::<String>::new());
    let world = door.world();
    for id in [DR, DENIED, SHUT, ASLEEP] {
        assert_eq!(good(&world, id, AWAY).len(), 6, "three of each instance in {id}");
    }
    assert_eq!(good(&world, ACCOUNT, REGION).len(), 2, "nothing is owed any more");
    assert_eq!(good(&world, ACCOUNT, FAR).len(), 2, "kept as the plan's own");
    assert_eq!(lent(&world), Vec::<String>::new());
}

/// What is there already cannot be seen, so that anything may be missing: nothing is retired for the others' sake.
#[test]
fn one_that_cannot_be_entered_keeps_what_it_may_need() {
    let (door, site) = scene(&["dr", "shut"]);
    site.run(&["backup", "nightly", "--json"]).expect(0);
    spoil(&door, true);
    for run in 2..=3 {
        assert_eq!(errors(&site.run(&["backup", "nightly", "--json"]).expect(1)).len(), 1);
        let world = door.world();
        assert_eq!((good(&world, SHUT, AWAY).len(), good(&world, DR, AWAY).len()), (2, 2 * run));
        assert_eq!(good(&world, ACCOUNT, REGION).len(), 2 * run, "also those that have their copy");
    }
    spoil(&door, false);
    site.run(&["backup", "nightly", "--json"]).expect(0);
    let world = door.world();
    assert_eq!((good(&world, SHUT, AWAY).len(), good(&world, DR, AWAY).len()), (6, 6), "the newest three of each");
    assert_eq!(good(&world, ACCOUNT, REGION).len(), 2);
    assert_eq!(lent(&world), Vec::<String>::new());
}
