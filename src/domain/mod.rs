//! The pure core: decisions as values, each with its reasons.
//!
//! Nothing here knows a clock, randomness, async or the SDK: `now` is always a parameter.

pub mod alarm;
pub mod census;
pub mod copying;
pub mod debt;
pub mod downtime;
pub mod event;
pub mod evidence;
pub mod fact;
pub mod hold;
pub mod keep;
pub mod machine;
pub mod naming;
pub mod observed;
pub mod place;
pub mod plan;
pub mod prevented;
pub mod protection;
pub mod rebuild;
pub mod retention;
pub mod rollout;
pub mod saga;
pub mod schedule;
pub mod select;
pub mod sharing;
pub mod text;
pub(crate) mod words;
pub mod zone;
