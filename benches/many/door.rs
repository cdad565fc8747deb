//! The programs themselves, in real time: `stillframe sim` behind its HTTP door, and `stillframe run`.

/// Runs one plan of so many targets.
pub fn run(_targets: u32) {}
