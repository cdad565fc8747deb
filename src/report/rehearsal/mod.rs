//! What a rehearsal tells: the document, and the same facts as text and as a page.

mod calendar;
mod chart;
mod columns;
mod document;
mod html;
mod plan;
mod sections;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod warnings;
mod words;

pub use self::document::{
    CallsDocument, Counted, FleetDocument, Kept, Most, RehearsalDocument, Stored, Totals, WarningDocument,
};
pub use self::plan::{Days, GapDocument, LongestRun, Occurrences, PlanRehearsal, Reboots, Targets, Window};
pub use self::words::plain;
