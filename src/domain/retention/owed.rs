//! Which images must still be copied: those whose copy the destination's own rules would keep, and that have none.

use std::collections::BTreeMap;

use super::{Candidate, Situation, Standing, decide, standing};
use crate::domain::keep::Keep;
use crate::domain::naming::HOLD_TAG;
use crate::domain::observed::ImageState;

/// The ids of the images of `sources` of which a copy is wanted and not there. `copies` are those of the same instance
/// in the destination, as far as they are known; `keep` are the rules there.
#[must_use]
pub fn owed(sources: &[Candidate], copies: &[Candidate], keep: &Keep, situation: &Situation<'_>) -> Vec<String> {
    let good = |c: &&Candidate| matches!(standing(c, situation.now), Standing::Good);
    // One that a person disabled is there, and that person's affair.
    let made = |c: &&Candidate| good(c) || c.image.state == ImageState::Disabled;
    let there = |due| copies.iter().filter(made).any(|c| c.marks.due == due);
    let missing: Vec<&Candidate> = sources.iter().filter(good).filter(|c| !there(c.marks.due)).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    // As if each were there. A copy that is pending or failed counts for nothing yet, and a hold on the source would not
    // hold the copy.
    let imagined = missing.iter().map(|c| {
        let mut copy = (*c).clone();
        if copy.image.tags.contains_key(HOLD_TAG) {
            copy.image.tags.remove(HOLD_TAG);
        }
        copy
    });
    let all: Vec<Candidate> = copies.iter().filter(good).cloned().chain(imagined).collect();
    let nothing = BTreeMap::new();
    let alone = Situation { in_use: &nothing, busy: &nothing, grace: None, ..*situation };
    let keep = Keep { max_deletions: u32::MAX, ..keep.clone() };
    let kept = decide(&keep, &all, &alone).into_iter().filter(|v| !v.delete).map(|v| v.image);
    kept.filter(|id| missing.iter().any(|c| c.image.id == *id)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{candidate, due, situation_at};
    use super::*;

    fn made(days: &[&str]) -> Vec<Candidate> {
        days.iter().map(|day| candidate(due(day), ImageState::Available)).collect()
    }

    fn owes(sources: &[&str], copies: &[Candidate], keep: &Keep) -> Vec<String> {
        let nothing = BTreeMap::new();
        let situation = situation_at(due("28"), &nothing);
        let sources = made(sources);
        let ids = owed(&sources, copies, keep, &situation);
        let day =
            |id: &String| sources.iter().find(|c| c.image.id == *id).map(|c| c.marks.due.format("%d").to_string());
        ids.iter().filter_map(day).collect()
    }

    #[test]
    fn what_the_destination_would_keep_is_owed_until_it_is_there() {
        let last_2 = Keep { last: 2, ..Keep::default() };
        assert_eq!(owes(&["20", "21", "22"], &[], &last_2), ["22", "21"]);
        assert_eq!(owes(&["20", "21", "22"], &made(&["22"]), &last_2), ["21"]);
        assert!(owes(&["20", "21", "22"], &made(&["22", "21"]), &last_2).is_empty());
        // A newer copy of an image that is gone at the source counts.
        assert!(owes(&["20", "21"], &made(&["23", "24"]), &last_2).is_empty());
    }

    #[test]
    fn what_a_person_holds_or_disabled_is_not_copied_again() {
        let last_1 = Keep { last: 1, ..Keep::default() };
        let nothing = BTreeMap::new();
        let situation = situation_at(due("28"), &nothing);
        let mut held = made(&["20"]);
        held[0].image.tags.insert(HOLD_TAG.into(), String::new());
        assert!(super::owed(&held, &made(&["22"]), &last_1, &situation).is_empty());
        assert_eq!(super::owed(&held, &[], &last_1, &situation).len(), 1);
        assert!(owes(&["22"], &[candidate(due("22"), ImageState::Disabled)], &last_1).is_empty());
    }

    #[test]
    fn a_copy_that_is_not_good_is_none() {
        let last_1 = Keep { last: 1, ..Keep::default() };
        for state in [ImageState::Pending, ImageState::Failed] {
            assert_eq!(owes(&["22"], &[candidate(due("22"), state)], &last_1), ["22"]);
        }
        assert!(owes(&[], &[], &last_1).is_empty());
    }
}
