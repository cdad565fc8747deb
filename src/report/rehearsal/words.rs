//! Numbers and reasons as people read them.

/// `36,500`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure with `places` decimals: `1,234.50`.
pub(super) fn decimal(value: f64, places: usize) -> String {
    let text = format!("{:.places$}", value.abs());
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), String::new()), |(w, r)| (w, format!(".{r}")));
    let sign = if value < 0.0 { "-" } else { "" };
    // Too many digits for a count stay as they are.
    format!("{sign}{}{rest}", whole.parse().map_or_else(|_| whole.to_owned(), count))
}

/// `1 day`, `2 days`.
pub(super) fn several(n: u64, one: &str) -> String {
    let end = if n == 1 { "" } else { "s" };
    format!("{} {one}{end}", count(n))
}

/// A reason without what differs from case to case: ids, runs and instants. So equal ones can be counted.
#[must_use]
pub fn plain(reason: &str) -> String {
    let word = |word: &str| {
        let end = word.trim_end_matches([',', ';', '.', ':', ')', '!']);
        let begin = end.trim_start_matches('(');
        let (open, close) = (&word[..end.len() - begin.len()], &word[end.len()..]);
        format!("{open}{}{close}", without_id(begin))
    };
    reason.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn without_id(word: &str) -> String {
    for prefix in ["i-", "ami-", "snap-", "vol-"] {
        if let Some(id) = word.strip_prefix(prefix)
            && id.len() >= 8
            && id.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return format!("{prefix}…");
        }
    }
    let stamp = |text: &str| text.len() == 16 && text.ends_with('Z') && text.as_bytes().get(8) == Some(&b'T');
    if let Some((plan, due)) = word.rsplit_once('@')
        && stamp(due)
    {
        return format!("{plan}@…");
    }
    if chrono::DateTime::parse_from_rfc3339(word).is_ok() { "…".into() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let table = [(0, "0"), (999, "999"), (1000, "1,000"), (36_500, "36,500"), (1_234_567, "1,234,567")];
        for (n, text) in table {
            assert_eq!(count(n), text);
        }
        assert_eq!(decimal(1234.5, 2), "1,234.50");
        assert_eq!(decimal(-0.25, 1), "-0.2");
        assert_eq!(decimal(1e30, 0).len(), 31);
        assert_eq!((several(1, "day"), several(2, "day")), ("1 day".into(), "2 days".into()));
    }

    #[test]
    fn equal_reasons_read_equal() {
        for (reason, expected) in [
            (
                "i-0123456789abcdef0 was rebooted at 2026-11-20T02:31:38Z and (ami-0123456789abcdef0) is gone.",
                "i-… was rebooted at … and (ami-…) is gone.",
            ),
            ("run web@20261120T023000Z is still imaging it", "run web@… is still imaging it"),
            ("daily 7: the newest", "daily 7: the newest"),
            ("mail ops@example.com, i-am", "mail ops@example.com, i-am"),
            ("", ""),
        ] {
            assert_eq!(plain(reason), expected);
        }
    }
}
