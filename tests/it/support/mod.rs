//! What several tests share: the Python environment, moto, and servers that misbehave.
#![allow(dead_code)] // not every helper is used by every set of tests

pub mod moto;
pub mod python;
pub mod rude;
