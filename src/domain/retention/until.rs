//! What holds one image, and the first occurrence after which nothing would: for people who ask "until when".

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Candidate, Situation, Why, decide, weigh};
use crate::domain::keep::Keep;
use crate::domain::naming::{Marks, compact, image_name};
use crate::domain::observed::{Image, ImageState, SharedTags};

/// At most this many occurrences are played through: three months of an hourly plan, eight years of a nightly one.
pub const LEAVES_MAX: usize = 3_000;

/// No more than so many candidates are judged for that, all occurrences together: with a long series fewer occurrences
/// are played through.
const JUDGED_MAX: usize = 200_000;

/// All that holds `image` in its series now; empty if nothing does, or if it is none of the candidates.
#[must_use]
pub fn standing_of(keep: &Keep, candidates: &[Candidate], s: &Situation<'_>, image: &str) -> Vec<Why> {
    let (sorted, _, reasons) = weigh(keep, candidates, s);
    sorted.iter().zip(reasons).find(|(c, _)| c.image.id == image).map_or_else(Vec::new, |(_, own)| own)
}

/// The first of `dues` after which no rule holds `image` any more, if each of them makes a good image, nothing fails
/// and nobody changes the rules; at most [`LEAVES_MAX`] are played through. Nothing: not within those, or it hangs on
/// something else than the images that come.
#[must_use]
pub fn leaves_at(
    keep: &Keep,
    candidates: &[Candidate],
    s: &Situation<'_>,
    image: &str,
    dues: impl Iterator<Item = DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    let by_time = |why: &Why| {
        matches!(
            why,
            Why::Last { .. }
                | Why::Within { .. }
                | Why::Bucket { .. }
                | Why::Newest
                | Why::Min(_)
                | Why::Resting { .. }
                | Why::OnlyTrace(_)
        )
    };
    if !standing_of(keep, candidates, s, image).iter().all(by_time) {
        return None;
    }
    // How many go in one run is a matter of pace, not of what is held.
    let keep = Keep { max_deletions: u32::MAX, ..keep.clone() };
    let mut series = candidates.to_vec();
    let marks = series.iter().find(|c| c.image.id == image)?.marks.clone();
    let mut judged = 0;
    for due in dues.take(LEAVES_MAX) {
        judged += series.len();
        if judged > JUDGED_MAX {
            return None;
        }
        series.push(to_come(Marks { due, ..marks.clone() }));
        let gone: BTreeSet<String> = decide(&keep, &series, &Situation { now: due, ..*s })
            .into_iter()
            .filter_map(|v| v.delete.then_some(v.image))
            .collect();
        if gone.contains(image) {
            return Some(due);
        }
        series.retain(|c| !gone.contains(&c.image.id));
    }
    None
}

/// The good image that an occurrence to come would add, with what its tags will say.
#[must_use]
pub fn to_come(marks: Marks) -> Candidate {
    let image = Image {
        id: format!("{NEW}{}-{}-{}", marks.role.as_str(), marks.instance, compact(marks.due)),
        name: image_name(&marks.daemon, &marks.plan, &marks.instance, marks.due),
        owner: String::new(),
        state: ImageState::Available,
        state_reason: None,
        created: Some(marks.due),
        odd: None,
        source_instance: Some(marks.instance.clone()),
        source_image: None,
        snapshots: Vec::new(),
        product_codes: false,
        deprecated: None,
        tags: SharedTags::default(),
    };
    Candidate { image, marks }
}

/// Whether this is the id of an image [`to_come`].
#[must_use]
pub fn is_to_come(image: &str) -> bool {
    image.starts_with(NEW)
}

/// No id of EC2 begins like this.
const NEW: &str = "new-";
