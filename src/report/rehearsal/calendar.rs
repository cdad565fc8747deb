//! The calendar of a plan's reboots: a cell a day, a column a week, a block a calendar year.

use chrono::{Datelike as _, Days, NaiveDate};
use maud::{Markup, html};

use super::document::RehearsalDocument;
use super::plan::PlanRehearsal;
use super::svg::at;
use super::words::{count, several};

/// A cell with its gap, and without.
const STEP: f64 = 13.0;
const CELL: f64 = 11.0;
/// Room for the names of weekdays, and of months.
const LEFT: f64 = 30.0;
const TOP: f64 = 18.0;
/// How many shades there are above none.
const SHADES: u64 = 4;

impl RehearsalDocument {
    /// One drawing for each calendar year, and the legend.
    pub(super) fn calendar(&self, plan: &PlanRehearsal) -> Markup {
        let days = self.days as usize;
        let year = |n: usize| self.date(n).year();
        // A year is too wide a break where all fits into one row anyway.
        let breaks = (1..days).filter(|n| days > 371 && year(*n) != year(n - 1));
        let starts: Vec<usize> = [0].into_iter().chain(breaks).collect();
        let ends = starts.iter().skip(1).copied().chain([days]);
        html! {
            @for (from, end) in starts.iter().zip(ends) { (self.weeks(plan, *from, end)) }
            (legend(plan))
        }
    }

    fn weeks(&self, plan: &PlanRehearsal, from: usize, end: usize) -> Markup {
        let monday = self.date(from) - Days::new(self.date(from).weekday().num_days_from_monday().into());
        let column = |d: NaiveDate| (d - monday).num_days() / 7;
        let weeks = column(self.date(end - 1)) + 1;
        let label = format!("Reboots of {} by day, {} to {}", plan.plan, self.date(from), self.date(end - 1));
        #[allow(clippy::cast_precision_loss)] // weeks
        let x = |column: i64| LEFT + column as f64 * STEP;
        let (width, height) = (at(x(weeks.max(8))), at(TOP + 7.0 * STEP));
        let named = self.months(from, end, column);
        let of_day = |list: &[u32], n: usize| u64::from(list.get(n).copied().unwrap_or_default());
        html! {
            svg.calendar viewBox={ "0 0 " (width) " " (height) } style={ "max-width:" (width) "px" } role="img" aria-label=(label) {
                @for (row, name) in [(0.0, "Mon"), (2.0, "Wed"), (4.0, "Fri"), (6.0, "Sun")] {
                    text x="0" y=(at(TOP + row * STEP + 9.0)) { (name) }
                }
                @for (at_column, name) in named { text x=(at(x(at_column))) y="10" { (name) } }
                @for n in from..end {
                    @let (date, reboots) = (self.date(n), of_day(&plan.daily.reboots, n));
                    @let row = f64::from(date.weekday().num_days_from_monday());
                    rect class={ "d" (shade(reboots, plan.reboots.most.count)) } x=(at(x(column(date)))) y=(at(TOP + row * STEP))
                        width=(CELL) height=(CELL) rx="2" {
                        title {
                            (date.format("%a %Y-%m-%d").to_string()) ": " (several(reboots, "reboot")) ", at most "
                            (count(of_day(&plan.daily.down, n))) " down at one time"
                        }
                    }
                }
            }
        }
    }

    /// The names of the months over their columns.
    fn months(&self, from: usize, end: usize, column: impl Fn(NaiveDate) -> i64) -> Vec<(i64, String)> {
        let mut named = -3; // weeks
        let mut months = Vec::new();
        for n in from..end {
            let date = self.date(n);
            let begins = date.day() == 1 || n == from;
            // The first month is named only where the next name leaves room for it.
            if begins && column(date) - named >= 3 && (n != from || date.day() < 15 || end - n < 20) {
                let form = if date.month() == 1 || n == from { "%b %Y" } else { "%b" };
                months.push((column(date), date.format(form).to_string()));
                named = column(date) + i64::from(form.len() > 2);
            }
        }
        months
    }
}

/// 0 for none, and then by quarters of the most.
fn shade(reboots: u64, most: u64) -> u64 {
    if most == 0 { 0 } else { (reboots * SHADES).div_ceil(most).min(SHADES) }
}

fn legend(plan: &PlanRehearsal) -> Markup {
    let most = plan.reboots.most.count;
    let mut shades = Vec::new();
    let mut below = 0;
    for n in 1..=SHADES {
        let to = most * n / SHADES;
        if to > below {
            let text = if to == below + 1 { count(to) } else { format!("{} to {}", count(below + 1), count(to)) };
            shades.push((shade(to, most), text));
            below = to;
        }
    }
    html! {
        ul.legend {
            li { "reboots a day:" }
            li { i.d0 {} "none" }
            @for (shade, text) in shades { li { i class={ "d" (shade) } {} (text) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_are_quarters_of_the_most() {
        let table = [(0, 0, 0), (0, 50, 0), (1, 50, 1), (12, 50, 1), (13, 50, 2), (50, 50, 4), (1, 1, 4), (1, 3, 2)];
        for (reboots, most, expected) in table {
            assert_eq!(shade(reboots, most), expected, "{reboots} of {most}");
        }
    }

    /// The legend says of each shade what `shade` gives it.
    #[test]
    fn the_legend_agrees_with_the_shades() {
        for most in 1..200 {
            let mut below = 0;
            for n in 1..=SHADES {
                let to = most * n / SHADES;
                for reboots in below + 1..=to {
                    assert_eq!(shade(reboots, most), shade(to, most), "{reboots} of {most}");
                }
                below = to.max(below);
            }
            assert_eq!(below, most);
        }
    }
}
