//! A rehearsal for people at a terminal.

use std::fmt::Write as _;

use super::columns::{Kind, Section};
use super::document::RehearsalDocument;
use super::words::{count, several};
use crate::report::document::Document;
use crate::report::table::{Cell, Paint, Table, Tone};

/// A note is broken into lines of so many columns.
const WIDTH: usize = 110;

impl RehearsalDocument {
    /// What was rehearsed, in one line.
    pub(super) fn headline(&self) -> String {
        format!(
            "{} from {} to {} (UTC), {}, {}, faults {}, seed {}",
            several(self.days.into(), "day"),
            self.from,
            self.date((self.days as usize).saturating_sub(1)),
            several(self.plans.len() as u64, "plan"),
            several(self.fleet.instances as u64, "instance"),
            self.faults,
            self.seed
        )
    }

    /// The fleet, in one line.
    pub(super) fn fleet_line(&self) -> String {
        let f = &self.fleet;
        format!("{}: {}, {} GiB", f.source, several(f.volumes as u64, "volume"), count(f.gib))
    }
}

impl Document for RehearsalDocument {
    const KEY: &'static str = "rehearsal";

    fn text(&self, paint: Paint) -> String {
        let mut text = paint.tone(Tone::Head, &format!("rehearsal of {}: {}", self.daemon, self.headline()));
        let _ = write!(text, "\n{}\n", paint.tone(Tone::Plain, &self.fleet_line()));
        if self.warnings.is_empty() {
            let _ = write!(text, "\n{}\n", paint.tone(Tone::Good, "nothing to warn of"));
        } else {
            let _ = write!(text, "\n{}\n", paint.tone(Tone::Warn, "LOOK AT"));
        }
        for w in &self.warnings {
            let about = w.plan.as_ref().map_or(String::new(), |plan| format!("{plan}: "));
            text += &prose("-", &format!("{about}{}", w.reason), paint);
        }
        for section in self.sections() {
            text += &section.text(paint);
        }
        let _ = write!(text, "\n{}\n", paint.tone(Tone::Head, "ASSUMPTIONS"));
        for assumption in &self.assumptions {
            text += &prose("-", assumption, paint);
        }
        text
    }
}

impl Section {
    fn text(&self, paint: Paint) -> String {
        let mut text = format!("\n{}\n", paint.tone(Tone::Head, &self.title.to_uppercase()));
        text += &prose("", &self.note, paint);
        let cell = |n: usize, cell: Cell| if self.columns[n].kind == Kind::Figures { cell.figure() } else { cell };
        let mut table = Table::new(2);
        let heads = self.columns.iter().enumerate();
        table.row(heads.map(|(n, c)| cell(n, Cell::toned(Tone::Head, c.head))).collect::<Vec<_>>());
        for row in &self.rows {
            table.row(row.iter().enumerate().map(|(n, text)| cell(n, Cell::from(text.as_str()))).collect::<Vec<_>>());
        }
        text + &table.text(paint)
    }
}

/// Prose in lines of a readable length, behind a dash where it is one of several.
fn prose(mark: &str, text: &str, paint: Paint) -> String {
    let indent = 2 + if mark.is_empty() { 0 } else { mark.len() + 1 };
    let lines = paint.at_most(WIDTH).prose(indent, Tone::Plain, text);
    lines.replacen(&" ".repeat(indent), &format!("{:indent$}", format!("  {mark}")), 1)
}
