//! The fleets and plans of the scenarios, and words for instants and lengths.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use stillframe::domain::keep::Keep;
use stillframe::domain::plan::{Plan, Rollout, Select};

/// The daemon's name in all scenarios.
pub const DAEMON: &str = "prod";
/// The account and home region of all fleets here.
pub const ACCOUNT: &str = "111111111111";
pub const REGION: &str = "eu-central-1";
/// A Monday, ten seconds before two: plans of these tests are due at two.
pub const BASE: &str = "2026-03-02T01:59:50Z";

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn mins(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// `i-` and seventeen digits.
pub fn id(n: u32) -> String {
    format!("i-{n:017x}")
}

/// `n` instances tagged `Backup=yes`, ids 1.., quick.
pub fn fleet(n: u32) -> String {
    fleet_with(n, "", "")
}

/// The same; `traits` are JSON members of the first instance, `world` those of the fleet, each ending in a comma.
pub fn fleet_with(n: u32, traits: &str, world: &str) -> String {
    let member = |i: u32| {
        let own = if i == 1 { traits } else { "" };
        format!(r#"{{ {own} "id": "{}", "tags": {{ "Backup": "yes" }} }}"#, id(i))
    };
    let members: Vec<String> = (1..=n).map(member).collect();
    let times = if world.contains("image_seconds") { "" } else { r#""image_seconds": [30, 90],"# };
    format!(
        r#"{{ {world} {times} "regions": ["eu-central-1", "eu-west-1"], "reboot_seconds": 20,
            "instances": [{}] }}"#,
        members.join(",")
    )
}

/// A plan for `Backup=yes`, due at two every day.
pub fn plan(name: &str, cron: &str) -> Plan {
    Plan {
        select: Select {
            regions: vec![REGION.into()],
            tags: BTreeMap::from([("Backup".into(), BTreeSet::from(["yes".into()]))]),
            ..Select::default()
        },
        rollout: Rollout { settle: 10, healthy_within: 120, ..Rollout::default() },
        keep: Keep { last: 2, ..Keep::default() },
        tags: BTreeMap::from([("Team".into(), "web".into())]),
        ..Plan::named(name, cron)
    }
}
