//! A rehearsal for people at a terminal.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

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
            text += &wrapped("  - ", "    ", &format!("{about}{}", w.reason));
        }
        for section in self.sections() {
            text += &section.text(paint);
        }
        let _ = write!(text, "\n{}\n", paint.tone(Tone::Head, "ASSUMPTIONS"));
        for assumption in &self.assumptions {
            text += &wrapped("  - ", "    ", assumption);
        }
        text
    }
}

impl Section {
    fn text(&self, paint: Paint) -> String {
        let mut text = format!("\n{}\n", paint.tone(Tone::Head, &self.title.to_uppercase()));
        text += &wrapped("  ", "  ", &self.note);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|n| {
                self.rows.iter().map(|row| row[n].width()).chain([self.columns[n].head.width()]).max().unwrap_or(0)
            })
            .collect();
        // Figures are aligned by their last digit; the table aligns by the first letter.
        let align = |n: usize, text: &str| {
            let left = if self.columns[n].kind == Kind::Figures { widths[n].saturating_sub(text.width()) } else { 0 };
            format!("{}{text}", " ".repeat(left))
        };
        let mut table = Table::new(2);
        table.line(self.columns.iter().enumerate().map(|(n, c)| Cell::toned(Tone::Head, align(n, c.head))).collect());
        for row in &self.rows {
            table.line(row.iter().enumerate().map(|(n, cell)| Cell::from(align(n, cell))).collect());
        }
        text + &table.text(paint)
    }
}

/// `text` in lines, the first after `first`, the others after `other`. Control characters cannot steer the terminal.
fn wrapped(first: &str, other: &str, text: &str) -> String {
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut begun = false;
    for word in text.split_whitespace() {
        let word: String = word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        if begun && line.width() + 1 + word.width() > WIDTH {
            lines += &line;
            lines.push('\n');
            other.clone_into(&mut line);
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line += &word;
        begun = true;
    }
    if begun {
        lines += &line;
        lines.push('\n');
    }
    lines
}
