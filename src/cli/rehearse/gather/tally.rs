//! The counters of one plan, and what they amount to.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::life::Life;
use crate::domain::fact::Verdict;
use crate::domain::keep::Keep;
use crate::domain::naming::{Role, rfc3339};
use crate::domain::place::Subject;
use crate::domain::plan::Plan;
use crate::report::rehearsal::{
    Counted, Days, GapDocument, LongestRun, Most, Occurrences, PlanRehearsal, Reboots, Stored, Targets, Window, plain,
};

/// So many different reasons are told apart; the others are counted together.
const REASONS_MAX: usize = 20;
/// So many instances are named among those that were without a good image for longest.
const GAPS_SHOWN: usize = 3;
/// Reasons beyond [`REASONS_MAX`].
const OTHERS: &str = "other reasons";

/// Reasons, and how often each was met.
#[derive(Debug, Clone, Default)]
pub struct Reasons(BTreeMap<String, u64>);

impl Reasons {
    /// Counts one.
    pub fn add(&mut self, reason: &str) {
        self.more(reason, 1);
    }

    fn more(&mut self, reason: &str, n: u64) {
        if let Some(count) = self.0.get_mut(reason) {
            *count += n;
        } else {
            let known = self.0.len() < REASONS_MAX;
            *self.0.entry(if known { reason } else { OTHERS }.to_owned()).or_default() += n;
        }
    }

    /// The most frequent first.
    pub fn list(&self) -> Vec<Counted> {
        let counted = |(reason, count): (&String, &u64)| Counted { reason: reason.clone(), count: *count };
        let mut list: Vec<Counted> = self.0.iter().map(counted).collect();
        list.sort_by(|a, b| (b.count, &a.reason).cmp(&(a.count, &b.reason)));
        list
    }
}

/// One plan's counters.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub(super) occurrences: Occurrences,
    pub(super) not_run: Reasons,
    pub(super) run_failures: Reasons,
    pub(super) targets: Targets,
    pub(super) left_out: Reasons,
    pub(super) failures: Reasons,
    pub(super) alarms: Reasons,
    pub(super) window: Window,
    pub(super) daily: Days,
    pub(super) most_down: Most,
    /// The instances that it took at least once.
    pub(super) taken: BTreeSet<Subject>,
    /// The good images of all instances that it means to image.
    pub(super) lives: BTreeMap<Subject, Life>,
    /// Images that are being deleted, each with why.
    pub(super) going: BTreeMap<String, String>,
    pub(super) deleted: Reasons,
    longest_down: Option<LongestRun>,
    longest_run: Option<LongestRun>,
    /// What the newest verdicts on each series keep, by rule.
    kept_by: BTreeMap<(Subject, Role), BTreeMap<String, u64>>,
}

/// What is told of a plan beside its own counters.
pub struct Seen<'a> {
    pub begin: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// The tag `Name` of an instance.
    pub name: &'a dyn Fn(&str) -> Option<String>,
    /// Runs that still go on.
    pub unfinished: u64,
}

impl Tally {
    pub fn new(days: usize) -> Self {
        Self { daily: Days { reboots: vec![0; days], down: vec![0; days] }, ..Self::default() }
    }

    /// A run ended.
    pub(super) fn ended(&mut self, run: &str, due: DateTime<Utc>, at: DateTime<Utc>, back: Option<DateTime<Utc>>) {
        let since = |at: DateTime<Utc>| u64::try_from((at - due).num_seconds()).unwrap_or_default();
        for (longest, at) in [(&mut self.longest_down, back), (&mut self.longest_run, Some(at))] {
            let Some(seconds) = at.map(since) else { continue };
            if longest.as_ref().is_none_or(|l| seconds > l.seconds) {
                *longest = Some(LongestRun { run: run.to_owned(), seconds });
            }
        }
    }

    /// The verdicts on one series, in the place of those before.
    pub(super) fn verdicts(&mut self, instance: &Subject, role: Role, verdicts: &[Verdict]) {
        let mut kept: BTreeMap<String, u64> = BTreeMap::new();
        for verdict in verdicts.iter().filter(|verdict| !verdict.delete) {
            for reason in &verdict.reasons {
                let rule = rule(reason);
                match kept.get_mut(&*rule) {
                    Some(n) => *n += 1,
                    None => drop(kept.insert(rule.into_owned(), 1)),
                }
            }
        }
        self.kept_by.insert((instance.clone(), role), kept);
    }

