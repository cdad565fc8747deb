//! The fleet as AWS shows it: read once, and never touched.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::fleet;
use crate::clock::Clock;
use crate::cloud::aws::AwsCloud;
use crate::cloud::governed::Governed;
use crate::domain::observed::{Instance, InstanceState};
use crate::domain::place::Place;
use crate::domain::plan::Plan;
use crate::engine::context::run;
use crate::engine::rollout::choose;
use crate::sim::Fleet;
use crate::sim::fleet::Member;

/// The most volumes that an instance of the simulated world has.
const VOLUMES_MAX: usize = 12;

/// The instances that `plans` name, as they are now; and how many were left out, being neither running nor stopped.
///
/// # Errors
/// What could not be read, and where: a part of a fleet is none.
pub async fn read(plans: &[Plan], api_share: f64) -> Result<(Fleet, usize), String> {
    let cloud = Governed::new(Rc::new(AwsCloud::connect(Vec::new()).await?), Clock::Wall, api_share);
    let caller = cloud.whoami().await.map_err(|fault| run::no_account(&fault))?;
    let mut members: BTreeMap<String, Member> = BTreeMap::new();
    let mut regions: Vec<String> = cloud.home_region().into_iter().collect();
    let mut left_out = BTreeSet::new();
    for plan in plans {
        let places = cloud.regions(plan);
        if places.is_empty() {
            return Err(format!(
                "{}: no region: set select.regions in the plan, or AWS_REGION, or a region in the profile",
                plan.name
            ));
        }
        for region in places {
            let place = Place::new(&caller.account, region.as_str());
            let found = choose::find(&cloud, plan, &place)
                .await
                .map_err(|fault| format!("cannot list the instances of {place}: {fault}"))?;
            for (id, instance) in found.instances {
                let multi_attach = instance.volumes.iter().any(|v| found.multi_attach.contains(v));
                match member(&place, instance, multi_attach) {
                    Some(member) => drop(members.insert(id, member)),
                    None => drop(left_out.insert(id)),
                }
            }
            if !regions.contains(&region) {
                regions.push(region);
            }
        }
    }
    if regions.is_empty() {
        return Err("there are no plans, so there is nothing to read".into());
    }
    Ok((fleet::fleet(&caller.account, regions, 0, members.into_values().collect()), left_out.len()))
}

/// The instance in the terms of a fleet; nothing if it is neither running nor stopped.
fn member(place: &Place, instance: Instance, multi_attach: bool) -> Option<Member> {
    let alive = matches!(instance.state, InstanceState::Running | InstanceState::Stopped);
    alive.then(|| Member {
        id: Some(instance.id),
        account: Some(place.account.clone()),
        region: Some(place.region.clone()),
        tags: instance.tags,
        state: instance.state,
        volumes: u32::try_from(instance.volumes.len().clamp(1, VOLUMES_MAX)).ok(),
        ebs_root: instance.ebs_root,
        hibernation: instance.hibernation,
        multi_attach,
        image: instance.image,
        ..Member::default()
    })
}
