//! What a rehearsal tells: the document, and the same facts as text and as a page.

mod calendar;
mod chart;
mod document;
mod html;
mod sections;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod warnings;
mod words;

pub use self::document::{
    CallsDocument, Counted, Days, FleetDocument, GapDocument, Kept, LongestRun, Most, Occurrences, PlanRehearsal,
    Reboots, RehearsalDocument, Stored, Targets, Totals, WarningDocument, Window,
};
pub use self::words::plain;
