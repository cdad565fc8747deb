//! Curves and bars over the days, as SVG that needs nothing else.

use std::fmt::Write as _;

use chrono::NaiveDate;
use maud::{Markup, html};

use super::svg::{at, round_scale, ticks};
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
    pub(super) fn html(&self) -> Markup {
        html! {
            figure id=(self.id) {
                figcaption {
                    h3 { (self.title) }
                    @if self.lines.len() > 1 {
                        ul.legend {
                            @for (n, line) in self.lines.iter().enumerate() { li { i class={ "k" (colour(n)) } {} (line.label) } }
                        }
                    }
                }
                (self.svg())
            }
        }
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

    fn svg(&self) -> Markup {
        let sum = |n: usize| self.lines.iter().map(|line| line.values[n]).sum::<f64>();
        let highest = |n: usize| self.lines.iter().map(|line| line.values[n]).fold(0.0, f64::max);
        let most =
            (0..self.days).map(|n| if self.form == Form::Stack { sum(n) } else { highest(n) }).fold(0.0, f64::max);
        let (top, step) = round_scale(most, self.places == 0);
        let id = self.id;
        html! {
            svg viewBox={ "0 0 " (at(WIDTH)) " " (at(self.height)) } role="img" aria-labelledby={ (id) "-t " (id) "-d" } {
                title id={ (id) "-t" } { (self.title) }
                desc id={ (id) "-d" } { (self.told) }
                (self.scales(top, step))
                @match self.form {
                    Form::Lines => (self.draw_lines(top)),
                    Form::Stack => (self.draw_stack(top)),
                    Form::Bars => (self.draw_bars(top)),
                }
                (self.stripes())
            }
        }
    }

    fn scales(&self, top: f64, step: f64) -> Markup {
        let (left, right) = (LEFT, WIDTH - self.right_margin());
        let places = |step: f64, more| if step < 1.0 { more } else { 0 };
        let values =
            std::iter::successors(Some(0.0), |value| Some(value + step)).take_while(|v| *v <= top + step / 2.0);
        let foot = self.height - BOTTOM;
        html! {
            @for value in values {
                @let y = self.y(value, top);
                line class=(if value == 0.0 { "base" } else { "grid" }) x1=(at(left)) x2=(at(right)) y1=(at(y)) y2=(at(y)) {}
                text.l x=(at(left - 8.0)) y=(at(y + 4.0)) { (decimal(value, places(step, 1))) }
                @if let Some((factor, _)) = self.right {
                    text x=(at(right + 8.0)) y=(at(y + 4.0)) { (decimal(value * factor, places(step * factor, 2))) }
                }
            }
            text.u x="0" y="12" { (self.unit) }
            @if let Some((_, unit)) = self.right { text.l.u x=(at(WIDTH)) y="12" { (unit) } }
            @for (n, name) in ticks(self.first, self.days) {
                @let x = self.x(f64_of(n));
                line.tick x1=(at(x)) x2=(at(x)) y1=(at(foot)) y2=(at(foot + 5.0)) {}
                text x=(at(x + 2.0)) y=(at(foot + 17.0)) { (name) }
            }
        }
    }

    /// A point of a curve.
    fn point(&self, x: f64, value: f64, top: f64) -> String {
        format!("{},{}", at(self.x(x)), at(self.y(value, top)))
    }

    fn draw_lines(&self, top: f64) -> Markup {
        html! {
            @for (n, line) in self.lines.iter().enumerate() {
                @let points = line.values.iter().enumerate().map(|(n, v)| self.point(f64_of(n) + 0.5, *v, top));
                polyline class={ "s" (colour(n)) @if n >= COLOURS { " dash" } } points=(points.collect::<Vec<_>>().join(" ")) {}
                @if let [only] = line.values[..] {
                    circle class={ "f" (colour(n)) } cx=(at(self.x(0.5))) cy=(at(self.y(only, top))) r="3" {}
                }
            }
        }
    }

    fn draw_stack(&self, top: f64) -> Markup {
        let mut below = vec![0.0; self.days];
        let mut layers = Vec::new();
        for line in &self.lines {
            let above: Vec<f64> = below.iter().zip(&line.values).map(|(b, v)| b + v).collect();
            // To both edges, so that the first and the last day are as wide as the others.
            let edge = |list: &[f64]| {
                let middles = list.iter().enumerate().map(|(n, v)| self.point(f64_of(n) + 0.5, *v, top));
                let end = |x: f64, value: Option<&f64>| self.point(x, value.copied().unwrap_or_default(), top);
                let (first, last) = (end(0.0, list.first()), end(f64_of(self.days), list.last()));
                [first].into_iter().chain(middles).chain([last]).collect::<Vec<_>>()
            };
            let points: Vec<String> = edge(&above).into_iter().chain(edge(&below).into_iter().rev()).collect();
            layers.push(points.join(" "));
            below = above;
        }
        html! { @for (n, points) in layers.iter().enumerate() { polygon class={ "f" (colour(n)) } points=(points) {} } }
    }

    fn draw_bars(&self, top: f64) -> Markup {
        let mut path = String::new();
        let base = self.y(0.0, top);
        // A gap between the bars where there is room for one.
        let gap = if self.x(1.0) - self.x(0.0) > 3.0 { 0.12 } else { 0.0 };
        let values = self.lines.first().into_iter().flat_map(|line| line.values.iter().enumerate());
        for (n, value) in values.filter(|(_, v)| **v > 0.0) {
            let (from, to) = (self.x(f64_of(n) + gap), self.x(f64_of(n + 1) - gap));
            let _ = write!(path, "M{},{}V{}H{}V{}Z", at(from), at(base), at(self.y(*value, top)), at(to), at(base));
        }
        html! { path.f1.bars d=(path) {} }
    }

    /// Unseen stripes that tell their figures to whoever points at them.
    fn stripes(&self) -> Markup {
        let wide = self.days.div_ceil(STRIPES_MAX).max(1);
        html! {
            g.tell {
                @for n in (0..self.days).step_by(wide) {
                    @let last = (n + wide - 1).min(self.days - 1);
                    @let (x, to) = (self.x(f64_of(n)), self.x(f64_of(last + 1)));
                    rect x=(at(x)) y=(at(TOP)) width=(at(to - x)) height=(at(self.height - TOP - BOTTOM)) {
                        title { (self.first.checked_add_days(chrono::Days::new(last as u64)).unwrap_or(NaiveDate::MAX)) "\n" (self.figures(last)) }
                    }
                }
            }
        }
    }

    /// The figures of a day, a line each.
    fn figures(&self, day: usize) -> String {
        let figure = |line: &Line| {
            let value = decimal(line.values[day], self.places);
            if self.lines.len() > 1 { format!("{}: {value}", line.label) } else { format!("{value} {}", self.unit) }
        };
        let mut figures: Vec<String> = self.lines.iter().map(figure).collect();
        if let Some((factor, unit)) = self.right {
            let sum: f64 = self.lines.iter().map(|line| line.values[day]).sum();
            figures.push(format!("{} {unit}", decimal(sum * factor, 2)));
        }
        figures.join("\n")
    }
}

/// The number of a line's colour.
fn colour(n: usize) -> usize {
    n % COLOURS + 1
}

#[allow(clippy::cast_precision_loss)] // days
fn f64_of(n: usize) -> f64 {
    n as f64
}
