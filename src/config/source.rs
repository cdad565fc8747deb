//! The text of one file, and where in it a span lies. Lines that may hold a secret are never shown.

use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use super::file::{self, Unread};
use super::problem::{Problem, SourceLine};
use super::veil::{self, Veil};

/// No configuration file is larger; more is another kind of file, put there by mistake.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// So much of a line is shown before and after what is marked: whole lines may be as long as a file.
const SHOWN_BYTES: usize = 200;
/// Characters are counted ahead once for so many bytes.
const STRIDE: usize = 256;
/// Stands for a key that may be part of a secret.
const HIDDEN: &str = "(hidden)";

/// A file that was read.
#[derive(Debug)]
pub struct Source {
    /// The path as it is shown.
    pub file: String,
    /// All of it.
    pub text: String,
    index: OnceLock<Index>,
}

/// What makes each look at the text short: a file may have a problem in each of its lines.
#[derive(Debug)]
struct Index {
    /// The byte at which each line begins.
    starts: Vec<usize>,
    /// How many characters begin before each [`STRIDE`] bytes.
    characters: Vec<usize>,
    /// What may be shown of each line.
    veils: Vec<Veil>,
    /// How many lines before each one are not shown whole.
    veiled_before: Vec<usize>,
}

impl Index {
    fn of(text: &str, settings: bool) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let mut characters = vec![0];
        let mut so_far = 0;
        for stretch in text.as_bytes().chunks(STRIDE) {
            so_far += beginnings(stretch);
            characters.push(so_far);
        }
        let veils = veil::veils(text, settings);
        let mut veiled_before = vec![0];
        for veil in &veils {
            veiled_before.push(veiled_before.last().unwrap_or(&0) + usize::from(*veil != Veil::Open));
        }
        Self { starts: std::iter::once(0).chain(newlines).collect(), characters, veils, veiled_before }
    }

    /// How many characters begin before a byte.
    fn characters_before(&self, text: &str, at: usize) -> usize {
        let known = at / STRIDE;
        self.characters[known] + beginnings(&text.as_bytes()[known * STRIDE..at])
    }
}

/// How many characters begin in these bytes.
fn beginnings(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| **b & 0xc0 != 0x80).count()
}

impl Source {
    /// A file of this text.
    #[must_use]
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into(), index: OnceLock::new() }
    }

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
        let no_file = |what: &str| {
            Problem::of_file(&file, what)
                .hint("only TOML files belong here: move it elsewhere, or give it a name that does not end in .toml")
        };
        let bytes = file::read(path, FILE_MAX_BYTES).map_err(|unread| match unread {
            Unread::NotAFile => no_file("is not a file"),
            Unread::Waits => no_file("has no end: reading it waits for somebody to write"),
            Unread::TooLarge => Problem::of_file(&file, format!("is larger than {} KiB", FILE_MAX_BYTES >> 10))
                .hint("this is hardly a configuration file: move it elsewhere"),
            Unread::Io(e) => unreadable(e),
        })?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(file, text)),
            Err(e) => {
                let good = e.utf8_error().valid_up_to();
                let byte = e.as_bytes()[good];
                let what = format!("is not UTF-8: the byte 0x{byte:02x} here belongs to another encoding");
                let hint = "save the file as UTF-8, or convert it: iconv -f latin1 -t utf-8";
                // What is valid keeps its place; each bad byte is shown as one odd character.
                let text = String::from_utf8_lossy(e.as_bytes()).into_owned();
                let odd = good..good + char::REPLACEMENT_CHARACTER.len_utf8();
                Err(Box::new(Self::new(file, text).problem(Some(odd), "", what).hint(hint)))
            }
        }
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(&self.text, self.holds_secrets()))
    }

    /// A problem at `span`, with its line shown; at 1:1 and without a line if there is no span.
    #[must_use]
    pub fn problem(&self, span: Option<Range<usize>>, key: impl Into<String>, what: impl Into<String>) -> Problem {
        let base = Problem { key: key.into(), ..Problem::of_file(&self.file, what) };
        let Some(span) = span else { return base };
        let (nth, start) = self.line_at(span.start);
        let at = self.text.floor_char_boundary(span.start);
        let index = self.index();
        let col = index.characters_before(&self.text, at) - index.characters_before(&self.text, start) + 1;
        let end = index.starts.get(nth + 1).map_or(self.text.len(), |next| next - 1);
        let shown = self.text[start..end].trim_end_matches('\r');
        let from = shown.floor_char_boundary(span.start.saturating_sub(start));
        let to = shown.ceil_char_boundary(span.end.saturating_sub(start)).max(from);
        let base = Problem { line: nth + 1, col, ..base };
        let veil = index.veils.get(nth).copied().unwrap_or(Veil::Whole);
        let through = match veil {
            // A long line is cut first: it would be copied for each of its problems.
            Veil::Open => Some(excerpt(shown, from..to)),
            _ => veil::through(veil, shown, &(from..to)).map(|text| (text, from..to)),
        };
        let last = self.line_at(span.end.saturating_sub(1).max(span.start)).0;
        let goes_through = index.veiled_before[last + 1] > index.veiled_before[nth + 1];
        let named = veil::names_secret(base.key.rsplit('.').next().unwrap_or_default(), true);
        let whole = veil == Veil::Whole;
        // What TOML itself cannot read has no key, and words that hold nothing of the file.
        if !base.key.is_empty() && (whole || goes_through || veil == Veil::Values && through.is_none() && !named) {
            return without_words(base, whole);
        }
        Problem { source: through.map(|(text, marked)| SourceLine { text, marked }), ..base }
    }

    /// Whether this is the settings file, the only one with secrets.
    #[must_use]
    pub fn holds_secrets(&self) -> bool {
        self.file.ends_with("stillframe.toml")
    }

    /// The line that `span` begins in, counted from 1.
    #[must_use]
    pub fn line_of(&self, span: &Range<usize>) -> usize {
        self.line_at(span.start).0 + 1
    }

    /// The line of a byte, counted from 0, and the byte at which it begins.
    fn line_at(&self, at: usize) -> (usize, usize) {
        let starts = &self.index().starts;
        let nth = starts.partition_point(|start| *start <= at.min(self.text.len())).saturating_sub(1);
        (nth, starts[nth])
    }
}

