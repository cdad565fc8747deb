//! All tests that need more than one module, in one binary: it is linked once.

#![allow(clippy::disallowed_macros)] // what a test prints is its own

mod contract;
mod copying;
mod door;
mod golden;
mod imports;
mod mistakes;
mod moto;
mod process;
mod runbook;
mod schema;
mod simulation;
mod spread;
mod support;
mod systemd;
mod upgrade;
