//! What `preview` foresees, for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::document::Document;
use super::table::{Cell, Paint, Table, Tone};
use crate::view::preview::{DestinationPreview, DistributionPreview, ImagePreview, PlanPreview, PreviewDocument};

/// A person reads no more occurrences of one plan than this; the document holds more.
const SHOWN_MAX: usize = 10;

impl Document for PreviewDocument {
    const KEY: &'static str = "preview";

    fn text(&self, paint: Paint) -> String {
        let mut text = format!("daemon {}, as of {}; {}\n", self.daemon, self.at, self.machine);
        if let Some(why) = &self.barred {
            text += &paint.prose(0, Tone::Bad, &format!("NOTHING WOULD BE BEGUN: {why}"));
        }
        for what in &self.unknown {
            text += &paint.prose(0, Tone::Warn, &format!("not known: {what}"));
        }
        if self.plans.is_empty() {
            text += "there are no plans\n";
        }
        for plan in &self.plans {
            text += &plan.text(&self.until, paint);
        }
        text
    }
}

impl DestinationPreview {
    fn words(&self) -> String {
        let account = self.account.as_ref().map_or(String::new(), |account| format!(", account {account}"));
        let key = self.kms_key.as_ref().map_or(String::new(), |key| format!(", under {key}"));
        let via = self.via_key.as_ref().map_or(String::new(), |via| format!(", by way of {via} where it takes that"));
        format!("copied to {}{account}{key}{via}", self.destination)
    }
}

fn judged(verdict: &str) -> Cell {
    let (tone, word) = match verdict {
        "go" => (Tone::Good, "can be"),
        "needless" => (Tone::Dim, "needless"),
        "not_now" => (Tone::Warn, "not now"),
        _ => (Tone::Bad, "NEVER"),
    };
    Cell::toned(tone, word)
}

impl PlanPreview {
    fn text(&self, until: &str, paint: Paint) -> String {
        let mut text = format!("\n{}\n", paint.tone(Tone::Head, &self.plan));
        let beyond = self.occurrences.first().is_some_and(|o| o.due.as_str() > until);
        match self.occurrences.len() {
            0 => text += "  never due again\n",
            _ if beyond => {
                let _ = writeln!(text, "  not due until {until}; next:");
            }
            _ => {
                let _ = writeln!(text, "  due until {until}:");
            }
        }
        let mut table = Table::new(4);
        for coming in self.occurrences.iter().take(SHOWN_MAX) {
            let zone = if coming.local.ends_with(&self.timezone) { "" } else { self.timezone.as_str() };
            table.row([(&*coming.due).into(), (&*coming.local).into(), zone.into()]);
        }
        text += &table.text(paint);
        let more = self.occurrences.len().saturating_sub(SHOWN_MAX) + self.more;
        if more > 0 {
            let _ = writeln!(text, "    and {more} more");
        }
        for note in &self.notes {
            text += &paint.prose(2, Tone::Warn, note);
        }
        for copy in &self.copies {
            let _ = writeln!(text, "  {}", copy.words());
        }
        if !self.shared.is_empty() {
            let _ = writeln!(text, "  shared with {}", self.shared.join(", "));
        }
        for fault in &self.faults {
            let region = fault.region.as_ref().map_or(String::new(), |region| format!("{region}: "));
            text += &paint.prose(2, Tone::Bad, &format!("NOT KNOWN: {region}{}", fault.reason));
        }
        text += &self.targets_text(paint);
        text += &self.owed_text(paint);
        text += &self.retention_text(paint);
        text
    }

    fn targets_text(&self, paint: Paint) -> String {
        let selected = self.targets.iter().filter(|t| t.outcome == "selected").count();
        if self.targets.is_empty() && !self.faults.is_empty() {
            return String::new();
        }
        if self.targets.is_empty() {
            let what = format!("targets now: NONE: no instance in {} matches [select]", self.regions.join(", "));
            return format!("  {}\n", paint.tone(Tone::Bad, &what));
        }
        let (skipped, regions) = (self.targets.len() - selected, self.regions.join(", "));
        let mut text = format!("  targets now, in {regions}: {selected} selected, {skipped} skipped\n");
        let mut table = Table::headed(4, &["INSTANCE", "NAME", "REGION", "OUTCOME", "HOW"]);
        for t in &self.targets {
            let how = match (t.outcome, t.reboots) {
                ("selected", true) => "rebooted",
                ("selected", false) => "not rebooted",
                _ => t.reason.as_str(),
            };
            let name = t.name.as_deref().unwrap_or("-");
            table.row([
                (&*t.instance).into(),
                Cell::name(name),
                (&*t.region).into(),
                Cell::word(t.outcome),
                how.into(),
            ]);
        }
        text += &table.text(paint);
        text += &self.distribution_text(paint);
        text
    }

