//! Which images of a series stay and which go, each with its reasons.
//!
//! Deletion needs unanimity: no rule keeps the image, and nothing protects it. Nothing here reads `now` but to
//! refuse dates in the future and to let half-made images rest, so that nothing ages out when backups stop.

#[cfg(test)]
mod properties;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::keep::Keep;
use super::naming::{DUE_TOLERANCE, HOLD_TAG, Marks, Role, rfc3339};
use super::observed::{Image, ImageState};
use super::place::Place;

/// A half-made image rests this long before it is deleted, so that a person can read why it failed.
pub const HALF_MADE_REST: chrono::Duration = chrono::Duration::days(1);

/// The images that retention judges together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The plan that made them.
    pub plan: String,
    /// The instance they were made of.
    pub instance: String,
    /// The account and region that they are in.
    pub place: Place,
    /// Images or copies.
    pub role: Role,
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}/{} ({})", self.plan, self.place, self.instance, self.role.as_str())
    }
}

/// One image of a series. It is ours: its marks were read by [`ownership`](super::naming::ownership).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// As AWS shows it.
    pub image: Image,
    /// What its tags say.
    pub marks: Marks,
}

/// What must be known beside the images themselves.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The wall clock.
    pub now: DateTime<Utc>,
    /// The plan's zone, for the buckets.
    pub zone: Tz,
    /// Images from which an instance of ours runs, each with that instance.
    pub in_use: &'a BTreeMap<String, String>,
    /// Images that something still works with, each with what.
    pub busy: &'a BTreeMap<String, String>,
}

/// The decision on one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `ami-...`
    pub image: String,
    /// The image's name.
    pub name: String,
    /// Whether it is deleted now.
    pub delete: bool,
    /// Why, in an operator's words; never empty.
    pub reasons: Vec<String>,
}

/// What a candidate is worth to its series.
enum Standing {
    /// Available, ours, and dated plausibly.
    Good,
    /// It can never become available, and may be deleted once it has rested.
    HalfMade,
    /// Neither counted nor deleted, for this reason.
    Aside(String),
}

/// Decides about every candidate of one series: kept or deleted, sorted by `due`, the newest first.
///
/// `candidates` must be complete: a list that could not be read to its end must not come here.
#[must_use]
pub fn decide(keep: &Keep, candidates: &[Candidate], s: &Situation<'_>) -> Vec<Verdict> {
    let mut sorted: Vec<&Candidate> = candidates.iter().collect();
    sorted.sort_by(|a, b| (b.marks.due, &b.image.id).cmp(&(a.marks.due, &a.image.id)));
    let standings: Vec<Standing> = sorted.iter().map(|c| standing(c, s.now)).collect();
    let good: Vec<usize> = (0..sorted.len()).filter(|i| matches!(standings[*i], Standing::Good)).collect();

    let mut reasons: Vec<Vec<String>> = sorted.iter().map(|c| protections(c, s)).collect();
    let dues: Vec<DateTime<Utc>> = good.iter().map(|i| sorted[*i].marks.due).collect();
    for (i, kept_by) in good.iter().zip(rules::reasons(keep, &dues, s.zone)) {
        reasons[*i].extend(kept_by);
    }
    keep_newest_and_min(keep, &good, &mut reasons);
    keep_half_made(&sorted, &standings, &mut reasons, s.now);
    for (own, standing) in reasons.iter_mut().zip(&standings) {
        if let Standing::Aside(why) = standing {
            own.push(why.clone());
        }
    }
    conclude(keep, &sorted, &standings, reasons)
}

fn standing(c: &Candidate, now: DateTime<Utc>) -> Standing {
    let due = c.marks.due;
    if due - DUE_TOLERANCE > c.image.created {
        let created = rfc3339(c.image.created);
        return Standing::Aside(format!("not understood: due {} but already created {created}", rfc3339(due)));
    }
    if due - DUE_TOLERANCE > now {
        return Standing::Aside(format!("not understood: due {}, which is in the future", rfc3339(due)));
    }
    match c.image.state {
        ImageState::Available => Standing::Good,
        ImageState::Failed | ImageState::Error | ImageState::Invalid => Standing::HalfMade,
        ImageState::Pending => Standing::Aside("pending: not finished yet".into()),
        state @ (ImageState::Disabled | ImageState::Transient | ImageState::Deregistered) => {
            Standing::Aside(format!("{}: not counted, left alone", state.as_str()))
        }
    }
}

/// What keeps an image whatever the rules say.
fn protections(c: &Candidate, s: &Situation<'_>) -> Vec<String> {
    let hold = c.image.tags.contains_key(HOLD_TAG).then(|| format!("on hold (tag {HOLD_TAG})"));
    let in_use = s.in_use.get(&c.image.id).map(|by| format!("in use by {by}"));
    let busy = s.busy.get(&c.image.id).map(|why| format!("busy: {why}"));
    [hold, in_use, busy].into_iter().flatten().collect()
}

fn keep_newest_and_min(keep: &Keep, good: &[usize], reasons: &mut [Vec<String>]) {
    if let Some(newest) = good.first() {
        reasons[*newest].push("newest good image of its series".to_owned());
    }
    let floor = usize::try_from(keep.min.max(1)).unwrap_or(usize::MAX);
    let mut kept = good.iter().filter(|i| !reasons[**i].is_empty()).count();
    for i in good {
        if kept >= floor {
            break;
        }
        if reasons[*i].is_empty() {
            reasons[*i].push(format!("min {floor}: no fewer good images"));
            kept += 1;
        }
    }
}

/// Half-made images stay for a day, and the newest stays while nothing else tells of the series.
fn keep_half_made(sorted: &[&Candidate], standings: &[Standing], reasons: &mut [Vec<String>], now: DateTime<Utc>) {
    let mut traced = standings.iter().any(|s| !matches!(s, Standing::HalfMade));
    for (i, c) in sorted.iter().enumerate() {
        if !matches!(standings[i], Standing::HalfMade) {
            continue;
        }
        if now - c.image.created <= HALF_MADE_REST {
            reasons[i].push(format!("{}: kept for a day", half_made(&c.image)));
        }
        if !traced {
            reasons[i].push(format!("{}: the only trace of its series", half_made(&c.image)));
            traced = true;
        }
    }
}

fn half_made(image: &Image) -> String {
    match &image.state_reason {
        Some(why) => format!("half-made ({}: {why})", image.state.as_str()),
        None => format!("half-made ({})", image.state.as_str()),
    }
}

/// What nothing keeps goes, the oldest first, at most `max_deletions` of them.
fn conclude(keep: &Keep, sorted: &[&Candidate], standings: &[Standing], reasons: Vec<Vec<String>>) -> Vec<Verdict> {
    let mut left = keep.max_deletions;
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(sorted.len());
    for ((c, standing), mut reasons) in sorted.iter().zip(standings).zip(reasons).rev() {
        let unwanted = reasons.is_empty();
        let delete = unwanted && left > 0;
        if unwanted {
            reasons.push(match standing {
                Standing::HalfMade => format!("{}, older than a day", half_made(&c.image)),
                _ => "no rule keeps it".into(),
            });
        }
        if delete {
            left -= 1;
        } else if unwanted {
            reasons.push(format!("would go; max_deletions ({}) reached: next run", keep.max_deletions));
        }
        verdicts.push(Verdict { image: c.image.id.clone(), name: c.image.name.clone(), delete, reasons });
    }
    verdicts.reverse();
    verdicts
}
