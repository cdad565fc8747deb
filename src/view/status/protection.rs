//! How well each instance is protected: the newest good images of the journal against what was last seen of the fleet.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{InstanceStatus, NeedsPerson, ProtectionStatus, StatusDocument};
use crate::domain::census::Census;
use crate::domain::naming::{parse_rfc3339, rfc3339};
use crate::domain::plan::Plan;
use crate::domain::protection::{Deadlines, Protection, judge};
use crate::domain::schedule::Timetable;

/// A running daemon lists each plan once an hour.
const STALE: TimeDelta = TimeDelta::hours(3);
/// So many instances of a plan are named in one line.
const NAMED_MAX: usize = 5;

/// Adds what the census tells to each instance, the counts, and who needs a person.
pub fn judge_all(document: &mut StatusDocument, census: &Census, plans: &[Plan], now: DateTime<Utc>) {
    let mut counts = ProtectionStatus::default();
    let mut needs = Vec::new();
    let key = |plan: &str, account: &str, region: &str, id: &str| [plan, account, region, id].map(str::to_owned);
    let numbered = document.instances.iter().enumerate();
    let mut places: BTreeMap<[String; 4], usize> =
        numbered.map(|(n, i)| (key(&i.plan, &i.account, &i.region, &i.instance), n)).collect();
    for plan in plans {
        let Some(listed) = census.plans.get(&plan.name) else { continue };
        // `config` has compiled the same lines when it checked the plan.
        let timetable = Timetable::new(&plan.schedule).unwrap_or_else(|e| unreachable!("a checked schedule: {e}"));
        let deadlines = Deadlines::of_schedule(&plan.schedule, &timetable, now);
        let mut called: BTreeMap<Protection, Vec<String>> = BTreeMap::new();
        for member in &listed.members {
            let key = key(&plan.name, &member.account, &member.region, &member.instance);
            let at = *places.entry(key).or_insert_with(|| {
                document.instances.push(InstanceStatus {
                    account: member.account.clone(),
                    region: member.region.clone(),
                    instance: member.instance.clone(),
                    plan: plan.name.clone(),
                    name: None,
                    protection: None,
                    why: String::new(),
                    image: None,
                    due: None,
                    age_s: None,
                });
                document.instances.len() - 1
            });
            let shown = &mut document.instances[at];
            let newest = shown.due.as_deref().and_then(parse_rfc3339);
            let protection = judge(deadlines, member.seen, member.since, newest, now);
            shown.name.clone_from(&member.name);
            shown.protection = Some(protection.as_str());
            shown.why.clone_from(&member.reason);
            counts.count(protection);
            if protection.needs_person(member.seen) {
                let name = member.name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
                called.entry(protection).or_default().push(format!("{}{name}", member.instance));
            }
        }
        for (protection, instances) in called {
            let reason = format!("{}: {}", names(&instances), words(protection, plan, deadlines));
            needs.push(NeedsPerson::of_all(rfc3339(listed.at), reason));
        }
        let oldest = counts.listed_at.as_deref().and_then(parse_rfc3339);
        counts.listed_at = Some(rfc3339(oldest.map_or(listed.at, |oldest| oldest.min(listed.at))));
        counts.faults.extend(listed.faults.iter().map(|fault| format!("{}: {fault}", plan.name)));
    }
    let listed = counts.listed_at.as_deref().and_then(parse_rfc3339);
    counts.stale = document.daemon.running == Some(true) && listed.is_some_and(|at| now - at > STALE);
    document.protection = listed.map(|_| counts);
    document.needs_person.extend(needs);
    // Who has none is the oldest.
    document.instances.sort_by_key(|i| std::cmp::Reverse(i.age_s.unwrap_or(i64::MAX)));
}

fn names(instances: &[String]) -> String {
    let first = instances.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match instances.len().saturating_sub(NAMED_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn words(protection: Protection, plan: &Plan, deadlines: Deadlines) -> String {
    let hours = |delta: TimeDelta| delta.num_hours();
    let plan = &plan.name;
    match protection {
        Protection::Critical => format!(
            "the newest good image by {plan} is older than {} h; see `stillframe history --plan {plan}`",
            hours(deadlines.critical)
        ),
        Protection::Never => format!(
            "no good image by {plan}, {} h after it was first listed; see `stillframe history --plan {plan}`",
            hours(deadlines.warn)
        ),
        Protection::Unprotected => format!(
            "{plan} has images of it and takes it no more: its tags were changed? Tag it again; or, if that is meant, tag it \
             stillframe:skip and exclude that tag"
        ),
        Protection::Protected | Protection::New | Protection::Late | Protection::Gone => protection.as_str().to_owned(),
    }
}

impl ProtectionStatus {
    fn count(&mut self, protection: Protection) {
        let count = match protection {
            Protection::Protected => &mut self.protected,
            Protection::New => &mut self.new,
            Protection::Late => &mut self.late,
            Protection::Critical => &mut self.critical,
            Protection::Never => &mut self.never,
            Protection::Gone => &mut self.gone,
            Protection::Unprotected => &mut self.unprotected,
        };
        *count += 1;
    }
}
