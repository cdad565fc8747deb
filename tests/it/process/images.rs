//! `images`, `hold`, `unhold`, `history --short`: what a person asks of single images and runs.

use serde_json::Value;

use super::plan;
use crate::support::site::Site;
use crate::support::world::{Door, fleet, instance};

/// The images, newest first: id, verdict, reasons.
fn images(site: &Site, args: &[&str]) -> Vec<(String, String, String)> {
    let document = site.run(&[&["images", "--json"], args].concat()).expect(0).document();
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let lines = document["images"].as_array().cloned().expect("images");
    lines.iter().map(|l| (text(l, "image"), text(l, "verdict"), l["reasons"].to_string())).collect()
}

#[test]
fn a_held_image_stays_whatever_the_rules_say() {
    let door = Door::open(&fleet(2, 0));
    let site = Site::new(door.env());
    site.plan("nightly", &plan(2, "").replace("keep.last = 2", "keep.last = 1"));
    site.run(&["backup", "nightly"]).expect(0);
    let own = images(&site, &["--instance", &instance(0)]);
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!(images(&site, &["--plan", "nightly"]).len(), 2);
    let image = own[0].0.clone();
    let held = site.run(&["hold", &image]).expect(0);
    assert!(held.stdout.contains("is on hold"), "{}", held.stdout);
    assert!(site.run(&["hold", &image]).expect(0).stdout.contains("already"));
    site.run(&["backup", "nightly"]).expect(0);
    let own = images(&site, &["--instance", &instance(0)]);
    let of = |id: &str| own.iter().find(|(image, ..)| image == id).cloned();
    assert!(of(&image).is_some_and(|(_, verdict, why)| verdict == "keep" && why.contains("hold")), "{own:?}");
    assert_eq!((own.len(), images(&site, &[]).len()), (2, 3), "the other one's is gone");
    site.run(&["unhold", &image]).expect(0);
    site.run(&["backup", "nightly"]).expect(0);
    assert!(images(&site, &[]).iter().all(|(id, ..)| *id != image));

    site.run(&["hold", "ami-0123456789abcdef0"]).expect(1);
    site.run(&["hold", "i-1"]).expect(2);
    let short = site.run(&["history", "--short"]).expect(0).stdout;
    assert_eq!(short.lines().count(), 4, "{short}");
    assert!(short.lines().skip(1).all(|line| line.contains("done") && line.contains("2/2")), "{short}");
    let runs = site.history();
    assert!(runs.iter().all(|run| run["began"].is_string() && run["ended"].is_string()), "{runs:?}");
}
