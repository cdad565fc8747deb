//! What people read: logs, tables, JSON documents.
