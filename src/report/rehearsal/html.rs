//! The page of a rehearsal: one file that needs nothing else, with the same document inside.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{Chart, Form, Line};
use super::columns::{Kind, Section};
use super::document::{Most, RehearsalDocument};
use super::plan::PlanRehearsal;
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
        let sections = self.sections();
        let section = |id: &str| sections.iter().find(|s| s.id == id).map(Section::html);
        // Inside a script `<` could end it; in JSON it may be written so everywhere.
        let json = self.json().trim_end().replace('<', "\\u003c");
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        header {
                            h1 { (title) }
                            p { (self.headline()) }
                            p.note { (capital(&self.fleet_line())) "." }
                        }
                        (self.warnings_html())
                        (self.tiles())
                        @for id in ["plans", "reasons"] { @if let Some(section) = section(id) { (section) } }
                        (self.reboots_html())
                        section id="storage" {
                            h2 { "Images and storage over time" }
                            (self.images_chart())
                            (self.storage_chart())
                        }
                        @for id in ["stored", "months", "retention", "without", "calls", "faults"] {
                            @if let Some(section) = section(id) { (section) }
                        }
                        section id="assumptions" {
                            h2 { "What this rests on" }
                            ul { @for assumption in &self.assumptions { li { (assumption) } } }
                        }
                    }
                    script type="application/json" id="rehearsal" { (PreEscaped(json)) }
                }
            }
        };
        page.into_string().replace(|c: char| c.is_control() && !c.is_whitespace(), "\u{fffd}") + "\n"
    }

    fn warnings_html(&self) -> Markup {
        html! {
            @if self.warnings.is_empty() {
                section.fine id="warnings" { h2 { "Nothing to warn of" } }
            } @else {
                section.look id="warnings" {
                    h2 { "Look at" }
                    ul {
                        @for w in &self.warnings {
                            li { @if let Some(plan) = &w.plan { b { (plan) } ": " } (w.reason) }
                        }
                    }
                }
            }
        }
    }

    fn tiles(&self) -> Markup {
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
        html! {
            dl.tiles {
                @for (name, value, more) in &tiles { div { dt { (name) } dd { (value) } dd.more { (more) } } }
            }
        }
    }

    fn reboots_html(&self) -> Markup {
        html! {
            @if !self.plans.is_empty() {
                section id="reboots" {
                    h2 { "When instances are rebooted" }
                    @for plan in &self.plans {
                        article {
                            h3 { (plan.plan) }
                            @if let Some(text) = &plan.description { p { (text) } }
                            p.note { (plan.facts()) }
                            @if plan.reboots.total > 0 {
                                (self.calendar(plan))
                            } @else if plan.consistency == "none" {
                                p { "It reboots nothing: its instances are imaged while they run." }
                            } @else {
                                p { "It reboots nothing in these days." }
                            }
                        }
                    }
                    @if self.totals.reboots > 0 { (self.down_chart()) }
                }
            }
        }
    }

    fn down_chart(&self) -> Markup {
        let most = self.totals.down.count;
        Chart {
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
        }
        .html()
    }

    fn images_chart(&self) -> Markup {
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

    fn storage_chart(&self) -> Markup {
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
    fn html(&self) -> Markup {
        let class = |n: usize| match self.columns[n].kind {
            Kind::Figures => Some("n"),
            Kind::Prose => Some("p"),
            Kind::Word => None,
        };
        // Nothing is of little weight.
        let nothing = |n: usize, cell: &str| class(n) == Some("n") && matches!(cell, "0" | "0.0" | "-");
        html! {
            section id=(self.id) {
                h2 { (self.title) }
                @if !self.note.is_empty() { p.note { (self.note) } }
                // A wide table is scrolled by itself, by the keyboard too.
                div.wide tabindex="0" role="region" aria-label=(self.title) {
                    table {
                        thead {
                            tr {
                                @for (n, column) in self.columns.iter().enumerate() {
                                    th scope="col" class=[class(n)] { (sentence(column.head)) }
                                }
                            }
                        }
                        tbody {
                            @for row in &self.rows {
                                tr {
                                    @for (n, cell) in row.iter().enumerate() {
                                        @if n == 0 {
                                            th scope="row" class=[class(n)] { (cell) }
                                        } @else {
                                            td class=[if nothing(n, cell) { Some("n z") } else { class(n) }] { (cell) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
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
