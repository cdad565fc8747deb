//! `stillframe schema`: prints the JSON Schema of a plan, or of the settings, for editors. Reads nothing.

use crate::config::schema;

/// Options of `stillframe schema`.
#[derive(Debug, Clone, clap::Args)]
pub struct SchemaArgs {
    /// That of stillframe.toml, not of a plan
    #[arg(long)]
    pub settings: bool,
}

/// Prints the schema.
#[must_use]
pub fn run(args: &SchemaArgs) -> u8 {
    super::print(&text(args))
}

/// The schema as it is printed and kept in config/plan.schema.json.
#[must_use]
pub fn text(args: &SchemaArgs) -> String {
    let schema = if args.settings { schema::settings() } else { schema::plan() };
    format!("{schema:#}\n")
}
