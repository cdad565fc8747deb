//! The status for people.

use std::fmt::Write as _;

use super::{DaemonStatus, StatusDocument};
use crate::domain::schedule::words;
use crate::report::table::{Cell, Paint, Table, Tone};

/// Seconds as `3d 4h`, for tables.
fn age(seconds: i64) -> String {
    words(seconds.unsigned_abs())
}

impl StatusDocument {
    /// Lines for people.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = self.daemon.text(paint);
        if let Some(zones) = &self.zones {
            let _ = writeln!(text, "time zones of {zones}");
        }
        if self.journal.is_none() {
            text += "no journal yet: nothing has run\n";
        }
        if !self.needs_person.is_empty() {
            let _ = writeln!(text, "\n{}", paint.tone(Tone::Bad, "NEEDS A PERSON"));
            for need in &self.needs_person {
                let about = [need.run.as_deref(), need.subject.as_deref()];
                let about = about.into_iter().flatten().collect::<Vec<_>>().join(" ");
                let _ = writeln!(text, "  since {} {}", need.since, paint.tone(Tone::Head, &about));
                let _ = writeln!(text, "    {}", paint.tone(Tone::Bad, &need.reason));
            }
        }
        let _ = writeln!(text, "\n{}", paint.tone(Tone::Head, "RUNNING"));
        if self.runs.is_empty() {
            text += "  nothing\n";
        }
        if self.daemon.running == Some(false) && !self.runs.is_empty() {
            let _ = writeln!(
                text,
                "  {}",
                paint.tone(Tone::Warn, "nobody works on it: it goes on when stillframe runs again")
            );
        }
        for run in &self.runs {
            let _ = writeln!(text, "  {}  {} (last heard of {})", run.run, run.reason, run.since);
            let mut table = Table::new(4);
            for t in &run.targets {
                table.row([
                    (&*t.instance).into(),
                    (&*t.region).into(),
                    t.step.into(),
                    (&*t.since).into(),
                    (&*t.reason).into(),
                ]);
            }
            text += &table.text(paint);
            let mut table = Table::new(4);
            for c in &run.copies {
                table.row([
                    format!("copy of {}", c.image).into(),
                    (&*c.destination).into(),
                    Cell::word(c.outcome),
                    (&*c.since).into(),
                    (&*c.reason).into(),
                ]);
            }
            text += &table.text(paint);
        }
        let mut plans = Table::headed(2, &["PLAN", "NEXT", "LOCAL", "LAST", "OUTCOME", "WHY"]);
        for p in &self.plans {
            let next = p.next.as_deref().unwrap_or("never");
            let local = p.local.as_ref().map_or(String::new(), |local| format!("{local} {}", p.timezone));
            let (run, outcome, why) = match &p.last {
                Some(last) => (last.run.as_str(), last.outcome, last.reason.as_str()),
                None => ("-", "", ""),
            };
            table_row(&mut plans, [&p.plan, next, &local, run], outcome, why);
        }
        let _ = write!(text, "\n{}\n{}", paint.tone(Tone::Head, "PLANS"), plans.text(paint));
        if self.plans.is_empty() {
            text += "  there are none\n";
        }
        text += &self.owed_text(paint);
        if !self.instances.is_empty() {
            let _ =
                writeln!(text, "\n{}", paint.tone(Tone::Head, "NEWEST GOOD IMAGES (by the journal, the oldest first)"));
            let mut table = Table::headed(2, &["INSTANCE", "REGION", "PLAN", "AGE", "DUE", "IMAGE"]);
            for i in &self.instances {
                let age = match i.age_s {
                    Some(seconds) => Cell::from(age(seconds)),
                    None => Cell::toned(Tone::Bad, "none"),
                };
                let (due, image) = (i.due.as_deref().unwrap_or("-"), i.image.as_deref().unwrap_or("-"));
                table.row([
                    (&*i.instance).into(),
                    (&*i.region).into(),
                    (&*i.plan).into(),
                    age,
                    due.into(),
                    image.into(),
                ]);
            }
            text += &table.text(paint);
        }
        text
    }
}

impl StatusDocument {
    fn owed_text(&self, paint: Paint) -> String {
        let mut table = Table::headed(2, &["PLAN", "TO", "IMAGES", "SINCE", "WHY"]);
        let all = self.plans.iter().flat_map(|p| p.owed.iter().map(move |owed| (p, owed)));
        let mut any = false;
        for (plan, owed) in all {
            any = true;
            let images = Cell::toned(Tone::Bad, owed.images.to_string());
            table.row([
                (&*plan.plan).into(),
                (&*owed.destination).into(),
                images,
                (&*owed.since).into(),
                (&*owed.reason).into(),
            ]);
        }
        let head = "MISSING COPIES (the next run of the plan tries again, and the images stay until then)";
        if any { format!("\n{}\n{}", paint.tone(Tone::Head, head), table.text(paint)) } else { String::new() }
    }
}

fn table_row(table: &mut Table, cells: [&str; 4], outcome: &str, why: &str) {
    let [plan, next, local, run] = cells.map(Cell::from);
    table.row([plan, next, local, run, Cell::word(outcome), why.into()]);
}

impl DaemonStatus {
    fn text(&self, paint: Paint) -> String {
        let version = self.version.as_ref().map_or(String::new(), |v| format!(", stillframe {v}"));
        let since = self.since.as_deref().unwrap_or("an unknown time");
        let (tone, words) = match (self.running, &self.since) {
            (Some(true), _) => (Tone::Good, format!("is running since {since}{version}")),
            (Some(false), None) => (Tone::Warn, "is not running".into()),
            (Some(false), Some(_)) => {
                let end = match &self.stopped {
                    Some(stopped) => format!("it stopped at {stopped}"),
                    None => "it did not stop in order".into(),
                };
                (Tone::Warn, format!("is not running; it last started at {since}{version}; {end}"))
            }
            (None, _) => (Tone::Warn, "may be running or not: the lock cannot be looked at".into()),
        };
        format!("daemon {} {}\n", self.daemon, paint.tone(tone, &words))
    }
}
