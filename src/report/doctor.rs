//! What `doctor` found, for people.

use std::fmt::Write as _;

use super::document::Document;
use super::table::{Cell, Paint, Table, Tone};
use crate::view::doctor::{Answer, CheckRow, DoctorDocument, PlaceDocument, UNTRIED};

impl Document for DoctorDocument {
    const KEY: &'static str = "doctor";

    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for why in &self.barred {
            text += &paint.prose(0, Tone::Bad, &format!("NOTHING WOULD BE DONE: {why}"));
        }
        let mut table = Table::headed(0, &["ACCOUNT", "ID", "WHO WE ARE THERE", "RESULT"]);
        for a in &self.accounts {
            let name = a.name.as_deref().unwrap_or("(own)");
            let (id, arn) = (a.account.as_deref().unwrap_or("-"), a.arn.as_deref().unwrap_or("-"));
            table.row([name.into(), id.into(), arn.into(), word(a.row.outcome)]);
        }
        text += &table.text(paint);
        self.accounts.iter().filter(|a| a.row.outcome != Answer::Allowed).for_each(|a| text += &a.row.advice(2, paint));
        for place in &self.places {
            let name = place.name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
            let title = format!("{}/{}{name}", place.account, place.region);
            let _ = writeln!(text, "\n{}: {}", paint.tone(Tone::Head, &title), place.uses.join("; "));
            text += &place.text(paint);
        }
        let count = |wanted| self.rows().filter(|row| row.outcome == wanted).count();
        let (allowed, denied, unknown) = (count(Answer::Allowed), count(Answer::Denied), count(Answer::Unknown));
        let _ = writeln!(text, "\n{allowed} allowed, {denied} denied, {unknown} unknown");
        if self.rows().any(|row| row.reason == UNTRIED) {
            let _ = writeln!(text, "unknown without more words: {UNTRIED}");
        }
        if let Some(zones) = &self.zones {
            let _ = writeln!(text, "time zones of {zones}");
        }
        text
    }
}

fn tone(outcome: Answer) -> Tone {
    match outcome {
        Answer::Allowed => Tone::Good,
        Answer::Denied => Tone::Bad,
        Answer::Unknown => Tone::Warn,
    }
}

fn word(outcome: Answer) -> Cell {
    Cell::toned(tone(outcome), outcome.as_str())
}

impl PlaceDocument {
    /// One table, cut where a call has more to say.
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::headed(2, &["CALL", "ON", "RESULT"]);
        for row in &self.calls {
            table.row([(&*row.call).into(), (&*row.about).into(), word(row.outcome)]);
        }
        let lines = table.text(paint);
        let mut lines = lines.lines();
        let mut text = String::new();
        lines.next().into_iter().for_each(|head| text += &format!("{head}\n"));
        for (row, line) in self.calls.iter().zip(lines) {
            let _ = writeln!(text, "{line}");
            if row.outcome != Answer::Allowed && row.reason != UNTRIED {
                text += &row.advice(6, paint);
            }
        }
        text
    }
}

impl CheckRow {
    /// Why, and what to add.
    fn advice(&self, indent: usize, paint: Paint) -> String {
        let pad = " ".repeat(indent);
        let mut text = format!("{pad}{}\n", paint.tone(tone(self.outcome), &self.reason));
        if let (Some(action), Some(resource)) = (&self.action, &self.resource) {
            let _ = writeln!(text, "{pad}action {action} on resource {resource}");
        }
        for add in &self.add {
            let _ = writeln!(text, "{pad}add to {}:", add.policy);
            let _ = writeln!(text, "{pad}  {}", add.statement);
        }
        text
    }
}
