//! All tests that need more than one module, in one binary: it is linked once.

mod contract;
mod copying;
mod door;
mod golden;
mod imports;
mod mistakes;
mod moto;
mod process;
mod schema;
mod simulation;
mod spread;
mod support;
mod systemd;
