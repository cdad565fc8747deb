//! Curves and bars over the days, as SVG that needs nothing else.

use std::fmt::Write as _;

use chrono::NaiveDate;

use super::svg::{at, escape, round_scale, ticks};
use super::words::decimal;

/// The drawing's own units; it is as wide as the page.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 28.0;
/// Where there is a second scale, and where not.
const RIGHT: (f64, f64) = (60.0, 14.0);
/// At most so many stripes that tell their figures.
const STRIPES_MAX: usize = 400;
/// How many colours there are.
pub(super) const COLOURS: usize = 8;

/// How the lines are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Each by itself.
    Lines,
    /// On top of each other.
    Stack,
    /// A bar for each day; one line only.
    Bars,
}

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Its name in the legend.
    pub(super) label: String,
    /// One value a day.
    pub(super) values: Vec<f64>,
}

/// A drawing.
pub(super) struct Chart<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// What is to be seen, for those who do not see it.
    pub(super) told: String,
    pub(super) unit: &'a str,
    /// A second scale: what one unit is in it, and its name.
    pub(super) right: Option<(f64, &'a str)>,
    /// Decimals of the figures.
    pub(super) places: usize,
    pub(super) form: Form,
    /// As high as that.
    pub(super) height: f64,
    pub(super) lines: Vec<Line>,
    pub(super) first: NaiveDate,
    pub(super) days: usize,
}

