//! The text of one file, and where in it a span lies. Lines that may hold a secret are never shown.

use std::ops::Range;
use std::path::Path;

use super::problem::{Problem, SourceLine};

/// No configuration file is larger; more is another kind of file, put there by mistake.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// A file that was read.
#[derive(Debug)]
pub struct Source {
    /// The path as it is shown.
    pub file: String,
    /// All of it.
    pub text: String,
}

impl Source {
    /// Reads `path`, or says why it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Box<Problem>> {
        let file = path.display().to_string();
        let unreadable = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::NotFound if path.is_symlink() => {
                Problem::of_file(&file, "is a link to a file that does not exist")
                    .hint("remove the link, or bring the file back")
            }
            std::io::ErrorKind::NotFound => Problem::of_file(&file, "does not exist"),
            std::io::ErrorKind::PermissionDenied => Problem::of_file(&file, "cannot be read: permission denied")
                .hint("let the user that stillframe runs as read it, and its directory"),
            _ => Problem::of_file(&file, format!("cannot be read: {e}")),
        };
        let meta = std::fs::metadata(path).map_err(unreadable)?;
        if !meta.is_file() {
            return Err(Problem::of_file(&file, "is not a file")
                .hint("only TOML files belong here: move it elsewhere, or give it a name that does not end in .toml")
                .into());
        }
        if meta.len() > FILE_MAX_BYTES {
            return Err(Problem::of_file(&file, format!("is larger than {} KiB", FILE_MAX_BYTES >> 10))
                .hint("this is hardly a configuration file: move it elsewhere")
                .into());
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { file, text }),
            Err(e) => {
                let good = e.utf8_error().valid_up_to();
                let byte = e.as_bytes()[good];
                let what = format!("is not UTF-8: the byte 0x{byte:02x} here belongs to another encoding");
                let hint = "save the file as UTF-8, or convert it: iconv -f latin1 -t utf-8";
                // What is valid keeps its place; each bad byte is shown as one odd character.
                let text = String::from_utf8_lossy(e.as_bytes()).into_owned();
                let odd = good..good + char::REPLACEMENT_CHARACTER.len_utf8();
                Err(Box::new(Self { file, text }.problem(Some(odd), "", what).hint(hint)))
            }
        }
    }

    /// A problem at `span`, with its line shown; at 1:1 and without a line if there is no span.
    #[must_use]
    pub fn problem(&self, span: Option<Range<usize>>, key: impl Into<String>, what: impl Into<String>) -> Problem {
        let base = Problem { key: key.into(), ..Problem::of_file(&self.file, what) };
        let Some(span) = span else { return base };
        let (line, col, start) = locate(&self.text, span.start);
        let shown = self.text[start..].lines().next().unwrap_or_default();
        let from = shown.floor_char_boundary(span.start.saturating_sub(start));
        let to = shown.ceil_char_boundary(span.end.saturating_sub(start)).max(from);
        // The only secret of the configuration is `external_id`; a misspelled one must not reach a log either.
        let secret = self.holds_secrets() && shown.to_lowercase().contains("external");
        let source = (!secret).then(|| SourceLine { text: shown.to_owned(), marked: from..to });
        Problem { line, col, source, ..base }
    }

    /// Whether this is the settings file, the only one with secrets.
    #[must_use]
    pub fn holds_secrets(&self) -> bool {
        self.file.ends_with("stillframe.toml")
    }

    /// The line that `span` begins in, counted from 1.
    #[must_use]
    pub fn line_of(&self, span: &Range<usize>) -> usize {
        locate(&self.text, span.start).0
    }
}

/// Line and column (in characters) of a byte, each from 1, and the byte at which its line begins.
fn locate(text: &str, at: usize) -> (usize, usize, usize) {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |n| n + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    (line, before[start..].chars().count() + 1, start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = Source { file: "f".into(), text: "a = 1\n\"ü\" = 2\nb = 3".into() };
        for (at, place) in [(0, (1, 1)), (4, (1, 5)), (6, (2, 1)), (13, (2, 7)), (100, (3, 6))] {
            let p = source.problem(Some(at..at + 1), "k", "w");
            assert_eq!((p.line, p.col), place, "byte {at}");
        }
    }

    #[test]
    fn a_line_with_a_secret_is_not_shown() {
        let text = "external_id = 5\nexternalid = \"x\"\nid = 1\n".to_owned();
        let source = Source { file: "stillframe.toml".into(), text };
        assert!(source.problem(Some(14..15), "k", "w").source.is_none());
        assert!(source.problem(Some(16..26), "k", "w").source.is_none());
        assert!(source.problem(Some(33..35), "k", "w").source.is_some());
    }
}
