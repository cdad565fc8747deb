//! The configuration that shows copies in another account without any account: it runs as the README shows it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::site::Site;

/// `config/two-accounts`, in a world ten times as quick.
fn site() -> Site {
    let site = Site::new(Vec::new());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/two-accounts");
    let read = |name: &str| fs::read_to_string(shipped.join(name)).expect("shipped");
    site.settings(&read("stillframe.toml"));
    site.plan("nightly", &read("plans.d/nightly.toml"));
    let mut fleet: Value = serde_json::from_str(&read("fleet.json")).expect("JSON");
    fleet["speed"] = json!(10);
    fs::write(site.config().join("fleet.json"), fleet.to_string()).expect("written");
    site
}

#[test]
fn two_accounts_on_a_laptop() {
    let site = site();
    site.run(&["check"]).expect(0);
    let doctor = site.run(&["doctor"]).expect(0).stdout;
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("doctor", doctor);
    });
    let run = site.run(&["backup", "nightly", "--json"]).expect(0).document();
    let targets = run["targets"].as_array().expect("targets");
    assert_eq!(targets.len(), 2, "{run}");
    for target in targets {
        assert_eq!(target["shared"], json!(["333333333333"]), "also by way of another key: {run}");
        let copy = &target["copies"][0];
        let expected = (&json!("222222222222"), &json!("dr/eu-west-1"), &json!("done"), &json!(["333333333333"]));
        assert_eq!((&copy["account"], &copy["destination"], &copy["outcome"], &copy["shared"]), expected, "{run}");
    }
    let copy = targets[0]["copies"][0]["image"].as_str().expect("made");
    let told = site.run(&["explain", copy]).expect(0).stdout;
    assert!(told.contains("copy of") && told.contains("222222222222/eu-west-1") && told.contains("last 2"), "{told}");
    let history = site.run(&["history"]).expect(0).stdout;
    assert!(history.contains("dr/eu-west-1") && history.contains("with 333333333333"), "{history}");
    site.run(&["status"]).expect(0);
    let preview = site.run(&["preview"]).expect(0).stdout;
    assert!(preview.contains("first; the destination is let in meanwhile"), "{preview}");
}
