//! The page of a rehearsal: one file that needs nothing else, with the same document inside.

use std::fmt::Write as _;

use super::chart::{Chart, Form, Line};
use super::columns::{Kind, Section};
use super::document::{Most, RehearsalDocument};
use super::plan::PlanRehearsal;
use super::svg::escape;
use super::words::{count, decimal, several};
use crate::domain::schedule::words;
use crate::report::document::Document as _;

/// The style sheet, inside the page.
const STYLE: &str = include_str!("page.css");
/// More lines than this are one for each plan, and then one for what is left.
const LINES_MAX: usize = 8;
/// How high a drawing is: curves, and bars that are few.
const HIGH: f64 = 250.0;
const LOW: f64 = 140.0;

impl RehearsalDocument {
    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        let title = format!("Rehearsal of {}", self.daemon);
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{0}</title>\n<style>\n{STYLE}</style>\n</head>\n\
             <body>\n<main>\n<header>\n<h1>{0}</h1>\n<p>{1}</p>\n<p class=\"note\">{2}.</p>\n</header>\n",
            escape(&title),
            escape(&self.headline()),
            escape(&capital(&self.fleet_line()))
        );
        html += &self.warnings_html();
        html += &self.tiles();
        let sections = self.sections();
        let section = |id: &str| sections.iter().find(|s| s.id == id).map_or(String::new(), Section::html);
        html += &section("plans");
        html += &section("reasons");
        html += &self.reboots_html();
        html += "<section id=\"storage\">\n<h2>Images and storage over time</h2>\n";
        html += &self.images_chart();
        html += &self.storage_chart();
        html += "</section>\n";
        for id in ["stored", "months", "retention", "without", "calls", "faults"] {
            html += &section(id);
        }
        html += "<section id=\"assumptions\">\n<h2>What this rests on</h2>\n<ul>\n";
        for assumption in &self.assumptions {
            let _ = writeln!(html, "<li>{}</li>", escape(assumption));
        }
        html += "</ul>\n</section>\n</main>\n";
        // Inside a script `<` could end it; in JSON it may be written so everywhere.
        let json = self.json().trim_end().replace('<', "\\u003c");
        let _ = write!(html, "<script type=\"application/json\" id=\"rehearsal\">{json}</script>\n</body>\n</html>\n");
        html
    }

    fn warnings_html(&self) -> String {
        if self.warnings.is_empty() {
            return "<section class=\"fine\" id=\"warnings\"><h2>Nothing to warn of</h2></section>\n".into();
        }
        let mut html = "<section class=\"look\" id=\"warnings\">\n<h2>Look at</h2>\n<ul>\n".to_owned();
        for w in &self.warnings {
            let about = w.plan.as_ref().map_or(String::new(), |plan| format!("<b>{}</b>: ", escape(plan)));
            let _ = writeln!(html, "<li>{about}{}</li>", escape(&w.reason));
        }
        html + "</ul>\n</section>\n"
    }

    fn tiles(&self) -> String {
        let t = &self.totals;
        let on = |most: &Most| most.at.as_deref().map(|at| format!("first on {}", at.get(..10).unwrap_or(at)));
        let busiest = |most: &Most| on(most).map(|on| format!("most {}, {on}", count(most.count)));
        let none = || "none".to_owned();
        let longest = self.plans.iter().flat_map(|p| p.without_image.iter().map(|g| (g.seconds, &p.plan))).max();
        let tiles = [
            ("reboots a day", decimal(t.reboots_per_day, 1), busiest(&t.reboots_most).unwrap_or_else(none)),
            ("most down at one time", count(t.down.count), on(&t.down).unwrap_or_else(none)),
            ("images at the end", count(t.stored.images), format!("most {}", count(t.stored.images_most))),
            (
                "GiB of snapshots at the end",
                decimal(t.stored.gib, 0),
                format!("{} snapshots", count(t.stored.snapshots)),
            ),
            (
                "USD a month at the end",
                decimal(t.stored.cost_per_month, 2),
                format!("{} USD in {}", decimal(t.stored.cost, 2), several(self.days.into(), "day")),
            ),
            (
                "longest without a good image",
                longest.map_or("-".into(), |(seconds, _)| words(seconds)),
                longest.map_or(String::new(), |(_, plan)| plan.clone()),
            ),
        ];
        let mut html = "<dl class=\"tiles\">\n".to_owned();
        for (name, value, more) in tiles {
            let _ =
                writeln!(html, "<div><dt>{name}</dt><dd>{value}</dd><dd class=\"more\">{}</dd></div>", escape(&more));
        }
        html + "</dl>\n"
    }

    fn reboots_html(&self) -> String {
        if self.plans.is_empty() {
            return String::new();
        }
        let mut html = "<section id=\"reboots\">\n<h2>When instances are rebooted</h2>\n".to_owned();
        for plan in &self.plans {
            let _ = write!(html, "<article><h3>{}</h3>", escape(&plan.plan));
            if let Some(text) = &plan.description {
                let _ = write!(html, "<p>{}</p>", escape(text));
            }
            let _ = write!(html, "<p class=\"note\">{}</p>", escape(&plan.facts()));
            html += &if plan.reboots.total > 0 {
                self.calendar(plan)
            } else if plan.consistency == "none" {
                "<p>It reboots nothing: its instances are imaged while they run.</p>".into()
            } else {
                "<p>It reboots nothing in these days.</p>".into()
            };
            html += "</article>\n";
        }
        if self.totals.reboots > 0 {
            let most = self.totals.down.count;
            let chart = Chart {
                id: "chart-down",
                title: "Most instances down at one time, over all plans",
                told: format!("The most on one day is {most}. The table month by month holds the figures."),
                unit: "instances",
                right: None,
                places: 0,
                form: Form::Bars,
                height: LOW,
                lines: vec![Line { label: "down".into(), values: self.down.iter().map(|n| f64::from(*n)).collect() }],
                first: self.first(),
                days: self.days as usize,
            };
            html += &chart.html();
        }
        html + "</section>\n"
    }

    fn images_chart(&self) -> String {
        let lines = self.lines(|kept| kept.images.iter().map(|n| f64::from(*n)).collect());
        let s = &self.totals.stored;
        Chart {
            id: "chart-images",
            title: "Images kept",
            told: format!(
                "{} at the end, {} at the most. The table month by month holds the figures.",
                s.images, s.images_most
            ),
            unit: "images",
            right: None,
            places: 0,
            form: Form::Lines,
            height: HIGH,
            lines,
            first: self.first(),
            days: self.days as usize,
        }
        .html()
    }

    fn storage_chart(&self) -> String {
        let lines = self.lines(|kept| kept.gib.clone());
        let s = &self.totals.stored;
        Chart {
            id: "chart-storage",
            title: "Snapshots stored, and what they cost (estimated)",
            told: format!(
                "{} GiB at the end, {} USD a month. The table month by month holds the figures.",
                s.gib, s.cost_per_month
            ),
            unit: "GiB",
            right: Some((self.price, "USD/month")),
            places: 1,
            form: Form::Stack,
            height: HIGH,
            lines,
            first: self.first(),
            days: self.days as usize,
        }
        .html()
    }

    /// A line for each plan and place; where these are too many, for each plan, and the smallest together.
    fn lines(&self, values: impl Fn(&super::document::Kept) -> Vec<f64>) -> Vec<Line> {
        let several_accounts = self.kept.iter().any(|k| k.account != self.kept[0].account);
        let place = |k: &super::document::Kept| {
            if several_accounts {
                format!("{}, {}/{}", k.plan, k.account, k.region)
            } else {
                format!("{}, {}", k.plan, k.region)
            }
        };
        let all: Vec<(String, &str, Vec<f64>)> =
            self.kept.iter().map(|k| (place(k), k.plan.as_str(), values(k))).collect();
        if all.len() <= LINES_MAX {
            return all.into_iter().map(|(label, _, values)| Line { label, values }).collect();
        }
        let mut lines: Vec<Line> = Vec::new();
        for (_, plan, values) in all {
            match lines.iter_mut().find(|line| line.label == plan) {
                Some(line) => add(line, &values),
                None => lines.push(Line { label: plan.to_owned(), values }),
            }
        }
        if lines.len() > LINES_MAX {
            let end = |line: &Line| line.values.last().copied().unwrap_or_default();
            lines.sort_by(|a, b| end(b).total_cmp(&end(a)).then_with(|| a.label.cmp(&b.label)));
            let rest = lines.split_off(LINES_MAX - 1);
            let label = format!("{} other plans", rest.len());
            let mut others = Line { label, values: vec![0.0; self.days as usize] };
            rest.iter().for_each(|line| add(&mut others, &line.values));
            lines.push(others);
        }
        lines
    }
}

