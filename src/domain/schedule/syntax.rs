//! What is wrong with a cron line, in an operator's words: which field, what was written, what is allowed there.
//!
//! `croner` decides what a good line means; its own complaints name no field, so they never come this far.

mod field;

use std::ops::Range;

use croner::parser::{CronParser, Year};

use self::field::FIELDS;

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::domain::schedule::check_cron;

    #[test]
    fn the_wrong_part_is_named_and_marked() {
        // A line, what of it is marked, and what the hint tells to write.
        let table = [
            ("30 25 * * *", "25", "from 0 to 23"),
            ("0,60 2 * * *", "60", "from 0 to 59"),
            ("61 0 2 * * *", "61", "seconds go from 0 to 59"),
            ("30 2 * JANUAR *", "JANUAR", "`JAN`"),
            ("30 2 * * thursday", "thursday", "`THU`"),
            ("30 2 * * 5-1", "5-1", "`5-6,0-1`"),
            ("30 2 WED * *", "WED", "is a weekday"),
            ("30 2 * * JAN", "JAN", "each 1 January"),
            ("30 2 * * MON#7", "MON#7", "`MON#1`"),
            ("30 2 40W * *", "40W", "from 1 to 31"),
            ("30 2 * * L", "L", "SUN to SAT"),
            ("30 2 * * MON,L", "L", "SUN to SAT"),
            ("*/x 2 * * *", "*/x", "every second one"),
            ("0 0 31 2 *", "31 2", "`0 0 L 2 *`"),
            ("0 0 0 31 2 *", "31 2", "`0 0 0 L 2 *`"),
            ("@Weekly", "@Weekly", "`0 0 * * 0`"),
            ("cron(0 3 ? * MON-FRI *)", "cron(0 3 ? * MON-FRI *)", "`0 3 * * MON-FRI`"),
            ("cron(0 3 ? * 2 *)", "cron(0 3 ? * 2 *)", "counted from 0"),
            ("0 3 ? * MON *", "?", "no year"),
            ("30  2 * * é", "é", "from 0 to 7"),
        ];
        for (line, marked, hint) in table {
            let bad = check_cron(line).expect_err(line);
            assert_eq!(&line[bad.at.clone()], marked, "{line}: {bad:?}");
            assert!(bad.hint.as_deref().is_some_and(|said| said.contains(hint)), "{line}: {bad:?}");
        }
        for good in ["0 3 * * fri-sun", "0 3 * * 1-5,0", "0 3 15W * *", "0 3 * * 5L", "0 */24 * * *", "0 3 ? jan +MON"]
        {
            assert_eq!(check_cron(good), Ok(()), "{good}");
        }
    }

    proptest! {
        /// Whatever is written, the marked part lies in the line and the words are ours.
        #[test]
        fn nothing_makes_it_panic(line in "(([0-9A-Z*?/#,+ LW-]|\\PC){0,6} ){3,7}") {
            if let Err(bad) = check_cron(&line) {
                prop_assert!(line.get(bad.at.clone()).is_some(), "{bad:?}");
                prop_assert!(!bad.what.contains("Component") && bad.hint.is_some(), "{bad:?}");
            }
        }
    }
}
