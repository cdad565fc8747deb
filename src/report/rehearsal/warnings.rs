//! What of a rehearsal a person should look at before the plans are switched on.

use super::document::{Counted, RehearsalDocument, WarningDocument};
use super::plan::PlanRehearsal;
use super::words::{count, several};
use crate::domain::schedule::words;

/// So many instances are named.
const NAMED_MAX: usize = 3;
/// From this part of its share on, an API is nearly exhausted.
const NEARLY: f64 = 0.9;

impl RehearsalDocument {
    /// The same with its warnings, which follow from the rest.
    #[must_use]
    pub fn warned(mut self) -> Self {
        self.warnings = self.find();
        self
    }

    fn find(&self) -> Vec<WarningDocument> {
        let mut found: Vec<WarningDocument> = Vec::new();
        let mut general = |reason: String| found.push(WarningDocument { plan: None, reason });
        if self.plans.is_empty() {
            general("there are no plans: nothing happens".into());
        }
        for both in &self.rebooted_by_several {
            let (instances, reboot) = (several(both.count, "instance"), if both.count == 1 { "is" } else { "are" });
            general(format!("{instances} {reboot} rebooted by more than one plan: {}", both.reason));
        }
        if !self.fleet.unselected.is_empty() && !self.plans.is_empty() {
            let n = self.fleet.unselected.len();
            let names = named(&self.fleet.unselected);
            general(format!("no plan selects {}: {names}", several(n as u64, "instance")));
        }
        for c in self.calls.iter().filter(|c| count_of(c.most.count) >= NEARLY * c.share_allows) {
            general(format!(
                "{} in {} needs all of the daemon's share of its rate ({} calls in a minute): runs wait for it; raise \
                 cloud.api_share, or spread the plans",
                c.api, c.region, c.most.count
            ));
        }
        for plan in &self.plans {
            let of_plan = |reason| WarningDocument { plan: Some(plan.plan.clone()), reason };
            found.extend(plan.find(self.days).into_iter().map(of_plan));
        }
        found.extend(self.still_grows().map(|reason| WarningDocument { plan: None, reason }));
        found
    }
}

impl RehearsalDocument {
    /// Whether the days are too few to see what the keep rules amount to.
    fn still_grows(&self) -> Option<String> {
        let grows = |p: &&PlanRehearsal| p.keeps_days > self.days.into() && p.occurrences.run > 0;
        let growing: Vec<&PlanRehearsal> = self.plans.iter().filter(grows).collect();
        let longest = growing.iter().map(|p| p.keeps_days).max()?;
        let names: Vec<String> = growing.iter().map(|p| p.plan.clone()).collect();
        Some(format!(
            "what is stored still grows at the end, since the keep rules of {} reach back up to {}: rehearse more days \
             to see where it levels off",
            named(&names),
            several(longest, "day")
        ))
    }
}

impl PlanRehearsal {
    fn find(&self, days: u32) -> Vec<String> {
        let mut found = Vec::new();
        let o = &self.occurrences;
        let due = o.run + o.skipped + o.missed;
        match (due, self.instances) {
            (0, _) => found.push(format!("it is not due in these {}", several(days.into(), "day"))),
            (_, 0) if o.run > 0 => found.push("it takes no instance at all: look at [select]".into()),
            _ => {}
        }
        if self.window.runs > 0 {
            found.push(self.too_slow());
        }
        if o.skipped > 0 {
            let why = o.reasons.first().map_or("", |r| r.reason.as_str());
            found.push(format!("{} of its {} skipped: {why}", o.skipped, are(due, "occurrence")));
        }
        if self.targets.failed > 0 {
            let why = self.targets.failures.first().map_or("", |r| r.reason.as_str());
            found.push(format!("{} failed, mostly: {why}", several(self.targets.failed, "target")));
        }
        // What the window cuts is said above, and what the plan excludes is meant so.
        let meant = |r: &&Counted| r.reason.starts_with("the window of") || r.reason.starts_with("excluded by its tag");
        let left_out: Vec<&Counted> = self.targets.reasons.iter().filter(|r| !meant(r)).collect();
        if let Some(first) = left_out.first() {
            let all: u64 = left_out.iter().map(|r| r.count).sum();
            found.push(format!("{} left out, mostly: {}", are(all, "target"), first.reason));
        }
        if self.never_imaged > 0 {
            let never: Vec<String> =
                self.without_image.iter().filter(|g| g.images == 0).map(|g| g.instance.clone()).collect();
            let which = several(self.never_imaged as u64, "instance");
            found
                .push(format!("{which} that it names never got a good image: {}", named_of(&never, self.never_imaged)));
        }
        let called: u64 = self.alarms.iter().map(|a| a.count).sum();
        if called > 0 {
            found.push(format!("it calls a person {}", if called == 1 { "once".into() } else { times(called) }));
        }
        if let Some(limit) = self.kept_by.iter().find(|k| k.reason.starts_with("would go")) {
            found.push(format!(
                "at the end {} still to be deleted: keep.max_deletions lets so many go in one run only",
                are(limit.count, "image")
            ));
        }
        found
    }

    fn too_slow(&self) -> String {
        let (window, ran) = (words(self.window_s.unwrap_or_default()), self.occurrences.run);
        let mean = |sum: u64| (sum + self.window.runs / 2) / self.window.runs;
        let (cut, of) = (mean(self.window.targets), mean(self.window.of));
        let fit = if self.window.runs >= ran {
            format!("it never fits into its window of {window}")
        } else {
            format!("it does not fit into its window of {window} in {} of {}", self.window.runs, several(ran, "run"))
        };
        format!("{fit}: {cut} of {of} targets are then skipped; raise schedule.window or rollout.max_in_flight")
    }
}

#[allow(clippy::cast_precision_loss)] // calls in a minute
fn count_of(n: u64) -> f64 {
    n as f64
}

fn times(n: u64) -> String {
    format!("{} times", count(n))
}

/// `1 image is`, `2 images are`.
fn are(n: u64, one: &str) -> String {
    format!("{} {}", several(n, one), if n == 1 { "is" } else { "are" })
}

fn named(ids: &[String]) -> String {
    named_of(ids, ids.len())
}

/// The first few of `all`.
fn named_of(ids: &[String], all: usize) -> String {
    let shown: Vec<&str> = ids.iter().take(NAMED_MAX).map(String::as_str).collect();
    match all.saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
