//! What is wrong with a cron line, in an operator's words: which field, what was written, what is allowed there.
//!
//! `croner` decides what a good line means; its own complaints name no field, so they never come this far.

use std::ops::Range;

use croner::parser::{CronParser, Year};

/// What is wrong with a cron line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// The bytes of the line that are wrong.
    pub at: Range<usize>,
}

/// One field of a line.
struct Field {
    /// As in "`25` is not an hour".
    noun: &'static str,
    /// As in "hours go from 0 to 23".
    plural: &'static str,
    min: u32,
    max: u32,
    /// Names of the values from `min` on.
    names: &'static [&'static str],
    /// What else may be written there.
    also: &'static str,
}

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const fn time(noun: &'static str, plural: &'static str, max: u32) -> Field {
    Field { noun, plural, min: 0, max, names: &[], also: "" }
}

/// Seconds first; lines of five fields leave them out.
const FIELDS: [Field; 6] = [
    time("a second", "seconds", 59),
    time("a minute", "minutes", 59),
    time("an hour", "hours", 23),
    Field {
        noun: "a day of the month",
        plural: "days",
        min: 1,
        max: 31,
        names: &[],
        also: "; `L` is the last day, `15W` the weekday next to the 15th",
    },
    Field { noun: "a month", plural: "months", min: 1, max: 12, names: MONTHS, also: ", or JAN to DEC" },
    Field {
        noun: "a weekday",
        plural: "weekdays",
        min: 0,
        max: 7,
        names: WEEKDAYS,
        also: " (0 and 7 are Sunday), or SUN to SAT; `MON#1` is the first Monday of a month",
    },
];

/// The most days that the months have.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// A line that everyone understands.
const EXAMPLE: &str = "`30 2 * * *` is each day at 02:30";

/// What crontab's short words stand for.
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// The fields of a line, each with its bytes.
pub(super) fn fields(line: &str) -> Vec<(&str, Range<usize>)> {
    let place = |field: &str| {
        let from = field.as_ptr().addr() - line.as_ptr().addr();
        from..from + field.len()
    };
    line.split_whitespace().map(|field| (field, place(field))).collect()
}

/// Reads a line by `croner`, or says what is wrong with it. Whether it ever fires is not looked at.
pub(super) fn parse(line: &str) -> Result<croner::Cron, BadLine> {
    let whole = 0..line.len();
    if let Some(bad) = foreign(line) {
        return Err(bad);
    }
    let all = fields(line);
    let specs = match all.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        0 => {
            let hint = Some(format!("write five fields: {EXAMPLE}"));
            return Err(BadLine { what: "the line is empty".into(), hint, at: whole });
        }
        n => {
            let what = format!(
                "`{line}` has {n} field{}: expected five (minute hour day month weekday) or six (second first)",
                if n == 1 { "" } else { "s" }
            );
            let first: Vec<&str> = all.iter().take(6).map(|(field, _)| *field).collect();
            let hint = if n == 7 && croner(&first.join(" ")).is_ok() {
                format!("there is no year: write `{}`", first.join(" "))
            } else {
                format!("write five fields: {EXAMPLE}")
            };
            return Err(BadLine { what, hint: Some(hint), at: whole });
        }
    };
    for (spec, (field, place)) in specs.iter().zip(&all) {
        spec.check(field, place.start)?;
    }
    croner(line).map_err(|_| {
        let wrong = specs.iter().zip(&all).enumerate().find(|(nth, (_, (field, _)))| {
            let mut alone = vec!["*"; specs.len()];
            alone[*nth] = field;
            croner(&alone.join(" ")).is_err()
        });
        match wrong {
            Some((_, (spec, (field, place)))) => spec.not_one(field, place.clone()),
            None => BadLine {
                what: format!("`{line}` is not a cron line"),
                hint: Some(format!("write it more simply: {EXAMPLE}")),
                at: whole,
            },
        }
    })
}

