//! What `explain` tells, for people.

use std::fmt::Write as _;

use super::document::Document;
use super::table::{Cell, Paint, Table, Tone};
use crate::view::explain::{DeletedDocument, ExplainDocument, Origin, OwnershipDocument, RetentionDocument};

impl Document for ExplainDocument {
    const KEY: &'static str = "explain";

    fn text(&self, paint: Paint) -> String {
        let mut text = self.headline(paint);
        for fault in &self.faults {
            let region = fault.region.as_ref().map_or(String::new(), |region| format!("{region}: "));
            text += &paint.prose(2, Tone::Bad, &format!("NOT KNOWN: {region}{}", fault.reason));
        }
        if self.found == "nowhere" {
            return text;
        }
        text += &self.origin.text(self.name.as_deref(), paint);
        text += &self.distribution(paint);
        if let Some(ownership) = &self.ownership {
            text += &ownership.text(paint);
        }
        let mut table = Table::new(2);
        if let Some(hold) = self.hold {
            let words = if hold { "yes: the tag stillframe:hold keeps it" } else { "no" };
            table.row([label("on hold"), words.into()]);
        }
        if self.ownership.is_some() && self.deleted.is_none() {
            table.row([label("in use by"), self.in_use_by.as_deref().unwrap_or("no instance of ours").into()]);
        }
        text += &table.text(paint);
        if let Some(retention) = &self.retention {
            text += &retention.text(paint);
        }
        match &self.deleted {
            Some(deleted) => text += &deleted.text(paint),
            None if self.found == "journal" && self.faults.is_empty() => {
                text += "  gone       not by stillframe, as far as the journal tells\n";
            }
            None => {}
        }
        text
    }
}

impl ExplainDocument {
    /// What it is a copy of, where its own copies are, and whom it is shared with.
    fn distribution(&self, paint: Paint) -> String {
        let mut table = Table::new(2);
        if let Some(source) = &self.copy_of {
            let place = match (&source.account, &source.region) {
                (Some(account), Some(region)) => format!(" in {account}/{region}"),
                _ => String::new(),
            };
            table.row([label("copy of"), format!("{}{place}", source.image).into()]);
        }
        for (n, copy) in self.copies.iter().enumerate() {
            let image = copy.image.as_ref().map_or(String::new(), |image| format!(" {image}"));
            let why = if copy.reason.is_empty() { String::new() } else { format!(": {}", copy.reason) };
            let text = format!("{}{image} {}{why}", copy.destination, copy.outcome);
            table.row([label(if n == 0 { "copied to" } else { "" }), Cell::toned(Tone::of(copy.outcome), text)]);
        }
        if !self.shared.is_empty() {
            table.row([label("shared"), format!("with {}", self.shared.join(", ")).into()]);
        }
        table.text(paint)
    }

    fn headline(&self, paint: Paint) -> String {
        let image = paint.tone(Tone::Head, &self.image);
        let place = match (&self.account, &self.region) {
            (Some(account), Some(region)) => format!(" in {account}/{region}"),
            _ => String::new(),
        };
        match (self.found, self.state, &self.created) {
            ("aws", Some(state), Some(created)) => format!("{image}  {state}{place}, made at {created}\n"),
            ("journal", ..) => {
                let places: Vec<&str> = self.searched.iter().map(String::as_str).filter(|s| s.contains('/')).collect();
                let asked = match places.as_slice() {
                    [] => "AWS could not be asked".to_owned(),
                    places => format!("AWS does not show it in {}", places.join(", ")),
                };
                format!("{image}{place}, from the journal alone: {asked}\n")
            }
            _ if self.searched.is_empty() => format!("{image} could be looked for nowhere\n"),
            _ => format!("{image} is unknown; looked for in: {}\n", self.searched.join(", ")),
        }
    }
}

/// What stands before a fact, as wide as the widest.
fn label(text: &str) -> Cell {
    format!("{text:<9}").into()
}

impl Origin {
    fn text(&self, name: Option<&str>, paint: Paint) -> String {
        let mut table = Table::new(2);
        if let Some(name) = name {
            table.row([label("name"), name.into()]);
        }
        match (&self.run, &self.instance) {
            (Some(run), Some(instance)) => {
                let how = match (self.trigger, self.outcome) {
                    (Some(trigger), Some(outcome)) => format!(" ({trigger}, {outcome})"),
                    (Some(trigger), None) => format!(" ({trigger})"),
                    (None, _) => ", a run that the journal does not know any more".into(),
                };
                table.row([label("made by"), format!("{run} of {instance}{how}").into()]);
                if !self.reason.is_empty() {
                    table.row([label(""), Cell::toned(Tone::Warn, self.reason.as_str())]);
                }
            }
            _ => table.row([label("made by"), "no run that is known here".into()]),
        }
        table.text(paint)
    }
}

impl OwnershipDocument {
    fn text(&self, paint: Paint) -> String {
        let words = match self.verdict {
            "ours" => "yes: everything fits".to_owned(),
            "foreign" => format!("no: {}. Never counted, never deleted", self.reason),
            _ => "no: nothing of ours about it; never touched".to_owned(),
        };
        let mut table = Table::new(2);
        table.row([label("ours"), Cell::toned(Tone::of(self.verdict), words)]);
        let mut text = table.text(paint);
        if self.verdict == "unrelated" {
            return text;
        }
        let mut table = Table::new(4);
        for check in &self.checks {
            table.row([Cell::word(if check.ok { "yes" } else { "no" }), check.check.into(), (&*check.found).into()]);
        }
        text += &table.text(paint);
        text
    }
}

impl RetentionDocument {
    fn text(&self, paint: Paint) -> String {
        let (tone, verdict) = match self.verdict {
            "delete" => (Tone::Warn, "goes with the next run of its plan"),
            _ if self.reasons.iter().all(|hold| hold.until.is_none()) => {
                (Tone::Warn, "nothing holds it, but it goes later")
            }
            _ => (Tone::Good, "stays"),
        };
        let mut text = format!("  {}\n", paint.tone(tone, verdict));
        for hold in &self.reasons {
            let until = hold.until.as_ref().map_or(String::new(), |until| format!(", {until}"));
            text += &paint.prose(4, Tone::Plain, &format!("{}{until}", hold.reason));
        }
        if let Some(leaves) = &self.leaves {
            let _ = writeln!(
                text,
                "    if every occurrence until then makes a good image, nothing holds it after that of {leaves}"
            );
        }
        if let (Some(run), Some(at)) = (&self.decided_by, &self.decided_at) {
            let _ = writeln!(text, "    last decided by {run} at {at}");
        }
        text
    }
}

impl DeletedDocument {
    fn text(&self, paint: Paint) -> String {
        let mut text = format!("  deleted at {} by {}: {}\n", self.at, self.run, self.reason);
        let mut table = Table::new(4);
        for s in &self.snapshots {
            let fate = match s.outcome {
                "done" => Cell::from(&*s.reason),
                "failed" => Cell::toned(Tone::Bad, format!("STILL THERE: {}", s.reason)),
                _ => Cell::toned(Tone::Warn, &*s.reason),
            };
            table.row([(&*s.snapshot).into(), fate]);
        }
        text += &table.text(paint);
        text
    }
}
