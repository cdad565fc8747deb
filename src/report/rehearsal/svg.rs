//! What drawings share: coordinates, round scales, ticks of time.

use chrono::{Datelike as _, NaiveDate, Weekday};

/// A coordinate: a tenth is finer than a pixel.
pub(super) fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The top of a scale that holds `most`, and its step: round numbers, four to six steps.
pub(super) fn round_scale(most: f64, whole: bool) -> (f64, f64) {
    let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
    let magnitude = 10_f64.powf((most / 5.0).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps.iter().map(|s| s * magnitude).find(|step| most / step <= 5.0).unwrap_or(10.0 * magnitude);
    let step = if whole { step.max(1.0).ceil() } else { step };
    ((most / step).ceil().max(1.0) * step, step)
}

/// The days to be named on an axis of time, each with its name.
pub(super) fn ticks(first: NaiveDate, days: usize) -> Vec<(usize, String)> {
    let date = |n: usize| first.checked_add_days(chrono::Days::new(n as u64)).unwrap_or(NaiveDate::MAX);
    let month = |d: NaiveDate, start: bool| {
        let form = if d.month() == 1 || start { "%b %Y" } else { "%b" };
        d.format(form).to_string()
    };
    let named = |n: usize| -> Option<String> {
        let d = date(n);
        match days {
            0..=16 => Some(d.format("%-d %b").to_string()),
            17..=100 => (d.weekday() == Weekday::Mon).then(|| d.format("%-d %b").to_string()),
            101..=430 => (d.day() == 1).then(|| month(d, false)),
            431..=1200 => (d.day() == 1 && d.month0() % 3 == 0).then(|| month(d, false)),
            _ => (d.ordinal() == 1).then(|| d.year().to_string()),
        }
    };
    // Each second one where they would touch.
    let all: Vec<(usize, String)> = (0..days).filter_map(|n| Some((n, named(n)?))).collect();
    let every = all.len().div_ceil(16);
    all.into_iter().step_by(every.max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round() {
        for (most, whole, top, step) in [
            (0.0, false, 1.0, 0.2),
            (1.0, true, 1.0, 1.0),
            (3.0, true, 3.0, 1.0),
            (7.0, false, 8.0, 2.0),
            (50.0, true, 50.0, 10.0),
            (1234.0, false, 1250.0, 250.0),
            (f64::NAN, false, 1.0, 0.2),
        ] {
            let (t, s) = round_scale(most, whole);
            assert!((t - top).abs() < 1e-9 && (s - step).abs() < 1e-9, "{most}: {t} by {s}");
        }
        assert_eq!((at(1.0), at(1.26), at(-0.5)), ("1".into(), "1.3".into(), "-0.5".into()));
    }

    #[test]
    fn ticks_fit_the_length() {
        let first: NaiveDate = "2026-12-01".parse().unwrap();
        let names = |days| ticks(first, days).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(names(3), ["1 Dec", "2 Dec", "3 Dec"]);
        assert_eq!(ticks(first, 30)[0], (6, "7 Dec".into()));
        assert_eq!(names(365)[..3], ["Dec", "Jan 2027", "Feb"]);
        for days in [1, 16, 17, 90, 100, 101, 365, 430, 431, 1200, 3660] {
            assert!(names(days).len() <= 16, "{days}: {:?}", names(days));
        }
    }
}
