//! Parse, call, exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(stillframe::cli::dispatch(stillframe::cli::Cli::parse()))
}
