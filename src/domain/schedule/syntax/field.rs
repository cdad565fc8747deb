//! One field of a cron line: what may be written there, and what is said about the rest.

use std::ops::Range;

use super::BadLine;

/// One field of a line.
pub(super) struct Field {
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
pub(super) const FIELDS: [Field; 6] = [
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

impl Field {
    /// Looks at each item of the list `text`, which begins at byte `start` of the line.
    pub(super) fn check(&self, text: &str, start: usize) -> Result<(), BadLine> {
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

    /// One item of a list: `*`, a value, a range, each of the latter with or without a step.
    fn item(&self, item: &str, at: Range<usize>) -> Result<(), BadLine> {
        let (base, step) = item.split_once('/').map_or((item, None), |(base, step)| (base, Some(step)));
        // `+MON`: on a Monday that is also the day of the month.
        let base = if self.noun == "a weekday" { base.strip_prefix('+').unwrap_or(base) } else { base };
        let judged = match (step, base.split_once('-')) {
            (Some(step), _) if !self.is_step(step) => Err(self.bad_step(item, step)),
            (Some(step), None) if self.value(base).is_some() => {
                let hint = format!("write `{base}-{}/{step}`", self.last());
                Err((format!("`{item}` has a step, but no range"), hint))
            }
            _ if base == "*" || self.special(base) => Ok(()),
            (_, Some((low, high))) => match (self.value(low), self.value(high)) {
                // `FRI-SUN` ends with the Sunday that is 7.
                (Some(1..), Some(0)) if !self.names.is_empty() && high.parse::<u32>().is_err() => Ok(()),
                (Some(a), Some(b)) if a <= b => Ok(()),
                (Some(_), Some(_)) => Err(self.backwards(low, high)),
                _ => return Err(self.not_one(base, at)),
            },
            _ if self.value(base).is_some() => Ok(()),
            _ => return Err(self.not_one(base, at)),
        };
        judged.map_err(|(what, hint)| BadLine { what, hint: Some(hint), at })
    }

    /// A step as long as the whole field is once; a longer one cannot be what is meant.
    fn is_step(&self, step: &str) -> bool {
        step.parse::<u32>().is_ok_and(|n| (1..=self.max - self.min + 1).contains(&n))
    }

    /// What is wrong with a step, and what to do.
    fn bad_step(&self, item: &str, step: &str) -> (String, String) {
        let example = format!("`*/2` is every second one; {}", self.allowed());
        match step.parse::<u32>() {
            Ok(0) => (format!("`{item}` steps by nothing"), example),
            Ok(_) => (
                format!("the step of `{item}` is longer than all {}", self.plural),
                format!("list the times, in several lines if need be; {}", self.allowed()),
            ),
            Err(_) => (format!("`{item}` has no step"), example),
        }
    }

    /// A range that runs backwards, and the two that were meant.
    fn backwards(&self, low: &str, high: &str) -> (String, String) {
        let (first, last) = match self.names {
            [first, .., last] if low.parse::<u32>().is_err() => ((*first).to_owned(), (*last).to_owned()),
            _ => (self.min.to_string(), self.last().to_string()),
        };
        (format!("the range `{low}-{high}` runs backwards"), format!("write `{low}-{last},{first}-{high}`"))
    }

    /// What `croner` judges: `?`, `L`, `15W`, `MON#1`, `5L`. It would read the name of a day as a number anywhere, and
    /// takes an `L` without a weekday for no day at all.
    fn special(&self, base: &str) -> bool {
        let upper = base.to_uppercase();
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match self.noun {
            "a day of the month" => {
                matches!(upper.as_str(), "?" | "L" | "LW") || upper.strip_suffix('W').is_some_and(digits)
            }
            "a weekday" => {
                let day = upper.split_once('#').map(|(day, _)| day).or_else(|| upper.strip_suffix('L'));
                upper == "?" || day.is_some_and(|day| self.value(day).is_some())
            }
            _ => false,
        }
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

    pub(super) fn not_one(&self, text: &str, at: Range<usize>) -> BadLine {
        let what = format!("`{text}` is not {}", self.noun);
        let prefix: String = text.chars().take(3).collect();
        let word = prefix.len() < text.len() && text.chars().all(char::is_alphabetic);
        let home = FIELDS.iter().find(|f| f.names.iter().any(|n| n.eq_ignore_ascii_case(&prefix)));
        let hint = if word && self.value(&prefix).is_some() {
            format!("write `{}`", prefix.to_uppercase())
        } else if let Some((hour, minute)) = text.split_once(':')
            && let (Ok(hour), Ok(minute)) = (hour.parse::<u32>(), minute.parse::<u32>())
        {
            format!("the minute comes first, in a field of its own: `{minute} {hour} * * *`")
        } else if text == "?" {
            "six fields begin with the second and have no year, unlike EventBridge's: write `30 2 * * *`".to_owned()
        } else if self.noun == "an hour" && text == "24" {
            "midnight is hour 0; hours go from 0 to 23".to_owned()
        } else if let Some(home) = home.filter(|home| home.noun != self.noun) {
            let order = "the order is minute hour day month weekday";
            let example = match home.noun {
                "a month" => "`30 2 1 JAN *` is each 1 January at 02:30",
                _ => "`30 2 * * MON` is each Monday at 02:30",
            };
            format!("`{text}` is {}; {order}: {example}", home.noun)
        } else {
            self.allowed()
        };
        BadLine { what, hint: Some(hint), at }
    }
}
