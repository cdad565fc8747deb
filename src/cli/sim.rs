//! `stillframe sim`: the simulated world behind its HTTP door.

/// Options of `stillframe sim`.
#[derive(Debug, Clone, clap::Args)]
pub struct SimArgs {}

/// Placeholder until merged.
pub fn run(_args: SimArgs) -> Result<(), String> {
    Err("merging".into())
}
