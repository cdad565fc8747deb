//! The fleet of a rehearsal: made up so that each plan selects its instances, or read from a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::others;
use crate::domain::machine::OwnMachine;
use crate::domain::observed::{Instance, InstanceState, Tags};
use crate::domain::plan::{Plan, Select};
use crate::domain::select::{Choice, Facts, choose, matches};
use crate::sim::fleet::{ACCOUNT, Member};
use crate::sim::keyring::MANAGED;
use crate::sim::{Fleet, World};

/// What a made-up reboot takes, in seconds.
pub const REBOOT_SECONDS: [f64; 2] = [60.0, 120.0];
/// What a made-up guest takes to shut down before that.
const SHUTDOWN_SECONDS: [f64; 2] = [5.0, 60.0];
/// How far status checks lag the truth: people have measured 3 to 5 minutes.
const STATUS_LAG: [f64; 2] = [120.0, 300.0];
/// What an image takes, where the fleet does not say.
pub const IMAGE_SECONDS: [f64; 2] = [240.0, 900.0];

/// A world of these instances, with realistic durations.
pub fn fleet(account: &str, regions: Vec<String>, seed: u64, instances: Vec<Member>) -> Fleet {
    Fleet {
        account: account.to_owned(),
        regions,
        speed: 1.0,
        visibility_lag: 0.0,
        image_seconds: IMAGE_SECONDS,
        reboot_seconds: f64::midpoint(REBOOT_SECONDS[0], REBOOT_SECONDS[1]),
        shutdown_seconds: SHUTDOWN_SECONDS,
        status_lag: STATUS_LAG,
        throttling: true,
        seed,
        instances,
        ..Fleet::demo()
    }
}

/// Reads an inventory in the format of `sim --fleet`.
///
/// # Errors
/// What is wrong with it, with the file.
pub fn read(path: &Path) -> Result<Fleet, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    Fleet::from_json(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The regions that a plan means where `home` is the SDK's own.
pub fn regions(plan: &Plan, home: &str) -> Vec<String> {
    if plan.select.regions.is_empty() { vec![home.to_owned()] } else { plan.select.regions.clone() }
}

/// `per_plan` instances for each plan, tagged to match. Where plans overlap, an instance counts for each that selects
/// it, so that no plan has more than it must.
pub fn made_up(plans: &[Plan], per_plan: u32, home: &str, seed: u64) -> Fleet {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut made: Vec<Member> = Vec::new();
    let mut listed = BTreeSet::new();
    for plan in plans {
        for id in plan.select.instances.iter().filter(|id| listed.insert((*id).clone())) {
            let region = regions(plan, home).first().cloned();
            let kms_key = others::by_way(plan).then(|| MANAGED.to_owned());
            made.push(Member { id: Some(id.clone()), region, kms_key, ..member(&mut random) });
        }
    }
    // Whose instances serve most other plans too comes first: the others then need fewer of their own.
    let mut order: Vec<(usize, &Plan)> = plans.iter().map(|plan| (served(plans, plan, home), plan)).collect();
    order.sort_by(|a, b| (b.0, &a.1.name).cmp(&(a.0, &b.1.name)));
    for (_, plan) in order {
        let Some(tags) = tags(&plan.select) else { continue }; // its ids are all that it takes
        let regions = regions(plan, home);
        let have = made.iter().filter(|m| selects(plan, m, home)).count();
        let wanted = usize::try_from(per_plan).unwrap_or(usize::MAX).saturating_sub(have);
        for n in 0..wanted {
            let name = (!tags.contains_key("Name")).then(|| format!("{}-{}", plan.name, n + 1));
            let region = Some(regions[n % regions.len()].clone());
            // By turns within each region.
            let volumes = u32::try_from(n / regions.len() % 2).ok().map(|turn| turn + 1);
            let kms_key = others::by_way(plan).then(|| MANAGED.to_owned());
            made.push(Member { name, region, volumes, kms_key, tags: tags.clone(), ..member(&mut random) });
        }
    }
    let all: BTreeSet<String> = plans.iter().flat_map(|plan| regions(plan, home)).collect();
    let mut in_order = vec![home.to_owned()];
    in_order.extend(all.into_iter().filter(|region| region != home));
    fleet(ACCOUNT, in_order, seed, made)
}

fn member(random: &mut fastrand::Rng) -> Member {
    let [least, most] = REBOOT_SECONDS;
    Member { reboot_seconds: Some((least + (most - least) * random.f64()).round()), ..Member::default() }
}

/// How many plans select what is made up for `plan`.
fn served(plans: &[Plan], plan: &Plan, home: &str) -> usize {
    let Some(tags) = tags(&plan.select) else { return 0 };
    let region = regions(plan, home).first().cloned();
    let made = Member { region, tags, ..Member::default() };
    plans.iter().filter(|other| selects(other, &made, home)).count()
}

/// Tags that the selection matches and does not exclude; nothing if it goes by ids alone.
fn tags(select: &Select) -> Option<Tags> {
    let excluded = |key: &str, value: &str| {
        let patterns = select.exclude_tags.get(key).cloned().into_iter().map(|patterns| (key.to_owned(), patterns));
        let tags = Tags::from([(key.to_owned(), value.to_owned())]);
        let only = Select { tags: patterns.collect(), ..Select::default() };
        matches(&only, &instance("", &tags))
    };
    let value = |key: &str, patterns: &BTreeSet<String>| {
        let mut values = patterns.iter().map(|pattern| concrete(pattern));
        let first = values.next().unwrap_or_default();
        if excluded(key, &first) { values.find(|v| !excluded(key, v)).unwrap_or(first) } else { first }
    };
    (!select.tags.is_empty()).then(|| select.tags.iter().map(|(key, p)| (key.clone(), value(key, p))).collect())
}

/// A value that a pattern matches.
fn concrete(pattern: &str) -> String {
    let mut text = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => {} // any text, the empty one too
            '?' => text.push('x'),
            '\\' => text.push(chars.next().unwrap_or('\\')),
            c => text.push(c),
        }
    }
    // An empty value is legal, but no example of one.
    if text.is_empty() && pattern.contains('*') { "any".into() } else { text }
}

fn selects(plan: &Plan, member: &Member, home: &str) -> bool {
    let region = member.region.as_deref().unwrap_or(home);
    let made = instance(member.id.as_deref().unwrap_or_default(), &member.tags);
    let (multi_attach, imaging) = (BTreeSet::new(), BTreeMap::new());
    let facts = Facts { own_machine: &OwnMachine::NotEc2, multi_attach: &multi_attach, imaging: &imaging };
    regions(plan, home).iter().any(|r| r == region) && matches!(choose(plan, &made, &facts), Choice::Target { .. })
}

fn instance(id: &str, tags: &Tags) -> Instance {
    Instance {
        id: id.to_owned(),
        state: InstanceState::Running,
        ebs_root: true,
        hibernation: false,
        volumes: Vec::new(),
        image: None,
        managed_by: None,
        product_codes: false,
        tags: tags.clone(),
        odd: None,
    }
}

/// The ids of the instances that no plan names, in order.
pub fn unselected(world: &World, plans: &[Plan]) -> Vec<String> {
    let named = |plan: &Plan, id: &str, tags: &Tags, region: &str| {
        regions(plan, world.home_region()).iter().any(|r| r == region) && matches(&plan.select, &instance(id, tags))
    };
    let idle = world.instances.values().filter(|i| !plans.iter().any(|p| named(p, &i.id, &i.tags, &i.place.region)));
    idle.map(|i| i.id.clone()).collect()
}

#[cfg(test)]
mod tests;
