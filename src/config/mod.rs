//! Settings and plans from TOML: shape, merged, checked; all problems at once.
