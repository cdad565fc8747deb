//! All images of a plan in one place, by series, and what is known of them. It only reads.

use std::collections::BTreeMap;

use crate::cloud::governed::Governed;
use crate::cloud::port::{ImageQuery, InstanceQuery, Read};
use crate::defect::{self, Defect, planted};
use crate::domain::fact::StepId;
use crate::domain::naming::{self, Ownership, Role, TAG_PREFIX};
use crate::domain::observed::ImageState;
use crate::domain::place::{Place, Subject};
use crate::domain::retention::{Candidate, Listing, Series};
use crate::domain::saga::{RunState, StepState};
use crate::engine::context::us::Us;

/// All images of a plan in one place, by series.
///
/// # Errors
/// The list is not complete: nothing may be judged.
pub async fn list(cloud: &Governed, us: Us<'_>, plan: &str, place: &Place) -> Read<Listing> {
    let query = ImageQuery::Tag(format!("{TAG_PREFIX}daemon"), us.daemon.to_owned());
    let mut foreign = Vec::new();
    let mut of: [BTreeMap<String, Vec<Candidate>>; 2] = Default::default();
    for image in cloud.images(place, &query).await?.into_iter().map(defect::seen) {
        if image.state == ImageState::Deregistered {
            continue; // gone; it is only still listed
        }
        match naming::ownership_in(plan, &image, us.daemon, &place.account) {
            Ownership::Ours(marks) => {
                if let Some(why) = us.disowns(&image, &marks) {
                    foreign.push((image.id, why));
                    continue;
                }
                let of = &mut of[usize::from(marks.role == Role::Copy)];
                let together = of.keys().next().filter(|_| planted(Defect::RetentionPerPlan)).cloned();
                match of.get_mut(together.as_ref().unwrap_or(&marks.instance)) {
                    Some(list) => list.push(Candidate { image, marks }),
                    None => drop(of.insert(marks.instance.clone(), vec![Candidate { image, marks }])),
                }
            }
            Ownership::Foreign(why) => foreign.push((image.id, why)),
            Ownership::Unrelated => {}
        }
    }
    let series =
        |role| move |(instance, list)| (Series { plan: plan.to_owned(), instance, place: place.clone(), role }, list);
    let [images, copies] = of;
    let images = images.into_iter().map(series(Role::Image));
    Ok(Listing { series: images.chain(copies.into_iter().map(series(Role::Copy))).collect(), foreign })
}

/// Images of a place that the steps of one run still work on, each with why it is busy.
#[must_use]
pub fn busy_in(name: &str, run: &RunState, place: &Place) -> Vec<(String, String)> {
    let open = run.targets.iter().filter(|(subject, target)| subject.place == *place && target.finished.is_none());
    let targets = open.filter_map(|(_, target)| target.image());
    // What is copied, and what copies there are on the way.
    let moving = |(subject, steps): (&Subject, &BTreeMap<StepId, StepState>)| {
        let steps = steps.iter().filter(|(id, _)| id.distributes()).map(|(_, state)| state);
        let made = steps.clone().filter(|state| !state.ended()).filter_map(|state| state.image().map(str::to_owned));
        let own = steps.clone().any(StepState::works) && subject.place == *place;
        let own = own.then(|| subject.id.clone());
        made.chain(own).collect::<Vec<_>>()
    };
    let moving = run.others.iter().flat_map(moving);
    let busy = targets.map(str::to_owned).chain(moving);
    busy.map(|image| (image, format!("{name} is not finished with it"))).collect()
}

/// Which of these images an instance of ours runs from, each with that instance.
///
/// # Errors
/// The instances could not be listed.
pub async fn in_use(cloud: &Governed, place: &Place, ids: &[String]) -> Read<BTreeMap<String, String>> {
    let list = cloud.instances(place, &InstanceQuery::LaunchedFrom(ids.to_vec())).await?;
    let alive = list.into_iter().filter(|i| !crate::domain::event::gone(i.state));
    Ok(alive.filter_map(|i| i.image.map(|image| (image, i.id))).collect())
}
