//! The command line: one file per subcommand. Facts on stdout, logs and progress on stderr.
//!
//! Exit codes: 0 done; 1 something failed, nothing was selected, or it is unfinished; 2 wrong usage or
//! configuration.

pub mod backup;
pub mod check;
pub mod doctor;
pub mod explain;
pub mod history;
pub mod hold;
pub mod iam_policy;
pub mod images;
mod instant;
pub mod notify;
mod open_read_only;
pub mod output;
pub mod preview;
pub mod rehearse;
pub mod reload;
pub mod run;
pub mod schema;
pub mod signals;
pub mod sim;
pub mod start;
pub mod status;

use clap::{Parser, Subcommand};

use crate::clock::Clock;
use crate::domain::text::seen_lines;
use crate::report::out;
use crate::report::table::{Paint, safe};

/// Done.
pub const DONE: u8 = 0;
/// Something failed, nothing was selected, or it is unfinished.
pub const FAILED: u8 = 1;
/// Wrong usage or configuration.
pub const WRONG: u8 = 2;

/// systemd's journal finds out by the sender of a line which unit it is of, so that the sender of the last one had better
/// still be there: else `journalctl -u stillframe` might not show why it ended.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(100);

/// File-system-consistent images of EC2 instances on a schedule.
#[derive(Debug, Parser)]
#[command(name = "stillframe", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: take images as the plans say, until it is asked to stop
    Run(run::RunArgs),
    /// Read the configuration and say all that is wrong with it
    Check(check::CheckArgs),
    /// Run a plan now and wait for it, through the running daemon if there is one
    Backup(backup::BackupArgs),
    /// Show when plans are due, which instances they would take now, and what retention would delete; changes nothing
    Preview(preview::PreviewArgs),
    /// Show what is running, what is next, how old the newest images are, and what needs a person
    Status(status::StatusArgs),
    /// Tell of one image who made it, whether it is ours, and why it stays or goes
    Explain(explain::ExplainArgs),
    /// List the images, each with why and until when it stays
    Images(images::ImagesArgs),
    /// Keep an image whatever the rules say
    Hold(hold::HoldArgs),
    /// Let the rules decide of an image again
    Unhold(hold::HoldArgs),
    /// Show what ran, and how it ended
    History(history::HistoryArgs),
    /// Run the plans on a simulated fleet over months of simulated time, and show what they would do; touches nothing
    Rehearse(rehearse::RehearseArgs),
    /// Try each call that the plans need, in each account and region, and say what is denied; changes nothing
    Doctor(doctor::DoctorArgs),
    /// Print the IAM policy that this configuration needs, for stillframe's own role or for the role of another account
    IamPolicy(iam_policy::IamPolicyArgs),
    /// Print the JSON Schema of a plan, for editors
    Schema(schema::SchemaArgs),
    /// A simulated EC2 behind an HTTP endpoint on this machine, for trying things out
    Sim(sim::SimArgs),
}

/// Carries out a command; the exit code.
#[must_use]
pub fn dispatch(cli: Cli) -> u8 {
    let code = carry_out(cli);
    if crate::report::format::natively()
        && let Ok(runtime) = start::runtime()
    {
        runtime.block_on(Clock::Wall.sleep(LAST_WORDS));
    }
    code
}

fn carry_out(cli: Cli) -> u8 {
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Preview(args) => preview::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Images(args) => images::run(&args),
        Command::Hold(args) => hold::run(&args, true),
        Command::Unhold(args) => hold::run(&args, false),
        Command::History(args) => history::run(&args),
        Command::Rehearse(args) => rehearse::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::IamPolicy(args) => iam_policy::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Sim(args) => match sim::run(args) {
            Ok(()) => DONE,
            Err(why) => complain(&why),
        },
    }
}

/// Colours for a person at a terminal who did not forbid them (<https://no-color.org>), in as many columns as it has.
fn paint() -> Paint {
    use std::io::IsTerminal as _;
    if !std::io::stdout().is_terminal() {
        return Paint::PLAIN;
    }
    let colours = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    Paint { colours, width: terminal_size::terminal_size().map(|(width, _)| width.0.into()) }
}

/// Says why nothing was done; exit code 1.
fn complain(why: &str) -> u8 {
    out::note(&format!("stillframe: {}", seen_lines(why)));
    FAILED
}

/// Prints facts for people, which hold texts that others wrote.
fn print_text(text: &str) -> u8 {
    print(&safe(text, paint()))
}

/// Prints facts. A reader that has read enough (`| head`) is no error; a full disk is.
fn print(text: &str) -> u8 {
    match out::facts(text) {
        Ok(()) => DONE,
        Err(e) => complain(&format!("cannot write to stdout: {e}")),
    }
}
