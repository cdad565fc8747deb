//! Tables for people: columns aligned by what they look like at a terminal, colours where they are wanted.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::domain::text::{is_unseen, seen};

/// A name in a table takes no more columns than this; EC2 allows 256 characters.
const NAME_COLUMNS: usize = 40;

/// Whether colours are written. Whoever prints knows whether a terminal reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(pub bool);

/// What a cell is to the eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As intended.
    Good,
    /// Worth a look.
    Warn,
    /// Somebody must act.
    Bad,
    /// Of little weight.
    Dim,
    /// A heading.
    Head,
}

impl Tone {
    /// The tone of an outcome's or verdict's word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "done" | "selected" | "yes" | "ours" => Self::Good,
            "failed" | "no" | "foreign" => Self::Bad,
            "missed" | "unfinished" | "delete" | "unknown" => Self::Warn,
            "skipped" => Self::Dim,
            _ => Self::Plain,
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Head => Style::new().bold(),
        }
    }
}

impl Paint {
    /// `text` in a tone. What came from outside cannot steer the terminal.
    #[must_use]
    pub fn tone(self, tone: Tone, text: &str) -> String {
        let text = seen(text);
        if !self.0 || tone == Tone::Plain || text.is_empty() {
            return text;
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }
}

/// One cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

impl Cell {
    /// A cell in a tone.
    #[must_use]
    pub fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }

    /// A name that somebody else chose, cut where it would take the table for itself.
    #[must_use]
    pub fn name(name: &str) -> Self {
        if name.width() <= NAME_COLUMNS {
            return name.into();
        }
        let mut columns = 0;
        let fits = |c: &char| {
            columns += c.width().unwrap_or(1);
            columns < NAME_COLUMNS
        };
        format!("{}\u{2026}", name.chars().take_while(fits).collect::<String>()).into()
    }

    /// An outcome's or verdict's word, in its tone.
    #[must_use]
    pub fn word(word: &str) -> Self {
        Self::toned(Tone::of(word), word)
    }
}

/// Rows under a heading.
#[derive(Debug, Clone, Default)]
pub struct Table {
    indent: usize,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table, each line `indent` columns in.
    #[must_use]
    pub fn new(indent: usize) -> Self {
        Self { indent, rows: Vec::new() }
    }

    /// The same with a heading.
    #[must_use]
    pub fn headed(indent: usize, head: &[&str]) -> Self {
        Self { indent, rows: vec![head.iter().map(|h| Cell::toned(Tone::Head, *h)).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// Adds a row of as many cells as there are.
    pub fn line(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Its lines.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| self.rows.iter().filter_map(|r| Some(r.get(column)?.text.width())).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            let last = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
            for (column, (cell, width)) in row.iter().zip(&widths).take(last).enumerate() {
                line += &paint.tone(cell.tone, &cell.text);
                if column + 1 < last {
                    line += &" ".repeat(width.saturating_sub(cell.text.width()) + 2);
                }
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// What is printed for people, whoever wrote the parts of it: no more than our own colours steers the terminal.
#[must_use]
pub fn safe(text: &str, paint: Paint) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = paint.0.then(|| COLOURS.iter().find(|colour| rest.starts_with(**colour))).flatten();
        let taken = match colour {
            Some(colour) => {
                out += colour;
                colour.len()
            }
            None => {
                out.push(if is_unseen(c) && c != '\n' { char::REPLACEMENT_CHARACTER } else { c });
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    out
}

/// What `anstyle` writes for the tones.
const COLOURS: [&str; 6] = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"];

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::headed(2, &["INSTANCE", "OUTCOME", "WHY"]);
        table.row([Cell::from("服务器"), Cell::word("done"), Cell::from("")]);
        table.row([Cell::from("i-1"), Cell::word("failed"), Cell::from("a \x1b[31m\nb")]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_they_look() {
        let expected = "  INSTANCE  OUTCOME  WHY\n  服务器    done\n  i-1       failed   a \u{fffd}[31m\u{fffd}b\n";
        assert_eq!(table().text(Paint(false)), expected);
        assert_eq!(Table::new(0).text(Paint(true)), "");
    }

    #[test]
    fn a_long_name_is_cut() {
        let mut table = Table::new(0);
        table.row([Cell::name(&"n".repeat(256)), Cell::from("next")]);
        table.row([Cell::name(&"\u{670d}".repeat(256)), Cell::from("next")]);
        table.row([Cell::name(&"n".repeat(40)), Cell::from("next")]);
        let text = table.text(Paint(false));
        assert!(text.lines().all(|line| line.width() <= 46 && line.ends_with("next")), "{text}");
        assert_eq!(text.matches('\u{2026}').count(), 2);
    }

    #[test]
    fn nothing_but_our_colours_steers_the_terminal() {
        let painted =
            table().text(Paint(true)) + &Paint(true).tone(Tone::Dim, "x") + &Paint(true).tone(Tone::Warn, "y");
        assert_eq!(safe(&painted, Paint(true)), painted);
        let evil = "a\x1b[2Jb\x1b]0;title\x07\u{202e}c\x1b[8mhidden\r\n\x1b[1md";
        let shown = "a\u{fffd}[2Jb\u{fffd}]0;title\u{fffd}\u{fffd}c\u{fffd}[8mhidden\u{fffd}\n";
        assert_eq!(safe(evil, Paint(true)), format!("{shown}\x1b[1md"));
        assert_eq!(safe(evil, Paint(false)), format!("{shown}\u{fffd}[1md"));
    }

    #[test]
    fn colours_move_nothing_and_end() {
        let painted = table().text(Paint(true));
        let plain = {
            let mut plain = String::new();
            let mut rest = painted.as_str();
            while let Some(at) = rest.find('\x1b') {
                plain += &rest[..at];
                rest = &rest[at..];
                rest = &rest[rest.find('m').expect("a whole sequence") + 1..];
            }
            plain + rest
        };
        assert_eq!(plain, table().text(Paint(false)));
        assert_eq!(painted.matches("\x1b[0m").count(), 5, "three heads and two words: {painted:?}");
    }
}