    /// What is the same for many is said once.
    fn distribution_text(&self, paint: Paint) -> String {
        let mut of: BTreeMap<(&str, &str, &str, &[String]), Vec<&str>> = BTreeMap::new();
        let mut statements: BTreeSet<&str> = BTreeSet::new();
        for t in &self.targets {
            // Why a target is skipped stands with the target.
            let told = |d: &&DistributionPreview| d.verdict == "never" && t.reason.contains(&d.reasons.join("; "));
            for d in t.distribution.iter().filter(|d| !told(d)) {
                let to = d.destination.as_deref().unwrap_or_default();
                of.entry((d.what, to, d.verdict, &d.reasons)).or_default().push(&t.instance);
                statements.extend(d.statements.iter().map(String::as_str));
            }
        }
        let mut table = Table::headed(4, &["WHAT", "TO", "VERDICT", "OF", "WHY"]);
        for ((what, to, verdict, reasons), instances) in &of {
            let whose = match instances[..] {
                [one] => one.to_owned(),
                _ => format!("{} instances", instances.len()),
            };
            let why = reasons.join("; ");
            table.row([(*what).into(), (*to).into(), judged(verdict), whose.into(), why.into()]);
        }
        if of.is_empty() {
            return String::new();
        }
        let mut text = format!("  copies and shares of what is made now\n{}", table.text(paint));
        if !statements.is_empty() {
            text += "    organizations cannot be given grants: the policy of each key needs\n";
            statements.iter().for_each(|statement| text += &format!("      {statement}\n"));
        }
        text
    }

    fn owed_text(&self, paint: Paint) -> String {
        if self.owed.is_empty() {
            return String::new();
        }
        let mut table = Table::headed(4, &["IMAGE", "INSTANCE", "DUE", "TO", "VERDICT", "WHY"]);
        for o in &self.owed {
            // The way is that of the new ones.
            let why = if o.verdict == "go" { String::new() } else { o.reasons.join("; ") };
            let (image, instance, due) = ((&*o.image).into(), (&*o.instance).into(), (&*o.due).into());
            table.row([image, instance, due, (&*o.destination).into(), judged(o.verdict), why.into()]);
        }
        format!("  copies of older images that are missing\n{}", table.text(paint))
    }

    /// The region, or of a copy its destination.
    fn place(&self, i: &ImagePreview) -> String {
        let to = self.copies.iter().filter(|_| i.role == "copy").filter(|copy| copy.region == i.region);
        let of = |copy: &&DestinationPreview| copy.account.as_ref().is_none_or(|account| *account == i.account);
        let best = to.filter(of).max_by_key(|copy| copy.account.is_some());
        best.map_or_else(|| i.region.clone(), |copy| copy.destination.clone())
    }

    fn retention_text(&self, paint: Paint) -> String {
        let Some(due) = self.due.as_ref().filter(|_| !self.retention.is_empty()) else { return String::new() };
        let gone = self.retention.iter().filter(|i| i.verdict == "delete").count();
        let new = if self.copies.is_empty() { "new image" } else { "new image and copy" };
        let mut text = format!("  retention, if it ran at {due} and each {new} became available: {gone} deleted, ");
        let _ = writeln!(text, "{} kept", self.retention.len() - gone);
        let mut table = Table::headed(4, &["INSTANCE", "REGION", "DUE", "IMAGE", "VERDICT", "WHY"]);
        for i in &self.retention {
            let new = if i.role == "copy" { "(new copy)" } else { "(new)" };
            let image = i.image.as_deref().unwrap_or(new);
            let why = i.reasons.join("; ");
            let (instance, region, due) = ((&*i.instance).into(), self.place(i).into(), (&*i.due).into());
            table.row([instance, region, due, image.into(), Cell::word(i.verdict), why.into()]);
        }
        text += &table.text(paint);
        text
    }
}