/// Why a line that can be read never fires: the day is in none of its months.
pub(super) fn never(line: &str, days: &[u16], months: &[u16]) -> BadLine {
    let all = fields(line);
    let (day, month) = (all.len() - 3, all.len() - 2);
    let longest = months.iter().filter_map(|m| LENGTHS.get(usize::from(*m).checked_sub(1)?)).max();
    let hint = match longest {
        Some(longest) if days.iter().all(|d| u32::from(*d) > *longest) => {
            let mut better: Vec<&str> = all.iter().map(|(field, _)| *field).collect();
            better[day] = "L";
            format!("for the last day of that month write `{}`", better.join(" "))
        }
        _ => format!("choose another day or month: {EXAMPLE}"),
    };
    let at = all[day].1.start..all[month].1.end;
    let what = format!("`{line}` never fires: no such date exists");
    BadLine { what, hint: Some(hint), at }
}

fn croner(line: &str) -> Result<croner::Cron, croner::errors::CronError> {
    CronParser::builder().year(Year::Disallowed).build().parse(line)
}

/// Lines of other schedulers.
fn foreign(line: &str) -> Option<BadLine> {
    let bad = |what: String, hint: String| Some(BadLine { what, hint: Some(hint), at: 0..line.len() });
    let text = line.trim();
    let lower = text.to_lowercase();
    if lower.starts_with('@') {
        let known = NICKNAMES.iter().find(|(name, _)| *name == lower);
        let hint =
            known.map_or_else(|| format!("write five fields: {EXAMPLE}"), |(_, meaning)| format!("write `{meaning}`"));
        return bad(format!("`{text}` is a nickname, not fields"), hint);
    }
    if lower.starts_with("rate(") {
        let hint = format!("write five fields as in crontab: {EXAMPLE}, `0 */6 * * *` is every six hours");
        return bad(format!("`{text}` is a line for EventBridge"), hint);
    }
    let inner = lower.strip_prefix("cron(")?;
    let inner: Vec<&str> = inner.trim_end_matches(')').split_whitespace().collect();
    // EventBridge counts weekdays from 1, so that their numbers mean another day here.
    let hint = match inner[..] {
        [minute, hour, day, month, weekday, "*"] if !weekday.contains(|c: char| c.is_ascii_digit()) => {
            let line = [minute, hour, day, month, weekday].map(|f| f.replace('?', "*").to_uppercase()).join(" ");
            format!("write `{line}`: five fields as in crontab, without a year")
        }
        _ => format!("write five fields as in crontab, weekdays counted from 0 for Sunday: {EXAMPLE}"),
    };
    bad(format!("`{text}` is a line for EventBridge"), hint)
}

impl Field {
    /// Looks at each item of the list `text`, which begins at byte `start` of the line.
    fn check(&self, text: &str, start: usize) -> Result<(), BadLine> {
        let mut from = start;
        for item in text.split(',') {
            let at = from..from + item.len();
            from = at.end + 1;
            if item.is_empty() {
                let what = format!("the list `{text}` has an empty item");
                let hint = Some("take one comma out, or write the number that is missing".to_owned());
                return Err(BadLine { what, hint, at: start..start + text.len() });
            }
            self.item(item, at)?;
        }
        Ok(())
    }

