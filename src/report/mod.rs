//! What people read: log lines, tables, JSON documents. All of it is derived from the journal's events.

pub mod copies;
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
pub mod status;
pub mod table;