fn add(line: &mut Line, values: &[f64]) {
    line.values.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

impl PlanRehearsal {
    /// When, where and how, in one line.
    fn facts(&self) -> String {
        let mut facts = vec![
            format!("{} {}", self.cron.join(" and "), self.timezone),
            self.regions.join(", "),
            several(self.instances as u64, "instance"),
        ];
        if self.consistency != "none" {
            facts.push(format!("at most {} down at one time", count(self.max_in_flight.into())));
            facts.extend(self.window_s.map(|window| format!("window {}", words(window))));
        }
        facts.join(" · ")
    }
}

impl Section {
    fn html(&self) -> String {
        let mut html = format!("<section id=\"{}\">\n<h2>{}</h2>\n", self.id, escape(self.title));
        if !self.note.is_empty() {
            let _ = writeln!(html, "<p class=\"note\">{}</p>", escape(&self.note));
        }
        // A wide table is scrolled by itself, by the keyboard too.
        let _ = write!(
            html,
            "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table>\n<thead><tr>",
            escape(self.title)
        );
        let class = |n: usize| match self.columns[n].kind {
            Kind::Figures => " class=\"n\"",
            Kind::Prose => " class=\"p\"",
            Kind::Word => "",
        };
        for (n, column) in self.columns.iter().enumerate() {
            let _ = write!(html, "<th scope=\"col\"{}>{}</th>", class(n), escape(&sentence(column.head)));
        }
        html += "</tr></thead>\n<tbody>\n";
        for row in &self.rows {
            html += "<tr>";
            for (n, cell) in row.iter().enumerate() {
                let cell = escape(cell);
                let _ = if n == 0 {
                    write!(html, "<th scope=\"row\"{}>{cell}</th>", class(n))
                } else {
                    // Nothing is of little weight.
                    let nothing = matches!(cell.as_str(), "0" | "0.0" | "-");
                    let class = if nothing { class(n).replace("=\"n\"", "=\"n z\"") } else { class(n).to_owned() };
                    write!(html, "<td{class}>{cell}</td>")
                };
            }
            html += "</tr>\n";
        }
        html + "</tbody></table></div>\n</section>\n"
    }
}

/// A heading of the terminal's tables, as prose writes it.
fn sentence(head: &str) -> String {
    let word = |(n, word): (usize, &str)| match word {
        "GIB" => "GiB".to_owned(),
        "GB-MONTHS" => "GB-months".to_owned(),
        "USD" | "API" | "AWS" => word.to_owned(),
        word if n == 0 => capital(&word.to_lowercase()),
        word => word.to_lowercase(),
    };
    head.split(' ').enumerate().map(word).collect::<Vec<_>>().join(" ")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}
