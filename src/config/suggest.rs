//! "Did you mean": the nearest of the words that would have been right.

/// Names less alike than this (Jaro-Winkler, 0 to 1) are another word, not a slip.
const ALIKE: f64 = 0.8;

/// The word most like `given`, if any is alike enough.
pub fn nearest<'a>(given: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for word in words {
        let lower = word.to_lowercase();
        let tail = lower.rsplit('/').next().unwrap_or_default();
        let score = if lower == given || tail == given { 2.0 } else { strsim::jaro_winkler(&given, &lower) };
        if score >= ALIKE && best.is_none_or(|(most, _)| score > most) {
            best = Some((score, word));
        }
    }
    best.map(|(_, word)| word)
}

/// The hint for `given`.
pub fn did_you_mean<'a>(given: &str, words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(given, words).map(|word| format!("did you mean `{word}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood() {
        let zones = || chrono_tz::TZ_VARIANTS.iter().map(|z| z.name());
        let table = [
            ("Europe/Berln", Some("Europe/Berlin")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("Berlin", Some("Europe/Berlin")),
            ("new_york", Some("America/New_York")),
            ("Moonbase", None),
        ];
        for (given, meant) in table {
            assert_eq!(nearest(given, zones()), meant, "{given}");
        }
        assert_eq!(nearest("corn", ["cron", "timezone", "catch_up", "window"]), Some("cron"));
        assert_eq!(nearest("quux", ["cron", "timezone"]), None);
    }
}
