//! The README's policies against what the program asks AWS for: a role with them lacks nothing.

use std::collections::{BTreeMap, BTreeSet};

use stillframe::sim::fleet::ACCOUNT;

use super::{AWAY, DR, FAR, FRIEND, ORGANIZATION, lands, site};
use crate::process::plan;
use crate::support::site::Site;
use crate::support::world::Door;

const README: &str = include_str!("../../../../README.md");

/// The actions that the blocks of code under a heading name, in order.
fn blocks(heading: &str) -> Vec<BTreeSet<String>> {
    let (_, text) = README.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let under = text.split("\n#").next().expect("split gives one at least");
    let code = under.split("```").skip(1).step_by(2);
    code.map(|block| {
        let words = block.split(|c: char| !c.is_ascii_alphanumeric() && c != ':');
        words
            .filter_map(|word| word.split_once(':'))
            .filter(|(s, _)| ["ec2", "kms", "sts"].contains(s))
            .map(|(_, a)| a)
            .map(str::to_owned)
            .collect()
    })
    .collect()
}

/// What stillframe's own role needs without copies, what it needs for them, and what the role in a destination needs.
fn policies() -> [BTreeSet<String>; 3] {
    let plain = blocks("### IAM").remove(0);
    let own = blocks("### 2. What stillframe's own role needs on top").remove(0);
    let role = blocks("### 1. The role in the destination").remove(1);
    [plain, own, role]
}

/// What was asked for so far with each account's credentials. That of STS needs no permission.
fn asked(door: &Door) -> BTreeMap<String, BTreeSet<String>> {
    let mut asked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for call in door.world().calls.iter().filter(|call| call.api != "GetCallerIdentity") {
        asked.entry(call.account.clone()).or_default().insert(call.api.clone());
    }
    asked
}

/// Three nights, so that something goes, and the doctor.
fn three_nights(site: &Site) {
    for _ in 0..3 {
        site.run(&["backup", "nightly"]).expect(0);
    }
    site.run(&["doctor"]).expect(0);
}

fn assert_covered(asked: &BTreeSet<String>, allowed: &[&BTreeSet<String>], whose: &str) {
    let lacking: Vec<&String> = asked.iter().filter(|api| !allowed.iter().any(|a| a.contains(*api))).collect();
    assert!(lacking.is_empty(), "the README's policies of {whose} lack {lacking:?}");
}

fn copies(via: bool) -> String {
    let via = if via { "via_key = \"alias/lend\"\n" } else { "" };
    format!(
        "{}\n[[copy]]\nregion = \"{FAR}\"\n[[copy]]\nregion = \"{AWAY}\"\naccount = \"dr\"\nkms_key = \"alias/backup\"\n{via}",
        plan(2, "")
    )
}

#[test]
fn the_roles_of_the_readme_lack_nothing_for_copies() {
    let [plain, own, role] = policies();
    for (key, via) in [(Some("alias/own"), false), (Some("alias/aws/ebs"), true)] {
        let door = Door::open(&lands(1, key));
        let site = site(&door);
        site.plan("nightly", &copies(via));
        three_nights(&site);
        let asked = asked(&door);
        assert!(asked[DR].contains("CopyImage") && asked[DR].contains("DeregisterImage"), "{asked:?}");
        assert!(asked[ACCOUNT].contains("CreateGrant") && asked[ACCOUNT].contains("AssumeRole"), "{asked:?}");
        assert_covered(&asked[DR], &[&role], "the role in the destination");
        assert_covered(&asked[ACCOUNT], &[&plain, &own], "stillframe's own role");
    }
}

#[test]
fn nor_do_they_for_shares() {
    let [plain, own, role] = policies();
    let door = Door::open(&lands(1, Some("alias/own")));
    let site = site(&door);
    let share = format!("[share]\naccounts = [\"{FRIEND}\"]\norganizations = [\"{ORGANIZATION}\"]\ngrace = \"1s\"\n");
    site.plan("nightly", &(copies(false) + &share));
    three_nights(&site);
    site.plan("nightly", &copies(false));
    site.run(&["backup", "nightly"]).expect(0);
    let asked = asked(&door);
    for account in [ACCOUNT, DR] {
        assert!(
            asked[account].contains("EnableImageDeprecation") && asked[account].contains("DeleteTags"),
            "{asked:?}"
        );
    }
    assert_covered(&asked[DR], &[&role, &own], "the role in the destination, with a share");
    assert_covered(&asked[ACCOUNT], &[&plain, &own], "stillframe's own role, with a share");
}
