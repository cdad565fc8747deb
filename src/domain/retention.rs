//! Which images of a series stay and which go, each with its reasons.
//!
//! Deletion needs unanimity: no rule keeps the image, and nothing protects it. Nothing here reads `now` but to
//! refuse dates in the future and to let half-made images rest, so that nothing ages out when backups stop.

mod owed;
mod plan;
#[cfg(test)]
mod properties;
mod rules;
#[cfg(test)]
mod tests;
mod until;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};

pub use self::owed::owed;
pub use self::plan::{Listing, NO_COPY, NO_PLAN, RetentionPlan, Survey, places_of};
pub use self::until::{LEAVES_MAX, is_to_come, leaves_at, standing_of, to_come};
pub use self::why::{COPY_OWED, Why};
use super::keep::Keep;
use super::naming::{DUE_TOLERANCE, HOLD_TAG, Marks, Role, rfc3339};
use super::observed::{Image, ImageState, unreadable_date};
use super::place::Place;
use super::plan::Seconds;
use super::zone::Zone;

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
    pub zone: &'a Zone,
    /// Images from which an instance of ours runs, each with that instance.
    pub in_use: &'a BTreeMap<String, String>,
    /// Images that something still works with, each with what.
    pub busy: &'a BTreeMap<String, String>,
    /// What becomes of images that other accounts may use, before they go.
    pub grace: Option<Grace<'a>>,
}

/// Other accounts may use these images, and nobody can see whether they do: they are deprecated for a while before they
/// are deleted.
#[derive(Debug, Clone, Copy)]
pub struct Grace<'a> {
    /// For how long.
    pub lasts: Seconds,
    /// The images.
    pub shared: &'a BTreeSet<String>,
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
    /// Whether it is deprecated now, to be deleted when its grace is over.
    pub deprecate: bool,
    /// Why, in an operator's words; never empty.
    pub reasons: Vec<String>,
    /// If it is deleted: the good image of its series that stays. Nothing where the series has no good image, and only a
    /// half-made one goes.
    pub witness: Option<String>,
}

impl Verdict {
    /// Neither deleted nor deprecated after all.
    fn stays(&mut self, why: &str) {
        (self.delete, self.deprecate, self.witness) = (false, false, None);
        self.reasons = vec![why.to_owned()];
    }
}

/// What a candidate is worth to its series.
enum Standing {
    /// Available, ours, and dated plausibly.
    Good,
    /// It can never become available, and may be deleted once it has rested.
    HalfMade,
    /// Neither counted nor deleted, for this reason.
    Aside(Why),
}

/// Decides about every candidate of one series: kept or deleted, sorted by `due`, the newest first.
///
/// `candidates` must be complete: a list that could not be read to its end must not come here.
#[must_use]
pub fn decide(keep: &Keep, candidates: &[Candidate], s: &Situation<'_>) -> Vec<Verdict> {
    let (sorted, standings, reasons) = weigh(keep, candidates, s);
    let reasons = reasons.iter().map(|own| own.iter().map(ToString::to_string).collect()).collect();
    conclude(keep, &sorted, &standings, reasons, s)
}

/// All that speaks for each candidate: sorted by `due`, the newest first.
fn weigh<'a>(
    keep: &Keep,
    candidates: &'a [Candidate],
    s: &Situation<'_>,
) -> (Vec<&'a Candidate>, Vec<Standing>, Vec<Vec<Why>>) {
    let mut sorted: Vec<&Candidate> = candidates.iter().collect();
    sorted.sort_by(|a, b| (b.marks.due, &b.image.id).cmp(&(a.marks.due, &a.image.id)));
    let standings: Vec<Standing> = sorted.iter().map(|c| standing(c, s.now)).collect();
    let good: Vec<usize> = (0..sorted.len()).filter(|i| matches!(standings[*i], Standing::Good)).collect();

    let mut reasons: Vec<Vec<Why>> = sorted.iter().map(|c| protections(c, s)).collect();
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
    (sorted, standings, reasons)
}

fn standing(c: &Candidate, now: DateTime<Utc>) -> Standing {
    let due = c.marks.due;
    if let Some(odd) = &c.image.odd {
        return Standing::Aside(Why::NotUnderstood(odd.clone()));
    }
    let Some(created) = c.image.created else {
        return Standing::Aside(Why::NotUnderstood(unreadable_date("CreationDate", "")));
    };
    if due - DUE_TOLERANCE > created {
        let created = rfc3339(created);
        return Standing::Aside(Why::NotUnderstood(format!("due {} but already created {created}", rfc3339(due))));
    }
    if due - DUE_TOLERANCE > now {
        return Standing::Aside(Why::NotUnderstood(format!("due {}, which is in the future", rfc3339(due))));
    }
    match c.image.state {
        ImageState::Available => Standing::Good,
        ImageState::Failed | ImageState::Error | ImageState::Invalid => Standing::HalfMade,
        ImageState::Pending => Standing::Aside(Why::Pending),
        state @ (ImageState::Disabled | ImageState::Transient | ImageState::Deregistered | ImageState::Unknown) => {
            Standing::Aside(Why::Aside(state))
        }
    }
}