impl Chart<'_> {
    /// A figure with its legend.
    pub(super) fn html(&self) -> String {
        let mut html = format!("<figure id=\"{}\"><figcaption><h3>{}</h3>", self.id, escape(self.title));
        if self.lines.len() > 1 {
            html += "<ul class=\"legend\">";
            for (n, line) in self.lines.iter().enumerate() {
                let _ = write!(html, "<li><i class=\"k{}\"></i>{}</li>", n % COLOURS + 1, escape(&line.label));
            }
            html += "</ul>";
        }
        html + "</figcaption>" + &self.svg() + "</figure>\n"
    }

    fn right_margin(&self) -> f64 {
        if self.right.is_some() { RIGHT.0 } else { RIGHT.1 }
    }

    #[allow(clippy::cast_precision_loss)] // days
    fn x(&self, n: f64) -> f64 {
        LEFT + n / self.days.max(1) as f64 * (WIDTH - LEFT - self.right_margin())
    }

    fn y(&self, value: f64, top: f64) -> f64 {
        TOP + (1.0 - value / top) * (self.height - TOP - BOTTOM)
    }

    fn svg(&self) -> String {
        let sum = |n: usize| self.lines.iter().map(|line| line.values[n]).sum::<f64>();
        let highest = |n: usize| self.lines.iter().map(|line| line.values[n]).fold(0.0, f64::max);
        let most =
            (0..self.days).map(|n| if self.form == Form::Stack { sum(n) } else { highest(n) }).fold(0.0, f64::max);
        let (top, step) = round_scale(most, self.places == 0);
        let (title, told) = (escape(self.title), escape(&self.told));
        let id = self.id;
        let mut svg = format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{title}</title>\
             <desc id=\"{id}-d\">{told}</desc>",
            at(WIDTH),
            at(self.height)
        );
        self.scales(&mut svg, top, step);
        match self.form {
            Form::Lines => self.draw_lines(&mut svg, top),
            Form::Stack => self.draw_stack(&mut svg, top),
            Form::Bars => self.draw_bars(&mut svg, top),
        }
        self.stripes(&mut svg);
        svg + "</svg>"
    }

    fn scales(&self, svg: &mut String, top: f64, step: f64) {
        let (left, right) = (LEFT, WIDTH - self.right_margin());
        let places = if step < 1.0 { 1 } else { 0 };
        let mut value = 0.0;
        while value <= top + step / 2.0 {
            let y = self.y(value, top);
            let class = if value == 0.0 { "base" } else { "grid" };
            let _ = write!(
                svg,
                "<line class=\"{class}\" x1=\"{}\" x2=\"{}\" y1=\"{2}\" y2=\"{2}\"/><text class=\"l\" x=\"{3}\" y=\"{4}\">{5}</text>",
                at(left),
                at(right),
                at(y),
                at(left - 8.0),
                at(y + 4.0),
                decimal(value, places)
            );
            if let Some((factor, _)) = self.right {
                let cost = value * factor;
                let places = if step * factor < 1.0 { 2 } else { 0 };
                let _ = write!(
                    svg,
                    "<text x=\"{}\" y=\"{}\">{}</text>",
                    at(right + 8.0),
                    at(y + 4.0),
                    decimal(cost, places)
                );
            }
            value += step;
        }
        let _ = write!(svg, "<text class=\"u\" x=\"0\" y=\"12\">{}</text>", escape(self.unit));
        if let Some((_, unit)) = self.right {
            let _ = write!(svg, "<text class=\"l u\" x=\"{}\" y=\"12\">{}</text>", at(WIDTH), escape(unit));
        }
        for (n, name) in ticks(self.first, self.days) {
            let x = self.x(f64_of(n));
            let _ = write!(
                svg,
                "<line class=\"tick\" x1=\"{0}\" x2=\"{0}\" y1=\"{1}\" y2=\"{2}\"/><text x=\"{3}\" y=\"{4}\">{name}</text>",
                at(x),
                at(self.height - BOTTOM),
                at(self.height - BOTTOM + 5.0),
                at(x + 2.0),
                at(self.height - BOTTOM + 17.0)
            );
        }
    }

    fn draw_lines(&self, svg: &mut String, top: f64) {
        for (n, line) in self.lines.iter().enumerate() {
            let points = line.values.iter().enumerate();
            let points: Vec<String> =
                points.map(|(n, v)| format!("{},{}", at(self.x(f64_of(n) + 0.5)), at(self.y(*v, top)))).collect();
            let dashed = if n >= COLOURS { " dash" } else { "" };
            let _ = write!(svg, "<polyline class=\"s{}{dashed}\" points=\"{}\"/>", n % COLOURS + 1, points.join(" "));
            if let [only] = points.as_slice()
                && let Some((x, y)) = only.split_once(',')
            {
                let _ = write!(svg, "<circle class=\"f{}\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>", n % COLOURS + 1);
            }
        }
    }

    fn draw_stack(&self, svg: &mut String, top: f64) {
        let mut below = vec![0.0; self.days];
        for (n, line) in self.lines.iter().enumerate() {
            let above: Vec<f64> = below.iter().zip(&line.values).map(|(b, v)| b + v).collect();
            let mut points: Vec<String> = Vec::with_capacity(2 * self.days + 4);
            // To both edges, so that the first and the last day are as wide as the others.
            let edge = |list: &[f64], end: bool| if end { list.last().copied() } else { list.first().copied() };
            let point = |x: f64, v: f64| format!("{},{}", at(self.x(x)), at(self.y(v, top)));
            points.push(point(0.0, edge(&above, false).unwrap_or_default()));
            points.extend(above.iter().enumerate().map(|(n, v)| point(f64_of(n) + 0.5, *v)));
            points.push(point(f64_of(self.days), edge(&above, true).unwrap_or_default()));
            points.push(point(f64_of(self.days), edge(&below, true).unwrap_or_default()));
            points.extend(below.iter().enumerate().rev().map(|(n, v)| point(f64_of(n) + 0.5, *v)));
            points.push(point(0.0, edge(&below, false).unwrap_or_default()));
            let _ = write!(svg, "<polygon class=\"f{}\" points=\"{}\"/>", n % COLOURS + 1, points.join(" "));
            below = above;
        }
    }

    fn draw_bars(&self, svg: &mut String, top: f64) {
        let Some(line) = self.lines.first() else { return };
        let mut path = String::new();
        let base = self.y(0.0, top);
        // A gap between the bars where there is room for one.
        let gap = if self.x(1.0) - self.x(0.0) > 3.0 { 0.12 } else { 0.0 };
        for (n, value) in line.values.iter().enumerate().filter(|(_, v)| **v > 0.0) {
            let (from, to) = (self.x(f64_of(n) + gap), self.x(f64_of(n + 1) - gap));
            let _ = write!(path, "M{},{}V{}H{}V{}Z", at(from), at(base), at(self.y(*value, top)), at(to), at(base));
        }
        let _ = write!(svg, "<path class=\"f1 bars\" d=\"{path}\"/>");
    }

    /// Unseen stripes that tell their figures to whoever points at them.
    fn stripes(&self, svg: &mut String) {
        let wide = self.days.div_ceil(STRIPES_MAX).max(1);
        svg.push_str("<g class=\"tell\">");
        for n in (0..self.days).step_by(wide) {
            let last = (n + wide - 1).min(self.days - 1);
            let date = self.first.checked_add_days(chrono::Days::new(last as u64)).unwrap_or(NaiveDate::MAX);
            let figure = |line: &Line| {
                let value = decimal(line.values[last], self.places);
                if self.lines.len() > 1 { format!("{}: {value}", line.label) } else { format!("{value} {}", self.unit) }
            };
            let mut figures: Vec<String> = self.lines.iter().map(figure).collect();
            if let Some((factor, unit)) = self.right {
                let sum: f64 = self.lines.iter().map(|line| line.values[last]).sum();
                figures.push(format!("{} {unit}", decimal(sum * factor, 2)));
            }
            let (x, to) = (self.x(f64_of(n)), self.x(f64_of(last + 1)));
            let _ = write!(
                svg,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{date}\n{}</title></rect>",
                at(x),
                at(TOP),
                at(to - x),
                at(self.height - TOP - BOTTOM),
                escape(&figures.join("\n"))
            );
        }
        svg.push_str("</g>");
    }
}

#[allow(clippy::cast_precision_loss)] // days
fn f64_of(n: usize) -> f64 {
    n as f64
}
