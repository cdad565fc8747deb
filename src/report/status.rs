//! The status for people.

use std::fmt::Write as _;

use super::document::Document;
use super::table::{Cell, Paint, Table, Tone};
use crate::domain::schedule::words;
use crate::view::status::{DaemonStatus, ProtectionStatus, StatusDocument};

/// Seconds as `3d 4h`, for tables.
fn age(seconds: i64) -> String {
    words(seconds.unsigned_abs())
}

impl Document for StatusDocument {
    const KEY: &'static str = "status";

    fn text(&self, paint: Paint) -> String {
        let mut text = self.protection.as_ref().map(|protection| protection.text(paint)).unwrap_or_default();
        text += &self.daemon.text(paint);
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
                text += &paint.prose(4, Tone::Bad, &need.reason);
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
        if !self.debts.is_empty() {
            let _ = writeln!(text, "\n{}", paint.tone(Tone::Head, "TO BE GIVEN BACK"));
            let mut table = Table::headed(2, &["WHAT", "REGION", "SINCE", "RUN", "TAKEN"]);
            for d in &self.debts {
                let run = d.run.as_deref().unwrap_or("-");
                table.row([
                    (&*d.subject).into(),
                    (&*d.region).into(),
                    (&*d.since).into(),
                    run.into(),
                    (&*d.what).into(),
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
            // Names and protection, once anybody has listed them.
            let listed = self.instances.iter().any(|i| i.protection.is_some());
            let columns = ["INSTANCE", "REGION", "PLAN", "AGE", "DUE", "IMAGE"];
            let more = ["NAME", "PROTECTION", "WHY"];
            let columns: Vec<&str> = columns.into_iter().chain(more.into_iter().filter(|_| listed)).collect();
            let mut table = Table::headed(2, &columns);
            for i in &self.instances {
                let age = match i.age_s {
                    Some(seconds) => Cell::from(age(seconds)),
                    None => Cell::toned(Tone::Bad, "none"),
                };
                let (due, image) = (i.due.as_deref().unwrap_or("-"), i.image.as_deref().unwrap_or("-"));
                let mut row: Vec<Cell> =
                    vec![(&*i.instance).into(), (&*i.region).into(), (&*i.plan).into(), age, due.into(), image.into()];
                if listed {
                    let tone = match i.protection {
                        Some("protected") => Tone::Good,
                        Some("critical" | "never") => Tone::Bad,
                        Some("late" | "unprotected") => Tone::Warn,
                        _ => Tone::Plain,
                    };
                    row.push(Cell::name(i.name.as_deref().unwrap_or("-")));
                    row.push(Cell::toned(tone, i.protection.unwrap_or("not listed")));
                    row.push((&*i.why).into());
                }
                table.row(row);
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

impl ProtectionStatus {
    fn text(&self, paint: Paint) -> String {
        let all = [
            (Tone::Good, self.protected, "protected"),
            (Tone::Plain, self.new, "new"),
            (Tone::Warn, self.late, "late"),
            (Tone::Bad, self.critical, "CRITICAL"),
            (Tone::Bad, self.never, "NEVER imaged"),
            (Tone::Warn, self.unprotected, "unprotected"),
            (Tone::Dim, self.gone, "gone"),
        ];
        let some = all.into_iter().filter(|(_, count, word)| *count > 0 || *word == "protected");
        let counts: Vec<String> =
            some.map(|(tone, count, word)| paint.tone(tone, &format!("{count} {word}"))).collect();
        let at = self.listed_at.as_deref().unwrap_or("an unknown time");
        let stale = if self.stale { ", too long ago" } else { "" };
        let mut text = format!("{}; the fleet as listed at {at}{stale}\n", counts.join(", "));
        for fault in &self.faults {
            text += &paint.prose(0, Tone::Warn, &format!("not listed: {fault}"));
        }
        text
    }
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
