//! What `preview` foresees, as a document and as text. It is derived from what the engine would decide, and changes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::document::{SCHEMA, line};
use super::table::{Cell, Paint, Table, Tone};

/// A person reads no more occurrences of one plan than this; the document holds more.
const SHOWN_MAX: usize = 10;

/// An occurrence to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coming {
    /// RFC 3339, UTC.
    pub due: String,
    /// The same on the clocks of the plan's zone.
    pub local: String,
}

/// One instance that the plan names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetPreview {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// `i-...`
    pub instance: String,
    /// Its tag `Name`.
    pub name: Option<String>,
    /// selected or skipped.
    pub outcome: &'static str,
    /// Whether it would be restarted.
    pub reboots: bool,
    /// Why it is skipped.
    pub reason: String,
    /// Of each copy and share of its image; left out where the plan wants none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub distribution: Vec<DistributionPreview>,
}

/// Whether an image can be copied or shared as the plan wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DistributionPreview {
    /// `copy` or `share`.
    pub what: &'static str,
    /// Of a copy: `dr/eu-west-1`, or `eu-west-1` for the own account.
    pub destination: Option<String>,
    /// go, needless, not_now or never.
    pub verdict: &'static str,
    /// Why not, or in which way.
    pub reasons: Vec<String>,
    /// Statements that the policy of the key needs, since nobody can be given a grant for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
}

/// What retention would decide of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImagePreview {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance that it was made of.
    pub instance: String,
    /// image or copy.
    pub role: &'static str,
    /// `ami-...`; nothing for the image that the occurrence itself would add.
    pub image: Option<String>,
    /// The occurrence that made it.
    pub due: String,
    /// keep or delete.
    pub verdict: &'static str,
    /// In an operator's words.
    pub reasons: Vec<String>,
}

/// A destination of a plan's copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DestinationPreview {
    /// `dr/eu-west-1`, or `eu-west-1` for the own account.
    pub destination: String,
    /// Twelve digits, where it is another account.
    pub account: Option<String>,
    /// The region.
    pub region: String,
    /// The key there; nothing: none, or the default one.
    pub kms_key: Option<String>,
    /// The key under which an image is copied first.
    pub via_key: Option<String>,
}

/// An older image whose copy is not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwedPreview {
    /// Twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance that it was made of.
    pub instance: String,
    /// `ami-...`
    pub image: String,
    /// The occurrence that made it.
    pub due: String,
    /// `dr/eu-west-1`, or `eu-west-1` for the own account.
    pub destination: String,
    /// go, needless, not_now or never.
    pub verdict: &'static str,
    /// Why not, or in which way.
    pub reasons: Vec<String>,
}

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultPreview {
    /// The region, where it is about one.
    pub region: Option<String>,
    /// What, why, and what it means.
    pub reason: String,
}

/// One plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanPreview {
    /// Its name.
    pub plan: String,
    /// Its zone.
    pub timezone: String,
    /// Where it looks.
    pub regions: Vec<String>,
    /// When it is due next.
    pub occurrences: Vec<Coming>,
    /// How many more there are in the time asked for.
    pub more: usize,
    /// The occurrence of which the rest speaks.
    pub due: Option<String>,
    /// What the next occurrence would meet: another run that holds the plan, an instance that is not back.
    pub notes: Vec<String>,
    /// Each instance that it names, as it is now.
    pub targets: Vec<TargetPreview>,
    /// Each image of its series, if the occurrence ran.
    pub retention: Vec<ImagePreview>,
    /// Where its images are copied to; left out where nowhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<DestinationPreview>,
    /// Whom they are shared with; left out where with nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
    /// Copies that are missing, and that the occurrence would make or try to; left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<OwedPreview>,
    /// What could not be read.
    pub faults: Vec<FaultPreview>,
}

/// The document of `preview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewDocument {
    /// When it was made.
    pub at: String,
    /// The daemon's name.
    pub daemon: String,
    /// Which machine this is, in words.
    pub machine: String,
    /// Why nothing at all would be begun.
    pub barred: Option<String>,
    /// What is not known, and what that means.
    pub unknown: Vec<String>,
    /// Until when occurrences are listed.
    pub until: String,
    /// The plans asked for.
    pub plans: Vec<PlanPreview>,
}

impl PreviewDocument {
    /// One line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            preview: &'a PreviewDocument,
        }
        line(&Document { schema: SCHEMA, preview: self })
    }

    /// Whether all could be read, something would be begun, and each plan selects something.
    #[must_use]
    pub fn ok(&self) -> bool {
        let well = |p: &PlanPreview| p.faults.is_empty() && p.targets.iter().any(|t| t.outcome == "selected");
        self.barred.is_none() && self.plans.iter().all(well)
    }

    /// Lines for people.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!("daemon {}, as of {}; {}\n", self.daemon, self.at, self.machine);
        if let Some(why) = &self.barred {
            let _ = writeln!(text, "{}", paint.tone(Tone::Bad, &format!("NOTHING WOULD BE BEGUN: {why}")));
        }
        for what in &self.unknown {
            let _ = writeln!(text, "{}", paint.tone(Tone::Warn, &format!("not known: {what}")));
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
            let _ = writeln!(text, "  {}", paint.tone(Tone::Warn, note));
        }
        for copy in &self.copies {
            let _ = writeln!(text, "  {}", copy.words());
        }
        if !self.shared.is_empty() {
            let _ = writeln!(text, "  shared with {}", self.shared.join(", "));
        }
        for fault in &self.faults {
            let region = fault.region.as_ref().map_or(String::new(), |region| format!("{region}: "));
            let _ = writeln!(text, "  {}", paint.tone(Tone::Bad, &format!("NOT KNOWN: {region}{}", fault.reason)));
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