/// A problem whose own words may hold a secret, or also its key.
fn without_words(problem: Problem, key: bool) -> Problem {
    let key = match problem.key.rsplit_once('.') {
        _ if !key => problem.key.clone(),
        Some((path, _)) => format!("{path}.{HIDDEN}"),
        None => HIDDEN.to_owned(),
    };
    let what = "is wrong here; what is written is not shown, since it may hold a secret".to_owned();
    Problem { key, what, hides: true, ..problem }
}

/// What of a line is shown around its marked part, and where that lies in it.
fn excerpt(line: &str, marked: Range<usize>) -> (String, Range<usize>) {
    if line.len() <= 3 * SHOWN_BYTES {
        return (line.to_owned(), marked);
    }
    let from = line.floor_char_boundary(marked.start.saturating_sub(SHOWN_BYTES));
    let marked_end = line.floor_char_boundary(marked.end.min(marked.start + SHOWN_BYTES)).max(marked.start);
    let to = line.ceil_char_boundary((marked_end + SHOWN_BYTES).min(line.len()));
    let before = if from > 0 { "... " } else { "" };
    let after = if to < line.len() { " ..." } else { "" };
    let shift = |at: usize| at - from + before.len();
    (format!("{before}{}{after}", &line[from..to]), shift(marked.start)..shift(marked_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = Source::new("f", "a = 1\n\"ü\" = 2\nb = 3");
        for (at, place) in [(0, (1, 1)), (4, (1, 5)), (6, (2, 1)), (13, (2, 7)), (100, (3, 6))] {
            let p = source.problem(Some(at..at + 1), "k", "w");
            assert_eq!((p.line, p.col), place, "byte {at}");
        }
    }

    #[test]
    fn a_line_with_a_secret_is_not_shown() {
        let source = Source::new("stillframe.toml", "external_id = 5\nexternalid = \"x\"\nid = 1\n");
        assert!(source.problem(Some(14..15), "k", "w").source.is_none());
        assert!(source.problem(Some(16..26), "k", "w").source.is_none());
        assert!(source.problem(Some(33..35), "k", "w").source.is_some());
    }

    #[test]
    fn nothing_of_a_line_that_goes_on_with_a_secret() {
        let text = "[accounts.dr]\nexternal_id = \"\"\"\nhunter2 = 5\n\"\"\"\n";
        let source = Source::new("stillframe.toml", text);
        let at = text.find("hunter2").unwrap();
        let problem = source.problem(Some(at..at + 7), "accounts.dr.hunter2", "\"hunter2\" is unknown").to_string();
        assert!(problem.contains(":3:1: accounts.dr.(hidden): ") && !problem.contains("hunter2"), "{problem}");
    }

    #[test]
    fn a_long_line_is_cut_around_its_mark() {
        let long = format!("{}=MARK={}", "ä".repeat(5_000), "ö".repeat(5_000));
        let source = Source::new("f", long.as_str());
        let at = long.find("MARK").unwrap();
        let problem = source.problem(Some(at..at + 4), "k", "w");
        assert_eq!(problem.col, 5_002);
        let line = problem.source.unwrap();
        assert_eq!(&line.text[line.marked.clone()], "MARK");
        assert!(line.text.len() < 1_000 && line.text.starts_with("... ä") && line.text.ends_with("ö ..."));
        let all = source.problem(Some(0..long.len()), "k", "w").source.unwrap();
        assert!(all.text.len() < 1_000 && all.marked.end <= all.text.len());
    }
}
