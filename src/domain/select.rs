//! Which instances an occurrence takes, with a reason for each one left out.
