//! How a document is printed: every command that makes one takes the same flag.

use super::{FAILED, paint, print, print_text};
use crate::report::document::Document;

/// The form in which a document is wanted.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Output {
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Prints it; the exit code, where what it tells is well or not.
    #[must_use]
    pub fn tell(self, document: &impl Document, well: bool) -> u8 {
        let printed = self.print(document);
        if well { printed } else { FAILED }
    }

    /// Prints it; the exit code tells whether that could be done.
    pub fn print(self, document: &impl Document) -> u8 {
        if self.json { print(&document.json()) } else { print_text(&document.text(paint())) }
    }
}
