//! Characters that are not to be seen: they steer a terminal, turn the direction of a text, or stand for nothing.

/// Whether a character steers what shows it instead of being seen: control characters, the ends of lines and paragraphs,
/// and what turns the direction of the text after it (Unicode, "Bidi_Control"; CVE-2021-42574).
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Whether XML 1.0, in which EC2 answers, has no way to write a character ("Char").
#[must_use]
pub fn is_not_xml(c: char) -> bool {
    c < ' ' && !matches!(c, '\t' | '\n' | '\r') || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// The text with a mark in place of each character that is not to be seen.
#[must_use]
pub fn seen(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The same for a text of several lines.
#[must_use]
pub fn seen_lines(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_marked() {
        assert_eq!(
            seen("a\u{1b}[31m\tb\u{202e}c\u{2066}\u{feff}\nü 服"),
            "a\u{fffd}[31m\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}\u{fffd}ü 服"
        );
        assert_eq!(seen_lines("a\n\rb"), "a\n\u{fffd}b");
        assert!(is_not_xml('\0') && is_not_xml('\u{1b}') && !is_not_xml('\n') && !is_not_xml('\u{7f}'));
    }
}
