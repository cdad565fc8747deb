//! Runs for people and programs: `backup` and `history`.

use std::fmt::Write as _;

use serde::Serialize;

use super::document::Document;
use super::table::{Cell, Paint, Table, Tone};
use crate::domain::event::Outcome;
use crate::domain::schedule::words;
use crate::view::copies::CopyDocument;
use crate::view::run::RunDocument;

impl Document for RunDocument {
    fn text(&self, paint: Paint) -> String {
        let (run, outcome) = (paint.tone(Tone::Head, &self.run), paint.tone(Tone::of(self.outcome), self.outcome));
        let pad = " ".repeat(10_usize.saturating_sub(self.outcome.len()));
        let length = self.elapsed_s.map_or(String::new(), |s| format!(" in {}", words(s.unsigned_abs())));
        let length = paint.tone(Tone::Dim, &length);
        let mut text = format!("{run}  {outcome}{pad}{length} {}", self.reason).trim_end().to_owned();
        text.push('\n');
        let mut table = Table::new(2);
        for t in &self.targets {
            let image = t.image.as_deref().unwrap_or("-");
            let (instance, region) = ((&*t.instance).into(), (&*t.region).into());
            table.row([instance, region, Cell::word(t.outcome), image.into(), (&*t.reason).into()]);
            copy_rows(&mut table, "  copy", &t.copies);
            if !t.shared.is_empty() {
                table.row(["  shared".into(), "".into(), Cell::word("done"), "".into(), with(&t.shared).into()]);
            }
            if let Some(why) = &t.not_shared {
                table.row(["  share".into(), "".into(), Cell::word("failed"), "".into(), (&**why).into()]);
            }
        }
        for older in &self.resumed {
            copy_rows(&mut table, &format!("copy of {}", older.image), &older.copies);
        }
        text += &table.text(paint);
        for v in self.retention.iter().filter(|v| v.verdict == "delete") {
            let (what, why) = match self.kept.get(&v.image) {
                _ if self.removed.contains(&v.image) => ("deleted", v.reasons.join("; ")),
                Some(why) => ("not deleted", why.clone()),
                None => ("not deleted yet:", v.reasons.join("; ")),
            };
            let _ = writeln!(text, "  {what} {}: {why}", v.image);
        }
        for left in &self.snapshots {
            if left.outcome == Outcome::Failed.as_str() {
                text += &paint.prose(2, Tone::Bad, &format!("still there: {}", left.reason));
            } else {
                let _ = writeln!(text, "  {} was left, and is settled since", left.snapshot);
            }
        }
        text
    }
}

/// The runs that `history` shows, oldest first.
#[derive(Debug, Clone, Serialize)]
pub struct History {
    /// The runs.
    pub runs: Vec<RunDocument>,
    /// As text, one line a run.
    #[serde(skip)]
    pub short: bool,
}

impl Document for History {
    fn text(&self, paint: Paint) -> String {
        match self.runs.as_slice() {
            [] => "nothing that fits has run yet\n".to_owned(),
            runs if self.short => short(runs, paint),
            runs => runs.iter().map(|run| run.text(paint)).collect(),
        }
    }
}

/// One line for each run.
fn short(runs: &[RunDocument], paint: Paint) -> String {
    let mut table = Table::headed(0, &["RUN", "OUTCOME", "BEGAN", "LENGTH", "IMAGED", "WHY"]);
    for run in runs {
        let done = run.targets.iter().filter(|t| t.outcome == Outcome::Done.as_str()).count();
        let imaged = if run.targets.is_empty() { String::new() } else { format!("{done}/{}", run.targets.len()) };
        let length = run.elapsed_s.map_or(String::new(), |s| words(s.unsigned_abs()));
        table.row([
            (&*run.run).into(),
            Cell::word(run.outcome),
            run.began.as_deref().unwrap_or("-").into(),
            length.into(),
            imaged.into(),
            (&*run.reason).into(),
        ]);
    }
    table.text(paint)
}

fn copy_rows(table: &mut Table, first: &str, copies: &[CopyDocument]) {
    for copy in copies {
        let image = copy.image.as_deref().unwrap_or("-");
        let mut reason = copy.reason.clone();
        if !copy.shared.is_empty() {
            reason += if reason.is_empty() { "shared " } else { "; shared " };
            reason += &with(&copy.shared);
        }
        if let Some(why) = &copy.not_shared {
            reason += if reason.is_empty() { "not shared: " } else { "; not shared: " };
            reason += why;
        }
        table.row([first.into(), (&*copy.destination).into(), Cell::word(copy.outcome), image.into(), reason.into()]);
    }
}

fn with(shared: &[String]) -> String {
    format!("with {}", shared.join(", "))
}

#[cfg(test)]
mod tests;