    fn item(&self, item: &str, at: Range<usize>) -> Result<(), BadLine> {
        let bad = |what: String, hint: String| Err(BadLine { what, hint: Some(hint), at: at.clone() });
        let (base, step) = item.split_once('/').map_or((item, None), |(base, step)| (base, Some(step)));
        if let Some(step) = step {
            let size = self.max - self.min + 1;
            match step.parse::<u32>() {
                Ok(n) if n >= 1 && n <= size => {}
                Ok(0) => {
                    let hint = format!("`*/2` is every second one; {}", self.allowed());
                    return bad(format!("`{item}` steps by nothing"), hint);
                }
                Ok(_) => {
                    let hint = format!("list the times, in several lines if need be; {}", self.allowed());
                    return bad(format!("the step of `{item}` is longer than all {}", self.plural), hint);
                }
                Err(_) => {
                    return bad(
                        format!("`{item}` has no step"),
                        format!("`*/2` is every second one; {}", self.allowed()),
                    );
                }
            }
            if self.value(base).is_some() {
                return bad(
                    format!("`{item}` has a step, but no range"),
                    format!("write `{base}-{}/{step}`", self.last()),
                );
            }
        }
        if base == "*" || self.special(base) {
            return Ok(());
        }
        if let Some((low, high)) = base.split_once('-') {
            return match (self.value(low), self.value(high)) {
                // `FRI-SUN` ends with the Sunday that is 7.
                (Some(a), Some(0))
                    if self.max == 7 && a > 0 && !self.names.is_empty() && high.parse::<u32>().is_err() =>
                {
                    Ok(())
                }
                (Some(a), Some(b)) if a <= b => Ok(()),
                (Some(_), Some(_)) => {
                    let named = low.parse::<u32>().is_err();
                    let (first, last) = match (self.names, named) {
                        ([first, .., last], true) => ((*first).to_owned(), (*last).to_owned()),
                        _ => (self.min.to_string(), self.last().to_string()),
                    };
                    bad(format!("the range `{base}` runs backwards"), format!("write `{low}-{last},{first}-{high}`"))
                }
                _ => Err(self.not_one(base, at.clone())),
            };
        }
        if self.value(base).is_some() { Ok(()) } else { Err(self.not_one(base, at)) }
    }

    /// What `croner` judges: `?`, `L`, `15W`, `MON#1`, `5L`, `+MON`.
    fn special(&self, base: &str) -> bool {
        let upper = base.to_uppercase();
        match self.noun {
            "a day of the month" => matches!(upper.as_str(), "?" | "L") || upper.contains('W'),
            "a weekday" => upper == "?" || upper == "L" || upper.contains(['#', '+']) || self.before_l(&upper),
            _ => false,
        }
    }

    /// `5L`, `FRIL`: the last Friday of a month.
    fn before_l(&self, upper: &str) -> bool {
        upper.strip_suffix('L').is_some_and(|day| self.value(day).is_some())
    }

    /// A number in range, or a name.
    fn value(&self, text: &str) -> Option<u32> {
        let named = || {
            let nth = self.names.iter().position(|name| name.eq_ignore_ascii_case(text))?;
            Some(self.min + u32::try_from(nth).ok()?)
        };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = || text.parse().ok().filter(|n| digits && (self.min..=self.max).contains(n));
        number().or_else(named)
    }

    /// The highest number that is no repetition.
    fn last(&self) -> u32 {
        if self.max == 7 { 6 } else { self.max }
    }

    fn allowed(&self) -> String {
        format!("{} go from {} to {}{}", self.plural, self.min, self.max, self.also)
    }

    fn not_one(&self, text: &str, at: Range<usize>) -> BadLine {
        let what = format!("`{text}` is not {}", self.noun);
        let prefix: String = text.chars().take(3).collect();
        let hint = if text.parse::<u32>().is_err()
            && prefix.len() < text.len()
            && self.value(&prefix).is_some_and(|_| !self.names.is_empty())
        {
            format!("write `{}`", prefix.to_uppercase())
        } else if let Some((hour, minute)) = text.split_once(':')
            && let (Ok(hour), Ok(minute)) = (hour.parse::<u32>(), minute.parse::<u32>())
        {
            format!("the minute comes first, in a field of its own: `{minute} {hour} * * *`")
        } else if text == "?" {
            "six fields begin with the second and have no year, unlike EventBridge's: write `30 2 * * *`".to_owned()
        } else if self.noun == "an hour" && text == "24" {
            "midnight is hour 0; hours go from 0 to 23".to_owned()
        } else if let Some(home) = FIELDS.iter().find(|f| f.names.iter().any(|n| n.eq_ignore_ascii_case(&prefix))) {
            let order = "the order is minute hour day month weekday";
            format!("`{text}` is {}; {order}: `30 2 * * MON` is each Monday at 02:30", home.noun)
        } else {
            self.allowed()
        };
        BadLine { what, hint: Some(hint), at }
    }
}
