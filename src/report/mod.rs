//! What people read: log lines, tables, JSON documents. All of it is derived from the journal's events.

pub mod document;
pub mod format;
pub mod logs;