/// What keeps an image whatever the rules say.
fn protections(c: &Candidate, s: &Situation<'_>) -> Vec<Why> {
    let hold = c.image.tags.contains_key(HOLD_TAG).then_some(Why::Hold);
    let in_use = s.in_use.get(&c.image.id).map(|by| Why::InUse(by.clone()));
    let busy = s.busy.get(&c.image.id).map(|why| Why::Busy(why.clone()));
    [hold, in_use, busy].into_iter().flatten().collect()
}

fn keep_newest_and_min(keep: &Keep, good: &[usize], reasons: &mut [Vec<Why>]) {
    if let Some(newest) = good.first() {
        reasons[*newest].push(Why::Newest);
    }
    let floor = usize::try_from(keep.min.max(1)).unwrap_or(usize::MAX);
    let mut kept = good.iter().filter(|i| !reasons[**i].is_empty()).count();
    for i in good {
        if kept >= floor {
            break;
        }
        if reasons[*i].is_empty() {
            reasons[*i].push(Why::Min(floor));
            kept += 1;
        }
    }
}

/// Half-made images stay for a day, and the newest stays while nothing else tells of the series.
fn keep_half_made(sorted: &[&Candidate], standings: &[Standing], reasons: &mut [Vec<Why>], now: DateTime<Utc>) {
    let mut traced = standings.iter().any(|s| !matches!(s, Standing::HalfMade));
    for (i, c) in sorted.iter().enumerate() {
        if !matches!(standings[i], Standing::HalfMade) {
            continue;
        }
        let rests_until = c.image.created.unwrap_or(now) + HALF_MADE_REST;
        if now <= rests_until {
            reasons[i].push(Why::Resting { what: half_made(&c.image), until: rests_until });
        }
        if !traced {
            reasons[i].push(Why::OnlyTrace(half_made(&c.image)));
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

/// Whether an image that other accounts may use is to be deprecated now, and why it does not go yet.
fn in_grace(image: &Image, lasts: Seconds, now: DateTime<Utc>) -> (bool, Option<String>) {
    let lasts =
        chrono::TimeDelta::try_seconds(i64::try_from(lasts).unwrap_or(i64::MAX)).unwrap_or(chrono::TimeDelta::MAX);
    match image.deprecated {
        None => (true, Some(format!("shared: deprecated first, it goes {} d later", lasts.num_days()))),
        Some(at) => match at.checked_add_signed(lasts).filter(|over| *over <= now) {
            Some(_) => (false, None),
            None => {
                (false, Some(format!("shared: deprecated since {}, it goes {} d later", rfc3339(at), lasts.num_days())))
            }
        },
    }
}

/// What nothing keeps goes, the oldest first, at most `max_deletions` of them.
fn conclude(
    keep: &Keep,
    sorted: &[&Candidate],
    standings: &[Standing],
    reasons: Vec<Vec<String>>,
    s: &Situation<'_>,
) -> Vec<Verdict> {
    let mut left = keep.max_deletions;
    // The newest good one, which always stays.
    let good = sorted.iter().zip(standings).find(|(_, standing)| matches!(standing, Standing::Good));
    let witness = good.map(|(c, _)| &c.image.id);
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(sorted.len());
    for ((c, standing), mut reasons) in sorted.iter().zip(standings).zip(reasons).rev() {
        let unwanted = reasons.is_empty();
        let grace = s.grace.filter(|grace| unwanted && grace.shared.contains(&c.image.id));
        let (deprecate, waits) = grace.map_or((false, None), |grace| in_grace(&c.image, grace.lasts, s.now));
        let delete = unwanted && waits.is_none() && left > 0;
        if unwanted {
            reasons.push(match standing {
                Standing::HalfMade => format!("{}, older than a day", half_made(&c.image)),
                _ => "no rule keeps it".into(),
            });
        }
        if delete {
            left -= 1;
        } else if let Some(waits) = waits {
            reasons.push(waits);
        } else if unwanted {
            reasons.push(format!("would go; max_deletions ({}) reached: next run", keep.max_deletions));
        }
        let (image, name) = (c.image.id.clone(), c.image.name.clone());
        let witness = witness.filter(|_| delete).cloned();
        verdicts.push(Verdict { image, name, delete, deprecate, reasons, witness });
    }
    verdicts.reverse();
    verdicts
}
