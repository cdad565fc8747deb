//! The real engine against the simulated world, in simulated time. Each scenario is a table row: a fleet, plans,
//! what goes wrong, what must have come of it. `promises` is checked at the end of every one.

mod again;
mod clock;
mod clocks;
mod crash;
mod defects;
mod downtime;
mod faults;
mod foresight;
mod installation;
mod journal;
mod overlap;
mod plain;
mod promises;
mod rebuild;
mod refused;
mod reload;
mod removal;
mod requests;
mod restart;
mod retention;
mod rig;
mod script;
mod seeds;
mod selection;
mod sick;
mod twice;
mod unhealthy;
