//! The calendar of a plan's reboots: a cell a day, a column a week, a block a calendar year.

use std::fmt::Write as _;

use chrono::{Datelike as _, Days, NaiveDate};

use super::document::RehearsalDocument;
use super::plan::PlanRehearsal;
use super::svg::{at, escape};
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
    pub(super) fn calendar(&self, plan: &PlanRehearsal) -> String {
        let mut html = String::new();
        let mut n = 0;
        let days = self.days as usize;
        while n < days {
            let year = self.date(n).year();
            let end = (n..days).find(|m| self.date(*m).year() != year).unwrap_or(days);
            // A year is too wide a break where all fits into one row anyway.
            let end = if n == 0 && days <= 371 { days } else { end };
            html += &self.weeks(plan, n, end);
            n = end;
        }
        html + &legend(plan)
    }

    fn weeks(&self, plan: &PlanRehearsal, from: usize, end: usize) -> String {
        let monday = self.date(from) - Days::new(self.date(from).weekday().num_days_from_monday().into());
        let column = |d: NaiveDate| (d - monday).num_days() / 7;
        let weeks = column(self.date(end - 1)) + 1;
        let label = format!("Reboots of {} by day, {} to {}", plan.plan, self.date(from), self.date(end - 1));
        #[allow(clippy::cast_precision_loss)] // weeks
        let x = |column: i64| LEFT + column as f64 * STEP;
        let (width, height) = (at(x(weeks.max(8))), at(TOP + 7.0 * STEP));
        let mut svg = format!(
            "<svg class=\"calendar\" viewBox=\"0 0 {width} {height}\" style=\"max-width:{width}px\" role=\"img\" \
             aria-label=\"{}\">",
            escape(&label)
        );
        for (row, name) in [(0.0, "Mon"), (2.0, "Wed"), (4.0, "Fri"), (6.0, "Sun")] {
            let _ = write!(svg, "<text x=\"0\" y=\"{}\">{name}</text>", at(TOP + row * STEP + 9.0));
        }
        let mut named = -3; // weeks
        for n in from..end {
            let date = self.date(n);
            let begins = date.day() == 1 || n == from;
            // The first month is named only where the next name leaves room for it.
            if begins && column(date) - named >= 3 && (n != from || date.day() < 15 || end - n < 20) {
                let form = if date.month() == 1 || n == from { "%b %Y" } else { "%b" };
                let _ = write!(svg, "<text x=\"{}\" y=\"10\">{}</text>", at(x(column(date))), date.format(form));
                named = column(date) + i64::from(form.len() > 2);
            }
            let reboots = u64::from(plan.daily.reboots.get(n).copied().unwrap_or_default());
            let down = u64::from(plan.daily.down.get(n).copied().unwrap_or_default());
            let y = TOP + f64::from(date.weekday().num_days_from_monday()) * STEP;
            let _ = write!(
                svg,
                "<rect class=\"d{}\" x=\"{}\" y=\"{}\" width=\"{CELL}\" height=\"{CELL}\" rx=\"2\"><title>{}: {}, at most {} \
                 down at one time</title></rect>",
                shade(reboots, plan.reboots.most.count),
                at(x(column(date))),
                at(y),
                date.format("%a %Y-%m-%d"),
                several(reboots, "reboot"),
                count(down)
            );
        }
        svg + "</svg>"
    }
}

/// 0 for none, and then by quarters of the most.
fn shade(reboots: u64, most: u64) -> u64 {
    if most == 0 { 0 } else { (reboots * SHADES).div_ceil(most).min(SHADES) }
}

fn legend(plan: &PlanRehearsal) -> String {
    let most = plan.reboots.most.count;
    let mut html = "<ul class=\"legend\"><li>reboots a day:</li><li><i class=\"d0\"></i>none</li>".to_owned();
    let mut below = 0;
    for n in 1..=SHADES {
        let to = most * n / SHADES;
        if to <= below {
            continue;
        }
        let text = if to == below + 1 { count(to) } else { format!("{} to {}", count(below + 1), count(to)) };
        let _ = write!(html, "<li><i class=\"d{}\"></i>{text}</li>", shade(to, most));
        below = to;
    }
    html + "</ul>"
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
