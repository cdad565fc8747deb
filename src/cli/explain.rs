//! stub
#[derive(Debug, Clone, clap::Args)]
pub struct ExplainArgs {}
pub fn run(_: &ExplainArgs) -> u8 { 0 }