    /// What they amount to.
    #[allow(clippy::cast_precision_loss)] // reboots of years fit
    pub fn document(&self, plan: &Plan, regions: Vec<String>, stored: Stored, seen: &Seen<'_>) -> PlanRehearsal {
        let total: u64 = self.daily.reboots.iter().map(|n| u64::from(*n)).sum();
        let days = self.daily.reboots.len();
        let mut kept_by = Reasons::default();
        for (rule, n) in self.kept_by.values().flatten() {
            kept_by.more(rule, *n);
        }
        let gaps = self.gaps(seen);
        PlanRehearsal {
            plan: plan.name.clone(),
            description: plan.description.clone(),
            cron: plan.schedule.cron.clone(),
            timezone: plan.schedule.timezone.name().to_owned(),
            regions,
            consistency: plan.consistency.mode.as_str(),
            window_s: plan.schedule.window,
            max_in_flight: plan.rollout.max_in_flight,
            keeps_days: keeps_days(&plan.keep),
            instances: self.taken.len(),
            occurrences: Occurrences {
                unfinished: seen.unfinished,
                reasons: self.not_run.list(),
                failures: self.run_failures.list(),
                ..self.occurrences.clone()
            },
            targets: Targets { reasons: self.left_out.list(), failures: self.failures.list(), ..self.targets.clone() },
            reboots: Reboots {
                total,
                per_day: (total as f64 / days.max(1) as f64 * 100.0).round() / 100.0,
                most: busiest(seen.begin, self.daily.reboots.iter().map(|n| u64::from(*n))),
                down: self.most_down.clone(),
            },
            longest_down: self.longest_down.clone(),
            longest_run: self.longest_run.clone(),
            window: self.window.clone(),
            stored,
            deleted: self.deleted.list(),
            kept_by: kept_by.list(),
            never_imaged: self.lives.values().filter(|life| life.images == 0).count(),
            without_image: gaps,
            alarms: self.alarms.list(),
            daily: self.daily.clone(),
        }
    }

    /// The worst first.
    fn gaps(&self, seen: &Seen<'_>) -> Vec<GapDocument> {
        let mut all: Vec<_> = self.lives.iter().map(|(subject, life)| (life.with(seen.end), subject, life)).collect();
        all.sort_by(|((a, b), s, _), ((c, d), t, _)| (*d - *c, *s).cmp(&(*b - *a, *t)));
        let gap = |((from, until), subject, life): ((DateTime<Utc>, DateTime<Utc>), &Subject, &Life)| GapDocument {
            account: subject.place.account.clone(),
            region: subject.place.region.clone(),
            instance: subject.id.clone(),
            name: (seen.name)(&subject.id),
            seconds: u64::try_from((until - from).num_seconds()).unwrap_or_default(),
            from: rfc3339(from),
            until: rfc3339(until),
            images: life.images,
        };
        all.into_iter().take(GAPS_SHOWN).map(gap).collect()
    }
}

/// The day with the most.
pub fn busiest(begin: DateTime<Utc>, days: impl Iterator<Item = u64>) -> Most {
    let mut most = Most::default();
    for (n, count) in days.enumerate() {
        if count > most.count {
            let day = begin + chrono::TimeDelta::days(i64::try_from(n).unwrap_or_default());
            most = Most { count, at: Some(day.format("%Y-%m-%d").to_string()) };
        }
    }
    most
}

/// The rule that a reason names, without what differs from image to image. Asked for every image and night, so that
/// the usual words are not copied.
fn rule(reason: &str) -> Cow<'_, str> {
    if let Some((rule, _)) = reason.split_once(": the newest of ") {
        return rule.into();
    }
    if reason.starts_with("half-made") {
        return "half-made: kept for a day".into();
    }
    if reason.contains(['-', '@']) { plain(reason).into() } else { reason.into() }
}

/// How many days a plan's rules reach back at the most.
fn keeps_days(keep: &Keep) -> u64 {
    let within = keep.within.unwrap_or_default() / 86_400;
    let stretches = [(keep.daily, 1), (keep.weekly, 7), (keep.monthly, 30), (keep.yearly, 365)];
    let longest = stretches.into_iter().map(|(n, days)| u64::from(n) * days).max().unwrap_or_default();
    longest.max(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_bounded() {
        let mut reasons = Reasons::default();
        reasons.add("b");
        reasons.add("b");
        (0..30).for_each(|n| reasons.add(&format!("a{n:02}")));
        let list = reasons.list();
        assert_eq!(list.len(), REASONS_MAX + 1);
        assert_eq!((list[0].reason.as_str(), list[0].count), (OTHERS, 11));
        assert_eq!((list[1].reason.as_str(), list[1].count), ("b", 2));
    }

    #[test]
    fn rules_lose_what_differs() {
        for (reason, expected) in [
            ("daily 7: the newest of 2026-12-01", "daily 7"),
            ("within 14d of the newest good image", "within 14d of the newest good image"),
            ("half-made (failed: Client.InternalError: x): kept for a day", "half-made: kept for a day"),
            ("would go; max_deletions (3) reached: next run", "would go; max_deletions (3) reached: next run"),
            ("in use by i-0123456789abcdef0", "in use by i-…"),
        ] {
            assert_eq!(rule(reason), expected);
        }
        let keep = Keep { last: 3, within: Some(14 * 86_400), daily: 7, monthly: 12, ..Keep::default() };
        assert_eq!(keeps_days(&keep), 360);
        assert_eq!(keeps_days(&Keep { within: Some(40 * 86_400), daily: 7, ..Keep::default() }), 40);
    }
}
