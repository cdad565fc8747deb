//! What is read: log lines, and documents as text, JSON and pages.

pub mod doctor;
pub mod document;
pub mod explain;
pub mod format;
pub mod images;
pub mod journald;
pub mod logs;
pub mod out;
pub mod preview;
pub mod rehearsal;
pub mod run;
pub mod status;
pub mod table;
