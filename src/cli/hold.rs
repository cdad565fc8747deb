//! `stillframe hold IMAGE` and `unhold`: whatever the rules say, retention leaves an image on hold alone.

use std::path::PathBuf;

use super::{DONE, FAILED, WRONG, complain, open_read_only, start};
use crate::clock::Clock;
use crate::cloud::governed::Governed;
use crate::cloud::port::{Effect, ImageQuery};
use crate::config::{Backend, Loaded};
use crate::domain::naming::{self, HOLD_TAG, Ownership, rfc3339};
use crate::domain::observed::{Image, ImageState, Tags};
use crate::domain::place::Place;
use crate::report::out;

/// Options of `stillframe hold` and `stillframe unhold`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "It sets, or removes, the tag stillframe:hold on an image of ours, through AWS at once; the daemon need \
                        not run. Copies are images of their own.\n\nExit codes: 0 it is so now; 1 it is not one of our \
                        images, or AWS refused; 2 wrong usage or configuration."
)]
pub struct HoldArgs {
    /// The image's id
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// The directory that holds stillframe.toml and plans.d
    #[arg(long, value_name = "DIR", default_value = "/etc/stillframe")]
    pub config: PathBuf,
}

/// Holds the image, or holds it no more.
#[must_use]
pub fn run(args: &HoldArgs, hold: bool) -> u8 {
    let loaded = match open_read_only::load(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if !super::explain::is_image(&args.image) {
        out::note(&format!(
            "stillframe: `{}` is not the id of an image; write it as ami-0123456789abcdef0",
            args.image
        ));
        return WRONG;
    }
    let runtime = match start::runtime() {
        Ok(runtime) => runtime,
        Err(why) => return complain(&why),
    };
    match runtime.block_on(change(args, &loaded, hold)) {
        Ok(said) => match super::print_text(&said) {
            DONE => DONE,
            _ => FAILED,
        },
        Err(why) => complain(&why),
    }
}

async fn change(args: &HoldArgs, loaded: &Loaded, hold: bool) -> Result<String, String> {
    let settings = &loaded.settings;
    if settings.cloud.backend == Backend::Sim && open_read_only::lock(settings)?.held {
        return Err("the simulated world is in the memory of the daemon that runs: stop that first".into());
    }
    // Its effect must last, in a simulated world too.
    let cloud = start::cloud(&args.config, settings, Clock::Wall, crate::sim::SimCloud::open).await?;
    let (place, image) = find(&cloud, loaded, &args.image).await?;
    if let Ownership::Foreign(why) = naming::ownership(&image, &settings.daemon.name, &place.account) {
        return Err(format!("{} in {place} is not ours: it {why}", image.id));
    }
    let held = image.tags.contains_key(HOLD_TAG);
    if held == hold {
        return Ok(format!("{} in {place} is {} already\n", image.id, if hold { "on hold" } else { "not on hold" }));
    }
    let ids = [image.id.clone()];
    let effect = if hold {
        let tags = Tags::from([(HOLD_TAG.to_owned(), rfc3339(Clock::Wall.now_secs()))]);
        cloud.tag(&place, &ids, &tags).await
    } else {
        cloud.untag(&place, &ids, &[HOLD_TAG.to_owned()]).await
    };
    match effect {
        Effect::Done { .. } if hold => {
            Ok(format!("{} in {place} is on hold: retention leaves it alone until `stillframe unhold {0}`\n", image.id))
        }
        Effect::Done { .. } => {
            Ok(format!("{} in {place} is not on hold any more: its plan's rules decide\n", image.id))
        }
        Effect::Refused(fault) | Effect::Unknown(fault) => Err(format!("{} in {place}: {fault}", image.id)),
    }
}

/// The image, where any plan looks or copies to.
async fn find(cloud: &Governed, loaded: &Loaded, id: &str) -> Result<(Place, Image), String> {
    let caller = cloud.whoami().await.map_err(|fault| format!("AWS does not tell which account this is: {fault}"))?;
    let mut places: Vec<Place> = Vec::new();
    let own = loaded.plans.iter().flat_map(|plan| cloud.regions(plan)).chain(cloud.home_region());
    let own = own.map(|region| Place::new(caller.account.clone(), region));
    let copies = loaded.plans.iter().flat_map(|plan| &plan.copies).map(|copy| copy.place(&caller.account));
    for place in own.chain(copies) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let mut faults = Vec::new();
    for place in &places {
        match cloud.images(place, &ImageQuery::Ids(vec![id.to_owned()])).await {
            Ok(images) => {
                if let Some(image) = images.into_iter().find(|i| i.state != ImageState::Deregistered) {
                    return Ok((place.clone(), image));
                }
            }
            Err(fault) => faults.push(format!("{place}: {fault}")),
        }
    }
    let looked: Vec<String> = places.iter().map(ToString::to_string).collect();
    let also = if faults.is_empty() { String::new() } else { format!("; could not look in {}", faults.join("; ")) };
    Err(format!("{id} is in none of {}{also}", looked.join(", ")))
}
