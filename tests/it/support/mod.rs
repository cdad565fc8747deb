//! What several tests share: the Python environment, moto, servers that misbehave, and the program as a process.
#![allow(dead_code)] // not every helper is used by every set of tests

pub mod child;
pub mod manager;
pub mod moto;
pub mod python;
pub mod rows;
pub mod rude;
pub mod sim;
pub mod site;
pub mod spread;
pub mod world;
