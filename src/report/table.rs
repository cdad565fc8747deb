//! Tables for people: columns aligned by what they look like at a terminal, colours where they are wanted.

use anstyle::{AnsiColor, Style};
use comfy_table::{Attribute, CellAlignment, Color, ColumnConstraint, TableStyle, Width};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::domain::text::{is_unseen, seen};

/// A name in a table takes no more columns than this; EC2 allows 256 characters.
const NAME_COLUMNS: usize = 40;
/// Between two columns.
const GAP: u16 = 2;

/// No cell is wrapped to less than this: where even that does not fit, the terminal breaks the lines.
const PROSE_MIN: usize = 24;

/// What the reader's terminal can show. Whoever prints knows whether there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    /// Whether colours are written.
    pub colours: bool,
    /// How many columns there are; nothing: lines may be as long as they like, for what reads them.
    pub width: Option<usize>,
}

impl Paint {
    /// No terminal: a pipe, or a file.
    pub const PLAIN: Self = Self { colours: false, width: None };

    /// The same in so many columns at the most.
    #[must_use]
    pub fn at_most(self, columns: usize) -> Self {
        Self { width: Some(self.width.map_or(columns, |width| width.min(columns))), ..self }
    }
}

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
        if !self.colours || tone == Tone::Plain || text.is_empty() {
            return text;
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }
}

impl Paint {
    /// A line `indent` columns in, or as many as the terminal needs for it.
    #[must_use]
    pub fn prose(self, indent: usize, tone: Tone, text: &str) -> String {
        let mut lines = Table::new(indent);
        lines.row([Cell::toned(tone, text)]);
        lines.text(self)
    }
}

/// One cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
    figure: bool,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl Cell {
    /// A cell in a tone.
    #[must_use]
    pub fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone, figure: false }
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

    /// The same, aligned by its end, as figures are.
    #[must_use]
    pub fn figure(self) -> Self {
        Self { figure: true, ..self }
    }

    fn laid_out(&self) -> comfy_table::Cell {
        let cell = comfy_table::Cell::new(seen(&self.text));
        let cell = if self.figure { cell.set_alignment(CellAlignment::Right) } else { cell };
        match self.tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::DarkGreen),
            Tone::Warn => cell.fg(Color::DarkYellow),
            Tone::Bad => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
            Tone::Dim => cell.add_attribute(Attribute::Dim),
            Tone::Head => cell.add_attribute(Attribute::Bold),
        }
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

    /// Its lines. Where they are too long for the terminal, the last column is wrapped.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(TableStyle::new()).force_no_tty();
        if paint.colours {
            table.enforce_styling().style_text_only();
        }
        table.add_rows(self.rows.iter().map(|row| row.iter().map(Cell::laid_out).collect::<Vec<_>>()));
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        let widths = table.column_max_content_widths();
        let Some(last) = widths.len().checked_sub(1) else { return String::new() };
        let others: usize = widths[..last].iter().map(|width| usize::from(width + GAP)).sum();
        let room = paint.width.and_then(|width| width.checked_sub(self.indent + others));
        if let (Some(room), Some(prose)) = (room.filter(|room| *room >= PROSE_MIN), table.column_mut(last)) {
            prose.set_padding((0, 0));
            prose
                .set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(u16::try_from(room).unwrap_or(u16::MAX))));
        }
        let indent = " ".repeat(self.indent);
        table.lines().map(|line| format!("{indent}{}", line.trim_end()).trim_end().to_owned() + "\n").collect()
    }
}

/// What is printed for people, whoever wrote the parts of it: no more than our own colours steers the terminal.
#[must_use]
pub fn safe(text: &str, paint: Paint) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = paint.colours.then(|| COLOURS.iter().find(|colour| rest.starts_with(**colour))).flatten();
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

/// What is written for the tones: by `anstyle`, and in tables.
const COLOURS: [&str; 10] = [
    "\x1b[0m",
    "\x1b[1m",
    "\x1b[2m",
    "\x1b[31m",
    "\x1b[32m",
    "\x1b[33m",
    "\x1b[38;5;1m",
    "\x1b[38;5;2m",
    "\x1b[38;5;3m",
    "\x1b[39m",
];

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURED: Paint = Paint { colours: true, width: None };

    fn table() -> Table {
        let mut table = Table::headed(2, &["INSTANCE", "OUTCOME", "WHY"]);
        table.row([Cell::from("服务器"), Cell::word("done"), Cell::from("")]);
        table.row([Cell::from("i-1"), Cell::word("failed"), Cell::from("a \x1b[31m\nb")]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_they_look() {
        let expected = "  INSTANCE  OUTCOME  WHY\n  服务器    done\n  i-1       failed   a \u{fffd}[31m\u{fffd}b\n";
        assert_eq!(table().text(Paint::PLAIN), expected);
        assert_eq!(Table::new(0).text(COLOURED), "");
    }

    #[test]
    fn the_last_column_is_wrapped_at_a_terminal() {
        let mut table = Table::headed(2, &["INSTANCE", "WHY"]);
        let why = "its status checks are not ok yet: wait for i-0123456789abcdef0, or free its slot";
        table.row([Cell::from("i-1"), Cell::from(why)]);
        let at = |width| table.text(Paint { colours: false, width: Some(width) });
        assert_eq!(
            at(50),
            "  INSTANCE  WHY\n  i-1       its status checks are not ok yet: wait\n            for i-0123456789abcdef0, or free its\n            slot\n"
        );
        assert_eq!(at(20), table.text(Paint::PLAIN), "too narrow: the terminal breaks it");
    }

    #[test]
    fn a_long_name_is_cut() {
        let mut table = Table::new(0);
        table.row([Cell::name(&"n".repeat(256)), Cell::from("next")]);
        table.row([Cell::name(&"\u{670d}".repeat(256)), Cell::from("next")]);
        table.row([Cell::name(&"n".repeat(40)), Cell::from("next")]);
        let text = table.text(Paint::PLAIN);
        assert!(text.lines().all(|line| line.width() <= 46 && line.ends_with("next")), "{text}");
        assert_eq!(text.matches('\u{2026}').count(), 2);
    }

    #[test]
    fn nothing_but_our_colours_steers_the_terminal() {
        let painted = table().text(COLOURED) + &COLOURED.tone(Tone::Dim, "x") + &COLOURED.tone(Tone::Warn, "y");
        assert_eq!(safe(&painted, COLOURED), painted);
        let evil = "a\x1b[2Jb\x1b]0;title\x07\u{202e}c\x1b[8mhidden\r\n\x1b[1md";
        let shown = "a\u{fffd}[2Jb\u{fffd}]0;title\u{fffd}\u{fffd}c\u{fffd}[8mhidden\u{fffd}\n";
        assert_eq!(safe(evil, COLOURED), format!("{shown}\x1b[1md"));
        assert_eq!(safe(evil, Paint::PLAIN), format!("{shown}\u{fffd}[1md"));
    }

    #[test]
    fn colours_move_nothing_and_end() {
        let painted = table().text(COLOURED);
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
        assert_eq!(plain, table().text(Paint::PLAIN));
        assert_eq!(painted.matches("\x1b[0m").count(), 4, "three heads and what is bold: {painted:?}");
        assert_eq!(painted.matches("\x1b[39m").count(), 1, "and what is only coloured: {painted:?}");
    }
}
