//! A table and its columns, whoever draws it.

/// What the cells of a column hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or an instant.
    Word,
    /// Sentences, which may be broken.
    Prose,
    /// Figures, which are aligned by their last digit.
    Figures,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Its heading.
    pub(super) head: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
}

/// A table with its heading.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// For links and tests.
    pub(super) id: &'static str,
    /// The heading.
    pub(super) title: &'static str,
    /// What it means; may be empty.
    pub(super) note: String,
    /// The columns.
    pub(super) columns: Vec<Column>,
    /// The cells.
    pub(super) rows: Vec<Vec<String>>,
}

/// A column of names.
pub(super) const fn text(head: &'static str) -> Column {
    Column { head, kind: Kind::Word }
}

/// A column of sentences.
pub(super) const fn prose(head: &'static str) -> Column {
    Column { head, kind: Kind::Prose }
}

/// A column of figures.
pub(super) const fn figure(head: &'static str) -> Column {
    Column { head, kind: Kind::Figures }
}
