#![forbid(unsafe_code)]
#![warn(missing_docs)]
//! stillframe takes file-system-consistent images of EC2 instances on a schedule.

pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod domain;
pub mod engine;
pub mod journal;
pub mod report;
