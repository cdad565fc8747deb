//! The snapshots of an image that is removed: which of them are ours to delete, and which are gone.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cloud::port::{Fault, Read};
use crate::domain::naming::{self, Marks, TAG_PREFIX, run_name};
use crate::domain::observed::{Image, Snapshot};
use crate::domain::place::Place;
use crate::engine::context::backoff::{FIRST, longer};
use crate::engine::context::{Context, Stop};
use crate::engine::drive::effect::PATIENCE;
use crate::engine::drive::observer::{ABSENT_OVER, ABSENT_READS};

/// What a list tells of the snapshots of an image.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// They bear the image's own tags.
    pub ours: Vec<String>,
    /// They do not: an image can name anybody's.
    pub others: Vec<String>,
    /// The image names them, and they are not listed.
    pub unseen: Vec<String>,
    /// Whether the image may have more than it shows: one that is not good names what it likes.
    pub partial: bool,
}

/// Lists them. One that failed, or is not ready, may name none of them: those are found by their tags, where they name the
/// image themselves.
pub(super) async fn list(shared: &Context, place: &Place, image: &Image, marks: &Marks) -> Read<Listed> {
    let partial = image.state.dead() || image.snapshots.is_empty();
    let mut listed = Listed { partial, ..Listed::default() };
    let named = match image.snapshots.is_empty() {
        true => Vec::new(),
        false => shared.cloud.snapshots(place, &image.snapshots).await?,
    };
    for id in &image.snapshots {
        match named.iter().find(|snapshot| snapshot.id == *id) {
            Some(snapshot) if naming::is_snapshot_of(&snapshot.tags, &image.name) => listed.ours.push(id.clone()),
            Some(_) => listed.others.push(id.clone()),
            None => listed.unseen.push(id.clone()),
        }
    }
    if partial {
        let run = run_name(&marks.plan, marks.due);
        let tagged = shared.cloud.snapshots_tagged(place, &format!("{TAG_PREFIX}run"), &run).await?;
        let unnamed = tagged.into_iter().filter(|s| !image.snapshots.contains(&s.id) && made_for(s, image));
        listed.ours.extend(unnamed.map(|snapshot| snapshot.id));
    }
    Ok(listed)
}

/// Whether a snapshot that no image names was made for this one. A person's copy of it bears its tags as well.
fn made_for(snapshot: &Snapshot, image: &Image) -> bool {
    let words = snapshot.description.iter().flat_map(|text| text.split_whitespace());
    naming::is_snapshot_of(&snapshot.tags, &image.name) && words.into_iter().any(|word| word == image.id)
}

/// What is known of snapshots that a list does not show.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// AWS has said that they are deleted.
    pub deleted: BTreeSet<String>,
    /// They are ours, by their own tags.
    pub proven: BTreeSet<String>,
}

/// Those of `ids` that are there. Of one of which nothing is known, it is gone when it is absent in several reads over some
/// time. A list that does not come is waited for as long as any other answer.
///
/// # Errors
/// [`Stop::Drained`].
pub(super) async fn there(
    shared: &Context,
    place: &Place,
    ids: &[String],
    known: &Known,
) -> Result<Result<Vec<Snapshot>, Fault>, Stop> {
    let since = shared.clock.instant();
    let (mut reads, mut wait) = (0, FIRST);
    loop {
        match shared.unless_drained(shared.cloud.snapshots(place, ids)).await? {
            Ok(found) => {
                reads += 1;
                let sure = |id: &String| known.deleted.contains(id) || known.proven.contains(id);
                let told = |id: &String| sure(id) || found.iter().any(|s| s.id == *id);
                let over = reads >= ABSENT_READS && shared.clock.instant() - since >= ABSENT_OVER;
                if over || ids.iter().all(told) {
                    return Ok(Ok(found));
                }
            }
            Err(fault) if fault.class.passes() && shared.clock.instant() - since < PATIENCE => {}
            Err(fault) => return Ok(Err(fault)),
        }
        shared.pause(wait).await?;
        wait = longer(wait).min(Duration::from_secs(60));
    }
}
