#![forbid(unsafe_code)]
#![warn(missing_docs)]
//! stillframe takes file-system-consistent images of EC2 instances on a schedule.
//!
//! ```text
//!  plans.d/*.toml        wall clock            AWS, or the simulated world
//!        |                   |                          |
//!     config  ------->    engine  <--- Governed ---   cloud
//!        |          due, choose, rollout,               |
//!        |          executor + steps, images           |
//!        v                   |                          v
//!     domain  <--------------+------------------>    domain
//!   (pure decisions)         v                   (observed facts)
//!                         journal  --->  report: logs, documents
//! ```
//!
//! - [`domain`]: pure decisions, each a value with its reasons.
//! - [`config`]: settings and plans from TOML, all mistakes at once.
//! - [`cloud`]: the ports, the governor, the AWS adapter.
//! - [`sim`]: the simulated world, and the door through which it speaks as AWS does.
//! - [`journal`]: the durable record of decisions and steps.
//! - [`engine`]: the loop, runs, and the executor of steps.
//! - [`view`]: the documents, made from the journal, AWS and the plans.
//! - [`report`]: log lines, and the documents as text, JSON and pages.
//! - [`cli`]: one file per subcommand.
//! - [`defect`]: deliberate faults that the tests must notice; none of it is in what is shipped.
//! - [`clock`]: the only place that reads a clock or sleeps.
//! - [`statedir`]: how the files of the state directory are opened and written.

pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod defect;
pub mod domain;
pub mod engine;
pub mod journal;
pub mod report;
pub mod sim;
pub mod statedir;
pub mod view;
